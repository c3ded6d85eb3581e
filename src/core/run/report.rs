//! The status of a run.

use super::{End, Run, Step};
use crate::api::conditions::{COMPLETE, PASSING, READY, Wanted, ready, set};
use crate::api::{PreflightRunStatus, RunCheck, RunCounts, RunVerdict};
use crate::core::check_status::MAX_STATUS_BYTES;
use crate::core::text::{MAX_MESSAGE_CHARS, single_line, weight};
use crate::core::verdict::Verdict;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// How many names a message may have.
const MAX_NAMES: usize = 3;
/// The reason while it goes on.
const RUNNING: &str = "Running";

impl Run {
    /// Its status, as it should stand in place of what is written.
    pub fn status(&self, written: Option<&PreflightRunStatus>, generation: Option<i64>, now: Timestamp) -> PreflightRunStatus {
        let done = self.steps.iter().filter(|step| step.is_done()).count();
        let over = self.ended.map(|_| written.and_then(|s| s.completion_time.clone()).unwrap_or_else(|| seconds(now)));
        let mut conditions = written.map(|s| s.conditions.clone()).unwrap_or_default();
        let (verdict, message) = (self.verdict(), self.summary());
        let complete = match self.ended {
            None => said(COMPLETE, Some(false), RUNNING, &format!("{done} of {} checks are done", self.steps.len())),
            Some(end) => said(COMPLETE, Some(true), end.reason(), why(end)),
        };
        let is_ready = match self.ended {
            None => said(READY, None, RUNNING, "The run was accepted and goes on"),
            Some(End::Finished) => said(READY, Some(true), ready::EVALUATED, "The run was accepted and evaluated"),
            Some(end) => said(READY, Some(true), end.reason(), why(end)),
        };
        let passing = match (self.ended, verdict) {
            (None, _) => said(PASSING, None, RUNNING, "It is not over yet"),
            (Some(_), Verdict::Failing) => said(PASSING, Some(false), "ChecksFailing", &message),
            (Some(End::Finished), Verdict::Unknown) => said(PASSING, None, "ChecksUnknown", &message),
            (Some(End::Finished), _) => said(PASSING, Some(true), "AllPassed", &message),
            (Some(end), _) => said(PASSING, None, end.reason(), &message),
        };
        for condition in [is_ready, complete, passing] {
            set(&mut conditions, condition, generation, seconds(now).0);
        }
        fitted(PreflightRunStatus {
            observed_generation: generation,
            conditions,
            start_time: written.and_then(|s| s.start_time.clone()).or_else(|| Some(seconds(self.began))),
            completion_time: over,
            verdict: self.ended.map(|_| verdict),
            progress: Some(format!("{done}/{}", self.steps.len())),
            counts: Some(self.counts()),
            checks: self.steps.iter().map(|step| step.report.clone()).collect(),
            omitted: 0,
            grant: written.and_then(|s| s.grant.clone()),
            withdrawn: written.is_some_and(|s| s.withdrawn),
            term: written.and_then(|s| s.term),
        })
    }

    /// How many came to what so far.
    pub fn counts(&self) -> RunCounts {
        let count = |verdict| i32::try_from(self.steps.iter().filter(|step| step.report.verdict == verdict).count()).unwrap_or(i32::MAX);
        RunCounts {
            passed: count(RunVerdict::Passing),
            warned: count(RunVerdict::Warning),
            failed: count(RunVerdict::Failing),
            errored: count(RunVerdict::Unknown),
            skipped: count(RunVerdict::Skipped),
        }
    }

    fn summary(&self) -> String {
        let of = |verdict, advisory: bool| {
            let found: Vec<&RunCheck> = self.steps.iter().map(|step: &Step| &step.report).collect();
            let named: Vec<&RunCheck> = found.into_iter().filter(|check| check.verdict == verdict && check.advisory == advisory).collect();
            let shown: Vec<&str> = named.iter().take(MAX_NAMES).map(|check| check.name.as_str()).collect();
            let more = named.len().saturating_sub(MAX_NAMES);
            let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
            (named.first().map(|check| check.message.clone()), format!("{}{rest}", shown.join(", ")))
        };
        let parts = [
            (of(RunVerdict::Failing, false), "failing"),
            (of(RunVerdict::Unknown, false), "unknown"),
            (of(RunVerdict::Failing, true), "advisory, failing"),
            (of(RunVerdict::Unknown, true), "advisory, unknown"),
            (of(RunVerdict::Warning, false), "warning"),
        ];
        let found = parts.into_iter().filter_map(|((first, names), word)| first.map(|message| format!("{word}: {names} ({message})")));
        let text = found.collect::<Vec<_>>().join("; ");
        if !text.is_empty() {
            return single_line(&text, MAX_MESSAGE_CHARS);
        }
        match (self.ended, self.steps.len()) {
            (Some(End::Finished) | None, 0) => "there is no check to evaluate".to_owned(),
            (Some(End::Finished), _) if self.counts().passed == 0 => "no check applies".to_owned(),
            (Some(end), _) if end != End::Finished => why(end).to_owned(),
            _ => format!("{} of {} checks pass", self.counts().passed, self.steps.len()),
        }
    }
}

/// The status of a run that is not begun and never will be.
pub fn refused(
    written: Option<&PreflightRunStatus>,
    generation: Option<i64>,
    reason: &str,
    message: &str,
    now: Timestamp,
) -> PreflightRunStatus {
    let message = single_line(message, MAX_MESSAGE_CHARS);
    let mut conditions = written.map(|s| s.conditions.clone()).unwrap_or_default();
    for (condition, status) in [(READY, Some(false)), (COMPLETE, Some(true)), (PASSING, None)] {
        set(&mut conditions, said(condition, status, reason, &message), generation, seconds(now).0);
    }
    PreflightRunStatus {
        observed_generation: generation,
        conditions,
        completion_time: Some(written.and_then(|s| s.completion_time.clone()).unwrap_or_else(|| seconds(now))),
        verdict: Some(Verdict::Unknown),
        ..written.cloned().unwrap_or_default()
    }
}

fn said(type_: &'static str, status: Option<bool>, reason: &str, message: &str) -> Wanted {
    Wanted { type_, status, reason: reason.to_owned(), message: message.to_owned() }
}

const fn why(end: End) -> &'static str {
    match end {
        End::Finished => "The run is over",
        End::Cancelled => "The run was cancelled (spec.cancel)",
        End::DeadlineExceeded => "The run's time was up (spec.deadlineSeconds)",
    }
}

/// Leaves out checks until it is small enough: those that pass first, then those that were left out, then others, from the end.
fn fitted(mut status: PreflightRunStatus) -> PreflightRunStatus {
    let worth = |check: &RunCheck| match check.verdict {
        RunVerdict::Passing => 0,
        RunVerdict::Skipped | RunVerdict::Pending => 1,
        RunVerdict::Warning | RunVerdict::Running => 2,
        RunVerdict::Failing | RunVerdict::Unknown => 3,
    };
    let mut over = weight(&status).saturating_sub(MAX_STATUS_BYTES);
    for worthless in 0..=3 {
        let mut index = status.checks.len();
        while over > 0 && index > 0 {
            index -= 1;
            if status.checks.get(index).is_some_and(|check| worth(check) == worthless) {
                let gone = status.checks.remove(index);
                status.omitted = status.omitted.saturating_add(1);
                over = over.saturating_sub(weight(&gone));
            }
        }
    }
    status
}

/// Kubernetes times have whole seconds.
pub(super) fn seconds(time: Timestamp) -> Time {
    Time(Timestamp::from_second(time.as_second()).unwrap_or(time))
}
