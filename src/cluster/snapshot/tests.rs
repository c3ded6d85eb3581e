//! What the admission path reads is whole, and new as soon as it is published.

use super::*;
use crate::core::gate::testing::{cxgate, fact, spec, xgate};
use crate::core::verdict::Standing;
use serde_json::json;

fn standing(snapshot: &Snapshot, name: &str) -> Option<Standing> {
    let now = crate::core::gate::testing::at(0);
    snapshot.checks().named("shop", name).map(|f| f.state.standing(now))
}

fn gone(name: &str) -> Vec<(Arc<str>, Arc<str>)> {
    vec![("shop".into(), name.into())]
}

#[test]
fn a_fact_is_replaced_in_place_and_seen_by_who_holds_the_index() {
    let snapshot = Snapshot::default();
    assert!(!snapshot.checks().complete());
    snapshot.publish_checks(vec![fact("shop", "a", Standing::Passing)], &[], true);
    let held = snapshot.checks();
    snapshot.publish_checks(vec![fact("shop", "a", Standing::Failing)], &[], true);
    assert!(Arc::ptr_eq(&held.index, &snapshot.checks().index), "the index was copied for a verdict");
    assert_eq!(standing(&snapshot, "a"), Some(Standing::Failing));
    assert!(held.complete());
}

#[test]
fn checks_come_and_go() {
    let snapshot = Snapshot::default();
    snapshot.publish_checks(vec![fact("shop", "a", Standing::Passing), fact("other", "a", Standing::Failing)], &[], false);
    assert!(!snapshot.checks().complete());
    snapshot.publish_checks(Vec::new(), &[], true);
    assert!(snapshot.checks().complete());
    snapshot.publish_checks(vec![fact("shop", "b", Standing::Passing)], &gone("a"), true);
    assert_eq!((standing(&snapshot, "a"), standing(&snapshot, "b")), (None, Some(Standing::Passing)));
    snapshot.publish_checks(Vec::new(), &gone("b"), true);
    assert!(!snapshot.checks().index.by_namespace.contains_key("shop"));
    assert!(snapshot.checks().named("other", "a").is_some());
    // Of several facts of one check, the last counts.
    let twice = vec![fact("shop", "c", Standing::Unknown), fact("shop", "c", Standing::Passing)];
    snapshot.publish_checks(twice, &gone("never-there"), true);
    assert_eq!(standing(&snapshot, "c"), Some(Standing::Passing));
}

#[test]
fn checks_are_selected_by_their_labels() {
    let snapshot = Snapshot::default();
    let labelled = |name: &str, tier: &str| CheckFact {
        labels: Arc::new([("tier".to_owned(), tier.to_owned())].into()),
        ..fact("shop", name, Standing::Passing)
    };
    snapshot.publish_checks(vec![labelled("a", "infra"), labelled("b", "app"), labelled("c", "infra")], &[], true);
    let mut problems = Vec::new();
    let selector = serde_json::from_value(json!({"matchLabels": {"tier": "infra"}})).unwrap();
    let selector = Selector::parse(&selector, "x", &mut problems).unwrap();
    let names = |namespace: &str| snapshot.checks().selected(namespace, &selector).iter().map(|f| f.name.to_string()).collect::<Vec<_>>();
    assert_eq!((names("shop"), names("other")), (vec!["a".to_owned(), "c".to_owned()], Vec::new()));
}

#[test]
fn a_gate_is_found_once_by_each_of_its_resources() {
    let rules = json!([
        {"apiGroups": ["a.example"], "resources": ["x", "y"], "operations": ["CREATE", "UPDATE"]},
        {"apiGroups": ["b.example", "a.example"], "resources": ["x"], "operations": ["CREATE"]},
    ]);
    let gate = Arc::new(xgate("g", spec(&["a"], json!({"match": {"rules": rules, "start": "true"}}))));
    let snapshot = Snapshot::default();
    assert!(!snapshot.gates().complete);
    snapshot.publish_gates(vec![gate], true);
    let of = |group: &str, resource: &str| {
        let resource = Resource { group: group.into(), resource: resource.into() };
        snapshot.gates().of(&resource, Some("shop")).count()
    };
    assert_eq!([of("a.example", "x"), of("a.example", "y"), of("b.example", "x"), of("b.example", "y"), of("", "x")], [1, 1, 1, 0, 0]);
    snapshot.publish_gates(Vec::new(), true);
    assert_eq!((of("a.example", "x"), snapshot.gates().complete), (0, true));
}

#[test]
fn a_request_is_shown_to_the_gates_of_its_namespace_and_of_the_cluster() {
    let rules = json!({"match": {"rules": [{"apiGroups": ["a.example"], "resources": ["x"], "operations": ["CREATE"]}]}});
    let snapshot = Snapshot::default();
    let gates = vec![Arc::new(xgate("own", spec(&["a"], rules.clone()))), Arc::new(cxgate("wide", spec(&["a"], rules)))];
    snapshot.publish_gates(gates, true);
    let index = snapshot.gates();
    let resource = Resource { group: "a.example".into(), resource: "x".into() };
    let names = |namespace: Option<&str>| index.of(&resource, namespace).map(|gate| gate.key.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(Some("shop")), ["own", "wide"]);
    assert_eq!(names(Some("elsewhere")), ["wide"]);
    assert_eq!(names(None), ["wide"], "an object without a namespace");
}

#[test]
fn namespaces_are_known_once_they_were_read() {
    let snapshot = Snapshot::default();
    assert!(!snapshot.namespaces_complete());
    snapshot.clone().publish_namespaces(Arc::new(HashMap::from([("shop".to_owned(), Labels::new())])));
    assert!(snapshot.namespaces_complete() && snapshot.namespaces().contains_key("shop"));
}

#[test]
fn metrics_show_one_verdict_of_each_check() {
    let (snapshot, metrics) = (Snapshot::default(), crate::telemetry::metrics::Metrics::default());
    metrics.verdicts_are_told_by(Arc::new(snapshot.clone()));
    let verdicts = || metrics.text().lines().filter(|l| l.contains("check_verdict{")).map(str::to_owned).collect::<Vec<_>>();
    snapshot.publish_checks(vec![fact("shop", "a", Standing::Passing)], &[], true);
    assert_eq!(verdicts(), [r#"holdpoint_check_verdict{namespace="shop",name="a",verdict="Passing"} 1"#]);
    snapshot.publish_checks(vec![fact("shop", "a", Standing::Failing)], &[], true);
    assert_eq!(verdicts(), [r#"holdpoint_check_verdict{namespace="shop",name="a",verdict="Failing"} 1"#]);
    snapshot.publish_checks(Vec::new(), &gone("a"), true);
    assert_eq!(verdicts(), Vec::<String>::new());
}
