//! What cannot work is refused with the field and with what would be right.

#![allow(clippy::needless_pass_by_value, reason = "`json!(...)` reads best as an argument")]

use super::*;
use crate::core::gate::testing::{cxgate, spec, xgate};
use crate::core::gate::{CheckNamespace, Required, Which};
use serde_json::{Value, json};

fn problems(gate: &Gate) -> Vec<String> {
    gate.problems.iter().map(Problem::to_string).collect()
}

fn on(group: &str, resource: &str) -> Gate {
    let rules = json!([{"apiGroups": [group], "resources": [resource], "operations": ["CREATE"]}]);
    xgate("g", spec(&["a"], json!({"match": {"rules": rules}})))
}

#[test]
fn ordinary_kinds_can_be_gated() {
    for (group, resource) in [
        ("chaos-mesh.org", "podchaos"),
        ("kubevirt.io", "virtualmachines/status"),
        ("batch", "jobs"),
        ("apps", "deployments/scale"),
        ("", "configmaps"),
        ("", "persistentvolumeclaims"),
        // Only the core group's pods are the cluster's.
        ("example.com", "pods"),
        ("notholdpoint.dev", "things"),
    ] {
        let gate = on(group, resource);
        assert_eq!((problems(&gate), gate.rules.len()), (Vec::new(), 1), "{resource}.{group}");
    }
}

#[test]
fn what_the_cluster_depends_on_cannot_be_gated() {
    for group in UNTOUCHABLE_GROUPS {
        let gate = on(group, "things");
        assert_eq!(
            problems(&gate),
            [format!("spec.match.rules[0].apiGroups[0]: the cluster itself depends on {group}: it cannot be gated")]
        );
        assert!(gate.rules.is_empty());
    }
    for resource in UNTOUCHABLE_CORE.iter().chain(&["pods/binding", "pods/eviction", "pods/ephemeralcontainers", "pods/status"]) {
        let gate = on("", resource);
        assert_eq!(
            problems(&gate),
            [format!(
                "spec.match.rules[0].resources[0]: the cluster itself depends on {resource}: gate what makes the pods instead, such as podchaos in chaos-mesh.org"
            )]
        );
        assert!(gate.rules.is_empty());
    }
    for group in ["holdpoint.dev", "extra.holdpoint.dev"] {
        assert_eq!(
            problems(&on(group, "experimentgates")),
            ["spec.match.rules[0].apiGroups[0]: the operator's own kinds cannot be gated: a closed gate could then never be opened"]
        );
    }
    for group in ["*", "*.example.com"] {
        assert_eq!(
            problems(&on(group, "things")),
            [format!(
                "spec.match.rules[0].apiGroups[0]: \"{group}\" is a wildcard: name the groups, a gate must never hold what nobody meant"
            )]
        );
    }
    for resource in ["*", "*/status", "podchaos/*"] {
        assert_eq!(
            problems(&on("x.example", resource)),
            [format!(
                "spec.match.rules[0].resources[0]: \"{resource}\" is a wildcard: name the resources, a gate must never hold what nobody meant"
            )]
        );
    }
}

#[test]
fn every_bad_rule_is_named_and_the_good_ones_stay() {
    let rules = json!([
        {"apiGroups": ["chaos-mesh.org", "holdpoint.dev"], "resources": ["podchaos", "*"], "operations": ["CREATE", "CREATE"]},
        {"apiGroups": [""], "resources": ["configmaps", "pods"], "operations": ["CREATE"]},
    ]);
    let gate = xgate("g", spec(&["a"], json!({"match": {"rules": rules}})));
    let fields: Vec<_> = gate.problems.iter().map(|p| p.field.as_str()).collect();
    assert_eq!(fields, ["spec.match.rules[0].resources[1]", "spec.match.rules[0].apiGroups[1]", "spec.match.rules[1].resources[1]"]);
    let kept: Vec<_> = gate.rules.iter().map(|(r, o)| (r.group.as_str(), r.resource.as_str(), *o)).collect();
    assert_eq!(kept, [("", "configmaps", Operation::Create), ("chaos-mesh.org", "podchaos", Operation::Create)]);
}

