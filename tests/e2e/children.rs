//! A refused child is made visible on its owner, and its owner is touched when the gate opens.

use crate::during_run::world;
use crate::manifests::{podchaos, podchaos_gate};
use crate::servers::HttpServer;
use crate::team::Team;
use crate::world::{ensure, eventually, holds_for};
use serde_json::Value;
use std::time::Duration;

const SCHEDULE: &str = "\n---\napiVersion: chaos-mesh.org/v1alpha1\nkind: Schedule\nmetadata: { name: nightly }\nspec: { schedule: '@daily', type: PodChaos }\n";
const NUDGED_AT: &str = "holdpoint.dev/nudged-at";

/// What the controller of a Schedule makes when it fires.
fn firing(name: &str, kind: &str, owner: &Value) -> String {
    let uid = owner["metadata"]["uid"].as_str().unwrap();
    let owner_name = owner["metadata"]["name"].as_str().unwrap();
    let reference = format!("{{ apiVersion: chaos-mesh.org/v1alpha1, kind: {kind}, name: {owner_name}, uid: {uid}, controller: true }}");
    podchaos(name).replace(&format!("{{ name: {name} }}"), &format!("{{ name: {name}, ownerReferences: [{reference}] }}"))
}

fn gated(team: &Team<'_>) -> HttpServer {
    let server = HttpServer::start("503 Service Unavailable", "");
    let times = "intervalSeconds: 1, timeoutSeconds: 1";
    team.apply(&crate::manifests::check("web", &format!("{{ {times}, probe: {{ http: {{ url: 'http://{}/' }} }} }}", server.address)));
    team.verdict("web", "Failing");
    team.apply(&podchaos_gate("chaos", &["web"]));
    team.held("chaos", &podchaos("kill"));
    team.condition("xgate/chaos", "Open", "False");
    server
}

#[test]
fn the_owner_hears_of_the_refusal_and_is_touched_once_when_the_gate_opens() {
    let team = world().team("children");
    let server = gated(&team);
    team.apply(SCHEDULE);
    let workflow = SCHEDULE.replace("kind: Schedule", "kind: Workflow").replace("nightly", "flow");
    team.apply(&workflow);
    let (schedule, workflow) = (team.get("schedule", "nightly"), team.get("workflows.chaos-mesh.org", "flow"));
    let denial = team.create_refused(&firing("nightly-1", "Schedule", &schedule));
    team.create_refused(&firing("nightly-2", "Schedule", &schedule));
    team.create_refused(&firing("flow-1", "Workflow", &workflow));
    // Without an owner there is nobody to tell.
    team.create_refused(&podchaos("kill"));

    let headline = denial.lines().next().unwrap().split("denied the request: ").nth(1).unwrap().to_owned();
    eventually("an Event of the Schedule", || {
        let events = team.events("Schedule", "nightly");
        let told =
            events.iter().any(|(type_, reason, note)| type_ == "Warning" && reason == "AdmissionDenied" && note.starts_with(&headline));
        ensure(told, || format!("{events:?}"))
    });
    let denials = eventually("the refusals in the gate's status", || {
        let denials = team.get("xgate", "chaos")["status"]["recentDenials"].clone();
        ensure(denials.as_array().is_some_and(|all| all.len() == 2), || denials.to_string())?;
        Ok(denials)
    });
    let mine = denials.as_array().unwrap().iter().find(|denial| denial["owner"]["kind"] == "Schedule").unwrap();
    assert_eq!(mine["object"], format!("PodChaos {}/nightly-2", team.name), "the latest");
    assert_eq!((&mine["owner"]["name"], &mine["owner"]["uid"]), (&"nightly".into(), &schedule["metadata"]["uid"]));
    assert_eq!(mine["owner"]["namespace"], team.name[..]);
    assert!(mine["reason"].as_str().unwrap().contains("blocked by ExperimentGate/chaos"), "{mine}");

    let nudged =
        |name: &str| team.get(name, if name == "schedule" { "nightly" } else { "flow" })["metadata"]["annotations"][NUDGED_AT].clone();
    assert_eq!(nudged("schedule"), Value::Null, "the gate is closed");
    server.answer("200 OK", "");
    team.condition("xgate/chaos", "Open", "True");
    let first = eventually("the Schedule to be touched", || {
        let at = nudged("schedule");
        ensure(at.is_string(), || "not yet".to_owned()).map(|()| at)
    });
    let once = || ensure(nudged("schedule") == first, || "it was touched again".to_owned());
    holds_for(Duration::from_secs(3), once).unwrap();
    assert_eq!(nudged("workflows.chaos-mesh.org"), Value::Null, "a Workflow does not go on by that");

    // The next refusal is another.
    server.answer("503 Service Unavailable", "");
    team.condition("xgate/chaos", "Open", "False");
    team.create_refused(&firing("nightly-3", "Schedule", &schedule));
    eventually("the refusal in the gate's status", || {
        let denials = team.get("xgate", "chaos")["status"]["recentDenials"].to_string();
        ensure(denials.contains("nightly-3"), || denials.clone())
    });
    server.answer("200 OK", "");
    eventually("the Schedule to be touched again", || ensure(nudged("schedule") != first, || "not yet".to_owned()));
}

#[test]
fn a_forged_owner_gets_nothing_changed() {
    let team = world().team("forged");
    let server = gated(&team);
    team.apply(SCHEDULE);
    let mut forged = team.get("schedule", "nightly");
    forged["metadata"]["uid"] = "11111111-2222-3333-4444-555555555555".into();
    team.create_refused(&firing("nightly-1", "Schedule", &forged));
    eventually("the refusal in the gate's status", || {
        let denials = team.get("xgate", "chaos")["status"]["recentDenials"].clone();
        ensure(denials.as_array().is_some_and(|all| all.len() == 1), || denials.to_string())
    });
    server.answer("200 OK", "");
    team.condition("xgate/chaos", "Open", "True");
    let untouched = || {
        let annotations = team.get("schedule", "nightly")["metadata"]["annotations"].to_string();
        ensure(!annotations.contains(NUDGED_AT), || annotations.clone())
    };
    holds_for(Duration::from_secs(3), untouched).unwrap();
}
