//! What the leader keeps of the checks it evaluates, so that it can vouch for what it wrote: the way to a [`Watermark`].
//!
//! A watermark with time T claims of every status that it covers: the check was observed passing at T − interval or later. Three rules make
//! that true, and the search in `freshness/tests` finds what happens without each of them.
//! - T stays before the first beat after the last passing evaluation *began*, for every check of which a passing status may be in the store:
//!   written, being written, or sent and never answered.
//! - A status that claims less (failing, or `overdue`) frees the watermark when its write was acknowledged, not before.
//! - A status that claims more is sent only if no watermark that was ever published, in this term or the one before, claims too much for it.

use super::freshness::{Reported, Revision, Watermark};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// How late an evaluation may be before its check is flagged as overdue.
pub const OVERDUE_AFTER: SignedDuration = SignedDuration::from_secs(2);
/// What a watermark stays before a beat.
const INSTANT: SignedDuration = SignedDuration::from_nanos(1);

/// When evaluations of a check are due: at an anchor and at every interval before and after it. Both are whole seconds, of the API server's
/// time: a status carries no fractions, and the next leader must come to the same beats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// One of the beats: `status.nextEvaluationTime`.
    pub anchor: Timestamp,
    /// From one to the next, at least a second.
    pub interval: SignedDuration,
}

impl Beat {
    /// The first beat after an instant; an instant that is a beat is not after itself.
    pub fn after(self, at: Timestamp) -> Timestamp {
        let interval = i128::from(self.interval.as_secs().max(1)) * 1_000_000_000;
        let anchor = self.anchor.as_nanosecond();
        let beats = (at.as_nanosecond() - anchor).div_euclid(interval) + 1;
        Timestamp::from_nanosecond(anchor + beats * interval).unwrap_or(Timestamp::MAX)
    }
}

/// What a status that is about to be written must say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mark {
    /// Nothing: watermarks count for it.
    Covered,
    /// If its verdict passes, that it is overdue: no watermark counts for it.
    Overdue,
}

/// An evaluation that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evaluated {
    /// When it began, of the API server's time, at the earliest: before the first target was looked at.
    pub began: Timestamp,
    /// The check's beats.
    pub beat: Beat,
    /// It passed, and so does the verdict. Not so if the failure was forgiven by the threshold, or if an older result was used again.
    pub passed: bool,
    /// The status has to be written: its meaning changed, or the last write failed, or another leadership's is in its place.
    pub changed: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Entry {
    /// The watermark stays before that, while `exposed`.
    until: Timestamp,
    /// What `until` may become: the first beat after the last evaluation began, if it passed.
    bound: Option<Timestamp>,
    /// A status that a watermark counts for may be in the store.
    exposed: bool,
    /// Such a one was sent and not answered. It may still arrive, until a later write of the same object succeeds.
    doubtful: bool,
    /// The status that is being written.
    writing: Option<Mark>,
    /// The last evaluation has to be written, and is not being written.
    unwritten: bool,
}

/// What the leader knows of the checks it evaluates. Grows with the checks that exist, not with time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Coverage<K> {
    term: i64,
    since: Revision,
    revision: Revision,
    predecessor: Option<Watermark>,
    published: Option<Timestamp>,
    checks: BTreeMap<K, Entry>,
    holds: BTreeSet<(Timestamp, K)>,
}

impl<K: Ord + Clone> Coverage<K> {
    /// Begins a leadership. `seen` is the revision that the replica's own watch of checks has reached; `predecessor` is the last watermark that
    /// the Lease carries. `None`: not yet, the watch must first reach the predecessor's revision, or what it wrote would be overlooked.
    /// Without a predecessor nothing is taken over: no watermark counts for a status before it is written anew.
    pub fn begin(term: i64, seen: Revision, predecessor: Option<Watermark>) -> Option<Self> {
        if predecessor.as_ref().is_some_and(|w| w.revision > seen || w.term >= term) {
            return None;
        }
        Some(Self {
            term,
            since: if predecessor.is_some() { seen } else { Revision(0) },
            revision: seen,
            published: predecessor.as_ref().map(|w| w.time),
            predecessor,
            checks: BTreeMap::new(),
            holds: BTreeSet::new(),
        })
    }

    /// Takes over what a passing status says, once for each check after [`Coverage::begin`], from the watch as it was then. The first beat after
    /// the predecessor's watermark is due again, since nobody vouches for it: the returned instant. `None`: at the next beat from now on.
    pub fn adopt(&mut self, key: K, reported: &Reported, next: Option<Timestamp>) -> Option<Timestamp> {
        let own = Watermark { time: Timestamp::MIN, revision: self.revision, term: self.term, since: self.since };
        if !own.covers(reported) {
            return None;
        }
        let vouched = self.predecessor.as_ref().filter(|w| w.covers(reported));
        let until = match (vouched, next) {
            (Some(w), Some(next)) => Beat { anchor: next, interval: reported.interval }.after(w.time),
            // It came late from one deposed before the predecessor. Nobody vouched for it, and nobody may before it is written anew.
            _ => reported.last_passing.and_then(|at| at.checked_add(reported.interval).ok()).unwrap_or(Timestamp::MIN),
        };
        let entry = Entry { until, exposed: true, ..Entry::default() };
        self.replace(key, Some(entry));
        Some(until)
    }

