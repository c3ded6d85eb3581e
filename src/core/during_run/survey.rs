//! How the checks of a gate stand, for what runs already.

use crate::api::conditions::passing;
use crate::api::{Response, Severity};
use crate::core::expr::{Bindings, Expression};
use crate::core::freshness;
use crate::core::gate::{CheckFact, CheckFacts, CheckNamespace, Gate, Which};
use crate::core::verdict::{Standing, State, Verdict};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The required checks of a gate that do not pass, in one namespace.
#[derive(Debug, Default)]
pub struct Survey {
    /// By name.
    not_passing: BTreeMap<String, NotPassing>,
    /// Whether one is not there: then it cannot be said that all pass.
    missing: bool,
}

#[derive(Debug)]
struct NotPassing {
    fact: Arc<CheckFact>,
    failing: Option<Failing>,
}

/// A required check that fails.
#[derive(Clone, Debug, PartialEq)]
pub struct Failing {
    /// Its name, or namespace/name for a cluster gate.
    pub name: String,
    /// What was found.
    pub message: String,
    /// When it turned Failing since it last passed, as far as is known.
    pub began: Option<Timestamp>,
}

/// Looks at the checks of a gate; `None` while not all checks are known. `namespace` is that of the experiment.
pub fn survey(gate: &Gate, namespace: Option<&str>, facts: &dyn CheckFacts, now: Timestamp) -> Option<Survey> {
    if !facts.complete() {
        return None;
    }
    let mut survey = Survey::default();
    for required in &gate.checks {
        let place = match &required.place {
            CheckNamespace::Fixed(fixed) => Some(fixed.as_str()),
            CheckNamespace::OfRequest => namespace,
        };
        let found = match (&required.which, place) {
            (Which::Named(name), Some(place)) => facts.named(place, name).into_iter().collect(),
            (Which::Selected(selector), Some(place)) => facts.selected(place, selector),
            (_, None) => Vec::new(),
        };
        survey.missing |= found.is_empty();
        for fact in found {
            survey.add(gate, fact, facts, now);
        }
    }
    Some(survey)
}

impl Survey {
    fn add(&mut self, gate: &Gate, fact: Arc<CheckFact>, facts: &dyn CheckFacts, now: Timestamp) {
        // An advisory check refuses no start, and stops nothing. What is decided for each request says nothing of what runs.
        if fact.severity != Severity::Required || fact.priority > gate.max_priority || fact.state.reason == passing::PER_REQUEST {
            return;
        }
        let standing = freshness::standing(&fact.state, &fact.basis, facts.freshness(), now);
        if matches!(standing, Standing::Passing | Standing::Warning | Standing::NotApplicable) {
            return;
        }
        let name = if gate.key.namespace.is_some() { fact.name.to_string() } else { format!("{}/{}", fact.namespace, fact.name) };
        // A gate that lets starts through although the check fails does not stop what it let through.
        let failing = (standing == Standing::Failing && gate.respond.failing > Response::Warn).then(|| Failing {
            name: name.clone(),
            message: fact.state.message.clone(),
            began: began(&fact.state),
        });
        self.not_passing.insert(name, NotPassing { fact, failing });
    }

    /// Whether nothing fails, whatever the experiment.
    pub fn is_calm(&self) -> bool {
        self.not_passing.values().all(|check| check.failing.is_none())
    }

    /// The checks that fail and certainly apply to an experiment.
    pub(super) fn failing<'a>(&'a self, bindings: &'a Bindings<'a>) -> impl Iterator<Item = &'a Failing> {
        let applies = |when: &Expression| when.evaluate(bindings).unwrap_or(false);
        self.not_passing
            .values()
            .filter(move |check| check.fact.when.as_ref().is_none_or(applies))
            .filter_map(|check| check.failing.as_ref())
    }

    /// Whether all that may apply to an experiment pass.
    pub(super) fn passes(&self, bindings: &Bindings<'_>) -> bool {
        let applies = |check: &NotPassing| check.fact.when.as_ref().is_none_or(|when| when.evaluate(bindings).unwrap_or(true));
        !self.missing && !self.not_passing.values().any(applies)
    }
}

/// When a failing check turned Failing since it last passed. What could not be told in between does not begin anew.
fn began(state: &State) -> Option<Timestamp> {
    let since_pass = state.history.iter().take_while(|transition| !transition.verdict.passes());
    since_pass.filter(|transition| transition.verdict == Verdict::Failing).last().map(|transition| transition.time).or(state.last_pass)
}
