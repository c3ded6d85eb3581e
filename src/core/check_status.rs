//! The status of a check from its state, and whether it is worth a write.

use super::observation::{Observation, Outcome};
use super::packed::Pack;
use super::text::{MAX_MESSAGE_CHARS, single_line, weight};
use super::verdict::{MAX_RESULTS, State, Transition, Verdict};
use crate::api::conditions::{PASSING, Wanted, get, passing, set};
use crate::api::{History, Override, PreflightCheckStatus, TargetResult};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::collections::VecDeque;

/// The largest status, in bytes of JSON.
pub const MAX_STATUS_BYTES: usize = 32 * 1024;
/// How many results, and how many transitions, stay however long their texts are.
const ALWAYS_KEPT: usize = 4;
/// Reason of an observation that was read from a status, where reasons are any text.
const RESTORED: &str = "Restored";

/// What a check's status is made of.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// The generation of the spec that was evaluated.
    pub generation: Option<i64>,
    /// The probe's name, if the spec has exactly one.
    pub probe: Option<&'static str>,
    /// The condition `Ready`.
    pub ready: Wanted,
    /// The settled state.
    pub state: &'a State,
    /// When the next evaluation is due.
    pub next: Option<Timestamp>,
    /// From one evaluation of a probed check to the next.
    pub interval: Option<SignedDuration>,
    /// How old the written time of passing may get before it alone is worth a write: of a check for which no watermark counts.
    pub refresh_after: Option<SignedDuration>,
    /// When it was last observed passing, by the API server's clock, never too late.
    pub last_passing: Option<Timestamp>,
    /// The leadership that writes.
    pub term: Option<i64>,
    /// Since when an evaluation is overdue.
    pub overdue_since: Option<Timestamp>,
    /// The override that is in force.
    pub effective: Option<&'a Override>,
    /// The value of the annotation [`crate::api::EVALUATE_AT`] that was acted upon.
    pub request: Option<&'a str>,
}

/// Whether to write.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// What is written says it all.
    Unchanged,
    /// Write this.
    Write(Box<PreflightCheckStatus>),
}

impl Pack for PreflightCheckStatus {
    const TYPICAL: &'static str = concat!(
        r#"{"observedGeneration":1,"conditions":[{"lastTransitionTime":"2026-11-21T12:00:00Z","message":"The check is accepted and evaluated","#,
        r#""observedGeneration":1,"reason":"Evaluated","status":"True","type":"Ready"},{"lastTransitionTime":"2026-11-21T12:00:00Z","message":"#,
        r#""1 target passes","observedGeneration":1,"reason":"AllPassed","status":"True","type":"Passing"}],"verdict":"Passing","probe":"rollout","#,
        r#""lastPassingTime":"2026-11-21T12:00:00Z","term":1,"lastEvaluationTime":"2026-11-21T12:00:00Z","nextEvaluationTime":"#,
        r#""2026-11-21T12:00:00Z","intervalSeconds":30,"lastDurationMilliseconds":0,"streak":{"passes":1,"failures":0,"errors":0},"summary":"#,
        r#"{"targets":1,"passing":1,"warning":0,"failing":0,"unknown":0,"truncated":false},"results":[{"target":"Deployment/","outcome":"Pass","#,
        r#""reason":"","message":"","value":"","required":"","attempts":1,"durationMilliseconds":0,"time":"2026-11-21T12:00:00Z"}],"history":"#,
        r#"[{"verdict":"Passing","reason":"AllPassed","message":"1 target passes","time":"2026-11-21T12:00:00Z"}]}"#
    );
}

/// Compares what is written with what should be. Times, durations and counts of repetitions alone are no change, nor is another term, except
/// that the time of passing is refreshed when it is older than `refresh_after`.
pub fn diff(written: Option<&PreflightCheckStatus>, view: &View<'_>, now: Timestamp) -> Change {
    let wanted = compose(written, view, now);
    let Some(written) = written else { return Change::Write(wanted) };
    let last = |s: &PreflightCheckStatus| s.last_passing_time.as_ref().map(|t| t.0);
    let overdue = match (view.refresh_after, last(written), last(&wanted)) {
        (Some(limit), Some(old), Some(new)) => new.duration_since(old) >= limit,
        (Some(_), None, Some(_)) => true,
        _ => false,
    };
    if overdue || without_times(written) != without_times(&wanted) { Change::Write(wanted) } else { Change::Unchanged }
}

/// The status as it should be, whatever is written.
pub fn compose(written: Option<&PreflightCheckStatus>, view: &View<'_>, now: Timestamp) -> Box<PreflightCheckStatus> {
    Box::new(fitted(status(written, view, seconds(now).0)))
}

fn status(written: Option<&PreflightCheckStatus>, view: &View<'_>, now: Timestamp) -> PreflightCheckStatus {
    let state = view.state;
    let mut conditions = written.map(|s| s.conditions.clone()).unwrap_or_default();
    set(&mut conditions, view.ready.clone(), view.generation, now);
    let passing = match state.verdict {
        Verdict::Passing | Verdict::Warning => Some(true),
        Verdict::Failing => Some(false),
        Verdict::Unknown => None,
    };
    let outcome = Wanted { type_: PASSING, status: passing, reason: state.reason.to_owned(), message: state.message.clone() };
    set(&mut conditions, outcome, view.generation, now);
    PreflightCheckStatus {
        observed_generation: view.generation,
        conditions,
        verdict: state.verdict,
        probe: view.probe.map(str::to_owned),
        environment: view.effective.map(|o| o.environment.clone()),
        effective: view.effective.cloned(),
        last_passing_time: view.last_passing.map(seconds),
        term: view.term,
        overdue_since: view.overdue_since.map(seconds),
        evaluated_at_request: view.request.map(|text| single_line(text, 256)),
        last_evaluation_time: state.evaluated_at.map(seconds),
        next_evaluation_time: view.next.map(seconds),
        interval_seconds: view.interval.map(|d| i32::try_from(d.as_secs()).unwrap_or(i32::MAX)),
        last_duration_milliseconds: state.evaluated_at.map(|_| milliseconds(state.duration)),
        streak: Some(state.streak.clone()),
        summary: Some(state.summary.clone()),
        results: results(written, state),
        history: history(state),
    }
}

