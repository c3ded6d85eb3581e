//! What the harness promises about a running control plane, on a real one.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods, missing_docs)]

use std::{collections::BTreeMap, fs, sync::OnceLock, time::Duration};

use control_plane::{ControlPlane, Kubectl, NodeShape, Options, eventually, other_projects};

const SOON: Duration = Duration::from_secs(30);

/// One for all tests that do not need their own.
fn shared() -> &'static ControlPlane {
    static SHARED: OnceLock<ControlPlane> = OnceLock::new();
    SHARED.get_or_init(|| {
        let control_plane = ControlPlane::start_with(&Options { audit_log: true, ..Options::default() }).unwrap();
        control_plane.install_crds(&other_projects()).unwrap();
        control_plane
    })
}

fn can_i(kubectl: &Kubectl, verb: &str, resource: &str) -> bool {
    kubectl.run(&["auth", "can-i", verb, resource]).unwrap().stdout.trim() == "yes"
}

fn deployment(namespace: &str, name: &str, replicas: u32) -> Kubectl {
    let kubectl = shared().admin().in_namespace(namespace);
    let replicas = format!("--replicas={replicas}");
    kubectl.ok(&["create", "deployment", name, "--image=web:1", &replicas]).unwrap();
    kubectl
}

fn available(kubectl: &Kubectl, name: &str) -> bool {
    let deployment = kubectl.json(&["get", "deployment", name]).unwrap();
    let conditions = deployment["status"]["conditions"].as_array().unwrap().clone();
    conditions.iter().any(|condition| condition["type"] == "Available" && condition["status"] == "True")
}

#[test]
fn kubectl_knows_the_version_of_both_sides() {
    let version = shared().admin().json(&["version"]).unwrap();
    for side in ["clientVersion", "serverVersion"] {
        assert!(version[side]["gitVersion"].as_str().unwrap().starts_with("v1."), "{version}");
    }
}

#[test]
fn a_deployment_becomes_available_breaks_heals_and_rolls() {
    let namespace = shared().namespace("rollout").unwrap();
    let kubectl = deployment(&namespace, "web", 3);
    shared().run_pods(&namespace, "app=web").unwrap();
    assert!(available(&kubectl, "web"));

    shared().break_pods(&namespace, "app=web").unwrap();
    eventually(SOON, "an unavailable Deployment", || if available(&kubectl, "web") { Err("available") } else { Ok(()) }).unwrap();
    shared().run_pods(&namespace, "app=web").unwrap();
    assert!(available(&kubectl, "web"));

    kubectl.ok(&["set", "image", "deployment/web", "web=web:2"]).unwrap();
    shared().run_pods(&namespace, "app=web").unwrap();
    let pods = kubectl.json(&["get", "pods"]).unwrap();
    let images: Vec<_> = pods["items"].as_array().unwrap().iter().map(|pod| pod["spec"]["containers"][0]["image"].clone()).collect();
    assert_eq!(images, ["web:2"; 3]);
}

#[test]
fn stateful_and_daemon_sets_run_too() {
    shared().node("daemon-node", &NodeShape::default()).unwrap();
    let namespace = shared().namespace("sets").unwrap();
    let set = |kind: &str, more: &str| {
        format!(
            "apiVersion: apps/v1\nkind: {kind}\nmetadata: {{ name: {more} }}\nspec:\n  selector: {{ matchLabels: {{ app: {more} }} }}\n  \
             template:\n    metadata: {{ labels: {{ app: {more} }} }}\n    spec: {{ containers: [{{ name: main, image: x:1 }}] }}\n"
        )
    };
    let kubectl = shared().admin().in_namespace(&namespace);
    kubectl.apply_text(&format!("{}  serviceName: db\n  replicas: 2\n", set("StatefulSet", "db"))).unwrap();
    kubectl.apply_text(&set("DaemonSet", "agent")).unwrap();
    shared().run_pods(&namespace, "").unwrap();
    assert_eq!(kubectl.json(&["get", "statefulset", "db"]).unwrap()["status"]["readyReplicas"], 2);
    let daemon_set = kubectl.json(&["get", "daemonset", "agent"]).unwrap()["status"].clone();
    assert_eq!(daemon_set["numberReady"], daemon_set["desiredNumberScheduled"]);
    assert_ne!(daemon_set["numberReady"], 0);
}

