//! From a spec to what can be acted upon, or to what is wrong with it, field by field.
//!
//! Most rules are in the schemas and are refused when the object is applied. They are checked again here: an object may be older than its
//! schema, and a rule that only the schema knows is no safeguard.

use super::expr::Expression;
use super::gate::{CheckNamespace, Gate, GateKey, Required, Resource, Start};
use super::problem::Problem;
use super::registration::EXCLUDED_NAMESPACES;
use super::selector::Selector;
use super::share::Share;
use super::verdict::{MAX_RESULTS, Settings};
use crate::api::{
    CheckReference, ClusterCheckReference, ClusterExperimentGate, DuringRun, ExperimentGate, GROUP, MatchCondition, Operation,
    PreflightCheckSpec, ReusePolicy, Rule,
};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

/// What expressions of gates may name.
pub const EXPRESSION_ROOTS: &[&str] = &["object", "oldObject", "request"];

/// Groups without which a cluster does not work: a closed gate on them could not be opened again.
const UNTOUCHABLE_GROUPS: &[&str] = &[
    "coordination.k8s.io",
    "events.k8s.io",
    "admissionregistration.k8s.io",
    "authentication.k8s.io",
    "authorization.k8s.io",
    "rbac.authorization.k8s.io",
    "certificates.k8s.io",
    "apiregistration.k8s.io",
    "apiextensions.k8s.io",
    "discovery.k8s.io",
];
/// Resources of the core group of which the same is true.
const UNTOUCHABLE_CORE: &[&str] =
    &["pods", "nodes", "nodes/status", "namespaces", "events", "bindings", "endpoints", "serviceaccounts/token"];

/// The thresholds of a check.
pub fn settings(spec: &PreflightCheckSpec, problems: &mut Vec<Problem>) -> Option<Settings> {
    let seconds = |s: i32| SignedDuration::from_secs(i64::from(s));
    if spec.interval_seconds < spec.timeout_seconds {
        let message = format!(
            "{} is less than timeoutSeconds ({}): an evaluation could not end before the next begins",
            spec.interval_seconds, spec.timeout_seconds
        );
        problems.push(Problem::new("spec.intervalSeconds", message));
    }
    if spec.stale_after_seconds < spec.interval_seconds.saturating_add(spec.timeout_seconds) {
        let message = format!(
            "{} is less than intervalSeconds + timeoutSeconds ({}): a healthy check would go stale between evaluations",
            spec.stale_after_seconds,
            spec.interval_seconds.saturating_add(spec.timeout_seconds)
        );
        problems.push(Problem::new("spec.staleAfterSeconds", message));
    }
    let min_passing = Share::parse(&spec.quorum.min_passing, "spec.quorum.minPassing", problems)?;
    let positive = |n: i32| u32::try_from(n).unwrap_or(1).max(1);
    Some(Settings {
        min_passing,
        min_targets: positive(spec.quorum.min_targets),
        failure_threshold: positive(spec.failure_threshold),
        success_threshold: positive(spec.success_threshold),
        stale_after: match spec.reuse.policy {
            ReusePolicy::ForSeconds => seconds(spec.reuse.for_seconds.saturating_add(spec.stale_after_seconds)),
            ReusePolicy::None | ReusePolicy::UntilSpecChanges => seconds(spec.stale_after_seconds),
        },
        ages: spec.reuse.policy != ReusePolicy::UntilSpecChanges,
        hold_down: seconds(spec.hold_down_seconds.max(0)),
        outcomes: spec.outcomes.clone(),
        history_limit: usize::try_from(spec.history_limit).unwrap_or(0).min(MAX_RESULTS),
    })
}

/// What both kinds of gate give.
struct Parts<'a> {
    metadata: &'a ObjectMeta,
    rules: &'a [Rule],
    namespace_selector: Option<&'a LabelSelector>,
    object_selector: Option<&'a LabelSelector>,
    conditions: &'a [MatchCondition],
    start: Option<&'a str>,
}

/// An `ExperimentGate`, parsed.
pub fn experiment_gate(object: &ExperimentGate) -> Gate {
    let spec = &object.spec;
    let mut problems = Vec::new();
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    let reference = |i: usize, r: &CheckReference, problems: &mut Vec<Problem>| {
        required(i, r.name.as_deref(), r.selector.as_ref(), CheckNamespace::Fixed(namespace.clone()), problems)
    };
    let checks = spec.checks.iter().enumerate().filter_map(|(i, r)| reference(i, r, &mut problems)).collect();
    let parts = Parts {
        metadata: &object.metadata,
        rules: &spec.matches.rules,
        namespace_selector: None,
        object_selector: spec.matches.object_selector.as_ref(),
        conditions: &spec.matches.match_conditions,
        start: spec.matches.start.as_deref(),
    };
    if EXCLUDED_NAMESPACES.contains(&namespace.as_str()) {
        problems.push(Problem::new("metadata.namespace", format!("nothing in {namespace} is ever held: a gate there has no effect")));
    }
    let base = gate(&parts, checks, problems);
    during_run(
        Gate { mode: spec.mode, respond: spec.respond.clone(), failure_policy: spec.failure_policy, ..base },
        spec.during_run.as_ref(),
    )
}

