//! What expressions mean, what is refused, what they cost, and that nothing panics or overflows a stack.

use super::*;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::time::Duration;

fn compiled(source: &str) -> Expression {
    let mut problems = Vec::new();
    let expression = Expression::compile(source, "spec.match.start", &ROOTS, &mut problems);
    assert_eq!(problems, [], "{source}");
    expression.unwrap()
}

fn refused(source: &str) -> String {
    let mut problems = Vec::new();
    assert!(Expression::compile(source, "spec.match.start", &ROOTS, &mut problems).is_none(), "{source} was accepted");
    assert!(problems.iter().all(|problem| problem.field == "spec.match.start"));
    problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; ")
}

fn evaluate(source: &str, object: &Json, old: Option<&Json>) -> Result<bool, EvaluationError> {
    let request = json!({"operation": "CREATE", "userInfo": {"username": "eve", "groups": ["dev", "sre"]}});
    compiled(source).evaluate(&Bindings::new(object, old, &request))
}

fn failed(source: &str, object: &Json, old: Option<&Json>) -> String {
    match evaluate(source, object, old) {
        Err(EvaluationError::Failed { message }) => message,
        other => panic!("{source}: {other:?}"),
    }
}

fn vm() -> Json {
    json!({
        "metadata": {"name": "vm", "namespace": "prod", "labels": {"tier": "prod", "app.io/x": "y"}},
        "spec": {"runStrategy": "Always", "replicas": 3, "ratio": 1.0, "big": 18_446_744_073_709_551_615_u64, "paused": false, "none": null,
            "template": {"spec": {"containers": [{"image": "reg/a"}, {"image": "reg/b"}]}},
            "a": [{"b": 1, "c": "z"}, {"b": 2, "c": "y"}]},
    })
}

/// About 100 kB: 60 containers with environments, 100 entries, many labels and annotations.
fn large() -> Json {
    let env: Vec<_> = (0..24).map(|n| json!({"name": format!("VARIABLE_{n}"), "value": "some value of a usual length"})).collect();
    let containers: Vec<_> =
        (0..60).map(|n| json!({"name": format!("c{n}"), "image": "registry.example.com/team/app:v1", "env": env})).collect();
    let entries: Vec<_> = (0..100).map(|n| json!({"b": n % 3, "c": format!("z{n}")})).collect();
    let labels: serde_json::Map<_, _> = (0..100).map(|n| (format!("label-{n}"), json!("value"))).collect();
    let mut object = vm();
    object["metadata"]["labels"] = Json::Object(labels);
    object["spec"]["template"]["spec"]["containers"] = Json::Array(containers);
    object["spec"]["a"] = Json::Array(entries);
    object
}

fn on_stack<T: Send + 'static>(mebibytes: usize, run: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(mebibytes << 20).spawn(run).unwrap().join().unwrap()
}

