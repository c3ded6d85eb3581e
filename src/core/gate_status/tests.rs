//! The status of a gate says what it would do now.

use super::*;
use crate::api::conditions::get;
use crate::api::{DecidedBy, DecisionCounters, RecentDecision};
use crate::core::gate::judge;
use crate::core::gate::testing::{Known, at, cxgate, spec, xgate};
use crate::core::verdict::Standing;
use serde_json::json;

fn status_of(gate: &Gate, facts: &Known) -> GateStatus {
    look(None, gate, facts, Ok(()), &[])
}

fn look(written: Option<&GateStatus>, gate: &Gate, facts: &Known, registered: Result<(), String>, found: &[Problem]) -> GateStatus {
    let judgement = judge(gate, gate.key.namespace.as_deref(), None, facts, at(0));
    judged(written, &View { gate, found, notes: &[], judgement: &judgement, registered }, at(0))
}

fn write(replica: &str, batch: i64) -> Recorder {
    Recorder { replica: replica.into(), batch }
}

/// The object after a merge patch, as the API server makes it.
fn patched(status: &GateStatus, patch: &Value) -> GateStatus {
    let mut value = serde_json::to_value(status).unwrap();
    json_patch_merge(&mut value, patch);
    serde_json::from_value(value).unwrap()
}

/// RFC 7396.
fn json_patch_merge(target: &mut Value, patch: &Value) {
    let Value::Object(members) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in members {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            json_patch_merge(&mut target[key], value);
        }
    }
}

fn told(status: &GateStatus, type_: &str) -> (String, String, String) {
    let c = get(&status.conditions, type_).unwrap();
    (c.status.clone(), c.reason.clone(), c.message.clone())
}

#[test]
fn open_names_the_worst_that_blocks() {
    use Standing::{Failing, Passing, Stale, Unknown, Warning};
    for (checks, more, status, reason, message) in [
        (vec![("a", Passing), ("b", Passing)], json!({}), "True", "ChecksPassing", "all 2 required checks pass"),
        (vec![("a", Passing), ("b", Warning)], json!({}), "True", "ChecksPassing", "none of 2 required checks blocks (let through: b)"),
        (vec![("a", Failing), ("b", Unknown)], json!({}), "False", "ChecksFailing", "2 of 2 required checks not passing (failing): a, b"),
        (vec![("a", Stale), ("b", Unknown)], json!({}), "False", "ChecksUnknown", "2 of 2 required checks not passing (unknown): b, a"),
        (vec![("a", Stale), ("b", Passing)], json!({}), "False", "ChecksStale", "1 of 2 required checks not passing (stale): a"),
        (vec![("a", Passing)], json!({}), "False", "ChecksMissing", "1 of 2 required checks not passing (missing): b"),
        (
            vec![("a", Failing), ("b", Passing)],
            json!({"respond": {"failing": "Warn"}}),
            "True",
            "ChecksPassing",
            "none of 2 required checks blocks (let through: a)",
        ),
        (
            vec![("a", Failing), ("b", Passing)],
            json!({"mode": "Warn"}),
            "False",
            "ChecksFailing",
            "1 of 2 required checks not passing (failing): a; mode is Warn: starts are admitted with a warning",
        ),
        (
            vec![("a", Failing), ("b", Passing)],
            json!({"mode": "Audit"}),
            "False",
            "ChecksFailing",
            "1 of 2 required checks not passing (failing): a; mode is Audit: starts are admitted and recorded",
        ),
    ] {
        let gate = xgate("chaos", spec(&["a", "b"], more));
        let found = told(&status_of(&gate, &Known::shop(&checks)), OPEN);
        assert_eq!(found, (status.into(), reason.into(), message.into()), "{checks:?}");
    }
}

#[test]
fn a_gate_that_looks_in_the_namespace_of_the_request_is_neither_open_nor_closed() {
    let gate = cxgate("chaos", spec(&["a"], json!({})));
    let (status, reason, _) = told(&status_of(&gate, &Known::shop(&[])), OPEN);
    assert_eq!((status.as_str(), reason.as_str()), ("Unknown", "PerRequest"));
}

#[test]
fn ready_says_what_is_wrong_first_then_whether_it_is_registered() {
    let facts = Known::shop(&[("a", Standing::Passing)]);
    let gate = xgate("chaos", spec(&["a"], json!({})));
    let ready = |gate: &Gate, registered: Result<(), String>, found: &[Problem]| told(&look(None, gate, &facts, registered, found), READY);
    assert_eq!(ready(&gate, Ok(()), &[]).1, "Serving");
    assert_eq!(ready(&gate, Err("not yet".into()), &[]), ("False".into(), "WebhookNotReady".into(), "not yet".into()));
    let found = [Problem::new("spec.match.rules[].resources", "no such resource")];
    assert_eq!(ready(&gate, Ok(()), &found).2, "spec.match.rules[].resources: no such resource");
    let bad = xgate("bad", spec(&["a"], json!({"match": {"start": "object.spec ="}})));
    let (status, reason, message) = ready(&bad, Ok(()), &[]);
    assert_eq!((status.as_str(), reason.as_str()), ("False", "InvalidSpec"));
    assert!(message.starts_with("spec.match.start: "), "{message}");
    assert_eq!(told(&status_of(&bad, &facts), OPEN).1, "InvalidSpec");
}

