//! The status of a gate, and whether it is worth a write.

use super::gate::{CauseKind, Gate, Judgement};
use super::problem::{Problem, summary};
use super::records::Ledger;
use super::text::{MAX_MESSAGE_CHARS, single_line, weight};
use crate::api::conditions::{OPEN, READY, Wanted, open, ready, set};
use crate::api::{Blocker, GateStatus, Mode, Response};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// How many blockers a status lists.
const MAX_BLOCKERS: usize = 20;
/// The largest status, in bytes of JSON.
pub const MAX_STATUS_BYTES: usize = 32 * 1024;
/// How many blockers, and how many decisions, stay however long their texts are.
const ALWAYS_KEPT: usize = 4;

/// What a gate's status is made of.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// The gate.
    pub gate: &'a Gate,
    /// What only the API server can know to be wrong: kinds that are not served, conditions that it refuses.
    pub found: &'a [Problem],
    /// What it says about any start now.
    pub judgement: &'a Judgement,
    /// Whether its rules are registered with the API server; if not, why.
    pub registered: Result<(), String>,
    /// What it decided.
    pub ledger: &'a Ledger,
}

/// The status that should be written, or `None` if what is written says it all.
pub fn diff(written: Option<&GateStatus>, view: &View<'_>, now: Timestamp) -> Option<GateStatus> {
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let wanted = fitted(status(written, view, now));
    let same = written.is_some_and(|w| without_times(w) == without_times(&wanted));
    (!same).then_some(wanted)
}

fn status(written: Option<&GateStatus>, view: &View<'_>, now: Timestamp) -> GateStatus {
    let generation = view.gate.generation;
    let mut conditions = written.map(|s| s.conditions.clone()).unwrap_or_default();
    let blocking: Vec<_> = view.judgement.causes.iter().filter(|c| c.response == Response::Deny).collect();
    set(&mut conditions, ready_condition(view), generation, now);
    set(&mut conditions, open_condition(view, blocking.len()), generation, now);
    GateStatus {
        observed_generation: generation,
        conditions,
        blocking: i32::try_from(blocking.len()).unwrap_or(i32::MAX),
        blockers: blocking
            .iter()
            .take(MAX_BLOCKERS)
            .map(|c| Blocker {
                check: c.check.clone(),
                verdict: c.kind.as_str().to_owned(),
                message: single_line(if c.kind == CauseKind::Stale { "it passed, too long ago" } else { &c.message }, MAX_MESSAGE_CHARS),
            })
            .collect(),
        recent_decisions: view.ledger.recent.iter().cloned().collect(),
        counters: view.ledger.counters.clone(),
    }
}

/// Drops the oldest decisions, then the least bad blockers (`blocking` counts them all), until it is small enough.
fn fitted(mut status: GateStatus) -> GateStatus {
    while weight(&status) > MAX_STATUS_BYTES {
        if status.recent_decisions.len() > ALWAYS_KEPT {
            status.recent_decisions.pop();
        } else if status.blockers.len() <= ALWAYS_KEPT || status.blockers.pop().is_none() {
            break;
        }
    }
    status
}

fn ready_condition(view: &View<'_>) -> Wanted {
    let problems: Vec<Problem> = view.gate.problems.iter().chain(view.found).cloned().collect();
    let (status, reason, message) = if !problems.is_empty() {
        (Some(false), ready::INVALID_SPEC, summary(&problems))
    } else if let Err(why) = &view.registered {
        (Some(false), ready::WEBHOOK_NOT_READY, why.clone())
    } else {
        (Some(true), ready::SERVING, "The gate is registered with the API server".to_owned())
    };
    Wanted { type_: READY, status, reason: reason.to_owned(), message }
}

/// Whether a start that depends on nothing of its own would be admitted, in mode Enforce.
fn open_condition(view: &View<'_>, blocking: usize) -> Wanted {
    let worst = view.judgement.causes.iter().filter(|c| c.response == Response::Deny).map(|c| c.kind).min();
    let names: Vec<&str> =
        view.judgement.causes.iter().filter(|c| c.response == Response::Deny).take(3).map(|c| c.check.as_str()).collect();
    let told = |what: &str| {
        let (required, names) = (view.judgement.required.max(blocking), names.join(", "));
        format!("{blocking} of {required} required checks not passing ({what}): {names}{}", mode_hint(view.gate.mode))
    };
    let (status, reason, message) = if !view.gate.problems.is_empty() {
        (Some(false), open::INVALID_SPEC, format!("the gate's own spec cannot work, see Ready{}", mode_hint(view.gate.mode)))
    } else if view.judgement.per_request {
        (None, open::PER_REQUEST, "checks are looked up in the namespace of each request".to_owned())
    } else {
        match worst {
            None => (Some(true), open::CHECKS_PASSING, let_through(view.judgement)),
            Some(CauseKind::Failing | CauseKind::Warning) => (Some(false), open::CHECKS_FAILING, told("failing")),
            Some(CauseKind::Unknown) => (Some(false), open::CHECKS_UNKNOWN, told("unknown")),
            Some(CauseKind::Stale) => (Some(false), open::CHECKS_STALE, told("stale")),
            Some(CauseKind::Missing) => (Some(false), open::CHECKS_MISSING, told("missing")),
        }
    };
    Wanted { type_: OPEN, status, reason: reason.to_owned(), message }
}

/// What an open gate says: all pass, or which do not and are let through.
fn let_through(judgement: &Judgement) -> String {
    let names: Vec<&str> = judgement.causes.iter().take(3).map(|c| c.check.as_str()).collect();
    let more = if judgement.causes.len() > names.len() { ", ..." } else { "" };
    match (judgement.required, names.is_empty()) {
        (1, true) => "the required check passes".to_owned(),
        (all, true) => format!("all {all} required checks pass"),
        (all, false) => format!("none of {all} required checks blocks (let through: {}{more})", names.join(", ")),
    }
}

/// A gate that does not enforce admits what it calls closed: that must be visible.
const fn mode_hint(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "",
        Mode::Warn => "; mode is Warn: starts are admitted with a warning",
        Mode::Audit => "; mode is Audit: starts are admitted and recorded",
    }
}

fn without_times(status: &GateStatus) -> GateStatus {
    let mut plain = status.clone();
    for condition in &mut plain.conditions {
        condition.last_transition_time = Time(Timestamp::UNIX_EPOCH);
    }
    plain.conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    plain
}

#[cfg(test)]
mod tests;
