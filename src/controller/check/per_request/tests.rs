#![allow(clippy::needless_pass_by_value, reason = "`json!(...)` reads best as an argument")]
use super::*;
use crate::api::{Operation, PreflightCheckSpec};
use crate::core::expr::Bindings;
use crate::core::gate::{GateKey, Request, Resource, User, World};
use crate::core::verdict::Verdict;
use crate::core::watched::KindKey;
use serde_json::json;

fn object(value: Value) -> DynamicObject {
    serde_json::from_value(value).unwrap()
}

/// What is published of one namespace or of all.
#[derive(Default)]
struct There(HashMap<WatchKey, Arc<Published>>);

impl World for There {
    fn watched(&self, key: &WatchKey) -> Option<Arc<Published>> {
        self.0.get(key).cloned()
    }

    fn namespaces(&self) -> Option<Arc<HashMap<String, Labels>>> {
        Some(Arc::new([("shop".to_owned(), Labels::new()), ("other".to_owned(), Labels::new())].into()))
    }
}

fn key(kind: &str, namespace: Option<&str>) -> WatchKey {
    let api_version = if matches!(kind, "Pod" | "Node") { "v1" } else { "apps/v1" };
    WatchKey { kind: KindKey { api_version: api_version.into(), kind: kind.into() }, namespace: namespace.map(Into::into), name: None }
}

impl There {
    fn with(mut self, kind: &str, namespace: Option<&str>, objects: Vec<Value>) -> Self {
        let mut places: BTreeMap<Arc<str>, Arc<Place>> = BTreeMap::new();
        for value in objects {
            let mut one = object(value);
            one.types = Some(kube::api::TypeMeta { api_version: key(kind, None).kind.api_version.to_string(), kind: kind.to_owned() });
            let place = places.entry(one.metadata.namespace.clone().unwrap_or_default().into()).or_default();
            Arc::make_mut(place).insert(one.metadata.name.clone().unwrap().into(), Arc::new(one));
        }
        self.0.insert(key(kind, namespace), Arc::new(Published { places, synced: true, broken: None }));
        self
    }
}

fn pod(app: &str, owner: &str, number: usize) -> Value {
    let owner_name = if owner == "ReplicaSet" { format!("{app}-5d") } else { app.to_owned() };
    let owners = json!([{"apiVersion": "apps/v1", "kind": owner, "name": owner_name, "uid": "u", "controller": true}]);
    let labels = json!({"app": app, "pod-template-hash": "5d"});
    json!({"metadata": {"namespace": "shop", "name": format!("{app}-{number}"), "labels": labels, "ownerReferences": owners}, "status": {"phase": "Running"}})
}

fn deployment(name: &str, available: u32) -> Value {
    json!({
        "metadata": {"namespace": "shop", "name": name, "generation": 1},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"app": name}}},
        "status": {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "readyReplicas": available, "availableReplicas": available},
    })
}

