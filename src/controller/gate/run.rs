//! The shell of the gates: watches them, publishes them, writes their status, tells of what they decided.

use super::board::{Board, Ended, Found, GateIdentity, Leader, Output, Pace, StatusChange};
use super::served;
use crate::api::{ClusterExperimentGate, ExperimentGate, GROUP, GateStatus, Mode, VERSION};
use crate::clock;
use crate::cluster::amend::{Amended, amend};
use crate::cluster::apply::ObjectRef;
use crate::cluster::contact::Contact;
use crate::cluster::events::{Events, Happening};
use crate::cluster::lease::Role;
use crate::cluster::snapshot::{Labels, Snapshot};
use crate::cluster::watch::{Change, watch};
use crate::controller::experiments::Opened;
use crate::core::gate::{Gate, GateKey};
use crate::core::presets::Catalog;
use crate::core::records::{Owner, Record, inputs_line, word};
use crate::core::registration::Registered;
use crate::telemetry::health::Readiness;
use crate::telemetry::metrics::{DecisionLabels, Metrics};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Namespace, ObjectReference};
use kube::core::metadata::PartialObjectMeta;
use kube::runtime::watcher::Config;
use kube::{Api, Client, ResourceExt};
use std::collections::{HashMap, VecDeque};
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
/// How often all gates are looked at although nothing is new: what is believed of checks changes with time, too.
const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(5);
/// How many statuses are written at once.
const WRITES: usize = 16;
/// How long decisions are still stored after the signal to stop; of those that are made while requests drain, until none can come.
const FAREWELL: SignedDuration = SignedDuration::from_secs(2);
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
    /// What presets are here.
    pub catalog: Arc<Catalog>,
    /// Where transitions are told.
    pub events: Events,
    /// Counts.
    pub metrics: Metrics,
    /// Told when all gates are known.
    pub readiness: Readiness,
    /// Whether this replica leads: only the leader writes.
    pub role: tokio_watch::Receiver<Role>,
    /// Told whenever the gates were looked at: of them or of their checks something may be new.
    pub looked: Arc<Notify>,
    /// Where gates are told that opened after they had refused what belongs to another.
    pub opened: mpsc::Sender<Opened>,
    /// Where the labels of the namespaces are told.
    pub namespaces: tokio_watch::Sender<Option<Arc<HashMap<String, Labels>>>>,
}

enum Input {
    Namespaced(Change<ExperimentGate>),
    Cluster(Change<ClusterExperimentGate>),
    Namespaces(Change<PartialObjectMeta<Namespace>>),
    Served(Vec<(GateKey, Found)>),
}

/// A write that ended.
type Write = (GateKey, u64, Ended);

struct Shell {
    context: GateController,
    board: Board,
    namespaces: HashMap<String, Labels>,
    /// Writes that wait for others to end.
    waiting: VecDeque<(GateKey, StatusChange)>,
    writes: FuturesUnordered<BoxFuture<'static, Write>>,
    /// When to look again although nothing happens.
    again: Option<Timestamp>,
    /// Whether the process ends.
    ending: bool,
    /// By when it must have ended.
    deadline: Option<Timestamp>,
}

/// Runs until shutdown, and then until every decision is stored.
pub async fn run(context: GateController, shutdown: CancellationToken) {
    let (inputs, mut received) = mpsc::channel(QUEUE);
    forward(&context.client, &context.contact, &inputs);
    clock::spawn(ask_served(context.client.clone(), context.snapshot.clone(), inputs));
    let catalog = context.catalog.clone();
    let mut shell = Shell {
        context,
        board: Board::new(format!("{:016x}", fastrand::u64(..)), catalog),
        namespaces: HashMap::new(),
        waiting: VecDeque::new(),
        writes: FuturesUnordered::new(),
        again: None,
        ending: false,
        deadline: None,
    };
    while !shell.done() {
        let mut records = Vec::new();
        let context = &mut shell.context;
        tokio::select! {
            () = shutdown.cancelled(), if !shell.ending => shell.ending = true,
            () = clock::wake(shell.again) => shell.again = None,
            () = clock::wake(shell.deadline), if shell.deadline.is_some() => {}
            () = context.changed.notified() => {}
            Ok(()) = context.registered.changed() => {}
            Ok(()) = context.role.changed() => {}
            // No more can come: the handler of requests is gone.
            length = context.records.recv_many(&mut records, QUEUE), if shell.deadline.is_none() => if length == 0 {
                shell.deadline = clock::now().checked_add(FAREWELL).ok();
            },
            Some(input) = received.recv() => shell.take(input),
            Some((key, number, ended)) = shell.writes.next() => shell.board.ended(&key, number, ended, clock::now()),
        }
        shell.record(&records);
        // A burst of changes is one look.
        clock::sleep(COLLECT).await;
        while let Ok(input) = received.try_recv() {
            shell.take(input);
        }
        while let Some(Some((key, number, ended))) = shell.writes.next().now_or_never() {
            shell.board.ended(&key, number, ended, clock::now());
        }
        shell.look();
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
        let found = gates.iter().map(|g| (g.key.clone(), served::found(g, &groups))).collect();
        if inputs.send(Input::Served(found)).await.is_err() {
            return;
        }
        last = now;
        asked = clock::instant();
    }
}

impl Shell {
    /// Whether nothing is left to be done, or time is up.
    fn done(&self) -> bool {
        let Some(deadline) = self.deadline else { return false };
        let up = clock::now() >= deadline;
        if up && !self.board.settled() {
            tracing::warn!("decisions of the last moments are not in the statuses of their gates: they could not be written in time");
            self.context.metrics.dropped("not_stored_before_the_end");
        }
        up || self.board.settled()
    }

