//! What is registered is exact, and what is pushed down is true of just the requests that a gate may hold.

#![allow(clippy::needless_pass_by_value, reason = "`json!(...)` reads best as an argument")]

use super::*;
use crate::core::expr::{Bindings, server};
use crate::core::gate::testing::{Ask, Known, cxgate, spec, xgate};
use serde_json::{Value, json};

fn endpoint() -> Endpoint {
    Endpoint {
        address: Address::Service { name: "holdpoint-webhook".into(), port: 443 },
        namespace: "holdpoint-system".into(),
        ca_bundle: b"PEM".to_vec(),
    }
}

fn registered(gates: &[&Gate]) -> Vec<ValidatingWebhook> {
    entries(gates.iter().copied(), &endpoint(), &|_| false)
}

fn gate(name: &str, more: Value) -> Gate {
    xgate(name, spec(&["a"], more))
}

fn condition(entry: &ValidatingWebhook) -> Option<String> {
    let conditions = entry.match_conditions.as_ref().unwrap();
    assert_eq!(conditions[0].name, "not-being-deleted");
    conditions.get(1).map(|c| c.expression.clone())
}

fn evaluate(expression: &str, ask: &Ask) -> Result<bool, String> {
    server::evaluate(expression, &Bindings::new(&ask.object, ask.old_object.as_ref(), &ask.request))
}

#[test]
fn nothing_is_registered_for_no_gate_or_for_one_without_a_usable_rule() {
    assert_eq!(registered(&[]), []);
    let pods = json!({"match": {"rules": [{"apiGroups": [""], "resources": ["pods"], "operations": ["CREATE"]}]}});
    assert_eq!(registered(&[&gate("pods", pods)]), []);
}

#[test]
fn one_entry_for_each_failure_policy_and_gates_that_never_refuse_never_fail() {
    for (mode, policy, entry) in [
        ("Enforce", "Fail", "fail.holdpoint.dev"),
        ("Enforce", "Ignore", "ignore.holdpoint.dev"),
        ("Warn", "Fail", "ignore.holdpoint.dev"),
        ("Warn", "Ignore", "ignore.holdpoint.dev"),
        ("Audit", "Fail", "ignore.holdpoint.dev"),
        ("Audit", "Ignore", "ignore.holdpoint.dev"),
    ] {
        let found = registered(&[&gate("a", json!({"mode": mode, "failurePolicy": policy}))]);
        let names: Vec<_> = found.iter().map(|e| (e.name.as_str(), e.failure_policy.as_deref().unwrap())).collect();
        let wanted = if entry.starts_with("fail") { "Fail" } else { "Ignore" };
        assert_eq!(names, [(entry, wanted)], "{mode} {policy}");
    }
    let both = registered(&[&gate("a", json!({"mode": "Warn"})), &gate("b", json!({}))]);
    let paths: Vec<_> = both.iter().map(|e| e.client_config.service.as_ref().unwrap().path.as_deref().unwrap()).collect();
    assert_eq!(paths, ["/admit/fail", "/admit/ignore"]);
}

#[test]
fn an_entry_has_the_promised_settings() {
    let [entry] = registered(&[&gate("a", json!({}))]).try_into().unwrap();
    assert_eq!(entry.match_policy.as_deref(), Some("Equivalent"));
    assert_eq!((entry.timeout_seconds, entry.side_effects.as_str()), (Some(3), "NoneOnDryRun"));
    assert_eq!(entry.admission_review_versions, ["v1"]);
    assert_eq!(entry.object_selector, Some(LabelSelector::default()));
    let service = entry.client_config.service.clone().unwrap();
    assert_eq!((service.name.as_str(), service.namespace.as_str(), service.port), ("holdpoint-webhook", "holdpoint-system", Some(443)));
    assert_eq!((entry.client_config.ca_bundle.unwrap().0, entry.client_config.url), (b"PEM".to_vec(), None));
    let by_url = Endpoint { address: Address::Url("https://127.0.0.1:9443/".into()), ..endpoint() };
    let a = gate("a", json!({}));
    let [entry] = entries(std::iter::once(&a), &by_url, &|_| false).try_into().unwrap();
    assert_eq!((entry.client_config.url.as_deref(), entry.client_config.service), (Some("https://127.0.0.1:9443/admit/fail"), None));
}

