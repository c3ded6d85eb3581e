//! What a gate remembers of its decisions.

use super::*;
use crate::core::gate::testing::{Ask, Known, at, cxgate, spec, xgate};
use crate::core::verdict::Standing;
use serde_json::json;

fn record(mode: &str, standing: Standing, dry_run: bool) -> (Record, GateKey) {
    let gate = xgate("chaos", spec(&["a"], json!({"mode": mode})));
    let decision = Ask::default().decide(&[&gate], &Known::shop(&[("a", standing)]));
    let record = Record {
        time: at(0),
        operation: "CREATE".into(),
        object: "PodChaos shop/kill".into(),
        user: "jane".into(),
        owner: None,
        dry_run,
        headline: "a\nline".into(),
        decision,
    };
    (record, gate.key)
}

#[test]
fn each_answer_counts_once_and_is_kept() {
    let mut ledger = Ledger::default();
    for (mode, standing, decision, would_be) in [
        ("Enforce", Standing::Passing, "Allow", None),
        ("Enforce", Standing::Warning, "Warn", None),
        ("Enforce", Standing::Failing, "Deny", None),
        ("Warn", Standing::Failing, "Warn", Some("Deny")),
        ("Audit", Standing::Failing, "Allow", Some("Deny")),
        ("Audit", Standing::Warning, "Allow", Some("Warn")),
    ] {
        let (record, key) = record(mode, standing, false);
        ledger.enter(&record, &key);
        let newest = ledger.recent.front().unwrap();
        assert_eq!((newest.decision.as_str(), newest.would_be.as_deref()), (decision, would_be), "{mode} {standing:?}");
        assert_eq!((newest.id.as_str(), newest.object.as_str(), newest.user.as_str()), ("d-7f3a9c0177", "PodChaos shop/kill", "jane"));
        assert_eq!(newest.message, "a line");
    }
    assert_eq!(ledger.counters, DecisionCounters { admitted: 3, warned: 2, held: 0, denied: 1 });
}

#[test]
fn a_dry_run_and_what_other_gates_say_leave_no_trace() {
    let mut ledger = Ledger::default();
    let (dry, key) = record("Enforce", Standing::Failing, true);
    ledger.enter(&dry, &key);
    let (other, _) = record("Enforce", Standing::Failing, false);
    ledger.enter(&other, &cxgate("chaos", spec(&["a"], json!({}))).key);
    assert_eq!(ledger, Ledger::default());
}

#[test]
fn what_is_kept_is_bounded_and_counters_do_not_overflow() {
    let (record, key) = record("Enforce", Standing::Failing, false);
    let mut ledger = Ledger { counters: DecisionCounters { denied: i64::MAX - 1, ..DecisionCounters::default() }, ..Ledger::default() };
    for _ in 0..100 {
        ledger.enter(&record, &key);
    }
    assert_eq!((ledger.recent.len(), ledger.counters.denied), (MAX_RECENT, i64::MAX));
}

fn one(decision: &str, second: i64) -> Ledger {
    let (record, key) = record("Enforce", Standing::Failing, false);
    let mut ledger = Ledger::default();
    ledger.enter(&Record { time: at(second), headline: decision.into(), ..record }, &key);
    ledger
}

fn messages(recent: &[RecentDecision]) -> Vec<&str> {
    recent.iter().map(|r| r.message.as_str()).collect()
}

#[test]
fn what_is_added_to_a_status_is_counted_and_sorted_in() {
    let nothing = Ledger::default().added_to(&[], &DecisionCounters::default());
    assert_eq!(nothing, (Vec::new(), DecisionCounters::default()));
    let (recent, counters) = one("a", 5).added_to(&[], &DecisionCounters::default());
    let (recent, counters) = one("c", 7).added_to(&recent, &counters);
    // Another replica's, made in between and stored later.
    let (recent, counters) = one("b", 6).added_to(&recent, &counters);
    // Of the same second: the one that is stored later is newer.
    let (recent, counters) = one("d", 7).added_to(&recent, &counters);
    assert_eq!((messages(&recent), counters.denied), (vec!["d", "c", "b", "a"], 4));
    let (mut many, mut counters) = (recent, counters);
    for _ in 0..40 {
        (many, counters) = one("x", 8).added_to(&many, &counters);
    }
    assert_eq!((many.len(), counters.denied), (MAX_RECENT, 44));
}

#[test]
fn what_could_not_be_stored_is_behind_what_was_decided_since() {
    let mut since = one("b", 6);
    since.take_back(one("a", 5));
    let (recent, counters) = since.added_to(&[], &DecisionCounters::default());
    assert_eq!((messages(&recent), counters.denied), (vec!["b", "a"], 2));
    let mut full = Ledger::default();
    for _ in 0..30 {
        full.take_back(one("a", 5));
    }
    assert_eq!((full.recent.len(), full.counters.denied), (MAX_RECENT, 30));
    assert!(!full.is_empty() && Ledger::default().is_empty());
}
