//! How observations become a verdict: outcomes, quorum, thresholds, freshness.
//!
//! An evaluation is a list of observations, one a target. [`settle`] folds it into the check's [`State`]. What the state is worth at a later
//! instant is [`State::standing`]: a passing verdict is believed only so long, a failing one stays failing.

use super::observation::{NO_DATA, NOT_FOUND, Observation, Outcome, TARGET_DENIED};
use super::share::Share;
use super::text::single_line;
use crate::api::conditions::passing as reason;
use crate::api::{Outcomes, Streak, Summary, VerdictName};
use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;
use std::time::Duration;

pub use crate::api::VerdictName as Verdict;

/// The longest list of results and of history that is kept.
pub const MAX_RESULTS: usize = 20;
/// The longest message of a state, in characters: room for the commands that grant a right.
const MAX_STATE_CHARS: usize = 1024;
/// How far in the future an evaluation may lie before it is not believed: the clock was set back.
pub const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_secs(1);

impl Verdict {
    /// The word in a status and in a metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passing => "Passing",
            Self::Warning => "Warning",
            Self::Failing => "Failing",
            Self::Unknown => "Unknown",
        }
    }

    /// Whether it passes, with a warning or without.
    pub const fn passes(self) -> bool {
        matches!(self, Self::Passing | Self::Warning)
    }
}

/// What a check's spec says about its verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How many targets must pass.
    pub min_passing: Share,
    /// How many targets there must be.
    pub min_targets: u32,
    /// Consecutive failures that turn the verdict Failing.
    pub failure_threshold: u32,
    /// Consecutive passes that turn the verdict Passing.
    pub success_threshold: u32,
    /// How long a passing verdict is believed.
    pub stale_after: SignedDuration,
    /// Whether a passing verdict ages at all. That of a live check does not: it is a view of what is watched, which proves itself. Nor does one
    /// that need not be renewed before the spec changes.
    pub ages: bool,
    /// How long a failing check must pass before its verdict does.
    pub hold_down: SignedDuration,
    /// Verdicts for what could not be told.
    pub outcomes: Outcomes,
    /// How many transitions are kept, at most [`MAX_RESULTS`].
    pub history_limit: usize,
}

/// What one evaluation found.
#[derive(Clone, Debug, PartialEq)]
pub enum Evaluation {
    /// An observation for each target that exists.
    Observed(Vec<Observation>),
    /// There are no targets; the message says what was looked for.
    NoTargets(String),
    /// It could not be evaluated at all: the reason of `Passing`, and a message.
    Impossible(&'static str, String),
}

/// A transition of the verdict.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// The verdict from then on.
    pub verdict: Verdict,
    /// Its reason.
    pub reason: String,
    /// What was found.
    pub message: String,
    /// When.
    pub time: Timestamp,
}

/// A check's settled state.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The verdict.
    pub verdict: Verdict,
    /// The reason of the condition `Passing`.
    pub reason: &'static str,
    /// One line for people.
    pub message: String,
    /// Consecutive results.
    pub streak: Streak,
    /// Counts.
    pub summary: Summary,
    /// Worst first, at most [`MAX_RESULTS`].
    pub results: Vec<Observation>,
    /// When the evaluation was made: when a probed one began to look. `None`: never evaluated.
    pub evaluated_at: Option<Timestamp>,
    /// How long it took.
    pub duration: Duration,
    /// When it was last observed passing.
    pub last_pass: Option<Timestamp>,
    /// Since when it has been observed passing without a break.
    pub passing_since: Option<Timestamp>,
    /// Whether it failed and has not passed for long enough since.
    pub recovering: bool,
    /// From when on a passing verdict is no longer believed; `None`: it does not age.
    pub stale_at: Option<Timestamp>,
    /// When time alone may change the answer.
    pub holds_until: Option<Timestamp>,
    /// Newest first.
    pub history: VecDeque<Transition>,
}

/// What a state is worth at an instant. The order is from best to worst: no order of checks lets an Unknown beat a Failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// It is not required: its `when` is false.
    NotApplicable,
    /// It passes.
    Passing,
    /// It passes with a warning.
    Warning,
    /// It passed, too long ago.
    Stale,
    /// It could not be told.
    Unknown,
    /// It fails.
    Failing,
}

