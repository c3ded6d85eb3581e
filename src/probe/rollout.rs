//! Probe `rollout`: a Deployment, `StatefulSet` or `DaemonSet` is rolled out, with enough ready replicas and without a restart storm.
//!
//! Whether the wanted revision is rolled out is judged as `kubectl rollout status` judges it: the controller has seen the current
//! generation, enough replicas are of the new revision, no old ones are left, the progress deadline has not passed. How many of them
//! must serve is `minReady`, and at its default of 100% that too is what kubectl asks: available ones of a Deployment or `DaemonSet`
//! (ready for `minReadySeconds`), ready ones of a `StatefulSet`. A workload that wants no replicas has all of them, so a percentage
//! passes and a number fails. What kubectl refuses to judge, a `StatefulSet` or `DaemonSet` with update strategy `OnDelete`, is an Error.

use super::live::{LiveProbe, Look, Place, Related, TargetRule};
use super::objects::{NOT_SYNCED, ReadObjects, read, target_name};
use crate::api::RolloutProbe;
use crate::core::observation::{NO_DATA, Observation, Outcome};
use crate::core::problem::{Problem, summary};
use crate::core::selector::Selector;
use crate::core::share::Share;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::DynamicObject;
use serde::Deserialize;

mod restarts;
#[cfg(test)]
mod tests;

use restarts::{RestartLimit, Restarts};

/// Reason of a Pass.
pub const ROLLED_OUT: &str = "RolledOut";
/// Reason of a Fail: the wanted revision is not everywhere yet.
pub const ROLLOUT_IN_PROGRESS: &str = "RolloutInProgress";
/// Reason of a Fail: a Deployment's controller has given the rollout up.
pub const PROGRESS_DEADLINE_EXCEEDED: &str = "ProgressDeadlineExceeded";
/// Reason of a Fail: fewer replicas serve than `minReady` asks for.
pub const NOT_ENOUGH_READY: &str = "NotEnoughReady";
/// Reason of a Fail: containers restarted more often than `maxRestarts` allows.
pub const RESTART_STORM: &str = "RestartStorm";
/// Reason of a Fail: the workload is being deleted.
pub const TERMINATING: &str = "Terminating";
/// Reason of an Error: update strategy `OnDelete` has no rollout to judge.
pub const ON_DELETE: &str = "UpdateStrategyOnDelete";
/// Reason of an Error: the target is of a kind that has no rollout.
pub const UNSUPPORTED_KIND: &str = "UnsupportedKind";

/// How rolled out a workload must be.
#[derive(Clone, Debug, PartialEq)]
pub struct Rollout {
    min_ready: Share,
    restarts: Option<RestartLimit>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Deployment,
    StatefulSet,
    DaemonSet,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    replicas: Option<u32>,
    selector: Option<LabelSelector>,
    update_strategy: Option<UpdateStrategy>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateStrategy {
    #[serde(rename = "type")]
    type_: Option<String>,
    rolling_update: Option<RollingUpdate>,
}

#[derive(Default, Deserialize)]
struct RollingUpdate {
    partition: Option<u32>,
}

/// The members of the three kinds' status. The API leaves out what is zero.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    observed_generation: i64,
    replicas: u32,
    updated_replicas: u32,
    available_replicas: u32,
    ready_replicas: u32,
    current_revision: Option<String>,
    update_revision: Option<String>,
    desired_number_scheduled: u32,
    updated_number_scheduled: u32,
    number_available: u32,
    conditions: Option<Vec<Condition>>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    type_: String,
    reason: Option<String>,
}

/// Why a workload does not pass.
struct Finding {
    outcome: Outcome,
    reason: &'static str,
    message: String,
    measured: Option<(String, String)>,
}

/// The replicas of a workload that is rolled out.
struct Replicas {
    wanted: u32,
    serving: u32,
    /// What the kind calls those that serve.
    word: &'static str,
}

impl Rollout {
    /// Reads the spec; what cannot work is a problem below `field`.
    pub fn parse(spec: &RolloutProbe, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        let min_ready = Share::parse(&spec.min_ready, &format!("{field}.minReady"), problems);
        let restarts = RestartLimit::parse(spec, field, problems);
        let min_ready = min_ready?;
        (problems.len() == before).then_some(Self { min_ready, restarts })
    }

    /// Whether the probe reads the Pods of its target's namespace.
    pub fn needs_pods(&self) -> bool {
        self.restarts.is_some()
    }

