//! Checks by expression.

use crate::manifests::check;
use crate::team::Team;
use crate::world::{ensure, shared, within};
use std::time::Duration;

const DEPLOYMENTS: &str = "targets: { apiVersion: apps/v1, kind: Deployment, selector: {} }";

/// Lets the namespace's checks read kinds in it.
fn may_read(team: &Team<'_>, resources: &str) {
    let (resources, account) = (format!("--resource={resources}"), format!("--serviceaccount={}:default", team.name));
    team.done(&["create", "role", "reads", "--verb=get,list,watch", &resources], "");
    team.done(&["create", "rolebinding", "reads", "--role=reads", &account], "");
}

#[test]
fn an_expression_follows_its_targets() {
    let team = shared().team("cel");
    may_read(&team, "deployments.apps");
    let probe = "{ expression: 'object.spec.replicas >= params.least', params: { least: 2 }, messageExpression: '\"%d of %d\".format([object.spec.replicas, params.least])' }";
    team.apply(&check("replicas", &format!("{{ probe: {{ cel: {probe} }}, {DEPLOYMENTS} }}")));
    team.verdict_for("replicas", "Unknown", "NoTargets");
    team.deployment("web", 2);
    team.says("replicas", "Passing", "Deployment/web: the expression is true");
    assert_eq!(team.get("pfc", "replicas")["status"]["results"][0]["reason"], "ExpressionTrue");
    team.done(&["scale", "deployment", "web", "--replicas=1"], "");
    team.says("replicas", "Failing", "Deployment/web: 1 of 2");
    assert_eq!(team.get("pfc", "replicas")["status"]["results"][0]["reason"], "ExpressionFalse");
    team.done(&["scale", "deployment", "web", "--replicas=3"], "");
    team.says("replicas", "Passing", "Deployment/web: the expression is true");
    team.done(&["delete", "deployment", "web"], "");
    team.verdict_for("replicas", "Unknown", "NoTargets");
}

#[test]
fn all_targets_at_once_are_one_result() {
    let team = shared().team("objects");
    may_read(&team, "deployments.apps");
    let probe = "{ expression: 'objects.filter(o, o.spec.replicas > 0).size() >= 2', message: fewer than two are scaled up }";
    team.apply(&check("two", &format!("{{ probe: {{ cel: {probe} }}, {DEPLOYMENTS} }}")));
    team.deployment("a", 1);
    team.says("two", "Failing", "Deployment/*: fewer than two are scaled up");
    team.deployment("b", 1);
    team.says("two", "Passing", "Deployment/*: the expression is true");
    assert_eq!(team.get("pfc", "two")["status"]["summary"]["targets"], 1);
}

#[test]
fn time_alone_changes_what_names_it() {
    let team = shared().team("now");
    may_read(&team, "deployments.apps");
    let expression = "now - timestamp(object.metadata.creationTimestamp) > duration('8s')";
    team.deployment("web", 1);
    team.apply(&check(
        "settled",
        &format!("{{ probe: {{ cel: {{ expression: \"{expression}\", message: too young }} }}, {DEPLOYMENTS} }}"),
    ));
    team.says("settled", "Failing", "Deployment/web: too young");
    team.says("settled", "Passing", "Deployment/web: the expression is true");
}

#[test]
fn without_targets_there_are_the_time_and_the_parameters() {
    let team = shared().team("alone");
    let probe = "{ expression: 'now.getFullYear(params.zone) >= params.years[0]', params: { zone: Europe/Berlin, years: [2026] } }";
    team.apply(&check("clock", &format!("{{ probe: {{ cel: {probe} }} }}")));
    team.says("clock", "Passing", "expression: the expression is true");
}

#[test]
fn what_has_no_value_is_unknown_and_says_why() {
    let team = shared().team("error");
    may_read(&team, "deployments.apps");
    team.deployment("web", 1);
    for (name, expression, reason, message) in [
        ("field", "object.spec.nothing == 1", "ExpressionError", "Deployment/web: there is no field `nothing`"),
        (
            "type",
            "object.spec.replicas.startsWith('x')",
            "ExpressionError",
            "Deployment/web: a function or an index was given a type that it does not take",
        ),
        (
            "number",
            "object.spec.replicas",
            "ExpressionError",
            "Deployment/web: the expression must be true or false, and it was a value of type int",
        ),
    ] {
        team.apply(&check(name, &format!("{{ probe: {{ cel: {{ expression: \"{expression}\" }} }}, {DEPLOYMENTS} }}")));
        team.says(name, "Unknown", message);
        assert_eq!(team.get("pfc", name)["status"]["results"][0]["reason"], reason, "{name}");
    }
}

