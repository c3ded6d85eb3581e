//! The status of a gate, and whether it is worth a write.
//!
//! It has two authors. The leader alone says how the gate stands ([`judged`]); every replica adds the decisions that it made ([`recorded`]). Both
//! begin with the status as it was last seen, and what they write ([`changes`]) is accepted in place of exactly that.

use super::during_run;
use super::gate::{CauseKind, Gate, Judgement};
use super::problem::{Problem, summary};
use super::records::Ledger;
use super::text::{MAX_MESSAGE_CHARS, single_line, weight};
use crate::api::conditions::{OPEN, READY, Wanted, open, ready, set};
use crate::api::{Blocker, GateStatus, Mode, Recorder, Response};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Map, Value};

/// The longest message of Ready, in characters.
const MAX_READY_CHARS: usize = 1024;
/// How many blockers a status lists.
const MAX_BLOCKERS: usize = 20;
/// The largest status, in bytes of JSON.
pub const MAX_STATUS_BYTES: usize = 32 * 1024;
/// How many blockers, and how many decisions, stay however long their texts are.
const ALWAYS_KEPT: usize = 4;
/// How many replicas a status names. Only one that waits for an answer needs to be found, and it looks again within seconds.
pub const MAX_RECORDERS: usize = 8;

/// What a leader knows of a gate.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// The gate.
    pub gate: &'a Gate,
    /// What only the API server can know to be wrong: kinds that are not served, conditions that it refuses.
    pub found: &'a [Problem],
    /// What is worth knowing although nothing is wrong.
    pub notes: &'a [String],
    /// What it says about any start now.
    pub judgement: &'a Judgement,
    /// Whether its rules are registered with the API server; if not, why.
    pub registered: Result<(), String>,
}

/// What the status should be by what the leader knows. What was decided stays as it is.
pub fn judged(written: Option<&GateStatus>, view: &View<'_>, now: Timestamp) -> GateStatus {
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let wanted = fitted(status(written, view, now));
    // A time alone is not worth a write.
    written.filter(|written| without_times(written) == without_times(&wanted)).cloned().unwrap_or(wanted)
}

/// The same status with a replica's decisions added, in its write of this number.
pub fn recorded(status: GateStatus, ledger: &Ledger, write: Recorder) -> GateStatus {
    let (recent_decisions, counters) = ledger.added_to(&status.recent_decisions, &status.counters);
    let others = status.recorders.into_iter().filter(|other| other.replica != write.replica).take(MAX_RECORDERS - 1).collect::<Vec<_>>();
    let recorders = std::iter::once(write).chain(others).collect();
    let recent_denials = ledger.denials_added_to(&status.recent_denials);
    let mut status = GateStatus { recent_decisions, recent_denials, counters, recorders, ..status };
    while weight(&status) > MAX_STATUS_BYTES && status.recent_decisions.len() > ALWAYS_KEPT {
        status.recent_decisions.pop();
    }
    status
}

/// Whether a status has a replica's decisions of a write.
pub fn holds(status: Option<&GateStatus>, write: &Recorder) -> bool {
    status.is_some_and(|status| status.recorders.contains(write))
}

/// The members that make one status of another, as a JSON merge patch; `None` if they are the same.
pub fn changes(written: Option<&GateStatus>, wanted: &GateStatus) -> Option<Value> {
    let members = |status: &GateStatus| match serde_json::to_value(status) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    };
    let (old, new) = (written.map(members).unwrap_or_default(), members(wanted));
    let gone = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let others = new.iter().filter(|(key, value)| old.get(*key) != Some(value)).map(|(key, value)| (key.clone(), value.clone()));
    let patch: Map<String, Value> = gone.chain(others).collect();
    (!patch.is_empty()).then_some(Value::Object(patch))
}

fn status(written: Option<&GateStatus>, view: &View<'_>, now: Timestamp) -> GateStatus {
    let generation = view.gate.generation;
    let written = written.cloned().unwrap_or_default();
    let mut conditions = written.conditions;
    let blocking: Vec<_> = view.judgement.causes.iter().filter(|c| c.response >= Response::Hold).collect();
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
        recent_decisions: written.recent_decisions,
        recent_denials: written.recent_denials,
        counters: written.counters,
        recorders: written.recorders,
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
        let mut message = "The gate is registered with the API server".to_owned();
        let limits = during_run::limits(view.gate);
        for note in view.notes.iter().chain(&limits) {
            message.push_str("; ");
            message.push_str(note);
        }
        (Some(true), ready::SERVING, single_line(&message, MAX_READY_CHARS))
    };
    Wanted { type_: READY, status, reason: reason.to_owned(), message }
}

/// Whether a start that depends on nothing of its own would be admitted, in mode Enforce.
fn open_condition(view: &View<'_>, blocking: usize) -> Wanted {
    let worst = view.judgement.causes.iter().filter(|c| c.response >= Response::Hold).map(|c| c.kind).min();
    let names: Vec<&str> =
        view.judgement.causes.iter().filter(|c| c.response >= Response::Hold).take(3).map(|c| c.check.as_str()).collect();
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
