//! The evaluations of probed checks: when they are due, which go first, what came of them. Only the leader makes them.
//!
//! Beats are whole seconds of the API server's time, at an anchor that is kept in the status: they neither drift by what an evaluation takes nor
//! move when another replica takes over. A beat that was missed, because nobody led or the process stood still, is made up for once, and not
//! all at the same instant; one that only had to wait for a place is made as soon as there is one.

use super::super::objects::CheckKey;
use super::super::plan::CheckPlan;
use super::super::sources::{Asker, Found};
use super::tracked::Check;
use super::{Effect, Engine, Leading};
use crate::api::{ReusePolicy, conditions::passing};
use crate::core::check_status::restore;
use crate::core::coverage::{Beat, Evaluated, OVERDUE_AFTER};
use crate::core::freshness::Basis;
use crate::core::observation::Observation;
use crate::core::verdict::{Evaluation, State, settle};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::Duration;

/// An evaluation that is later than that was missed, and not only kept waiting.
const MISSED: SignedDuration = SignedDuration::from_secs(3);

impl Engine {
    /// The API server's time, at the earliest.
    pub(super) fn server(&self, now: Timestamp) -> Timestamp {
        let shift = self.offset.map_or(SignedDuration::ZERO, |offset| offset.earliest);
        now.checked_add(shift).unwrap_or(now)
    }

    /// This replica's time when the API server's is certainly that.
    pub(super) fn local(&self, server: Timestamp) -> Timestamp {
        let shift = self.offset.map_or(SignedDuration::ZERO, |offset| offset.earliest);
        server.checked_sub(shift).unwrap_or(server)
    }

    /// This replica's time when the API server's may be that already.
    pub(super) fn local_at_the_earliest(&self, server: Timestamp) -> Timestamp {
        let shift = self.offset.map_or(SignedDuration::ZERO, |offset| offset.latest);
        server.checked_sub(shift).unwrap_or(server)
    }

    pub(super) fn leads(&self) -> bool {
        matches!(self.leading, Leading::Yes(..))
    }

    /// When a probed check is to be looked at next.
    pub(super) fn next_beat(&self, check: &Check) -> Option<Timestamp> {
        let probing = &check.probing;
        let due = probing.due.filter(|_| self.leads() && probing.running.is_none())?;
        Some(self.local(probing.not_before.unwrap_or(due).max(due)))
    }

    /// A probed check's time has come, for one thing or another.
    pub(super) fn beat(&mut self, key: &CheckKey, now: Timestamp) {
        self.turn_stale(key, now);
        self.sync_status(key, now);
        self.enqueue(key, now);
        self.schedule(key, now);
    }

    fn enqueue(&mut self, key: &CheckKey, now: Timestamp) {
        let server = self.server(now);
        let leads = self.leads();
        let Some(check) = self.checks.get_mut(key).filter(|check| leads && check.is_probed()) else { return };
        let Some(due) = check.probing.due.filter(|due| *due <= server && check.probing.running.is_none()) else { return };
        if check.probing.not_before.is_none() && server.duration_since(due) > MISSED && check.state.evaluated_at.is_some() {
            let interval = check.active().map_or(SignedDuration::ZERO, |plan| plan.interval);
            check.probing.not_before = server.checked_add(check.spread(interval)).ok();
        }
        if check.probing.not_before.is_none_or(|at| at <= server) {
            self.queue.insert((check.priority, due, key.clone()));
        }
    }

    pub(super) fn dequeue(&mut self, key: &CheckKey) {
        let Some(check) = self.checks.get(key) else { return };
        if let Some(due) = check.probing.due {
            self.queue.remove(&(check.priority, due, key.clone()));
        }
    }

    /// Evaluates a check as soon as there is a place, whatever its beat says.
    pub(super) fn evaluate_now(&mut self, key: &CheckKey, now: Timestamp) {
        let server = self.server(now);
        self.dequeue(key);
        let Some(check) = self.checks.get_mut(key) else { return };
        if check.is_probed() {
            check.probing.due = Some(check.probing.due.map_or(server, |due| due.min(server)));
            check.probing.not_before = Some(Timestamp::MIN);
            self.enqueue(key, now);
        }
        self.dirty.insert(key.clone());
    }

