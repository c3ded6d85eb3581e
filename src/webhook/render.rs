//! How a decision is phrased: the message of a denial, warnings, causes, audit annotations.
//!
//! The first line of a denial suffices alone, because some tools show nothing else. The text is one bounded block without control characters:
//! parts of it come from probes, and end in somebody's terminal.

use super::review::Answer;
use crate::api::{Mode, Response};
use crate::core::gate::{Cause, CauseKind, Decision, Hold, Judgement, Outcome, Skipped, seconds};
use crate::core::records::{verdict_word, word as word_of};
use crate::core::text::{MAX_MESSAGE_CHARS, single_line};
use kube::core::response::{StatusCause, StatusDetails};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The longest message, in bytes.
const MAX_MESSAGE_BYTES: usize = 2048;
/// The longest first line, in bytes, without the decision's id.
const MAX_HEADLINE_BYTES: usize = 900;
/// The longest other line, in characters; what to do may be longer.
const MAX_LINE_CHARS: usize = 200;
const MAX_FIX_CHARS: usize = 400;
/// How many causes have a line of their own.
const MAX_CAUSE_LINES: usize = 7;
/// How many causes the first line names.
const MAX_FIRST_LINE_CAUSES: usize = 3;
/// How many checks that pass are named, of each gate.
const MAX_PASSING_NAMES: usize = 3;
/// The longest warning, in characters (the API server cuts long ones, and drops all beyond 4096 in sum).
const MAX_WARNING_CHARS: usize = 120;
/// How many warnings are sent.
const MAX_WARNINGS: usize = 16;

/// What the request was about, for messages.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The object's kind.
    pub kind: &'a str,
    /// Its namespace.
    pub namespace: Option<&'a str>,
    /// Its name.
    pub name: &'a str,
}

impl std::fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// The answer for a decision.
pub fn answer(uid: &str, decision: &Decision, subject: Subject<'_>) -> Answer {
    let mut answer = match decision.answer {
        Response::Deny => Answer::forbid(uid, denial(decision, subject), Some(details(decision, subject))),
        // One line: it is read when the client has given up, and its last word may be cut by what stands in front.
        Response::Hold => Answer::come_back(uid, bounded(summary(decision, subject), MAX_MESSAGE_BYTES), details(decision, subject)),
        Response::Allow | Response::Warn => Answer { warnings: warnings(decision), ..Answer::allow(uid) },
    };
    answer.audit_annotations = annotations(decision);
    answer
}

/// One line for records: the first line of the denial, or what would have been refused.
pub fn summary(decision: &Decision, subject: Subject<'_>) -> String {
    let worst = decision.judgements.iter().map(|j| j.would_be).max().unwrap_or(Response::Allow);
    let concerned: Vec<&Judgement> = decision.judgements.iter().filter(|j| is_told_of(j.would_be, worst) && !j.causes.is_empty()).collect();
    let verb = match (worst, decision.answer) {
        _ if concerned.is_empty() => return single_line(&format!("{subject}: all required checks pass"), MAX_MESSAGE_CHARS),
        (Response::Deny, Response::Deny) => "blocked",
        (Response::Deny, _) => "would be blocked",
        (Response::Hold, Response::Hold) => "held",
        (Response::Hold, _) => "would be held",
        (Response::Warn, Response::Warn) => "admitted with a warning",
        (Response::Warn, _) => "would be admitted with a warning",
        (Response::Allow, _) => "admitted",
    };
    headline(&concerned, verb, worst, subject, &decision.id)
}

/// The message of a denial.
pub fn denial(decision: &Decision, subject: Subject<'_>) -> String {
    let denying: Vec<&Judgement> = decision.judgements.iter().filter(|j| is_told_of(j.answer, Response::Deny)).collect();
    let mut text = headline(&denying, "blocked", Response::Deny, subject, &decision.id);
    let several = denying.len() > 1;
    let causes: Vec<(&Judgement, &Cause)> =
        denying.iter().flat_map(|j| j.causes.iter().filter(|c| c.response != Response::Allow).map(move |c| (*j, c))).collect();
    for (judgement, cause) in causes.iter().take(MAX_CAUSE_LINES) {
        let _ = write!(text, "\n  {}", cause_line(judgement, cause, several));
    }
    if causes.len() > MAX_CAUSE_LINES {
        let _ = write!(text, "\n  +{} more: see `kubectl describe` of the gate", causes.len() - MAX_CAUSE_LINES);
    }
    let passing: Vec<&str> = denying.iter().flat_map(|j| j.passing.iter().take(MAX_PASSING_NAMES)).map(|p| p.check.as_str()).collect();
    if !passing.is_empty() {
        let _ = write!(text, "\n  PASS     {}", single_line(&passing.join(", "), MAX_LINE_CHARS));
    }
    let skipped = denying
        .iter()
        .fold(Skipped::default(), |sum, j| Skipped { beyond: sum.beyond + j.skipped.beyond, later: sum.later + j.skipped.later });
    if skipped.later > 0 {
        let _ = write!(text, "\n  SKIP     {} of a later tier (stopAtFirstFailure)", checks(skipped.later));
    }
    if skipped.beyond > 0 {
        let _ = write!(text, "\n  SKIP     {} not required (maxPriority)", checks(skipped.beyond));
    }
    let fix = causes.iter().find_map(|(_, c)| c.remediation.as_deref().filter(|_| blocks(c)));
    if let Some(fix) = fix {
        let _ = write!(text, "\nfix:  {}", single_line(fix, MAX_FIX_CHARS));
    }
    if let Some(run) = denying.iter().find_map(|j| j.hold.as_ref()?.run.as_deref()) {
        let (namespace, name) = run.split_once('/').unwrap_or(("", run));
        let command = format!("kubectl get pfrun {name} -n {namespace} -o yaml");
        let _ = write!(text, "\nrun:  {}", single_line(&command, MAX_FIX_CHARS));
    }
    if let Some(wait) = denying.first().and_then(|j| wait_command(j)) {
        let _ = write!(text, "\nwait: {}", single_line(&wait, MAX_FIX_CHARS));
    }
    bounded(text, MAX_MESSAGE_BYTES)
}