#[test]
fn running_pods_that_nobody_makes_is_an_error_that_says_so() {
    let namespace = shared().namespace("nobody").unwrap();
    let error = shared().break_pods(&namespace, "app=none").unwrap_err().to_string();
    assert!(error.contains("nothing matches"), "{error}");
}

#[test]
fn a_node_is_ready_untainted_and_takes_pods() {
    let labels = BTreeMap::from([("zone".to_owned(), "a".to_owned())]);
    shared().node("shaped", &NodeShape { cpu: "4".to_owned(), labels, ..NodeShape::default() }).unwrap();
    let node = || shared().admin().json(&["get", "node", "shaped"]).unwrap();
    let ready = |node: &serde_json::Value| {
        let conditions = node["status"]["conditions"].as_array().unwrap().clone();
        conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    };
    assert!(ready(&node()));
    assert_eq!(node()["status"]["allocatable"]["cpu"], "4");
    assert_eq!(node()["metadata"]["labels"]["zone"], "a");
    assert!(node()["spec"]["taints"].is_null(), "{}", node());
    shared().set_node_ready("shaped", false).unwrap();
    assert!(!ready(&node()));

    let namespace = shared().namespace("bound").unwrap();
    let kubectl = deployment(&namespace, "web", 1);
    shared().run_pods(&namespace, "app=web").unwrap();
    shared().bind_pods(&namespace, "app=web", "shaped").unwrap();
    let pods = kubectl.json(&["get", "pods", "--field-selector=spec.nodeName=shaped"]).unwrap();
    assert_eq!(pods["items"].as_array().unwrap().len(), 1);
}