    /// An evaluation ended, perhaps the first of a check.
    pub fn evaluated(&mut self, key: &K, evaluated: Evaluated) {
        let bound = evaluated.passed.then(|| evaluated.beat.after(evaluated.began));
        if !self.checks.contains_key(key) {
            self.checks.insert(key.clone(), Entry::default());
        }
        self.change(key, |entry| {
            entry.bound = bound;
            entry.unwritten |= evaluated.changed;
        });
    }

    /// A status is about to be built from the last evaluation and sent, guarded by the object's resource version, so that it cannot overwrite a
    /// later one. At most one is on its way for a check.
    pub fn write(&mut self, key: &K, now: Timestamp) -> Mark {
        let published = self.published;
        let mut mark = Mark::Overdue;
        self.change(key, |entry| {
            if let Some(bound) = entry.bound.filter(|b| published.is_none_or(|p| *b > p) && now.duration_since(*b) < OVERDUE_AFTER) {
                mark = Mark::Covered;
                entry.until = if entry.exposed { entry.until.min(bound) } else { bound };
                entry.exposed = true;
            }
            entry.writing = Some(mark);
            entry.unwritten = false;
        });
        mark
    }

    /// The write was acknowledged. `guard` is the resource version that it was guarded by, `acknowledged` the one in the answer. If they are the
    /// same, the object had this content already, and an unanswered write before may still arrive.
    pub fn written(&mut self, key: &K, guard: Revision, acknowledged: Revision) {
        self.revision = self.revision.max(acknowledged);
        self.change(key, |entry| {
            entry.doubtful &= acknowledged <= guard;
            entry.exposed = entry.doubtful || entry.writing == Some(Mark::Covered);
            entry.unwritten |= entry.doubtful;
            entry.writing = None;
        });
    }

    /// The write failed, or nobody knows. It has to be made again, with another content than any that was sent before.
    pub fn write_failed(&mut self, key: &K) {
        self.change(key, |entry| {
            entry.doubtful |= entry.writing == Some(Mark::Covered);
            entry.unwritten = true;
            entry.writing = None;
        });
    }

    /// The check is evaluated no more: it was deleted, suspended, or turned into one that every replica decides itself. `at` is the revision
    /// at which the watch said so: before it, a replica may believe that the check is as it was.
    pub fn forget(&mut self, key: &K, at: Revision) {
        self.revision = self.revision.max(at);
        self.replace(key.clone(), None);
    }

    /// Up to which revision this leadership took over what others wrote.
    pub const fn since(&self) -> Revision {
        self.since
    }

    /// Whether a status that a watermark counts for may be in the store.
    pub fn is_exposed(&self, key: &K) -> bool {
        self.checks.get(key).is_some_and(|entry| entry.exposed)
    }

    /// Whether the last evaluation still has to be written.
    pub fn unwritten(&self, key: &K) -> bool {
        self.checks.get(key).is_some_and(|entry| entry.unwritten)
    }

    /// The checks that hold the watermark back too long, most overdue first, each with the instant since when. Each is to be written: with what
    /// [`Coverage::write`] answers, its status frees the watermark.
    pub fn overdue(&self, now: Timestamp) -> impl Iterator<Item = (&K, Timestamp)> {
        let late = now.checked_sub(OVERDUE_AFTER).unwrap_or(Timestamp::MIN).max(self.published.unwrap_or(Timestamp::MIN));
        self.holds.iter().take_while(move |(until, _)| *until <= late).map(|(until, key)| (key, *until))
    }

    /// The watermark at an instant, which is the API server's time at the earliest. It never goes back. `None`: it cannot vouch for what it took
    /// over before the checks that are overdue are written.
    pub fn watermark(&mut self, now: Timestamp) -> Option<Watermark> {
        let first = self.holds.first().map(|(until, _)| until.checked_sub(INSTANT).unwrap_or(Timestamp::MIN));
        if first.is_some_and(|first| Some(first) < self.published) {
            return None;
        }
        let time = first.map_or(now, |first| first.min(now)).max(self.published.unwrap_or(Timestamp::MIN));
        self.published = Some(time);
        Some(Watermark { time, revision: self.revision, term: self.term, since: self.since })
    }

    /// Changes what is known of a check; of one that is not, nothing is.
    fn change(&mut self, key: &K, change: impl FnOnce(&mut Entry)) {
        let Some(mut entry) = self.checks.get(key).cloned() else { return };
        change(&mut entry);
        if let Some(bound) = entry.bound
            && entry.exposed
            && entry.writing.is_none()
            && !entry.unwritten
        {
            entry.until = bound;
        }
        self.replace(key.clone(), Some(entry));
    }

    fn replace(&mut self, key: K, entry: Option<Entry>) {
        let held = |entry: &Entry| entry.exposed.then_some(entry.until);
        let (old, new) = (self.checks.get(&key).and_then(held), entry.as_ref().and_then(held));
        if old != new {
            if let Some(until) = old {
                self.holds.remove(&(until, key.clone()));
            }
            if let Some(until) = new {
                self.holds.insert((until, key.clone()));
            }
        }
        match entry {
            Some(entry) => drop(self.checks.insert(key, entry)),
            None => drop(self.checks.remove(&key)),
        }
    }
}

#[cfg(test)]
mod tests;
