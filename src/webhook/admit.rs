//! From a review to its answer. Reads memory only: no lock, no call, nothing to wait for.

use super::render::{self, Subject};
use super::review::{Answer, Review, labels};
use super::wish::wishes;
use crate::api::{FailurePolicy, Operation, Response};
use crate::cluster::snapshot::Snapshot;
use crate::core::expr::Bindings;
use crate::core::gate::{Decision, Request, Wish, decide, decision_id};
use crate::core::records::{Owner, Record};
use crate::core::text::single_line;
use jiff::Timestamp;
use serde_json::Value;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What is said to whoever is not asked to come back, because too many are.
const CROWDED: &str = "too many requests wait already";

/// An answer, and what is to be done after it is given.
#[derive(Debug)]
pub struct Admitted {
    /// The answer.
    pub answer: Answer,
    /// What is to be recorded.
    pub record: Option<Record>,
    /// What is to be evaluated for it.
    pub wishes: Vec<Wish>,
}

impl Admitted {
    fn plain(answer: Answer) -> Self {
        Self { answer, record: None, wishes: Vec::new() }
    }
}

/// Answers a review that came through the entry of a failure policy. `crowded`: no more requests can be held.
pub fn admit(snapshot: &Snapshot, entry: FailurePolicy, body: &[u8], crowded: bool, now: Timestamp) -> Admitted {
    let review = match Review::parse(body) {
        Ok(review) => review,
        Err(malformed) => return Admitted::plain(Answer::bad_request(&malformed)),
    };
    let uid = review.head.uid.clone();
    // A defect must cost one request its answer, and not the process its life.
    catch_unwind(AssertUnwindSafe(|| judge(snapshot, entry, review, crowded, now)))
        .unwrap_or_else(|_| Admitted::plain(unable(entry, &uid, "the operator itself failed on this request: please report it")))
}

/// The answer when no decision is possible: by the entry's failure policy, as if the operator could not be reached, but saying why.
fn unable(entry: FailurePolicy, uid: &str, why: &str) -> Answer {
    let message = format!("Holdpoint cannot tell whether this may start: {why} [{}]", decision_id(uid));
    match entry {
        FailurePolicy::Fail => Answer::forbid(uid, message, None),
        FailurePolicy::Ignore => Answer { warnings: vec![single_line(&message, 120)], ..Answer::allow(uid) },
    }
}

fn judge(snapshot: &Snapshot, entry: FailurePolicy, review: Review, crowded: bool, now: Timestamp) -> Admitted {
    let uid = &review.head.uid;
    let Some(operation) = review.operation else { return Admitted::plain(Answer::allow(uid)) };
    let gates = snapshot.gates();
    if !gates.complete {
        return Admitted::plain(unable(entry, uid, "it has just started and has not read its gates yet; try again in a few seconds"));
    }
    let namespaces = snapshot.namespaces();
    let name = review.name();
    let identity = identity(&review);
    let bindings = Bindings::new(&review.object, review.old_object.as_ref(), &review.request);
    let request = Request {
        uid: &identity,
        resource: &review.resource,
        kind: &review.head.kind.kind,
        operation,
        namespace: review.namespace(),
        name: &name,
        generated_name: review.generates_name(),
        cannot_wait: crowded.then_some(CROWDED),
        dry_run: review.head.dry_run,
        // Of the old object, which the API server read: the new one is what the client sent.
        deleting: review.old_object.as_ref().is_some_and(is_deleting),
        labels: labels(&review.object),
        old_labels: review.old_object.as_ref().map(labels),
        namespace_labels: review.namespace().and_then(|n| namespaces.get(n)),
        user: review.user(),
        object: &review.object,
        old_object: review.old_object.as_ref(),
        bindings: &bindings,
    };
    let checks = snapshot.checks();
    let gates = gates.of(&review.resource, review.namespace());
    let mut decision = decide(&request, gates, &checks, now);
    let subject = Subject { kind: request.kind, namespace: request.namespace, name: &name };
    let answer = render::answer(uid, &decision, subject);
    if decision.judgements.is_empty() {
        return Admitted::plain(answer);
    }
    let headline = render::summary(&decision, subject);
    // An object that gates of both failure policies hold comes through both entries: each gate records it once.
    decision.judgements.retain(|j| j.failure_policy == entry);
    if decision.judgements.is_empty() {
        return Admitted::plain(answer);
    }
    let record = record(&review, decision, headline, subject, now);
    let title = subject.to_string();
    let wishes = wishes(&record.decision, review, operation, &title, now);
    Admitted { answer, record: Some(record), wishes }
}

/// What the decision's id is made of. An object that two entries hold is asked about twice, with two uids of the requests: whichever of the
/// answers is shown, its id must find both records. A created object's own uid is new for each try; an update is told by what it writes.
fn identity(review: &Review) -> String {
    let object_uid = review.object.pointer("/metadata/uid").and_then(Value::as_str);
    match (review.operation, object_uid) {
        (Some(Operation::Create), Some(uid)) => uid.to_owned(),
        (Some(Operation::Update), _) => {
            let mut hasher = DefaultHasher::new();
            (&review.resource, &review.head.user_info.username, &review.object).hash(&mut hasher);
            format!("{:016x}", hasher.finish())
        }
        _ => review.head.uid.clone(),
    }
}

fn is_deleting(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some_and(|t| !t.is_null())
}

fn record(review: &Review, decision: Decision, headline: String, subject: Subject<'_>, now: Timestamp) -> Record {
    // A name that is made up anew for each try would make each a request of its own.
    let lasting = review.generated_prefix().filter(|_| decision.answer == Response::Hold).map(|prefix| format!("{prefix}*"));
    let object = Subject { name: lasting.as_deref().unwrap_or(subject.name), ..subject };
    Record {
        time: now,
        operation: single_line(review.operation_name(), 16),
        object: single_line(&object.to_string(), 320),
        user: single_line(&review.head.user_info.username, 128),
        owner: Owner::of(&review.object),
        dry_run: review.head.dry_run,
        headline,
        decision,
    }
}

#[cfg(test)]
mod tests;
