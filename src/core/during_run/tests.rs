#![allow(clippy::needless_pass_by_value, reason = "`json!(...)` reads best as an argument")]
use super::*;
use crate::api::conditions::passing;
use crate::core::gate::testing::{Known, at, cxgate, fact, spec, xgate};
use crate::core::gate::{CheckFact, GateKey};
use crate::core::verdict::{Standing, State, Transition, Verdict};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;

fn object(kind: &str, group: &str, more: Value) -> Value {
    let mut object = json!({
        "apiVersion": format!("{group}/v1alpha1"),
        "kind": kind,
        "metadata": {
            "name": "kill", "namespace": "shop", "uid": "u-1", "resourceVersion": "7", "creationTimestamp": at(-600).to_string(),
        },
        "spec": {},
    });
    merge(&mut object, more);
    object
}

fn merge(to: &mut Value, from: Value) {
    match (to, from) {
        (Value::Object(to), Value::Object(from)) => {
            for (key, value) in from {
                merge(to.entry(key).or_insert(Value::Null), value);
            }
        }
        (to, from) => *to = from,
    }
}

fn experiment(group: &str, resource: &str, object: Value) -> Experiment {
    let resource = Resource { group: group.to_owned(), resource: resource.to_owned() };
    Experiment { tool: Tool::of(&resource.group, &resource.resource).unwrap(), resource, object }
}

fn podchaos(more: Value) -> Experiment {
    experiment("chaos-mesh.org", "podchaos", object("PodChaos", "chaos-mesh.org", more))
}

fn gate_with(during_run: Value, more: Value) -> Gate {
    let mut wanted = json!({ "duringRun": during_run });
    merge(&mut wanted, more);
    xgate("chaos", spec(&["web"], wanted))
}

/// A check with this verdict, whose verdicts before were these, newest first.
fn checked(standing: Standing, history: &[(Verdict, i64)]) -> CheckFact {
    let fact = fact("shop", "web", standing);
    let transition =
        |(verdict, time): &(Verdict, i64)| Transition { verdict: *verdict, reason: String::new(), message: String::new(), time: at(*time) };
    let state = State { history: history.iter().map(transition).collect(), ..(*fact.state).clone() };
    CheckFact { state: Arc::new(state), ..fact }
}

fn failing_since(seconds: i64) -> Known {
    Known::of([checked(Standing::Failing, &[(Verdict::Failing, seconds), (Verdict::Passing, seconds - 100)])])
}

fn step(gate: &Gate, facts: &Known, experiment: &Experiment, acted: Option<Timestamp>) -> Option<Step> {
    let survey = survey(gate, Some("shop"), facts, at(0)).unwrap();
    consider(gate, &survey, experiment, None, (acted, at(0)))
}

fn act(step: Option<Step>) -> Act {
    match step {
        Some(Step::Act(act)) => act,
        other => panic!("{other:?}"),
    }
}

fn told(step: Option<Step>) -> String {
    match step {
        Some(Step::Tell { note, .. }) => note,
        other => panic!("{other:?}"),
    }
}

#[test]
fn just_the_field_and_the_mark_are_applied_to_this_object_and_no_other() {
    let gate = gate_with(json!({ "onFailing": "Pause" }), json!({}));
    let act = act(step(&gate, &failing_since(-10), &podchaos(json!({})), None));
    assert_eq!(act.done, Done::Paused);
    let mut apply = act.apply.unwrap();
    let mark = apply["metadata"]["annotations"].as_object_mut().unwrap().remove(MARK).unwrap();
    let mark = Mark::parse(mark.as_str().unwrap()).unwrap();
    assert_eq!((mark.gate, &mark.check[..], mark.time), (gate.key.clone(), "web", at(0)));
    let metadata =
        json!({ "name": "kill", "namespace": "shop", "uid": "u-1", "annotations": { "experiment.chaos-mesh.org/pause": "true" } });
    assert_eq!(apply, json!({ "apiVersion": "chaos-mesh.org/v1alpha1", "kind": "PodChaos", "metadata": metadata }));
}

/// Tool, object, what onFailing says, and what is to be found in what is applied: nothing for a deletion, or why it cannot be.
/// The group, the resource, the object, what is to be done, and the change or why there is none.
type Row = (&'static str, &'static str, Value, &'static str, Result<Option<Value>, &'static str>);

