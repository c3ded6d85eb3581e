//! A check's probe, parsed: which one it is. The one place that knows all probes.

use super::analysis::Analysis;
use super::blast_radius::BlastRadius;
use super::capacity::Capacity;
use super::cel::Cel;
use super::composite::Composite;
use super::concurrency;
use super::condition::Condition;
use super::cooldown;
use super::disruption_budget::DisruptionBudget;
use super::host::Host;
use super::http::Http;
use super::keys::Keys;
use super::live::{LiveProbe, ProbedProbe, TargetRule};
use super::net::Dialer;
use super::node::Node;
use super::quota::Quota;
use super::rollout::Rollout;
use super::tcp::Tcp;
use super::window::Window;
use crate::api;
use crate::api::conditions::passing::FORBIDDEN;
use crate::core::observation::NO_DATA;
use crate::core::problem::Problem;
use futures::future::BoxFuture;
use std::sync::Arc;

/// The longest message that prints commands, in characters: names may be as long as 253.
pub(super) const MAX_COMMAND_CHARS: usize = 2048;

/// The probe of a check.
#[derive(Clone, Debug)]
pub enum Plan {
    /// Decided from watched objects and the time.
    Live(Arc<dyn LiveProbe>),
    /// Must go and look.
    Probed(Arc<dyn ProbedProbe>),
}

fn live<P: LiveProbe + 'static>(probe: P) -> Plan {
    Plan::Live(Arc::new(probe))
}

fn probed<P: ProbedProbe + 'static>(probe: P) -> Plan {
    Plan::Probed(Arc::new(probe))
}

impl Plan {
    /// Parses the one member that is set.
    pub fn parse(probe: &api::Probe, problems: &mut Vec<Problem>) -> Option<Self> {
        let p = problems;
        // One arm a probe.
        let arms = [
            probe.rollout.as_ref().map(|spec| Rollout::parse(spec, "spec.probe.rollout", p).map(live)),
            probe.condition.as_ref().map(|spec| Condition::parse(spec, "spec.probe.condition", p).map(live)),
            probe.node.as_ref().map(|spec| Node::parse(spec, "spec.probe.node", p).map(live)),
            probe.window.as_ref().map(|spec| Window::parse(spec, "spec.probe.window", p).map(live)),
            probe.host.as_ref().map(|spec| Host::parse(spec, "spec.probe.host", p).map(live)),
            probe.http.as_ref().map(|spec| Http::parse(spec, "spec.probe.http", p).map(probed)),
            probe.tcp.as_ref().map(|spec| Tcp::parse(spec, "spec.probe.tcp", p).map(probed)),
            probe.capacity.as_ref().map(|spec| Capacity::parse(spec, "spec.probe.capacity", p).map(live)),
            probe.quota.as_ref().map(|spec| Quota::parse(spec, "spec.probe.quota", p).map(live)),
            probe.disruption_budget.as_ref().map(|spec| DisruptionBudget::parse(spec, "spec.probe.disruptionBudget", p).map(live)),
            probe.cel.as_ref().map(|spec| Cel::parse(spec, "spec.probe.cel", p).map(live)),
            probe.analysis.as_ref().map(|spec| Analysis::parse(spec, "spec.probe.analysis", p).map(live)),
            probe.composite.as_ref().map(|spec| Composite::parse(spec, "spec.probe.composite", p).map(live)),
            probe.blast_radius.as_ref().map(|spec| BlastRadius::parse(spec, "spec.probe.blastRadius", p).map(live)),
            probe.keys.as_ref().map(|spec| Keys::parse(spec, "spec.probe.keys", p).map(probed)),
            probe.cooldown.as_ref().map(|spec| cooldown::parse(spec, "spec.probe.cooldown", p).map(live)),
            probe.concurrency.as_ref().map(|spec| concurrency::parse(spec, "spec.probe.concurrency", p).map(live)),
        ];
        let mut set = arms.into_iter().flatten();
        if let (Some(plan), None) = (set.next(), set.next()) {
            return plan;
        }
        p.push(Problem::new("spec.probe", "exactly one probe is required: see `kubectl explain pfc.spec.probe`"));
        None
    }

