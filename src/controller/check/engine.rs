//! The engine of checks: takes in what happened, says what to do. It does nothing itself, so it is tested by telling it things and reading
//! what it wants.
//!
//! Live checks are evaluated the moment a watched object changes, in the same step that takes the change in: the verdict that the webhook
//! reads is a view of the watched objects, kept current by their watch, and never comes from a written status. When time alone can change an
//! answer, the evaluation says until when it holds.
//!
//! Probed checks are due at a steady beat. Where more are due than may run at once, lower priority numbers go first.

mod messages;
mod tracked;

pub use self::messages::{Effect, Input, Output};
use self::tracked::{Check, announcement, history_of, next_beat, word};
use super::live;
use super::objects::{CheckKey, KindKey, KindState, WatchKey, Watched};
use super::plan::{CheckPlan, Which, remediation};
use crate::api::PreflightCheck;
use crate::api::conditions::passing;
use crate::cluster::discovery::Served;
use crate::cluster::watch::Change;
use crate::core::check_status::{self, View};
use crate::core::gate::CheckFact;
use crate::core::observation::Observation;
use crate::core::problem::summary;
use crate::core::verdict::{CLOCK_TOLERANCE, Evaluation, State, Transition, Verdict, settle};
use crate::probe::Plan as ProbePlan;
use crate::telemetry::metrics::Metrics;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

/// How many probed evaluations run at once.
pub const MAX_IN_FLIGHT: usize = 64;
/// How long a check may go without its first evaluation before its status says so.
const SETTLING: SignedDuration = SignedDuration::from_secs(1);
/// How long until the API server is asked again about a kind that it does not serve, or could not tell.
const ASK_AGAIN: SignedDuration = SignedDuration::from_secs(5);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Item {
    Check(CheckKey),
    Kind(KindKey),
    Watch(WatchKey),
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    checks: HashMap<CheckKey, Check>,
    complete: bool,
    watches: HashMap<WatchKey, Watched>,
    kinds: HashMap<KindKey, KindState>,
    agenda: BTreeSet<(Timestamp, i32, Item)>,
    /// Probed checks that are due, by priority.
    queue: BTreeSet<(i32, Timestamp, CheckKey)>,
    in_flight: usize,
    numbers: u64,
    /// Kinds that the agenda will ask about again: each stands there once, however often it is told of.
    asking: BTreeSet<KindKey>,
    /// Watches that may have lost their last check in this step.
    idle: Vec<WatchKey>,
    /// When the last step was.
    last: Timestamp,
    metrics: Metrics,
    output: Output,
}

