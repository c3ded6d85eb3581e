//! What a gate asks of its checks: some of several, of some tiers only, and not too old.

use super::*;
use crate::core::freshness::{Basis, Reported, Revision, Watermark};
use jiff::SignedDuration;

fn tier(name: &str, priority: i32, standing: Standing) -> CheckFact {
    CheckFact { priority, ..fact("shop", name, standing) }
}

fn told(judgement: &Judgement) -> Vec<(&str, CauseKind, &str)> {
    judgement.causes.iter().map(|c| (c.check.as_str(), c.kind, c.message.as_str())).collect()
}

#[test]
fn some_of_several_count_as_one_requirement_that_says_which_are_missing() {
    use Standing::{Failing, Passing, Stale, Unknown, Warning};
    let gate = |count: i32| {
        let of = json!([{"name": "a"}, {"name": "b"}, {"name": "c"}]);
        xgate("chaos", spec(&["own"], json!({"atLeast": {"count": count, "of": of}, "respond": {"unknown": "Hold", "stale": "Hold"}})))
    };
    for (count, a, b, c, answer) in [
        (1, Passing, Failing, Failing, Response::Allow),
        (2, Passing, Failing, Passing, Response::Allow),
        (2, Passing, Warning, Failing, Response::Warn),
        (2, Passing, Failing, Failing, Response::Deny),
        // Waiting may bring the second that is needed, and not the third.
        (2, Passing, Unknown, Failing, Response::Hold),
        (2, Stale, Unknown, Failing, Response::Hold),
        (3, Passing, Unknown, Failing, Response::Deny),
    ] {
        let facts = Known::shop(&[("own", Passing), ("a", a), ("b", b), ("c", c)]);
        let judgement = judged(&gate(count), &facts);
        assert_eq!((judgement.answer, judgement.required), (answer, 2), "{count} of {a:?} {b:?} {c:?}");
    }
    let judgement = judged(&gate(2), &Known::shop(&[("own", Passing), ("a", Passing), ("b", Failing)]));
    assert_eq!(
        told(&judgement),
        [(
            "2 of [a, b, c]",
            CauseKind::Failing,
            "1 of 3 pass, 2 needed; b Failing (Deployment/checkout: 1/3 ready); c Missing (there is no PreflightCheck c in namespace shop)"
        )]
    );
    let judgement = judged(&gate(2), &Known::shop(&[("own", Passing), ("a", Passing), ("b", Unknown), ("c", Failing)]));
    let of: Vec<_> = judgement.causes[0].of.iter().map(|check| &*check.name).collect();
    assert_eq!(of, ["b"], "only what waiting may cure is worth a run");
}

#[test]
fn a_group_alone_is_enough_and_too_few_that_are_found_are_missing() {
    let gate = |count: i32| {
        let of = json!([{"selector": {"matchLabels": {"mirror": "main"}}}]);
        xgate("chaos", spec(&[], json!({"checks": [], "atLeast": {"count": count, "of": of}})))
    };
    assert!(gate(2).problems.is_empty());
    let mirror = |name: &str, standing| CheckFact {
        labels: Arc::new([("mirror".to_owned(), "main".to_owned())].into()),
        ..fact("shop", name, standing)
    };
    let facts = Known::of([mirror("a", Standing::Passing), mirror("b", Standing::Failing)]);
    assert_eq!(judged(&gate(1), &facts).answer, Response::Allow);
    assert_eq!(judged(&gate(1), &facts).passing[0].check, "1 of [a, b]");
    let judgement = judged(&gate(3), &facts);
    assert_eq!((judgement.answer, judgement.causes[0].kind), (Response::Deny, CauseKind::Failing));
    let judgement = judged(&gate(1), &Known::shop(&[]));
    assert_eq!((judgement.answer, judgement.causes[0].kind), (Response::Deny, CauseKind::Missing));
    // An advisory check counts: whoever lists it wants that.
    let advisory = CheckFact { severity: Severity::Advisory, ..mirror("a", Standing::Failing) };
    assert_eq!(judged(&gate(1), &Known::of([advisory])).answer, Response::Deny);
    // What is not about the request is no alternative to anything.
    let facts = Known::of([mirror("a", Standing::NotApplicable), mirror("b", Standing::Failing)]);
    assert_eq!(judged(&gate(2), &facts).answer, Response::Deny);
    let facts = Known::of([mirror("a", Standing::NotApplicable), mirror("b", Standing::NotApplicable)]);
    assert_eq!((judged(&gate(2), &facts).answer, judged(&gate(2), &facts).required), (Response::Allow, 0));
}

#[test]
fn later_tiers_are_not_required_beyond_a_priority() {
    let gate = |max: i32| xgate("chaos", spec(&["infra", "rules"], json!({"maxPriority": max})));
    let facts = Known::of([tier("infra", 0, Standing::Passing), tier("rules", 20, Standing::Failing)]);
    assert_eq!(judged(&gate(20), &facts).answer, Response::Deny);
    let judgement = judged(&gate(19), &facts);
    assert_eq!((judgement.answer, judgement.required, judgement.skipped), (Response::Allow, 1, Skipped { beyond: 1, later: 0 }));
    // A gate that is left with nothing does not open by that.
    let facts = Known::of([tier("infra", 15, Standing::Passing), tier("rules", 20, Standing::Passing)]);
    let judgement = judged(&gate(10), &facts);
    assert_eq!(judgement.answer, Response::Deny);
    assert_eq!(told(&judgement), [(OWN_SPEC, CauseKind::Missing, "none of its 2 checks has a priority of 10 or less (spec.maxPriority)")]);
}