#[test]
fn rules_are_exact_and_operations_are_united() {
    let rule = |group: &str, resources: &[&str], operations: &[&str]| json!({"apiGroups": [group], "resources": resources, "operations": operations});
    let with = |name: &str, rules: Value| gate(name, json!({"match": {"rules": rules, "start": "true"}}));
    let a = with(
        "a",
        json!([rule("chaos-mesh.org", &["podchaos", "iochaos"], &["CREATE"]), rule("kubevirt.io", &["virtualmachines"], &["CREATE"])]),
    );
    let b = with("b", json!([rule("kubevirt.io", &["virtualmachines", "virtualmachines/status"], &["UPDATE"])]));
    let [entry] = registered(&[&b, &a]).try_into().unwrap();
    let found: Vec<_> = entry
        .rules
        .as_ref()
        .unwrap()
        .iter()
        .map(|r| {
            assert_eq!((r.api_versions.as_deref(), r.scope.as_deref()), (Some(&["*".to_owned()][..]), Some("*")));
            let list = |l: &Option<Vec<String>>| l.as_ref().unwrap().join(",");
            (list(&r.api_groups), list(&r.resources), list(&r.operations))
        })
        .collect();
    let row = |g: &str, r: &str, o: &str| (g.to_owned(), r.to_owned(), o.to_owned());
    assert_eq!(
        found,
        [
            row("chaos-mesh.org", "iochaos,podchaos", "CREATE"),
            row("kubevirt.io", "virtualmachines", "CREATE,UPDATE"),
            row("kubevirt.io", "virtualmachines/status", "UPDATE"),
        ]
    );
    // The order in which gates come makes no difference: it would be a write for nothing.
    assert_eq!(registered(&[&a, &b]), [entry]);
}

#[test]
fn the_system_and_the_operator_are_left_out_and_namespaced_gates_name_theirs() {
    let namespaces = |gates: &[&Gate]| {
        let [entry] = registered(gates).try_into().unwrap();
        let expressions = entry.namespace_selector.unwrap().match_expressions.unwrap();
        expressions.into_iter().map(|e| format!("{} {} {}", e.key, e.operator, e.values.unwrap().join(","))).collect::<Vec<_>>()
    };
    let excluded = "kubernetes.io/metadata.name NotIn kube-system,kube-public,kube-node-lease,holdpoint-system";
    let mut other = gate("b", json!({}));
    other.key.namespace = Some("billing".into());
    let a = gate("a", json!({}));
    assert_eq!(namespaces(&[&a, &other]), [excluded, "kubernetes.io/metadata.name In billing,shop"]);
    assert_eq!(namespaces(&[&a, &cxgate("c", spec(&["a"], json!({})))]), [excluded]);
    let many: Vec<Gate> =
        (0..1001).map(|i| Gate { key: GateKey { namespace: Some(format!("n{i}")), name: "g".into() }, ..gate("g", json!({})) }).collect();
    assert_eq!(namespaces(&many.iter().collect::<Vec<_>>()), [excluded]);
}

#[test]
fn the_pushed_text_of_a_plain_gate() {
    let [entry] =
        registered(&[&gate("a", json!({"match": {"matchConditions": [{"name": "x", "expression": "object.spec.mode == 'one'"}]}}))])
            .try_into()
            .unwrap();
    assert_eq!(
        condition(&entry).unwrap(),
        "(((request.resource.group == 'chaos-mesh.org' && (request.?subResource.orValue('') == '' ? request.resource.resource : \
         request.resource.resource + '/' + request.subResource) in ['podchaos'])) && request.?namespace.orValue('') == 'shop' && (object.spec.mode == 'one'\n))"
    );
    let deleted = &entry.match_conditions.unwrap()[0].expression;
    let deleting = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}});
    assert_eq!(evaluate(deleted, &Ask::update(deleting.clone(), deleting.clone())), Ok(false));
    assert_eq!(evaluate(deleted, &Ask::update(json!({"metadata": {}}), deleting.clone())), Ok(true));
    assert_eq!(evaluate(deleted, &Ask::create(deleting)), Ok(true));
}

