//! Checks of workloads.

use crate::manifests::{check, rollout};
use crate::team::condition;
use crate::world::{ensure, eventually, shared};

#[test]
fn a_rollout_check_follows_its_deployment() {
    let team = shared().team("rollout");
    team.apply(&rollout("web-healthy", "web"));
    let message = team.verdict_for("web-healthy", "Unknown", "NoTargets");
    assert_eq!(message, format!("there is no Deployment web in namespace {}", team.name));

    team.deployment("web", 2);
    team.done(&["wait", "--for=condition=Passing", "pfc/web-healthy", "--timeout=30s"], "");
    let healthy = team.get("pfc", "web-healthy");
    let results = &healthy["status"]["results"];
    assert_eq!(results[0]["target"], "Deployment/web");
    assert_eq!((&results[0]["outcome"], &results[0]["reason"]), (&"Pass".into(), &"RolledOut".into()));
    assert_eq!((&results[0]["value"], &results[0]["required"]), (&"2/2 available".into(), &"2 available".into()));
    assert_eq!(condition(&healthy, "Ready")["reason"], "Evaluated");

    team.break_pods("web");
    let (reason, message) = team.verdict("web-healthy", "Failing");
    assert_eq!(reason, "TargetsFailing");
    assert_eq!(message, "Deployment/web: 0/2 replicas available, at least 2 required (minReady 100%)");
    team.done(&["wait", "--for=condition=Passing=False", "pfc/web-healthy", "--timeout=30s"], "");

    team.run_pods("web");
    assert_eq!(team.verdict("web-healthy", "Passing").1, "Deployment/web: 2/2 replicas available");

    team.done(&["delete", "deployment", "web"], "");
    team.verdict_for("web-healthy", "Unknown", "NoTargets");
    let history = team.get("pfc", "web-healthy")["status"]["history"].clone();
    let verdicts: Vec<&str> = history.as_array().unwrap().iter().map(|entry| entry["verdict"].as_str().unwrap()).collect();
    // The deletion itself may be seen before the object is gone.
    assert_eq!(verdicts[0], "Unknown");
    assert!(verdicts.ends_with(&["Passing", "Failing", "Unknown"]), "newest first: {verdicts:?}");

    team.done(&["delete", "pfc", "web-healthy"], "");
    let labels = [&format!("namespace=\"{}\"", team.name)[..], "name=\"web-healthy\""];
    eventually("the verdict to leave the metrics", || {
        let left = team.world.metric("holdpoint_check_verdict", &labels);
        ensure(left == 0, || left.to_string())
    });
}

#[test]
fn columns_read_well() {
    let team = shared().team("columns");
    team.apply(&rollout("web-healthy", "web"));
    team.deployment("web", 3);
    team.verdict("web-healthy", "Passing");
    let rows = |args: &[&str]| -> Vec<Vec<String>> {
        let table = team.kubectl.ok(args).unwrap();
        table.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };
    let plain = rows(&["get", "pfc"]);
    assert_eq!(plain[0], ["NAME", "VERDICT", "READY", "FAILING", "TARGETS", "LAST", "AGE"]);
    assert_eq!(plain[1][..5], ["web-healthy", "Passing", "True", "0", "1"]);
    let wide = rows(&["get", "preflightchecks", "-o", "wide"]);
    assert_eq!(wide[0][7..], ["REASON", "MESSAGE", "PROBE", "PRIORITY"]);
    let text = wide[1][7..].join(" ");
    assert_eq!(text, "AllPassed Deployment/web: 3/3 replicas available rollout 10");
    // The category names checks and gates alike.
    assert!(team.kubectl.ok(&["get", "holdpoint"]).unwrap().contains("preflightcheck.holdpoint.dev/web-healthy"));
}

#[test]
fn a_workload_may_be_partly_ready_if_the_check_says_so() {
    let team = shared().team("share");
    let targets = "targets: { apiVersion: apps/v1, kind: Deployment, name: web }";
    team.apply(&check("half", &format!("{{ probe: {{ rollout: {{ minReady: '50%' }} }}, {targets} }}")));
    team.apply(&check("two", &format!("{{ probe: {{ rollout: {{ minReady: 2 }} }}, {targets} }}")));
    team.deployment("web", 3);
    team.verdict("half", "Passing");
    let pods = team.kubectl.ok(&["get", "pods", "-l", "app=web", "-o", "name"]).unwrap();
    let pod = pods.lines().next().unwrap();
    team.done(&["label", pod, "which=first"], "");
    team.world.plane.break_pods(&team.name, "which=first").unwrap();
    eventually("one pod to be missed", || {
        let available = team.kubectl.ok(&["get", "deployment", "web", "-o", "jsonpath={.status.availableReplicas}"]).unwrap();
        ensure(available == "2", || available.clone())
    });
    assert_eq!(team.verdict("half", "Passing").0, "AllPassed");
    assert_eq!(team.verdict("two", "Passing").1, "Deployment/web: 2/3 replicas available");
    team.break_pods("web");
    assert!(team.verdict("half", "Failing").1.contains("0/3 replicas available, at least 2 required (minReady 50%)"));
}

