//! What is done about experiments that run when a check turns Failing.
//!
//! Once for each experiment and episode: an episode begins when a required check turns Failing and ends when it passes again. What was done is
//! written on the experiment itself ([`Mark`]), so that a new leader does not do it twice, and whoever undoes it is not fought with. A fault
//! (Unknown, Stale) begins no episode, and stops nothing.

mod mark;
mod nudge;
mod survey;
mod tools;

pub use mark::{MARK, Mark};
pub use nudge::{NUDGED_AT, Stalled, nudge, stalls};
pub use survey::{Survey, survey};
pub use tools::{Done, Lever, Place, TOOLS, Tool, Way, Word};

use self::mark::digest;
use super::expr::Bindings;
use super::gate::{Gate, Request, Resource, User};
use super::problem::Problem;
use super::text::single_line;
use crate::api::{Mode, OnFailing, Operation};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// How long after a check turned Failing a start may have been let in by a replica that did not know yet.
const NOT_KNOWN_YET: SignedDuration = SignedDuration::from_secs(5);
/// How many kinds a message names.
const MAX_TOLD: usize = 4;

/// An object that may be an experiment.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// What can be done to it.
    pub tool: &'static Tool,
    /// Its resource.
    pub resource: Resource,
    /// The object.
    pub object: Value,
}

/// What to do about one experiment.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// To write, or to delete, and to tell.
    Act(Act),
    /// Nothing but to tell: the mode, or the tool, does not allow more.
    Tell {
        /// Why, in one line.
        note: String,
        /// The check that turned Failing.
        check: String,
    },
}

/// Something to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Act {
    /// What it comes to.
    pub done: Done,
    /// What is applied; `None`: the object is deleted.
    pub apply: Option<Value>,
    /// One line for Events and the log.
    pub note: String,
}

/// What never can be, so that the gate must not look as if it did: a virtual machine is neither paused by a write nor ever deleted.
pub fn problems(gate: &Gate) -> Option<Problem> {
    let why = ways(gate).find_map(|(resource, row)| match row {
        Some((tool, Way::Impossible(why))) if tool.group == "kubevirt.io" && resource.resource == "virtualmachines" => Some(why),
        _ => None,
    })?;
    let message = format!("{} of virtualmachines.kubevirt.io: {why}", word(gate.during_run.on_failing));
    Some(Problem::new("spec.duringRun.onFailing", message))
}

/// What the gate's `duringRun` cannot do, or does in another way, in one line for the condition `Ready`.
pub fn limits(gate: &Gate) -> Option<String> {
    let said = ways(gate).filter_map(|(resource, row)| {
        let name = format!("{}.{}", resource.resource, resource.group);
        match row {
            None => Some(format!("{name}: Holdpoint knows no way to stop it")),
            Some((_, Way::Impossible(why))) => Some(format!("{name}: {why}")),
            Some((_, Way::Write(lever))) if gate.during_run.on_failing == OnFailing::Pause && lever.done == Done::Stopped => {
                let end = if lever.resumes { "and would begin anew" } else { "and does not go on" };
                Some(format!("{name}: it cannot be paused, it is stopped instead, {end}"))
            }
            Some(_) => None,
        }
    });
    let all: Vec<String> = said.collect();
    let more = if all.len() > MAX_TOLD { "; and more" } else { "" };
    (!all.is_empty()).then(|| format!("duringRun: {}{more}", all.iter().take(MAX_TOLD).map(String::as_str).collect::<Vec<_>>().join("; ")))
}

/// The resources that the gate holds and that must be watched for it.
pub fn watched(gate: &Gate) -> impl Iterator<Item = (&Resource, &'static Tool)> {
    ways(gate).filter_map(|(resource, row)| row.map(|(tool, _)| (resource, tool)))
}

