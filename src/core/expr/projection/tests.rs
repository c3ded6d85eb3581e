//! The part of a document that is looked at, and that it says the same as the whole.

use super::super::{Bindings, Expression, LIMIT};
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn compiled(source: &str, root: &str) -> Expression {
    let mut problems = Vec::new();
    let expression = Expression::compile(source, "f", &[root], &mut problems);
    assert_eq!(problems, [], "{source}");
    expression.unwrap()
}

fn part(source: &str, root: &str, document: &Json) -> Json {
    compiled(source, root).looks_at(root).copy(document, &mut 10_000).unwrap()
}

fn object() -> Json {
    json!({
        "metadata": {"name": "web", "labels": {"tier": "prod", "app": "web"}},
        "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]}}},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True", "message": "fine"}], "words": ["a", "b"]},
    })
}

#[test]
fn only_what_is_looked_at_is_copied() {
    for (source, expected) in [
        ("object.status.phase == 'Running'", json!({"status": {"phase": "Running"}})),
        ("has(object.spec.replicas) && !has(object.spec.nothing)", json!({"spec": {"replicas": 3}})),
        ("has(object.spec)", json!({"spec": {}})),
        ("object.metadata.?labels['tier'].orValue('') == 'prod'", json!({"metadata": {"labels": {"tier": "prod"}}})),
        (
            "object.status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')",
            json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
        ),
        (
            "object.spec.template.spec.containers.filter(c, c.name == 'a').map(c, c.image) == ['x']",
            json!({"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]}}}}),
        ),
        ("object.spec.template.spec.containers.size() == 2", json!({"spec": {"template": {"spec": {"containers": [{}, {}]}}}})),
        (
            "size(object.spec.template.spec.containers.filter(c, c.name == 'a')) == 1",
            json!({"spec": {"template": {"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}}}),
        ),
        (
            "object.spec.template.spec.containers[0].image == 'x'",
            json!({"spec": {"template": {"spec": {"containers": [{"image": "x"}, {"image": "y"}]}}}}),
        ),
        ("'a' in object.status.words", json!({"status": {"words": ["a", "b"]}})),
        ("object.metadata.labels.all(name, name != 'x')", json!({"metadata": {"labels": {"tier": "prod", "app": "web"}}})),
        ("object.metadata == object.metadata", json!({"metadata": object()["metadata"]})),
        ("object == object", object()),
        ("[1].exists(object, object == 1)", json!({})),
        ("object.status.phase.x == 1", json!({"status": {"phase": "Running"}})),
    ] {
        assert_eq!(part(source, "object", &object()), expected, "{source}");
    }
    let objects = json!([object(), {"spec": {}}]);
    for (source, expected) in [
        ("objects.filter(o, has(o.spec.replicas)).size() >= 1", json!([{"spec": {"replicas": 3}}, {"spec": {}}])),
        ("objects.size() == 2", json!([{}, {}])),
        ("objects.all(o, objects.all(p, o.spec == p.spec))", json!([{"spec": object()["spec"]}, {"spec": {}}])),
    ] {
        assert_eq!(part(source, "objects", &objects), expected, "{source}");
    }
}

#[test]
fn a_copy_is_paid_for_or_not_made() {
    let projection = compiled("object.list.all(n, n > 0)", "object").looks_at("object");
    let document = json!({"list": (0..100).collect::<Vec<_>>(), "other": (0..10_000).collect::<Vec<_>>()});
    let mut allowance = 103;
    assert!(projection.copy(&document, &mut allowance).is_some());
    assert_eq!(allowance, 1);
    assert_eq!(projection.copy(&document, &mut 100), None);
    let text = json!({"list": ["x".repeat(100_000)]});
    assert_eq!(projection.copy(&text, &mut 1_000), None);
}

/// Expressions that look into an object in every way there is.
fn sources() -> impl Strategy<Value = String> {
    let value = prop::sample::select(vec![
        "object",
        "object.a",
        "object.a.b",
        "object.?a.b",
        "object['a']",
        "object.a[0]",
        "object.l",
        "object.?l[0]",
    ]);
    let value = value.prop_map(str::to_owned).prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|it| format!("{it}.filter(x, has(x.a))")),
            inner.clone().prop_map(|it| format!("{it}.filter(x, x.a == x.b)[0]")),
            inner.clone().prop_map(|it| format!("{it}.map(x, x.b)")),
            inner.clone().prop_map(|it| format!("{it}.map(x, x)")),
            (inner.clone(), inner.clone()).prop_map(|(it, other)| format!("{it}.filter(x, x.a == {other})")),
            (inner.clone(), inner.clone()).prop_map(|(it, other)| format!("(has(object.a) ? {it} : {other})")),
            (inner.clone(), inner).prop_map(|(it, other)| format!("{{'k': {it}, 'l': [{other}]}}.k")),
        ]
    });
    prop_oneof![
        value.clone().prop_map(|it| format!("size({it}) == 2")),
        value.clone().prop_map(|it| format!("{it} == 'x'")),
        value.clone().prop_map(|it| format!("'a' in {it}")),
        value.clone().prop_map(|it| format!("{it}.all(x, x == 'a' || x.b == 1)")),
        (value.clone(), value).prop_map(|(it, other)| format!("{it} == {other}")),
    ]
}

fn documents() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![Just(Json::Null), Just(json!(1)), Just(json!("a")), Just(json!("x")), Just(json!([])), Just(json!({}))];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("a|b|l|k", inner, 0..4)
                .prop_map(|fields| fields.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_part_says_the_same_as_the_whole(source in sources(), document in documents()) {
        let expression = compiled(&source, "object");
        let part = expression.looks_at("object").copy(&document, &mut u64::MAX.clone()).unwrap();
        let of = |document: &Json| expression.evaluate_within(&Bindings::of(&[("object", document)]), &mut { LIMIT });
        // An error may be told differently: of which of two fields that are not there, for one.
        prop_assert_eq!(of(&part).ok(), of(&document).ok(), "{} of {}", source, part);
    }
}