impl State {
    /// A state without an evaluation.
    pub fn unevaluated(reason: &'static str, message: &str, history: VecDeque<Transition>) -> Self {
        Self {
            verdict: Verdict::Unknown,
            reason,
            message: single_line(message, MAX_STATE_CHARS),
            streak: Streak::default(),
            summary: Summary::default(),
            results: Vec::new(),
            evaluated_at: None,
            duration: Duration::ZERO,
            last_pass: None,
            passing_since: None,
            recovering: false,
            stale_at: None,
            holds_until: None,
            history,
        }
    }

    /// What the state is worth now. An evaluation that seems to lie in the future is not believed: the clock was set back.
    pub fn standing(&self, now: Timestamp) -> Standing {
        let believed = match self.verdict {
            Verdict::Failing => return Standing::Failing,
            // What turned stale stays stale: a gate's `respond` tells it from what could not be told.
            Verdict::Unknown if self.reason == reason::STALE => return Standing::Stale,
            Verdict::Unknown if self.reason == reason::NOT_APPLICABLE => {
                return if self.holds_until.is_some_and(|t| now >= t) { Standing::Unknown } else { Standing::NotApplicable };
            }
            Verdict::Unknown => return Standing::Unknown,
            Verdict::Passing => Standing::Passing,
            Verdict::Warning => Standing::Warning,
        };
        let Some(evaluated_at) = self.evaluated_at else { return Standing::Unknown };
        if evaluated_at.duration_since(now) > CLOCK_TOLERANCE || self.holds_until.is_some_and(|t| now >= t) {
            Standing::Unknown
        } else if self.stale_at.is_some_and(|t| now >= t) {
            Standing::Stale
        } else {
            believed
        }
    }

    /// How long ago it was evaluated; zero if the clock was set back.
    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        self.evaluated_at.map(|t| Duration::try_from(now.duration_since(t)).unwrap_or(Duration::ZERO))
    }

    /// The first instant after which the state is worth something else although nothing is observed.
    pub fn next_change(&self) -> Option<Timestamp> {
        match self.verdict {
            Verdict::Passing | Verdict::Warning => [self.holds_until, self.stale_at].into_iter().flatten().min(),
            Verdict::Failing | Verdict::Unknown => self.holds_until,
        }
    }

    /// The same state after it went stale.
    #[must_use]
    pub fn turned_stale(&self, now: Timestamp, history_limit: usize) -> Self {
        let age = self.age(now).unwrap_or_default().as_secs();
        let mut stale = self.clone();
        stale.verdict = Verdict::Unknown;
        stale.reason = reason::STALE;
        stale.message = if self.reason == reason::THRESHOLD_PENDING {
            single_line(&format!("it last passed too long ago; {}", self.message), MAX_STATE_CHARS)
        } else {
            format!("last evaluated {age} s ago; it passed then")
        };
        stale.record(history_limit, now);
        stale
    }

    /// The same, after transitions that another replica saw.
    pub fn continue_history(&mut self, before: VecDeque<Transition>, limit: usize, now: Timestamp) {
        self.history = before;
        if self.evaluated_at.is_some() {
            self.record(limit, now);
        }
    }

    fn record(&mut self, limit: usize, now: Timestamp) {
        if self.history.front().is_none_or(|newest| newest.verdict != self.verdict) {
            self.history.push_front(Transition {
                verdict: self.verdict,
                reason: self.reason.to_owned(),
                message: single_line(&self.message, super::text::MAX_MESSAGE_CHARS),
                time: now,
            });
        }
        self.history.truncate(limit.min(MAX_RESULTS));
        self.history.shrink_to_fit();
    }
}

/// What one evaluation says by itself, before thresholds.
struct Folded {
    verdict: Verdict,
    reason: &'static str,
    message: String,
    summary: Summary,
    results: Vec<Observation>,
}

