//! What is kept of decisions and transitions: status, Events, the audit log, the operator's log, the machine-readable answer.

use crate::manifests::{failing, podchaos, podchaos_gate, rollout};
use crate::team::{Team, decision_id};
use crate::world::{ensure, eventually, shared};
use serde_json::{Value, json};

#[test]
fn a_refusal_is_found_by_its_id_in_status_event_audit_log_and_log() {
    let team = shared().team("id");
    team.apply(&(failing("frozen") + &podchaos_gate("chaos", &["frozen", "absent"])));
    team.held("chaos", &podchaos("kill"));
    let user = team.world.plane.user("casey", &["system:masters"]).unwrap().in_namespace(&team.name);
    let denial = user.run_with_input(&["create", "-f", "-"], &podchaos("kill")).unwrap().stderr;
    let id = decision_id(&denial);
    let headline = denial.lines().next().unwrap().split("denied the request: ").nth(1).unwrap();

    let entry = eventually("the decision in the gate's status", || {
        let status = team.get("xgate", "chaos")["status"].clone();
        let entry = status["recentDecisions"][0].clone();
        ensure(entry["id"] == id[..] && status["counters"]["denied"] == 1, || status.to_string()).map(|()| entry)
    });
    assert_eq!((&entry["decision"], &entry["operation"], &entry["user"]), (&"Deny".into(), &"CREATE".into(), &"casey".into()));
    assert_eq!(entry["object"], format!("PodChaos {}/kill", team.name));
    assert!(
        entry["message"].as_str().unwrap().starts_with(&format!("PodChaos {}/kill blocked by ExperimentGate/chaos: 2 of 2 ", team.name))
    );

    eventually("an Event", || {
        let events = team.events("ExperimentGate", "chaos");
        let wanted = ("Warning".to_owned(), "AdmissionDenied".to_owned(), format!("{headline} (asked by casey)"));
        ensure(events.contains(&wanted), || format!("{events:?}"))
    });

    let audited = eventually("the audit entry", || team.world.audited(&id));
    let annotations = &audited["annotations"];
    assert_eq!(audited["responseStatus"]["code"], 403);
    assert_eq!(annotations["fail.holdpoint.dev/decision"], "Deny");
    assert_eq!(annotations["fail.holdpoint.dev/gate"], "ExperimentGate/chaos");
    assert_eq!(annotations["fail.holdpoint.dev/failed-checks"], "frozen,absent");

    let log = eventually("the log line", || {
        let log = team.world.log();
        let line = log.lines().find(|line| line.contains(&id)).map(str::to_owned);
        line.ok_or_else(|| "no line has the id".to_owned())
    });
    let log: Value = serde_json::from_str(&log).unwrap();
    assert_eq!((&log["decision_id"], &log["decision"], &log["user"]), (&id.into(), &"Deny".into(), &"casey".into()));
}

#[test]
fn refusals_in_a_row_are_one_event_that_counts() {
    let team = shared().team("events");
    team.apply(&(failing("frozen") + &podchaos_gate("chaos", &["frozen"])));
    team.held("chaos", &podchaos("kill"));
    let id = decision_id(&team.create_refused(&podchaos("kill")));
    for _ in 0..2 {
        team.create_refused(&podchaos("kill"));
    }
    eventually("an Event that counts them", || {
        let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", team.name);
        let list: Value = serde_json::from_str(&team.kubectl.ok(&["get", "--raw", &path]).unwrap()).unwrap();
        let denied: Vec<&Value> = list["items"].as_array().unwrap().iter().filter(|event| event["reason"] == "AdmissionDenied").collect();
        let counted = denied.len() == 1 && denied[0]["series"]["count"] == 3 && denied[0]["note"].to_string().contains(&id);
        ensure(counted, || format!("{denied:?}"))
    });
}

