//! The watched objects, and which checks look at them.

use super::packed_object::{PackedObject, types};
use super::publishing::Changed;
use crate::cluster::discovery::Served;
use crate::cluster::watch::Change;
use crate::core::gate::seconds;
use crate::core::text::single_line;
use crate::core::watched::Published;
pub use crate::core::watched::{BROKEN_TOLERANCE, KindKey, WatchKey};
use crate::probe::{NotSynced, ReadObjects};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::DynamicObject;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// The longest error of a watch that is shown, in characters: room is needed for the commands that grant the right.
const MAX_ERROR_CHARS: usize = 320;

/// Which check.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CheckKey {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

/// What is known of a kind.
#[derive(Clone, Debug, PartialEq)]
pub enum KindState {
    /// The API server was asked.
    Asked,
    /// It is served.
    Served(Served),
    /// It is not; a line that says so.
    Unserved(String),
}

/// The objects of one watch, by namespace (empty for a kind without) and name.
pub type Objects = BTreeMap<Arc<str>, BTreeMap<Arc<str>, Arc<DynamicObject>>>;

/// How a check looks at a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest<'a> {
    /// At one target, of a namespace and name.
    Target(&'a str, &'a str),
    /// At one object besides the targets.
    One(&'a str, &'a str),
    /// At all.
    All,
    /// At whatever is there when it is evaluated for another reason.
    Quiet,
}

/// The objects of one watch.
#[derive(Debug, Default)]
pub struct Watched {
    objects: Objects,
    /// As long as each check looks at the target that it names, objects are here instead.
    packed: BTreeMap<Arc<str>, BTreeMap<Arc<str>, PackedObject>>,
    /// Whether somebody looks at more, or did.
    open: bool,
    synced: bool,
    /// Since when it is broken, and the last error.
    broken: Option<Broken>,
    /// The checks that look at one object, by its namespace and name.
    by_name: HashMap<Arc<str>, HashMap<Arc<str>, Vec<CheckKey>>>,
    /// The checks that look at all objects.
    by_all: HashSet<CheckKey>,
    /// The checks that are told of nothing.
    quiet: HashSet<CheckKey>,
}

#[derive(Clone, Debug)]
struct Broken {
    since: Timestamp,
    message: String,
    forbidden: bool,
}

/// Why the objects of a watch cannot be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untold {
    /// One line.
    pub message: String,
    /// The operator has not the right.
    pub forbidden: bool,
    /// The first list is still awaited, and nothing has gone wrong yet.
    pub waiting: bool,
}

impl Watched {
    /// A check looks at something.
    pub fn subscribe(&mut self, kind: &KindKey, check: &CheckKey, interest: Interest<'_>) {
        if !self.open && !matches!(interest, Interest::Target(..)) {
            self.open = true;
            for (namespace, objects) in std::mem::take(&mut self.packed) {
                let opened = objects.into_iter().filter_map(|(name, packed)| Some((name, Arc::new(packed.open(kind)?))));
                self.objects.entry(namespace).or_default().extend(opened);
            }
        }
        match interest {
            Interest::Target(namespace, name) | Interest::One(namespace, name) => {
                let checks = self.by_name.entry(namespace.into()).or_default().entry(name.into()).or_default();
                if !checks.contains(check) {
                    checks.reserve_exact(1);
                    checks.push(check.clone());
                }
            }
            Interest::All => drop(self.by_all.insert(check.clone())),
            Interest::Quiet => drop(self.quiet.insert(check.clone())),
        }
    }

    /// A check looks no longer. Returns whether nobody does.
    pub fn unsubscribe(&mut self, check: &CheckKey) -> bool {
        self.by_all.remove(check);
        self.quiet.remove(check);
        self.by_name.retain(|_, names| {
            names.retain(|_, checks| {
                checks.retain(|other| other != check);
                !checks.is_empty()
            });
            !names.is_empty()
        });
        self.is_idle()
    }

    /// Whether no check looks at it.
    pub fn is_idle(&self) -> bool {
        self.by_all.is_empty() && self.by_name.is_empty() && self.quiet.is_empty()
    }

    /// A break that lies in the future began now.
    pub fn clock_was_set_back(&mut self, now: Timestamp) {
        if let Some(broken) = &mut self.broken {
            broken.since = broken.since.min(now);
        }
    }

