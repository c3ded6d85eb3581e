//! What is printed of an explanation, and which exit code it gives.

use super::*;
use proptest::prelude::*;

fn denied() -> Item {
    let target = TargetNode {
        target: "Deployment/checkout".to_owned(),
        outcome: "Fail".to_owned(),
        reason: "NotReady".to_owned(),
        message: "1/3 replicas updated".to_owned(),
        measured: Some("1/3 updated".to_owned()),
        required: Some("3 updated".to_owned()),
        age_seconds: Some(12),
    };
    let check = CheckNode {
        check: "checkout-healthy".to_owned(),
        verdict: "Failing".to_owned(),
        message: "Deployment/checkout: 1/3 replicas updated".to_owned(),
        measured: Some("1/3 updated".to_owned()),
        required: Some("3 updated".to_owned()),
        age_seconds: Some(12),
        targets: vec![target],
        remediation: Some("Roll back".to_owned()),
        ..CheckNode::default()
    };
    let gate = |gate: &str, mode: &str, answer: &str, predicted| GateNode {
        gate: gate.to_owned(),
        mode: mode.to_owned(),
        answer: answer.to_owned(),
        would_be: (mode == "Audit").then(|| "Deny".to_owned()),
        predicted,
        generation: Some(1),
        required: Some(3),
        checks: vec![check.clone()],
        passing: vec!["window".to_owned()],
        notes: Vec::new(),
    };
    Item {
        decision_id: Some("d-7f3a9c0177".to_owned()),
        message: Some("PodChaos shop/kill blocked".to_owned()),
        gates: vec![gate("ExperimentGate shop/chaos", "Enforce", "Deny", false), gate("ExperimentGate shop/trial", "Audit", "Allow", true)],
        remedies: vec!["kubectl wait xgate/chaos".to_owned()],
        ..Item::new("PodChaos shop/kill", Question::Create, Answer::Deny, "create would be denied")
    }
}

#[test]
fn a_denial_is_a_tree_from_the_object_to_what_was_measured() {
    let text = Explanation::new(vec![denied()]).tree(Look::default());
    let expected = "\
✗ PodChaos shop/kill: create would be denied [d-7f3a9c0177]
├── ✗ ExperimentGate shop/chaos (mode Enforce) denies
│   ├── ✗ FAIL checkout-healthy: 1/3 updated, required 3 updated: Deployment/checkout: 1/3 replicas updated (12s ago)
│   │   ├── ✗ Deployment/checkout: 1/3 updated, required 3 updated: 1/3 replicas updated [NotReady] (12s ago)
│   │   └── → Roll back
│   ├── ✔ PASS window
│   └── ✔ PASS and 1 more
├── ! ExperimentGate shop/trial (mode Audit) admits; in mode Enforce it would deny (predicted)
│   ├── ✗ FAIL checkout-healthy: 1/3 updated, required 3 updated: Deployment/checkout: 1/3 replicas updated (12s ago)
│   │   ├── ✗ Deployment/checkout: 1/3 updated, required 3 updated: 1/3 replicas updated [NotReady] (12s ago)
│   │   └── → Roll back
│   ├── ✔ PASS window
│   └── ✔ PASS and 1 more
└── → kubectl wait xgate/chaos
";
    assert_eq!(text, expected);
}

#[test]
fn the_worst_item_gives_the_exit_code() {
    let item = |answer| Item::new("x", Question::Create, answer, "");
    let code = |answers: &[Answer], strict| Explanation::new(answers.iter().map(|a| item(*a)).collect()).exit_code(strict);
    assert_eq!(code(&[], true), 0);
    assert_eq!([code(&[Answer::Pass], true), code(&[Answer::Warn], false), code(&[Answer::Warn, Answer::Pass], true)], [0, 0, 4]);
    assert_eq!(code(&[Answer::Unknown, Answer::Warn], true), 5);
    assert_eq!(code(&[Answer::Unknown, Answer::Deny, Answer::Pass], false), 3);
    assert_eq!(code(&[Answer::Deny, Answer::Invalid], false), 2);
}

#[test]
fn the_json_says_its_version_and_leaves_out_what_there_is_not() {
    let json = serde_json::to_value(Explanation::new(vec![denied(), Item::new("x", Question::Check, Answer::Pass, "passes")])).unwrap();
    assert_eq!((&json["apiVersion"], &json["kind"]), (&"cli.holdpoint.dev/v1alpha1".into(), &"Explanation".into()));
    assert_eq!(json["items"][0]["gates"][0]["checks"][0]["targets"][0]["measured"], "1/3 updated");
    assert_eq!(json["items"][1], serde_json::json!({"object": "x", "question": "Check", "answer": "Pass", "summary": "passes"}));
}

#[test]
fn without_colours_and_signs_everything_is_ascii() {
    let text = Explanation::new(vec![denied()]).tree(Look { colour: false, ascii: true });
    assert!(text.is_ascii(), "{text}");
    assert!(text.contains("\n|   |-- + PASS window\n"), "{text}");
}

proptest! {
    #[test]
    fn no_text_from_outside_reaches_the_terminal_as_a_control(text in any::<String>()) {
        let mut item = denied();
        item.warnings.push(text.clone());
        item.notes.push(text.clone());
        item.gates[0].checks[0].targets[0].message.clone_from(&text);
        item.object = text;
        let printed = Explanation::new(vec![item]).tree(Look::default());
        prop_assert!(!printed.chars().any(|c| c.is_control() && c != '\n'));
    }
}
