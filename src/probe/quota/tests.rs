#![allow(clippy::needless_pass_by_value, reason = "`json!(...)` reads best as an argument")]

use super::super::objects::testing::{NOW, Watched, any_json, object};
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn parse(spec: Value) -> Result<Quota, Vec<String>> {
    let mut problems = Vec::new();
    let parsed = Quota::parse(&serde_json::from_value(spec).unwrap(), "spec.probe.quota", &mut problems);
    parsed.ok_or_else(|| problems.iter().map(Problem::to_string).collect())
}

fn observe(spec: Value, quotas: Option<&[Value]>) -> Vec<Observation> {
    let objects = Watched(quotas.map(|quotas| quotas.iter().cloned().map(object).collect()));
    let look = Look { targets: &[], namespace: "shop", objects: &objects, members: &[], now: NOW.parse().unwrap() };
    LiveProbe::observe(&parse(spec).unwrap(), &look)
}

fn quota(name: &str, hard: Value, used: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"hard": hard}, "status": {"hard": hard, "used": used},
    })
}

fn needs(name: &str, free: &str) -> Value {
    json!({"resources": [{"name": name, "free": free}]})
}

fn summary(seen: &[Observation]) -> Vec<(&str, Outcome, &str, &str)> {
    seen.iter().map(|seen| (seen.target.as_str(), seen.outcome, seen.reason, seen.message.as_str())).collect()
}

#[test]
fn every_quota_that_limits_a_resource_must_leave_room() {
    let quotas = [
        quota("compute", json!({"requests.cpu": "10", "requests.memory": "32Gi"}), json!({"requests.cpu": "9", "requests.memory": "2Gi"})),
        quota("objects", json!({"pods": "50"}), json!({"pods": "1"})),
        quota("team", json!({"requests.cpu": "100"}), json!({"requests.cpu": "20"})),
    ];
    let seen = observe(needs("requests.cpu", "4"), Some(&quotas));
    assert_eq!(
        summary(&seen),
        [
            ("ResourceQuota/compute", Outcome::Fail, NOT_ENOUGH_ROOM, "requests.cpu: 1 of 10 free, 4 needed"),
            ("ResourceQuota/team", Outcome::Pass, ENOUGH_ROOM, "requests.cpu: 80 of 100 free"),
        ]
    );
    assert_eq!((seen[0].value.as_deref(), seen[0].required.as_deref()), (Some("requests.cpu 1"), Some("requests.cpu 4")));
    let spec = json!({"name": "team", "resources": [{"name": "requests.cpu", "free": "80%"}, {"name": "pods", "free": 1}]});
    assert_eq!(
        summary(&observe(spec, Some(&quotas))),
        [("ResourceQuota/team", Outcome::Pass, ENOUGH_ROOM, "requests.cpu: 80 of 100 free")]
    );
}

#[test]
fn requests_have_two_names() {
    for (asked, limited) in [
        ("cpu", "requests.cpu"),
        ("requests.cpu", "cpu"),
        ("requests.memory", "memory"),
        ("ephemeral-storage", "requests.ephemeral-storage"),
    ] {
        let seen = observe(needs(asked, "4"), Some(&[quota("q", json!({limited: "10"}), json!({limited: "7"}))]));
        assert_eq!(summary(&seen), [("ResourceQuota/q", Outcome::Fail, NOT_ENOUGH_ROOM, &*format!("{limited}: 3 of 10 free, 4 needed"))]);
    }
    let both = quota("q", json!({"cpu": "10", "requests.cpu": "20"}), json!({"cpu": "10", "requests.cpu": "10"}));
    assert_eq!(observe(needs("cpu", "1"), Some(&[both]))[0].message, "cpu: 0 of 10 free, 1 needed");
    let limits = quota("q", json!({"limits.cpu": "1"}), json!({"limits.cpu": "1"}));
    assert_eq!(observe(needs("cpu", "1"), Some(&[limits]))[0].reason, UNLIMITED);
}

#[test]
fn what_no_quota_limits_is_unlimited() {
    let passes = |spec: Value, quotas: &[Value], message: &str| {
        assert_eq!(summary(&observe(spec, Some(quotas))), [("Namespace/shop", Outcome::Pass, UNLIMITED, message)]);
    };
    let pods = quota("objects", json!({"pods": "5"}), json!({"pods": "5"}));
    passes(needs("requests.cpu", "4"), &[], "no ResourceQuota limits requests.cpu");
    passes(needs("requests.cpu", "4"), std::slice::from_ref(&pods), "no ResourceQuota limits requests.cpu");
    let mut named = needs("requests.cpu", "4");
    named["name"] = json!("objects");
    passes(named.clone(), &[pods], "ResourceQuota objects does not limit requests.cpu");
    let seen = observe(named, Some(&[]));
    assert_eq!(
        summary(&seen),
        [("ResourceQuota/objects", Outcome::Error, NOT_FOUND, "there is no ResourceQuota objects in namespace shop")],
        "a quota that is named must be there"
    );
}

