//! What is known of the starts of one gate: what the watches show, what was granted, and what is remembered.

use super::{Life, STORED_WITHIN, Times};
use crate::core::gate::Resource;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// What an object's start is aimed at: words that are equal for equal targets. `None`: it could not be told.
pub type Targets = Option<Arc<[Arc<str>]>>;

/// An object, as it is needed to tell what it is aimed at.
#[derive(Clone, Debug, PartialEq)]
pub struct Aim {
    /// Its API group.
    pub group: Arc<str>,
    /// Its kind.
    pub kind: Arc<str>,
    /// Its namespace.
    pub namespace: Option<Arc<str>>,
    /// The object, without what is not needed.
    pub object: Value,
}

/// An object of a kind that the gate holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Started {
    /// Its resource, without a subresource.
    pub resource: Arc<Resource>,
    /// Its namespace.
    pub namespace: Option<Arc<str>>,
    /// Its name.
    pub name: Arc<str>,
    /// Its uid.
    pub uid: Arc<str>,
    /// How it stands.
    pub life: Life,
    /// When it was started, as far as is known.
    pub since: Timestamp,
    /// When it was made.
    pub created: Timestamp,
    /// Who started it, if that is remembered.
    pub requester: Option<Arc<str>>,
    /// What it is aimed at, if that can be told.
    pub aim: Option<Arc<Aim>>,
}

/// What a request would start.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    /// The resource, without a subresource.
    pub resource: Arc<Resource>,
    /// The object's namespace.
    pub namespace: Option<Arc<str>>,
    /// The object's name; `None`: the API server makes it up.
    pub name: Option<Arc<str>>,
    /// Whether the object is made, and not changed.
    pub create: bool,
}

impl Subject {
    fn is(&self, object: &Started) -> bool {
        self.name.as_ref() == Some(&object.name) && self.namespace == object.namespace && self.resource == object.resource
    }
}

/// Remembers the one use of a grant, or that there will be none. Clones remember the same.
#[derive(Clone, Debug, Default)]
pub struct UseOnce(Arc<Fate>);

#[derive(Debug, Default)]
struct Fate {
    decided: OnceLock<End>,
    told: AtomicBool,
}

/// What became of a grant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum End {
    /// It was used for this object or request.
    UsedFor(Box<str>),
    /// It is given back, and can be used no more.
    GivenBack,
}

impl UseOnce {
    /// Uses it for an object or, if that has no uid yet, a request. True for the first, and again for the same one: several checks ask for one request.
    pub fn take(&self, uid: &str) -> bool {
        matches!(self.0.decided.get_or_init(|| End::UsedFor(uid.into())), End::UsedFor(by) if **by == *uid)
    }

    /// Gives it back unless it was used. Whether it is given back, now or before: then it is certain that it was not used, and never will be.
    pub fn give_back(&self) -> bool {
        *self.0.decided.get_or_init(|| End::GivenBack) == End::GivenBack
    }

    /// Which object or request it was used for.
    pub fn used_by(&self) -> Option<&str> {
        match self.0.decided.get()? {
            End::UsedFor(by) => Some(by),
            End::GivenBack => None,
        }
    }

    /// Whether this is asked for the first time since it was used: whoever tells of it does so once.
    pub fn tell(&self) -> bool {
        self.used_by().is_some() && !self.0.told.swap(true, Ordering::AcqRel)
    }

    /// What the search of the tests tells states by.
    #[cfg(test)]
    pub(super) fn end(&self) -> Option<&End> {
        self.0.decided.get()
    }

    /// One that is remembered by one world of the search only.
    #[cfg(test)]
    pub(super) fn alone(&self) -> Self {
        let alone = Self::default();
        if let Some(decided) = self.0.decided.get() {
            let _ = alone.0.decided.set(decided.clone());
        }
        alone
    }
}

/// A place that was granted.
#[derive(Clone, Debug)]
pub struct Place {
    /// The run that has it, by its uid.
    pub run: Arc<str>,
    /// What may be started.
    pub subject: Subject,
    /// What tells its object and requester from others.
    pub digest: Arc<str>,
    /// Who may start it.
    pub requester: Arc<str>,
    /// What it is aimed at, if that can be told.
    pub aim: Option<Arc<Aim>>,
    /// The replica that held the request.
    pub replica: Arc<str>,
    /// When it was granted, of the API server's time.
    pub since: Timestamp,
    /// Until when it may be used.
    pub until: Timestamp,
    /// The object that it was used for, if the run says so.
    pub used_by: Option<Arc<str>>,
    /// Whether nobody waits for it any longer, and nobody can use it any more.
    pub withdrawn: bool,
    /// Its one use, at the replica that held the request.
    pub once: UseOnce,
}

