//! The HTTP side of the webhook: one path for each entry of the configuration.

use super::admit::{admit, unreadable};
use super::review::Answer;
use super::server::{BodyError, read_body};
use crate::api::FailurePolicy;
use crate::clock;
use crate::cluster::snapshot::Snapshot;
use crate::core::records::Record;
use crate::core::registration::{entry_name, entry_path};
use crate::telemetry::metrics::Metrics;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::{StatusCode, header};
use std::time::Duration;
use tokio::sync::mpsc;

/// The largest body: object and old object of 3 MiB each (the API server's own limit for one), and room for the envelope.
pub const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;
/// How long a body may take.
const BODY_DEADLINE: Duration = Duration::from_secs(5);

/// What the handler works with. Cloning is cheap.
#[derive(Clone)]
pub struct Admission {
    /// What decisions are made from.
    pub snapshot: Snapshot,
    /// Where decisions are recorded.
    pub records: mpsc::Sender<Record>,
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
    let of = |policy: FailurePolicy| post(move |State(admission): State<Admission>, request: Request| handle(admission, policy, request));
    Router::new()
        .route(entry_path(FailurePolicy::Fail), of(FailurePolicy::Fail))
        .route(entry_path(FailurePolicy::Ignore), of(FailurePolicy::Ignore))
        .with_state(admission)
}

async fn handle(admission: Admission, policy: FailurePolicy, request: Request<Body>) -> Response {
    let body = match read_body(request.into_body(), MAX_BODY_BYTES, BODY_DEADLINE).await {
        Ok(body) => body,
        Err(error) => {
            let status = match error {
                BodyError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                BodyError::Timeout { .. } => StatusCode::REQUEST_TIMEOUT,
                BodyError::Broken { .. } => StatusCode::BAD_REQUEST,
            };
            return json(status, &unreadable(&error.to_string()));
        }
    };
    let started = clock::instant();
    let (answer, record) = admit(&admission.snapshot, policy, &body, clock::now());
    let status = if answer.uid.is_empty() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let response = json(status, &answer);
    if record.is_some_and(|record| admission.records.try_send(record).is_err()) {
        admission.metrics.dropped("decisions_queue_full");
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
