//! Probe `capacity`: room on nodes.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The selected nodes have room: allocatable minus requested, reckoned as the scheduler does. Targets are Nodes, by name or selector. All given
/// resources must have room. It is not asked whether a pod could be placed there: taints, affinity and volumes are not looked at.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CapacityProbe {
    /// The resources and how much of each must be free. At most 16. Example: `[{name: cpu, free: 4}, {name: nvidia.com/gpu, free: 1}]`.
    #[schemars(length(min = 1, max = 16))]
    pub resources: Vec<CapacityResource>,
    /// Where the room must be: on each node by itself (then `quorum` says how many nodes must have it), or on all of them together.
    /// Default: PerNode. Example: `Sum`.
    #[serde(default)]
    pub scope: CapacityScope,
    /// What is free on a node that takes no new pods, because it is cordoned, being deleted or not Ready. Default: NoRoom. Example: `Room`.
    #[serde(default)]
    pub unusable_nodes: UnusableNodes,
}

/// How much of a resource must be free on nodes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
pub struct CapacityResource {
    /// The resource's name in the node's `status.allocatable`. A node without it has none of it. Examples: `cpu`, `memory`, `ephemeral-storage`,
    /// `pods`, `hugepages-2Mi`, `nvidia.com/gpu`, `devices.kubevirt.io/kvm`.
    #[schemars(
        length(min = 1, max = 316),
        regex(pattern = r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")
    )]
    pub name: String,
    /// How much must be free: a quantity of more than nothing, or a percentage of what is allocatable, from "1%" to "100%".
    /// Examples: `4`, `500m`, `16Gi`, `"20%"`.
    #[schemars(extend("minimum" = 1, "maxLength" = 32, "pattern" = r"^((100|[1-9][0-9]?)%|[0-9]{1,19}([.][0-9]{1,9})?([mkMGTPE]|[KMGTPE]i|[eE][0-9]{1,2})?)$"))]
    pub free: IntOrString,
}

/// Where room must be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum CapacityScope {
    /// Each node is judged by itself.
    #[default]
    PerNode,
    /// What is free on all nodes is added up, and there is one result. A percentage is of all that is allocatable on the nodes that count.
    Sum,
}

/// What free resources of a node that takes no new pods are worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum UnusableNodes {
    /// Nothing: such a node fails, and does not count in a sum.
    #[default]
    NoRoom,
    /// As much as on any other node.
    Room,
}
