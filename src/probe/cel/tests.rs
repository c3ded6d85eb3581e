//! What an expression says of targets, and that a costly one costs nothing.

use super::super::objects::testing::{NOW, Watched, any_json, object};
use super::*;
use crate::core::observation::PANIC;
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

fn parse(spec: Value) -> Result<Cel, Vec<Problem>> {
    let mut problems = Vec::new();
    let cel = Cel::parse(&serde_json::from_value(spec).unwrap(), "spec.probe.cel", &mut problems);
    assert_eq!(cel.is_none(), !problems.is_empty());
    cel.ok_or(problems)
}

fn observe_at(spec: Value, targets: &[DynamicObject], now: &str) -> Vec<Observation> {
    let now: Timestamp = now.parse().unwrap();
    let targets: Vec<_> = targets.iter().collect();
    let look = Look { targets: &targets, namespace: "shop", objects: &Watched(None), members: &[], now };
    parse(spec).unwrap().observe(&look)
}

fn observe(spec: Value, targets: &[DynamicObject]) -> Vec<Observation> {
    observe_at(spec, targets, NOW)
}

fn deployment(name: &str, replicas: u32) -> DynamicObject {
    object(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop", "creationTimestamp": "2026-09-01T11:30:00Z", "labels": {"app": name}},
        "spec": {"replicas": replicas}, "status": {"readyReplicas": 1},
    }))
}

fn said(observations: &[Observation]) -> Vec<(&str, Outcome, &str, &str)> {
    observations.iter().map(|seen| (seen.target.as_str(), seen.outcome, seen.reason, seen.message.as_str())).collect()
}

#[test]
fn each_target_is_judged_by_itself() {
    let spec = json!({"expression": "object.spec.replicas >= params.least", "params": {"least": 3}, "message": "too few replicas"});
    let targets =
        [deployment("a", 3), deployment("b", 2), object(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "c"}}))];
    let seen = observe(spec, &targets);
    assert_eq!(
        said(&seen),
        [
            ("Deployment/a", Outcome::Pass, EXPRESSION_TRUE, "the expression is true"),
            ("Deployment/b", Outcome::Fail, EXPRESSION_FALSE, "too few replicas"),
            ("Deployment/c", Outcome::Error, EXPRESSION_ERROR, "there is no field `spec`"),
        ]
    );
    assert!(seen.iter().all(|seen| seen.holds_until.is_none()), "nothing but a change of the target changes it");
}

#[test]
fn a_message_may_be_an_expression_and_is_one_bounded_line() {
    let of = |message: &str, targets: &[DynamicObject]| {
        let spec = json!({"expression": "object.spec.replicas >= 3", "message": "too few", "messageExpression": message});
        observe(spec, targets).remove(0).message
    };
    let few = [deployment("a", 2)];
    assert_eq!(of("'%d replicas of %s'.format([object.spec.replicas, object.metadata.name])", &few), "2 replicas of a");
    assert_eq!(of("object.metadata.nothing", &few), "too few (messageExpression has no value: there is no field `nothing`)");
    assert_eq!(of("''", &few), "too few");
    let long = of("lists.range(300).map(i, 'x\\n').join('')", &few);
    assert!(long.chars().count() <= 256 && !long.contains('\n'), "{long}");
    assert_eq!(observe(json!({"expression": "object.spec.replicas >= 3"}), &few)[0].message, "the expression is false");
}

#[test]
fn all_targets_are_one_observation_if_the_expression_names_only_them() {
    let targets: Vec<_> = (0..4).map(|n| deployment(&format!("d{n}"), n)).collect();
    let set = observe(
        json!({"expression": "objects.filter(o, o.spec.replicas > 1).size() >= 2", "messageExpression": "string(objects.size())"}),
        &targets,
    );
    assert_eq!(said(&set), [("Deployment/*", Outcome::Pass, EXPRESSION_TRUE, "the expression is true")]);
    let set = observe(json!({"expression": "objects.size() > 10", "messageExpression": "string(objects.size()) + ' of 11'"}), &targets);
    assert_eq!(said(&set), [("Deployment/*", Outcome::Fail, EXPRESSION_FALSE, "4 of 11")]);
    let both = observe(json!({"expression": "objects.all(o, o.spec.replicas <= object.spec.replicas)"}), &targets);
    let outcomes: Vec<_> = both.iter().map(|seen| seen.outcome).collect();
    assert_eq!(outcomes, [Outcome::Fail, Outcome::Fail, Outcome::Fail, Outcome::Pass], "the largest one only");
}

