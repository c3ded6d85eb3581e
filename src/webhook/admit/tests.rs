//! Reviews in, answers out: never a panic, never without a reason.

#![allow(clippy::needless_pass_by_value, reason = "`json!(...)` reads best as an argument")]

mod hostile;

use super::*;
use crate::core::gate::testing::{at, cxgate, fact, spec, xgate};
use crate::core::verdict::Standing;
use proptest::prelude::*;
use serde_json::json;
use std::sync::Arc;

const UID: &str = "7f3a9c01-77aa-4000-8000-000000000000";

fn snapshot(standing: Standing, gates: Vec<crate::core::gate::Gate>) -> Snapshot {
    let snapshot = Snapshot::default();
    snapshot.publish_checks(vec![fact("shop", "a", standing)], &[], true);
    snapshot.publish_gates(gates.into_iter().map(Arc::new).collect(), true);
    snapshot.publish_namespaces(Arc::new([("shop".to_owned(), std::collections::BTreeMap::new())].into()));
    snapshot.publish_freshness(crate::core::gate::testing::trusted());
    snapshot
}

fn closed() -> Snapshot {
    let rules = json!([{"apiGroups": ["chaos-mesh.org"], "resources": ["podchaos"], "operations": ["CREATE", "UPDATE"]}]);
    snapshot(Standing::Failing, vec![xgate("chaos", spec(&["a"], json!({"match": {"rules": rules, "start": "true"}})))])
}

fn review(more: Value) -> Value {
    let mut request = json!({
        "uid": UID,
        "kind": {"group": "chaos-mesh.org", "version": "v1alpha1", "kind": "PodChaos"},
        "resource": {"group": "chaos-mesh.org", "version": "v1alpha1", "resource": "podchaos"},
        "requestKind": {"group": "chaos-mesh.org", "version": "v1alpha1", "kind": "PodChaos"},
        "name": "kill",
        "namespace": "shop",
        "operation": "CREATE",
        "userInfo": {"username": "jane", "groups": ["sre"]},
        "object": {"apiVersion": "chaos-mesh.org/v1alpha1", "kind": "PodChaos", "metadata": {"name": "kill", "namespace": "shop"}},
        "oldObject": null,
        "dryRun": false,
        "options": {"apiVersion": "meta.k8s.io/v1", "kind": "CreateOptions"},
    });
    for (key, value) in more.as_object().unwrap().clone() {
        request[key] = value;
    }
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request})
}

fn ask(snapshot: &Snapshot, entry: FailurePolicy, review: &Value) -> (Answer, Option<Record>) {
    let admitted = admit(snapshot, entry, &serde_json::to_vec(review).unwrap(), false, at(0));
    (admitted.answer, admitted.record)
}

fn told(answer: &Answer) -> (u16, &str) {
    answer.status.as_ref().map_or((200, ""), |s| (s.code, s.message.as_str()))
}

#[test]
fn a_start_is_refused_and_recorded() {
    let (answer, record) = ask(&closed(), FailurePolicy::Fail, &review(json!({})));
    assert_eq!((answer.uid.as_str(), answer.allowed, told(&answer).0), (UID, false, 403));
    let record = record.unwrap();
    assert_eq!(told(&answer).1.lines().next().unwrap(), record.headline);
    let Record { time, operation, object, user, dry_run, decision, .. } = record;
    assert_eq!((time, operation.as_str(), object.as_str(), user.as_str(), dry_run), (at(0), "CREATE", "PodChaos shop/kill", "jane", false));
    assert_eq!((decision.id.as_str(), answer.audit_annotations["decision-id"].as_str()), ("d-7f3a9c0177", "d-7f3a9c0177"));
    let (dry, record) = ask(&closed(), FailurePolicy::Fail, &review(json!({"dryRun": true})));
    assert_eq!((dry, record.unwrap().dry_run), (answer, true));
}

#[test]
fn what_no_gate_holds_is_admitted_without_a_trace() {
    for more in [
        json!({"resource": {"group": "chaos-mesh.org", "version": "v1", "resource": "iochaos"}}),
        json!({"subResource": "status"}),
        json!({"namespace": "other"}),
        json!({"operation": "DELETE", "object": null, "oldObject": {"metadata": {"name": "kill"}}}),
        json!({"operation": "CONNECT"}),
        json!({"operation": "SOMETHING"}),
        json!({"operation": "UPDATE", "oldObject": {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}}),
    ] {
        assert_eq!(ask(&closed(), FailurePolicy::Fail, &review(more.clone())), (Answer::allow(UID), None), "{more}");
    }
    // A client cannot call its object deleted.
    let object = json!({"metadata": {"name": "kill", "deletionTimestamp": "2026-01-01T00:00:00Z"}});
    assert!(!ask(&closed(), FailurePolicy::Fail, &review(json!({"object": object}))).0.allowed);
}

