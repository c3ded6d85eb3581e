//! What an expression may speak of: named values, such as the object of an admission request or the time.

use super::clock;
use super::functions::CONTEXT;
use super::shape::SCALAR;
use jiff::Timestamp;
use kube::core::cel::cel::objects::{Key, Map, Value};
use kube::core::cel::cel::{Context, IdedExpr};
use serde_json::Value as Json;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;

/// The names that [`Bindings::new`] binds.
pub const ROOTS: [&str; 3] = ["object", "oldObject", "request"];
/// How deep a document may be nested. The API server's own JSON parser stops far below.
const MAX_NESTING: usize = 200;

/// The variables of one occasion, shared by all expressions that are evaluated for it. Nothing is converted or measured until an
/// expression refers to it, and then once.
pub struct Bindings<'a> {
    roots: Vec<Root<'a>>,
    scope: RefCell<Context<'static>>,
}

struct Root<'a> {
    name: &'a str,
    value: Source<'a>,
    size: OnceCell<Size>,
    bound: Cell<bool>,
}

#[derive(Clone, Copy)]
enum Source<'a> {
    Json(&'a Json),
    Time(Timestamp),
}

/// How large a document is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// How many values it has, itself included.
    pub nodes: u64,
    /// The bytes of its texts and keys, and eight for each other value.
    pub bytes: u64,
    /// How deep it is nested.
    pub depth: usize,
}

impl<'a> Bindings<'a> {
    /// The object (null on a delete), the old object (null on a create) and the request.
    pub fn new(object: &'a Json, old_object: Option<&'a Json>, request: &'a Json) -> Self {
        let [first, second, third] = ROOTS;
        Self::of(&[(first, object), (second, old_object.unwrap_or(&Json::Null)), (third, request)])
    }

    /// Documents by their names.
    pub fn of(documents: &[(&'a str, &'a Json)]) -> Self {
        // With room for the time.
        let mut roots = Vec::with_capacity(documents.len() + 1);
        roots.extend(documents.iter().map(|(name, document)| Root::new(name, Source::Json(document))));
        Self { roots, scope: RefCell::new(CONTEXT.new_inner_scope()) }
    }

    /// The same, and an instant, in UTC.
    #[must_use]
    pub fn with_time(mut self, name: &'a str, instant: Timestamp) -> Self {
        self.roots.push(Root::new(name, Source::Time(instant)));
        self
    }

    fn root(&self, name: &str) -> Option<&Root<'a>> {
        self.roots.iter().find(|root| root.name == name)
    }

    /// A variable's document, if it is one.
    pub(super) fn json(&self, name: &str) -> Option<&'a Json> {
        match self.root(name)?.value {
            Source::Json(json) => Some(json),
            Source::Time(_) => None,
        }
    }

    /// A variable's size.
    pub(super) fn size(&self, name: &str) -> Option<Size> {
        self.root(name).map(|root| {
            *root.size.get_or_init(|| match root.value {
                Source::Json(json) => measure(json, u64::MAX),
                Source::Time(_) => SCALAR,
            })
        })
    }

    /// Evaluates an expression that refers to these variables.
    pub(super) fn evaluate(&self, expression: &IdedExpr, variables: &[String]) -> Result<Value, Failure> {
        for name in variables {
            self.bind(name)?;
        }
        let scope = self.scope.try_borrow().map_err(|_| Failure::Nested)?;
        Value::resolve(expression, &scope).map_err(|error| Failure::Execution(Box::new(error)))
    }

    fn bind(&self, name: &str) -> Result<(), Failure> {
        let Some(root) = self.root(name) else { return Err(Failure::Unknown(name.to_owned())) };
        if root.bound.get() {
            return Ok(());
        }
        if self.size(name).is_some_and(|size| size.depth > MAX_NESTING) {
            return Err(Failure::TooDeep(root.name.to_owned()));
        }
        let value = match root.value {
            Source::Json(json) => convert(json),
            Source::Time(instant) => clock::from_instant(instant).ok_or_else(|| Failure::Unknown(name.to_owned()))?,
        };
        self.scope.try_borrow_mut().map_err(|_| Failure::Nested)?.add_variable_from_value(root.name, value);
        root.bound.set(true);
        Ok(())
    }
}

impl<'a> Root<'a> {
    const fn new(name: &'a str, value: Source<'a>) -> Self {
        Self { name, value, size: OnceCell::new(), bound: Cell::new(false) }
    }
}

/// Why there is no value.
pub(super) enum Failure {
    Execution(Box<kube::core::cel::cel::ExecutionError>),
    TooDeep(String),
    Unknown(String),
    Nested,
}

/// A JSON value as Kubernetes reads it: whole numbers of 64 bits with a sign are integers, all others are floating point.
pub(super) fn convert(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => number.as_i64().map_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN)), Value::Int),
        Json::String(text) => Value::String(Arc::new(text.clone())),
        Json::Array(elements) => Value::List(Arc::new(elements.iter().map(convert).collect())),
        Json::Object(fields) => {
            let map: HashMap<Key, Value> = fields.iter().map(|(key, value)| (Key::String(Arc::new(key.clone())), convert(value))).collect();
            Value::Map(Map { map: Arc::new(map) })
        }
    }
}

/// The size of a document, or one of more than `limit` nodes as soon as that is clear.
pub(super) fn measure(json: &Json, limit: u64) -> Size {
    let mut size = Size::default();
    let mut open = vec![(json, 1)];
    while let Some((value, depth)) = open.pop() {
        size.nodes += 1;
        size.depth = size.depth.max(depth);
        if size.nodes > limit {
            break;
        }
        match value {
            Json::Array(elements) => open.extend(elements.iter().map(|element| (element, depth + 1))),
            Json::Object(fields) => {
                for (key, value) in fields {
                    size.bytes = size.bytes.saturating_add(count(key.len()));
                    open.push((value, depth + 1));
                }
            }
            Json::String(text) => size.bytes = size.bytes.saturating_add(count(text.len())),
            Json::Null | Json::Bool(_) | Json::Number(_) => size.bytes = size.bytes.saturating_add(8),
        }
    }
    size
}

pub(super) fn count(size: usize) -> u64 {
    u64::try_from(size).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
