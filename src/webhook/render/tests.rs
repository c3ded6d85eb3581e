//! What people read.

use super::*;
use crate::api::VerdictName;
use crate::core::gate::testing::at;
use crate::core::gate::testing::{Ask, Known, STANDINGS, cxgate, fact, seen, settled, spec, xgate};
use crate::core::gate::{CheckFact, Held};
use crate::core::observation::{Observation, Outcome};
use crate::core::verdict::{Evaluation, Standing};
use proptest::prelude::*;
use serde_json::json;

const SUBJECT: Subject<'static> = Subject { kind: "PodChaos", namespace: Some("shop"), name: "kill" };

fn denied(checks: &[&str], facts: &Known) -> String {
    let gate = xgate("chaos", spec(checks, json!({})));
    denial(&Ask::default().decide(&[&gate], facts), SUBJECT)
}

fn remedied(name: &str, standing: Standing, remediation: &str) -> CheckFact {
    CheckFact { remediation: Some(remediation.into()), ..fact("shop", name, standing) }
}

#[test]
fn one_that_fails() {
    let facts =
        Known::of([remedied("checkout-healthy", Standing::Failing, "Scale checkout back to 3 replicas https://runbooks.example/checkout")]);
    assert_eq!(
        denied(&["checkout-healthy"], &facts),
        "PodChaos shop/kill blocked by ExperimentGate/chaos: 1 of 1 required check not passing: checkout-healthy FAIL (1/3 ready, required 3 ready) [d-7f3a9c0177]
  FAIL     checkout-healthy  Deployment/checkout: 1/3 ready  (12s ago)
fix:  Scale checkout back to 3 replicas https://runbooks.example/checkout
wait: kubectl wait --for=condition=Open xgate/chaos -n shop --timeout=10m"
    );
}

#[test]
fn each_way_of_not_passing_and_what_passes() {
    use Standing::{Failing, Passing, Stale, Unknown, Warning};
    let facts = Known::shop(&[("bad", Failing), ("odd", Unknown), ("old", Stale), ("meh", Warning), ("good", Passing), ("fine", Passing)]);
    assert_eq!(
        denied(&["good", "bad", "old", "gone", "odd", "meh", "fine"], &facts),
        "PodChaos shop/kill blocked by ExperimentGate/chaos: 4 of 7 required checks not passing: bad FAIL (1/3 ready, required 3 ready), \
         odd UNKNOWN (Deployment/checkout: connection refused), old STALE (last evaluated 11m ago, believed for 2m), +1 more [d-7f3a9c0177]
  FAIL     bad  Deployment/checkout: 1/3 ready  (12s ago)
  UNKNOWN  odd  Deployment/checkout: connection refused  (12s ago)
  STALE    old  last evaluated 11m ago, believed for 2m
  MISSING  gone  there is no PreflightCheck gone in namespace shop
  WARN     meh  Deployment/checkout: disk at 85%  (12s ago)
  PASS     good, fine
wait: kubectl wait --for=condition=Open xgate/chaos -n shop --timeout=10m"
    );
}

#[test]
fn two_gates_are_one_message() {
    let facts = Known::shop(&[("a", Standing::Failing), ("b", Standing::Stale)]);
    let (one, two) = (xgate("chaos", spec(&["a"], json!({}))), cxgate("platform", spec(&["b"], json!({}))));
    let warns = xgate("warns", spec(&["a"], json!({"mode": "Warn"})));
    assert_eq!(
        denial(&Ask::default().decide(&[&one, &warns, &two], &facts), SUBJECT),
        "PodChaos shop/kill blocked by ClusterExperimentGate/platform and ExperimentGate/chaos: 2 of 2 required checks not passing: \
         shop/b STALE (last evaluated 11m ago, believed for 2m), a FAIL (1/3 ready, required 3 ready) [d-7f3a9c0177]
  STALE    ClusterExperimentGate/platform: shop/b  last evaluated 11m ago, believed for 2m
  FAIL     ExperimentGate/chaos: a  Deployment/checkout: 1/3 ready  (12s ago)
wait: kubectl wait --for=condition=Passing pfc/b -n shop --timeout=10m"
    );
}

#[test]
fn one_can_wait_for_what_it_says() {
    let facts = Known::shop(&[("a", Standing::Failing)]);
    let wait =
        |gate| denial(&Ask::default().decide(&[&gate], &facts), SUBJECT).lines().find_map(|l| l.strip_prefix("wait: ").map(str::to_owned));
    let fixed = cxgate("platform", spec(&[], json!({"checks": [{"name": "a", "namespace": "shop"}]})));
    assert_eq!(wait(fixed).unwrap(), "kubectl wait --for=condition=Open cxgate/platform --timeout=10m");
    // A gate that looks in the namespace of the request is never Open: one would wait in vain.
    let per_request = cxgate("platform", spec(&["a"], json!({})));
    assert_eq!(wait(per_request).unwrap(), "kubectl wait --for=condition=Passing pfc/a -n shop --timeout=10m");
    assert_eq!(wait(cxgate("platform", spec(&["gone"], json!({})))), None);
}

