//! Probe `quota`: room under ResourceQuotas.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The ResourceQuotas of the check's namespace leave room: hard minus used, by their status. Each quota that limits one of the given resources is
/// a result of its own, and must leave room for all of them that it limits. What no quota limits is unlimited and passes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
pub struct QuotaProbe {
    /// One ResourceQuota by name. Unset: all of the namespace. Example: `team-budget`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub name: Option<String>,
    /// The resources and how much of each must be left. At most 16. Example: `[{name: requests.cpu, free: 4}, {name: pods, free: "10%"}]`.
    #[schemars(length(min = 1, max = 16))]
    pub resources: Vec<QuotaResource>,
    /// What a quota with scopes means, which limits only some pods of the namespace, such as those of a priority class. Default: Counted.
    /// Example: `Ignored`.
    #[serde(default)]
    pub scoped: ScopedQuotas,
}

/// How much of a resource quotas must leave.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
pub struct QuotaResource {
    /// The resource's name as in a quota's `spec.hard`. `cpu` and `requests.cpu` are the same, as are `memory` and `requests.memory`.
    /// Examples: `requests.cpu`, `limits.memory`, `requests.nvidia.com/gpu`, `pods`, `count/podchaos.chaos-mesh.org`.
    #[schemars(
        length(min = 1, max = 316),
        regex(pattern = r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$")
    )]
    pub name: String,
    /// How much must be left: a quantity of more than nothing, or a percentage of the quota's limit, from "1%" to "100%".
    /// Examples: `4`, `500m`, `16Gi`, `"10%"`.
    #[schemars(extend("minimum" = 1, "maxLength" = 32, "pattern" = r"^((100|[1-9][0-9]?)%|[0-9]{1,19}([.][0-9]{1,9})?([mkMGTPE]|[KMGTPE]i|[eE][0-9]{1,2})?)$"))]
    pub free: IntOrString,
}

/// What quotas with scopes mean to a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum ScopedQuotas {
    /// They must leave room like any other.
    #[default]
    Counted,
    /// They are not looked at.
    Ignored,
}
