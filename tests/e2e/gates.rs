//! What gates answer, by mode and by what they find.

use crate::manifests::{check, creating, failing, gate, networkchaos, passing, podchaos, podchaos_gate, rollout};
use crate::servers::HttpServer;
use crate::team::steady;
use crate::world::{ensure, eventually, shared};

#[test]
fn a_start_is_refused_while_a_required_check_fails_and_admitted_once_it_passes() {
    let team = shared().team("enforce");
    team.deployment("web", 2);
    team.apply(&check(
        "web-healthy",
        "{ probe: { rollout: {} }, targets: { apiVersion: apps/v1, kind: Deployment, name: web }, \
         remediation: { message: Scale web back to 2, url: 'https://runbooks.example/web', owner: team-web } }",
    ));
    team.apply(&passing("window"));
    team.apply(&podchaos_gate("chaos", &["web-healthy", "window"]));
    team.held("chaos", &podchaos("kill"));
    team.condition("xgate/chaos", "Open", "True");
    team.break_pods("web");
    team.verdict("web-healthy", "Failing");

    let ns = &team.name;
    let denial = format!(
        "Error from server (Forbidden): error when creating \"STDIN\": admission webhook \"fail.holdpoint.dev\" denied the request: \
         PodChaos {ns}/kill blocked by ExperimentGate/chaos: 1 of 2 required checks not passing: \
         web-healthy FAIL (0/2 available, required 2 available) [d-ID]\n\
         \x20 FAIL     web-healthy  Deployment/web: 0/2 replicas available, at least 2 required (minReady 100%)  (… ago)\n\
         \x20 PASS     window\n\
         fix:  Scale web back to 2; see https://runbooks.example/web; ask team-web\n\
         wait: kubectl wait --for=condition=Open xgate/chaos -n {ns} --timeout=10m"
    );
    assert_eq!(steady(&team.create_refused(&podchaos("kill"))), denial);

    // The command that the message prints.
    let (reason, message) = team.condition("xgate/chaos", "Open", "False");
    assert_eq!((&reason[..], &message[..]), ("ChecksFailing", "1 of 2 required checks not passing (failing): web-healthy"));
    let blockers = team.get("xgate", "chaos")["status"]["blockers"].clone();
    assert_eq!((&blockers[0]["check"], &blockers[0]["verdict"]), (&"web-healthy".into(), &"Failing".into()));
    team.run_pods("web");
    team.world.plane.admin().ok(&["wait", "--for=condition=Open", "xgate/chaos", "-n", ns, "--timeout=30s"]).unwrap();
    assert_eq!(team.create(&podchaos("kill")).stdout, "podchaos.chaos-mesh.org/kill created\n");
    let table = team.kubectl.ok(&["get", "xgate"]).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["NAME", "OPEN", "MODE", "BLOCKERS", "DENIED", "AGE"]);
    assert_eq!(rows[1][..4], ["chaos", "True", "Enforce", "0"]);
}

#[test]
fn a_gate_warns_by_default_and_says_that_it_does() {
    let team = shared().team("warn");
    team.apply(&failing("frozen"));
    team.apply(&gate("chaos", &format!("{{ match: {{ {} }}, checks: [{{ name: frozen }}] }}", creating("chaos-mesh.org", "podchaos"))));
    team.held("chaos", &podchaos("kill"));
    let output = team.create(&podchaos("kill"));
    assert_eq!(output.stdout, "podchaos.chaos-mesh.org/kill created\n");
    let warning = "Warning: ExperimentGate/chaos would block: frozen FAIL (blackout ";
    assert!(output.stderr.starts_with(warning) && output.stderr.lines().count() == 1, "{output:?}");
    // For pipelines that want to be strict.
    let strict = team.kubectl.run_with_input(&["create", "--warnings-as-errors", "-f", "-"], &podchaos("strict")).unwrap();
    assert_eq!(strict.code, 1, "{strict:?}");
    assert!(strict.stderr.ends_with("error: 1 warning received\n"), "{strict:?}");
    let (_, message) = team.condition("xgate/chaos", "Open", "False");
    assert!(message.ends_with("; mode is Warn: starts are admitted with a warning"), "{message}");
}

#[test]
fn a_gate_in_mode_audit_is_silent_and_records_what_it_would_have_refused() {
    let team = shared().team("audit");
    team.apply(&failing("frozen"));
    let rules = creating("chaos-mesh.org", "podchaos");
    team.apply(&gate("chaos", &format!("{{ mode: Audit, match: {{ {rules} }}, checks: [{{ name: frozen }}] }}")));
    team.held("chaos", &podchaos("kill"));
    assert_eq!(team.create(&podchaos("kill")).stderr, "");
    eventually("the decision to be recorded", || {
        let status = team.get("xgate", "chaos")["status"].clone();
        let last = &status["recentDecisions"][0];
        ensure(last["decision"] == "Allow" && last["wouldBe"] == "Deny" && status["counters"]["admitted"] == 1, || status.to_string())
    });
}

