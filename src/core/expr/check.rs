//! What can be told about an expression without evaluating it: names, functions, how they are called, and that it is true or false.

use super::functions::{self, Form, Function, Gives, Growth};
use super::{clock, pattern};
use crate::core::text::single_line;
use kube::core::cel::cel::IdedExpr;
use kube::core::cel::cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};

/// The longest list that `lists.range` may make.
const MAX_RANGE: i64 = 1000;
/// The longest name of a time zone that a mistake repeats, in characters.
const MAX_ZONE_CHARS: usize = 64;
/// How many mistakes are told at once.
const MAX_MISTAKES: usize = 3;

/// What an expression must give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// True or false.
    Truth,
    /// A text.
    Text,
}

/// What is wrong with a parsed expression, one sentence each.
pub(super) fn check(expression: &IdedExpr, roots: &[&str], wanted: Wanted) -> Vec<String> {
    let mut checker = Checker { roots, locals: Vec::new(), mistakes: Vec::new() };
    checker.visit(expression);
    let (must_be, otherwise) = match wanted {
        Wanted::Truth => ("true or false", certainly_not_boolean(expression)),
        Wanted::Text => ("a text", certainly_not_text(expression)),
    };
    if let Some(kind) = otherwise {
        checker.mistake(format!("the expression must be {must_be}, and it is {kind}"));
    }
    checker.mistakes
}

/// The operators, which are calls to the parser.
pub(super) fn is_operator(name: &str) -> bool {
    use operators as op;
    [
        op::CONDITIONAL,
        op::LOGICAL_AND,
        op::LOGICAL_OR,
        op::LOGICAL_NOT,
        op::SUBSTRACT,
        op::ADD,
        op::MULTIPLY,
        op::DIVIDE,
        op::MODULO,
        op::EQUALS,
        op::NOT_EQUALS,
        op::GREATER_EQUALS,
        op::LESS_EQUALS,
        op::GREATER,
        op::LESS,
        op::NEGATE,
        op::INDEX,
        op::OPT_INDEX,
        op::OPT_SELECT,
        op::NOT_STRICTLY_FALSE,
        op::IN,
    ]
    .contains(&name)
}

/// The function that a call means, and its receiver if it has one.
pub(super) fn resolve(call: &CallExpr) -> (Option<Function>, Option<&IdedExpr>) {
    let target = call.target.as_deref();
    if let Some(IdedExpr { expr: Expr::Ident(namespace), .. }) = target
        && let Some(function) = functions::find(&format!("{namespace}.{}", call.func_name))
    {
        return (Some(function), None);
    }
    (functions::find(&call.func_name), target)
}

struct Checker<'e> {
    roots: &'e [&'e str],
    locals: Vec<&'e str>,
    mistakes: Vec<String>,
}

impl<'e> Checker<'e> {
    fn mistake(&mut self, mistake: String) {
        if self.mistakes.len() < MAX_MISTAKES && !self.mistakes.contains(&mistake) {
            self.mistakes.push(mistake);
        }
    }

    fn visit(&mut self, expression: &'e IdedExpr) {
        match &expression.expr {
            Expr::Ident(name) => self.name(name),
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Select(select) => self.visit(&select.operand),
            Expr::List(list) => list.elements.iter().for_each(|element| self.visit(element)),
            Expr::Map(map) => {
                for entry in &map.entries {
                    match &entry.expr {
                        EntryExpr::MapEntry(entry) => {
                            self.visit(&entry.key);
                            self.visit(&entry.value);
                        }
                        EntryExpr::StructField(_) => self.mistake("messages such as Name{…} are not supported".to_owned()),
                    }
                }
            }
            Expr::Literal(_) => {}
            Expr::Struct(_) => self.mistake("messages such as Name{…} are not supported".to_owned()),
            Expr::Unspecified => self.mistake("a part of the expression is missing".to_owned()),
        }
    }

    fn name(&mut self, name: &str) {
        if name.starts_with('@') || self.locals.contains(&name) || self.roots.contains(&name) {
            return;
        }
        let use_instead = match self.roots {
            [] => "there are no variables".to_owned(),
            [only] => format!("use {only}"),
            [first @ .., last] => format!("use {} or {last}", first.join(", ")),
        };
        self.mistake(format!("there is no `{name}` here: {use_instead}"));
    }

    fn comprehension(&mut self, it: &'e ComprehensionExpr) {
        self.visit(&it.iter_range);
        self.locals.push(&it.iter_var);
        self.visit(&it.loop_step);
        self.locals.pop();
        if let Some(kind) = literal_kind(&it.iter_range) {
            self.mistake(format!("all, exists, map and filter need a list or a map, and found {kind}"));
        }
    }

    fn call(&mut self, call: &'e CallExpr) {
        if is_operator(&call.func_name) {
            self.operands(call);
        } else {
            self.function(call);
        }
        call.args.iter().for_each(|argument| self.visit(argument));
    }

    fn operands(&mut self, call: &CallExpr) {
        let conditions = match call.func_name.as_str() {
            operators::CONDITIONAL => 1,
            operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT => 2,
            _ => 0,
        };
        for operand in call.args.iter().take(conditions) {
            if let Some(kind) = certainly_not_boolean(operand) {
                self.mistake(format!("a condition must be true or false, and it is {kind}"));
            }
        }
    }

