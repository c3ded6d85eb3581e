use super::*;
use crate::core::touch::resolve::NodeGroup;
use kube::core::DynamicObject;
use proptest::prelude::*;
use serde_json::json;

mod tools;

/// What is there, all of it readable.
struct There {
    pods: Vec<DynamicObject>,
    nodes: Vec<DynamicObject>,
}

impl Cluster for There {
    fn pods(&self, namespace: Option<&str>) -> Result<Vec<&DynamicObject>, Untold> {
        Ok(self.pods.iter().filter(|pod| namespace.is_none() || pod.metadata.namespace.as_deref() == namespace).collect())
    }

    fn nodes(&self) -> Result<Vec<&DynamicObject>, Untold> {
        Ok(self.nodes.iter().collect())
    }
}

/// A pod of a Deployment.
fn pod(namespace: &str, app: &str, number: usize) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "namespace": namespace, "name": format!("{app}-{number}"),
            "labels": {"app": app, "pod-template-hash": "5d"},
            "annotations": {"chaos": "yes"},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{app}-5d"), "uid": "u", "controller": true}],
        },
        "spec": {"nodeName": format!("node-{}", number % 3)},
        "status": {"phase": "Running", "podIP": format!("10.0.0.{number}")},
    }))
    .unwrap()
}

fn node(name: &str, zone: &str) -> DynamicObject {
    let labels = json!({"topology.kubernetes.io/zone": zone, "kubernetes.io/os": "linux", "kubevirt.io/schedulable": "true", "cores": "8"});
    serde_json::from_value(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})).unwrap()
}

/// Five pods of `web` and three of `db` in `shop`, two of `web` in `other`; three nodes in two zones.
fn there() -> There {
    let mut pods: Vec<_> = (0..5).map(|n| pod("shop", "web", n)).collect();
    pods.extend((0..3).map(|n| pod("shop", "db", n)));
    pods.extend((0..2).map(|n| pod("other", "web", n)));
    There { pods, nodes: vec![node("node-0", "a"), node("node-1", "a"), node("node-2", "b")] }
}

fn gated<'a>(group: &'a str, kind: &'a str, object: &'a Value) -> Gated<'a> {
    Gated { group, kind, namespace: Some("shop"), object }
}

/// How many pods are selected, how many are hit at most; or why that cannot be told.
fn hit(group: &str, kind: &str, spec: &Value) -> Result<(usize, usize), String> {
    let object = json!({"spec": spec});
    let touch = touch(&gated(group, kind, &object)).map_err(|why| why.to_string())?;
    let there = there();
    let touched = resolve(&touch, &there).map_err(|untold| untold.message)?;
    Ok((touched.pods().len(), touched.at_most()))
}

fn nodes_of<'a>(touch: &Touch, there: &'a There) -> Vec<NodeGroup<'a>> {
    resolve_nodes(touch, there).unwrap()
}

#[test]
fn an_amount_is_never_more_than_there_are_and_a_percentage_never_nothing() {
    for (amount, total, wanted) in [
        (Amount::All, 5, 5),
        (Amount::Count(3), 5, 3),
        (Amount::Count(9), 5, 5),
        (Amount::PercentDown(50), 5, 2),
        (Amount::PercentUp(50), 5, 3),
        (Amount::PercentDown(1), 5, 1),
        (Amount::PercentUp(500), 5, 5),
        (Amount::PercentDown(100), 0, 0),
        (Amount::Count(u64::MAX), 0, 0),
    ] {
        assert_eq!(amount.of(total), wanted, "{amount:?} of {total}");
    }
}

#[test]
fn what_is_hit_of_a_workload_is_the_most_that_can_be() {
    let there = there();
    let two = json!({"spec": {"mode": "fixed", "value": "2", "selector": {"namespaces": ["shop", "other"]}}});
    let touch = touch(&gated("chaos-mesh.org", "PodChaos", &two)).unwrap();
    let workloads = resolve(&touch, &there).unwrap().workloads();
    let told: Vec<_> = workloads.iter().map(|(workload, hit)| (format!("{}/{workload}", workload.namespace), *hit)).collect();
    assert_eq!(told, [("other/Deployment/web".to_owned(), 2), ("shop/Deployment/db".to_owned(), 2), ("shop/Deployment/web".to_owned(), 2)]);
}

