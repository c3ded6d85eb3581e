//! What both kinds of gate share: how they answer, and their status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which requests are looked at, shaped and spelled as in admissionregistration.k8s.io. Every served version is always included.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!self.apiGroups.exists(g, g.contains('*'))").message("a wildcard is not allowed: name the groups, a gate must never hold what nobody meant").field_path(".apiGroups"),
    validation = Rule::new("!self.resources.exists(r, r.contains('*'))").message("a wildcard is not allowed: name the resources, a gate must never hold what nobody meant").field_path(".resources"),
    validation = Rule::new("!('' in self.apiGroups && self.resources.exists(r, r == 'pods' || r.startsWith('pods/') || r in ['nodes', 'nodes/status', 'namespaces', 'events', 'bindings', 'endpoints', 'serviceaccounts/token']))")
        .message("the cluster itself depends on pods, nodes, namespaces, events, bindings and endpoints: gate what makes the pods instead, such as podchaos in chaos-mesh.org or virtualmachines in kubevirt.io").field_path(".resources"),
    validation = Rule::new("!self.apiGroups.exists(g, g in ['coordination.k8s.io', 'events.k8s.io', 'admissionregistration.k8s.io', 'authentication.k8s.io', 'authorization.k8s.io', 'rbac.authorization.k8s.io', 'certificates.k8s.io', 'apiregistration.k8s.io', 'apiextensions.k8s.io', 'discovery.k8s.io'])")
        .message("the cluster itself depends on leases, events, webhook configurations and access rules: they cannot be gated").field_path(".apiGroups"),
    validation = Rule::new("!self.apiGroups.exists(g, g == 'holdpoint.dev' || g.endsWith('.holdpoint.dev'))").message("the operator's own kinds cannot be gated: a closed gate could then never be opened").field_path(".apiGroups")
)]
pub struct Rule {
    /// The API groups; "" is the core group. 1 to 8, no wildcard. Example: `[chaos-mesh.org]`.
    #[schemars(length(min = 1, max = 8), inner(length(max = 253)))]
    pub api_groups: Vec<String>,
    /// The resources, in the plural, or a subresource after a slash. 1 to 32, no wildcard. Examples: `[podchaos, networkchaos]`, `[virtualmachines/status]`.
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 127)))]
    pub resources: Vec<String>,
    /// The operations: CREATE, UPDATE. UPDATE needs `match.start`, because most updates start nothing. Deletes are never held.
    #[schemars(length(min = 1, max = 2))]
    pub operations: Vec<Operation>,
}

/// An operation that can start something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
pub enum Operation {
    /// CREATE.
    #[serde(rename = "CREATE")]
    Create,
    /// UPDATE.
    #[serde(rename = "UPDATE")]
    Update,
}

/// A named condition on the request, as in a webhook configuration of Kubernetes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct MatchCondition {
    /// A name for messages.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"))]
    pub name: String,
    /// A CEL expression over `object`, `oldObject` and `request` that is true for requests to look at. At most 4096 bytes.
    /// Example: `object.metadata.?labels['tier'].orValue('') == 'prod'`.
    #[schemars(length(min = 1, max = 4096))]
    pub expression: String,
}

/// What the gate does about what it finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum Mode {
    /// Refuse, by `respond`.
    Enforce,
    /// Admit, with a warning for what would have been refused.
    #[default]
    Warn,
    /// Admit in silence, and record what would have been refused.
    Audit,
}

/// What the gate does for each way in which a required check may not pass: Allow, Warn, Hold or Deny. Hold is for what waiting can cure; what it
/// cannot cure, such as a check that may not read its targets, is refused at once.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Respond {
    /// The check is failing. Hold means the same as Deny here, unless the check waits for a place or for the end of its `holdDownSeconds`. Default: Deny.
    #[serde(default)]
    pub failing: Response,
    /// It could not be told: an error, no data, no targets, never evaluated, suspended. Hold waits for what was never evaluated, or ended in an
    /// error or without data. Default: Deny.
    #[serde(default)]
    pub unknown: Response,
    /// It passed, too long ago. Hold waits for a new evaluation. Default: Deny.
    #[serde(default)]
    pub stale: Response,
    /// There is no such check, or the selector finds none. Hold means the same as Deny here. Default: Deny.
    #[serde(default)]
    pub missing: Response,
}

impl Default for Respond {
    fn default() -> Self {
        Self { failing: Response::Deny, unknown: Response::Deny, stale: Response::Deny, missing: Response::Deny }
    }
}

/// An answer to one check that does not pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
pub enum Response {
    /// Admit.
    Allow,
    /// Admit with a warning.
    Warn,
    /// Ask the client to come back in a moment (429, which kubectl and client-go do by themselves), and evaluate meanwhile what is needed. After
    /// `holdSeconds` it is Deny. Service accounts and other accounts of the system are refused instead, since controllers would stall; so are dry runs.
    Hold,
    /// Refuse.
    #[default]
    Deny,
}

/// What the API server does when the operator cannot be reached, as everywhere in Kubernetes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
pub enum FailurePolicy {
    /// Refuse.
    #[default]
    Fail,
    /// Admit.
    Ignore,
}

