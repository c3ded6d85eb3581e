//! Keeps the webhook's certificates: reads them from their Secret, does what [`crate::core::certificates::plan`] says, serves the leaf, hands
//! out the trust bundle, and proves by a handshake with itself that what is served is what is trusted.
//!
//! The Secret comes with the installation, empty. It is replaced under its resourceVersion, so that of two writers one starts over.
//!
//! Every replica does this alike, leader or not, and none ever serves a leaf that API servers do not trust where there was one that they do:
//! * What is served is what was read back from the Secret. Two replicas that start at once both make an authority; one write is refused, and both serve
//!   the other.
//! * A leaf of a new authority is made only after the replica that makes it has seen the authority in the webhook configuration itself (not in
//!   what it would write) for [`crate::core::certificates::Lifetimes::settle`]. The replica that leads registers what it last read of the Secret: for it to write an older bundle
//!   over a newer one, its watch of the Secret would have to be late by that long, and watches that do not deliver are begun again within seconds.
//! * A replica that has not read the newest leaf yet serves the one before; its authority stays in the bundle until that leaf has run out.

use super::issue::{Material, bundle_authorities, carry_out};
use super::tls::{CertificateSlot, verify_served};
use crate::clock;
use crate::cluster::apply::FIELD_MANAGER;
use crate::cluster::client::call;
use crate::cluster::contact::Contact;
use crate::cluster::watch::{Change, watch};
use crate::core::certificates::{Plan, Published, Settings, plan};
use crate::core::registration::Registered;
use crate::telemetry::health::Readiness;
use crate::telemetry::metrics::Metrics;
use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::runtime::watcher::Config;
use kube::{Api, Client, ResourceExt};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::sync::watch as tokio_watch;
use tokio_util::sync::CancellationToken;

/// The Secret's name, as in `deploy/`.
pub const SECRET: &str = "holdpoint-webhook-tls";
/// The name of the condition of readiness.
pub const READY_CERTIFICATE: &str = "certificate";
/// How long until another attempt after a failed one.
const RETRY: SignedDuration = SignedDuration::from_secs(2);
/// How long the handshake with ourselves may take.
const SELF_CHECK: Duration = Duration::from_secs(2);

/// What the certificates are kept with.
pub struct Certificates {
    /// The API server.
    pub client: Client,
    /// Proof that it is there.
    pub contact: Contact,
    /// The operator's namespace.
    pub namespace: String,
    /// Lifetimes and names.
    pub settings: Settings,
    /// The name under which the API server calls.
    pub server_name: String,
    /// Where the webhook listens.
    pub listen: SocketAddr,
    /// Where the leaf is served from.
    pub slot: CertificateSlot,
    /// Told the trust bundle.
    pub ca_bundle: tokio_watch::Sender<Option<Vec<u8>>>,
    /// What is registered.
    pub registered: tokio_watch::Receiver<Registered>,
    /// Told when the leaf expires.
    pub metrics: Metrics,
    /// Told whether what is served is trusted.
    pub readiness: Readiness,
}

struct Keeper {
    context: Certificates,
    api: Api<Secret>,
    secret: Option<Secret>,
    published: Published,
    /// What was proved last: the bundle, and the leaf.
    proved: Option<(Vec<u8>, String)>,
}

/// Runs until shutdown.
pub async fn run(context: Certificates, shutdown: CancellationToken) {
    let api = Api::<Secret>::namespaced(context.client.clone(), &context.namespace);
    let only = Config::default().fields(&format!("metadata.name={SECRET}"));
    let mut changes = std::pin::pin!(watch(Api::namespaced(context.client.clone(), &context.namespace), only, context.contact.clone()));
    let mut keeper = Keeper { context, api, secret: None, published: Published::default(), proved: None };
    let mut again: Option<Timestamp> = None;
    let mut listed = false;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = clock::wake(again) => {}
            Ok(()) = keeper.context.registered.changed() => {}
            Some(change) = changes.next() => listed |= keeper.take(change),
        }
        if listed {
            again = Some(keeper.look(clock::now()).await);
        }
    }
}

impl Keeper {
    /// Takes in a change of the Secret. Returns whether it is now known whether there is one.
    fn take(&mut self, change: Change<Secret>) -> bool {
        match change {
            Change::Listed(list) => self.secret = list.into_iter().find(|s| s.name_any() == SECRET),
            Change::Applied(secret) => self.secret = Some(secret),
            Change::Deleted(_) => self.secret = None,
            Change::Unreadable { .. } => return false,
            Change::Failed { message, .. } => {
                tracing::warn!(error = message, secret = SECRET, "the watch of the certificate's Secret broke and begins again");
                return false;
            }
        }
        true
    }