#[test]
fn two_selections_add_up_but_hit_no_pod_twice() {
    let target = json!({"mode": "all", "selector": {"labelSelectors": {"app": "web"}}});
    let spec = json!({"mode": "fixed", "value": "4", "selector": {"labelSelectors": {"app": "web"}}, "target": target});
    assert_eq!(hit("chaos-mesh.org", "NetworkChaos", &spec), Ok((5, 5)));
}

#[test]
fn what_ended_or_is_ending_is_not_hit() {
    let mut there = there();
    there.pods[0].data["status"]["phase"] = json!("Succeeded");
    there.pods[1].metadata.deletion_timestamp = serde_json::from_value(json!("2026-09-01T12:00:00Z")).unwrap();
    let object = json!({"spec": {"mode": "all", "selector": {"labelSelectors": {"app": "web"}}}});
    let touch = touch(&gated("chaos-mesh.org", "PodChaos", &object)).unwrap();
    assert_eq!(resolve(&touch, &there).unwrap().pods().len(), 3);
}

#[test]
fn only_known_tools_are_resolved_and_nothing_is_no_answer() {
    for (group, kind) in [
        ("chaos-mesh.org", "PhysicalMachineChaos"),
        ("chaos-mesh.org", "AWSChaos"),
        ("chaos-mesh.org", "WorkflowNode"),
        ("chaos-mesh.org", "Workflow"),
        ("chaostoolkit.org", "ChaosToolkitExperiment"),
        ("argoproj.io", "Workflow"),
        ("batch", "Job"),
        ("krkn.krkn-chaos.dev", "KrknScenarioRun"),
        ("kubevirt.io", "VirtualMachineInstanceMigration"),
        ("example.com", "Anything"),
        ("", "Pod"),
    ] {
        let why = hit(group, kind, &json!({})).unwrap_err();
        assert!(!why.is_empty() && why.chars().count() <= 240, "{group} {kind}: {why}");
    }
}

const WORDS: &[&str] = &[
    "spec",
    "selector",
    "mode",
    "value",
    "one",
    "all",
    "fixed",
    "fixed-percent",
    "namespaces",
    "labelSelectors",
    "expressionSelectors",
    "pods",
    "nodes",
    "nodeSelectors",
    "templates",
    "podChaos",
    "schedule",
    "workflow",
    "experiments",
    "name",
    "pod-delete",
    "node-drain",
    "env",
    "components",
    "appinfo",
    "appns",
    "selectors",
    "workloads",
    "count",
    "level",
    "node",
    "matchers",
    "scope",
    "template",
    "domain",
    "affinity",
    "key",
    "operator",
    "In",
    "values",
    "app",
    "web",
    "shop",
    "10%",
    "3",
];

fn any_json() -> impl Strategy<Value = Value> {
    let word = proptest::sample::select(WORDS);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((word.clone(), inner), 0..8)
                .prop_map(|pairs| Value::Object(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_object_makes_it_fail_and_what_is_resolved_selects_something(spec in any_json(), which in 0_usize..12) {
        let (group, kind) = [
            ("chaos-mesh.org", "PodChaos"), ("chaos-mesh.org", "NetworkChaos"), ("chaos-mesh.org", "Schedule"), ("chaos-mesh.org", "Workflow"),
            ("litmuschaos.io", "ChaosEngine"), ("litmuschaos.io", "ChaosSchedule"), ("chaos.datadoghq.com", "Disruption"),
            ("chaos.datadoghq.com", "DisruptionCron"), ("chaosblade.io", "ChaosBlade"), ("kubevirt.io", "VirtualMachine"),
            ("kubevirt.io", "VirtualMachineInstance"), ("batch", "Job"),
        ][which];
        for object in [json!({"spec": spec.clone()}), spec] {
            if let Ok(touch) = touch(&gated(group, kind, &object)) {
                prop_assert!(!touch.parts.is_empty());
                let there = there();
                let touched = resolve(&touch, &there).unwrap();
                prop_assert!(touched.at_most() <= touched.pods().len());
                prop_assert_eq!(touched.looked_for.len(), touch.parts.len());
                nodes_of(&touch, &there);
            }
        }
    }

    #[test]
    fn a_larger_count_never_hits_less(small in 0_u64..12, more in 0_u64..12) {
        let spec = |count: u64| json!({"mode": "fixed", "value": count.to_string(), "selector": {"labelSelectors": {"app": "web"}}});
        let (few, many) = (hit("chaos-mesh.org", "PodChaos", &spec(small)).unwrap(), hit("chaos-mesh.org", "PodChaos", &spec(small + more)).unwrap());
        prop_assert!(few.1 <= many.1);
    }
}
