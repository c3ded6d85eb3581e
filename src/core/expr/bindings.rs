//! What an expression may speak of, of one admission request.

use super::functions::CONTEXT;
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

/// The variables of one request, shared by all expressions that are evaluated for it. Nothing is converted or measured until an
/// expression refers to it, and then once.
pub struct Bindings<'a> {
    roots: [Root<'a>; 3],
    scope: RefCell<Context<'static>>,
}

struct Root<'a> {
    name: &'static str,
    value: Option<&'a Json>,
    size: OnceCell<Size>,
    bound: Cell<bool>,
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
        let root = |name, value| Root { name, value, size: OnceCell::new(), bound: Cell::new(false) };
        let [first, second, third] = ROOTS;
        Self {
            roots: [root(first, Some(object)), root(second, old_object), root(third, Some(request))],
            scope: RefCell::new(CONTEXT.new_inner_scope()),
        }
    }

    fn root(&self, name: &str) -> Option<&Root<'a>> {
        self.roots.iter().find(|root| root.name == name)
    }

    /// A variable's value as it came, and null where there is none.
    pub(super) fn json(&self, name: &str) -> Option<&'a Json> {
        self.root(name).map(|root| root.value.unwrap_or(&Json::Null))
    }

    /// A variable's size.
    pub(super) fn size(&self, name: &str) -> Option<Size> {
        self.root(name).map(|root| *root.size.get_or_init(|| root.value.map_or_else(Size::default, |value| measure(value, u64::MAX))))
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
            return Err(Failure::TooDeep(root.name));
        }
        let value = root.value.map_or(Value::Null, convert);
        self.scope.try_borrow_mut().map_err(|_| Failure::Nested)?.add_variable_from_value(root.name, value);
        root.bound.set(true);
        Ok(())
    }
}

/// Why there is no value.
pub(super) enum Failure {
    Execution(Box<kube::core::cel::cel::ExecutionError>),
    TooDeep(&'static str),
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