/// A `ClusterExperimentGate`, parsed.
pub fn cluster_experiment_gate(object: &ClusterExperimentGate) -> Gate {
    let spec = &object.spec;
    let mut problems = Vec::new();
    let reference = |i: usize, r: &ClusterCheckReference, problems: &mut Vec<Problem>| {
        let place = r.namespace.clone().map_or(CheckNamespace::OfRequest, CheckNamespace::Fixed);
        required(i, r.name.as_deref(), r.selector.as_ref(), place, problems)
    };
    let checks = spec.checks.iter().enumerate().filter_map(|(i, r)| reference(i, r, &mut problems)).collect();
    let parts = Parts {
        metadata: &object.metadata,
        rules: &spec.matches.rules,
        namespace_selector: spec.matches.namespace_selector.as_ref(),
        object_selector: spec.matches.object_selector.as_ref(),
        conditions: &spec.matches.match_conditions,
        start: spec.matches.start.as_deref(),
    };
    let base = gate(&parts, checks, problems);
    during_run(
        Gate { mode: spec.mode, respond: spec.respond.clone(), failure_policy: spec.failure_policy, ..base },
        spec.during_run.as_ref(),
    )
}

/// What the gate does while an experiment runs, and what of that never can be.
fn during_run(mut gate: Gate, spec: Option<&DuringRun>) -> Gate {
    gate.during_run = spec.cloned().unwrap_or_default();
    gate.problems.extend(super::during_run::problems(&gate));
    gate
}

fn gate(parts: &Parts<'_>, checks: Vec<Required>, mut problems: Vec<Problem>) -> Gate {
    if checks.is_empty() && problems.is_empty() {
        problems.push(Problem::new("spec.checks", "at least one check is required: a gate without any would admit everything"));
    }
    if parts.rules.iter().all(|r| r.api_groups.is_empty() || r.resources.is_empty() || r.operations.is_empty()) {
        problems.push(Problem::new("spec.match.rules", "at least one rule with apiGroups, resources and operations is required"));
    }
    let selector =
        |field: &str, s: Option<&LabelSelector>, problems: &mut Vec<Problem>| s.and_then(|s| Selector::parse(s, field, problems));
    let start = match parts.start {
        None => Start::EveryCreate,
        Some(source) => {
            Expression::compile(source, "spec.match.start", EXPRESSION_ROOTS, &mut problems).map_or(Start::Unusable, Start::When)
        }
    };
    if matches!(start, Start::EveryCreate) && parts.rules.iter().any(|r| r.operations.contains(&Operation::Update)) {
        let message = "rules with operation UPDATE need it: most updates start nothing. Write an expression that is true only for updates that start something";
        problems.push(Problem::new("spec.match.start", message));
    }
    let conditions = parts.conditions.iter().enumerate().filter_map(|(i, c)| {
        let field = format!("spec.match.matchConditions[{i}].expression");
        Expression::compile(&c.expression, &field, EXPRESSION_ROOTS, &mut problems).map(|e| (c.name.clone(), e))
    });
    Gate {
        key: GateKey { namespace: parts.metadata.namespace.clone(), name: parts.metadata.name.clone().unwrap_or_default() },
        uid: parts.metadata.uid.clone().unwrap_or_default(),
        generation: parts.metadata.generation,
        conditions: conditions.collect(),
        rules: rules(parts.rules, &mut problems),
        namespace_selector: selector("spec.match.namespaceSelector", parts.namespace_selector, &mut problems),
        object_selector: selector("spec.match.objectSelector", parts.object_selector, &mut problems),
        start,
        checks,
        mode: crate::api::Mode::default(),
        respond: crate::api::Respond::default(),
        failure_policy: crate::api::FailurePolicy::default(),
        during_run: DuringRun::default(),
        problems,
    }
}

fn required(
    i: usize,
    name: Option<&str>,
    selector: Option<&LabelSelector>,
    place: CheckNamespace,
    problems: &mut Vec<Problem>,
) -> Option<Required> {
    match (name, selector) {
        (Some(name), None) => Some(Required::Named(place, name.to_owned())),
        (None, Some(s)) => Selector::parse(s, &format!("spec.checks[{i}].selector"), problems).map(|s| Required::Selected(place, s)),
        _ => {
            problems.push(Problem::new(format!("spec.checks[{i}]"), "exactly one of name and selector is required"));
            None
        }
    }
}

/// The rules that may be registered; each other one is a problem.
fn rules(rules: &[Rule], problems: &mut Vec<Problem>) -> Vec<(Resource, Operation)> {
    let mut usable = Vec::new();
    for (i, rule) in rules.iter().enumerate() {
        for (g, group) in rule.api_groups.iter().enumerate() {
            if let Some(message) = untouchable_group(group) {
                problems.push(Problem::new(format!("spec.match.rules[{i}].apiGroups[{g}]"), message));
                continue;
            }
            for (r, resource) in rule.resources.iter().enumerate() {
                if let Some(message) = untouchable_resource(group, resource) {
                    problems.push(Problem::new(format!("spec.match.rules[{i}].resources[{r}]"), message));
                    continue;
                }
                for operation in &rule.operations {
                    usable.push((Resource { group: group.clone(), resource: resource.clone() }, *operation));
                }
            }
        }
    }
    usable.sort();
    usable.dedup();
    usable
}

fn untouchable_group(group: &str) -> Option<String> {
    if group.contains('*') {
        Some(format!("\"{group}\" is a wildcard: name the groups, a gate must never hold what nobody meant"))
    } else if group == GROUP || group.ends_with(".holdpoint.dev") {
        Some("the operator's own kinds cannot be gated: a closed gate could then never be opened".to_owned())
    } else if UNTOUCHABLE_GROUPS.contains(&group) {
        Some(format!("the cluster itself depends on {group}: it cannot be gated"))
    } else {
        None
    }
}

fn untouchable_resource(group: &str, resource: &str) -> Option<String> {
    if resource.contains('*') {
        Some(format!("\"{resource}\" is a wildcard: name the resources, a gate must never hold what nobody meant"))
    } else if group.is_empty() && (UNTOUCHABLE_CORE.contains(&resource) || resource.starts_with("pods/")) {
        Some(format!("the cluster itself depends on {resource}: gate what makes the pods instead, such as podchaos in chaos-mesh.org"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
