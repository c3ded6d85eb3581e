//! The status of a gate says what it would do now.

use super::*;
use crate::api::conditions::get;
use crate::api::{DecisionCounters, RecentDecision};
use crate::core::gate::judge;
use crate::core::gate::testing::{Known, at, cxgate, spec, xgate};
use crate::core::verdict::Standing;
use serde_json::json;

fn status_of(gate: &Gate, facts: &Known) -> GateStatus {
    look(None, gate, facts, Ok(()), &[], &Ledger::default()).unwrap()
}

fn look(
    written: Option<&GateStatus>,
    gate: &Gate,
    facts: &Known,
    registered: Result<(), String>,
    found: &[Problem],
    ledger: &Ledger,
) -> Option<GateStatus> {
    let judgement = judge(gate, gate.key.namespace.as_deref(), facts, at(0));
    diff(written, &View { gate, found, judgement: &judgement, registered, ledger }, at(0))
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
    let ready = |gate: &Gate, registered: Result<(), String>, found: &[Problem]| {
        told(&look(None, gate, &facts, registered, found, &Ledger::default()).unwrap(), READY)
    };
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
    assert_eq!(look(Some(&kept), &gate, &facts, Ok(()), &[], &Ledger::default()), None);
    let counted = Ledger { counters: DecisionCounters { denied: 1, ..DecisionCounters::default() }, ..Ledger::default() };
    assert_eq!(look(Some(&kept), &gate, &facts, Ok(()), &[], &counted).unwrap().counters.denied, 1);
}

#[test]
fn the_largest_status_is_bounded_and_counts_what_it_leaves_out() {
    let text: String = "𐍈".repeat(256);
    let names: Vec<String> = (0..64).map(|i| format!("{i:02}{}", "x".repeat(200))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let gate = xgate("chaos", spec(&names, json!({})));
    let decision = RecentDecision {
        id: "d-0123456789".into(),
        time: Time(at(0)),
        decision: "Deny".into(),
        would_be: Some("Deny".into()),
        operation: "CREATE".into(),
        object: text.clone(),
        user: text.chars().take(128).collect(),
        message: text,
    };
    let ledger = Ledger { recent: vec![decision; 20].into(), ..Ledger::default() };
    let status = look(None, &gate, &Known::shop(&[]), Ok(()), &[], &ledger).unwrap();
    let size = serde_json::to_vec(&status).unwrap().len();
    assert!((16 * 1024..=MAX_STATUS_BYTES).contains(&size), "{size} bytes");
    assert_eq!(status.blocking, 64);
    assert!(status.blockers.len() >= ALWAYS_KEPT && status.recent_decisions.len() >= ALWAYS_KEPT);
    assert_eq!(look(Some(&status), &gate, &Known::shop(&[]), Ok(()), &[], &ledger), None);
}
