//! What the scanner, the parser and the interpreter report, in the words of whoever wrote the expression.

use super::bindings::Failure;
use super::scan::Refusal;
use crate::core::text::single_line;
use kube::core::cel::cel::ExecutionError;
use kube::core::cel::cel::objects::Value;
use kube::core::cel::cel::parser::ParseError;
use std::any::Any;

/// The longest part of a message that comes from the interpreter.
const MAX_DETAIL: usize = 160;

pub(super) fn refusal(source: &str, refusal: &Refusal) -> String {
    let before = source.get(..refusal.at).unwrap_or(source);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}: {}", refusal.message)
}

/// The first error that says something; one mistake often gives several.
pub(super) fn parse_errors(errors: &[ParseError]) -> String {
    let Some(error) = errors.iter().find(|error| error.msg.starts_with("Syntax error")).or_else(|| errors.first()) else {
        return "the expression cannot be parsed".to_owned();
    };
    let message = parse_message(error.msg.strip_prefix("Syntax error: ").unwrap_or(&error.msg));
    let (line, column) = error.pos;
    // The parser gives offsets instead of a position when it nests too deep.
    if line < 1 || column < 1 || error.msg.contains("Recursion limit") {
        return message;
    }
    format!("line {line}, column {column}: {message}")
}

fn parse_message(message: &str) -> String {
    let quoted =
        |start: &str| message.strip_prefix(start).map(|rest| rest.split("' expecting").next().unwrap_or(rest).trim_end_matches('\''));
    if message.contains("Recursion limit") {
        return "nested too deeply".to_owned();
    }
    if let Some(text) = quoted("token recognition error at: '") {
        return match text.trim() {
            "=" => "`=` is not an operator: use `==`".to_owned(),
            "&" => "`&` is not an operator: use `&&`".to_owned(),
            "|" => "`|` is not an operator: use `||`".to_owned(),
            text if text.starts_with(['\'', '"']) => {
                format!("a text is not closed, or has a backslash that means nothing: `{}`", detail(text))
            }
            text => format!("unexpected `{}`", detail(text)),
        };
    }
    let unexpected =
        quoted("mismatched input '").or_else(|| quoted("extraneous input '")).or_else(|| quoted("no viable alternative at input '"));
    if let Some(text) = unexpected {
        return match text {
            "<EOF>" => "the expression ends too early".to_owned(),
            "and" => "`and` is not an operator: use `&&`".to_owned(),
            "or" => "`or` is not an operator: use `||`".to_owned(),
            text => format!("unexpected `{}`", detail(text)),
        };
    }
    if let Some((missing, at)) = message.strip_prefix("missing '").and_then(|rest| rest.split_once("' at '")) {
        return match at.trim_end_matches('\'') {
            "<EOF>" => format!("`{missing}` is missing at the end"),
            at => format!("`{missing}` is missing before `{}`", detail(at)),
        };
    }
    match message {
        "invalid argument to has() macro" => "`has` takes a field, such as has(object.spec.x)".to_owned(),
        "argument must be a simple name" => "the first argument of all, exists, map and filter is a name for the element".to_owned(),
        "invalid int literal" | "invalid uint literal" => "a number does not fit in 64 bits".to_owned(),
        _ if message.starts_with("invalid string literal") => "a text has a backslash that means nothing".to_owned(),
        _ if message.starts_with("invalid ") => detail(message),
        _ => "the expression cannot be parsed".to_owned(),
    }
}

pub(super) fn too_costly(cost: u64, limit: u64) -> String {
    if cost == u64::MAX {
        return format!("the expression was not evaluated: its cost cannot be bounded, and may be {limit}");
    }
    format!("the expression was not evaluated: it can cost {cost} units here, and may cost {limit}")
}

pub(super) fn type_name(value: &Value) -> String {
    match value {
        Value::Opaque(opaque) => opaque.runtime_type_name().to_owned(),
        value => value.type_of().to_string(),
    }
}

pub(super) fn failure(failure: &Failure) -> String {
    match failure {
        Failure::Execution(error) => execution(error),
        Failure::TooDeep(name) => format!("{name} is nested too deeply"),
        Failure::Unknown(name) => format!("there is no `{name}` here"),
        Failure::Nested => "the expression was evaluated within itself".to_owned(),
    }
}

/// Names types instead of values: the message goes to whoever made the request, and to the log.
fn execution(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("there is no field `{}`", detail(key)),
        ExecutionError::NoSuchOverload => "an operator or a function was given a type that it does not take, such as null".to_owned(),
        ExecutionError::UndeclaredReference(name) => format!("there is no `{}` here", detail(name)),
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
            format!("`{operator}` does not take {} and {}", type_name(left), type_name(right))
        }
        ExecutionError::ValuesNotComparable(left, right) => format!("{} and {} cannot be compared", type_name(left), type_name(right)),
        ExecutionError::FunctionError { function, message } => format!("`{}`: {}", detail(function), detail(message)),
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => "division by zero".to_owned(),
        ExecutionError::Overflow(operator, ..) => format!("the result of `{operator}` does not fit in 64 bits"),
        ExecutionError::IndexOutOfBounds(_) => "an index is outside its list".to_owned(),
        ExecutionError::UnexpectedType { .. } => "a function or an index was given a type that it does not take".to_owned(),
        _ => "the expression has no value here".to_owned(),
    }
}

pub(super) fn panic(payload: &(dyn Any + Send)) -> String {
    let message = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    format!("the expression cannot be computed: {}", detail(message.unwrap_or("unknown error")))
}

fn detail(text: &str) -> String {
    single_line(text, MAX_DETAIL)
}
