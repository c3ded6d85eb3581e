//! From a spec to what can be acted upon, or to what is wrong with it, field by field.
//!
//! Most rules are in the schemas and are refused when the object is applied. They are checked again here: an object may be older than its
//! schema, and a rule that only the schema knows is no safeguard.

mod references;

use self::references::{Reference, References, references};
use super::expr::Expression;
use super::gate::{Gate, GateKey, Resource, Start};
use super::presets::{Catalog, Presets};
use super::problem::Problem;
use super::registration::EXCLUDED_NAMESPACES;
use super::run::schedule::Schedule;
use super::selector::Selector;
use super::share::Share;
use super::verdict::{MAX_RESULTS, Settings};
use crate::api::{
    ClusterExperimentGate, DuringRun, ExperimentGate, FailurePolicy, GROUP, MatchCondition, Mode, Operation, PreflightCheckSpec, Preset,
    PresetOptions, Respond, ReusePolicy, Rule, RunSchedule,
};
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use std::collections::BTreeSet;

/// The longest that a client may be asked to come back, in seconds.
const MAX_HOLD_SECONDS: u32 = 300;

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
    presets: &'a [Preset],
    preset_options: Option<&'a PresetOptions>,
    catalog: &'a Catalog,
    rules: &'a [Rule],
    namespace_selector: Option<&'a LabelSelector>,
    object_selector: Option<&'a LabelSelector>,
    conditions: &'a [MatchCondition],
    start: Option<&'a str>,
}

/// How both kinds of gate answer.
#[derive(Clone, Copy)]
struct Answers<'a> {
    mode: Mode,
    respond: &'a Respond,
    hold_seconds: i32,
    failure_policy: FailurePolicy,
    max_priority: i32,
    stop_at_first_failure: bool,
    schedule: Option<&'a RunSchedule>,
    during_run: Option<&'a DuringRun>,
}

/// An `ExperimentGate`, parsed, where tools are installed as they are by default.
pub fn experiment_gate(object: &ExperimentGate) -> Gate {
    experiment_gate_in(object, &Catalog::default())
}

/// An `ExperimentGate`, parsed.
pub fn experiment_gate_in(object: &ExperimentGate, catalog: &Catalog) -> Gate {
    let spec = &object.spec;
    let mut problems = Vec::new();
    let namespace = object.metadata.namespace.clone().unwrap_or_default();
    let reference = |r| Reference::namespaced(r, &namespace);
    let group = spec.at_least.as_ref().map(|group| (group.count, group.of.iter().map(reference).collect()));
    let references = references(spec.checks.iter().map(reference), group, &mut problems);
    let matches = spec.matches.clone().unwrap_or_default();
    let parts = Parts {
        metadata: &object.metadata,
        presets: &spec.presets,
        preset_options: spec.preset_options.as_ref(),
        catalog,
        rules: &matches.rules,
        namespace_selector: None,
        object_selector: matches.object_selector.as_ref(),
        conditions: &matches.match_conditions,
        start: matches.start.as_deref(),
    };
    if EXCLUDED_NAMESPACES.contains(&namespace.as_str()) {
        problems.push(Problem::new("metadata.namespace", format!("nothing in {namespace} is ever held: a gate there has no effect")));
    }
    let answers = Answers {
        mode: spec.mode,
        respond: &spec.respond,
        hold_seconds: spec.hold_seconds,
        failure_policy: spec.failure_policy,
        max_priority: spec.max_priority,
        stop_at_first_failure: spec.stop_at_first_failure,
        schedule: spec.schedule.as_ref(),
        during_run: spec.during_run.as_ref(),
    };
    gate(&parts, answers, references, problems)
}

/// A `ClusterExperimentGate`, parsed, where tools are installed as they are by default.
pub fn cluster_experiment_gate(object: &ClusterExperimentGate) -> Gate {
    cluster_experiment_gate_in(object, &Catalog::default())
}

/// A `ClusterExperimentGate`, parsed.
pub fn cluster_experiment_gate_in(object: &ClusterExperimentGate, catalog: &Catalog) -> Gate {
    let spec = &object.spec;
    let mut problems = Vec::new();
    let group = spec.at_least.as_ref().map(|group| (group.count, group.of.iter().map(Reference::cluster).collect()));
    let references = references(spec.checks.iter().map(Reference::cluster), group, &mut problems);
    let matches = spec.matches.clone().unwrap_or_default();
    let parts = Parts {
        metadata: &object.metadata,
        presets: &spec.presets,
        preset_options: spec.preset_options.as_ref(),
        catalog,
        rules: &matches.rules,
        namespace_selector: matches.namespace_selector.as_ref(),
        object_selector: matches.object_selector.as_ref(),
        conditions: &matches.match_conditions,
        start: matches.start.as_deref(),
    };
    let answers = Answers {
        mode: spec.mode,
        respond: &spec.respond,
        hold_seconds: spec.hold_seconds,
        failure_policy: spec.failure_policy,
        max_priority: spec.max_priority,
        stop_at_first_failure: spec.stop_at_first_failure,
        schedule: spec.schedule.as_ref(),
        during_run: spec.during_run.as_ref(),
    };
    gate(&parts, answers, references, problems)
}

