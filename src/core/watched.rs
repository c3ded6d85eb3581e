//! Watched objects, as whoever waits for an answer reads them: immutable, swapped whole, with what is known of their watch.
//!
//! The engine of checks publishes them for checks that are decided for each request. A copy is of one namespace, and only when something in
//! that namespace changed.

use jiff::{SignedDuration, Timestamp};
use kube::core::DynamicObject;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How long a watch may be broken before what it delivered is no longer believed. Restarts of a watch are ordinary and take less.
pub const BROKEN_TOLERANCE: SignedDuration = SignedDuration::from_secs(5);

/// A kind as users name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KindKey {
    /// The apiVersion.
    pub api_version: Arc<str>,
    /// The kind.
    pub kind: Arc<str>,
}

/// One watch: a kind in a namespace or everywhere, all objects or one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatchKey {
    /// The kind.
    pub kind: KindKey,
    /// The namespace; `None`: all of them, or a kind that has none.
    pub namespace: Option<Arc<str>>,
    /// The one object that is watched.
    pub name: Option<Arc<str>>,
}

impl WatchKey {
    /// Whether it delivers all objects of a kind in a namespace (`None`: in all), or the one of a name.
    pub fn covers(&self, api_version: &str, kind: &str, namespace: Option<&str>, name: Option<&str>) -> bool {
        let place = self.namespace.is_none() || self.namespace.as_deref() == namespace;
        let one = self.name.is_none() || self.name.as_deref() == name;
        *self.kind.api_version == *api_version && *self.kind.kind == *kind && place && one
    }
}

/// The objects of one namespace, by name.
pub type Place = BTreeMap<Arc<str>, Arc<DynamicObject>>;

/// What one watch has delivered.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// The objects by namespace; that of a kind without is empty.
    pub places: BTreeMap<Arc<str>, Arc<Place>>,
    /// Whether all of them were ever read.
    pub synced: bool,
    /// Since when the watch is broken, and why.
    pub broken: Option<(Timestamp, String)>,
}

impl Published {
    /// The objects, or why they cannot be told.
    pub fn objects(&self, key: &WatchKey, now: Timestamp) -> Result<&BTreeMap<Arc<str>, Arc<Place>>, String> {
        let kind = &key.kind.kind;
        match &self.broken {
            Some((since, message)) if !self.synced || now.duration_since(*since) >= BROKEN_TOLERANCE => {
                Err(format!("{kind} objects cannot be watched: {message}"))
            }
            _ if !self.synced => Err(format!("waiting for the first list of {kind} objects")),
            _ => Ok(&self.places),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods() -> WatchKey {
        WatchKey { kind: KindKey { api_version: "v1".into(), kind: "Pod".into() }, namespace: None, name: None }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    #[test]
    fn what_was_never_listed_or_has_been_broken_for_long_cannot_be_told() {
        let synced = Published { synced: true, ..Published::default() };
        assert!(synced.objects(&pods(), at(0)).is_ok());
        let waiting = Published::default().objects(&pods(), at(0)).map(drop);
        assert_eq!(waiting, Err("waiting for the first list of Pod objects".to_owned()));
        let broken = Published { broken: Some((at(0), "gone".to_owned())), ..synced };
        assert!(broken.objects(&pods(), at(4)).is_ok(), "an ordinary restart");
        assert_eq!(broken.objects(&pods(), at(5)).map(drop), Err("Pod objects cannot be watched: gone".to_owned()));
        let never = Published { synced: false, ..broken };
        assert!(never.objects(&pods(), at(1)).is_err());
    }
}
