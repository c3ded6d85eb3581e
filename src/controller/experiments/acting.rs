//! Writes on experiments: one at a time for each, a bounded number at once, tried again after a pause that grows.

use super::telling::{self, FAILED, NOT_STOPPED};
use crate::cluster::apply::ObjectRef;
use crate::cluster::client::CallError;
use crate::cluster::discovery::Served;
use crate::cluster::events::Events;
use crate::cluster::fields;
use crate::core::during_run::{Act, Done, Experiment, Step};
use crate::core::gate::{Gate, GateKey, Resource};
use crate::core::text::single_line;
use crate::telemetry::metrics::Metrics;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use std::collections::{HashMap, HashSet};

/// Who writes what stops an experiment.
pub(super) const MANAGER: &str = "holdpoint-during-run";
/// How many are written at once.
const WRITES: usize = 8;
/// The pause before the second try; it doubles.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(1);
/// The longest pause, also between two tries of what is forbidden.
const LAST_PAUSE: SignedDuration = SignedDuration::from_secs(30);

/// A write that ended.
pub(super) struct Ended {
    uid: String,
    gate: ObjectReference,
    key: GateKey,
    experiment: ObjectReference,
    resource: Resource,
    act: Act,
    began: Timestamp,
    result: Result<(), CallError>,
}

/// What was done, is being done, and is to be done later.
pub(super) struct Acting {
    client: Client,
    events: Events,
    metrics: Metrics,
    writes: FuturesUnordered<BoxFuture<'static, Ended>>,
    under_way: HashSet<String>,
    /// When something was done to an object.
    done: HashMap<String, Timestamp>,
    /// When something was told of an object, by which gate.
    told: HashMap<String, HashMap<GateKey, Timestamp>>,
    /// Objects of which a write failed.
    failed: HashMap<String, Failed>,
}

struct Failed {
    again: Timestamp,
    pause: SignedDuration,
    told: bool,
}

impl Acting {
    pub(super) fn new(client: Client, events: Events, metrics: Metrics) -> Self {
        Self {
            client,
            events,
            metrics,
            writes: FuturesUnordered::new(),
            under_way: HashSet::new(),
            done: HashMap::new(),
            told: HashMap::new(),
            failed: HashMap::new(),
        }
    }

    /// Whether an object is to be left alone now; otherwise, when a gate last did or told something of it.
    pub(super) fn last(&self, uid: &str, gate: &GateKey, now: Timestamp) -> Result<Option<Timestamp>, ()> {
        let waits = self.failed.get(uid).is_some_and(|failed| failed.again > now);
        if waits || self.under_way.contains(uid) || self.writes.len() >= WRITES {
            return Err(());
        }
        let told = self.told.get(uid).and_then(|gates| gates.get(gate)).copied();
        Ok(self.done.get(uid).copied().max(told))
    }

    /// When something is to be tried again.
    pub(super) fn again(&self) -> Option<Timestamp> {
        self.failed.values().map(|failed| failed.again).min()
    }

    /// Does, or tells.
    pub(super) fn step(&mut self, gate: &Gate, (served, experiment): (&Served, &Experiment), step: Step, now: Timestamp) {
        let uid = experiment.text("/metadata/uid").to_owned();
        let (gate_reference, reference) = (telling::gate_reference(gate), telling::experiment_reference(experiment));
        match step {
            Step::Tell { note, check } => {
                tracing::info!(gate = %gate.key, gate_namespace = gate.key.namespace, check, message = note, "an experiment goes on");
                self.publish(&gate_reference, &reference, NOT_STOPPED, &note);
                self.metrics.intervened(&named(&gate.key), "None", "told");
                self.told.entry(uid).or_default().insert(gate.key.clone(), now);
            }
            Step::Act(act) => {
                let object = ObjectRef {
                    resource: served.resource.clone(),
                    namespace: experiment.namespace().map(str::to_owned),
                    name: experiment.text("/metadata/name").to_owned(),
                };
                self.under_way.insert(uid.clone());
                let (client, key, resource) = (self.client.clone(), gate.key.clone(), experiment.resource.clone());
                let write = async move {
                    let result = match &act.apply {
                        Some(apply) => fields::apply(&client, &object, MANAGER, apply).await.map(drop),
                        None => fields::delete(&client, &object, &uid).await,
                    };
                    Ended { uid, gate: gate_reference, key, experiment: reference, resource, act, began: now, result }
                };
                self.writes.push(write.boxed());
            }
        }
    }