#[test]
fn deletes_are_admitted_before_anything_is_known() {
    let nothing = Snapshot::default();
    for operation in ["DELETE", "CONNECT"] {
        assert_eq!(ask(&nothing, FailurePolicy::Fail, &review(json!({"operation": operation}))).0, Answer::allow(UID));
    }
}

#[test]
fn before_the_gates_are_known_the_entry_s_policy_answers() {
    let nothing = Snapshot::default();
    let why = "Holdpoint cannot tell whether this may start: it has just started and has not read its gates yet; try again in a few seconds [d-7f3a9c0177]";
    let (answer, record) = ask(&nothing, FailurePolicy::Fail, &review(json!({})));
    assert_eq!((told(&answer), record), ((403, why), None));
    let (answer, _) = ask(&nothing, FailurePolicy::Ignore, &review(json!({})));
    assert_eq!((answer.allowed, answer.warnings.len()), (true, 1));
    assert!(answer.warnings[0].chars().count() <= 120);
}

#[test]
fn before_the_checks_are_known_each_is_unknown() {
    let snapshot = Snapshot::default();
    let gate = xgate("chaos", spec(&["a"], json!({"respond": {"missing": "Allow"}})));
    snapshot.publish_gates(vec![Arc::new(gate)], true);
    let (answer, _) = ask(&snapshot, FailurePolicy::Fail, &review(json!({})));
    assert!(!answer.allowed);
    assert!(told(&answer).1.contains("a UNKNOWN (the operator has just started and has not read all checks yet)"), "{answer:?}");
}

