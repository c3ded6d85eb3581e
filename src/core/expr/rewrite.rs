//! Changes to the parsed expression where the interpreter departs from CEL, all in the direction that hides a mistake:
//!
//! - a field of something that has none (`null.spec`, `'text'.spec`) is `false` instead of an error, and so is `has` of it;
//! - `a.?b` is an error instead of none where `a` has no `b`;
//! - `1 == 1.0` is false;
//! - a name in backticks is looked up with its backticks;
//! - a field selection copies what it selects;
//! - `filter` copies its result so far in each round, so counting it with `size` is quadratic.
//!
//! An expression that silently gives `false` could let a start pass as none. Selections become look-ups by key, which do none of this, and
//! the size of what a filter lets pass is counted.

use super::functions;
use kube::core::cel::cel::IdedExpr;
use kube::core::cel::cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, SelectExpr, operators};

/// The expression, corrected.
pub(super) fn rewrite(mut expression: IdedExpr) -> IdedExpr {
    let id = expression.id;
    expression.expr = match expression.expr {
        Expr::Select(select) => rewrite_select(id, select),
        Expr::Call(call) => counted(rewrite_call(id, call)),
        Expr::Comprehension(mut it) => {
            it.iter_range = rewrite(it.iter_range);
            it.accu_init = rewrite(it.accu_init);
            it.loop_cond = rewrite(it.loop_cond);
            it.loop_step = rewrite(it.loop_step);
            it.result = rewrite(it.result);
            Expr::Comprehension(it)
        }
        Expr::List(mut list) => {
            list.elements = list.elements.into_iter().map(rewrite).collect();
            Expr::List(list)
        }
        Expr::Map(mut map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    entry.key = rewrite(std::mem::take(&mut entry.key));
                    entry.value = rewrite(std::mem::take(&mut entry.value));
                }
            }
            Expr::Map(map)
        }
        other @ (Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified) => other,
    };
    expression
}

fn rewrite_select(id: u64, select: SelectExpr) -> Expr {
    let operand = rewrite(*select.operand);
    let field = select.field.strip_prefix('`').and_then(|field| field.strip_suffix('`')).unwrap_or(&select.field);
    let key = IdedExpr { id, expr: Expr::Literal(LiteralValue::String(field.into())) };
    if !select.test {
        return call(operators::INDEX, vec![operand, key]);
    }
    if is_optional(&operand) {
        let target = IdedExpr { id, expr: call(operators::INDEX, vec![operand, key]) };
        return Expr::Call(CallExpr { func_name: "hasValue".to_owned(), target: Some(Box::new(target)), args: Vec::new() });
    }
    call(operators::IN, vec![key, operand])
}

fn rewrite_call(id: u64, mut call: CallExpr) -> CallExpr {
    call.target = call.target.map(|target| Box::new(rewrite(*target)));
    call.args = call.args.into_iter().map(rewrite).collect();
    let renamed = match call.func_name.as_str() {
        operators::OPT_SELECT => Some(operators::OPT_INDEX),
        operators::EQUALS | operators::NOT_EQUALS if !call.args.iter().any(is_exact) => Some(functions::EQUAL),
        operators::IN if !call.args.first().is_some_and(is_exact) && !call.args.get(1).is_some_and(is_exact_list) => {
            Some(functions::MEMBER)
        }
        _ => None,
    };
    let Some(renamed) = renamed else { return call };
    let negated = call.func_name == operators::NOT_EQUALS;
    renamed.clone_into(&mut call.func_name);
    if negated {
        let args = vec![IdedExpr { id, expr: Expr::Call(call) }];
        return CallExpr { func_name: operators::LOGICAL_NOT.to_owned(), target: None, args };
    }
    call
}

/// `x.filter(e, …).size()` as a count of what passes, as `exists_one` counts; anything else as it was.
fn counted(mut call: CallExpr) -> Expr {
    let of = match (&call.target, call.args.as_slice()) {
        _ if call.func_name != "size" => None,
        (Some(target), []) => Some(&**target),
        (None, [only]) => Some(only),
        _ => None,
    };
    if !of.is_some_and(|of| matches!(&of.expr, Expr::Comprehension(it) if filter_condition(it).is_some())) {
        return Expr::Call(call);
    }
    let of = call.target.take().map(|target| *target).or_else(|| call.args.pop());
    let Some(IdedExpr { expr: Expr::Comprehension(mut it), .. }) = of else { return Expr::Call(call) };
    let number = |value: i64| Expr::Literal(LiteralValue::Int(value.into()));
    it.accu_init.expr = number(0);
    if let Expr::Call(step) = &mut it.loop_step.expr
        && let Some(IdedExpr { expr: Expr::Call(add), .. }) = step.args.get_mut(1)
        && let Some(one) = add.args.get_mut(1)
    {
        one.expr = number(1);
    }
    Expr::Comprehension(it)
}

/// The condition of a `filter`: `condition ? so_far + [element] : so_far` in each round.
pub(super) fn filter_condition(it: &ComprehensionExpr) -> Option<&IdedExpr> {
    let Expr::Call(step) = &it.loop_step.expr else { return None };
    let [condition, then, otherwise] = step.args.as_slice() else { return None };
    let (Expr::Call(then), Expr::Ident(kept)) = (&then.expr, &otherwise.expr) else { return None };
    let [so_far, IdedExpr { expr: Expr::List(list), .. }] = then.args.as_slice() else { return None };
    let is = |expression: &IdedExpr, name: &String| matches!(&expression.expr, Expr::Ident(ident) if ident == name);
    let one = matches!(list.elements.as_slice(), [element] if is(element, &it.iter_var));
    let adds = step.func_name == operators::CONDITIONAL && then.func_name == operators::ADD;
    (adds && one && is(so_far, &it.accu_var) && *kept == it.accu_var).then_some(condition)
}

fn call(name: &str, args: Vec<IdedExpr>) -> Expr {
    Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args })
}

/// Whether the interpreter's own equality with this literal is right: it is wrong for numbers only.
pub(super) fn is_exact(expression: &IdedExpr) -> bool {
    matches!(
        expression.expr,
        Expr::Literal(LiteralValue::String(_) | LiteralValue::Boolean(_) | LiteralValue::Null | LiteralValue::Bytes(_))
    )
}

fn is_exact_list(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::List(list) if list.elements.iter().all(is_exact))
}

/// Whether a chain of look-ups began with an optional one.
pub(super) fn is_optional(expression: &IdedExpr) -> bool {
    let mut expression = expression;
    while let Expr::Call(call) = &expression.expr {
        match (call.func_name.as_str(), call.args.first()) {
            (operators::OPT_INDEX, _) => return true,
            (operators::INDEX, Some(operand)) => expression = operand,
            _ => return false,
        }
    }
    false
}
