#![allow(clippy::needless_pass_by_value, reason = "`json!(...)` reads best as an argument")]

use super::*;
use crate::core::expr::Bindings;
use crate::core::gate::{Ask, GateKey, Request, Resource, User, World};
use crate::core::touch::{self, Gated};
use crate::core::watched::{Published, WatchKey};
use crate::probe::objects::testing::{NOW, Watched, object};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

type Namespaces = HashMap<String, BTreeMap<String, String>>;

/// What is there.
#[derive(Clone)]
struct There {
    pods: Vec<DynamicObject>,
    nodes: Vec<DynamicObject>,
    /// The labels of namespaces; `None`: not known.
    namespaces: Option<Arc<Namespaces>>,
    forbidden: bool,
}

impl Cluster for There {
    fn pods(&self, namespace: Option<&str>) -> Result<Vec<&DynamicObject>, Untold> {
        if self.forbidden {
            return Err(Untold { forbidden: true, message: "may not".into() });
        }
        Ok(self.pods.iter().filter(|pod| namespace.is_none() || pod.metadata.namespace.as_deref() == namespace).collect())
    }

    fn nodes(&self) -> Result<Vec<&DynamicObject>, Untold> {
        Ok(self.nodes.iter().collect())
    }
}

impl World for There {
    fn watched(&self, _key: &WatchKey) -> Option<Arc<Published>> {
        None
    }

    fn namespaces(&self) -> Option<Arc<Namespaces>> {
        self.namespaces.clone()
    }
}

fn pod(namespace: &str, app: &str, number: usize, labels: Value) -> DynamicObject {
    let mut all = json!({"app": app, "pod-template-hash": "5d"});
    all.as_object_mut().unwrap().extend(labels.as_object().unwrap().clone());
    object(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "namespace": namespace, "name": format!("{app}-{number}"), "labels": all,
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{app}-5d"), "uid": "u", "controller": true}],
        },
        "spec": {"nodeName": format!("node-{}", number % 4)},
        "status": {"phase": "Running"},
    }))
}

fn node(number: usize, zone: &str, pool: &str) -> DynamicObject {
    object(
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("node-{number}"), "labels": {ZONE: zone, "pool": pool}}}),
    )
}

/// Five pods of `web`, one of `db`; four nodes in two zones and two pools.
fn there() -> There {
    let mut pods: Vec<_> = (0..5).map(|n| pod("shop", "web", n, json!({}))).collect();
    pods.push(pod("shop", "db", 0, json!({})));
    let nodes = vec![node(0, "a", "x"), node(1, "a", "x"), node(2, "b", "x"), node(3, "b", "y")];
    let labels = |labels: Value| serde_json::from_value(labels).unwrap();
    let namespaces = [("shop".to_owned(), labels(json!({}))), ("vault".to_owned(), labels(json!({"holdpoint.dev/protected": "true"})))];
    There { pods, nodes, namespaces: Some(Arc::new(namespaces.into())), forbidden: false }
}

fn probe(spec: Value) -> BlastRadius {
    let mut problems = Vec::new();
    let parsed = BlastRadius::parse(&serde_json::from_value(spec).unwrap(), "spec.probe.blastRadius", &mut problems);
    parsed.unwrap_or_else(|| panic!("{problems:?}"))
}

fn observe(probe: &BlastRadius, there: &There, group: &str, kind: &str, spec: &Value) -> Vec<Observation> {
    let object = json!({"spec": spec});
    let touch = touch::touch(&Gated { group, kind, namespace: Some("shop"), object: &object }).unwrap();
    let (resource, request, gate) =
        (Resource { group: group.into(), resource: "x".into() }, json!({}), GateKey { namespace: None, name: "g".into() });
    let bindings = Bindings::new(&object, None, &request);
    let request = Request {
        uid: "1",
        resource: &resource,
        kind,
        operation: crate::api::Operation::Create,
        namespace: Some("shop"),
        name: "kill",
        generated_name: false,
        cannot_wait: None,
        dry_run: false,
        deleting: false,
        labels: BTreeMap::new(),
        old_labels: None,
        namespace_labels: None,
        user: User::default(),
        object: &object,
        old_object: None,
        bindings: &bindings,
    };
    let now = NOW.parse().unwrap();
    let ask = Ask { request: &request, gate: &gate, now, world: there };
    let look = Look { targets: &[], namespace: "shop", objects: &Watched(None), members: &[], now };
    let asked = Asked { ask: &ask, look, touch: Some(&touch), cluster: there };
    LiveProbe::observe_request(probe, &asked, &mut 0)
}

fn kill(there: &There, limits: Value, percent: u32) -> Vec<Observation> {
    let spec = json!({"mode": "fixed-percent", "value": percent.to_string(), "selector": {"labelSelectors": {"app": "web"}}});
    observe(&probe(limits), there, "chaos-mesh.org", "PodChaos", &spec)
}

