//! Probe `disruptionBudget`: the PodDisruptionBudget that covers a target's pods allows disruptions.
//!
//! A budget covers pods whose labels its selector matches: the empty one all pods of the namespace, an absent one none. The eviction API refuses
//! to evict a pod that several budgets cover (<https://kubernetes.io/docs/tasks/run-application/configure-pdb/#arbitrary-controllers-and-selectors>),
//! so such a target fails whatever each of them allows.

use super::live::{LiveProbe, Look, Place, Related, TargetRule};
use super::objects::{NOT_SYNCED, NotSynced, ReadObjects, read, target_name};
use crate::api::{DisruptionBudgetProbe, Uncovered};
use crate::core::observation::{NO_DATA, Observation, Outcome};
use crate::core::problem::{Problem, summary};
use crate::core::selector::Selector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::DynamicObject;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

#[cfg(test)]
mod tests;

/// Reason of a Pass: the budget allows enough disruptions.
pub const DISRUPTIONS_ALLOWED: &str = "DisruptionsAllowed";
/// Reason of a Pass where `uncovered` is Allowed: no budget limits the disruptions.
pub const NOT_COVERED: &str = "NotCovered";
/// Reason of a Fail: the budget allows too few.
pub const TOO_FEW_ALLOWED: &str = "TooFewDisruptionsAllowed";
/// Reason of a Fail: no budget covers the pods.
pub const NO_BUDGET: &str = "NoBudget";
/// Reason of a Fail: several budgets cover the same pods, so that none of them can be evicted.
pub const SEVERAL_BUDGETS: &str = "SeveralBudgets";

const KIND: (&str, &str) = ("policy/v1", "PodDisruptionBudget");
const MAX_ALLOWED: i32 = 10_000;

type Labels = BTreeMap<String, String>;

/// How many disruptions budgets must allow.
#[derive(Clone, Debug, PartialEq)]
pub struct DisruptionBudget {
    min_allowed: i64,
    uncovered: Uncovered,
}

/// A budget, and which pods it covers: none without a selector.
struct Budget<'a> {
    object: &'a DynamicObject,
    selector: Result<Option<Selector>, String>,
}

#[derive(Default, Deserialize)]
struct Spec {
    selector: Option<LabelSelector>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    observed_generation: Option<i64>,
    disruptions_allowed: i64,
    #[serde(default)]
    current_healthy: i64,
    #[serde(default)]
    desired_healthy: i64,
    #[serde(default)]
    expected_pods: i64,
}

impl DisruptionBudget {
    /// Reads the spec; what cannot work is a problem below `field`.
    pub fn parse(spec: &DisruptionBudgetProbe, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        if !(0..=MAX_ALLOWED).contains(&spec.min_allowed) {
            problems.push(Problem::new(format!("{field}.minAllowed"), format!("must be from 0 to {MAX_ALLOWED}")));
            return None;
        }
        Some(Self { min_allowed: i64::from(spec.min_allowed), uncovered: spec.uncovered })
    }

    fn judge(&self, target: &DynamicObject, budgets: Result<&[Budget<'_>], &NotSynced>) -> Observation {
        let name = target_name(target);
        let no_data = |why: String| Observation::error(&name, NO_DATA, why);
        let labels = match pod_labels(target) {
            Ok(labels) => labels,
            Err(why) => return no_data(why),
        };
        let budgets = match budgets {
            Ok(budgets) => budgets,
            Err(error) => return Observation::error(name, NOT_SYNCED, &error.message),
        };
        let mut covering = Vec::new();
        for Budget { object, selector } in budgets {
            match selector {
                Ok(Some(selector)) if selector.matches(&labels) => covering.push(*object),
                Ok(_) => {}
                Err(why) => return no_data(format!("{}: {why}", target_name(object))),
            }
        }
        match covering.as_slice() {
            [] => self.uncovered(&name, target, &labels),
            [budget] => match self.allows(budget) {
                Ok((outcome, reason, message, allowed)) => {
                    Observation::new(name, outcome, reason, message).measured(format!("{allowed} allowed"), self.required())
                }
                Err(why) => no_data(format!("{}: {why}", target_name(budget))),
            },
            several => {
                let names = several.iter().map(|budget| budget.metadata.name.as_deref().unwrap_or_default()).collect::<Vec<_>>().join(", ");
                let message =
                    format!("{} PodDisruptionBudgets cover its pods, so none can be evicted; keep one of: {names}", several.len());
                Observation::new(name, Outcome::Fail, SEVERAL_BUDGETS, message)
                    .measured(format!("{} budgets", several.len()), self.required())
            }
        }
    }

    fn uncovered(&self, name: &str, target: &DynamicObject, labels: &Labels) -> Observation {
        match self.uncovered {
            Uncovered::Allowed => Observation::new(name, Outcome::Pass, NOT_COVERED, "no PodDisruptionBudget limits its disruptions")
                .measured("no budget", "any"),
            Uncovered::Forbidden => {
                let add = command(target, labels).map_or_else(String::new, |command| format!("; add one: {command}"));
                Observation::new(name, Outcome::Fail, NO_BUDGET, format!("no PodDisruptionBudget covers its pods{add}"))
                    .measured("no budget", self.required())
            }
        }
    }

    fn allows(&self, budget: &DynamicObject) -> Result<(Outcome, &'static str, String, i64), String> {
        let status: Status = read(budget, "status")?.ok_or("it has no status yet")?;
        let generation = budget.metadata.generation.unwrap_or(0);
        if status.observed_generation.unwrap_or(0) < generation {
            return Err(format!("generation {generation} is not yet observed by its controller"));
        }
        let allowed = status.disruptions_allowed;
        if allowed < 0 {
            return Err("its status.disruptionsAllowed is less than nothing".to_owned());
        }
        let name = budget.metadata.name.as_deref().unwrap_or_default();
        let (healthy, wanted, pods) = (status.current_healthy, status.desired_healthy, status.expected_pods);
        let message =
            format!("PodDisruptionBudget {name} allows {} ({healthy} of {pods} pods healthy, {wanted} must be)", disruptions(allowed));
        Ok(if allowed >= self.min_allowed {
            (Outcome::Pass, DISRUPTIONS_ALLOWED, message, allowed)
        } else {
            (Outcome::Fail, TOO_FEW_ALLOWED, format!("{message}, {} needed", self.min_allowed), allowed)
        })
    }

    fn required(&self) -> String {
        format!("{} allowed", self.min_allowed)
    }
}

impl LiveProbe for DisruptionBudget {
    fn name(&self) -> &'static str {
        "disruptionBudget"
    }

