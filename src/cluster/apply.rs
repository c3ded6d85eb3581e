//! Server-side apply of statuses: the latest wins, one write at a time for an object, a bounded number at once, and a rest between two writes of
//! one object. The first change is written at once; an object that changes all the time costs ten writes a second.
//!
//! Whoever asks for a write is told how it ended. A write may be guarded by a revision: then it is made in place of that revision only.

use super::client::{CallError, call};
use crate::clock;
use crate::core::freshness::Revision;
use crate::telemetry::metrics::Metrics;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::discovery::ApiResource;
use kube::{Client, Resource};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
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

    pub(super) fn api(&self, client: &Client) -> Api<DynamicObject> {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &self.resource),
            None => Api::all_with(client.clone(), &self.resource),
        }
    }
}

/// How a write ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The object.
    pub object: ObjectRef,
    /// The number that the write was given. Of writes that were overtaken by a later one before they were begun, nothing is told.
    pub number: u64,
    /// The object's revision since; `None`: it was not written, or nobody knows.
    pub revision: Option<Revision>,
}

/// What to write.
#[derive(Clone, Debug)]
struct Job {
    object: ObjectRef,
    number: u64,
    status: Box<RawValue>,
    guard: Option<Revision>,
}

/// Takes statuses to write. Cloning is cheap.
///
/// Whoever asks never waits: an API server that takes statuses slowly must not hold up the verdicts that the webhook answers by. What waits is
/// bounded by the number of objects, for of each only the latest status is kept, as text.
#[derive(Clone)]
pub struct StatusWriter(mpsc::UnboundedSender<Job>);

impl StatusWriter {
    /// A writer, and the task that writes; the task ends when the last writer is dropped. The ends are told to `ended`, whose length is bounded
    /// by the writes that were begun.
    pub fn new(client: Client, metrics: Metrics, ended: mpsc::UnboundedSender<Ended>) -> (Self, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), run(client, metrics, receiver, ended))
    }

    /// Asks for a status to be written.
    pub fn write<S: Serialize>(&self, object: ObjectRef, number: u64, status: &S, guard: Option<Revision>) {
        match to_raw_value(status) {
            // An error means that the task has ended, and with it the process.
            Ok(status) => drop(self.0.send(Job { object, number, status, guard })),
            Err(error) => warn!(%error, name = object.name, "status cannot be represented as JSON"),
        }
    }
}

async fn run(client: Client, metrics: Metrics, mut jobs: mpsc::UnboundedReceiver<Job>, ended: mpsc::UnboundedSender<Ended>) {
    let mut latest: HashMap<ObjectRef, Job> = HashMap::new();
    let mut order: VecDeque<ObjectRef> = VecDeque::new();
    let mut busy: HashSet<ObjectRef> = HashSet::new();
    let mut writes: FuturesUnordered<BoxFuture<'static, Ended>> = FuturesUnordered::new();
    let mut resting: FuturesUnordered<BoxFuture<'static, ObjectRef>> = FuturesUnordered::new();
    loop {
        tokio::select! {
            job = jobs.recv() => {
                let Some(job) = job else { return };
                let object = job.object.clone();
                if latest.insert(object.clone(), job).is_none() {
                    order.push_back(object);
                }
            }
            Some(end) = writes.next() => {
                resting.push(rest(end.object.clone()).boxed());
                // An error means that nobody listens any more.
                let _ = ended.send(end);
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
            if let Some(job) = latest.remove(&object) {
                busy.insert(object);
                writes.push(write(client.clone(), metrics.clone(), job).boxed());
            }
        }
        for object in waiting.into_iter().rev() {
            order.push_front(object);
        }
    }
}

/// What is applied.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusPatch<'a> {
    api_version: &'a str,
    kind: &'a str,
    metadata: Metadata<'a>,
    status: &'a RawValue,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Metadata<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_version: Option<String>,
}

async fn rest(object: ObjectRef) -> ObjectRef {
    clock::sleep(REST).await;
    object
}

async fn write(client: Client, metrics: Metrics, job: Job) -> Ended {
    let Job { object, number, status, guard } = job;
    let patch = StatusPatch {
        api_version: &object.resource.api_version,
        kind: &object.resource.kind,
        metadata: Metadata {
            name: &object.name,
            namespace: object.namespace.as_deref(),
            resource_version: guard.map(|Revision(revision)| revision.to_string()),
        },
        status: &status,
    };
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let revision = match call(object.api(&client).patch_status(&object.name, &params, &Patch::Apply(&patch))).await {
        Ok(written) => Some(Revision::parse(written.metadata.resource_version.as_deref()).unwrap_or_default()),
        Err(error) if error.is_not_found() => {
            debug!(kind = object.resource.kind, name = object.name, "gone before its status was written");
            return Ended { object, number, revision: None };
        }
        // Somebody else was first. What they wrote comes through the watch.
        Err(error) if error.is_conflict() => {
            debug!(kind = object.resource.kind, name = object.name, "changed before its status was written");
            return Ended { object, number, revision: None };
        }
        Err(error) => {
            complain(&object, &error);
            None
        }
    };
    metrics.status_write(&object.resource.kind, revision.is_some());
    Ended { object, number, revision }
}

fn complain(object: &ObjectRef, error: &CallError) {
    warn!(kind = object.resource.kind, namespace = object.namespace, name = object.name, %error, "cannot write status");
}
