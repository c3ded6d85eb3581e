#![allow(clippy::needless_pass_by_value, reason = "`json!(...)` reads best as an argument")]

use super::super::objects::testing::{NOW, Watched, any_json, object};
use super::super::objects::{NotSynced, ReadObjects};
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn capacity(spec: Value) -> Capacity {
    let mut problems = Vec::new();
    let parsed = Capacity::parse(&serde_json::from_value(spec).unwrap(), "spec.probe.capacity", &mut problems);
    assert_eq!(problems, []);
    parsed.unwrap()
}

fn problems(spec: Value) -> Vec<String> {
    let mut problems = Vec::new();
    assert_eq!(Capacity::parse(&serde_json::from_value(spec).unwrap(), "spec.probe.capacity", &mut problems), None);
    problems.iter().map(Problem::to_string).collect()
}

/// All observations of nodes, with the pods of the cluster.
fn observe(spec: Value, nodes: &[Value], pods: &[Value]) -> Vec<Observation> {
    let nodes: Vec<DynamicObject> = nodes.iter().cloned().map(object).collect();
    let targets: Vec<&DynamicObject> = nodes.iter().collect();
    let pods = Watched(Some(pods.iter().cloned().map(object).collect()));
    look(&capacity(spec), &targets, &pods)
}

fn look(probe: &Capacity, targets: &[&DynamicObject], objects: &dyn ReadObjects) -> Vec<Observation> {
    LiveProbe::observe(probe, &Look { targets, namespace: "shop", objects, members: &[], now: NOW.parse().unwrap() })
}

fn node(name: &str, allocatable: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "spec": {},
        "status": {"allocatable": allocatable, "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

fn pod(name: &str, node: &str, spec: Value) -> Value {
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop"}, "spec": spec});
    pod["spec"]["nodeName"] = json!(node);
    pod["status"] = json!({"phase": "Running"});
    pod
}

fn container(requests: Value) -> Value {
    json!({"name": "app", "resources": {"requests": requests}})
}

fn needs(name: &str, free: &str) -> Value {
    json!({"resources": [{"name": name, "free": free}]})
}

/// What a pod asks of a resource: all that it leaves of a node with 100.
fn asked(resource: &str, spec: Value, status: Value) -> String {
    let mut pod = pod("a", "n", spec);
    pod["status"] = status;
    let seen = observe(needs(resource, "101"), &[node("n", json!({resource: "100"}))], &[pod]);
    let text = seen[0].message.strip_prefix(&format!("{resource}: ")).unwrap_or_else(|| panic!("{}", seen[0].message));
    let free = text.split(" of 100").next().unwrap();
    Quantity::whole(100).minus(Quantity::parse(free).unwrap()).to_string()
}

#[test]
fn pods_ask_by_the_schedulers_rule() {
    let plain = |cpu: &str| container(json!({"cpu": cpu}));
    let sidecar = |cpu: &str| json!({"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": cpu}}});
    for (spec, expected, why) in [
        (json!({"containers": []}), "0", "nothing asked"),
        (json!({"containers": [{"name": "app"}]}), "0", "no requests"),
        (json!({"containers": [{"name": "app", "resources": {"limits": {"cpu": "7"}}}]}), "0", "limits are not requests"),
        (json!({"containers": [plain("1"), plain("500m")]}), "1.5", "containers run together"),
        (json!({"containers": [plain("1")], "initContainers": [plain("3"), plain("2")]}), "3", "the largest init container, if it is more"),
        (json!({"containers": [plain("4")], "initContainers": [plain("3")]}), "4", "and not, if it is less"),
        (json!({"containers": [plain("4")], "initContainers": [sidecar("1"), sidecar("2")]}), "7", "sidecars run beside the containers"),
        (json!({"containers": [plain("1")], "initContainers": [sidecar("1"), plain("5")]}), "6", "and beside init containers after them"),
        (json!({"containers": [plain("1")], "initContainers": [plain("5"), sidecar("1")]}), "5", "but not before them"),
        (json!({"containers": [plain("4")], "overhead": {"cpu": "250m"}}), "4.25", "overhead comes on top"),
        (
            json!({"containers": [plain("4")], "resources": {"requests": {"cpu": "6"}}, "overhead": {"cpu": "1"}}),
            "7",
            "the pod's own request",
        ),
        (json!({"containers": [plain("4")], "resources": {"requests": {"memory": "6"}}}), "4", "of another resource"),
    ] {
        assert_eq!(asked("cpu", spec.clone(), json!({"phase": "Running"})), expected, "{why}: {spec}");
    }
    // Only cpu, memory and hugepages can be asked for by a pod as a whole.
    let gpu = json!({"containers": [container(json!({"nvidia.com/gpu": "2"}))], "resources": {"requests": {"nvidia.com/gpu": "9"}}});
    assert_eq!(asked("nvidia.com/gpu", gpu, Value::Null), "2");
    assert_eq!(asked("pods", json!({"containers": []}), Value::Null), "1");
}

