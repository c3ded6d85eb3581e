//! The gates and what is remembered of each. Takes in what happened, says which statuses to write.

use crate::api::conditions::{OPEN, get};
use crate::api::{ClusterExperimentGate, DecisionCounters, ExperimentGate, GateStatus};
use crate::cluster::watch::Change;
use crate::core::gate::{CauseKind, CheckFacts, Gate, GateKey, judge};
use crate::core::gate_status::{View, diff};
use crate::core::problem::Problem;
use crate::core::records::{Ledger, Record};
use crate::core::registration::{Registered, pushed_field};
use crate::core::validate;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How often counters and recent decisions are written at most. Openness is written at once.
const LEDGER_PAUSE: SignedDuration = SignedDuration::from_secs(1);
/// How long a status that was sent is taken for written although another one was seen since: that may be an earlier one.
const CONTRADICTED_PATIENCE: SignedDuration = SignedDuration::from_secs(5);
/// How long it is taken for written although nothing was seen since.
const SILENT_PATIENCE: SignedDuration = SignedDuration::from_mins(2);
/// How long after a start checks are first evaluated and gates registered.
const SETTLING: SignedDuration = SignedDuration::from_secs(1);

/// All gates.
#[derive(Debug, Default)]
pub struct Board {
    gates: BTreeMap<GateKey, Entry>,
    /// Gates that could not be read since the last full list of their kind.
    unreadable: BTreeSet<GateKey>,
    /// Until when, after a start, what is not known yet is left as it is written.
    settling_until: Option<Timestamp>,
    namespaced_complete: bool,
    cluster_complete: bool,
}

#[derive(Debug)]
struct Entry {
    gate: Arc<Gate>,
    found: Vec<Problem>,
    seen: Option<GateStatus>,
    sent: Option<(GateStatus, Timestamp)>,
    /// Whether that could not be written.
    unwritten: bool,
    /// Whether another status was seen since it was sent.
    contradicted: bool,
    ledger: Ledger,
    /// When counters were last sent.
    ledger_sent: Option<Timestamp>,
    /// Whether it was open, as last told.
    open: Option<bool>,
}

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
    /// Statuses to write.
    pub writes: Vec<(GateKey, GateStatus)>,
    /// Transitions to tell of.
    pub turned: Vec<Turned>,
    /// When to look again although nothing happens.
    pub again: Option<Timestamp>,
}

