//! Probe `node`: a Node is ready, without pressure, not cordoned, with the wanted labels, taints and kubelet.
//!
//! Everything that is wrong is named in one message; the reason is the first of it, in the order of the constants below.

use super::live::{LiveProbe, Look, TargetRule};
use super::objects::{ReadObjects, read, target_name};
use crate::api::{Cordoned, ForbiddenTaint, NodeProbe};
use crate::core::observation::{NO_DATA, Observation, Outcome};
use crate::core::problem::Problem;
use jiff::Timestamp;
use kube::api::DynamicObject;
use serde::Deserialize;
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;
mod version;

use version::Version;

/// Reason of a Pass.
pub const NODE_READY: &str = "NodeReady";
/// Reason of a Fail: condition Ready is not True.
pub const NOT_READY: &str = "NotReady";
/// Reason of a Fail: a pressure condition, or `NetworkUnavailable`, is not False.
pub const UNDER_PRESSURE: &str = "UnderPressure";
/// Reason of a Fail: it is marked unschedulable.
pub const CORDONED: &str = "Cordoned";
/// Reason of a Fail: a required label is missing or has another value.
pub const LABEL_MISSING: &str = "LabelMissing";
/// Reason of a Fail: it has a forbidden taint.
pub const FORBIDDEN_TAINT: &str = "ForbiddenTaint";
/// Reason of a Fail: its kubelet is older than `minKubeletVersion`.
pub const KUBELET_TOO_OLD: &str = "KubeletTooOld";

const PRESSURES: [&str; 4] = ["MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"];
const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// What a Node must be like.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    cordoned: Cordoned,
    required_labels: BTreeMap<String, String>,
    forbidden_taints: Vec<ForbiddenTaint>,
    min_kubelet_version: Option<Version>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    unschedulable: Option<bool>,
    taints: Option<Vec<Taint>>,
}

#[derive(Deserialize)]
struct Taint {
    key: String,
    effect: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    conditions: Option<Vec<Condition>>,
    node_info: Option<NodeInfo>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    type_: String,
    status: String,
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeInfo {
    kubelet_version: Option<String>,
}

/// Something that is wrong.
struct Finding {
    reason: &'static str,
    message: String,
    value: String,
    required: String,
}

impl Node {
    /// Reads the spec; what cannot work is a problem below `field`.
    pub fn parse(spec: &NodeProbe, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        for (index, taint) in spec.forbidden_taints.iter().enumerate() {
            let at = format!("{field}.forbiddenTaints[{index}]");
            if taint.key.is_empty() {
                problems.push(Problem::new(format!("{at}.key"), "name a taint's key"));
            }
            if let Some(effect) = taint.effect.as_deref().filter(|effect| !EFFECTS.contains(effect)) {
                let message = format!("{effect:?} is not an effect: write NoSchedule, PreferNoSchedule or NoExecute, or leave it out");
                problems.push(Problem::new(format!("{at}.effect"), message));
            }
        }
        let min_kubelet_version = spec.min_kubelet_version.as_deref().and_then(|text| {
            let version = Version::parse(text).filter(|version| !version.is_pre_release());
            if version.is_none() {
                let message = format!("{text:?} is not a version, such as v1.33.0");
                problems.push(Problem::new(format!("{field}.minKubeletVersion"), message));
            }
            version
        });
        (problems.len() == before).then(|| Self {
            cordoned: spec.cordoned,
            required_labels: spec.required_labels.clone(),
            forbidden_taints: spec.forbidden_taints.clone(),
            min_kubelet_version,
        })
    }

    /// What is seen of one Node. What is certainly wrong fails it even if something else cannot be told.
    pub fn observe(&self, target: &DynamicObject, _objects: &dyn ReadObjects, _now: Timestamp) -> Observation {
        let name = target_name(target);
        let mut unknown = None;
        let mut findings = Vec::new();
        let status: Status = read(target, "status").unwrap_or_else(|why| none(&mut unknown, why)).unwrap_or_default();
        let spec: Spec = read(target, "spec").unwrap_or_else(|why| none(&mut unknown, why)).unwrap_or_default();
        if !has_ready(&status) {
            unknown.get_or_insert_with(|| "it has no condition Ready".to_owned());
        }
        health(&status, &mut findings);
        if self.cordoned == Cordoned::Forbidden && spec.unschedulable == Some(true) {
            findings.push(Finding::new(CORDONED, "it is cordoned", "cordoned", "schedulable"));
        }
        self.labels(target.metadata.labels.as_ref(), &mut findings);
        self.taints(&spec, &mut findings);
        if let Err(why) = self.kubelet(&status, &mut findings) {
            unknown.get_or_insert(why);
        }
        match (findings.first(), unknown) {
            (Some(first), _) => {
                let message = findings.iter().map(|finding| finding.message.as_str()).collect::<Vec<_>>().join("; ");
                Observation::new(name, Outcome::Fail, first.reason, message).measured(&first.value, &first.required)
            }
            (None, Some(why)) => Observation::error(name, NO_DATA, why),
            (None, None) => Observation::new(name, Outcome::Pass, NODE_READY, "ready").measured("Ready True", "Ready True"),
        }
    }

