//! Who leads: the moves of one replica, from the Lease as it sees it.
//!
//! One Lease is leadership and [`Watermark`] together. Its holder writes it every second; every write names the revision that it replaces, so of two
//! that race one is refused. A leader counts itself as such for [`HOLDS_FOR`] after the start of its last successful write; another takes over
//! when it has seen the Lease unchanged for [`TAKEN_AFTER`] on its own clock. No two machines' clocks are compared, so only their speed
//! matters, and there a third is tolerated.

use super::freshness::{Revision, Watermark};
use super::moment::Moment;
use k8s_openapi::api::coordination::v1::Lease;
use std::collections::BTreeMap;
use std::time::Duration;

/// How often the leader writes.
pub const RENEWED_EVERY: Duration = Duration::from_secs(1);
/// How soon after a write that was not answered the leader tries again.
const AGAIN: Duration = Duration::from_millis(250);
/// For how long after the start of a successful write the leader leads.
pub const HOLDS_FOR: Duration = Duration::from_secs(4);
/// How long a candidate sees the Lease unchanged before it takes over.
pub const TAKEN_AFTER: Duration = Duration::from_secs(6);
/// The longest name of a holder that is looked at; Kubernetes has no bound of its own.
const HOLDER: usize = 300;

/// The annotations that carry the watermark.
pub mod annotation {
    /// The time up to which everything was evaluated.
    pub const TIME: &str = "holdpoint.dev/watermark-time";
    /// The revision of the statuses that say so.
    pub const REVISION: &str = "holdpoint.dev/watermark-revision";
    /// The leadership that vouches for it.
    pub const TERM: &str = "holdpoint.dev/watermark-term";
    /// The revision up to which that leadership took over.
    pub const SINCE: &str = "holdpoint.dev/watermark-since";
}

/// What a replica sees of the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseView {
    /// Its resource version, as it is.
    pub version: String,
    /// The same, to compare.
    pub revision: Revision,
    /// Who leads, if anybody does.
    pub holder: Option<String>,
    /// How many leaderships there were.
    pub term: i64,
    /// What was vouched for last, perhaps by an earlier leadership.
    pub watermark: Option<Watermark>,
}

impl LeaseView {
    /// Reads the object. Whatever cannot be read of it counts as not there.
    pub fn of(lease: &Lease) -> Self {
        let spec = lease.spec.as_ref();
        let holder = spec.and_then(|spec| spec.holder_identity.as_deref()).filter(|holder| !holder.is_empty());
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        Self {
            revision: Revision::parse(Some(&version)).unwrap_or_default(),
            version,
            holder: holder.map(|holder| holder.chars().take(HOLDER).collect()),
            term: spec.and_then(|spec| spec.lease_transitions).map_or(0, |term| i64::from(term.max(0))),
            watermark: lease.metadata.annotations.as_ref().and_then(watermark),
        }
    }
}

fn watermark(annotations: &BTreeMap<String, String>) -> Option<Watermark> {
    let text = |key: &str| annotations.get(key).map(String::as_str);
    Some(Watermark {
        time: text(annotation::TIME)?.parse().ok()?,
        revision: Revision::parse(text(annotation::REVISION))?,
        term: text(annotation::TERM)?.parse().ok()?,
        since: Revision::parse(text(annotation::SINCE))?,
    })
}

/// The annotations of a watermark.
pub fn annotations(watermark: &Watermark) -> [(&'static str, String); 4] {
    [
        (annotation::TIME, watermark.time.to_string()),
        (annotation::REVISION, watermark.revision.0.to_string()),
        (annotation::TERM, watermark.term.to_string()),
        (annotation::SINCE, watermark.since.0.to_string()),
    ]
}

/// What to write, in place of what was seen and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// What it replaces.
    pub replaces: LeaseView,
    /// Who holds the Lease then.
    pub holder: Option<String>,
    /// How many leaderships there were then.
    pub term: i64,
    /// What its holder vouches for. Without one, what the Lease carries is left as it is.
    pub watermark: Option<Watermark>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Nothing for so long, unless the Lease is seen to change before.
    Wait(Option<Duration>),
    /// Take over with this write.
    Acquire(Write),
    /// Go on leading with this write.
    Renew(Write),
    /// Lead no longer.
    StepDown,
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was made, and this is the Lease now.
    Written(LeaseView),
    /// It was not made: the Lease is not at that version.
    Refused,
    /// Nobody knows: no answer, or one that says nothing.
    Unanswered,
}

/// A leadership of this replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leading {
    /// Its number.
    pub term: i64,
    /// What the leader before vouched for last. It is final: the write that took over replaced exactly it.
    pub taken_over: Option<Watermark>,
    /// When the last successful write was begun.
    pub renewed: Moment,
}

impl Leading {
    /// Whether nobody else can lead at this moment.
    pub fn holds(&self, now: Moment) -> bool {
        now.at_most_since(self.renewed) < HOLDS_FOR
    }
}

/// One replica's part in the election.
#[derive(Clone, Debug)]
pub struct Elector {
    me: String,
    /// The newest that was seen of the Lease, and when it was first seen like this.
    seen: Option<(LeaseView, Moment)>,
    /// Added to the wait of a candidate, so that not all write at once.
    jitter: Duration,
    /// Somebody else was seen to hold the Lease.
    met_others: bool,
    /// The highest term that was seen; a Lease that is made anew counts from nothing.
    last_term: i64,
    leading: Option<Leading>,
    /// When the last write was begun, and what came of it.
    last_write: Option<(Moment, Tried)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Tried {
    Written,
    /// It was to replace this version.
    Refused(String),
    Unanswered,
}

impl Elector {
    /// A replica. Its name is its own for all time: a process that starts again has another.
    pub fn new(me: String, jitter: Duration) -> Self {
        Self { me, seen: None, jitter, met_others: false, last_term: 0, leading: None, last_write: None }
    }

