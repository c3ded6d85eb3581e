//! What one gate says of a request, or of any request.

use super::cause::{self, Cause, CauseKind, OWN_SPEC};
use super::matching::ConditionError;
use super::of_request::{self, Ask};
use super::{CheckFact, CheckFacts, CheckNamespace, Gate, GateKey, Request, Required};
use crate::api::{FailurePolicy, Mode, Response};
use crate::core::expr::Expression;
use crate::core::freshness::{self, Basis};
use crate::core::verdict::{Standing, State};
use jiff::Timestamp;

/// How many checks that pass a message may name.
const MAX_PASSING_NAMES: usize = 3;

/// What one gate says of a request, or of any request.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Which gate.
    pub gate: GateKey,
    /// Its uid.
    pub uid: String,
    /// The generation of its spec.
    pub generation: Option<i64>,
    /// Its mode.
    pub mode: Mode,
    /// The failure policy that it is registered with, which says through which entry it is asked.
    pub failure_policy: FailurePolicy,
    /// Whether it looks for checks in the namespace of each request, so that it is neither open nor closed.
    pub per_request: bool,
    /// What it answers.
    pub answer: Response,
    /// What it would answer in mode Enforce.
    pub would_be: Response,
    /// Checks that count against the start, worst first.
    pub causes: Vec<Cause>,
    /// How many required checks there are, missing ones included.
    pub required: usize,
    /// Names of the checks that pass, at most three.
    pub passing: Vec<String>,
}
/// What a gate says about a start in a namespace now: of a request, or whatever the request is.
pub fn judge(gate: &Gate, namespace: Option<&str>, request: Option<&Request<'_>>, facts: &dyn CheckFacts, now: Timestamp) -> Judgement {
    let mut tally = Tally { request, ..Tally::default() };
    for required in &gate.checks {
        tally.add(gate, required, namespace, facts, now);
    }
    if let Some(problem) = gate.problems.first() {
        let message = problem.to_string();
        tally.causes.push(Cause { check: OWN_SPEC.to_owned(), message, ..Cause::of(gate, CauseKind::Unknown) });
    }
    tally.causes.sort_by(|a, b| b.response.cmp(&a.response).then(a.kind.cmp(&b.kind)).then_with(|| a.check.cmp(&b.check)));
    judgement(gate, tally)
}

fn judgement(gate: &Gate, tally: Tally<'_>) -> Judgement {
    let would_be = tally.causes.iter().map(|c| c.response).max().unwrap_or(Response::Allow);
    let answer = match gate.mode {
        Mode::Enforce => would_be,
        Mode::Warn => would_be.min(Response::Warn),
        Mode::Audit => Response::Allow,
    };
    Judgement {
        gate: gate.key.clone(),
        uid: gate.uid.clone(),
        generation: gate.generation,
        mode: gate.mode,
        failure_policy: gate.effective_failure_policy(),
        per_request: tally.per_request || gate.depends_on_request(),
        answer,
        would_be,
        causes: tally.causes,
        required: tally.required,
        passing: tally.passing,
    }
}

/// What a gate says that cannot tell whether the request is about it.
pub(super) fn unmatched(gate: &Gate, error: &ConditionError) -> Judgement {
    let message = format!("match condition \"{}\" cannot be evaluated for this object: {}", error.condition, error.error);
    let cause = Cause { check: OWN_SPEC.to_owned(), message, ..Cause::of(gate, CauseKind::Unknown) };
    judgement(gate, Tally { causes: vec![cause], ..Tally::default() })
}

#[derive(Default)]
struct Tally<'a> {
    /// The request, if there is one.
    request: Option<&'a Request<'a>>,
    /// Whether a check that counts is about some requests only, and there is none.
    per_request: bool,
    causes: Vec<Cause>,
    required: usize,
    passing: Vec<String>,
    /// A check that several references find counts once.
    seen: Vec<String>,
}