#[test]
fn what_names_the_time_holds_for_five_seconds() {
    let spec = json!({"expression": "now - timestamp(object.metadata.creationTimestamp) < duration('1h')"});
    let seen = observe(spec.clone(), &[deployment("a", 1)]);
    assert_eq!(seen[0].outcome, Outcome::Pass);
    assert_eq!(seen[0].holds_until, Some("2026-09-01T12:00:05Z".parse().unwrap()));
    assert_eq!(observe_at(spec, &[deployment("a", 1)], "2026-09-01T12:30:00Z")[0].outcome, Outcome::Fail);
    let by_message = json!({"expression": "object.spec.replicas > 1", "messageExpression": "string(now)"});
    assert!(observe(by_message, &[deployment("a", 1)])[0].holds_until.is_some());
}

#[test]
fn without_targets_there_are_the_time_and_the_parameters() {
    let spec = json!({"expression": "now.getHours(params.zone) == 14 && !(now.getDayOfWeek() in params.days)", "params": {"zone": "Europe/Berlin", "days": [0, 6]}});
    assert_eq!(parse(spec.clone()).unwrap().targets(), TargetRule::Optional);
    assert_eq!(said(&observe(spec, &[])), [("expression", Outcome::Pass, EXPRESSION_TRUE, "the expression is true")]);
    assert_eq!(observe(json!({"expression": "size(params) == 0"}), &[])[0].outcome, Outcome::Pass);
    for expression in ["object == null", "objects == []", "size(params) == 0 ? true : object.a"] {
        assert_eq!(parse(json!({"expression": expression})).unwrap().targets(), TargetRule::Any, "{expression}");
    }
}

#[test]
fn the_whole_object_is_there_if_it_is_named_whole() {
    let expression = "object.apiVersion == 'apps/v1' && object.kind == 'Deployment' && 'app' in object.metadata.labels && size(object) == 5 \
                      && object.metadata == objects[0].metadata && object == objects[0]";
    assert_eq!(said(&observe(json!({"expression": expression}), &[deployment("a", 1)]))[0].1, Outcome::Pass);
}

#[test]
fn a_wrong_type_is_an_error_and_names_no_value() {
    let target = object(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"password": "hunter2"}}));
    for expression in
        ["object.data.password", "object.data.password > 1", "object.data.password.all(x, x == 1)", "object.data + object.data == 'x'"]
    {
        let seen = observe(json!({"expression": expression}), std::slice::from_ref(&target)).remove(0);
        assert_eq!((seen.outcome, seen.reason), (Outcome::Error, EXPRESSION_ERROR), "{expression}");
        assert!(!seen.message.contains("hunter2"), "{expression}: {}", seen.message);
    }
}

#[test]
fn a_secret_is_not_read() {
    let target = object(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"password": "aHVudGVyMg=="}}));
    for spec in [
        json!({"expression": "object.data.password == ''", "messageExpression": "object.data.password"}),
        json!({"expression": "objects.size() == 7"}),
    ] {
        let seen = observe(spec, std::slice::from_ref(&target)).remove(0);
        assert_eq!((seen.outcome, seen.message.as_str()), (Outcome::Error, "expressions do not read Secrets: use the probe keys"));
    }
}

#[test]
fn a_bomb_is_an_error_in_no_time() {
    let items: Vec<_> = (0..300).map(|n| json!({"n": n, "s": "some text"})).collect();
    let target =
        object(json!({"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": {"l": items, "s": "aaaaaaaaaaaaaaaa"}}));
    let doubling = format!("[object.spec.s]{}.exists(x, x == '')", ".map(x, x + x)".repeat(26));
    let three = "object.spec.l.all(x, object.spec.l.all(y, object.spec.l.all(z, x.n + y.n + z.n >= 0)))";
    for expression in [doubling.as_str(), three, "objects.all(o, o.spec.l.all(x, o.spec.l.all(y, x.s + y.s != '')))"] {
        let watch = crate::clock::instant();
        let seen = observe(json!({"expression": expression}), std::slice::from_ref(&target)).remove(0);
        assert_eq!((seen.outcome, seen.reason), (Outcome::Error, TOO_COSTLY), "{expression}: {}", seen.message);
        assert!(watch.elapsed().as_millis() < 500, "{expression} took {:?}", watch.elapsed());
    }
}

