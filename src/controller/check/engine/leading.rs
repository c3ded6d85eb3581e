//! Leading and following: taking over, vouching, and going by what another vouches for. The protocol is in `docs/freshness.md`.

use super::super::objects::CheckKey;
use super::tracked::{CATCH_UP, Check, PROBATION};
use super::{Engine, Item, Leading};
use crate::api::PreflightCheckStatus;
use crate::core::clock_offset::Offset;
use crate::core::coverage::{Beat, Coverage, OVERDUE_AFTER};
use crate::core::freshness::{Basis, Freshness, Watermark};
use jiff::{SignedDuration, Timestamp};

/// How often the leader vouches anew, at least.
const VOUCHED_EVERY: SignedDuration = SignedDuration::from_secs(1);
/// A clock that moved by more than that was set, and what was planned by it is planned again.
const CLOCK_WAS_SET: SignedDuration = SignedDuration::from_millis(500);

impl Engine {
    /// Whether this replica leads is told.
    pub(super) fn take_role(&mut self, leads: Option<(i64, Option<Watermark>)>, now: Timestamp) {
        match (leads, &self.leading) {
            (None, Leading::Not) => {}
            (None, _) => self.follow(now),
            // Another leads already, although this replica was not told yet; or the Lease was made anew and counts from the beginning.
            (Some((term, _)), _) if term < self.latest_term => self.follow(now),
            (Some((term, _)), Leading::Soon(own, _) | Leading::Yes(own, _)) if term == *own => {}
            (Some((term, before)), _) => {
                self.follow(now);
                self.leading = Leading::Soon(term, before);
            }
        }
    }

    fn follow(&mut self, now: Timestamp) {
        // Whoever asks may have been told earlier that this replica leads.
        if !matches!(self.leading, Leading::Not) {
            self.forget_asks();
        }
        self.leading = Leading::Not;
        self.queue.clear();
        let keys: Vec<CheckKey> = self.checks.keys().cloned().collect();
        for key in keys {
            let Some(check) = self.checks.get_mut(&key) else { continue };
            check.probing.running = None;
            check.sent = None;
            if matches!(check.basis, Basis::Observed) {
                check.basis = Basis::Live;
                self.restore_reported(&key, now);
            }
        }
    }

    /// Begins to lead as soon as everything that the leader before wrote was seen, and the clock was measured.
    pub(super) fn begin_leading(&mut self, now: Timestamp) {
        let Leading::Soon(term, before) = &self.leading else { return };
        let (term, before) = (*term, before.clone());
        if !self.complete || self.offset.is_none() {
            return;
        }
        let Some(coverage) = Coverage::begin(term, self.revision, before) else { return };
        self.leading = Leading::Yes(term, coverage);
        self.led_since = Some(now);
        let keys: Vec<CheckKey> = self.checks.keys().cloned().collect();
        for key in keys {
            if let Some(check) = self.checks.get_mut(&key) {
                // What another told of was told, and its history goes on.
                let status = check.seen();
                check.announced = status.filter(|s| s.observed_generation.is_some()).map(|s| s.verdict).or(check.announced);
                check.settling_until = now.checked_add(super::SETTLING).unwrap_or(now);
                if !check.is_probed() {
                    continue_history(check, now);
                }
            }
            self.adopt(&key, now);
            self.sync_status(&key, now);
            self.schedule(&key, now);
        }
    }

    /// Takes a check over into the evaluations of this leadership.
    pub(super) fn adopt(&mut self, key: &CheckKey, now: Timestamp) {
        let server = self.server(now);
        let Leading::Yes(_, coverage) = &mut self.leading else { return };
        let Some(check) = self.checks.get_mut(key).filter(|check| check.is_probed()) else { return };
        let Some(plan) = check.active().cloned() else { return };
        let status = check.seen();
        let status = status.as_ref();
        let next = status.and_then(|s| s.next_evaluation_time.as_ref()).map(|t| t.0);
        let last = status.and_then(|s| s.last_evaluation_time.as_ref()).map(|t| t.0);
        check.probing.anchor = next.or(last).unwrap_or_else(|| Timestamp::from_second(server.as_second()).unwrap_or(server));
        check.probing.overdue_since = status.and_then(|s| s.overdue_since.as_ref()).map(|t| t.0);
        check.probing.on_probation = if check.probing.overdue_since.is_some() { PROBATION } else { 0 };
        let beat = Beat { anchor: check.probing.anchor, interval: plan.interval };
        let passes = check.state.verdict.passes();
        let restored = matches!(&check.basis, Basis::Reported(_)) && check.state.evaluated_at.is_some();
        check.probing.due = match &check.basis {
            Basis::Reported(reported) if restored && passes => {
                let vouched = coverage.adopt(key.clone(), reported, next);
                match next {
                    // Nothing is due by itself: what passed is used again.
                    None if plan.reuse != crate::api::ReusePolicy::None => None,
                    _ => Some(vouched.unwrap_or_else(|| beat.after(last.unwrap_or(server)))),
                }
            }
            _ if restored => Some(beat.after(last.unwrap_or(server))),
            _ => Some(server),
        };
        let requested = check.request.is_some() && check.request != check.handled;
        self.note_foreign(key);
        if requested {
            self.evaluate_now(key, now);
        } else {
            self.beat(key, now);
        }
    }