#[test]
fn updates_need_a_start() {
    let rules = json!([{"apiGroups": ["kubevirt.io"], "resources": ["virtualmachines"], "operations": ["CREATE", "UPDATE"]}]);
    let gate = xgate("g", spec(&["a"], json!({"match": {"rules": rules}})));
    assert_eq!(
        problems(&gate),
        [
            "spec.match.start: rules with operation UPDATE need it: most updates start nothing. Write an expression that is true only for updates that start something"
        ]
    );
    let gate = xgate("g", spec(&["a"], json!({"match": {"rules": rules, "start": "object.spec.runStrategy == 'Always'"}})));
    assert_eq!(problems(&gate), Vec::<String>::new());
    assert!(matches!(gate.start, Start::When(_)));
}

#[test]
fn expressions_that_cannot_be_compiled_are_named() {
    for (more, field) in [
        (json!({"start": "object.spec ="}), "spec.match.start"),
        (json!({"start": "params.x == 1"}), "spec.match.start"),
        (json!({"start": format!("'{}' == ''", "x".repeat(5000))}), "spec.match.start"),
        (
            json!({"matchConditions": [{"name": "a", "expression": "true"}, {"name": "b", "expression": ")"}]}),
            "spec.match.matchConditions[1].expression",
        ),
        (json!({"objectSelector": {"matchLabels": {"a b": "c"}}}), "spec.match.objectSelector.matchLabels"),
    ] {
        let gate = xgate("g", spec(&["a"], json!({"match": more})));
        assert_eq!(gate.problems.iter().map(|p| p.field.as_str()).collect::<Vec<_>>(), [field], "{more}");
    }
    let long = xgate("g", spec(&["a"], json!({"match": {"start": "x".repeat(5000)}})));
    assert_eq!(problems(&long), ["spec.match.start: the expression is 5000 bytes long, and may be 4096"]);
    let cluster =
        cxgate("g", spec(&["a"], json!({"match": {"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": "Is"}]}}})));
    assert_eq!(
        problems(&cluster),
        ["spec.match.namespaceSelector.matchExpressions[0].operator: \"Is\" is not an operator: write In, NotIn, Exists or DoesNotExist"]
    );
}

#[test]
fn references_are_by_name_or_by_selector() {
    for reference in [json!({}), json!({"name": "a", "selector": {}})] {
        let gate = xgate("g", spec(&[], json!({"checks": [{"name": "x"}, reference]})));
        assert_eq!(problems(&gate), ["spec.checks[1]: exactly one of name and selector is required"]);
        assert_eq!(gate.checks.len(), 1);
    }
    let gate = xgate("g", spec(&[], json!({"checks": [{"selector": {"matchLabels": {"": "x"}}}]})));
    assert_eq!(gate.problems[0].field, "spec.checks[0].selector.matchLabels");
}

#[test]
fn a_gate_that_could_hold_nothing_or_requires_nothing_says_so() {
    assert_eq!(
        problems(&xgate("g", spec(&[], json!({})))),
        ["spec.checks: at least one check is required: a gate without any would admit everything"]
    );
    for rules in [json!([]), json!([{"apiGroups": ["a.example"], "resources": ["b"], "operations": []}])] {
        assert_eq!(
            problems(&xgate("g", spec(&["a"], json!({"match": {"rules": rules}})))),
            ["spec.match.rules: at least one preset, or one rule with apiGroups, resources and operations is required"]
        );
    }
    for namespace in EXCLUDED_NAMESPACES {
        let object = json!({"apiVersion": "holdpoint.dev/v1alpha1", "kind": "ExperimentGate", "metadata": {"name": "g", "namespace": namespace}, "spec": spec(&["a"], json!({}))});
        let gate = experiment_gate(&serde_json::from_value(object).unwrap());
        assert_eq!(problems(&gate), [format!("metadata.namespace: nothing in {namespace} is ever held: a gate there has no effect")]);
    }
}

