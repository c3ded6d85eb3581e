//! The gates and what is remembered of each. Takes in what happened, says what to write of which status, and what to tell.
//!
//! Every replica adds the decisions that it made. Only the leader says how a gate stands, and tells of transitions: of one that was written, when it was.

mod stored;

pub use self::stored::{Change as StatusChange, Ended, Pace};
use self::stored::{Pen, Stored};
use crate::api::conditions::{OPEN, get};
use crate::api::{ClusterExperimentGate, ExperimentGate, GateStatus};
use crate::cluster::watch::Change;
use crate::core::during_run::{Stalled, stalls};
use crate::core::gate::{CauseKind, CheckFacts, Gate, GateKey, judge};
use crate::core::gate_status::{View, judged};
use crate::core::presets::Catalog;
use crate::core::problem::Problem;
use crate::core::records::Record;
use crate::core::registration::{Registered, pushed_field};
use crate::core::validate;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How long after a replica began to lead what it does not know yet is left as it is written: checks are first evaluated, and gates registered.
const SETTLING: SignedDuration = SignedDuration::from_secs(1);

/// All gates.
#[derive(Debug)]
pub struct Board {
    /// Names this process in what it writes.
    replica: String,
    /// What presets are here.
    catalog: Arc<Catalog>,
    gates: BTreeMap<GateKey, Entry>,
    /// Gates that could not be read since the last full list of their kind.
    unreadable: BTreeSet<GateKey>,
    /// The leadership of this replica, and until when it settles.
    leads: Option<(i64, Timestamp)>,
    /// Transitions that were written and are to be told.
    turned: Vec<Turned>,
    /// The number of the last change that was handed out.
    number: u64,
    namespaced_complete: bool,
    cluster_complete: bool,
}

#[derive(Debug)]
struct Entry {
    gate: Arc<Gate>,
    /// What the API server alone could know, once it was asked.
    found: Option<Found>,
    stored: Stored,
    /// Refusals whose owners were handed out to be touched: uid and time.
    handed_out: BTreeSet<(String, Timestamp)>,
}

/// What the API server alone could know of a gate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What is worth knowing although nothing is wrong.
    pub notes: Vec<String>,
}

/// What a leader judges by.
#[derive(Clone, Copy)]
pub struct Leader<'a> {
    /// The number of its leadership.
    pub term: i64,
    /// What is known of checks.
    pub facts: &'a dyn CheckFacts,
    /// What is registered.
    pub registered: &'a Registered,
}

/// A gate that opened, and what it had refused of others, with when.
pub type Reopened = (Arc<Gate>, Vec<(Stalled, Timestamp)>);

/// A gate opened or closed.
#[derive(Clone, Debug, PartialEq)]
pub struct Turned {
    /// Which.
    pub gate: Arc<GateIdentity>,
    /// Whether it is open now.
    pub open: bool,
    /// One line.
    pub message: String,
}

/// What an Event about a gate needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateIdentity {
    /// Which gate.
    pub key: GateKey,
    /// Its uid.
    pub uid: String,
}

/// What to do.
#[derive(Debug, Default)]
pub struct Output {
    /// What to write of which status.
    pub writes: Vec<(GateKey, StatusChange)>,
    /// Transitions to tell of.
    pub turned: Vec<Turned>,
    /// Gates that are open and had refused what belongs to another: the owners that do not try again by themselves, and when they were refused.
    pub opened: Vec<Reopened>,
    /// When to look again although nothing happens.
    pub again: Option<Timestamp>,
}

impl Board {
    /// No gates yet. The name is this process's own.
    pub fn new(replica: String, catalog: Arc<Catalog>) -> Self {
        Self {
            replica,
            catalog,
            gates: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            leads: None,
            turned: Vec::new(),
            number: 0,
            namespaced_complete: false,
            cluster_complete: false,
        }
    }

    /// Whether all gates of the cluster are known.
    pub fn complete(&self) -> bool {
        self.namespaced_complete && self.cluster_complete
    }

    /// The gates.
    pub fn gates(&self) -> Vec<Arc<Gate>> {
        self.gates.values().map(|e| e.gate.clone()).collect()
    }

    /// Takes in a change. Returns whether the set of gates or one of their specs changed.
    pub fn take_namespaced(&mut self, change: Change<ExperimentGate>) -> bool {
        let catalog = self.catalog.clone();
        let parse = |object: ExperimentGate| {
            Read::new(validate::experiment_gate_in(&object, &catalog), object.metadata.resource_version, object.status)
        };
        self.namespaced_complete |= matches!(change, Change::Listed(_));
        self.take(change, false, parse)
    }

