//! How much work an expression can be at most, for the variables at hand.
//!
//! The interpreter has no limit and cannot be interrupted, so the bound is computed beforehand, by walking the expression with what
//! is known of each value. One unit is about 100 ns, or 16 bytes of memory: copying a value, comparing it, one operator. The
//! interpreter copies what it iterates over and what it hands to a function, and `map` and `filter` copy their result so far for
//! each element.

use super::bindings::{Bindings, Size, count};
use super::check::resolve;
use super::functions::{self, Growth};
use super::pattern;
use super::rewrite::{is_exact, is_optional};
use super::shape::{SCALAR, Shape, Surveyor, scalar, text};
use kube::core::cel::cel::IdedExpr;
use kube::core::cel::cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};
use std::rc::Rc;

/// The most units that an expression may cost, wherever nothing less is said.
pub const LIMIT: u64 = 1_000_000;
/// A function is looked up by name.
const CALL: u64 = 8;
/// A variable is bound by name, twice, in each round.
const ROUND: u64 = 4;
/// Converting a document, or what is handed to a function, is dearer than copying it.
const CONVERSION: u64 = 2;
/// Compiling a regular expression, for each state, and at all.
const COMPILE: u64 = 8;
const COMPILE_ANY: u64 = 200;
/// A time zone is looked up.
const ZONE: u64 = 16;
/// The bytes of memory that count as a unit.
const UNIT_BYTES: u64 = 16;

/// The most that an expression over these variables can cost. Beyond `limit` it is not computed to the end.
pub(super) fn bound(expression: &IdedExpr, fixed: Option<u64>, variables: &[String], bindings: &Bindings<'_>, limit: u64) -> u64 {
    let conversions = variables.iter().filter_map(|name| bindings.size(name)).fold(0_u64, |sum, size| sum.saturating_add(size.work()));
    let conversions = conversions.saturating_mul(CONVERSION);
    if let Some(fixed) = fixed {
        return conversions.saturating_add(fixed);
    }
    if conversions > limit {
        return conversions;
    }
    let mut walker = Walker { bindings, surveyor: Surveyor::with_fuel(limit / 2), locals: Vec::new(), memory: 0 };
    let (units, result) = walker.walk(expression);
    let units = units.saturating_add(walker.surveyor.size(&result).work()).saturating_add(conversions);
    if walker.surveyor.exhausted() { u64::MAX } else { units.max(walker.memory / UNIT_BYTES) }
}

/// The cost of an expression that does not depend on the size of anything: look-ups and comparisons with literals only.
pub(super) fn fixed(expression: &IdedExpr) -> Option<u64> {
    match &expression.expr {
        Expr::Ident(_) => Some(1),
        Expr::Literal(literal) => Some(1 + literal_size(literal).work()),
        Expr::Call(call) if call.target.is_none() => {
            let fixed_size = match call.func_name.as_str() {
                operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT | operators::CONDITIONAL | operators::INDEX => true,
                operators::EQUALS | operators::NOT_EQUALS => call.args.iter().any(is_exact),
                operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS => {
                    call.args.iter().any(|operand| matches!(operand.expr, Expr::Literal(_)))
                }
                _ => false,
            };
            // A look-up in an optional value copies it. (What the whole expression gives is copied once: no more than was converted.)
            if !fixed_size || is_optional(expression) {
                return None;
            }
            call.args.iter().try_fold(1_u64, |sum, operand| Some(sum.saturating_add(fixed(operand)?)))
        }
        _ => None,
    }
}

struct Walker<'e, 'b, 'v> {
    bindings: &'b Bindings<'v>,
    surveyor: Surveyor,
    locals: Vec<(&'e str, Shape<'v>)>,
    memory: u64,
}

type Bound<'v> = (u64, Shape<'v>);

