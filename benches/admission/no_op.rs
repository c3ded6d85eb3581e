//! A webhook that allows everything: our server, TLS and certificates around an answer that is always the same. What the real one costs
//! more than this is what its decisions cost. It is a process of its own, as the operator is.

use crate::{NO_OP, Outcome};
use axum::Router;
use axum::body::Bytes;
use axum::response::IntoResponse;
use axum::routing::post;
use holdpoint::clock;
use holdpoint::webhook::issue::{Material, issue_ca, issue_leaf};
use holdpoint::webhook::server::{self, Limits};
use holdpoint::webhook::tls::{CertificateSlot, server_config};
use http::{StatusCode, header};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

const LIFETIME: Duration = Duration::from_hours(24);
/// Ends the trust bundle on standard output, and says that the webhook listens.
const LISTENING: &str = "listening";

/// The webhook as a process; dropping it kills it.
pub struct NoOp {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// The name in its certificate.
    pub name: String,
    /// What to trust, PEM.
    pub ca_bundle: String,
}

impl NoOp {
    /// Starts it, and returns when it listens.
    pub fn start(address: SocketAddr, name: &str) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([NO_OP, &address.to_string(), name]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or("no standard output")?;
        let mut ca_bundle = String::new();
        for line in BufReader::new(output).lines() {
            let line = line?;
            if line == LISTENING {
                return Ok(Self { child, address, name: name.to_owned(), ca_bundle });
            }
            ca_bundle.push_str(&line);
            ca_bundle.push('\n');
        }
        Err("the no-op webhook ended before it listened".into())
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for NoOp {
    fn drop(&mut self) {
        // It has nothing to lose, and may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process: serves until standard input ends, that is, until whoever started it is gone.
pub fn serve(listen: &str, name: &str) -> Outcome<()> {
    let address: SocketAddr = listen.parse()?;
    let now = clock::now();
    let ca = issue_ca(LIFETIME, now)?;
    let (leaf_chain_pem, leaf_key_pem) = issue_leaf(&ca, &BTreeSet::from([name.to_owned()]), LIFETIME, now)?;
    let material = Material { ca_bundle_pem: ca.cert_pem.clone(), leaf_chain_pem, leaf_key_pem, ..Material::default() };
    let slot = CertificateSlot::default();
    slot.install(&material)?;
    let tls = server_config(slot)?;
    // As the operator's: threads for every core.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await?;
        println!("{}{LISTENING}", material.ca_bundle_pem);
        let router = Router::new().route("/", post(allow));
        let shutdown = CancellationToken::new();
        let serving = clock::spawn(server::serve(listener, tls, router, Limits::default(), Arc::default(), shutdown));
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
        serving.abort();
        Ok(())
    })
}

#[derive(Deserialize)]
struct Review<'a> {
    #[serde(borrow)]
    request: Request<'a>,
}

#[derive(Deserialize)]
struct Request<'a> {
    uid: &'a str,
}

/// An answer must name the request's uid, so that much has to be read.
async fn allow(body: Bytes) -> impl IntoResponse {
    match serde_json::from_slice::<Review<'_>>(&body) {
        Ok(Review { request: Request { uid } }) => {
            let answer =
                format!(r#"{{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{{"uid":"{uid}","allowed":true}}}}"#);
            (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], answer)
        }
        Err(error) => (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "text/plain")], error.to_string()),
    }
}