#[test]
fn every_tool_is_stopped_by_its_own_means() {
    let annotated = |key: &str| Ok(Some(json!({ "metadata": { "annotations": { key: "true" } } })));
    let spec_says = |spec: Value| Ok(Some(json!({ "spec": spec })));
    let (pause, abort) = ("experiment.chaos-mesh.org/pause", "workflow.chaos-mesh.org/abort");
    let always = json!({ "spec": { "runStrategy": "Always" } });
    let rows: Vec<Row> = vec![
        ("chaos-mesh.org", "podchaos", json!({ "spec": { "action": "pod-kill" } }), "Pause", Err("done at once")),
        ("chaos-mesh.org", "podchaos", json!({ "spec": { "action": "pod-failure" } }), "Pause", annotated(pause)),
        ("chaos-mesh.org", "networkchaos", json!({}), "Stop", annotated(pause)),
        ("chaos-mesh.org", "networkchaos", json!({}), "Delete", Ok(None)),
        ("chaos-mesh.org", "schedules", json!({}), "Pause", annotated(pause)),
        ("chaos-mesh.org", "workflows", json!({}), "Pause", annotated(abort)),
        ("litmuschaos.io", "chaosengines", json!({}), "Pause", spec_says(json!({ "engineState": "stop" }))),
        ("litmuschaos.io", "chaosschedules", json!({}), "Pause", spec_says(json!({ "scheduleState": "halt" }))),
        ("litmuschaos.io", "chaosschedules", json!({}), "Stop", spec_says(json!({ "scheduleState": "stop" }))),
        ("krkn.krkn-chaos.dev", "krknscenarioruns", json!({}), "Pause", Err("onFailing: Delete")),
        ("krkn.krkn-chaos.dev", "krknscenarioruns", json!({}), "Delete", Ok(None)),
        ("chaos.datadoghq.com", "disruptions", json!({}), "Pause", Err("onFailing: Stop")),
        ("chaos.datadoghq.com", "disruptions", json!({}), "Stop", Ok(None)),
        ("chaos.datadoghq.com", "disruptioncrons", json!({}), "Pause", spec_says(json!({ "paused": true }))),
        ("chaosblade.io", "chaosblades", json!({}), "Stop", Err("onFailing: Delete")),
        ("chaostoolkit.org", "chaosexperiments", json!({}), "Delete", Ok(None)),
        ("argoproj.io", "workflows", json!({}), "Pause", spec_says(json!({ "suspend": true }))),
        ("argoproj.io", "workflows", json!({}), "Stop", spec_says(json!({ "shutdown": "Stop" }))),
        ("batch", "jobs", json!({}), "Stop", spec_says(json!({ "suspend": true }))),
        ("batch", "cronjobs", json!({}), "Pause", spec_says(json!({ "suspend": true }))),
        ("kubevirt.io", "virtualmachines", always.clone(), "Stop", spec_says(json!({ "runStrategy": "Halted" }))),
        ("kubevirt.io", "virtualmachines", json!({ "spec": { "running": true } }), "Stop", spec_says(json!({ "running": false }))),
        ("kubevirt.io", "virtualmachines", always, "Delete", Err("Holdpoint deletes no virtual machine")),
        ("kubevirt.io", "virtualmachineinstances", json!({}), "Stop", Err("VirtualMachine")),
        ("kubevirt.io", "virtualmachineinstancemigrations", json!({}), "Stop", Ok(None)),
    ];
    for (group, resource, more, on_failing, wanted) in rows {
        let matches = json!({ "rules": [{ "apiGroups": [group], "resources": [resource], "operations": ["CREATE"] }] });
        let gate = gate_with(json!({ "onFailing": on_failing }), json!({ "match": matches }));
        let ran = experiment(group, resource, object("Kind", group, more));
        let found = step(&gate, &failing_since(-10), &ran, None);
        match wanted {
            Err(why) => assert!(told(found).contains(why), "{on_failing} of {resource}"),
            Ok(None) => assert_eq!((act(found.clone()).done, act(found).apply), (Done::Deleted, None), "{on_failing} of {resource}"),
            Ok(Some(wanted)) => {
                let apply = act(found).apply.unwrap();
                let mut with = apply.clone();
                merge(&mut with, wanted);
                assert_eq!(apply, with, "{on_failing} of {resource}");
            }
        }
    }
}

