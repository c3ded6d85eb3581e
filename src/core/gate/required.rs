//! Which checks a gate requires, and what is found by that.

use super::{CheckFact, CheckFacts, Gate};
use crate::core::selector::Selector;
use std::sync::Arc;
use std::time::Duration;

/// Where the checks of a reference live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckNamespace {
    /// In this one.
    Fixed(String),
    /// In the request's.
    OfRequest,
}

/// Which checks a reference means.
#[derive(Clone, Debug)]
pub enum Which {
    /// One, by name.
    Named(String),
    /// All with some labels; at least one must exist.
    Selected(Selector),
}

/// A check's namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CheckName {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
}

/// A reference to checks.
#[derive(Clone, Debug)]
pub struct Required {
    /// Where they live.
    pub place: CheckNamespace,
    /// Which they are.
    pub which: Which,
    /// How long ago a probed one may have been observed passing, for this gate.
    pub max_age: Option<Duration>,
}

/// Checks of which some must pass, whichever.
#[derive(Clone, Debug)]
pub struct AtLeast {
    /// How many.
    pub count: usize,
    /// Of which.
    pub of: Vec<Required>,
}

/// What a reference led to.
#[derive(Debug)]
pub(super) enum Found {
    /// A check.
    Check { fact: Arc<CheckFact>, max_age: Option<Duration> },
    /// Nothing: what was looked for, and what to say of it.
    Absent { what: String, message: String },
}

/// What references lead to in a namespace. A check that several find is there once, by the strictest of their ages.
pub(super) fn resolve(gate: &Gate, references: &[Required], namespace: Option<&str>, facts: &dyn CheckFacts) -> Vec<Found> {
    let mut all = Vec::with_capacity(references.len());
    for reference in references {
        let before = all.len();
        match look_up(gate, reference, namespace, facts) {
            Ok(checks) => {
                for fact in checks {
                    add(&mut all, before, fact, reference.max_age);
                }
            }
            Err(absent) => all.push(absent),
        }
    }
    all
}

/// Adds a check, unless one of the first `before` is it. One reference finds each check once.
fn add(all: &mut Vec<Found>, before: usize, fact: Arc<CheckFact>, max_age: Option<Duration>) {
    let earlier = all.iter_mut().take(before).find_map(|found| match found {
        Found::Check { fact: known, max_age } if known.name == fact.name && known.namespace == fact.namespace => Some(max_age),
        _ => None,
    });
    match earlier {
        Some(known) => *known = [*known, max_age].into_iter().flatten().min(),
        None => all.push(Found::Check { fact, max_age }),
    }
}

fn look_up(gate: &Gate, reference: &Required, namespace: Option<&str>, facts: &dyn CheckFacts) -> Result<Vec<Arc<CheckFact>>, Found> {
    let place = match &reference.place {
        CheckNamespace::Fixed(namespace) => Some(namespace.as_str()),
        CheckNamespace::OfRequest => namespace,
    };
    let what = || match &reference.which {
        Which::Named(name) => name.clone(),
        Which::Selected(selector) if selector.selects_all() => "[any]".to_owned(),
        Which::Selected(selector) => format!("[{selector}]"),
    };
    let Some(place) = place else {
        let message = "the object has no namespace in which to look for this check: give the reference a namespace".to_owned();
        return Err(Found::Absent { what: what(), message });
    };
    let absent = |message: String| Err(Found::Absent { what: gate.calls(place, &what()), message });
    match &reference.which {
        Which::Named(name) => match facts.named(place, name) {
            Some(check) => Ok(vec![check]),
            None => absent(format!("there is no PreflightCheck {name} in namespace {place}")),
        },
        Which::Selected(selector) => match facts.selected(place, selector) {
            none if none.is_empty() && selector.selects_all() => absent(format!("there is no PreflightCheck in namespace {place}")),
            none if none.is_empty() => absent(format!("no PreflightCheck in namespace {place} has the labels {selector}")),
            found => Ok(found),
        },
    }
}
