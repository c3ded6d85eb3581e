//! The runs of held requests with their grants, and the book of each gate made from them and from what runs.

use super::kinds::{Entry, Kinds};
use crate::api::{GateKind, PreflightRun, RunGrant};
use crate::cluster::snapshot::{Books, Labels};
use crate::cluster::watch::Change;
use crate::core::gate::{Gate, GateKey, Resource};
use crate::core::starts::{Aim, Book, Life, Past, PastStart, Place, RunKey, Started, Subject, Times, UseOnce};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// How many starts are remembered of a gate besides what still exists.
const MAX_PAST: usize = 256;
/// How many runs are remembered that were deleted.
const MAX_GONE: usize = 1024;

/// A run for a held request.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) gate: GateKey,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) version: Arc<str>,
    pub(super) made: Timestamp,
    pub(super) cancelled: bool,
    /// Its place; its times count only if it was granted.
    pub(super) place: Place,
    pub(super) granted: bool,
    /// Whether the run is over, so that all else that the gate requires was evaluated.
    pub(super) evaluated: bool,
    pub(super) kind: Arc<str>,
}

/// A gate whose checks count starts.
pub(super) struct Counted {
    pub(super) gate: Arc<Gate>,
    /// The longest time that one of them wants between starts.
    pub(super) longest_wait: SignedDuration,
}

/// What is known of the runs of held requests.
pub(super) struct Ledger {
    replica: Arc<str>,
    runs: BTreeMap<RunKey, Held>,
    /// Runs with places that were deleted: they count until they end, and are remembered by who saw them.
    gone: BTreeMap<RunKey, Held>,
    /// Whether all runs were read.
    pub(super) read: bool,
    /// Since when this replica has seen what comes of grants.
    began: Option<Timestamp>,
    /// Of which grants the objects were seen, and when they last ran.
    witnessed: BTreeMap<RunKey, Timestamp>,
    /// Which version of a run a write replaces that gives its place back.
    returning: BTreeMap<RunKey, Arc<str>>,
}

impl Ledger {
    pub(super) fn new(replica: Arc<str>) -> Self {
        Self {
            replica,
            runs: BTreeMap::new(),
            gone: BTreeMap::new(),
            read: false,
            began: None,
            witnessed: BTreeMap::new(),
            returning: BTreeMap::new(),
        }
    }

    pub(super) fn runs(&self) -> &BTreeMap<RunKey, Held> {
        &self.runs
    }

    pub(super) fn take(&mut self, change: Change<PreflightRun>) {
        match change {
            Change::Listed(runs) => {
                let listed: BTreeSet<String> = runs.iter().filter_map(|run| run.metadata.uid.clone()).collect();
                let lost: Vec<RunKey> = self.runs.keys().filter(|key| !listed.contains(&***key)).cloned().collect();
                for key in lost {
                    self.forget(&key);
                }
                for run in runs {
                    self.insert(run);
                }
                self.read = true;
            }
            Change::Applied(run) => self.insert(run),
            Change::Deleted(run) => self.forget(&run.metadata.uid.unwrap_or_default().into()),
            Change::Unreadable { namespace, name, error } => {
                tracing::error!(namespace, name, error, "a PreflightRun cannot be read, and has no place");
            }
            Change::Failed { message, .. } => tracing::warn!(error = message, "the watch of PreflightRuns broke and begins again"),
        }
    }

    fn forget(&mut self, key: &RunKey) {
        if let Some(held) = self.runs.remove(key).filter(|held| held.granted && !held.place.withdrawn) {
            self.gone.insert(key.clone(), held);
        }
        while self.gone.len() > MAX_GONE {
            let oldest = self.gone.iter().min_by_key(|(_, held)| held.place.since).map(|(key, _)| key.clone());
            oldest.and_then(|key| self.gone.remove(&key));
        }
    }

    fn insert(&mut self, run: PreflightRun) {
        let Some(mut held) = read(run) else { return };
        if let Some(before) = self.runs.get(&held.place.run) {
            held.place.once = before.place.once.clone();
        }
        self.runs.insert(held.place.run.clone(), held);
    }

    /// Grants of this replica that were used, each told once: the run, and the object that was admitted.
    pub(super) fn used(&self) -> impl Iterator<Item = (&Held, &str)> {
        let own = self.runs.values().filter(|held| held.granted && held.place.replica == self.replica && held.place.once.tell());
        own.filter_map(|held| held.place.once.used_by().map(|uid| (held, uid)))
    }