/// What would be done to what the gate holds, kind by kind.
fn ways(gate: &Gate) -> impl Iterator<Item = (&Resource, Option<(&'static Tool, Way)>)> {
    let on_failing = gate.during_run.on_failing;
    let resources: BTreeSet<&Resource> = gate.rules.iter().map(|(resource, _)| resource).collect();
    let told = move |resource: &&Resource| on_failing != OnFailing::None && !tools::is_inside(&resource.group, &resource.resource);
    resources.into_iter().filter(told).map(move |resource| {
        let tool = Tool::of(&resource.group, &resource.resource);
        (resource, tool.and_then(|tool| Some((tool, tool.way(on_failing)?))))
    })
}

const fn word(on_failing: OnFailing) -> &'static str {
    match on_failing {
        OnFailing::None => "None",
        OnFailing::Pause => "Pause",
        OnFailing::Stop => "Stop",
        OnFailing::Delete => "Delete",
    }
}

impl Experiment {
    /// A text at a pointer, or nothing.
    pub fn text(&self, pointer: &str) -> &str {
        self.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Its namespace, if it has one.
    pub fn namespace(&self) -> Option<&str> {
        Some(self.text("/metadata/namespace")).filter(|namespace| !namespace.is_empty())
    }

    /// What was done to it by us before. What claims to be from the future is not believed: it would ward off what is to come.
    pub fn mark(&self, now: Timestamp) -> Option<Mark> {
        let text = self.object.pointer("/metadata/annotations").and_then(|all| all.get(MARK)).and_then(Value::as_str)?;
        Mark::parse(text).filter(|mark| mark.time <= now)
    }

    /// `Kind namespace/name`.
    pub fn title(&self) -> String {
        let (kind, name) = (self.text("/kind"), self.text("/metadata/name"));
        self.namespace().map_or_else(|| format!("{kind} {name}"), |namespace| format!("{kind} {namespace}/{name}"))
    }

    fn labels(&self) -> BTreeMap<String, String> {
        let labels = self.object.pointer("/metadata/labels").and_then(Value::as_object);
        labels.into_iter().flatten().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    }

    /// Whether a gate would hold its creation as it is now: its kind, place, labels and conditions, and whether it would start something. What
    /// cannot be told, because it depends on who asks, is not held.
    fn is_held_by(&self, gate: &Gate, namespace_labels: Option<&BTreeMap<String, String>>, bindings: &Bindings<'_>) -> bool {
        let creates = gate.rules.iter().any(|(resource, operation)| *resource == self.resource && *operation == Operation::Create);
        let request = Request {
            uid: "",
            resource: &self.resource,
            kind: self.text("/kind"),
            operation: if creates { Operation::Create } else { Operation::Update },
            namespace: self.namespace(),
            name: self.text("/metadata/name"),
            generated_name: false,
            cannot_wait: None,
            dry_run: true,
            deleting: false,
            labels: self.labels(),
            old_labels: None,
            namespace_labels,
            user: User::default(),
            object: &self.object,
            old_object: None,
            bindings,
        };
        gate.certainly_holds(&request)
    }
}

/// What a gate does about an object, if anything. `acted` is when this process last did something about it, or told of it.
pub fn consider(
    gate: &Gate,
    survey: &Survey,
    experiment: &Experiment,
    namespace_labels: Option<&BTreeMap<String, String>>,
    (acted, now): (Option<Timestamp>, Timestamp),
) -> Option<Step> {
    let request = json!({ "operation": "CREATE", "namespace": experiment.namespace(), "name": experiment.text("/metadata/name") });
    let bindings = Bindings::new(&experiment.object, None, &request);
    if !experiment.runs() {
        return resume(gate, survey, experiment, &bindings, now).map(Step::Act);
    }
    let mark = experiment.mark(now).map(|mark| mark.time);
    let handled = mark.max(acted);
    let created = experiment.text("/metadata/creationTimestamp").parse::<Timestamp>().ok();
    let new = |began: Option<Timestamp>| {
        let ran = began.zip(created).is_none_or(|(began, created)| created.duration_since(began) <= NOT_KNOWN_YET);
        ran && handled.is_none_or(|handled| began.is_some_and(|began| began > handled))
    };
    let failing = survey.failing(&bindings).find(|failing| new(failing.began))?;
    if !experiment.is_held_by(gate, namespace_labels, &bindings) {
        return None;
    }
    let (check, found, title) = (&failing.name, &failing.message, experiment.title());
    let cause = format!("{check} turned Failing ({}) while {title} ran", single_line(found, 200));
    let tell = |note: String| Some(Step::Tell { note: single_line(&note, 700), check: check.clone() });
    let done = match experiment.tool.way_for(gate.during_run.on_failing, &experiment.object)? {
        Way::Impossible(why) => return tell(format!("{cause}: {} does nothing about it: {why}", gate.key)),
        Way::Write(lever) => lever.done,
        Way::Delete => Done::Deleted,
    };
    let by = format!("(duringRun.onFailing: {})", word(gate.during_run.on_failing));
    if gate.mode != Mode::Enforce {
        let would = done.word().to_lowercase();
        return tell(format!("{cause}: it would be {would} by {} {by} in mode Enforce", gate.key));
    }
    let note = single_line(&format!("{cause}: {} by {} {by}", done.word().to_lowercase(), gate.key), 700);
    let apply = match experiment.tool.way_for(gate.during_run.on_failing, &experiment.object)? {
        Way::Write(lever) => {
            let spec = digest(&experiment.object, lever.place);
            let reason = single_line(found, 200);
            let mark = Mark { gate: gate.key.clone(), check: check.clone(), time: now, done: done.word().to_owned(), reason, spec };
            Some(applied(experiment, None, Some(&mark), Some((lever, lever.stopped))))
        }
        Way::Delete | Way::Impossible(_) => None,
    };
    Some(Step::Act(Act { done, apply, note }))
}

/// Lets go what this gate paused, if all its checks pass, and nobody changed it since.
fn resume(gate: &Gate, survey: &Survey, experiment: &Experiment, bindings: &Bindings<'_>, now: Timestamp) -> Option<Act> {
    let wanted = gate.mode == Mode::Enforce && gate.during_run.on_failing == OnFailing::Pause && gate.during_run.resume_when_passing;
    let mark = experiment.mark(now).filter(|mark| wanted && mark.gate == gate.key)?;
    let Way::Write(lever) = experiment.tool.way_for(OnFailing::Pause, &experiment.object)? else { return None };
    let untouched = lever.is_pulled(&experiment.object) && mark.spec == digest(&experiment.object, lever.place);
    let gone =
        experiment.object.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null()) || Tool::is_over(&experiment.object);
    if !lever.resumes || !untouched || gone || !survey.passes(bindings) {
        return None;
    }
    let version = experiment.text("/metadata/resourceVersion");
    let apply = applied(experiment, Some(version), None, lever.running.map(|word| (lever, word)));
    let note = format!("all required checks of {} pass again: {} resumed (duringRun.resumeWhenPassing)", gate.key, experiment.title());
    Some(Act { done: Done::Resumed, apply: Some(apply), note: single_line(&note, 700) })
}

