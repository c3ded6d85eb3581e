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
    assert_eq!(ledger.counters, DecisionCounters { admitted: 3, warned: 2, denied: 1 });
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
