//! The accounts under which controllers of tools ask. They default to the tools' default installations.

use crate::api::Preset;
use crate::core::text::single_line;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

/// Where tools are installed by default: their namespaces and service accounts.
const DEFAULTS: &[(Preset, &[&str])] = &[
    (Preset::ChaosMesh, &["chaos-mesh/chaos-controller-manager"]),
    (Preset::Litmus, &["litmus/litmus", "litmus/scheduler"]),
    (Preset::Krkn, &["krkn-operator-system/krkn-operator-controller-manager"]),
    (Preset::Datadog, &["chaos-engineering/chaos-controller"]),
    (Preset::KubeVirt, &["kubevirt/kubevirt-controller"]),
    (Preset::ArgoWorkflows, &["argo/argo"]),
];

/// The accounts of all tools' controllers, and the operator's own.
#[derive(Clone, Debug)]
pub struct Accounts {
    controllers: BTreeMap<Preset, Arc<[String]>>,
    operator: Arc<[String]>,
}

/// One account of a tool's controller, written as `TOOL=NAMESPACE/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerAccount {
    /// The tool.
    pub preset: Preset,
    /// The user as which it asks.
    pub user: String,
}

impl Accounts {
    /// With these in place of the defaults of the tools that they name. The operator's own is given by its namespace and name.
    pub fn new(given: &[ControllerAccount], (namespace, name): (&str, &str)) -> Self {
        let default = DEFAULTS.iter().map(|(preset, paths)| (*preset, paths.iter().filter_map(|path| user(path)).collect()));
        let mut controllers: BTreeMap<Preset, Vec<String>> = default.collect();
        for account in given {
            controllers.remove(&account.preset);
        }
        for ControllerAccount { preset, user } in given {
            controllers.entry(*preset).or_default().push(user.clone());
        }
        Self {
            controllers: controllers.into_iter().map(|(preset, users)| (preset, users.into())).collect(),
            operator: Arc::from([format!("system:serviceaccount:{namespace}:{name}")]),
        }
    }

    /// The users as which a tool's controllers ask.
    pub fn of(&self, preset: Preset) -> Arc<[String]> {
        self.controllers.get(&preset).cloned().unwrap_or_default()
    }

    /// The user as which the operator asks.
    pub fn operator(&self) -> Arc<[String]> {
        self.operator.clone()
    }

    /// Whether a user is the controller of a tool.
    pub fn has(&self, user: &str) -> bool {
        self.controllers.values().flat_map(|users| users.iter()).any(|known| known == user)
    }
}

impl Default for Accounts {
    fn default() -> Self {
        Self::new(&[], ("holdpoint-system", "holdpoint"))
    }
}

impl FromStr for ControllerAccount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let shown = || single_line(text, 128);
        let (tool, path) = text.split_once('=').ok_or_else(|| format!("\"{}\" is not TOOL=NAMESPACE/NAME", shown()))?;
        let preset = Preset::ALL.into_iter().find(|preset| preset.as_str() == tool).ok_or_else(|| {
            let known = Preset::ALL.map(Preset::as_str).join(", ");
            format!("\"{}\" is no tool; known are {known}", single_line(tool, 64))
        })?;
        let user = user(path).ok_or_else(|| {
            format!("\"{}\" is not NAMESPACE/NAME: the namespace and the name of a service account", single_line(path, 128))
        })?;
        Ok(Self { preset, user })
    }
}

/// The user of a service account, given as namespace/name.
fn user(path: &str) -> Option<String> {
    let (namespace, name) = path.split_once('/')?;
    let sound = |part: &str, max: usize, dots: bool| {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || (dots && b == b'.');
        (1..=max).contains(&part.len()) && part.bytes().all(allowed) && !part.starts_with(['-', '.']) && !part.ends_with(['-', '.'])
    };
    (sound(namespace, 63, false) && sound(name, 253, true)).then(|| format!("system:serviceaccount:{namespace}:{name}"))
}
