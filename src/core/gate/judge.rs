//! What one gate says of a request, or of any request.

use super::cause::{self, Cause, CauseKind, OWN_SPEC, answer};
use super::hold::Hold;
use super::matching::ConditionError;
use super::of_request::{self, Ask};
use super::required::{Found, resolve};
use super::{CheckFact, CheckFacts, Gate, GateKey, Request, at_least};
use crate::api::{FailurePolicy, Mode, Response};
use crate::core::expr::Expression;
use crate::core::freshness::{self, Basis};
use crate::core::verdict::{Standing, State};
use jiff::Timestamp;
use std::cell::Cell;
use std::time::Duration;

/// How many checks that pass are named.
const MAX_PASSING: usize = 20;

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
    /// For how many seconds a client is asked to come back.
    pub hold_seconds: u32,
    /// What it answers.
    pub answer: Response,
    /// What it would answer in mode Enforce.
    pub would_be: Response,
    /// Of an answer that is Hold, or would be if it could: what came of that.
    pub hold: Option<Hold>,
    /// Checks that count against the start, worst first.
    pub causes: Vec<Cause>,
    /// How many required checks there are, missing ones included.
    pub required: usize,
    /// Checks that pass, at most twenty.
    pub passing: Vec<Passed>,
    /// Checks that are left out.
    pub skipped: Skipped,
}

/// A check that passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The check: its name, or namespace/name if it is not of the gate's own namespace.
    pub check: String,
    /// Age of the observation in seconds.
    pub age_seconds: Option<u64>,
    /// The tier of the check; `None`: of several.
    pub priority: Option<i32>,
}

/// How many checks were left out, and why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Their priority is beyond the gate's `maxPriority`: they are not required.
    pub beyond: usize,
    /// They are of a later tier than one that refuses, and `stopAtFirstFailure` is set: of those that count against the start nothing is told.
    pub later: usize,
}

/// What looking at one check came to.
#[derive(Debug)]
pub(super) enum Look {
    /// It is not about this request.
    NotRequired,
    /// Its priority is beyond the gate's.
    Skipped,
    /// It can be told of a request only, and there is none.
    Asks,
    /// It passes.
    Passes(Passed),
    /// It counts against the start.
    Counts(Box<Cause>),
}

/// What a gate says about a start in a namespace now: of a request, or whatever the request is.
pub fn judge(gate: &Gate, namespace: Option<&str>, request: Option<&Request<'_>>, facts: &dyn CheckFacts, now: Timestamp) -> Judgement {
    let eye = Eye { gate, request, facts, now, per_request: Cell::new(false) };
    let mut tally = Tally::default();
    for found in resolve(gate, &gate.checks, namespace, facts) {
        tally.add(eye.look(found));
    }
    if let Some(group) = &gate.at_least {
        let looks = resolve(gate, &group.of, namespace, facts).into_iter().map(|found| eye.look(found)).collect();
        tally.add(at_least::judge(gate, group.count, looks));
    }
    tally.per_request |= eye.per_request.get();
    if tally.required == 0 && tally.skipped.beyond > 0 && !tally.per_request {
        tally.add(Look::Counts(Box::new(nothing_left(gate, tally.skipped.beyond))));
    }
    if let Some(problem) = gate.problems.first() {
        let message = problem.to_string();
        tally.causes.push(Cause { check: OWN_SPEC.to_owned(), message, ..Cause::of(gate, CauseKind::Unknown) });
    }
    tally.causes.sort_by(|a, b| b.response.cmp(&a.response).then(a.kind.cmp(&b.kind)).then_with(|| a.check.cmp(&b.check)));
    if gate.stop_at_first_failure {
        tally.stop_at_first_failure();
    }
    judgement(gate, tally)
}

fn judgement(gate: &Gate, tally: Tally) -> Judgement {
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
        hold_seconds: gate.hold_seconds,
        answer,
        would_be,
        hold: None,
        causes: tally.causes,
        required: tally.required,
        passing: tally.passing,
        skipped: tally.skipped,
    }
}

/// What a gate says that cannot tell whether the request is about it.
pub(super) fn unmatched(gate: &Gate, error: &ConditionError) -> Judgement {
    let message = format!("match condition \"{}\" cannot be evaluated for this object: {}", error.condition, error.error);
    let cause = Cause { check: OWN_SPEC.to_owned(), message, ..Cause::of(gate, CauseKind::Unknown) };
    judgement(gate, Tally { causes: vec![cause], ..Tally::default() })
}

/// A gate that leaves out all of its checks must not open by that.
fn nothing_left(gate: &Gate, beyond: usize) -> Cause {
    let message = format!("none of its {beyond} checks has a priority of {} or less (spec.maxPriority)", gate.max_priority);
    Cause { check: OWN_SPEC.to_owned(), message, ..Cause::of(gate, CauseKind::Missing) }
}

/// Looks at checks for one gate.
struct Eye<'a> {
    gate: &'a Gate,
    request: Option<&'a Request<'a>>,
    facts: &'a dyn CheckFacts,
    now: Timestamp,
    /// Whether a check that counts is about some requests only, and there is none.
    per_request: Cell<bool>,
}

