//! Pods without a kubelet: the harness writes the status that a kubelet would.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{ControlPlane, Error, Kubectl, Result, eventually, timestamp, workloads};

const DEADLINE: Duration = Duration::from_mins(1);

impl ControlPlane {
    /// Makes the pods that the selector (`key=value,…`; empty: all) matches Running and Ready, as they appear, until
    /// every Deployment, `StatefulSet`, `ReplicaSet` and `DaemonSet` whose pods it matches has what it wants, a rolling
    /// update included (limit: 60 s). At least one pod or workload must match.
    pub fn run_pods(&self, namespace: &str, selector: &str) -> Result<()> {
        let kubectl = self.admin().in_namespace(namespace);
        let labels = workloads::parse_selector(selector)?;
        let what = format!("the pods `{selector}` in {namespace} to run");
        eventually(DEADLINE, &what, || {
            let pods = pods(&kubectl, selector)?;
            for pod in pods.iter().filter(|pod| !is_over(pod) && !is_ready(pod)) {
                set_status(&kubectl, pod, &running(pod))?;
            }
            let workloads = workloads::matching(&kubectl, &labels)?;
            if pods.is_empty() && workloads.is_empty() {
                return Err(unmet("nothing matches".to_owned()));
            }
            workloads.iter().find_map(workloads::unmet).map_or(Ok(()), |reason| Err(unmet(reason)))
        })
    }

    /// Makes the pods that the selector (`key=value,…`; empty: all) matches not Ready, their containers waiting with
    /// `CrashLoopBackOff`. At least one pod must match. [`ControlPlane::run_pods`] heals them.
    pub fn break_pods(&self, namespace: &str, selector: &str) -> Result<()> {
        let kubectl = self.admin().in_namespace(namespace);
        let pods = pods(&kubectl, selector)?;
        if pods.is_empty() {
            return Err(unmet("nothing matches".to_owned()));
        }
        pods.iter().filter(|pod| !is_over(pod)).try_for_each(|pod| set_status(&kubectl, pod, &broken(pod)))
    }

    /// Binds the pods that the selector matches to a node, as a scheduler would. Only where a test looks at the node's
    /// pods: without a kubelet, the deletion of a bound pod never ends unless it is forced.
    pub fn bind_pods(&self, namespace: &str, selector: &str, node: &str) -> Result<()> {
        let kubectl = self.admin().in_namespace(namespace);
        let unbound = pods(&kubectl, selector)?.into_iter().filter(|pod| pod["spec"]["nodeName"].is_null());
        for pod in unbound.collect::<Vec<_>>() {
            self.bind_pod(namespace, name(&pod)?, node)?;
        }
        Ok(())
    }

    /// Binds one pod to a node: see [`ControlPlane::bind_pods`].
    pub fn bind_pod(&self, namespace: &str, pod: &str, node: &str) -> Result<()> {
        let target = json!({ "apiVersion": "v1", "kind": "Node", "name": node });
        let binding = json!({ "apiVersion": "v1", "kind": "Binding", "metadata": { "name": pod }, "target": target });
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/binding");
        self.admin().ok_with_input(&["create", "--raw", &path, "-f", "-"], &binding.to_string()).map(|_| ())
    }
}

fn pods(kubectl: &Kubectl, selector: &str) -> Result<Vec<Value>> {
    let mut list = kubectl.json(&["get", "pods", "--selector", selector])?;
    let items = list.pointer_mut("/items").map(Value::take);
    Ok(items.and_then(|items| if let Value::Array(pods) = items { Some(pods) } else { None }).unwrap_or_default())
}

fn set_status(kubectl: &Kubectl, pod: &Value, status: &Value) -> Result<()> {
    let patch = json!({ "status": status }).to_string();
    let output = kubectl.run(&["patch", "pod", name(pod)?, "--subresource=status", "--type=merge", "--patch", &patch])?;
    // A controller may have deleted it since it was listed.
    if output.code == 0 || output.stderr.contains("NotFound") { Ok(()) } else { Err(unmet(output.stderr)) }
}

fn name(pod: &Value) -> Result<&str> {
    pod["metadata"]["name"].as_str().ok_or_else(|| unmet("a pod without a name".to_owned()))
}

fn unmet(found: String) -> Error {
    Error::Unexpected { what: "pods".to_owned(), found }
}

/// Ended, or being deleted.
fn is_over(pod: &Value) -> bool {
    !pod["metadata"]["deletionTimestamp"].is_null() || pod["status"]["phase"] == "Succeeded" || pod["status"]["phase"] == "Failed"
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    let ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    pod["status"]["phase"] == "Running" && conditions.into_iter().flatten().any(ready)
}

fn running(pod: &Value) -> Value {
    status(pod, true, &json!({ "running": { "startedAt": timestamp::rfc3339() } }), 0)
}

fn broken(pod: &Value) -> Value {
    let waiting = json!({ "reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container" });
    status(pod, false, &json!({ "waiting": waiting }), 5)
}

fn status(pod: &Value, ready: bool, state: &Value, restarts: u32) -> Value {
    let now = timestamp::rfc3339();
    let condition = |kind: &str, holds: bool| {
        let status = if holds { "True" } else { "False" };
        json!({ "type": kind, "status": status, "lastTransitionTime": now })
    };
    let containers = pod.pointer("/spec/containers").and_then(Value::as_array).into_iter().flatten();
    let containers: Vec<Value> = containers
        .map(|container| {
            json!({
                "name": container["name"], "image": container["image"], "imageID": "", "containerID": "",
                "ready": ready, "started": ready, "restartCount": restarts, "state": state,
            })
        })
        .collect();
    let ip = pod.pointer("/status/podIP").and_then(Value::as_str).map_or_else(next_ip, str::to_owned);
    json!({
        "phase": "Running",
        "startTime": pod.pointer("/status/startTime").and_then(Value::as_str).unwrap_or(&now),
        "podIP": ip,
        "podIPs": [{ "ip": ip }],
        "conditions": [
            condition("PodScheduled", true),
            condition("Initialized", true),
            condition("ContainersReady", ready),
            condition("Ready", ready),
        ],
        "containerStatuses": containers,
    })
}

/// An address that looks like a pod's; nothing listens there.
fn next_ip() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let [_, _, high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    format!("10.244.{high}.{low}")
}