/// Drops the least bad results (`summary.truncated` says so), then the oldest transitions, until it is small enough.
fn fitted(mut status: PreflightCheckStatus) -> PreflightCheckStatus {
    while weight(&status) > MAX_STATUS_BYTES {
        if status.results.len() > ALWAYS_KEPT {
            status.results.pop();
            if let Some(summary) = &mut status.summary {
                summary.truncated = true;
            }
        } else if status.history.len() <= ALWAYS_KEPT || status.history.pop().is_none() {
            break;
        }
    }
    status
}

/// What was taken from a status is written back as it stands there: a leader that takes over rewrites nothing.
fn results(written: Option<&PreflightCheckStatus>, state: &State) -> Vec<TargetResult> {
    let stands = |o: &Observation| {
        let written = written.filter(|_| o.reason == RESTORED)?;
        written.results.iter().find(|r| r.target == o.target && r.outcome == o.outcome.as_str()).cloned()
    };
    let result = |o: &Observation| TargetResult {
        target: o.target.clone(),
        outcome: o.outcome.as_str().to_owned(),
        reason: o.reason.to_owned(),
        message: o.message.clone(),
        value: o.value.clone(),
        required: o.required.clone(),
        attempts: i32::try_from(o.attempts).unwrap_or(i32::MAX),
        duration_milliseconds: milliseconds(o.duration),
        time: state.evaluated_at.map(seconds),
    };
    state.results.iter().map(|o| stands(o).unwrap_or_else(|| result(o))).collect()
}

fn history(state: &State) -> Vec<History> {
    let entry =
        |t: &Transition| History { verdict: t.verdict, reason: t.reason.clone(), message: t.message.clone(), time: seconds(t.time) };
    state.history.iter().map(entry).collect()
}

/// The transitions that are in a status. Bounded, whoever wrote it.
pub fn transitions(status: &PreflightCheckStatus) -> VecDeque<Transition> {
    let transition = |h: &History| Transition {
        verdict: h.verdict,
        reason: single_line(&h.reason, MAX_MESSAGE_CHARS),
        message: single_line(&h.message, MAX_MESSAGE_CHARS),
        time: h.time.0,
    };
    status.history.iter().take(MAX_RESULTS).map(transition).collect()
}

/// The state that a status tells of, if it is of this generation and was evaluated. Only the worst result is restored: it is what a denial names.
pub fn restore(status: &PreflightCheckStatus, generation: Option<i64>) -> Option<State> {
    if status.observed_generation != generation {
        return None;
    }
    let condition = get(&status.conditions, PASSING)?;
    let reason = passing::known(&condition.reason);
    if reason == passing::NEVER_EVALUATED {
        return None;
    }
    let mut state = State::unevaluated(reason, &condition.message, transitions(status));
    state.verdict = status.verdict;
    state.streak = status.streak.clone().unwrap_or_default();
    state.summary = status.summary.clone().unwrap_or_default();
    state.results = status.results.first().map(restored).into_iter().collect();
    state.evaluated_at = status.last_evaluation_time.as_ref().map(|t| t.0);
    state.last_pass = status.last_passing_time.as_ref().map(|t| t.0);
    state.recovering = status.verdict == Verdict::Failing || reason == passing::HOLD_DOWN;
    Some(state)
}

fn restored(result: &TargetResult) -> Observation {
    let outcome =
        [Outcome::Pass, Outcome::Warn, Outcome::Fail].into_iter().find(|o| o.as_str() == result.outcome).unwrap_or(Outcome::Error);
    let seen = Observation::new(&result.target, outcome, RESTORED, &result.message);
    match (&result.value, &result.required) {
        (Some(value), Some(required)) => seen.measured(value, required),
        _ => seen,
    }
}

/// The same status with all that changes by repetition taken out.
fn without_times(status: &PreflightCheckStatus) -> PreflightCheckStatus {
    let mut plain = status.clone();
    plain.term = None;
    plain.last_evaluation_time = None;
    plain.last_passing_time = None;
    plain.overdue_since = status.overdue_since.as_ref().map(|_| Time(Timestamp::UNIX_EPOCH));
    plain.next_evaluation_time = None;
    plain.last_duration_milliseconds = None;
    plain.streak = None;
    for result in &mut plain.results {
        result.time = None;
        result.duration_milliseconds = 0;
        result.attempts = 0;
    }
    for entry in &mut plain.history {
        entry.time = Time(Timestamp::UNIX_EPOCH);
    }
    for condition in &mut plain.conditions {
        condition.last_transition_time = Time(Timestamp::UNIX_EPOCH);
    }
    plain.conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
    plain
}

/// Kubernetes times have whole seconds.
fn seconds(t: Timestamp) -> Time {
    Time(Timestamp::from_second(t.as_second()).unwrap_or(t))
}

fn milliseconds(d: std::time::Duration) -> i64 {
    i64::try_from(d.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
