//! Probe `cooldown`: how long it must be since the last start.

use super::StartsPer;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// At least so many seconds have passed since the last start that the asking gate admitted, or since the last one ended. A start needs a place that the
/// operator's leader gives it, so that two at once do not both pass: the first request is held for a moment.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
pub struct CooldownProbe {
    /// Seconds that must pass. Range: 1 to 604800, a week. Example: `900`.
    #[schemars(range(min = 1, max = 604_800))]
    pub seconds: i32,
    /// From when on they are counted. Default: Start. Example: `Finish`.
    #[serde(default)]
    pub since: CooldownSince,
    /// Whose starts are counted together. Default: Gate. Example: `Target`.
    #[serde(default)]
    pub per: StartsPer,
}

/// From when on a cooldown is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum CooldownSince {
    /// The last start.
    #[default]
    Start,
    /// The last end; while one runs, there is none.
    Finish,
}