#[test]
fn what_only_warns_or_is_let_through_does_not_read_as_if_it_blocked() {
    let advisory = CheckFact { severity: crate::api::Severity::Advisory, ..fact("shop", "meh", Standing::Failing) };
    let facts = Known::of([fact("shop", "bad", Standing::Failing), advisory, fact("shop", "old", Standing::Stale)]);
    let gate = xgate("chaos", spec(&["bad", "meh", "old"], json!({"respond": {"stale": "Allow"}})));
    let text = denial(&Ask::default().decide(&[&gate], &facts), SUBJECT);
    assert!(text.contains("1 of 3 required checks not passing: bad FAIL"), "{text}");
    assert!(text.contains("\n  WARN     meh  Deployment/checkout: 1/3 ready") && !text.contains("old"), "{text}");
}

#[test]
fn many_are_counted() {
    let names: Vec<String> = (0..30).map(|i| format!("check-{i:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let facts = Known::of(names.iter().map(|name| fact("shop", name, Standing::Failing)));
    let text = denied(&names, &facts);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + MAX_CAUSE_LINES + 2);
    assert!(
        lines[0].contains("30 of 30 required checks not passing: check-00 FAIL") && lines[0].ends_with(", +27 more [d-7f3a9c0177]"),
        "{text}"
    );
    assert_eq!(lines[8], "  +23 more: see `kubectl describe` of the gate");
}

#[test]
fn a_gate_with_a_fault_names_the_field() {
    let gate = xgate("chaos", spec(&["a"], json!({"match": {"start": "object ="}})));
    let text = denial(&Ask::default().decide(&[&gate], &Known::shop(&[("a", Standing::Passing)])), SUBJECT);
    assert!(text.contains("1 of 1 required check not passing: (this gate's own spec) UNKNOWN (spec.match.start: "), "{text}");
}

#[test]
fn the_summary_is_true_for_every_answer() {
    let summary_of = |mode: &str, respond: &str, standing| {
        let gate = xgate("chaos", spec(&["a"], json!({"mode": mode, "respond": {"failing": respond}})));
        summary(&Ask::default().decide(&[&gate], &Known::shop(&[("a", standing)])), SUBJECT)
    };
    let tail = "by ExperimentGate/chaos: 1 of 1 required check not passing: a FAIL (1/3 ready, required 3 ready) [d-7f3a9c0177]";
    for (mode, respond, verb) in [
        ("Enforce", "Deny", "blocked"),
        ("Warn", "Deny", "would be blocked"),
        ("Audit", "Deny", "would be blocked"),
        ("Enforce", "Warn", "admitted with a warning"),
        ("Audit", "Warn", "would be admitted with a warning"),
        ("Enforce", "Allow", "admitted"),
    ] {
        assert_eq!(summary_of(mode, respond, Standing::Failing), format!("PodChaos shop/kill {verb} {tail}"));
    }
    assert_eq!(summary_of("Enforce", "Deny", Standing::Passing), "PodChaos shop/kill: all required checks pass");
}

#[test]
fn a_refusal_is_403_forbidden_with_causes_and_annotations() {
    let gate = xgate("chaos", spec(&["a", "b", "c"], json!({})));
    let decision =
        Ask::default().decide(&[&gate], &Known::shop(&[("a", Standing::Failing), ("b", Standing::Stale), ("c", Standing::Warning)]));
    let found = answer("the-uid", &decision, SUBJECT);
    let status = found.status.as_ref().unwrap();
    assert_eq!((found.uid.as_str(), found.allowed, status.code, status.reason.as_str()), ("the-uid", false, 403, "Forbidden"));
    let details = status.details.as_ref().unwrap();
    let causes: Vec<_> = details.causes.iter().map(|c| (c.reason.as_str(), c.field.as_str(), c.message.as_str())).collect();
    assert_eq!(
        causes,
        [
            ("CheckFailed", "ExperimentGate/chaos/a", "Deployment/checkout: 1/3 ready"),
            ("CheckStale", "ExperimentGate/chaos/b", "last evaluated 11m ago, believed for 2m"),
        ]
    );
    let annotations: Vec<_> = found.audit_annotations.iter().map(|(k, v)| (*k, v.as_str())).collect();
    assert_eq!(
        annotations,
        [("decision", "Deny"), ("decision-id", "d-7f3a9c0177"), ("failed-checks", "a,b"), ("gate", "ExperimentGate/chaos")]
    );
    let json: serde_json::Value = serde_json::from_slice(&found.to_json()).unwrap();
    assert_eq!(json["kind"], "AdmissionReview");
    assert_eq!(json["response"]["status"]["code"], 403);
    assert_eq!(json["response"]["auditAnnotations"]["decision"], "Deny");
}

#[test]
fn warn_warns_and_audit_is_silent() {
    let answered = |mode: &str, standing| {
        let gate = xgate("chaos", spec(&["a", "b"], json!({"mode": mode})));
        answer("u", &Ask::default().decide(&[&gate], &Known::shop(&[("a", standing), ("b", Standing::Passing)])), SUBJECT)
    };
    let warned = answered("Warn", Standing::Failing);
    assert_eq!((warned.allowed, warned.status), (true, None));
    assert_eq!(warned.warnings, ["ExperimentGate/chaos would block: a FAIL (1/3 ready, required 3 ready)"]);
    assert_eq!(warned.audit_annotations["would-be"], "Deny");
    assert_eq!(answered("Enforce", Standing::Warning).warnings, ["ExperimentGate/chaos warns: a WARN (Deployment/checkout: disk at 85%)"]);
    let audited = answered("Audit", Standing::Failing);
    assert_eq!((audited.allowed, audited.warnings.len(), audited.audit_annotations["would-be"].as_str()), (true, 0, "Deny"));
    let passed = answered("Warn", Standing::Passing);
    assert_eq!((passed.warnings.len(), passed.audit_annotations.contains_key("failed-checks")), (0, false));
    assert!(answer("u", &Ask::default().decide(&[], &Known::shop(&[])), SUBJECT).audit_annotations.is_empty());
}

#[test]
fn too_many_warnings_are_counted() {
    let names: Vec<String> = (0..20).map(|i| format!("check-{i:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let gate = xgate("chaos", spec(&names, json!({"mode": "Warn"})));
    let warnings = answer("u", &Ask::default().decide(&[&gate], &Known::shop(&[])), SUBJECT).warnings;
    assert_eq!((warnings.len(), warnings[15].as_str()), (16, "and 5 more checks do not pass: see `kubectl describe` of the gate"));
}

#[test]
fn the_id_stays_in_the_first_line_however_long_the_rest_is() {
    let long = "𐍈".repeat(2000);
    let observation = Observation::new(&long, Outcome::Fail, "X", &long).measured(&long, &long);
    let state = settled(Evaluation::Observed(vec![observation]), at(-1));
    let facts = Known::of([CheckFact {
        state: std::sync::Arc::new(state),
        remediation: Some(long.into()),
        ..fact("shop", "a", Standing::Failing)
    }]);
    let text = denied(&["a", "b"], &facts);
    assert!(text.len() <= MAX_MESSAGE_BYTES);
    assert!(text.lines().next().unwrap().ends_with("[d-7f3a9c0177]"), "{text}");
}

fn nasty() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "(\u{1b}\\[[0-9]m|\n|\r|\t|x|é|𐍈|\u{202e}){0,400}", Just("x".repeat(5000))]
}

proptest! {
    #[test]
    fn whatever_probes_say_it_is_bounded_and_plain(
        texts in prop::collection::vec((nasty(), nasty(), nasty(), prop::sample::select(STANDINGS.to_vec())), 1..12),
        mode in prop::sample::select(vec!["Enforce", "Warn"]),
        (kind, name) in (nasty(), nasty()),
    ) {
        let mut names = Vec::new();
        let facts = Known::of(texts.iter().enumerate().map(|(i, (message, value, remediation, standing))| {
            names.push(format!("c{i}"));
            let mut check = fact("shop", &format!("c{i}"), *standing);
            // Built by hand: not even the bounds of observations are counted on.
            let state = std::sync::Arc::make_mut(&mut check.state);
            state.message.clone_from(message);
            state.results = vec![Observation { message: message.clone(), value: Some(value.clone()), required: Some(value.clone()), ..seen(Outcome::Fail) }];
            check.remediation = Some(remediation.as_str().into());
            check
        }));
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let gate = xgate("chaos", spec(&names, json!({"mode": mode})));
        let subject = Subject { kind: &kind, namespace: Some("shop"), name: &name };
        let decision = Ask::default().decide(&[&gate], &facts);
        let found = answer("u", &decision, subject);
        if let Some(status) = &found.status {
            prop_assert!(status.message.len() <= MAX_MESSAGE_BYTES);
            prop_assert!(!status.message.chars().any(|c| c.is_control() && c != '\n'));
            prop_assert!(status.message.lines().count() <= 12);
            prop_assert!(status.message.lines().next().unwrap().ends_with("[d-7f3a9c0177]"));
            for cause in &status.details.as_ref().unwrap().causes {
                prop_assert!(!cause.message.chars().any(char::is_control) && cause.message.chars().count() <= 256);
            }
        }
        prop_assert!(found.warnings.len() <= MAX_WARNINGS);
        for line in found.warnings.iter().chain(found.audit_annotations.values()).chain([&summary(&decision, subject)]) {
            prop_assert!(!line.chars().any(char::is_control));
        }
        prop_assert!(found.warnings.iter().all(|w| w.chars().count() <= MAX_WARNING_CHARS));
        prop_assert!(found.audit_annotations.keys().all(|k| !k.contains('/')));
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&found.to_json()).is_ok());
    }
}