#[test]
fn expressions_mean_what_they_mean_in_kubernetes() {
    let object = vm();
    for source in [
        "object.spec.runStrategy == 'Always' && oldObject == null",
        "has(object.spec.runStrategy) && object.spec.runStrategy in ['Always', 'Once']",
        "!has(object.spec.nothing) && !has(object.spec.template.nothing)",
        "object.metadata.?labels['tier'].orValue('') == 'prod'",
        "object.metadata.?annotations['tier'].orValue('none') == 'none'",
        "object.spec.?nothing.?further.orValue(7) == 7",
        "object.?spec.replicas.orValue(0) == 3",
        "has(object.?spec.replicas) && !has(object.?nothing.replicas)",
        "object.metadata.labels.`app.io/x` == 'y'",
        "object.metadata.namespace == 'prod'",
        "object.spec.replicas == 3 && object.spec.replicas > 2 && object.spec.replicas != 4",
        "object.spec.ratio == 1 && 1 == 1.0 && object.spec.replicas == 3.0 && 1 in [1.0] && !(2 in [1.0])",
        "object.spec.big > 9000000000000000000.0",
        "object.spec.none == null && object.spec.paused == false && !object.spec.paused",
        "object.spec.template.spec.containers.all(c, c.image.startsWith('reg/'))",
        "object.spec.a.filter(x, x.b == 1).map(x, x.c).exists(c, c == 'z')",
        "object.spec.a.map(x, x.b == 2, x.c) == ['y']",
        "object.spec.a.exists_one(x, x.c == 'y')",
        "request.userInfo.groups.exists(g, g == 'sre') && 'sre' in request.userInfo.groups",
        "object.metadata.labels.exists(k, k == 'tier') && 'tier' in object.metadata.labels",
        "size('é') == 1 && 'abc'.size() == 3 && size(object.spec.a) == 2",
        "'abc'.matches('^[a-c]+$') && 'a-b'.split('-').size() == 2",
        "quantity('1Gi').isGreaterThan(quantity('1G'))",
        "(object.spec.paused ? 1 : 2) == 2",
        "object.spec.a.filter(x, x.b > 0).size() == 2 && size(object.spec.a.filter(x, x.b > 1)) == 1 && [].filter(x, true).size() == 0",
        "object.spec.a.all(x, object.spec.a.filter(y, y.b <= x.b).size() == x.b) && object.metadata.labels.filter(k, k == 'tier').size() == 1",
        "math.greatest(1, 2) == 2 && sets.contains(['a', 'b'], ['a'])",
        "object.spec == object.spec && object != object.spec",
        "// a comment\ntrue",
    ] {
        assert_eq!(evaluate(source, &object, None), Ok(true), "{source}");
    }
    let old = json!({"spec": {"runStrategy": "Halted"}});
    assert_eq!(evaluate("object.spec.runStrategy == 'Always' && oldObject.spec.runStrategy != 'Always'", &object, Some(&old)), Ok(true));
}

/// The interpreter by itself answers each of these with a silent `false` or `true`.
#[test]
fn what_has_no_value_fails_instead_of_being_false() {
    let object = vm();
    assert_eq!(
        failed("oldObject.spec.runStrategy != 'Always'", &object, None),
        "an operator or a function was given a type that it does not take, such as null"
    );
    assert_eq!(
        failed("object.spec.runStrategy.value == 'x'", &object, None),
        "an operator or a function was given a type that it does not take, such as null"
    );
    assert_eq!(failed("object.spec.nothing == 'x'", &object, None), "there is no field `nothing`");
    assert!(failed("has(oldObject.spec)", &object, None).contains("null"));
    assert!(failed("has(object.spec.runStrategy.x)", &object, None).contains("type"));
    assert!(failed("object.spec.a[7].b == 1", &object, None).contains("outside"));
    assert_eq!(failed("object.spec.a.filter(x, x.nothing).size() == 0", &object, None), "there is no field `nothing`");
    assert!(failed("object.spec.a.filter(x, x.b).size() == 0", &object, None).contains("type"));
    assert!(failed("object.spec.replicas.filter(x, x.b).size() == 0", &object, None).contains("type"));
    assert_eq!(evaluate("false && object.spec.nothing == 'x'", &object, None), Ok(false));
    assert_eq!(evaluate("object.spec.nothing == 'x' || true", &object, None), Ok(true));
    assert_eq!(evaluate("object.spec.replicas", &object, None), Err(EvaluationError::NotBoolean { was: "int".to_owned() }));
}

#[test]
fn messages_name_types_and_not_values() {
    let object = json!({"spec": {"secret": "hunter2", "list": ["hunter2"]}});
    for source in [
        "object.spec.secret + 1 == 'x'",
        "object.spec + object.spec == 'x'",
        "object.spec.list.size() + 'x' == 'y'",
        "object.spec['x'] == 1",
        "object.spec.list > 1",
    ] {
        let message = failed(source, &object, None);
        assert!(!message.contains("hunter2") && message.len() < 300, "{source}: {message}");
    }
    assert_eq!(failed("object.spec.secret + 1 == 'x'", &object, None), "`add` does not take string and int");
}