#[test]
fn once_an_episode_whatever_happens_to_the_experiment_in_it() {
    let gate = gate_with(json!({ "onFailing": "Pause" }), json!({}));
    let marked = |seconds: i64| {
        let mark = Mark {
            gate: GateKey { namespace: Some("shop".into()), name: "chaos".into() },
            check: "web".into(),
            time: at(seconds),
            done: "Paused".into(),
            reason: String::new(),
            spec: String::new(),
        };
        podchaos(json!({ "metadata": { "annotations": { MARK: mark.to_json() } } }))
    };
    assert_eq!(step(&gate, &failing_since(-10), &marked(-9), None), None, "somebody resumed it in this episode");
    act(step(&gate, &failing_since(-10), &marked(-11), None));
    act(step(&gate, &failing_since(-10), &marked(3600), None));
    assert_eq!(step(&gate, &failing_since(-10), &podchaos(json!({})), Some(at(-9))), None, "somebody took the mark away");
    // What could not be told in between is the same episode.
    let faults = [(Verdict::Failing, -5), (Verdict::Unknown, -20), (Verdict::Failing, -30), (Verdict::Passing, -90)];
    assert_eq!(step(&gate, &Known::of([checked(Standing::Failing, &faults)]), &marked(-25), None), None);
}

#[test]
fn only_what_ran_when_a_required_check_turned_failing_is_stopped() {
    let gate = gate_with(json!({ "onFailing": "Pause" }), json!({}));
    let facts = failing_since(-10);
    let created = |seconds: i64| podchaos(json!({ "metadata": { "creationTimestamp": at(seconds).to_string() } }));
    act(step(&gate, &facts, &created(-7), None));
    assert_eq!(step(&gate, &facts, &created(-2), None), None, "it was let in although the check failed");
    for standing in [Standing::Unknown, Standing::Stale, Standing::Passing, Standing::Warning] {
        assert_eq!(step(&gate, &Known::shop(&[("web", standing)]), &podchaos(json!({})), None), None, "{standing:?}");
    }
    let advisory = CheckFact { severity: crate::api::Severity::Advisory, ..checked(Standing::Failing, &[(Verdict::Failing, -10)]) };
    assert_eq!(step(&gate, &Known::of([advisory]), &podchaos(json!({})), None), None);
    for idle in [
        json!({ "metadata": { "annotations": { "experiment.chaos-mesh.org/pause": "true" } } }),
        json!({ "metadata": { "deletionTimestamp": at(-1).to_string() } }),
        json!({ "status": { "experiment": { "desiredPhase": "Stop" } } }),
    ] {
        assert_eq!(step(&gate, &facts, &podchaos(idle.clone()), None), None, "{idle}");
    }
    let lenient = gate_with(json!({ "onFailing": "Pause" }), json!({ "respond": { "failing": "Warn" } }));
    assert_eq!(step(&lenient, &facts, &podchaos(json!({})), None), None);
    let elsewhere = podchaos(json!({ "metadata": { "namespace": "other" } }));
    assert_eq!(step(&gate, &facts, &elsewhere, None), None);
    let incomplete = Known { complete: false, ..facts };
    assert!(survey(&gate, Some("shop"), &incomplete, at(0)).is_none());
}

#[test]
fn a_gate_that_does_not_enforce_only_tells() {
    for mode in ["Warn", "Audit"] {
        let gate = gate_with(json!({ "onFailing": "Delete" }), json!({ "mode": mode }));
        let note = told(step(&gate, &failing_since(-10), &podchaos(json!({})), None));
        assert!(note.ends_with("it would be deleted by ExperimentGate/chaos (duringRun.onFailing: Delete) in mode Enforce"), "{note}");
    }
}

#[test]
fn what_it_paused_goes_on_if_all_pass_and_nobody_changed_it() {
    let gate = gate_with(json!({ "onFailing": "Pause", "resumeWhenPassing": true }), json!({}));
    let mut ran = podchaos(json!({ "spec": { "mode": "one" } }));
    let paused = act(step(&gate, &failing_since(-10), &ran, None)).apply.unwrap();
    merge(&mut ran.object, paused);
    let passing = Known::shop(&[("web", Standing::Passing)]);
    let resumed = act(step(&gate, &passing, &ran, None));
    assert_eq!(resumed.done, Done::Resumed);
    let metadata = json!({ "name": "kill", "namespace": "shop", "uid": "u-1", "resourceVersion": "7" });
    assert_eq!(resumed.apply.unwrap(), json!({ "apiVersion": "chaos-mesh.org/v1alpha1", "kind": "PodChaos", "metadata": metadata }));
    for standing in [Standing::Failing, Standing::Unknown, Standing::Stale] {
        assert_eq!(step(&gate, &Known::shop(&[("web", standing)]), &ran, None), None, "{standing:?}");
    }
    assert_eq!(step(&gate, &Known::shop(&[]), &ran, None), None, "the check is gone");
    let other = xgate("other", spec(&["web"], json!({ "duringRun": { "onFailing": "Pause", "resumeWhenPassing": true } })));
    assert_eq!(step(&other, &passing, &ran, None), None);
    let never = gate_with(json!({ "onFailing": "Pause" }), json!({}));
    assert_eq!(step(&never, &passing, &ran, None), None);
    let mut changed = ran.clone();
    changed.object["spec"]["mode"] = json!("all");
    assert_eq!(step(&gate, &passing, &changed, None), None);
    let mut by_hand = ran;
    by_hand.object["metadata"]["annotations"].as_object_mut().unwrap().remove(MARK);
    assert_eq!(step(&gate, &passing, &by_hand, None), None);
}

