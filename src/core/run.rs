//! Runs: one evaluation of several checks, on demand. A [`Run`] says what to evaluate next and what it came to; it evaluates nothing itself.
//!
//! Checks go in tiers by priority, lower first; within a tier side by side, as many at once as [`MAX_PARALLEL`]. A tier finishes before the next
//! begins. All that a run knows is in its status, so another leader goes on where one stopped.

pub mod keep;
pub mod naming;
pub mod report;
pub mod schedule;
pub mod select;

use crate::api::{PreflightRunStatus, RunCheck, RunVerdict, Severity};
use crate::core::text::{MAX_MESSAGE_CHARS, single_line};
use crate::core::verdict::Verdict;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Up to this priority checks are evaluated in a light run.
pub const LIGHT_PRIORITY: i32 = 10;
/// How many checks a run may have.
pub const MAX_CHECKS: usize = 256;
/// How many of them are evaluated at once.
pub const MAX_PARALLEL: usize = 16;
/// How far the deadline of a run may lie ahead, whatever its spec says.
const MAX_DEADLINE: SignedDuration = SignedDuration::from_hours(1);

/// Which check.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CheckId {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
}

impl CheckId {
    /// As it is shown in a run of a namespace.
    pub fn shown_in(&self, namespace: &str) -> String {
        if *self.namespace == *namespace { self.name.as_ref().to_owned() } else { self.to_string() }
    }
}

impl fmt::Display for CheckId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// A check that is to be evaluated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Which.
    pub check: CheckId,
    /// Its tier.
    pub priority: i32,
    /// Whether it counts.
    pub severity: Severity,
}

/// What a run consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The checks.
    pub members: Vec<Member>,
    /// What is required and not there: the name as it is shown, and a sentence.
    pub missing: Vec<(String, String)>,
    /// Whether tiers are left out after one with a required check that does not pass.
    pub stop_at_first_failure: bool,
}

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The verdict; [`RunVerdict::Skipped`] of a check that does not apply.
    pub verdict: RunVerdict,
    /// The reason of its condition `Passing`.
    pub reason: String,
    /// What was found.
    pub message: String,
    /// How long the evaluation took.
    pub duration: Option<Duration>,
}

impl Found {
    /// It could not be told.
    pub fn unknown(reason: &str, message: &str) -> Self {
        Self { verdict: RunVerdict::Unknown, reason: reason.to_owned(), message: message.to_owned(), duration: None }
    }
}

/// Why a run is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every check is done, or was left out because an earlier one does not pass.
    Finished,
    /// Somebody cancelled it.
    Cancelled,
    /// Its time is up.
    DeadlineExceeded,
}

impl End {
    /// The reason of the condition `Complete`.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Finished => "Finished",
            Self::Cancelled => "Cancelled",
            Self::DeadlineExceeded => "DeadlineExceeded",
        }
    }
}

/// A run that goes on, or is over.
#[derive(Clone, Debug)]
pub struct Run {
    steps: Vec<Step>,
    stop_at_first_failure: bool,
    began: Timestamp,
    deadline: Timestamp,
    ended: Option<End>,
}

#[derive(Clone, Debug)]
struct Step {
    /// `None`: there is no such check.
    check: Option<CheckId>,
    report: RunCheck,
}

impl Step {
    fn is_done(&self) -> bool {
        !matches!(self.report.verdict, RunVerdict::Pending | RunVerdict::Running)
    }

    fn stands_in_the_way(&self) -> bool {
        !self.report.advisory && matches!(self.report.verdict, RunVerdict::Failing | RunVerdict::Unknown)
    }

    fn leave_out(&mut self, reason: &str, message: &str) {
        self.report.verdict = RunVerdict::Skipped;
        reason.clone_into(&mut self.report.reason);
        message.clone_into(&mut self.report.message);
    }
}

impl Run {
    /// A run that begins. `deadline_seconds` are counted from `began`.
    pub fn new(namespace: &str, plan: Plan, deadline_seconds: i32, began: Timestamp) -> Self {
        let Plan { mut members, missing, stop_at_first_failure } = plan;
        members.sort_by(|a, b| (a.priority, &a.check).cmp(&(b.priority, &b.check)));
        members.dedup_by(|a, b| a.check == b.check);
        let absent = missing.into_iter().map(|(name, message)| Step {
            check: None,
            report: RunCheck {
                name: single_line(&name, 320),
                verdict: RunVerdict::Unknown,
                reason: "Missing".to_owned(),
                message: single_line(&message, MAX_MESSAGE_CHARS),
                ..RunCheck::default()
            },
        });
        let present = members.into_iter().map(|member| Step {
            report: RunCheck {
                name: member.check.shown_in(namespace),
                priority: member.priority,
                advisory: member.severity == Severity::Advisory,
                ..RunCheck::default()
            },
            check: Some(member.check),
        });
        let length = SignedDuration::from_secs(i64::from(deadline_seconds.max(1))).min(MAX_DEADLINE);
        let mut run = Self {
            steps: absent.chain(present).take(MAX_CHECKS).collect(),
            stop_at_first_failure,
            began,
            deadline: began.checked_add(length).unwrap_or(began),
            ended: None,
        };
        run.settle();
        run
    }

