//! What runs when a check turns Failing: paused, stopped or deleted by the tool's own means, once, and told.

use crate::manifests::{check, creating, gate, podchaos, podchaos_gate};
use crate::servers::HttpServer;
use crate::team::Team;
use crate::world::{World, ensure, eventually, holds_for, shared};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

const PAUSE: &str = "experiment.chaos-mesh.org/pause";
const MARK: &str = "holdpoint.dev/stopped-by";

/// The shared world, in which the operator has the optional rights.
pub fn world() -> &'static World {
    static GRANTED: LazyLock<()> = LazyLock::new(|| {
        for file in ["intervene.yaml", "intervene-delete.yaml"] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/optional").join(file);
            shared().plane.admin().ok(&["apply", "--server-side", "-f", &path.to_string_lossy()]).unwrap();
        }
        eventually("the rights to be in force", || {
            let account = "--as=system:serviceaccount:holdpoint-system:holdpoint";
            let answer =
                shared().plane.admin().run(&["auth", "can-i", "delete", "podchaos.chaos-mesh.org", account]).map_err(|e| e.to_string())?;
            ensure(answer.code == 0, || format!("{answer:?}"))
        });
    });
    LazyLock::force(&GRANTED);
    shared()
}

/// A check that does what a server says.
fn switch(team: &Team<'_>, name: &str) -> HttpServer {
    let server = HttpServer::start("200 OK", "");
    let times = "intervalSeconds: 1, timeoutSeconds: 1";
    team.apply(&check(name, &format!("{{ {times}, probe: {{ http: {{ url: 'http://{}/' }} }} }}", server.address)));
    team.verdict(name, "Passing");
    server
}

fn turn(team: &Team<'_>, server: &HttpServer, name: &str, verdict: &str) {
    server.answer(if verdict == "Passing" { "200 OK" } else { "503 Service Unavailable" }, "");
    team.verdict(name, verdict);
}

fn gated(group: &str, resource: &str, during_run: &str, more: &str) -> String {
    let rules = creating(group, resource);
    gate("chaos", &format!("{{ mode: Enforce, match: {{ {rules} }}, checks: [{{ name: web }}], duringRun: {{ {during_run} }}{more} }}"))
}

fn annotation(object: &Value, key: &str) -> Option<String> {
    object["metadata"]["annotations"][key].as_str().map(str::to_owned)
}

fn annotated(team: &Team<'_>, kind: &str, name: &str, key: &str, value: Option<&str>) -> Value {
    eventually(&format!("{key} of {name} to be {value:?}"), || {
        let object = team.kubectl.json(&["get", kind, name]).map_err(|error| error.to_string())?;
        ensure(annotation(&object, key).as_deref() == value, || object["metadata"].to_string())?;
        Ok(object)
    })
}

fn told(team: &Team<'_>, kind: &str, name: &str, reason: &str) -> Vec<String> {
    eventually(&format!("an Event {reason} of {kind} {name}"), || {
        let notes: Vec<String> =
            team.events(kind, name).into_iter().filter(|(_, found, _)| found == reason).map(|(_, _, note)| note).collect();
        ensure(!notes.is_empty(), || format!("{:?}", team.events(kind, name)))?;
        Ok(notes)
    })
}