impl Tally<'_> {
    fn add(&mut self, gate: &Gate, required: &Required, namespace: Option<&str>, facts: &dyn CheckFacts, now: Timestamp) {
        let (place, what) = match required {
            Required::Named(place, name) => (place, name.clone()),
            Required::Selected(place, selector) if selector.selects_all() => (place, "[any]".to_owned()),
            Required::Selected(place, selector) => (place, format!("[{selector}]")),
        };
        let place = match place {
            CheckNamespace::Fixed(namespace) => Some(namespace.as_str()),
            CheckNamespace::OfRequest => namespace,
        };
        let Some(place) = place else {
            let message = "the object has no namespace in which to look for this check: give the reference a namespace".to_owned();
            return self.absent(gate, what, message, facts);
        };
        match required {
            Required::Named(_, name) => match facts.named(place, name) {
                Some(check) => self.count(gate, &check, facts, now),
                None => self.absent(
                    gate,
                    qualified(gate, place, name),
                    format!("there is no PreflightCheck {name} in namespace {place}"),
                    facts,
                ),
            },
            Required::Selected(_, selector) => {
                let found = facts.selected(place, selector);
                if found.is_empty() {
                    let message = if selector.selects_all() {
                        format!("there is no PreflightCheck in namespace {place}")
                    } else {
                        format!("no PreflightCheck in namespace {place} has the labels {selector}")
                    };
                    self.absent(gate, qualified(gate, place, &what), message, facts);
                }
                for check in found {
                    self.count(gate, &check, facts, now);
                }
            }
        }
    }

    fn absent(&mut self, gate: &Gate, check: String, message: String, facts: &dyn CheckFacts) {
        self.required += 1;
        self.causes.push(if facts.complete() {
            Cause { check, message, ..Cause::of(gate, CauseKind::Missing) }
        } else {
            let message = "the operator has just started and has not read all checks yet".to_owned();
            Cause { check, message, ..Cause::of(gate, CauseKind::Unknown) }
        });
    }

    fn count(&mut self, gate: &Gate, check: &CheckFact, facts: &dyn CheckFacts, now: Timestamp) {
        let name = qualified(gate, &check.namespace, &check.name);
        if self.seen.contains(&name) {
            return;
        }
        self.seen.push(name.clone());
        // What cannot be told applies.
        let applies = |when: &Expression| self.request.is_none_or(|request| when.evaluate(request.bindings).unwrap_or(true));
        if !check.when.as_ref().is_none_or(applies) {
            return;
        }
        self.required += 1;
        let freshness = facts.freshness();
        let asked: State;
        let (state, basis) = match (&check.of_request, self.request) {
            (None, _) => (&*check.state, &check.basis),
            // Nothing is asked, so it can neither pass nor block.
            (Some(_), None) => {
                self.per_request = true;
                return;
            }
            (Some(of_request), Some(request)) => {
                asked = of_request::ask(of_request.as_ref(), &Ask { request, gate: &gate.key, now, world: facts.world() });
                (&asked, &Basis::Live)
            }
        };
        let kind = match freshness::standing(state, basis, freshness, now) {
            Standing::Passing => {
                if self.passing.len() < MAX_PASSING_NAMES {
                    self.passing.push(name);
                }
                return;
            }
            Standing::NotApplicable => {
                self.required -= 1;
                return;
            }
            Standing::Warning => CauseKind::Warning,
            Standing::Stale => CauseKind::Stale,
            Standing::Unknown => CauseKind::Unknown,
            Standing::Failing => CauseKind::Failing,
        };
        self.per_request |= check.of_request.is_some() || (self.request.is_none() && check.when.is_some());
        let mut cause = cause::cause(gate, check, (state, basis), name, kind, freshness, now);
        if check.of_request.is_some() {
            // It was evaluated for this request, and nothing else will be: there is nothing to wait for.
            cause.age_seconds = None;
        }
        self.causes.push(cause);
    }
}

fn qualified(gate: &Gate, namespace: &str, name: &str) -> String {
    if gate.key.namespace.is_some() { name.to_owned() } else { format!("{namespace}/{name}") }
}