/// Folds an evaluation into a check's state.
pub fn settle(settings: &Settings, previous: &State, evaluation: Evaluation, duration: Duration, now: Timestamp) -> State {
    let folded = fold(settings, evaluation);
    let holds_until = folded.results.iter().filter_map(|o| o.holds_until).min();
    let streak = count(&previous.streak, folded.verdict);
    let passing_since = folded.verdict.passes().then(|| previous.passing_since.unwrap_or(now));
    let held_until = passing_since.filter(|_| previous.recovering).and_then(|since| since.checked_add(settings.hold_down).ok());
    let held_until = held_until.filter(|until| now < *until);
    let (verdict, reason, message) = apply_thresholds(settings, previous, &streak, &folded, held_until);
    let fresh = || Some(now.checked_add(settings.stale_after).unwrap_or(now));
    // A failure that the threshold forgives does not renew the belief: it counts from when the check was last observed passing.
    let stale_at = match (folded.verdict.passes(), verdict.passes()) {
        (true, _) if settings.ages => fresh(),
        (false, true) => previous.stale_at.or_else(fresh),
        _ => None,
    };
    let mut state = State {
        verdict,
        reason,
        message: single_line(&message, MAX_STATE_CHARS),
        streak,
        summary: folded.summary,
        results: folded.results,
        evaluated_at: Some(now),
        duration,
        last_pass: if folded.verdict.passes() { Some(now) } else { previous.last_pass },
        passing_since,
        recovering: verdict == Verdict::Failing || (previous.recovering && !verdict.passes()),
        stale_at,
        holds_until: [holds_until, held_until].into_iter().flatten().min(),
        history: previous.history.clone(),
    };
    state.results.truncate(MAX_RESULTS);
    // Kept for each of ten thousand checks.
    state.results.shrink_to_fit();
    state.record(settings.history_limit, now);
    state
}

fn fold(settings: &Settings, evaluation: Evaluation) -> Folded {
    let observations: Vec<Observation> = match evaluation {
        Evaluation::Observed(list) => list.into_iter().filter(|o| !(o.outcome == Outcome::Error && o.reason == NOT_FOUND)).collect(),
        Evaluation::NoTargets(message) => return no_targets(settings, message, Vec::new()),
        Evaluation::Impossible(reason, message) => {
            return Folded { verdict: Verdict::Unknown, reason, message, summary: Summary::default(), results: Vec::new() };
        }
    };
    if u32::try_from(observations.len()).unwrap_or(u32::MAX) < settings.min_targets {
        let message = format!("{} of at least {} targets exist", observations.len(), settings.min_targets);
        return no_targets(settings, message, judge(settings, observations));
    }
    by_quorum(settings, judge(settings, observations))
}

/// Each observation with the verdict it stands for, worst first, then by target.
fn judge(settings: &Settings, observations: Vec<Observation>) -> Vec<(Verdict, Observation)> {
    let mut judged: Vec<_> = observations.into_iter().map(|o| (target_verdict(&settings.outcomes, &o), o)).collect();
    judged.sort_by(|(va, a), (vb, b)| {
        let worse = badness(*vb).cmp(&badness(*va));
        let key = |o: &Observation| (o.outcome.as_str(), o.reason, o.holds_until);
        worse.then_with(|| a.target.cmp(&b.target)).then_with(|| a.message.cmp(&b.message)).then_with(|| key(a).cmp(&key(b)))
    });
    judged
}

fn no_targets(settings: &Settings, message: String, judged: Vec<(Verdict, Observation)>) -> Folded {
    Folded {
        verdict: settings.outcomes.no_targets,
        reason: reason::NO_TARGETS,
        message,
        summary: summarize(&judged),
        results: judged.into_iter().map(|(_, o)| o).collect(),
    }
}

fn by_quorum(settings: &Settings, judged: Vec<(Verdict, Observation)>) -> Folded {
    let summary = summarize(&judged);
    let total = u32::try_from(judged.len()).unwrap_or(u32::MAX);
    let count = |verdict| u32::try_from(judged.iter().filter(|(v, _)| *v == verdict).count()).unwrap_or(u32::MAX);
    let needed = settings.min_passing.of(total);
    let passing = count(Verdict::Passing) + count(Verdict::Warning);
    let (verdict, reason) = if passing >= needed {
        let verdict = if count(Verdict::Warning) > 0 { Verdict::Warning } else { Verdict::Passing };
        (verdict, if passing == total { reason::ALL_PASSED } else { reason::QUORUM_MET })
    } else if passing + count(Verdict::Unknown) < needed {
        (Verdict::Failing, reason::TARGETS_FAILING)
    } else {
        (Verdict::Unknown, unknown_reason(&judged))
    };
    let message = describe(verdict, &judged, passing, needed, total);
    Folded { verdict, reason, message, summary, results: judged.into_iter().map(|(_, o)| o).collect() }
}

