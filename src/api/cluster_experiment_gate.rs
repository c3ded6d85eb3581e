//! `ClusterExperimentGate`: holds objects of any namespace and of none.

use super::gate::{DuringRun, FailurePolicy, GateStatus, MatchCondition, Mode, Respond, Rule as RequestRule, all_priorities, hold_seconds};
use super::preflight_run::RunSchedule;
use super::preset::{Preset, PresetOptions};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// Which requests are held, and on which checks they depend.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "holdpoint.dev",
    version = "v1alpha1",
    kind = "ClusterExperimentGate",
    plural = "clusterexperimentgates",
    shortname = "cxgate",
    category = "holdpoint",
    derive = "PartialEq",
    status = "GateStatus",
    doc = "A ClusterExperimentGate holds the start of experiments and VMs in all namespaces that it selects, and of kinds without a namespace, while a check that it requires does not pass. kube-system, kube-public, kube-node-lease and the operator's own namespace are never held.",
    printcolumn(
        name = "Open",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Open')].status",
        description = "Whether a start would be admitted now"
    ),
    printcolumn(name = "Mode", type_ = "string", json_path = ".spec.mode"),
    printcolumn(
        name = "Blockers",
        type_ = "integer",
        json_path = ".status.blocking",
        description = "How many required checks do not pass"
    ),
    printcolumn(name = "Denied", type_ = "integer", json_path = ".status.counters.denied", description = "How many starts were refused"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status", priority = 1),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Open')].reason", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type=='Open')].message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(has(self.presets) && self.presets.size() > 0) || (has(self.match) && has(self.match.rules) && self.match.rules.size() > 0)")
    .message("at least one of presets and match.rules is required: a gate without any would hold nothing").field_path(".presets"))]
#[x_kube(validation = Rule::new("(has(self.checks) && self.checks.size() > 0) || has(self.atLeast)")
    .message("at least one check is required: a gate without any would admit everything").field_path(".checks"))]
pub struct ClusterExperimentGateSpec {
    /// Tools of which the gate holds what starts, resumes or widens something. At most 9, each once. `holdpoint presets` prints what each expands to.
    /// Example: `[ChaosMesh, KubeVirt]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 9))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub presets: Vec<Preset>,
    /// What presets cannot know by themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset_options: Option<PresetOptions>,
    /// Which requests the gate looks at, besides those of its presets. Its selectors and conditions narrow the presets too.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matches: Option<ClusterGateMatch>,
    /// Which checks must pass, all of them. At most 64; at least one, unless there is `atLeast`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub checks: Vec<ClusterCheckReference>,
    /// Of these, some must pass, whichever. They count as one requirement; what `checks` names too is required all the same. Unset: there is none.
    /// Example: `{count: 1, of: [{name: mirror-a}, {name: mirror-b}]}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<ClusterAtLeast>,
    /// Checks with a larger `priority` are not required. Range: 0 to 100. Default: 100, all are. Example: 10, the light tiers only.
    #[serde(default = "all_priorities")]
    #[schemars(range(min = 0, max = 100))]
    pub max_priority: i32,
    /// Whether answers tell of the first tier only (checks of one `priority`, lower first) in which a check refuses. It changes what is told, not what
    /// is answered. Default: false.
    #[serde(default)]
    pub stop_at_first_failure: bool,
    /// What the gate does about what it finds: Enforce, Warn or Audit. Default: Warn.
    #[serde(default)]
    pub mode: Mode,
    /// What it does for each way in which a check may not pass. Default: Deny for all.
    #[serde(default)]
    pub respond: Respond,
    /// For how many seconds clients are asked to come back before Hold becomes Deny. kubectl comes back ten times. Range: 1 to 300. Default: 25.
    #[serde(default = "hold_seconds")]
    #[schemars(range(min = 1, max = 300))]
    pub hold_seconds: i32,
    /// What the API server does when the operator cannot be reached: Fail (refuse) or Ignore (admit). Only in mode Enforce: a gate that
    /// never refuses is always registered with Ignore. Default: Fail.
    #[serde(default)]
    pub failure_policy: FailurePolicy,
    /// What is done about experiments that run when a check turns Failing. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub during_run: Option<DuringRun>,
    /// When the gate's checks are all evaluated by a `PreflightRun`, whoever wants to start something or not. Its runs are made in the operator's namespace: give each of its checks a `namespace`. Default: never by itself.
    /// Example: `{cron: "0 6 * * 1-5", timeZone: Europe/Berlin}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<RunSchedule>,
}

/// Which requests a gate looks at. All that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.start) || !has(self.rules) || !self.rules.exists(r, 'UPDATE' in r.operations)")
    .message("rules with operation UPDATE need start: an expression that is true only for updates that start something, such as object.spec.runStrategy == 'Always' && oldObject.spec.runStrategy != 'Always'").field_path(".start"))]
#[x_kube(validation = Rule::new("!has(self.start) || (has(self.rules) && self.rules.size() > 0)")
    .message("start belongs to rules: presets know what a start is").field_path(".start"))]
pub struct ClusterGateMatch {
    /// The kinds and operations, by hand. At most 16; at least one, unless there are presets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub rules: Vec<RequestRule>,
    /// Only objects in namespaces with these labels. Unset: all. Objects of kinds without a namespace always match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// Only objects with these labels (of the new object, or of the old one). Unset: all. The object's author chooses its labels: not a safeguard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_selector: Option<LabelSelector>,
    /// Only requests for which all of these are true. At most 16. They are evaluated by the API server where that is possible.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub match_conditions: Vec<MatchCondition>,
    /// A CEL expression over `object`, `oldObject` (null on a create) and `request`: true if the request starts something. An expression that
    /// cannot be evaluated counts as a start. Unset: every create is a start. At most 4096 bytes.
    /// Example: `object.spec.engineState == 'active' && oldObject.spec.engineState != 'active'`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub start: Option<String>,
}

/// A check, or the checks with some labels. Exactly one of name and selector is set.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.name) != has(self.selector)").message("exactly one of name and selector is required"))]
pub struct ClusterCheckReference {
    /// The check's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// All checks with these labels, also ones created later. At least one must exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// The namespace of the check. Unset: the namespace of the request, and whoever may edit checks there can open the gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Of a probed check: how many seconds ago it may have been observed passing, for this gate; beyond that it is Stale. Live checks are as new as the
    /// watched objects. Unset: the check's own `staleAfterSeconds` alone counts. Range: 1 to 86400.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub max_age_seconds: Option<i32>,
}

/// Some of these checks must pass, whichever.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.of.exists(r, has(r.selector)) || self.count <= self.of.size()")
    .message("there are fewer checks than must pass").field_path(".count"))]
pub struct ClusterAtLeast {
    /// How many must pass. Those that are not about the request do not count, and no more are needed than are left. 1 to 64.
    #[schemars(range(min = 1, max = 64))]
    pub count: i32,
    /// Which checks. Advisory ones count like others. 1 to 64.
    #[schemars(length(min = 1, max = 64))]
    pub of: Vec<ClusterCheckReference>,
}
