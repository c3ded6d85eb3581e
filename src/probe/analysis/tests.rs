//! What other tools' verdicts mean.

use super::super::objects::testing::{NOW, Watched, any_json, object};
use super::*;
use crate::core::observation::PANIC;
use proptest::prelude::*;
use serde_json::json;

fn parse(spec: Value) -> Result<Analysis, Vec<Problem>> {
    let mut problems = Vec::new();
    let analysis = Analysis::parse(&serde_json::from_value(spec).unwrap(), "spec.probe.analysis", &mut problems);
    assert_eq!(analysis.is_none(), !problems.is_empty());
    analysis.ok_or(problems)
}

fn observe(spec: Value, targets: &[DynamicObject]) -> Vec<Observation> {
    let targets: Vec<_> = targets.iter().collect();
    let look = Look { targets: &targets, namespace: "shop", objects: &Watched(None), members: &[], now: NOW.parse().unwrap() };
    parse(spec).unwrap().observe(&look)
}

fn run(status: Value) -> DynamicObject {
    named("run", "2026-09-01T11:00:00Z", status)
}

fn named(name: &str, created: &str, status: Value) -> DynamicObject {
    let metadata = json!({"name": name, "creationTimestamp": created, "generation": 2, "annotations": {"verdict": "good"}});
    let mut run = object(json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisRun", "metadata": metadata}));
    run.data["status"] = status;
    run
}

fn said(spec: Value, target: DynamicObject) -> (Outcome, &'static str, String) {
    let seen = observe(spec, &[target]).remove(0);
    (seen.outcome, seen.reason, seen.message)
}

#[test]
fn the_presets_know_what_their_tools_say() {
    use Outcome::{Error, Fail, Pass};
    let condition = |type_: &str, status: &str| json!({"conditions": [{"type": "Other", "status": "True"}, {"type": type_, "status": status, "message": "why"}]});
    let testkube = |status: &str| json!({"latestExecution": {"result": {"status": status}}});
    for (preset, status, outcome, reason, message) in [
        ("ArgoAnalysisRun", json!({"phase": "Successful"}), Pass, ANALYSIS_PASSED, "status.phase is Successful"),
        (
            "ArgoAnalysisRun",
            json!({"phase": "Failed", "message": "Metric \"p99\" assessed Failed due to failed (2) > failureLimit (1)"}),
            Fail,
            ANALYSIS_FAILED,
            "status.phase is Failed: Metric \"p99\" assessed Failed due to failed (2) > failureLimit (1)",
        ),
        ("ArgoAnalysisRun", json!({"phase": "Error", "message": "x"}), Error, ANALYSIS_ERROR, "status.phase is Error: x"),
        ("ArgoAnalysisRun", json!({"phase": "Inconclusive"}), Error, ANALYSIS_ERROR, "status.phase is Inconclusive"),
        ("ArgoAnalysisRun", json!({"phase": "Running"}), Error, NO_DATA, "status.phase is Running"),
        ("ArgoAnalysisRun", json!({}), Error, NO_DATA, "it has no value at $.status.phase"),
        ("ArgoAnalysisRun", Value::Null, Error, NO_DATA, "it has no value at $.status.phase"),
        ("ArgoAnalysisRun", json!({"phase": "Sideways"}), Error, ANALYSIS_ERROR, "status.phase is Sideways"),
        (
            "KueueWorkload",
            condition("Admitted", "True"),
            Pass,
            ANALYSIS_PASSED,
            "status.conditions[?@.type == 'Admitted'].status is True: why",
        ),
        (
            "KueueWorkload",
            condition("Admitted", "False"),
            Fail,
            ANALYSIS_FAILED,
            "status.conditions[?@.type == 'Admitted'].status is False: why",
        ),
        (
            "KueueWorkload",
            condition("QuotaReserved", "False"),
            Error,
            NO_DATA,
            "it has no value at $.status.conditions[?@.type == 'Admitted'].status",
        ),
        (
            "KueueAdmissionCheck",
            condition("Active", "True"),
            Pass,
            ANALYSIS_PASSED,
            "status.conditions[?@.type == 'Active'].status is True: why",
        ),
        (
            "LitmusChaosResult",
            json!({"experimentStatus": {"verdict": "Pass"}}),
            Pass,
            ANALYSIS_PASSED,
            "status.experimentStatus.verdict is Pass",
        ),
        (
            "LitmusChaosResult",
            json!({"experimentStatus": {"verdict": "Fail"}}),
            Fail,
            ANALYSIS_FAILED,
            "status.experimentStatus.verdict is Fail",
        ),
        (
            "LitmusChaosResult",
            json!({"experimentStatus": {"verdict": "Stopped"}}),
            Error,
            ANALYSIS_ERROR,
            "status.experimentStatus.verdict is Stopped",
        ),
        (
            "LitmusChaosResult",
            json!({"experimentStatus": {"verdict": "Awaited"}}),
            Error,
            NO_DATA,
            "status.experimentStatus.verdict is Awaited",
        ),
        ("TestkubeWorkflowExecution", testkube("passed"), Pass, ANALYSIS_PASSED, "status.latestExecution.result.status is passed"),
        ("TestkubeWorkflowExecution", testkube("failed"), Fail, ANALYSIS_FAILED, "status.latestExecution.result.status is failed"),
        ("TestkubeWorkflowExecution", testkube("paused"), Error, NO_DATA, "status.latestExecution.result.status is paused"),
    ] {
        assert_eq!(said(json!({"preset": preset}), run(status.clone())), (outcome, reason, message.to_owned()), "{preset} {status}");
    }
}

#[test]
fn a_preset_has_targets_of_its_kind_and_its_table_can_be_changed() {
    let argo = parse(json!({"preset": "ArgoAnalysisRun", "outcomes": {"Inconclusive": "Warn"}})).unwrap();
    assert!(matches!(argo.targets(), TargetRule::OneOf([("argoproj.io/v1alpha1", "AnalysisRun")], _)));
    assert_eq!(parse(json!({"path": "$.status.phase", "outcomes": {"a": "Pass"}})).unwrap().targets(), TargetRule::Any);
    let spec = json!({"preset": "ArgoAnalysisRun", "outcomes": {"Inconclusive": "Warn"}});
    let seen = observe(spec, &[run(json!({"phase": "Inconclusive"}))]).remove(0);
    assert_eq!((seen.outcome, seen.reason), (Outcome::Warn, ANALYSIS_WARNED));
    assert_eq!((seen.value.as_deref(), seen.required.as_deref()), (Some("Inconclusive"), Some("Inconclusive or Successful")));
}

#[test]
fn any_field_of_any_kind_may_hold_the_verdict() {
    let outcomes = json!({"good": "Pass", "true": "Pass", "3": "Pass", "bad": "Fail"});
    for (path, expected) in [
        ("$.status.words", (Outcome::Pass, ANALYSIS_PASSED, "status.words is good")),
        ("$.status.flag", (Outcome::Pass, ANALYSIS_PASSED, "status.flag is true")),
        ("$.status.count", (Outcome::Pass, ANALYSIS_PASSED, "status.count is 3")),
        ("$.status.other", (Outcome::Error, ANALYSIS_ERROR, "status.other is else")),
        ("$.status.null", (Outcome::Error, NO_DATA, "it has no value at $.status.null")),
        ("$.status.list", (Outcome::Error, ANALYSIS_ERROR, "what is at $.status.list is no single value")),
        ("$.status", (Outcome::Error, ANALYSIS_ERROR, "what is at $.status is no single value")),
        ("$.status.list[?@.name == 'a'].verdict", (Outcome::Fail, ANALYSIS_FAILED, "status.list[?@.name == 'a'].verdict is bad")),
        ("$.status.list[?@.name].verdict", (Outcome::Error, ANALYSIS_ERROR, "it has several values at $.status.list[?@.name].verdict")),
        ("$.metadata.annotations['verdict']", (Outcome::Pass, ANALYSIS_PASSED, "metadata.annotations['verdict'] is good")),
        ("$['metadata']['annotations']['verdict']", (Outcome::Pass, ANALYSIS_PASSED, "$['metadata']['annotations']['verdict'] is good")),
    ] {
        let status = json!({
            "words": "good", "flag": true, "count": 3, "other": "else", "null": null,
            "list": [{"name": "a", "verdict": "bad"}, {"name": "b", "verdict": "good"}],
        });
        let (outcome, reason, message) = said(json!({"path": path, "outcomes": outcomes}), run(status));
        assert_eq!((outcome, reason, message.as_str()), expected, "{path}");
    }
    let otherwise = json!({"path": "$.status.other", "outcomes": {"bad": "Fail"}, "otherwise": "Pass"});
    let seen = observe(otherwise, &[run(json!({"other": "x"}))]).remove(0);
    assert_eq!((seen.outcome, seen.required.as_deref()), (Outcome::Pass, Some("any other value")));
}

#[test]
fn a_verdict_of_an_older_generation_is_no_data() {
    let of = |seen: i64| said(json!({"preset": "ArgoAnalysisRun"}), run(json!({"phase": "Successful", "observedGeneration": seen})));
    assert_eq!(of(2).0, Outcome::Pass);
    assert_eq!(
        of(1),
        (Outcome::Error, NO_DATA, "its status is of generation 1, generation 2 is not yet observed by its controller".to_owned())
    );
}

#[test]
fn the_latest_run_is_the_one_that_counts() {
    let runs = [
        named("b", "2026-09-01T11:00:00Z", json!({"phase": "Failed"})),
        named("c", "2026-09-01T11:00:00Z", json!({"phase": "Successful"})),
        named("a", "2026-09-01T10:00:00Z", json!({"phase": "Failed"})),
    ];
    let all = observe(json!({"preset": "ArgoAnalysisRun"}), &runs);
    assert_eq!(all.len(), 3);
    let latest = observe(json!({"preset": "ArgoAnalysisRun", "which": "Latest"}), &runs);
    assert_eq!(latest.len(), 1);
    assert_eq!((latest[0].target.as_str(), latest[0].outcome), ("AnalysisRun/c", Outcome::Pass));
    assert_eq!(observe(json!({"preset": "ArgoAnalysisRun", "which": "Latest"}), &[]), []);
}

#[test]
fn neither_secrets_nor_long_values_reach_a_message() {
    let spec = json!({"path": "$.data.password", "outcomes": {"x": "Pass"}});
    let secret = object(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": {"password": "hunter2"}}));
    assert_eq!(said(spec, secret), (Outcome::Error, ANALYSIS_ERROR, "Secrets are not read: use the probe keys".to_owned()));
    let words = "w\n".repeat(10_000);
    let (_, _, message) = said(json!({"preset": "ArgoAnalysisRun"}), run(json!({"phase": "p".repeat(10_000), "message": words})));
    assert!(message.chars().count() <= 256 && !message.contains('\n'), "{message}");
}

#[test]
fn a_search_through_a_huge_object_is_refused() {
    let list: Vec<_> = (0..30_000).map(|n| json!({"n": n})).collect();
    let target = run(json!({"list": list, "phase": "good"}));
    let watch = crate::clock::instant();
    let (outcome, reason, message) = said(json!({"path": "$.status.list[?@.n == 7].n", "outcomes": {"7": "Pass"}}), target.clone());
    assert_eq!((outcome, reason), (Outcome::Error, ANALYSIS_ERROR));
    assert!(message.starts_with("it has more than 20000 values"), "{message}");
    assert_eq!(said(json!({"path": "$.metadata.name", "outcomes": {"run": "Pass"}}), target.clone()).0, Outcome::Error);
    assert_eq!(
        said(json!({"path": "$.status.phase", "outcomes": {"good": "Pass"}}), target).0,
        Outcome::Pass,
        "a plain path needs no search"
    );
    assert!(watch.elapsed().as_millis() < 1_000, "{:?}", watch.elapsed());
}

#[test]
fn a_spec_that_cannot_work_is_a_problem() {
    let table = json!({"good": "Pass"});
    for (spec, problem) in [
        (json!({}), "spec.probe.analysis: exactly one of preset and path is required"),
        (
            json!({"preset": "KueueWorkload", "path": "$.a", "outcomes": table}),
            "spec.probe.analysis: exactly one of preset and path is required",
        ),
        (json!({"path": "$.a"}), "spec.probe.analysis.outcomes: say what the values mean, such as {Successful: Pass, Failed: Fail}"),
        (
            json!({"path": "$.a", "outcomes": {"bad": "Fail"}}),
            "spec.probe.analysis.outcomes: no value passes: give at least one the outcome Pass",
        ),
        (
            json!({"preset": "KueueWorkload", "outcomes": {"True": "Fail"}}),
            "spec.probe.analysis.outcomes: no value passes: give at least one the outcome Pass",
        ),
        (
            json!({"path": "$..a", "outcomes": table}),
            "spec.probe.analysis.path: may have names, indexes and one filter with one condition, such as $.status.conditions[?@.type == 'Healthy'].status",
        ),
        (
            json!({"path": "$.a", "outcomes": table, "messagePath": "$.a[*]"}),
            "spec.probe.analysis.messagePath: may have names, indexes and one filter with one condition, such as $.status.conditions[?@.type == 'Healthy'].status",
        ),
    ] {
        let problems = parse(spec.clone()).unwrap_err();
        assert_eq!(problems[0].to_string(), problem, "{spec}");
    }
    let many: serde_json::Map<_, _> = (0..33).map(|n| (n.to_string(), json!("Pass"))).collect();
    assert_eq!(parse(json!({"path": "$.a", "outcomes": many})).unwrap_err()[0].message, "has too many entries: at most 32");
}

const WORDS: &[&str] = &["status", "phase", "conditions", "type", "Admitted", "True", "message", "observedGeneration"];

proptest! {
    #[test]
    fn any_status_is_answered(status in any_json(WORDS), entry in any_json(WORDS)) {
        for target in [run(status.clone()), run(json!({"conditions": [entry.clone()]})), run(json!({"phase": entry}))] {
            for spec in [
                json!({"preset": "ArgoAnalysisRun"}),
                json!({"preset": "KueueWorkload"}),
                json!({"path": "$.metadata.generation", "outcomes": {"2": "Pass"}, "messagePath": "$.status.conditions[?@.type].message"}),
            ] {
                let seen = observe(spec, std::slice::from_ref(&target));
                prop_assert!(seen.len() == 1 && seen[0].reason != PANIC);
            }
        }
    }
}
