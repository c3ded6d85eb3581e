//! What is kept of a decision: in the gates' status, in the log, as Events and metrics.

use super::gate::{Decision, GateKey, Judgement};
use super::text::{MAX_MESSAGE_CHARS, single_line};
use crate::api::{DecisionCounters, RecentDecision, Response};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::cmp::Reverse;
use std::collections::VecDeque;

/// How many decisions a gate's status shows.
pub const MAX_RECENT: usize = 20;

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
    /// Whether nothing was to be stored.
    pub dry_run: bool,
    /// The decision in one line.
    pub headline: String,
    /// The decision.
    pub decision: Decision,
}

/// Decisions of this replica that are not in the gate's status yet: what is to be added to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// Newest first, at most as many as a status shows: older ones it would not show anyway.
    pub recent: VecDeque<RecentDecision>,
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
            Response::Deny => &mut self.counters.denied,
        };
        *counter = counter.saturating_add(1);
        self.recent.push_front(entry(record, judgement));
        self.recent.truncate(MAX_RECENT);
    }

    /// Whether there is nothing to add.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes back decisions from before all in it, which could not be stored.
    pub fn take_back(&mut self, earlier: Self) {
        self.counters = sum(&self.counters, &earlier.counters);
        self.recent.extend(earlier.recent);
        self.recent.truncate(MAX_RECENT);
    }

    /// What a status shows once these are added. Decisions of other replicas are between them, by their time.
    pub fn added_to(&self, recent: &[RecentDecision], counters: &DecisionCounters) -> (Vec<RecentDecision>, DecisionCounters) {
        let mut all: Vec<RecentDecision> = self.recent.iter().chain(recent).cloned().collect();
        if !self.recent.is_empty() {
            // Stable: of one second, what is added later is newer.
            all.sort_by_key(|decision| Reverse(decision.time.0));
            all.truncate(MAX_RECENT);
        }
        (all, sum(counters, &self.counters))
    }
}

fn sum(a: &DecisionCounters, b: &DecisionCounters) -> DecisionCounters {
    DecisionCounters {
        admitted: a.admitted.saturating_add(b.admitted),
        warned: a.warned.saturating_add(b.warned),
        denied: a.denied.saturating_add(b.denied),
    }
}

fn entry(record: &Record, judgement: &Judgement) -> RecentDecision {
    RecentDecision {
        id: record.decision.id.clone(),
        time: Time(Timestamp::from_second(record.time.as_second()).unwrap_or(record.time)),
        decision: word(judgement.answer).to_owned(),
        would_be: (judgement.would_be != judgement.answer).then(|| word(judgement.would_be).to_owned()),
        operation: record.operation.clone(),
        object: record.object.clone(),
        user: record.user.clone(),
        message: single_line(&record.headline, MAX_MESSAGE_CHARS),
    }
}

/// The word for an answer.
pub const fn word(response: Response) -> &'static str {
    match response {
        Response::Allow => "Allow",
        Response::Warn => "Warn",
        Response::Deny => "Deny",
    }
}

#[cfg(test)]
mod tests;
