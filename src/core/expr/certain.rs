//! When an expression certainly has a value: another expression, the guard, under which the API server evaluates it without an error.
//!
//! For a gate what cannot be evaluated counts as a start. The API server has its own opinion of that, so it may only answer by itself what
//! it can answer for certain, and CEL cannot catch errors. A guard has a value for every request. It is known for look-ups of fields,
//! comparisons, and what joins them; that is what nearly all expressions are made of.
//!
//! In Kubernetes a field of null or of a text is absent and one of a list is an error, so a guard asks for a map.

use kube::core::cel::cel::IdedExpr;
use kube::core::cel::cel::common::ast::{CallExpr, Expr, ListExpr, LiteralValue, SelectExpr, operators};
use std::fmt;

/// The longest guard, in bytes.
const MAX_BYTES: usize = 2048;
/// Whole numbers beyond are not exact as floating point.
const MAX_EXACT: u64 = 1 << 53;

/// The fields of a request that are compared by the API server as they are by the operator. All others of those are texts.
const REQUEST: &[&[&str]] = &[
    &["uid"],
    &["name"],
    &["namespace"],
    &["operation"],
    &["subResource"],
    DRY_RUN,
    &["kind", "group"],
    &["kind", "version"],
    &["kind", "kind"],
    &["resource", "group"],
    &["resource", "version"],
    &["resource", "resource"],
    &["userInfo", "username"],
    &["userInfo", "uid"],
];
const DRY_RUN: &[&str] = &["dryRun"];

/// The guard of an expression as it was parsed, if one is known.
pub(super) fn certain_when(expression: &IdedExpr) -> Option<String> {
    let tests = Node::read(expression)?.tests_of_condition(&Known::default())?;
    let guard = if tests.is_empty() { "true".to_owned() } else { tests.join(" && ") };
    (guard.len() <= MAX_BYTES).then_some(guard)
}

/// What the API server's type checker knows of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Bool,
    Whole,
    Fraction,
    Text,
    Null,
    List,
    Any,
}

impl Kind {
    /// Whether the type checker lets two of them be compared. Lists are left out: their elements would have to be compared.
    fn compares_with(self, other: Self) -> bool {
        self == Self::Any || other == Self::Any || (self == other && self != Self::List)
    }
}

/// A part of an expression, of those kinds whose errors are known.
#[derive(Debug)]
enum Node {
    Literal(String, Kind),
    /// Literals of one kind, if any.
    List(Vec<String>, Option<Kind>),
    Path(Path),
    Has(Path),
    /// A path with optional steps at its end, and the value where there is none.
    OrValue(Path, Box<Node>),
    Not(Box<Node>),
    /// Two terms or more.
    All(Vec<Node>),
    /// Two terms or more.
    AnyOf(Vec<Node>),
    Choice(Box<[Node; 3]>),
    Equal(Box<[Node; 2]>),
    Unequal(Box<[Node; 2]>),
    In(Box<[Node; 2]>),
}

/// A chain of look-ups that begins at a variable.
#[derive(Debug)]
struct Path {
    root: Root,
    /// No plain one follows an optional one.
    steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Root {
    Object,
    OldObject,
    Request,
}

#[derive(Debug)]
struct Step {
    name: String,
    optional: bool,
}

/// Tests that hold where a part is evaluated.
#[derive(Clone, Default)]
struct Known(Vec<String>);

impl Known {
    fn with(&self, more: impl IntoIterator<Item = String>) -> Self {
        Self(self.0.iter().cloned().chain(more).collect())
    }

    /// Adds what is not known yet.
    fn demand(&self, tests: &mut Vec<String>, test: String) {
        if !self.0.contains(&test) && !tests.contains(&test) {
            tests.push(test);
        }
    }
}

impl Node {
    fn read(expression: &IdedExpr) -> Option<Self> {
        let node = match &expression.expr {
            Expr::Literal(literal) => read_literal(literal).map(|(text, kind)| Self::Literal(text, kind)),
            Expr::List(list) => read_list(list),
            Expr::Select(SelectExpr { test: true, operand, field }) => Path::read(operand)?.then(field, false).map(Self::Has),
            Expr::Ident(_) | Expr::Select(_) => Path::read(expression).map(Self::Path),
            Expr::Call(call) => Self::read_call(call),
            _ => None,
        };
        node.filter(Self::is_accepted)
    }