/// The interpreter or a function panics on each of these.
#[test]
fn a_panic_of_the_interpreter_is_a_failure() {
    let object = vm();
    for source in [
        "-(-9223372036854775807 - 1) == 0",
        "b'a'.contains(b'')",
        "quantity('1e100').compareTo(quantity('1')) == 1",
        "timestamp('9999-12-31T23:59:59Z') + duration('9223372036s') == timestamp('2000-01-01T00:00:00Z')",
        "'%.99999f'.format([1.0]) == ''",
    ] {
        let message = failed(source, &object, None);
        assert!(!message.contains('\n'), "{source}: {message}");
    }
    for source in [
        "1 / 0 == 1",
        "1 % 0 == 1",
        "(-9223372036854775807 - 1) / -1 == 1",
        "9223372036854775807 + 1 == 0",
        "duration('x') == duration('1s')",
        "[1][-1] == 1",
        "'abc'.substring(-1) == ''",
    ] {
        assert!(!failed(source, &object, None).contains("cannot be computed"), "{source}");
    }
}

#[test]
fn mistakes_are_told_where_they_are_and_in_one_line() {
    for (source, message) in [
        ("objct.spec.x == 1", "there is no `objct` here: use object, oldObject or request"),
        ("object.spec.a.all(x, y == 1)", "there is no `y` here: use object, oldObject or request"),
        ("", "the expression is empty"),
        ("object.spec.a = 1", "line 1, column 15: `=` is not an operator: use `==`"),
        ("object.a &&\n  == 1", "line 2, column 3: unexpected `==`"),
        ("object.a == 'x' and true", "line 1, column 17: `and` is not an operator: use `&&`"),
        ("object.a ==", "line 1, column 12: the expression ends too early"),
        ("(object.a", "line 1, column 10: `)` is missing at the end"),
        ("'abc", "line 1, column 1: a text is not closed"),
        ("object.a == '\\d'", "line 1, column 13: a text is not closed, or has a backslash that means nothing: `'\\d`"),
        ("object.a == 9999999999999999999", "line 1, column 13: a number does not fit in 64 bits"),
        ("has(object)", "line 1, column 5: `has` takes a field, such as has(object.spec.x)"),
        ("object.a.all(1, true)", "line 1, column 14: the first argument of all, exists, map and filter is a name for the element"),
        ("!!object.a", "line 1, column 2: a double ! is not supported: leave both out"),
        ("'x'", "the expression must be true or false, and it is a text"),
        ("1", "the expression must be true or false, and it is a number"),
        ("[true]", "the expression must be true or false, and it is a list"),
        ("{'a': true}", "the expression must be true or false, and it is a map"),
        ("1 + 2", "the expression must be true or false, and it is a sum"),
        ("object.a.map(x, x)", "the expression must be true or false, and it is a list"),
        ("size(object.a)", "the expression must be true or false, and it is neither"),
        ("object.?a", "the expression must be true or false, and it is an optional value: add .orValue(false)"),
        ("object.a && 'x'", "a condition must be true or false, and it is a text"),
        ("object.a.exists(x, 'x')", "a condition must be true or false, and it is a text"),
        ("object.a.optMap(x, x == 1)", "there is no function `optMap`; there is no `x` here: use object, oldObject or request"),
        ("math.pow(1, 2) == 1", "there is no function `math.pow`"),
        (
            "object.a.all(x)",
            "`all` takes a name and a condition, such as x.all(e, e.y == 'z'); there is no `x` here: use object, oldObject or request",
        ),
        ("startsWith(object.a, 'x')", "`startsWith` is called on a value: write x.startsWith(…)"),
        ("'1Gi'.isQuantity()", "`isQuantity` is not called on a value: write isQuantity(…)"),
        ("object.a.startsWith('x', 'y')", "`startsWith` takes 1 arguments, and has 2"),
        ("timestamp(object.a).getHours('Europe/Belin') == 1", "there is no time zone `Europe/Belin`"),
        ("timestamp(object.a).getHours('Europe/Berlin', 1) == 1", "`getHours` takes 0 to 1 arguments, and has 2"),
        ("lists.range(object.n).size() == 1", "`lists.range` needs a number from 0 to 1000, written out"),
        ("object.a.matches('\\\\w{1000}')", "a regular expression repeats too much: use smaller counts in {…}"),
        ("Pod{name: 'x'} == 1", "line 1, column 4: messages such as Name{…} are not supported"),
        ("type(object) == string", "there is no function `type`; there is no `string` here: use object, oldObject or request"),
    ] {
        assert_eq!(refused(source), message, "{source}");
    }
    assert!(refused(&format!("'{}' == ''", "x".repeat(5000))).contains("5008 bytes long, and may be 4096"));
    assert!(refused(&format!("true{}", "?true:true".repeat(60))).contains("levels deep"));
}