    /// What is seen of one workload.
    pub fn observe(&self, target: &DynamicObject, objects: &dyn ReadObjects, now: Timestamp) -> Observation {
        let name = target_name(target);
        let replicas = match serving(target) {
            Ok(replicas) => replicas,
            Err(finding) => return finding.into_observation(&name),
        };
        let (word, wanted, serving) = (replicas.word, replicas.wanted, replicas.serving);
        let required = self.min_ready.of(wanted);
        let message = format!("{serving}/{wanted} replicas {word}");
        let (value, needs) = (format!("{serving}/{wanted} {word}"), format!("{required} {word}"));
        if serving < required {
            let message = format!("{message}, at least {required} required (minReady {})", self.min_ready);
            return Observation::new(name, Outcome::Fail, NOT_ENOUGH_READY, message).measured(value, needs);
        }
        let Some(limit) = &self.restarts else {
            return Observation::new(name, Outcome::Pass, ROLLED_OUT, message).measured(value, needs);
        };
        let seen = match restarts(limit, target, objects, now) {
            Ok(seen) => seen,
            Err(finding) => return finding.into_observation(&name),
        };
        if let Some(storm) = limit.storm(&seen) {
            return Observation::new(name, Outcome::Fail, RESTART_STORM, storm)
                .measured(seen.text(), limit.text())
                .holding_until(limit.falls_below(&seen));
        }
        Observation::new(name, Outcome::Pass, ROLLED_OUT, format!("{message}, {}", seen.text()))
            .measured(format!("{value}, {}", seen.text()), format!("{needs}, {}", limit.text()))
    }
}

impl LiveProbe for Rollout {
    fn name(&self) -> &'static str {
        "rollout"
    }

    fn targets(&self) -> TargetRule {
        TargetRule::OneOf(
            &[("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"), ("apps/v1", "DaemonSet")],
            "Deployment, StatefulSet or DaemonSet of apps/v1",
        )
    }

    fn reads(&self) -> Vec<Related> {
        let pods = Related { api_version: "v1", kind: "Pod", place: Place::Targets, name: None, quiet: false };
        if self.needs_pods() { vec![pods] } else { Vec::new() }
    }

    fn observe(&self, look: &Look<'_>) -> Vec<Observation> {
        look.each(|target| self.observe(target, look.objects, look.now))
    }
}

/// The replicas that serve, if the wanted revision is rolled out.
fn serving(target: &DynamicObject) -> Result<Replicas, Finding> {
    let Some(kind) = Kind::of_object(target) else {
        let message = "only a Deployment, StatefulSet or DaemonSet of apps/v1 has a rollout";
        return Err(Finding::error(UNSUPPORTED_KIND, message));
    };
    if target.metadata.deletion_timestamp.is_some() {
        return Err(Finding::fail(TERMINATING, "it is being deleted"));
    }
    let spec: Spec = read(target, "spec").and_then(|spec| spec.ok_or_else(|| "it has no spec".to_owned())).map_err(Finding::no_data)?;
    let status: Option<Status> = read(target, "status").map_err(Finding::no_data)?;
    let status = status.ok_or_else(|| Finding::no_data("it has no status yet".to_owned()))?;
    let strategy = spec.update_strategy.as_ref();
    if kind != Kind::Deployment && strategy.and_then(|it| it.type_.as_deref()).is_some_and(|type_| type_ != "RollingUpdate") {
        return Err(Finding::error(ON_DELETE, "a rollout can be judged only with update strategy RollingUpdate"));
    }
    let generation = target.metadata.generation.unwrap_or(0);
    if status.observed_generation < generation || (kind == Kind::StatefulSet && status.observed_generation == 0) {
        return Err(Finding::fail(ROLLOUT_IN_PROGRESS, "its controller has not seen the latest change yet")
            .measured(format!("generation {} seen", status.observed_generation), format!("generation {generation} seen")));
    }
    let wanted = spec.replicas.unwrap_or(1);
    match kind {
        Kind::Deployment => deployment(wanted, &status),
        Kind::StatefulSet => stateful_set(wanted, strategy.and_then(|it| it.rolling_update.as_ref()), &status),
        Kind::DaemonSet => daemon_set(&status),
    }
}

impl Kind {
    fn of(api_version: &str, kind: &str) -> Option<Self> {
        match (api_version, kind) {
            ("apps/v1", "Deployment") => Some(Self::Deployment),
            ("apps/v1", "StatefulSet") => Some(Self::StatefulSet),
            ("apps/v1", "DaemonSet") => Some(Self::DaemonSet),
            _ => None,
        }
    }

    fn of_object(object: &DynamicObject) -> Option<Self> {
        object.types.as_ref().and_then(|types| Self::of(&types.api_version, &types.kind))
    }
}

