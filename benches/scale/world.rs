//! The control plane with the operator of the build under test, and what it is filled with.

use crate::Outcome;
use crate::endpoints::Endpoints;
use control_plane::{ControlPlane, Operator, OperatorOptions, other_projects};
use holdpoint::cluster::client::connect;
use http::Request;
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use tokio::runtime::Runtime;

/// How many namespaces there are.
pub const NAMESPACES: usize = 40;
/// In each namespace.
pub const DEPLOYMENTS: usize = 50;
/// In each namespace: each requires ten of its checks.
pub const GATES: usize = 25;
/// In each namespace.
pub const HTTP_CHECKS: usize = 50;
/// For each Deployment.
pub const LIVE_CHECKS: usize = 4;
/// In the whole cluster.
pub const ALL_LIVE: usize = NAMESPACES * DEPLOYMENTS * LIVE_CHECKS;
/// In the whole cluster.
pub const ALL_HTTP: usize = NAMESPACES * HTTP_CHECKS;
/// In the whole cluster.
pub const ALL_GATES: usize = NAMESPACES * GATES;
/// A condition of the Deployments that only the benchmark writes.
pub const CONDITION: &str = "Healthy";
const SERVERS: u8 = 20;

/// All that the phases need.
pub struct World {
    /// Where everything runs: `block_on` it.
    pub runtime: Runtime,
    /// An administrator's client.
    pub client: Client,
    /// The operator, on its Service's address, with its own service account.
    pub operator: Operator,
    /// What http checks ask.
    pub endpoints: Endpoints,
    /// The namespaces.
    pub namespaces: Vec<String>,
    /// The control plane.
    pub control_plane: ControlPlane,
}

impl World {
    /// Starts everything; there are no objects yet but the namespaces.
    pub fn start(operator: PathBuf) -> Outcome<Self> {
        let control_plane = ControlPlane::start()?;
        control_plane.install_crds(&other_projects())?;
        let options = OperatorOptions {
            binary: operator,
            install_manifest: Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/install.yaml"),
            extra_args: ["--allow-cidr", "127.0.0.0/8"].map(str::to_owned).to_vec(),
            ..OperatorOptions::default()
        };
        let operator = Operator::start(&control_plane, &options)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let (client, _) = runtime.block_on(connect(Some(control_plane.kubeconfig())))?;
        let endpoints = runtime.block_on(Endpoints::start(SERVERS))?;
        let namespaces = (0..NAMESPACES).map(|_| control_plane.namespace("team")).collect::<Result<_, _>>()?;
        Ok(Self { runtime, client, operator, endpoints, namespaces, control_plane })
    }

    /// An API of any kind.
    pub fn api(&self, namespace: &str, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }

    /// Deployments of a namespace.
    pub fn deployments(&self, namespace: &str) -> Api<DynamicObject> {
        self.api(namespace, "apps", "v1", "Deployment")
    }

    /// Creates an object in a namespace.
    pub async fn create(&self, namespace: &str, object: Value) -> Outcome<()> {
        let object: DynamicObject = serde_json::from_value(object)?;
        let types = object.types.clone().unwrap_or_default();
        let (group, version) = types.api_version.split_once('/').unwrap_or(("", types.api_version.as_str()));
        self.api(namespace, group, version, &types.kind).create(&PostParams::default(), &object).await?;
        Ok(())
    }

    /// The API server's metrics.
    pub async fn api_server_metrics(&self) -> Outcome<String> {
        Ok(self.client.request_text(Request::get("/metrics").body(Vec::new())?).await?)
    }
}

/// Lets the default service account of a namespace read what live checks may be about.
pub fn reader(namespace: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "checks-read"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "holdpoint-reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}]
    })
}

/// A Deployment of about the size that they have. It wants no replicas, so nothing is missing without a kubelet.
pub fn deployment(number: usize) -> Value {
    let name = format!("service-{number}");
    let labels = json!({"app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "shop", "team": "checkout"});
    let environment: Vec<Value> = ["DATABASE_HOST", "DATABASE_PORT", "QUEUE_URL", "LOG_LEVEL", "REGION", "FEATURES"]
        .iter()
        .map(|variable| json!({"name": variable, "value": format!("{}-of-{name}", variable.to_lowercase())}))
        .collect();
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": "http"}, "periodSeconds": 10, "failureThreshold": 3});
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": labels},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
            "template": {
                "metadata": {"labels": labels, "annotations": {"prometheus.io/scrape": "true", "prometheus.io/port": "9090"}},
                "spec": {
                    "serviceAccountName": "default",
                    "containers": [{
                        "name": "app", "image": format!("registry.example/shop/{name}:1.24.3"),
                        "ports": [{"name": "http", "containerPort": 8080}, {"name": "metrics", "containerPort": 9090}],
                        "env": environment,
                        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
                        "readinessProbe": probe("/ready"), "livenessProbe": probe("/live"),
                        "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true},
                        "volumeMounts": [{"name": "settings", "mountPath": "/etc/app"}]
                    }],
                    "volumes": [{"name": "settings", "configMap": {"name": format!("{name}-settings")}}]
                }
            }
        }
    })
}

fn check(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "holdpoint.dev/v1alpha1", "kind": "PreflightCheck", "metadata": {"name": name}, "spec": spec})
}

/// The live checks of a Deployment: rollout twice, a condition that its controller writes, and one that the benchmark does.
pub fn live_checks(number: usize) -> [Value; LIVE_CHECKS] {
    let targets = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": format!("service-{number}")});
    let of = |kind: &str, probe: Value| check(&format!("live-{number}-{kind}"), &json!({"probe": probe, "targets": targets}));
    [
        of("rollout", json!({"rollout": {}})),
        of("rollout-half", json!({"rollout": {"minReady": "50%"}})),
        of("available", json!({"condition": {"type": "Available", "status": "True"}})),
        of("healthy", json!({"condition": {"type": CONDITION, "status": "True"}})),
    ]
}

/// A check that asks a server every 30 s.
pub fn http_check(number: usize, server: SocketAddr) -> Value {
    check(
        &format!("http-{number}"),
        &json!({"intervalSeconds": 30, "probe": {"http": {"url": format!("http://{server}/healthz/{number}")}}}),
    )
}

/// A gate on creates of virtual machines that requires the live checks of two Deployments and two http checks.
pub fn gate(number: usize) -> Value {
    let deployments = [number * 2, number * 2 + 1];
    let live = deployments
        .iter()
        .flat_map(|number| ["rollout", "rollout-half", "available", "healthy"].map(|kind| format!("live-{number}-{kind}")));
    let checks: Vec<Value> = live.chain(deployments.map(|number| format!("http-{number}"))).map(|name| json!({"name": name})).collect();
    json!({
        "apiVersion": "holdpoint.dev/v1alpha1", "kind": "ExperimentGate", "metadata": {"name": format!("gate-{number}")},
        "spec": {
            "mode": "Enforce",
            "match": {"rules": [{"apiGroups": ["kubevirt.io"], "resources": ["virtualmachines"], "operations": ["CREATE"]}]},
            "checks": checks,
            "failurePolicy": "Fail"
        }
    })
}

/// A small virtual machine.
pub fn machine(namespace: &str) -> Value {
    json!({
        "apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": {"name": "load-generator", "namespace": namespace},
        "spec": {"runStrategy": "Always", "template": {"spec": {"domain": {"devices": {}, "memory": {"guest": "1Gi"}}}}}
    })
}