fn shareable<T: Send + Sync + Clone>() {}

#[test]
fn what_an_expression_refers_to_is_known() {
    let expression = compiled("object.spec.a.exists(request, request == 'x')");
    assert!(expression.references("object") && !expression.references("oldObject"));
    assert_eq!(expression.source(), "object.spec.a.exists(request, request == 'x')");
    assert_eq!(format!("{:?}", compiled("true")), "Expression(\"true\")");
    shareable::<Expression>();
}

#[test]
fn ordinary_expressions_over_a_large_object_are_not_too_costly() {
    let object = large();
    assert!((95_000..130_000).contains(&object.to_string().len()), "{}", object.to_string().len());
    for source in [
        "object.spec.template.spec.containers.all(c, c.image.startsWith('x'))",
        "object.metadata.?labels['tier'].orValue('') == 'prod'",
        "object.spec.engineState == 'active' && oldObject.spec.engineState != 'active'",
        "has(object.spec.runStrategy) && object.spec.runStrategy in ['Always', 'Once']",
        "object.spec.a.filter(x, x.b == 1).map(x, x.c).exists(c, c == 'z')",
        "request.userInfo.groups.exists(g, g == 'sre')",
        "object.spec.template.spec.containers.all(c, c.env.all(e, e.name != 'SECRET'))",
        "object.spec.template.spec.containers.exists(c, c.image.matches('^registry[.]example[.]com/[a-z/]+:v[0-9]+$'))",
        "object.spec == oldObject.spec",
        "object.spec.a.filter(x, x.b == 1).size() >= 3",
        "object.spec.template.spec.containers.map(c, c.image).all(i, i.startsWith('registry.'))",
    ] {
        let result = evaluate(source, &object, Some(&object));
        assert!(!matches!(result, Err(EvaluationError::TooCostly { .. })), "{source}: {result:?}");
    }
}

