//! Which requests a gate holds.

#![allow(clippy::needless_pass_by_value, reason = "`json!(...)` reads best as an argument")]

use super::*;

fn facts() -> Known {
    Known::shop(&[("a", Standing::Failing)])
}

fn held(gate: &Gate, ask: &Ask) -> bool {
    !ask.decide(&[gate], &facts()).judgements.is_empty()
}

/// A gate of `podchaos` on create and update, with these members of `match`.
fn on_both(more: Value) -> Gate {
    let rules = json!([{"apiGroups": ["chaos-mesh.org"], "resources": ["podchaos"], "operations": ["CREATE", "UPDATE"]}]);
    let mut matches = json!({"rules": rules});
    matches.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    xgate("chaos", spec(&["a"], json!({"match": matches})))
}

fn labelled(labels: Value) -> Value {
    json!({"metadata": {"name": "kill", "labels": labels}})
}

#[test]
fn group_resource_subresource_operation_and_namespace_are_exact() {
    let gate = xgate("chaos", spec(&["a"], json!({})));
    let resource = |group: &str, resource: &str| Resource { group: group.into(), resource: resource.into() };
    assert!(held(&gate, &Ask::default()));
    for ask in [
        Ask { resource: resource("chaos-mesh.org", "networkchaos"), ..Ask::default() },
        Ask { resource: resource("chaos-mesh.org", "podchaos/status"), ..Ask::default() },
        Ask { resource: resource("", "podchaos"), ..Ask::default() },
        Ask { namespace: Some("other".into()), ..Ask::default() },
        Ask { namespace: None, ..Ask::default() },
        Ask::update(json!({}), json!({})),
    ] {
        assert!(!held(&gate, &ask), "{ask:?}");
    }
}

#[test]
fn start_says_what_a_start_is_and_an_error_is_a_start() {
    let gate = on_both(json!({"start": "object.spec.active && !(oldObject != null && oldObject.spec.active)"}));
    let active = |value: Value| json!({"metadata": {}, "spec": {"active": value}});
    let empty = json!({"metadata": {}, "spec": {}});
    for (ask, starts) in [
        (Ask::create(active(json!(true))), true),
        (Ask::create(active(json!(false))), false),
        (Ask::create(empty.clone()), true),
        (Ask::create(active(json!("yes"))), true),
        (Ask::update(active(json!(false)), active(json!(true))), true),
        (Ask::update(active(json!(true)), active(json!(true))), false),
        (Ask::update(active(json!(true)), active(json!(false))), false),
        (Ask::update(empty.clone(), active(json!(true))), true),
        // One that cannot be told beside one that is false: as CEL has it, that is false.
        (Ask::update(active(json!(true)), empty), false),
    ] {
        assert_eq!(held(&gate, &ask), starts, "{:?} -> {}", ask.old_object, ask.object);
    }
}

#[test]
fn an_unusable_start_holds_creates_and_lets_updates_go() {
    let gate = on_both(json!({"start": "object.spec ="}));
    assert!(matches!(gate.start, Start::Unusable));
    assert!(held(&gate, &Ask::default()));
    assert!(!held(&gate, &Ask::update(json!({}), json!({}))));
    // Likewise one that is missing.
    let gate = on_both(json!({}));
    assert_eq!(gate.problems[0].field, "spec.match.start");
    assert!(held(&gate, &Ask::default()) && !held(&gate, &Ask::update(json!({}), json!({}))));
}

#[test]
fn objects_that_are_being_deleted_are_never_held() {
    let gate = on_both(json!({"start": "true", "matchConditions": [{"name": "broken", "expression": "object.spec.x"}]}));
    let deleting = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    let ask = Ask::update(deleting.clone(), deleting.clone());
    assert_eq!(ask.decide(&[&gate], &facts()).answer, Response::Allow);
    assert!(!held(&gate, &ask));
    // What a client writes into a new object is no proof.
    assert!(held(&gate, &Ask::create(deleting.clone())));
    assert!(held(&gate, &Ask::update(json!({"metadata": {}}), deleting)));
}

