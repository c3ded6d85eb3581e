//! `analysis`.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The verdict that another tool wrote into the status of its object: a field is looked up, and a table says what its value means. The field
/// and the table come from a preset for a tool, or from `path` and `outcomes`. Where the field is not there yet, there is no data.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.preset) != has(self.path)").message("exactly one of preset and path is required"),
    validation = Rule::new("!has(self.path) || has(self.outcomes)").message("path needs outcomes: what its values mean").field_path(".outcomes")
)]
pub struct AnalysisProbe {
    /// A tool whose field and values are known. The targets must be of its kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<AnalysisPreset>,
    /// A JSON path to the field (RFC 9535, not kubectl's dialect), without commas, functions and `..`; it must find exactly one value.
    /// Examples: `$.status.phase`, `$.status.conditions[?@.type == 'Healthy'].status`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub path: Option<String>,
    /// What the field's values mean: from the value as text (a truth value or number as it is written in JSON) to an outcome. At most 32. With a
    /// preset these entries replace or add to its own. Example: `{Successful: Pass, Failed: Fail, Running: NoData}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    pub outcomes: BTreeMap<String, AnalysisOutcome>,
    /// What any other value means. Default: Error.
    #[serde(default)]
    pub otherwise: AnalysisOutcome,
    /// A JSON path to a text that says why, for the message; where it is not there, the message does without. Default: what the preset knows.
    /// Example: `$.status.message`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub message_path: Option<String>,
    /// Which of the selected objects count. `All`: each is a target. `Latest`: only the one that was created last, for tools that make a new
    /// object for each run. Default: All.
    #[serde(default)]
    pub which: AnalysisTargets,
}

/// A tool whose verdict is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum AnalysisPreset {
    /// `AnalysisRun` of argoproj.io/v1alpha1 (Argo Rollouts): `status.phase`. Successful passes, Failed fails, Error and Inconclusive are errors,
    /// Pending and Running have no data yet.
    ArgoAnalysisRun,
    /// Workload of kueue.x-k8s.io/v1beta1 or v1beta2: its condition Admitted. True passes, False fails.
    KueueWorkload,
    /// `AdmissionCheck` of kueue.x-k8s.io/v1beta1 or v1beta2: its condition Active. True passes, False fails.
    KueueAdmissionCheck,
    /// `ChaosResult` of litmuschaos.io/v1alpha1: `status.experimentStatus.verdict`. Pass passes, Fail fails, Stopped and Error are errors, Awaited has
    /// no data yet.
    LitmusChaosResult,
    /// `TestWorkflowExecution` of testworkflows.testkube.io/v1: `status.latestExecution.result.status`. passed passes, failed fails, aborted is an
    /// error, queued, running and paused have no data yet.
    TestkubeWorkflowExecution,
}

/// What a value means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum AnalysisOutcome {
    /// The target passes.
    Pass,
    /// The target passes with a warning.
    Warn,
    /// The target fails.
    Fail,
    /// It is not known, and that is wrong: `outcomes.error` of the check answers for it.
    #[default]
    Error,
    /// It is not known yet: `outcomes.noData` of the check answers for it.
    NoData,
}

/// Which of the selected objects count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum AnalysisTargets {
    /// Each.
    #[default]
    All,
    /// The one that was created last.
    Latest,
}