    /// The probe's name, as in `spec.probe`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Live(probe) => probe.name(),
            Self::Probed(probe) => probe.name(),
        }
    }

    /// What the check's `targets` must be.
    pub fn targets(&self) -> TargetRule {
        match self {
            Self::Live(probe) => probe.targets(),
            Self::Probed(_) => TargetRule::None,
        }
    }
}

/// What can be referred to by name and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ReferenceKind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

/// Why a reference cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// There is no such object.
    #[error("does not exist")]
    NotFound,
    /// It has no such key.
    #[error("has no such key")]
    NoKey,
    /// The operator has not the right.
    #[error("may not be read by the operator")]
    Forbidden,
    /// Anything else.
    #[error("cannot be read: {0}")]
    Unreadable(String),
}

/// What is under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// There is no such key.
    Missing,
    /// Its value has no bytes.
    Empty,
    /// It has a value.
    Filled,
}

/// What a ConfigMap or Secret holds, without any value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyStates {
    /// The keys that were asked about, in their order.
    pub asked: Vec<KeyState>,
    /// Whether any key, asked about or not, has a value.
    pub any_filled: bool,
}

/// Reads what probes refer to.
pub trait ReadReferences: Send + Sync {
    /// The bytes of one key.
    fn read<'a>(
        &'a self,
        kind: ReferenceKind,
        namespace: &'a str,
        name: &'a str,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Vec<u8>, ReferenceError>>;
    /// Whether each of some keys is there and has a value. The values themselves stay where they were read.
    fn keys<'a>(
        &'a self,
        kind: ReferenceKind,
        namespace: &'a str,
        name: &'a str,
        keys: &'a [String],
    ) -> BoxFuture<'a, Result<KeyStates, ReferenceError>>;
}

/// What probed checks go out with.
#[derive(Clone)]
pub struct Outbound {
    /// The one way out.
    pub dialer: Dialer,
    /// Reads certificate authorities.
    pub references: Arc<dyn ReadReferences>,
    /// Who the operator is, for the commands that grant it a right: `namespace:name` of its service account.
    pub service_account: Arc<str>,
}

impl Outbound {
    /// The PEM text of an authority, or the reason and the message of what is wrong; the message may print commands to copy.
    pub(super) async fn certificate_authority(
        &self,
        authority: &api::CertificateAuthority,
        namespace: &str,
    ) -> Result<Vec<u8>, (&'static str, String)> {
        let (kind, word, reference) = match (&authority.config_map_ref, &authority.secret_ref) {
            (Some(reference), None) => (ReferenceKind::ConfigMap, "ConfigMap", reference),
            (None, Some(reference)) => (ReferenceKind::Secret, "Secret", reference),
            _ => return Err((NO_DATA, "certificateAuthority: exactly one of configMapRef and secretRef is required".to_owned())),
        };
        let name = &reference.name;
        self.references.read(kind, namespace, name, &reference.key).await.map_err(|error| match error {
            ReferenceError::Forbidden => (FORBIDDEN, self.grant(word, namespace, name)),
            error => (NO_DATA, format!("certificate authority: {word} {name}, key {}: {error}", reference.key)),
        })
    }

    /// The commands that let the operator read one object.
    pub(super) fn grant(&self, kind: &str, namespace: &str, name: &str) -> String {
        let resource = format!("{}s", kind.to_ascii_lowercase());
        let account = &self.service_account;
        format!(
            "may not read {kind} {name}; grant it: kubectl -n {namespace} create role holdpoint-{name} --verb=get --resource={resource} --resource-name={name} \
             && kubectl -n {namespace} create rolebinding holdpoint-{name} --role=holdpoint-{name} --serviceaccount={account}"
        )
    }
}
