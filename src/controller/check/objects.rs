//! The watched objects, and which checks look at them.

use crate::cluster::discovery::Served;
use crate::cluster::watch::Change;
use crate::core::gate::seconds;
use crate::core::text::single_line;
use crate::probe::{NotSynced, ReadObjects};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::api::{DynamicObject, TypeMeta};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// How long a watch may be broken before what it delivered is no longer believed. Restarts of a watch are ordinary and take less.
pub const BROKEN_TOLERANCE: SignedDuration = SignedDuration::from_secs(5);

/// The longest error of a watch that is shown, in characters: room is needed for the commands that grant the right.
const MAX_ERROR_CHARS: usize = 320;

/// Which check.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CheckKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// A kind as users name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KindKey {
    /// The apiVersion.
    pub api_version: String,
    /// The kind.
    pub kind: String,
}

/// One watch: a kind in a namespace, or a kind without namespaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatchKey {
    /// The kind.
    pub kind: KindKey,
    /// The namespace, for kinds that have one.
    pub namespace: Option<String>,
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

/// The objects of one watch.
#[derive(Debug, Default)]
pub struct Watched {
    objects: BTreeMap<String, Arc<DynamicObject>>,
    synced: bool,
    /// Since when it is broken, and the last error.
    broken: Option<Broken>,
    /// The checks that look at one object, by its name.
    by_name: HashMap<String, HashSet<CheckKey>>,
    /// The checks that look at all objects.
    by_all: HashSet<CheckKey>,
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
    /// A check looks at an object, or (`None`) at all.
    pub fn subscribe(&mut self, check: &CheckKey, name: Option<&str>) {
        match name {
            Some(name) => self.by_name.entry(name.to_owned()).or_default().insert(check.clone()),
            None => self.by_all.insert(check.clone()),
        };
    }

    /// A check looks no longer. Returns whether nobody does.
    pub fn unsubscribe(&mut self, check: &CheckKey) -> bool {
        self.by_all.remove(check);
        self.by_name.retain(|_, checks| {
            checks.remove(check);
            !checks.is_empty()
        });
        self.is_idle()
    }

    /// Whether no check looks at it.
    pub fn is_idle(&self) -> bool {
        self.by_all.is_empty() && self.by_name.is_empty()
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
                self.objects = objects.into_iter().map(|o| (o.name_any(), Arc::new(typed(o, kind)))).collect();
                self.synced = true;
                self.broken = None;
                self.everyone()
            }
            Change::Applied(object) => {
                let name = object.name_any();
                self.objects.insert(name.clone(), Arc::new(typed(object, kind)));
                self.mended(&name)
            }
            Change::Deleted(object) => {
                let name = object.name_any();
                self.objects.remove(&name);
                self.mended(&name)
            }
            Change::Unreadable { name, .. } => self.mended(&name),
            Change::Failed { message, forbidden, silent, .. } => {
                let proved = now.checked_sub(silent).unwrap_or(now);
                let since = self.broken.as_ref().map_or(proved, |b| b.since);
                self.broken = Some(Broken { since, message: single_line(&message, MAX_ERROR_CHARS), forbidden });
                if self.synced && now.duration_since(since) < BROKEN_TOLERANCE { BTreeSet::new() } else { self.everyone() }
            }
        }
    }

    fn mended(&mut self, name: &str) -> BTreeSet<CheckKey> {
        let was_broken = self.broken.take().is_some();
        if was_broken { self.everyone() } else { self.by_all.iter().chain(self.by_name.get(name).into_iter().flatten()).cloned().collect() }
    }

    /// All checks that look at something here.
    pub fn everyone(&self) -> BTreeSet<CheckKey> {
        self.by_all.iter().chain(self.by_name.values().flatten()).cloned().collect()
    }

    /// When a break will have lasted too long, if there is one.
    pub fn gives_up_at(&self) -> Option<Timestamp> {
        self.broken.as_ref().filter(|_| self.synced).and_then(|b| b.since.checked_add(BROKEN_TOLERANCE).ok())
    }

    /// The objects, unless they cannot be told.
    pub fn objects(&self, key: &WatchKey, now: Timestamp) -> Result<&BTreeMap<String, Arc<DynamicObject>>, Untold> {
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

/// The items of a list come without apiVersion and kind.
fn typed(mut object: DynamicObject, kind: &KindKey) -> DynamicObject {
    object.types = Some(TypeMeta { api_version: kind.api_version.clone(), kind: kind.kind.clone() });
    object
}

/// All watches, as probes read them.
pub struct Reader<'a> {
    /// The watches.
    pub watches: &'a HashMap<WatchKey, Watched>,
    /// The time.
    pub now: Timestamp,
}

impl ReadObjects for Reader<'_> {
    fn list<'a>(&'a self, api_version: &str, kind: &str, namespace: Option<&str>) -> Result<Vec<&'a DynamicObject>, NotSynced> {
        let key = WatchKey {
            kind: KindKey { api_version: api_version.to_owned(), kind: kind.to_owned() },
            namespace: namespace.map(str::to_owned),
        };
        let watched = self.watches.get(&key).ok_or_else(|| NotSynced { message: format!("{kind} objects are not watched") })?;
        let objects = watched.objects(&key, self.now).map_err(|untold| NotSynced { message: untold.message })?;
        Ok(objects.values().map(AsRef::as_ref).collect())
    }

    fn get<'a>(&'a self, api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Result<Option<&'a DynamicObject>, NotSynced> {
        let all = self.list(api_version, kind, namespace)?;
        Ok(all.into_iter().find(|object| object.metadata.name.as_deref() == Some(name)))
    }
}