    /// Likewise.
    pub fn take_cluster(&mut self, change: Change<ClusterExperimentGate>) -> bool {
        let catalog = self.catalog.clone();
        let parse = |object: ClusterExperimentGate| {
            Read::new(validate::cluster_experiment_gate_in(&object, &catalog), object.metadata.resource_version, object.status)
        };
        self.cluster_complete |= matches!(change, Change::Listed(_));
        self.take(change, true, parse)
    }

    fn take<K>(&mut self, change: Change<K>, cluster: bool, parse: impl Fn(K) -> Read) -> bool {
        match change {
            Change::Applied(object) => self.upsert(parse(object), false),
            Change::Deleted(object) => self.gates.remove(&parse(object).gate.key).is_some(),
            Change::Listed(objects) => {
                let parsed: Vec<_> = objects.into_iter().map(parse).collect();
                let listed: BTreeSet<GateKey> = parsed.iter().map(|read| read.gate.key.clone()).collect();
                let of_kind = |key: &GateKey| key.namespace.is_none() == cluster;
                let unreadable: BTreeSet<GateKey> = self.unreadable.extract_if(.., |key| of_kind(key)).collect();
                self.gates.retain(|key, _| !of_kind(key) || listed.contains(key) || unreadable.contains(key));
                for read in parsed {
                    self.upsert(read, true);
                }
                true
            }
            // The gate as it was last read stays: a gate must not open because it became unreadable.
            Change::Unreadable { namespace, name, error } => {
                tracing::error!(namespace, name, error, "a gate cannot be read; as it was last read it stays");
                self.unreadable.insert(GateKey { namespace, name });
                false
            }
            Change::Failed { message, .. } => {
                tracing::warn!(error = message, "a watch of gates broke and begins again");
                false
            }
        }
    }

    /// A list is believed even if it seems to be older than what is known: versions may begin anew.
    fn upsert(&mut self, read: Read, listed: bool) -> bool {
        let Read { gate, version, status } = read;
        match self.gates.get_mut(&gate.key) {
            Some(entry) if entry.gate.uid == gate.uid => {
                if entry.stored.knows(&version) && !listed {
                    return false;
                }
                let changed = entry.gate.generation != gate.generation;
                if changed {
                    entry.gate = Arc::new(gate);
                    entry.found = None;
                }
                self.turned.extend(entry.stored.see(version, status));
                changed
            }
            _ => {
                let entry = Entry { gate: Arc::new(gate), found: None, stored: Stored::new(version, status), handed_out: BTreeSet::new() };
                self.gates.insert(entry.gate.key.clone(), entry);
                true
            }
        }
    }

    /// What the API server alone could know of a gate.
    pub fn found(&mut self, key: &GateKey, found: Found) {
        if let Some(entry) = self.gates.get_mut(key) {
            entry.found = Some(found);
        }
    }

    /// A decision was made.
    pub fn record(&mut self, record: &Record) {
        for judgement in &record.decision.judgements {
            // A gate that was made anew begins anew.
            if let Some(entry) = self.gates.get_mut(&judgement.gate).filter(|entry| entry.gate.uid == judgement.uid) {
                entry.stored.pending.enter(record, &judgement.gate);
            }
        }
    }

    /// A write ended.
    pub fn ended(&mut self, key: &GateKey, number: u64, ended: Ended, now: Timestamp) {
        if let Some(entry) = self.gates.get_mut(key) {
            self.turned.extend(entry.stored.ended(number, ended, now));
        }
    }

    /// Whether every decision is stored.
    pub fn settled(&self) -> bool {
        self.gates.values().all(|entry| entry.stored.settled())
    }

    /// Looks at all gates: what to write, what to tell, when to look again.
    pub fn look(&mut self, leader: Option<Leader<'_>>, pace: Pace) -> Output {
        let mut output = Output { turned: std::mem::take(&mut self.turned), ..Output::default() };
        let leader = leader.filter(|leader| leader.facts.complete());
        let since = self.leads;
        self.leads = leader.map(|leader| match since {
            Some((term, until)) if term == leader.term => (term, until),
            _ => (leader.term, pace.now.checked_add(SETTLING).unwrap_or(pace.now)),
        });
        for (key, entry) in &mut self.gates {
            let said = match (leader, self.leads) {
                (Some(leader), Some((_, settling_until))) => entry.judge(key, leader, (pace.now, settling_until)),
                _ => Ok(None),
            };
            let said = said.unwrap_or_else(|until| {
                output.look_again(Some(until));
                None
            });
            match self.leads {
                Some(_) => output.opened.extend(entry.opened(pace.now)),
                None => entry.handed_out.clear(),
            }
            match entry.stored.next(said, &mut Pen { replica: &self.replica, number: &mut self.number, pace }) {
                Ok(change) => output.writes.push((key.clone(), change)),
                Err(again) => output.look_again(again),
            }
        }
        output
    }
}