/// The first line. `response` says which causes it is about.
fn headline(denying: &[&Judgement], verb: &str, response: Response, subject: Subject<'_>, id: &str) -> String {
    let gates: Vec<String> = denying.iter().map(|j| j.gate.to_string()).collect();
    let blocking: Vec<&Cause> = denying.iter().flat_map(|j| &j.causes).filter(|c| is_told_of(c.response, response)).collect();
    let required: usize = denying.iter().map(|j| j.required).sum();
    let named: Vec<String> = blocking.iter().take(MAX_FIRST_LINE_CAUSES).map(|c| brief(c)).collect();
    let more = blocking.len().saturating_sub(MAX_FIRST_LINE_CAUSES);
    let more = if more > 0 { format!(", +{more} more") } else { String::new() };
    let noun = if required == 1 { "check" } else { "checks" };
    let line = format!(
        "{subject} {verb} by {}: {} of {} required {noun} not passing: {}{more}",
        gates.join(" and "),
        blocking.len(),
        required.max(blocking.len()),
        named.join(", ")
    );
    // What is to be done now and the id stay, however long the rest is.
    let waiting = denying.iter().find_map(|j| j.hold.as_ref().map(|hold| waiting(hold, j.hold_seconds))).unwrap_or_default();
    let room = MAX_HEADLINE_BYTES.saturating_sub(waiting.len());
    format!("{}{waiting} [{id}]", bounded(single_line(&line, MAX_HEADLINE_BYTES), room))
}

/// What came of holding a request, or will.
fn waiting(hold: &Hold, allowed: u32) -> String {
    let run = hold.run.as_deref().map_or_else(|| "the checks".to_owned(), |run| format!("PreflightRun {}", single_line(run, 320)));
    match hold.outcome {
        Outcome::Waits(seconds) => format!("; come back in {seconds}s, they are being evaluated"),
        Outcome::DryRun => format!("; nothing is begun for a dry run: it would be held for up to {allowed}s while they are evaluated"),
        Outcome::Account => "; accounts of the system are not asked to wait: they are being evaluated, try again in a moment".to_owned(),
        Outcome::Ended(verdict) => format!("; {run} came to {}", verdict_word(verdict)),
        Outcome::Over => format!("; it was held for {allowed}s, and {run} did not settle it"),
        Outcome::Impossible(why) => format!("; it cannot be held: {why}"),
    }
}

/// Whether something is told of in an answer: all that blocks in one that refuses or holds, or what is as bad.
fn is_told_of(response: Response, answer: Response) -> bool {
    if answer >= Response::Hold { response >= Response::Hold } else { response == answer }
}

/// Whether the cause keeps the start from being admitted.
fn blocks(cause: &Cause) -> bool {
    cause.response >= Response::Hold
}

fn checks(number: usize) -> String {
    if number == 1 { "1 check".to_owned() } else { format!("{number} checks") }
}

/// A cause in a few words: `checkout-healthy FAIL (1/3 ready, required 3 ready)`.
fn brief(cause: &Cause) -> String {
    let detail = match (&cause.measured, cause.kind) {
        (Some((value, required)), CauseKind::Failing) => format!("{value}, required {required}"),
        _ => single_line(&cause.message, 120),
    };
    format!("{} {} ({detail})", cause.check, word(cause.kind))
}

fn cause_line(judgement: &Judgement, cause: &Cause, several: bool) -> String {
    let gate = if several { format!("{}: ", judgement.gate) } else { String::new() };
    let age = match (cause.kind, cause.age_seconds) {
        (CauseKind::Stale | CauseKind::Missing, _) | (_, None) => String::new(),
        (_, Some(age)) => format!("  ({} ago)", seconds(age)),
    };
    // What only warns must not read as if it blocked.
    let word = if blocks(cause) { word(cause.kind) } else { "WARN" };
    let (check, message) = (single_line(&cause.check, MAX_LINE_CHARS), single_line(&cause.message, MAX_LINE_CHARS));
    format!("{word:<8} {gate}{check}  {message}{age}")
}

