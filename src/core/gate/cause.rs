//! Why a check counts against a start.

use super::{CheckFact, CheckName, Gate};
use crate::api::conditions::passing;
use crate::api::{Respond, Response, Severity};
use crate::core::freshness::{self, Basis, Freshness};
use crate::core::observation::Outcome;
use crate::core::verdict::{State, Verdict};
use jiff::Timestamp;

/// Why a check counts against a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CauseKind {
    /// It fails.
    Failing,
    /// It could not be told.
    Unknown,
    /// It passed, too long ago.
    Stale,
    /// There is none.
    Missing,
    /// It passes with a warning.
    Warning,
}

impl CauseKind {
    /// The word in a status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failing => "Failing",
            Self::Unknown => "Unknown",
            Self::Stale => "Stale",
            Self::Missing => "Missing",
            Self::Warning => "Warning",
        }
    }

    const fn response(self, respond: &Respond) -> Response {
        match self {
            Self::Failing => respond.failing,
            Self::Unknown => respond.unknown,
            Self::Stale => respond.stale,
            Self::Missing => respond.missing,
            Self::Warning => Response::Warn,
        }
    }
}

/// A check that counts against a start, with what a message about it needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// The check: its name, or namespace/name if it is not of the gate's own namespace.
    pub check: String,
    /// Why it counts.
    pub kind: CauseKind,
    /// What the gate's `respond` says, before its mode.
    pub response: Response,
    /// The worst target, if one is to blame.
    pub target: Option<String>,
    /// What was found.
    pub message: String,
    /// What was measured, and what was required.
    pub measured: Option<(String, String)>,
    /// Age of the evaluation in seconds.
    pub age_seconds: Option<u64>,
    /// What to do.
    pub remediation: Option<String>,
    /// Whether waiting, or a new evaluation, may cure it.
    pub curable: bool,
    /// The tier of the check; `None`: of several, or of none.
    pub priority: Option<i32>,
    /// The checks whose evaluation may cure it.
    pub of: Vec<CheckName>,
}

/// The answer to a check that does not pass. What waiting cannot cure is not waited for.
pub(super) const fn answer(respond: &Respond, kind: CauseKind, curable: bool) -> Response {
    match kind.response(respond) {
        Response::Hold if !curable => Response::Deny,
        response => response,
    }
}

/// Whether waiting, or a new evaluation, may make a check pass.
///
/// What fails was found out, and a check that is not there, may not read or is told not to look stays so until somebody does something.
fn curable(kind: CauseKind, state: &State, of_request: bool) -> bool {
    match (kind, state.verdict) {
        (CauseKind::Missing, _) => false,
        // What passed, and for the moment cannot be relied upon, is among them.
        (CauseKind::Stale | CauseKind::Warning, _) | (CauseKind::Unknown, Verdict::Passing | Verdict::Warning) => true,
        (CauseKind::Failing, _) => {
            state.reason == passing::HOLD_DOWN || state.results.first().is_some_and(|worst| worst.reason == passing::NO_PLACE)
        }
        // What is decided for each request was just found out.
        (CauseKind::Unknown, _) if of_request => {
            matches!(state.reason, passing::NEVER_EVALUATED | passing::PER_REQUEST | passing::AWAITING_PLACE)
        }
        (CauseKind::Unknown, _) => !matches!(
            state.reason,
            passing::INVALID_SPEC | passing::FORBIDDEN | passing::SUSPENDED | passing::TARGET_DENIED | passing::NO_TARGETS
        ),
    }
}

impl Cause {
    pub(super) fn of(gate: &Gate, kind: CauseKind) -> Self {
        Self {
            check: String::new(),
            kind,
            response: answer(&gate.respond, kind, false),
            target: None,
            message: String::new(),
            measured: None,
            age_seconds: None,
            remediation: None,
            curable: false,
            priority: None,
            of: Vec::new(),
        }
    }
}

/// Stands in the place of a check where the gate itself is at fault.
pub const OWN_SPEC: &str = "(this gate's own spec)";

/// What a check that does not pass says of itself.
pub(super) fn cause(
    gate: &Gate,
    check: &CheckFact,
    (state, basis): (&State, &Basis),
    name: String,
    kind: CauseKind,
    freshness: &Freshness,
    now: Timestamp,
) -> Cause {
    let age_seconds = freshness::age(state, basis, freshness, now).map(|d| d.as_secs());
    let distrust = freshness::distrust(state, basis, freshness, now);
    // What passes is not to blame: a failure may be one of quorum or of thresholds.
    let worst = state.results.first().filter(|o| o.outcome != Outcome::Pass);
    let message = match (kind, state.verdict) {
        _ if distrust.is_some() => distrust.unwrap_or_default(),
        // The last evaluations failed, but not as often as the threshold wants: it is not they that are too old.
        (CauseKind::Stale, Verdict::Unknown) if state.streak.passes == 0 => state.message.clone(),
        (CauseKind::Stale, _) if state.streak.passes == 0 => format!("it last passed too long ago; {}", state.message),
        (CauseKind::Stale, _) => format!(
            "last evaluated {} ago, believed for {}",
            seconds(age_seconds.unwrap_or(0)),
            freshness::believed_for(state, basis).map_or_else(String::new, |d| seconds(d.as_secs())),
        ),
        (CauseKind::Unknown, Verdict::Passing | Verdict::Warning) if state.evaluated_at.is_some_and(|t| t > now) => {
            "it was evaluated in the future: the operator's clock was set back".to_owned()
        }
        (CauseKind::Unknown, Verdict::Passing | Verdict::Warning) => "its answer has just run out and is being renewed".to_owned(),
        _ => state.message.clone(),
    };
    let curable = curable(kind, state, check.of_request.is_some());
    let ceiling = match check.severity {
        Severity::Required => Response::Deny,
        Severity::Advisory => Response::Warn,
    };
    // A place is granted while the request waits, and only so: that it has none yet is no finding of the check.
    let awaits = state.reason == passing::AWAITING_PLACE;
    let response = if awaits { Response::Hold } else { answer(&gate.respond, kind, curable) };
    let by_evaluation = !awaits && state.results.first().is_none_or(|worst| worst.reason != passing::NO_PLACE);
    Cause {
        check: name,
        target: worst.map(|o| o.target.clone()),
        message,
        measured: worst.and_then(|o| o.value.clone().zip(o.required.clone())),
        age_seconds,
        remediation: check.remediation.as_deref().map(str::to_owned),
        response: response.min(ceiling),
        curable,
        priority: Some(check.priority),
        of: by_evaluation.then(|| CheckName { namespace: check.namespace.clone(), name: check.name.clone() }).into_iter().collect(),
        ..Cause::of(gate, kind)
    }
}

/// A duration for people: `12s`, `11m`, `3h`.
pub fn seconds(s: u64) -> String {
    match s {
        0..=119 => format!("{s}s"),
        120..=7199 => format!("{}m", s / 60),
        7200..=172_799 => format!("{}h", s / 3600),
        _ => format!("{}d", s / 86_400),
    }
}
