//! `PreflightCheck`: one probe, its targets, its cadence and its thresholds.

use super::probes::Probe;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is observed, how often, and what makes it pass.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "holdpoint.dev",
    version = "v1alpha1",
    kind = "PreflightCheck",
    plural = "preflightchecks",
    shortname = "pfc",
    category = "holdpoint",
    namespaced,
    selectable = ".spec.targets.source",
    derive = "PartialEq",
    status = "PreflightCheckStatus",
    doc = "A PreflightCheck keeps one verdict current: is this target fit for what is about to start? Gates require checks; `kubectl get pfc` shows them; `kubectl wait --for=condition=Passing pfc/NAME` waits for one.",
    printcolumn(name = "Verdict", type_ = "string", json_path = ".status.verdict", description = "Passing, Warning, Failing or Unknown"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status",
        description = "Whether the check was accepted and is evaluated"
    ),
    printcolumn(name = "Failing", type_ = "integer", json_path = ".status.summary.failing", description = "How many targets fail"),
    printcolumn(name = "Targets", type_ = "integer", json_path = ".status.summary.targets", description = "How many targets there are"),
    printcolumn(
        name = "Last",
        type_ = "date",
        json_path = ".status.lastEvaluationTime",
        description = "Time since the evaluation that the status shows"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Reason", type_ = "string", json_path = ".status.conditions[?(@.type=='Passing')].reason", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type=='Passing')].message", priority = 1),
    printcolumn(name = "Probe", type_ = "string", json_path = ".status.probe", priority = 1),
    printcolumn(name = "Priority", type_ = "integer", json_path = ".spec.priority", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.intervalSeconds >= self.timeoutSeconds")
        .message("intervalSeconds must be at least timeoutSeconds: an evaluation must be able to end before the next begins").field_path(".intervalSeconds"),
    validation = Rule::new("self.staleAfterSeconds >= self.intervalSeconds + self.timeoutSeconds")
        .message("staleAfterSeconds must be at least intervalSeconds + timeoutSeconds: otherwise a healthy check would go stale between evaluations").field_path(".staleAfterSeconds"),
    validation = Rule::new("has(self.targets) || !(has(self.probe.rollout) || has(self.probe.condition) || has(self.probe.node) || has(self.probe.capacity) || has(self.probe.disruptionBudget) || has(self.probe.analysis) || has(self.probe.host))")
        .message("the probes rollout, condition, node, capacity, disruptionBudget, analysis and host need targets").field_path(".targets"),
    validation = Rule::new("!has(self.targets) || !(has(self.probe.http) || has(self.probe.tcp) || has(self.probe.window) || has(self.probe.quota) || has(self.probe.keys) || has(self.probe.composite))")
        .message("the probes http, tcp, window, quota, keys and composite carry what they look at: remove targets").field_path(".targets"),
    validation = Rule::new("!has(self.targets) || has(self.probe.host) == (self.targets.source == 'Hosts')")
        .message("the host probe, and no other, has targets with source: Hosts").field_path(".targets.source")
)]
pub struct PreflightCheckSpec {
    /// Whether the check can block. `Required`: a gate holds starts while it does not pass. `Advisory`: it only warns. Default: Required.
    #[serde(default)]
    pub severity: Severity,
    /// Order of evaluation where capacity is short, lower first, 0 to 100. Customary: 0 infrastructure, 5 external APIs, 10 credentials,
    /// 15 connections, 20 business rules. Default: 10.
    #[serde(default = "ten")]
    #[schemars(range(min = 0, max = 100))]
    pub priority: i32,
    /// What is observed. Exactly one member.
    pub probe: Probe,
    /// What the probe looks at. Needed by rollout, condition, node, capacity, disruptionBudget, analysis and host; cel can do without; the others
    /// carry their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub targets: Option<Targets>,
    /// The service account of the check's namespace as which it reads: a check sees only what this account may see. What it may not read makes
    /// the verdict Unknown with reason Forbidden, and the message prints the commands that grant it. Default: `default`.
    #[serde(default = "default_account")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub service_account_name: String,
    /// When the check applies, in CEL; unset: always. False: it is not required of a start (reason NotApplicable). About a request, over `request`,
    /// `object` and `oldObject` as in admission policies: decided for each request. Or about the check, over `environment` (text, empty if none),
    /// `namespace` (`name` and `labels` of the check's own) and `now`: decided at each evaluation. At most 4096 bytes.
    /// Example: `object.metadata.labels.tier == 'prod'`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub when: Option<String>,
    /// Checks of the same namespace that must pass first. While one does not, this one is skipped: it is not run, and its verdict is Unknown
    /// with reason DependencyNotPassing. At most 16. Example: `[{name: postgres-reachable}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub depends_on: Vec<Dependency>,
    /// How many targets must pass for the check to pass. Default: all, and at least one.
    #[serde(default)]
    pub quorum: Quorum,
    /// Seconds from one evaluation of a probed check (http, tcp, keys) to the next. Live checks are evaluated when what they watch changes; once an
    /// interval besides only while a threshold is pending. Default: 30. Range: 1 to 86400.
    #[serde(default = "thirty")]
    #[schemars(range(min = 1, max = 86_400))]
    pub interval_seconds: i32,
    /// Seconds that one attempt may take. Default: 5. Range: 1 to 300.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 300))]
    pub timeout_seconds: i32,
    /// How often a probed check tries within one evaluation before a target counts as not passing.
    #[serde(default)]
    pub retries: Retries,
    /// How many consecutive evaluations must fail before the verdict turns Failing. A live check is evaluated at every change of what it
    /// watches, and once an interval while the threshold is pending. Default: 1. Range: 1 to 100.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100))]
    pub failure_threshold: i32,
    /// How many consecutive evaluations must pass before the verdict turns Passing. Default: 1. Range: 1 to 100.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 100))]
    pub success_threshold: i32,
    /// Seconds for which a failing check must pass again before its verdict turns Passing; until then it stays Failing with reason HoldDown.
    /// Default: 0. Range: 0 to 86400.
    #[serde(default)]
    #[schemars(range(min = 0, max = 86_400))]
    pub hold_down_seconds: i32,
    /// Whether a probed check that passed need run again. For what does not change by itself, such as a licence file.
    #[serde(default)]
    pub reuse: Reuse,
    /// Seconds after which a passing verdict is no longer believed unless it was renewed: it becomes Unknown with reason Stale. A failing one
    /// stays failing. At least intervalSeconds + timeoutSeconds. Default: 120. Range: 2 to 604800.
    #[serde(default = "one_hundred_twenty")]
    #[schemars(range(min = 2, max = 604_800))]
    pub stale_after_seconds: i32,
    /// Which verdict an evaluation gives that could not tell.
    #[serde(default)]
    pub outcomes: Outcomes,
    /// What whoever is refused should do. Shown in denials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediation: Option<Remediation>,
    /// How many transitions of the verdict `status.history` keeps. Default: 10. Range: 0 to 20.
    #[serde(default = "ten")]
    #[schemars(range(min = 0, max = 20))]
    pub history_limit: i32,
    /// Stops the evaluation. The verdict is then Unknown with reason Suspended, which does not pass. Default: false.
    #[serde(default)]
    pub suspend: bool,
    /// Other values for some fields, by environment: the label `holdpoint.dev/environment` of the check's namespace, or else the operator's
    /// `--environment`. The first entry of that environment counts; each field in it replaces the whole field of the spec.
    /// `status.environment` says which was used, and `status.effective` with which values. At most 8.
    /// Example: `[{environment: production, timeoutSeconds: 15}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub overrides: Vec<Override>,
}

