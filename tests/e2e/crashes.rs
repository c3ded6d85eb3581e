//! The operator, its registration or the API server go away and come back. Alone on their control plane.

use crate::manifests::{check, creating, failing, gate, machine, networkchaos, passing, podchaos, podchaos_gate, rollout};
use crate::servers::HttpServer;
use crate::team::Team;
use crate::world::{World, ensure, eventually, exclusive, holds_for, manifest, within};
use std::time::{Duration, Instant};

/// By when all must be right again after a restart.
const RECOVERY: Duration = Duration::from_secs(5);

/// Two gates: one that fails closed, and one on another kind that fails open.
fn gates(world: &World) -> Team<'_> {
    let team = world.team("crash");
    team.deployment("web", 1);
    team.apply(&(rollout("web-healthy", "web") + &podchaos_gate("closed", &["web-healthy"])));
    let rules = creating("chaos-mesh.org", "networkchaos");
    team.apply(&gate(
        "open",
        &format!("{{ mode: Enforce, failurePolicy: Ignore, match: {{ {rules} }}, checks: [{{ name: web-healthy }}] }}"),
    ));
    team.held("closed", &podchaos("kill"));
    team.held("open", &networkchaos("slow"));
    team.condition("xgate/closed", "Open", "True");
    team
}

fn tidy(team: &Team<'_>) {
    team.done(&["delete", "xgate", "--all"], "");
}

#[test]
fn without_the_operator_gates_answer_by_their_failure_policy_and_everything_else_works() {
    let world = exclusive();
    let team = gates(&world);
    world.operator().kill();
    let refused = team.create_refused(&podchaos("kill"));
    assert!(refused.contains("failed calling webhook \"fail.holdpoint.dev\""), "{refused}");
    team.create(&networkchaos("slow"));
    team.create(&machine("db", "Always"));
    team.deployment("other", 2);
    team.apply(&(failing("frozen") + &podchaos_gate("third", &["frozen"])));
    team.done(&["delete", "pfc", "frozen"], "");
    world.team("elsewhere").create(&podchaos("kill"));
    // Meanwhile the target broke: the old status says Passing.
    team.break_pods("web");

    let started = Instant::now();
    world.operator().restart().unwrap();
    assert!(started.elapsed() < RECOVERY, "ready after {:?}", started.elapsed());
    let denial = team.create_refused(&podchaos("kill"));
    assert!(denial.contains("web-healthy FAIL (0/1 available, required 1 available)"), "{denial}");
    assert!(denial.contains("ExperimentGate/third: frozen  there is no PreflightCheck frozen"), "{denial}");
    team.create_refused(&networkchaos("slower"));
    team.done(&["delete", "xgate", "third"], "");
    team.run_pods("web");
    team.done(&["wait", "--for=condition=Open", "xgate/closed", "--timeout=30s"], "");
    within(RECOVERY, "everything to be right again", || {
        let output = team.kubectl.run_with_input(&["create", "-f", "-"], &podchaos("kill")).unwrap();
        ensure(output.code == 0, || output.stderr.clone())
    });
    println!("right again {:.2} s after the operator was started", started.elapsed().as_secs_f64());
    tidy(&team);
}