impl Board {
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
        let parse = |object: ExperimentGate| (validate::experiment_gate(&object), object.status);
        self.namespaced_complete |= matches!(change, Change::Listed(_));
        self.take(change, false, parse)
    }

    /// Likewise.
    pub fn take_cluster(&mut self, change: Change<ClusterExperimentGate>) -> bool {
        let parse = |object: ClusterExperimentGate| (validate::cluster_experiment_gate(&object), object.status);
        self.cluster_complete |= matches!(change, Change::Listed(_));
        self.take(change, true, parse)
    }

    fn take<K>(&mut self, change: Change<K>, cluster: bool, parse: impl Fn(K) -> (Gate, Option<GateStatus>)) -> bool {
        match change {
            Change::Applied(object) => {
                let (gate, status) = parse(object);
                self.upsert(gate, status)
            }
            Change::Deleted(object) => self.gates.remove(&parse(object).0.key).is_some(),
            Change::Listed(objects) => {
                let parsed: Vec<_> = objects.into_iter().map(parse).collect();
                let listed: BTreeSet<GateKey> = parsed.iter().map(|(g, _)| g.key.clone()).collect();
                let of_kind = |key: &GateKey| key.namespace.is_none() == cluster;
                let unreadable: BTreeSet<GateKey> = self.unreadable.extract_if(.., |key| of_kind(key)).collect();
                self.gates.retain(|key, _| !of_kind(key) || listed.contains(key) || unreadable.contains(key));
                for (gate, status) in parsed {
                    self.upsert(gate, status);
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

    fn upsert(&mut self, gate: Gate, status: Option<GateStatus>) -> bool {
        match self.gates.get_mut(&gate.key) {
            Some(entry) if entry.gate.uid == gate.uid => {
                let changed = entry.gate.generation != gate.generation;
                if changed {
                    entry.gate = Arc::new(gate);
                    entry.found.clear();
                }
                entry.seen = status;
                entry.contradicted = entry.sent.as_ref().is_some_and(|(sent, _)| entry.seen.as_ref() != Some(sent));
                if !entry.contradicted {
                    entry.sent = None;
                }
                changed
            }
            _ => {
                let old = status.clone().unwrap_or_default();
                let ledger = Ledger { recent: old.recent_decisions.into(), counters: old.counters };
                let entry = Entry {
                    gate: Arc::new(gate),
                    found: Vec::new(),
                    seen: status,
                    sent: None,
                    unwritten: false,
                    contradicted: false,
                    ledger,
                    ledger_sent: None,
                    open: None,
                };
                self.gates.insert(entry.gate.key.clone(), entry);
                true
            }
        }
    }

    /// What the API server alone could know to be wrong with a gate.
    pub fn found(&mut self, key: &GateKey, problems: Vec<Problem>) {
        if let Some(entry) = self.gates.get_mut(key) {
            entry.found = problems;
        }
    }

    /// A decision was made.
    pub fn record(&mut self, record: &Record) {
        for judgement in &record.decision.judgements {
            if let Some(entry) = self.gates.get_mut(&judgement.gate) {
                entry.ledger.enter(record, &judgement.gate);
            }
        }
    }

    /// A status could not be written. It is written again after a pause.
    pub fn unwritten(&mut self, key: &GateKey) {
        if let Some(entry) = self.gates.get_mut(key) {
            entry.unwritten = true;
        }
    }

    /// Looks at all gates: which statuses to write, what to tell, when to look again.
    pub fn look(&mut self, facts: &dyn CheckFacts, registered: &Registered, now: Timestamp) -> Output {
        let mut output = Output::default();
        if !facts.complete() {
            return output;
        }
        let settling_until = *self.settling_until.get_or_insert_with(|| now.checked_add(SETTLING).unwrap_or(now));
        for (key, entry) in &mut self.gates {
            entry.look(key, facts, registered, (now, settling_until), &mut output);
        }
        output
    }
}

impl Entry {
    fn look(
        &mut self,
        key: &GateKey,
        facts: &dyn CheckFacts,
        registered: &Registered,
        (now, settling_until): (Timestamp, Timestamp),
        output: &mut Output,
    ) {
        let patience = match (self.unwritten, self.contradicted) {
            (true, _) => LEDGER_PAUSE,
            (false, true) => CONTRADICTED_PATIENCE,
            (false, false) => SILENT_PATIENCE,
        };
        if self.sent.as_ref().is_some_and(|(_, at)| now.duration_since(*at).abs() >= patience) {
            self.sent = None;
            self.unwritten = false;
        }
        let judgement = judge(&self.gate, key.namespace.as_deref(), None, facts, now);
        let mut found = self.found.clone();
        if let Some(message) = registered.refused.get(key) {
            let field = pushed_field(&self.gate).unwrap_or("spec.match");
            found.push(Problem::new(field, format!("the API server does not accept the CEL: {message}")));
        }
        let is_registered = match registered.gates.get(key) {
            Some(generation) if *generation == self.gate.generation => Ok(()),
            _ => Err(registered.error.clone().unwrap_or_else(|| "the gate is being registered with the API server".to_owned())),
        };
        // After a start, checks are first evaluated and the gates registered again. That is no news of a gate whose status is at hand.
        let unsettled = is_registered.is_err() || judgement.causes.iter().any(|c| c.kind == CauseKind::Unknown);
        let known = self.seen.as_ref().is_some_and(|s| s.observed_generation == self.gate.generation);
        if unsettled && known && now < settling_until {
            output.look_again(Some(settling_until));
            return;
        }
        let view = View { gate: &self.gate, found: &found, judgement: &judgement, registered: is_registered, ledger: &self.ledger };
        let written = self.sent.as_ref().map(|(sent, _)| sent).or(self.seen.as_ref());
        let Some(status) = diff(written, &view, now) else {
            // What was sent and is not seen until then may have been lost.
            output.look_again(self.sent.as_ref().and_then(|(_, at)| at.checked_add(patience).ok()));
            return;
        };
        let only_ledger = written.is_some_and(|w| same_but_ledger(w, &status));
        let next = self.ledger_sent.and_then(|t| t.checked_add(LEDGER_PAUSE).ok());
        if let Some(next) = next.filter(|next| only_ledger && now < *next) {
            output.look_again(Some(next));
            return;
        }
        self.tell(key, &status, output);
        self.ledger_sent = Some(now);
        self.unwritten = false;
        self.contradicted = false;
        output.look_again(now.checked_add(SILENT_PATIENCE).ok());
        self.sent = Some((status.clone(), now));
        output.writes.push((key.clone(), status));
    }

    /// Tells of a transition. What was told before a restart is in the status. A gate that depends on the request is neither open nor closed.
    fn tell(&mut self, key: &GateKey, status: &GateStatus, output: &mut Output) {
        let was = self.open.or_else(|| self.seen.as_ref().and_then(openness).map(|(open, _)| open));
        let Some((open, message)) = openness(status) else { return };
        self.open = Some(open);
        if was.map_or(!open, |was| was != open) {
            let gate = Arc::new(GateIdentity { key: key.clone(), uid: self.gate.uid.clone() });
            output.turned.push(Turned { gate, open, message });
        }
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

fn same_but_ledger(a: &GateStatus, b: &GateStatus) -> bool {
    let plain = |s: &GateStatus| GateStatus { recent_decisions: Vec::new(), counters: DecisionCounters::default(), ..s.clone() };
    plain(a) == plain(b)
}

#[cfg(test)]
mod tests;