fn unknown_reason(judged: &[(Verdict, Observation)]) -> &'static str {
    let mut reasons = judged.iter().filter(|(v, _)| *v == Verdict::Unknown).map(|(_, o)| o.reason);
    match reasons.next() {
        Some(first) if reasons.all(|r| r == first) => match first {
            NO_DATA => reason::NO_DATA,
            TARGET_DENIED => reason::TARGET_DENIED,
            reason::FORBIDDEN => reason::FORBIDDEN,
            _ => reason::EVALUATION_ERROR,
        },
        _ => reason::EVALUATION_ERROR,
    }
}

fn describe(verdict: Verdict, judged: &[(Verdict, Observation)], passing: u32, needed: u32, total: u32) -> String {
    let Some((worst, first)) = judged.first() else { return String::new() };
    if total == 1 && needed <= 1 {
        return format!("{}: {}", first.target, first.message);
    }
    let counts = format!("{passing} of {total} targets pass, {needed} needed");
    if matches!(verdict, Verdict::Passing) && *worst == Verdict::Passing {
        return counts;
    }
    single_line(&format!("{counts}; {}: {}", first.target, first.message), super::text::MAX_MESSAGE_CHARS * 2)
}

fn target_verdict(outcomes: &Outcomes, observation: &Observation) -> Verdict {
    match observation.outcome {
        Outcome::Pass => Verdict::Passing,
        Outcome::Warn => Verdict::Warning,
        Outcome::Fail => Verdict::Failing,
        Outcome::Error if observation.reason == NO_DATA => outcomes.no_data,
        Outcome::Error => outcomes.error,
    }
}

fn summarize(judged: &[(Verdict, Observation)]) -> Summary {
    let count = |verdict| i32::try_from(judged.iter().filter(|(v, _)| *v == verdict).count()).unwrap_or(i32::MAX);
    Summary {
        targets: i32::try_from(judged.len()).unwrap_or(i32::MAX),
        passing: count(Verdict::Passing),
        warning: count(Verdict::Warning),
        failing: count(Verdict::Failing),
        unknown: count(Verdict::Unknown),
        truncated: judged.len() > MAX_RESULTS,
    }
}

/// An evaluation that could not tell ends a row of passes, not one of failures: alternating failures and timeouts must still reach the threshold.
fn count(previous: &Streak, verdict: Verdict) -> Streak {
    match verdict {
        Verdict::Passing | Verdict::Warning => Streak { passes: previous.passes.saturating_add(1), failures: 0, errors: 0 },
        Verdict::Failing => Streak { passes: 0, failures: previous.failures.saturating_add(1), errors: 0 },
        Verdict::Unknown => Streak { passes: 0, failures: previous.failures, errors: previous.errors.saturating_add(1) },
    }
}

fn apply_thresholds(
    settings: &Settings,
    previous: &State,
    streak: &Streak,
    folded: &Folded,
    held_until: Option<Timestamp>,
) -> (Verdict, &'static str, String) {
    let reached = |have: i32, wanted: u32| u32::try_from(have).unwrap_or(0) >= wanted;
    let as_found = || (folded.verdict, folded.reason, folded.message.clone());
    let pending = |have: i32, wanted: u32, what: &str| {
        let message = format!("{have} of {wanted} consecutive {what}; {}", folded.message);
        (previous.verdict, reason::THRESHOLD_PENDING, message)
    };
    match (folded.verdict, previous.verdict) {
        (Verdict::Unknown, _) | (Verdict::Failing, Verdict::Failing) => as_found(),
        (Verdict::Failing, _) if reached(streak.failures, settings.failure_threshold) => as_found(),
        (Verdict::Failing, _) => pending(streak.failures, settings.failure_threshold, "failures"),
        (_, Verdict::Passing | Verdict::Warning) => as_found(),
        _ if !reached(streak.passes, settings.success_threshold) => pending(streak.passes, settings.success_threshold, "passes"),
        _ => match held_until {
            None => as_found(),
            Some(until) => {
                let until = Timestamp::from_second(until.as_second()).unwrap_or(until);
                (previous.verdict, reason::HOLD_DOWN, format!("passes again, and must do so until {until}; {}", folded.message))
            }
        },
    }
}

/// Failing > Unknown > Warning > Passing.
pub const fn badness(verdict: VerdictName) -> u8 {
    match verdict {
        Verdict::Passing => 0,
        Verdict::Warning => 1,
        Verdict::Unknown => 2,
        Verdict::Failing => 3,
    }
}

#[cfg(test)]
mod tests;
