//! Parents whose child was refused, and that wait for something to happen before they try again.
//!
//! The controller of a Chaos Mesh Schedule tells of the refusal and does not try again by itself; any change of the Schedule makes it look, and
//! as the missed firing was not noted down, it fires at once, unless its `startingDeadlineSeconds` have passed.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// The annotation by which a parent is touched.
pub const NUDGED_AT: &str = "holdpoint.dev/nudged-at";

/// A parent to look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stalled {
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its API version.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// The plural of a kind that stalls when its child is refused.
pub fn stalls(api_version: &str, kind: &str) -> Option<&'static str> {
    (api_version == "chaos-mesh.org/v1alpha1" && kind == "Schedule").then_some("schedules")
}

/// What is applied to a parent whose child was refused, unless it was touched since, is paused or is being deleted.
pub fn nudge(stalled: &Stalled, parent: &Value, refused: Timestamp, now: Timestamp) -> Option<Value> {
    let annotation = |key: &str| parent.pointer("/metadata/annotations").and_then(|all| all.get(key)).and_then(Value::as_str);
    let uid = parent.pointer("/metadata/uid").and_then(Value::as_str);
    // When it was refused is known to the second.
    let since = refused.checked_add(SignedDuration::from_secs(1)).unwrap_or(refused);
    let touched = annotation(NUDGED_AT).and_then(|at| at.parse::<Timestamp>().ok()).is_some_and(|at| at >= since && at <= now);
    let paused = annotation("experiment.chaos-mesh.org/pause") == Some("true");
    let deleted = parent.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null());
    if touched || paused || deleted || uid != Some(stalled.uid.as_str()) {
        return None;
    }
    let mut metadata = json!({ "name": stalled.name, "uid": stalled.uid, "annotations": { NUDGED_AT: now.to_string() } });
    if let (Value::Object(members), Some(namespace)) = (&mut metadata, &stalled.namespace) {
        members.insert("namespace".to_owned(), namespace.as_str().into());
    }
    Some(json!({ "apiVersion": stalled.api_version, "kind": stalled.kind, "metadata": metadata }))
}