    fn targets(&self) -> TargetRule {
        TargetRule::Any
    }

    fn touched_kinds(&self) -> &'static [(&'static str, &'static str)] {
        &[("v1", "Pod")]
    }

    fn reads(&self) -> Vec<Related> {
        vec![Related { api_version: KIND.0, kind: KIND.1, place: Place::Targets, name: None, quiet: false }]
    }

    fn observe(&self, look: &Look<'_>) -> Vec<Observation> {
        // Read once for all targets of a namespace.
        let namespaces: BTreeSet<_> = look.targets.iter().map(|target| target.metadata.namespace.as_deref()).collect();
        let budgets: BTreeMap<_, _> = namespaces.into_iter().map(|namespace| (namespace, Budget::all(look.objects, namespace))).collect();
        look.each(|target| match budgets.get(&target.metadata.namespace.as_deref()) {
            Some(budgets) => self.judge(target, budgets.as_deref()),
            None => Observation::error(target_name(target), NOT_SYNCED, "the budgets of its namespace were not read"),
        })
    }
}

impl<'a> Budget<'a> {
    fn all(objects: &'a dyn ReadObjects, namespace: Option<&str>) -> Result<Vec<Self>, NotSynced> {
        let found = objects.list(KIND.0, KIND.1, namespace)?;
        Ok(found.into_iter().map(|object| Self { object, selector: selector(object) }).collect())
    }
}

fn selector(budget: &DynamicObject) -> Result<Option<Selector>, String> {
    let spec: Spec = read(budget, "spec")?.unwrap_or_default();
    let Some(selector) = spec.selector else { return Ok(None) };
    let mut problems = Vec::new();
    Selector::parse(&selector, "spec.selector", &mut problems).map(Some).ok_or_else(|| summary(&problems))
}

/// The labels that a target's pods have: a Pod's own, or those of the pod template; without one, those that its selector asks for.
fn pod_labels(target: &DynamicObject) -> Result<Labels, String> {
    if is_pod(target) {
        return Ok(target.metadata.labels.clone().unwrap_or_default());
    }
    for template in ["/spec/template", "/spec/jobTemplate/spec/template"] {
        if let Some(template) = target.data.pointer(template).filter(|template| template.is_object()) {
            return labels(template.pointer("/metadata/labels"), "the labels of its pod template");
        }
    }
    match target.data.pointer("/spec/selector/matchLabels") {
        Some(wanted) if wanted.is_object() => labels(Some(wanted), "its spec.selector.matchLabels"),
        _ => Err("it has no pod template (spec.template) that would tell its pods' labels".to_owned()),
    }
}

fn labels(value: Option<&Value>, what: &str) -> Result<Labels, String> {
    match value {
        None | Some(Value::Null) => Ok(Labels::new()),
        Some(value) => Labels::deserialize(value).map_err(|error| format!("{what} cannot be read: {error}")),
    }
}

fn is_pod(target: &DynamicObject) -> bool {
    target.types.as_ref().is_some_and(|types| types.api_version == "v1" && types.kind == "Pod")
}

/// The command that adds a budget for a target. Only of texts that a shell takes as they are: anybody may have written them.
fn command(target: &DynamicObject, labels: &Labels) -> Option<String> {
    let plain = |text: &&str| text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')) && !text.starts_with('-');
    let name = target.metadata.name.as_deref().filter(plain)?;
    let namespace = target.metadata.namespace.as_deref().filter(plain)?;
    let wanted = target.data.pointer("/spec/selector/matchLabels").and_then(|wanted| Labels::deserialize(wanted).ok());
    let wanted = wanted.filter(|wanted| !wanted.is_empty()).unwrap_or_else(|| labels.clone());
    // A Pod's own labels name the revision that it belongs to.
    if is_pod(target) || wanted.is_empty() {
        return None;
    }
    let selector = LabelSelector { match_labels: Some(wanted), match_expressions: None };
    let selector = Selector::parse(&selector, "", &mut Vec::new())?;
    Some(format!("kubectl -n {namespace} create pdb {name} --selector={selector} --max-unavailable=1"))
}

fn disruptions(count: i64) -> String {
    if count == 1 { "1 disruption".to_owned() } else { format!("{count} disruptions") }
}
