//! `analysis`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The verdict that another tool wrote into the status of its object.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisProbe {}