    /// Takes in a change. Returns the checks that it may concern.
    pub fn take(&mut self, kind: &KindKey, change: Change<DynamicObject>, now: Timestamp) -> BTreeSet<CheckKey> {
        match change {
            Change::Listed(objects) => {
                self.objects.clear();
                self.packed.clear();
                for object in objects {
                    self.put(object, kind);
                }
                self.synced = true;
                self.broken = None;
                self.everyone()
            }
            Change::Applied(object) => {
                let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
                self.put(object, kind);
                self.mended(&namespace, &name)
            }
            Change::Deleted(object) => {
                let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
                take_out(&mut self.objects, &namespace, &name);
                take_out(&mut self.packed, &namespace, &name);
                self.mended(&namespace, &name)
            }
            Change::Unreadable { namespace, name, .. } => self.mended(&namespace.unwrap_or_default(), &name),
            Change::Failed { message, forbidden, silent, .. } => {
                let proved = now.checked_sub(silent).unwrap_or(now);
                let since = self.broken.as_ref().map_or(proved, |b| b.since);
                self.broken = Some(Broken { since, message: single_line(&message, MAX_ERROR_CHARS), forbidden });
                if self.synced && now.duration_since(since) < BROKEN_TOLERANCE { BTreeSet::new() } else { self.everyone() }
            }
        }
    }

    fn put(&mut self, mut object: DynamicObject, kind: &KindKey) {
        // The items of a list come without apiVersion and kind.
        object.types = Some(types(kind));
        let namespace = object.namespace().unwrap_or_default();
        let name = object.metadata.name.as_deref().unwrap_or_default().into();
        if self.open {
            put_in(&mut self.objects, &namespace, name, Arc::new(object));
        } else {
            put_in(&mut self.packed, &namespace, name, PackedObject::of(object));
        }
    }

    /// The target of a name, where each check looks at the one that it names.
    pub fn target(&self, kind: &KindKey, namespace: &str, name: &str) -> Option<Arc<DynamicObject>> {
        let opened = || self.packed.get(namespace)?.get(name)?.open(kind).map(Arc::new);
        self.objects.get(namespace).and_then(|objects| objects.get(name)).cloned().or_else(opened)
    }

    fn mended(&mut self, namespace: &str, name: &str) -> BTreeSet<CheckKey> {
        if self.broken.take().is_some() {
            return self.everyone();
        }
        let one = self.by_name.get(namespace).and_then(|names| names.get(name));
        self.by_all.iter().chain(one.into_iter().flatten()).cloned().collect()
    }

    /// All checks that look at something here.
    pub fn everyone(&self) -> BTreeSet<CheckKey> {
        self.by_all.iter().chain(&self.quiet).chain(self.by_name.values().flat_map(HashMap::values).flatten()).cloned().collect()
    }

    /// A copy for whoever waits for an answer, made from the last one and what changed since.
    pub fn copy(&self, last: Option<&Published>, changed: &Changed) -> Published {
        let place = |namespace: &Arc<str>| self.objects.get(namespace).map(|objects| (namespace.clone(), Arc::new(objects.clone())));
        let places = match (changed, last) {
            (Changed::Places(changed), Some(last)) => {
                let mut places = last.places.clone();
                places.retain(|namespace, _| !changed.contains(namespace));
                places.extend(changed.iter().filter_map(place));
                places
            }
            _ => self.objects.keys().filter_map(place).collect(),
        };
        let broken = self.broken.as_ref().map(|broken| (broken.since, broken.message.clone()));
        Published { places, synced: self.synced, broken }
    }

    /// When a break will have lasted too long, if there is one.
    pub fn gives_up_at(&self) -> Option<Timestamp> {
        self.broken.as_ref().filter(|_| self.synced).and_then(|b| b.since.checked_add(BROKEN_TOLERANCE).ok())
    }

    /// The objects, unless they cannot be told. Not those that are kept packed: see [`Watched::target`].
    pub fn objects(&self, key: &WatchKey, now: Timestamp) -> Result<&Objects, Untold> {
        let kind = &key.kind.kind;
        let place = key.namespace.as_ref().map_or_else(String::new, |n| format!(" in namespace {n}"));
        match (&self.broken, self.synced) {
            (None, true) => Ok(&self.objects),
            (None, false) => {
                let message = format!("waiting for the first list of {kind} objects{place}");
                Err(Untold { message, forbidden: false, waiting: true })
            }
            (Some(broken), true) if now.duration_since(broken.since) < BROKEN_TOLERANCE => Ok(&self.objects),
            (Some(broken), synced) => {
                let lasting = u64::try_from(now.duration_since(broken.since).as_secs()).unwrap_or(0);
                let since = if synced { format!(" since {}", seconds(lasting)) } else { String::new() };
                let message = format!("{kind} objects{place} cannot be watched{since}: {}", broken.message);
                Err(Untold { message, forbidden: broken.forbidden, waiting: false })
            }
        }
    }
}

