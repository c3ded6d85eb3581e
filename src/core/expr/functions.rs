//! The functions that an expression may call: which exist, how they are called, what they give and what they cost, and the context
//! that implements them.
//!
//! The interpreter looks functions up by name only, ignores surplus arguments, and takes the wrong argument as the receiver of some
//! when they are not called as a method. So the table says how each is called, and what does not fit is refused before it runs.

use kube::core::cel::KubeCelExt;
use kube::core::cel::cel::extractors::This;
use kube::core::cel::cel::objects::{Key, Value};
use kube::core::cel::cel::{Context, ExecutionError};
use std::sync::LazyLock;

/// Equality across number types, which the interpreter's own lacks: `1 == 1.0`.
pub(super) const EQUAL: &str = "@equal";
/// Membership with the same equality.
pub(super) const MEMBER: &str = "@member";

/// How a function is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `x.f(…)`.
    Method,
    /// `f(…)`, or `namespace.f(…)`.
    Global,
    /// Both; as a global function the receiver is one more argument.
    Either,
}

/// What a function gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gives {
    /// True or false.
    Bool,
    /// Certainly neither.
    Other,
    /// It depends on what it is given.
    Any,
}

/// What a function costs beyond reading its inputs, and how large its result can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Growth {
    /// A number, a truth value, a parsed thing.
    Scalar,
    /// Text of at most so many times the bytes of its inputs.
    Text(u64),
    /// One of its inputs.
    Same,
    /// One element of its receiver.
    Element,
    /// Its receiver sorted.
    Sort,
    /// Its receiver, each element compared with each.
    Distinct,
    /// The elements of its receiver's elements.
    Flatten,
    /// Each element of one input compared with each of the other.
    Product,
    /// A list of pieces of its receiver.
    Pieces,
    /// `join`.
    Join,
    /// `replace`.
    Replace,
    /// `format`.
    Format,
    /// A regular expression; true if the result is a list of matches.
    Regex(bool),
    /// `lists.range`.
    Range,
    /// An instant in a time zone, which is looked up.
    Clock,
}

/// A function of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Function {
    /// Its name, with its namespace.
    pub name: &'static str,
    /// How it is called.
    pub form: Form,
    /// The least and the greatest number of arguments, without the receiver.
    pub arguments: (usize, usize),
    /// What it gives.
    pub gives: Gives,
    /// What it costs.
    pub growth: Growth,
}

/// The function of a name, with its namespace.
pub(super) fn find(name: &str) -> Option<Function> {
    let index = NAMES.binary_search_by(|(known, _)| (*known).cmp(name)).ok()?;
    NAMES.get(index).map(|(_, function)| *function)
}

/// All names in the table.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, _)| *name)
}

static NAMES: LazyLock<Vec<(&'static str, Function)>> = LazyLock::new(|| {
    let mut names: Vec<_> = GROUPS
        .iter()
        .flat_map(|(form, arguments, gives, growth, names)| {
            names
                .split_whitespace()
                .map(move |name| (name, Function { name, form: *form, arguments: *arguments, gives: *gives, growth: *growth }))
        })
        .collect();
    names.sort_unstable_by_key(|(name, _)| *name);
    names
});

