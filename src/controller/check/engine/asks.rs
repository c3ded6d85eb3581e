//! Evaluations that somebody waits for: made now, and told of when they are there.
//!
//! What a live check says is a view of what is watched, so it is told at once. A probed one is evaluated, unless an evaluation is under way, or was
//! just made, or need not be made because it passed (`reuse`); all of that counts for nothing if the evaluation is forced.

use super::super::objects::CheckKey;
use super::Engine;
use crate::api::{ReusePolicy, conditions::passing};
use crate::core::freshness::Basis;
use crate::core::verdict::State;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;

/// An evaluation that is not older than that is as good as a new one: many runs at once cost no more than one.
const JUST_MADE: SignedDuration = SignedDuration::from_secs(1);

/// Who waits for an evaluation, and for which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Whoever asks makes it up; the answer has the same.
    pub number: u64,
    /// Whether it has to begin after it was asked for.
    pub force: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The number of the ticket.
    pub number: u64,
    /// The check.
    pub check: CheckKey,
    /// Its state, and where that comes from; `None`: there is no such check (any longer).
    pub found: Option<(Arc<State>, Basis)>,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    /// Evaluations up to this one began before.
    after: u64,
    /// Whether something was done about it.
    pursued: bool,
}

/// All who wait.
#[derive(Debug, Default)]
pub(super) struct Asks(BTreeMap<CheckKey, Vec<Waiting>>);

impl Engine {
    pub(super) fn ask(&mut self, key: CheckKey, ticket: Ticket) {
        let waiting = Waiting { ticket, after: self.numbers, pursued: false };
        self.asks.0.entry(key).or_default().push(waiting);
    }

    /// Nobody waits with these tickets any longer.
    pub(super) fn withdraw(&mut self, number: u64) {
        self.asks.0.retain(|_, all| {
            all.retain(|waiting| waiting.ticket.number != number);
            !all.is_empty()
        });
    }

    /// This replica leads no longer: whoever waits does, too.
    pub(super) fn forget_asks(&mut self) {
        self.asks = Asks::default();
    }

    #[cfg(test)]
    pub(super) fn asks_are_empty(&self) -> bool {
        self.asks.0.is_empty()
    }

    /// Does what can be done for those who wait: answers, or evaluates.
    pub(super) fn pursue_asks(&mut self, now: Timestamp) {
        if self.asks.0.is_empty() || !self.leads() {
            return;
        }
        let keys: Vec<CheckKey> = self.asks.0.keys().cloned().collect();
        for key in keys {
            let Some(check) = self.checks.get(&key) else {
                self.answer(&key, None);
                continue;
            };
            let standing = !check.is_probed();
            // A verdict that comes before the first look is none.
            if standing && (check.active().is_none() || check.state.reason != passing::NEVER_EVALUATED) {
                self.answer(&key, None);
            } else if !standing {
                self.pursue(&key, now);
            }
        }
    }

    fn pursue(&mut self, key: &CheckKey, now: Timestamp) {
        let server = self.server(now);
        let Some(check) = self.checks.get(key) else { return };
        let state = &check.state;
        let observed = matches!(check.basis, Basis::Observed);
        let just_made = observed && state.evaluated_at.is_some_and(|at| now.duration_since(at).abs() <= JUST_MADE);
        let reuse = check.active().map_or(ReusePolicy::None, |plan| plan.reuse);
        let reusable = reuse != ReusePolicy::None && state.verdict.passes() && check.probing.due.is_none_or(|due| due > server);
        let runs = check.probing.running.is_some();
        let good = (just_made || reusable) && !runs;
        let Some(all) = self.asks.0.get_mut(key) else { return };
        let mut evaluate = false;
        for waiting in all.iter_mut().filter(|waiting| !waiting.pursued) {
            waiting.pursued = waiting.ticket.force || !good;
            evaluate |= waiting.pursued;
        }
        if good {
            self.answer(key, Some(0));
        }
        if evaluate && !runs {
            self.evaluate_now(key, now);
        }
    }

    /// A probed check was evaluated; `number` is that of the evaluation, or `None` if it came to something without one.
    pub(super) fn evaluated(&mut self, key: &CheckKey, number: Option<u64>, now: Timestamp) {
        if !self.asks.0.contains_key(key) {
            return;
        }
        self.answer(key, Some(number.unwrap_or(u64::MAX)));
        if self.asks.0.contains_key(key) {
            self.evaluate_now(key, now);
        }
    }

    /// Answers those who wait for an evaluation of this number or an earlier one; `None`: all.
    fn answer(&mut self, key: &CheckKey, number: Option<u64>) {
        let found = self.checks.get(key).map(|check| (check.state.clone(), check.basis.clone()));
        let Some(all) = self.asks.0.remove(key) else { return };
        let content = |waiting: &Waiting| match number {
            None => true,
            // Nothing was evaluated: what there is serves who can do with it.
            Some(0) => !waiting.pursued,
            Some(number) => !waiting.ticket.force || number > waiting.after,
        };
        let (answered, left): (Vec<_>, Vec<_>) = all.into_iter().partition(content);
        let answers =
            answered.into_iter().map(|waiting| Answer { number: waiting.ticket.number, check: key.clone(), found: found.clone() });
        self.output.answers.extend(answers);
        if !left.is_empty() {
            self.asks.0.insert(key.clone(), left);
        }
    }
}
