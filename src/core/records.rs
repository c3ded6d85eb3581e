//! What is kept of a decision: in the gates' status, in the log, as Events and metrics.

use super::gate::{Decision, GateKey, Judgement};
use super::text::{MAX_MESSAGE_CHARS, single_line};
use crate::api::{DecisionCounters, RecentDecision, Response};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
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

/// What a gate remembers of its decisions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// Newest first.
    pub recent: VecDeque<RecentDecision>,
    /// Since the gate was created.
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