#[test]
fn a_flag_is_written_back_and_what_ended_meanwhile_is_left() {
    let matches = json!({ "rules": [{ "apiGroups": ["batch"], "resources": ["jobs"], "operations": ["CREATE"] }] });
    let gate = gate_with(json!({ "onFailing": "Pause", "resumeWhenPassing": true }), json!({ "match": matches }));
    let mut job = experiment("batch", "jobs", object("Job", "batch", json!({ "spec": { "parallelism": 2 } })));
    let paused = act(step(&gate, &failing_since(-10), &job, None)).apply.unwrap();
    merge(&mut job.object, paused);
    let passing = Known::shop(&[("web", Standing::Passing)]);
    assert_eq!(act(step(&gate, &passing, &job, None)).apply.unwrap()["spec"], json!({ "suspend": false }));
    job.object["status"] = json!({ "conditions": [{ "type": "Failed", "status": "True" }] });
    assert_eq!(step(&gate, &passing, &job, None), None);
}

#[test]
fn a_check_that_is_about_other_experiments_stops_nothing() {
    let gate = gate_with(json!({ "onFailing": "Pause" }), json!({}));
    let about = |expression: &str| {
        let mut problems = Vec::new();
        let when = crate::core::expr::Expression::compile(expression, "spec.when", &["object", "oldObject", "request"], &mut problems);
        Known::of([CheckFact { when, ..checked(Standing::Failing, &[(Verdict::Failing, -10)]) }])
    };
    act(step(&gate, &about("object.metadata.name == 'kill'"), &podchaos(json!({})), None));
    assert_eq!(step(&gate, &about("object.metadata.name == 'other'"), &podchaos(json!({})), None), None);
    let untold = about("request.userInfo.username == 'jane'");
    assert_eq!(step(&gate, &untold, &podchaos(json!({})), None), None, "what cannot be told is no failure");
    let decided = checked(Standing::Failing, &[]);
    let state = State { reason: passing::PER_REQUEST, history: VecDeque::new(), ..(*decided.state).clone() };
    let per_request = Known::of([CheckFact { state: Arc::new(state), ..decided }]);
    assert_eq!(step(&gate, &per_request, &podchaos(json!({})), None), None);
}

#[test]
fn of_several_checks_so_many_must_fail_that_the_others_do_not_suffice() {
    let at_least = json!({ "count": 2, "of": [{ "name": "a" }, { "name": "b" }, { "name": "c" }] });
    let gate = gate_with(
        json!({ "onFailing": "Pause", "resumeWhenPassing": true }),
        json!({ "checks": [{ "name": "web" }], "atLeast": at_least }),
    );
    let facts = |failing: &[(&str, i64)]| {
        let of = |name: &&str| match failing.iter().find(|(failing, _)| failing == name) {
            Some((_, since)) => {
                let history = [(Verdict::Failing, *since), (Verdict::Passing, since - 100)];
                CheckFact { name: (*name).into(), ..checked(Standing::Failing, &history) }
            }
            None => fact("shop", name, Standing::Passing),
        };
        Known::of(["web", "a", "b", "c"].iter().map(of))
    };
    assert_eq!(step(&gate, &facts(&[("a", -10)]), &podchaos(json!({})), None), None);
    let both = facts(&[("a", -50), ("c", -10)]);
    let paused = act(step(&gate, &both, &podchaos(json!({})), None));
    assert!(paused.note.starts_with("atLeast 2 of 3 turned Failing (failing: a, c) while"), "{}", paused.note);
    act(step(&gate, &both, &podchaos(json!({})), Some(at(-20))));
    assert_eq!(step(&gate, &both, &podchaos(json!({})), Some(at(-9))), None, "that episode began with the second");
    let mut stopped = podchaos(json!({}));
    merge(&mut stopped.object, paused.apply.unwrap());
    assert_eq!(step(&gate, &both, &stopped, None), None);
    assert_eq!(act(step(&gate, &facts(&[("a", -50)]), &stopped, None)).done, Done::Resumed);
}