#[test]
fn a_share_of_a_workload_is_measured_and_told_with_its_name() {
    let seen = kill(&there(), json!({"maxPods": "50%"}), 60);
    assert_eq!(seen.len(), 1);
    assert_eq!((&seen[0].target[..], seen[0].outcome, seen[0].reason), ("shop/Deployment/web", Outcome::Fail, TOO_MUCH));
    assert_eq!(seen[0].message, "at most 3 of its 5 pods would be hit, 2 allowed (maxPods 50%)");
    assert_eq!((seen[0].value.as_deref(), seen[0].required.as_deref()), (Some("3 of 5 pods"), Some("at most 2")));
    let seen = kill(&there(), json!({"maxPods": "50%"}), 20);
    assert_eq!((seen[0].outcome, &seen[0].message[..]), (Outcome::Pass, "at most 1 of its 5 pods would be hit"));
    assert_eq!(kill(&there(), json!({"maxPods": 0}), 1)[0].outcome, Outcome::Fail);
    assert_eq!(kill(&there(), json!({"maxPods": 5}), 100)[0].outcome, Outcome::Pass);
    let seen = kill(&there(), json!({}), 100);
    assert_eq!((seen[0].outcome, &seen[0].message[..]), (Outcome::Pass, "at most 5 of 5 selected pods would be hit"));
}

#[test]
fn what_is_protected_may_not_even_be_selected() {
    let all = json!({"mode": "one", "selector": {"namespaces": ["shop", "vault", "kube-system"]}});
    let mut there = there();
    let fails = |there: &There| {
        let seen = observe(&probe(json!({"maxPods": "100%"})), there, "chaos-mesh.org", "PodChaos", &all);
        let failed = seen.into_iter().filter(|one| one.outcome == Outcome::Fail);
        failed.map(|one| format!("{}: {}", one.target, one.message)).collect::<Vec<_>>()
    };
    assert_eq!(fails(&there), Vec::<String>::new());
    there.pods.push(pod("vault", "safe", 0, json!({})));
    assert_eq!(
        fails(&there),
        ["Namespace/vault: it is protected (labels holdpoint.dev/protected=true), and its pods could be hit, such as Deployment/safe's"]
    );
    there.pods.push(pod("kube-system", "coredns", 0, json!({})));
    there.pods.push(pod("shop", "controller", 0, json!({"app.kubernetes.io/part-of": "chaos-mesh"})));
    let told = fails(&there);
    assert!(
        told.iter().any(|one| one.starts_with("kube-system/Deployment/coredns: its pods could be hit, and it is in namespace kube-system")),
        "{told:?}"
    );
    assert!(
        told.iter().any(|one| one.starts_with("shop/Deployment/controller: its pods could be hit, and it is part of chaos-mesh")),
        "{told:?}"
    );
}

#[test]
fn nodes_are_counted_by_pool_and_by_zone() {
    let drain = |limits: Value, nodes: &str| {
        let environment = json!([{"name": "TARGET_NODES", "value": nodes}]);
        let spec = json!({"experiments": [{"name": "node-drain", "spec": {"components": {"env": environment}}}]});
        let seen = observe(&probe(limits), &there(), "litmuschaos.io", "ChaosEngine", &spec);
        seen.into_iter().map(|one| format!("{} {:?}: {}", one.target, one.outcome, one.message)).collect::<Vec<_>>()
    };
    assert_eq!(
        drain(json!({"maxNodes": "25%"}), "node-0,node-3"),
        ["Pool/all Fail: at most 2 of its 4 nodes would be hit, 1 allowed (maxNodes 25%)"]
    );
    assert_eq!(
        drain(json!({"maxNodes": 1, "nodePoolLabel": "pool"}), "node-0,node-3"),
        ["Pool/x Pass: at most 1 of its 3 nodes would be hit", "Pool/y Pass: at most 1 of its 1 nodes would be hit"]
    );
    assert_eq!(
        drain(json!({"maxNodesOfZone": "50%"}), "node-0,node-1,node-2"),
        [
            "Zone/a Fail: at most 2 of its 2 nodes would be hit, 1 allowed (maxNodesOfZone 50%)",
            "Zone/b Pass: at most 1 of its 2 nodes would be hit"
        ]
    );
}

#[test]
fn nothing_is_no_target_and_what_may_not_be_read_is_forbidden() {
    let nothing = There { pods: Vec::new(), ..there() };
    let seen = kill(&nothing, json!({"maxPods": "50%"}), 50);
    assert_eq!((seen[0].outcome, seen[0].reason), (Outcome::Error, NOT_FOUND));
    assert_eq!(seen[0].message, "nothing would be hit: there are no pods in namespace shop with labels app=web");
    let seen = kill(&There { forbidden: true, ..there() }, json!({}), 50);
    assert_eq!((seen[0].outcome, seen[0].reason), (Outcome::Error, FORBIDDEN));
    let seen = kill(&There { namespaces: None, ..there() }, json!({}), 50);
    assert_eq!((seen[0].outcome, seen[0].reason), (Outcome::Error, NOT_SYNCED));
}

#[test]
fn what_the_schema_would_refuse_is_a_problem() {
    for spec in [json!({"maxPods": -1}), json!({"maxPods": "101%"}), json!({"maxNodes": "half"}), json!({"nodePoolLabel": "x"})] {
        let mut problems = Vec::new();
        assert!(BlastRadius::parse(&serde_json::from_value(spec).unwrap(), "f", &mut problems).is_none());
        assert_eq!(problems.len(), 1);
    }
}

proptest! {
    #[test]
    fn hitting_more_never_turns_a_failure_into_a_pass(limit in 0_u32..=100, percent in 1_u32..=100, more in 0_u32..50, pods in 1_usize..12) {
        let there = There { pods: (0..pods).map(|n| pod("shop", "web", n, json!({}))).collect(), ..there() };
        let fails = |percent: u32| kill(&there, json!({"maxPods": format!("{limit}%")}), percent).iter().any(|one| one.outcome == Outcome::Fail);
        prop_assert!(!fails(percent) || fails((percent + more).min(100)));
    }
}