#[test]
fn a_pod_that_is_being_resized_holds_the_larger() {
    let spec = json!({"containers": [container(json!({"cpu": "2"}))]});
    let status = |held: &str, reason: &str| {
        json!({
            "phase": "Running",
            "containerStatuses": [{"name": "app", "resources": {"requests": {"cpu": held}}, "allocatedResources": {"cpu": "1"}}],
            "conditions": [{"type": "PodResizePending", "status": "True", "reason": reason}],
        })
    };
    for (held, reason, expected) in
        [("1", "Deferred", "2"), ("3", "Deferred", "3"), ("1", "Infeasible", "1"), ("3", "Infeasible", "3"), ("500m", "Infeasible", "1")]
    {
        assert_eq!(asked("cpu", spec.clone(), status(held, reason)), expected, "{held} {reason}");
    }
    let other = json!({"containerStatuses": [{"name": "other", "resources": {"requests": {"cpu": "50"}}}]});
    assert_eq!(asked("cpu", spec, other), "2");
}

#[test]
fn only_pods_that_hold_something_on_the_node_count() {
    let spec = || json!({"containers": [container(json!({"cpu": "1"}))]});
    let mut unbound = pod("unbound", "", spec());
    unbound["spec"]["nodeName"] = Value::Null;
    let in_phase = |phase: &str| {
        let mut pod = pod(phase, "a", spec());
        pod["status"]["phase"] = json!(phase);
        pod
    };
    let mut going = in_phase("Running");
    going["metadata"]["deletionTimestamp"] = json!(NOW);
    for (pod, free) in [
        (pod("elsewhere", "b", spec()), "8"),
        (unbound, "8"),
        (in_phase("Succeeded"), "8"),
        (in_phase("Failed"), "8"),
        (in_phase("Pending"), "7"),
        (in_phase("Running"), "7"),
        (in_phase("Unknown"), "7"),
        (going, "7"),
    ] {
        let seen = observe(needs("cpu", "8"), &[node("a", json!({"cpu": "8"}))], std::slice::from_ref(&pod));
        assert!(seen[0].message.starts_with(&format!("cpu: {free} of 8 free")), "{}: {}", pod["metadata"]["name"], seen[0].message);
    }
}

#[test]
fn each_node_is_judged_by_itself() {
    let nodes = [
        node("a", json!({"cpu": "8", "memory": "32Gi"})),
        node("b", json!({"cpu": "8", "memory": "32Gi"})),
        node("c", json!({"cpu": "8"})),
    ];
    let pods = [pod("x", "b", json!({"containers": [container(json!({"cpu": "6", "memory": "34Gi"}))]}))];
    let spec = json!({"resources": [{"name": "cpu", "free": 4}, {"name": "memory", "free": "50%"}]});
    let seen = observe(spec, &nodes, &pods);
    let expected = [
        ("Node/a", Outcome::Pass, ENOUGH_ROOM, "cpu: 8 of 8 free; memory: 32Gi of 32Gi free", "cpu 8, memory 32Gi"),
        (
            "Node/b",
            Outcome::Fail,
            NOT_ENOUGH_ROOM,
            "cpu: 2 of 8 free, 4 needed; memory: 0 of 32Gi free, 2Gi more taken than there is, 50% needed",
            "cpu 2, memory 0",
        ),
        ("Node/c", Outcome::Fail, NO_SUCH_RESOURCE, "it has no memory, 50% needed", "cpu 8, memory none"),
    ];
    for (seen, (target, outcome, reason, message, value)) in seen.iter().zip(expected) {
        assert_eq!((seen.target.as_str(), seen.outcome, seen.reason, seen.message.as_str()), (target, outcome, reason, message));
        assert_eq!((seen.value.as_deref(), seen.required.as_deref()), (Some(value), Some("cpu 4, memory 50%")));
    }
    assert_eq!(seen.len(), 3);
}

