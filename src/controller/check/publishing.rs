//! Watched objects for whoever waits for an answer: copies, made of the watches that checks of requests look at, and of no others.
//!
//! A watch is copied [`EVERY`] so often at most, and of it only the namespaces in which something changed.

use super::objects::{CheckKey, WatchKey, Watched};
use crate::cluster::watch::Change;
use crate::core::watched::Published;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::api::DynamicObject;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// How often a watch is copied at most.
const EVERY: SignedDuration = SignedDuration::from_millis(50);

/// What changed since the last copy.
#[derive(Debug)]
pub enum Changed {
    /// Something in these namespaces, or only what is known of the watch.
    Places(BTreeSet<Arc<str>>),
    /// Everything.
    All,
}

#[derive(Debug)]
struct Copying {
    users: HashSet<CheckKey>,
    changed: Changed,
    last: Option<Arc<Published>>,
    copied_at: Timestamp,
    due: Option<Timestamp>,
}

/// All that is copied.
#[derive(Debug, Default)]
pub struct Publishing {
    watches: HashMap<WatchKey, Copying>,
    due: BTreeSet<(Timestamp, WatchKey)>,
    ended: Vec<WatchKey>,
}

impl Publishing {
    /// A check of requests looks at a watch.
    pub fn subscribe(&mut self, check: &CheckKey, key: &WatchKey, now: Timestamp) {
        let copying = self.watches.entry(key.clone()).or_insert_with(|| {
            self.due.insert((now, key.clone()));
            Copying { users: HashSet::new(), changed: Changed::All, last: None, copied_at: Timestamp::MIN, due: Some(now) }
        });
        copying.users.insert(check.clone());
    }

    /// A check looks at a watch no longer.
    pub fn unsubscribe(&mut self, check: &CheckKey, key: &WatchKey) {
        let Some(copying) = self.watches.get_mut(key) else { return };
        copying.users.remove(check);
        if copying.users.is_empty() {
            if let Some(due) = copying.due {
                self.due.remove(&(due, key.clone()));
            }
            self.watches.remove(key);
            self.ended.push(key.clone());
        }
    }

    /// Something happens to a watch.
    pub fn note(&mut self, key: &WatchKey, change: &Change<DynamicObject>, now: Timestamp) {
        let Some(copying) = self.watches.get_mut(key) else { return };
        match (change, &mut copying.changed) {
            (Change::Listed(_), changed) => *changed = Changed::All,
            (Change::Applied(object) | Change::Deleted(object), Changed::Places(places)) => {
                places.insert(object.namespace().unwrap_or_default().into());
            }
            _ => {}
        }
        if copying.due.is_none() {
            let due = copying.copied_at.checked_add(EVERY).unwrap_or(now).max(now);
            copying.due = Some(due);
            self.due.insert((due, key.clone()));
        }
    }

    /// When the next copy is due.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// What was planned by the old clock would come too late.
    pub fn clock_was_set_back(&mut self, now: Timestamp) {
        self.due.clear();
        for (key, copying) in &mut self.watches {
            copying.copied_at = copying.copied_at.min(now);
            copying.due = Some(now);
            self.due.insert((now, key.clone()));
        }
    }

    /// Copies what is due. `None`: nobody looks at it any more.
    pub fn copy(&mut self, watches: &HashMap<WatchKey, Watched>, now: Timestamp) -> Vec<(WatchKey, Option<Arc<Published>>)> {
        let ended = std::mem::take(&mut self.ended);
        let mut copies: Vec<_> = ended.into_iter().filter(|key| !self.watches.contains_key(key)).map(|key| (key, None)).collect();
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, key)) = self.due.pop_first() else { break };
            let Some(copying) = self.watches.get_mut(&key) else { continue };
            copying.due = None;
            copying.copied_at = now;
            let changed = std::mem::replace(&mut copying.changed, Changed::Places(BTreeSet::new()));
            let copy = watches.get(&key).map(|watched| Arc::new(watched.copy(copying.last.as_deref(), &changed)));
            let copy = copy.unwrap_or_default();
            copying.last = Some(copy.clone());
            copies.push((key, Some(copy)));
        }
        copies
    }
}

