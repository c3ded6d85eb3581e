//! The shell: leads, looks, acts.

use super::acting::Acting;
use super::kinds::Kinds;
use super::nudging::{Nudging, Opened};
use super::telling;
use crate::api::OnFailing;
use crate::clock;
use crate::cluster::contact::Contact;
use crate::cluster::events::Events;
use crate::cluster::lease::{Leadership, Role};
use crate::cluster::snapshot::{Facts, Snapshot};
use crate::core::during_run::{self, MARK, Survey, Tool, survey};
use crate::core::gate::{Gate, Resource};
use crate::telemetry::metrics::Metrics;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;

/// How many changes of watched objects may wait.
const QUEUE: usize = 1024;
/// How long changes are collected before they are looked at: a burst costs one look.
const COLLECT: Duration = Duration::from_millis(10);
/// How often it is looked although nothing is new.
const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(5);

/// What the controller works with.
pub struct ExperimentController {
    /// The API server.
    pub client: Client,
    /// Proof that it is there.
    pub contact: Contact,
    /// Gates, checks and namespaces.
    pub snapshot: Snapshot,
    /// Where is told what was done.
    pub events: Events,
    /// Counts.
    pub metrics: Metrics,
    /// Whether this replica leads.
    pub role: watch::Receiver<Role>,
    /// Tells whenever gates were looked at: something about them or their checks may be new.
    pub looked: Arc<Notify>,
    /// Gates that opened after they had refused children.
    pub opened: mpsc::Receiver<Opened>,
    /// The operator's own namespace, in which nothing is held.
    pub namespace: String,
}

/// Runs until shutdown. Of one leadership nothing is left in the next: what was done is on the objects.
pub async fn run(mut context: ExperimentController, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        let leadership = context.role.borrow_and_update().leadership().cloned();
        if let Some(leadership) = leadership {
            lead(&mut context, &leadership, &shutdown).await;
            continue;
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = context.role.changed() => if changed.is_err() {
                return shutdown.cancelled().await;
            },
            // Another leader is told by its own gates.
            Some(_) = context.opened.recv() => {}
        }
    }
}

/// One leadership.
struct Session<'a> {
    snapshot: &'a Snapshot,
    events: &'a Events,
    leadership: &'a Leadership,
    namespace: &'a str,
    kinds: Kinds,
    acting: Acting,
    nudging: Nudging,
    /// Gates that were told that the operator may not watch a kind.
    blind: BTreeSet<(Resource, String)>,
}

async fn lead(context: &mut ExperimentController, leadership: &Leadership, shutdown: &CancellationToken) {
    let (said_in, mut said) = mpsc::channel(QUEUE);
    let ExperimentController { client, contact, snapshot, events, metrics, role, looked, opened, namespace } = context;
    let mut session = Session {
        snapshot,
        events,
        leadership,
        namespace,
        kinds: Kinds::new(client.clone(), contact.clone(), said_in),
        acting: Acting::new(client.clone(), events.clone(), metrics.clone()),
        nudging: Nudging::new(client.clone(), events.clone()),
        blind: BTreeSet::new(),
    };
    let mut again = Some(clock::now());
    while leadership.holds() {
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = role.changed() => if changed.is_err() || !leadership.holds() {
                return;
            },
            () = clock::wake(again) => {}
            () = looked.notified() => {}
            Some(one) = said.recv() => session.said(one),
            answer = session.kinds.answered() => session.kinds.answer(answer, clock::now()),
            ended = session.acting.ended() => session.acting.take(ended, clock::now()),
            tried = session.nudging.tried() => session.nudging.take(tried, clock::now()),
            Some(opened) = opened.recv() => session.nudging.opened(opened, clock::now()),
        }
        // A burst of changes is one look.
        clock::sleep(COLLECT).await;
        while let Ok(one) = said.try_recv() {
            session.said(one);
        }
        again = session.look();
    }
}

impl Session<'_> {
    fn said(&mut self, said: super::kinds::Said) {
        let resource = said.0.clone();
        if self.kinds.take(said, clock::now()) == Some(false) {
            self.blind.retain(|(of, _)| *of != resource);
        }
    }

    /// Looks at everything. Returns when to look again.
    fn look(&mut self) -> Option<Timestamp> {
        let now = clock::now();
        let gates = self.snapshot.gates();
        if gates.complete && self.leadership.holds() {
            let watching: Vec<&Arc<Gate>> = gates.all.iter().filter(|gate| gate.during_run.on_failing != OnFailing::None).collect();
            let wanted: BTreeMap<Resource, &'static Tool> =
                watching.iter().flat_map(|gate| during_run::watched(gate)).map(|(resource, tool)| (resource.clone(), tool)).collect();
            self.kinds.want(&wanted, now);
            let facts = self.snapshot.checks();
            for gate in watching {
                self.look_at(gate, &facts, now);
            }
            let there: HashSet<&str> = self.kinds.uids().collect();
            self.acting.retain(&there);
            self.nudging.look(now);
        }
        [now.checked_add(LOOK_EVERY).ok(), self.acting.again().filter(|at| *at > now), self.nudging.again().filter(|at| *at > now)]
            .into_iter()
            .flatten()
            .min()
    }

    fn look_at(&mut self, gate: &Gate, facts: &Facts, now: Timestamp) {
        let namespaces = self.snapshot.namespaces();
        let mut surveys: BTreeMap<Option<String>, Option<Survey>> = BTreeMap::new();
        for (resource, _) in during_run::watched(gate) {
            if self.kinds.is_forbidden(resource) && self.blind.insert((resource.clone(), gate.uid.clone())) {
                let name = format!("{}.{}", resource.resource, resource.group);
                let note = format!("duringRun has no effect on {name}: the operator may not watch it; {}", telling::grant(resource, false));
                self.events.publish(telling::of_gate(gate, note));
            }
            for (served, experiment) in self.kinds.of(resource, gate.key.namespace.as_deref()) {
                let namespace = experiment.namespace();
                if namespace == Some(self.namespace) {
                    continue;
                }
                let place = namespace.filter(|_| gate.depends_on_request()).map(str::to_owned);
                let survey = surveys.entry(place).or_insert_with_key(|place| survey(gate, place.as_deref(), facts, now));
                let Some(survey) = survey else { return };
                let marked = || experiment.object.pointer("/metadata/annotations").is_some_and(|all| all.get(MARK).is_some());
                if survey.is_calm() && !marked() {
                    continue;
                }
                let Ok(last) = self.acting.last(experiment.text("/metadata/uid"), &gate.key, now) else { continue };
                let labels = namespace.and_then(|namespace| namespaces.get(namespace));
                if let Some(step) = during_run::consider(gate, survey, experiment, labels, (last, now)) {
                    self.acting.step(gate, (served, experiment), step, now);
                }
            }
        }
    }
}
