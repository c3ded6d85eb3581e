//! The HTTP side of the webhook: one path for each entry of the configuration.

use super::admit::{Admitted, admit};
use super::review::Answer;
use crate::api::FailurePolicy;
use crate::clock;
use crate::cluster::snapshot::Snapshot;
use crate::core::gate::Wish;
use crate::core::records::Record;
use crate::core::registration::{entry_name, entry_path};
use crate::telemetry::metrics::Metrics;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{StatusCode, header};
use std::time::Duration;
use tokio::sync::mpsc;

/// What the handler works with. Cloning is cheap.
#[derive(Clone)]
pub struct Admission {
    /// What decisions are made from.
    pub snapshot: Snapshot,
    /// Where decisions are recorded.
    pub records: mpsc::Sender<Record>,
    /// Where is told what is to be evaluated for requests that are held.
    pub wishes: mpsc::Sender<Wish>,
    /// Where answers are counted.
    pub answers: mpsc::Sender<Answered>,
    /// Counts what could not be recorded.
    pub metrics: Metrics,
}

/// An answer, for the metrics: they take a lock, which the request need not wait for.
#[derive(Clone, Debug)]
pub struct Answered {
    /// The entry's name.
    pub entry: &'static str,
    /// How long it took.
    pub duration: Duration,
}

/// The paths that the API server calls.
pub fn router(admission: Admission) -> Router {
    let of = |policy: FailurePolicy| {
        post(move |State(admission): State<Admission>, body: Bytes| async move { handle(&admission, policy, &body) })
    };
    Router::new()
        .route(entry_path(FailurePolicy::Fail), of(FailurePolicy::Fail))
        .route(entry_path(FailurePolicy::Ignore), of(FailurePolicy::Ignore))
        // The server's own limit stands; the framework's is below what the API server may send.
        .layer(DefaultBodyLimit::disable())
        .with_state(admission)
}

/// The server has already gathered the body, within its limits.
fn handle(admission: &Admission, policy: FailurePolicy, body: &[u8]) -> Response {
    let started = clock::instant();
    let crowded = admission.wishes.capacity() == 0 || admission.wishes.is_closed();
    let Admitted { answer, record, wishes } = admit(&admission.snapshot, policy, body, crowded, clock::now());
    let status = if answer.uid.is_empty() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let response = json(status, &answer);
    if record.is_some_and(|record| admission.records.try_send(record).is_err()) {
        admission.metrics.dropped("decisions_queue_full");
    }
    for wish in wishes {
        // Whoever comes back and is not known begins to wait anew; while the queue is full nobody does.
        if admission.wishes.try_send(wish).is_err() {
            admission.metrics.dropped("wishes_queue_full");
        }
    }
    let answered = Answered { entry: entry_name(policy), duration: started.elapsed() };
    // A full queue loses a count of requests, never of decisions.
    let _ = admission.answers.try_send(answered);
    response
}

fn json(status: StatusCode, answer: &Answer) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], answer.to_json()).into_response()
}

/// Counts answers until the last handler is gone.
pub async fn count(mut answers: mpsc::Receiver<Answered>, metrics: Metrics) {
    while let Some(answered) = answers.recv().await {
        metrics.answered(answered.entry, answered.duration);
    }
}
