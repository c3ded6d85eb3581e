//! `PreflightRun`: one evaluation on demand, and its report.

use super::preflight_check::VerdictName;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What is evaluated, and how. Nothing but `cancel` can be changed.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "holdpoint.dev",
    version = "v1alpha1",
    kind = "PreflightRun",
    plural = "preflightruns",
    shortname = "pfrun",
    category = "holdpoint",
    namespaced,
    derive = "PartialEq",
    status = "PreflightRunStatus",
    doc = "A PreflightRun evaluates checks now, once, and reports what each came to. Make one with `kubectl create`; `kubectl wait --for=condition=Complete pfrun/NAME` waits for its end, `--for=condition=Passing` for a good one. Gates make runs too: for requests that they hold, and on a schedule. Finished runs are deleted after a while.",
    printcolumn(name = "Verdict", type_ = "string", json_path = ".status.verdict", description = "Passing, Warning, Failing or Unknown"),
    printcolumn(
        name = "Progress",
        type_ = "string",
        json_path = ".status.progress",
        description = "How many checks are done, of how many"
    ),
    printcolumn(
        name = "Complete",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Complete')].reason",
        description = "Whether the run is over, and why"
    ),
    printcolumn(name = "Gate", type_ = "string", json_path = ".spec.gateRef.name"),
    printcolumn(name = "Failed", type_ = "integer", json_path = ".status.counts.failed", description = "How many checks fail"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Requested By", type_ = "string", json_path = ".spec.requestedBy", priority = 1),
    printcolumn(name = "Held", type_ = "string", json_path = ".spec.held", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.conditions[?(@.type=='Passing')].message", priority = 1)
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.gateRef), has(self.checkSelector), has(self.checks) && self.checks.size() > 0].filter(x, x).size() == 1")
        .message("exactly one of gateRef, checkSelector and checks is required"),
    validation = Rule::new("self.mode == oldSelf.mode && self.stopAtFirstFailure == oldSelf.stopAtFirstFailure && self.force == oldSelf.force && self.deadlineSeconds == oldSelf.deadlineSeconds && self.ttlSecondsAfterFinished == oldSelf.ttlSecondsAfterFinished && has(self.gateRef) == has(oldSelf.gateRef) && (!has(self.gateRef) || (self.gateRef.kind == oldSelf.gateRef.kind && self.gateRef.name == oldSelf.gateRef.name)) && has(self.checks) == has(oldSelf.checks) && (!has(self.checks) || self.checks == oldSelf.checks) && has(self.requestedBy) == has(oldSelf.requestedBy) && (!has(self.requestedBy) || self.requestedBy == oldSelf.requestedBy) && has(self.replica) == has(oldSelf.replica) && (!has(self.replica) || self.replica == oldSelf.replica) && has(self.digest) == has(oldSelf.digest) && (!has(self.digest) || self.digest == oldSelf.digest) && has(self.held) == has(oldSelf.held) && (!has(self.held) || self.held == oldSelf.held) && has(self.scheduledTime) == has(oldSelf.scheduledTime) && (!has(self.scheduledTime) || self.scheduledTime == oldSelf.scheduledTime) && has(self.checkSelector) == has(oldSelf.checkSelector) && has(self.object) == has(oldSelf.object)")
        .message("a run cannot be changed, only cancelled: make another one"),
    validation = Rule::new("self.cancel || !oldSelf.cancel").message("what was cancelled stays so: make another run").field_path(".cancel")
)]
pub struct PreflightRunSpec {
    /// The gate whose checks are evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate_ref: Option<GateReference>,
    /// The checks of the run's namespace with these labels; `{}` is all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_selector: Option<LabelSelector>,
    /// These checks of the run's namespace, by name. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub checks: Vec<String>,
    /// Which of them. `Full`: all. `Light`: those of priority 10 and less. Default: Full.
    #[serde(default)]
    pub mode: RunMode,
    /// Checks are evaluated in tiers, by priority, lower first. Whether those that come after a tier with a required check that does not pass are
    /// left out. Default: false.
    #[serde(default)]
    pub stop_at_first_failure: bool,
    /// The object whose start is judged: its manifest. Checks that are about the request get it as a create in the run's namespace. It is
    /// stored as it is, for everybody to read who may read runs: leave secrets out. At most 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "manifest")]
    pub object: Option<Value>,
    /// Whether every probed check is evaluated anew, also one that just was, or that need not be because it passed (`reuse`). Default: false.
    #[serde(default)]
    pub force: bool,
    /// Seconds that the run may take; what is not done by then could not be told. Default: 300. Range: 1 to 3600.
    #[serde(default = "five_minutes")]
    #[schemars(range(min = 1, max = 3600))]
    pub deadline_seconds: i32,
    /// Seconds for which the run is kept when it is over. Of one gate, or one namespace, the 20 latest are kept at most. Default: 3600.
    /// Range: 0 to 604800.
    #[serde(default = "one_hour")]
    #[schemars(range(min = 0, max = 604_800))]
    pub ttl_seconds_after_finished: i32,
    /// Ends the run: nothing more is begun, and what is not done is left out. Default: false.
    #[serde(default)]
    pub cancel: bool,
    /// Who asked for it. Of a run that a gate made, whose request is held; nobody can write another's name. Example: `jane@example.com`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub requested_by: Option<String>,
    /// Of a run for a request that is held: the replica of the operator that holds it. Written by the operator only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub replica: Option<String>,
    /// Of a run for a request that is held: what tells its object from others. Written by the operator only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub digest: Option<String>,
    /// Of a run for a request that is held: the request, such as `CREATE VirtualMachine shop/db`. Written by the operator only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 640))]
    pub held: Option<String>,
    /// Of a run for a request that is held: what it would start. Written by the operator only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<RunStart>,
    /// Of a run by a gate's schedule: when it was due. Written by the operator only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_time: Option<Time>,
}

