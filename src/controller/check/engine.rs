//! The engine of checks: takes in what happened, says what to do. It does nothing itself, so it is tested by telling it things and reading
//! what it wants.
//!
//! Live checks are evaluated, in every replica, the moment a watched object changes, in the same step that takes the change in: the verdict that
//! the webhook reads is a view of the watched objects, kept current by their watch, and never comes from a written status. When time alone can
//! change an answer, the evaluation says until when it holds.
//!
//! Probed checks are evaluated by the leader, at a steady beat. Where more are due than may run at once, lower priority numbers go first. The
//! other replicas take their verdicts from the statuses, and believe them as far as the leader's watermark vouches for them.

mod asks;
mod leading;
mod listing;
mod messages;
mod per_request;
mod places;
mod probing;
mod relations;
mod reporting;
mod tracked;

use self::asks::Asks;
pub use self::asks::{Answer, Ticket};
use self::listing::Listing;
pub use self::messages::{Effect, Input, Output};
use self::places::Places;
use self::relations::Relations;
use self::tracked::{Check, Parsed, Probing, key_of, request_of, revision_of, unevaluated};
use super::objects::{CheckKey, KindKey, WatchKey, Watched};
use super::plan::When;
use super::sources::{Asker, Found, Reads, Sources};
use crate::api::PreflightCheck;
use crate::api::conditions::passing;
use crate::cluster::watch::Change;
use crate::core::check_status::{restore, transitions};
use crate::core::clock_offset::Offset;
use crate::core::coverage::Coverage;
use crate::core::freshness::{Basis, Revision, Watermark};
use crate::core::overrides::effective;
use crate::core::packed::Packed;
use crate::core::verdict::{CLOCK_TOLERANCE, Evaluation, State, Transition, Verdict, settle};
use crate::probe::Plan as ProbePlan;
use crate::telemetry::metrics::Metrics;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How long a check may go without its first evaluation before its status says so.
const SETTLING: SignedDuration = SignedDuration::from_secs(1);
/// How often checks that ask about one another are looked at in one step; what is left is looked at in the next.
const MAX_ROUNDS: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Check(CheckKey),
    Kind(KindKey),
    Watch(Box<WatchKey>),
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    checks: BTreeMap<CheckKey, Box<Check>>,
    complete: bool,
    /// Up to which revision the checks were taken in.
    revision: Revision,
    listed_from: Revision,
    listing: Listing,
    sources: Sources,
    relations: Relations,
    agenda: BTreeSet<(Timestamp, i32, Item)>,
    /// Kinds that the agenda will ask about again: each stands there once, however often it is told of.
    asking: BTreeSet<KindKey>,
    /// Live checks to evaluate, probed ones to look at again.
    dirty: BTreeSet<CheckKey>,
    /// Probed checks that are due, by priority.
    queue: BTreeSet<(i32, Timestamp, CheckKey)>,
    places: Places,
    numbers: u64,
    asks: Asks,
    /// How many statuses were sent.
    sent: u64,
    /// The places that evaluations have taken: the namespace and the host of each.
    running: HashMap<u64, (Arc<str>, Arc<str>)>,
    environment: Option<String>,
    offset: Option<Offset>,
    /// The watermark that was seen last, and the last one whose revision was reached.
    seen_watermark: Option<Watermark>,
    watermark: Option<Watermark>,
    leading: Leading,
    /// The latest leadership that a status names.
    latest_term: i64,
    last_vouched: Option<Timestamp>,
    /// When this replica began to lead.
    led_since: Option<Timestamp>,
    /// When the last step was.
    last: Timestamp,
    metrics: Metrics,
    output: Output,
}

/// Whether this replica leads.
#[derive(Debug)]
enum Leading {
    Not,
    /// It does, and has not yet seen all that the one before it wrote.
    Soon(i64, Option<Watermark>),
    Yes(i64, Coverage<CheckKey>),
}

impl Engine {
    /// An engine that knows nothing yet. `environment` is the one of checks whose namespace has no label that says otherwise.
    pub fn new(metrics: Metrics, environment: Option<String>) -> Self {
        Self {
            checks: BTreeMap::new(),
            complete: false,
            revision: Revision::default(),
            listed_from: Revision::default(),
            listing: Listing::default(),
            sources: Sources::new(),
            relations: Relations::default(),
            agenda: BTreeSet::new(),
            asking: BTreeSet::new(),
            dirty: BTreeSet::new(),
            queue: BTreeSet::new(),
            places: Places::default(),
            numbers: 0,
            asks: Asks::default(),
            sent: 0,
            running: HashMap::new(),
            environment,
            offset: None,
            seen_watermark: None,
            watermark: None,
            leading: Leading::Not,
            latest_term: 0,
            last_vouched: None,
            led_since: None,
            last: Timestamp::MIN,
            metrics,
            output: Output::default(),
        }
    }

