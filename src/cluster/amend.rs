//! Changes of a status that several replicas write: each is made in place of exactly the version that it was worked out from, or not at all.
//!
//! Whoever asks learns which of the two, or that nobody knows: then the change was made if the next version says so.

use super::apply::{FIELD_MANAGER, ObjectRef};
use super::client::{CallError, call};
use crate::telemetry::metrics::Metrics;
use kube::Client;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

/// What came of it.
#[derive(Debug)]
pub enum Amended {
    /// It was made; this is the object since.
    Made(Box<DynamicObject>),
    /// It was not made: the object is at another version by now.
    Overtaken,
    /// It was not made: the object is gone.
    Gone,
    /// It was not made: the API server does not accept it.
    Refused,
    /// Nobody knows: no answer, or one that does not say.
    Unanswered,
}

/// Makes the change, a JSON merge patch of the status, in place of a version.
pub async fn amend(client: Client, metrics: Metrics, object: ObjectRef, version: String, status: Value) -> Amended {
    let patch = json!({ "metadata": { "resourceVersion": version }, "status": status });
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let error = match call(object.api(&client).patch_status(&object.name, &params, &Patch::Merge(patch))).await {
        Ok(made) => {
            metrics.status_write(&object.resource.kind, true);
            return Amended::Made(Box::new(made));
        }
        Err(error) => error,
    };
    let ended = outcome(&error);
    if matches!(ended, Amended::Refused | Amended::Unanswered) {
        tracing::warn!(kind = object.resource.kind, namespace = object.namespace, name = object.name, %error, "cannot write status");
        metrics.status_write(&object.resource.kind, false);
    }
    ended
}

/// Only an answer that refuses is one; a proxy's or a server's failure may hide a success.
fn outcome(error: &CallError) -> Amended {
    match error.status() {
        Some(_) if error.is_not_found() => Amended::Gone,
        Some(_) if error.is_conflict() => Amended::Overtaken,
        Some(status) if (400..500).contains(&status.code) && status.code != 408 => Amended::Refused,
        _ => Amended::Unanswered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    #[test]
    fn only_a_refusal_proves_that_nothing_was_written() {
        let ended = |code: u16, reason: &str| {
            let status = Status { code, reason: reason.into(), ..Status::default() };
            outcome(&CallError::Kube(kube::Error::Api(Box::new(status))))
        };
        assert!(matches!(ended(404, "NotFound"), Amended::Gone));
        assert!(matches!(ended(409, "Conflict"), Amended::Overtaken));
        assert!(matches!(
            (ended(403, "Forbidden"), ended(422, "Invalid"), ended(429, "")),
            (Amended::Refused, Amended::Refused, Amended::Refused)
        ));
        assert!(matches!(
            (ended(500, ""), ended(504, "Timeout"), ended(408, "")),
            (Amended::Unanswered, Amended::Unanswered, Amended::Unanswered)
        ));
        assert!(matches!(outcome(&CallError::Deadline(std::time::Duration::ZERO)), Amended::Unanswered));
    }
}