    /// The Lease was seen; `None` if it is not there. What is older than what was seen already is passed over.
    pub fn observe(&mut self, view: Option<LeaseView>, now: Moment) {
        let Some(view) = view else {
            self.seen = None;
            return;
        };
        if self.seen.as_ref().is_some_and(|(seen, _)| view.revision < seen.revision || view.version == seen.version) {
            return;
        }
        self.met_others |= view.holder.as_ref().is_some_and(|holder| *holder != self.me);
        self.last_term = self.last_term.max(view.term);
        self.seen = Some((view, now));
    }

    /// What to do now. `wanted` is what the leader vouches for.
    pub fn step(&self, now: Moment, wanted: Option<&Watermark>) -> Move {
        match &self.leading {
            Some(leading) => self.lead(leading, now, wanted),
            None => self.follow(now),
        }
    }

    fn lead(&self, leading: &Leading, now: Moment, wanted: Option<&Watermark>) -> Move {
        let left = HOLDS_FOR.saturating_sub(now.at_most_since(leading.renewed));
        let Some((seen, _)) = &self.seen else {
            return if left.is_zero() { Move::StepDown } else { Move::Wait(Some(left)) };
        };
        if left.is_zero() || seen.holder.as_deref() != Some(&self.me) || seen.term != leading.term {
            return Move::StepDown;
        }
        match self.blocked(seen, now) {
            Some(wait) => Move::Wait(Some(wait.min(left))),
            None => Move::Renew(Write {
                replaces: seen.clone(),
                holder: Some(self.me.clone()),
                term: leading.term,
                watermark: wanted.filter(|watermark| watermark.term == leading.term).cloned(),
            }),
        }
    }

    fn follow(&self, now: Moment) -> Move {
        let Some((seen, since)) = &self.seen else { return Move::Wait(None) };
        let patience = match &seen.holder {
            // This process led, and does so no longer; or a write was made that was not answered.
            Some(holder) if *holder == self.me => Duration::ZERO,
            // Given up by a leader, or as shipped.
            None if seen.term > 0 || !self.met_others => self.jitter / 4,
            // Somebody leads; or the Lease was made anew, and its holder may not know yet.
            _ => TAKEN_AFTER + self.jitter,
        };
        let wait = patience.saturating_sub(now.steady_since(*since)).max(self.blocked(seen, now).unwrap_or_default());
        if !wait.is_zero() {
            return Move::Wait(Some(wait));
        }
        let term = self.last_term.saturating_add(1);
        Move::Acquire(Write { replaces: seen.clone(), holder: Some(self.me.clone()), term, watermark: None })
    }

    /// For how long there must be no write: one was made just now, or what would be replaced was replaced already.
    fn blocked(&self, seen: &LeaseView, now: Moment) -> Option<Duration> {
        let (began, tried) = self.last_write.as_ref()?;
        let pause = match tried {
            Tried::Written if self.leading.is_some() => RENEWED_EVERY,
            Tried::Refused(version) if *version == seen.version => RENEWED_EVERY,
            _ => AGAIN,
        };
        Some(pause.saturating_sub(now.steady_since(*began))).filter(|wait| !wait.is_zero())
    }

    /// What came of a write that was begun at a moment.
    pub fn written(&mut self, write: &Write, began: Moment, outcome: Outcome, now: Moment) {
        let tried = match outcome {
            Outcome::Refused => Tried::Refused(write.replaces.version.clone()),
            Outcome::Unanswered => Tried::Unanswered,
            Outcome::Written(view) => {
                self.leading = match self.leading.take() {
                    _ if write.holder.is_none() => None,
                    Some(leading) if leading.term == write.term => Some(Leading { renewed: began, ..leading }),
                    _ => Some(Leading { term: write.term, taken_over: write.replaces.watermark.clone(), renewed: began }),
                };
                self.observe(Some(view), now);
                Tried::Written
            }
        };
        self.last_write = Some((began, tried));
    }

    /// A leadership of this number was heard of. If it is later than this replica's own, that is over: another leads, or the Lease was made anew and
    /// counts from the beginning. The next one is later than all that were heard of.
    pub fn heard_of(&mut self, term: i64) {
        self.last_term = self.last_term.max(term);
        if self.leading.as_ref().is_some_and(|leading| leading.term < term) {
            self.leading = None;
        }
    }

    /// Leads no longer.
    pub fn step_down(&mut self) {
        self.leading = None;
    }

    /// The write by which a leader gives up what it holds, so that another need not wait.
    pub fn release(&self) -> Option<Write> {
        let (leading, (seen, _)) = (self.leading.as_ref()?, self.seen.as_ref()?);
        let mine = seen.holder.as_deref() == Some(&self.me) && seen.term == leading.term;
        mine.then(|| Write { replaces: seen.clone(), holder: None, term: leading.term, watermark: None })
    }

    /// The leadership of this replica.
    pub fn leading(&self) -> Option<&Leading> {
        self.leading.as_ref()
    }
}

#[cfg(test)]
mod tests;