impl<'e, 'v> Walker<'e, '_, 'v> {
    fn walk(&mut self, expression: &'e IdedExpr) -> Bound<'v> {
        match &expression.expr {
            Expr::Literal(literal) => (1, Shape::Made(literal_size(literal))),
            Expr::Ident(name) => (1, self.variable(name)),
            Expr::List(list) => self.literal_list(&list.elements),
            Expr::Map(map) => {
                let mut parts = Vec::with_capacity(map.entries.len() * 2);
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        parts.extend([&entry.key, &entry.value]);
                    }
                }
                self.literal_list(parts)
            }
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
            Expr::Call(call) => self.call(call),
            Expr::Select(_) | Expr::Struct(_) | Expr::Unspecified => (u64::MAX, scalar()),
        }
    }

    fn variable(&self, name: &str) -> Shape<'v> {
        if let Some((_, shape)) = self.locals.iter().rev().find(|(local, _)| *local == name) {
            return shape.clone();
        }
        self.bindings.json(name).map_or_else(scalar, |json| Shape::Known(Rc::new([json])))
    }

    fn produce(&mut self, size: Size) {
        self.memory = self.memory.saturating_add(size.memory());
    }

    fn work(&self, shape: &Shape<'v>) -> u64 {
        self.surveyor.size(shape).work()
    }

    fn literal_list(&mut self, elements: impl IntoIterator<Item = &'e IdedExpr>) -> Bound<'v> {
        let mut units = 1_u64;
        let mut size = Size { nodes: 1, ..Size::default() };
        let mut items = 0;
        let mut any: Option<Shape<'v>> = None;
        for element in elements {
            let (cost, shape) = self.walk(element);
            let part = self.surveyor.size(&shape);
            units = units.saturating_add(cost).saturating_add(part.work());
            size = size.plus(part);
            items += 1;
            any = Some(match any {
                None => shape,
                Some(others) => Surveyor::either(others, shape),
            });
        }
        self.produce(size);
        (units, Shape::List { items, element: Rc::new(any.unwrap_or_else(scalar)), size })
    }

    fn comprehension(&mut self, it: &'e ComprehensionExpr) -> Bound<'v> {
        let (range_units, range) = self.walk(&it.iter_range);
        let rounds = self.surveyor.items(&range);
        let element = self.surveyor.element(&range);
        let copy = self.work(&element);
        let collects = matches!(it.accu_init.expr, Expr::List(_));
        self.locals.push((&it.iter_var, element));
        let (step, result) = if collects {
            self.collect(it, rounds)
        } else {
            self.locals.push((&it.accu_var, scalar()));
            let (step, _) = self.walk(&it.loop_step);
            self.locals.pop();
            (step, scalar())
        };
        self.locals.pop();
        let round = step.saturating_add(copy).saturating_add(ROUND);
        let units = range_units.saturating_add(rounds.saturating_mul(round)).saturating_add(self.work(&result)).saturating_add(ROUND);
        (units, result)
    }

    /// `map` and `filter`: the cost of one round, and the list that they make. Each round copies the list so far twice.
    fn collect(&mut self, it: &'e ComprehensionExpr, rounds: u64) -> Bound<'v> {
        let mut step = &it.loop_step;
        let mut units = 1_u64;
        if let Expr::Call(call) = &step.expr
            && call.func_name == operators::CONDITIONAL
            && let [condition, then, _] = call.args.as_slice()
        {
            units = units.saturating_add(self.walk(condition).0);
            step = then;
        }
        let made = match &step.expr {
            Expr::Call(call) if call.func_name == operators::ADD => match call.args.as_slice() {
                [_, IdedExpr { expr: Expr::List(list), .. }] => list.elements.first(),
                _ => None,
            },
            _ => None,
        };
        let Some(made) = made else { return (u64::MAX, scalar()) };
        let (cost, element) = self.walk(made);
        let one = self.surveyor.size(&element);
        let size = one.times(rounds).plus(SCALAR);
        self.produce(size);
        self.produce(size);
        // On average half of the result is there to be copied.
        units = units.saturating_add(cost).saturating_add(one.work().saturating_mul(2)).saturating_add(size.work());
        (units, Shape::List { items: rounds, element: Rc::new(element), size })
    }

    fn call(&mut self, call: &'e CallExpr) -> Bound<'v> {
        let name = call.func_name.as_str();
        match (name, call.args.as_slice()) {
            (operators::CONDITIONAL, [condition, then, otherwise]) => {
                let (first, _) = self.walk(condition);
                let (second, one) = self.walk(then);
                let (third, other) = self.walk(otherwise);
                (first.saturating_add(second).saturating_add(third), Surveyor::either(one, other))
            }
            (operators::INDEX | operators::OPT_INDEX, [operand, index]) => self.index(call, operand, index),
            (operators::ADD, [left, right]) => self.add(left, right),
            (functions::EQUAL | functions::MEMBER | operators::IN, [left, right]) => {
                let (first, one) = self.walk(left);
                let (second, other) = self.walk(right);
                let mut units = first.saturating_add(second).saturating_add(1);
                if name != operators::IN || self.surveyor.is_list(&other) {
                    units = units.saturating_add(self.work(&one)).saturating_add(self.work(&other)).saturating_add(CALL);
                }
                (units, scalar())
            }
            _ if super::check::is_operator(name) => self.operator(&call.args),
            _ => self.function(call),
        }
    }

    /// Comparison, logic, arithmetic: at worst the operands are read, or copied into an error.
    fn operator(&mut self, operands: &'e [IdedExpr]) -> Bound<'v> {
        let mut units = 1_u64;
        let exact = operands.iter().any(|operand| matches!(operand.expr, Expr::Literal(_)));
        for operand in operands {
            let (cost, shape) = self.walk(operand);
            units = units.saturating_add(cost);
            if !exact {
                units = units.saturating_add(self.work(&shape));
            }
        }
        (units, scalar())
    }

    fn index(&mut self, call: &CallExpr, operand: &'e IdedExpr, index: &'e IdedExpr) -> Bound<'v> {
        let (first, of) = self.walk(operand);
        let (second, _) = self.walk(index);
        let found = match &index.expr {
            Expr::Literal(LiteralValue::String(name)) => self.surveyor.field(&of, name.inner()),
            _ => self.surveyor.any(&of),
        };
        let mut units = first.saturating_add(second).saturating_add(1);
        if call.func_name == operators::OPT_INDEX || is_optional(operand) {
            let (of, found) = (self.surveyor.size(&of), self.surveyor.size(&found));
            let copied_before = if is_optional(operand) { of } else { Size::default() };
            self.produce(copied_before.plus(found));
            units = units.saturating_add(copied_before.work()).saturating_add(found.work());
        }
        (units, found)
    }

    fn add(&mut self, left: &'e IdedExpr, right: &'e IdedExpr) -> Bound<'v> {
        let (first, one) = self.walk(left);
        let (second, other) = self.walk(right);
        let size = self.surveyor.size(&one).plus(self.surveyor.size(&other));
        self.produce(size);
        let units = first.saturating_add(second).saturating_add(size.work()).saturating_add(1);
        if self.surveyor.is_list(&one) || self.surveyor.is_list(&other) {
            let items = self.surveyor.items(&one).saturating_add(self.surveyor.items(&other));
            let element = Surveyor::either(self.surveyor.element(&one), self.surveyor.element(&other));
            return (units, Shape::List { items, element: Rc::new(element), size });
        }
        (units, Shape::Made(size))
    }

    fn function(&mut self, call: &'e CallExpr) -> Bound<'v> {
        let (function, receiver) = resolve(call);
        let Some(function) = function else { return (u64::MAX, scalar()) };
        let mut units = CALL;
        let mut inputs = Vec::with_capacity(call.args.len() + 1);
        for input in receiver.into_iter().chain(&call.args) {
            let (cost, shape) = self.walk(input);
            let size = self.surveyor.size(&shape);
            self.produce(size);
            units = units.saturating_add(cost).saturating_add(size.work().saturating_mul(CONVERSION));
            inputs.push(Input { expression: input, shape, size });
        }
        let (more, result) = self.effect(function.growth, &inputs);
        let size = self.surveyor.size(&result);
        self.produce(size);
        (units.saturating_add(more).saturating_add(size.work()), result)
    }

    /// What a function does with its inputs: the work beyond reading them, and its result.
    fn effect(&self, growth: Growth, inputs: &[Input<'e, 'v>]) -> Bound<'v> {
        let size = |at: usize| inputs.get(at).map_or_else(Size::default, |input| input.size);
        let receiver = || inputs.first().map_or_else(scalar, |input| input.shape.clone());
        let of = size(0);
        match growth {
            Growth::Scalar => (0, scalar()),
            Growth::Clock => (if inputs.len() > 1 { ZONE } else { 0 }, scalar()),
            Growth::Same => (0, inputs.iter().skip(1).fold(receiver(), |any, input| Surveyor::either(any, input.shape.clone()))),
            Growth::Element => (of.work(), self.surveyor.any(&receiver())),
            Growth::Sort => (of.work().saturating_mul(16), receiver()),
            Growth::Distinct => (of.work().saturating_mul(self.surveyor.items(&receiver())), receiver()),
            Growth::Flatten => (of.work(), Shape::List { items: of.nodes, element: Rc::new(Shape::Made(of)), size: of }),
            Growth::Product => {
                let elements = of.work().saturating_mul(size(1).work());
                (elements.saturating_add(of.bytes.saturating_mul(size(1).bytes) / 64), scalar())
            }
            Growth::Pieces => (of.bytes / 16, pieces(of.bytes, 4)),
            Growth::Regex(list) => {
                let weight = match inputs.get(1).map(|input| &input.expression.expr) {
                    Some(Expr::Literal(LiteralValue::String(text))) => pattern::weigh(text.inner()).unwrap_or(pattern::UNKNOWN_WEIGHT),
                    _ => pattern::UNKNOWN_WEIGHT,
                };
                let search = of.bytes.saturating_mul(weight) / 64;
                let compile = weight.saturating_mul(COMPILE).saturating_add(COMPILE_ANY);
                (search.saturating_add(compile), if list { pieces(of.bytes, 1) } else { text(of.bytes) })
            }
            Growth::Range => {
                let items = match inputs.first().map(|input| &input.expression.expr) {
                    Some(Expr::Literal(LiteralValue::Int(items))) => u64::try_from(*items.inner()).unwrap_or(0),
                    _ => u64::MAX,
                };
                (items, Shape::List { items, element: Rc::new(scalar()), size: SCALAR.times(items) })
            }
            Growth::Text(_) | Growth::Join | Growth::Replace | Growth::Format => {
                let written = self.written(growth, inputs);
                (written / 64, text(written))
            }
        }
    }

    /// How many bytes of text a function can write.
    fn written(&self, growth: Growth, inputs: &[Input<'e, 'v>]) -> u64 {
        let bytes = |at: usize| inputs.get(at).map_or(0, |input| input.size.bytes);
        let total = inputs.iter().fold(Size::default(), |sum, input| sum.plus(input.size));
        // What is not a text is written as the interpreter shows it to a programmer.
        let shown = total.bytes.saturating_mul(8).saturating_add(total.nodes.saturating_mul(64));
        match growth {
            Growth::Text(factor) => total.bytes.saturating_mul(factor).saturating_add(1024),
            Growth::Replace => bytes(0).saturating_add(1).saturating_mul(bytes(2).saturating_add(1)).saturating_add(bytes(0)),
            Growth::Join => {
                let items = inputs.first().map_or(0, |input| self.surveyor.items(&input.shape));
                shown.saturating_add(items.saturating_mul(bytes(1)))
            }
            Growth::Format => shown.saturating_add(widest(inputs.first().map(|input| input.expression), bytes(0))),
            _ => u64::MAX,
        }
    }
}

/// What a function is given.
struct Input<'e, 'v> {
    expression: &'e IdedExpr,
    shape: Shape<'v>,
    size: Size,
}

/// Pieces of a text of so many bytes, which may grow by a factor.
fn pieces<'v>(bytes: u64, factor: u64) -> Shape<'v> {
    let items = bytes.saturating_add(1);
    let bytes = bytes.saturating_mul(factor);
    Shape::List { items, element: Rc::new(text(bytes)), size: Size { nodes: items.saturating_add(1), bytes, depth: 0 } }
}

/// How many bytes the numbers in a format can take: each `%` writes at most its precision and 320 digits.
fn widest(format: Option<&IdedExpr>, bytes: u64) -> u64 {
    let Some(Expr::Literal(LiteralValue::String(format))) = format.map(|format| &format.expr) else {
        return bytes.saturating_mul(66_000 / 2);
    };
    let verbs = count(format.inner().matches('%').count());
    let largest = if format.inner().contains('.') { 66_000 } else { 330 };
    verbs.saturating_mul(largest)
}

fn literal_size(literal: &LiteralValue) -> Size {
    let bytes = match literal {
        LiteralValue::String(text) => count(text.inner().len()),
        LiteralValue::Bytes(bytes) => count(bytes.inner().len()),
        LiteralValue::Boolean(_) | LiteralValue::Double(_) | LiteralValue::Int(_) | LiteralValue::Null | LiteralValue::UInt(_) => 8,
    };
    Size { nodes: 1, bytes, depth: 1 }
}