impl Place {
    /// Whether what is admitted by it may still come to be stored.
    pub fn pending(&self, times: Times) -> bool {
        !self.withdrawn && times.earliest < self.until.saturating_add(STORED_WITHIN).unwrap_or(Timestamp::MAX)
    }

    /// Whether a start may pass by it.
    pub fn usable(&self, times: Times) -> bool {
        !self.withdrawn && times.latest < self.until
    }

    /// Whether its time to be used is over, so that it may be given back.
    pub fn lapsed(&self, times: Times) -> bool {
        !self.withdrawn && times.earliest >= self.until
    }

    /// Whether the object speaks for itself: it is the one that came of the grant, or one that runs under its name, so that both are one.
    fn came_true(&self, object: &Started) -> bool {
        self.used_by.as_ref() == Some(&object.uid) || (object.life.runs() && self.subject.is(object))
    }
}

/// A start that is remembered after its object is gone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PastStart {
    /// The uid of the run by which it was started.
    pub uid: Arc<str>,
    /// Who started it, if that is known.
    pub requester: Option<Arc<str>>,
    /// When it was started.
    pub started: Timestamp,
    /// When it ended; `None`: it had not yet.
    pub finished: Option<Timestamp>,
}

/// What is remembered: the latest starts, and when the latest was of those that are forgotten.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Past {
    /// The latest starts, in any order.
    pub starts: Vec<PastStart>,
    /// The latest start and end of all that are no longer among them: whoever is not among them may have been that one.
    pub forgotten: Option<Timestamp>,
}

/// What is known of the starts of one gate.
#[derive(Clone, Debug)]
pub struct Book {
    /// This replica.
    pub replica: Arc<str>,
    /// Why something that the gate holds cannot be seen; then nothing can be told.
    pub unread: Option<Arc<str>>,
    /// The objects of the kinds that it holds, in any order.
    pub objects: Vec<Arc<Started>>,
    /// The places that were granted and may still be taken.
    pub places: Vec<Place>,
    /// What is remembered.
    pub past: Past,
    /// The longest time that has to be between starts: none are forgotten before it is over.
    pub longest_wait: SignedDuration,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            replica: "".into(),
            unread: None,
            objects: Vec::new(),
            places: Vec::new(),
            past: Past::default(),
            longest_wait: SignedDuration::ZERO,
        }
    }
}

impl Book {
    /// The places of which nothing is seen yet.
    pub fn open_places(&self, times: Times) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(move |place| place.pending(times) && !self.objects.iter().any(|object| place.came_true(object)))
    }

    /// The places of which the objects are seen.
    pub fn taken_places(&self) -> impl Iterator<Item = (&Place, &Started)> {
        self.places.iter().filter_map(|place| {
            let object = self.objects.iter().find(|object| place.came_true(object))?;
            Some((place, object.as_ref()))
        })
    }

    /// Whether the run by which something was started still tells what nothing else does.
    pub fn needs(&self, run: &str, used_by: Option<&str>, now: Timestamp) -> bool {
        let waits_after = |at: Timestamp| at.saturating_add(self.longest_wait).is_ok_and(|until| now < until);
        self.longest_wait.is_positive()
            && (self.unread.is_some()
                || self.objects.iter().any(|object| used_by == Some(&object.uid))
                || self.past.starts.iter().any(|start| *start.uid == *run && start.finished.is_none_or(waits_after)))
    }

    /// This book, with places that are not seen yet.
    #[must_use]
    pub fn with(&self, unseen: impl IntoIterator<Item = Place>, times: Times) -> Self {
        let mut book = self.clone();
        for place in unseen {
            // A run has one place.
            if !book.places.iter().any(|known| known.run == place.run && known.pending(times)) {
                book.places.push(place);
            }
        }
        book
    }

    /// The grant by which a request may pass: one for the same object and requester, which is what the digest tells, used once, at the replica that
    /// held the request. `uid` is that of the object that is made, or of the request.
    pub fn pass(&self, digest: &str, replica: &str, uid: &str, times: Times) -> Option<&Place> {
        self.places.iter().find(|place| {
            place.usable(times)
                && *place.digest == *digest
                && *place.replica == *replica
                && place.used_by.as_deref().is_none_or(|by| by == uid)
                && place.once.take(uid)
        })
    }
}