fn put_in<T>(all: &mut BTreeMap<Arc<str>, BTreeMap<Arc<str>, T>>, namespace: &str, name: Arc<str>, object: T) {
    match all.get_mut(namespace) {
        Some(objects) => objects.insert(name, object),
        None => all.entry(namespace.into()).or_default().insert(name, object),
    };
}

fn take_out<T>(all: &mut BTreeMap<Arc<str>, BTreeMap<Arc<str>, T>>, namespace: &str, name: &str) {
    if let Some(objects) = all.get_mut(namespace) {
        objects.remove(name);
        if objects.is_empty() {
            all.remove(namespace);
        }
    }
}

/// All watches, as probes read them. A check reads through watches that it subscribed to, and no others: that is where its rights were asked for.
pub struct Reader<'a> {
    /// The watches.
    pub watches: &'a HashMap<WatchKey, Watched>,
    /// Those that the check subscribed to.
    pub own: &'a [WatchKey],
    /// The time.
    pub now: Timestamp,
}

impl<'a> Reader<'a> {
    fn objects(&self, api_version: &str, kind: &str, namespace: Option<&str>, name: Option<&str>) -> Result<&'a Objects, NotSynced> {
        let not_watched = || NotSynced { message: format!("{kind} objects are not watched") };
        let key = self.own.iter().find(|key| key.covers(api_version, kind, namespace, name)).ok_or_else(not_watched)?;
        let watched = self.watches.get(key).ok_or_else(not_watched)?;
        watched.objects(key, self.now).map_err(|untold| NotSynced { message: untold.message })
    }
}

impl ReadObjects for Reader<'_> {
    fn list<'a>(&'a self, api_version: &str, kind: &str, namespace: Option<&str>) -> Result<Vec<&'a DynamicObject>, NotSynced> {
        let objects = self.objects(api_version, kind, namespace, None)?;
        Ok(match namespace {
            Some(namespace) => objects.get(namespace).into_iter().flat_map(BTreeMap::values).map(AsRef::as_ref).collect(),
            None => objects.values().flat_map(BTreeMap::values).map(AsRef::as_ref).collect(),
        })
    }

    fn get<'a>(
        &'a self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<&'a DynamicObject>, NotSynced> {
        let objects = self.objects(api_version, kind, namespace, Some(name))?;
        Ok(objects.get(namespace.unwrap_or_default()).and_then(|objects| objects.get(name)).map(AsRef::as_ref))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_packed_for_those_who_name_it_is_open_to_who_looks_at_all() {
        let kind = KindKey { api_version: "apps/v1".into(), kind: "Deployment".into() };
        let key = WatchKey { kind: kind.clone(), namespace: Some("shop".into()), name: None };
        let check = |name: &str| CheckKey { namespace: "shop".into(), name: name.into() };
        let deployment = |name: &str| -> DynamicObject {
            serde_json::from_value(json!({"metadata": {"name": name, "namespace": "shop"}, "spec": {"replicas": 1}})).unwrap()
        };
        let names = |watched: &Watched| {
            let objects = watched.objects(&key, Timestamp::UNIX_EPOCH).unwrap();
            objects.values().flat_map(BTreeMap::keys).map(ToString::to_string).collect::<Vec<_>>()
        };
        let mut watched = Watched::default();
        watched.subscribe(&kind, &check("one"), Interest::Target("shop", "web"));
        watched.take(&kind, Change::Listed(vec![deployment("web"), deployment("db")]), Timestamp::UNIX_EPOCH);
        assert_eq!(names(&watched), Vec::<String>::new());
        assert_eq!(watched.target(&kind, "shop", "web").unwrap().data["spec"]["replicas"], 1);
        watched.subscribe(&kind, &check("all"), Interest::All);
        watched.take(&kind, Change::Applied(deployment("late")), Timestamp::UNIX_EPOCH);
        assert_eq!(names(&watched), ["db", "late", "web"]);
        assert_eq!(watched.target(&kind, "shop", "db").unwrap().types.as_ref().unwrap().kind, "Deployment");
        watched.take(&kind, Change::Deleted(deployment("web")), Timestamp::UNIX_EPOCH);
        assert_eq!(watched.target(&kind, "shop", "web"), None);
    }
}