#[test]
fn a_device_that_is_gone_has_no_room_whatever_is_asked() {
    for free in ["1", "1%", "100%"] {
        let seen = observe(needs("nvidia.com/gpu", free), &[node("a", json!({"nvidia.com/gpu": "0"}))], &[]);
        assert_eq!((seen[0].outcome, seen[0].reason), (Outcome::Fail, NOT_ENOUGH_ROOM), "{free}");
    }
}

fn unusable(name: &str, how: &str) -> Value {
    let mut node = node(name, json!({"cpu": "8"}));
    match how {
        "it is cordoned" => node["spec"]["unschedulable"] = json!(true),
        "it is being deleted" => node["metadata"]["deletionTimestamp"] = json!(NOW),
        _ => node["status"]["conditions"][0]["status"] = json!("Unknown"),
    }
    node
}

#[test]
fn what_takes_no_new_pods_has_no_room_unless_it_is_said_to() {
    for how in ["it is cordoned", "it is being deleted", "it is not Ready"] {
        let seen = observe(needs("cpu", "1"), &[unusable("a", how)], &[]);
        assert_eq!((seen[0].outcome, seen[0].reason), (Outcome::Fail, NODE_UNUSABLE));
        assert_eq!(seen[0].message, format!("{how}, so it has no room"));
        let mut spec = needs("cpu", "1");
        spec["unusableNodes"] = json!("Room");
        assert_eq!(observe(spec, &[unusable("a", how)], &[])[0].outcome, Outcome::Pass);
    }
    let mut untold = node("a", json!({"cpu": "8"}));
    untold["status"]["conditions"] = json!([]);
    let seen = observe(needs("cpu", "1"), std::slice::from_ref(&untold), &[]);
    assert_eq!((seen[0].outcome, seen[0].reason, seen[0].message.as_str()), (Outcome::Error, NO_DATA, "it has no condition Ready"));
    let seen = observe(needs("cpu", "9"), &[untold], &[]);
    assert_eq!(seen[0].outcome, Outcome::Fail, "even if it were Ready");
}

fn sum(name: &str, free: &str) -> Value {
    json!({"scope": "Sum", "resources": [{"name": name, "free": free}]})
}

#[test]
fn a_sum_is_of_what_is_free_on_the_nodes_that_count() {
    let pods = [pod("x", "b", json!({"containers": [container(json!({"cpu": "10"}))]}))];
    let nodes = [node("a", json!({"cpu": "8"})), node("b", json!({"cpu": "8"})), unusable("c", "it is cordoned")];
    for (free, outcome, message) in [
        // What b lacks is not taken from a.
        ("8", Outcome::Pass, "cpu: 8 of 16 free on 2 of 3 nodes"),
        ("9", Outcome::Fail, "cpu: 8 of 16 free, 9 needed on 2 of 3 nodes"),
        ("50%", Outcome::Pass, "cpu: 8 of 16 free on 2 of 3 nodes"),
        ("51%", Outcome::Fail, "cpu: 8 of 16 free, 51% needed on 2 of 3 nodes"),
    ] {
        let seen = observe(sum("cpu", free), &nodes, &pods);
        assert_eq!((seen.len(), seen[0].target.as_str()), (1, "Nodes"));
        assert_eq!((seen[0].outcome, seen[0].message.as_str()), (outcome, message));
    }
    let seen = observe(sum("nvidia.com/gpu", "1"), &nodes[..1], &[]);
    assert_eq!((seen[0].reason, seen[0].message.as_str()), (NO_SUCH_RESOURCE, "none has nvidia.com/gpu, 1 needed on 1 node"));
    let seen = observe(sum("cpu", "1"), &nodes[2..], &[]);
    assert_eq!((seen[0].reason, seen[0].message.as_str()), (NODE_UNUSABLE, "none of 1 nodes takes new pods, so there is no room"));
}