impl Finding {
    fn fail(reason: &'static str, message: impl Into<String>) -> Self {
        Self { outcome: Outcome::Fail, reason, message: message.into(), measured: None }
    }

    fn error(reason: &'static str, message: impl Into<String>) -> Self {
        Self { outcome: Outcome::Error, reason, message: message.into(), measured: None }
    }

    fn no_data(message: String) -> Self {
        Self::error(NO_DATA, message)
    }

    fn measured(self, value: String, required: String) -> Self {
        Self { measured: Some((value, required)), ..self }
    }

    /// Too few replicas are of the wanted revision.
    fn too_few_updated(updated: u32, wanted: u32) -> Self {
        Self::fail(ROLLOUT_IN_PROGRESS, format!("{updated}/{wanted} replicas updated"))
            .measured(format!("{updated}/{wanted} updated"), format!("{wanted} updated"))
    }

    fn into_observation(self, target: &str) -> Observation {
        let observation = Observation::new(target, self.outcome, self.reason, self.message);
        match self.measured {
            Some((value, required)) => observation.measured(value, required),
            None => observation,
        }
    }
}

fn deployment(wanted: u32, status: &Status) -> Result<Replicas, Finding> {
    let mut conditions = status.conditions.iter().flatten();
    let progressing = conditions.find(|condition| condition.type_ == "Progressing");
    if progressing.is_some_and(|condition| condition.reason.as_deref() == Some(PROGRESS_DEADLINE_EXCEEDED)) {
        return Err(Finding::fail(PROGRESS_DEADLINE_EXCEEDED, "the rollout exceeded its progress deadline").measured(
            format!("{}/{wanted} updated, {} available", status.updated_replicas, status.available_replicas),
            format!("{wanted} updated"),
        ));
    }
    if status.updated_replicas < wanted {
        return Err(Finding::too_few_updated(status.updated_replicas, wanted));
    }
    let old = status.replicas.saturating_sub(status.updated_replicas);
    if old > 0 {
        return Err(Finding::fail(ROLLOUT_IN_PROGRESS, format!("{old} old replicas are pending termination"))
            .measured(format!("{old} old"), "0 old".to_owned()));
    }
    // While it is being scaled down there are more than wanted, and kubectl asks for all that are there.
    Ok(Replicas { wanted: wanted.max(status.updated_replicas), serving: status.available_replicas, word: "available" })
}

fn stateful_set(wanted: u32, rolling_update: Option<&RollingUpdate>, status: &Status) -> Result<Replicas, Finding> {
    if let Some(rolling_update) = rolling_update {
        let to_update = wanted.saturating_sub(rolling_update.partition.unwrap_or(0));
        if status.updated_replicas < to_update {
            return Err(Finding::too_few_updated(status.updated_replicas, to_update));
        }
    } else if status.update_revision != status.current_revision {
        return Err(Finding::too_few_updated(status.updated_replicas, wanted));
    }
    Ok(Replicas { wanted, serving: status.ready_replicas, word: "ready" })
}

fn daemon_set(status: &Status) -> Result<Replicas, Finding> {
    let wanted = status.desired_number_scheduled;
    if status.updated_number_scheduled < wanted {
        return Err(Finding::too_few_updated(status.updated_number_scheduled, wanted));
    }
    Ok(Replicas { wanted, serving: status.number_available, word: "available" })
}

/// The restarts of the workload's pods. Those of a Deployment belong to its `ReplicaSets`, so there the selector has to do.
fn restarts(limit: &RestartLimit, target: &DynamicObject, objects: &dyn ReadObjects, now: Timestamp) -> Result<Restarts, Finding> {
    let selector = selector_of(target).map_err(Finding::no_data)?;
    let pods = objects.list("v1", "Pod", target.metadata.namespace.as_deref());
    let pods = pods.map_err(|not_synced| Finding::error(NOT_SYNCED, not_synced.message))?;
    let owner = target.metadata.uid.as_deref().filter(|_| Kind::of_object(target) != Some(Kind::Deployment));
    limit.count(&pods, &selector, owner, now).map_err(Finding::no_data)
}

/// The workload's own selector of its pods.
fn selector_of(target: &DynamicObject) -> Result<Selector, String> {
    let spec: Option<Spec> = read(target, "spec")?;
    let selector = spec.and_then(|spec| spec.selector).ok_or("it has no spec.selector to find its pods by")?;
    let mut problems = Vec::new();
    Selector::parse(&selector, "spec.selector", &mut problems).ok_or_else(|| summary(&problems))
}
