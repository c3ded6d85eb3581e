//! What gates ask of their checks beyond "all of them", what they predict, and who is asked to come back.

use crate::manifests::{check, creating, failing, gate, passing, podchaos};
use crate::servers::HttpServer;
use crate::world::{ensure, eventually, shared};
use serde_json::Value;
use std::net::TcpListener;

/// A gate that enforces, for the creation of `PodChaos`.
fn enforcing(name: &str, more: &str) -> String {
    gate(name, &format!("{{ mode: Enforce, match: {{ {} }}, {more} }}", creating("chaos-mesh.org", "podchaos")))
}

/// A check of a tier, with a verdict that does not change.
fn tier(name: &str, priority: i32, passes: bool) -> String {
    let made = if passes { passing(name) } else { failing(name) };
    made.replacen("spec: {", &format!("spec: {{ priority: {priority},"), 1)
}

/// A check that is being evaluated for as long as the test runs: the peer takes the connection and says nothing.
fn endless(name: &str, listener: &TcpListener) -> String {
    let address = listener.local_addr().unwrap();
    let times = "intervalSeconds: 60, timeoutSeconds: 60, staleAfterSeconds: 120, retries: { attempts: 1 }";
    check(name, &format!("{{ {times}, probe: {{ http: {{ url: 'http://{address}/' }} }} }}"))
}

#[test]
fn some_of_several_checks_are_enough() {
    let team = shared().team("some");
    team.apply(&(passing("mirror-a") + &failing("mirror-b")));
    let of = "of: [{ name: mirror-a }, { name: mirror-b }, { name: mirror-c }]";
    team.apply(&enforcing("chaos", &format!("atLeast: {{ count: 2, {of} }}")));
    team.held("chaos", &podchaos("kill"));
    let denial = team.create_refused(&podchaos("kill"));
    let first = denial.lines().next().unwrap();
    assert!(
        first.contains("1 of 1 required check not passing: 2 of [mirror-a, mirror-b, mirror-c] FAIL (1 of 3 pass, 2 needed; "),
        "{denial}"
    );
    team.apply(&passing("mirror-c"));
    eventually("the start to be admitted", || {
        let output = team.kubectl.run_with_input(&["create", "-f", "-"], &podchaos("kill")).map_err(|error| error.to_string())?;
        ensure(output.code == 0, || output.stderr)
    });
    let refused = team.apply_refused(&enforcing("few", "atLeast: { count: 2, of: [{ name: mirror-a }] }"));
    assert!(refused.contains("there are fewer checks than must pass"), "{refused}");
    let refused = team.apply_refused(&enforcing("none", "checks: []"));
    assert!(refused.contains("at least one check is required"), "{refused}");
}

#[test]
fn tiers_are_left_out_beyond_a_priority_or_after_the_first_that_refuses() {
    let team = shared().team("tiers");
    team.apply(&(tier("net", 0, true) + &tier("db", 10, false) + &tier("rules", 20, false)));
    let checks = "checks: [{ name: net }, { name: db }, { name: rules }]";
    team.apply(&enforcing("all", checks));
    team.held("all", &podchaos("kill"));
    assert!(team.create_refused(&podchaos("kill")).contains("2 of 3 required checks not passing: db FAIL"));

    team.apply(&enforcing("all", &format!("{checks}, stopAtFirstFailure: true")));
    eventually("the message to be about the first tier that refuses", || {
        let denial = team.create_refused(&podchaos("kill"));
        ensure(
            denial.contains("1 of 3 required checks not passing: db FAIL")
                && !denial.contains("rules")
                && denial.contains("\n  SKIP     1 check of a later tier (stopAtFirstFailure)"),
            || denial.clone(),
        )
    });

    team.apply(&enforcing("all", &format!("{checks}, maxPriority: 9")));
    eventually("the start to be admitted", || {
        let output = team.kubectl.run_with_input(&["create", "-f", "-"], &podchaos("kill")).map_err(|error| error.to_string())?;
        ensure(output.code == 0, || output.stderr)
    });
}

#[test]
fn a_gate_may_want_a_probed_verdict_to_be_newer_than_its_check_does() {
    let team = shared().team("age");
    let server = HttpServer::start("200 OK", "");
    let times = "intervalSeconds: 3600, timeoutSeconds: 1, staleAfterSeconds: 7200, retries: { attempts: 1 }";
    team.apply(&check("answers", &format!("{{ {times}, probe: {{ http: {{ url: 'http://{}/' }} }} }}", server.address)));
    team.verdict("answers", "Passing");
    team.apply(&enforcing("patient", "checks: [{ name: answers, maxAgeSeconds: 3600 }]"));
    team.condition("xgate/patient", "Open", "True");
    team.apply(&enforcing("strict", "checks: [{ name: answers, maxAgeSeconds: 1 }]"));
    team.held("strict", &podchaos("kill"));
    eventually("the verdict to be too old for the gate that is strict", || {
        let output = team.kubectl.run_with_input(&["create", "--dry-run=server", "-f", "-"], &podchaos("kill")).unwrap();
        let told =
            output.stderr.contains("blocked by ExperimentGate/strict: 1 of 1 required check not passing: answers STALE (last evaluated ")
                && output.stderr.contains(", this gate believes it for 1s)");
        ensure(told, || output.stderr)
    });
    assert_eq!(team.condition("xgate/strict", "Open", "False").0, "ChecksStale");
    team.condition("xgate/patient", "Open", "True");
}

