//! The leader's part: which run gets a place next, and what may be on its way.

use super::Times;
use super::book::Place;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A run: the uid of its object.
pub type RunKey = Arc<str>;

/// A run for a held request, as the leader's watch shows it.
#[derive(Clone, Debug)]
pub struct RunView {
    /// Its resource version.
    pub version: Arc<str>,
    /// What it would be granted; its times do not count yet.
    pub place: Place,
    /// Whether the request still waits for a place, has none that it may use, and nothing else that the gate requires is in its way.
    pub waits: bool,
    /// For how long a grant may be used.
    pub usable: SignedDuration,
    /// Its order: runs that were made earlier come first.
    pub made: Timestamp,
}

/// Whether there is a place for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// There is.
    Yes,
    /// There is none, and the request waits for one.
    NotYet,
    /// There is none, and the request is refused when it comes back.
    Never,
}

/// What to write, in place of a version of the run and of no other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Give it a place, since and until then.
    Grant(RunKey, Arc<str>, Timestamp, Timestamp),
    /// Write that nobody waits for it any longer.
    Withdraw(RunKey, Arc<str>),
    /// Write that this leadership has looked at it, so that nothing that was on its way before can be written any more.
    Fence(RunKey, Arc<str>),
}

/// What came of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It was made.
    Made,
    /// It was not, and never will be.
    Refused,
    /// Nobody knows.
    Unanswered,
}

/// A write that may not be seen yet.
#[derive(Clone, Debug)]
struct Sent {
    /// The version that it replaces.
    version: Arc<str>,
    /// The place that it gives, or one before it that was not answered; `None`: it gives none.
    place: Option<Place>,
    /// Whether there is nothing to be done before another version is seen, or this write ends.
    settled: bool,
    /// Whether one was not answered: it may be made at any time, and then the later one is refused.
    doubted: bool,
}

/// The leader's memory, of one leadership. It knows nothing at the beginning.
#[derive(Clone, Debug, Default)]
pub struct Granter {
    /// Runs that were there when this leadership began, with their versions then: a write of the leader before it may be on its way. It replaces
    /// that version or an earlier one, so it is refused once there is a later one.
    unfenced: BTreeMap<RunKey, Arc<str>>,
    /// Whether that was noted.
    begun: bool,
    sent: BTreeMap<RunKey, Sent>,
}

impl Granter {
    /// Takes in what the watch of runs shows; what it shows must be complete, and have been read since this leadership began. With what it
    /// says a run that is gone is gone. Whether this was the first time.
    pub fn see(&mut self, runs: &BTreeMap<RunKey, RunView>) -> bool {
        let first = !std::mem::replace(&mut self.begun, true);
        if first {
            self.unfenced = runs.iter().map(|(key, run)| (key.clone(), run.version.clone())).collect();
        }
        let same = |key: &RunKey, version: &Arc<str>| runs.get(key).is_some_and(|run| run.version == *version);
        self.unfenced.retain(|key, version| same(key, version));
        // A write that replaces what is there no more was made, and is seen, or is refused.
        self.sent.retain(|key, sent| same(key, &sent.version));
        first
    }

    /// Places that may have been given and are not seen: own writes, and those of the leader before.
    pub fn unseen<'a>(&'a self, runs: &'a BTreeMap<RunKey, RunView>, times: Times) -> impl Iterator<Item = Place> + 'a {
        let own = self.sent.values().filter_map(|sent| sent.place.clone());
        let before = self
            .unfenced
            .keys()
            .filter_map(move |key| runs.get(key).map(|run| Place { since: times.earliest, until: times.latest, ..run.place.clone() }));
        own.chain(before)
    }

    /// What to write next. `room` says whether a run may have one more place, given the places that are not in the books yet; nobody waits on who is
    /// refused. Not to be asked before [`Granter::see`], nor unless the leadership lasts and watches are proved to deliver.
    pub fn step(
        &mut self,
        runs: &BTreeMap<RunKey, RunView>,
        times: Times,
        mut room: impl FnMut(&RunKey, &RunView, &[Place]) -> Room,
    ) -> Vec<Act> {
        let mut acts = Vec::new();
        if !self.begun {
            return acts;
        }
        let mut waiting: Vec<(&RunKey, &RunView)> = runs.iter().filter(|(key, run)| run.waits && self.free(key)).collect();
        waiting.sort_by(|(a, x), (b, y)| x.made.cmp(&y.made).then(a.cmp(b)));
        for (key, run) in waiting {
            let also: Vec<Place> = self.unseen(runs, times).filter(|place| place.run != *key).collect();
            match room(key, run, &also) {
                Room::Yes => {}
                Room::NotYet => continue,
                // What is not seen yet may come to nothing.
                Room::Never if !also.is_empty() => continue,
                Room::Never => {
                    self.send(key, &run.version, None);
                    acts.push(Act::Withdraw(key.clone(), run.version.clone()));
                    continue;
                }
            }
            let Ok(until) = times.earliest.saturating_add(run.usable) else { continue };
            let place = Place { since: times.earliest, until, ..run.place.clone() };
            self.send(key, &run.version, Some(place));
            acts.push(Act::Grant(key.clone(), run.version.clone(), times.earliest, until));
        }
        let unfenced: Vec<(RunKey, Arc<str>)> =
            self.unfenced.iter().filter(|(key, _)| self.free(key)).map(|(key, version)| (key.clone(), version.clone())).collect();
        for (key, version) in unfenced {
            self.send(&key, &version, None);
            acts.push(Act::Fence(key, version));
        }
        acts
    }

    /// A write is begun. A place that one before it may have given stays in mind.
    fn send(&mut self, key: &RunKey, version: &Arc<str>, place: Option<Place>) {
        let before = self.sent.remove(key);
        let doubted = before.as_ref().is_some_and(|before| before.doubted);
        let place = place.or(before.and_then(|before| before.place));
        self.sent.insert(key.clone(), Sent { version: version.clone(), place, settled: true, doubted });
    }

    /// There may be a write of it now.
    fn free(&self, key: &RunKey) -> bool {
        self.sent.get(key).is_none_or(|sent| !sent.settled)
    }

    /// A write ended.
    pub fn written(&mut self, key: &RunKey, version: &Arc<str>, written: Written) {
        let Some(sent) = self.sent.get_mut(key).filter(|sent| sent.version == *version) else { return };
        match written {
            // It counts until the watch shows it.
            Written::Made => {}
            Written::Refused if sent.doubted => {}
            Written::Refused => sent.place = None,
            Written::Unanswered => {
                sent.settled = false;
                sent.doubted = true;
            }
        }
    }

    /// What the search of the tests tells states by.
    #[cfg(test)]
    pub(super) fn fingerprint(&self, into: &mut impl std::hash::Hasher) {
        use std::hash::Hash;
        (self.begun, &self.unfenced).hash(into);
        for (key, sent) in &self.sent {
            (key, &sent.version, sent.place.as_ref().map(|place| place.until), sent.settled, sent.doubted).hash(into);
        }
    }

    /// Forgets a guard, for the search of the tests.
    #[cfg(test)]
    pub(super) fn forget(&mut self, before: bool, own: bool) {
        if before {
            self.unfenced.clear();
        }
        if own {
            for sent in self.sent.values_mut() {
                sent.place = None;
            }
        }
    }
}