fn gate(parts: &Parts<'_>, answers: Answers<'_>, references: References, mut problems: Vec<Problem>) -> Gate {
    let schedule = answers.schedule.and_then(|spec| Schedule::parse(spec, "spec.schedule", &mut problems));
    let is_empty = |r: &Rule| r.api_groups.is_empty() || r.resources.is_empty() || r.operations.is_empty();
    if parts.presets.is_empty() && parts.rules.iter().all(is_empty) {
        let message = "at least one preset, or one rule with apiGroups, resources and operations is required";
        problems.push(Problem::new("spec.match.rules", message));
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
    let by_hand = rules(parts.rules, &mut problems);
    let presets = presets(parts, &mut problems);
    let conditions = parts.conditions.iter().enumerate().filter_map(|(i, c)| {
        let field = format!("spec.match.matchConditions[{i}].expression");
        Expression::compile(&c.expression, &field, EXPRESSION_ROOTS, &mut problems).map(|e| (c.name.clone(), e))
    });
    let mut gate = Gate {
        key: GateKey { namespace: parts.metadata.namespace.clone(), name: parts.metadata.name.clone().unwrap_or_default() },
        uid: parts.metadata.uid.clone().unwrap_or_default(),
        generation: parts.metadata.generation,
        conditions: conditions.collect(),
        rules: united(by_hand.iter().cloned().chain(presets.rules())),
        by_hand,
        presets,
        namespace_selector: selector("spec.match.namespaceSelector", parts.namespace_selector, &mut problems),
        object_selector: selector("spec.match.objectSelector", parts.object_selector, &mut problems),
        start,
        checks: references.checks,
        at_least: references.at_least,
        max_priority: answers.max_priority,
        stop_at_first_failure: answers.stop_at_first_failure,
        mode: answers.mode,
        respond: answers.respond.clone(),
        hold_seconds: u32::try_from(answers.hold_seconds).unwrap_or(0).clamp(1, MAX_HOLD_SECONDS),
        failure_policy: answers.failure_policy,
        during_run: answers.during_run.cloned().unwrap_or_default(),
        schedule,
        problems,
    };
    gate.problems.extend(super::during_run::problems(&gate));
    gate
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
    united(usable.into_iter())
}

fn united(rules: impl Iterator<Item = (Resource, Operation)>) -> Vec<(Resource, Operation)> {
    rules.collect::<BTreeSet<_>>().into_iter().collect()
}

/// The presets that may be held. Jobs are too common to hold all of them.
fn presets(parts: &Parts<'_>, problems: &mut Vec<Problem>) -> Presets {
    let narrowed = parts.object_selector.is_some() || parts.namespace_selector.is_some();
    let mut names: Vec<Preset> = Vec::new();
    for (i, preset) in parts.presets.iter().enumerate() {
        if *preset == Preset::Jobs && !narrowed {
            let selectors =
                if parts.metadata.namespace.is_some() { "match.objectSelector" } else { "match.objectSelector or match.namespaceSelector" };
            let message = format!("Jobs needs {selectors}: without one it would hold every job there is");
            problems.push(Problem::new(format!("spec.presets[{i}]"), message));
        } else if !names.contains(preset) {
            names.push(*preset);
        }
    }
    let given = parts.preset_options.and_then(|o| o.krkn.as_ref()).map(|o| o.image_repositories.as_slice()).unwrap_or_default();
    let mut repositories = Vec::new();
    for (i, repository) in given.iter().enumerate() {
        if is_repository(repository) && repositories.len() < MAX_REPOSITORIES {
            repositories.push(repository.clone());
        } else {
            let message = "it is not a repository of images: write registry/path, in lower case, without a tag; at most 16";
            problems.push(Problem::new(format!("spec.presetOptions.krkn.imageRepositories[{i}]"), message));
        }
    }
    Presets::new(&names, &repositories, parts.catalog)
}

/// The most further repositories of one gate.
const MAX_REPOSITORIES: usize = 16;

/// A registry or the like, a slash, a path. A port may follow the registry.
fn is_repository(text: &str) -> bool {
    let sound = |part: &str, port: bool| {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-') || (port && b == b':');
        let at_edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        part.bytes().all(allowed) && at_edge(part.as_bytes().first()) && at_edge(part.as_bytes().last())
    };
    text.len() <= 255
        && text.split_once('/').is_some_and(|(host, path)| sound(host, true) && path.split('/').all(|part| sound(part, false)))
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
