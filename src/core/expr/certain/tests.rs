//! Under a guard nothing fails, a guard itself never does, and the API server never takes for stopped what the operator takes for a start.

use crate::core::expr::{Bindings, Expression, ROOTS, server};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn compiled(source: &str) -> Expression {
    let mut problems = Vec::new();
    let expression = Expression::compile(source, "start", &ROOTS, &mut problems);
    expression.unwrap_or_else(|| panic!("{source}: {problems:?}"))
}

fn guard(source: &str) -> Option<String> {
    compiled(source).certain_when().map(str::to_owned)
}

#[test]
fn the_guard_of_an_expression() {
    let object = "object != null && has(object.spec) && type(object.spec) == map";
    let old = "oldObject != null && has(oldObject.spec) && type(oldObject.spec) == map";
    let is_active = "(object.spec.engineState == 'active')";
    for (source, expected) in [
        ("true", "true".to_owned()),
        ("oldObject == null", "true".to_owned()),
        ("'a' in ['a', 'b'] && 1 != 2 && !(2.5 == 2.5) || [] == object", "true".to_owned()),
        ("object.metadata != null", "object != null && has(object.metadata)".to_owned()),
        (
            "object.spec.engineState == 'active' && oldObject.spec.engineState != 'active'",
            format!("{object} && has(object.spec.engineState) && (!{is_active} || ({old} && has(oldObject.spec.engineState)))"),
        ),
        // What is asked for once is not asked for again.
        (
            "object.spec.a == 'x' && object.spec.b == 'y'",
            format!("{object} && has(object.spec.a) && (!(object.spec.a == 'x') || (has(object.spec.b)))"),
        ),
        ("object.spec.a == object.spec.b", format!("{object} && has(object.spec.a) && has(object.spec.b)")),
        ("object.spec.a in ['x', 'it\\'s'] ", format!("{object} && has(object.spec.a)")),
        // Nor is what the expression asks for by itself.
        ("has(object.spec.a)", object.to_owned()),
        ("has(object.spec.a) && object.spec.a == 'x'", object.to_owned()),
        ("!has(object.spec.a) || object.spec.a == 'x'", object.to_owned()),
        ("!(!has(object.spec.a)) && object.spec.a == 'x'", object.to_owned()),
        ("!has(object.spec.a) && object.b == 'x'", format!("{object} && (has(object.spec.a) || (has(object.b)))")),
        ("has(object.spec.a) ? object.spec.a == 'x' : true", object.to_owned()),
        (
            "oldObject == null || oldObject.spec.?a.orValue('') != 'x'",
            "((oldObject == null) || (has(oldObject.spec) && type(oldObject.spec) == map))".to_owned(),
        ),
        ("oldObject != null && oldObject.kind == 'x'", "(!(oldObject != null) || (has(oldObject.kind)))".to_owned()),
        (
            "object.?spec.?a.?b.orValue('') == 'x'",
            "object != null && type(object.?spec.orValue({})) == map && type(object.?spec.?a.orValue({})) == map".to_owned(),
        ),
        ("object.spec.?a.orValue(false)", format!("{object} && type(object.spec.?a.orValue(false)) == bool")),
        ("object.spec.a", format!("{object} && has(object.spec.a) && type(object.spec.a) == bool")),
        ("!object.spec.a", format!("{object} && has(object.spec.a) && type(object.spec.a) == bool")),
        ("object.spec.a || true", format!("{object} && has(object.spec.a) && type(object.spec.a) == bool")),
        (
            "(object.spec.a ? oldObject.b : 'x') == 'x'",
            format!(
                "{object} && has(object.spec.a) && type(object.spec.a) == bool && (!object.spec.a || (oldObject != null && has(oldObject.b)))"
            ),
        ),
        (
            "object.?on.orValue(true) ? true : oldObject.on",
            "object != null && type(object.?on.orValue(true)) == bool && \
             (object.?on.orValue(true) || (oldObject != null && has(oldObject.on))) && \
             type((object.?on.orValue(true) ? true : oldObject.on)) == bool"
                .to_owned(),
        ),
        ("request.operation == 'CREATE'", "has(request.operation)".to_owned()),
        ("request.?namespace.orValue('') == 'x'", "true".to_owned()),
        ("request.resource.resource in ['a']", "has(request.resource) && has(request.resource.resource)".to_owned()),
        ("has(request.dryRun) && request.dryRun", "true".to_owned()),
        (
            "request.userInfo.username != 'system:serviceaccount:kubevirt:kubevirt-controller'",
            "has(request.userInfo) && has(request.userInfo.username)".to_owned(),
        ),
    ] {
        assert_eq!(guard(source), Some(expected), "{source}");
    }
}

#[test]
fn nothing_is_known_of_anything_else() {
    let long = (0..60).map(|n| format!("object.spec.field{n}.name == 'x'")).collect::<Vec<_>>().join(" || ");
    for source in [
        "object.spec.a > 1",
        "object.spec.a + 1 == 2",
        "object.spec.a[0] == 'x'",
        "object.spec['a'] == 'x'",
        "object.metadata.?labels['a'].orValue('') == 'x'",
        "object.spec.a.size() == 1",
        "size(object.spec.a) == 1",
        "object.spec.a.startsWith('x')",
        "object.spec.a.exists(x, x == 'y')",
        "object.?spec.?a.orValue([]).exists(x, x == 'y')",
        "object.spec.?a.hasValue()",
        "object.spec.?a.value() == 'x'",
        "object.?spec.a.orValue('') == 'x'",
        "has(object.?spec.a)",
        "object.metadata.labels.`a.b/c` == 'x'",
        "'x' in object.spec.list",
        "object.spec.a in [object.spec.b]",
        "object == {'a': 1}",
        "object.spec.a == b'x'",
        "object.spec.a == 1u",
        "object.spec.a == 9007199254740993",
        "-object.spec.a == 1",
        "quantity('1') == object.spec.a",
        "request.userInfo.groups == ['a']",
        "request.options.dryRun == 'x'",
        "request == object",
        // The type checker of the API server does not accept these.
        "object.spec.a in ['x', 1]",
        "request.operation == 1",
        "1 in ['x']",
        "(object.spec.a == 'x' ? 1 : 'y') == object.b",
        "request.?namespace.orValue(1) == 'x'",
        // One part is enough.
        "object.spec.a == 'x' && object.spec.b > 1",
        &long,
    ] {
        assert_eq!(guard(source), None, "{source}");
    }
}

