//! `keys`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A Secret or ConfigMap has keys that are not empty.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeysProbe {}