/// Many targets, or large ones, together cost no more than one may.
#[test]
fn all_targets_share_one_allowance() {
    let items: Vec<_> = (0..200).map(|n| json!({"n": n})).collect();
    let targets: Vec<_> = (0..500)
        .map(|n| object(json!({"apiVersion": "v1", "kind": "Thing", "metadata": {"name": format!("t{n}")}, "spec": {"l": items}})))
        .collect();
    let watch = crate::clock::instant();
    let seen = observe(json!({"expression": "object.spec.l.all(x, x.n >= 0)"}), &targets);
    let took = watch.elapsed();
    assert_eq!(seen.len(), 500);
    assert_eq!(seen[0].outcome, Outcome::Pass);
    assert_eq!((seen[499].outcome, seen[499].reason), (Outcome::Error, TOO_COSTLY));
    assert!(seen[499].message.starts_with("the expression was not evaluated"), "{}", seen[499].message);
    assert!(took.as_millis() < 1_000, "{took:?}");
    let seen = observe(json!({"expression": "objects.all(o, o.spec.l.size() == 200)"}), &targets);
    assert_eq!(seen[0].reason, TOO_COSTLY);
    // What is not looked at costs nothing: 1,000 Pods may be counted.
    let seen = observe(json!({"expression": "objects.filter(o, o.metadata.name.startsWith('t')).size() == 500"}), &targets);
    assert_eq!(said(&seen), [("Thing/*", Outcome::Pass, EXPRESSION_TRUE, "the expression is true")]);
}

#[test]
fn the_allowance_is_a_few_milliseconds() {
    let items: Vec<_> = (0..60).map(|n| json!({"n": n, "s": "some text of a usual length"})).collect();
    let target = object(json!({"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": {"l": items}}));
    for expression in [
        "object.spec.l.all(x, object.spec.l.all(y, x.n + y.n >= 0))",
        "object.spec.l.filter(x, x.n >= 0).map(x, x.s).exists(c, c == 'z')",
        "object.spec.l.all(x, x.s.matches('^[a-z ]{1,20}$')) || true",
        "object.spec.l.all(x, x.s.split('').join('-') != '')",
        "lists.range(150).filter(x, x > 0).size() == 149 && object.spec.l != []",
    ] {
        let watch = crate::clock::instant();
        let seen = observe(json!({"expression": expression}), std::slice::from_ref(&target)).remove(0);
        println!("{:>8.3} ms {} {expression}", watch.elapsed().as_secs_f64() * 1000.0, seen.reason);
        assert!(watch.elapsed().as_millis() < 250, "{expression} took {:?}", watch.elapsed());
    }
}

#[test]
fn a_spec_that_cannot_work_is_a_problem() {
    let large: Map<_, _> = (0..40).map(|n| (format!("k{n}"), json!("x".repeat(300)))).collect();
    for (spec, field, message) in [
        (json!({"expression": ""}), "expression", "the expression is empty"),
        (json!({"expression": "objct.a == 1"}), "expression", "there is no `objct` here: use object, objects, now or params"),
        (json!({"expression": "oldObject == null"}), "expression", "there is no `oldObject` here: use object, objects, now or params"),
        (json!({"expression": "'x'"}), "expression", "the expression must be true or false, and it is a text"),
        (json!({"expression": "x".repeat(5000)}), "expression", "the expression is 5000 bytes long, and may be 4096"),
        (
            json!({"expression": "true", "messageExpression": "1 == 1"}),
            "messageExpression",
            "the expression must be a text, and it is true or false",
        ),
        (json!({"expression": "true", "messageExpression": "x".repeat(2049)}), "messageExpression", "is 2049 bytes long, and may be 2048"),
        (
            json!({"expression": "objects.size() > 1", "messageExpression": "object.metadata.name"}),
            "messageExpression",
            "names `object`, but the expression speaks of all targets at once: use `objects` here too",
        ),
        (json!({"expression": "true", "params": large}), "params", "is 12351 bytes of JSON, and may be 8192"),
    ] {
        let problems = parse(spec.clone()).unwrap_err();
        let first = &problems[0];
        assert_eq!((first.field.as_str(), first.message.as_str()), (format!("spec.probe.cel.{field}").as_str(), message), "{spec}");
    }
}