    /// Whether all checks of the cluster have been read.
    pub fn complete(&self) -> bool {
        self.complete
    }

    /// When to call [`Engine::step`] again if nothing happens.
    pub fn next_wake(&self) -> Option<Timestamp> {
        let planned = self.agenda.first().map(|(at, _, _)| *at);
        let unfinished = (!self.dirty.is_empty()).then_some(self.last);
        [planned, unfinished, self.sources.grants.next_wake(), self.sources.publishing.next_wake(), self.next_watermark()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Takes in what happened, does what is due, and says what to do.
    pub fn step(&mut self, inputs: impl IntoIterator<Item = Input>, now: Timestamp) -> Output {
        if self.last.duration_since(now) > CLOCK_TOLERANCE {
            self.clock_was_set_back(now);
        }
        self.last = now;
        for input in inputs {
            self.take(input, now);
        }
        self.begin_leading(now);
        while let Some((at, _, item)) = self.agenda.first().filter(|(at, _, _)| *at <= now).cloned() {
            self.agenda.pop_first();
            self.due(item, at, now);
        }
        for _ in 0..MAX_ROUNDS {
            if self.dirty.is_empty() {
                break;
            }
            for key in std::mem::take(&mut self.dirty) {
                self.look_at(&key, now);
            }
        }
        self.pursue_asks(now);
        self.start_probes(now);
        self.vouch(now);
        self.sources.end_idle();
        let mut output = std::mem::take(&mut self.output);
        output.watched = self.sources.publishing.copy(&self.sources.watches, now);
        output.effects.extend(self.sources.grants.questions(now).into_iter().map(Effect::Authorize));
        output.effects.append(&mut self.sources.effects);
        output.latest_term = self.latest_term;
        output
    }

    /// What was planned by the old clock would come too late: everything is looked at now. Verdicts of the old clock are not believed until then.
    fn clock_was_set_back(&mut self, now: Timestamp) {
        let server = self.server(now);
        self.queue.clear();
        let kinds = std::mem::take(&mut self.asking);
        self.agenda.clear();
        for kind in kinds {
            self.ask_again(kind, now);
        }
        for (key, watched) in &mut self.sources.watches {
            watched.clock_was_set_back(now);
            self.agenda.extend(watched.gives_up_at().map(|at| (at, 0, Item::Watch(Box::new(key.clone())))));
        }
        self.sources.grants.clock_was_set_back(now);
        self.sources.publishing.clock_was_set_back(now);
        for (key, check) in &mut self.checks {
            check.settling_until = check.settling_until.min(now);
            check.probing.due = check.probing.due.map(|due| due.min(server));
            if let Some(sent) = &mut check.sent {
                sent.at = now.min(sent.at);
            }
            check.wake = Some(now);
            self.agenda.insert((now, check.priority, Item::Check(key.clone())));
        }
    }

    fn take(&mut self, input: Input, now: Timestamp) {
        match input {
            Input::SomeChecks(checks) => self.take_listed(checks, now),
            Input::Checks(change) => self.take_checks(*change, now),
            Input::ListedFrom(revision) => self.listed_from = revision,
            Input::Objects(key, change) => {
                self.sources.publishing.note(&key, &change, now);
                let Some(watched) = self.sources.watches.get_mut(&key) else { return };
                self.dirty.extend(watched.take(&key.kind, *change, now));
                if let Some(at) = watched.gives_up_at() {
                    self.agenda.insert((at, 0, Item::Watch(Box::new(key))));
                }
            }
            Input::Kind(kind, answer) => {
                let (concerned, again) = self.sources.take_kind(&kind, answer, now);
                self.dirty.extend(concerned);
                if let Some(at) = again {
                    self.ask_again(kind, at);
                }
            }
            Input::Allowed(access, answer) => self.dirty.extend(self.sources.grants.answer(&access, answer, now)),
            Input::Namespaces(namespaces) => {
                self.sources.take_namespaces(namespaces);
                self.namespaces_changed(now);
            }
            Input::Probed(key, number, observation) => self.take_observation(&key, number, observation, now),
            Input::Written(key, number, revision) => self.written(&key, number, revision, now),
            Input::Leads(leads) => self.take_role(leads, now),
            Input::Watermark(watermark) => {
                self.seen_watermark = watermark;
                self.reach();
            }
            Input::Clock(offset) => self.take_clock(offset, now),
            Input::Evaluate(key, ticket) => self.ask(key, ticket),
            Input::Withdraw(number) => self.withdraw(number),
        }
    }

    fn take_checks(&mut self, change: Change<PreflightCheck>, now: Timestamp) {
        match change {
            Change::Applied(check) => {
                self.revision = self.revision.max(revision_of(&check));
                self.upsert(check, now);
            }
            Change::Deleted(check) => {
                self.revision = self.revision.max(revision_of(&check));
                self.remove(&key_of(&check));
            }
            Change::Listed(rest) => self.end_list(rest, now),
            Change::Unreadable { namespace, name, error } => {
                tracing::error!(namespace, name, error, "a PreflightCheck cannot be read and counts as missing");
                self.remove(&CheckKey { namespace: namespace.unwrap_or_default().into(), name: name.into() });
            }
            Change::Failed { message, .. } => {
                tracing::warn!(error = message, "the watch of PreflightChecks broke and begins again");
                self.listing = Listing::default();
                self.metrics.watch_failed("PreflightCheck");
            }
        }
        self.reach();
    }

    fn upsert(&mut self, object: PreflightCheck, now: Timestamp) {
        let key = key_of(&object);
        let uid = object.uid().unwrap_or_default();
        match self.checks.get_mut(&key) {
            Some(check) if check.uid == uid && check.generation == object.metadata.generation => self.refresh(&key, &object, now),
            Some(check) if check.uid == uid => {
                let history = check.state.history.clone();
                let (announced, sent) = (check.announced, check.sent.take());
                self.forget(&key);
                self.insert(&key, object, history, announced, now, now);
                // What is on its way may still arrive.
                if let Some(check) = self.checks.get_mut(&key) {
                    check.sent = sent;
                }
            }
            _ => {
                self.remove(&key);
                let status = object.status.as_ref();
                let announced = status.filter(|s| s.observed_generation.is_some()).map(|s| s.verdict);
                let history = status.map(transitions).unwrap_or_default();
                let settling_until = now.checked_add(SETTLING).unwrap_or(now);
                self.insert(&key, object, history, announced, settling_until, now);
            }
        }
    }

    /// The object is another, and its spec the same.
    fn refresh(&mut self, key: &CheckKey, object: &PreflightCheck, now: Timestamp) {
        self.note_term(object.status.as_ref());
        let Some(check) = self.checks.get_mut(key) else { return };
        let relabelled = *check.labels != *object.labels();
        if relabelled {
            check.labels = Arc::new(object.labels().clone());
        }
        check.revision = check.revision.max(revision_of(object));
        let request = request_of(object);
        let requested = request.is_some() && request != check.request && request != check.handled;
        check.request = request;
        check.seen = object.status.as_ref().map(Packed::of);
        let sent = check.sent.as_ref();
        check.contradicted = sent.is_some_and(|sent| check.seen.as_ref() != Some(&sent.status));
        if !check.contradicted && sent.is_some_and(|sent| sent.answered) {
            check.sent = None;
        }
        self.note_foreign(key);
        if requested {
            self.evaluate_now(key, now);
        }
        if relabelled {
            self.publish(key);
            self.dirty.extend(self.relations.askers(key).cloned());
        }
        self.restore_reported(key, now);
        self.sync_status(key, now);
    }

    fn insert(
        &mut self,
        key: &CheckKey,
        object: PreflightCheck,
        history: VecDeque<Transition>,
        announced: Option<Verdict>,
        settling_until: Timestamp,
        now: Timestamp,
    ) {
        let parsed = Parsed::of(&object.spec, self.environment_of(&key.namespace).as_deref());
        let mut state = unevaluated(&parsed, history);
        // A check that failed, and has not passed for long enough since, is not taken for recovered because a replica starts.
        let written = object.status.as_ref().and_then(|status| restore(status, object.metadata.generation));
        state.recovering = written.is_some_and(|written| written.recovering);
        let (request, revision) = (request_of(&object), revision_of(&object));
        let labels = object.metadata.labels.clone().unwrap_or_default();
        let check = Check {
            uid: object.metadata.uid.unwrap_or_default(),
            generation: object.metadata.generation,
            labels: Arc::new(labels),
            revision,
            severity: parsed.severity,
            priority: parsed.priority,
            suspended: parsed.suspended,
            remediation: parsed.remediation,
            effective: parsed.effective,
            spec: (!object.spec.overrides.is_empty()).then(|| Box::new(object.spec)),
            plan: parsed.plan,
            state: Arc::new(state),
            basis: Basis::Live,
            of_request: None,
            reads: Reads::default(),
            handled: object.status.as_ref().and_then(|s| s.evaluated_at_request.clone()),
            seen: object.status.as_ref().map(Packed::of),
            sent: None,
            contradicted: false,
            announced,
            settling_until,
            request,
            probing: Probing::default(),
            wake: None,
        };
        self.note_term(object.status.as_ref());
        self.relations.enter(key, check.plan.as_deref().ok());
        let active = check.active().is_some();
        self.checks.insert(key.clone(), Box::new(check));
        self.publish(key);
        self.dirty.extend(self.relations.askers(key).cloned());
        if !active {
            if let Leading::Yes(_, coverage) = &mut self.leading {
                coverage.forget(key, revision);
            }
            return self.sync_status(key, now);
        }
        self.restore_reported(key, now);
        self.adopt(key, now);
        self.dirty.insert(key.clone());
        self.wake(key, settling_until);
    }

    /// Environments may be others.
    fn namespaces_changed(&mut self, now: Timestamp) {
        let reads_namespaces =
            |check: &Check| check.active().is_some_and(|plan| matches!(plan.when, When::Standing(_)) || plan.looks_elsewhere());
        self.dirty.extend(self.checks.iter().filter(|(_, check)| reads_namespaces(check)).map(|(key, _)| key.clone()));
        let elsewhere = self.checks.iter().filter_map(|(key, check)| {
            let spec = check.spec.as_deref()?;
            let environment = self.environment_of(&key.namespace);
            let (_, used) = effective(spec, environment.as_deref());
            (used != check.effective.as_deref()).then(|| (key.clone(), Parsed::of(spec, environment.as_deref())))
        });
        for (key, parsed) in elsewhere.collect::<Vec<_>>() {
            self.replace_plan(&key, parsed, now);
        }
    }

    /// Another environment's values are in force for a check: it begins anew.
    fn replace_plan(&mut self, key: &CheckKey, parsed: Parsed, now: Timestamp) {
        self.cancel_wake(key);
        self.dequeue(key);
        let Some(check) = self.checks.get_mut(key) else { return };
        let state = unevaluated(&parsed, check.state.history.clone());
        let old = std::mem::replace(&mut check.plan, parsed.plan);
        check.of_request = None;
        check.effective = parsed.effective;
        check.severity = parsed.severity;
        check.priority = parsed.priority;
        check.suspended = parsed.suspended;
        check.remediation = parsed.remediation;
        self.relations.leave(key, old.as_deref().ok());
        self.relations.enter(key, check.plan.as_deref().ok());
        self.settled(key, state, now);
        self.evaluate_now(key, now);
    }

    fn ask_again(&mut self, kind: KindKey, at: Timestamp) {
        if self.asking.insert(kind.clone()) {
            self.agenda.insert((at, 0, Item::Kind(kind)));
        }
    }

    /// Something in the agenda came due.
    fn due(&mut self, item: Item, at: Timestamp, now: Timestamp) {
        match item {
            Item::Watch(key) => self.dirty.extend(self.sources.watches.get(&key).map(Watched::everyone).unwrap_or_default()),
            Item::Kind(kind) => {
                self.asking.remove(&kind);
                self.sources.ask_again(&kind);
            }
            Item::Check(key) => {
                let Some(check) = self.checks.get_mut(&key).filter(|c| c.wake == Some(at)) else { return };
                check.wake = None;
                match check.active().map(|plan| plan.probed().is_some()) {
                    None => self.sync_status(&key, now),
                    Some(false) => {
                        self.dirty.insert(key);
                    }
                    Some(true) => self.beat(&key, now),
                }
            }
        }
    }

    /// A check may be worth something else than before.
    fn look_at(&mut self, key: &CheckKey, now: Timestamp) {
        let Some(plan) = self.checks.get(key).and_then(|check| check.active()).cloned() else { return };
        if let Some(probe) = plan.per_request() {
            return self.look_at_per_request(key, &plan, probe, now);
        }
        match &plan.probe {
            ProbePlan::Probed(_) => self.look_at_probed(key, &plan, now),
            ProbePlan::Live(probe) => {
                let hindrance = self.hindrance(key, &plan, now);
                let members = self.members(key, &plan, now);
                let members_hold = members.iter().filter_map(|m| m.holds_until).min();
                let found = if let Some(evaluation) = hindrance.instead {
                    Found::Evaluation(evaluation)
                } else {
                    let Some(check) = self.checks.get_mut(key) else { return };
                    self.sources.evaluate(Asker { key, plan: &plan, now }, probe.as_ref(), &mut check.reads, &members)
                };
                let holds_until = [hindrance.holds_until, members_hold].into_iter().flatten().min();
                self.take_live(key, found, holds_until, now);
            }
        }
    }

    fn take_live(&mut self, key: &CheckKey, found: Found, holds_until: Option<Timestamp>, now: Timestamp) {
        let Some(check) = self.checks.get_mut(key) else { return };
        let Ok(plan) = check.plan.clone() else { return };
        let evaluation = match found {
            Found::Evaluation(evaluation) => evaluation,
            Found::Waiting(message) => {
                if check.state.reason == passing::NEVER_EVALUATED && check.state.message != message {
                    let state = State { message, ..State::clone(&check.state) };
                    self.settled(key, state, now);
                }
                self.turn_stale(key, now);
                self.sync_status(key, now);
                return self.schedule(key, now);
            }
        };
        if let Evaluation::Observed(list) = &evaluation {
            for observation in list {
                self.metrics.observed(plan.probe.name(), observation.outcome.as_str());
            }
        }
        check.handled.clone_from(&check.request);
        let mut state = settle(&plan.settings, &check.state, evaluation, Duration::ZERO, now);
        state.holds_until = [state.holds_until, holds_until].into_iter().flatten().min();
        self.settled(key, state, now);
    }

    /// A passing verdict that nobody renewed is no longer one. What another replica observed is judged by the watermark, each time it is asked for.
    fn turn_stale(&mut self, key: &CheckKey, now: Timestamp) {
        let Some(check) = self.checks.get(key) else { return };
        let believed = check.state.verdict.passes() && !matches!(check.basis, Basis::Reported(_));
        if believed && check.state.stale_at.is_some_and(|at| now >= at) {
            let limit = check.plan.as_ref().map_or(0, |p| p.settings.history_limit);
            let state = check.state.turned_stale(now, limit);
            self.settled(key, state, now);
        }
    }

    fn schedule(&mut self, key: &CheckKey, now: Timestamp) {
        let Some(check) = self.checks.get(key) else { return };
        let Some(plan) = check.active() else { return };
        let beat = if plan.probed().is_some() {
            self.next_beat(check)
        } else {
            // Thresholds count evaluations, so there must be some while one is pending.
            (check.state.reason == passing::THRESHOLD_PENDING).then(|| now.checked_add(plan.interval).ok()).flatten()
        };
        let settling = (check.state.evaluated_at.is_none()).then_some(check.settling_until);
        let next = [beat, check.state.next_change(), settling, check.doubted_at()].into_iter().flatten().filter(|t| *t > now).min();
        if let Some(next) = next {
            self.wake(key, next);
        }
    }

    fn wake(&mut self, key: &CheckKey, at: Timestamp) {
        if self.checks.get(key).is_none_or(|check| check.wake.is_some_and(|earlier| earlier <= at)) {
            return;
        }
        self.cancel_wake(key);
        let Some(check) = self.checks.get_mut(key) else { return };
        check.wake = Some(at);
        self.agenda.insert((at, check.priority, Item::Check(key.clone())));
    }

    fn cancel_wake(&mut self, key: &CheckKey) {
        let Some(check) = self.checks.get_mut(key) else { return };
        if let Some(at) = check.wake.take() {
            self.agenda.remove(&(at, check.priority, Item::Check(key.clone())));
        }
    }

    fn remove(&mut self, key: &CheckKey) {
        let askers: Vec<CheckKey> = self.relations.askers(key).cloned().collect();
        if self.forget(key) {
            self.output.facts.retain(|fact| fact.namespace != key.namespace || fact.name != key.name);
            self.output.removed.push((key.namespace.clone(), key.name.clone()));
            if let Leading::Yes(_, coverage) = &mut self.leading {
                coverage.forget(key, self.revision);
            }
            self.dirty.extend(askers);
        }
    }

    /// Returns whether there was such a check.
    fn forget(&mut self, key: &CheckKey) -> bool {
        self.cancel_wake(key);
        self.dequeue(key);
        let Some(mut check) = self.checks.remove(key) else { return false };
        self.relations.leave(key, check.plan.as_deref().ok());
        self.sources.release(key, &mut check.reads);
        true
    }
}

#[cfg(test)]
mod tests;
