//! What is kept of a decision: in the gates' status, in the log, as Events and metrics.

mod denials;

use self::denials::{denial, merged};
use super::gate::{Decision, GateKey, Judgement};
use super::text::{MAX_MESSAGE_CHARS, single_line};
use crate::api::{DecidedBy, DecisionCounters, RecentDecision, RecentDenial, Response, VerdictName};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::Value;
use std::cmp::Reverse;
use std::collections::VecDeque;

/// How many decisions a gate's status shows.
pub const MAX_RECENT: usize = 20;
/// The longest name in a reference, in characters.
const MAX_NAME_CHARS: usize = 253;
/// How many checks it shows of each.
const MAX_CHECKS: usize = 8;
/// How many checks the log names of each, and in how many characters.
const MAX_LOGGED_CHECKS: usize = 20;
const MAX_LOGGED_CHARS: usize = 1024;
/// The longest name of a check in it, in characters.
const MAX_CHECK_CHARS: usize = 128;

/// A decision and what it was about.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When.
    pub time: Timestamp,
    /// CREATE or UPDATE.
    pub operation: String,
    /// `Kind namespace/name`.
    pub object: String,
    /// Who asked.
    pub user: String,
    /// What the object belongs to, if a controller made it for something.
    pub owner: Option<Owner>,
    /// Whether nothing was to be stored.
    pub dry_run: bool,
    /// The decision in one line.
    pub headline: String,
    /// The decision.
    pub decision: Decision,
}

/// The owner of an object that has `controller: true`, as the request says. Whoever makes an object may name any owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its apiVersion.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

impl Owner {
    /// Reads the owner of an object.
    pub fn of(object: &Value) -> Option<Self> {
        let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array)?;
        let owner = owners.iter().find(|owner| owner.get("controller").and_then(Value::as_bool) == Some(true))?;
        let text =
            |field: &str| owner.get(field).and_then(Value::as_str).map(|text| single_line(text, MAX_NAME_CHARS)).filter(|t| !t.is_empty());
        Some(Self { api_version: text("apiVersion")?, kind: text("kind")?, name: text("name")?, uid: text("uid")? })
    }
}

/// Decisions of this replica that are not in the gate's status yet: what is to be added to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// Newest first, at most as many as a status shows: older ones it would not show anyway.
    pub recent: VecDeque<RecentDecision>,
    /// Refusals of what belongs to another, newest first, one for each owner.
    pub denials: Vec<RecentDenial>,
    /// How many there were.
    pub counters: DecisionCounters,
}

impl Ledger {
    /// Takes in a decision. A dry run leaves no trace.
    pub fn enter(&mut self, record: &Record, gate: &GateKey) {
        let Some(judgement) = record.decision.judgements.iter().find(|j| j.gate == *gate).filter(|_| !record.dry_run) else { return };
        let counter = match judgement.answer {
            Response::Allow => &mut self.counters.admitted,
            Response::Warn => &mut self.counters.warned,
            Response::Hold => &mut self.counters.held,
            Response::Deny => &mut self.counters.denied,
        };
        *counter = counter.saturating_add(1);
        let entry = entry(record, judgement);
        self.recent.retain(|earlier| !is_same_wait(&entry, earlier));
        self.recent.push_front(entry);
        self.recent.truncate(MAX_RECENT);
        if let Some(owner) = record.owner.as_ref().filter(|_| judgement.answer == Response::Deny) {
            self.denials = merged(&[denial(record, owner)], &self.denials);
        }
    }

    /// The refusals that a status shows once these are added.
    pub fn denials_added_to(&self, stored: &[RecentDenial]) -> Vec<RecentDenial> {
        merged(&self.denials, stored)
    }

    /// Whether there is nothing to add.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes back decisions from before all in it, which could not be stored.
    pub fn take_back(&mut self, earlier: Self) {
        self.counters = sum(&self.counters, &earlier.counters);
        self.denials = merged(&self.denials, &earlier.denials);
        self.recent.extend(earlier.recent);
        self.recent.truncate(MAX_RECENT);
    }

