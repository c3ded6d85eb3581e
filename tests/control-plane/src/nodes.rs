//! Nodes without a kubelet: objects whose status the harness writes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{ControlPlane, Result, timestamp};

/// What a node looks like. The default: 8 CPUs, 32Gi, 110 pods, address 127.0.0.1, no further labels.
#[derive(Debug, Clone)]
pub struct NodeShape {
    /// CPUs, as a Kubernetes quantity.
    pub cpu: String,
    /// Memory, as a Kubernetes quantity.
    pub memory: String,
    /// How many pods fit.
    pub pods: u32,
    /// The node's `InternalIP`.
    pub address: String,
    /// Labels besides `kubernetes.io/hostname`, `kubernetes.io/os` and `kubernetes.io/arch`.
    pub labels: BTreeMap<String, String>,
}

impl Default for NodeShape {
    fn default() -> NodeShape {
        NodeShape { cpu: "8".to_owned(), memory: "32Gi".to_owned(), pods: 110, address: "127.0.0.1".to_owned(), labels: BTreeMap::new() }
    }
}

impl ControlPlane {
    /// Creates a node that is Ready and takes pods.
    pub fn node(&self, name: &str, shape: &NodeShape) -> Result<()> {
        let mut labels = shape.labels.clone();
        for (key, value) in [("hostname", name), ("os", "linux"), ("arch", "amd64")] {
            labels.entry(format!("kubernetes.io/{key}")).or_insert_with(|| value.to_owned());
        }
        let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name, "labels": labels } });
        self.admin().ok_with_input(&["create", "-f", "-"], &node.to_string())?;
        let capacity = json!({ "cpu": shape.cpu, "memory": shape.memory, "pods": shape.pods.to_string() });
        let status = json!({
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": conditions(true),
            "addresses": [{ "type": "InternalIP", "address": shape.address }, { "type": "Hostname", "address": name }],
        });
        self.patch_node_status(name, &status)?;
        // The API server gives every new node a not-ready taint, which the (absent) node lifecycle controller removes.
        self.admin().ok(&["patch", "node", name, "--type=merge", "--patch", r#"{"spec":{"taints":null}}"#])?;
        Ok(())
    }

    /// Makes a node's `Ready` condition True or False, as its kubelet would.
    pub fn set_node_ready(&self, name: &str, ready: bool) -> Result<()> {
        self.patch_node_status(name, &json!({ "conditions": conditions(ready) }))
    }

    fn patch_node_status(&self, name: &str, status: &Value) -> Result<()> {
        let patch = json!({ "status": status }).to_string();
        self.admin().ok(&["patch", "node", name, "--subresource=status", "--type=merge", "--patch", &patch])?;
        Ok(())
    }
}

fn conditions(ready: bool) -> Value {
    let now = timestamp::rfc3339();
    let condition = |kind: &str, holds: bool, reason: &str| {
        let status = if holds { "True" } else { "False" };
        json!({ "type": kind, "status": status, "reason": reason, "lastHeartbeatTime": now, "lastTransitionTime": now })
    };
    json!([
        condition("MemoryPressure", false, "KubeletHasSufficientMemory"),
        condition("DiskPressure", false, "KubeletHasNoDiskPressure"),
        condition("PIDPressure", false, "KubeletHasSufficientPID"),
        condition("Ready", ready, if ready { "KubeletReady" } else { "KubeletNotReady" }),
    ])
}