/// A gate as it was read.
struct Read {
    gate: Gate,
    version: String,
    status: Option<GateStatus>,
}

impl Read {
    fn new(gate: Gate, version: Option<String>, status: Option<GateStatus>) -> Self {
        Self { gate, version: version.unwrap_or_default(), status }
    }
}

/// How long ago a refusal may be for its owner to be touched when the gate opens; to try again after that would surprise.
const REFUSED_LATELY: SignedDuration = SignedDuration::from_hours(24);

type Said = Option<(GateStatus, Option<Turned>)>;

impl Entry {
    /// If the gate is open: the owners of what it refused that do not try again by themselves, each once for a refusal.
    fn opened(&mut self, now: Timestamp) -> Option<Reopened> {
        let status = self.stored.status()?;
        let refused =
            |uid: &str, time: Timestamp| status.recent_denials.iter().any(|denial| denial.owner.uid == uid && denial.time.0 == time);
        self.handed_out.retain(|(uid, time)| refused(uid, *time));
        let since = get(&status.conditions, OPEN).filter(|open| open.status == "True")?.last_transition_time.0;
        let mut stalled = Vec::new();
        for denial in &status.recent_denials {
            let (owner, time) = (&denial.owner, denial.time.0);
            // What was refused while the gate was open was refused for a reason of its own.
            let due = time <= since && now.duration_since(time) < REFUSED_LATELY && stalls(&owner.api_version, &owner.kind).is_some();
            if due && self.handed_out.insert((owner.uid.clone(), time)) {
                let crate::api::DeniedOwner { api_version, kind, namespace, name, uid } = owner.clone();
                stalled.push((Stalled { namespace, api_version, kind, name, uid }, time));
            }
        }
        (!stalled.is_empty()).then(|| (self.gate.clone(), stalled))
    }

    /// What the leader says of the gate, and whether that is a transition. An error is when to ask again: until then what is written stands.
    fn judge(&self, key: &GateKey, leader: Leader<'_>, (now, settling_until): (Timestamp, Timestamp)) -> Result<Said, Timestamp> {
        let judgement = judge(&self.gate, key.namespace.as_deref(), None, leader.facts, now);
        let Found { problems: mut found, mut notes } = self.found.clone().unwrap_or_default();
        notes.extend(leader.registered.notes.get(key).cloned());
        if let Some(message) = leader.registered.refused.get(key) {
            let field = pushed_field(&self.gate).unwrap_or("spec.match");
            found.push(Problem::new(field, format!("the API server does not accept the CEL: {message}")));
        }
        let registered = match leader.registered.gates.get(key) {
            Some(generation) if *generation == self.gate.generation => Ok(()),
            _ => Err(leader.registered.error.clone().unwrap_or_else(|| "the gate is being registered with the API server".to_owned())),
        };
        // After a start, checks are first evaluated and the gates registered again. That is no news of a gate whose status is at hand.
        let unknown = judgement.causes.iter().any(|c| c.kind == CauseKind::Unknown);
        let unsettled = registered.is_err() || unknown || self.found.is_none();
        let known = self.stored.status().is_some_and(|s| s.observed_generation == self.gate.generation);
        if unsettled && known && now < settling_until {
            return Err(settling_until);
        }
        let view = View { gate: &self.gate, found: &found, notes: &notes, judgement: &judgement, registered };
        let status = judged(self.stored.status(), &view, now);
        let turned = self.turned(key, &status);
        Ok(Some((status, turned)))
    }

    /// The transition that a status would be. A gate that depends on the request is neither open nor closed.
    fn turned(&self, key: &GateKey, status: &GateStatus) -> Option<Turned> {
        let was = self.stored.status().and_then(openness).map(|(open, _)| open);
        let (open, message) = openness(status)?;
        let gate = || Arc::new(GateIdentity { key: key.clone(), uid: self.gate.uid.clone() });
        was.map_or(!open, |was| was != open).then(|| Turned { gate: gate(), open, message })
    }
}

impl Output {
    fn look_again(&mut self, at: Option<Timestamp>) {
        self.again = [self.again, at].into_iter().flatten().min();
    }
}

/// Whether a status says open or closed, and why.
fn openness(status: &GateStatus) -> Option<(bool, String)> {
    let condition = get(&status.conditions, OPEN)?;
    let open = match condition.status.as_str() {
        "True" => true,
        "False" => false,
        _ => return None,
    };
    Some((open, condition.message.clone()))
}

#[cfg(test)]
mod tests;