#[cfg(test)]
mod tests {
    use super::super::objects::Interest;
    use super::*;
    use crate::controller::check::objects::KindKey;
    use serde_json::json;
    use std::time::Duration;

    fn pods() -> WatchKey {
        WatchKey { kind: KindKey { api_version: "v1".into(), kind: "Pod".into() }, namespace: None, name: None }
    }

    fn pod(namespace: &str, name: &str) -> DynamicObject {
        serde_json::from_value(json!({"metadata": {"namespace": namespace, "name": name}})).unwrap()
    }

    fn check() -> CheckKey {
        CheckKey { namespace: "shop".into(), name: "radius".into() }
    }

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + milliseconds).unwrap()
    }

    struct Stage {
        publishing: Publishing,
        watches: HashMap<WatchKey, Watched>,
    }

    impl Stage {
        fn new() -> Self {
            let mut publishing = Publishing::default();
            publishing.subscribe(&check(), &pods(), at(0));
            let mut watched = Watched::default();
            watched.subscribe(&pods().kind, &check(), Interest::Quiet);
            Self { publishing, watches: [(pods(), watched)].into() }
        }

        fn change(&mut self, change: Change<DynamicObject>, now: Timestamp) {
            self.publishing.note(&pods(), &change, now);
            self.watches.get_mut(&pods()).unwrap().take(&pods().kind, change, now);
        }

        fn copy(&mut self, now: Timestamp) -> Option<Arc<Published>> {
            let mut copies = self.publishing.copy(&self.watches, now);
            assert!(copies.len() <= 1);
            copies.pop().map(|(_, copy)| copy.unwrap())
        }
    }

    #[test]
    fn many_changes_are_one_copy_and_only_of_the_namespaces_that_they_are_in() {
        let mut stage = Stage::new();
        stage.change(Change::Listed(vec![pod("a", "1"), pod("b", "1")]), at(0));
        let first = stage.copy(at(0)).unwrap();
        assert!(first.synced && first.places.len() == 2);
        for n in 0..10 {
            stage.change(Change::Applied(pod("a", &format!("x{n}"))), at(n));
            assert!(stage.copy(at(n)).is_none());
        }
        assert_eq!(stage.publishing.next_wake(), Some(at(50)));
        let second = stage.copy(at(50)).unwrap();
        assert_eq!((second.places["a"].len(), second.places["b"].len()), (11, 1));
        assert!(Arc::ptr_eq(&first.places["b"], &second.places["b"]), "what did not change is not copied");
        stage.change(Change::Deleted(pod("b", "1")), at(60));
        let third = stage.copy(at(110)).unwrap();
        assert_eq!(third.places.keys().map(AsRef::as_ref).collect::<Vec<_>>(), ["a"]);
        assert_eq!((stage.copy(at(500)).is_none(), stage.publishing.next_wake()), (true, None));
    }

    #[test]
    fn a_broken_watch_is_told_of_and_so_is_that_nobody_looks() {
        let mut stage = Stage::new();
        assert!(!stage.copy(at(0)).unwrap().synced);
        stage.change(Change::Listed(Vec::new()), at(100));
        assert!(stage.copy(at(100)).unwrap().synced);
        let failed = |silent| Change::Failed { message: "gone".into(), forbidden: false, not_found: false, silent };
        stage.change(failed(Duration::from_secs(1)), at(3000));
        assert_eq!(stage.copy(at(3000)).unwrap().broken, Some((at(2000), "gone".into())));
        stage.publishing.unsubscribe(&check(), &pods());
        let ended = stage.publishing.copy(&stage.watches, at(4000));
        assert!(matches!(ended.as_slice(), [(key, None)] if *key == pods()));
    }
}