    /// Grants of this replica that nobody used in time, each told once for a version of its run.
    pub(super) fn give_back(&mut self, times: Times) -> Vec<&Held> {
        let mut given = Vec::new();
        self.returning.retain(|run, _| self.runs.contains_key(run));
        for (key, held) in self.runs.iter().filter(|(_, held)| held.granted && held.place.replica == self.replica) {
            let place = &held.place;
            let told = self.returning.get(key) == Some(&held.version);
            if !told && place.used_by.is_none() && place.lapsed(times) && place.once.give_back() {
                self.returning.insert(key.clone(), held.version.clone());
                given.push(held);
            }
        }
        given
    }

    /// Forgets runs that are gone and tell nothing more.
    pub(super) fn tidy(&mut self, books: &Books, times: Times, now: Timestamp) {
        let needed =
            |key: &RunKey, held: &Held| books.get(&held.gate).is_some_and(|book| book.needs(key, held.place.used_by.as_deref(), now));
        self.gone.retain(|key, held| held.place.pending(times) || needed(key, held));
    }

    /// Whether a grant of this replica may be used at any moment.
    pub(super) fn awaits_use(&self, times: Times) -> bool {
        self.runs.values().any(|held| held.granted && held.place.replica == self.replica && held.place.pending(times))
    }

    /// Notes of which grants the objects are seen.
    pub(super) fn note(&mut self, book: &Book, now: Timestamp) {
        if self.read {
            self.began.get_or_insert(now);
        }
        for (place, object) in book.taken_places().filter(|(place, object)| place.used_by.as_ref() == Some(&object.uid)) {
            let last = self.witnessed.entry(place.run.clone()).or_insert(now);
            if object.life.runs() {
                *last = now;
            }
        }
        self.witnessed.retain(|run, _| self.runs.contains_key(run) || self.gone.contains_key(run));
    }

    /// What a run with a grant tells of a start that is seen no more. Of one that was granted before this replica saw what comes of it, it is
    /// not known that nothing did.
    fn past(&self, run: &Held, book: &Book) -> Option<PastStart> {
        let place = &run.place;
        if place.withdrawn {
            return None;
        }
        if book.taken_places().any(|(taken, _)| taken.run == place.run) {
            return None;
        }
        let witnessed = self.witnessed.get(&place.run).copied();
        let before = self.began.filter(|began| place.since < *began);
        let finished = witnessed.or(before).or_else(|| place.used_by.is_some().then_some(place.until))?;
        Some(PastStart { uid: place.run.clone(), requester: Some(place.requester.clone()), started: place.since, finished: Some(finished) })
    }

    /// What is known of the starts of a gate.
    pub(super) fn book(&self, counted: &Counted, kinds: &Kinds, namespaces: &HashMap<String, Labels>, now: Timestamp) -> Book {
        let gate = &counted.gate;
        let mut book = Book { replica: self.replica.clone(), longest_wait: counted.longest_wait, ..Book::default() };
        if !self.read {
            book.unread = Some("the operator has not read all PreflightRuns yet".into());
            return book;
        }
        let mut held = Vec::new();
        for resource in resources(gate) {
            match kinds.of(&resource, now) {
                Ok(entries) => held.extend(entries.filter(|entry| holds(gate, entry, namespaces))),
                Err(unread) => {
                    book.unread = Some(unread.into());
                    return book;
                }
            }
        }
        let own = || self.runs.values().chain(self.gone.values()).filter(|run| run.granted && run.gate == gate.key);
        // Of what was admitted once, and was seen, nothing more can come.
        let spent = |run: &Held| {
            let made = run.place.used_by.as_deref().filter(|_| self.witnessed.contains_key(&run.place.run));
            made.is_some_and(|made| run.place.subject.create && !held.iter().any(|entry| *entry.started.uid == *made))
        };
        book.places = own().filter(|run| !spent(run)).map(|run| run.place.clone()).collect();
        let uids: BTreeSet<&str> = held.iter().map(|entry| &*entry.started.uid).collect();
        let outside = held.iter().filter(|entry| !inside(entry, &uids, &held));
        book.objects = outside.map(|entry| known(entry, &book.places)).collect();
        let mut starts: Vec<PastStart> = own().filter_map(|run| self.past(run, &book)).collect();
        starts.sort_by_key(|start| std::cmp::Reverse(start.started));
        let forgotten = starts.get(MAX_PAST).map(|start| start.started);
        starts.truncate(MAX_PAST);
        book.past = Past { starts, forgotten };
        book
    }
}

/// The resources that a gate holds, without subresources.
pub(super) fn resources(gate: &Gate) -> BTreeSet<Resource> {
    let main = |resource: &Resource| {
        let plural = resource.resource.split('/').next().unwrap_or_default().to_owned();
        Resource { group: resource.group.clone(), resource: plural }
    };
    gate.rules.iter().map(|(resource, _)| main(resource)).collect()
}