/// A check of `shop` that reads its own namespace, asked about a `PodChaos` of all pods with these labels.
fn asked(spec: Value, there: &There, selector: Value) -> State {
    let spec: PreflightCheckSpec = serde_json::from_value(spec).unwrap();
    let mut problems = Vec::new();
    let plan = CheckPlan::parse(&spec, &mut problems).unwrap_or_else(|| panic!("{problems:?}"));
    let probe = plan.per_request().expect("it is decided for each request").clone();
    let check = CheckKey { namespace: "shop".into(), name: "c".into() };
    let watches = there.0.keys().cloned().collect();
    let check = PerRequest::new(&check, &plan, probe, watches, Readable::Own);
    let object = json!({
        "apiVersion": "chaos-mesh.org/v1alpha1", "kind": "PodChaos", "metadata": {"generateName": "kill-", "namespace": "shop"},
        "spec": {"action": "pod-kill", "mode": "all", "selector": selector},
    });
    let (resource, request) = (Resource { group: "chaos-mesh.org".into(), resource: "podchaos".into() }, json!({}));
    let bindings = Bindings::new(&object, None, &request);
    let request = Request {
        uid: "1",
        resource: &resource,
        kind: "PodChaos",
        operation: Operation::Create,
        namespace: Some("shop"),
        name: "kill-*",
        generated_name: true,
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
    let gate = GateKey { namespace: Some("shop".into()), name: "chaos".into() };
    check.state(&Ask { request: &request, gate: &gate, now: "2026-09-01T12:00:00Z".parse().unwrap(), world: there })
}

fn rollout() -> Value {
    json!({"probe": {"rollout": {}}, "targets": {"source": "Gated"}})
}

fn shop(pods: Vec<Value>, deployments: Vec<Value>) -> There {
    let there = There::default().with("Pod", Some("shop"), pods).with("Deployment", Some("shop"), deployments);
    there.with("StatefulSet", Some("shop"), Vec::new()).with("DaemonSet", Some("shop"), Vec::new())
}

#[test]
fn the_workloads_that_are_touched_are_judged_and_no_others() {
    let there = shop(
        vec![pod("web", "ReplicaSet", 0), pod("web", "ReplicaSet", 1), pod("db", "ReplicaSet", 0)],
        vec![deployment("web", 2), deployment("db", 1)],
    );
    let web = asked(rollout(), &there, json!({"labelSelectors": {"app": "web"}}));
    assert_eq!((web.verdict, web.summary.targets, &web.results[0].target[..]), (Verdict::Passing, 1, "Deployment/web"));
    let all = asked(rollout(), &there, json!({}));
    assert_eq!((all.verdict, all.summary.targets, &all.results[0].target[..]), (Verdict::Failing, 2, "Deployment/db"));
}

#[test]
fn what_the_probe_cannot_judge_is_not_left_out_unless_the_check_names_its_kind() {
    let there = shop(vec![pod("web", "ReplicaSet", 0), pod("batch", "Job", 0)], vec![deployment("web", 2)]);
    let all = asked(rollout(), &there, json!({}));
    assert_eq!((all.verdict, all.results[0].reason, &all.results[0].target[..]), (Verdict::Unknown, NOT_JUDGED, "shop/Job/batch"));
    let named = json!({"probe": {"rollout": {}}, "targets": {"source": "Gated", "apiVersion": "apps/v1", "kind": "Deployment"}});
    assert_eq!(asked(named, &there, json!({})).verdict, Verdict::Passing);
    let gone = shop(vec![pod("web", "ReplicaSet", 0)], Vec::new());
    assert_eq!(asked(rollout(), &gone, json!({})).verdict, Verdict::Unknown);
}

#[test]
fn nothing_other_namespaces_and_what_is_not_told_never_pass() {
    let there = shop(vec![pod("web", "ReplicaSet", 0)], vec![deployment("web", 2)]);
    let nothing = asked(rollout(), &there, json!({"labelSelectors": {"app": "gone"}}));
    assert_eq!((nothing.verdict, nothing.reason), (Verdict::Unknown, passing::NO_TARGETS));
    let says = "nothing is touched: there are no Deployment or StatefulSet or DaemonSet of pods in namespace shop with labels app=gone";
    assert_eq!(nothing.message, says);
    let radius = asked(json!({"probe": {"blastRadius": {}}}), &there, json!({"labelSelectors": {"app": "gone"}}));
    assert_eq!((radius.verdict, radius.reason), (Verdict::Unknown, passing::NO_TARGETS));
    assert_eq!(radius.message, "nothing would be hit: there are no pods in namespace shop with labels app=gone");
    let elsewhere = asked(rollout(), &there, json!({"namespaces": ["other"]}));
    assert_eq!((elsewhere.verdict, elsewhere.reason), (Verdict::Unknown, passing::FORBIDDEN));
    assert!(elsewhere.message.starts_with("pods in namespace other could be hit, and this check looks at namespace shop only"));
    let unresolvable = asked(rollout(), &there, json!({"fieldSelectors": {"spec.odd": "x"}}));
    assert_eq!((unresolvable.verdict, unresolvable.results[0].reason), (Verdict::Unknown, UNRESOLVABLE));
    let unwatched = asked(rollout(), &There::default(), json!({}));
    assert_eq!((unwatched.verdict, unwatched.results[0].reason), (Verdict::Unknown, NOT_SYNCED));
}

#[test]
fn the_gated_object_itself_can_be_the_target() {
    let itself = |kind: &str| {
        let targets = json!({"source": "Gated", "apiVersion": "chaos-mesh.org/v1alpha1", "kind": kind});
        json!({"probe": {"cel": {"expression": "object.spec.action != 'pod-kill'", "message": "no killing"}}, "targets": targets})
    };
    let state = asked(itself("PodChaos"), &There::default(), json!({}));
    assert_eq!(
        (state.verdict, &state.results[0].target[..], &state.results[0].message[..]),
        (Verdict::Failing, "PodChaos/kill-*", "no killing")
    );
    assert_eq!(asked(itself("NetworkChaos"), &There::default(), json!({})).reason, passing::NO_TARGETS);
}
