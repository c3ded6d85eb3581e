//! The checks as they are, and one gate's book as it will be.

use crate::cluster::snapshot::Facts;
use crate::core::freshness::Freshness;
use crate::core::gate::{CheckFact, CheckFacts, GateKey, World};
use crate::core::selector::Selector;
use crate::core::starts::{Book, Times};
use crate::core::watched::{Published, WatchKey};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// What a gate would be asked by, if some places were seen already.
pub(super) struct Overlay<'a> {
    pub(super) facts: &'a Facts,
    pub(super) gate: &'a GateKey,
    pub(super) book: Arc<Book>,
}

impl CheckFacts for Overlay<'_> {
    fn complete(&self) -> bool {
        self.facts.complete()
    }

    fn named(&self, namespace: &str, name: &str) -> Option<Arc<CheckFact>> {
        self.facts.named(namespace, name)
    }

    fn selected(&self, namespace: &str, selector: &Selector) -> Vec<Arc<CheckFact>> {
        self.facts.selected(namespace, selector)
    }

    fn freshness(&self) -> &Freshness {
        self.facts.freshness()
    }

    fn world(&self) -> &dyn World {
        self
    }
}

impl World for Overlay<'_> {
    fn watched(&self, key: &WatchKey) -> Option<Arc<Published>> {
        self.facts.world().watched(key)
    }

    fn namespaces(&self) -> Option<Arc<HashMap<String, BTreeMap<String, String>>>> {
        self.facts.world().namespaces()
    }

    fn starts(&self, gate: &GateKey) -> Option<Arc<Book>> {
        if gate == self.gate { Some(self.book.clone()) } else { self.facts.world().starts(gate) }
    }

    fn times(&self, now: Timestamp) -> Option<Times> {
        self.facts.world().times(now)
    }
}