#[test]
fn programs_can_read_why() {
    let team = shared().team("causes");
    team.apply(&(failing("frozen") + &rollout("web-healthy", "web") + &podchaos_gate("chaos", &["frozen", "web-healthy", "absent"])));
    team.verdict("web-healthy", "Unknown");
    team.held("chaos", &podchaos("kill"));
    let object = json!({ "apiVersion": "chaos-mesh.org/v1alpha1", "kind": "PodChaos", "metadata": { "name": "kill" } });
    let path = format!("/apis/chaos-mesh.org/v1alpha1/namespaces/{}/podchaos", team.name);
    // kubectl cuts what it shows of an answer short, unless it is to show all.
    let output = team.kubectl.run_with_input(&["create", "--raw", &path, "-f", "-", "-v=10"], &object.to_string()).unwrap();
    let status = status_shown(&output.stderr);
    assert_eq!((&status["code"], &status["reason"]), (&403.into(), &"Forbidden".into()));
    let details = &status["details"];
    assert_eq!((&details["name"], &details["kind"]), (&"kill".into(), &"PodChaos".into()));
    let causes: Vec<(&str, &str)> =
        details["causes"].as_array().unwrap().iter().map(|c| (c["reason"].as_str().unwrap(), c["field"].as_str().unwrap())).collect();
    let field = |check: &str| format!("ExperimentGate/chaos/{check}");
    let (frozen, absent, web) = (field("frozen"), field("absent"), field("web-healthy"));
    assert_eq!(causes, [("CheckFailed", &frozen[..]), ("CheckUnknown", &web[..]), ("CheckMissing", &absent[..])]);
    let missing = format!("there is no PreflightCheck absent in namespace {}", team.name);
    assert_eq!(details["causes"][2]["message"], missing);
}

#[test]
fn transitions_are_told_as_events_and_repetitions_are_not() {
    let team = shared().team("transitions");
    team.deployment("web", 1);
    team.apply(&(rollout("web-healthy", "web") + &podchaos_gate("chaos", &["web-healthy"])));
    team.condition("xgate/chaos", "Open", "True");
    for _ in 0..2 {
        team.break_pods("web");
        team.condition("xgate/chaos", "Open", "False");
        team.run_pods("web");
        team.condition("xgate/chaos", "Open", "True");
    }
    let reasons = |team: &Team<'_>, kind: &str, name: &str| -> Vec<String> {
        let mut reasons: Vec<String> = team.events(kind, name).into_iter().map(|(_, reason, _)| reason).collect();
        reasons.dedup();
        reasons
    };
    eventually("the Events", || {
        let (check, gate) = (reasons(&team, "PreflightCheck", "web-healthy"), reasons(&team, "ExperimentGate", "chaos"));
        let all = |found: &[String], wanted: &[&str]| wanted.iter().all(|reason| found.iter().any(|found| found == reason));
        let told = all(&check, &["CheckFailing", "CheckRecovered"]) && all(&gate, &["GateClosed", "GateOpened"]);
        ensure(told, || format!("{check:?} {gate:?}"))
    });
    let notes = team.events("PreflightCheck", "web-healthy");
    assert!(notes.iter().all(|(_, _, note)| note.starts_with("Deployment/web: ") && !note.contains('\n')), "{notes:?}");
    team.done(&["delete", "deployment", "web"], "");
    eventually("an Event that it is unknown", || {
        let events = team.events("PreflightCheck", "web-healthy");
        let found = events.iter().any(|(_, reason, note)| reason == "CheckUnknown" && note.contains("there is no Deployment web"));
        ensure(found, || format!("{events:?}"))
    });
}

#[test]
fn counters_count_what_was_answered_and_the_newest_twenty_are_kept() {
    let team = shared().team("counters");
    team.apply(&(failing("frozen") + &podchaos_gate("chaos", &["frozen"])));
    team.held("chaos", &podchaos("kill"));
    let objects: String = (0..23).map(|n| podchaos(&format!("kill-{n}"))).collect();
    let output = team.kubectl.run_with_input(&["create", "-f", "-"], &objects).unwrap();
    assert_eq!(output.stderr.matches("denied the request").count(), 23, "{output:?}");
    let status = eventually("23 refusals", || {
        let status = team.get("xgate", "chaos")["status"].clone();
        ensure(status["counters"]["denied"] == 23, || status["counters"].to_string()).map(|()| status)
    });
    let recent = status["recentDecisions"].as_array().unwrap();
    assert_eq!(recent.len(), 20);
    assert_eq!(
        (&recent[0]["object"], &recent[19]["object"]),
        (&format!("PodChaos {}/kill-22", team.name).into(), &format!("PodChaos {}/kill-3", team.name).into())
    );
}

/// The Status in what `kubectl -v=10` prints: as it is, or as a quoted text.
#[track_caller]
fn status_shown(stderr: &str) -> Value {
    let of_value = |text: &str| serde_json::Deserializer::from_str(text).into_iter::<Value>().next()?.ok();
    let mut statuses = stderr.lines().rev().filter_map(|line| {
        let plain = line.find("{\"kind\":\"Status\"").and_then(|at| of_value(&line[at..]));
        let quoted = || line.find("\"{\\\"kind\\\":\\\"Status").and_then(|at| of_value(&line[at..])?.as_str().and_then(of_value));
        plain.or_else(quoted)
    });
    statuses.next().unwrap_or_else(|| panic!("no Status in {stderr}"))
}