    fn function(&mut self, call: &'e CallExpr) {
        let name = call.func_name.as_str();
        let (function, receiver) = resolve(call);
        let Some(function) = function else {
            self.unknown_function(call);
            return;
        };
        if let Some(receiver) = receiver {
            self.visit(receiver);
        }
        let as_method = receiver.is_some();
        let expected = match function.form {
            Form::Method if !as_method => {
                return self.mistake(format!("`{name}` is called on a value: write x.{name}(…)"));
            }
            Form::Global if as_method => {
                return self.mistake(format!("`{name}` is not called on a value: write {}(…)", function.name));
            }
            Form::Either if !as_method => (function.arguments.0 + 1, function.arguments.1 + 1),
            Form::Method | Form::Global | Form::Either => function.arguments,
        };
        if call.args.len() < expected.0 || call.args.len() > expected.1 {
            let takes = if expected.0 == expected.1 { expected.0.to_string() } else { format!("{} to {}", expected.0, expected.1) };
            return self.mistake(format!("`{}` takes {takes} arguments, and has {}", function.name, call.args.len()));
        }
        self.limits(call, function);
    }

    /// Limits that only a literal can show to be kept.
    fn limits(&mut self, call: &CallExpr, function: Function) {
        let last = call.args.last().map(|argument| &argument.expr);
        match (function.growth, last) {
            (Growth::Range, Some(Expr::Literal(LiteralValue::Int(count)))) if (0..=MAX_RANGE).contains(count.inner()) => {}
            (Growth::Range, _) => self.mistake(format!("`lists.range` needs a number from 0 to {MAX_RANGE}, written out")),
            (Growth::Clock, Some(Expr::Literal(LiteralValue::String(zone)))) if !clock::is_zone(zone.inner()) => {
                self.mistake(format!("there is no time zone `{}`", single_line(zone.inner(), MAX_ZONE_CHARS)));
            }
            (Growth::Regex(_), _) => {
                let at = usize::from(call.target.is_none());
                if let Some(Expr::Literal(LiteralValue::String(text))) = call.args.get(at).map(|argument| &argument.expr)
                    && let Err(mistake) = pattern::weigh(text.inner())
                {
                    self.mistake(mistake);
                }
            }
            _ => {}
        }
    }

    fn unknown_function(&mut self, call: &'e CallExpr) {
        let name = call.func_name.as_str();
        let namespace = match call.target.as_deref() {
            Some(IdedExpr { expr: Expr::Ident(namespace), .. })
                if functions::names().any(|known| known.strip_prefix(namespace.as_str()).is_some_and(|rest| rest.starts_with('.'))) =>
            {
                Some(namespace)
            }
            Some(target) => {
                self.visit(target);
                None
            }
            None => None,
        };
        let mistake = match (namespace, name) {
            (Some(namespace), _) => format!("there is no function `{namespace}.{name}`"),
            (None, "all" | "exists" | "exists_one" | "existsOne" | "filter" | "map") => {
                format!("`{name}` takes a name and a condition, such as x.{name}(e, e.y == 'z')")
            }
            (None, "has") => "`has` takes one field, such as has(object.spec.x)".to_owned(),
            _ => format!("there is no function `{name}`"),
        };
        self.mistake(mistake);
    }
}

fn literal_kind(expression: &IdedExpr) -> Option<&'static str> {
    match &expression.expr {
        Expr::Literal(literal) => Some(match literal {
            LiteralValue::Boolean(_) => "a truth value",
            LiteralValue::String(_) => "a text",
            LiteralValue::Bytes(_) => "bytes",
            LiteralValue::Null => "null",
            LiteralValue::Int(_) | LiteralValue::UInt(_) | LiteralValue::Double(_) => "a number",
        }),
        _ => None,
    }
}

/// What an expression is, if it is certainly neither true nor false.
fn certainly_not_boolean(expression: &IdedExpr) -> Option<&'static str> {
    match &expression.expr {
        Expr::Literal(LiteralValue::Boolean(_)) => None,
        Expr::Literal(_) => literal_kind(expression),
        Expr::List(_) => Some("a list"),
        Expr::Map(_) => Some("a map"),
        Expr::Comprehension(it) => matches!(it.accu_init.expr, Expr::List(_)).then_some("a list"),
        Expr::Call(call) => match call.func_name.as_str() {
            operators::CONDITIONAL => call.args.iter().skip(1).find_map(certainly_not_boolean),
            operators::ADD => Some("a sum"),
            operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO | operators::NEGATE => Some("a number"),
            operators::OPT_INDEX | operators::OPT_SELECT => Some("an optional value: add .orValue(false)"),
            name if is_operator(name) => None,
            _ => resolve(call).0.filter(|function| function.gives == Gives::Other).map(|_| "neither"),
        },
        _ => None,
    }
}

/// What an expression is, if it is certainly not a text.
fn certainly_not_text(expression: &IdedExpr) -> Option<&'static str> {
    const TRUTH: Option<&str> = Some("true or false");
    match &expression.expr {
        Expr::Literal(LiteralValue::String(_)) => None,
        Expr::Literal(_) => literal_kind(expression),
        Expr::List(_) => Some("a list"),
        Expr::Map(_) => Some("a map"),
        Expr::Comprehension(it) if matches!(it.accu_init.expr, Expr::List(_)) => Some("a list"),
        Expr::Comprehension(_) => TRUTH,
        Expr::Select(select) if select.test => TRUTH,
        Expr::Call(call) => match call.func_name.as_str() {
            operators::CONDITIONAL => call.args.iter().skip(1).find_map(certainly_not_text),
            operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO | operators::NEGATE => Some("a number"),
            operators::OPT_INDEX | operators::OPT_SELECT => Some("an optional value: add .orValue('')"),
            operators::ADD | operators::INDEX => None,
            name if is_operator(name) => TRUTH,
            _ => resolve(call).0.filter(|function| function.gives == Gives::Bool).and(TRUTH),
        },
        _ => None,
    }
}