impl Eye<'_> {
    fn look(&self, found: Found) -> Look {
        match found {
            Found::Check { fact, max_age } => self.check(&fact, max_age),
            Found::Absent { what, message } => Look::Counts(Box::new(self.absent(what, message))),
        }
    }

    fn absent(&self, check: String, message: String) -> Cause {
        if self.facts.complete() {
            return Cause { check, message, ..Cause::of(self.gate, CauseKind::Missing) };
        }
        let message = "the operator has just started and has not read all checks yet".to_owned();
        let response = answer(&self.gate.respond, CauseKind::Unknown, true);
        Cause { check, message, response, curable: true, ..Cause::of(self.gate, CauseKind::Unknown) }
    }

    fn check(&self, check: &CheckFact, max_age: Option<Duration>) -> Look {
        // What cannot be told applies.
        let applies = |when: &Expression| self.request.is_none_or(|request| when.evaluate(request.bindings).unwrap_or(true));
        if !check.when.as_ref().is_none_or(applies) {
            return Look::NotRequired;
        }
        if check.priority > self.gate.max_priority {
            return Look::Skipped;
        }
        let asked: State;
        let (state, basis) = match (&check.of_request, self.request) {
            (None, _) => (&*check.state, &check.basis),
            // Nothing is asked, so it can neither pass nor block.
            (Some(_), None) => {
                self.per_request.set(true);
                return Look::Asks;
            }
            (Some(of_request), Some(request)) => {
                let ask = Ask { request, gate: &self.gate.key, now: self.now, world: self.facts.world() };
                asked = of_request::ask(of_request.as_ref(), &ask);
                (&asked, &Basis::Live)
            }
        };
        let (freshness, now) = (self.facts.freshness(), self.now);
        let age = freshness::age(state, basis, freshness, now);
        let too_old = max_age.filter(|max| passed_ago(state, basis, age, now).is_some_and(|ago| ago > *max));
        let check_name = self.gate.calls(&check.namespace, &check.name);
        let kind = match freshness::standing(state, basis, freshness, now) {
            Standing::NotApplicable => return Look::NotRequired,
            Standing::Passing | Standing::Warning if too_old.is_some() => CauseKind::Stale,
            Standing::Passing => {
                let age_seconds = age.map(|age| age.as_secs());
                return Look::Passes(Passed { check: check_name, age_seconds, priority: Some(check.priority) });
            }
            Standing::Warning => CauseKind::Warning,
            Standing::Stale => CauseKind::Stale,
            Standing::Unknown => CauseKind::Unknown,
            Standing::Failing => CauseKind::Failing,
        };
        let mut cause = cause::cause(self.gate, check, (state, basis), check_name, kind, freshness, now);
        if let (Some(max), CauseKind::Stale, true) = (too_old, kind, state.verdict.passes()) {
            let (age, max) = (cause::seconds(cause.age_seconds.unwrap_or(0)), cause::seconds(max.as_secs()));
            cause.message = format!("last evaluated {age} ago, this gate believes it for {max}");
        }
        if check.of_request.is_some() || (self.request.is_none() && check.when.is_some()) {
            self.per_request.set(true);
        }
        if check.of_request.is_some() {
            // It was evaluated for this request, and nothing else will be: there is nothing to wait for.
            cause.age_seconds = None;
        }
        Look::Counts(Box::new(cause))
    }
}

/// How long ago a probed check that passes was observed passing; `None` for a live one. What a threshold forgives was observed, and did not pass.
fn passed_ago(state: &State, basis: &Basis, age: Option<Duration>, now: Timestamp) -> Option<Duration> {
    match basis {
        Basis::Live => None,
        Basis::Observed => {
            Some(state.last_pass.map_or(Duration::MAX, |at| Duration::try_from(now.duration_since(at)).unwrap_or(Duration::ZERO)))
        }
        Basis::Reported(_) => Some(age.unwrap_or(Duration::MAX)),
    }
}

#[derive(Default)]
struct Tally {
    per_request: bool,
    causes: Vec<Cause>,
    required: usize,
    passing: Vec<Passed>,
    skipped: Skipped,
}

impl Tally {
    fn add(&mut self, look: Look) {
        match look {
            Look::NotRequired => return,
            Look::Skipped => {
                self.skipped.beyond += 1;
                return;
            }
            Look::Passes(passed) if self.passing.len() < MAX_PASSING => self.passing.push(passed),
            Look::Asks | Look::Passes(_) => {}
            Look::Counts(cause) => self.causes.push(*cause),
        }
        self.required += 1;
    }

    /// Leaves out what is of a later tier than the first one that refuses. What refuses stays the same: that tier does.
    fn stop_at_first_failure(&mut self) {
        let first = self.causes.iter().filter(|c| c.response == Response::Deny).filter_map(|c| c.priority).min();
        let Some(first) = first else { return };
        let later = |priority: Option<i32>| priority.is_some_and(|priority| priority > first);
        let before = self.causes.len();
        self.causes.retain(|cause| !later(cause.priority));
        self.skipped.later = before - self.causes.len();
        self.passing.retain(|passed| !later(passed.priority));
    }
}
