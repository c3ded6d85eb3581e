//! What runs, by what each tool says of itself.

use crate::core::gate::Resource;
use crate::core::starts::{Life, life};
use proptest::prelude::*;
use serde_json::{Value, json};

fn of(resource: &str, object: &Value) -> Life {
    let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
    life(&Resource { group: group.to_owned(), resource: plural.to_owned() }, object)
}

fn at(text: &str) -> Life {
    Life::Over(Some(text.parse().unwrap()))
}

#[test]
fn each_tool_says_when_it_is_over() {
    let chaos = |conditions: Value, phase: &str| json!({"status": {"conditions": conditions, "experiment": {"desiredPhase": phase}}});
    let is = |of_type: &str| json!([{"type": of_type, "status": "True"}]);
    let end = "2026-11-21T10:00:00Z";
    let paused = json!({"metadata": {"annotations": {"experiment.chaos-mesh.org/pause": "true"}}});
    let paused_kill = json!({"metadata": {"annotations": {"experiment.chaos-mesh.org/pause": "true"}}, "spec": {"action": "pod-kill"}});
    for (resource, object, expected) in [
        ("podchaos.chaos-mesh.org", json!({}), Life::Running),
        ("podchaos.chaos-mesh.org", chaos(is("AllInjected"), "Run"), Life::Running),
        ("podchaos.chaos-mesh.org", chaos(is("AllRecovered"), "Stop"), Life::Over(None)),
        ("podchaos.chaos-mesh.org", chaos(is("AllRecovered"), "Run"), Life::Running),
        ("podchaos.chaos-mesh.org", paused, Life::Idle),
        ("podchaos.chaos-mesh.org", paused_kill, Life::Running),
        ("podchaos.chaos-mesh.org", json!({"spec": {"action": "pod-kill"}, "status": {"conditions": is("AllInjected")}}), Life::Over(None)),
        ("schedules.chaos-mesh.org", json!({}), Life::Idle),
        ("workflows.chaos-mesh.org", json!({"status": {"startTime": end}}), Life::Running),
        ("workflows.chaos-mesh.org", json!({"status": {"endTime": end}}), at(end)),
        ("chaosengines.litmuschaos.io", json!({"spec": {"engineState": "active"}}), Life::Running),
        ("chaosengines.litmuschaos.io", json!({"spec": {}}), Life::Running),
        ("chaosengines.litmuschaos.io", json!({"spec": {"engineState": "stop"}}), Life::Idle),
        ("chaosengines.litmuschaos.io", json!({"spec": {"engineState": "stop"}, "status": {"engineStatus": "initialized"}}), Life::Running),
        ("chaosengines.litmuschaos.io", json!({"status": {"engineStatus": "completed"}}), Life::Over(None)),
        ("krknscenarioruns.krkn.krkn-chaos.dev", json!({"status": {"phase": "Running"}}), Life::Running),
        ("krknscenarioruns.krkn.krkn-chaos.dev", json!({"status": {"phase": "Succeeded"}}), Life::Over(None)),
        ("disruptions.chaos.datadoghq.com", json!({"spec": {"dryRun": true}}), Life::Idle),
        ("disruptions.chaos.datadoghq.com", json!({"status": {"injectionStatus": "Injected"}}), Life::Running),
        ("disruptions.chaos.datadoghq.com", json!({"status": {"injectionStatus": "PreviouslyInjected"}}), Life::Over(None)),
        ("workflows.argoproj.io", json!({"spec": {"suspend": true}}), Life::Idle),
        ("workflows.argoproj.io", json!({"spec": {"suspend": true}, "status": {"phase": "Running"}}), Life::Running),
        ("workflows.argoproj.io", json!({"status": {"phase": "Failed", "finishedAt": end}}), at(end)),
        ("jobs.batch", json!({"spec": {"suspend": true}}), Life::Idle),
        ("jobs.batch", json!({"spec": {"suspend": true}, "status": {"active": 1}}), Life::Running),
        ("jobs.batch", json!({"status": {"conditions": [{"type": "Failed", "status": "True", "lastTransitionTime": end}]}}), at(end)),
        ("virtualmachines.kubevirt.io", json!({"spec": {"runStrategy": "Always"}}), Life::Running),
        ("virtualmachines.kubevirt.io", json!({"spec": {"running": true}}), Life::Running),
        ("virtualmachines.kubevirt.io", json!({"spec": {"runStrategy": "Halted"}}), Life::Idle),
        ("virtualmachines.kubevirt.io", json!({"spec": {"runStrategy": "Halted"}, "status": {"created": true}}), Life::Running),
        (
            "virtualmachines.kubevirt.io",
            json!({"spec": {"runStrategy": "Manual"}, "status": {"stateChangeRequests": [{"action": "Start"}]}}),
            Life::Running,
        ),
        (
            "virtualmachines.kubevirt.io",
            json!({"spec": {"runStrategy": "Manual"}, "status": {"printableStatus": "Stopped"}}),
            Life::Over(None),
        ),
        ("virtualmachineinstances.kubevirt.io", json!({"status": {"phase": "Failed"}}), Life::Over(None)),
        ("virtualmachinepools.pool.kubevirt.io", json!({"spec": {"replicas": 0}}), Life::Idle),
        ("virtualmachinepools.pool.kubevirt.io", json!({"spec": {"replicas": 0}, "status": {"replicas": 1}}), Life::Running),
        ("drills.chaos.example", json!({"status": {"phase": "Succeeded"}}), Life::Running),
    ] {
        assert_eq!(of(resource, &object), expected, "{resource} {object}");
    }
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from)
    ];
    let key = proptest::sample::select(vec![
        "status",
        "spec",
        "metadata",
        "annotations",
        "conditions",
        "experiment",
        "phase",
        "suspend",
        "type",
        "replicas",
    ]);
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map(key.clone(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_an_object_holds_it_has_a_life(object in anything()) {
        for resource in ["podchaos.chaos-mesh.org", "chaosengines.litmuschaos.io", "jobs.batch", "virtualmachines.kubevirt.io",
            "virtualmachinepools.pool.kubevirt.io", "workflows.argoproj.io", "disruptions.chaos.datadoghq.com", "pods"] {
            let _ = of(resource, &object);
        }
    }
}