#[test]
fn conditions_that_depend_on_who_asks_hold_nothing_that_runs() {
    let with = |expression: &str| {
        let conditions = json!([{ "name": "some", "expression": expression }]);
        let gate = gate_with(json!({ "onFailing": "Pause" }), json!({ "match": { "matchConditions": conditions } }));
        step(&gate, &failing_since(-10), &podchaos(json!({ "metadata": { "labels": { "tier": "prod" } } })), None)
    };
    act(with("object.metadata.labels.tier == 'prod'"));
    assert_eq!(with("object.metadata.labels.tier == 'test'"), None);
    assert_eq!(with("request.userInfo.username != 'robot'"), None);
}

#[test]
fn what_cannot_be_is_said_beforehand() {
    let gate = |group: &str, resources: &[&str], on_failing: &str| {
        let matches = json!({ "rules": [{ "apiGroups": [group], "resources": resources, "operations": ["CREATE"] }] });
        cxgate("all", spec(&["web"], json!({ "match": matches, "duringRun": { "onFailing": on_failing } })))
    };
    let machines = gate("kubevirt.io", &["virtualmachines"], "Pause");
    assert!(machines.problems[0].to_string().starts_with("spec.duringRun.onFailing: Pause of virtualmachines.kubevirt.io: "));
    assert!(gate("kubevirt.io", &["virtualmachines"], "Stop").problems.is_empty());
    let limits = |gate: &Gate| limits(gate).unwrap_or_default();
    assert_eq!(limits(&gate("chaos-mesh.org", &["podchaos", "workflownodes", "podchaos/status"], "Pause")), "");
    assert!(limits(&gate("chaos-mesh.org", &["workflows"], "Pause")).ends_with("it is stopped instead, and does not go on"));
    assert!(limits(&gate("litmuschaos.io", &["chaosengines"], "Pause")).ends_with("it is stopped instead, and would begin anew"));
    assert!(limits(&gate("example.com", &["things"], "Stop")).ends_with("things.example.com: Holdpoint knows no way to stop it"));
    assert_eq!(limits(&gate("example.com", &["things"], "None")), "");
}

#[test]
fn a_parent_is_touched_once_for_a_refusal_and_only_the_one_that_is_meant() {
    let stalled = Stalled {
        namespace: Some("shop".into()),
        api_version: "chaos-mesh.org/v1alpha1".into(),
        kind: "Schedule".into(),
        name: "nightly".into(),
        uid: "u-2".into(),
    };
    let parent = |annotations: Value| json!({ "metadata": { "uid": "u-2", "annotations": annotations } });
    let touched = |parent: &Value| nudge(&stalled, parent, at(-60), at(0)).is_some();
    assert!(touched(&parent(json!({}))));
    assert!(touched(&parent(json!({ NUDGED_AT: at(-100).to_string() }))));
    assert!(touched(&parent(json!({ NUDGED_AT: at(100).to_string() }))), "what claims to be from the future does not ward it off");
    assert!(!touched(&parent(json!({ NUDGED_AT: at(-10).to_string() }))));
    assert!(!touched(&parent(json!({ "experiment.chaos-mesh.org/pause": "true" }))));
    assert!(!touched(&json!({ "metadata": { "uid": "another" } })));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let key = prop_oneof![
            Just("spec".to_owned()),
            Just("status".to_owned()),
            Just("metadata".to_owned()),
            Just("annotations".to_owned()),
            Just(MARK.to_owned()),
            Just("conditions".to_owned()),
            Just("running".to_owned()),
            ".{0,5}",
        ];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(key, inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_object_makes_it_panic_and_marks_are_read_as_they_were_written(
        object in any_json(), tool in 0..TOOLS.len(), on_failing in 0..4_usize, text in ".{0,40}", namespaced in any::<bool>(),
    ) {
        let tool = &TOOLS[tool];
        let word = ["None", "Pause", "Stop", "Delete"][on_failing];
        let matches = json!({ "rules": [{ "apiGroups": [tool.group], "resources": tool.resources, "operations": ["CREATE"] }] });
        let gate = gate_with(json!({ "onFailing": word, "resumeWhenPassing": true }), json!({ "match": matches }));
        let resource = Resource { group: tool.group.to_owned(), resource: tool.resources[0].to_owned() };
        let experiment = Experiment { tool, resource, object };
        step(&gate, &failing_since(-10), &experiment, None);
        step(&gate, &Known::shop(&[("web", Standing::Passing)]), &experiment, None);

        let gate = GateKey { namespace: namespaced.then(|| "shop".to_owned()), name: "chaos".to_owned() };
        let mark = Mark { gate, check: text.clone(), time: at(5), done: "Paused".into(), reason: text, spec: String::new() };
        prop_assert_eq!(Mark::parse(&mark.to_json()), Some(mark));
    }
}
