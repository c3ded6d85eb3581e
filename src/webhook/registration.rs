//! Keeps the operator's entries in the `ValidatingWebhookConfiguration` that was installed with it.
//!
//! Every replica works out the entries; only the one that leads writes them. The others find out by a dry run whether what is written is what they
//! would write, as the API server understands it, so one that takes over has nothing to write. A write replaces exactly the version that was
//! seen: one of a former leader that comes late is refused.
//!
//! The object itself is never created and never deleted here, only patched: deleting it is the emergency switch of whoever runs the cluster.
//! Server-side apply with the object's uid refuses to bring it back. Entries shrink only when all gates are known, and vanish with the last gate.

use crate::clock;
use crate::cluster::apply::FIELD_MANAGER;
use crate::cluster::client::{CallError, call_within};
use crate::cluster::contact::Contact;
use crate::cluster::lease::Role;
use crate::cluster::watch::{Change, watch};
use crate::core::gate::{Gate, GateKey};
use crate::core::registration::{Address, Endpoint, Registered, entries, notes, pushed_field};
use crate::telemetry::health::Readiness;
use futures::StreamExt;
use k8s_openapi::api::admissionregistration::v1::{ValidatingWebhook, ValidatingWebhookConfiguration};
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::Config;
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch as tokio_watch;
use tokio_util::sync::CancellationToken;

/// The object's name, as in `deploy/`.
pub const CONFIGURATION: &str = "holdpoint";
/// The name of the condition of readiness.
pub const READY_REGISTRATION: &str = "registration";
/// How long until another attempt after a failed one. It doubles up to [`LAST_RETRY`]: an API server that takes long over the entries is not to be
/// asked the more for it.
const RETRY: Duration = Duration::from_secs(2);
/// How long a write may take: the API server compiles all conditions whenever one of them changes, which is a second of work with all presets.
const DEADLINE: Duration = Duration::from_secs(30);
/// The longest pause between attempts.
const LAST_RETRY: Duration = Duration::from_secs(30);

/// What the registration works with.
pub struct Registration {
    /// The API server.
    pub client: Client,
    /// Proof that it is there.
    pub contact: Contact,
    /// How the webhook is reached.
    pub address: Address,
    /// The operator's namespace.
    pub namespace: String,
    /// The gates, once all are known.
    pub gates: tokio_watch::Receiver<Option<Vec<Arc<Gate>>>>,
    /// Whether this replica leads: only the leader writes.
    pub role: tokio_watch::Receiver<Role>,
    /// The trust bundle, once there is one.
    pub ca_bundle: tokio_watch::Receiver<Option<Vec<u8>>>,
    /// Told what is registered.
    pub registered: tokio_watch::Sender<Registered>,
    /// Told whether it is.
    pub readiness: Readiness,
}

/// How long changes are collected after a look.
const PAUSE: Duration = Duration::from_millis(200);

struct State {
    context: Registration,
    api: Api<ValidatingWebhookConfiguration>,
    /// The object as it was last seen; `None` if there is none.
    seen: Option<ValidatingWebhookConfiguration>,
    /// The entries as they stand once what is wanted is applied, as the API server understands it.
    applied: Option<Vec<ValidatingWebhook>>,
    /// What was wanted then.
    wanted: Option<Vec<ValidatingWebhook>>,
    refused: BTreeMap<GateKey, (Option<i64>, String)>,
}

/// Runs until shutdown.
pub async fn run(context: Registration, shutdown: CancellationToken) {
    let api = Api::<ValidatingWebhookConfiguration>::all(context.client.clone());
    let only = Config::default().fields(&format!("metadata.name={CONFIGURATION}"));
    let mut changes = std::pin::pin!(watch(Api::all(context.client.clone()), only, context.contact.clone()));
    let mut state = State { context, api, seen: None, applied: None, wanted: None, refused: BTreeMap::new() };
    let mut listed = false;
    let (mut retry, mut pause) = (false, RETRY);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = clock::sleep(pause), if retry => {}
            Ok(()) = state.context.gates.changed() => {}
            Ok(()) = state.context.ca_bundle.changed() => {}
            Ok(()) = state.context.role.changed() => {}
            Some(change) = changes.next() => listed |= state.take(change),
        }
        if listed {
            retry = !state.sync().await;
            pause = if retry { (pause * 2).min(LAST_RETRY) } else { RETRY };
            // A burst of changes is one write.
            clock::sleep(PAUSE).await;
        }
    }
}