    fn labels(&self, labels: Option<&BTreeMap<String, String>>, findings: &mut Vec<Finding>) {
        for (key, wanted) in &self.required_labels {
            let found = labels.and_then(|labels| labels.get(key));
            let required = format!("label {key}={wanted}");
            match found {
                Some(value) if value == wanted => {}
                Some(value) => {
                    let message = format!("label {key} is {value:?}, not {wanted:?}");
                    findings.push(Finding::new(LABEL_MISSING, message, format!("label {key}={value}"), required));
                }
                None => findings.push(Finding::new(LABEL_MISSING, format!("{required} is missing"), "no such label", required)),
            }
        }
    }

    fn taints(&self, spec: &Spec, findings: &mut Vec<Finding>) {
        for taint in spec.taints.iter().flatten() {
            let effect = taint.effect.as_deref().unwrap_or_default();
            let is_forbidden = |forbidden: &ForbiddenTaint| {
                forbidden.key == taint.key && forbidden.effect.as_deref().is_none_or(|wanted| wanted == effect)
            };
            if self.forbidden_taints.iter().any(is_forbidden) {
                let shown = format!("taint {}:{effect}", taint.key);
                findings.push(Finding::new(FORBIDDEN_TAINT, format!("it has {shown}"), &shown, format!("no {shown}")));
            }
        }
    }

    fn kubelet(&self, status: &Status, findings: &mut Vec<Finding>) -> Result<(), String> {
        let Some(min) = &self.min_kubelet_version else { return Ok(()) };
        let text = status.node_info.as_ref().and_then(|info| info.kubelet_version.as_deref());
        let text = text.ok_or("it does not tell its kubelet's version")?;
        let version = Version::parse(text).ok_or_else(|| format!("its kubelet's version {text:?} cannot be read"))?;
        if version < *min {
            let message = format!("kubelet {text} is older than {min}");
            findings.push(Finding::new(KUBELET_TOO_OLD, message, format!("kubelet {text}"), format!("kubelet {min} or newer")));
        }
        Ok(())
    }
}

impl LiveProbe for Node {
    fn name(&self) -> &'static str {
        "node"
    }

    fn targets(&self) -> TargetRule {
        TargetRule::OneOf(&[("v1", "Node")], "Node of v1")
    }

    fn observe(&self, look: &Look<'_>) -> Vec<Observation> {
        look.each(|target| self.observe(target, look.objects, look.now))
    }
}

impl Finding {
    fn new(reason: &'static str, message: impl Into<String>, value: impl Into<String>, required: impl Into<String>) -> Self {
        Self { reason, message: message.into(), value: value.into(), required: required.into() }
    }
}

/// Remembers the first thing that cannot be told.
fn none<T>(unknown: &mut Option<String>, why: String) -> Option<T> {
    unknown.get_or_insert(why);
    None
}

fn has_ready(status: &Status) -> bool {
    status.conditions.iter().flatten().any(|condition| condition.type_ == "Ready")
}

/// Readiness and pressure. A pressure whose condition is absent is not there: not every platform reports each; one that is Unknown may be.
fn health(status: &Status, findings: &mut Vec<Finding>) {
    let conditions = || status.conditions.iter().flatten();
    let found = |condition: &Condition, reason: &'static str, wanted: &str| {
        let (type_, status) = (&condition.type_, &condition.status);
        let because = condition.reason.as_deref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        Finding::new(reason, format!("{type_} is {status}{because}"), format!("{type_} {status}"), format!("{type_} {wanted}"))
    };
    let not_ready = conditions().filter(|condition| condition.type_ == "Ready" && condition.status != "True");
    findings.extend(not_ready.map(|condition| found(condition, NOT_READY, "True")));
    let pressed = conditions().filter(|condition| PRESSURES.contains(&condition.type_.as_str()) && condition.status != "False");
    findings.extend(pressed.map(|condition| found(condition, UNDER_PRESSURE, "False")));
}
