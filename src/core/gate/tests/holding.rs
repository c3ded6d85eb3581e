//! Hold: who is asked to come back, after how long, and until when.

#![allow(clippy::needless_pass_by_value, reason = "`json!(...)` reads best as an argument")]

use super::*;
use crate::api::VerdictName;
use crate::core::gate::{Holds, Outcome};

/// A gate that holds for 25 s what it cannot tell, and a check that was never evaluated.
fn gate(more: Value) -> Gate {
    let mut spec = spec(&["a"], json!({"respond": {"unknown": "Hold", "stale": "Hold"}}));
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    xgate("chaos", spec)
}

fn unevaluated() -> CheckFact {
    CheckFact { state: Arc::new(testing::unevaluated()), ..fact("shop", "a", Standing::Passing) }
}

fn held(since: i64, ended: Option<VerdictName>) -> Known {
    Known {
        held: Some(Held { run: "shop/xgate-chaos-held-1".into(), since: at(since), ended, place_until: None, withdrawn: false }),
        ..Known::of([unevaluated()])
    }
}

fn outcome(decision: &Decision) -> (Response, Outcome) {
    (decision.answer, decision.judgements[0].hold.as_ref().unwrap().outcome)
}

#[test]
fn a_client_comes_back_soon_at_first_and_once_more_when_the_time_is_over() {
    let gate = gate(json!({}));
    let mut now = 0;
    let mut tries = vec![];
    // Ten times, as kubectl does.
    for _ in 0..11 {
        let known = if now == 0 { Known::of([unevaluated()]) } else { held(-now, None) };
        let decision = Ask::default().decide(&[&gate], &known);
        let Outcome::Waits(seconds) = outcome(&decision).1 else {
            assert_eq!(outcome(&decision), (Response::Deny, Outcome::Over));
            break;
        };
        assert_eq!(decision.answer, Response::Hold);
        now += i64::from(seconds);
        tries.push(now);
    }
    assert_eq!(tries, [1, 2, 3, 7, 11, 15, 19, 23, 26]);
    // A new request, later, waits anew.
    assert_eq!(outcome(&Ask::default().decide(&[&gate], &held(-60, None))), (Response::Hold, Outcome::Waits(1)));
    for seconds in [1, 2, 3, 4, 300] {
        let gate = xgate("chaos", spec(&["a"], json!({"respond": {"unknown": "Hold"}, "holdSeconds": seconds})));
        for waited in 0..seconds {
            let Outcome::Waits(pause) = outcome(&Ask::default().decide(&[&gate], &held(-waited, None))).1 else {
                panic!("{seconds} {waited}")
            };
            assert!((1..=300).contains(&pause), "{seconds} {waited}: {pause}");
        }
    }
}

#[test]
fn whoever_does_not_wait_is_refused_at_once() {
    let gate = gate(json!({}));
    let known = Known::of([unevaluated()]);
    let as_user = |user: &str| Ask { user: user.into(), ..Ask::default() };
    for user in ["system:serviceaccount:chaos-mesh:chaos-controller-manager", "system:node:worker-1", "system:kube-controller-manager"] {
        let decision = as_user(user).decide(&[&gate], &known);
        assert_eq!(outcome(&decision), (Response::Deny, Outcome::Account), "{user}");
        assert!(decision.judgements[0].hold.as_ref().unwrap().wants_run(), "what it needs is evaluated for its next try");
    }
    for user in ["jane", "system:admin", "serviceaccount:x", ""] {
        assert_eq!(outcome(&as_user(user).decide(&[&gate], &known)), (Response::Hold, Outcome::Waits(1)), "{user}");
    }
    let dry = Ask { dry_run: true, ..Ask::default() }.decide(&[&gate], &known);
    assert_eq!(outcome(&dry), (Response::Deny, Outcome::DryRun));
    assert!(!dry.judgements[0].hold.as_ref().unwrap().wants_run());
    let crowded = Ask { cannot_wait: Some("too many"), ..Ask::default() };
    assert_eq!(outcome(&crowded.decide(&[&gate], &known)), (Response::Deny, Outcome::Impossible("too many")));
    // Whoever waits already goes on.
    assert_eq!(outcome(&crowded.decide(&[&gate], &held(-2, None))), (Response::Hold, Outcome::Waits(1)));
    let large = Ask::create(json!({"metadata": {"name": "kill"}, "spec": {"script": "x".repeat(MAX_HELD_BYTES)}}));
    assert!(matches!(outcome(&large.decide(&[&gate], &known)), (Response::Deny, Outcome::Impossible(_))));
}

#[test]
fn what_the_run_came_to_decides() {
    let gate = gate(json!({}));
    for (ended, expected) in [
        (Some(VerdictName::Failing), (Response::Deny, Outcome::Ended(VerdictName::Failing))),
        (Some(VerdictName::Unknown), (Response::Deny, Outcome::Ended(VerdictName::Unknown))),
        // The verdict may reach this replica a moment after the run.
        (Some(VerdictName::Passing), (Response::Hold, Outcome::Waits(1))),
        (Some(VerdictName::Warning), (Response::Hold, Outcome::Waits(1))),
        (None, (Response::Hold, Outcome::Waits(1))),
    ] {
        let decision = Ask::default().decide(&[&gate], &held(-2, ended));
        assert_eq!(outcome(&decision), expected, "{ended:?}");
        assert_eq!(decision.judgements[0].hold.as_ref().unwrap().run.as_deref(), Some("shop/xgate-chaos-held-1"));
    }
    // When all passes nobody asks for the run.
    let passing = Known { held: held(-2, None).held, ..Known::shop(&[("a", Standing::Passing)]) };
    let decision = Ask::default().decide(&[&gate], &passing);
    assert_eq!((decision.answer, &decision.judgements[0].hold), (Response::Allow, &None));
}

