//! A composite of members is as its members are, at that instant.

use super::super::objects::testing::{NOW, Watched};
use super::*;
use proptest::prelude::*;

fn composite(spec: Value) -> Composite {
    let spec: CompositeProbe = serde_json::from_value(spec).unwrap();
    let mut problems = Vec::new();
    Composite::parse(&spec, "spec.probe.composite", &mut problems).unwrap_or_else(|| panic!("{problems:?}"))
}

fn member(name: &str, standing: Option<Standing>) -> MemberFact {
    MemberFact { name: name.to_owned(), standing, message: format!("{name} says so"), holds_until: None }
}

fn observe(spec: Value, members: &[MemberFact]) -> Vec<Observation> {
    let objects = Watched(None);
    let look = Look { targets: &[], namespace: "shop", objects: &objects, members, now: NOW.parse().unwrap() };
    composite(spec).observe(&look)
}

const ALL: [Option<Standing>; 7] = [
    Some(Standing::Passing),
    Some(Standing::Warning),
    Some(Standing::Failing),
    Some(Standing::Stale),
    Some(Standing::Unknown),
    Some(Standing::NotApplicable),
    None,
];

#[test]
fn each_member_is_a_target_and_what_is_not_known_is_an_error() {
    let members: Vec<MemberFact> = ALL.iter().zip(["p", "w", "f", "s", "u", "n", "x"]).map(|(s, name)| member(name, *s)).collect();
    let seen = observe(json!({"checks": [{"selector": {}}]}), &members);
    let outcomes: Vec<_> = seen.iter().map(|o| (o.target.as_str(), o.outcome)).collect();
    assert_eq!(
        outcomes,
        [
            ("PreflightCheck/p", Outcome::Pass),
            ("PreflightCheck/w", Outcome::Warn),
            ("PreflightCheck/f", Outcome::Fail),
            ("PreflightCheck/s", Outcome::Error),
            ("PreflightCheck/u", Outcome::Error),
            ("PreflightCheck/x", Outcome::Error),
        ]
    );
    assert_eq!(seen[5].message, "there is no check x in this namespace");
    let none = observe(json!({"checks": [{"selector": {}}]}), &[member("n", Some(Standing::NotApplicable))]);
    assert_eq!((none.len(), none[0].reason), (1, NOT_FOUND));
}

#[test]
fn an_expression_over_verdicts_is_one_target() {
    let spec =
        || json!({"checks": [{"name": "a"}, {"name": "b"}], "expression": "verdicts['a'] == 'Passing' || verdicts['b'] == 'Passing'"});
    let of = |a, b| observe(spec(), &[member("a", a), member("b", b)]).remove(0);
    assert_eq!(of(Some(Standing::Failing), Some(Standing::Passing)).outcome, Outcome::Pass);
    let failing = of(Some(Standing::Failing), Some(Standing::Failing));
    assert_eq!((failing.outcome, failing.message.as_str()), (Outcome::Fail, "the expression is false: a is Failing, b is Failing"));
    assert_eq!(of(Some(Standing::Failing), Some(Standing::Stale)).outcome, Outcome::Error, "unknown is no failure");
    let wrong = observe(json!({"checks": [{"name": "a"}], "expression": "verdicts['zzz'] == 'Passing'"}), &[member("a", None)]).remove(0);
    assert_eq!((wrong.outcome, wrong.reason), (Outcome::Error, EXPRESSION_FAILED));
}

#[test]
fn what_cannot_work_is_named() {
    let spec: CompositeProbe = serde_json::from_value(json!({"checks": [{}, {"name": "a"}], "expression": "verdict == 1"})).unwrap();
    let mut problems = Vec::new();
    assert!(Composite::parse(&spec, "spec.probe.composite", &mut problems).is_none());
    let fields: Vec<&str> = problems.iter().map(|p| p.field.as_str()).collect();
    assert_eq!(fields, ["spec.probe.composite.checks[0]", "spec.probe.composite.expression"]);
}

proptest! {
    #[test]
    fn without_an_expression_no_member_passes_that_does_not(picks in prop::collection::vec(prop::sample::select(ALL.to_vec()), 0..12)) {
        let members: Vec<MemberFact> = picks.iter().enumerate().map(|(i, s)| member(&i.to_string(), *s)).collect();
        let seen = observe(json!({"checks": [{"selector": {}}]}), &members);
        let passing = picks.iter().filter(|s| matches!(s, Some(Standing::Passing))).count();
        prop_assert_eq!(seen.iter().filter(|o| o.outcome == Outcome::Pass).count(), passing);
    }
}