#[test]
fn what_could_take_too_long_or_too_much_memory_is_not_evaluated() {
    let items: Vec<_> = (0..200).map(|n| json!({"n": n})).collect();
    let object = json!({"spec": {"l": items, "s": "aaaaaaaaaaaaaaaa", "t": "b".repeat(20_000)}});
    let doubling = |times: usize| format!("[object.spec.s]{}.exists(x, x == '')", ".map(x, x + x)".repeat(times));
    let nested_choice = format!("[object.spec.l]{}.exists(x, x == [])", ".map(x, true ? x : x)".repeat(100));
    for source in [
        "object.spec.l.all(x, object.spec.l.all(y, object.spec.l.all(z, x.n + y.n + z.n >= 0)))".to_owned(),
        doubling(26),
        nested_choice,
        "object.spec.l.all(x, object.spec.t.replace('', object.spec.t) == '')".to_owned(),
        "object.spec.l.all(x, object.spec.t.matches(object.spec.s))".to_owned(),
        "object.spec.t.matches(object.spec.t)".to_owned(),
        "object.spec.t.indexOf(object.spec.t + 'a') == 1".to_owned() + &" && object.spec.l.all(x, object.spec.t.indexOf(object.spec.t) == 0)".repeat(2),
        "lists.range(1000).all(x, lists.range(1000).all(y, x + y >= 0))".to_owned(),
        "[1].all(x, ['%s%s'.format([object, object])].map(y, y + y + y + y).map(y, y + y + y + y).map(y, y + y + y + y).map(y, y + y + y + y + y + y) == [])".to_owned(),
    ] {
        let result = evaluate(&source, &object, Some(&object));
        let Err(EvaluationError::TooCostly { cost, limit }) = result else { panic!("{source}: {result:?}") };
        assert!(cost > limit && limit == LIMIT, "{source}");
    }
    assert!(!matches!(evaluate(&doubling(6), &object, None), Err(EvaluationError::TooCostly { .. })));
    assert!(!matches!(
        evaluate("object.spec.l.all(x, object.spec.l.all(y, x.n + y.n >= 0))", &object, None),
        Err(EvaluationError::TooCostly { .. })
    ));
    let huge = json!({"spec": {"l": vec![0; 600_000]}});
    assert!(matches!(evaluate("object.spec.x == 'x'", &huge, None), Err(EvaluationError::TooCostly { .. })));
    assert_eq!(evaluate("request.operation == 'CREATE'", &huge, None), Ok(true), "what is not referred to costs nothing");
    let message = EvaluationError::TooCostly { cost: u64::MAX, limit: LIMIT }.to_string();
    assert_eq!(message, "the expression was not evaluated: its cost cannot be bounded, and may be 1000000");
}

/// What is accepted must also end in the time that the limit stands for, with room for a slow machine and a debug build.
#[test]
fn what_is_accepted_ends_in_time() {
    let items: Vec<_> = (0..200).map(|n| json!({"n": n, "s": "some text of a usual length"})).collect();
    let object = json!({"spec": {"l": items}});
    let request = json!({});
    for source in [
        "object.spec.l.all(x, object.spec.l.all(y, x.n + y.n >= 0))",
        "object.spec.l.filter(x, x.n >= 0).map(x, x.s).exists(c, c == 'z')",
        "object.spec.l.map(x, object.spec.l[0]).map(x, x).exists(c, c == 'z')",
        "object.spec.l.all(x, x.s.matches('^[a-z ]{1,100}$'))",
        "object.spec.l.all(x, x.s.split('').join('-') != '')",
        "lists.range(900).filter(x, x > 0).size() == 899",
        "object.spec.l.all(x, object.spec.l.size() == 200)",
    ] {
        let bindings = Bindings::new(&object, None, &request);
        let expression = compiled(source);
        let watch = crate::clock::instant();
        let result = expression.evaluate(&bindings);
        let took = watch.elapsed();
        let cost = cost::bound(&expression.inner.program, expression.inner.fixed_cost, &expression.inner.variables, &bindings, LIMIT);
        println!("{:>9} units {:>9.3} ms  {source}: {result:?}", cost, took.as_secs_f64() * 1000.0);
        assert!(took < Duration::from_secs(3), "{source} took {took:?}");
    }
}