    /// The next write that ended; for ever, if none is under way.
    pub(super) async fn ended(&mut self) -> Ended {
        match self.writes.next().await {
            Some(ended) => ended,
            None => std::future::pending().await,
        }
    }

    /// Takes in how a write ended.
    pub(super) fn take(&mut self, ended: Ended, now: Timestamp) {
        let Ended { uid, gate, key, experiment, resource, act, began, result } = ended;
        self.under_way.remove(&uid);
        let error = match result {
            Ok(()) => {
                tracing::info!(gate = %key, gate_namespace = key.namespace, action = act.done.word(), message = act.note, "an experiment was changed");
                self.publish(&gate, &experiment, act.done.reason(), &act.note);
                self.metrics.intervened(&named(&key), act.done.word(), "done");
                self.failed.remove(&uid);
                // What was resumed may be paused again in the next episode; what was stopped, not in the same.
                self.done.insert(uid, began);
                return;
            }
            Err(error) => error,
        };
        // Gone, or another object by the same name: nothing is left to be done. Of what was to resume, somebody changed something meanwhile.
        let gone = error.is_not_found();
        if gone || error.is_conflict() {
            let pause = if gone { LAST_PAUSE } else { FIRST_PAUSE };
            let told = self.failed.get(&uid).is_some_and(|failed| failed.told);
            self.failed.insert(uid, Failed { again: now.checked_add(pause).unwrap_or(now), pause: FIRST_PAUSE, told });
            return;
        }
        self.metrics.intervened(&named(&key), act.done.word(), "failed");
        let before = self.failed.get(&uid);
        let pause = before.map_or(FIRST_PAUSE, |failed| failed.pause.saturating_mul(2).min(LAST_PAUSE));
        let told = before.is_some_and(|failed| failed.told);
        self.failed.insert(uid, Failed { again: now.checked_add(pause).unwrap_or(now), pause, told: true });
        if !told {
            let note = failure(&error, &resource, &act);
            tracing::warn!(gate = %key, gate_namespace = key.namespace, message = note, "an experiment could not be changed");
            self.publish(&gate, &experiment, FAILED, &note);
        }
    }

    /// Forgets what is not there any more.
    pub(super) fn retain(&mut self, there: &HashSet<&str>) {
        self.done.retain(|uid, _| there.contains(uid.as_str()));
        self.told.retain(|uid, _| there.contains(uid.as_str()));
        self.failed.retain(|uid, _| there.contains(uid.as_str()));
    }

    fn publish(&self, gate: &ObjectReference, experiment: &ObjectReference, reason: &'static str, note: &str) {
        for happening in telling::both(gate, experiment, reason, note) {
            self.events.publish(happening);
        }
    }
}

/// What could not be done, why, and, for want of a right, the commands that give it.
fn failure(error: &CallError, resource: &Resource, act: &Act) -> String {
    let intent = match act.done {
        Done::Paused => "pause",
        Done::Stopped => "stop",
        Done::Deleted => "delete",
        Done::Resumed => "resume",
    };
    let delete = act.done == Done::Deleted;
    let verb = if delete { "delete" } else { "patch" };
    if lacks_right(error, verb) {
        let name = format!("{}.{}", resource.resource, resource.group);
        return format!("cannot {intent} it: the operator may not {verb} {name}; {}", telling::grant(resource, delete));
    }
    single_line(&format!("cannot {intent} it, tried again: {error} ({})", act.note), 900)
}

/// Whether it is the operator's own right that is missing, and not a webhook that refuses.
pub(super) fn lacks_right(error: &CallError, verb: &str) -> bool {
    error.is_forbidden() && error.status().is_some_and(|status| status.message.contains(&format!("cannot {verb} resource")))
}

/// A gate as metrics name it.
fn named(key: &GateKey) -> String {
    key.namespace.as_ref().map_or_else(|| key.name.clone(), |namespace| format!("{namespace}/{}", key.name))
}