impl State {
    /// Takes in a change of the object. Returns whether it is now known whether there is one.
    fn take(&mut self, change: Change<ValidatingWebhookConfiguration>) -> bool {
        match change {
            Change::Listed(list) => self.seen = list.into_iter().find(|o| o.name_any() == CONFIGURATION),
            Change::Applied(object) => self.seen = Some(object),
            Change::Deleted(_) => self.seen = None,
            Change::Unreadable { .. } => return false,
            Change::Failed { message, .. } => {
                tracing::warn!(error = message, "the watch of the webhook configuration broke and begins again");
                return false;
            }
        }
        true
    }

    /// Brings the entries in line. Returns whether nothing is left to be tried again.
    async fn sync(&mut self) -> bool {
        let gates = self.context.gates.borrow_and_update().clone();
        let bundle = self.context.ca_bundle.borrow_and_update().clone();
        let (Some(gates), Some(ca_bundle)) = (gates, bundle) else {
            self.context.readiness.not_ready(READY_REGISTRATION, "waiting for the gates and the certificate");
            return true;
        };
        let Some(uid) = self.seen.as_ref().and_then(ResourceExt::uid) else {
            self.applied = None;
            self.report(&gates, &ca_bundle, Err(format!(
                "there is no ValidatingWebhookConfiguration {CONFIGURATION}: nothing is held. Apply deploy/install.yaml to bring it back"
            )));
            return true;
        };
        let generations: BTreeMap<&GateKey, Option<i64>> = gates.iter().map(|g| (&g.key, g.generation)).collect();
        self.refused.retain(|key, (generation, _)| generations.get(key) == Some(generation));
        let endpoint =
            Endpoint { address: self.context.address.clone(), namespace: self.context.namespace.clone(), ca_bundle: ca_bundle.clone() };
        let wanted = entries(gates.iter().map(AsRef::as_ref), &endpoint, &|g: &Gate| self.refused.contains_key(&g.key));
        if self.stands(&wanted) {
            self.report(&gates, &ca_bundle, Ok(()));
            return true;
        }
        let leads = self.leads();
        match self.apply(&uid, &wanted, !leads).await {
            Ok(applied) => {
                self.applied = Some(applied.webhooks.clone().unwrap_or_default());
                if leads {
                    tracing::info!(gates = gates.len(), entries = wanted.len(), "registered the gates with the API server");
                    self.seen = Some(applied);
                }
                self.wanted = Some(wanted);
                let stands = self.applied.as_ref() == Some(&self.entries());
                let waits = || "the replica that leads has yet to register the gates with the API server".to_owned();
                self.report(&gates, &ca_bundle, stands.then_some(()).ok_or_else(waits));
                stands
            }
            // What is written by now comes through the watch.
            Err(error) if error.is_conflict() => false,
            Err(error) => {
                tracing::warn!(%error, "cannot register the gates with the API server");
                if error.is_invalid() && self.find_refused(&uid, &gates, &endpoint).await {
                    return Box::pin(self.sync()).await;
                }
                self.report(&gates, &ca_bundle, Err(format!("cannot be registered with the API server: {error}")));
                false
            }
        }
    }

    fn leads(&self) -> bool {
        self.context.role.borrow().leadership().is_some()
    }

    /// The entries that are written.
    fn entries(&self) -> Vec<ValidatingWebhook> {
        self.seen.as_ref().and_then(|o| o.webhooks.clone()).unwrap_or_default()
    }