#[test]
fn only_what_waiting_can_cure_is_waited_for() {
    use crate::api::conditions::passing;
    let gate = gate(json!({"respond": {"unknown": "Hold", "stale": "Hold", "failing": "Hold", "missing": "Hold"}}));
    let of = |state: State| {
        let facts = Known::of([CheckFact { state: Arc::new(state), ..fact("shop", "a", Standing::Passing) }]);
        Ask::default().decide(&[&gate], &facts).answer
    };
    let because = |reason: &'static str| State::unevaluated(reason, "so", std::collections::VecDeque::new());
    for reason in [passing::INVALID_SPEC, passing::FORBIDDEN, passing::SUSPENDED, passing::TARGET_DENIED, passing::NO_TARGETS] {
        assert_eq!(of(because(reason)), Response::Deny, "{reason}");
    }
    for reason in [passing::NEVER_EVALUATED, passing::EVALUATION_ERROR, passing::NO_DATA, passing::DEPENDENCY_NOT_PASSING] {
        assert_eq!(of(because(reason)), Response::Hold, "{reason}");
    }
    assert_eq!(of(state(Standing::Stale)), Response::Hold);
    assert_eq!(of(state(Standing::Failing)), Response::Deny);
    let held_down = State { reason: passing::HOLD_DOWN, ..state(Standing::Failing) };
    assert_eq!(of(held_down), Response::Hold);
    assert_eq!(Ask::default().decide(&[&gate], &Known::shop(&[])).answer, Response::Deny);
    // One that fails beside one that is waited for: nobody waits.
    let both = xgate("chaos", spec(&["a", "b"], json!({"respond": {"unknown": "Hold"}})));
    assert_eq!(Ask::default().decide(&[&both], &Known::of([unevaluated(), fact("shop", "b", Standing::Failing)])).answer, Response::Deny);
    // An advisory check is never waited for, and a gate that does not enforce holds nothing.
    let advisory = Known::of([CheckFact { severity: Severity::Advisory, ..unevaluated() }]);
    assert_eq!(Ask::default().decide(&[&gate], &advisory).answer, Response::Warn);
    for (mode, answer) in [("Warn", Response::Warn), ("Audit", Response::Allow)] {
        let lax = xgate("chaos", spec(&["a"], json!({"respond": {"unknown": "Hold"}, "mode": mode})));
        let judgement = &Ask::default().decide(&[&lax], &Known::of([unevaluated()])).judgements[0];
        assert_eq!((judgement.answer, judgement.would_be, &judgement.hold), (answer, Response::Hold, &None));
    }
}

fn digest(ask: &Ask) -> Digest {
    ask.decide(&[&gate(json!({}))], &Known::of([unevaluated()])).judgements[0].hold.as_ref().unwrap().key.object
}

#[test]
fn a_try_is_known_by_its_object_whatever_the_api_server_makes_up() {
    let object = |more: Value| {
        let mut object = json!({"metadata": {"name": "kill", "labels": {"b": "1", "a": "2"}}, "spec": {"mode": "one", "value": 1}});
        let Value::Object(more) = more else { panic!("{more}") };
        for (pointer, value) in more {
            object[pointer.split('.').next().unwrap()][pointer.split('.').nth(1).unwrap()] = value;
        }
        Ask::create(object)
    };
    let one = digest(&object(json!({})));
    for same in [
        json!({"metadata.uid": "x", "metadata.creationTimestamp": "2026-01-01T00:00:00Z", "metadata.generation": 1}),
        json!({"metadata.managedFields": [{"manager": "kubectl"}], "metadata.resourceVersion": "7"}),
        json!({"metadata.labels": {"a": "2", "b": "1"}}),
        json!({"status.phase": "Running"}),
    ] {
        assert_eq!(digest(&object(same.clone())), one, "{same}");
    }
    for other in [
        json!({"metadata.name": "other"}),
        json!({"metadata.labels": {"a": "2"}}),
        json!({"metadata.annotations": {"a": "2"}}),
        json!({"spec.mode": "all"}),
        json!({"spec.value": "1"}),
        json!({"spec.value": [1]}),
        json!({"spec.value": null}),
        json!({"spec.status": "x"}),
    ] {
        assert_ne!(digest(&object(other.clone())), one, "{other}");
    }
    // A name that is made up anew each time is left out.
    let generated =
        |name: &str| Ask { generated_name: true, ..Ask::create(json!({"metadata": {"generateName": "kill-", "name": name}, "spec": {}})) };
    assert_eq!(digest(&generated("kill-x7k2p")), digest(&generated("kill-abcde")));
    // The requester is part of the key, and of the digest that names the run.
    let key = |user: &str| HoldKey { gate: gate(json!({})).key, object: one, requester: user.into() };
    assert_ne!(key("jane").digest(), key("john").digest());
    assert_eq!(format!("{}", Digest(10)), "0000000000000000000000000000000a");
    assert!(NoHolds.held(&key("jane")).is_none());
}

mod canonical {
    use super::*;
    use proptest::prelude::*;

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-c\"\\]}]{0,3}".prop_map(Value::from)
        ];
        leaf.prop_recursive(3, 16, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::vec(("[a-c]{0,2}", inner), 0..3).prop_map(|pairs| pairs.into_iter().collect()),
            ]
        })
    }

    proptest! {
        /// Other objects have other digests, however they are written.
        #[test]
        fn tells_objects_apart(one in any_json(), two in any_json()) {
            let of = |spec: &Value| digest(&Ask::create(json!({"metadata": {"name": "kill"}, "spec": spec})));
            prop_assert_eq!(of(&one) == of(&two), one == two);
        }
    }
}