#[test]
fn a_condition_that_is_no_truth_value_is_not_certain() {
    let (object, request) = (json!({"spec": {"a": "x"}}), json!({}));
    for source in
        ["object.spec.a", "!object.spec.a", "object.spec.a && true", "object.spec.a ? true : false", "object.spec.?a.orValue(true)"]
    {
        assert_eq!(server::evaluate(&guard(source).unwrap(), &Bindings::new(&object, None, &request)), Ok(false), "{source}");
    }
}

#[test]
fn numbers_and_signs_are_written_back() {
    for literal in ["-1", "0", "2.5", "-2.5", "1e300", "true", "null", "'a\\'b\\\\c\\nd'", "\"x\"", "[]", "['x', 'y']", "[-1]"] {
        let source = format!("object == {literal} && object.a == 1");
        let text = guard(&source).unwrap_or_else(|| panic!("{source}"));
        let (_, object) = text.split_once("!(object == ").unwrap();
        let (written, _) = object.split_once(") ||").unwrap();
        assert!(server::evaluate(&format!("{written} == {literal}"), &Bindings::new(&Json::Null, None, &Json::Null)).unwrap(), "{source}");
    }
}

/// Small documents with just the fields that [`sources`] speak of.
fn documents() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        (0_i64..3).prop_map(Json::from),
        prop::sample::select(vec!["", "x", "y"]).prop_map(Json::from),
        Just(json!([])),
        Just(json!(["x"])),
    ];
    let value = leaf.prop_recursive(3, 12, 3, |inner| fields(inner).boxed());
    fields(value)
}

fn fields(of: impl Strategy<Value = Json>) -> impl Strategy<Value = Json> {
    prop::collection::btree_map("[ab]", of, 0..3).prop_map(|fields| fields.into_iter().collect::<serde_json::Map<_, _>>().into())
}

fn sources() -> impl Strategy<Value = String> {
    let root = prop::sample::select(vec!["object", "oldObject"]);
    let plain = (root.clone(), prop::collection::vec("[.][ab]", 0..4)).prop_map(|(root, steps)| format!("{root}{}", steps.concat()));
    let optional = (plain.clone(), prop::collection::vec("[.][?][ab]", 1..3)).prop_map(|(path, steps)| format!("{path}{}", steps.concat()));
    let literal = prop::sample::select(vec!["true", "false", "null", "1", "'x'", "''"]);
    let has = (plain.clone(), "[ab]").prop_map(|(path, field)| format!("has({path}.{field})"));
    let or_value = (optional, literal.clone()).prop_map(|(path, default)| format!("{path}.orValue({default})"));
    let leaf = prop_oneof![
        3 => plain,
        2 => has,
        3 => or_value,
        1 => literal.prop_map(str::to_owned),
        1 => root.prop_map(|root| format!("{root} == null")),
        1 => Just("oldObject != null".to_owned()),
    ];
    leaf.prop_recursive(4, 16, 3, |inner| {
        let operator = prop::sample::select(vec!["==", "!=", "&&", "||", "&&", "||"]);
        let value = prop::sample::select(vec!["'x'", "1", "true", "null", "['x']"]);
        prop_oneof![
            4 => (inner.clone(), operator, inner.clone()).prop_map(|(left, operator, right)| format!("({left} {operator} {right})")),
            2 => (inner.clone(), value).prop_map(|(left, right)| format!("({left} == {right})")),
            1 => inner.clone().prop_map(|operand| format!("!{operand}")),
            1 => inner.clone().prop_map(|element| format!("({element} in ['x', 'y'])")),
            1 => (inner.clone(), inner.clone(), inner).prop_map(|(condition, then, otherwise)| format!("({condition} ? {then} : {otherwise})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn what_is_pushed_down_has_a_value_and_is_never_false_of_a_start(
        source in sources(),
        object in documents(),
        old in prop::option::of(documents()),
    ) {
        let mut problems = Vec::new();
        let Some(start) = Expression::compile(&source, "start", &ROOTS, &mut problems) else { return Ok(()) };
        let Some(guard) = start.certain_when() else { return Ok(()) };
        let request = json!({});
        let bindings = Bindings::new(&object, old.as_ref(), &request);
        let certain = server::evaluate(guard, &bindings);
        prop_assert!(certain.is_ok(), "{source}\n{certain:?}");
        let decided = start.evaluate(&bindings);
        if certain == Ok(true) {
            prop_assert!(decided.is_ok(), "{source}\n{guard}\n{decided:?}");
        }
        let pushed = server::evaluate(&format!("!({guard}) || ({source}\n)"), &bindings);
        let starts = decided.unwrap_or(true);
        prop_assert!(pushed == Ok(starts) || (pushed == Ok(true) && certain == Ok(false)), "{source}\n{guard}\n{pushed:?} {starts}");
    }
}
