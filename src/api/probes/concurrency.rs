//! Probe `concurrency`: how many starts may be active at once.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Fewer than `max` starts that the asking gate holds are active. What counts is what runs: an experiment that recovered, completed, stopped or was
/// deleted gives its place back. A start needs a place that the operator's leader gives it, so the first request is held for a moment.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
pub struct ConcurrencyProbe {
    /// How many may be active at once. Range: 1 to 1000. Example: `3`.
    #[schemars(range(min = 1, max = 1000))]
    pub max: i32,
    /// Whose starts are counted together. Default: Gate. Example: `Requester`.
    #[serde(default)]
    pub per: StartsPer,
}

/// Whose starts are counted together. Only starts that the asking gate holds are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum StartsPer {
    /// All of the gate.
    #[default]
    Gate,
    /// Those aimed at one of the same workloads. If it cannot be told what the start is aimed at, the check is Unknown; of what runs, such a start counts.
    Target,
    /// Those of the same user. A start of which it is not known any more who made it counts for everybody.
    Requester,
}