fn of(namespace: Option<&str>, resource: (&str, &str, Option<&str>), object: Value, old: Option<Value>) -> Ask {
    let (group, plural, subresource) = resource;
    let full = subresource.map_or_else(|| plural.to_owned(), |s| format!("{plural}/{s}"));
    let operation = if old.is_some() { Operation::Update } else { Operation::Create };
    let mut request = json!({"operation": operation, "resource": {"group": group, "version": "v1", "resource": plural}});
    if let Some(namespace) = namespace {
        request["namespace"] = json!(namespace);
    }
    if let Some(subresource) = subresource {
        request["subResource"] = json!(subresource);
    }
    Ask {
        resource: Resource { group: group.into(), resource: full },
        operation,
        namespace: namespace.map(str::to_owned),
        object,
        old_object: old,
        request,
        ..Ask::default()
    }
}

fn labelled(labels: Value) -> Value {
    json!({"metadata": {"name": "x", "labels": labels}, "spec": {"mode": "one"}})
}

/// The pushed condition is true for exactly the requests that a gate holds, where every create and update counts as a start.
#[test]
fn what_is_pushed_down_agrees_with_what_is_decided() {
    let both = |resources: &[&str]| json!([{"apiGroups": ["chaos-mesh.org", "x'y.example"], "resources": resources, "operations": ["CREATE", "UPDATE"]}]);
    let with = |name: &str, more: Value| {
        let mut matches = json!({"rules": both(&["podchaos", "podchaos/status"]), "start": "true"});
        matches.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"name": name, "match": matches})
    };
    let selector = |selector: Value| json!({"objectSelector": selector});
    let specs = [
        with("plain", json!({})),
        with("labels", selector(json!({"matchLabels": {"tier": "prod"}}))),
        with("all", selector(json!({}))),
        with("in", selector(json!({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["prod", "live"]}]}))),
        with("not-in", selector(json!({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["test"]}]}))),
        with("exists", selector(json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}))),
        with("absent", selector(json!({"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}))),
        with("condition", json!({"matchConditions": [{"name": "c", "expression": "object.spec.mode == 'one' // or 'all'"}]})),
        with(
            "two",
            json!({"matchConditions": [{"name": "c", "expression": "has(object.spec)"}, {"name": "d", "expression": "request.operation == 'CREATE' || oldObject != null"}]}),
        ),
    ];
    let objects = [
        labelled(json!({"tier": "prod"})),
        labelled(json!({"tier": "test"})),
        labelled(json!({"tier": "live", "a": "b"})),
        labelled(json!({"a": "b"})),
        labelled(json!({})),
        json!({"metadata": {"name": "x"}, "spec": {"mode": "all"}}),
    ];
    let resources = [
        ("chaos-mesh.org", "podchaos", None),
        ("chaos-mesh.org", "podchaos", Some("status")),
        ("chaos-mesh.org", "podchaos", Some("scale")),
        ("x'y.example", "podchaos", None),
        ("chaos-mesh.org", "iochaos", None),
        ("", "podchaos", None),
    ];
    let mut held = 0;
    for cluster in [false, true] {
        for one in &specs {
            let spec = spec(&["a"], json!({"match": one["match"]}));
            let gate = if cluster { cxgate("g", spec) } else { xgate("g", spec) };
            assert_eq!(gate.problems, [], "{one}");
            let [entry] = registered(&[&gate]).try_into().unwrap();
            let pushed = condition(&entry).unwrap();
            for resource in resources {
                for namespace in [Some("shop"), Some("other"), None] {
                    for object in &objects {
                        for old in std::iter::once(None).chain(objects.iter().cloned().map(Some)) {
                            let ask = of(namespace, resource, object.clone(), old);
                            let decided = !ask.decide(&[&gate], &Known::shop(&[])).judgements.is_empty();
                            assert_eq!(evaluate(&pushed, &ask), Ok(decided), "{} cluster: {cluster}, {ask:?}\n{pushed}", one["name"]);
                            held += usize::from(decided);
                        }
                    }
                }
            }
        }
    }
    assert!(held > 1000, "only {held} requests were held: the table proves little");
}

fn starting(start: &str) -> Gate {
    let rules = json!([{"apiGroups": ["litmuschaos.io"], "resources": ["chaosengines"], "operations": ["CREATE", "UPDATE"]}]);
    gate("engines", json!({"match": {"rules": rules, "start": start}}))
}

/// What does not pass the pushed condition needs no operator, and what it takes the operator to tell is sent.
#[test]
fn what_certainly_is_no_start_is_not_sent_and_what_may_be_one_is() {
    let engine = |spec: Value| json!({"metadata": {"name": "x"}, "spec": spec});
    let sent = |gate: &Gate, object: &Value, old: Option<&Value>| {
        let ask = of(Some("shop"), ("litmuschaos.io", "chaosengines", None), object.clone(), old.cloned());
        let sent = evaluate(&condition(&registered(&[gate])[0]).unwrap(), &ask).unwrap();
        let held = !ask.decide(&[gate], &Known::shop(&[])).judgements.is_empty();
        assert!(sent || !held, "a start is not sent: {ask:?}");
        sent
    };
    let (active, stopped, none) = (engine(json!({"engineState": "active"})), engine(json!({"engineState": "stop"})), engine(json!({})));
    let odd = [
        engine(json!(null)),
        engine(json!("x")),
        engine(json!(["x"])),
        json!({"metadata": {"name": "x"}}),
        engine(json!({"engineState": ["active"]})),
    ];

    let with_default = starting(
        "object.spec.?engineState.orValue('active') == 'active' && (oldObject == null || oldObject.spec.?engineState.orValue('active') != 'active')",
    );
    for (object, old, expected) in [
        (&active, None, true),
        (&none, None, true),
        (&stopped, None, false),
        (&active, Some(&stopped), true),
        (&none, Some(&stopped), true),
        (&active, Some(&active), false),
        (&active, Some(&none), false),
        (&none, Some(&active), false),
        (&stopped, Some(&active), false),
        (&stopped, Some(&none), false),
        (&active, Some(&odd[0]), true),
        (&stopped, Some(&odd[0]), false),
    ] {
        assert_eq!(sent(&with_default, object, old), expected, "{object} {old:?}");
    }

    let without = starting("object.spec.engineState == 'active' && oldObject.spec.engineState != 'active'");
    for (object, old, expected) in [
        (&active, None, true),
        (&stopped, None, false),
        (&none, None, true),
        (&active, Some(&stopped), true),
        (&active, Some(&none), true),
        (&stopped, Some(&none), false),
        (&none, Some(&active), true),
    ] {
        assert_eq!(sent(&without, object, old), expected, "{object} {old:?}");
    }
    for gate in [&with_default, &without] {
        for object in odd.iter().chain([&active, &stopped, &none]) {
            for old in odd.iter().chain([&active, &stopped, &none]).map(Some).chain([None]) {
                sent(gate, object, old);
            }
        }
    }
    // When this one has a value is not known: each update takes the operator.
    let unknown = starting("object.spec.experiments.exists(e, e.name == 'pod-delete')");
    assert!(sent(&unknown, &stopped, Some(&stopped)) && !condition(&registered(&[&unknown])[0]).unwrap().contains("pod-delete"));
}

#[test]
fn the_pushed_text_of_a_start() {
    let pushed = |start: &str| condition(&registered(&[&starting(start)])[0]).unwrap();
    let guard = "!(object != null && has(object.spec) && type(object.spec) == map)";
    let found = pushed("object.spec.?engineState.orValue('') == 'active' // not 'stop'");
    assert!(found.ends_with(&format!(" && ({guard} || (object.spec.?engineState.orValue('') == 'active' // not 'stop'\n)))")), "{found}");
    let gate = starting("request.operation == 'CREATE'");
    let [entry] = entries(std::iter::once(&gate), &endpoint(), &|_| true).try_into().unwrap();
    assert!(!condition(&entry).unwrap().contains("request.operation"), "what the API server does not accept is not pushed down");

    let fields = |more: Value| pushed_field(&gate_with(more));
    let conditions = json!([{"name": "c", "expression": "has(object.spec)"}]);
    assert_eq!(fields(json!({})), None);
    assert_eq!(fields(json!({"start": "object.spec.n > 1"})), None);
    assert_eq!(fields(json!({"start": "has(object.spec)"})), Some("spec.match.start"));
    assert_eq!(fields(json!({"matchConditions": conditions})), Some("spec.match.matchConditions"));
    assert_eq!(fields(json!({"matchConditions": conditions, "start": "has(object.spec)"})), Some("spec.match"));
}

fn gate_with(matches: Value) -> Gate {
    gate("g", json!({"match": matches}))
}

#[test]
fn what_cannot_be_evaluated_for_one_gate_does_not_hide_another() {
    let unlabelled = "object.metadata.labels.tier == 'prod'";
    let a = gate("a", json!({"match": {"matchConditions": [{"name": "c", "expression": unlabelled}]}}));
    let b = gate("b", json!({}));
    let mut c = gate(
        "c",
        json!({"match": {"rules": [{"apiGroups": ["kubevirt.io"], "resources": ["virtualmachines"], "operations": ["CREATE"]}]}}),
    );
    c.key.namespace = Some("other".into());
    let bare = of(Some("shop"), ("chaos-mesh.org", "podchaos", None), json!({"metadata": {}}), None);
    let pushed = |gates: &[&Gate]| condition(&registered(gates)[0]).unwrap();
    assert_eq!(evaluate(&pushed(&[&a, &b, &c]), &bare), Ok(true));
    assert!(evaluate(&pushed(&[&a, &c]), &bare).is_err());
    let elsewhere = of(Some("other"), ("kubevirt.io", "virtualmachines", None), json!({"metadata": {}}), None);
    assert_eq!(evaluate(&pushed(&[&a, &b, &c]), &elsewhere), Ok(true));
    assert_eq!(evaluate(&pushed(&[&a, &b]), &elsewhere), Ok(false));
}

#[test]
fn conditions_that_the_api_server_does_not_accept_are_left_out_of_their_gate_alone() {
    let with = |name: &str, expression: &str| gate(name, json!({"match": {"matchConditions": [{"name": "c", "expression": expression}]}}));
    let (a, b) = (with("a", "object.a"), with("b", "object.b"));
    let [entry] = entries([&a, &b].into_iter(), &endpoint(), &|g| g.key.name == "a").try_into().unwrap();
    let pushed = condition(&entry).unwrap();
    assert!(!pushed.contains("object.a") && pushed.contains("(object.b\n)"), "{pushed}");
}

#[test]
fn beyond_the_limits_nothing_is_pushed_but_what_is_never_held() {
    let numbered = |n: usize| {
        (0..n)
            .map(|i| {
                gate(
                    &format!("g{i}"),
                    json!({"match": {"matchConditions": [{"name": "c", "expression": format!("object.spec.n == {i}")}]}}),
                )
            })
            .collect::<Vec<_>>()
    };
    let pushed = |gates: &[Gate]| condition(&registered(&gates.iter().collect::<Vec<_>>())[0]);
    assert!(pushed(&numbered(MAX_PUSHED_GATES)).is_some());
    assert_eq!(pushed(&numbered(MAX_PUSHED_GATES + 1)), None);
    let long = |n: usize| {
        let expression = format!("object.spec.name != '{}'", "x".repeat(4000));
        let with = |i: usize| {
            gate(&format!("g{i}"), json!({"match": {"matchConditions": [{"name": "c", "expression": format!("{expression} && {i} > 0")}]}}))
        };
        (0..n).map(with).collect::<Vec<_>>()
    };
    assert!(pushed(&long(3)).is_some_and(|p| p.len() <= MAX_PUSHED_BYTES));
    assert_eq!(pushed(&long(4)), None);
    // The same condition of many gates is one.
    let same: Vec<Gate> = (0..20).map(|i| gate(&format!("g{i}"), json!({}))).collect();
    assert_eq!(pushed(&same).unwrap().matches("podchaos").count(), 1);
}

#[test]
fn text_is_quoted() {
    for (text, literal) in [
        ("plain", "'plain'"),
        ("it's", r"'it\'s'"),
        (r"a\b", r"'a\\b'"),
        ("a\nb\rc", r"'a\nb\rc'"),
        ("\"", "'\"'"),
        ("", "''"),
        ("é", "'é'"),
        (r"\'", r"'\\\''"),
    ] {
        assert_eq!(quoted(text), literal);
        let ask = Ask { object: json!({"text": text}), ..Ask::default() };
        assert_eq!(evaluate(&format!("object.text == {literal}"), &ask), Ok(true), "{text:?}");
    }
}
