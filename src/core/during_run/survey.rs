//! How the checks of a gate stand, for what runs already.

use crate::api::conditions::passing;
use crate::api::{Response, Severity};
use crate::core::expr::{Bindings, Expression};
use crate::core::freshness;
use crate::core::gate::{AtLeast, CheckFact, CheckFacts, CheckNamespace, Gate, Required, Which};
use crate::core::text::{MAX_MESSAGE_CHARS, single_line};
use crate::core::verdict::{Standing, State, Verdict};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The required checks of a gate that do not pass, in one namespace.
#[derive(Debug, Default)]
pub struct Survey {
    /// By name.
    not_passing: BTreeMap<String, NotPassing>,
    /// Whether one is not there, or too few of several pass: then it cannot be said that all pass.
    missing: bool,
    /// Of N of M: that too many fail.
    group: Option<Failing>,
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
    for reference in &gate.checks {
        let found = look_up(reference, namespace, facts);
        survey.missing |= found.is_empty();
        for fact in found {
            survey.add(gate, fact, facts, now);
        }
    }
    if let Some(AtLeast { count, of }) = &gate.at_least {
        let members = of.iter().flat_map(|reference| look_up(reference, namespace, facts));
        let by_name: BTreeMap<String, Arc<CheckFact>> = members.map(|fact| (called(gate, &fact), fact)).collect();
        survey.add_group(gate, *count, &by_name, facts, now);
    }
    Some(survey)
}

fn look_up(reference: &Required, namespace: Option<&str>, facts: &dyn CheckFacts) -> Vec<Arc<CheckFact>> {
    let place = match &reference.place {
        CheckNamespace::Fixed(fixed) => Some(fixed.as_str()),
        CheckNamespace::OfRequest => namespace,
    };
    match (&reference.which, place) {
        (Which::Named(name), Some(place)) => facts.named(place, name).into_iter().collect(),
        (Which::Selected(selector), Some(place)) => facts.selected(place, selector),
        (_, None) => Vec::new(),
    }
}

fn called(gate: &Gate, fact: &CheckFact) -> String {
    if gate.key.namespace.is_some() { fact.name.to_string() } else { format!("{}/{}", fact.namespace, fact.name) }
}

/// What is decided for each request, or not looked at by this gate, says nothing of what runs.
fn is_looked_at(gate: &Gate, fact: &CheckFact) -> bool {
    fact.priority <= gate.max_priority && fact.state.reason != passing::PER_REQUEST
}

impl Survey {
    fn add(&mut self, gate: &Gate, fact: Arc<CheckFact>, facts: &dyn CheckFacts, now: Timestamp) {
        // An advisory check refuses no start, and stops nothing.
        if fact.severity != Severity::Required || !is_looked_at(gate, &fact) {
            return;
        }
        let standing = freshness::standing(&fact.state, &fact.basis, facts.freshness(), now);
        if matches!(standing, Standing::Passing | Standing::Warning | Standing::NotApplicable) {
            return;
        }
        let name = called(gate, &fact);
        // A gate that lets starts through although the check fails does not stop what it let through.
        let failing = (standing == Standing::Failing && gate.respond.failing > Response::Warn).then(|| Failing {
            name: name.clone(),
            message: fact.state.message.clone(),
            began: began(&fact.state),
        });
        self.not_passing.insert(name, NotPassing { fact, failing });
    }

    /// Of N of M: it fails once so many fail that the others do not suffice, even if all of them passed.
    fn add_group(&mut self, gate: &Gate, count: usize, of: &BTreeMap<String, Arc<CheckFact>>, facts: &dyn CheckFacts, now: Timestamp) {
        let members: Vec<_> = of
            .iter()
            .filter(|(_, fact)| is_looked_at(gate, fact))
            .map(|(name, fact)| (name, fact, freshness::standing(&fact.state, &fact.basis, facts.freshness(), now)))
            .filter(|(_, _, standing)| *standing != Standing::NotApplicable)
            .collect();
        // What may be about other experiments neither fails nor passes.
        let all = |wanted: fn(Standing) -> bool| members.iter().filter(move |(_, fact, standing)| fact.when.is_none() && wanted(*standing));
        let needed = count.min(members.len());
        let passing = all(|standing| matches!(standing, Standing::Passing | Standing::Warning)).count();
        self.missing |= passing < needed || of.len() < count;
        let mut failing: Vec<(Option<Timestamp>, &str)> =
            all(|standing| standing == Standing::Failing).map(|(name, fact, _)| (began(&fact.state), name.as_str())).collect();
        failing.sort();
        // The one with which the others no longer sufficed.
        let Some((began, _)) = failing.get(members.len() - needed).filter(|_| needed > 0 && gate.respond.failing > Response::Warn) else {
            return;
        };
        let names: Vec<&str> = failing.iter().map(|(_, name)| *name).collect();
        let name = single_line(&format!("atLeast {needed} of {}", members.len()), MAX_MESSAGE_CHARS);
        let message = single_line(&format!("failing: {}", names.join(", ")), MAX_MESSAGE_CHARS);
        self.group = Some(Failing { name, message, began: *began });
    }

    /// Whether nothing fails, whatever the experiment.
    pub fn is_calm(&self) -> bool {
        self.group.is_none() && self.not_passing.values().all(|check| check.failing.is_none())
    }

    /// The checks that fail and certainly apply to an experiment.
    pub(super) fn failing<'a>(&'a self, bindings: &'a Bindings<'a>) -> impl Iterator<Item = &'a Failing> {
        let applies = |when: &Expression| when.evaluate(bindings).unwrap_or(false);
        self.not_passing
            .values()
            .filter(move |check| check.fact.when.as_ref().is_none_or(applies))
            .filter_map(|check| check.failing.as_ref())
            .chain(&self.group)
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
