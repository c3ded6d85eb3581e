//! `composite`: other checks as targets.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Other checks of the same namespace, each a target: `quorum` of the check says how many must pass, so `minPassing: 2` of three is two of
/// three. A member that is not applicable is no target. A circle of checks that ask about one another is refused.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CompositeProbe {
    /// Which checks. At most 32. Example: `[{name: postgres}, {selector: {matchLabels: {tier: infra}}}]`.
    #[schemars(length(min = 1, max = 32))]
    pub checks: Vec<Member>,
    /// An expression in CEL over `verdicts`, a map from the members' names to Passing, Warning, Failing, Unknown or NotApplicable. Then the
    /// expression is the only target: true passes, false fails. At most 4096 bytes.
    /// Example: `verdicts["a"] == "Passing" || (verdicts["b"] == "Passing" && verdicts["c"] != "Failing")`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub expression: Option<String>,
}

/// One check by name, or all with some labels.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.name) != has(self.selector)").message("exactly one of name and selector is required"))]
pub struct Member {
    /// The check's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}
