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

fn held(object: &str, seconds: i64) -> RecentDecision {
    let (record, key) = record("Enforce", Standing::Failing, false);
    let mut ledger = Ledger::default();
    ledger.enter(&Record { time: at(seconds), object: object.into(), ..record }, &key);
    RecentDecision { decision: "Hold".into(), ..ledger.recent.remove(0).unwrap() }
}

#[test]
fn of_a_wait_only_the_last_answer_is_kept() {
    let ledger = |recent: &[RecentDecision]| Ledger { recent: recent.to_vec().into(), ..Ledger::default() };
    let earlier = [held("PodChaos shop/a", 1), held("PodChaos shop/b", 1), one("a", 0).recent.remove(0).unwrap()];
    let (recent, _) = ledger(&[held("PodChaos shop/a", 3)]).added_to(&earlier, &DecisionCounters::default());
    let times: Vec<_> = recent.iter().map(|d| (d.decision.as_str(), d.object.as_str(), d.time.0.as_second() - at(0).as_second())).collect();
    assert_eq!(times, [("Hold", "PodChaos shop/a", 3), ("Hold", "PodChaos shop/b", 1), ("Deny", "PodChaos shop/kill", 0)]);
}

#[test]
fn a_decision_says_by_what_it_was_made() {
    let gate = xgate("chaos", spec(&["a", "b", "gone"], json!({"mode": "Audit"})));
    let decision = Ask::default().decide(&[&gate], &Known::shop(&[("a", Standing::Passing), ("b", Standing::Failing)]));
    let judgement = &decision.judgements[0];
    assert_eq!(inputs_line(judgement), "b=Failing 12s, gone=Missing, a=Passing 12s");
    let (template, key) = record("Audit", Standing::Failing, false);
    let mut ledger = Ledger::default();
    ledger.enter(&Record { decision: decision.clone(), ..template }, &key);
    let entry = &ledger.recent[0];
    let checks: Vec<_> = entry.checks.iter().map(|c| (c.check.as_str(), c.verdict.as_str(), c.age_seconds)).collect();
    assert_eq!(checks, [("b", "Failing", Some(12)), ("gone", "Missing", None), ("a", "Passing", Some(12))]);
    assert_eq!((entry.generation, entry.more_checks, entry.would_be.as_deref()), (Some(1), 0, Some("Deny")));
    // However many there are.
    let names: Vec<String> = (0..60).map(|i| format!("{}-{i}", "n".repeat(200))).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let many = Ask::default().decide(&[&xgate("chaos", spec(&names, json!({})))], &Known::shop(&[]));
    let line = inputs_line(&many.judgements[0]);
    assert!(line.chars().count() < 1100 && line.ends_with(", +40 more"), "{line}");
}

#[test]
fn the_owner_is_the_one_that_controls() {
    let owned = |owners: Value| Owner::of(&json!({"metadata": {"ownerReferences": owners}}));
    let schedule = json!({"apiVersion": "chaos-mesh.org/v1alpha1", "kind": "Schedule", "name": "nightly", "uid": "u", "controller": true});
    assert_eq!(owned(json!([{"kind": "Pod", "name": "x"}, schedule])).unwrap().name, "nightly");
    for owners in
        [json!(null), json!([]), json!({}), json!([{"controller": true}]), json!([{"controller": "true", "name": "x"}]), json!([7])]
    {
        assert_eq!(owned(owners), None);
    }
}
