//! A check as the engine keeps it, and what can be said of it alone.

use super::super::objects::{KindKey, WatchKey};
use super::super::plan::CheckPlan;
use crate::api::conditions::{READY, Wanted, passing, ready};
use crate::api::{PreflightCheckSpec, PreflightCheckStatus};
use crate::core::problem::{Problem, summary};
use crate::core::text::{MAX_MESSAGE_CHARS, single_line};
use crate::core::verdict::{MAX_RESULTS, State, Transition, Verdict};
use crate::probe::Plan as ProbePlan;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, VecDeque};

/// How long a status that was sent is taken for written although another one was seen since: that may be an earlier one.
const CONTRADICTED_PATIENCE: SignedDuration = SignedDuration::from_secs(5);
/// How long it is taken for written although nothing was seen since.
const SILENT_PATIENCE: SignedDuration = SignedDuration::from_mins(2);

/// A check, and what became of it.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) uid: String,
    pub(super) generation: Option<i64>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) spec: PreflightCheckSpec,
    pub(super) plan: Result<CheckPlan, Vec<Problem>>,
    pub(super) state: State,
    pub(super) watches: Vec<WatchKey>,
    /// The status as it was last seen.
    pub(super) seen: Option<PreflightCheckStatus>,
    /// A status that was sent, and when.
    pub(super) sent: Option<(Box<PreflightCheckStatus>, Timestamp)>,
    /// Whether another status was seen since.
    pub(super) contradicted: bool,
    /// The verdict that was last told of.
    pub(super) announced: Option<Verdict>,
    pub(super) settling_until: Timestamp,
    /// When the next evaluation is due.
    pub(super) due: Timestamp,
    /// The number of the evaluation that runs.
    pub(super) running: Option<u64>,
    /// Where it stands in the agenda.
    pub(super) wake: Option<Timestamp>,
}

impl Check {
    /// When a status that was sent is no longer taken for written: soon if another was seen since, late if the watch is silent. What is
    /// written again for nothing loads the API server just when it is in trouble.
    pub(super) fn doubted_at(&self) -> Option<Timestamp> {
        let patience = if self.contradicted { CONTRADICTED_PATIENCE } else { SILENT_PATIENCE };
        self.sent.as_ref().and_then(|(_, at)| at.checked_add(patience).ok())
    }

    /// Its plan, if it has one and is not suspended.
    pub(super) fn active(&self) -> Option<&CheckPlan> {
        self.plan.as_ref().ok().filter(|_| !self.spec.suspend)
    }

    /// Whether it looks at objects of a kind.
    pub(super) fn names(&self, kind: &KindKey) -> bool {
        let Some(plan) = self.active() else { return false };
        let target = plan.targets.as_ref().is_some_and(|t| t.api_version == kind.api_version && t.kind == kind.kind);
        let related = match &plan.probe {
            ProbePlan::Live(live) => live.reads().iter().any(|r| r.api_version == kind.api_version && r.kind == kind.kind),
            ProbePlan::Probed(_) => false,
        };
        target || related
    }

    pub(super) fn ready(&self) -> Wanted {
        let message = |text: &str| text.to_owned();
        let (status, reason, message) = match (&self.plan, self.state.reason) {
            (Err(problems), _) => (Some(false), ready::INVALID_SPEC, summary(problems)),
            (_, passing::SUSPENDED) => (Some(true), ready::SUSPENDED, message("The check is accepted; its evaluation is suspended")),
            (_, passing::INVALID_SPEC) => (Some(false), ready::INVALID_SPEC, self.state.message.clone()),
            (_, passing::FORBIDDEN) => (Some(false), ready::FORBIDDEN, self.state.message.clone()),
            (_, passing::NEVER_EVALUATED) => (None, ready::PENDING, self.state.message.clone()),
            _ => (Some(true), ready::EVALUATED, message("The check is accepted and evaluated")),
        };
        Wanted { type_: READY, status, reason: reason.to_owned(), message }
    }
}

/// The transitions that are in a status. Bounded, whoever wrote it.
pub(super) fn history_of(status: &PreflightCheckStatus) -> VecDeque<Transition> {
    let transition = |h: &crate::api::History| Transition {
        verdict: h.verdict,
        reason: single_line(&h.reason, MAX_MESSAGE_CHARS),
        message: single_line(&h.message, MAX_MESSAGE_CHARS),
        time: h.time.0,
    };
    status.history.iter().take(MAX_RESULTS).map(transition).collect()
}

/// The first beat after now: neither drifting by what an evaluation takes, nor catching up on beats that were missed.
pub(super) fn next_beat(due: Timestamp, interval: SignedDuration, now: Timestamp) -> Timestamp {
    let late = now.duration_since(due).as_secs().max(0);
    let beats = late / interval.as_secs().max(1) + 1;
    due.checked_add(SignedDuration::from_secs(interval.as_secs().saturating_mul(beats))).unwrap_or(now)
}

pub(super) const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passing => "Passing",
        Verdict::Warning => "Warning",
        Verdict::Failing => "Failing",
        Verdict::Unknown => "Unknown",
    }
}

/// What to tell of a new state, given the verdict that was last told of: whether it is bad news, and the Event's reason.
pub(super) fn announcement(announced: Option<Verdict>, state: &State) -> Option<(bool, &'static str)> {
    state.evaluated_at?;
    match (announced, state.verdict) {
        (Some(old), new) if old == new => None,
        (_, Verdict::Failing) => Some((true, "CheckFailing")),
        (_, Verdict::Unknown) => Some((true, "CheckUnknown")),
        (Some(Verdict::Failing | Verdict::Unknown), _) => Some((false, "CheckRecovered")),
        _ => None,
    }
}