#[test]
fn blockers_are_the_worst_first_and_the_unchanged_is_not_written() {
    use Standing::{Failing, Passing, Stale, Unknown};
    let gate = xgate("chaos", spec(&["a", "b", "c", "d", "e"], json!({})));
    let facts = Known::shop(&[("a", Stale), ("b", Unknown), ("c", Failing), ("d", Passing)]);
    let status = status_of(&gate, &facts);
    let blockers: Vec<_> = status.blockers.iter().map(|b| (b.check.as_str(), b.verdict.as_str(), b.message.as_str())).collect();
    assert_eq!(
        blockers,
        [
            ("c", "Failing", "Deployment/checkout: 1/3 ready"),
            ("b", "Unknown", "Deployment/checkout: connection refused"),
            ("a", "Stale", "it passed, too long ago"),
            ("e", "Missing", "there is no PreflightCheck e in namespace shop"),
        ]
    );
    assert_eq!((status.blocking, status.observed_generation), (4, Some(1)));
    let kept: GateStatus = serde_json::from_str(&serde_json::to_string(&status).unwrap()).unwrap();
    assert_eq!(kept, status);
    assert_eq!(changes(Some(&kept), &look(Some(&kept), &gate, &facts, Ok(()), &[])), None);
}

#[test]
fn what_the_leader_says_and_what_replicas_decided_do_not_touch_each_other() {
    let gate = xgate("chaos", spec(&["a"], json!({})));
    let open = status_of(&gate, &Known::shop(&[("a", Standing::Passing)]));
    let counted = Ledger { counters: DecisionCounters { denied: 2, ..DecisionCounters::default() }, ..Ledger::default() };
    let stored = recorded(open.clone(), &counted, write("one", 7));
    let patch = changes(Some(&open), &stored).unwrap();
    assert_eq!(
        patch,
        json!({ "counters": { "admitted": 0, "warned": 0, "held": 0, "denied": 2 }, "recorders": [{ "replica": "one", "batch": 7 }] })
    );
    assert_eq!(patched(&open, &patch), stored);
    let closed = look(Some(&stored), &gate, &Known::shop(&[("a", Standing::Failing)]), Ok(()), &[]);
    let patch = changes(Some(&stored), &closed).unwrap();
    let members: Vec<&str> = patch.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["blockers", "blocking", "conditions"]);
    assert_eq!((patched(&stored, &patch), closed.counters.denied), (closed.clone(), 2));
    // What goes is removed, and not left behind.
    let again = look(Some(&closed), &gate, &Known::shop(&[("a", Standing::Passing)]), Ok(()), &[]);
    assert_eq!(patched(&closed, &changes(Some(&closed), &again).unwrap()), again);
    assert_eq!(again.blockers, []);
}

#[test]
fn each_replicas_last_write_is_found_and_few_are_remembered() {
    let none = Ledger::default();
    let first = recorded(GateStatus::default(), &none, write("one", 1));
    let second = recorded(first, &none, write("two", 5));
    let third = recorded(second, &none, write("one", 2));
    assert_eq!(third.recorders, [write("one", 2), write("two", 5)]);
    assert!(holds(Some(&third), &write("one", 2)) && !holds(Some(&third), &write("one", 1)) && !holds(None, &write("one", 1)));
    let many = (0..20).fold(third, |status, n| recorded(status, &none, write(&n.to_string(), 1)));
    assert_eq!((many.recorders.len(), &many.recorders[0]), (MAX_RECORDERS, &write("19", 1)));
}

#[test]
fn the_largest_status_is_bounded_and_counts_what_it_leaves_out() {
    let text: String = "𐍈".repeat(256);
    let names: Vec<String> = (0..64).map(|i| format!("{i:02}{}", "x".repeat(200))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let gate = xgate("chaos", spec(&names, json!({})));
    let checked = DecidedBy { check: "x".repeat(128), verdict: "Passing".into(), age_seconds: Some(i64::MAX) };
    let decision = RecentDecision {
        id: "d-0123456789".into(),
        time: Time(at(0)),
        decision: "Deny".into(),
        would_be: Some("Deny".into()),
        operation: "CREATE".into(),
        object: text.clone(),
        user: text.chars().take(128).collect(),
        generation: Some(i64::MAX),
        message: text,
        checks: vec![checked; 8],
        more_checks: i32::MAX,
        run: Some(format!("{}/{}", "n".repeat(63), "r".repeat(100))),
    };
    let ledger = Ledger { recent: vec![decision; 20].into(), ..Ledger::default() };
    let status = recorded(look(None, &gate, &Known::shop(&[]), Ok(()), &[]), &ledger, write("a", 1));
    assert!(status.recent_decisions.len() < 20, "what is added gives way first");
    let status = look(Some(&status), &gate, &Known::shop(&[]), Ok(()), &[]);
    let size = serde_json::to_vec(&status).unwrap().len();
    assert!((16 * 1024..=MAX_STATUS_BYTES).contains(&size), "{size} bytes");
    assert_eq!(status.blocking, 64);
    assert!(status.blockers.len() >= ALWAYS_KEPT && status.recent_decisions.len() >= ALWAYS_KEPT);
    assert_eq!(look(Some(&status), &gate, &Known::shop(&[]), Ok(()), &[]), status);
}
