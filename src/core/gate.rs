//! Gates: which requests they hold, and the decision. [`decide`] is pure and total: facts, request, time in; decision out.
//!
//! Several gates may match one request: all are judged, and the strictest answer wins.

mod at_least;
mod cause;
mod facts;
mod hold;
mod judge;
mod matching;
mod of_request;
mod request;
mod required;
mod wish;

pub use cause::{Cause, CauseKind, OWN_SPEC, seconds};
pub use facts::{CheckFact, CheckFacts};
pub use hold::{Digest, Held, Hold, HoldKey, Holds, MAX_HELD_BYTES, NoHolds, Outcome, hold_key, waits};
pub use judge::{Judgement, Passed, Skipped, judge};
pub use of_request::{Ask, OfRequest, Unknown, World};
pub use request::{Request, Resource, User};
pub use required::{AtLeast, CheckName, CheckNamespace, Required, Which};
pub use wish::{Asked, Wish};

use super::expr::Expression;
use super::presets::Presets;
use super::problem::Problem;
use super::run::schedule::Schedule;
use super::selector::Selector;
use crate::api::{DuringRun, FailurePolicy, Mode, Operation, Respond, Response};
use jiff::Timestamp;
use std::cell::OnceCell;
use std::fmt;

/// Which gate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GateKey {
    /// The namespace of an `ExperimentGate`; `None` for a `ClusterExperimentGate`.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl GateKey {
    /// The kind's name.
    pub const fn kind(&self) -> &'static str {
        if self.namespace.is_some() { "ExperimentGate" } else { "ClusterExperimentGate" }
    }

    /// The kind's short name for kubectl.
    pub const fn short_kind(&self) -> &'static str {
        if self.namespace.is_some() { "xgate" } else { "cxgate" }
    }
}

impl fmt::Display for GateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind(), self.name)
    }
}

/// A gate's spec, parsed.
#[derive(Debug)]
pub struct Gate {
    /// Which gate.
    pub key: GateKey,
    /// The object's uid.
    pub uid: String,
    /// The generation of the spec.
    pub generation: Option<i64>,
    /// The resources and operations that it looks at, without those that no gate may hold; sorted.
    pub rules: Vec<(Resource, Operation)>,
    /// Those of them that its rules by hand name; what a start is of them, `start` says.
    pub by_hand: Vec<(Resource, Operation)>,
    /// What its presets hold, and what a start is of that.
    pub presets: Presets,
    /// On the cluster kind: which namespaces.
    pub namespace_selector: Option<Selector>,
    /// Which objects.
    pub object_selector: Option<Selector>,
    /// Further conditions: name and expression.
    pub conditions: Vec<(String, Expression)>,
    /// What a start is, if not every create.
    pub start: Start,
    /// Which checks it requires.
    pub checks: Vec<Required>,
    /// Of these, some are required, whichever.
    pub at_least: Option<AtLeast>,
    /// Checks of a larger priority are not required.
    pub max_priority: i32,
    /// Whether nothing is told of tiers after the first one that refuses.
    pub stop_at_first_failure: bool,
    /// What it does about what it finds.
    pub mode: Mode,
    /// What it does for each way of not passing.
    pub respond: Respond,
    /// For how many seconds a client is asked to come back.
    pub hold_seconds: u32,
    /// What the API server does without the operator, as the spec has it.
    pub failure_policy: FailurePolicy,
    /// What is done about what runs when a check turns Failing.
    pub during_run: DuringRun,
    /// When its checks are evaluated by a run.
    pub schedule: Option<Schedule>,
    /// What cannot work. A gate with problems goes on with what can, and answers each start as `respond.unknown` says: half a gate must not open.
    pub problems: Vec<Problem>,
}

/// What a start is.
#[derive(Debug)]
pub enum Start {
    /// Every create.
    EveryCreate,
    /// What an expression says; what it cannot say is a start.
    When(Expression),
    /// The expression cannot be compiled: every create counts as a start, and no update does (stopping is always allowed).
    Unusable,
}

impl Gate {
    /// The failure policy that is registered. A gate that never refuses must not refuse when the operator is down.
    pub fn effective_failure_policy(&self) -> FailurePolicy {
        match self.mode {
            Mode::Enforce => self.failure_policy,
            Mode::Warn | Mode::Audit => FailurePolicy::Ignore,
        }
    }

    /// Whether it looks for checks in the namespace of each request.
    pub fn depends_on_request(&self) -> bool {
        self.references().any(|reference| reference.place == CheckNamespace::OfRequest)
    }

    /// All references to checks.
    pub fn references(&self) -> impl Iterator<Item = &Required> {
        self.checks.iter().chain(self.at_least.iter().flat_map(|group| &group.of))
    }

    /// What it calls a check.
    fn calls(&self, namespace: &str, name: &str) -> String {
        if self.key.namespace.is_some() { name.to_owned() } else { format!("{namespace}/{name}") }
    }
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// `d-` and ten hexadecimal digits of the request's uid.
    pub id: String,
    /// The strictest answer of all gates.
    pub answer: Response,
    /// What each gate that holds the request says, strictest first.
    pub judgements: Vec<Judgement>,
}

/// Decides on a request. `gates` are those that may hold it; gates that do not are left out of the decision.
pub fn decide<'g>(request: &Request<'_>, gates: impl Iterator<Item = &'g Gate>, facts: &dyn CheckFacts, now: Timestamp) -> Decision {
    let mut judgements: Vec<Judgement> = if request.deleting {
        Vec::new()
    } else {
        gates
            .filter_map(|gate| match gate.holds(request) {
                Ok(false) => None,
                Ok(true) => Some(judge(gate, request.namespace, Some(request), facts, now)),
                Err(error) => Some(judge::unmatched(gate, &error)),
            })
            .collect()
    };
    let digest = OnceCell::new();
    for judgement in judgements.iter_mut().filter(|judgement| judgement.answer == Response::Hold) {
        hold::settle(judgement, &digest, request, facts.holds(), now);
    }
    judgements.sort_by(|a, b| b.answer.cmp(&a.answer).then_with(|| a.gate.cmp(&b.gate)));
    Decision { id: decision_id(request.uid), answer: judgements.first().map_or(Response::Allow, |j| j.answer), judgements }
}

/// The id that log, audit, Event and status share for one request.
pub fn decision_id(uid: &str) -> String {
    let digits: String = uid.chars().filter(char::is_ascii_hexdigit).take(10).collect();
    format!("d-{}", digits.to_ascii_lowercase())
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
