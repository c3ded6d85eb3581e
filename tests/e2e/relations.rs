//! What a check owes to others, to its environment and to the request.

use crate::manifests::{check, failing, passing, podchaos, podchaos_gate};
use crate::servers::HttpServer;
use crate::world::{ensure, eventually, shared};
use serde_json::Value;

#[test]
fn a_composite_follows_its_members_and_a_quorum_of_them_is_enough() {
    let team = shared().team("composite");
    let members = "probe: { composite: { checks: [{ name: a }, { name: b }, { name: c }] } }";
    team.apply(&[passing("a"), passing("b"), check("two-of-three", &format!("{{ {members}, quorum: {{ minPassing: 2 }} }}"))].concat());
    team.verdict_for("two-of-three", "Passing", "QuorumMet");
    team.apply(&failing("c"));
    team.verdict_for("two-of-three", "Passing", "QuorumMet");
    team.apply(&failing("b"));
    let message = team.verdict_for("two-of-three", "Failing", "TargetsFailing");
    assert!(message.starts_with("1 of 3 targets pass, 2 needed; PreflightCheck/"), "{message}");
    let either = "probe: { composite: { checks: [{ name: a }, { name: b }], expression: 'verdicts.a == \"Passing\" || verdicts.b == \"Passing\"' } }";
    team.apply(&check("either", &format!("{{ {either} }}")));
    assert_eq!(team.verdict("either", "Passing").1, "expression: the expression is true: a is Passing, b is Failing");
}

#[test]
fn what_depends_on_a_check_waits_for_it_and_a_circle_is_named() {
    let team = shared().team("depends");
    let server = HttpServer::start("200 OK", "fine");
    let brisk = "intervalSeconds: 1, timeoutSeconds: 1, staleAfterSeconds: 60";
    let schema =
        format!("{{ {brisk}, dependsOn: [{{ name: database }}], probe: {{ http: {{ url: 'http://{}/schema' }} }} }}", server.address);
    team.apply(&[failing("database"), check("schema", &schema)].concat());
    let message = team.verdict_for("schema", "Unknown", "DependencyNotPassing");
    assert!(message.starts_with("it depends on database, which does not pass: "), "{message}");
    assert!(server.seen().is_empty(), "it was not to be asked: {:?}", server.seen());
    team.apply(&passing("database"));
    team.verdict("schema", "Passing");
    let on = |name: &str, other: &str| {
        check(
            name,
            &format!("{{ dependsOn: [{{ name: {other} }}], probe: {{ window: {{ allowed: [{{ from: '00:00', to: '24:00' }}] }} }} }}"),
        )
    };
    team.apply(&[on("hen", "egg"), on("egg", "hen")].concat());
    let message = team.condition_for("pfc/hen", "Ready", "False", "InvalidSpec");
    assert_eq!(message, "spec.dependsOn: a circle, in which no check could come first: hen → egg → hen");
}

#[test]
fn the_namespace_s_environment_picks_the_override_and_the_status_says_so() {
    let team = shared().team("environment");
    let admin = team.world.plane.admin();
    let spec =
        "{ probe: { window: { allowed: [{ from: '00:00', to: '24:00' }] } }, overrides: [{ environment: production, suspend: true }] }";
    team.apply(&check("somewhere", spec));
    team.verdict("somewhere", "Passing");
    admin.ok(&["label", "namespace", &team.name, "holdpoint.dev/environment=production"]).unwrap();
    team.verdict_for("somewhere", "Unknown", "Suspended");
    let status = &team.get("pfc", "somewhere")["status"];
    assert_eq!((&status["environment"], &status["effective"]["suspend"]), (&"production".into(), &true.into()));
    admin.ok(&["label", "namespace", &team.name, "holdpoint.dev/environment-"]).unwrap();
    team.verdict("somewhere", "Passing");
    assert_eq!(team.get("pfc", "somewhere")["status"]["environment"], Value::Null);
}

