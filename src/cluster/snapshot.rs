//! What the admission path reads: the checks with their verdicts, the gates, the namespaces' labels. Readers take no lock.
//!
//! A check's fact sits in a slot of its own that is swapped whole, so that a verdict is published without copying the index of ten thousand
//! checks; the index is copied only when checks come and go. A fact carries its own age; the parts say whether they are complete.

use super::held::HeldRuns;
use crate::core::freshness::Freshness;
use crate::core::gate::{CheckFact, CheckFacts, Gate, GateKey, Held, Holds, Resource, World};
use crate::core::selector::Selector;
use crate::core::starts::{Book, Times};
use crate::core::watched::{Published, WatchKey};
use crate::telemetry::metrics::Verdicts;
use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// All of it. Cloning is cheap, clones see the same.
#[derive(Clone, Debug, Default)]
pub struct Snapshot(Arc<Parts>);

#[derive(Debug, Default)]
struct Parts {
    checks: ArcSwap<CheckIndex>,
    freshness: ArcSwap<Freshness>,
    gates: ArcSwap<GateIndex>,
    namespaces: ArcSwap<HashMap<String, Labels>>,
    namespaces_complete: AtomicBool,
    holds: ArcSwap<HeldRuns>,
    watched: ArcSwap<HashMap<WatchKey, Slot<Published>>>,
    starts: ArcSwapOption<Books>,
}

/// What is known of the starts of gates.
pub type Books = HashMap<GateKey, Arc<Book>>;

/// Where one thing is, swapped whole.
type Slot<T> = Arc<ArcSwap<T>>;

/// The checks by namespace and name.
#[derive(Clone, Debug, Default)]
pub struct CheckIndex {
    complete: bool,
    by_namespace: HashMap<Arc<str>, BTreeMap<Arc<str>, Slot<CheckFact>>>,
}

/// The checks, and what may be believed of them.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    index: Arc<CheckIndex>,
    freshness: Arc<Freshness>,
    holds: Arc<HeldRuns>,
    /// What checks look at that are decided for each request.
    world: Snapshot,
}

/// The gates by the resource that they look at, and by its namespace: a request costs no more for the gates of other namespaces.
#[derive(Clone, Debug, Default)]
pub struct GateIndex {
    /// Whether all gates of the cluster are in it.
    pub complete: bool,
    /// All gates.
    pub all: Vec<Arc<Gate>>,
    by_resource: HashMap<Resource, Holders>,
}

/// The gates that look at one resource.
#[derive(Clone, Debug, Default)]
struct Holders {
    /// Of the cluster.
    anywhere: Vec<Arc<Gate>>,
    /// Of a namespace.
    by_namespace: HashMap<String, Vec<Arc<Gate>>>,
}

impl Snapshot {
    /// The checks as they are now.
    pub fn checks(&self) -> Facts {
        let Parts { checks, freshness, holds, .. } = &*self.0;
        Facts { index: checks.load_full(), freshness: freshness.load_full(), holds: holds.load_full(), world: self.clone() }
    }

    /// Publishes what may be believed from now on.
    pub fn publish_freshness(&self, freshness: Freshness) {
        self.0.freshness.store(Arc::new(freshness));
    }

    /// Publishes which requests wait for which runs.
    pub fn publish_holds(&self, held: HashMap<String, Held>) {
        if self.0.holds.load().0 != held {
            self.0.holds.store(Arc::new(HeldRuns(held)));
        }
    }

    /// The gates as they are now.
    pub fn gates(&self) -> Arc<GateIndex> {
        self.0.gates.load_full()
    }

    /// Publishes facts of checks, removes checks, and says whether all are there.
    pub fn publish_checks(&self, facts: Vec<CheckFact>, removed: &[(Arc<str>, Arc<str>)], complete: bool) {
        let index = self.0.checks.load();
        let new: Vec<CheckFact> = facts.into_iter().filter_map(|fact| index.replace(fact)).collect();
        if new.is_empty() && removed.is_empty() && index.complete == complete {
            return;
        }
        let mut next = CheckIndex::clone(&index);
        next.complete = complete;
        for (namespace, name) in removed {
            if let Some(checks) = next.by_namespace.get_mut(namespace) {
                checks.remove(name);
                if checks.is_empty() {
                    next.by_namespace.remove(namespace);
                }
            }
        }
        for fact in new {
            next.by_namespace.entry(fact.namespace.clone()).or_default().insert(fact.name.clone(), Arc::new(ArcSwap::from_pointee(fact)));
        }
        self.0.checks.store(Arc::new(next));
    }

    /// Publishes what watches have delivered; `None`: nobody looks at it any more.
    pub fn publish_watched(&self, watched: Vec<(WatchKey, Option<Arc<Published>>)>) {
        let index = self.0.watched.load();
        let mut next = None;
        for (key, published) in watched {
            match (index.get(&key), published) {
                (Some(slot), Some(published)) if next.is_none() => slot.store(published),
                (_, Some(published)) => {
                    next.get_or_insert_with(|| HashMap::clone(&index)).insert(key, Arc::new(ArcSwap::new(published)));
                }
                (_, None) => {
                    next.get_or_insert_with(|| HashMap::clone(&index)).remove(&key);
                }
            }
        }
        if let Some(next) = next {
            self.0.watched.store(Arc::new(next));
        }
    }