/// A gate that holds, and a check that was never evaluated.
fn held(ask: &Ask, known: Option<(i64, Option<VerdictName>)>) -> Answer {
    let gate = xgate("chaos", spec(&["a", "b"], json!({"respond": {"unknown": "Hold"}})));
    let unevaluated =
        CheckFact { state: std::sync::Arc::new(crate::core::gate::testing::unevaluated()), ..fact("shop", "a", Standing::Passing) };
    let held = known.map(|(since, ended)| Held {
        run: "shop/xgate-chaos-held-1".into(),
        since: at(since),
        ended,
        place_until: None,
        withdrawn: false,
    });
    let facts = Known { held, ..Known::of([unevaluated, fact("shop", "b", Standing::Passing)]) };
    answer("u", &ask.decide(&[&gate], &facts), SUBJECT)
}

#[test]
fn whoever_is_held_gets_one_line_and_when_to_come_back() {
    let found = held(&Ask::default(), None);
    let status = found.status.clone().unwrap();
    assert_eq!((found.allowed, status.code, status.reason.as_str()), (false, 429, "TooManyRequests"));
    assert_eq!(
        status.message,
        "PodChaos shop/kill held by ExperimentGate/chaos: 1 of 2 required checks not passing: a UNKNOWN (not evaluated yet); come back in 1s, they are being evaluated [d-7f3a9c0177]"
    );
    let details = status.details.unwrap();
    assert_eq!((details.retry_after_seconds, details.causes.len(), details.causes[0].reason.as_str()), (1, 1, "CheckUnknown"));
    assert_eq!(found.audit_annotations["decision"], "Hold");
    let json: serde_json::Value = serde_json::from_slice(&held(&Ask::default(), None).to_json()).unwrap();
    assert_eq!(json["response"]["status"]["details"]["retryAfterSeconds"], 1);
}