    fn read_call(call: &CallExpr) -> Option<Self> {
        let CallExpr { func_name, target, args } = call;
        Some(match (func_name.as_str(), target.as_deref(), args.as_slice()) {
            (operators::LOGICAL_NOT, None, [operand]) => Self::Not(Box::new(Self::read(operand)?)),
            (operators::LOGICAL_AND, None, _) => Self::All(read_chain(call)?),
            (operators::LOGICAL_OR, None, _) => Self::AnyOf(read_chain(call)?),
            (operators::CONDITIONAL, None, [condition, then, otherwise]) => {
                Self::Choice(Box::new([Self::read(condition)?, Self::read(then)?, Self::read(otherwise)?]))
            }
            (operators::EQUALS, None, [left, right]) => Self::Equal(Box::new([Self::read(left)?, Self::read(right)?])),
            (operators::NOT_EQUALS, None, [left, right]) => Self::Unequal(Box::new([Self::read(left)?, Self::read(right)?])),
            (operators::IN, None, [element, list]) => Self::In(Box::new([Self::read(element)?, Self::read(list)?])),
            ("orValue", Some(target), [default]) => {
                Self::OrValue(Path::read(target).filter(|path| !path.is_plain())?, Box::new(Self::read(default)?))
            }
            _ => return None,
        })
    }

    /// Whether the type checker of the API server accepts it, all its parts being accepted.
    fn is_accepted(&self) -> bool {
        match self {
            Self::Equal(sides) | Self::Unequal(sides) => {
                let [left, right] = &**sides;
                left.kind().compares_with(right.kind())
            }
            Self::In(sides) => match &**sides {
                [element, Self::List(_, kind)] => kind.is_none_or(|kind| element.kind().compares_with(kind)),
                _ => false,
            },
            Self::Choice(parts) => {
                let [_, then, otherwise] = &**parts;
                then.kind().compares_with(otherwise.kind())
            }
            Self::OrValue(path, default) => path.kind().is_some_and(|kind| kind == Kind::Any || kind == default.kind()),
            Self::Path(path) | Self::Has(path) => path.kind().is_some(),
            _ => true,
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Self::Literal(_, kind) => *kind,
            Self::List(..) => Kind::List,
            Self::Path(path) | Self::OrValue(path, _) => path.kind().unwrap_or(Kind::Any),
            Self::Choice(parts) => {
                let [_, then, otherwise] = &**parts;
                if then.kind() == otherwise.kind() { then.kind() } else { Kind::Any }
            }
            Self::Has(_) | Self::Not(_) | Self::All(_) | Self::AnyOf(_) | Self::Equal(_) | Self::Unequal(_) | Self::In(_) => Kind::Bool,
        }
    }

    /// What must hold so that it certainly is true or false, in an order in which each test has a value if those before it hold.
    fn tests_of_condition(&self, known: &Known) -> Option<Vec<String>> {
        let mut tests = self.tests(known)?;
        match self.kind() {
            Kind::Bool => {}
            Kind::Any => known.demand(&mut tests, format!("type({self}) == bool")),
            _ => return None,
        }
        Some(tests)
    }

    /// What must hold so that it certainly has a value.
    fn tests(&self, known: &Known) -> Option<Vec<String>> {
        match self {
            Self::Literal(..) | Self::List(..) => Some(Vec::new()),
            Self::Path(path) => Some(path.tests(path.steps.len(), known)),
            Self::Has(path) => Some(path.tests(path.steps.len().saturating_sub(1), known)),
            Self::OrValue(path, default) => {
                let tests = path.tests(path.steps.len(), known);
                and_then(tests, known, |known| default.tests(known))
            }
            Self::Not(operand) => operand.tests_of_condition(known),
            Self::All(terms) => chain(terms, true, known),
            Self::AnyOf(terms) => chain(terms, false, known),
            Self::Choice(parts) => {
                let [condition, then, otherwise] = &**parts;
                let mut tests = condition.tests_of_condition(known)?;
                for (branch, holds) in [(then, true), (otherwise, false)] {
                    let known = known.with(tests.iter().cloned()).with(condition.facts(holds));
                    tests.extend(only_if(condition, holds, &branch.tests(&known)?));
                }
                Some(tests)
            }
            Self::Equal(sides) | Self::Unequal(sides) | Self::In(sides) => {
                let [left, right] = &**sides;
                and_then(left.tests(known)?, known, |known| right.tests(known))
            }
        }
    }