    /// Publishes what is known of the starts of all gates whose checks count them.
    pub fn publish_starts(&self, books: Books) {
        self.0.starts.store(Some(Arc::new(books)));
    }

    /// What is known of the starts of all gates whose checks count them; `None`: it is not known yet which these are.
    pub fn starts(&self) -> Option<Arc<Books>> {
        self.0.starts.load_full()
    }

    /// Publishes the gates.
    pub fn publish_gates(&self, gates: Vec<Arc<Gate>>, complete: bool) {
        let mut by_resource: HashMap<Resource, Holders> = HashMap::new();
        for gate in &gates {
            let mut last = None;
            for (resource, _) in &gate.rules {
                if last.replace(resource) != Some(resource) {
                    let holders = by_resource.entry(resource.clone()).or_default();
                    let place = match &gate.key.namespace {
                        Some(namespace) => holders.by_namespace.entry(namespace.clone()).or_default(),
                        None => &mut holders.anywhere,
                    };
                    place.push(gate.clone());
                }
            }
        }
        self.0.gates.store(Arc::new(GateIndex { complete, all: gates, by_resource }));
    }

    /// Publishes the labels of all namespaces.
    pub fn publish_namespaces(&self, namespaces: Arc<HashMap<String, Labels>>) {
        self.0.namespaces.store(namespaces);
        self.0.namespaces_complete.store(true, Ordering::Release);
    }

    /// The labels of all namespaces that are known.
    pub fn namespaces(&self) -> Arc<HashMap<String, Labels>> {
        self.0.namespaces.load_full()
    }

    /// Whether the namespaces were read.
    pub fn namespaces_complete(&self) -> bool {
        self.0.namespaces_complete.load(Ordering::Acquire)
    }
}

impl Verdicts for Snapshot {
    fn each(&self, tell: &mut dyn FnMut(&str, &str, &'static str)) {
        for slot in self.0.checks.load().by_namespace.values().flat_map(BTreeMap::values) {
            let fact = slot.load();
            tell(&fact.namespace, &fact.name, fact.state.verdict.as_str());
        }
    }
}

impl GateIndex {
    /// The gates that look at a resource, in a namespace or in none.
    pub fn of(&self, resource: &Resource, namespace: Option<&str>) -> impl Iterator<Item = &Gate> {
        let holders = self.by_resource.get(resource);
        let own = holders.zip(namespace).and_then(|(holders, namespace)| holders.by_namespace.get(namespace));
        let anywhere = holders.map(|holders| &holders.anywhere);
        own.into_iter().chain(anywhere).flatten().map(AsRef::as_ref)
    }
}

impl CheckIndex {
    /// Puts a fact into its slot; gives it back if there is none yet.
    fn replace(&self, fact: CheckFact) -> Option<CheckFact> {
        match self.by_namespace.get(&fact.namespace).and_then(|checks| checks.get(&fact.name)) {
            Some(slot) => {
                slot.store(Arc::new(fact));
                None
            }
            None => Some(fact),
        }
    }
}

impl CheckFacts for Facts {
    fn complete(&self) -> bool {
        self.index.complete
    }

    fn named(&self, namespace: &str, name: &str) -> Option<Arc<CheckFact>> {
        Some(self.index.by_namespace.get(namespace)?.get(name)?.load_full())
    }

    fn selected(&self, namespace: &str, selector: &Selector) -> Vec<Arc<CheckFact>> {
        let Some(checks) = self.index.by_namespace.get(namespace) else { return Vec::new() };
        checks.values().map(|slot| slot.load_full()).filter(|fact| selector.matches(&fact.labels)).collect()
    }

    fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    fn holds(&self) -> &dyn Holds {
        self.holds.as_ref()
    }

    fn world(&self) -> &dyn World {
        &self.world
    }
}

impl World for Snapshot {
    fn watched(&self, key: &WatchKey) -> Option<Arc<Published>> {
        self.0.watched.load().get(key).map(|slot| slot.load_full())
    }

    fn namespaces(&self) -> Option<Arc<HashMap<String, Labels>>> {
        self.namespaces_complete().then(|| Self::namespaces(self))
    }

    fn starts(&self, gate: &GateKey) -> Option<Arc<Book>> {
        self.0.starts.load().as_ref()?.get(gate).cloned()
    }

    fn times(&self, now: Timestamp) -> Option<Times> {
        let freshness = self.0.freshness.load();
        let offset = freshness.offset.filter(|_| freshness.clock_is_right())?;
        Some(Times { earliest: now.checked_add(offset.earliest).ok()?, latest: now.checked_add(offset.latest).ok()? })
    }
}

#[cfg(test)]
mod tests;
