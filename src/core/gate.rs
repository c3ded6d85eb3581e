//! Gates: which requests they hold, and the decision. [`decide`] is pure and total: facts, request, time in; decision out.
//!
//! Several gates may match one request: all are judged, and the strictest answer wins.

use super::expr::{Bindings, Expression};
use super::freshness::{self, Basis, Freshness};
use super::observation::Outcome;
use super::problem::Problem;
use super::selector::Selector;
use super::verdict::{Standing, State, Verdict};
use crate::api::{FailurePolicy, Mode, Operation, Respond, Response, Severity};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

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

/// A resource of the API, or a subresource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Resource {
    /// The API group; empty for the core group.
    pub group: String,
    /// The plural, with a subresource after a slash.
    pub resource: String,
}

/// Where the checks of a reference live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckNamespace {
    /// In this one.
    Fixed(String),
    /// In the request's.
    OfRequest,
}

/// Which checks a gate requires.
#[derive(Clone, Debug)]
pub enum Required {
    /// One, by name.
    Named(CheckNamespace, String),
    /// All with some labels; at least one must exist.
    Selected(CheckNamespace, Selector),
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
    /// The resources and operations that it looks at, without those that no gate may hold.
    pub rules: Vec<(Resource, Operation)>,
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
    /// What it does about what it finds.
    pub mode: Mode,
    /// What it does for each way of not passing.
    pub respond: Respond,
    /// What the API server does without the operator, as the spec has it.
    pub failure_policy: FailurePolicy,
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
        let of_request =
            |r: &Required| matches!(r, Required::Named(CheckNamespace::OfRequest, _) | Required::Selected(CheckNamespace::OfRequest, _));
        self.checks.iter().any(of_request)
    }

    /// Whether a request is a start that this gate is about. `Err` names the condition that could not be evaluated.
    fn holds(&self, request: &Request<'_>, bindings: &Bindings<'_>) -> Result<bool, ConditionError> {
        if !self.rules.iter().any(|(r, op)| *op == request.operation && *r == *request.resource) || !self.selects(request) {
            return Ok(false);
        }
        // As Kubernetes does for the matchConditions of a webhook: one that is false settles it, also if another cannot be evaluated.
        let mut unable = None;
        for (name, condition) in &self.conditions {
            match condition.evaluate(bindings) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) => {
                    unable.get_or_insert_with(|| ConditionError { condition: name.clone(), error: error.to_string() });
                }
            }
        }
        match (unable, self.effective_failure_policy()) {
            (None, _) => Ok(self.starts(request, bindings)),
            (Some(_), FailurePolicy::Ignore) => Ok(false),
            // What certainly starts nothing is not held either.
            (Some(error), FailurePolicy::Fail) => {
                if self.starts(request, bindings) {
                    Err(error)
                } else {
                    Ok(false)
                }
            }
        }
    }

    fn starts(&self, request: &Request<'_>, bindings: &Bindings<'_>) -> bool {
        match &self.start {
            Start::EveryCreate | Start::Unusable => request.operation == Operation::Create,
            Start::When(expression) => expression.evaluate(bindings).unwrap_or(true),
        }
    }

    fn selects(&self, request: &Request<'_>) -> bool {
        let in_namespace = match (&self.key.namespace, request.namespace) {
            (Some(own), namespace) => namespace == Some(own.as_str()),
            (None, None) => true,
            (None, Some(_)) => self.namespace_selector.as_ref().is_none_or(|s| match request.namespace_labels {
                Some(labels) => s.matches(labels),
                // A namespace that was never seen has labels that are not known: it might be selected.
                None => true,
            }),
        };
        in_namespace
            && self
                .object_selector
                .as_ref()
                .is_none_or(|s| s.matches(&request.labels) || request.old_labels.as_ref().is_some_and(|l| s.matches(l)))
    }
}

struct ConditionError {
    condition: String,
    error: String,
}

/// A request to create or update something.
#[derive(Debug)]
pub struct Request<'a> {
    /// The request's uid, from which the decision's id is made.
    pub uid: &'a str,
    /// The resource.
    pub resource: &'a Resource,
    /// The object's kind.
    pub kind: &'a str,
    /// The operation.
    pub operation: Operation,
    /// The object's namespace, if it has one.
    pub namespace: Option<&'a str>,
    /// The object's name, or its generateName with a `*`.
    pub name: &'a str,
    /// Whether nothing will be stored.
    pub dry_run: bool,
    /// Whether the object was being deleted before the request: what finalizers write is never held.
    pub deleting: bool,
    /// The labels of the new object.
    pub labels: BTreeMap<String, String>,
    /// The labels of the old object.
    pub old_labels: Option<BTreeMap<String, String>>,
    /// The labels of the namespace, if it was ever seen.
    pub namespace_labels: Option<&'a BTreeMap<String, String>>,
}