/// Whether the gate is about an object. Its match conditions are not asked: they are about requests.
fn holds(gate: &Gate, entry: &Entry, namespaces: &HashMap<String, Labels>) -> bool {
    let namespace = entry.started.namespace.as_deref();
    let in_namespace = match (&gate.key.namespace, namespace) {
        (Some(own), namespace) => namespace == Some(own.as_str()),
        (None, None) => true,
        (None, Some(namespace)) => {
            gate.namespace_selector.as_ref().is_none_or(|selector| namespaces.get(namespace).is_none_or(|labels| selector.matches(labels)))
        }
    };
    in_namespace && gate.object_selector.as_ref().is_none_or(|selector| selector.matches(&entry.labels))
}

/// Whether an object is the inside of one that counts itself.
fn inside(entry: &Entry, uids: &BTreeSet<&str>, held: &[&Entry]) -> bool {
    let Some(owner) = &entry.owner else { return false };
    if uids.contains(owner.uid.as_str()) {
        // A schedule counts for nothing: its firings do.
        return held.iter().any(|parent| *parent.started.uid == *owner.uid && parent.started.life != Life::Idle);
    }
    let workflow = entry.labels.get("chaos-mesh.org/workflow").filter(|_| owner.kind == "WorkflowNode");
    workflow.is_some_and(|workflow| {
        held.iter().any(|parent| {
            let started = &parent.started;
            started.resource.resource == "workflows" && *started.name == **workflow && started.namespace == entry.started.namespace
        })
    })
}

/// The object, and who started it, as far as a run says.
fn known(entry: &Entry, places: &[Place]) -> Arc<Started> {
    let started = &entry.started;
    let its = places.iter().filter(|place| match (&place.subject.name, &place.used_by) {
        (Some(name), _) => {
            *name == started.name && place.subject.namespace == started.namespace && place.subject.resource == started.resource
        }
        (None, used_by) => used_by.as_ref() == Some(&started.uid),
    });
    match its.max_by_key(|place| place.since) {
        Some(place) => {
            let mut of = Started::clone(started);
            of.requester = Some(place.requester.clone());
            // An update starts what was made earlier.
            if !place.subject.create {
                of.since = of.since.max(place.since);
            }
            Arc::new(of)
        }
        None => started.clone(),
    }
}

/// A run for a held request; `None` for others, which nobody but the operator can make look like one.
fn read(run: PreflightRun) -> Option<Held> {
    let (namespace, name) = (run.namespace()?, run.name_any());
    let (gate, start) = (run.spec.gate_ref?, run.spec.start?);
    let (_, digest) = name.rsplit_once("-held-")?;
    let in_namespace: Option<Arc<str>> = start.namespace.as_deref().map(Into::into);
    let status = run.status.unwrap_or_default();
    let times = |grant: &RunGrant| (grant.since.0, grant.expires.0);
    let (since, until) = status.grant.as_ref().map_or((Timestamp::MIN, Timestamp::MIN), times);
    let aim = start.spec.map(|spec| Aim {
        group: start.group.as_str().into(),
        kind: start.kind.as_str().into(),
        namespace: in_namespace.clone(),
        object: json!({ "metadata": { "namespace": start.namespace, "name": start.name }, "spec": spec }),
    });
    Some(Held {
        gate: GateKey { namespace: (gate.kind == GateKind::ExperimentGate).then(|| namespace.clone()), name: gate.name },
        version: run.metadata.resource_version.unwrap_or_default().into(),
        made: run.metadata.creation_timestamp.map_or(Timestamp::MIN, |time| time.0),
        cancelled: run.spec.cancel,
        evaluated: status.completion_time.is_some(),
        kind: start.kind.as_str().into(),
        place: Place {
            run: run.metadata.uid.unwrap_or_default().into(),
            digest: digest.into(),
            subject: Subject {
                resource: Arc::new(Resource { group: start.group, resource: start.resource }),
                namespace: in_namespace,
                name: start.name.as_deref().map(Into::into),
                create: start.create,
            },
            requester: run.spec.requested_by.unwrap_or_default().into(),
            aim: aim.map(Arc::new),
            replica: run.spec.replica.unwrap_or_default().into(),
            since,
            until,
            used_by: status.grant.as_ref().and_then(|grant| grant.used_by.as_deref().map(Arc::from)),
            withdrawn: status.withdrawn,
            once: UseOnce::default(),
        },
        granted: status.grant.is_some(),
        namespace,
        name,
    })
}
