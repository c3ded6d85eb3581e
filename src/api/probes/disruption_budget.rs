//! Probe `disruptionBudget`: PodDisruptionBudgets that allow disruptions.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The PodDisruptionBudget that covers a target's pods allows disruptions now. Targets are Pods, or objects with a pod template (Deployments,
/// StatefulSets, DaemonSets, ReplicaSets, Jobs, CronJobs, VirtualMachines): a budget covers one if it selects the template's labels.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DisruptionBudgetProbe {
    /// How many more pods the budget must allow to be disrupted (`status.disruptionsAllowed`). 0 asks only that there is a budget with a
    /// current status. Default: 1. Range: 0 to 10000.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 10_000))]
    pub min_allowed: i32,
    /// What a target means that no budget covers. Default: Forbidden. Example: `Allowed`.
    #[serde(default)]
    pub uncovered: Uncovered,
}

/// What a target without a budget means to a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Uncovered {
    /// It fails.
    #[default]
    Forbidden,
    /// It passes: nothing limits its disruptions.
    Allowed,
}

fn one() -> i32 {
    1
}