/// A check as gates see it.
#[derive(Debug)]
pub struct CheckFact {
    /// The check's namespace.
    pub namespace: Arc<str>,
    /// The check's name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Whether it can block.
    pub severity: Severity,
    /// What to do when it does not pass, in one line.
    pub remediation: Option<Arc<str>>,
    /// Which requests it is about, if not all.
    pub when: Option<Expression>,
    /// Its settled state.
    pub state: Arc<State>,
    /// Where that comes from.
    pub basis: Basis,
}

/// The checks that are known.
pub trait CheckFacts {
    /// Whether all checks of the cluster are known; if not, one that is not found may well exist.
    fn complete(&self) -> bool;
    /// The check of a name.
    fn named(&self, namespace: &str, name: &str) -> Option<Arc<CheckFact>>;
    /// The checks of a namespace whose labels match.
    fn selected(&self, namespace: &str, selector: &Selector) -> Vec<Arc<CheckFact>>;
    /// What may be believed of what they say.
    fn freshness(&self) -> &Freshness;
}

/// Why a check counts against a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CauseKind {
    /// It fails.
    Failing,
    /// It could not be told.
    Unknown,
    /// It passed, too long ago.
    Stale,
    /// There is none.
    Missing,
    /// It passes with a warning.
    Warning,
}

impl CauseKind {
    /// The word in a status.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failing => "Failing",
            Self::Unknown => "Unknown",
            Self::Stale => "Stale",
            Self::Missing => "Missing",
            Self::Warning => "Warning",
        }
    }

    fn response(self, respond: &Respond) -> Response {
        match self {
            Self::Failing => respond.failing,
            Self::Unknown => respond.unknown,
            Self::Stale => respond.stale,
            Self::Missing => respond.missing,
            Self::Warning => Response::Warn,
        }
    }
}

/// A check that counts against a start, with what a message about it needs.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// The check: its name, or namespace/name if it is not of the gate's own namespace.
    pub check: String,
    /// Why it counts.
    pub kind: CauseKind,
    /// What the gate's `respond` says, before its mode.
    pub response: Response,
    /// The worst target, if one is to blame.
    pub target: Option<String>,
    /// What was found.
    pub message: String,
    /// What was measured, and what was required.
    pub measured: Option<(String, String)>,
    /// Age of the evaluation in seconds.
    pub age_seconds: Option<u64>,
    /// What to do.
    pub remediation: Option<String>,
}

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
pub fn decide<'g>(
    request: &Request<'_>,
    gates: impl Iterator<Item = &'g Gate>,
    bindings: &Bindings<'_>,
    facts: &dyn CheckFacts,
    now: Timestamp,
) -> Decision {
    let mut judgements: Vec<Judgement> = if request.deleting {
        Vec::new()
    } else {
        gates
            .filter_map(|gate| match gate.holds(request, bindings) {
                Ok(false) => None,
                Ok(true) => Some(judge(gate, request.namespace, Some(bindings), facts, now)),
                Err(error) => Some(unmatched(gate, &error)),
            })
            .collect()
    };
    judgements.sort_by(|a, b| b.answer.cmp(&a.answer).then_with(|| a.gate.cmp(&b.gate)));
    Decision { id: decision_id(request.uid), answer: judgements.first().map_or(Response::Allow, |j| j.answer), judgements }
}

/// The id that log, audit, Event and status share for one request.
pub fn decision_id(uid: &str) -> String {
    let digits: String = uid.chars().filter(char::is_ascii_hexdigit).take(10).collect();
    format!("d-{}", digits.to_ascii_lowercase())
}

