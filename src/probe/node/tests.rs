use super::super::objects::testing::{NOW, Watched, any_json, object};
use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn observe(spec: Value, target: Value) -> Observation {
    let mut problems = Vec::new();
    let node = Node::parse(&serde_json::from_value(spec).unwrap(), "spec.probe.node", &mut problems);
    assert_eq!(problems, []);
    node.unwrap().observe(&object(target), &Watched(None), NOW.parse().unwrap())
}

/// A healthy node, with what is given instead.
fn node(spec: Value, conditions: &[(&str, &str)], kubelet: &str) -> Value {
    let mut of_type = BTreeMap::from([("MemoryPressure", "False"), ("DiskPressure", "False"), ("PIDPressure", "False"), ("Ready", "True")]);
    of_type.extend(conditions.iter().copied());
    let conditions: Vec<_> =
        of_type.iter().map(|(type_, status)| json!({"type": type_, "status": status, "reason": "KubeletSays"})).collect();
    let mut node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "worker-1", "labels": {"zone": "a", "kubernetes.io/os": "linux"}},
        "status": {"conditions": conditions, "nodeInfo": {"kubeletVersion": kubelet}},
    });
    node["spec"] = spec;
    node
}

#[test]
fn every_reason_has_its_message_and_measure() {
    let strict = json!({
        "requiredLabels": {"zone": "a"}, "forbiddenTaints": [{"key": "out-of-service"}, {"key": "gpu", "effect": "NoExecute"}],
        "minKubeletVersion": "v1.33.0",
    });
    let fine = "v1.33.4+k3s1";
    for (spec, target, reason, message, value, required) in [
        (
            strict.clone(),
            node(json!({}), &[("Ready", "False")], fine),
            NOT_READY,
            "Ready is False (KubeletSays)",
            "Ready False",
            "Ready True",
        ),
        (
            json!({}),
            node(json!({}), &[("Ready", "Unknown")], fine),
            NOT_READY,
            "Ready is Unknown (KubeletSays)",
            "Ready Unknown",
            "Ready True",
        ),
        (
            json!({}),
            node(json!({}), &[("DiskPressure", "True")], fine),
            UNDER_PRESSURE,
            "DiskPressure is True (KubeletSays)",
            "DiskPressure True",
            "DiskPressure False",
        ),
        (
            json!({}),
            node(json!({}), &[("NetworkUnavailable", "Unknown")], fine),
            UNDER_PRESSURE,
            "NetworkUnavailable is Unknown (KubeletSays)",
            "NetworkUnavailable Unknown",
            "NetworkUnavailable False",
        ),
        (json!({}), node(json!({"unschedulable": true}), &[], fine), CORDONED, "it is cordoned", "cordoned", "schedulable"),
        (
            json!({"requiredLabels": {"zone": "b"}}),
            node(json!({}), &[], fine),
            LABEL_MISSING,
            "label zone is \"a\", not \"b\"",
            "label zone=a",
            "label zone=b",
        ),
        (
            json!({"requiredLabels": {"gpu": ""}}),
            node(json!({}), &[], fine),
            LABEL_MISSING,
            "label gpu= is missing",
            "no such label",
            "label gpu=",
        ),
        (
            strict.clone(),
            node(json!({"taints": [{"key": "out-of-service", "effect": "NoSchedule"}]}), &[], fine),
            FORBIDDEN_TAINT,
            "it has taint out-of-service:NoSchedule",
            "taint out-of-service:NoSchedule",
            "no taint out-of-service:NoSchedule",
        ),
        (
            strict.clone(),
            node(json!({}), &[], "v1.32.9"),
            KUBELET_TOO_OLD,
            "kubelet v1.32.9 is older than v1.33.0",
            "kubelet v1.32.9",
            "kubelet v1.33.0 or newer",
        ),
        (
            strict.clone(),
            node(json!({}), &[], "v1.33.0-rc.1"),
            KUBELET_TOO_OLD,
            "kubelet v1.33.0-rc.1 is older than v1.33.0",
            "kubelet v1.33.0-rc.1",
            "kubelet v1.33.0 or newer",
        ),
    ] {
        let seen = observe(spec, target);
        assert_eq!((seen.outcome, seen.reason, seen.message.as_str()), (Outcome::Fail, reason, message));
        assert_eq!((seen.value.as_deref(), seen.required.as_deref()), (Some(value), Some(required)), "{message}");
        assert_eq!((seen.target.as_str(), seen.holds_until), ("Node/worker-1", None));
    }
}

