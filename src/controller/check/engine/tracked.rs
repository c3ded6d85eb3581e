//! What the engine knows of one check, and what can be said of it alone.

use super::super::objects::CheckKey;
use super::super::plan::{CheckPlan, remediation};
use super::super::sources::Reads;
use crate::api::conditions::{READY, Wanted, passing, ready};
use crate::api::{EVALUATE_AT, Override, PreflightCheck, PreflightCheckSpec, PreflightCheckStatus, ReusePolicy, Severity};
use crate::core::coverage::Beat;
use crate::core::freshness::{Basis, Reported, Revision};
use crate::core::gate::OfRequest;
use crate::core::overrides::effective;
use crate::core::packed::Packed;
use crate::core::problem::{Problem, summary};
use crate::core::text::single_line;
use crate::core::verdict::{State, Verdict};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// How long a status that was sent is taken for written although another one was seen since: that may be an earlier one.
const CONTRADICTED_PATIENCE: SignedDuration = SignedDuration::from_secs(5);
/// How long it is taken for written although nothing was seen since.
const SILENT_PATIENCE: SignedDuration = SignedDuration::from_mins(2);
/// Over how long evaluations are spread that were missed while nobody made them.
pub(super) const CATCH_UP: SignedDuration = SignedDuration::from_secs(10);
/// How many prompt evaluations it takes until a check that was overdue is vouched for again: what is slow each time must not be written each time.
pub(super) const PROBATION: u32 = 10;
/// The longest value of the annotation that is kept.
const MAX_REQUEST_CHARS: usize = 256;

/// A check, and what became of it.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) uid: String,
    pub(super) generation: Option<i64>,
    pub(super) labels: Arc<BTreeMap<String, String>>,
    /// The newest revision of the object that is known.
    pub(super) revision: Revision,
    pub(super) severity: Severity,
    pub(super) priority: i32,
    pub(super) suspended: bool,
    pub(super) remediation: Option<Arc<str>>,
    /// The override that is in force.
    pub(super) effective: Option<Box<Override>>,
    /// The whole spec, of a check that has overrides.
    pub(super) spec: Option<Box<PreflightCheckSpec>>,
    pub(super) plan: Result<Arc<CheckPlan>, Vec<Problem>>,
    pub(super) state: Arc<State>,
    pub(super) basis: Basis,
    /// Who decides it for each request, once all that it looks at is there.
    pub(super) of_request: Option<Arc<dyn OfRequest>>,
    pub(super) reads: Reads,
    /// The status as it was last seen.
    pub(super) seen: Option<Packed<PreflightCheckStatus>>,
    /// A status that was sent.
    pub(super) sent: Option<Sent>,
    /// Whether another status was seen since.
    pub(super) contradicted: bool,
    /// The verdict that was last told of.
    pub(super) announced: Option<Verdict>,
    pub(super) settling_until: Timestamp,
    /// The annotation that asks for an evaluation, as it is, and as it was acted upon.
    pub(super) request: Option<String>,
    pub(super) handled: Option<String>,
    /// What is told of a probed check.
    pub(super) probing: Probing,
    /// Where it stands in the agenda.
    pub(super) wake: Option<Timestamp>,
}

/// A status on its way.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) status: Packed<PreflightCheckStatus>,
    pub(super) at: Timestamp,
    pub(super) number: u64,
    pub(super) guard: Revision,
    pub(super) answered: bool,
}

/// The evaluations of a probed check. Instants are of the API server's time.
#[derive(Debug, Default)]
pub(super) struct Probing {
    /// One of its beats.
    pub(super) anchor: Timestamp,
    /// When the next evaluation is due; `None`: not by itself.
    pub(super) due: Option<Timestamp>,
    /// Not before that, although it is due: what was missed is made up for little by little.
    pub(super) not_before: Option<Timestamp>,
    /// The number of the evaluation that runs, and when it began.
    pub(super) running: Option<(u64, Timestamp)>,
    /// Since when an evaluation is overdue, or was.
    pub(super) overdue_since: Option<Timestamp>,
    /// How many prompt evaluations it takes until that is forgotten.
    pub(super) on_probation: u32,
    /// Another leadership wrote the status that is seen.
    pub(super) foreign: bool,
}

