//! The status of one gate as it is stored, and this replica's write of it.
//!
//! Every write is made in place of exactly the version that was seen, so no replica undoes what another wrote. What it adds (decisions) is taken off
//! only when it is certain that it was added; what certainly was not is added again. A write that was not answered is neither: it is sent again, the
//! very same, until the API server answers or a later version is seen. Only one write can follow a version, and it names its author, so that
//! later version tells.

use super::Turned;
use crate::api::{GateStatus, Recorder};
use crate::core::freshness::Revision;
use crate::core::gate_status::{changes, holds, recorded};
use crate::core::records::Ledger;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// How often decisions are added at most, and how soon a write that did not succeed is tried again. What the leader says is written at once.
pub const PAUSE: SignedDuration = SignedDuration::from_secs(1);
/// How long a gate rests after a write.
const REST: SignedDuration = SignedDuration::from_millis(100);

/// How a write ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Ended {
    /// It was made; the version and the status since. `None` if the answer cannot be read: then they come through the watch.
    Made(Option<(String, Option<GateStatus>)>),
    /// It certainly was not made.
    NotMade,
    /// Nobody knows.
    Unanswered,
}

/// A change to send.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// Its number among the changes of this process.
    pub number: u64,
    /// The version that it replaces.
    pub version: String,
    /// A JSON merge patch of the status.
    pub status: Value,
}

/// When to write.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The time.
    pub now: Timestamp,
    /// The process ends: nothing is put off for the sake of fewer writes.
    pub hurry: bool,
}

/// With which a change is signed.
pub(super) struct Pen<'a> {
    /// The name of this process.
    pub(super) replica: &'a str,
    /// The number of the last change of any gate.
    pub(super) number: &'a mut u64,
    pub(super) pace: Pace,
}

#[derive(Debug)]
pub(super) struct Stored {
    version: String,
    status: Option<GateStatus>,
    /// Decided and not sent.
    pub(super) pending: Ledger,
    attempt: Option<Attempt>,
    /// The number of the last batch of decisions.
    batch: i64,
    /// When the last write was begun.
    began: Option<Timestamp>,
    /// When decisions were last sent.
    added: Option<Timestamp>,
    /// What the leader last made of the status.
    said: Option<GateStatus>,
    /// The version in place of which a write was not accepted, and when.
    refused: Option<(String, Timestamp)>,
}

#[derive(Debug)]
struct Attempt {
    change: Change,
    /// Names what is added; without it there is nothing that must not be lost.
    write: Option<Recorder>,
    added: Ledger,
    turned: Option<Turned>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// Sent. It may have been sent before without an answer.
    UnderWay { doubtful: bool },
    /// Not answered, since then.
    Doubtful(Timestamp),
}

impl Stored {
    pub(super) fn new(version: String, status: Option<GateStatus>) -> Self {
        Self { version, status, pending: Ledger::default(), attempt: None, batch: 0, began: None, added: None, said: None, refused: None }
    }

    /// The newest that is known.
    pub(super) fn status(&self) -> Option<&GateStatus> {
        self.status.as_ref()
    }

    /// Whether every decision is stored.
    pub(super) fn settled(&self) -> bool {
        self.pending.is_empty() && self.attempt.as_ref().is_none_or(|attempt| attempt.write.is_none())
    }

    /// Whether a version is no news: the answer to a write tells of it before the watch does.
    pub(super) fn knows(&self, version: &str) -> bool {
        !version.is_empty() && (version == self.version || later(&self.version, version))
    }

    /// Another version was seen. Returns what is now known to have been written.
    pub(super) fn see(&mut self, version: String, status: Option<GateStatus>) -> Option<Turned> {
        self.version = version;
        self.status = status;
        self.resolve()
    }

    /// Finds out whether a write that was not answered was made. A version after the one it replaces tells: if it was not made by then, it never is.
    fn resolve(&mut self) -> Option<Turned> {
        let known = |attempt: &mut Attempt| matches!(attempt.state, State::Doubtful(_)) && later(&self.version, &attempt.change.version);
        let attempt = self.attempt.take_if(known)?;
        if attempt.write.is_some_and(|write| holds(self.status.as_ref(), &write)) {
            return attempt.turned;
        }
        self.said = None;
        self.pending.take_back(attempt.added);
        None
    }