    /// Goes on from what is written: what is done stays done, what was running begins anew.
    pub fn resume(&mut self, written: &PreflightRunStatus) {
        let done: BTreeMap<&str, &RunCheck> = written.checks.iter().map(|check| (check.name.as_str(), check)).collect();
        for step in &mut self.steps {
            let Some(found) = done.get(step.report.name.as_str()) else { continue };
            if !matches!(found.verdict, RunVerdict::Pending | RunVerdict::Running | RunVerdict::Skipped) {
                let (priority, advisory) = (step.report.priority, step.report.advisory);
                step.report = RunCheck { priority, advisory, ..RunCheck::clone(found) };
            }
        }
        self.settle();
    }

    /// The checks to evaluate now; they count as running from then on.
    pub fn begin(&mut self, now: Timestamp) -> Vec<CheckId> {
        if self.ended.is_some() {
            return Vec::new();
        }
        let Some(tier) = self.steps.iter().filter(|step| !step.is_done()).map(|step| step.report.priority).min() else {
            return Vec::new();
        };
        let running = self.steps.iter().filter(|step| step.report.verdict == RunVerdict::Running).count();
        let waiting = self.steps.iter_mut().filter(|step| step.report.verdict == RunVerdict::Pending && step.report.priority == tier);
        let mut begun = Vec::new();
        for step in waiting.take(MAX_PARALLEL.saturating_sub(running)) {
            step.report.verdict = RunVerdict::Running;
            step.report.started_at = Some(report::seconds(now));
            begun.extend(step.check.clone());
        }
        begun
    }

    /// A check is done. Of a check that does not run nothing is taken.
    pub fn take(&mut self, check: &CheckId, found: &Found) {
        let running = |step: &&mut Step| step.report.verdict == RunVerdict::Running && step.check.as_ref() == Some(check);
        if let Some(step) = self.steps.iter_mut().find(running) {
            step.report.verdict = found.verdict;
            step.report.reason = single_line(&found.reason, 64);
            step.report.message = single_line(&found.message, MAX_MESSAGE_CHARS);
            step.report.duration_milliseconds = found.duration.map(|time| i64::try_from(time.as_millis()).unwrap_or(i64::MAX));
        }
        self.settle();
    }

    /// Ends the run, if it goes on still. What runs could not be told if time is up, and is left out if it was cancelled.
    pub fn end(&mut self, end: End) {
        if self.ended.is_some() {
            return;
        }
        for step in self.steps.iter_mut().filter(|step| !step.is_done()) {
            match (end, step.report.verdict) {
                (End::DeadlineExceeded, RunVerdict::Running) => {
                    step.report.verdict = RunVerdict::Unknown;
                    end.reason().clone_into(&mut step.report.reason);
                    "it was not done when the run's time was up".clone_into(&mut step.report.message);
                }
                (End::DeadlineExceeded, _) => step.leave_out(end.reason(), "the run's time was up before it was begun"),
                _ => step.leave_out(end.reason(), "the run was cancelled"),
            }
        }
        self.ended = Some(end);
    }

    /// Ends the run if its time is up.
    pub fn expire(&mut self, now: Timestamp) {
        if now >= self.deadline {
            self.end(End::DeadlineExceeded);
        }
    }

    /// When its time is up.
    pub fn deadline(&self) -> Timestamp {
        self.deadline
    }

    /// The checks that are being evaluated.
    pub fn running(&self) -> impl Iterator<Item = &CheckId> {
        let running = self.steps.iter().filter(|step| step.report.verdict == RunVerdict::Running);
        running.filter_map(|step| step.check.as_ref())
    }

    /// Why it is over, if it is.
    pub fn ended(&self) -> Option<End> {
        self.ended
    }

    /// What it came to so far. Whatever is not done counts as not told, and nothing at all too: an empty run passes nothing.
    pub fn verdict(&self) -> Verdict {
        let required = || self.steps.iter().filter(|step| !step.report.advisory);
        let is = |verdict| move |step: &Step| step.report.verdict == verdict;
        if required().any(is(RunVerdict::Failing)) {
            return Verdict::Failing;
        }
        let unfinished = self.ended != Some(End::Finished) || self.steps.is_empty();
        if unfinished || required().any(is(RunVerdict::Unknown)) {
            return Verdict::Unknown;
        }
        let doubtful = |step: &Step| matches!(step.report.verdict, RunVerdict::Warning | RunVerdict::Failing | RunVerdict::Unknown);
        if self.steps.iter().any(doubtful) { Verdict::Warning } else { Verdict::Passing }
    }

    /// Leaves out what comes after a tier that stands in the way, and sees whether all is done.
    fn settle(&mut self) {
        if self.ended.is_some() {
            return;
        }
        let tier = |steps: &[Step]| steps.iter().filter(|step| !step.is_done()).map(|step| step.report.priority).min();
        if self.stop_at_first_failure
            && let Some(next) = tier(&self.steps)
            && let Some(obstacle) = self.steps.iter().find(|step| step.stands_in_the_way() && step.report.priority < next)
        {
            let message = format!("{} of priority {} does not pass", obstacle.report.name, obstacle.report.priority);
            for step in self.steps.iter_mut().filter(|step| !step.is_done()) {
                step.leave_out("StoppedAtFailure", &message);
            }
        }
        if self.steps.iter().all(Step::is_done) {
            self.ended = Some(End::Finished);
        }
    }
}

#[cfg(test)]
mod tests;