#[test]
fn a_sum_that_suffices_without_what_cannot_be_told_passes() {
    let odd_pods = [pod("odd", "b", json!({"containers": [container(json!({"cpu": "1e300"}))]}))];
    let mut untold = node("c", json!({"cpu": "8"}));
    untold["status"]["conditions"] = Value::Null;
    let nodes = [node("a", json!({"cpu": "8"})), node("b", json!({"cpu": "8"})), untold];
    for (free, outcome) in [("8", Outcome::Pass), ("9", Outcome::Error), ("1%", Outcome::Error)] {
        let seen = observe(sum("cpu", free), &nodes, &odd_pods);
        assert_eq!(seen[0].outcome, outcome, "{free}: {}", seen[0].message);
    }
    let seen = observe(sum("cpu", "9"), &nodes[..2], &odd_pods);
    assert_eq!(seen[0].message, "b: what pod shop/odd requests cannot be read: cpu: \"1e300\" is too large or too exact to reckon with");
}

#[test]
fn what_cannot_be_read_is_no_data_and_only_where_it_is_asked_about() {
    let odd = |what: Value| pod("odd", "a", json!({"containers": [container(what)]}));
    for (allocatable, pods, says) in [
        (Value::Null, vec![], "it has no status.allocatable"),
        (json!([]), vec![], "are not a map"),
        (json!({"cpu": "lots"}), vec![], "is not a quantity"),
        (json!({"cpu": "-1"}), vec![], "less than nothing"),
        (json!({"cpu": 8}), vec![], "cpu is not a text"),
        (json!({"cpu": "8"}), vec![odd(json!({"cpu": "-5"}))], "pod shop/odd requests cannot be read: cpu is \"-5\", less than nothing"),
        (json!({"cpu": "8"}), vec![odd(json!({"cpu": 1.5}))], "cpu is not a text"),
        (json!({"cpu": "8"}), vec![odd(json!("cpu"))], "not a map"),
        (json!({"cpu": "8"}), vec![pod("odd", "a", json!({"containers": {}}))], "containers is not a list"),
        (json!({"cpu": "8"}), vec![pod("odd", "a", json!({"initContainers": "x"}))], "initContainers is not a list"),
    ] {
        let seen = observe(needs("cpu", "1"), &[node("a", allocatable)], &pods);
        assert_eq!((seen[0].outcome, seen[0].reason), (Outcome::Error, NO_DATA), "{}", seen[0].message);
        assert!(seen[0].message.contains(says), "{}", seen[0].message);
    }
    let seen = observe(needs("memory", "1"), &[node("a", json!({"memory": "1Gi", "cpu": "lots"}))], &[odd(json!({"cpu": "1e300"}))]);
    assert_eq!(seen[0].outcome, Outcome::Pass, "{}", seen[0].message);
    let seen = observe(needs("cpu", "1"), &[node("a", json!({"cpu": "8"})), node("b", json!({"cpu": "8"}))], &[odd(json!({"cpu": "x"}))]);
    assert_eq!((seen[0].outcome, seen[1].outcome), (Outcome::Error, Outcome::Pass), "another node's pods are not its business");
}

#[test]
fn pods_that_are_not_watched_yet_are_an_error() {
    let target = object(node("a", json!({"cpu": "8"})));
    let seen = look(&capacity(needs("cpu", "1")), &[&target], &Watched(None));
    assert_eq!((seen.len(), seen[0].outcome, seen[0].reason), (1, Outcome::Error, NOT_SYNCED));
}

#[test]
fn what_cannot_work_is_named() {
    assert_eq!(
        problems(
            json!({"resources": [{"name": "cpu", "free": 0}, {"name": "cpu", "free": "1"}, {"name": "cpu", "free": "2"}, {"name": "", "free": "1e300"}]})
        ),
        [
            "spec.probe.capacity.resources[0].free: \"0\" must be more than nothing",
            "spec.probe.capacity.resources[2].name: \"cpu\" is there twice",
            "spec.probe.capacity.resources[3].name: name a resource, such as memory",
            "spec.probe.capacity.resources[3].free: \"1e300\" is too large or too exact to reckon with, nor a percentage",
        ]
    );
    assert_eq!(problems(json!({"resources": []})), ["spec.probe.capacity.resources: name 1 to 16 resources"]);
    let many: Vec<Value> = (0..1000).map(|n| json!({"name": format!("r{n}"), "free": 1})).collect();
    assert_eq!(problems(json!({"resources": many})), ["spec.probe.capacity.resources: name 1 to 16 resources"]);
}

/// Counts how often the pods of the cluster are asked for.
struct Counting(Watched, std::cell::Cell<usize>);