#[test]
fn one_message_names_all_gates_that_refuse() {
    let team = shared().team("two");
    team.apply(&(failing("frozen") + &rollout("web-healthy", "web")));
    team.apply(&(podchaos_gate("release", &["frozen"]) + &podchaos_gate("shop", &["web-healthy"])));
    // One that the API server calls through the other entry.
    let lenient = format!(
        "{{ mode: Enforce, failurePolicy: Ignore, match: {{ {} }}, checks: [{{ name: frozen }}] }}",
        creating("chaos-mesh.org", "podchaos")
    );
    team.apply(&gate("lenient", &lenient));
    for gate in ["release", "shop", "lenient"] {
        team.held(gate, &podchaos("kill"));
    }
    team.verdict("web-healthy", "Unknown");
    for _ in 0..5 {
        let denial = steady(&team.create_refused(&podchaos("kill")));
        let first = denial.lines().next().unwrap();
        assert!(
            first.contains("blocked by ExperimentGate/lenient and ExperimentGate/release and ExperimentGate/shop: 3 of 3 "),
            "{denial}"
        );
        assert!(denial.contains("\n  FAIL     ExperimentGate/release: frozen  "), "{denial}");
        assert!(denial.contains("\n  UNKNOWN  ExperimentGate/shop: web-healthy  there is no Deployment web"), "{denial}");
        assert_eq!(denial.matches("wait: ").count(), 1, "{denial}");
    }
}

#[test]
fn missing_unknown_suspended_and_stale_checks_do_not_pass() {
    let team = shared().team("closed");
    team.apply(&podchaos_gate("chaos", &["web-healthy"]));
    team.held("chaos", &podchaos("kill"));
    let first_line = || team.create_refused(&podchaos("kill")).lines().next().unwrap().to_owned();
    let absent = format!("web-healthy MISSING (there is no PreflightCheck web-healthy in namespace {})", team.name);
    assert!(first_line().contains(&absent), "{}", first_line());
    assert_eq!(team.condition("xgate/chaos", "Open", "False").0, "ChecksMissing");

    team.apply(&rollout("web-healthy", "web"));
    team.verdict("web-healthy", "Unknown");
    assert!(first_line().contains(&format!("web-healthy UNKNOWN (there is no Deployment web in namespace {})", team.name)));
    team.condition_for("xgate/chaos", "Open", "False", "ChecksUnknown");

    let patch = r#"{"spec":{"suspend":true}}"#;
    team.done(&["patch", "pfc", "web-healthy", "--type=merge", "--patch", patch], "");
    team.verdict_for("web-healthy", "Unknown", "Suspended");
    assert!(first_line().contains("web-healthy UNKNOWN (evaluation is suspended (spec.suspend))"), "{}", first_line());

    let server = HttpServer::start("200 OK", "");
    team.done(&["delete", "pfc", "web-healthy"], "");
    team.apply(&growing_old("web-healthy", &server));
    team.verdict("web-healthy", "Passing");
    team.create(&podchaos("admitted"));
    server.answer("500 Internal Server Error", "");
    team.verdict_for("web-healthy", "Unknown", "Stale");
    assert!(first_line().contains("web-healthy STALE ("), "{}", first_line());
    team.condition_for("xgate/chaos", "Open", "False", "ChecksStale");
    team.done(&["delete", "pfc", "web-healthy"], "");
    eventually("the deleted check to be missed", || ensure(first_line().contains(&absent), first_line));
}

/// A check whose answer grows old when the server stops answering 200: the next evaluation tries for minutes.
fn growing_old(name: &str, server: &HttpServer) -> String {
    let times = "intervalSeconds: 1, timeoutSeconds: 1, staleAfterSeconds: 3, retries: { attempts: 10, backoffSeconds: 60 }";
    check(name, &format!("{{ {times}, probe: {{ http: {{ url: 'http://{}/' }} }} }}", server.address))
}