/// What a gate says about a start in a namespace now: of a request, or whatever the request is.
pub fn judge(gate: &Gate, namespace: Option<&str>, request: Option<&Bindings<'_>>, facts: &dyn CheckFacts, now: Timestamp) -> Judgement {
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

fn unmatched(gate: &Gate, error: &ConditionError) -> Judgement {
    let message = format!("match condition \"{}\" cannot be evaluated for this object: {}", error.condition, error.error);
    let cause = Cause { check: OWN_SPEC.to_owned(), message, ..Cause::of(gate, CauseKind::Unknown) };
    judgement(gate, Tally { causes: vec![cause], ..Tally::default() })
}

impl Cause {
    fn of(gate: &Gate, kind: CauseKind) -> Self {
        Self {
            check: String::new(),
            kind,
            response: kind.response(&gate.respond),
            target: None,
            message: String::new(),
            measured: None,
            age_seconds: None,
            remediation: None,
        }
    }
}

#[derive(Default)]
struct Tally<'a> {
    /// The request, if there is one.
    request: Option<&'a Bindings<'a>>,
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
                Some(check) => self.count(gate, &check, facts.freshness(), now),
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
                    self.count(gate, &check, facts.freshness(), now);
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

    fn count(&mut self, gate: &Gate, check: &CheckFact, freshness: &Freshness, now: Timestamp) {
        let name = qualified(gate, &check.namespace, &check.name);
        if self.seen.contains(&name) {
            return;
        }
        self.seen.push(name.clone());
        // What cannot be told applies.
        let applies = |when: &Expression| self.request.is_none_or(|request| when.evaluate(request).unwrap_or(true));
        if !check.when.as_ref().is_none_or(applies) {
            return;
        }
        self.required += 1;
        let kind = match freshness::standing(&check.state, &check.basis, freshness, now) {
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
        self.per_request |= self.request.is_none() && check.when.is_some();
        self.causes.push(cause(gate, check, name, kind, freshness, now));
    }
}

/// Stands in the place of a check where the gate itself is at fault.
pub const OWN_SPEC: &str = "(this gate's own spec)";
/// How many checks that pass a message may name.
const MAX_PASSING_NAMES: usize = 3;

fn cause(gate: &Gate, check: &CheckFact, name: String, kind: CauseKind, freshness: &Freshness, now: Timestamp) -> Cause {
    let state = &check.state;
    let age_seconds = freshness::age(state, &check.basis, freshness, now).map(|d| d.as_secs());
    let distrust = freshness::distrust(state, &check.basis, freshness, now);
    // What passes is not to blame: a failure may be one of quorum or of thresholds.
    let worst = state.results.first().filter(|o| o.outcome != Outcome::Pass);
    let message = match (kind, state.verdict) {
        _ if distrust.is_some() => distrust.unwrap_or_default(),
        // The last evaluations failed, but not as often as the threshold wants: it is not they that are too old.
        (CauseKind::Stale, Verdict::Unknown) if state.streak.passes == 0 => state.message.clone(),
        (CauseKind::Stale, _) if state.streak.passes == 0 => format!("it last passed too long ago; {}", state.message),
        (CauseKind::Stale, _) => format!(
            "last evaluated {} ago, believed for {}",
            seconds(age_seconds.unwrap_or(0)),
            freshness::believed_for(state, &check.basis).map_or_else(String::new, |d| seconds(d.as_secs())),
        ),
        (CauseKind::Unknown, Verdict::Passing | Verdict::Warning) if state.evaluated_at.is_some_and(|t| t > now) => {
            "it was evaluated in the future: the operator's clock was set back".to_owned()
        }
        (CauseKind::Unknown, Verdict::Passing | Verdict::Warning) => "its answer has just run out and is being renewed".to_owned(),
        _ => state.message.clone(),
    };
    let ceiling = match check.severity {
        Severity::Required => Response::Deny,
        Severity::Advisory => Response::Warn,
    };
    Cause {
        check: name,
        target: worst.map(|o| o.target.clone()),
        message,
        measured: worst.and_then(|o| o.value.clone().zip(o.required.clone())),
        age_seconds,
        remediation: check.remediation.as_deref().map(str::to_owned),
        response: kind.response(&gate.respond).min(ceiling),
        ..Cause::of(gate, kind)
    }
}

/// A duration for people: `12s`, `11m`, `3h`.
pub fn seconds(s: u64) -> String {
    match s {
        0..=119 => format!("{s}s"),
        120..=7199 => format!("{}m", s / 60),
        7200..=172_799 => format!("{}h", s / 3600),
        _ => format!("{}d", s / 86_400),
    }
}

fn qualified(gate: &Gate, namespace: &str, name: &str) -> String {
    if gate.key.namespace.is_some() { name.to_owned() } else { format!("{namespace}/{name}") }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
