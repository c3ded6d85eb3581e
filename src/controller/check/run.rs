//! The shell of the engine: watches, asks, probes and writes what the engine wants, and tells it what came of it.

use super::access::Access;
use super::engine::{Answer, Effect, Engine, Input, Output};
use super::objects::{CheckKey, WatchKey};
use crate::api::PreflightCheck;
use crate::clock;
use crate::cluster::access::{Question, allowed};
use crate::cluster::apply::{Ended, ObjectRef, StatusWriter};
use crate::cluster::contact::{Contact, LEASE, Proof};
use crate::cluster::discovery::{self, Served};
use crate::cluster::events::{Events, Happening};
use crate::cluster::lease::Role;
use crate::cluster::snapshot::{Labels, Snapshot};
use crate::cluster::watch::{Change, Told, watch_dynamic, watch_from};
use crate::core::clock_offset::Offset;
use crate::core::freshness::{CLOCK_BUDGET, Freshness, Revision, Watermark};
use crate::probe::{self, Outbound};
use crate::telemetry::health::Readiness;
use crate::telemetry::metrics::Metrics;
use futures::StreamExt;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::watcher::Config;
use kube::{Api, Client};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch as tokio_watch};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

/// How many things that happened may wait before whoever tells of more has to wait.
const QUEUE: usize = 4096;
/// How many of them are taken in at one step.
const BATCH: usize = 1024;
/// The name of the condition of readiness.
pub const READY_CHECKS: &str = "checks";

/// What the controller works with.
pub struct CheckController {
    /// The API server.
    pub client: Client,
    /// Proof that it is there.
    pub contact: Contact,
    /// Where facts are published.
    pub snapshot: Snapshot,
    /// Told whenever a fact changed.
    pub changed: Arc<Notify>,
    /// Where transitions are told.
    pub events: Events,
    /// Counts.
    pub metrics: Metrics,
    /// What probes go out with.
    pub outbound: Outbound,
    /// Told when all checks are known.
    pub readiness: Readiness,
    /// The operator's namespace: Events about the operator itself are about its Lease there.
    pub namespace: String,
    /// The environment of checks whose namespace names none.
    pub environment: Option<String>,
    /// The labels of all namespaces, once they are known.
    pub namespaces: tokio_watch::Receiver<Option<Arc<HashMap<String, Labels>>>>,
    /// Whether this replica leads.
    pub role: tokio_watch::Receiver<Role>,
    /// Where the leader says what it vouches for.
    pub vouched: tokio_watch::Sender<Option<Watermark>>,
    /// Where the latest leadership is told that a status names.
    pub terms: tokio_watch::Sender<i64>,
    /// What the leader vouches for, as every replica sees it.
    pub watermark: tokio_watch::Receiver<Option<Watermark>>,
    /// Who waits for evaluations.
    pub asked: mpsc::UnboundedReceiver<Input>,
    /// Where they are answered.
    pub answers: mpsc::UnboundedSender<Answer>,
}

struct Shell {
    context: CheckController,
    writer: StatusWriter,
    inputs: mpsc::Sender<Input>,
    watches: HashMap<WatchKey, AbortHandle>,
    freshness: Freshness,
}

/// Runs until shutdown.
pub async fn run(context: CheckController, shutdown: CancellationToken) {
    let (inputs, mut received) = mpsc::channel(QUEUE);
    let (ended_in, mut ended) = mpsc::unbounded_channel();
    let (writer, writing) = StatusWriter::new(context.client.clone(), context.metrics.clone(), ended_in);
    clock::spawn(writing);
    clock::spawn(forward_checks(context.client.clone(), context.contact.clone(), inputs.clone()));
    let mut engine = Engine::new(context.metrics.clone(), context.environment.clone());
    let mut proof = context.contact.proof();
    let (mut role, mut watermark, mut namespaces) = (context.role.clone(), context.watermark.clone(), context.namespaces.clone());
    let mut shell = Shell { context, writer, inputs, watches: HashMap::new(), freshness: Freshness::default() };
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = clock::wake(engine.next_wake()) => {}
            _ = received.recv_many(&mut batch, BATCH) => {}
            Some(end) = ended.recv() => batch.push(written(end)),
            Ok(()) = role.changed() => {}
            Some(input) = shell.context.asked.recv() => batch.push(input),
            Ok(()) = watermark.changed() => batch.push(Input::Watermark(watermark.borrow_and_update().clone())),
            Ok(()) = proof.changed() => {
                let proof = *proof.borrow_and_update();
                shell.proved(proof);
                batch.extend(proof.offset.map(Input::Clock));
            }
            Ok(()) = namespaces.changed() => {
                batch.extend(namespaces.borrow_and_update().clone().map(Input::Namespaces));
            }
        }
        while let Ok(input) = shell.context.asked.try_recv() {
            batch.push(input);
        }
        while let Ok(end) = ended.try_recv() {
            batch.push(written(end));
        }
        // Asked each time: a process that was stopped for a while does not know that another leads.
        batch.push(Input::Leads(leads(&role)));
        let output = engine.step(batch, clock::now());
        if engine.complete() {
            shell.context.readiness.ready(READY_CHECKS);
        }
        shell.act(output, engine.complete(), leads(&role).is_some());
    }
}