    /// Tests that are known to hold where it is true, or where it is false.
    fn facts(&self, holds: bool) -> Vec<String> {
        match (self, holds) {
            (Self::Has(path), true) => vec![format!("has({path})")],
            (Self::Unequal(sides), true) | (Self::Equal(sides), false) => match &**sides {
                [Self::Path(path), Self::Literal(_, Kind::Null)] if path.steps.is_empty() => vec![format!("{path} != null")],
                _ => Vec::new(),
            },
            (Self::All(terms), true) | (Self::AnyOf(terms), false) => terms.iter().flat_map(|term| term.facts(holds)).collect(),
            (Self::Not(operand), _) => operand.facts(!holds),
            _ => Vec::new(),
        }
    }
}

/// The tests of terms of which each is evaluated only if those before it are all true, or all false.
fn chain(terms: &[Node], holds: bool, known: &Known) -> Option<Vec<String>> {
    let Some((first, rest)) = terms.split_first() else { return Some(Vec::new()) };
    let mut tests = first.tests_of_condition(known)?;
    let known = known.with(tests.iter().cloned()).with(first.facts(holds));
    tests.extend(only_if(first, holds, &chain(rest, holds, &known)?));
    Some(tests)
}

/// Tests that need to hold only where a condition does, or only where it does not.
fn only_if(condition: &Node, holds: bool, tests: &[String]) -> Option<String> {
    if let Node::Not(operand) = condition {
        return only_if(operand, !holds, tests);
    }
    let not = if holds { "!" } else { "" };
    (!tests.is_empty()).then(|| format!("({not}{condition} || ({}))", tests.join(" && ")))
}

fn and_then(mut tests: Vec<String>, known: &Known, next: impl FnOnce(&Known) -> Option<Vec<String>>) -> Option<Vec<String>> {
    let more = next(&known.with(tests.iter().cloned()))?;
    tests.extend(more);
    Some(tests)
}

impl Path {
    fn read(expression: &IdedExpr) -> Option<Self> {
        match &expression.expr {
            Expr::Ident(name) => {
                let root = match name.as_str() {
                    "object" => Root::Object,
                    "oldObject" => Root::OldObject,
                    "request" => Root::Request,
                    _ => return None,
                };
                Some(Self { root, steps: Vec::new() })
            }
            Expr::Select(SelectExpr { test: false, operand, field }) => Self::read(operand)?.then(field, false),
            Expr::Call(CallExpr { func_name, target: None, args }) if func_name == operators::OPT_SELECT => match args.as_slice() {
                [operand, IdedExpr { expr: Expr::Literal(LiteralValue::String(field)), .. }] => {
                    Self::read(operand)?.then(field.inner(), true)
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn then(mut self, field: &str, optional: bool) -> Option<Self> {
        let is_name = field.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && field.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name || (!optional && !self.is_plain()) {
            return None;
        }
        self.steps.push(Step { name: field.to_owned(), optional });
        Some(self)
    }

    fn is_plain(&self) -> bool {
        self.steps.iter().all(|step| !step.optional)
    }

    /// `None` if it is not one that may be compared.
    fn kind(&self) -> Option<Kind> {
        if self.root != Root::Request {
            return Some(Kind::Any);
        }
        let names: Vec<&str> = self.steps.iter().map(|step| step.name.as_str()).collect();
        match REQUEST.contains(&names.as_slice()) {
            true if names == DRY_RUN => Some(Kind::Bool),
            true => Some(Kind::Text),
            false => None,
        }
    }

    /// What must hold so that the first steps can be made, up to `present`, and what they lead to can be asked for the next field.
    fn tests(&self, present: usize, known: &Known) -> Vec<String> {
        let mut tests = Vec::new();
        let mut text = self.root.to_string();
        // The request is a message with known fields, and always there.
        let is_document = self.root != Root::Request;
        if is_document && !self.steps.is_empty() {
            known.demand(&mut tests, format!("{text} != null"));
        }
        for (at, step) in self.steps.iter().enumerate().take(present) {
            text = format!("{text}{step}");
            if !step.optional {
                known.demand(&mut tests, format!("has({text})"));
            }
            if is_document && at + 1 < self.steps.len() {
                let value = if step.optional { format!("{text}.orValue({{}})") } else { text.clone() };
                known.demand(&mut tests, format!("type({value}) == map"));
            }
        }
        tests
    }
}

/// The terms of `a && b && c`, which the parser makes a tree of.
fn read_chain(call: &CallExpr) -> Option<Vec<Node>> {
    let mut terms = Vec::new();
    for operand in &call.args {
        match &operand.expr {
            Expr::Call(inner) if inner.func_name == call.func_name => terms.extend(read_chain(inner)?),
            _ => terms.push(Node::read(operand)?),
        }
    }
    Some(terms)
}

fn read_list(list: &ListExpr) -> Option<Node> {
    if !list.optional_indices.is_empty() {
        return None;
    }
    let mut common = None;
    let mut texts = Vec::new();
    for element in &list.elements {
        let Expr::Literal(literal) = &element.expr else { return None };
        let (text, kind) = read_literal(literal)?;
        if *common.get_or_insert(kind) != kind {
            return None;
        }
        texts.push(text);
    }
    Some(Node::List(texts, common))
}

fn read_literal(literal: &LiteralValue) -> Option<(String, Kind)> {
    match literal {
        LiteralValue::Boolean(value) => Some((value.inner().to_string(), Kind::Bool)),
        LiteralValue::Int(value) => (value.inner().unsigned_abs() <= MAX_EXACT).then(|| (value.inner().to_string(), Kind::Whole)),
        LiteralValue::Double(value) => value.inner().is_finite().then(|| (format!("{:?}", value.inner()), Kind::Fraction)),
        LiteralValue::String(value) => Some((quoted(value.inner()), Kind::Text)),
        LiteralValue::Null => Some(("null".to_owned(), Kind::Null)),
        LiteralValue::Bytes(_) | LiteralValue::UInt(_) => None,
    }
}

/// A literal of CEL for a text.
pub fn quoted(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('\'');
    for c in text.chars() {
        match c {
            '\'' | '\\' => {
                literal.push('\\');
                literal.push(c);
            }
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            c => literal.push(c),
        }
    }
    literal.push('\'');
    literal
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Object => "object",
            Self::OldObject => "oldObject",
            Self::Request => "request",
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.optional { ".?" } else { "." }, self.name)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.root)?;
        self.steps.iter().try_for_each(|step| write!(f, "{step}"))
    }
}

/// As CEL that can be an operand of anything.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(text, _) => f.write_str(text),
            Self::List(texts, _) => write!(f, "[{}]", texts.join(", ")),
            Self::Path(path) => write!(f, "{path}"),
            Self::Has(path) => write!(f, "has({path})"),
            Self::OrValue(path, default) => write!(f, "{path}.orValue({default})"),
            // Two signs in a row are misread.
            Self::Not(operand) => write!(f, "(!{operand})"),
            Self::All(terms) => joined(f, terms, " && "),
            Self::AnyOf(terms) => joined(f, terms, " || "),
            Self::Choice(parts) => {
                let [condition, then, otherwise] = &**parts;
                write!(f, "({condition} ? {then} : {otherwise})")
            }
            Self::Equal(sides) => infix(f, sides, "=="),
            Self::Unequal(sides) => infix(f, sides, "!="),
            Self::In(sides) => infix(f, sides, "in"),
        }
    }
}

fn joined(f: &mut fmt::Formatter<'_>, terms: &[Node], operator: &str) -> fmt::Result {
    for (at, term) in terms.iter().enumerate() {
        write!(f, "{}{term}", if at == 0 { "(" } else { operator })?;
    }
    f.write_str(")")
}

fn infix(f: &mut fmt::Formatter<'_>, sides: &[Node; 2], operator: &str) -> fmt::Result {
    let [left, right] = sides;
    write!(f, "({left} {operator} {right})")
}

#[cfg(test)]
mod tests;
