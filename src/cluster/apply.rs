//! Server-side apply of statuses: the latest wins, one write at a time for an object, a bounded number at once, and a rest between two writes of
//! one object. The first change is written at once; an object that changes all the time costs ten writes a second.

use super::client::{CallError, call};
use crate::clock;
use crate::telemetry::metrics::Metrics;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::discovery::ApiResource;
use kube::{Client, Resource};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::{debug, warn};

/// The field manager of everything that the operator applies.
pub const FIELD_MANAGER: &str = "holdpoint";
/// How many statuses are written at once.
const CONCURRENCY: usize = 16;
/// How long an object rests after a write.
const REST: Duration = Duration::from_millis(100);
/// How many writes may wait before whoever asks for one has to wait.
const QUEUE: usize = 1024;

/// An object of one of the operator's kinds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ObjectRef {
    /// Its kind.
    pub resource: ApiResource,
    /// Its namespace, if it has one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl ObjectRef {
    /// Of a kind of this crate.
    pub fn of<K: Resource<DynamicType = ()>>(namespace: Option<&str>, name: &str) -> Self {
        Self { resource: ApiResource::erase::<K>(&()), namespace: namespace.map(str::to_owned), name: name.to_owned() }
    }

    fn api(&self, client: &Client) -> Api<DynamicObject> {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &self.resource),
            None => Api::all_with(client.clone(), &self.resource),
        }
    }
}

/// A write that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwritten(pub ObjectRef);

struct Job {
    object: ObjectRef,
    status: Value,
}

/// Takes statuses to write. Cloning is cheap.
#[derive(Clone)]
pub struct StatusWriter(mpsc::Sender<Job>);

impl StatusWriter {
    /// A writer, and the task that writes; the task ends when the last writer is dropped. Failed writes are told to `failed`.
    pub fn new(client: Client, metrics: Metrics, failed: mpsc::Sender<Unwritten>) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), run(client, metrics, receiver, failed))
    }

    /// Asks for a status to be written. Waits while the queue is full.
    pub async fn write<S: Serialize + Sync>(&self, object: ObjectRef, status: &S) {
        match serde_json::to_value(status) {
            // An error means that the task has ended, and with it the process.
            Ok(status) => drop(self.0.send(Job { object, status }).await),
            Err(error) => warn!(%error, name = object.name, "status cannot be represented as JSON"),
        }
    }
}

async fn run(client: Client, metrics: Metrics, mut jobs: mpsc::Receiver<Job>, failed: mpsc::Sender<Unwritten>) {
    let mut latest: HashMap<ObjectRef, Value> = HashMap::new();
    let mut order: VecDeque<ObjectRef> = VecDeque::new();
    let mut busy: HashSet<ObjectRef> = HashSet::new();
    let mut writes: FuturesUnordered<BoxFuture<'static, (ObjectRef, bool)>> = FuturesUnordered::new();
    let mut resting: FuturesUnordered<BoxFuture<'static, ObjectRef>> = FuturesUnordered::new();
    loop {
        tokio::select! {
            job = jobs.recv(), if order.len() < QUEUE => {
                let Some(Job { object, status }) = job else { return };
                if latest.insert(object.clone(), status).is_none() {
                    order.push_back(object);
                }
            }
            Some((object, written)) = writes.next() => {
                if !written {
                    // A full channel means that whoever listens is about to look at everything anyway.
                    let _ = failed.try_send(Unwritten(object.clone()));
                }
                resting.push(rest(object).boxed());
            }
            Some(object) = resting.next() => {
                busy.remove(&object);
            }
        }
        let mut waiting = VecDeque::new();
        while writes.len() < CONCURRENCY {
            let Some(object) = order.pop_front() else { break };
            if busy.contains(&object) {
                waiting.push_back(object);
                continue;
            }
            if let Some(status) = latest.remove(&object) {
                busy.insert(object.clone());
                writes.push(write(client.clone(), metrics.clone(), object, status).boxed());
            }
        }
        waiting.extend(order.drain(..));
        order = waiting;
    }
}

async fn rest(object: ObjectRef) -> ObjectRef {
    clock::sleep(REST).await;
    object
}

async fn write(client: Client, metrics: Metrics, object: ObjectRef, status: Value) -> (ObjectRef, bool) {
    let patch = json!({
        "apiVersion": object.resource.api_version,
        "kind": object.resource.kind,
        "metadata": {"name": object.name, "namespace": object.namespace},
        "status": status,
    });
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let result = call(object.api(&client).patch_status(&object.name, &params, &Patch::Apply(patch))).await;
    let written = match result {
        Ok(_) => true,
        Err(error) if error.is_not_found() => {
            debug!(kind = object.resource.kind, name = object.name, "gone before its status was written");
            return (object, true);
        }
        Err(error) => {
            complain(&object, &error);
            false
        }
    };
    metrics.status_write(&object.resource.kind, written);
    (object, written)
}

fn complain(object: &ObjectRef, error: &CallError) {
    warn!(kind = object.resource.kind, namespace = object.namespace, name = object.name, %error, "cannot write status");
}