impl ReadObjects for Counting {
    fn list<'a>(&'a self, api_version: &str, kind: &str, namespace: Option<&str>) -> Result<Vec<&'a DynamicObject>, NotSynced> {
        assert_eq!((api_version, kind, namespace), ("v1", "Pod", None));
        self.1.set(self.1.get() + 1);
        self.0.list(api_version, kind, namespace)
    }

    fn get<'a>(&'a self, _: &str, _: &str, _: Option<&str>, _: &str) -> Result<Option<&'a DynamicObject>, NotSynced> {
        Ok(None)
    }
}

#[test]
fn pods_are_gone_through_once_for_all_nodes() {
    let nodes: Vec<DynamicObject> =
        (0..500).map(|n| object(node(&format!("node-{n}"), json!({"cpu": "64", "memory": "256Gi", "pods": "110"})))).collect();
    let ask = || container(json!({"cpu": "250m", "memory": "512Mi"}));
    let pods = (0..10_000).map(|n| object(pod(&format!("p{n}"), &format!("node-{}", n % 500), json!({"containers": [ask(), ask()]}))));
    let watched = Counting(Watched(Some(pods.collect())), std::cell::Cell::new(0));
    let spec = json!({"resources": [{"name": "cpu", "free": "54"}, {"name": "memory", "free": "236Gi"}, {"name": "pods", "free": 90}]});
    let targets: Vec<&DynamicObject> = nodes.iter().collect();
    let seen = look(&capacity(spec), &targets, &watched);
    assert_eq!((seen.len(), watched.1.get()), (500, 1));
    assert_eq!(seen[499].message, "cpu: 54 of 64 free; memory: 236Gi of 256Gi free; pods: 90 of 110 free");
    assert!(seen.iter().all(|seen| seen.outcome == Outcome::Pass));
}

const WORDS: &[&str] = &[
    "spec",
    "status",
    "allocatable",
    "cpu",
    "memory",
    "pods",
    "containers",
    "initContainers",
    "resources",
    "requests",
    "overhead",
    "nodeName",
    "a",
    "name",
    "phase",
    "Running",
    "restartPolicy",
    "Always",
    "conditions",
    "type",
    "Ready",
    "True",
    "1",
    "1.5Ki",
    "1e300",
    "-1",
    "unschedulable",
    "containerStatuses",
    "allocatedResources",
    "reason",
    "Infeasible",
];

proptest! {
    #[test]
    fn nothing_in_the_objects_panics(node in any_json(WORDS), pod in any_json(WORDS), containers in any_json(WORDS), scope in prop_oneof![Just("PerNode"), Just("Sum")]) {
        let with = |kind: &str, name: &str, fields: &Value| {
            let mut value = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "shop"}});
            for (key, field) in fields.as_object().into_iter().flatten() {
                value[key] = field.clone();
            }
            value["metadata"] = json!({"name": name});
            value["apiVersion"] = json!("v1");
            value["kind"] = json!(kind);
            value
        };
        let bound = json!({"spec": {"nodeName": "a", "containers": containers.clone(), "initContainers": containers, "overhead": node.clone(), "resources": node.clone()}, "status": pod.clone()});
        let nodes = [with("Node", "a", &node), with("Node", "b", &json!({"status": {"allocatable": node}}))];
        let spec = json!({"scope": scope, "resources": [{"name": "cpu", "free": 1}, {"name": "memory", "free": "10%"}]});
        let seen = observe(spec, &nodes, &[with("Pod", "x", &pod), with("Pod", "y", &bound)]);
        prop_assert_eq!(seen.len(), if scope == "Sum" { 1 } else { 2 });
        prop_assert!(seen.iter().all(|seen| seen.reason != crate::core::observation::PANIC));
    }

    #[test]
    fn more_asked_for_never_leaves_more_room(cpus in proptest::collection::vec(0_u32..20, 0..6), more in 0_u32..20, free in 1_u32..60) {
        let of = |cpus: &[u32]| {
            let pods: Vec<Value> = cpus.iter().map(|cpu| pod("x", "a", json!({"containers": [container(json!({"cpu": cpu.to_string()}))]}))).collect();
            observe(needs("cpu", &free.to_string()), &[node("a", json!({"cpu": "50"}))], &pods)[0].outcome
        };
        let with_more: Vec<u32> = cpus.iter().copied().chain([more]).collect();
        prop_assert!(!(of(&cpus) == Outcome::Fail && of(&with_more) == Outcome::Pass));
        prop_assert_eq!(of(&cpus) == Outcome::Pass, cpus.iter().sum::<u32>() + free <= 50);
    }
}
