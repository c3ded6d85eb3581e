//! What is to be evaluated for a request that is held, handed over once it is answered.

use super::hold::HoldKey;
use super::request::Resource;
use super::required::CheckName;
use crate::api::Operation;
use jiff::Timestamp;
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// A run that a gate wants for a request that it holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// Which wait it is for.
    pub key: HoldKey,
    /// The gate's uid.
    pub gate_uid: String,
    /// The checks whose evaluation may cure what counts against the start.
    pub checks: Vec<CheckName>,
    /// When the request was answered.
    pub asked_at: Timestamp,
    /// When waiting is over.
    pub deadline: Timestamp,
    /// What was asked, the same for all gates that hold it.
    pub asked: Arc<Asked>,
}

/// A request that is held.
#[derive(Clone, PartialEq)]
pub struct Asked {
    /// The operation.
    pub operation: Operation,
    /// The resource.
    pub resource: Resource,
    /// The object's kind.
    pub kind: String,
    /// The object's namespace, if it has one.
    pub namespace: Option<String>,
    /// The object's name; `None`: the API server makes up another one for each try.
    pub name: Option<String>,
    /// For people: `Kind namespace/name`.
    pub title: String,
    /// The groups of who asks; the name is the key's.
    pub groups: Vec<String>,
    /// The new object.
    pub object: Value,
    /// The stored object, on an update.
    pub old_object: Option<Value>,
    /// The request as expressions see it, without the objects.
    pub request: Value,
}

impl fmt::Debug for Asked {
    /// Without the objects: they may hold what must not be shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.operation, self.title)
    }
}
