//! Kubernetes Events (`events.k8s.io/v1`), written in the background.

use super::client::call;
use crate::clock;
use crate::core::text::single_line;
use crate::telemetry::metrics::Metrics;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use std::time::Duration;
use tokio::sync::mpsc;
use tracing::warn;

/// How many Events may wait; more are dropped and counted.
const QUEUE: usize = 512;
/// The API's limit for a note, in bytes (`events.k8s.io/v1`).
const MAX_NOTE_BYTES: usize = 1024;

/// What happened to an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Happening {
    /// To which object.
    pub regarding: ObjectReference,
    /// What it has to do with. Repetitions are counted in one Event only if this is the same too.
    pub related: Option<ObjectReference>,
    /// Whether it deserves attention.
    pub warning: bool,
    /// A CamelCase word, such as `CheckFailing`.
    pub reason: &'static str,
    /// What was done, in a CamelCase word.
    pub action: &'static str,
    /// One line.
    pub note: String,
}

/// Takes Events. Cloning is cheap.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<Happening>,
    metrics: Metrics,
}

impl Events {
    /// A recorder, and the task that publishes.
    pub fn new(client: Client, metrics: Metrics, controller: &str) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, receiver) = mpsc::channel(QUEUE);
        let reporter = Reporter { controller: controller.to_owned(), instance: None };
        (Self { queue, metrics }, run(Recorder::new(client, reporter), receiver))
    }

    /// Publishes an Event, or drops it if too many wait.
    pub fn publish(&self, happening: Happening) {
        if self.queue.try_send(happening).is_err() {
            self.metrics.dropped("events_queue_full");
        }
    }
}

async fn run(recorder: Recorder, mut queue: mpsc::Receiver<Happening>) {
    while let Some(happening) = queue.recv().await {
        let event = Event {
            type_: if happening.warning { EventType::Warning } else { EventType::Normal },
            reason: happening.reason.to_owned(),
            note: Some(note(&happening.note)),
            action: happening.action.to_owned(),
            secondary: happening.related,
        };
        if let Err(error) = call(recorder.publish(&event, &happening.regarding)).await {
            warn!(%error, reason = happening.reason, "cannot publish an Event");
            clock::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn note(text: &str) -> String {
    let mut note = single_line(text, MAX_NOTE_BYTES);
    while note.len() > MAX_NOTE_BYTES {
        note.pop();
    }
    note
}
