//! The shell of the gates: watches them, publishes them, writes their status, tells of what they decided.

use super::board::{Board, GateIdentity, Output};
use super::served;
use crate::api::{ClusterExperimentGate, ExperimentGate, GROUP, Mode, VERSION};
use crate::clock;
use crate::cluster::apply::{Ended, ObjectRef, StatusWriter};
use crate::cluster::contact::Contact;
use crate::cluster::events::{Events, Happening};
use crate::cluster::lease::Role;
use crate::cluster::snapshot::{Labels, Snapshot};
use crate::cluster::watch::{Change, watch};
use crate::core::gate::{Gate, GateKey};
use crate::core::records::{Record, word};
use crate::core::registration::Registered;
use crate::telemetry::health::Readiness;
use crate::telemetry::metrics::{DecisionLabels, Metrics};
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, ObjectReference};
use kube::core::metadata::PartialObjectMeta;
use kube::runtime::watcher::Config;
use kube::{Api, Client, ResourceExt};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch as tokio_watch};
use tokio_util::sync::CancellationToken;

/// The name of the condition of readiness.
pub const READY_GATES: &str = "gates";
/// How many things that happened may wait.
const QUEUE: usize = 1024;
/// How long changes are collected before all gates are looked at: a burst costs one look.
const COLLECT: Duration = Duration::from_millis(10);
/// How often the API server is asked whether the resources of gates are served.
const ASK_EVERY: Duration = Duration::from_secs(10);

/// What the controller works with.
pub struct GateController {
    /// The API server.
    pub client: Client,
    /// Proof that it is there.
    pub contact: Contact,
    /// Where gates are published, and where facts are read.
    pub snapshot: Snapshot,
    /// Tells whenever a fact changed.
    pub changed: Arc<Notify>,
    /// Decisions of the webhook.
    pub records: mpsc::Receiver<Record>,
    /// Where gates are handed to be registered.
    pub to_register: tokio_watch::Sender<Option<Vec<Arc<Gate>>>>,
    /// What is registered.
    pub registered: tokio_watch::Receiver<Registered>,
    /// Where transitions are told.
    pub events: Events,
    /// Counts.
    pub metrics: Metrics,
    /// Told when all gates are known.
    pub readiness: Readiness,
    /// Whether this replica leads: only the leader writes.
    pub role: tokio_watch::Receiver<Role>,
    /// Where the labels of the namespaces are told.
    pub namespaces: tokio_watch::Sender<Option<Arc<HashMap<String, Labels>>>>,
}

enum Input {
    Namespaced(Change<ExperimentGate>),
    Cluster(Change<ClusterExperimentGate>),
    Namespaces(Change<PartialObjectMeta<Namespace>>),
    Served(Vec<(GateKey, Vec<crate::core::problem::Problem>)>),
}

/// Runs until shutdown.
pub async fn run(mut context: GateController, shutdown: CancellationToken) {
    let (inputs, mut received) = mpsc::channel(QUEUE);
    let (ended_in, mut ended) = mpsc::unbounded_channel();
    let (writer, writing) = StatusWriter::new(context.client.clone(), context.metrics.clone(), ended_in);
    clock::spawn(writing);
    forward(&context.client, &context.contact, &inputs);
    clock::spawn(ask_served(context.client.clone(), context.snapshot.clone(), inputs));
    let mut board = Board::default();
    let mut namespaces = HashMap::new();
    let mut again: Option<Timestamp> = None;
    loop {
        let mut records = Vec::new();
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = clock::wake(again) => again = None,
            () = context.changed.notified() => {}
            Ok(()) = context.registered.changed() => {}
            Ok(()) = context.role.changed() => {}
            _ = context.records.recv_many(&mut records, QUEUE) => {}
            Some(input) = received.recv() => take(&context, &mut board, &mut namespaces, input),
            Some(Ended { object, revision, .. }) = ended.recv() => {
                if revision.is_none() {
                    board.unwritten(&GateKey { namespace: object.namespace, name: object.name });
                }
            }
        }
        for record in &records {
            tell(&context, record);
            board.record(record);
        }
        // A burst of changes is one look.
        clock::sleep(COLLECT).await;
        while let Ok(input) = received.try_recv() {
            take(&context, &mut board, &mut namespaces, input);
        }
        if board.complete() && leads(&context.role) {
            let registered = context.registered.borrow_and_update().clone();
            let output = board.look(&context.snapshot.checks(), &registered, clock::now());
            again = output.again;
            act(&context, &writer, output).await;
        }
    }
}

fn forward(client: &Client, contact: &Contact, inputs: &mpsc::Sender<Input>) {
    let gates = watch::<ExperimentGate>(Api::all(client.clone()), Config::default(), contact.clone()).map(Input::Namespaced);
    let cluster_gates = watch::<ClusterExperimentGate>(Api::all(client.clone()), Config::default(), contact.clone()).map(Input::Cluster);
    let namespaces =
        watch::<PartialObjectMeta<Namespace>>(Api::all(client.clone()), Config::default(), contact.clone()).map(Input::Namespaces);
    let all = futures::stream::select_all([gates.boxed(), cluster_gates.boxed(), namespaces.boxed()]);
    let inputs = inputs.clone();
    clock::spawn(async move {
        let mut all = all;
        while let Some(input) = all.next().await {
            if inputs.send(input).await.is_err() {
                return;
            }
        }
    });
}