    /// What a probed check depends on changed.
    pub(super) fn look_at_probed(&mut self, key: &CheckKey, plan: &CheckPlan, now: Timestamp) {
        if !self.leads() {
            return self.restore_reported(key, now);
        }
        let obstacle = self.obstacle(key, plan, now);
        let Some(check) = self.checks.get(key) else { return };
        let idle = check.probing.running.is_none() && check.state.evaluated_at.is_some();
        let news = match &obstacle {
            Some(Found::Evaluation(Evaluation::Impossible(reason, message))) => {
                check.state.reason != *reason || check.state.message != *message
            }
            Some(_) => false,
            None => check.is_blocked(),
        };
        if idle && news {
            self.evaluate_now_if_new(key, now);
        }
        self.schedule(key, now);
    }

    fn evaluate_now_if_new(&mut self, key: &CheckKey, now: Timestamp) {
        let server = self.server(now);
        if self.checks.get(key).is_some_and(|check| check.probing.due.is_none_or(|due| due > server)) {
            self.evaluate_now(key, now);
            self.dirty.remove(key);
        }
    }

    /// What a check comes to without being run, if it cannot be.
    fn obstacle(&mut self, key: &CheckKey, plan: &CheckPlan, now: Timestamp) -> Option<Found> {
        if let Some(evaluation) = self.hindrance(key, plan, now).instead {
            return Some(Found::Evaluation(evaluation));
        }
        let references = plan.probed().map(|probe| probe.references()).unwrap_or_default();
        let check = self.checks.get_mut(key)?;
        self.sources.may_fetch(Asker { key, plan, now }, &mut check.reads, &references).err()
    }

    /// Begins what is due, as far as there are places.
    pub(super) fn start_probes(&mut self, now: Timestamp) {
        let server = self.server(now);
        let mut waiting = Vec::new();
        while let Some(entry) = self.queue.pop_first() {
            let key = entry.2.clone();
            let Some(check) = self.checks.get(&key).filter(|c| c.probing.running.is_none() && c.probing.due == Some(entry.1)) else {
                continue;
            };
            let Some(plan) = check.active().cloned() else { continue };
            let Some(probe) = plan.probed().cloned() else { continue };
            if self.places.are_full() {
                waiting.push(entry);
                break;
            }
            match self.obstacle(&key, &plan, now) {
                Some(Found::Evaluation(evaluation)) => {
                    self.finish(&key, evaluation, (entry.1, server), Duration::ZERO, now);
                    self.evaluated(&key, None, now);
                    continue;
                }
                // The answer to what was asked will bring it back.
                Some(Found::Waiting(_)) => {
                    waiting.push(entry);
                    continue;
                }
                None => {}
            }
            let Some(check) = self.checks.get_mut(&key) else { continue };
            if !self.places.take(check.priority, &key.namespace, &plan.host) {
                waiting.push(entry);
                continue;
            }
            self.numbers += 1;
            self.running.insert(self.numbers, (key.namespace.clone(), plan.host.clone()));
            check.probing.running = Some((self.numbers, server));
            check.handled.clone_from(&check.request);
            self.output.effects.push(Effect::Probe(key, self.numbers, probe, plan.attempts));
        }
        self.queue.extend(waiting);
    }

    /// A probed evaluation ended.
    pub(super) fn take_observation(&mut self, key: &CheckKey, number: u64, observation: Observation, now: Timestamp) {
        let Some((namespace, host)) = self.running.remove(&number) else { return };
        self.places.give_back(&namespace, &host);
        let Some(check) = self.checks.get_mut(key) else { return };
        let Some((_, began)) = check.probing.running.filter(|(running, _)| *running == number) else { return };
        check.probing.running = None;
        let (Some(plan), Some(due)) = (check.active().cloned(), check.probing.due) else { return };
        self.metrics.observed(plan.probe.name(), observation.outcome.as_str());
        let late = Duration::try_from(began.duration_since(due)).unwrap_or_default();
        self.metrics.evaluated(plan.probe.name(), observation.duration, late);
        let duration = observation.duration;
        self.finish(key, Evaluation::Observed(vec![observation]), (due, began), duration, now);
        self.evaluated(key, Some(number), now);
    }

