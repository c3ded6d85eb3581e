//! The request as gates see it.

use crate::api::Operation;
use crate::core::expr::Bindings;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// A resource of the API, or a subresource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource {
    /// The API group; empty for the core group.
    pub group: String,
    /// The plural, with a subresource after a slash.
    pub resource: String,
}

/// Who asks, as the API server says.
#[derive(Clone, Copy, Debug, Default)]
pub struct User<'a> {
    /// The name, such as `system:serviceaccount:chaos-mesh:chaos-controller-manager`.
    pub name: &'a str,
    /// The uid, where the authenticator gives one.
    pub uid: &'a str,
    /// The groups.
    pub groups: &'a [String],
}

/// A request to create or update something.
pub struct Request<'a> {
    /// The request's uid, from which the decision's id is made.
    pub uid: &'a str,
    /// The resource.
    pub resource: &'a Resource,
    /// The object's kind.
    pub kind: &'a str,
    /// The operation.
    pub operation: Operation,
    /// The object's namespace, if it has one.
    pub namespace: Option<&'a str>,
    /// The object's name, or its generateName with a `*`.
    pub name: &'a str,
    /// Whether the API server makes up the name.
    pub generated_name: bool,
    /// Why the client cannot be asked to come back although it would wait, if so.
    pub cannot_wait: Option<&'static str>,
    /// Whether nothing will be stored.
    pub dry_run: bool,
    /// Whether the object was being deleted before the request: what finalizers write is never held.
    pub deleting: bool,
    /// The labels of the new object.
    pub labels: BTreeMap<String, String>,
    /// The labels of the old object.
    pub old_labels: Option<BTreeMap<String, String>>,
    /// The labels of the namespace, if it was ever seen.
    pub namespace_labels: Option<&'a BTreeMap<String, String>>,
    /// Who asks.
    pub user: User<'a>,
    /// The new object, as the client sent it and the API server completed it.
    pub object: &'a Value,
    /// The object that is stored, on an update.
    pub old_object: Option<&'a Value>,
    /// The same for expressions.
    pub bindings: &'a Bindings<'a>,
}

impl fmt::Debug for Request<'_> {
    /// Without the objects: they may hold what must not be shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uid, resource, kind, operation, namespace, name, user, .. } = self;
        write!(f, "{operation:?} of {kind} {resource:?} {namespace:?}/{name} by {} [{uid}]", user.name)
    }
}
