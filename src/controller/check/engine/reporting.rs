//! What the engine says of a check: to the webhook of this replica at once, and, as the leader, in its status and in Events.

use super::super::objects::CheckKey;
use super::super::plan::When;
use super::tracked::{Check, Sent, announcement};
use super::{Effect, Engine, Leading};
use crate::api::ReusePolicy;
use crate::api::conditions::passing;
use crate::core::check_status::{self, Change, View};
use crate::core::coverage::Mark;
use crate::core::freshness::{Basis, Revision};
use crate::core::gate::CheckFact;
use crate::core::packed::Packed;
use crate::core::verdict::State;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// How soon a write that failed is tried again.
const RETRY: SignedDuration = SignedDuration::from_secs(1);

impl Engine {
    /// A check has a new state: publish it, tell of it, write it, plan the next look.
    pub(super) fn settled(&mut self, key: &CheckKey, state: State, now: Timestamp) {
        self.tell(key, state);
        self.sync_status(key, now);
        self.schedule(key, now);
    }

    /// A check has a new state: publish it, tell of it.
    pub(super) fn tell(&mut self, key: &CheckKey, state: State) {
        let leads = self.leads();
        let Some(check) = self.checks.get_mut(key) else { return };
        let old = std::mem::replace(&mut check.state, Arc::new(state));
        let new = &check.state;
        let same =
            |a: &State, b: &State| (a.verdict, a.reason, a.holds_until, &a.message) == (b.verdict, b.reason, b.holds_until, &b.message);
        let says_the_same = same(&old, new);
        let concerns_others = !says_the_same || old.stale_at != new.stale_at;
        let news = !says_the_same || old.summary != new.summary;
        if let Some((bad, reason)) = announcement(check.announced, new).filter(|_| leads) {
            self.output.effects.push(Effect::Announce(key.clone(), check.uid.clone(), bad, reason, new.message.clone()));
        }
        if new.evaluated_at.is_some() {
            check.announced = Some(new.verdict);
        }
        if news {
            self.publish(key);
        } else {
            self.renew(key);
        }
        if concerns_others {
            self.dirty.extend(self.relations.askers(key).cloned());
        }
    }

    pub(super) fn publish(&mut self, key: &CheckKey) {
        self.output.news = true;
        self.renew(key);
    }

    /// Publishes a fact that says the same as before: it was observed once more.
    pub(super) fn renew(&mut self, key: &CheckKey) {
        let Some(check) = self.checks.get(key) else { return };
        // A check that went and came back in one step is there.
        self.output.removed.retain(|(namespace, name)| *namespace != key.namespace || *name != key.name);
        let when = check.active().and_then(|plan| match &plan.when {
            When::OfRequest(expression) => Some(expression.clone()),
            When::Always | When::Standing(_) => None,
        });
        self.output.facts.push(CheckFact {
            namespace: key.namespace.clone(),
            name: key.name.clone(),
            labels: check.labels.clone(),
            severity: check.severity,
            priority: check.priority,
            remediation: check.remediation.clone(),
            when,
            of_request: check.of_request.clone(),
            state: check.state.clone(),
            basis: check.basis.clone(),
        });
    }

    /// Whether another status should be written than the one that is.
    pub(super) fn is_outdated(&self, check: &Check, now: Timestamp) -> bool {
        check_status::diff(check.written().as_ref(), &self.view(check), now) != Change::Unchanged
    }