#[test]
fn what_runs_is_paused_once_an_episode_and_whoever_undoes_it_is_not_fought_with() {
    let team = world().team("pause");
    let server = switch(&team, "web");
    team.apply(&gated("chaos-mesh.org", "podchaos", "onFailing: Pause", ""));
    team.held("chaos", &podchaos("kill"));
    team.create(&podchaos("kill"));
    team.create("\n---\napiVersion: chaos-mesh.org/v1alpha1\nkind: PodChaos\nmetadata: { name: at-once }\nspec: { action: pod-kill }\n");
    turn(&team, &server, "web", "Failing");

    let paused = annotated(&team, "podchaos", "kill", PAUSE, Some("true"));
    let mark: Value = serde_json::from_str(&annotation(&paused, MARK).unwrap()).unwrap();
    assert_eq!((&mark["gate"], &mark["check"]), (&json!(format!("ExperimentGate {}/chaos", team.name)), &json!("web")));
    let note = &told(&team, "PodChaos", "kill", "ExperimentPaused")[0];
    let says = format!("while PodChaos {}/kill ran: paused by ExperimentGate/chaos (duringRun.onFailing: Pause)", team.name);
    assert!(note.starts_with("web turned Failing (") && note.ends_with(&says), "{note}");
    told(&team, "ExperimentGate", "chaos", "ExperimentPaused");
    let cannot = &told(&team, "PodChaos", "at-once", "ExperimentNotStopped")[0];
    assert!(cannot.contains("its action is done at once, and cannot be paused"), "{cannot}");
    let fields = team.kubectl.json(&["get", "podchaos", "kill", "--show-managed-fields"]).unwrap()["metadata"]["managedFields"].clone();
    let ours = fields.as_array().unwrap().iter().find(|of| of["manager"] == "holdpoint-during-run").unwrap().clone();
    assert_eq!(
        ours["fieldsV1"],
        json!({"f:metadata": {"f:annotations": {format!("f:{PAUSE}"): {}, format!("f:{MARK}"): {}}}}),
        "just the field and the mark"
    );

    // Somebody knows better: by an account that the gate does not hold, or once the gate is away.
    team.done(&["annotate", "podchaos", "kill", &format!("{PAUSE}-")], "");
    let left_alone = || ensure(annotation(&team.get("podchaos", "kill"), PAUSE).is_none(), || "it was paused again".to_owned());
    holds_for(Duration::from_secs(4), left_alone).unwrap();
    turn(&team, &server, "web", "Passing");
    left_alone().unwrap();
    turn(&team, &server, "web", "Failing");
    annotated(&team, "podchaos", "kill", PAUSE, Some("true"));

    // Without resumeWhenPassing it stays so.
    turn(&team, &server, "web", "Passing");
    team.condition("xgate/chaos", "Open", "True");
    let goes_on = || ensure(annotation(&team.get("podchaos", "kill"), PAUSE).is_some(), || "it was resumed".to_owned());
    holds_for(Duration::from_secs(3), goes_on).unwrap();
    let gate = format!("gate=\"{}/chaos\"", team.name);
    assert!(team.world.metric("holdpoint_interventions_total", &[&gate, "action=\"Paused\"", "outcome=\"done\""]) >= 2);
}

