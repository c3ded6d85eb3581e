//! A check's probe, parsed: which one it is, and how to ask it.

use super::condition::Condition;
use super::http::Http;
use super::net::Dialer;
use super::node::Node;
use super::objects::ReadObjects;
use super::rollout::Rollout;
use super::tcp::Tcp;
use super::window::Window;
use crate::api;
use crate::api::conditions::passing::FORBIDDEN;
use crate::core::observation::{NO_DATA, Observation};
use crate::core::problem::Problem;
use crate::core::text::single_line;
use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::api::DynamicObject;
use std::sync::Arc;
use std::time::Duration;

/// The longest message that prints commands, in characters: names may be as long as 253.
const MAX_COMMAND_CHARS: usize = 2048;

/// The probe of a check.
#[derive(Clone, Debug)]
pub enum Plan {
    /// Decided from watched objects and the time.
    Live(Live),
    /// Must go and look.
    Probed(Probed),
}

/// A probe that is a pure function of watched objects and the time.
#[derive(Clone, Debug)]
pub enum Live {
    /// A workload is rolled out.
    Rollout(Rollout),
    /// A condition of any object.
    Condition(Condition),
    /// A Node can take work.
    Node(Node),
    /// Now is a good time. Has no target.
    Window(Window),
}

/// A probe that goes over the network.
#[derive(Clone, Debug)]
pub enum Probed {
    /// An HTTP request.
    Http(Box<Http>),
    /// A TCP connection.
    Tcp(Tcp),
}

/// What a live probe needs watched besides its target.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Related {
    /// The apiVersion.
    pub api_version: &'static str,
    /// The kind; in the target's namespace.
    pub kind: &'static str,
}

impl Plan {
    /// Parses the one member that is set.
    pub fn parse(probe: &api::Probe, problems: &mut Vec<Problem>) -> Option<Self> {
        match probe {
            api::Probe { rollout: Some(spec), condition: None, node: None, http: None, tcp: None, window: None } => {
                Rollout::parse(spec, "spec.probe.rollout", problems).map(Live::Rollout).map(Self::Live)
            }
            api::Probe { rollout: None, condition: Some(spec), node: None, http: None, tcp: None, window: None } => {
                Condition::parse(spec, "spec.probe.condition", problems).map(Live::Condition).map(Self::Live)
            }
            api::Probe { rollout: None, condition: None, node: Some(spec), http: None, tcp: None, window: None } => {
                Node::parse(spec, "spec.probe.node", problems).map(Live::Node).map(Self::Live)
            }
            api::Probe { rollout: None, condition: None, node: None, http: Some(spec), tcp: None, window: None } => {
                Http::parse(spec, "spec.probe.http", problems).map(|http| Self::Probed(Probed::Http(Box::new(http))))
            }
            api::Probe { rollout: None, condition: None, node: None, http: None, tcp: Some(spec), window: None } => {
                Tcp::parse(spec, "spec.probe.tcp", problems).map(Probed::Tcp).map(Self::Probed)
            }
            api::Probe { rollout: None, condition: None, node: None, http: None, tcp: None, window: Some(spec) } => {
                Window::parse(spec, "spec.probe.window", problems).map(Live::Window).map(Self::Live)
            }
            _ => {
                let message = "exactly one probe is required: set one of rollout, condition, node, http, tcp, window";
                problems.push(Problem::new("spec.probe", message));
                None
            }
        }
    }

    /// The probe's name, as in `spec.probe`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Live(Live::Rollout(_)) => "rollout",
            Self::Live(Live::Condition(_)) => "condition",
            Self::Live(Live::Node(_)) => "node",
            Self::Live(Live::Window(_)) => "window",
            Self::Probed(Probed::Http(_)) => "http",
            Self::Probed(Probed::Tcp(_)) => "tcp",
        }
    }

    /// Whether it looks at objects, which the check must name.
    pub const fn needs_targets(&self) -> bool {
        matches!(self, Self::Live(Live::Rollout(_) | Live::Condition(_) | Live::Node(_)))
    }

    /// What is wrong with a kind of target, if this probe cannot look at it.
    pub fn refuses(&self, api_version: &str, kind: &str) -> Option<String> {
        let wrong =
            |wanted: &str| Some(format!("the {} probe cannot look at {kind} of {api_version}: its targets are {wanted}", self.name()));
        match self {
            Self::Live(Live::Rollout(_)) if !Rollout::accepts(api_version, kind) => {
                wrong("Deployment, StatefulSet or DaemonSet of apps/v1")
            }
            Self::Live(Live::Node(_)) if (api_version, kind) != ("v1", "Node") => wrong("Node of v1"),
            _ => None,
        }
    }
}

impl Live {
    /// What must be watched besides the targets.
    pub fn related(&self) -> Option<Related> {
        match self {
            Self::Rollout(rollout) if rollout.needs_pods() => Some(Related { api_version: "v1", kind: "Pod" }),
            _ => None,
        }
    }

    /// Observes a target. Only `window` has none.
    pub fn observe(&self, target: Option<&DynamicObject>, objects: &dyn ReadObjects, now: Timestamp) -> Observation {
        match (self, target) {
            (Self::Window(window), _) => window.observe(now),
            (Self::Rollout(rollout), Some(target)) => rollout.observe(target, objects, now),
            (Self::Condition(condition), Some(target)) => condition.observe(target, objects, now),
            (Self::Node(node), Some(target)) => node.observe(target, objects, now),
            (_, None) => Observation::error("", NO_DATA, "there is no target"),
        }
    }
}

/// What can be referred to by name and key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl Probed {
    /// What is observed, for results.
    pub fn target(&self) -> &str {
        match self {
            Self::Http(http) => http.target(),
            Self::Tcp(tcp) => tcp.target(),
        }
    }

    /// Tries once.
    pub async fn observe(&self, outbound: &Outbound, namespace: &str, timeout: Duration) -> Observation {
        match self {
            Self::Tcp(tcp) => tcp.observe(&outbound.dialer, timeout).await,
            Self::Http(http) => match http.certificate_authority() {
                None => http.observe(&outbound.dialer, None, timeout).await,
                Some(authority) => match outbound.certificate_authority(authority, namespace).await {
                    Ok(pem) => http.observe(&outbound.dialer, Some(&pem), timeout).await,
                    // Whole, for it may print commands to copy.
                    Err((reason, message)) => {
                        Observation { message: single_line(&message, MAX_COMMAND_CHARS), ..Observation::error(http.target(), reason, "") }
                    }
                },
            },
        }
    }
}

impl Outbound {
    async fn certificate_authority(
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
    fn grant(&self, kind: &str, namespace: &str, name: &str) -> String {
        let resource = format!("{}s", kind.to_ascii_lowercase());
        let account = &self.service_account;
        format!(
            "may not read {kind} {name}; grant it: kubectl -n {namespace} create role holdpoint-{name} --verb=get --resource={resource} --resource-name={name} \
             && kubectl -n {namespace} create rolebinding holdpoint-{name} --role=holdpoint-{name} --serviceaccount={account}"
        )
    }
}
