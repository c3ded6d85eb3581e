//! Which names mean what, and what their use costs.

use super::super::{EvaluationError, Expression, LIMIT, TextExpression};
use super::*;
use serde_json::json;

fn compiled(source: &str, roots: &[&str]) -> Expression {
    let mut problems = Vec::new();
    let expression = Expression::compile(source, "f", roots, &mut problems);
    assert_eq!(problems, [], "{source}");
    expression.unwrap()
}

fn text(source: &str) -> Result<TextExpression, String> {
    let mut problems = Vec::new();
    TextExpression::compile(source, "f", &["object", "params", "now"], &mut problems)
        .ok_or_else(|| problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; "))
}

#[test]
fn any_documents_have_any_names() {
    let (objects, params, verdicts) = (json!([{"n": 1}, {"n": 2}]), json!({"most": 2}), json!({"db": "Passing", "web": "Failing"}));
    let bindings =
        Bindings::of(&[("objects", &objects), ("params", &params), ("verdicts", &verdicts)]).with_time("now", Timestamp::UNIX_EPOCH);
    let roots = ["objects", "params", "verdicts", "now", "environment"];
    for (source, expected) in [
        ("objects.all(o, o.n <= params.most) && objects.size() == 2", Ok(true)),
        ("verdicts['db'] == 'Passing' && verdicts.web != 'Passing' && now.getFullYear() == 1970", Ok(true)),
        ("verdicts.exists(name, verdicts[name] == 'Unknown')", Ok(false)),
        ("environment == 'prod'", Err(EvaluationError::Failed { message: "there is no `environment` here".to_owned() })),
    ] {
        assert_eq!(compiled(source, &roots).evaluate(&bindings), expected, "{source}");
    }
    let environment = json!("prod");
    assert_eq!(compiled("environment == 'prod'", &roots).evaluate(&Bindings::of(&[("environment", &environment)])), Ok(true));
}

#[test]
fn an_old_object_that_is_not_there_is_null() {
    let (object, request) = (json!({"a": 1}), json!({}));
    assert_eq!(compiled("oldObject == null && object.a == 1", &ROOTS).evaluate(&Bindings::new(&object, None, &request)), Ok(true));
}

#[test]
fn each_evaluation_is_paid_from_the_allowance_or_not_made() {
    let object = json!({"list": (0..100).collect::<Vec<_>>()});
    let bindings = Bindings::of(&[("object", &object)]);
    let expression = compiled("object.list.all(n, n >= 0)", &["object"]);
    let mut allowance = LIMIT;
    assert_eq!(expression.evaluate_within(&bindings, &mut allowance), Ok(true));
    let cost = LIMIT - allowance;
    assert!((200..3_000).contains(&cost), "{cost}");
    let mut twice = 2 * cost + 1;
    assert_eq!(expression.evaluate_within(&bindings, &mut twice), Ok(true));
    assert_eq!(expression.evaluate_within(&bindings, &mut twice), Ok(true));
    assert!(matches!(expression.evaluate_within(&bindings, &mut twice), Err(EvaluationError::TooCostly { limit: 1, .. })));
    assert_eq!(twice, 1, "what is not evaluated costs nothing");
}

#[test]
fn a_text_is_a_text_and_nothing_else() {
    let (object, params) = (json!({"replicas": 2, "name": "web"}), json!({"least": 3}));
    let bindings = Bindings::of(&[("object", &object), ("params", &params)]).with_time("now", Timestamp::UNIX_EPOCH);
    let evaluate = |source: &str| text(source).unwrap().evaluate_within(&bindings, &mut { LIMIT });
    assert_eq!(
        evaluate("object.name + ' has ' + string(object.replicas) + ' of ' + string(params.least)"),
        Ok("web has 2 of 3".to_owned())
    );
    assert_eq!(evaluate("'%d of %d'.format([object.replicas, params.least])"), Ok("2 of 3".to_owned()));
    assert_eq!(evaluate("object.replicas < params.least ? 'too few' : object.name"), Ok("too few".to_owned()));
    assert_eq!(evaluate("object.replicas"), Err(EvaluationError::NotText { was: "int".to_owned() }));
    assert!(matches!(evaluate("object.nothing"), Err(EvaluationError::Failed { .. })));
    for (source, kind) in [
        ("1", "a number"),
        ("object.replicas - 1", "a number"),
        ("['a']", "a list"),
        ("{'a': 1}", "a map"),
        ("object.a.map(x, x)", "a list"),
        ("object.a.all(x, x)", "true or false"),
        ("object.a == 'x'", "true or false"),
        ("has(object.a)", "true or false"),
        ("object.a.startsWith('x')", "true or false"),
        ("object.?a", "an optional value: add .orValue('')"),
        ("object.a ? 'x' : 1", "a number"),
        ("null", "null"),
    ] {
        assert_eq!(text(source).unwrap_err(), format!("the expression must be a text, and it is {kind}"), "{source}");
    }
}