#[test]
fn an_operator_that_hangs_holds_nobody_up_for_long() {
    let world = exclusive();
    let team = gates(&world);
    world.operator().signal("STOP").unwrap();
    let started = Instant::now();
    let refused = team.create_refused(&podchaos("kill"));
    let took = started.elapsed();
    assert!(refused.contains("failed calling webhook \"fail.holdpoint.dev\"") && refused.contains("timeout=3s"), "{refused}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    team.create(&networkchaos("slow"));
    team.create(&machine("db", "Always"));
    team.break_pods("web");
    world.operator().signal("CONT").unwrap();
    // It answers at once, and what it knew before it hung is no reason to admit.
    let mut answers = Vec::new();
    team.verdict("web-healthy", "Failing");
    for n in 0..3 {
        answers.push(team.create_refused(&podchaos(&format!("kill-{n}"))));
    }
    assert!(answers.iter().all(|answer| answer.contains("web-healthy FAIL (")), "{answers:?}");
    tidy(&team);
}

#[test]
fn no_request_that_is_admitted_while_the_operator_restarts_is_a_false_open() {
    let world = exclusive();
    let team = gates(&world);
    team.break_pods("web");
    team.verdict("web-healthy", "Failing");
    let team = &team;
    for round in 0..3 {
        world.operator().kill();
        let restarted = std::thread::scope(|scope| {
            let restart = scope.spawn(|| world.operator().restart());
            // While it comes up, every answer is a refusal.
            let mut asked = 0;
            while !restart.is_finished() || asked < 5 {
                let refused = team.create_refused(&podchaos(&format!("kill-{round}-{asked}")));
                assert!(refused.contains("fail.holdpoint.dev"), "{refused}");
                asked += 1;
            }
            restart.join().unwrap()
        });
        restarted.unwrap();
    }
    tidy(team);
}

#[test]
fn after_a_restart_a_status_is_believed_no_longer_than_the_check_says() {
    let world = exclusive();
    let team = world.team("amnesia");
    let server = HttpServer::start("200 OK", "");
    let times = "intervalSeconds: 1, timeoutSeconds: 1, staleAfterSeconds: 5";
    team.apply(&check("answers", &format!("{{ {times}, probe: {{ http: {{ url: 'http://{}/' }} }} }}", server.address)));
    team.verdict("answers", "Passing");
    team.apply(&podchaos_gate("chaos", &["answers"]));
    team.held("chaos", &podchaos("kill"));
    team.create(&podchaos("before"));
    world.operator().kill();
    server.stop();
    let written = holds_for(Duration::from_secs(6), || {
        let verdict = team.get("pfc", "answers")["status"]["verdict"].clone();
        ensure(verdict == "Passing", || verdict.to_string())
    });
    written.expect("what was written still stands");
    world.operator().restart().unwrap();
    let denial = team.create_refused(&podchaos("after"));
    assert!(denial.contains("1 of 1 required check not passing: answers "), "{denial}");
    team.verdict_for("answers", "Unknown", "EvaluationError");
    tidy(&team);
}

#[test]
fn deleting_the_webhook_configuration_opens_every_gate_until_the_manifest_is_applied_again() {
    let world = exclusive();
    let team = gates(&world);
    team.break_pods("web");
    team.verdict("web-healthy", "Failing");
    team.create_refused(&podchaos("kill"));
    let admin = world.plane.admin();
    admin.ok(&["delete", "validatingwebhookconfiguration", "holdpoint"]).unwrap();
    eventually("every gate to be open", || {
        let output = team.kubectl.run_with_input(&["create", "--dry-run=server", "-f", "-"], &podchaos("kill")).unwrap();
        ensure(output.code == 0, || output.stderr.clone())
    });
    team.create(&podchaos("kill"));
    let (reason, message) = team.condition("xgate/closed", "Ready", "False");
    assert_eq!(reason, "WebhookNotReady");
    assert_eq!(
        message,
        "there is no ValidatingWebhookConfiguration holdpoint: nothing is held. Apply deploy/install.yaml to bring it back"
    );
    let (status, body) = world.operator().readyz().unwrap();
    assert!(status == 503 && body.contains("[-] registration: there is no ValidatingWebhookConfiguration holdpoint"), "{status} {body}");
    // Also a new gate and a restart do not bring it back.
    team.apply(&podchaos_gate("another", &["web-healthy"]));
    team.condition("xgate/another", "Ready", "False");
    let gone = admin.run(&["get", "validatingwebhookconfiguration", "holdpoint"]).unwrap();
    assert!(gone.stderr.contains("NotFound"), "{gone:?}");

    admin.apply(&manifest()).unwrap();
    // Applying the manifest again sets the Service's port back where the test runs without root.
    team.condition("xgate/closed", "Ready", "True");
    eventually("the gates to hold again", || {
        let output = team.kubectl.run_with_input(&["create", "--dry-run=server", "-f", "-"], &podchaos("kill-again")).unwrap();
        ensure(output.stderr.contains("blocked by ExperimentGate/another and ExperimentGate/closed"), || format!("{output:?}"))
    });
    eventually("the operator to be ready", || {
        let (status, body) = world.operator().readyz().unwrap();
        ensure(status == 200, || body)
    });
    tidy(&team);
}

#[test]
fn applying_the_manifest_again_changes_nothing_for_gates() {
    let world = exclusive();
    let team = gates(&world);
    team.break_pods("web");
    team.verdict("web-healthy", "Failing");
    let uid = |kind: &str, name: &str| {
        let args = ["get", kind, name, "-n", "holdpoint-system", "-o", "jsonpath={.metadata.uid} {.webhooks[*].name} {.data}"];
        world.plane.admin().ok(&args).unwrap()
    };
    let objects = [("validatingwebhookconfiguration", "holdpoint"), ("secret", "holdpoint-webhook-tls")];
    let before = objects.map(|(kind, name)| uid(kind, name));
    world.plane.admin().apply(&manifest()).unwrap();
    assert_eq!(objects.map(|(kind, name)| uid(kind, name)), before);
    team.create_refused(&podchaos("kill"));
    tidy(&team);
}

#[test]
fn when_the_api_server_comes_back_checks_and_gates_are_right_again() {
    let world = exclusive();
    let team = gates(&world);
    team.apply(&passing("window"));
    world.plane.kill_api_server();
    // Its port is free for a moment, and somebody else may get it.
    eventually("the API server to start", || world.plane.start_api_server().map_err(|error| error.to_string()));
    let since = Instant::now();
    // What happens right after is seen, although all watches were cut.
    team.break_pods("web");
    team.verdict("web-healthy", "Failing");
    let denial = eventually("the gate to be closed", || {
        let output = team.kubectl.run_with_input(&["create", "-f", "-"], &podchaos("kill")).unwrap();
        assert_eq!(output.code, 1, "a false open: {output:?}");
        ensure(output.stderr.contains("web-healthy FAIL ("), || output.stderr.clone()).map(|()| output.stderr)
    });
    assert!(denial.contains("blocked by ExperimentGate/closed"), "{denial}");
    team.run_pods("web");
    team.condition("xgate/closed", "Open", "True");
    eventually("the gate to be open", || {
        let output = team.kubectl.run_with_input(&["create", "-f", "-"], &podchaos("kill")).unwrap();
        ensure(output.code == 0, || output.stderr.clone())
    });
    println!("right again {:.2} s after the API server was back", since.elapsed().as_secs_f64());
    world.forgive();
    tidy(&team);
}
