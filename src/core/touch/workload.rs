//! To which workload a pod belongs, as far as the pod itself tells.
//!
//! A Deployment names its `ReplicaSets` after itself and the hash of the pod template, and puts that hash on the pods as the label
//! `pod-template-hash` (<https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#pod-template-hash-label>). So the pod tells
//! the Deployment's name, and no `ReplicaSet` need be read. Argo's Rollouts do the same with a label of their own.

use kube::core::DynamicObject;
use serde_json::Value;
use std::fmt;

/// The labels that carry the hash, and whose they are.
const HASHES: [(&str, &str, &str); 2] =
    [("pod-template-hash", "apps/v1", "Deployment"), ("rollouts-pod-template-hash", "argoproj.io/v1alpha1", "Rollout")];

/// What keeps a pod running; the pod itself, if nothing does.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Workload {
    /// Its namespace.
    pub namespace: String,
    /// Its kind.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its apiVersion.
    pub api_version: String,
}

impl Workload {
    /// The workload of a pod.
    pub fn of(pod: &DynamicObject) -> Self {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let owner = pod.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
        let Some(owner) = owner else {
            let name = pod.metadata.name.clone().unwrap_or_default();
            return Self { namespace, kind: "Pod".to_owned(), name, api_version: "v1".to_owned() };
        };
        if owner.kind == "ReplicaSet" {
            for (label, api_version, kind) in HASHES {
                let hash = pod.metadata.labels.as_ref().and_then(|labels| labels.get(label)).filter(|hash| !hash.is_empty());
                let name = hash.and_then(|hash| owner.name.strip_suffix(hash.as_str())).and_then(|name| name.strip_suffix('-'));
                if let Some(name) = name.filter(|name| !name.is_empty()) {
                    return Self { namespace, kind: kind.to_owned(), name: name.to_owned(), api_version: api_version.to_owned() };
                }
            }
        }
        Self { namespace, kind: owner.kind.clone(), name: owner.name.clone(), api_version: owner.api_version.clone() }
    }

    /// Whether it is of a kind; versions of one group are the same.
    pub fn is(&self, api_version: &str, kind: &str) -> bool {
        self.kind == kind && group(&self.api_version) == group(api_version)
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

/// The group of an apiVersion; empty for the core.
pub(super) fn group(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// Whether a pod is there to be hit: it has not ended, and is not ending.
pub fn is_active(pod: &DynamicObject) -> bool {
    pod.metadata.deletion_timestamp.is_none() && !matches!(phase(pod), Some("Succeeded" | "Failed"))
}

/// The phase of a pod.
pub(super) fn phase(pod: &DynamicObject) -> Option<&str> {
    pod.data.get("status").and_then(|status| status.get("phase")).and_then(Value::as_str)
}

/// The node on which a pod is.
pub fn node_of(pod: &DynamicObject) -> Option<&str> {
    pod.data.get("spec").and_then(|spec| spec.get("nodeName")).and_then(Value::as_str).filter(|node| !node.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::needless_pass_by_value, reason = "`json!(...)` reads best as an argument")]

    use super::*;
    use serde_json::json;

    fn pod(owner: Value, labels: Value) -> DynamicObject {
        let metadata = json!({"namespace": "shop", "name": "web-5d-x", "ownerReferences": owner, "labels": labels});
        serde_json::from_value(json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata})).unwrap()
    }

    fn owner(kind: &str, name: &str) -> Value {
        json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "u", "controller": true}])
    }

    #[test]
    fn a_pod_tells_its_deployment_and_nobody_else_is_taken_for_one() {
        let told = |owner: Value, labels: Value| Workload::of(&pod(owner, labels)).to_string();
        assert_eq!(told(owner("ReplicaSet", "web-5d"), json!({"pod-template-hash": "5d"})), "Deployment/web");
        assert_eq!(told(owner("ReplicaSet", "web-5d"), json!({"rollouts-pod-template-hash": "5d"})), "Rollout/web");
        assert_eq!(told(owner("ReplicaSet", "web"), json!({})), "ReplicaSet/web");
        assert_eq!(told(owner("ReplicaSet", "web"), json!({"pod-template-hash": "5d"})), "ReplicaSet/web");
        assert_eq!(told(owner("ReplicaSet", "5d"), json!({"pod-template-hash": "5d"})), "ReplicaSet/5d");
        assert_eq!(told(owner("StatefulSet", "db"), json!({"pod-template-hash": "b"})), "StatefulSet/db");
        let not_the_controller = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "u"}]);
        assert_eq!(told(not_the_controller, json!({})), "Pod/web-5d-x");
        assert_eq!(told(json!([]), json!({})), "Pod/web-5d-x");
        assert!(Workload::of(&pod(owner("StatefulSet", "db"), json!({}))).is("apps/v1beta2", "StatefulSet"));
    }
}