/// The longest chains and the deepest nesting that are accepted.
fn deepest() -> Vec<String> {
    let links = scan::MAX_DEPTH - 8;
    let levels = scan::MAX_BRACKETS - 2;
    vec![
        format!("{} == 3", vec!["1"; links].join("+")),
        format!("[0]{} == 0", "[0]".repeat(links)),
        format!("'a'{} == 'a'", ".trim()".repeat(links)),
        format!("object{} == 1", ".a".repeat(links)),
        format!("object{}.orValue(1) == 1", ".?a".repeat(links)),
        format!("[1]{} == [1]", ".map(x,x)".repeat(links)),
        format!("[1]{} == [1]", ".filter(x,x==1)".repeat(links / 2)),
        vec!["1"; links].join(" < "),
        format!("{}1{} == 1", "(".repeat(levels), ")".repeat(levels)),
        format!("{}1{} == [1]", "[".repeat(levels), "]".repeat(levels)),
        format!("{}true", "true ? true : ".repeat(levels)),
        format!("{}true{}", "[1].all(x, ".repeat(levels), ")".repeat(levels)),
        format!("{}1{} == [1]", "[1].map(x, ".repeat(levels), ")".repeat(levels)),
        format!("{}1{}{} == 1", "(1+".repeat(levels), ")".repeat(levels), "+1".repeat(links - 2 * levels - 2)),
        vec!["object.a == 1"; 240].join(" && "),
        vec!["object.a == 1 && true"; 150].join(" || "),
    ]
}

#[test]
fn the_deepest_expressions_fit_a_stack_of_two_mebibytes() {
    for source in deepest() {
        on_stack(2, move || {
            let mut problems = Vec::new();
            let compiled = Expression::compile(&source, "f", &ROOTS, &mut problems);
            assert_eq!(problems, [], "{source}");
            let (object, request) = (json!({"a": {"a": 1}}), json!({}));
            let _ = compiled.unwrap().evaluate(&Bindings::new(&object, None, &request));
        });
    }
}

/// Without the scanner, the longest source still fits 8 MiB: the scanner may miscount, and the process lives.
#[test]
fn the_longest_source_fits_a_stack_of_eight_mebibytes_even_unscanned() {
    for source in [
        vec!["1"; 2040].join("+"),
        format!("[0]{}", "[0]".repeat(1360)),
        format!("'a'{}", ".trim()".repeat(580)),
        format!("object{}", ".a".repeat(2040)),
        format!("[1]{}", ".map(x,x)".repeat(450)),
    ] {
        assert!(source.len() <= MAX_EXPRESSION_BYTES);
        on_stack(8, move || {
            let program = parse(&source).unwrap();
            let _ = check::check(&program, &ROOTS, Wanted::Truth);
            let program = rewrite::rewrite(program);
            let (object, request) = (json!({"a": {"a": 1}}), json!({}));
            let bindings = Bindings::new(&object, None, &request);
            let variables = vec!["object".to_owned()];
            let _ = cost::fixed(&program);
            let _ = cost::bound(&program, None, &variables, &bindings, LIMIT);
            let _ = bindings.evaluate(&program, &variables);
        });
    }
}

#[test]
fn a_document_that_is_nested_without_end_is_refused() {
    on_stack(8, || {
        let object = (0..1000).fold(json!(1), |inner, _| json!([inner]));
        let request = json!({});
        let result = compiled("object == 1").evaluate(&Bindings::new(&object, None, &request));
        assert_eq!(result, Err(EvaluationError::Failed { message: "object is nested too deeply".to_owned() }));
    });
}

fn tokens() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "object",
        "oldObject",
        "request",
        "x",
        ".",
        ".?",
        "a",
        "b",
        "spec",
        "[",
        "]",
        "[?",
        "(",
        ")",
        "{",
        "}",
        ",",
        ":",
        "?",
        "&&",
        "||",
        "!",
        "-",
        "+",
        "*",
        "/",
        "%",
        "==",
        "!=",
        "<",
        ">=",
        "in",
        "1",
        "0",
        "1u",
        "1.5",
        "9223372036854775807",
        "'x'",
        "'1h'",
        "b'x'",
        "r'\\d'",
        "\"y\"",
        "null",
        "true",
        "false",
        "has(",
        ".all(x,",
        ".exists(x,",
        ".map(x,",
        ".filter(x,",
        ".size()",
        "size(",
        ".matches('[a-z]+')",
        ".startsWith('x')",
        ".orValue(1)",
        ".split('')",
        ".join('-')",
        ".format([1])",
        "quantity('1')",
        "duration('1h')",
        "timestamp('2020-01-01T00:00:00Z')",
        "int(",
        "string(",
        ".sort()",
        ".distinct()",
        "lists.range(3)",
        "math.abs(",
        "optional.of(",
        "`",
        "'",
        "//",
        "\n",
        " ",
    ]);
    prop::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat())
}

