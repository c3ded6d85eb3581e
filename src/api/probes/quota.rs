//! `quota`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The ResourceQuotas of the namespace leave room.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct QuotaProbe {}
