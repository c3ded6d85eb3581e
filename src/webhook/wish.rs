//! What is to be evaluated for requests that are held: made of a decision, for whoever makes runs.

use super::review::Review;
use crate::api::{Operation, Response};
use crate::core::gate::{Asked, CheckName, Decision, Hold, Outcome, Wish};
use crate::core::text::single_line;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// How many gates may want something for one request.
const MAX_WISHES: usize = 8;
/// How many checks one gate may want evaluated.
const MAX_CHECKS: usize = 64;
/// The longest name of an object in a text for people, in characters.
const MAX_TITLE_CHARS: usize = 320;

/// What the gates want that hold a request. Nothing, if it is refused for another reason: then waiting is for nothing.
pub fn wishes(decision: &Decision, review: Review, operation: Operation, title: &str, now: Timestamp) -> Vec<Wish> {
    let waits = |outcome: Outcome| matches!(outcome, Outcome::Waits(_) | Outcome::Account);
    let refused = decision.judgements.iter().any(|j| j.answer == Response::Deny && !j.hold.as_ref().is_some_and(|h| waits(h.outcome)));
    let mut wanting = decision.judgements.iter().filter(|j| j.hold.as_ref().is_some_and(Hold::wants_run)).peekable();
    if refused || wanting.peek().is_none() {
        return Vec::new();
    }
    let asked = Arc::new(asked(review, operation, title));
    let wish = |judgement: &crate::core::gate::Judgement| {
        let curable = judgement.causes.iter().filter(|cause| cause.curable);
        let checks: Vec<CheckName> = curable.flat_map(|cause| cause.of.iter().cloned()).take(MAX_CHECKS).collect();
        let allowed = SignedDuration::from_secs(i64::from(judgement.hold_seconds));
        Some(Wish {
            key: judgement.hold.as_ref()?.key.clone(),
            gate_uid: judgement.uid.clone(),
            checks,
            asked_at: now,
            deadline: now.checked_add(allowed).unwrap_or(now),
            asked: asked.clone(),
        })
    };
    wanting.take(MAX_WISHES).filter_map(wish).collect()
}

fn asked(review: Review, operation: Operation, title: &str) -> Asked {
    let generated = review.generates_name();
    let namespace = review.namespace().map(str::to_owned);
    let Review { head, resource, object, old_object, request, .. } = review;
    Asked {
        operation,
        resource,
        kind: head.kind.kind,
        namespace,
        name: (!generated).then_some(head.name),
        title: single_line(title, MAX_TITLE_CHARS),
        groups: head.user_info.groups,
        object,
        old_object,
        request,
    }
}