#[test]
fn a_user_may_do_what_rbac_says_for_each_of_its_groups() {
    let namespace = shared().namespace("people").unwrap();
    let admin = shared().admin().in_namespace(&namespace);
    let ann = shared().user("ann", &["group-a", "group-b", "group-c"]).unwrap().in_namespace(&namespace);
    let refused = ann.run(&["get", "pods"]).unwrap();
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains(r#"User "ann" cannot list resource "pods""#), "{}", refused.stderr);

    for (group, resource) in [("group-a", "pods"), ("group-b", "secrets"), ("group-c", "configmaps")] {
        admin.ok(&["create", "role", group, "--verb=list", "--resource", resource]).unwrap();
        admin.ok(&["create", "rolebinding", group, "--role", group, "--group", group]).unwrap();
        eventually(SOON, resource, || if can_i(&ann, "list", resource) { Ok(()) } else { Err("no") }).unwrap();
    }
    let whoami = ann.json(&["auth", "whoami"]).unwrap();
    assert_eq!(whoami["status"]["userInfo"]["username"], "ann");
}

#[test]
fn a_service_account_token_works() {
    let namespace = shared().namespace("robots").unwrap();
    let admin = shared().admin().in_namespace(&namespace);
    admin.ok(&["create", "serviceaccount", "robot"]).unwrap();
    admin.ok(&["create", "rolebinding", "robot", "--clusterrole=view", &format!("--serviceaccount={namespace}:robot")]).unwrap();
    let robot = shared().service_account(&namespace, "robot").unwrap().in_namespace(&namespace);
    eventually(SOON, "the binding", || robot.ok(&["get", "pods"])).unwrap();
    assert!(!can_i(&robot, "create", "pods"));
    let whoami = robot.json(&["auth", "whoami"]).unwrap();
    assert_eq!(whoami["status"]["userInfo"]["username"], format!("system:serviceaccount:{namespace}:robot"));
}

#[test]
fn kinds_of_other_projects_go_by_their_names() {
    let namespace = shared().namespace("kinds").unwrap();
    let kubectl = shared().admin().in_namespace(&namespace);
    for (api_version, kind, short) in [
        ("kubevirt.io/v1", "VirtualMachine", "vm"),
        ("kubevirt.io/v1alpha3", "VirtualMachineInstance", "vmis"),
        ("kubevirt.io/v1", "VirtualMachineInstanceMigration", "vmim"),
        ("chaos-mesh.org/v1alpha1", "PodChaos", "podchaos"),
        ("chaos-mesh.org/v1alpha1", "NetworkChaos", "networkchaos"),
        ("chaos-mesh.org/v1alpha1", "Schedule", "schedules"),
        ("chaos-mesh.org/v1alpha1", "Workflow", "workflows.chaos-mesh.org"),
        ("litmuschaos.io/v1alpha1", "ChaosEngine", "chaosengines"),
    ] {
        let object = format!("{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: x}}, spec: {{deep: {{field: 1}}}}}}");
        kubectl.apply_text(&object).unwrap();
        assert_eq!(kubectl.json(&["get", short, "x"]).unwrap()["spec"]["deep"]["field"], 1, "{kind}");
    }
    // Whoever may update a VirtualMachineInstance writes its status with it.
    let patch = r#"--patch={"status":{"phase":"Running"}}"#;
    let phase_after = |kind: &str| {
        kubectl.ok(&["patch", kind, "x", "--type=merge", patch]).unwrap();
        kubectl.json(&["get", kind, "x"]).unwrap()["status"]["phase"].clone()
    };
    assert_eq!(phase_after("vmi"), "Running");
    assert!(phase_after("vm").is_null());
}

#[test]
fn kubectl_is_killed_at_its_deadline() {
    let kubectl = shared().admin().with_deadline(Duration::from_secs(2));
    let error = kubectl.run(&["get", "namespaces", "--watch"]).unwrap_err().to_string();
    assert!(error.starts_with("waited 2 s for kubectl get namespaces --watch") && error.contains("kube-system"), "{error}");
}

#[test]
fn requests_are_in_the_audit_log() {
    let namespace = shared().namespace("audited").unwrap();
    eventually(SOON, "the audit line", || {
        let log = fs::read_to_string(shared().audit_log()).unwrap();
        if log.lines().any(|line| line.contains("\"verb\":\"create\"") && line.contains(&namespace)) { Ok(()) } else { Err("not there") }
    })
    .unwrap();
}

#[test]
fn two_run_at_once_with_addresses_of_their_own_and_the_api_server_survives_a_crash() {
    let other = ControlPlane::start().unwrap();
    assert_ne!(other.service_cidr(), shared().service_cidr());
    for control_plane in [shared(), &other] {
        let network = control_plane.service_cidr().trim_end_matches(".0/24").to_owned();
        let ip = format!("{network}.10");
        let service =
            format!("{{apiVersion: v1, kind: Service, metadata: {{name: hook}}, spec: {{clusterIP: {ip}, ports: [{{port: 443}}]}}}}");
        let namespace = control_plane.namespace("service").unwrap();
        control_plane.admin().in_namespace(&namespace).apply_text(&service).unwrap();
    }
    other.kill_api_server();
    assert_ne!(other.admin().run(&["get", "namespaces"]).unwrap().code, 0);
    other.start_api_server().unwrap();
    other.admin().ok(&["get", "namespaces"]).unwrap();
    other.check_running().unwrap();
}

#[test]
fn a_wrong_argument_ends_the_start_with_the_servers_own_words() {
    let options = Options { kube_apiserver_args: vec!["--no-such-flag".to_owned()], ..Options::default() };
    let error = ControlPlane::start_with(&options).unwrap_err().to_string();
    assert!(error.contains("kube-apiserver ended with exit code 1") && error.contains("unknown flag: --no-such-flag"), "{error}");
}