    /// Serves and hands out what is stored, makes what is due, and says when to look again.
    async fn look(&mut self, now: Timestamp) -> Timestamp {
        let retry = now.checked_add(RETRY).unwrap_or(now);
        let Some(secret) = self.secret.clone() else {
            let namespace = &self.context.namespace;
            self.not_ready(format!("there is no Secret {SECRET} in namespace {namespace}: apply deploy/install.yaml to bring it back"));
            return retry;
        };
        let stored = Material::from_secret(secret.data.as_ref().unwrap_or(&std::collections::BTreeMap::new()));
        let registered = self.context.registered.borrow_and_update().ca_bundle.clone();
        self.published = self.published.observe(bundle_authorities(&String::from_utf8_lossy(&registered)), now);
        let inspected = stored.as_ref().map(Material::inspect);
        let step = plan(inspected.as_ref(), &self.published, &self.context.settings, now);
        if let Plan::Keep { check_again_at, .. } = step {
            let Some(stored) = stored else { return retry };
            return if self.serve(&stored, &registered).await { check_again_at } else { retry };
        }
        tracing::info!(?step, "the webhook's certificates are due for a step");
        match carry_out(&step, stored.as_ref(), &self.context.settings, now) {
            Ok(Some(material)) => self.store(secret, &material).await,
            Ok(None) => {}
            Err(error) => self.not_ready(format!("certificates cannot be made: {error}")),
        }
        if let Some(stored) = stored {
            self.serve(&stored, &registered).await;
        }
        retry
    }

    /// Writes the Secret. What comes back through the watch is served, and not before: what is served is what is stored.
    async fn store(&mut self, mut secret: Secret, material: &Material) {
        secret.data = Some(material.to_secret());
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match call(self.api.replace(SECRET, &params, &secret)).await {
            Ok(_) => {}
            // Another replica was first. What it stored comes through the watch.
            Err(error) if error.is_conflict() => tracing::info!(secret = SECRET, "another replica has changed the webhook's certificates"),
            Err(error) => {
                tracing::warn!(%error, secret = SECRET, "cannot store the webhook's certificates");
                self.not_ready(format!("cannot write Secret {SECRET}: {error}"));
            }
        }
    }

    /// Serves the stored leaf and hands out the stored bundle. Returns whether what is served is proved to be trusted by what is registered.
    async fn serve(&mut self, stored: &Material, registered: &[u8]) -> bool {
        let bundle = stored.ca_bundle_pem.clone().into_bytes();
        self.context.ca_bundle.send_if_modified(|old| {
            let changed = old.as_ref() != Some(&bundle);
            *old = Some(bundle.clone());
            changed
        });
        if let Err(error) = self.context.slot.install(stored) {
            self.not_ready(format!("the stored certificate cannot be served: {error}"));
            return false;
        }
        if let Some(not_after) = self.context.slot.not_after() {
            self.context.metrics.certificate_expires(not_after.as_second());
        }
        if registered.is_empty() {
            self.not_ready("waiting for the trust bundle to be registered".to_owned());
            return true;
        }
        self.prove(registered, stored).await
    }

    async fn prove(&mut self, registered: &[u8], stored: &Material) -> bool {
        let subject = (registered.to_vec(), stored.leaf_chain_pem.clone());
        if self.proved.as_ref() == Some(&subject) {
            // It may have been not ready meanwhile: the configuration was deleted and applied again.
            self.context.readiness.ready(READY_CERTIFICATE);
            return true;
        }
        let bundle = String::from_utf8_lossy(registered);
        match verify_served(dialable(self.context.listen), &self.context.server_name, &bundle, SELF_CHECK).await {
            Ok(()) => {
                self.proved = Some(subject);
                self.context.readiness.ready(READY_CERTIFICATE);
                true
            }
            Err(error) => {
                self.not_ready(format!("what is served is not trusted by what is registered: {error}"));
                false
            }
        }
    }

    fn not_ready(&self, why: String) {
        self.context.readiness.not_ready(READY_CERTIFICATE, why);
    }
}

/// The address under which a listener can be reached from its own host.
fn dialable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    SocketAddr::new(ip, listen.port())
}