fn leads(role: &tokio_watch::Receiver<Role>) -> Option<(i64, Option<Watermark>)> {
    role.borrow().leadership().map(|leadership| (leadership.term, leadership.taken_over.clone()))
}

fn written(end: Ended) -> Input {
    let Ended { object, number, revision } = end;
    let key = CheckKey { namespace: object.namespace.unwrap_or_default().into(), name: object.name.into() };
    Input::Written(key, number, revision)
}

async fn forward_checks(client: Client, contact: Contact, inputs: mpsc::Sender<Input>) {
    let listed = Arc::new(AtomicU64::new(0));
    let mut changes = std::pin::pin!(watch_from::<PreflightCheck>(Api::all(client), Config::default(), contact, listed.clone()));
    while let Some(told) = changes.next().await {
        let input = match told {
            Told::Part(checks) => Input::SomeChecks(checks),
            Told::Change(change) => {
                if matches!(change, Change::Listed(_)) {
                    let _ = inputs.send(Input::ListedFrom(Revision(listed.load(Ordering::Acquire)))).await;
                }
                Input::Checks(Box::new(change))
            }
        };
        if inputs.send(input).await.is_err() {
            return;
        }
    }
}

impl Shell {
    /// What may be believed is another with each proof.
    fn proved(&mut self, proof: Proof) {
        let was_right = self.freshness.offset.is_none() || self.freshness.clock_is_right();
        self.freshness.proved_at = proof.proved_at;
        self.freshness.offset = proof.offset;
        if let Some(offset) = proof.offset.filter(|_| self.freshness.clock_is_right() != was_right) {
            self.tell_of_clock(offset, !was_right);
        }
        self.context.snapshot.publish_freshness(self.freshness.clone());
    }

    /// A clock that is wrong makes verdicts unknown, so it is told of, and again when it is right.
    fn tell_of_clock(&self, offset: Offset, right: bool) {
        let (off, budget) = (offset.earliest.as_secs(), CLOCK_BUDGET.as_secs());
        let note = if right {
            format!("the operator's clock is again within {budget} s of the API server's")
        } else {
            format!(
                "the operator's clock is {off} s from the API server's, more than {budget} s: verdicts of probed checks are not believed"
            )
        };
        if right {
            tracing::info!("{note}");
        } else {
            tracing::error!("{note}");
        }
        let regarding = ObjectReference {
            api_version: Some("coordination.k8s.io/v1".to_owned()),
            kind: Some("Lease".to_owned()),
            name: Some(LEASE.to_owned()),
            namespace: Some(self.context.namespace.clone()),
            ..ObjectReference::default()
        };
        let reason = if right { "ClockInStep" } else { "ClockSkewed" };
        self.context.events.publish(Happening { regarding, related: None, warning: !right, reason, action: "CompareClocks", note });
    }

