//! An answer that is kept as long as nothing can have changed it.

use super::KEPT_FOR;
use crate::core::window::{By, WindowVerdict};
use jiff::Timestamp;

/// What was found out.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    /// The calendar says so.
    Verdict(Verdict),
    /// It cannot be told: reason and message.
    Error(&'static str, String),
}

/// A [`WindowVerdict`] that has its own text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    by: By<'static>,
    label: String,
    open: bool,
    until: Option<Timestamp>,
    next_opening: Option<Timestamp>,
}

/// An answer, and what it rests on.
#[derive(Clone, Debug)]
pub(super) struct Settled {
    /// The versions of the ConfigMaps.
    versions: Vec<String>,
    since: Timestamp,
    /// From when on it must be found out again.
    until: Timestamp,
    answer: Answer,
}

impl Answer {
    /// Keeps a verdict.
    pub(super) fn of(verdict: &WindowVerdict<'_>) -> Self {
        let (by, label) = match verdict.by {
            By::Allowed(label) => (By::Allowed(""), label),
            By::Blackout(label) => (By::Blackout(""), label),
            By::AnyTime => (By::AnyTime, ""),
            By::Outside => (By::Outside, ""),
        };
        let WindowVerdict { open, until, next_opening, .. } = *verdict;
        Self::Verdict(Verdict { by, label: label.to_owned(), open, until, next_opening })
    }
}

impl Verdict {
    /// The verdict, as it was given.
    pub(super) fn borrowed(&self) -> WindowVerdict<'_> {
        let by = match self.by {
            By::Allowed(_) => By::Allowed(&self.label),
            By::Blackout(_) => By::Blackout(&self.label),
            By::AnyTime => By::AnyTime,
            By::Outside => By::Outside,
        };
        WindowVerdict { open: self.open, by, until: self.until, next_opening: self.next_opening }
    }
}

impl Settled {
    /// Keeps an answer until it changes, but a day at most. `None` if it cannot be told when the texts change.
    pub(super) fn new(versions: &[&str], now: Timestamp, answer: Answer) -> Option<Self> {
        let changes = match &answer {
            Answer::Verdict(verdict) => verdict.until,
            Answer::Error(..) => None,
        };
        let until = now.checked_add(KEPT_FOR).ok()?;
        let known = versions.iter().all(|version| !version.is_empty());
        let versions = versions.iter().map(|version| (*version).to_owned()).collect();
        known.then_some(Self { versions, since: now, until: changes.map_or(until, |changes| changes.min(until)), answer })
    }

    /// The answer, if it rests on these versions and is of that time.
    pub(super) fn answer(&self, versions: &[&str], now: Timestamp) -> Option<&Answer> {
        let holds = self.since <= now && now < self.until && self.versions.iter().eq(versions);
        holds.then_some(&self.answer)
    }
}