/// An object with nothing in it but what we say. The uid makes sure that it is this object or none.
fn applied(experiment: &Experiment, version: Option<&str>, mark: Option<&Mark>, field: Option<(Lever, Word)>) -> Value {
    let mut annotations: Map<String, Value> = mark.iter().map(|mark| (MARK.to_owned(), mark.to_json().into())).collect();
    let mut spec = Map::new();
    match field {
        Some((Lever { place: Place::Annotation(key), .. }, word)) => drop(annotations.insert(key.to_owned(), word.json())),
        Some((Lever { place: Place::Spec(member), .. }, word)) => drop(spec.insert(member.to_owned(), word.json())),
        None => {}
    }
    let mut metadata = json!({ "name": experiment.text("/metadata/name"), "uid": experiment.text("/metadata/uid") });
    if let Value::Object(members) = &mut metadata {
        members.extend(experiment.namespace().map(|namespace| ("namespace".to_owned(), namespace.into())));
        members.extend(version.map(|version| ("resourceVersion".to_owned(), version.into())));
        members.extend((!annotations.is_empty()).then(|| ("annotations".to_owned(), annotations.into())));
    }
    let mut apply = json!({ "apiVersion": experiment.text("/apiVersion"), "kind": experiment.text("/kind"), "metadata": metadata });
    if let Value::Object(members) = &mut apply {
        members.extend((!spec.is_empty()).then(|| ("spec".to_owned(), spec.into())));
    }
    apply
}

#[cfg(test)]
mod tests;
