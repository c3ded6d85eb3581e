//! Which checks a run is about.

use super::{CheckId, LIGHT_PRIORITY, MAX_CHECKS, Member, Plan};
use crate::api::{PreflightRunSpec, RunMode};
use crate::core::gate::{CheckFact, CheckFacts, CheckNamespace, Gate, Required, Which};
use crate::core::selector::Selector;
use crate::core::text::weight;
use std::collections::BTreeMap;

/// The largest object that a run judges, in bytes of JSON.
pub const MAX_OBJECT_BYTES: usize = 64 * 1024;

/// Why a run cannot be begun. Another look will not help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid(pub String);

/// The checks of a run in a namespace. `gate` is the one that the spec names, if it is there.
pub fn select(spec: &PreflightRunSpec, namespace: &str, gate: Option<&Gate>, facts: &dyn CheckFacts) -> Result<Plan, Invalid> {
    if spec.object.as_ref().is_some_and(|object| weight(object) > MAX_OBJECT_BYTES) {
        return Err(Invalid(format!("spec.object: larger than {} KiB", MAX_OBJECT_BYTES / 1024)));
    }
    let mut limit = if spec.mode == RunMode::Light { LIGHT_PRIORITY } else { i32::MAX };
    let mut collected = Collected { namespace, facts, members: BTreeMap::new(), plan: Plan::default() };
    match (&spec.gate_ref, &spec.check_selector) {
        (Some(reference), _) => {
            let Some(gate) = gate else {
                return Err(Invalid(format!("spec.gateRef: there is no {:?} {}", reference.kind, reference.name)));
            };
            gate.checks.iter().chain(gate.at_least.iter().flat_map(|group| &group.of)).for_each(|required| collected.require(required));
            limit = limit.min(gate.max_priority);
        }
        (None, Some(selector)) => {
            let mut problems = Vec::new();
            let Some(selector) = Selector::parse(selector, "spec.checkSelector", &mut problems) else {
                return Err(Invalid(problems.first().map_or_else(|| "spec.checkSelector".to_owned(), ToString::to_string)));
            };
            collected.selected(namespace, &selector);
        }
        (None, None) => spec.checks.iter().for_each(|name| collected.named(namespace, name)),
    }
    let Collected { members, mut plan, .. } = collected;
    plan.members = members.into_values().filter(|member| member.priority <= limit).collect();
    plan.stop_at_first_failure = spec.stop_at_first_failure;
    let count = plan.members.len() + plan.missing.len();
    if count > MAX_CHECKS {
        return Err(Invalid(format!("{count} checks are meant, and a run may have {MAX_CHECKS}: select fewer")));
    }
    if count == 0 {
        let restriction = if limit < i32::MAX { format!(" of priority {limit} or less") } else { String::new() };
        return Err(Invalid(format!("no check{restriction} is meant")));
    }
    Ok(plan)
}

struct Collected<'a> {
    namespace: &'a str,
    facts: &'a dyn CheckFacts,
    members: BTreeMap<CheckId, Member>,
    plan: Plan,
}

impl Collected<'_> {
    fn require(&mut self, required: &Required) {
        let place = match &required.place {
            CheckNamespace::Fixed(fixed) => fixed.clone(),
            CheckNamespace::OfRequest => self.namespace.to_owned(),
        };
        match &required.which {
            Which::Named(name) => self.named(&place, name),
            Which::Selected(selector) => self.selected(&place, selector),
        }
    }

    fn named(&mut self, namespace: &str, name: &str) {
        match self.facts.named(namespace, name) {
            Some(fact) => self.add(&fact),
            None => self.absent(namespace, name, format!("there is no PreflightCheck {name} in namespace {namespace}")),
        }
    }

    fn selected(&mut self, namespace: &str, selector: &Selector) {
        let found = self.facts.selected(namespace, selector);
        if found.is_empty() {
            let what = if selector.selects_all() { "any".to_owned() } else { selector.to_string() };
            let message = format!("no PreflightCheck in namespace {namespace} has the labels {what}");
            self.absent(namespace, &format!("[{what}]"), message);
        }
        for fact in found {
            self.add(&fact);
        }
    }

    fn add(&mut self, fact: &CheckFact) {
        let check = CheckId { namespace: fact.namespace.clone(), name: fact.name.clone() };
        self.members.insert(check.clone(), Member { check, priority: fact.priority, severity: fact.severity });
    }

    fn absent(&mut self, namespace: &str, name: &str, message: String) {
        let shown = CheckId { namespace: namespace.into(), name: name.into() }.shown_in(self.namespace);
        self.plan.missing.push((shown, message));
    }
}