    /// Takes in what an evaluation came to, and plans the next.
    fn finish(&mut self, key: &CheckKey, evaluation: Evaluation, (due, began): (Timestamp, Timestamp), duration: Duration, now: Timestamp) {
        // What was seen is as old as the beginning of the look.
        let (server, seen_at) = (self.server(now), self.local(began).min(now));
        let Some(check) = self.checks.get_mut(key) else { return };
        let Some(plan) = check.active().cloned() else { return };
        let state = settle(&plan.settings, &check.state, evaluation, duration, seen_at);
        let beat = Beat { anchor: check.probing.anchor, interval: plan.interval };
        let passes = state.verdict.passes();
        let probing = &mut check.probing;
        if server.duration_since(due) < OVERDUE_AFTER {
            probing.on_probation = probing.on_probation.saturating_sub(1);
            if probing.on_probation == 0 {
                probing.overdue_since = None;
            }
        }
        probing.not_before = None;
        probing.due = match plan.reuse {
            ReusePolicy::UntilSpecChanges if passes => None,
            ReusePolicy::ForSeconds if passes => server.checked_add(plan.reuse_for).ok().map(|at| beat.after(at)),
            _ => Some(beat.after(server)),
        };
        self.output.news |= !matches!(check.basis, Basis::Observed);
        check.basis = Basis::Observed;
        let vouched = passes && state.last_pass == Some(seen_at) && plan.reuse == ReusePolicy::None && check.probing.on_probation == 0;
        self.tell(key, state);
        let changed = self.checks.get(key).is_some_and(|check| check.probing.foreign || self.is_outdated(check, now));
        if let Leading::Yes(_, coverage) = &mut self.leading {
            coverage.evaluated(key, Evaluated { began, beat, passed: vouched, changed });
        }
        self.sync_status(key, now);
        self.schedule(key, now);
    }

    /// The state of a check that another replica evaluates, from its status.
    pub(super) fn restore_reported(&mut self, key: &CheckKey, now: Timestamp) {
        let Some(check) = self.checks.get(key).filter(|check| check.is_probed()) else { return };
        if matches!(check.basis, Basis::Observed) && self.leads() {
            return;
        }
        let Some(plan) = check.active().cloned() else { return };
        let status = check.seen();
        let found = status.as_ref().and_then(|status| restore(status, check.generation));
        let history = check.state.history.clone();
        let mut state = found.unwrap_or_else(|| State::unevaluated(passing::NEVER_EVALUATED, "not evaluated yet", history));
        // Whether it applies is for each replica to tell: it needs nothing but what all of them know.
        let hindrance = self.hindrance(key, &plan, now);
        match hindrance.instead {
            Some(Evaluation::Impossible(passing::NOT_APPLICABLE, message)) => {
                state = State::unevaluated(passing::NOT_APPLICABLE, &message, state.history);
                state.holds_until = hindrance.holds_until;
            }
            _ if state.reason == passing::NOT_APPLICABLE => {
                state = State::unevaluated(passing::NEVER_EVALUATED, "it applies again, and is to be evaluated", state.history);
            }
            _ => {}
        }
        let Some(check) = self.checks.get_mut(key) else { return };
        let same = *check.state == state;
        check.state = Arc::new(state);
        let basis = Basis::Reported(check.reported(&plan, status.as_ref()));
        if same && check.basis == basis {
            return;
        }
        check.basis = basis;
        self.publish(key);
        self.dirty.extend(self.relations.askers(key).cloned());
        self.schedule(key, now);
    }
}