const WORDS: &[&str] = &["spec", "status", "replicas", "conditions", "metadata", "labels", "a", "2026-09-01T11:59:00Z"];

proptest! {
    #[test]
    fn any_target_is_answered(spec in any_json(WORDS), status in any_json(WORDS), params in any_json(WORDS)) {
        let target = object(json!({"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": spec, "status": status}));
        for expression in [
            "object.spec.replicas >= params.a",
            "object.status.conditions.exists(c, c.status == 'a') || object.spec == params.a",
            "objects.filter(o, o.spec.replicas == 1).size() < 3",
            "size(object.spec) + size(object.status) > 2",
            "now > timestamp(object.spec)",
        ] {
            let seen = observe(json!({"expression": expression, "params": {"a": params}}), std::slice::from_ref(&target));
            prop_assert_eq!(seen.len(), 1);
            prop_assert!(seen[0].reason != PANIC, "{}", seen[0].message);
        }
    }
}

#[test]
fn the_examples_can_work() {
    for example in [
        include_str!("../../../examples/probes/cel.yaml"),
        include_str!("../../../examples/probes/cel-objects.yaml"),
        include_str!("../../../examples/probes/cel-time.yaml"),
    ] {
        let check: Value = serde_saphyr::from_str(example).unwrap();
        parse(check["spec"]["probe"]["cel"].clone()).unwrap();
    }
    let ready = |name: &str, zone: &str, since: &str| {
        let conditions = json!([{"type": "Ready", "status": "True", "lastTransitionTime": since}]);
        let labels = json!({"topology.kubernetes.io/zone": zone});
        object(
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "status": {"conditions": conditions}}),
        )
    };
    let spread: Value = serde_saphyr::from_str(include_str!("../../../examples/probes/cel-objects.yaml")).unwrap();
    let of = |second: DynamicObject| {
        observe(spread["spec"]["probe"]["cel"].clone(), &[ready("a", "z1", "2026-09-01T10:00:00Z"), second])[0].outcome
    };
    assert_eq!(of(ready("b", "z2", "2026-09-01T10:00:00Z")), Outcome::Pass);
    assert_eq!(of(ready("b", "z1", "2026-09-01T10:00:00Z")), Outcome::Fail);
    assert_eq!(of(ready("b", "z2", "2026-09-01T11:30:00Z")), Outcome::Fail);
}

#[test]
fn who_has_spent_the_allowance_waits_a_second_and_pays_what_it_costs() {
    let items: Vec<_> = (0..100).map(|n| json!({"n": n})).collect();
    let target = object(json!({"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "t"}, "spec": {"l": items}}));
    let targets = [&target];
    let look = Look { targets: &targets, namespace: "shop", objects: &Watched(None), members: &[], now: NOW.parse().unwrap() };
    let cel = parse(json!({"expression": "object.spec.l.all(x, x.n >= 0)"})).unwrap();
    let mut allowance = 1_000_000;
    assert_eq!(cel.observe_within(&look, &mut allowance)[0].outcome, Outcome::Pass);
    let cost = 1_000_000 - allowance;
    assert!((1_000..10_000).contains(&cost), "{cost}");
    let mut little = cost / 2;
    let seen = cel.observe_within(&look, &mut little).remove(0);
    assert_eq!((seen.outcome, seen.reason), (Outcome::Error, THROTTLED), "{}", seen.message);
    assert_eq!(seen.holds_until, Some("2026-09-01T12:00:01Z".parse().unwrap()));
    let mut nothing = 0;
    assert_eq!(cel.observe_within(&look, &mut nothing)[0].reason, THROTTLED);
    let bomb = parse(json!({"expression": "lists.range(1000).all(x, lists.range(1000).all(y, x + y >= 0))"})).unwrap();
    let mut allowance = 1_000_000;
    assert_eq!(bomb.observe_within(&look, &mut allowance)[0].reason, TOO_COSTLY);
    assert!((900_000..1_000_000).contains(&allowance), "{allowance}: to refuse is little work, but work");
}
