//! Starts of every tool, as the API server asks about them, and what of a gate's spec holds each. Also used by `fuzz/`.

use serde_json::{Value, json};

/// The uid of every request here.
pub const UID: &str = "7f3a9c01-77aa-4000-8000-000000000000";

/// A start.
pub struct Start {
    /// Members of the spec of a gate that holds it.
    pub hold: Value,
    /// The AdmissionReview.
    pub review: Value,
}

type Kind = (&'static str, &'static str, &'static str);

const POD_CHAOS: Kind = ("chaos-mesh.org", "podchaos", "PodChaos");
const NETWORK_CHAOS: Kind = ("chaos-mesh.org", "networkchaos", "NetworkChaos");
const ENGINE: Kind = ("litmuschaos.io", "chaosengines", "ChaosEngine");
const SCENARIO: Kind = ("krkn.krkn-chaos.dev", "krknscenarioruns", "KrknScenarioRun");
const DISRUPTION: Kind = ("chaos.datadoghq.com", "disruptions", "Disruption");
const EXPERIMENT: Kind = ("chaostoolkit.org", "chaosexperiments", "ChaosToolkitExperiment");
const MACHINE: Kind = ("kubevirt.io", "virtualmachines", "VirtualMachine");
const WORKFLOW: Kind = ("argoproj.io", "workflows", "Workflow");

/// All of them. Each is refused by a closed gate.
pub fn starts() -> Vec<Start> {
    let spec = |spec: Value| json!({"metadata": {"name": "kill", "namespace": "shop"}, "spec": spec});
    let paused = |value: &str| {
        let annotations = json!({"experiment.chaos-mesh.org/pause": value});
        json!({"metadata": {"name": "kill", "namespace": "shop", "annotations": annotations}, "spec": {"mode": "one"}})
    };
    let widened = "object.spec.mode == 'all' && oldObject.spec.mode != 'all'";
    let none = || Value::Null;
    vec![
        start(by_hand("true"), POD_CHAOS, spec(json!({"mode": "one"})), none()),
        start(by_hand("object.spec.count > 3"), POD_CHAOS, spec(json!({"count": 4})), none()),
        start(by_hand(widened), POD_CHAOS, spec(json!({"mode": "all"})), spec(json!({"mode": "one"}))),
        start(preset("ChaosMesh"), NETWORK_CHAOS, spec(json!({"mode": "one", "action": "delay"})), none()),
        start(preset("ChaosMesh"), NETWORK_CHAOS, paused("false"), paused("true")),
        start(preset("Litmus"), ENGINE, spec(json!({"engineState": "active"})), none()),
        start(preset("Litmus"), ENGINE, spec(json!({})), spec(json!({"engineState": "stop"}))),
        start(preset("Krkn"), SCENARIO, spec(json!({})), none()),
        start(preset("Datadog"), DISRUPTION, spec(json!({"count": 2})), spec(json!({"count": 1}))),
        start(preset("Datadog"), DISRUPTION, spec(json!({"count": 1})), none()),
        start(preset("ChaosToolkit"), EXPERIMENT, spec(json!({})), none()),
        start(preset("KubeVirt"), MACHINE, spec(json!({"runStrategy": "Always"})), spec(json!({"runStrategy": "Halted"}))),
        start(preset("KubeVirt"), MACHINE, spec(json!({"running": true})), none()),
        start(preset("ArgoWorkflows"), WORKFLOW, spec(json!({"suspend": false})), spec(json!({"suspend": true}))),
        start(preset("ArgoWorkflows"), WORKFLOW, spec(json!({})), none()),
    ]
}

fn by_hand(start: &str) -> Value {
    let rules = json!([{"apiGroups": ["chaos-mesh.org"], "resources": ["podchaos"], "operations": ["CREATE", "UPDATE"]}]);
    json!({"match": {"rules": rules, "start": start}})
}

fn preset(name: &str) -> Value {
    json!({"presets": [name]})
}

fn start(hold: Value, (group, resource, kind): Kind, object: Value, old_object: Value) -> Start {
    let of = |field: &str, name: &str| json!({"group": group, "version": "v1", field: name});
    let named = |mut object: Value| {
        if let Some(members) = object.as_object_mut() {
            members.insert("apiVersion".to_owned(), format!("{group}/v1").into());
            members.insert("kind".to_owned(), kind.into());
        }
        object
    };
    let request = json!({
        "uid": UID,
        "kind": of("kind", kind),
        "resource": of("resource", resource),
        "requestKind": of("kind", kind),
        "requestResource": of("resource", resource),
        "name": "kill",
        "namespace": "shop",
        "operation": if old_object.is_null() { "CREATE" } else { "UPDATE" },
        "userInfo": {"username": "jane", "groups": ["sre"]},
        "object": named(object),
        "oldObject": named(old_object),
        "dryRun": false,
    });
    Start { hold, review: json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}) }
}