#[test]
fn an_object_selector_takes_the_new_labels_or_the_old() {
    let gate = on_both(json!({"start": "true", "objectSelector": {"matchLabels": {"tier": "prod"}}}));
    let (prod, none) = (labelled(json!({"tier": "prod"})), labelled(json!({})));
    for (ask, holds) in [
        (Ask::create(prod.clone()), true),
        (Ask::create(none.clone()), false),
        (Ask::create(json!({})), false),
        (Ask::create(labelled(json!({"tier": 1}))), false),
        (Ask::update(none.clone(), prod.clone()), true),
        // Taking the label off is no way out.
        (Ask::update(prod, none.clone()), true),
        (Ask::update(none.clone(), none), false),
    ] {
        assert_eq!(held(&gate, &ask), holds, "{:?} -> {}", ask.old_object, ask.object);
    }
}

#[test]
fn a_namespace_selector_takes_the_namespaces_labels_and_counts_the_unknown_in() {
    let gate = cxgate(
        "chaos",
        spec(
            &[],
            json!({"match": {"namespaceSelector": {"matchLabels": {"env": "prod"}}}, "checks": [{"name": "a", "namespace": "shop"}]}),
        ),
    );
    let labels = |pairs: &[(&str, &str)]| Some(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect());
    let in_namespace = |namespace_labels| Ask { namespace_labels, ..Ask::default() };
    assert!(held(&gate, &in_namespace(labels(&[("env", "prod")]))));
    assert!(!held(&gate, &in_namespace(labels(&[("env", "test")]))));
    assert!(!held(&gate, &in_namespace(labels(&[]))));
    assert!(held(&gate, &in_namespace(None)));
    assert!(held(&gate, &Ask { namespace: None, ..Ask::default() }));
}

#[test]
fn match_conditions_are_judged_as_kubernetes_does() {
    let tier = |tier: &str| labelled(json!({"tier": tier}));
    let gate = |policy: &str, mode: &str, conditions: &[&str]| {
        let conditions: Vec<Value> =
            conditions.iter().enumerate().map(|(i, e)| json!({"name": format!("c{i}"), "expression": e})).collect();
        xgate("chaos", spec(&["a"], json!({"match": {"matchConditions": conditions}, "failurePolicy": policy, "mode": mode})))
    };
    let prod = "object.metadata.labels.tier == 'prod'";
    for (policy, mode, conditions, object, holds) in [
        ("Fail", "Enforce", &[prod][..], tier("prod"), true),
        ("Fail", "Enforce", &[prod], tier("test"), false),
        ("Fail", "Enforce", &[prod, "true"], tier("prod"), true),
        ("Fail", "Enforce", &["true", "false"], tier("prod"), false),
        // It cannot be evaluated: by the failure policy.
        ("Fail", "Enforce", &[prod], json!({}), true),
        ("Ignore", "Enforce", &[prod], json!({}), false),
        ("Fail", "Warn", &[prod], json!({}), false),
        ("Fail", "Audit", &[prod], json!({}), false),
        // One that is false settles it, before or after.
        ("Fail", "Enforce", &[prod, "false"], json!({}), false),
        ("Fail", "Enforce", &["false", prod], json!({}), false),
    ] {
        assert_eq!(held(&gate(policy, mode, conditions), &Ask::create(object.clone())), holds, "{policy} {mode} {conditions:?} {object}");
    }
    let decision = Ask::create(json!({})).decide(&[&gate("Fail", "Enforce", &["true", prod])], &Known::shop(&[("a", Standing::Passing)]));
    let cause = &decision.judgements[0].causes[0];
    assert_eq!((decision.answer, cause.kind, cause.check.as_str()), (Response::Deny, CauseKind::Unknown, OWN_SPEC));
    assert!(cause.message.starts_with("match condition \"c1\" cannot be evaluated for this object: "), "{}", cause.message);
}

#[test]
fn a_condition_that_cannot_be_evaluated_does_not_hold_what_starts_nothing() {
    let gate = on_both(json!({"start": "object.active", "matchConditions": [{"name": "broken", "expression": "object.nothing == 1"}]}));
    let active = |active: bool| json!({"active": active});
    assert!(!held(&gate, &Ask::update(active(true), active(false))));
    assert!(held(&gate, &Ask::update(active(false), active(true))));
}