/// Expressions that mostly compile.
fn sources() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "object",
        "object.a",
        "object.?a",
        "oldObject",
        "request.b",
        "1",
        "-1",
        "2.5",
        "'x'",
        "true",
        "null",
        "[1, 'x']",
        "{'a': 1}",
        "b''",
    ])
    .prop_map(str::to_owned);
    leaf.prop_recursive(6, 40, 3, |inner| {
        let binary = prop::sample::select(vec!["+", "-", "*", "/", "%", "==", "!=", "<", ">=", "&&", "||", "in"]);
        let method = prop::sample::select(functions::names().filter(|name| !name.contains('.')).collect::<Vec<_>>());
        let makro = prop::sample::select(vec!["all", "exists", "exists_one", "map", "filter"]);
        prop_oneof![
            (inner.clone(), binary, inner.clone()).prop_map(|(left, operator, right)| format!("({left} {operator} {right})")),
            (inner.clone(), method.clone()).prop_map(|(on, method)| format!("({on}).{method}()")),
            (inner.clone(), method.clone(), inner.clone()).prop_map(|(on, method, with)| format!("({on}).{method}({with})")),
            (inner.clone(), method).prop_map(|(with, function)| format!("{function}({with})")),
            (inner.clone(), makro, inner.clone()).prop_map(|(on, makro, body)| format!("({on}).{makro}(x, x == {body})")),
            (inner.clone(), inner.clone()).prop_map(|(on, index)| format!("({on})[{index}]")),
            (inner.clone(), inner.clone(), inner).prop_map(|(condition, then, otherwise)| format!("({condition} ? {then} : {otherwise})")),
        ]
    })
    .prop_map(|source| format!("{source} == true"))
}

fn documents() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        "[a-c]{0,8}".prop_map(Json::from),
        any::<String>().prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            prop::collection::hash_map("a|b|spec|[a-z]{1,3}", inner, 0..6)
                .prop_map(|fields| fields.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

fn survives(source: &str, object: &Json) {
    let (source, object) = (source.to_owned(), object.clone());
    on_stack(8, move || {
        let mut problems = Vec::new();
        let compiled = Expression::compile(&source, "f", &ROOTS, &mut problems);
        assert_eq!(compiled.is_none(), !problems.is_empty());
        let request = json!({"b": [1, {"a": "x"}]});
        let bindings = Bindings::new(&object, None, &request);
        if let Some(expression) = compiled {
            let watch = crate::clock::instant();
            let _ = expression.evaluate(&bindings);
            assert!(watch.elapsed() < Duration::from_secs(5), "{source} took {:?}", watch.elapsed());
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_text_is_compiled_or_refused(source in any::<String>()) {
        survives(&source, &Json::Null);
    }

    #[test]
    fn any_sequence_of_tokens_is_compiled_or_refused(source in tokens(), object in documents()) {
        survives(&source, &object);
    }

    #[test]
    fn any_expression_over_any_object_has_a_value_or_an_error(source in sources(), object in documents()) {
        survives(&source, &object);
    }

    #[test]
    fn a_false_comparison_is_the_negation_of_a_true_one(left in documents(), right in documents()) {
        let equal = evaluate("object == oldObject", &left, Some(&right));
        let different = evaluate("object != oldObject", &left, Some(&right));
        prop_assert_eq!(equal.map(|equal| !equal), different);
    }
}