/// Asks in turn whether what gates name is served.
async fn ask_served(client: Client, snapshot: Snapshot, inputs: mpsc::Sender<Input>) {
    let mut last: Vec<(GateKey, Option<i64>)> = Vec::new();
    let mut asked = clock::instant();
    loop {
        clock::sleep(Duration::from_millis(500)).await;
        let gates = snapshot.gates().all.clone();
        let now: Vec<_> = gates.iter().map(|g| (g.key.clone(), g.generation)).collect();
        if gates.is_empty() || (now == last && asked.elapsed() < ASK_EVERY) {
            continue;
        }
        let groups = served::ask(&client, &gates).await;
        let found = gates.iter().map(|g| (g.key.clone(), served::problems(g, &groups))).collect();
        if inputs.send(Input::Served(found)).await.is_err() {
            return;
        }
        last = now;
        asked = clock::instant();
    }
}

fn take(context: &GateController, board: &mut Board, namespaces: &mut HashMap<String, Labels>, input: Input) {
    let changed = match input {
        Input::Namespaced(change) => {
            count_failure(context, &change, "ExperimentGate");
            board.take_namespaced(change)
        }
        Input::Cluster(change) => {
            count_failure(context, &change, "ClusterExperimentGate");
            board.take_cluster(change)
        }
        Input::Namespaces(change) => {
            count_failure(context, &change, "Namespace");
            if take_namespaces(namespaces, change) {
                let all = Arc::new(namespaces.clone());
                context.snapshot.publish_namespaces(all.clone());
                context.namespaces.send_replace(Some(all));
            }
            false
        }
        Input::Served(found) => {
            for (key, problems) in found {
                board.found(&key, problems);
            }
            false
        }
    };
    if changed && board.complete() {
        context.snapshot.publish_gates(board.gates(), true);
        context.to_register.send_replace(Some(board.gates()));
    }
    if board.complete() && context.snapshot.namespaces_complete() {
        context.readiness.ready(READY_GATES);
    }
}

fn count_failure<K>(context: &GateController, change: &Change<K>, kind: &str) {
    if matches!(change, Change::Failed { .. }) {
        context.metrics.watch_failed(kind);
    }
}

/// Whether they are others now.
fn take_namespaces(namespaces: &mut HashMap<String, Labels>, change: Change<PartialObjectMeta<Namespace>>) -> bool {
    match change {
        Change::Listed(list) => *namespaces = list.into_iter().map(|n| (n.name_any(), n.labels().clone())).collect(),
        Change::Applied(namespace) => {
            if namespaces.insert(namespace.name_any(), namespace.labels().clone()).as_ref() == Some(namespace.labels()) {
                return false;
            }
        }
        Change::Deleted(namespace) => {
            namespaces.remove(&namespace.name_any());
        }
        Change::Unreadable { .. } | Change::Failed { .. } => return false,
    }
    true
}

fn leads(role: &tokio_watch::Receiver<Role>) -> bool {
    matches!(&*role.borrow(), Role::Leader(leadership) if leadership.holds())
}

async fn act(context: &GateController, writer: &StatusWriter, output: Output) {
    for turned in output.turned {
        context.events.publish(Happening {
            regarding: reference(&turned.gate.key, &turned.gate.uid),
            related: None,
            warning: !turned.open,
            reason: if turned.open { "GateOpened" } else { "GateClosed" },
            action: "Judge",
            note: turned.message,
        });
    }
    for (key, status) in output.writes {
        let object = match &key.namespace {
            Some(namespace) => ObjectRef::of::<ExperimentGate>(Some(namespace), &key.name),
            None => ObjectRef::of::<ClusterExperimentGate>(None, &key.name),
        };
        writer.write(object, 0, &status, None).await;
    }
}

/// The log line, the metrics and the Event of a decision.
fn tell(context: &GateController, record: &Record) {
    for judgement in &record.decision.judgements {
        let gate =
            judgement.gate.namespace.as_ref().map_or_else(|| judgement.gate.name.clone(), |n| format!("{n}/{}", judgement.gate.name));
        context.metrics.decided(&DecisionLabels {
            gate,
            decision: word(judgement.answer),
            mode: match judgement.mode {
                Mode::Enforce => "Enforce",
                Mode::Warn => "Warn",
                Mode::Audit => "Audit",
            },
            dry_run: if record.dry_run { "true" } else { "false" },
        });
        tracing::info!(
            decision_id = record.decision.id,
            decision = word(judgement.answer),
            would_be = word(judgement.would_be),
            gate = %judgement.gate,
            gate_namespace = judgement.gate.namespace,
            gate_generation = judgement.generation,
            operation = record.operation,
            object = record.object,
            user = record.user,
            dry_run = record.dry_run,
            message = record.headline,
        );
        if judgement.answer == crate::api::Response::Deny && !record.dry_run {
            let identity = GateIdentity { key: judgement.gate.clone(), uid: judgement.uid.clone() };
            context.events.publish(Happening {
                regarding: reference(&identity.key, &identity.uid),
                related: Some(refused_object(record)),
                warning: true,
                reason: "AdmissionDenied",
                action: "Admit",
                note: format!("{} (asked by {})", record.headline, record.user),
            });
        }
    }
}

/// The object that was refused: each has an Event of its own, in which the id of its decision is found.
fn refused_object(record: &Record) -> ObjectReference {
    let (kind, path) = record.object.split_once(' ').unwrap_or_default();
    let (namespace, name) = path.split_once('/').map_or((None, path), |(namespace, name)| (Some(namespace.to_owned()), name));
    ObjectReference { kind: Some(kind.to_owned()), namespace, name: Some(name.to_owned()), ..ObjectReference::default() }
}

fn reference(key: &GateKey, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(format!("{GROUP}/{VERSION}")),
        kind: Some(key.kind().to_owned()),
        name: Some(key.name.clone()),
        namespace: key.namespace.clone(),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}