/// A check that must pass first.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Dependency {
    /// Its name, in the same namespace.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Whether what passed need run again.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reuse {
    /// `None`: it runs every interval. `UntilSpecChanges`: once it passed, it does not run again before the spec changes. `ForSeconds`: not for
    /// `forSeconds`. The annotation `holdpoint.dev/evaluate-at` with any new value runs it at once, whatever the policy. Default: None.
    #[serde(default)]
    pub policy: ReusePolicy,
    /// For how long, with policy ForSeconds. Default: 3600. Range: 1 to 2592000.
    #[serde(default = "hour")]
    #[schemars(range(min = 1, max = 2_592_000))]
    pub for_seconds: i32,
}

impl Default for Reuse {
    fn default() -> Self {
        Self { policy: ReusePolicy::None, for_seconds: hour() }
    }
}

/// When what passed runs again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum ReusePolicy {
    /// Every interval.
    #[default]
    None,
    /// When the spec changes.
    UntilSpecChanges,
    /// After `forSeconds`.
    ForSeconds,
}

/// Other values in one environment. What is not set stays as it is in the spec.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Override {
    /// The environment. Example: `production`.
    #[schemars(length(min = 1, max = 63))]
    pub environment: String,
    /// Replaces `severity`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Replaces `priority`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub priority: Option<i32>,
    /// Replaces `quorum`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<Quorum>,
    /// Replaces `intervalSeconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub interval_seconds: Option<i32>,
    /// Replaces `timeoutSeconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 300))]
    pub timeout_seconds: Option<i32>,
    /// Replaces `retries`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<Retries>,
    /// Replaces `failureThreshold`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub failure_threshold: Option<i32>,
    /// Replaces `successThreshold`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub success_threshold: Option<i32>,
    /// Replaces `holdDownSeconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub hold_down_seconds: Option<i32>,
    /// Replaces `reuse`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reuse: Option<Reuse>,
    /// Replaces `staleAfterSeconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 604_800))]
    pub stale_after_seconds: Option<i32>,
    /// Replaces `outcomes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcomes: Option<Outcomes>,
    /// Replaces `remediation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediation: Option<Remediation>,
    /// Replaces `suspend`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// Whether a check can block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Severity {
    /// A gate holds starts while the check does not pass.
    #[default]
    Required,
    /// A failure warns and never blocks.
    Advisory,
}