    fn record(&mut self, records: &[Record]) {
        for record in records {
            tell(&self.context, record);
            self.board.record(record);
        }
    }

    /// Writes and tells what is to be written and told.
    fn look(&mut self) {
        if !self.board.complete() {
            return;
        }
        let registered = self.context.registered.borrow_and_update().clone();
        let facts = self.context.snapshot.checks();
        // A replica that ends leads no longer: it watches nothing any more that it could judge by.
        let term = leads(&self.context.role).filter(|_| !self.ending);
        let leader = term.map(|term| Leader { term, facts: &facts, registered: &registered });
        let now = clock::now();
        let output = self.board.look(leader, Pace { now, hurry: self.ending });
        self.again = [output.again, now.checked_add(LOOK_EVERY).ok()].into_iter().flatten().min();
        self.act(output);
        self.context.looked.notify_one();
    }

    fn act(&mut self, output: Output) {
        for turned in output.turned {
            self.context.events.publish(Happening {
                regarding: reference(&turned.gate.key, &turned.gate.uid),
                related: None,
                warning: !turned.open,
                reason: if turned.open { "GateOpened" } else { "GateClosed" },
                action: "Judge",
                note: turned.message,
            });
        }
        for (gate, refused) in output.opened {
            if self.context.opened.try_send(Opened { gate, refused }).is_err() {
                self.context.metrics.dropped("opened_queue_full");
            }
        }
        self.waiting.extend(output.writes);
        while self.writes.len() < WRITES
            && let Some((key, change)) = self.waiting.pop_front()
        {
            self.writes.push(write(self.context.client.clone(), self.context.metrics.clone(), key, change).boxed());
        }
    }

    fn take(&mut self, input: Input) {
        take(&self.context, &mut self.board, &mut self.namespaces, input);
    }
}

async fn write(client: Client, metrics: Metrics, key: GateKey, change: StatusChange) -> Write {
    let object = match &key.namespace {
        Some(namespace) => ObjectRef::of::<ExperimentGate>(Some(namespace), &key.name),
        None => ObjectRef::of::<ClusterExperimentGate>(None, &key.name),
    };
    let StatusChange { number, version, status } = change;
    let ended = match amend(client, metrics, object, version, status).await {
        Amended::Made(made) => {
            let status = made.data.get("status").cloned().map(serde_json::from_value::<GateStatus>).transpose();
            Ended::Made(made.metadata.resource_version.zip(status.ok()))
        }
        Amended::Overtaken | Amended::Gone | Amended::Refused => Ended::NotMade,
        Amended::Unanswered => Ended::Unanswered,
    };
    (key, number, ended)
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
            for (key, found) in found {
                board.found(&key, found);
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

/// The number of this replica's leadership, if nobody else can lead.
fn leads(role: &tokio_watch::Receiver<Role>) -> Option<i64> {
    role.borrow().leadership().map(|leadership| leadership.term)
}

/// The log line, the metrics and the Event of a decision.
fn tell(context: &GateController, record: &Record) {
    for judgement in &record.decision.judgements {
        let gate =
            judgement.gate.namespace.as_ref().map_or_else(|| judgement.gate.name.clone(), |n| format!("{n}/{}", judgement.gate.name));
        let labels = DecisionLabels {
            gate,
            decision: word(judgement.answer),
            mode: match judgement.mode {
                Mode::Enforce => "Enforce",
                Mode::Warn => "Warn",
                Mode::Audit => "Audit",
            },
            dry_run: if record.dry_run { "true" } else { "false" },
        };
        context.metrics.decided(&labels);
        if judgement.would_be != judgement.answer {
            context.metrics.predicted(&DecisionLabels { decision: word(judgement.would_be), ..labels });
        }
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
            checks = inputs_line(judgement),
            run = judgement.hold.as_ref().and_then(|hold| hold.run.as_deref()),
            message = record.headline,
        );
        if judgement.answer == crate::api::Response::Deny && !record.dry_run {
            let identity = GateIdentity { key: judgement.gate.clone(), uid: judgement.uid.clone() };
            let note = format!("{} (asked by {})", record.headline, record.user);
            let happening = |regarding, related| Happening {
                regarding,
                related: Some(related),
                warning: true,
                reason: "AdmissionDenied",
                action: "Admit",
                note: note.clone(),
            };
            let gate = reference(&identity.key, &identity.uid);
            // Whoever wrote the owner does not see the answer.
            if let Some(owner) = record.owner.as_ref() {
                context.events.publish(happening(owner_of_refused(owner, record), gate.clone()));
            }
            context.events.publish(happening(gate, refused_object(record)));
        }
    }
}

/// The object that was refused: each has an Event of its own, in which the id of its decision is found.
fn refused_object(record: &Record) -> ObjectReference {
    let (kind, path) = record.object.split_once(' ').unwrap_or_default();
    let (namespace, name) = path.split_once('/').map_or((None, path), |(namespace, name)| (Some(namespace.to_owned()), name));
    ObjectReference { kind: Some(kind.to_owned()), namespace, name: Some(name.to_owned()), ..ObjectReference::default() }
}

/// The owner of the object that was refused: in its namespace, if it has one.
fn owner_of_refused(owner: &Owner, record: &Record) -> ObjectReference {
    ObjectReference {
        api_version: Some(owner.api_version.clone()),
        kind: Some(owner.kind.clone()),
        name: Some(owner.name.clone()),
        uid: Some(owner.uid.clone()),
        namespace: refused_object(record).namespace,
        ..ObjectReference::default()
    }
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
