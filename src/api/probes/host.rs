//! `host`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What the agents of hosts measured.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostProbe {}
