//! Writes to objects of others: one field by server-side apply, or the deletion of exactly one object.
//!
//! Each purpose has a field manager of its own: what one applies anew takes back what the same one applied before, and nobody else's.

use super::apply::ObjectRef;
use super::client::{CallError, call};
use kube::Client;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use serde_json::Value;

/// Applies an object that has nothing in it but what is to be written. It names the uid: an object that is gone is not made anew.
pub async fn apply(client: &Client, object: &ObjectRef, manager: &str, fields: &Value) -> Result<DynamicObject, CallError> {
    let params = PatchParams::apply(manager).force();
    call(object.api(client).patch(&object.name, &params, &Patch::Apply(fields))).await
}

/// Deletes the object with this uid, and in the background what it owns.
pub async fn delete(client: &Client, object: &ObjectRef, uid: &str) -> Result<(), CallError> {
    let this = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    let params = DeleteParams { preconditions: Some(this), ..DeleteParams::background() };
    call(object.api(client).delete(&object.name, &params)).await.map(drop)
}

/// An object as it is now; `None`: it is not there.
pub async fn get(client: &Client, object: &ObjectRef) -> Result<Option<DynamicObject>, CallError> {
    call(object.api(client).get_opt(&object.name)).await
}