#[test]
fn whoever_waited_for_nothing_is_told_which_run_it_was() {
    let text = |ask: &Ask, known| {
        let status = held(ask, known).status.unwrap();
        assert_eq!((status.code, status.details.unwrap().retry_after_seconds), (403, 0));
        status.message
    };
    let over = text(&Ask::default(), Some((-26, None)));
    let first = over.lines().next().unwrap();
    assert!(first.ends_with("; it was held for 25s, and PreflightRun shop/xgate-chaos-held-1 did not settle it [d-7f3a9c0177]"), "{over}");
    assert!(over.contains("\nrun:  kubectl get pfrun xgate-chaos-held-1 -n shop -o yaml\n"), "{over}");
    let ended = text(&Ask::default(), Some((-2, Some(VerdictName::Unknown))));
    assert!(ended.lines().next().unwrap().contains("; PreflightRun shop/xgate-chaos-held-1 came to Unknown ["), "{ended}");
    let account = text(&Ask { user: "system:serviceaccount:a:b".into(), ..Ask::default() }, None);
    assert!(account.lines().next().unwrap().contains("; accounts of the system are not asked to wait: "), "{account}");
    let dry = text(&Ask { dry_run: true, ..Ask::default() }, None);
    assert!(dry.lines().next().unwrap().contains("; nothing is begun for a dry run: it would be held for up to 25s "), "{dry}");
}

#[test]
fn what_is_left_out_is_counted() {
    let gate = xgate("chaos", spec(&["a", "b", "c"], json!({"stopAtFirstFailure": true, "maxPriority": 20})));
    let tier = |name: &str, priority| CheckFact { priority, ..fact("shop", name, Standing::Failing) };
    let text = denial(&Ask::default().decide(&[&gate], &Known::of([tier("a", 0), tier("b", 10), tier("c", 30)])), SUBJECT);
    assert!(
        text.contains("\n  SKIP     1 check of a later tier (stopAtFirstFailure)\n  SKIP     1 check not required (maxPriority)"),
        "{text}"
    );
}
