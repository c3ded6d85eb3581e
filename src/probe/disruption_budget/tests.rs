#![allow(clippy::needless_pass_by_value, reason = "`json!(...)` reads best as an argument")]

use super::super::objects::testing::{NOW, Watched, any_json, object};
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn parse(spec: Value) -> Result<DisruptionBudget, Vec<String>> {
    let mut problems = Vec::new();
    let parsed = DisruptionBudget::parse(&serde_json::from_value(spec).unwrap(), "spec.probe.disruptionBudget", &mut problems);
    parsed.ok_or_else(|| problems.iter().map(Problem::to_string).collect())
}

fn observe(spec: Value, target: Value, budgets: Option<&[Value]>) -> Observation {
    let objects = Watched(budgets.map(|budgets| budgets.iter().cloned().map(object).collect()));
    let target = object(target);
    let look = Look { targets: &[&target], namespace: "shop", objects: &objects, members: &[], now: NOW.parse().unwrap() };
    LiveProbe::observe(&parse(spec).unwrap(), &look).remove(0)
}

fn deployment(labels: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": labels}}},
    })
}

fn web() -> Value {
    deployment(json!({"app": "web", "tier": "front"}))
}

fn budget(name: &str, selector: Value, allowed: i64) -> Value {
    let status = json!({"observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 2 + allowed, "desiredHealthy": 2, "expectedPods": 3});
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name, "namespace": "shop", "generation": 1},
        "spec": {"selector": selector}, "status": status,
    })
}

fn of_web(allowed: i64) -> Value {
    budget("web", json!({"matchLabels": {"app": "web"}}), allowed)
}

#[test]
fn the_budget_must_allow_enough() {
    for (spec, allowed, outcome, reason, message) in [
        (json!({}), 1, Outcome::Pass, DISRUPTIONS_ALLOWED, "PodDisruptionBudget web allows 1 disruption (3 of 3 pods healthy, 2 must be)"),
        (
            json!({}),
            0,
            Outcome::Fail,
            TOO_FEW_ALLOWED,
            "PodDisruptionBudget web allows 0 disruptions (2 of 3 pods healthy, 2 must be), 1 needed",
        ),
        (
            json!({"minAllowed": 2}),
            1,
            Outcome::Fail,
            TOO_FEW_ALLOWED,
            "PodDisruptionBudget web allows 1 disruption (3 of 3 pods healthy, 2 must be), 2 needed",
        ),
        (
            json!({"minAllowed": 0}),
            0,
            Outcome::Pass,
            DISRUPTIONS_ALLOWED,
            "PodDisruptionBudget web allows 0 disruptions (2 of 3 pods healthy, 2 must be)",
        ),
    ] {
        let seen = observe(spec, web(), Some(&[of_web(allowed)]));
        assert_eq!((seen.target.as_str(), seen.outcome, seen.reason, seen.message.as_str()), ("Deployment/web", outcome, reason, message));
        assert_eq!(seen.value, Some(format!("{allowed} allowed")));
    }
}

#[test]
fn a_budget_covers_what_its_selector_matches() {
    let elsewhere = {
        let mut budget = of_web(5);
        budget["metadata"]["namespace"] = json!("other");
        budget
    };
    for (budget, covers) in [
        (of_web(5), true),
        (budget("all", json!({}), 5), true),
        (budget("none", Value::Null, 5), false),
        (budget("other", json!({"matchLabels": {"app": "api"}}), 5), false),
        (budget("tier", json!({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["front", "back"]}]}), 5), true),
        (budget("absent", json!({"matchExpressions": [{"key": "canary", "operator": "DoesNotExist"}]}), 5), true),
        (elsewhere, false),
    ] {
        let seen = observe(json!({}), web(), Some(std::slice::from_ref(&budget)));
        assert_eq!(seen.reason, if covers { DISRUPTIONS_ALLOWED } else { NO_BUDGET }, "{budget}");
    }
}

#[test]
fn the_labels_are_those_of_the_pods() {
    let meta = json!({"name": "web", "namespace": "shop", "labels": {"app": "not-the-pods"}});
    let of = |api_version: &str, kind: &str, spec: Value| json!({"apiVersion": api_version, "kind": kind, "metadata": meta, "spec": spec});
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {}});
    let mut pod = of("v1", "Pod", json!({}));
    pod["metadata"]["labels"] = json!({"app": "web"});
    for target in [
        pod,
        of("apps/v1", "StatefulSet", json!({"template": template})),
        of("apps/v1", "DaemonSet", json!({"template": template, "selector": {"matchLabels": {"app": "other"}}})),
        of("batch/v1", "CronJob", json!({"jobTemplate": {"spec": {"template": template}}})),
        of("kubevirt.io/v1", "VirtualMachine", json!({"template": template})),
        of("example.com/v1", "Thing", json!({"selector": {"matchLabels": {"app": "web"}}})),
    ] {
        assert_eq!(observe(json!({}), target.clone(), Some(&[of_web(1)])).reason, DISRUPTIONS_ALLOWED, "{target}");
    }
    let unlabelled = of("apps/v1", "Deployment", json!({"template": {"spec": {}}}));
    assert_eq!(observe(json!({}), unlabelled.clone(), Some(&[of_web(1)])).reason, NO_BUDGET);
    assert_eq!(observe(json!({}), unlabelled, Some(&[budget("all", json!({}), 1)])).reason, DISRUPTIONS_ALLOWED);
    for odd in [
        of("v1", "ConfigMap", json!({})),
        of("v1", "Service", json!({"selector": {"app": "web"}})),
        of("apps/v1", "Deployment", json!({"template": {"metadata": {"labels": {"app": 7}}}})),
    ] {
        assert_eq!(observe(json!({}), odd.clone(), Some(&[of_web(1)])).reason, NO_DATA, "{odd}");
    }
}

