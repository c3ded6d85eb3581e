//! The control plane with the operator of the build under test, and a client of it.

use crate::Outcome;
use control_plane::{ControlPlane, Operator, OperatorOptions, other_projects};
use holdpoint::cluster::client::connect;
use http::{Request, StatusCode};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, PostParams};
use kube::client::Body;
use kube::core::GroupVersionKind;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tokio::runtime::Runtime;

/// All that the sections need.
pub struct Cluster {
    /// Where things are waited for, not where they are measured: `block_on` it.
    pub runtime: Runtime,
    /// An administrator's client. It keeps its connection and repeats nothing.
    pub client: Client,
    /// The operator, on its Service's address, with its own service account.
    pub operator: Operator,
    /// The control plane.
    pub control_plane: ControlPlane,
}

impl Cluster {
    /// Starts everything.
    pub fn start() -> Outcome<Self> {
        let control_plane = ControlPlane::start()?;
        control_plane.install_crds(&other_projects())?;
        let options = OperatorOptions {
            binary: PathBuf::from(env!("CARGO_BIN_EXE_holdpoint")),
            install_manifest: Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/install.yaml"),
            ..OperatorOptions::default()
        };
        let operator = Operator::start(&control_plane, &options)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let (client, _) = runtime.block_on(connect(Some(control_plane.kubeconfig())))?;
        Ok(Self { runtime, client, operator, control_plane })
    }

    /// Applies an object as the administrator.
    pub fn apply(&self, namespace: &str, object: &Value) -> Outcome<()> {
        self.control_plane.admin().in_namespace(namespace).apply_text(&object.to_string())?;
        Ok(())
    }

    /// An API of any kind.
    pub fn api(&self, namespace: &str, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        Api::namespaced_with(self.client.clone(), namespace, &resource)
    }

    /// Creates an object of a kind of ours, with the persistent client.
    pub async fn create(&self, namespace: &str, object: Value) -> Outcome<()> {
        let object: DynamicObject = serde_json::from_value(object)?;
        let kind = object.types.as_ref().map(|types| types.kind.clone()).unwrap_or_default();
        self.api(namespace, "holdpoint.dev", "v1alpha1", &kind).create(&PostParams::default(), &object).await?;
        Ok(())
    }

    /// The API server's metrics.
    pub async fn metrics(&self) -> Outcome<String> {
        Ok(self.client.request_text(Request::get("/metrics").body(Vec::new())?).await?)
    }
}

/// Creates of a virtual machine that are judged and not stored.
#[derive(Clone)]
pub struct DryRun {
    client: Client,
    path: String,
    body: Vec<u8>,
}

impl DryRun {
    /// In a namespace.
    pub fn in_namespace(cluster: &Cluster, namespace: &str) -> Self {
        let path = format!("/apis/kubevirt.io/v1/namespaces/{namespace}/virtualmachines?dryRun=All");
        Self { client: cluster.client.clone(), path, body: virtual_machine(namespace).to_string().into_bytes() }
    }

    /// Does it, and reads the whole answer.
    pub async fn create(&self) -> Outcome<StatusCode> {
        let request = Request::post(&self.path).header("content-type", "application/json").body(Body::from(self.body.clone()))?;
        let answer = self.client.send(request).await?;
        let status = answer.status();
        answer.into_body().collect_bytes().await?;
        Ok(status)
    }

    /// Does it, and minds how it ends.
    pub async fn expect(&self, expected: StatusCode) -> Outcome<()> {
        let status = self.create().await?;
        if status == expected { Ok(()) } else { Err(format!("{}: {status} instead of {expected}", self.path).into()) }
    }
}

/// A machine of about 4 kB, as a platform would make it: what a webhook is sent is dominated by the object.
pub fn virtual_machine(namespace: &str) -> Value {
    let user_data: String = (0..36)
        .map(|line| format!("  - [sh, -c, 'echo step {line} of provisioning >> /var/log/provision.log']"))
        .collect::<Vec<_>>()
        .join("\n")
        + "\n";
    let disk = |name: &str| json!({"name": name, "disk": {"bus": "virtio"}, "cache": "none", "io": "native"});
    let volume = |name: &str| json!({"name": name, "dataVolume": {"name": format!("load-generator-{name}")}});
    json!({
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {
            "name": "load-generator",
            "namespace": namespace,
            "labels": {"app": "load-generator", "tier": "prod", "team": "checkout", "app.kubernetes.io/managed-by": "platform"},
            "annotations": {"platform.example/ticket": "OPS-1234", "platform.example/requested-by": "jane.doe@example.com"}
        },
        "spec": {
            "runStrategy": "Always",
            "template": {
                "metadata": {"labels": {"app": "load-generator", "kubevirt.io/domain": "load-generator"}},
                "spec": {
                    "domain": {
                        "cpu": {"cores": 4, "sockets": 1, "threads": 1, "model": "host-model"},
                        "memory": {"guest": "8Gi"},
                        "devices": {
                            "disks": [disk("root"), disk("data"), disk("scratch"), disk("cloudinit")],
                            "interfaces": [{"name": "default", "masquerade": {}, "ports": [{"port": 22}, {"port": 443}]}],
                            "rng": {}
                        },
                        "resources": {"requests": {"cpu": "2", "memory": "8Gi"}, "limits": {"cpu": "4", "memory": "8Gi"}}
                    },
                    "networks": [{"name": "default", "pod": {}}],
                    "volumes": [
                        volume("root"), volume("data"), volume("scratch"),
                        {"name": "cloudinit", "cloudInitNoCloud": {"userData": format!("#cloud-config\nruncmd:\n{user_data}")}}
                    ],
                    "terminationGracePeriodSeconds": 180
                }
            }
        }
    })
}

