//! Probe `keys`: a Secret or ConfigMap has keys with values.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A Secret or ConfigMap of the check's namespace exists and has keys that are not empty. It is fetched by name at every interval; of its values
/// nothing is kept, shown or logged but whether they are empty. The operator ships without the right to read Secrets: the check's message prints
/// the two commands that grant it this one.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.secret) != has(self.configMap)").message("exactly one of secret and configMap is required"))]
pub struct KeysProbe {
    /// The Secret's name. Example: `db-credentials`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub secret: Option<String>,
    /// The ConfigMap's name. Example: `feature-flags`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub config_map: Option<String>,
    /// The keys that must have a value of at least one byte. At most 64. Unset: it is enough that any key has one.
    /// Example: `[username, password]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9._-]+$")))]
    pub keys: Vec<String>,
}
