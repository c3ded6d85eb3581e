//! N of M: some checks of several must pass, whichever.

use super::cause::{Cause, CauseKind, answer};
use super::judge::{Look, Passed};
use super::{CheckName, Gate};
use crate::api::Response;
use crate::core::text::{MAX_MESSAGE_CHARS, single_line};

/// The longest name of a group, in characters.
const MAX_NAME_CHARS: usize = 200;

/// One of the checks.
struct Member {
    /// What its state is worth, as an answer.
    response: Response,
    /// Whether it passes, with a warning or without.
    passes: bool,
    name: String,
    /// The cause that it would be by itself.
    cause: Option<Cause>,
}

/// What the group says as one requirement: nothing, if none of its checks is about the request.
///
/// Its answer is that of the N-th best of its checks: N of them are at least as good. So a check that gets worse never helps.
pub(super) fn judge(gate: &Gate, count: usize, looks: Vec<Look>) -> Look {
    let total = looks.len();
    if looks.iter().any(|look| matches!(look, Look::Asks)) {
        return Look::Asks;
    }
    let mut members: Vec<Member> = looks.into_iter().filter_map(|look| member(gate, look)).collect();
    // A selector may find fewer than must pass.
    let missing = || Member {
        response: answer(&gate.respond, CauseKind::Missing, false),
        passes: false,
        name: "(none found)".to_owned(),
        cause: None,
    };
    members.extend(std::iter::repeat_with(missing).take(count.saturating_sub(total)));
    let needed = count.min(members.len());
    members.sort_by_key(|member| member.response);
    let Some(decisive) = needed.checked_sub(1).and_then(|last| members.get(last)) else { return Look::NotRequired };
    let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let check = single_line(&format!("{needed} of [{}]", names.join(", ")), MAX_NAME_CHARS);
    if decisive.passes && decisive.cause.is_none() {
        return Look::Passes(Passed { check, age_seconds: None, priority: None });
    }
    // Of those that are as bad, the worst names it.
    let kinds = members.iter().filter(|m| m.response == decisive.response).filter_map(|m| m.cause.as_ref()).map(|cause| cause.kind);
    let kind = kinds.min().unwrap_or(CauseKind::Missing);
    let passing = members.iter().filter(|m| m.passes).count();
    let told: Vec<String> = members.iter().filter_map(|m| m.cause.as_ref().map(told)).collect();
    let message = format!("{passing} of {} pass, {needed} needed; {}", members.len(), told.join("; "));
    let holding = members.iter().take(needed).filter(|m| m.response == Response::Hold);
    let of: Vec<CheckName> = holding.filter_map(|m| m.cause.as_ref()).flat_map(|c| c.of.iter().cloned()).collect();
    let remediation = members.iter().rev().find_map(|m| m.cause.as_ref()?.remediation.clone());
    Look::Counts(Box::new(Cause {
        check,
        response: decisive.response,
        message: single_line(&message, MAX_MESSAGE_CHARS),
        of,
        remediation,
        ..Cause::of(gate, kind)
    }))
}

fn member(gate: &Gate, look: Look) -> Option<Member> {
    match look {
        Look::NotRequired | Look::Skipped | Look::Asks => None,
        Look::Passes(passed) => Some(Member { response: Response::Allow, passes: true, name: passed.check, cause: None }),
        // Whoever lists a check here wants it counted, advisory or not.
        Look::Counts(cause) => {
            let response = answer(&gate.respond, cause.kind, cause.curable);
            Some(Member { response, passes: cause.kind == CauseKind::Warning, name: cause.check.clone(), cause: Some(*cause) })
        }
    }
}

fn told(cause: &Cause) -> String {
    format!("{} {} ({})", cause.check, cause.kind.as_str(), single_line(&cause.message, 80))
}