#[test]
fn each_entry_gives_the_whole_answer_and_each_gate_records_it_once() {
    let snapshot = snapshot(
        Standing::Failing,
        vec![xgate("enforces", spec(&["a"], json!({}))), xgate("warns", spec(&["a"], json!({"mode": "Warn"})))],
    );
    let recorded = |entry| {
        let (answer, record) = ask(&snapshot, entry, &review(json!({})));
        assert!(!answer.allowed);
        record.unwrap().decision.judgements.iter().map(|j| j.gate.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!((recorded(FailurePolicy::Fail), recorded(FailurePolicy::Ignore)), (vec!["enforces".to_owned()], vec!["warns".to_owned()]));
}

#[test]
fn names_are_found_where_they_are() {
    for (name, metadata, wanted) in [
        ("kill", json!({"name": "other"}), "PodChaos shop/kill"),
        ("", json!({"name": "given"}), "PodChaos shop/given"),
        ("", json!({"generateName": "kill-"}), "PodChaos shop/kill-*"),
        ("", json!({"name": "", "generateName": "kill-"}), "PodChaos shop/kill-*"),
        ("", json!({}), "PodChaos shop/(unnamed)"),
        ("", json!(null), "PodChaos shop/(unnamed)"),
        ("", json!({"name": 7}), "PodChaos shop/(unnamed)"),
    ] {
        let (_, record) = ask(&closed(), FailurePolicy::Fail, &review(json!({"name": name, "object": {"metadata": metadata}})));
        assert_eq!(record.unwrap().object, wanted);
    }
    let cluster = snapshot(Standing::Failing, vec![cxgate("chaos", spec(&[], json!({"checks": [{"name": "a", "namespace": "shop"}]})))]);
    for namespace in [json!(""), json!(null)] {
        let (_, record) = ask(&cluster, FailurePolicy::Fail, &review(json!({"namespace": namespace})));
        assert_eq!(record.unwrap().object, "PodChaos kill");
    }
}

#[test]
fn bodies_that_are_no_review_are_answered_with_the_uid_where_there_is_one() {
    let with_uid = |mut value: Value, more: Value| {
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::to_vec(&value).unwrap()
    };
    let deep = format!("{{\"apiVersion\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    for (body, uid, says) in [
        (Vec::new(), "", "the body is not JSON: "),
        (b"{".to_vec(), "", "the body is not JSON: "),
        (b"\xff\xfe".to_vec(), "", "the body is not JSON: "),
        (deep.into_bytes(), "", "the body is not JSON: recursion limit exceeded"),
        (b"null".to_vec(), "", "apiVersion is \"\""),
        (b"[]".to_vec(), "", "apiVersion is \"\""),
        (b"7".to_vec(), "", "apiVersion is \"\""),
        (
            with_uid(review(json!({})), json!({"apiVersion": "admission.k8s.io/v1beta1"})),
            UID,
            "apiVersion is \"admission.k8s.io/v1beta1\", not \"admission.k8s.io/v1\"",
        ),
        (with_uid(review(json!({})), json!({"apiVersion": 1})), UID, "apiVersion is \"\""),
        (with_uid(review(json!({})), json!({"request": null})), "", "request.uid is missing"),
        (with_uid(review(json!({})), json!({"request": {}})), "", "request.uid is missing"),
        (serde_json::to_vec(&review(json!({"uid": ""}))).unwrap(), "", "request.uid is missing"),
        (serde_json::to_vec(&review(json!({"uid": 7}))).unwrap(), "", "request.uid is missing"),
        (serde_json::to_vec(&review(json!({"operation": 7}))).unwrap(), UID, "request: invalid type"),
        (serde_json::to_vec(&review(json!({"resource": "podchaos"}))).unwrap(), UID, "request: invalid type"),
        (serde_json::to_vec(&review(json!({"kind": null}))).unwrap(), UID, "request: invalid type"),
    ] {
        let Admitted { answer, record, .. } = admit(&closed(), FailurePolicy::Fail, &body, false, at(0));
        assert_eq!((answer.uid.as_str(), answer.allowed, told(&answer).0, record), (uid, false, 400, None));
        assert!(told(&answer).1.starts_with(says), "{} does not start with {says}", told(&answer).1);
        assert_eq!(answer.status.unwrap().reason, "BadRequest");
    }
}

#[test]
fn absent_and_null_fields_are_empty() {
    let request =
        json!({"uid": UID, "operation": "CREATE", "resource": {"group": "chaos-mesh.org", "resource": "podchaos"}, "namespace": "shop"});
    let (answer, record) = ask(&closed(), FailurePolicy::Fail, &json!({"apiVersion": "admission.k8s.io/v1", "request": request}));
    assert!(!answer.allowed);
    let record = record.unwrap();
    assert_eq!((record.user.as_str(), record.object.as_str()), ("", "shop/(unnamed)"));
    let nulls =
        json!({"name": null, "subResource": null, "dryRun": null, "object": null, "oldObject": null, "userInfo": {"username": null}});
    assert!(!ask(&closed(), FailurePolicy::Fail, &review(nulls)).0.allowed);
}

#[test]
fn what_a_client_names_itself_reaches_no_log_or_terminal_as_it_is() {
    let nasty = "x\u{1b}[31m\n".repeat(100);
    let (answer, record) =
        ask(&closed(), FailurePolicy::Fail, &review(json!({"name": nasty, "userInfo": {"username": nasty}, "operation": "CREATE"})));
    let record = record.unwrap();
    for text in [&record.object, &record.user, &record.headline] {
        assert!(!text.chars().any(char::is_control));
    }
    assert!(record.user.chars().count() <= 128 && record.object.chars().count() <= 320);
    assert!(!told(&answer).1.chars().any(|c| c.is_control() && c != '\n'));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
        prop::sample::select(vec!["CREATE", "UPDATE", "DELETE", "shop", "podchaos", "chaos-mesh.org", "admission.k8s.io/v1", UID])
            .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        let words = vec![
            "uid",
            "kind",
            "resource",
            "group",
            "name",
            "namespace",
            "operation",
            "object",
            "oldObject",
            "metadata",
            "labels",
            "userInfo",
            "username",
            "dryRun",
            "subResource",
            "generateName",
            "deletionTimestamp",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(words), inner), 0..8)
                .prop_map(|pairs| pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_body_has_an_answer(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let Admitted { answer, record, .. } = admit(&closed(), FailurePolicy::Ignore, &body, false, at(0));
        prop_assert!(!answer.allowed && record.is_none());
    }

    #[test]
    fn any_review_has_an_answer_with_its_uid(
        fields in prop::collection::vec((prop::sample::select(vec!["kind", "resource", "name", "namespace", "operation", "object", "oldObject", "userInfo", "dryRun", "subResource", "requestKind"]), any_json()), 0..4),
        failing in any::<bool>(),
    ) {
        let more: Value = fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect();
        let rules = json!([{"apiGroups": ["chaos-mesh.org"], "resources": ["podchaos"], "operations": ["CREATE", "UPDATE"]}]);
        let matches = json!({"rules": rules, "start": "object.metadata.name == 'kill'", "matchConditions": [{"name": "c", "expression": "object.metadata.labels.x == 'y' || true"}]});
        let standing = if failing { Standing::Failing } else { Standing::Passing };
        let snapshot = snapshot(standing, vec![xgate("chaos", spec(&["a"], json!({"match": matches})))]);
        let review = review(more);
        let (answer, record) = ask(&snapshot, FailurePolicy::Fail, &review);
        prop_assert_eq!(answer.uid.as_str(), UID);
        prop_assert!(!told(&answer).1.contains("the operator itself failed"));
        prop_assert!(answer.allowed || record.is_some() || told(&answer).0 == 400);
        prop_assert!(serde_json::from_slice::<Value>(&answer.to_json()).is_ok());
    }

    #[test]
    fn any_json_is_answered(body in any_json()) {
        let (answer, record) = ask(&closed(), FailurePolicy::Fail, &json!({"apiVersion": "admission.k8s.io/v1", "request": body}));
        prop_assert!(answer.allowed || record.is_some() || matches!(told(&answer).0, 400));
    }
}

/// A gate that holds, and a check that was never evaluated.
fn holding() -> Snapshot {
    let snapshot = snapshot(Standing::Passing, vec![xgate("chaos", spec(&["a"], json!({"respond": {"unknown": "Hold"}})))]);
    let state = Arc::new(crate::core::gate::testing::unevaluated());
    snapshot.publish_checks(vec![crate::core::gate::CheckFact { state, ..fact("shop", "a", Standing::Passing) }], &[], true);
    snapshot
}

fn hold(more: Value, crowded: bool) -> Admitted {
    admit(&holding(), FailurePolicy::Fail, &serde_json::to_vec(&review(more)).unwrap(), crowded, at(0))
}

#[test]
fn what_is_held_is_asked_for_after_the_answer() {
    let Admitted { answer, record, wishes } = hold(json!({}), false);
    assert_eq!((told(&answer).0, record.unwrap().decision.answer), (429, Response::Hold));
    let [wish] = &wishes[..] else { panic!("{wishes:?}") };
    let checks: Vec<(&str, &str)> = wish.checks.iter().map(|c| (&*c.namespace, &*c.name)).collect();
    assert_eq!((wish.gate_uid.as_str(), checks, wish.asked_at, wish.deadline), ("uid-chaos", vec![("shop", "a")], at(0), at(25)));
    assert_eq!((wish.key.requester.as_str(), wish.key.gate.name.as_str()), ("jane", "chaos"));
    let asked = &wish.asked;
    assert_eq!(
        (asked.title.as_str(), asked.name.as_deref(), asked.namespace.as_deref()),
        ("PodChaos shop/kill", Some("kill"), Some("shop"))
    );
    assert_eq!(
        (&asked.object["metadata"]["name"], &asked.groups, asked.old_object.is_none()),
        (&json!("kill"), &vec!["sre".to_owned()], true)
    );
    assert!(!format!("{wish:?}").contains("metadata"), "objects are not shown");
    // The same object again, as the API server makes it anew, is the same wait.
    let object = json!({"apiVersion": "chaos-mesh.org/v1alpha1", "kind": "PodChaos", "metadata": {"name": "kill", "namespace": "shop", "uid": "other"}});
    assert_eq!(hold(json!({"object": object}), false).wishes[0].key, wish.key);
}

#[test]
fn nothing_is_asked_for_by_dry_runs_or_for_a_request_that_is_refused_anyway() {
    for (more, crowded, code) in [
        (json!({"dryRun": true}), false, 403),
        (json!({}), true, 403),
        (json!({"object": {"metadata": {"name": "kill"}, "x": "x".repeat(70_000)}}), false, 403),
    ] {
        let Admitted { answer, wishes, .. } = hold(more, crowded);
        assert_eq!((told(&answer).0, wishes.len()), (code, 0));
    }
    // An account of the system is refused, and what it needs is evaluated for its next try.
    let Admitted { answer, wishes, .. } = hold(json!({"userInfo": {"username": "system:serviceaccount:argo:argo"}}), false);
    assert_eq!((told(&answer).0, wishes.len()), (403, 1));
    let snapshot = holding();
    let gates = vec![xgate("chaos", spec(&["a"], json!({"respond": {"unknown": "Hold"}}))), xgate("strict", spec(&["gone"], json!({})))];
    snapshot.publish_gates(gates.into_iter().map(Arc::new).collect(), true);
    let Admitted { answer, wishes, .. } =
        admit(&snapshot, FailurePolicy::Fail, &serde_json::to_vec(&review(json!({}))).unwrap(), false, at(0));
    assert_eq!((told(&answer).0, wishes.len()), (403, 0));
    assert!(told(&answer).1.contains("blocked by ExperimentGate/strict and ExperimentGate/chaos: "), "{}", told(&answer).1);
}

#[test]
fn of_a_generated_name_each_try_is_the_same_request() {
    let generated =
        |name: &str| hold(json!({"name": "", "object": {"metadata": {"generateName": "kill-", "name": name, "namespace": "shop"}}}), false);
    let (one, two) = (generated("kill-x7k2p"), generated("kill-abcde"));
    assert_eq!(one.wishes[0].key, two.wishes[0].key);
    assert_eq!((one.wishes[0].asked.name.as_deref(), one.record.unwrap().object.as_str()), (None, "PodChaos shop/kill-*"));
}
