//! `capacity`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The selected nodes have room.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CapacityProbe {}
