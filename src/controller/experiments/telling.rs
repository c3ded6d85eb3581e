//! What is told, and of whom.

use crate::api::{GROUP, VERSION};
use crate::cluster::events::Happening;
use crate::core::during_run::Experiment;
use crate::core::gate::{Gate, Resource};
use k8s_openapi::api::core::v1::ObjectReference;

/// Something was not done that was to be done.
pub(super) const FAILED: &str = "InterventionFailed";
/// Something is not done, by the mode of the gate or for want of means.
pub(super) const NOT_STOPPED: &str = "ExperimentNotStopped";
/// The action of all these Events.
const ACTION: &str = "Intervene";

/// The same news of the gate and of the experiment.
pub(super) fn both(gate: &ObjectReference, experiment: &ObjectReference, reason: &'static str, note: &str) -> [Happening; 2] {
    let happening = |regarding: &ObjectReference, related: &ObjectReference| Happening {
        regarding: regarding.clone(),
        related: Some(related.clone()),
        warning: reason != "ExperimentResumed",
        reason,
        action: ACTION,
        note: note.to_owned(),
    };
    [happening(experiment, gate), happening(gate, experiment)]
}

/// News of a gate.
pub(super) fn of_gate(gate: &Gate, note: String) -> Happening {
    Happening { regarding: gate_reference(gate), related: None, warning: true, reason: FAILED, action: ACTION, note }
}

pub(super) fn gate_reference(gate: &Gate) -> ObjectReference {
    ObjectReference {
        api_version: Some(format!("{GROUP}/{VERSION}")),
        kind: Some(gate.key.kind().to_owned()),
        name: Some(gate.key.name.clone()),
        namespace: gate.key.namespace.clone(),
        uid: Some(gate.uid.clone()),
        ..ObjectReference::default()
    }
}

pub(super) fn experiment_reference(experiment: &Experiment) -> ObjectReference {
    let text = |pointer: &str| Some(experiment.text(pointer).to_owned());
    ObjectReference {
        api_version: text("/apiVersion"),
        kind: text("/kind"),
        name: text("/metadata/name"),
        namespace: experiment.namespace().map(str::to_owned),
        uid: text("/metadata/uid"),
        ..ObjectReference::default()
    }
}

/// The commands that give the operator a right, ready to copy. Kubernetes adds the role's rules to a role that is bound to the operator alone.
pub(super) fn grant(resource: &Resource, delete: bool) -> String {
    let name = if resource.group.is_empty() { resource.resource.clone() } else { format!("{}.{}", resource.resource, resource.group) };
    let (role, verbs) = if delete { ("delete", "delete") } else { ("intervene", "get,list,watch,patch") };
    format!(
        "for all tools: deploy/optional/intervene.yaml; to grant it: kubectl create clusterrole holdpoint-{role}-{name} --verb={verbs} --resource={name} \
         && kubectl label clusterrole holdpoint-{role}-{name} holdpoint.dev/aggregate-to-intervener=true \
         app.kubernetes.io/part-of=holdpoint"
    )
}