#[test]
fn what_no_budget_covers_fails_with_the_command_that_adds_one() {
    let seen = observe(json!({}), web(), Some(&[]));
    assert_eq!((seen.outcome, seen.reason), (Outcome::Fail, NO_BUDGET));
    let advice = "no PodDisruptionBudget covers its pods; add one: kubectl -n shop create pdb web --selector=app=web --max-unavailable=1";
    assert_eq!(seen.message, advice);
    let seen = observe(json!({"uncovered": "Allowed"}), web(), Some(&[]));
    assert_eq!(
        (seen.outcome, seen.reason, seen.message.as_str()),
        (Outcome::Pass, NOT_COVERED, "no PodDisruptionBudget limits its disruptions")
    );
    let mut hostile = web();
    hostile["spec"]["selector"]["matchLabels"] = json!({"app": "$(reboot)"});
    assert_eq!(
        observe(json!({}), hostile, Some(&[])).message,
        "no PodDisruptionBudget covers its pods",
        "nothing to paste that a shell would read"
    );
}

#[test]
fn several_budgets_stop_every_eviction() {
    let seen = observe(json!({"minAllowed": 0}), web(), Some(&[of_web(5), budget("all", json!({}), 5)]));
    assert_eq!((seen.outcome, seen.reason), (Outcome::Fail, SEVERAL_BUDGETS));
    assert_eq!(seen.message, "2 PodDisruptionBudgets cover its pods, so none can be evicted; keep one of: web, all");
}

#[test]
fn a_status_that_is_not_of_the_spec_says_nothing() {
    let with = |path: &str, value: Value| {
        let mut budget = of_web(5);
        *budget.pointer_mut(path).unwrap() = value;
        budget
    };
    for (budget, says) in [
        (with("/status", Value::Null), "has no status yet"),
        (with("/status", json!({})), "its status cannot be read"),
        (with("/status/disruptionsAllowed", json!("1")), "its status cannot be read"),
        (with("/status/disruptionsAllowed", json!(-1)), "less than nothing"),
        (with("/status/disruptionsAllowed", json!(1e300)), "its status cannot be read"),
        (with("/status/observedGeneration", Value::Null), "generation 1 is not yet observed"),
        (with("/metadata/generation", json!(2)), "generation 2 is not yet observed"),
        (with("/spec/selector", json!({"matchExpressions": [{"key": "a", "operator": "Like", "values": ["b"]}]})), "is not an operator"),
        (with("/spec/selector", json!("all")), "its spec cannot be read"),
    ] {
        let seen = observe(json!({}), web(), Some(std::slice::from_ref(&budget)));
        assert_eq!((seen.outcome, seen.reason), (Outcome::Error, NO_DATA), "{}", seen.message);
        assert!(seen.message.starts_with("PodDisruptionBudget/web: ") && seen.message.contains(says), "{}", seen.message);
    }
}

#[test]
fn budgets_that_are_not_watched_yet_are_an_error() {
    let seen = observe(json!({}), web(), None);
    assert_eq!((seen.outcome, seen.reason), (Outcome::Error, NOT_SYNCED));
}

#[test]
fn what_cannot_work_is_named() {
    for min in [-1, 10_001] {
        assert_eq!(parse(json!({"minAllowed": min})).unwrap_err(), ["spec.probe.disruptionBudget.minAllowed: must be from 0 to 10000"]);
    }
}

const WORDS: &[&str] = &[
    "spec",
    "status",
    "selector",
    "matchLabels",
    "matchExpressions",
    "key",
    "operator",
    "In",
    "values",
    "app",
    "web",
    "template",
    "metadata",
    "labels",
    "jobTemplate",
    "observedGeneration",
    "disruptionsAllowed",
    "expectedPods",
];

proptest! {
    #[test]
    fn nothing_in_the_objects_panics(target in any_json(WORDS), selector in any_json(WORDS), status in any_json(WORDS)) {
        let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}, "spec": target});
        let odd = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "odd", "namespace": "shop"}, "spec": {"selector": selector}, "status": status});
        for target in [target, web()] {
            let seen = observe(json!({}), target, Some(std::slice::from_ref(&odd)));
            prop_assert!(seen.reason != crate::core::observation::PANIC);
        }
    }
}