    fn act(&mut self, output: Output, complete: bool, leads: bool) {
        let changed = output.news || !output.removed.is_empty();
        // First what facts look at.
        self.context.snapshot.publish_watched(output.watched);
        self.context.snapshot.publish_checks(output.facts, &output.removed, complete);
        if let Some(reached) = output.reached {
            self.freshness.watermark = Some(reached);
            self.context.snapshot.publish_freshness(self.freshness.clone());
        }
        if leads && output.vouched.is_some() {
            self.context.vouched.send_replace(output.vouched);
        }
        self.context.terms.send_if_modified(|known| std::mem::replace(known, output.latest_term.max(*known)) < output.latest_term);
        if changed {
            self.context.changed.notify_one();
        }
        for answer in output.answers {
            // An error means that nobody waits any more.
            let _ = self.context.answers.send(answer);
        }
        for effect in output.effects {
            match effect {
                Effect::Watch(key, served) => self.watch(key, &served),
                Effect::Unwatch(key) => {
                    if let Some(task) = self.watches.remove(&key) {
                        task.abort();
                    }
                }
                Effect::Ask(kind) => {
                    let (client, inputs) = (self.context.client.clone(), self.inputs.clone());
                    clock::spawn(async move {
                        let answer = discovery::kind(&client, &kind.api_version, &kind.kind).await.map_err(|e| e.to_string());
                        let _ = inputs.send(Input::Kind(kind, answer)).await;
                    });
                }
                Effect::Authorize(access) => self.authorize(access),
                Effect::Probe(key, number, probe, attempts) => {
                    let (outbound, inputs) = (self.context.outbound.clone(), self.inputs.clone());
                    clock::spawn(async move {
                        let seen = probe::observe_probed(probe.as_ref(), &outbound, &key.namespace, attempts).await;
                        let _ = inputs.send(Input::Probed(key, number, seen)).await;
                    });
                }
                Effect::Write(key, number, status, guard) => {
                    let object = ObjectRef::of::<PreflightCheck>(Some(&key.namespace), &key.name);
                    self.writer.write(object, number, &status, guard);
                }
                Effect::Announce(key, uid, warning, reason, note) => {
                    self.context.events.publish(Happening {
                        regarding: reference(&key, uid),
                        related: None,
                        warning,
                        reason,
                        action: "Evaluate",
                        note,
                    });
                }
            }
        }
    }

    fn authorize(&self, access: Access) {
        let (client, inputs) = (self.context.client.clone(), self.inputs.clone());
        clock::spawn(async move {
            let question = Question {
                account: (&access.account.namespace, &access.account.name),
                verb: access.verb,
                group: &access.group,
                resource: &access.resource,
                namespace: access.namespace.as_deref(),
                name: access.name.as_deref(),
            };
            let answer = allowed(&client, &question).await.map_err(|error| error.to_string());
            let _ = inputs.send(Input::Allowed(access, answer)).await;
        });
    }

    fn watch(&mut self, key: WatchKey, served: &Served) {
        let (client, resource) = (self.context.client.clone(), &served.resource);
        let api = match &key.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, resource),
            None => Api::all_with(client, resource),
        };
        let (inputs, metrics, watched) = (self.inputs.clone(), self.context.metrics.clone(), key.clone());
        let contact = self.context.contact.clone();
        let config = match &key.name {
            Some(name) => Config::default().fields(&format!("metadata.name={name}")),
            None => Config::default(),
        };
        let task = clock::spawn(async move {
            let mut changes = std::pin::pin!(watch_dynamic(api, config, contact));
            while let Some(change) = changes.next().await {
                let gone = match &change {
                    Change::Failed { message, not_found, .. } => {
                        metrics.watch_failed(&watched.kind.kind);
                        tracing::warn!(
                            kind = %watched.kind.kind,
                            namespace = watched.namespace.as_deref(),
                            error = message,
                            "a watch broke and begins again"
                        );
                        *not_found
                    }
                    _ => false,
                };
                if gone {
                    // The kind itself is gone: say so instead of the bare error.
                    let _ = inputs.send(Input::Kind(watched.kind.clone(), Ok(None))).await;
                    clock::sleep(Duration::from_secs(1)).await;
                }
                if inputs.send(Input::Objects(watched.clone(), Box::new(change))).await.is_err() {
                    return;
                }
            }
        });
        if let Some(old) = self.watches.insert(key, task.abort_handle()) {
            old.abort();
        }
    }
}

fn reference(key: &CheckKey, uid: String) -> ObjectReference {
    ObjectReference {
        api_version: Some(format!("{}/{}", crate::api::GROUP, crate::api::VERSION)),
        kind: Some("PreflightCheck".to_owned()),
        name: Some(key.name.as_ref().to_owned()),
        namespace: Some(key.namespace.as_ref().to_owned()),
        uid: Some(uid),
        ..ObjectReference::default()
    }
}