#[test]
fn respond_says_what_each_way_of_not_passing_means() {
    let team = shared().team("respond");
    let server = HttpServer::start("200 OK", "");
    team.apply(&(failing("frozen") + &rollout("no-target", "web") + &growing_old("old", &server)));
    team.verdict("old", "Passing");
    server.answer("500 Internal Server Error", "");
    team.verdict_for("old", "Unknown", "Stale");
    let checks = "[{ name: frozen }, { name: no-target }, { name: old }, { name: absent }]";
    let of = |name: &str, respond: &str| {
        let rules = creating("chaos-mesh.org", "podchaos");
        gate(name, &format!("{{ mode: Enforce, match: {{ {rules} }}, checks: {checks}, respond: {{ {respond} }} }}"))
    };
    let warned = |respond: &str| {
        team.apply(&of("chaos", respond));
        let (_, _) = team.condition("xgate/chaos", "Ready", "True");
        team.held("chaos", &podchaos("kill"));
        let output = team.kubectl.run_with_input(&["create", "--dry-run=server", "-f", "-"], &podchaos("kill")).unwrap();
        (output.code, output.stderr)
    };
    let (code, stderr) = warned("failing: Warn, unknown: Warn, stale: Warn, missing: Warn");
    assert_eq!((code, stderr.lines().count()), (0, 4), "{stderr}");
    for cause in ["frozen FAIL (", "no-target UNKNOWN (", "old STALE (", "absent MISSING ("] {
        assert!(stderr.contains(&format!("Warning: ExperimentGate/chaos warns: {cause}")), "{cause}: {stderr}");
    }
    assert_eq!(warned("failing: Allow, unknown: Allow, stale: Allow, missing: Allow"), (0, String::new()));
    for (deny, cause) in
        [("failing", "frozen FAIL"), ("unknown", "no-target UNKNOWN"), ("stale", "old STALE"), ("missing", "absent MISSING")]
    {
        let respond =
            ["failing", "unknown", "stale", "missing"].map(|way| format!("{way}: {}", if way == deny { "Deny" } else { "Allow" }));
        let (code, stderr) = warned(&respond.join(", "));
        assert!(code == 1 && stderr.contains(&format!("1 of 4 required checks not passing: {cause} (")), "{deny}: {stderr}");
    }
}

#[test]
fn an_advisory_check_warns_and_never_blocks() {
    let team = shared().team("advisory");
    let freeze = "blackouts: [{ name: freeze, dates: { from: '2020-01-01', to: '2099-12-31' } }]";
    team.apply(&check("calm", &format!("{{ severity: Advisory, probe: {{ window: {{ {freeze} }} }} }}")));
    team.apply(&podchaos_gate("chaos", &["calm"]));
    team.held("chaos", &podchaos("kill"));
    let output = team.create(&podchaos("kill"));
    assert!(output.stderr.starts_with("Warning: ExperimentGate/chaos warns: calm FAIL (blackout "), "{output:?}");
    assert_eq!(team.condition("xgate/chaos", "Open", "True").0, "ChecksPassing");
}

#[test]
fn a_selector_requires_checks_that_come_later_and_at_least_one() {
    let team = shared().team("selector");
    let rules = creating("chaos-mesh.org", "podchaos");
    let checks = "[{ selector: { matchLabels: { tier: infra } } }]";
    team.apply(&gate("chaos", &format!("{{ mode: Enforce, match: {{ {rules} }}, checks: {checks} }}")));
    team.held("chaos", &podchaos("kill"));
    let denial = team.create_refused(&podchaos("kill"));
    let missing = format!("MISSING (no PreflightCheck in namespace {} has the labels tier=infra)", team.name);
    assert!(denial.contains(&missing), "{denial}");
    team.apply(&passing("one"));
    team.done(&["label", "pfc", "one", "tier=infra"], "");
    team.condition("xgate/chaos", "Open", "True");
    team.create(&podchaos("kill"));
    team.apply(&failing("two"));
    team.done(&["label", "pfc", "two", "tier=infra"], "");
    team.condition("xgate/chaos", "Open", "False");
    let denial = team.create_refused(&podchaos("kill-again"));
    assert!(denial.contains("1 of 2 required checks not passing: two FAIL (") && denial.contains("\n  PASS     one\n"), "{denial}");
}

#[test]
fn quorum_decides_for_a_gate_too() {
    let team = shared().team("gate-quorum");
    for app in ["a", "b"] {
        team.deployment(app, 1);
        team.done(&["label", "deployment", app, "part-of=shop"], "");
    }
    let targets = "targets: { apiVersion: apps/v1, kind: Deployment, selector: { matchLabels: { part-of: shop } } }";
    team.apply(&check("half", &format!("{{ probe: {{ rollout: {{}} }}, {targets}, quorum: {{ minPassing: '50%' }} }}")));
    team.apply(&podchaos_gate("chaos", &["half"]));
    team.held("chaos", &podchaos("kill"));
    team.break_pods("a");
    team.verdict_for("half", "Passing", "QuorumMet");
    team.create(&podchaos("kill"));
    team.break_pods("b");
    team.verdict("half", "Failing");
    let denial = team.create_refused(&podchaos("kill-again"));
    assert!(denial.contains("0 of 2 targets pass, 1 needed"), "{denial}");
}

#[test]
fn what_no_gate_names_is_not_held() {
    let team = shared().team("other-kind");
    team.apply(&(failing("frozen") + &podchaos_gate("chaos", &["frozen"])));
    team.held("chaos", &podchaos("kill"));
    assert_eq!(team.create(&networkchaos("slow")).stderr, "");
    let neighbour = shared().team("neighbour");
    assert_eq!(neighbour.create(&podchaos("kill")).stderr, "");
    // A check does not open or close gates of other namespaces.
    team.create_refused(&podchaos("kill"));
}