/// What a probe looks at: objects of one kind in the check's own namespace (or of the cluster, for kinds without one),
/// by name or by selector.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.source == 'Gated' || has(self.name) != has(self.selector)").message("exactly one of name and selector is required"),
    validation = Rule::new("self.source != 'Gated' || !(has(self.name) || has(self.selector))")
        .message("source: Gated means what the gated object selects: remove name and selector"),
    validation = Rule::new("self.source == 'Hosts' ? !has(self.apiVersion) && !has(self.kind) : has(self.apiVersion) == has(self.kind) && (self.source == 'Gated' || has(self.kind))")
        .message("apiVersion and kind are required, except with source: Gated, and with source: Hosts, which means HostReports"),
    validation = Rule::new("!has(self.namespaceSelector) || self.source == 'Gated' || (has(self.selector) && self.source == 'Objects')")
        .message("namespaceSelector needs selector and source: Objects, or source: Gated").field_path(".namespaceSelector")
)]
pub struct Targets {
    /// Where targets come from. `Objects`: Kubernetes objects. `Hosts`: the HostReports that `holdpoint agent` writes. `Gated`: what the object
    /// touches that wants to start; such a check is decided for each request. Default: Objects.
    #[serde(default)]
    pub source: TargetSource,
    /// The targets' apiVersion. Not with source Hosts. With source Gated, unset: what the probe looks at (rollout: Deployments, StatefulSets and
    /// DaemonSets; disruptionBudget: Pods; capacity and node: Nodes). Example: `apps/v1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?v[a-z0-9]+$"))]
    pub api_version: Option<String>,
    /// The targets' kind. Not with source Hosts. With source Gated: `Pod`, `Node` (those that are hit, those of the pods that are hit, those on which a
    /// VM can run), a workload's kind (the owners of the pods that are hit), or the kind of the gated object: that itself. Example: `Deployment`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z][A-Za-z0-9]*$"))]
    pub kind: Option<String>,
    /// The name of the one target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// Which objects are targets, by their labels. `{}` selects all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
    /// In which namespaces, by their labels; `{}` selects all. Unset: the check's own. The check's service account must be allowed to list and
    /// watch the kind in all of them. With source Gated: what is touched elsewhere makes the verdict Unknown with reason Forbidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
}

/// Where targets come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum TargetSource {
    /// Kubernetes objects.
    #[default]
    Objects,
    /// Hosts, by their HostReports.
    Hosts,
    /// What the object touches that wants to start.
    Gated,
}

/// How many targets must pass.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Quorum {
    /// How many targets must pass: a number, or a percentage rounded up. Default: `100%`. Examples: `2`, `"75%"`.
    #[serde(default = "one_hundred_percent")]
    #[schemars(extend("minimum" = 1, "maxLength" = 4, "pattern" = "^(100|[1-9][0-9]?)%$"))]
    pub min_passing: IntOrString,
    /// How many targets there must be at all; fewer count as no targets. Default: 1. Range: 1 to 10000.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10_000))]
    pub min_targets: i32,
}

impl Default for Quorum {
    fn default() -> Self {
        Self { min_passing: one_hundred_percent(), min_targets: 1 }
    }
}

/// Tries within one evaluation of a probed check.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retries {
    /// Tries in all; 1 means no retry. Default: 2. Range: 1 to 10.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 10))]
    pub attempts: i32,
    /// Seconds between tries, give or take a quarter at random. Default: 1. Range: 0 to 60.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 60))]
    pub backoff_seconds: i32,
}

impl Default for Retries {
    fn default() -> Self {
        Self { attempts: 2, backoff_seconds: 1 }
    }
}

/// Which verdict an evaluation gives that could not tell.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Outcomes {
    /// A technical fault: connection refused, timeout, unreadable answer. Default: Unknown.
    #[serde(default)]
    pub error: VerdictName,
    /// The target exists but does not have what is asked about (no such condition, no status yet). Default: Unknown.
    #[serde(default)]
    pub no_data: VerdictName,
    /// There are fewer targets than `quorum.minTargets`. Default: Unknown.
    #[serde(default)]
    pub no_targets: VerdictName,
}