const fn word(kind: CauseKind) -> &'static str {
    match kind {
        CauseKind::Failing => "FAIL",
        CauseKind::Unknown => "UNKNOWN",
        CauseKind::Stale => "STALE",
        CauseKind::Missing => "MISSING",
        CauseKind::Warning => "WARN",
    }
}

/// For what to wait: for the gate, or for the worst check if the gate is neither open nor closed.
fn wait_command(judgement: &Judgement) -> Option<String> {
    let gate = &judgement.gate;
    let wait = |condition: &str, object: &str, namespace: Option<&str>| {
        let namespace = namespace.map_or_else(String::new, |n| format!(" -n {n}"));
        format!("kubectl wait --for=condition={condition} {object}{namespace} --timeout=10m")
    };
    if !judgement.per_request {
        return Some(wait("Open", &format!("{}/{}", gate.short_kind(), gate.name), gate.namespace.as_deref()));
    }
    let evaluated = judgement.causes.iter().find(|c| blocks(c) && c.age_seconds.is_some())?;
    let (namespace, name) = evaluated.check.split_once('/')?;
    Some(wait("Passing", &format!("pfc/{name}"), Some(namespace)))
}

/// One warning for each check that does not pass, of each gate that warns. No control characters: a warning with one vanishes in silence.
fn warnings(decision: &Decision) -> Vec<String> {
    let warning = |j: &Judgement, c: &Cause| {
        let verb = match (j.mode, c.response) {
            (Mode::Warn, Response::Deny) => "would block",
            (Mode::Warn, Response::Hold) => "would hold",
            _ => "warns",
        };
        single_line(&format!("{} {verb}: {}", j.gate, brief(c)), MAX_WARNING_CHARS)
    };
    let warning = &warning;
    let mut warnings: Vec<String> = decision
        .judgements
        .iter()
        .filter(|j| j.answer == Response::Warn)
        .flat_map(|j| j.causes.iter().filter(|c| c.response != Response::Allow).map(move |c| warning(j, c)))
        .collect();
    if warnings.len() > MAX_WARNINGS {
        let more = warnings.len() + 1 - MAX_WARNINGS;
        warnings.truncate(MAX_WARNINGS - 1);
        warnings.push(format!("and {more} more checks do not pass: see `kubectl describe` of the gate"));
    }
    warnings
}

fn details(decision: &Decision, subject: Subject<'_>) -> StatusDetails {
    let cause = |j: &Judgement, c: &Cause| StatusCause {
        reason: match c.kind {
            CauseKind::Failing => "CheckFailed",
            CauseKind::Unknown => "CheckUnknown",
            CauseKind::Stale => "CheckStale",
            CauseKind::Missing => "CheckMissing",
            CauseKind::Warning => "CheckWarning",
        }
        .to_owned(),
        message: single_line(&c.message, 256),
        field: format!("{}/{}", j.gate, c.check),
    };
    let cause = &cause;
    let denying = decision.judgements.iter().filter(|j| is_told_of(j.answer, Response::Deny));
    let causes = denying.flat_map(|j| j.causes.iter().filter(|c| blocks(c)).map(move |c| cause(j, c)));
    StatusDetails {
        name: subject.name.to_owned(),
        group: String::new(),
        kind: subject.kind.to_owned(),
        uid: String::new(),
        causes: causes.take(20).collect(),
        retry_after_seconds: retry_after(decision).unwrap_or(0),
    }
}

/// After how many seconds the client is to come back, if the answer is that it is.
pub fn retry_after(decision: &Decision) -> Option<u32> {
    let waits = decision.judgements.iter().filter_map(|j| match j.hold.as_ref()?.outcome {
        Outcome::Waits(seconds) => Some(seconds),
        _ => None,
    });
    (decision.answer == Response::Hold).then(|| waits.max()).flatten()
}

fn annotations(decision: &Decision) -> BTreeMap<&'static str, String> {
    if decision.judgements.is_empty() {
        return BTreeMap::new();
    }
    let join = |parts: Vec<String>| single_line(&parts.join(","), 1024);
    let blocking = decision.judgements.iter().flat_map(|j| j.causes.iter().filter(|c| blocks(c)));
    let would_be = decision.judgements.iter().map(|j| j.would_be).max().unwrap_or(Response::Allow);
    let mut annotations = BTreeMap::from([
        ("decision", word_of(decision.answer).to_owned()),
        ("decision-id", decision.id.clone()),
        ("gate", join(decision.judgements.iter().map(|j| j.gate.to_string()).collect())),
    ]);
    let failed: Vec<String> = blocking.map(|c| c.check.clone()).collect();
    if !failed.is_empty() {
        annotations.insert("failed-checks", join(failed));
    }
    if would_be != decision.answer {
        annotations.insert("would-be", word_of(would_be).to_owned());
    }
    annotations
}

/// Cuts at a limit in bytes, at a character.
fn bounded(mut text: String, max: usize) -> String {
    if text.len() > max {
        let mut end = max.saturating_sub('…'.len_utf8());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests;