#[test]
fn only_the_first_tier_that_refuses_is_told_of() {
    use Standing::{Failing, Passing, Unknown};
    let gate = xgate(
        "chaos",
        spec(&["net", "db", "rules", "gone"], json!({"stopAtFirstFailure": true, "respond": {"unknown": "Hold", "missing": "Warn"}})),
    );
    let facts = |net, db, rules| Known::of([tier("net", 0, net), tier("db", 5, db), tier("rules", 20, rules)]);
    let names = |facts: Known| {
        let judgement = judged(&gate, &facts);
        let causes: Vec<String> = judgement.causes.iter().map(|c| c.check.clone()).collect();
        let passing: Vec<String> = judgement.passing.iter().map(|p| p.check.clone()).collect();
        (judgement.answer, causes.join(" "), passing.join(" "), judgement.skipped.later)
    };
    assert_eq!(names(facts(Failing, Failing, Passing)), (Response::Deny, "net gone".into(), String::new(), 1));
    assert_eq!(names(facts(Passing, Failing, Failing)), (Response::Deny, "db gone".into(), "net".into(), 1));
    // What is only held does not stop: a later tier that refuses decides.
    assert_eq!(names(facts(Unknown, Failing, Failing)), (Response::Deny, "db net gone".into(), String::new(), 1));
    assert_eq!(names(facts(Unknown, Passing, Unknown)), (Response::Hold, "net rules gone".into(), "db".into(), 0));
}

#[test]
fn a_probed_verdict_is_too_old_for_a_gate_that_says_so() {
    let gate = |max: i32| xgate("chaos", spec(&[], json!({"checks": [{"name": "a", "maxAgeSeconds": max}], "respond": {"stale": "Hold"}})));
    // Observed 12 s ago.
    let facts = Known::shop(&[("a", Standing::Passing)]);
    assert_eq!(judged(&gate(12), &facts).answer, Response::Allow);
    let judgement = judged(&gate(11), &facts);
    assert_eq!(judgement.answer, Response::Hold);
    assert_eq!(told(&judgement), [("a", CauseKind::Stale, "last evaluated 12s ago, this gate believes it for 11s")]);
    // A live one is as new as what is watched, and what fails does so at any age.
    let live = Known::of([CheckFact { basis: Basis::Live, ..fact("shop", "a", Standing::Passing) }]);
    assert_eq!(judged(&gate(1), &live).answer, Response::Allow);
    assert_eq!(judged(&gate(1), &Known::shop(&[("a", Standing::Failing)])).causes[0].kind, CauseKind::Failing);
    // Of several references to one check the strictest counts, in any order.
    for references in
        [json!([{"name": "a", "maxAgeSeconds": 5}, {"selector": {}}]), json!([{"selector": {}}, {"name": "a", "maxAgeSeconds": 5}])]
    {
        let gate = xgate("chaos", spec(&[], json!({"checks": references})));
        assert_eq!((judged(&gate, &facts).answer, judged(&gate, &facts).required), (Response::Deny, 1));
    }
}

#[test]
fn what_a_threshold_forgives_is_not_a_pass_for_a_gate_that_wants_a_new_one() {
    let forgiving = crate::core::verdict::Settings { failure_threshold: 2, ..settings() };
    let passed =
        settle(&forgiving, &testing::unevaluated(), Evaluation::Observed(vec![testing::seen(Outcome::Pass)]), Duration::ZERO, at(-30));
    let failed = settle(&forgiving, &passed, Evaluation::Observed(vec![testing::seen(Outcome::Fail)]), Duration::ZERO, at(-2));
    let facts = Known::of([CheckFact { state: Arc::new(failed), ..fact("shop", "a", Standing::Passing) }]);
    let gate = |max: i32| xgate("chaos", spec(&[], json!({"checks": [{"name": "a", "maxAgeSeconds": max}]})));
    assert_eq!(judged(&gate(30), &facts).answer, Response::Allow);
    assert_eq!(judged(&gate(29), &facts).causes[0].kind, CauseKind::Stale);
}

#[test]
fn of_what_another_replica_observed_the_age_is_what_is_vouched_for() {
    let reported = Reported {
        last_passing: Some(at(-60)),
        interval: SignedDuration::from_secs(10),
        revision: Revision(5),
        term: Some(1),
        overdue: false,
        stale_after: Some(SignedDuration::from_secs(120)),
    };
    let of = |reported: Reported, watermark: Option<Watermark>| {
        let facts = Known::of([CheckFact { basis: Basis::Reported(reported), ..fact("shop", "a", Standing::Passing) }]);
        let freshness = crate::core::freshness::Freshness { watermark, ..testing::trusted() };
        let gate = xgate("chaos", spec(&[], json!({"checks": [{"name": "a", "maxAgeSeconds": 15}]})));
        judged(&gate, &Known { freshness, ..facts }).answer
    };
    let vouched = Watermark { time: at(-1), revision: Revision(9), term: 1, since: Revision(0) };
    assert_eq!(of(reported.clone(), None), Response::Deny);
    assert_eq!(of(reported.clone(), Some(vouched.clone())), Response::Allow);
    assert_eq!(of(Reported { overdue: true, ..reported }, Some(vouched)), Response::Deny);
}
