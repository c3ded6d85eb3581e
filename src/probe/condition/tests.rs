use super::super::objects::testing::{NOW, Watched, any_json, object};
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn observe(spec: Value, target: Value) -> Observation {
    let mut problems = Vec::new();
    let condition = Condition::parse(&serde_json::from_value(spec).unwrap(), "spec.probe.condition", &mut problems);
    assert_eq!(problems, []);
    condition.unwrap().observe(&object(target), &Watched(None), NOW.parse().unwrap())
}

fn vm(generation: i64, status: Value) -> Value {
    let metadata = json!({"name": "db", "namespace": "shop", "generation": generation});
    let mut vm = json!({"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "metadata": metadata});
    vm["status"] = status;
    vm
}

fn available(status: &str) -> Value {
    json!({"conditions": [
        {"type": "Progressing", "status": "True"},
        {"type": "Available", "status": status, "reason": "MinimumReplicasUnavailable", "message": "no\nminimum availability",
         "lastTransitionTime": "2026-09-01T11:59:00Z"},
    ]})
}

#[test]
fn the_status_decides() {
    for (spec, found, outcome, reason, message) in [
        (json!({"type": "Available"}), "True", Outcome::Pass, CONDITION_MET, "condition Available is True"),
        (json!({"type": "Available", "status": "False"}), "False", Outcome::Pass, CONDITION_MET, "condition Available is False"),
        (json!({"type": "Available", "status": "Unknown"}), "Unknown", Outcome::Pass, CONDITION_MET, "condition Available is Unknown"),
        (
            json!({"type": "Available"}),
            "False",
            Outcome::Fail,
            CONDITION_NOT_MET,
            "condition Available is False (MinimumReplicasUnavailable): no minimum availability",
        ),
        (
            json!({"type": "Available", "forSeconds": 5}),
            "Unknown",
            Outcome::Fail,
            CONDITION_NOT_MET,
            "condition Available is Unknown (MinimumReplicasUnavailable): no minimum availability",
        ),
    ] {
        let seen = observe(spec, vm(1, available(found)));
        assert_eq!((seen.outcome, seen.reason, seen.message.as_str()), (outcome, reason, message));
        assert_eq!((seen.target.as_str(), seen.value.as_deref(), seen.holds_until), ("VirtualMachine/db", Some(found), None));
    }
}

#[test]
fn it_must_have_had_the_status_for_long_enough() {
    let too_recent = observe(json!({"type": "Available", "forSeconds": 61}), vm(1, available("True")));
    assert_eq!((too_recent.outcome, too_recent.reason), (Outcome::Fail, TOO_RECENT));
    assert_eq!(too_recent.message, "condition Available is True since 2026-09-01T11:59:00Z, less than 61 s ago");
    assert_eq!(too_recent.holds_until, Some("2026-09-01T12:00:01Z".parse().unwrap()));
    assert_eq!(too_recent.required.as_deref(), Some("True for 61 s"));
    let long_enough = observe(json!({"type": "Available", "forSeconds": 60}), vm(1, available("True")));
    assert_eq!((long_enough.outcome, long_enough.reason, long_enough.holds_until), (Outcome::Pass, CONDITION_MET, None));
    let mut undated = available("True");
    undated["conditions"][1]["lastTransitionTime"] = Value::Null;
    let seen = observe(json!({"type": "Available", "forSeconds": 1}), vm(1, undated.clone()));
    assert_eq!((seen.outcome, seen.reason), (Outcome::Error, NO_DATA));
    assert_eq!(observe(json!({"type": "Available"}), vm(1, undated)).outcome, Outcome::Pass);
}

#[test]
fn a_transition_in_the_future_is_too_recent() {
    let mut ahead = available("True");
    ahead["conditions"][1]["lastTransitionTime"] = json!("2026-09-01T12:00:30Z");
    assert_eq!(observe(json!({"type": "Available", "forSeconds": 10}), vm(1, ahead)).reason, TOO_RECENT);
}

#[test]
fn what_is_not_there_or_cannot_be_read_is_no_data() {
    for (status, says) in [
        (Value::Null, "no status.conditions"),
        (json!({}), "no status.conditions"),
        (json!({"conditions": []}), "no condition Available"),
        (json!({"conditions": {"type": "Available"}}), "status cannot be read"),
        (json!({"conditions": [{"type": "Available"}]}), "condition Available cannot be read"),
        (json!({"conditions": [{"type": "Available", "status": true}]}), "condition Available cannot be read"),
        (json!({"conditions": [{"type": "Available", "status": "True", "lastTransitionTime": "yesterday"}]}), "cannot be read"),
        (json!({"conditions": [7, null, {"type": ["Available"]}]}), "no condition Available"),
    ] {
        let seen = observe(json!({"type": "Available"}), vm(1, status.clone()));
        assert_eq!((seen.outcome, seen.reason), (Outcome::Error, NO_DATA), "{status}");
        assert!(seen.message.contains(says), "{}", seen.message);
    }
}

#[test]
fn a_condition_of_an_earlier_generation_says_nothing() {
    for (of_condition, of_status, outcome) in [
        (Some(3), None, Outcome::Pass),
        (Some(2), None, Outcome::Error),
        (Some(2), Some(3), Outcome::Error),
        (Some(3), Some(2), Outcome::Pass),
        (None, Some(2), Outcome::Error),
        (None, Some(3), Outcome::Pass),
        (None, None, Outcome::Pass),
    ] {
        let status = json!({
            "observedGeneration": of_status,
            "conditions": [{"type": "Available", "status": "True", "observedGeneration": of_condition}],
        });
        let seen = observe(json!({"type": "Available"}), vm(3, status.clone()));
        assert_eq!(seen.outcome, outcome, "{status}");
        assert_eq!(seen.message.contains("not yet observed by its controller"), outcome == Outcome::Error, "{}", seen.message);
    }
}

#[test]
fn a_spec_that_cannot_work_is_a_problem() {
    let mut problems = Vec::new();
    let spec = ConditionProbe { type_: " ".to_owned(), status: ConditionStatus::True, for_seconds: -1 };
    assert_eq!(Condition::parse(&spec, "spec.probe.condition", &mut problems), None);
    let fields: Vec<_> = problems.iter().map(|problem| problem.field.as_str()).collect();
    assert_eq!(fields, ["spec.probe.condition.type", "spec.probe.condition.forSeconds"]);
}

const WORDS: &[&str] = &[
    "conditions",
    "type",
    "Available",
    "status",
    "True",
    "reason",
    "message",
    "lastTransitionTime",
    "2026-09-01T11:59:00Z",
    "observedGeneration",
];

proptest! {
    #[test]
    fn any_status_is_answered(status in any_json(WORDS), entry in any_json(WORDS), for_seconds in 0..5) {
        let spec = json!({"type": "Available", "forSeconds": for_seconds});
        observe(spec.clone(), vm(1, status));
        observe(spec, vm(1, json!({"conditions": [entry]})));
    }

    #[test]
    fn only_the_wanted_status_passes(entry in any_json(WORDS)) {
        let seen = observe(json!({"type": "Available"}), vm(1, json!({"conditions": [entry]})));
        let holds = entry["type"] == "Available" && entry["status"] == "True";
        prop_assert!(holds || seen.outcome != Outcome::Pass);
    }
}
