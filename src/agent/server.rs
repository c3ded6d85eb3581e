//! What the agent asks of the API server. Each answer is dated, which tells how far this machine's clock is off.

use crate::api::{HEARTBEAT_NAMESPACE, HostFacts, HostReport};
use crate::clock;
use crate::cluster::client::{CALL_DEADLINE, is_not_found};
use crate::core::clock_offset::{Estimator, Offset};
use crate::core::text::single_line;
use http::header::DATE;
use http_body_util::{BodyExt, Limited};
use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{GetParams, Patch, PatchParams};
use kube::core::{Request, Status};
use kube::{Client, Resource};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The field manager of everything that agents apply.
const FIELD_MANAGER: &str = "holdpoint-agent";
/// The longest answer that is read.
const MAX_ANSWER: usize = 1 << 20;

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("the API server: {}", single_line(&.0.message, 512))]
    Refused(Box<Status>),
    #[error("the API server cannot be reached: {0}")]
    Unreachable(#[from] kube::Error),
    #[error("no answer from the API server within {} s", CALL_DEADLINE.as_secs())]
    Deadline,
    #[error("the API server's answer cannot be read: {0}")]
    Unreadable(String),
    #[error("the request cannot be written: {0}")]
    Unwritable(String),
}

/// The API server, asked for one host.
pub(super) struct Server {
    client: Client,
    host: String,
    clock: Estimator,
}

/// A report as it is read: facts of another version than this are none.
#[derive(Deserialize)]
struct Report {
    metadata: Metadata,
    #[serde(default)]
    facts: Value,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

type Labels = BTreeMap<String, String>;

impl Server {
    pub(super) fn new(client: Client, host: String) -> Self {
        Self { client, host, clock: Estimator::default() }
    }

    /// What must be added to this machine's clock to get the API server's.
    pub(super) fn offset(&self) -> Option<Offset> {
        self.clock.offset()
    }

    /// The API server's time, or a little before it: never after, so that a heartbeat claims nothing that is not so.
    pub(super) fn now(&self) -> Timestamp {
        let now = clock::now();
        let earliest = self.offset().map_or(SignedDuration::ZERO, |offset| offset.earliest);
        now.checked_add(earliest).unwrap_or(now)
    }

    /// The labels and facts of the host's report, if there is one.
    pub(super) async fn read_report(&mut self) -> Result<Option<(Labels, Option<HostFacts>)>, Trouble> {
        let request = Request::new(HostReport::url_path(&(), None)).get(&self.host, &GetParams::default());
        match self.send::<Report>(request.map_err(|error| unwritable(&error))?).await {
            Ok(report) => Ok(Some((report.metadata.labels, HostFacts::deserialize(&report.facts).ok()))),
            Err(Trouble::Refused(status)) if is_not_found(&status) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the host's report; gives the labels that it has.
    pub(super) async fn apply_report(&mut self, facts: &HostFacts, labels: &Labels) -> Result<Labels, Trouble> {
        let report = json!({
            "apiVersion": HostReport::api_version(&()), "kind": HostReport::kind(&()),
            "metadata": {"name": self.host, "labels": labels}, "facts": facts,
        });
        let written: Report = self.apply(HostReport::url_path(&(), None), report).await?;
        Ok(written.metadata.labels)
    }

    /// Says that what the report says still holds, for so long.
    pub(super) async fn renew_heartbeat(&mut self, lasts: Duration) -> Result<(), Trouble> {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": self.host, "namespace": HEARTBEAT_NAMESPACE},
            "spec": {"holderIdentity": FIELD_MANAGER, "leaseDurationSeconds": lasts.as_secs(), "renewTime": MicroTime(self.now())},
        });
        let _: Value = self.apply(Lease::url_path(&(), Some(HEARTBEAT_NAMESPACE)), lease).await?;
        Ok(())
    }

    async fn apply<T: DeserializeOwned>(&mut self, path: String, object: Value) -> Result<T, Trouble> {
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let request = Request::new(path).patch(&self.host, &params, &Patch::Apply(object)).map_err(|error| unwritable(&error))?;
        self.send(request).await
    }

    async fn send<T: DeserializeOwned>(&mut self, request: http::Request<Vec<u8>>) -> Result<T, Trouble> {
        let sent = clock::now();
        let answered = clock::within(CALL_DEADLINE, async {
            let answer = self.client.send(request.map(Into::into)).await?;
            let (head, body) = answer.into_parts();
            let received = clock::now();
            let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| Trouble::Unreadable(error.to_string()))?;
            Ok::<_, Trouble>((head, received, body.to_bytes()))
        });
        let (head, received, body) = answered.await.map_err(|_| Trouble::Deadline)??;
        if let Some(date) = head.headers.get(DATE).and_then(|date| rfc2822::parse(date.to_str().ok()?).ok()) {
            self.clock.answered(date.timestamp(), sent, received);
        }
        if head.status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| Trouble::Unreadable(error.to_string()));
        }
        let status: Option<Status> = serde_json::from_slice(&body).ok();
        let unnamed = || Status { code: head.status.as_u16(), message: format!("status {}", head.status), ..Status::default() };
        Err(Trouble::Refused(Box::new(status.unwrap_or_else(unnamed))))
    }
}

fn unwritable(error: &kube::core::request::Error) -> Trouble {
    Trouble::Unwritable(error.to_string())
}