#[test]
fn a_gate_in_mode_audit_predicts_in_status_metric_and_log() {
    let team = shared().team("predicts");
    team.apply(&(failing("frozen") + &passing("window")));
    let spec = format!(
        "{{ mode: Audit, match: {{ {} }}, checks: [{{ name: window }}, {{ name: frozen }}] }}",
        creating("chaos-mesh.org", "podchaos")
    );
    team.apply(&gate("chaos", &spec));
    team.held("chaos", &podchaos("kill"));
    team.create(&podchaos("kill"));
    let entry = eventually("the prediction in the gate's status", || {
        let entry = team.get("xgate", "chaos")["status"]["recentDecisions"][0].clone();
        ensure(entry["wouldBe"] == "Deny", || entry.to_string()).map(|()| entry)
    });
    assert_eq!((&entry["decision"], &entry["generation"]), (&"Allow".into(), &1.into()));
    assert!(entry["message"].as_str().unwrap().contains("would be blocked by ExperimentGate/chaos: 1 of 2 "), "{entry}");
    let checks: Vec<(&str, &str)> =
        entry["checks"].as_array().unwrap().iter().map(|c| (c["check"].as_str().unwrap(), c["verdict"].as_str().unwrap())).collect();
    assert_eq!(checks, [("frozen", "Failing"), ("window", "Passing")]);
    assert!(entry["checks"].as_array().unwrap().iter().all(|check| check["ageSeconds"].is_u64()), "{entry}");

    let labels = [&format!("gate=\"{}/chaos\"", team.name)[..], "decision=\"Deny\"", "mode=\"Audit\"", "dry_run=\"false\""];
    assert_eq!(team.world.metric("holdpoint_predictions_total", &labels), 1);
    let id = entry["id"].as_str().unwrap().to_owned();
    let line = eventually("the log line", || {
        let log = team.world.log();
        log.lines().find(|line| line.contains(&id)).map(str::to_owned).ok_or_else(|| "no line has the id".to_owned())
    });
    let line: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&line["decision"], &line["would_be"], &line["gate_generation"]), (&"Allow".into(), &"Deny".into(), &1.into()));
    let checks = line["checks"].as_str().unwrap();
    assert!(checks.starts_with("frozen=Failing ") && checks.contains(", window=Passing "), "{checks}");
}

#[test]
fn people_are_asked_to_come_back_and_accounts_of_the_system_are_not() {
    let team = shared().team("hold");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    team.apply(&endless("answers", &listener));
    team.verdict_for("answers", "Unknown", "NeverEvaluated");
    team.apply(&enforcing("chaos", "checks: [{ name: answers }], respond: { unknown: Hold }, holdSeconds: 3"));

    // A dry run is told so at once.
    let dry = &["create", "--dry-run=server", "-f", "-"];
    let denial = eventually("the gate to hold", || {
        let output = team.kubectl.run_with_input(dry, &podchaos("kill")).unwrap();
        ensure(output.code == 1, || "admitted".to_owned()).map(|()| output.stderr)
    });
    assert!(denial.starts_with("Error from server (Forbidden): "), "{denial}");
    assert!(denial.contains("nothing is begun for a dry run: it would be held for up to 3s while they are evaluated"), "{denial}");

    // So is a service account, whose controller would stall.
    team.done(&["create", "rolebinding", "starts", "--clusterrole=cluster-admin", &format!("--serviceaccount={}:default", team.name)], "");
    let account = team.world.plane.service_account(&team.name, "default").unwrap().in_namespace(&team.name);
    // A right takes effect a moment after it was given.
    let output = eventually("the account to be refused by the gate", || {
        let output = account.run_with_input(&["create", "-f", "-", "-v=8"], &podchaos("kill")).unwrap();
        ensure(output.stderr.contains("accounts of the system are not asked to wait"), || output.stderr.clone()).map(|()| output)
    });
    assert!(!output.stderr.contains("429"), "{}", output.stderr);

    // Whoever waits is asked to, and comes back without a word.
    let output = team.kubectl.run_with_input(&["create", "-f", "-", "-v=8"], &podchaos("kill")).unwrap();
    assert_eq!(output.code, 1, "{output:?}");
    let tries = output.stderr.matches("429 Too Many Requests").count();
    assert!(tries >= 2 && output.stderr.contains("Retry-After: 1"), "{tries}: {}", output.stderr);
    eventually("the answers to be counted", || {
        let status = team.get("xgate", "chaos")["status"].clone();
        let held: Vec<&Value> = status["recentDecisions"].as_array().unwrap().iter().filter(|entry| entry["decision"] == "Hold").collect();
        ensure(status["counters"]["held"].as_i64() >= Some(2) && held.len() == 1, || status.to_string())
    });
    let labels = [&format!("gate=\"{}/chaos\"", team.name)[..], "decision=\"Hold\""];
    assert!(team.world.metric("holdpoint_decisions_total", &labels) >= 2);
}