/// A verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum VerdictName {
    /// All that is required holds.
    Passing,
    /// It holds, with a reservation; it does not block.
    Warning,
    /// It does not hold.
    Failing,
    /// It could not be told.
    #[default]
    Unknown,
}

/// What whoever is refused should do.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Remediation {
    /// One sentence. Example: `Scale checkout back to 3 replicas`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub message: Option<String>,
    /// Where to read more. Example: `https://runbooks.example/checkout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512), regex(pattern = "^https?://"))]
    pub url: Option<String>,
    /// Whom to ask. Example: `team-checkout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub owner: Option<String>,
}

/// What the check last found. Written by the operator only.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreflightCheckStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: the check was accepted and is evaluated. `Passing`: its outcome.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The verdict: Passing, Warning, Failing or Unknown.
    #[serde(default)]
    pub verdict: VerdictName,
    /// Which probe the check uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<String>,
    /// The environment whose override was used, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// The values that are in force where an override was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective: Option<Override>,
    /// When the check was last observed passing, by the API server's clock. Written along with other changes, not for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_passing_time: Option<Time>,
    /// Which leadership of the operator wrote this status: the watermark vouches for statuses of its own term only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<i64>,
    /// Since when an evaluation is overdue, or was so not long ago: the watermark does not vouch for the check then, and its verdict counts from
    /// `lastPassingTime` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue_since: Option<Time>,
    /// The value of the annotation `holdpoint.dev/evaluate-at` that was acted upon last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub evaluated_at_request: Option<String>,
    /// When the evaluation was made that this status shows. A live check's status is rewritten only when something changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_evaluation_time: Option<Time>,
    /// When the next evaluation is due: of a probed check after its interval, of a live one when time alone can change its verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_evaluation_time: Option<Time>,
    /// Seconds from one evaluation of a probed check to the next, as in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<i32>,
    /// How long that evaluation took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_duration_milliseconds: Option<i64>,
    /// How many consecutive evaluations had the same result, as of `lastEvaluationTime`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub streak: Option<Streak>,
    /// How many targets there are and how they stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// What was found for each target, worst first, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub results: Vec<TargetResult>,
    /// Transitions of the verdict, newest first, at most `spec.historyLimit`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub history: Vec<History>,
}

/// Consecutive evaluations with the same result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Streak {
    /// Consecutive evaluations that passed.
    pub passes: i32,
    /// Consecutive evaluations that failed. One that could not tell does not break the row.
    pub failures: i32,
    /// Consecutive evaluations that could not tell.
    pub errors: i32,
}

/// How the targets stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Summary {
    /// How many targets there are.
    pub targets: i32,
    /// How many pass.
    pub passing: i32,
    /// How many pass with a warning.
    pub warning: i32,
    /// How many fail.
    pub failing: i32,
    /// For how many it could not be told.
    pub unknown: i32,
    /// Whether `results` leaves some out.
    #[serde(default)]
    pub truncated: bool,
}

/// What was found for one target.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetResult {
    /// The target: Kind/name, or an address.
    pub target: String,
    /// Pass, Warn, Fail or Error (could not tell).
    pub outcome: String,
    /// Why, in one CamelCase word.
    pub reason: String,
    /// Why, in a sentence of at most 256 characters; more only where commands are printed.
    #[serde(default)]
    pub message: String,
    /// What was measured. Example: `2/3 ready`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What was required. Example: `3 ready`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<String>,
    /// How many tries it took.
    #[serde(default)]
    pub attempts: i32,
    /// How long it took, in milliseconds.
    #[serde(default)]
    pub duration_milliseconds: i64,
    /// When it was observed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
}

/// A transition of the verdict.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct History {
    /// The verdict from then on.
    pub verdict: VerdictName,
    /// Its reason.
    pub reason: String,
    /// What was found, at most 256 characters.
    #[serde(default)]
    pub message: String,
    /// When.
    pub time: Time,
}

fn one() -> i32 {
    1
}
fn two() -> i32 {
    2
}
fn five() -> i32 {
    5
}
fn ten() -> i32 {
    10
}
fn thirty() -> i32 {
    30
}
fn one_hundred_twenty() -> i32 {
    120
}
fn hour() -> i32 {
    3600
}
fn default_account() -> String {
    "default".to_owned()
}
fn one_hundred_percent() -> IntOrString {
    IntOrString::String("100%".to_owned())
}