    /// What a status shows once these are added. Decisions of other replicas are between them, by their time.
    pub fn added_to(&self, recent: &[RecentDecision], counters: &DecisionCounters) -> (Vec<RecentDecision>, DecisionCounters) {
        let mut all: Vec<RecentDecision> = self.recent.iter().chain(recent).cloned().collect();
        if !self.recent.is_empty() {
            // Stable: of one second, what is added later is newer.
            all.sort_by_key(|decision| Reverse(decision.time.0));
            let waits: Vec<RecentDecision> = all.iter().filter(|decision| decision.decision == word(Response::Hold)).cloned().collect();
            let first = |wait: &RecentDecision| waits.iter().find(|other| is_same_wait(other, wait));
            all.retain(|decision| first(decision).is_none_or(|first| first == decision));
            all.truncate(MAX_RECENT);
        }
        (all, sum(counters, &self.counters))
    }
}

/// Whether one request was held twice: of a wait, which is a row of answers a second apart, the last one is kept.
fn is_same_wait(a: &RecentDecision, b: &RecentDecision) -> bool {
    let held = |decision: &RecentDecision| decision.decision == word(Response::Hold);
    held(a) && held(b) && a.object == b.object && a.operation == b.operation && a.user == b.user
}

fn sum(a: &DecisionCounters, b: &DecisionCounters) -> DecisionCounters {
    DecisionCounters {
        admitted: a.admitted.saturating_add(b.admitted),
        warned: a.warned.saturating_add(b.warned),
        held: a.held.saturating_add(b.held),
        denied: a.denied.saturating_add(b.denied),
    }
}

/// What a decision was made by: checks that count against the start, worst first, and then those that pass.
pub fn inputs(judgement: &Judgement) -> impl Iterator<Item = DecidedBy> {
    let input = |check: &str, verdict: &str, age: Option<u64>| DecidedBy {
        check: single_line(check, MAX_CHECK_CHARS),
        verdict: verdict.to_owned(),
        age_seconds: age.map(|age| i64::try_from(age).unwrap_or(i64::MAX)),
    };
    let against = judgement.causes.iter().map(move |cause| input(&cause.check, cause.kind.as_str(), cause.age_seconds));
    against.chain(judgement.passing.iter().map(move |passed| input(&passed.check, "Passing", passed.age_seconds)))
}

/// The same in one line, for the log: `checkout-healthy=Failing 6s, nodes-fit=Passing 1s`.
pub fn inputs_line(judgement: &Judgement) -> String {
    let input = |input: DecidedBy| match input.age_seconds {
        Some(age) => format!("{}={} {age}s", input.check, input.verdict),
        None => format!("{}={}", input.check, input.verdict),
    };
    let line: Vec<String> = inputs(judgement).take(MAX_LOGGED_CHECKS).map(input).collect();
    let more = judgement.required.saturating_sub(line.len());
    let more = if more > 0 { format!(", +{more} more") } else { String::new() };
    format!("{}{more}", single_line(&line.join(", "), MAX_LOGGED_CHARS))
}

fn entry(record: &Record, judgement: &Judgement) -> RecentDecision {
    let checks = inputs(judgement).take(MAX_CHECKS);
    RecentDecision {
        id: record.decision.id.clone(),
        time: Time(Timestamp::from_second(record.time.as_second()).unwrap_or(record.time)),
        decision: word(judgement.answer).to_owned(),
        would_be: (judgement.would_be != judgement.answer).then(|| word(judgement.would_be).to_owned()),
        operation: record.operation.clone(),
        object: record.object.clone(),
        user: record.user.clone(),
        generation: judgement.generation,
        message: single_line(&record.headline, MAX_MESSAGE_CHARS),
        checks: checks.collect(),
        more_checks: i32::try_from(judgement.required.saturating_sub(MAX_CHECKS)).unwrap_or(i32::MAX),
        run: judgement.hold.as_ref().and_then(|hold| hold.run.clone()),
    }
}

/// The word for a verdict.
pub const fn verdict_word(verdict: VerdictName) -> &'static str {
    match verdict {
        VerdictName::Passing => "Passing",
        VerdictName::Warning => "Warning",
        VerdictName::Failing => "Failing",
        VerdictName::Unknown => "Unknown",
    }
}

/// The word for an answer.
pub const fn word(response: Response) -> &'static str {
    match response {
        Response::Allow => "Allow",
        Response::Warn => "Warn",
        Response::Hold => "Hold",
        Response::Deny => "Deny",
    }
}

#[cfg(test)]
mod tests;
