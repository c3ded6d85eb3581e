//! `cel`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// An expression is true of the targets.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct CelProbe {}