    /// A write ended. Returns what is now known to have been written.
    pub(super) fn ended(&mut self, number: u64, ended: Ended, now: Timestamp) -> Option<Turned> {
        let under_way = |attempt: &mut Attempt| attempt.change.number == number && matches!(attempt.state, State::UnderWay { .. });
        let mut attempt = self.attempt.take_if(under_way)?;
        let doubtful = attempt.state == State::UnderWay { doubtful: true };
        match ended {
            Ended::Made(made) => {
                if let Some((version, status)) = made.filter(|(version, _)| !self.knows(version)) {
                    self.version = version;
                    self.status = status;
                }
                return attempt.turned;
            }
            Ended::NotMade if !doubtful => self.pending.take_back(attempt.added),
            // One before it may have been made: that is why this one was not.
            Ended::NotMade | Ended::Unanswered if attempt.write.is_some() => {
                attempt.state = State::Doubtful(now);
                self.attempt = Some(attempt);
                return self.resolve();
            }
            Ended::NotMade | Ended::Unanswered => {}
        }
        self.said = None;
        self.refused = Some((attempt.change.version, now));
        None
    }

    /// What to send now, if anything: a status that is to be (the leader's word, or for a follower the one there is), and the decisions that
    /// wait. Otherwise, when to look again.
    pub(super) fn next(&mut self, said: Option<(GateStatus, Option<Turned>)>, pen: &mut Pen<'_>) -> Result<Change, Option<Timestamp>> {
        if let Some(attempt) = &mut self.attempt {
            let State::Doubtful(since) = attempt.state else { return Err(None) };
            if attempt.change.version != self.version {
                return Err(None);
            }
            let due = bounded(since.checked_add(PAUSE).ok(), pen.pace.now);
            if due > pen.pace.now {
                return Err(Some(due));
            }
            *pen.number += 1;
            attempt.change.number = *pen.number;
            attempt.state = State::UnderWay { doubtful: true };
            return Ok(attempt.change.clone());
        }
        let said = said.filter(|(said, _)| changes(self.status.as_ref(), said).is_some());
        if said.is_none() && self.pending.is_empty() {
            return Err(None);
        }
        let due = self.due(said.as_ref().map(|(said, _)| said), pen.pace);
        if due > pen.pace.now {
            return Err(Some(due));
        }
        Ok(self.begin(said, pen))
    }

    fn due(&self, says: Option<&GateStatus>, pace: Pace) -> Timestamp {
        let after = |since: Option<Timestamp>, pause: SignedDuration| since.and_then(|since| since.checked_add(pause).ok());
        let refused = self.refused.as_ref().filter(|(version, _)| *version == self.version).map(|(_, at)| *at);
        let polite = match says {
            // Somebody undoes it: that may go on.
            Some(said) if self.said.as_ref().is_some_and(|last| alike(last, said)) => after(self.began, PAUSE),
            Some(_) => after(self.began, REST),
            None => after(self.began, REST).max(after(self.added, PAUSE)),
        };
        bounded(after(refused, PAUSE).max(polite.filter(|_| !pace.hurry)), pace.now)
    }

    fn begin(&mut self, said: Option<(GateStatus, Option<Turned>)>, pen: &mut Pen<'_>) -> Change {
        self.said = said.as_ref().map(|(said, _)| said.clone()).or(self.said.take());
        let (status, turned) = said.unwrap_or_else(|| (self.status.clone().unwrap_or_default(), None));
        let added = std::mem::take(&mut self.pending);
        let write = (turned.is_some() || !added.is_empty()).then(|| {
            self.batch = self.batch.saturating_add(1);
            Recorder { replica: pen.replica.to_owned(), batch: self.batch }
        });
        let wanted = match &write {
            Some(write) => recorded(status, &added, write.clone()),
            None => status,
        };
        if !added.is_empty() {
            self.added = Some(pen.pace.now);
        }
        self.began = Some(pen.pace.now);
        *pen.number += 1;
        let status = changes(self.status.as_ref(), &wanted).unwrap_or_default();
        let change = Change { number: *pen.number, version: self.version.clone(), status };
        self.attempt = Some(Attempt { change: change.clone(), write, added, turned, state: State::UnderWay { doubtful: false } });
        change
    }
}

/// When to do what is due at an instant: a clock that was set back must not make it wait for long.
fn bounded(due: Option<Timestamp>, now: Timestamp) -> Timestamp {
    due.unwrap_or(now).min(now.checked_add(PAUSE).unwrap_or(now))
}

/// Whether a version is after another. Only numbers can be compared.
fn later(version: &str, than: &str) -> bool {
    matches!((Revision::parse(Some(version)), Revision::parse(Some(than))), (Some(a), Some(b)) if a > b)
}

/// Whether a leader said the same, decisions aside.
fn alike(a: &GateStatus, b: &GateStatus) -> bool {
    let plain = |s: &GateStatus| GateStatus {
        recent_decisions: Vec::new(),
        recent_denials: Vec::new(),
        counters: crate::api::DecisionCounters::default(),
        recorders: Vec::new(),
        ..s.clone()
    };
    plain(a) == plain(b)
}