    fn view<'a>(&self, check: &'a Check) -> View<'a> {
        let overdue_since = check.probing.overdue_since;
        let plan = check.plan.as_ref().ok();
        let probed = plan.filter(|plan| plan.probed().is_some());
        let unvouched = probed.filter(|plan| overdue_since.is_some() || plan.reuse != ReusePolicy::None);
        View {
            generation: check.generation,
            probe: plan.map(|p| p.probe.name()),
            ready: check.ready(),
            state: &check.state,
            next: match probed {
                Some(plan) => check.probing.next(plan.interval),
                None => check.state.holds_until,
            },
            interval: probed.map(|plan| plan.interval),
            refresh_after: unvouched.map(|p| p.settings.stale_after / 2),
            last_passing: probed.and(check.state.last_pass).map(|at| match check.basis {
                Basis::Reported(_) => at,
                Basis::Live | Basis::Observed => self.server(at),
            }),
            term: match &self.leading {
                Leading::Yes(term, _) => Some(*term),
                Leading::Not | Leading::Soon(..) => None,
            },
            overdue_since,
            effective: check.effective.as_deref(),
            request: check.handled.as_deref(),
        }
    }

    pub(super) fn sync_status(&mut self, key: &CheckKey, now: Timestamp) {
        if !self.leads() {
            return;
        }
        let Some(check) = self.checks.get_mut(key) else { return };
        if check.state.reason == passing::NEVER_EVALUATED && now < check.settling_until {
            return;
        }
        if check.doubted_at().is_some_and(|at| now >= at) {
            check.sent = None;
        }
        let probed = check.is_probed();
        if probed && check.is_writing() {
            return;
        }
        let Some(check) = self.checks.get(key) else { return };
        let unwritten = match &self.leading {
            Leading::Yes(_, coverage) if probed => {
                let held = check.probing.overdue_since.is_some() && coverage.is_exposed(key);
                coverage.unwritten(key) || held
            }
            _ => false,
        };
        if unwritten || self.is_outdated(check, now) {
            self.write(key, now);
        }
        if let Some(at) = self.checks.get(key).and_then(|check| check.doubted_at()) {
            self.wake(key, at);
        }
    }

    /// Sends a status. Of a probed check there is one on its way at most, and only in place of what is known to be there.
    fn write(&mut self, key: &CheckKey, now: Timestamp) {
        let server = self.server(now);
        let Some(check) = self.checks.get_mut(key) else { return };
        let passes = check.state.verdict.passes();
        let forgiven = check.state.reason == passing::THRESHOLD_PENDING;
        let ordinary = check.active().is_some_and(|plan| plan.probed().is_some() && plan.reuse == ReusePolicy::None);
        let probed = check.is_probed();
        if let Leading::Yes(_, coverage) = &mut self.leading
            && probed
            && coverage.write(key, server) == Mark::Overdue
            && passes
            && ordinary
            && !forgiven
            // On probation nothing is vouched for, so that says nothing of this evaluation.
            && check.probing.on_probation == 0
        {
            check.probing.is_overdue(server);
        }
        let Some(check) = self.checks.get(key) else { return };
        let status = check_status::compose(check.written().as_ref(), &self.view(check), now);
        let guard = check.revision;
        self.sent += 1;
        let number = self.sent;
        let Some(check) = self.checks.get_mut(key) else { return };
        check.sent = Some(Sent { status: Packed::of(&status), at: now, number, guard, answered: false });
        check.contradicted = false;
        self.output.effects.push(Effect::Write(key.clone(), number, status, probed.then_some(guard)));
    }

    /// A write ended.
    pub(super) fn written(&mut self, key: &CheckKey, number: u64, revision: Option<Revision>, now: Timestamp) {
        let Some(check) = self.checks.get_mut(key) else { return };
        let Some(sent) = check.sent.as_mut().filter(|sent| sent.number == number) else { return };
        let guard = sent.guard;
        let Some(revision) = revision else {
            check.sent = None;
            if let Leading::Yes(_, coverage) = &mut self.leading {
                coverage.write_failed(key);
            }
            return self.wake(key, now.checked_add(RETRY).unwrap_or(now));
        };
        sent.answered = true;
        let written = check.seen.as_ref() == Some(&sent.status);
        check.revision = check.revision.max(revision);
        if written {
            check.sent = None;
        }
        check.probing.foreign = false;
        if let Leading::Yes(_, coverage) = &mut self.leading {
            coverage.written(key, guard, revision);
        }
        self.sync_status(key, now);
    }
}
