//! The decision: pure, total, and never weaker for a worse world.

use super::testing::{self, Ask, Known, STANDINGS, at, cxgate, fact, judged, settings, spec, state, xgate};
use super::*;
use crate::api::Severity;
use crate::core::observation::Outcome;
use crate::core::verdict::{Evaluation, Standing, State, settle};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

mod answers;
mod holding;
mod matching;
mod properties;

const RESPONSES: [Response; 4] = [Response::Allow, Response::Warn, Response::Hold, Response::Deny];

fn word<T: serde::Serialize>(value: T) -> Value {
    serde_json::to_value(value).unwrap()
}

#[test]
fn every_mode_response_standing_and_severity() {
    for mode in [Mode::Enforce, Mode::Warn, Mode::Audit] {
        for response in RESPONSES {
            let others = if response == Response::Deny { Response::Allow } else { Response::Deny };
            for standing in STANDINGS {
                let field = match standing {
                    Standing::Failing => "failing",
                    Standing::Stale => "stale",
                    _ => "unknown",
                };
                let mut respond = json!({"failing": word(others), "unknown": word(others), "stale": word(others), "missing": word(others)});
                respond[field] = word(response);
                let gate = xgate("chaos", spec(&["a"], json!({"mode": word(mode), "respond": respond})));
                for severity in [Severity::Required, Severity::Advisory] {
                    let facts = Known::of([CheckFact { severity, ..fact("shop", "a", standing) }]);
                    // What fails is not waited for.
                    let response = if standing == Standing::Failing && response == Response::Hold { Response::Deny } else { response };
                    let would_be = match (standing, severity) {
                        (Standing::Passing, _) => Response::Allow,
                        (Standing::Warning, _) => Response::Warn,
                        (_, Severity::Required) => response,
                        // An advisory check never blocks.
                        (_, Severity::Advisory) => response.min(Response::Warn),
                    };
                    let answer = match mode {
                        Mode::Enforce => would_be,
                        Mode::Warn => would_be.min(Response::Warn),
                        Mode::Audit => Response::Allow,
                    };
                    let decision = Ask::default().decide(&[&gate], &facts);
                    let found = &decision.judgements[0];
                    assert_eq!(
                        (decision.answer, found.answer, found.would_be),
                        (answer, answer, would_be),
                        "{mode:?} {response:?} {standing:?} {severity:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_is_not_known_yet_is_unknown_and_not_missing() {
    for (complete, field, kind) in [(true, "missing", CauseKind::Missing), (false, "unknown", CauseKind::Unknown)] {
        for response in RESPONSES {
            let gate = xgate("chaos", spec(&["a"], json!({"respond": {field: word(response)}})));
            let facts = Known { complete, ..Known::shop(&[]) };
            let judgement = judged(&gate, &facts);
            // What there is not is not waited for.
            let response = if complete && response == Response::Hold { Response::Deny } else { response };
            assert_eq!((judgement.causes[0].kind, judgement.answer, judgement.required), (kind, response, 1));
        }
    }
    // A check that is known counts as it is, also before all are known.
    let facts = Known { complete: false, ..Known::shop(&[("a", Standing::Passing)]) };
    assert_eq!(judged(&xgate("chaos", spec(&["a"], json!({}))), &facts).answer, Response::Allow);
}

#[test]
fn the_strictest_gate_wins_and_is_named_first() {
    let gate = |name: &str, mode: &str, check: &str| xgate(name, spec(&[check], json!({"mode": mode})));
    let (warn, deny, open) = (gate("a-warns", "Warn", "bad"), gate("z-denies", "Enforce", "bad"), gate("m-open", "Enforce", "good"));
    let also = cxgate("denies-too", spec(&["bad"], json!({})));
    let facts = Known::shop(&[("bad", Standing::Failing), ("good", Standing::Passing)]);
    let decision = Ask::default().decide(&[&warn, &open, &deny, &also], &facts);
    let names: Vec<_> = decision.judgements.iter().map(|j| j.gate.name.as_str()).collect();
    assert_eq!((decision.answer, names), (Response::Deny, vec!["denies-too", "z-denies", "a-warns", "m-open"]));
    assert_eq!(decision.judgements[0].causes[0].check, "shop/bad");
    assert_eq!(decision.judgements[1].causes[0].check, "bad");
    let none = Ask::default().decide(&[], &facts);
    assert_eq!((none.answer, none.judgements.len()), (Response::Allow, 0));
}

#[test]
fn a_selector_finds_checks_counts_each_once_and_must_find_one() {
    let labelled = |name: &str, standing| CheckFact {
        labels: Arc::new([("tier".to_owned(), "infra".to_owned())].into()),
        ..fact("shop", name, standing)
    };
    let references = json!([{"selector": {"matchLabels": {"tier": "infra"}}}, {"name": "dns"}, {"selector": {}}]);
    let gate = xgate("chaos", spec(&[], json!({"checks": references})));
    let facts =
        Known::of([labelled("dns", Standing::Failing), labelled("net", Standing::Passing), fact("shop", "other", Standing::Passing)]);
    let judgement = judged(&gate, &facts);
    let names: Vec<_> = judgement.passing.iter().map(|passed| passed.check.as_str()).collect();
    assert_eq!((judgement.required, judgement.causes.len(), names), (3, 1, vec!["net", "other"]));
    let judgement = judged(&gate, &Known::shop(&[]));
    let told: Vec<_> = judgement.causes.iter().map(|c| (c.kind, c.message.as_str())).collect();
    assert_eq!(
        told,
        [
            (CauseKind::Missing, "there is no PreflightCheck in namespace shop"),
            (CauseKind::Missing, "no PreflightCheck in namespace shop has the labels tier=infra"),
            (CauseKind::Missing, "there is no PreflightCheck dns in namespace shop"),
        ]
    );
    // Checks of another namespace do not count.
    let elsewhere = Known::of([CheckFact {
        labels: Arc::new([("tier".to_owned(), "infra".to_owned())].into()),
        ..fact("other", "dns", Standing::Passing)
    }]);
    assert_eq!(judged(&gate, &elsewhere).answer, Response::Deny);
}

#[test]
fn a_cluster_gate_takes_checks_from_a_fixed_namespace_or_the_requests() {
    let gate = cxgate("chaos", spec(&[], json!({"checks": [{"name": "a"}, {"name": "b", "namespace": "platform"}]})));
    let facts =
        Known::of([fact("shop", "a", Standing::Passing), fact("platform", "b", Standing::Passing), fact("other", "a", Standing::Failing)]);
    let decide = |namespace: Option<&str>| Ask { namespace: namespace.map(str::to_owned), ..Ask::default() }.decide(&[&gate], &facts);
    assert_eq!(decide(Some("shop")).answer, Response::Allow);
    assert_eq!(decide(Some("other")).judgements[0].causes[0].check, "other/a");
    assert_eq!(decide(Some("empty")).judgements[0].causes[0].message, "there is no PreflightCheck a in namespace empty");
    let without = decide(None);
    assert_eq!(without.answer, Response::Deny);
    assert_eq!(
        without.judgements[0].causes[0].message,
        "the object has no namespace in which to look for this check: give the reference a namespace"
    );
}

#[test]
fn a_gate_with_problems_answers_as_it_does_for_what_it_cannot_tell() {
    let bad = [
        json!({"match": {"start": "object.spec ="}}),
        json!({"match": {"rules": [
            {"apiGroups": ["chaos-mesh.org"], "resources": ["podchaos"], "operations": ["CREATE"]},
            {"apiGroups": [""], "resources": ["pods"], "operations": ["CREATE"]},
        ]}}),
        json!({"match": {"objectSelector": {"matchLabels": {"a b": "c"}}}}),
        json!({"checks": [{"name": "a"}, {"selector": {"matchLabels": {"a b": "c"}}}]}),
    ];
    for more in bad {
        for response in RESPONSES {
            let mut more = more.clone();
            more["respond"] = json!({"unknown": word(response)});
            let gate = xgate("chaos", spec(&["a"], more.clone()));
            assert!(!gate.problems.is_empty());
            let decision = Ask::default().decide(&[&gate], &Known::shop(&[("a", Standing::Passing)]));
            let response = if response == Response::Hold { Response::Deny } else { response };
            assert_eq!(decision.answer, response, "{more}");
            assert_eq!(
                (decision.judgements[0].causes[0].check.as_str(), decision.judgements[0].causes[0].kind),
                (OWN_SPEC, CauseKind::Unknown)
            );
        }
    }
}

#[test]
fn causes_carry_what_a_message_needs() {
    let gate = xgate("chaos", spec(&["bad", "old", "gone", "odd", "meh"], json!({})));
    let mut facts = Known::shop(&[("old", Standing::Stale), ("odd", Standing::Unknown), ("meh", Standing::Warning)]);
    facts.checks.push(CheckFact { remediation: Some("scale up".into()), ..fact("shop", "bad", Standing::Failing) }.into());
    let causes = judged(&gate, &facts).causes;
    let told: Vec<_> = causes.iter().map(|c| (c.check.as_str(), c.kind, c.message.as_str(), c.age_seconds)).collect();
    assert_eq!(
        told,
        [
            ("bad", CauseKind::Failing, "Deployment/checkout: 1/3 ready", Some(12)),
            ("odd", CauseKind::Unknown, "Deployment/checkout: connection refused", Some(12)),
            ("old", CauseKind::Stale, "last evaluated 11m ago, believed for 2m", Some(660)),
            ("gone", CauseKind::Missing, "there is no PreflightCheck gone in namespace shop", None),
            ("meh", CauseKind::Warning, "Deployment/checkout: disk at 85%", Some(12)),
        ]
    );
    assert_eq!(causes[0].measured, Some(("1/3 ready".into(), "3 ready".into())));
    assert_eq!((causes[0].target.as_deref(), causes[0].remediation.as_deref()), (Some("Deployment/checkout"), Some("scale up")));
}

#[test]
fn what_passes_is_never_given_as_what_was_measured_of_a_failure() {
    // It failed, and passed once of the two times that are wanted.
    let two = crate::core::verdict::Settings { success_threshold: 2, ..settings() };
    let pass = Evaluation::Observed(vec![testing::seen(Outcome::Pass)]);
    let recovering = settle(&two, &state(Standing::Failing), pass, Duration::ZERO, at(-1));
    let facts = Known::of([CheckFact { state: Arc::new(recovering), ..fact("shop", "a", Standing::Failing) }]);
    let cause = judged(&xgate("chaos", spec(&["a"], json!({}))), &facts).causes.remove(0);
    assert_eq!((cause.kind, cause.measured), (CauseKind::Failing, None));
    assert_eq!(cause.message, "1 of 2 consecutive passes; Deployment/checkout: 3/3 ready");
}

#[test]
fn a_verdict_that_turned_stale_is_answered_as_stale_before_and_after_the_engine_notices() {
    let gate = xgate("chaos", spec(&["a"], json!({"respond": {"stale": "Deny", "unknown": "Allow"}})));
    let before = state(Standing::Stale);
    let after = before.turned_stale(at(-1), 10);
    for state in [before, after] {
        let judgement = judged(&gate, &Known::of([CheckFact { state: Arc::new(state), ..fact("shop", "a", Standing::Stale) }]));
        assert_eq!((judgement.answer, judgement.causes[0].kind), (Response::Deny, CauseKind::Stale));
        assert_eq!(judgement.causes[0].message, "last evaluated 11m ago, believed for 2m");
    }
}

#[test]
fn an_answer_that_ran_out_or_lies_in_the_future_says_so() {
    let gate = xgate("chaos", spec(&["a"], json!({})));
    let with = |state: State| {
        judged(&gate, &Known::of([CheckFact { state: Arc::new(state), ..fact("shop", "a", Standing::Passing) }])).causes.remove(0)
    };
    let ran_out = with(State { holds_until: Some(at(0)), ..state(Standing::Passing) });
    assert_eq!((ran_out.kind, ran_out.message.as_str()), (CauseKind::Unknown, "its answer has just run out and is being renewed"));
    let future = with(State { evaluated_at: Some(at(60)), stale_at: Some(at(180)), ..state(Standing::Passing) });
    assert_eq!(
        (future.kind, future.message.as_str()),
        (CauseKind::Unknown, "it was evaluated in the future: the operator's clock was set back")
    );
}

#[test]
fn ids_are_short_and_made_of_the_uid() {
    for (uid, id) in
        [("7F3A9C01-77aa-4000-8000-000000000000", "d-7f3a9c0177"), ("ab", "d-ab"), ("", "d-"), ("zzz\u{1b}[31m", "d-31"), ("é7", "d-7")]
    {
        assert_eq!(decision_id(uid), id);
    }
}

#[test]
fn durations_are_for_people() {
    for (s, text) in [
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (7199, "119m"),
        (7200, "2h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (u64::MAX, "213503982334601d"),
    ] {
        assert_eq!(seconds(s), text);
    }
}
