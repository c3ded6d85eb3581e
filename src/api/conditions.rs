//! Condition types and reasons, and how a condition is set.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Condition type: the object was accepted and is acted upon.
pub const READY: &str = "Ready";
/// Condition type of a check: its outcome.
pub const PASSING: &str = "Passing";
/// Condition type of a gate: a start would be admitted now.
pub const OPEN: &str = "Open";

/// Condition type of a run: it is over, for whatever reason.
pub const COMPLETE: &str = "Complete";

/// Reasons of `Ready`.
pub mod ready {
    /// Not looked at yet.
    pub const PENDING: &str = "Pending";
    /// A check: accepted, and evaluated.
    pub const EVALUATED: &str = "Evaluated";
    /// A check: evaluation is switched off.
    pub const SUSPENDED: &str = "Suspended";
    /// A gate: accepted, and registered with the API server.
    pub const SERVING: &str = "Serving";
    /// A gate: not yet registered with the API server.
    pub const WEBHOOK_NOT_READY: &str = "WebhookNotReady";
    /// The spec cannot work; the message names the field.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// The operator may not read what the spec names.
    pub const FORBIDDEN: &str = "Forbidden";
}

/// Reasons of `Passing`.
pub mod passing {
    /// All targets pass.
    pub const ALL_PASSED: &str = "AllPassed";
    /// Not all targets pass, but as many as `quorum` wants.
    pub const QUORUM_MET: &str = "QuorumMet";
    /// The last evaluations differ from the verdict, but not as often in a row as the threshold wants.
    pub const THRESHOLD_PENDING: &str = "ThresholdPending";
    /// Fewer targets pass than `quorum` wants.
    pub const TARGETS_FAILING: &str = "TargetsFailing";
    /// It could not be told, for a technical reason.
    pub const EVALUATION_ERROR: &str = "EvaluationError";
    /// The targets do not have what is asked about.
    pub const NO_DATA: &str = "NoData";
    /// There are fewer targets than `quorum.minTargets`.
    pub const NO_TARGETS: &str = "NoTargets";
    /// It passed, too long ago.
    pub const STALE: &str = "Stale";
    /// Not evaluated yet, or not since the spec changed or the operator started.
    pub const NEVER_EVALUATED: &str = "NeverEvaluated";
    /// Evaluation is switched off.
    pub const SUSPENDED: &str = "Suspended";
    /// The spec cannot work.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// The operator may not read what the check names.
    pub const FORBIDDEN: &str = "Forbidden";
    /// It passes again, but not for as long as `holdDownSeconds` wants.
    pub const HOLD_DOWN: &str = "HoldDown";
    /// A check that it depends on does not pass, so it was not run.
    pub const DEPENDENCY_NOT_PASSING: &str = "DependencyNotPassing";
    /// Its `when` is false: it is not required.
    pub const NOT_APPLICABLE: &str = "NotApplicable";
    /// The network policy of the operator refuses the address.
    pub const TARGET_DENIED: &str = "TargetDenied";
    /// It is decided for each request, and so has no verdict of its own.
    pub const PER_REQUEST: &str = "PerRequest";
    /// There is a place for the start, which the leader has yet to grant.
    pub const AWAITING_PLACE: &str = "AwaitingPlace";
    /// There is no place for the start at the moment.
    pub const NO_PLACE: &str = "NoPlace";

    /// The reason of a text, for what is read back from a status; what is none of them counts as an error.
    pub fn known(text: &str) -> &'static str {
        const ALL: &[&str] = &[
            ALL_PASSED,
            QUORUM_MET,
            THRESHOLD_PENDING,
            TARGETS_FAILING,
            EVALUATION_ERROR,
            NO_DATA,
            NO_TARGETS,
            STALE,
            NEVER_EVALUATED,
            SUSPENDED,
            INVALID_SPEC,
            FORBIDDEN,
            HOLD_DOWN,
            DEPENDENCY_NOT_PASSING,
            NOT_APPLICABLE,
            TARGET_DENIED,
            PER_REQUEST,
            AWAITING_PLACE,
            NO_PLACE,
        ];
        ALL.iter().find(|known| **known == text).copied().unwrap_or(EVALUATION_ERROR)
    }
}

/// Reasons of `Open`.
pub mod open {
    /// All required checks pass.
    pub const CHECKS_PASSING: &str = "ChecksPassing";
    /// At least one fails.
    pub const CHECKS_FAILING: &str = "ChecksFailing";
    /// None fails, but of at least one it could not be told.
    pub const CHECKS_UNKNOWN: &str = "ChecksUnknown";
    /// The worst is a check that passed too long ago.
    pub const CHECKS_STALE: &str = "ChecksStale";
    /// A required check does not exist.
    pub const CHECKS_MISSING: &str = "ChecksMissing";
    /// The checks depend on the namespace of the request.
    pub const PER_REQUEST: &str = "PerRequest";
    /// The spec cannot work.
    pub const INVALID_SPEC: &str = "InvalidSpec";
}

/// What a condition should say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The condition's type.
    pub type_: &'static str,
    /// `Some(true)` is "True", `Some(false)` is "False", `None` is "Unknown".
    pub status: Option<bool>,
    /// A CamelCase word.
    pub reason: String,
    /// A sentence for people.
    pub message: String,
}

/// Sets a condition in place. `lastTransitionTime` moves only when the status does
/// (Kubernetes API conventions, "Typical status properties").
pub fn set(conditions: &mut Vec<Condition>, wanted: Wanted, generation: Option<i64>, now: Timestamp) {
    let status = match wanted.status {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    };
    let old = conditions.iter().position(|c| c.type_ == wanted.type_);
    let last_transition_time =
        old.and_then(|i| conditions.get(i)).filter(|c| c.status == status).map_or(Time(now), |c| c.last_transition_time.clone());
    let new = Condition {
        type_: wanted.type_.to_owned(),
        status: status.to_owned(),
        reason: wanted.reason,
        message: wanted.message,
        observed_generation: generation,
        last_transition_time,
    };
    match old.and_then(|i| conditions.get_mut(i)) {
        Some(slot) => *slot = new,
        None => conditions.push(new),
    }
}

/// The condition of a type, if it is there.
pub fn get<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(status: Option<bool>, reason: &str) -> Wanted {
        Wanted { type_: READY, status, reason: reason.to_owned(), message: String::new() }
    }

    #[test]
    fn transition_time_moves_only_with_the_status() {
        let (t0, t1, t2) = (Timestamp::UNIX_EPOCH, Timestamp::new(10, 0).unwrap(), Timestamp::new(20, 0).unwrap());
        let mut conditions = Vec::new();
        set(&mut conditions, wanted(Some(false), "A"), Some(1), t0);
        set(&mut conditions, wanted(Some(false), "B"), Some(2), t1);
        let c = get(&conditions, READY).unwrap();
        assert_eq!((c.reason.as_str(), c.last_transition_time.0, c.observed_generation), ("B", t0, Some(2)));
        set(&mut conditions, wanted(None, "C"), Some(2), t2);
        let c = get(&conditions, READY).unwrap();
        assert_eq!((c.status.as_str(), c.last_transition_time.0), ("Unknown", t2));
        assert_eq!(conditions.len(), 1);
    }
}