type Group = (Form, (usize, usize), Gives, Growth, &'static str);

const MANY: usize = 16;

#[rustfmt::skip]
const GROUPS: &[Group] = &[
    (Form::Either, (0, 0), Gives::Other, Growth::Scalar, "size"),
    (Form::Either, (1, 1), Gives::Bool, Growth::Regex(false), "matches"),
    (Form::Either, (0, 0), Gives::Other, Growth::Text(8), "string"),
    (Form::Either, (0, 0), Gives::Other, Growth::Scalar, "ip"),
    (Form::Method, (1, 1), Gives::Bool, Growth::Scalar, "contains startsWith endsWith containsIP containsCIDR isGreaterThan isLessThan"),
    (Form::Method, (1, 1), Gives::Other, Growth::Scalar, "add sub compareTo"),
    (Form::Method, (1, 1), Gives::Other, Growth::Text(4), "validate"),
    (Form::Method, (0, 0), Gives::Bool, Growth::Scalar, "hasValue isInteger isSorted isLoopback isUnspecified isLinkLocalMulticast isLinkLocalUnicast isGlobalUnicast"),
    (Form::Method, (0, 0), Gives::Other, Growth::Scalar, "asInteger asApproximateFloat sign family prefixLength masked major minor patch"),
    (Form::Method, (0, 1), Gives::Other, Growth::Clock, "getFullYear getMonth getDayOfYear getDayOfMonth getDate getDayOfWeek getHours getMinutes getSeconds getMilliseconds"),
    (Form::Method, (0, 0), Gives::Any, Growth::Same, "value"),
    (Form::Method, (1, 1), Gives::Any, Growth::Same, "orValue or"),
    (Form::Method, (0, 0), Gives::Other, Growth::Element, "first last"),
    (Form::Method, (0, 0), Gives::Any, Growth::Element, "min max"),
    (Form::Method, (0, 0), Gives::Other, Growth::Scalar, "sum"),
    (Form::Method, (0, 0), Gives::Other, Growth::Sort, "sort"),
    (Form::Method, (0, 0), Gives::Other, Growth::Same, "reverse"),
    (Form::Method, (2, 2), Gives::Other, Growth::Same, "slice"),
    (Form::Method, (0, 0), Gives::Other, Growth::Distinct, "distinct"),
    (Form::Method, (0, 1), Gives::Other, Growth::Flatten, "flatten"),
    (Form::Method, (1, 2), Gives::Other, Growth::Product, "indexOf lastIndexOf"),
    (Form::Method, (0, 0), Gives::Other, Growth::Text(1), "lowerAscii upperAscii trim"),
    (Form::Method, (1, 1), Gives::Other, Growth::Text(1), "charAt"),
    (Form::Method, (1, 2), Gives::Other, Growth::Text(1), "substring"),
    (Form::Method, (1, 2), Gives::Other, Growth::Pieces, "split"),
    (Form::Method, (2, 3), Gives::Other, Growth::Replace, "replace"),
    (Form::Method, (0, 1), Gives::Other, Growth::Join, "join"),
    (Form::Method, (1, 1), Gives::Other, Growth::Format, "format"),
    (Form::Method, (1, 1), Gives::Other, Growth::Regex(false), "find"),
    (Form::Method, (1, 2), Gives::Other, Growth::Regex(true), "findAll"),
    (Form::Method, (0, 0), Gives::Other, Growth::Text(4), "getScheme getHost getHostname getPort getEscapedPath"),
    (Form::Method, (0, 0), Gives::Other, Growth::Pieces, "getQuery"),
    (Form::Global, (1, 1), Gives::Bool, Growth::Scalar, "isQuantity isURL isIP isIPv4 isIPv6 isCIDR isCIDRv4 isCIDRv6 ip.isCanonical math.isInf math.isNaN math.isFinite"),
    (Form::Global, (1, 2), Gives::Bool, Growth::Scalar, "isSemver"),
    (Form::Global, (1, 2), Gives::Other, Growth::Scalar, "semver"),
    (Form::Global, (1, 1), Gives::Other, Growth::Scalar, "int uint double duration timestamp quantity cidr format.named"),
    (Form::Global, (1, 1), Gives::Other, Growth::Text(4), "url bytes strings.quote jsonpatch.escapeKey base64.encode base64.decode"),
    (Form::Global, (1, 1), Gives::Other, Growth::Scalar, "math.ceil math.floor math.round math.trunc math.abs math.sign math.bitNot math.sqrt"),
    (Form::Global, (2, 2), Gives::Other, Growth::Scalar, "math.bitAnd math.bitOr math.bitXor math.bitShiftLeft math.bitShiftRight"),
    (Form::Global, (1, MANY), Gives::Other, Growth::Scalar, "math.greatest math.least"),
    (Form::Global, (2, 2), Gives::Bool, Growth::Product, "sets.contains sets.equivalent sets.intersects"),
    (Form::Global, (1, 1), Gives::Other, Growth::Range, "lists.range"),
    (Form::Global, (0, 0), Gives::Other, Growth::Scalar, "optional.none"),
    (Form::Global, (1, 1), Gives::Other, Growth::Same, "optional.of optional.ofNonZeroValue"),
    (Form::Global, (0, 0), Gives::Other, Growth::Scalar, "format.dns1123Label format.dns1123Subdomain format.dns1035Label format.dns1035LabelPrefix \
        format.dns1123LabelPrefix format.dns1123SubdomainPrefix format.qualifiedName format.labelValue format.uri format.uuid \
        format.byte format.date format.datetime"),
];

/// The functions, shared by all evaluations; variables are bound in a scope on top of it.
pub(super) static CONTEXT: LazyLock<Context<'static>> = LazyLock::new(|| {
    let mut context = Context::default().with_all();
    context.add_function("size", size);
    context.add_function(EQUAL, equal);
    context.add_function(MEMBER, member);
    super::clock::add_to(&mut context);
    context
});

/// The number of characters, bytes or elements; the interpreter's own counts the bytes of a text.
pub(super) fn size(This(of): This<Value>) -> Result<i64, ExecutionError> {
    let size = match &of {
        Value::List(list) => list.len(),
        Value::Map(map) => map.map.len(),
        Value::String(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        other => return Err(ExecutionError::function_error("size", format!("{} has no size", other.type_of()))),
    };
    i64::try_from(size).map_err(|error| ExecutionError::function_error("size", error))
}

#[allow(clippy::needless_pass_by_value, reason = "functions of the context are given values")]
pub(super) fn equal(left: Value, right: Value) -> bool {
    left == right
}

pub(super) fn member(element: Value, of: Value) -> Result<bool, ExecutionError> {
    match of {
        Value::List(list) => Ok(list.contains(&element)),
        Value::Map(map) => {
            let key: Result<Key, Value> = element.try_into();
            Ok(key.is_ok_and(|key| map.get(&key).is_some()))
        }
        _ => Err(ExecutionError::NoSuchOverload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::cel::cel::parser::Parser;

    /// A name of the table that the context does not have would be accepted at compile time and fail in every evaluation.
    #[test]
    fn every_name_of_the_table_is_a_function_of_the_context() {
        for name in names() {
            let function = find(name).unwrap();
            let call = match function.form {
                Form::Method => format!("'x'.{name}()"),
                Form::Global | Form::Either => format!("{name}()"),
            };
            let program = Parser::new().parse(&call).unwrap();
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Value::resolve(&program, &CONTEXT)));
            assert!(!matches!(result, Ok(Err(ExecutionError::UndeclaredReference(_)))), "{name} is not in the context");
        }
    }

    #[test]
    fn no_name_is_listed_twice() {
        let all: Vec<_> = names().collect();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