#[test]
fn what_is_not_set_is_what_the_schema_says() {
    let gate = cxgate(
        "g",
        json!({"match": {"rules": [{"apiGroups": ["a.example"], "resources": ["b"], "operations": ["CREATE"]}]}, "checks": [{"name": "x"}]}),
    );
    assert_eq!((gate.mode, gate.failure_policy, gate.respond), (Mode::Warn, FailurePolicy::Fail, Respond::default()));
    assert_eq!((gate.uid.as_str(), gate.generation, gate.key.namespace), ("uid-g", Some(1), None));
    assert!(matches!(&gate.checks[..], [Required { place: CheckNamespace::OfRequest, which: Which::Named(_), max_age: None }]));
}

#[test]
fn some_of_several_must_be_possible() {
    let group = |more: Value| problems(&xgate("g", spec(&[], json!({"checks": [], "atLeast": more}))));
    assert!(group(json!({"count": 1, "of": [{"name": "a"}]})).is_empty());
    // A selector may find more.
    assert!(group(json!({"count": 3, "of": [{"name": "a"}, {"selector": {}}]})).is_empty());
    for (more, problem) in [
        (json!({"count": 2, "of": [{"name": "a"}]}), "spec.atLeast.count: 2 must pass, of 1"),
        (json!({"count": 0, "of": [{"name": "a"}]}), "spec.atLeast.count: 0 of them would be none: at least 1 must pass"),
        (json!({"count": 1, "of": [{"name": "a", "selector": {}}]}), "spec.atLeast.of[0]: exactly one of name and selector is required"),
    ] {
        assert_eq!(group(more), [problem]);
    }
    let gate = xgate("g", spec(&["a"], json!({"holdSeconds": -3})));
    assert_eq!((gate.hold_seconds, gate.max_priority, gate.stop_at_first_failure), (1, 100, false));
}

fn check(more: Value) -> (Option<Settings>, Vec<String>) {
    let mut spec = json!({"probe": {"tcp": {"host": "a", "port": 1}}});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut problems = Vec::new();
    let settings = settings(&serde_json::from_value(spec).unwrap(), &mut problems);
    (settings, problems.iter().map(Problem::to_string).collect())
}

#[test]
fn times_must_fit_together() {
    for (more, problem) in [
        (
            json!({"intervalSeconds": 3, "timeoutSeconds": 5}),
            "spec.intervalSeconds: 3 is less than timeoutSeconds (5): an evaluation could not end before the next begins",
        ),
        (
            json!({"intervalSeconds": 30, "timeoutSeconds": 5, "staleAfterSeconds": 34}),
            "spec.staleAfterSeconds: 34 is less than intervalSeconds + timeoutSeconds (35): a healthy check would go stale between evaluations",
        ),
        (
            json!({"quorum": {"minPassing": "0%"}}),
            "spec.quorum.minPassing: \"0%\" must be a number of at least 1, or a percentage from \"1%\" to \"100%\"",
        ),
        (
            json!({"quorum": {"minPassing": 0}}),
            "spec.quorum.minPassing: 0 must be a number of at least 1, or a percentage from \"1%\" to \"100%\"",
        ),
    ] {
        assert_eq!(check(more).1, [problem]);
    }
    for more in
        [json!({}), json!({"intervalSeconds": 5, "timeoutSeconds": 5, "staleAfterSeconds": 10}), json!({"staleAfterSeconds": 604_800})]
    {
        assert_eq!(check(more).1, Vec::<String>::new());
    }
    let (_, both) = check(json!({"intervalSeconds": i32::MAX, "timeoutSeconds": i32::MAX, "staleAfterSeconds": i32::MIN}));
    assert_eq!(both.len(), 1);
}

#[test]
fn settings_are_bounded_whatever_the_spec_says() {
    let (settings, _) = check(json!({"failureThreshold": 0, "successThreshold": -5, "historyLimit": 1000, "quorum": {"minTargets": -1}}));
    let settings = settings.unwrap();
    assert_eq!(
        (settings.failure_threshold, settings.success_threshold, settings.min_targets, settings.history_limit),
        (1, 1, 1, MAX_RESULTS)
    );
    let (defaults, _) = check(json!({}));
    assert_eq!(defaults.unwrap(), crate::core::gate::testing::settings());
    assert_eq!(check(json!({"historyLimit": -1})).0.unwrap().history_limit, 0);
}