/// Which gate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct GateReference {
    /// ExperimentGate (of the run's namespace) or ClusterExperimentGate. Default: ExperimentGate.
    #[serde(default)]
    pub kind: GateKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// The kinds of gates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum GateKind {
    /// Of a namespace.
    #[default]
    ExperimentGate,
    /// Of the cluster.
    ClusterExperimentGate,
}

/// Which checks a run evaluates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
pub enum RunMode {
    /// All.
    #[default]
    Full,
    /// Those of priority 10 and less.
    Light,
}

/// When a gate evaluates its checks by itself.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunSchedule {
    /// When, as in crontab: minute, hour, day of month, month, day of week. Example: `0 6 * * 1-5`, at six in the morning from Monday to Friday.
    #[schemars(length(min = 9, max = 128))]
    pub cron: String,
    /// The time zone by which that is meant, by its IANA name. Default: UTC. Example: `Europe/Berlin`.
    #[serde(default = "utc")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: String,
    /// Seconds after its time until which a run that was missed, because the operator was down, is made up for; of several the latest only.
    /// Default: 300. Range: 1 to 86400.
    #[serde(default = "five_minutes")]
    #[schemars(range(min = 1, max = 86_400))]
    pub starting_deadline_seconds: i32,
    /// Which checks. `Full`: all. `Light`: those of priority 10 and less. Default: Full.
    #[serde(default)]
    pub mode: RunMode,
}

/// How the run stands. Written by the operator only.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreflightRunStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: the run was accepted and evaluated. `Complete`: it is over, for whatever reason. `Passing`: every required check passes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// What it came to, once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<VerdictName>,
    /// How many checks are done, of how many: `3/7`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// How many checks came to what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<RunCounts>,
    /// The checks, by tier; at most 256. Of long ones, those that pass are left out first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub checks: Vec<RunCheck>,
    /// How many checks are not in the list, because a status has room for so many only.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub omitted: i32,
    /// The place that the held request may take, if the gate counts places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<RunGrant>,
    /// Whether nobody waits for it any longer: there was no place, or who asked did not come back for it. Whoever asks again begins anew.
    #[serde(default, skip_serializing_if = "is_false")]
    pub withdrawn: bool,
    /// The leadership of the operator that last looked whether the held request may have a place: what an earlier one still has on its way is void.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<i64>,
}

/// How many checks of a run came to what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct RunCounts {
    /// They pass.
    #[serde(default)]
    pub passed: i32,
    /// They pass with a warning.
    #[serde(default)]
    pub warned: i32,
    /// They fail.
    #[serde(default)]
    pub failed: i32,
    /// It could not be told.
    #[serde(default)]
    pub errored: i32,
    /// They were left out.
    #[serde(default)]
    pub skipped: i32,
}

/// A check in a run.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunCheck {
    /// The check: its name, or namespace/name if it is not of the run's namespace.
    #[schemars(length(max = 320))]
    pub name: String,
    /// Its priority: the tier.
    #[serde(default)]
    pub priority: i32,
    /// Pending, Running, Passing, Warning, Failing, Unknown or Skipped.
    #[serde(default)]
    pub verdict: RunVerdict,
    /// Whether it counts: an advisory check only warns.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub advisory: bool,
    /// The reason, as in the check's condition `Passing`; or why it was left out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub reason: String,
    /// What was found, at most 256 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub message: String,
    /// When the evaluation began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_milliseconds: Option<i64>,
}

/// How a check stands in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
pub enum RunVerdict {
    /// Not begun yet.
    #[default]
    Pending,
    /// Being evaluated.
    Running,
    /// It passes.
    Passing,
    /// It passes with a warning.
    Warning,
    /// It fails.
    Failing,
    /// It could not be told.
    Unknown,
    /// It was left out.
    Skipped,
}

/// What a held request would start.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunStart {
    /// The API group; empty for the core group.
    #[serde(default)]
    #[schemars(length(max = 253))]
    pub group: String,
    /// The plural, without a subresource.
    #[schemars(length(max = 253))]
    pub resource: String,
    /// The object's kind.
    #[schemars(length(max = 63))]
    pub kind: String,
    /// The object's namespace, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub namespace: Option<String>,
    /// The object's name; unset if the API server makes it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub name: Option<String>,
    /// Whether the object is made, and not changed.
    #[serde(default)]
    pub create: bool,
    /// What of its spec tells at what an experiment is aimed, where the kind is one of experiments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_spec")]
    pub spec: Option<Value>,
}

/// A place that a held request may take.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunGrant {
    /// Since when.
    pub since: Time,
    /// Until when it may be used. For as long as what was admitted by it may still be stored, it counts as taken: 75 seconds more.
    pub expires: Time,
    /// The uid of the object that was admitted by it, or of the request, if that changed an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub used_by: Option<String>,
}

fn any_spec(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

fn manifest(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-embedded-resource": true,
        "x-kubernetes-preserve-unknown-fields": true,
    })
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_false(yes: &bool) -> bool {
    !*yes
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_zero(number: &i32) -> bool {
    *number == 0
}

const fn five_minutes() -> i32 {
    300
}

const fn one_hour() -> i32 {
    3600
}

fn utc() -> String {
    "UTC".to_owned()
}