/// The API server's review of a create of that machine, for asking a webhook directly.
pub fn review(namespace: &str) -> Vec<u8> {
    let kind = json!({"group": "kubevirt.io", "version": "v1", "kind": "VirtualMachine"});
    let resource = json!({"group": "kubevirt.io", "version": "v1", "resource": "virtualmachines"});
    let review = json!({
        "kind": "AdmissionReview",
        "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "7c0ffee0-1234-4abc-8def-0123456789ab",
            "kind": kind, "resource": resource, "requestKind": kind, "requestResource": resource,
            "name": "load-generator", "namespace": namespace, "operation": "CREATE",
            "userInfo": {"username": "jane.doe@example.com", "groups": ["platform", "system:authenticated"]},
            "object": virtual_machine(namespace), "oldObject": null, "dryRun": true,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"}
        }
    });
    review.to_string().into_bytes()
}

/// A check that passes whenever it is asked.
pub fn passing_check(name: &str) -> Value {
    window_check(name, &json!({"timeZone": "UTC", "blackouts": [{"name": "past", "dates": {"from": "2020-01-01", "to": "2020-01-02"}}]}))
}

/// A check that fails whenever it is asked.
pub fn failing_check(name: &str) -> Value {
    window_check(name, &json!({"timeZone": "UTC", "blackouts": [{"name": "freeze", "dates": {"from": "2020-01-01", "to": "2100-01-01"}}]}))
}

fn window_check(name: &str, window: &Value) -> Value {
    json!({
        "apiVersion": "holdpoint.dev/v1alpha1",
        "kind": "PreflightCheck",
        "metadata": {"name": name},
        "spec": {"probe": {"window": window}, "remediation": {"message": "Wait for the end of the freeze"}}
    })
}

/// A gate on creates of virtual machines that requires one check.
pub fn gate(name: &str, check: &str) -> Value {
    json!({
        "apiVersion": "holdpoint.dev/v1alpha1",
        "kind": "ExperimentGate",
        "metadata": {"name": name},
        "spec": {
            "mode": "Enforce",
            "match": {"rules": [{"apiGroups": ["kubevirt.io"], "resources": ["virtualmachines"], "operations": ["CREATE"]}]},
            "checks": [{"name": check}],
            "failurePolicy": "Fail"
        }
    })
}

/// The gate on machines that start, as in the examples: creates and updates, with an expression each for the condition and the start.
pub fn gate_with_expressions(name: &str, check: &str) -> Value {
    let running = |object: &str| {
        format!(
            "{object}.spec.?running.orValue(false) || {object}.spec.?runStrategy.orValue('Halted') in ['Always', 'RerunOnFailure', 'Once']"
        )
    };
    json!({
        "apiVersion": "holdpoint.dev/v1alpha1",
        "kind": "ExperimentGate",
        "metadata": {"name": name},
        "spec": {
            "mode": "Enforce",
            "match": {
                "rules": [{"apiGroups": ["kubevirt.io"], "resources": ["virtualmachines"], "operations": ["CREATE", "UPDATE"]}],
                "matchConditions": [{"name": "is-to-run", "expression": running("object")}],
                "start": format!("oldObject == null || !({})", running("oldObject"))
            },
            "checks": [{"name": check}],
            "failurePolicy": "Fail"
        }
    })
}

/// The same gate by the preset, without a word of CEL.
pub fn gate_of_preset(name: &str, check: &str) -> Value {
    json!({
        "apiVersion": "holdpoint.dev/v1alpha1",
        "kind": "ExperimentGate",
        "metadata": {"name": name},
        "spec": {"mode": "Enforce", "presets": ["KubeVirt"], "checks": [{"name": check}], "failurePolicy": "Fail"}
    })
}
