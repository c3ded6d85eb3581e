//! `disruption_budget`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// The PodDisruptionBudgets that cover the targets allow disruptions.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DisruptionBudgetProbe {}