    /// Remembers the latest leadership that a status names.
    pub(super) fn note_term(&mut self, status: Option<&PreflightCheckStatus>) {
        self.latest_term = self.latest_term.max(status.and_then(|s| s.term).unwrap_or(0));
    }

    /// A passing status that another leadership wrote after this one took over is vouched for by nobody: it has to be written anew.
    pub(super) fn note_foreign(&mut self, key: &CheckKey) {
        let Leading::Yes(term, coverage) = &self.leading else { return };
        let Some(check) = self.checks.get_mut(key) else { return };
        let of_another = |status: PreflightCheckStatus| status.term != Some(*term);
        let since = coverage.since();
        check.probing.foreign = check.revision > since && check.seen().is_none_or(of_another);
    }

    /// What this replica vouches for now.
    pub(super) fn vouch(&mut self, now: Timestamp) {
        let server = self.server(now);
        let Leading::Yes(_, coverage) = &mut self.leading else { return };
        // What was missed before this leadership is being made up for: meanwhile the watermark stands still, and nothing is written for it.
        let patient = self.led_since.is_some_and(|since| now.duration_since(since) < CATCH_UP + OVERDUE_AFTER);
        let late = coverage.overdue(server).filter(|_| !patient);
        let overdue: Vec<(CheckKey, Timestamp)> = late.map(|(key, since)| (key.clone(), since)).collect();
        for (key, since) in overdue {
            let Some(check) = self.checks.get_mut(&key).filter(|check| !check.is_writing()) else { continue };
            check.probing.is_overdue(since);
            self.sync_status(&key, now);
        }
        if let Leading::Yes(_, coverage) = &mut self.leading {
            self.output.vouched = coverage.watermark(server);
            self.last_vouched = Some(now);
        }
    }

    pub(super) fn next_watermark(&self) -> Option<Timestamp> {
        let last = self.last_vouched.filter(|_| self.leads())?;
        last.checked_add(VOUCHED_EVERY).ok()
    }

    /// Goes by the newest watermark whose revision was reached.
    pub(super) fn reach(&mut self) {
        let reached = self.seen_watermark.as_ref().filter(|watermark| watermark.revision <= self.revision && self.complete);
        if reached.is_some() && reached != self.watermark.as_ref() {
            self.watermark = reached.cloned();
            self.output.reached.clone_from(&self.watermark);
        }
    }

    /// The clock was measured.
    pub(super) fn take_clock(&mut self, offset: Offset, now: Timestamp) {
        let old = self.offset.replace(offset);
        if old.is_some_and(|old| (old.earliest - offset.earliest).abs() < CLOCK_WAS_SET) {
            return;
        }
        for (key, check) in &mut self.checks {
            if !check.is_probed() {
                continue;
            }
            if let Some(at) = check.wake.replace(now) {
                self.agenda.remove(&(at, check.priority, Item::Check(key.clone())));
            }
            self.agenda.insert((now, check.priority, Item::Check(key.clone())));
        }
    }

    /// What the engine itself may believe: it is told of a watch that breaks.
    pub(super) fn own_freshness(&self, now: Timestamp) -> Freshness {
        Freshness { proved_at: Some(now), watermark: self.watermark.clone(), offset: self.offset }
    }
}

/// The transitions that were written go before those that only this replica saw.
fn continue_history(check: &mut Check, now: Timestamp) {
    let Some(status) = check.seen().filter(|s| s.observed_generation == check.generation) else { return };
    let limit = check.plan.as_ref().map_or(0, |plan| plan.settings.history_limit);
    let state = std::sync::Arc::make_mut(&mut check.state);
    state.continue_history(crate::core::check_status::transitions(&status), limit, now);
}