#[test]
fn what_is_allowed_passes() {
    for (spec, target) in [
        (json!({}), node(json!({}), &[], "unreadable")),
        (json!({}), node(json!({"taints": null, "unschedulable": false}), &[("NetworkUnavailable", "False")], "")),
        (json!({"cordoned": "Allowed"}), node(json!({"unschedulable": true}), &[], "")),
        (json!({"requiredLabels": {"zone": "a"}}), node(json!({}), &[], "")),
        (
            json!({"forbiddenTaints": [{"key": "gpu", "effect": "NoExecute"}]}),
            node(json!({"taints": [{"key": "gpu", "effect": "NoSchedule"}]}), &[], ""),
        ),
        (json!({"minKubeletVersion": "1.33"}), node(json!({}), &[], "v1.33.0-eks-abc1234")),
        (json!({}), node(json!({}), &[("KernelDeadlock", "True")], "")),
    ] {
        let seen = observe(spec.clone(), target);
        assert_eq!((seen.outcome, seen.reason, seen.message.as_str()), (Outcome::Pass, NODE_READY, "ready"), "{spec}");
    }
}

#[test]
fn all_that_is_wrong_is_in_one_message_and_the_first_is_the_reason() {
    let spec = json!({"requiredLabels": {"zone": "b"}, "forbiddenTaints": [{"key": "x"}], "minKubeletVersion": "v1.34.0"});
    let target = node(json!({"unschedulable": true, "taints": [{"key": "x"}]}), &[("MemoryPressure", "True")], "v1.33.0");
    let seen = observe(spec, target);
    assert_eq!(seen.reason, UNDER_PRESSURE);
    let all = "MemoryPressure is True (KubeletSays); it is cordoned; label zone is \"a\", not \"b\"; it has taint x:; kubelet v1.33.0 is older than v1.34.0";
    assert_eq!(seen.message, all);
}

#[test]
fn what_cannot_be_told_is_no_data_unless_something_is_certainly_wrong() {
    let versioned = json!({"minKubeletVersion": "v1.33.0"});
    let bare =
        |spec: Value, status: Value| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}, "spec": spec, "status": status});
    for (spec, target, says) in [
        (versioned.clone(), node(json!({}), &[], "latest"), "\"latest\" cannot be read"),
        (
            versioned.clone(),
            bare(json!({}), json!({"conditions": [{"type": "Ready", "status": "True"}]})),
            "does not tell its kubelet's version",
        ),
        (json!({}), bare(json!({}), Value::Null), "no condition Ready"),
        (json!({}), bare(json!({}), json!({"conditions": []})), "no condition Ready"),
        (json!({}), bare(json!({}), json!({"conditions": [{"type": "Ready"}]})), "status cannot be read"),
        (json!({}), node(json!({"taints": "none"}), &[], ""), "spec cannot be read"),
    ] {
        let seen = observe(spec, target);
        assert_eq!((seen.outcome, seen.reason), (Outcome::Error, NO_DATA));
        assert!(seen.message.contains(says), "{}", seen.message);
    }
    let both = observe(versioned, node(json!({"unschedulable": true}), &[], "latest"));
    assert_eq!((both.outcome, both.reason), (Outcome::Fail, CORDONED));
}

#[test]
fn a_spec_that_cannot_work_is_a_problem() {
    for (spec, field) in [
        (json!({"minKubeletVersion": "latest"}), "minKubeletVersion"),
        (json!({"minKubeletVersion": "v1.33.0-rc.1"}), "minKubeletVersion"),
        (json!({"forbiddenTaints": [{"key": "a"}, {"key": ""}]}), "forbiddenTaints[1].key"),
        (json!({"forbiddenTaints": [{"key": "a", "effect": "Never"}]}), "forbiddenTaints[0].effect"),
    ] {
        let mut problems = Vec::new();
        assert_eq!(Node::parse(&serde_json::from_value(spec).unwrap(), "spec.probe.node", &mut problems), None);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].field, format!("spec.probe.node.{field}"));
    }
}

const WORDS: &[&str] = &[
    "conditions",
    "type",
    "Ready",
    "DiskPressure",
    "status",
    "True",
    "False",
    "reason",
    "nodeInfo",
    "kubeletVersion",
    "v1.33.0",
    "taints",
    "key",
    "effect",
    "unschedulable",
];

proptest! {
    #[test]
    fn any_node_is_answered_and_only_a_ready_one_passes(spec in any_json(WORDS), status in any_json(WORDS)) {
        let probe = json!({"minKubeletVersion": "v1.33.0", "forbiddenTaints": [{"key": "key"}], "requiredLabels": {"a": "b"}});
        let target = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "a"}, "spec": spec, "status": status});
        observe(probe, target.clone());
        let seen = observe(json!({}), target);
        let ready = status["conditions"].as_array().is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"));
        prop_assert!(ready || seen.outcome != Outcome::Pass);
    }
}