#[test]
fn what_was_paused_is_resumed_if_the_gate_says_so_and_nobody_changed_it() {
    let team = world().team("resume");
    let server = switch(&team, "web");
    team.apply(&gated("chaos-mesh.org", "podchaos", "onFailing: Pause, resumeWhenPassing: true", ""));
    team.held("chaos", &podchaos("kill"));
    for name in ["kill", "changed", "by-hand"] {
        team.create(&podchaos(name));
    }
    team.done(&["annotate", "podchaos", "by-hand", &format!("{PAUSE}=true")], "");
    turn(&team, &server, "web", "Failing");
    annotated(&team, "podchaos", "kill", PAUSE, Some("true"));
    annotated(&team, "podchaos", "changed", PAUSE, Some("true"));
    team.done(&["patch", "podchaos", "changed", "--type=merge", "--patch", r#"{"spec":{"mode":"all"}}"#], "");
    turn(&team, &server, "web", "Passing");
    let resumed = annotated(&team, "podchaos", "kill", PAUSE, None);
    assert_eq!(annotation(&resumed, MARK), None);
    told(&team, "PodChaos", "kill", "ExperimentResumed");
    told(&team, "ExperimentGate", "chaos", "ExperimentResumed");
    let stays = |name: &str| ensure(annotation(&team.get("podchaos", name), PAUSE).is_some(), || format!("{name} was resumed"));
    holds_for(Duration::from_secs(3), || stays("changed").and_then(|()| stays("by-hand"))).unwrap();
    let by_hand = team.get("podchaos", "by-hand");
    assert_eq!(annotation(&by_hand, MARK), None, "it did not run");
}

#[test]
fn engines_are_stopped_and_what_is_to_be_deleted_is() {
    let team = world().team("stop");
    let server = switch(&team, "web");
    team.apply(&gated("litmuschaos.io", "chaosengines", "onFailing: Stop", ""));
    let engine =
        "\n---\napiVersion: litmuschaos.io/v1alpha1\nkind: ChaosEngine\nmetadata: { name: drill }\nspec: { engineState: active }\n";
    team.held("chaos", engine);
    team.create(engine);
    turn(&team, &server, "web", "Failing");
    eventually("the engine to be stopped", || {
        let engine = team.get("chaosengine", "drill");
        ensure(engine["spec"]["engineState"] == "stop", || engine.to_string())
    });
    told(&team, "ChaosEngine", "drill", "ExperimentStopped");

    turn(&team, &server, "web", "Passing");
    team.apply(&gated("chaos-mesh.org", "podchaos", "onFailing: Delete", ""));
    team.held("chaos", &podchaos("kill"));
    team.create(&podchaos("kill"));
    turn(&team, &server, "web", "Failing");
    eventually("the experiment to be deleted", || {
        let listed = team.kubectl.ok(&["get", "podchaos", "-o", "name"]).map_err(|error| error.to_string())?;
        ensure(listed.is_empty(), || listed.clone())
    });
    told(&team, "ExperimentGate", "chaos", "ExperimentDeleted");
}

#[test]
fn a_gate_that_does_not_enforce_only_tells_and_a_fault_stops_nothing() {
    let team = world().team("tell");
    let server = switch(&team, "web");
    team.apply(&gated("chaos-mesh.org", "podchaos", "onFailing: Pause", "").replace("mode: Enforce", "mode: Warn"));
    team.held("chaos", &podchaos("kill"));
    team.create(&podchaos("kill"));
    // What cannot be told is no failure.
    let suspend = |value: bool| {
        let patch = format!("{{\"spec\":{{\"suspend\":{value}}}}}");
        team.done(&["patch", "pfc", "web", "--type=merge", "--patch", &patch], "");
    };
    suspend(true);
    team.verdict_for("web", "Unknown", "Suspended");
    let calm = || ensure(team.events("PodChaos", "kill").is_empty(), || format!("{:?}", team.events("PodChaos", "kill")));
    holds_for(Duration::from_secs(2), calm).unwrap();
    suspend(false);
    team.verdict("web", "Passing");
    turn(&team, &server, "web", "Failing");
    let note = &told(&team, "PodChaos", "kill", "ExperimentNotStopped")[0];
    assert!(note.contains("it would be paused by ExperimentGate/chaos (duringRun.onFailing: Pause) in mode Enforce"), "{note}");
    assert_eq!(annotation(&team.get("podchaos", "kill"), PAUSE), None);
}

#[test]
fn what_a_tool_cannot_do_is_said_by_the_gate() {
    let team = world().team("cannot");
    team.apply(&gated("chaos-mesh.org", "workflows", "onFailing: Pause", ""));
    let message = team.condition_for("xgate/chaos", "Ready", "True", "Serving");
    let says = "; duringRun: workflows.chaos-mesh.org: it cannot be paused, it is stopped instead, and does not go on";
    assert!(message.ends_with(says), "{message}");
    team.apply(&gated("kubevirt.io", "virtualmachines", "onFailing: Pause", ""));
    let message = team.condition_for("xgate/chaos", "Ready", "False", "InvalidSpec");
    assert!(
        message.contains("spec.duringRun.onFailing: Pause of virtualmachines.kubevirt.io: a virtual machine cannot be paused"),
        "{message}"
    );
    let refused = team.apply_refused(&gated("chaos-mesh.org", "podchaos", "onFailing: Stop, resumeWhenPassing: true", ""));
    assert!(refused.contains("resumeWhenPassing needs onFailing: Pause"), "{refused}");
}

#[test]
fn without_the_right_the_event_says_how_to_grant_it_and_then_it_works() {
    let world = World::start(&[]);
    let mut team = world.team("right");
    team.expect_forbidden("/apis/chaos-mesh.org/");
    let server = switch(&team, "web");
    team.apply(&gated("chaos-mesh.org", "podchaos", "onFailing: Pause", ""));
    team.held("chaos", &podchaos("kill"));
    team.create(&podchaos("kill"));
    let note = &told(&team, "ExperimentGate", "chaos", "InterventionFailed")[0];
    assert!(note.starts_with("duringRun has no effect on podchaos.chaos-mesh.org: the operator may not watch it; "), "{note}");
    // To see it is not yet to change it.
    let read = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/optional/read-tools.yaml");
    world.plane.admin().ok(&["apply", "--server-side", "-f", &read.to_string_lossy()]).unwrap();
    turn(&team, &server, "web", "Failing");
    let notes = told(&team, "PodChaos", "kill", "InterventionFailed");
    assert!(notes[0].starts_with("cannot pause it: the operator may not patch podchaos.chaos-mesh.org; "), "{notes:?}");
    team.run_printed(&notes[0]);
    annotated(&team, "podchaos", "kill", PAUSE, Some("true"));
    told(&team, "ExperimentGate", "chaos", "ExperimentPaused");
}

#[test]
fn what_other_gates_hold_and_what_started_later_is_left_alone() {
    let team = world().team("others");
    let server = switch(&team, "web");
    team.apply(
        &gated("chaos-mesh.org", "podchaos", "onFailing: Pause", "")
            .replace("match: {", "match: { objectSelector: { matchLabels: { tier: prod } },"),
    );
    team.apply(&podchaos_gate("plain", &["web"]));
    let labelled = podchaos("mine").replace("{ name: mine }", "{ name: mine, labels: { tier: prod } }");
    team.held("chaos", &labelled);
    team.create(&labelled);
    team.create(&podchaos("other"));
    turn(&team, &server, "web", "Failing");
    annotated(&team, "podchaos", "mine", PAUSE, Some("true"));
    assert_eq!(annotation(&team.get("podchaos", "other"), PAUSE), None);
}