#[test]
fn stateful_sets_and_daemon_sets_are_judged_by_their_rollout() {
    let team = shared().team("sets");
    let node = format!("node-of-{}", team.name);
    team.world.plane.node(&node, &control_plane::NodeShape::default()).unwrap();
    let template = |app: &str, more: &str| {
        format!("{{ metadata: {{ labels: {{ app: {app} }} }}, spec: {{ {more} containers: [{{ name: app, image: 'example/app:1' }}] }} }}")
    };
    let only_here = format!("nodeSelector: {{ kubernetes.io/hostname: {node} }},");
    let (data, agent) = (template("data", ""), template("agent", &only_here));
    team.apply(&format!(
        "
apiVersion: apps/v1
kind: StatefulSet
metadata: {{ name: data }}
spec: {{ replicas: 2, podManagementPolicy: Parallel, serviceName: data, selector: {{ matchLabels: {{ app: data }} }}, template: {data} }}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {{ name: agent }}
spec: {{ selector: {{ matchLabels: {{ app: agent }} }}, template: {agent} }}
"
    ));
    for (name, kind) in [("data", "StatefulSet"), ("agent", "DaemonSet")] {
        team.apply(&check(
            name,
            &format!("{{ probe: {{ rollout: {{}} }}, targets: {{ apiVersion: apps/v1, kind: {kind}, name: {name} }} }}"),
        ));
    }
    team.run_pods("data");
    team.run_pods("agent");
    assert_eq!(team.verdict("data", "Passing").1, "StatefulSet/data: 2/2 replicas ready");
    assert_eq!(team.verdict("agent", "Passing").1, "DaemonSet/agent: 1/1 replicas available");
    team.break_pods("data");
    team.break_pods("agent");
    assert_eq!(team.verdict("data", "Failing").1, "StatefulSet/data: 0/2 replicas ready, at least 2 required (minReady 100%)");
    assert_eq!(team.verdict("agent", "Failing").1, "DaemonSet/agent: 0/1 replicas available, at least 1 required (minReady 100%)");
}

#[test]
fn containers_that_restart_too_often_fail_the_check_even_if_enough_are_ready() {
    let team = shared().team("restarts");
    team.deployment("web", 2);
    team.apply(&check(
        "steady",
        "{ probe: { rollout: { maxRestarts: 2, minReady: 1 } }, targets: { apiVersion: apps/v1, kind: Deployment, name: web } }",
    ));
    assert_eq!(team.verdict("steady", "Passing").1, "Deployment/web: 2/2 replicas available, 0 restarts");
    let pod = team.kubectl.ok(&["get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].metadata.name}"]).unwrap();
    team.done(&["label", "pod", &pod, "which=first"], "");
    team.world.plane.break_pods(&team.name, "which=first").unwrap();
    let (reason, message) = team.verdict("steady", "Failing");
    assert_eq!(reason, "TargetsFailing");
    assert!(message.starts_with("Deployment/web: ") && message.contains("5 restarts") && message.contains(&pod), "{message}");
    assert_eq!(team.get("pfc", "steady")["status"]["results"][0]["reason"], "RestartStorm");
}

#[test]
fn quorum_and_thresholds_decide_when_a_verdict_turns() {
    let team = shared().team("quorum");
    for app in ["a", "b", "c"] {
        team.deployment(app, 1);
        team.done(&["label", "deployment", app, "part-of=shop"], "");
    }
    let targets = "targets: { apiVersion: apps/v1, kind: Deployment, selector: { matchLabels: { part-of: shop } } }";
    let with = |name: &str, more: &str| check(name, &format!("{{ probe: {{ rollout: {{}} }}, {targets}, {more} }}"));
    team.apply(&with("all", "quorum: {}"));
    team.apply(&with("two", "quorum: { minPassing: 2 }"));
    team.apply(&with("four", "quorum: { minTargets: 4 }"));
    team.apply(&with("four-or-failing", "quorum: { minTargets: 4 }, outcomes: { noTargets: Failing }"));
    assert_eq!(team.verdict("all", "Passing"), ("AllPassed".to_owned(), "3 of 3 targets pass, 3 needed".to_owned()));
    assert_eq!(team.verdict_for("four", "Unknown", "NoTargets"), "3 of at least 4 targets exist");
    team.verdict_for("four-or-failing", "Failing", "NoTargets");

    team.break_pods("b");
    let (reason, message) = team.verdict("all", "Failing");
    assert_eq!(reason, "TargetsFailing");
    let worst = "Deployment/b: 0/1 replicas available, at least 1 required (minReady 100%)";
    assert_eq!(message, format!("2 of 3 targets pass, 3 needed; {worst}"));
    assert_eq!(team.verdict_for("two", "Passing", "QuorumMet"), format!("2 of 3 targets pass, 2 needed; {worst}"));
    let status = team.get("pfc", "two")["status"].clone();
    assert_eq!((status["summary"]["failing"].as_i64(), status["summary"]["targets"].as_i64()), (Some(1), Some(3)));
    assert_eq!(status["results"][0]["target"], "Deployment/b", "the worst comes first: {status}");
    team.break_pods("c");
    team.verdict("two", "Failing");
}

#[test]
fn a_suspended_check_is_not_evaluated_until_it_is_resumed() {
    let team = shared().team("suspend");
    team.deployment("web", 1);
    team.apply(&rollout("web-healthy", "web"));
    team.verdict("web-healthy", "Passing");
    let suspend = |on: bool| {
        let patch = format!("{{\"spec\":{{\"suspend\":{on}}}}}");
        team.done(&["patch", "pfc", "web-healthy", "--type=merge", "--patch", &patch], "");
    };
    suspend(true);
    assert_eq!(team.verdict_for("web-healthy", "Unknown", "Suspended"), "evaluation is suspended (spec.suspend)");
    assert_eq!(team.condition("pfc/web-healthy", "Ready", "True").0, "Suspended");
    suspend(false);
    assert_eq!(team.verdict("web-healthy", "Passing").0, "AllPassed");
}