impl Probing {
    /// An evaluation is overdue, since then.
    pub(super) fn is_overdue(&mut self, since: Timestamp) {
        self.overdue_since.get_or_insert(since);
        self.on_probation = PROBATION;
    }

    /// The next beat: what is due, unless that was brought forward.
    pub(super) fn next(&self, interval: SignedDuration) -> Option<Timestamp> {
        let beat = Beat { anchor: self.anchor, interval };
        self.due.map(|due| beat.after(due.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(due)))
    }
}

/// The parts of a spec that the engine acts upon, in an environment.
pub(super) struct Parsed {
    pub(super) plan: Result<Arc<CheckPlan>, Vec<Problem>>,
    pub(super) effective: Option<Box<Override>>,
    pub(super) severity: Severity,
    pub(super) priority: i32,
    pub(super) suspended: bool,
    pub(super) remediation: Option<Arc<str>>,
}

impl Parsed {
    pub(super) fn of(spec: &PreflightCheckSpec, environment: Option<&str>) -> Self {
        let (spec, used) = effective(spec, environment);
        let mut problems = Vec::new();
        let plan = CheckPlan::parse(&spec, &mut problems).map(Arc::new).ok_or(problems);
        Self {
            plan,
            effective: used.cloned().map(Box::new),
            severity: spec.severity,
            priority: spec.priority,
            suspended: spec.suspend,
            remediation: remediation(spec.remediation.as_ref()).map(Into::into),
        }
    }
}

impl Check {
    /// When a status that was sent is no longer taken for written: soon if another was seen since, late if the watch is silent. What is
    /// written again for nothing loads the API server just when it is in trouble.
    pub(super) fn doubted_at(&self) -> Option<Timestamp> {
        let patience = if self.contradicted { CONTRADICTED_PATIENCE } else { SILENT_PATIENCE };
        self.sent.as_ref().and_then(|sent| sent.at.checked_add(patience).ok())
    }

    /// The status that is taken for written.
    pub(super) fn written(&self) -> Option<PreflightCheckStatus> {
        self.sent.as_ref().map(|sent| &sent.status).or(self.seen.as_ref()).and_then(Packed::open)
    }

    /// The status that was last seen.
    pub(super) fn seen(&self) -> Option<PreflightCheckStatus> {
        self.seen.as_ref().and_then(Packed::open)
    }

    /// Whether a write is on its way that nobody knows the end of.
    pub(super) fn is_writing(&self) -> bool {
        self.sent.as_ref().is_some_and(|sent| !sent.answered)
    }

    /// Its plan, if it has one and is not suspended.
    pub(super) fn active(&self) -> Option<&Arc<CheckPlan>> {
        self.plan.as_ref().ok().filter(|_| !self.suspended)
    }

    /// Whether it is evaluated by going and looking.
    pub(super) fn is_probed(&self) -> bool {
        self.active().is_some_and(|plan| plan.probed().is_some())
    }

    /// What its status says to a replica that did not observe it.
    pub(super) fn reported(&self, plan: &CheckPlan, status: Option<&PreflightCheckStatus>) -> Reported {
        let forgiven = self.state.reason == passing::THRESHOLD_PENDING;
        let interval = status.and_then(|s| s.interval_seconds).map(|s| SignedDuration::from_secs(i64::from(s)));
        Reported {
            last_passing: status.and_then(|s| s.last_passing_time.as_ref()).map(|t| t.0),
            // As the leader has it: environments may be known to it later, or earlier.
            interval: interval.unwrap_or(plan.interval),
            revision: self.revision,
            term: status.and_then(|s| s.term),
            overdue: interval.is_none() || status.is_some_and(|s| s.overdue_since.is_some()) || forgiven || plan.reuse != ReusePolicy::None,
            stale_after: plan.settings.ages.then_some(plan.settings.stale_after),
        }
    }