#[test]
fn an_expression_that_cannot_work_is_told_at_once() {
    let team = shared().team("mistake");
    team.apply(&check("typo", &format!("{{ probe: {{ cel: {{ expression: 'objct.spec.replicas > 1' }} }}, {DEPLOYMENTS} }}")));
    let message = team.condition_for("pfc/typo", "Ready", "False", "InvalidSpec");
    assert_eq!(message, "spec.probe.cel.expression: there is no `objct` here: use object, objects, now or params");
    team.apply(&check("untargeted", "{ probe: { cel: { expression: 'object.spec.replicas > 1' } } }"));
    let message = team.condition_for("pfc/untargeted", "Ready", "False", "InvalidSpec");
    assert!(message.starts_with("spec.targets: the cel probe needs targets"), "{message}");
    for (probe, refusal) in [
        ("{}", "spec.probe.cel.expression: Required value"),
        ("{ expression: '' }", "spec.probe.cel.expression"),
        ("{ expression: 'true', params: [1] }", "spec.probe.cel.params"),
        (&format!("{{ expression: 'true', message: {} }}", "x".repeat(300)), "spec.probe.cel.message"),
    ] {
        let refused = team.apply_refused(&check("refused", &format!("{{ probe: {{ cel: {probe} }} }}")));
        assert!(refused.contains(refusal), "{probe}: {refused}");
    }
}

#[test]
fn what_the_service_account_may_not_read_no_expression_tells() {
    let team = shared().team("eyes").without_rights();
    team.deployment("web", 1);
    let probe = "{ expression: 'object.spec.replicas == 7', messageExpression: 'string(object.spec.replicas)' }";
    team.apply(&check("curious", &format!("{{ probe: {{ cel: {probe} }}, {DEPLOYMENTS} }}")));
    let message = team.verdict_for("curious", "Unknown", "Forbidden");
    assert!(message.contains(&format!("service account {}", team.name)) && message.contains("may not"), "{message}");
    team.run_printed(&message);
    team.says("curious", "Failing", "Deployment/web: 1");
}

/// A tenant's bombs are their own checks' affair: another namespace's check goes on following its Deployment.
#[test]
fn a_bomb_costs_its_author_an_unknown_and_nobody_else_anything() {
    let (bomber, innocent) = (shared().team("bomber"), shared().team("innocent"));
    may_read(&innocent, "deployments.apps");
    may_read(&bomber, "deployments.apps");
    innocent.deployment("web", 2);
    innocent
        .apply(&check("web", &format!("{{ probe: {{ cel: {{ expression: 'object.status.availableReplicas == 2' }} }}, {DEPLOYMENTS} }}")));
    innocent.says("web", "Passing", "Deployment/web: the expression is true");

    bomber.deployment("fuse", 1);
    let doubling = format!("[string(now)]{}.exists(x, x == '')", ".map(x, x + x)".repeat(26));
    let loops = "lists.range(1000).all(x, lists.range(1000).all(y, lists.range(1000).all(z, x + y + z >= 0)))";
    // What is just cheap enough to be evaluated, all the time.
    let slow =
        "lists.range(100).filter(x, x >= 0 && now == now).size() == 100 && lists.range(60).all(x, lists.range(60).all(y, x + y >= 0))";
    for n in 0..10 {
        for (name, expression) in [("doubling", doubling.as_str()), ("loops", loops)] {
            bomber.apply(&check(
                &format!("{name}-{n}"),
                &format!("{{ probe: {{ cel: {{ expression: \"now == now && {expression}\" }} }} }}"),
            ));
        }
        bomber.apply(&check(&format!("slow-{n}"), &format!("{{ probe: {{ cel: {{ expression: \"{slow}\" }} }} }}")));
    }
    for name in ["doubling-9", "loops-9"] {
        let message = bomber.verdict_for(name, "Unknown", "EvaluationError");
        assert!(message.contains("the expression was not evaluated"), "{message}");
        assert_eq!(bomber.get("pfc", name)["status"]["results"][0]["reason"], "TooCostly");
    }
    for _ in 0..3 {
        innocent.break_pods("web");
        within(Duration::from_secs(10), "the innocent check to fail", || {
            let object = innocent.get("pfc", "web");
            ensure(object["status"]["verdict"] != "Passing", || object["status"].to_string())
        });
        innocent.run_pods("web");
        innocent.says("web", "Passing", "Deployment/web: the expression is true");
    }
}