    /// Whether what is wanted was applied and still stands.
    fn stands(&self, wanted: &Vec<ValidatingWebhook>) -> bool {
        self.wanted.as_ref() == Some(wanted) && self.applied.as_ref() == Some(&self.entries())
    }

    async fn apply(&self, uid: &str, entries: &[ValidatingWebhook], dry_run: bool) -> Result<ValidatingWebhookConfiguration, CallError> {
        let patch = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": CONFIGURATION, "uid": uid, "resourceVersion": self.seen.as_ref().and_then(ResourceExt::resource_version)},
            "webhooks": entries,
        });
        let params = PatchParams { dry_run, ..PatchParams::apply(FIELD_MANAGER).force() };
        call_within(DEADLINE, self.api.patch(CONFIGURATION, &params, &Patch::Apply(patch))).await
    }

    /// The API server did not accept the entries: finds out, by dry runs, which gates' expressions it does not accept. Returns whether
    /// any was found that was not known.
    async fn find_refused(&mut self, uid: &str, gates: &[Arc<Gate>], endpoint: &Endpoint) -> bool {
        let mut found = false;
        for gate in gates {
            if pushed_field(gate).is_none() || self.refused.contains_key(&gate.key) {
                continue;
            }
            let alone = entries(std::iter::once(gate.as_ref()), endpoint, &|_| false);
            if let Err(error) = self.apply(uid, &alone, true).await
                && error.is_invalid()
            {
                self.refused.insert(gate.key.clone(), (gate.generation, error.to_string()));
                found = true;
            }
        }
        found
    }

    fn report(&self, gates: &[Arc<Gate>], ca_bundle: &[u8], result: Result<(), String>) {
        let entries = self.entries();
        let trusted = trusted(&entries).map_or_else(|| ca_bundle.to_vec(), <[u8]>::to_vec);
        match &result {
            // One that does not lead answers what is sent to it, while another has yet to register the rest: it must not be taken out of service.
            Err(why) if self.leads() || entries.is_empty() || trusted != ca_bundle => {
                self.context.readiness.not_ready(READY_REGISTRATION, why.clone());
            }
            Ok(()) | Err(_) => self.context.readiness.ready(READY_REGISTRATION),
        }
        self.context.registered.send_if_modified(|registered| {
            let ok = result.is_ok();
            let new = Registered {
                gates: if ok { gates.iter().map(|g| (g.key.clone(), g.generation)).collect() } else { BTreeMap::new() },
                notes: notes(gates.iter().map(AsRef::as_ref)),
                refused: self.refused.iter().map(|(key, (_, message))| (key.clone(), message.clone())).collect(),
                ca_bundle: trusted,
                error: result.err(),
            };
            let changed = *registered != new;
            *registered = new;
            changed
        });
    }
}

/// The bundle by which API servers trust the webhook, as it is written. `None` without entries: where nobody calls, any bundle will do. If entries
/// have several, none can be relied on.
fn trusted(entries: &[ValidatingWebhook]) -> Option<&[u8]> {
    let first = bundle_of(entries.first()?);
    Some(if entries.iter().all(|entry| bundle_of(entry) == first) { first } else { &[] })
}

fn bundle_of(entry: &ValidatingWebhook) -> &[u8] {
    entry.client_config.ca_bundle.as_ref().map(|bundle| bundle.0.as_slice()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;

    #[test]
    fn what_api_servers_trust_is_what_is_written() {
        let entry = |bundle: &str| {
            let mut entry = ValidatingWebhook::default();
            entry.client_config.ca_bundle = Some(ByteString(bundle.as_bytes().to_vec()));
            entry
        };
        assert_eq!(trusted(&[]), None);
        assert_eq!(trusted(&[entry("a"), entry("a")]), Some(b"a".as_slice()));
        assert_eq!(trusted(&[entry("a"), entry("b")]), Some(b"".as_slice()));
        assert_eq!(trusted(&[ValidatingWebhook::default()]), Some(b"".as_slice()));
    }
}
