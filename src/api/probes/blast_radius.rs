//! Probe `blastRadius`: how much an experiment would hit.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// How much the experiment that wants to start would hit at most, as its own selectors, mode and counts say. It is decided for each request, with
/// what is in the cluster at that moment. Whatever the limits, nothing may be hit of `kube-system`, of the operator, of the chaos tool itself,
/// or of a protected namespace. It reads Pods, and Nodes if `maxNodes` or `maxNodesOfZone` is set, as the check's service account; in other
/// namespaces than the check's own with `targets: {source: Gated, namespaceSelector: ...}`. What cannot be resolved (a script, another
/// cluster) is Unknown.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.nodePoolLabel) || has(self.maxNodes)")
    .message("nodePoolLabel needs maxNodes: it says what a pool is").field_path(".nodePoolLabel"))]
pub struct BlastRadiusProbe {
    /// How many pods of each workload may be hit: a number, or a percentage of those that it has, rounded down. Unset: any.
    /// Examples: `1`, `"50%"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 0, "maximum" = 100_000, "maxLength" = 4, "pattern" = "^(100|[1-9]?[0-9])%$"))]
    pub max_pods: Option<IntOrString>,
    /// How many nodes of each pool may be hit: a number, or a percentage, rounded down. Unset: any. Examples: `1`, `"10%"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 0, "maximum" = 100_000, "maxLength" = 4, "pattern" = "^(100|[1-9]?[0-9])%$"))]
    pub max_nodes: Option<IntOrString>,
    /// The label of nodes whose value says to which pool they belong. Unset: all nodes are one pool. Example: `cloud.google.com/gke-nodepool`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 317))]
    pub node_pool_label: Option<String>,
    /// How many nodes of each zone (label `topology.kubernetes.io/zone`) may be hit: a number, or a percentage, rounded down. Unset: any.
    /// Example: `"34%"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 0, "maximum" = 100_000, "maxLength" = 4, "pattern" = "^(100|[1-9]?[0-9])%$"))]
    pub max_nodes_of_zone: Option<IntOrString>,
    /// Namespaces in which nothing may be hit, by their labels. Default: those with the label `holdpoint.dev/protected: "true"`.
    #[serde(default = "protected")]
    pub protected_namespaces: LabelSelector,
}

fn protected() -> LabelSelector {
    let labels = [("holdpoint.dev/protected".to_owned(), "true".to_owned())];
    LabelSelector { match_labels: Some(labels.into()), match_expressions: None }
}