/// What the gate does about experiments that run when a check turns Failing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!self.resumeWhenPassing || self.onFailing == 'Pause'")
    .message("only what was paused can be resumed: resumeWhenPassing needs onFailing: Pause").field_path(".resumeWhenPassing"))]
pub struct DuringRun {
    /// What is done, once, to each experiment that the gate holds and that was running when a required check turned Failing: None, Pause, Stop
    /// or Delete. By the tool's own means, in mode Enforce only; the modes Warn and Audit only tell of it. Unknown and Stale are faults, and
    /// stop nothing. What a tool cannot do is told in the condition `Ready` or by an Event. Needs deploy/optional/intervene.yaml. Default: None.
    #[serde(default)]
    pub on_failing: OnFailing,
    /// Whether what the gate paused goes on by itself once all its required checks pass, if nobody changed it since. Default: false.
    #[serde(default)]
    pub resume_when_passing: bool,
}

/// What is done to an experiment that runs when a check turns Failing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum OnFailing {
    /// Nothing.
    #[default]
    None,
    /// It is paused. A tool that cannot pause but stop does that: a workflow of Chaos Mesh is aborted, an engine of Litmus stopped.
    Pause,
    /// It is stopped.
    Stop,
    /// It is deleted, and its tool cleans up.
    Delete,
}

/// How the gate stands. Written by the operator only.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct GateStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: the gate was accepted and its rules are registered with the API server. `Open`: a start would be admitted now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// How many required checks do not pass.
    #[serde(default)]
    pub blocking: i32,
    /// The required checks that do not pass, worst first, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub blockers: Vec<Blocker>,
    /// The latest decisions that were not a plain admission, and admissions, newest first, at most 20.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub recent_decisions: Vec<RecentDecision>,
    /// The latest refusals of what something else made, such as a firing of a schedule: newest first, one for each owner, at most 10. When the gate
    /// opens, owners whose tool does not try again by itself are touched, so that they do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub recent_denials: Vec<RecentDenial>,
    /// How many starts the gate decided on, since it was created. Dry runs do not count.
    #[serde(default)]
    pub counters: DecisionCounters,
    /// The replicas that added their decisions last, newest first, at most 8. By it a replica that got no answer to a write learns whether it was made, so
    /// that no decision is lost or counted twice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub recorders: Vec<Recorder>,
}

/// The last write by which a replica added its decisions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Recorder {
    /// The replica's process: 16 hexadecimal digits, made up at its start.
    pub replica: String,
    /// The number of the write; each is higher than the one before.
    pub batch: i64,
}

/// A required check that does not pass.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct Blocker {
    /// The check: name, or namespace/name for a ClusterExperimentGate.
    pub check: String,
    /// Failing, Unknown, Stale or Missing.
    pub verdict: String,
    /// What was found, at most 256 characters.
    #[serde(default)]
    pub message: String,
}

/// A decision that the gate took part in.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RecentDecision {
    /// The decision's id, also in the operator's log, the audit log and the Event.
    pub id: String,
    /// When.
    pub time: Time,
    /// Allow, Warn, Hold or Deny: what was answered.
    pub decision: String,
    /// What would have been answered in mode Enforce, where that differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would_be: Option<String>,
    /// CREATE or UPDATE.
    pub operation: String,
    /// The object: Kind namespace/name.
    pub object: String,
    /// Who asked.
    pub user: String,
    /// The generation of the gate's spec by which it was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// The reason, at most 256 characters.
    #[serde(default)]
    pub message: String,
    /// What it was decided by: the required checks as they stood, worst first, at most 8.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub checks: Vec<DecidedBy>,
    /// How many required checks are not in the list.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_checks: i32,
    /// The `PreflightRun` that the request waited for: namespace/name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

/// A check by which a decision was made, as it stood at that instant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecidedBy {
    /// The check: name, or namespace/name for a ClusterExperimentGate.
    pub check: String,
    /// Passing, Warning, Failing, Unknown, Stale or Missing.
    pub verdict: String,
    /// How old the observation was on which that rests, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<i64>,
}

/// The default of `maxPriority`.
pub(super) const fn all_priorities() -> i32 {
    100
}

/// The default of `holdSeconds`.
pub(super) const fn hold_seconds() -> i32 {
    25
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// A refusal of an object that belongs to another.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct RecentDenial {
    /// When.
    pub time: Time,
    /// The object that was refused: Kind namespace/name.
    pub object: String,
    /// What it was made for, as its owner reference with controller: true says.
    pub owner: DeniedOwner,
    /// The reason, at most 256 characters.
    #[serde(default)]
    pub reason: String,
}

/// The owner of an object that was refused.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeniedOwner {
    /// Its apiVersion.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// The namespace of the object, and so its own, unless its kind has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// How many starts were decided on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct DecisionCounters {
    /// Admitted without a word.
    #[serde(default)]
    pub admitted: i64,
    /// Admitted with a warning.
    #[serde(default)]
    pub warned: i64,
    /// Answers that asked the client to come back in a moment; a start that waits gets several.
    #[serde(default)]
    pub held: i64,
    /// Refused.
    #[serde(default)]
    pub denied: i64,
}