    /// Whether what it says now is that it was not run at all.
    pub(super) fn is_blocked(&self) -> bool {
        matches!(self.state.reason, passing::DEPENDENCY_NOT_PASSING | passing::NOT_APPLICABLE | passing::FORBIDDEN | passing::INVALID_SPEC)
    }

    /// How long after it was missed an evaluation is made: always the same for a check, and another for each.
    pub(super) fn spread(&self, interval: SignedDuration) -> SignedDuration {
        let mut hasher = DefaultHasher::new();
        self.uid.hash(&mut hasher);
        let span = u64::try_from(interval.min(CATCH_UP).as_millis()).unwrap_or(0).max(1);
        SignedDuration::from_millis(i64::try_from(hasher.finish() % span).unwrap_or(0))
    }

    pub(super) fn ready(&self) -> Wanted {
        let message = |text: &str| text.to_owned();
        let (status, reason, message) = match (&self.plan, self.state.reason) {
            (Err(problems), _) => (Some(false), ready::INVALID_SPEC, summary(problems)),
            (_, passing::SUSPENDED) => (Some(true), ready::SUSPENDED, message("The check is accepted; its evaluation is suspended")),
            (_, passing::INVALID_SPEC) => (Some(false), ready::INVALID_SPEC, self.state.message.clone()),
            (_, passing::FORBIDDEN) => (Some(false), ready::FORBIDDEN, self.state.message.clone()),
            (_, passing::NEVER_EVALUATED) => (None, ready::PENDING, self.state.message.clone()),
            _ => (Some(true), ready::EVALUATED, message("The check is accepted and evaluated")),
        };
        Wanted { type_: READY, status, reason: reason.to_owned(), message }
    }
}

/// A state before the first evaluation.
pub(super) fn unevaluated(parsed: &Parsed, history: VecDeque<crate::core::verdict::Transition>) -> State {
    match &parsed.plan {
        Err(problems) => State::unevaluated(passing::INVALID_SPEC, &summary(problems), history),
        Ok(_) if parsed.suspended => State::unevaluated(passing::SUSPENDED, "evaluation is suspended (spec.suspend)", history),
        Ok(_) => State::unevaluated(passing::NEVER_EVALUATED, "not evaluated yet", history),
    }
}

/// The annotation that asks for an evaluation.
pub(super) fn request_of(object: &PreflightCheck) -> Option<String> {
    object.annotations().get(EVALUATE_AT).map(|text| single_line(text, MAX_REQUEST_CHARS))
}

pub(super) fn key_of(check: &PreflightCheck) -> CheckKey {
    CheckKey { namespace: check.metadata.namespace.as_deref().unwrap_or_default().into(), name: check.name_any().into() }
}

pub(super) fn revision_of(check: &PreflightCheck) -> Revision {
    Revision::parse(check.metadata.resource_version.as_deref()).unwrap_or_default()
}

/// What to tell of a new state, given the verdict that was last told of: whether it is bad news, and the Event's reason. That a check does not
/// apply is no news.
pub(super) fn announcement(announced: Option<Verdict>, state: &State) -> Option<(bool, &'static str)> {
    state.evaluated_at?;
    match (announced, state.verdict) {
        (Some(old), new) if old == new => None,
        (_, Verdict::Unknown) if matches!(state.reason, passing::NOT_APPLICABLE | passing::PER_REQUEST) => None,
        (_, Verdict::Failing) => Some((true, "CheckFailing")),
        (_, Verdict::Unknown) => Some((true, "CheckUnknown")),
        (Some(Verdict::Failing | Verdict::Unknown), _) => Some((false, "CheckRecovered")),
        _ => None,
    }
}