impl Engine {
    /// An engine that knows nothing yet.
    pub fn new(metrics: Metrics) -> Self {
        Self {
            checks: HashMap::new(),
            complete: false,
            watches: HashMap::new(),
            kinds: HashMap::new(),
            agenda: BTreeSet::new(),
            queue: BTreeSet::new(),
            in_flight: 0,
            numbers: 0,
            asking: BTreeSet::new(),
            idle: Vec::new(),
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
        self.agenda.first().map(|(at, _, _)| *at)
    }

    /// Takes in what happened, does what is due, and says what to do.
    pub fn step(&mut self, inputs: impl IntoIterator<Item = Input>, now: Timestamp) -> Output {
        let mut dirty = BTreeSet::new();
        if self.last.duration_since(now) > CLOCK_TOLERANCE {
            self.clock_was_set_back(now);
        }
        self.last = now;
        for input in inputs {
            self.take(input, now, &mut dirty);
        }
        while let Some((at, _, item)) = self.agenda.first().filter(|(at, _, _)| *at <= now).cloned() {
            self.agenda.pop_first();
            self.due(item, at, now, &mut dirty);
        }
        for key in dirty {
            self.evaluate_live(&key, now);
        }
        self.start_probes(now);
        for watch in std::mem::take(&mut self.idle) {
            if self.watches.get(&watch).is_some_and(Watched::is_idle) {
                self.watches.remove(&watch);
                self.output.effects.push(Effect::Unwatch(watch));
            }
        }
        std::mem::take(&mut self.output)
    }

    /// What was planned by the old clock would come too late: everything is due now. Verdicts of the old clock are not believed until then.
    fn clock_was_set_back(&mut self, now: Timestamp) {
        self.agenda.clear();
        let again = now.checked_add(ASK_AGAIN).unwrap_or(now);
        self.agenda.extend(self.asking.iter().map(|kind| (again, 0, Item::Kind(kind.clone()))));
        for (key, watched) in &mut self.watches {
            watched.clock_was_set_back(now);
            self.agenda.extend(watched.gives_up_at().map(|at| (at, 0, Item::Watch(key.clone()))));
        }
        self.queue.clear();
        for (key, check) in &mut self.checks {
            check.due = check.due.min(now);
            check.settling_until = check.settling_until.min(now);
            if let Some((_, at)) = &mut check.sent {
                *at = now.min(*at);
            }
            check.wake = Some(now);
            self.agenda.insert((now, check.spec.priority, Item::Check(key.clone())));
        }
    }

    fn take(&mut self, input: Input, now: Timestamp, dirty: &mut BTreeSet<CheckKey>) {
        match input {
            Input::Checks(change) => self.take_checks(*change, now, dirty),
            Input::Objects(key, change) => {
                let Some(watched) = self.watches.get_mut(&key) else { return };
                dirty.extend(watched.take(&key.kind, *change, now));
                if let Some(at) = watched.gives_up_at() {
                    self.agenda.insert((at, 0, Item::Watch(key)));
                }
            }
            Input::Kind(kind, answer) => self.take_kind(kind, answer, now, dirty),
            Input::Probed(key, number, observation) => self.take_observation(&key, number, observation, now),
            Input::Unwritten(key) => {
                if let Some(check) = self.checks.get_mut(&key) {
                    check.sent = None;
                    let retry = now.checked_add(SignedDuration::from_secs(1)).unwrap_or(now);
                    self.wake(&key, retry);
                }
            }
        }
    }

    fn take_checks(&mut self, change: Change<PreflightCheck>, now: Timestamp, dirty: &mut BTreeSet<CheckKey>) {
        match change {
            Change::Applied(check) => self.upsert(check, now, dirty),
            Change::Deleted(check) => self.remove(&key_of(&check)),
            Change::Listed(checks) => {
                self.complete = true;
                let listed: BTreeSet<CheckKey> = checks.iter().map(key_of).collect();
                let gone: Vec<CheckKey> = self.checks.keys().filter(|key| !listed.contains(key)).cloned().collect();
                for key in &gone {
                    self.remove(key);
                }
                for check in checks {
                    self.upsert(check, now, dirty);
                }
            }
            Change::Unreadable { namespace, name, error } => {
                tracing::error!(namespace, name, error, "a PreflightCheck cannot be read and counts as missing");
                self.remove(&CheckKey { namespace: namespace.unwrap_or_default(), name });
            }
            Change::Failed { message, .. } => {
                tracing::warn!(error = message, "the watch of PreflightChecks broke and begins again");
                self.metrics.watch_failed("PreflightCheck");
            }
        }
    }

    fn upsert(&mut self, object: PreflightCheck, now: Timestamp, dirty: &mut BTreeSet<CheckKey>) {
        let key = key_of(&object);
        let uid = object.uid().unwrap_or_default();
        match self.checks.get_mut(&key) {
            Some(check) if check.uid == uid && check.generation == object.metadata.generation => {
                let relabelled = check.labels != *object.labels();
                check.labels.clone_from(object.labels());
                check.seen = object.status;
                check.contradicted = check.sent.as_ref().is_some_and(|(sent, _)| check.seen.as_ref() != Some(sent.as_ref()));
                if !check.contradicted {
                    check.sent = None;
                }
                if relabelled {
                    self.publish(&key);
                }
                self.sync_status(&key, now);
            }
            Some(check) if check.uid == uid => {
                let history = check.state.history.clone();
                let (announced, settling_until) = (check.announced, now);
                self.metrics.verdict(&key.namespace, &key.name, Some(word(check.state.verdict)), None);
                self.forget(&key);
                self.insert(&key, object, history, announced, settling_until, now, dirty);
            }
            _ => {
                self.remove(&key);
                let status = object.status.clone().unwrap_or_default();
                let announced = status.observed_generation.map(|_| status.verdict);
                let settling_until = now.checked_add(SETTLING).unwrap_or(now);
                self.insert(&key, object, history_of(&status), announced, settling_until, now, dirty);
            }
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one caller for a new check, one for a new spec")]
    fn insert(
        &mut self,
        key: &CheckKey,
        object: PreflightCheck,
        history: VecDeque<Transition>,
        announced: Option<Verdict>,
        settling_until: Timestamp,
        now: Timestamp,
        dirty: &mut BTreeSet<CheckKey>,
    ) {
        let mut problems = Vec::new();
        let plan = CheckPlan::parse(&object.spec, &mut problems).ok_or(problems);
        let state = match &plan {
            Err(problems) => State::unevaluated(passing::INVALID_SPEC, &summary(problems), history),
            Ok(_) if object.spec.suspend => State::unevaluated(passing::SUSPENDED, "evaluation is suspended (spec.suspend)", history),
            Ok(_) => State::unevaluated(passing::NEVER_EVALUATED, "not evaluated yet", history),
        };
        let runs = plan.is_ok() && !object.spec.suspend;
        self.metrics.verdict(&key.namespace, &key.name, None, Some(word(state.verdict)));
        let check = Check {
            uid: object.uid().unwrap_or_default(),
            generation: object.metadata.generation,
            labels: object.labels().clone(),
            plan,
            state,
            watches: Vec::new(),
            seen: object.status,
            sent: None,
            contradicted: false,
            announced,
            settling_until,
            due: now,
            running: None,
            wake: None,
            spec: object.spec,
        };
        self.checks.insert(key.clone(), check);
        self.publish(key);
        if runs {
            self.subscribe(key);
            dirty.insert(key.clone());
            self.wake(key, now);
        } else {
            self.sync_status(key, now);
        }
    }

    fn subscribe(&mut self, key: &CheckKey) {
        let Some(check) = self.checks.get(key) else { return };
        let Ok(CheckPlan { targets: Some(targets), probe, .. }) = &check.plan else { return };
        let kind = KindKey { api_version: targets.api_version.clone(), kind: targets.kind.clone() };
        let name = match &targets.which {
            Which::Named(name) => Some(name.clone()),
            Which::Selected(_) => None,
        };
        let related = match probe {
            ProbePlan::Live(live) => live.reads(),
            ProbePlan::Probed(_) => Vec::new(),
        };
        let mut wanted = vec![(kind, name)];
        wanted.extend(related.into_iter().map(|r| (KindKey { api_version: r.api_version.to_owned(), kind: r.kind.to_owned() }, None)));
        for (kind, name) in wanted {
            self.subscribe_kind(key, &kind, name.as_deref());
        }
    }

    fn subscribe_kind(&mut self, key: &CheckKey, kind: &KindKey, name: Option<&str>) {
        let served = match self.kinds.get(kind) {
            None => {
                self.kinds.insert(kind.clone(), KindState::Asked);
                self.output.effects.push(Effect::Ask(kind.clone()));
                return;
            }
            Some(KindState::Served(served)) => served.clone(),
            Some(_) => return,
        };
        let watch = WatchKey { kind: kind.clone(), namespace: served.namespaced.then(|| key.namespace.clone()) };
        let effects = &mut self.output.effects;
        let watched = self.watches.entry(watch.clone()).or_insert_with(|| {
            effects.push(Effect::Watch(watch.clone(), served));
            Watched::default()
        });
        watched.subscribe(key, name);
        if let Some(check) = self.checks.get_mut(key).filter(|c| !c.watches.contains(&watch)) {
            check.watches.push(watch);
        }
    }

    fn take_kind(&mut self, kind: KindKey, answer: Result<Option<Served>, String>, now: Timestamp, dirty: &mut BTreeSet<CheckKey>) {
        let again = now.checked_add(ASK_AGAIN).unwrap_or(now);
        let state = match answer {
            Ok(Some(served)) => KindState::Served(served),
            Ok(None) => KindState::Unserved(format!(
                "the cluster serves no kind {} in {}: see `kubectl api-resources`; the check goes on by itself once the kind is there",
                kind.kind, kind.api_version
            )),
            Err(message) => {
                tracing::warn!(api_version = kind.api_version, kind = kind.kind, error = message, "cannot ask the API server about a kind");
                self.ask_again(kind, again);
                return;
            }
        };
        if matches!(state, KindState::Unserved(_)) {
            self.ask_again(kind.clone(), again);
        }
        if self.kinds.insert(kind.clone(), state.clone()) == Some(state) {
            return;
        }
        let concerned: Vec<CheckKey> = self.checks.iter().filter(|(_, c)| c.names(&kind)).map(|(key, _)| key.clone()).collect();
        for key in concerned {
            self.subscribe(&key);
            dirty.insert(key);
        }
    }

    fn ask_again(&mut self, kind: KindKey, at: Timestamp) {
        if self.asking.insert(kind.clone()) {
            self.agenda.insert((at, 0, Item::Kind(kind)));
        }
    }

    fn take_observation(&mut self, key: &CheckKey, number: u64, observation: Observation, now: Timestamp) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let Some(check) = self.checks.get_mut(key).filter(|c| c.running == Some(number)) else { return };
        check.running = None;
        let Ok(plan) = &check.plan else { return };
        let (due, interval, duration) = (check.due, plan.interval, observation.duration);
        check.due = next_beat(due, interval, now);
        self.metrics.observed(plan.probe.name(), observation.outcome.as_str());
        let waited = Duration::try_from(now.duration_since(due)).unwrap_or_default();
        self.metrics.evaluated(plan.probe.name(), duration, waited.saturating_sub(duration));
        let state = settle(&plan.settings, &check.state, Evaluation::Observed(vec![observation]), duration, now);
        self.settled(key, state, now);
    }

    /// Something in the agenda came due.
    fn due(&mut self, item: Item, at: Timestamp, now: Timestamp, dirty: &mut BTreeSet<CheckKey>) {
        match item {
            Item::Watch(key) => dirty.extend(self.watches.get(&key).map(Watched::everyone).unwrap_or_default()),
            Item::Kind(kind) => {
                self.asking.remove(&kind);
                // Only while somebody still asks for it.
                if self.checks.values().any(|c| c.names(&kind)) {
                    self.output.effects.push(Effect::Ask(kind));
                } else {
                    self.kinds.remove(&kind);
                }
            }
            Item::Check(key) => {
                let Some(check) = self.checks.get_mut(&key).filter(|c| c.wake == Some(at)) else { return };
                check.wake = None;
                let Some(plan) = check.active() else { return self.sync_status(&key, now) };
                match &plan.probe {
                    ProbePlan::Live(_) => {
                        dirty.insert(key);
                    }
                    ProbePlan::Probed(_) => {
                        if check.due <= now && check.running.is_none() {
                            self.queue.insert((check.spec.priority, check.due, key.clone()));
                        }
                        self.turn_stale(&key, now);
                        self.sync_status(&key, now);
                        self.schedule(&key, now);
                    }
                }
            }
        }
    }

    fn start_probes(&mut self, now: Timestamp) {
        while self.in_flight < MAX_IN_FLIGHT {
            let Some((_, _, key)) = self.queue.pop_first() else { return };
            let Some(check) = self.checks.get_mut(&key).filter(|c| c.running.is_none() && c.due <= now) else { continue };
            let Ok(CheckPlan { probe: ProbePlan::Probed(probe), attempts, .. }) = &check.plan else { continue };
            self.numbers += 1;
            check.running = Some(self.numbers);
            self.in_flight += 1;
            self.output.effects.push(Effect::Probe(key, self.numbers, probe.clone(), *attempts));
        }
    }

    fn evaluate_live(&mut self, key: &CheckKey, now: Timestamp) {
        let Some(check) = self.checks.get(key) else { return };
        let Some(plan) = check.active() else { return };
        let ProbePlan::Live(probe) = &plan.probe else { return };
        let found = live::evaluate(probe.as_ref(), plan.targets.as_ref(), &key.namespace, &self.kinds, &self.watches, now);
        let state = match found {
            live::Found::Waiting(message) => {
                if check.state.reason == passing::NEVER_EVALUATED {
                    let mut state = check.state.clone();
                    state.message = message;
                    self.settled(key, state, now);
                }
                return self.turn_stale_and_schedule(key, now);
            }
            live::Found::Evaluation(evaluation) => {
                if let Evaluation::Observed(list) = &evaluation {
                    for observation in list {
                        self.metrics.observed(plan.probe.name(), observation.outcome.as_str());
                    }
                }
                settle(&plan.settings, &check.state, evaluation, Duration::ZERO, now)
            }
        };
        self.settled(key, state, now);
    }

    fn turn_stale_and_schedule(&mut self, key: &CheckKey, now: Timestamp) {
        self.turn_stale(key, now);
        self.schedule(key, now);
    }

    /// A passing verdict that nobody renewed is no longer one.
    fn turn_stale(&mut self, key: &CheckKey, now: Timestamp) {
        let Some(check) = self.checks.get(key) else { return };
        let believed = matches!(check.state.verdict, Verdict::Passing | Verdict::Warning);
        if believed && check.state.stale_at.is_some_and(|at| now >= at) {
            let limit = check.plan.as_ref().map_or(0, |p| p.settings.history_limit);
            let state = check.state.turned_stale(now, limit);
            self.settled(key, state, now);
        }
    }

    /// A check has a new state: publish it, tell of it, write it, plan the next look.
    fn settled(&mut self, key: &CheckKey, state: State, now: Timestamp) {
        let Some(check) = self.checks.get_mut(key) else { return };
        let old = std::mem::replace(&mut check.state, state);
        self.metrics.verdict(&key.namespace, &key.name, Some(word(old.verdict)), Some(word(check.state.verdict)));
        if let Some((bad, reason)) = announcement(check.announced, &check.state) {
            let line = check.state.message.clone();
            self.output.effects.push(Effect::Announce(key.clone(), check.uid.clone(), bad, reason, line));
        }
        if check.state.evaluated_at.is_some() {
            check.announced = Some(check.state.verdict);
        }
        self.publish(key);
        self.sync_status(key, now);
        self.schedule(key, now);
    }

    fn publish(&mut self, key: &CheckKey) {
        let Some(check) = self.checks.get(key) else { return };
        // A check that went and came back in one step is there.
        self.output.removed.retain(|(namespace, name)| *namespace != key.namespace || *name != key.name);
        self.output.facts.push(CheckFact {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            labels: check.labels.clone(),
            severity: check.spec.severity,
            remediation: remediation(check.spec.remediation.as_ref()),
            state: check.state.clone(),
        });
    }

    fn schedule(&mut self, key: &CheckKey, now: Timestamp) {
        let Some(check) = self.checks.get(key) else { return };
        let Some(plan) = check.active() else { return };
        let beat = match plan.probe {
            ProbePlan::Live(_) => now.checked_add(plan.interval).ok(),
            ProbePlan::Probed(_) => (check.running.is_none() && check.due > now).then_some(check.due),
        };
        let settling = (check.state.evaluated_at.is_none()).then_some(check.settling_until);
        let next = [beat, check.state.next_change(), settling, check.doubted_at()].into_iter().flatten().filter(|t| *t > now).min();
        if let Some(next) = next {
            self.wake(key, next);
        }
    }

    fn wake(&mut self, key: &CheckKey, at: Timestamp) {
        let Some(check) = self.checks.get_mut(key) else { return };
        let priority = check.spec.priority;
        match check.wake {
            Some(earlier) if earlier <= at => return,
            Some(later) => {
                self.agenda.remove(&(later, priority, Item::Check(key.clone())));
            }
            None => {}
        }
        check.wake = Some(at);
        self.agenda.insert((at, priority, Item::Check(key.clone())));
    }

    fn sync_status(&mut self, key: &CheckKey, now: Timestamp) {
        let Some(check) = self.checks.get_mut(key) else { return };
        if check.state.reason == passing::NEVER_EVALUATED && now < check.settling_until {
            return;
        }
        if check.doubted_at().is_some_and(|at| now >= at) {
            check.sent = None;
        }
        let probed = matches!(&check.plan, Ok(CheckPlan { probe: ProbePlan::Probed(_), .. }));
        let view = View {
            generation: check.generation,
            probe: check.plan.as_ref().ok().map(|p| p.probe.name()),
            ready: check.ready(),
            state: &check.state,
            next: if probed { Some(check.due) } else { check.state.holds_until },
            refresh_after: check.plan.as_ref().ok().filter(|_| probed).map(|p| p.settings.stale_after / 2),
        };
        let written = check.sent.as_ref().map(|(sent, _)| sent.as_ref()).or(check.seen.as_ref());
        if let check_status::Change::Write(status) = check_status::diff(written, &view, now) {
            check.sent = Some((status.clone(), now));
            check.contradicted = false;
            self.output.effects.push(Effect::Write(key.clone(), status));
        }
        if let Some(at) = self.checks.get(key).and_then(Check::doubted_at) {
            self.wake(key, at);
        }
    }

    fn remove(&mut self, key: &CheckKey) {
        if let Some(check) = self.forget(key) {
            self.metrics.verdict(&key.namespace, &key.name, Some(word(check.state.verdict)), None);
            self.output.facts.retain(|fact| fact.namespace != key.namespace || fact.name != key.name);
            self.output.removed.push((key.namespace.clone(), key.name.clone()));
        }
    }

    fn forget(&mut self, key: &CheckKey) -> Option<Check> {
        let check = self.checks.remove(key)?;
        if let Some(at) = check.wake {
            self.agenda.remove(&(at, check.spec.priority, Item::Check(key.clone())));
        }
        self.queue.remove(&(check.spec.priority, check.due, key.clone()));
        for watch in &check.watches {
            if self.watches.get_mut(watch).is_some_and(|w| w.unsubscribe(key)) {
                self.idle.push(watch.clone());
            }
        }
        Some(check)
    }
}

fn key_of(check: &PreflightCheck) -> CheckKey {
    CheckKey { namespace: check.namespace().unwrap_or_default(), name: check.name_any() }
}

#[cfg(test)]
mod tests;
