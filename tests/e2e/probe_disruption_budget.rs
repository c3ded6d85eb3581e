//! Checks of disruption budgets.

use crate::manifests::check;
use crate::world::shared;
use std::path::Path;

fn budget_check(name: &str, probe: &str, kind: &str, target: &str) -> String {
    check(name, &format!("{{ probe: {{ disruptionBudget: {probe} }}, targets: {{ {kind}, name: {target} }} }}"))
}

const DEPLOYMENT: &str = "apiVersion: apps/v1, kind: Deployment";

#[test]
fn a_budget_is_asked_for_made_and_followed() {
    let team = shared().team("budget");
    team.apply(&budget_check("may-go", "{}", DEPLOYMENT, "web"));
    team.apply(&budget_check("if-any", "{ uncovered: Allowed }", DEPLOYMENT, "web"));
    assert_eq!(team.verdict_for("may-go", "Unknown", "NoTargets"), format!("there is no Deployment web in namespace {}", team.name));
    team.deployment("web", 3);
    let command = format!("kubectl -n {} create pdb web --selector=app=web --max-unavailable=1", team.name);
    team.says("may-go", "Failing", &format!("Deployment/web: no PodDisruptionBudget covers its pods; add one: {command}"));
    team.says("if-any", "Passing", "Deployment/web: no PodDisruptionBudget limits its disruptions");
    // As it is printed.
    let args: Vec<&str> = command.split_whitespace().skip(1).collect();
    team.world.plane.admin().ok(&args).unwrap();
    team.says("may-go", "Passing", "Deployment/web: PodDisruptionBudget web allows 1 disruption (3 of 3 pods healthy, 2 must be)");

    team.break_pods("web");
    let none = "Deployment/web: PodDisruptionBudget web allows 0 disruptions (0 of 3 pods healthy, 2 must be), 1 needed";
    team.says("may-go", "Failing", none);
    assert_eq!(team.get("pfc", "may-go")["status"]["results"][0]["reason"], "TooFewDisruptionsAllowed");
    team.run_pods("web");
    team.verdict("may-go", "Passing");

    team.done(&["create", "pdb", "all", "--selector=app", "--min-available=1"], "");
    let several = "Deployment/web: 2 PodDisruptionBudgets cover its pods, so none can be evicted; keep one of: all, web";
    team.says("may-go", "Failing", several);
    team.done(&["delete", "pdb", "all"], "");
    team.verdict("may-go", "Passing");
}

#[test]
fn what_has_no_pods_has_no_data() {
    let team = shared().team("podless");
    team.done(&["create", "service", "clusterip", "web", "--tcp=80"], "");
    team.apply(&budget_check("may-go", "{}", "apiVersion: v1, kind: Service", "web"));
    let message = team.verdict_for("may-go", "Unknown", "NoData");
    assert_eq!(message, "Service/web: it has no pod template (spec.template) that would tell its pods' labels");
}

#[test]
fn an_account_that_may_not_read_budgets_is_forbidden() {
    let team = shared().team("stranger");
    team.deployment("web", 1);
    let account = |name: &str| format!("--serviceaccount={}:{name}", team.name);
    team.done(&["create", "role", "deployments", "--verb=get,list,watch", "--resource=deployments.apps"], "");
    team.done(&["create", "rolebinding", "deployments", "--role=deployments", &account("stranger")], "");
    let targets = format!("{{ {DEPLOYMENT}, name: web }}");
    team.apply(&check("may-go", &format!("{{ serviceAccountName: stranger, probe: {{ disruptionBudget: {{}} }}, targets: {targets} }}")));
    let message = team.verdict_for("may-go", "Unknown", "Forbidden");
    assert!(message.contains("stranger") && message.contains("poddisruptionbudgets"), "{message}");
}

#[test]
fn the_example_works() {
    let team = shared().team("example");
    team.kubectl.apply(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/probes/disruption-budget.yaml")).unwrap();
    team.verdict_for("one-pod-may-go", "Unknown", "NoTargets");
}