#[test]
fn a_check_that_does_not_apply_to_a_request_does_not_hold_it() {
    let team = shared().team("when");
    let closed = "probe: { window: { blackouts: [{ name: freeze, dates: { from: '2020-01-01', to: '2099-12-31' } }] } }";
    let only_prod = format!("{{ when: \"object.metadata.name.startsWith('prod-')\", {closed} }}");
    team.apply(&[check("freeze", &only_prod), podchaos_gate("chaos", &["freeze"])].concat());
    team.verdict("freeze", "Failing");
    team.held("chaos", &podchaos("prod-kill"));
    assert!(team.create_refused(&podchaos("prod-kill")).contains("freeze"));
    team.create(&podchaos("test-kill"));
    // About the check itself: here it never applies.
    team.apply(&check("elsewhere", &format!("{{ when: \"environment == 'nowhere'\", {closed} }}")));
    team.verdict_for("elsewhere", "Unknown", "NotApplicable");
}

#[test]
fn what_passed_is_not_run_again_until_it_is_asked_for() {
    let team = shared().team("reuse");
    let server = HttpServer::start("200 OK", "fine");
    let brisk = "intervalSeconds: 1, timeoutSeconds: 1, staleAfterSeconds: 2, retries: { attempts: 1 }";
    let spec =
        format!("{{ {brisk}, reuse: {{ policy: UntilSpecChanges }}, probe: {{ http: {{ url: 'http://{}/licence' }} }} }}", server.address);
    team.apply(&[check("licence", &spec), podchaos_gate("chaos", &["licence"])].concat());
    team.verdict("licence", "Passing");
    team.held("chaos", &podchaos("kill"));
    server.answer("500 Internal Server Error", "gone");
    let asked = server.seen().len();
    crate::world::holds_for(std::time::Duration::from_secs(4), || ensure(server.seen().len() == asked, || format!("{:?}", server.seen())))
        .unwrap();
    // Longer than it would be believed if it had to be renewed.
    team.create(&podchaos("kill"));
    team.done(&["annotate", "pfc", "licence", "holdpoint.dev/evaluate-at=now"], "");
    team.verdict("licence", "Failing");
    assert_eq!(team.get("pfc", "licence")["status"]["evaluatedAtRequest"], "now");
}

#[test]
fn a_check_that_failed_must_pass_for_a_while() {
    let team = shared().team("hold-down");
    team.deployment("web", 1);
    let targets = "targets: { apiVersion: apps/v1, kind: Deployment, name: web }";
    team.apply(&check("steady", &format!("{{ holdDownSeconds: 4, probe: {{ condition: {{ type: Available }} }}, {targets} }}")));
    team.verdict("steady", "Passing");
    team.break_pods("web");
    team.verdict_for("steady", "Failing", "TargetsFailing");
    team.run_pods("web");
    assert!(team.verdict_for("steady", "Failing", "HoldDown").starts_with("passes again, and must do so until "));
    team.verdict("steady", "Passing");
}

#[test]
fn targets_of_several_namespaces_need_the_right_in_all_of_them() {
    let (team, other) = (shared().team("many"), shared().team("many-too"));
    let admin = team.world.plane.admin();
    for namespace in [&team.name, &other.name] {
        admin.ok(&["label", "namespace", namespace, &format!("fleet={}", team.name)]).unwrap();
    }
    team.deployment("web", 1);
    other.deployment("web", 1);
    let selector = format!("selector: {{}}, namespaceSelector: {{ matchLabels: {{ fleet: {} }} }}", team.name);
    team.apply(&check(
        "fleet",
        &format!("{{ probe: {{ rollout: {{}} }}, targets: {{ apiVersion: apps/v1, kind: Deployment, {selector} }} }}"),
    ));
    let message = team.verdict_for("fleet", "Unknown", "Forbidden");
    assert!(!message.contains(&other.name), "the name of a namespace that the account may not know: {message}");
    let account = format!("--serviceaccount={}:default", team.name);
    other.done(&["create", "rolebinding", "fleet", "--clusterrole=holdpoint-reader", &account], "");
    team.verdict("fleet", "Passing");
    other.break_pods("web");
    let (_, message) = team.verdict("fleet", "Failing");
    assert!(message.contains(&format!("{}/Deployment/web", other.name)), "{message}");
    eventually("the summary", || {
        let summary = team.get("pfc", "fleet")["status"]["summary"].clone();
        ensure(summary["targets"] == 2 && summary["failing"] == 1, || summary.to_string())
    });
}