#[test]
fn a_status_that_is_not_of_the_limits_says_nothing() {
    let full = || quota("q", json!({"pods": "10"}), json!({"pods": "1"}));
    let with = |path: &str, value: Value| {
        let mut quota = full();
        *quota.pointer_mut(path).unwrap() = value;
        quota
    };
    for (quota, says) in [
        (with("/status", Value::Null), "does not tell of the limit of pods yet"),
        (with("/status", json!({})), "does not tell"),
        (with("/status/used", json!({})), "does not tell"),
        (with("/status/hard", json!({"cpu": "1"})), "does not tell"),
        (with("/status/hard", json!({"pods": "20"})), "its status is of another limit of pods: 20, not 10"),
        (with("/status/used", json!({"pods": "-1"})), "its status.used pods is less than nothing"),
        (with("/status/used", json!({"pods": "1.5Kb"})), "its status.used pods: \"1.5Kb\" is not a quantity"),
        (with("/status/used", json!({"pods": 3})), "its status cannot be read"),
        (with("/spec/hard", json!({"pods": "1e300"})), "its spec.hard pods: \"1e300\" is too large"),
        (with("/spec/hard", json!(["pods"])), "its spec cannot be read"),
    ] {
        let seen = observe(needs("pods", "1"), Some(std::slice::from_ref(&quota)));
        assert_eq!((seen[0].target.as_str(), seen[0].outcome, seen[0].reason), ("ResourceQuota/q", Outcome::Error, NO_DATA), "{quota}");
        assert!(seen[0].message.contains(says), "{}", seen[0].message);
    }
    // The same amount, otherwise written.
    assert_eq!(observe(needs("pods", "1"), Some(&[with("/status/hard", json!({"pods": "10000m"}))]))[0].outcome, Outcome::Pass);
}

#[test]
fn more_used_than_allowed_is_shown() {
    let seen = observe(
        needs("requests.memory", "1Gi"),
        Some(&[quota("q", json!({"requests.memory": "8Gi"}), json!({"requests.memory": "10Gi"}))]),
    );
    assert_eq!(seen[0].message, "requests.memory: 0 of 8Gi free, 2Gi more taken than there is, 1Gi needed");
}

#[test]
fn quotas_with_scopes_count_unless_they_are_ignored() {
    let scoped = |member: &str, value: Value| {
        let mut quota = quota("q", json!({"pods": "1"}), json!({"pods": "1"}));
        quota["spec"][member] = value;
        quota
    };
    let selector = json!({"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]});
    for (quota, when_ignored) in [
        (scoped("scopes", json!(["BestEffort"])), Outcome::Pass),
        (scoped("scopeSelector", selector), Outcome::Pass),
        (scoped("scopes", json!([])), Outcome::Fail),
        (scoped("scopeSelector", Value::Null), Outcome::Fail),
    ] {
        let mut spec = needs("pods", "1");
        assert_eq!(observe(spec.clone(), Some(std::slice::from_ref(&quota)))[0].outcome, Outcome::Fail, "{quota}");
        spec["scoped"] = json!("Ignored");
        assert_eq!(observe(spec, Some(std::slice::from_ref(&quota)))[0].outcome, when_ignored, "{quota}");
    }
}

#[test]
fn quotas_that_are_not_watched_yet_are_an_error() {
    let mut named = needs("pods", "1");
    named["name"] = json!("q");
    for spec in [needs("pods", "1"), named] {
        let seen = observe(spec, None);
        assert_eq!((seen[0].target.as_str(), seen[0].outcome, seen[0].reason), ("Namespace/shop", Outcome::Error, NOT_SYNCED));
    }
}

#[test]
fn what_cannot_work_is_named() {
    let resources = json!({"resources": [{"name": "cpu", "free": 1}, {"name": "requests.cpu", "free": 1}, {"name": "", "free": "0%"}]});
    assert_eq!(
        parse(resources).unwrap_err(),
        [
            "spec.probe.quota.resources[1].name: \"requests.cpu\" is there twice",
            "spec.probe.quota.resources[2].name: name a resource, such as requests.cpu",
            "spec.probe.quota.resources[2].free: \"0%\" must be a percentage from \"1%\" to \"100%\"",
        ]
    );
    assert_eq!(parse(json!({"resources": []})).unwrap_err(), ["spec.probe.quota.resources: name 1 to 16 resources"]);
}

const WORDS: &[&str] =
    &["spec", "status", "hard", "used", "pods", "cpu", "1", "1.5Ki", "1e300", "-1", "scopes", "scopeSelector", "NotTerminating"];

proptest! {
    #[test]
    fn nothing_in_a_quota_panics(spec in any_json(WORDS), status in any_json(WORDS), hard in any_json(WORDS), scoped in prop_oneof![Just("Counted"), Just("Ignored")]) {
        let quotas = [
            json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "a", "namespace": "shop"}, "spec": spec, "status": status.clone()}),
            json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "b", "namespace": "shop"}, "spec": {"hard": {"pods": hard}}, "status": status}),
        ];
        let seen = observe(json!({"scoped": scoped, "resources": [{"name": "pods", "free": 1}, {"name": "cpu", "free": "10%"}]}), Some(&quotas));
        prop_assert!(!seen.is_empty() && seen.iter().all(|seen| seen.reason != crate::core::observation::PANIC));
    }
}
