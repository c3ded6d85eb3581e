use super::super::objects::testing::{NOW, Watched, any_json, object};
use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn parse(spec: Value) -> Rollout {
    let mut problems = Vec::new();
    let rollout = Rollout::parse(&serde_json::from_value(spec).unwrap(), "spec.probe.rollout", &mut problems);
    assert_eq!(problems, []);
    rollout.unwrap()
}

fn observe_with(spec: Value, target: Value, pods: Option<Vec<Value>>) -> Observation {
    let watched = Watched(pods.map(|pods| pods.into_iter().map(object).collect()));
    parse(spec).observe(&object(target), &watched, NOW.parse().unwrap())
}

fn observe(spec: Value, target: Value) -> Observation {
    observe_with(spec, target, None)
}

fn workload(kind: &str, spec: Value, status: Value) -> Value {
    let metadata = json!({"name": "checkout", "namespace": "shop", "uid": "u-1", "generation": 4});
    let mut workload = json!({"apiVersion": "apps/v1", "kind": kind, "metadata": metadata});
    workload["spec"] = spec;
    workload["status"] = status;
    workload
}

/// A Deployment of so many replicas whose controller has seen generation 4.
fn deployment(wanted: u32, all: u32, updated: u32, available: u32) -> Value {
    let status = json!({
        "observedGeneration": 4, "replicas": all, "updatedReplicas": updated, "readyReplicas": available, "availableReplicas": available,
        "unavailableReplicas": all - available.min(all),
        "conditions": [
            {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable"},
            {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"},
        ],
    });
    let spec = json!({"replicas": wanted, "selector": {"matchLabels": {"app": "checkout"}}, "strategy": {"type": "RollingUpdate"}});
    workload("Deployment", spec, status)
}

fn stateful_set(strategy: Value, ready: u32, updated: u32, revisions: (&str, &str)) -> Value {
    let status = json!({
        "observedGeneration": 4, "replicas": 3, "readyReplicas": ready, "availableReplicas": ready, "updatedReplicas": updated,
        "currentRevision": revisions.0, "updateRevision": revisions.1, "collisionCount": 0,
    });
    let mut spec = json!({"replicas": 3, "selector": {"matchLabels": {"app": "checkout"}}});
    spec["updateStrategy"] = strategy;
    workload("StatefulSet", spec, status)
}

fn daemon_set(strategy: &str, desired: u32, updated: u32, available: u32) -> Value {
    let status = json!({
        "observedGeneration": 4, "desiredNumberScheduled": desired, "currentNumberScheduled": desired, "updatedNumberScheduled": updated,
        "numberAvailable": available, "numberReady": available, "numberMisscheduled": 0,
    });
    workload("DaemonSet", json!({"selector": {"matchLabels": {"app": "checkout"}}, "updateStrategy": {"type": strategy}}), status)
}

/// The outcome, the reason, the message, the value and what was required.
type Row<'a> = (Value, Value, Outcome, &'a str, &'a str, Option<(&'a str, &'a str)>);

fn check(rows: Vec<Row<'_>>) {
    for (spec, target, outcome, reason, message, measured) in rows {
        let seen = observe(spec, target);
        assert_eq!((seen.outcome, seen.reason, seen.message.as_str()), (outcome, reason, message));
        assert_eq!(seen.value.as_deref().zip(seen.required.as_deref()), measured, "{message}");
        assert!(seen.target.ends_with("/checkout") && seen.holds_until.is_none());
    }
}

#[test]
fn deployments_are_judged_as_kubectl_judges_them() {
    let mut late = deployment(3, 4, 1, 3);
    late["status"]["conditions"][1] = json!({"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"});
    let mut unseen = deployment(3, 3, 3, 3);
    unseen["status"]["observedGeneration"] = json!(3);
    let (all, in_progress) = (|| json!({}), ROLLOUT_IN_PROGRESS);
    check(vec![
        (all(), deployment(3, 3, 3, 3), Outcome::Pass, ROLLED_OUT, "3/3 replicas available", Some(("3/3 available", "3 available"))),
        (
            all(),
            unseen,
            Outcome::Fail,
            in_progress,
            "its controller has not seen the latest change yet",
            Some(("generation 3 seen", "generation 4 seen")),
        ),
        (
            all(),
            late,
            Outcome::Fail,
            PROGRESS_DEADLINE_EXCEEDED,
            "the rollout exceeded its progress deadline",
            Some(("1/3 updated, 3 available", "3 updated")),
        ),
        (all(), deployment(3, 4, 1, 3), Outcome::Fail, in_progress, "1/3 replicas updated", Some(("1/3 updated", "3 updated"))),
        (all(), deployment(3, 4, 3, 3), Outcome::Fail, in_progress, "1 old replicas are pending termination", Some(("1 old", "0 old"))),
        (
            all(),
            deployment(3, 3, 3, 2),
            Outcome::Fail,
            NOT_ENOUGH_READY,
            "2/3 replicas available, at least 3 required (minReady 100%)",
            Some(("2/3 available", "3 available")),
        ),
        (
            json!({"minReady": "50%"}),
            deployment(3, 3, 3, 2),
            Outcome::Pass,
            ROLLED_OUT,
            "2/3 replicas available",
            Some(("2/3 available", "2 available")),
        ),
        (
            json!({"minReady": "50%"}),
            deployment(3, 4, 3, 4),
            Outcome::Fail,
            in_progress,
            "1 old replicas are pending termination",
            Some(("1 old", "0 old")),
        ),
        (
            json!({"minReady": 2}),
            deployment(3, 3, 3, 2),
            Outcome::Pass,
            ROLLED_OUT,
            "2/3 replicas available",
            Some(("2/3 available", "2 available")),
        ),
        (all(), deployment(0, 0, 0, 0), Outcome::Pass, ROLLED_OUT, "0/0 replicas available", Some(("0/0 available", "0 available"))),
        (
            json!({"minReady": 2}),
            deployment(0, 0, 0, 0),
            Outcome::Fail,
            NOT_ENOUGH_READY,
            "0/0 replicas available, at least 2 required (minReady 2)",
            Some(("0/0 available", "2 available")),
        ),
    ]);
}

#[test]
fn stateful_sets_are_judged_as_kubectl_judges_them() {
    let partition = |partition: u32| json!({"type": "RollingUpdate", "rollingUpdate": {"partition": partition}});
    let plain = || json!({"type": "RollingUpdate"});
    let mut unseen = stateful_set(plain(), 3, 3, ("a", "a"));
    unseen["status"]["observedGeneration"] = json!(0);
    unseen["metadata"]["generation"] = json!(0);
    let (all, in_progress) = (|| json!({}), ROLLOUT_IN_PROGRESS);
    check(vec![
        (
            all(),
            stateful_set(partition(0), 3, 3, ("a", "a")),
            Outcome::Pass,
            ROLLED_OUT,
            "3/3 replicas ready",
            Some(("3/3 ready", "3 ready")),
        ),
        (
            all(),
            stateful_set(partition(0), 3, 1, ("a", "b")),
            Outcome::Fail,
            in_progress,
            "1/3 replicas updated",
            Some(("1/3 updated", "3 updated")),
        ),
        (
            all(),
            stateful_set(partition(2), 3, 1, ("a", "b")),
            Outcome::Pass,
            ROLLED_OUT,
            "3/3 replicas ready",
            Some(("3/3 ready", "3 ready")),
        ),
        (
            all(),
            stateful_set(partition(2), 3, 0, ("a", "b")),
            Outcome::Fail,
            in_progress,
            "0/1 replicas updated",
            Some(("0/1 updated", "1 updated")),
        ),
        (
            all(),
            stateful_set(partition(9), 3, 0, ("a", "b")),
            Outcome::Pass,
            ROLLED_OUT,
            "3/3 replicas ready",
            Some(("3/3 ready", "3 ready")),
        ),
        (
            all(),
            stateful_set(plain(), 3, 2, ("a", "b")),
            Outcome::Fail,
            in_progress,
            "2/3 replicas updated",
            Some(("2/3 updated", "3 updated")),
        ),
        (all(), stateful_set(plain(), 3, 3, ("a", "a")), Outcome::Pass, ROLLED_OUT, "3/3 replicas ready", Some(("3/3 ready", "3 ready"))),
        (
            all(),
            stateful_set(partition(0), 2, 3, ("a", "a")),
            Outcome::Fail,
            NOT_ENOUGH_READY,
            "2/3 replicas ready, at least 3 required (minReady 100%)",
            Some(("2/3 ready", "3 ready")),
        ),
        (
            json!({"minReady": "60%"}),
            stateful_set(partition(0), 2, 3, ("a", "a")),
            Outcome::Pass,
            ROLLED_OUT,
            "2/3 replicas ready",
            Some(("2/3 ready", "2 ready")),
        ),
        (
            all(),
            unseen,
            Outcome::Fail,
            in_progress,
            "its controller has not seen the latest change yet",
            Some(("generation 0 seen", "generation 0 seen")),
        ),
        (
            all(),
            stateful_set(json!({"type": "OnDelete"}), 3, 3, ("a", "a")),
            Outcome::Error,
            ON_DELETE,
            "a rollout can be judged only with update strategy RollingUpdate",
            None,
        ),
    ]);
}

#[test]
fn daemon_sets_are_judged_as_kubectl_judges_them() {
    let all = || json!({});
    check(vec![
        (
            all(),
            daemon_set("RollingUpdate", 5, 5, 5),
            Outcome::Pass,
            ROLLED_OUT,
            "5/5 replicas available",
            Some(("5/5 available", "5 available")),
        ),
        (
            all(),
            daemon_set("RollingUpdate", 5, 4, 5),
            Outcome::Fail,
            ROLLOUT_IN_PROGRESS,
            "4/5 replicas updated",
            Some(("4/5 updated", "5 updated")),
        ),
        (
            all(),
            daemon_set("RollingUpdate", 5, 5, 4),
            Outcome::Fail,
            NOT_ENOUGH_READY,
            "4/5 replicas available, at least 5 required (minReady 100%)",
            Some(("4/5 available", "5 available")),
        ),
        (
            json!({"minReady": "80%"}),
            daemon_set("RollingUpdate", 5, 5, 4),
            Outcome::Pass,
            ROLLED_OUT,
            "4/5 replicas available",
            Some(("4/5 available", "4 available")),
        ),
        (
            all(),
            daemon_set("RollingUpdate", 0, 0, 0),
            Outcome::Pass,
            ROLLED_OUT,
            "0/0 replicas available",
            Some(("0/0 available", "0 available")),
        ),
        (
            all(),
            daemon_set("OnDelete", 5, 5, 5),
            Outcome::Error,
            ON_DELETE,
            "a rollout can be judged only with update strategy RollingUpdate",
            None,
        ),
    ]);
}

#[test]
fn what_is_being_deleted_fails_and_what_cannot_be_read_is_no_data() {
    let mut going = deployment(3, 3, 3, 3);
    going["metadata"]["deletionTimestamp"] = json!("2026-09-01T11:00:00Z");
    let seen = observe(json!({}), going);
    assert_eq!((seen.outcome, seen.reason), (Outcome::Fail, TERMINATING));
    for (spec, status, says) in [
        (json!({"replicas": 3}), Value::Null, "no status yet"),
        (Value::Null, json!({"observedGeneration": 4}), "no spec"),
        (json!({"replicas": "3"}), json!({"observedGeneration": 4}), "its spec cannot be read"),
        (json!({"replicas": 3}), json!({"observedGeneration": 4, "availableReplicas": -1}), "its status cannot be read"),
    ] {
        let seen = observe(json!({}), workload("Deployment", spec, status));
        assert_eq!((seen.outcome, seen.reason), (Outcome::Error, NO_DATA), "{says}");
        assert!(seen.message.contains(says), "{}", seen.message);
    }
    let new = observe(json!({}), workload("Deployment", json!({"replicas": 3}), json!({})));
    assert_eq!((new.outcome, new.reason), (Outcome::Fail, ROLLOUT_IN_PROGRESS));
}

#[test]
fn only_workloads_of_apps_v1_have_a_rollout() {
    let spec: RolloutProbe = serde_json::from_value(json!({})).unwrap();
    let TargetRule::OneOf(kinds, _) = Rollout::parse(&spec, "spec.probe.rollout", &mut Vec::new()).unwrap().targets() else {
        panic!("a rollout has targets of certain kinds")
    };
    assert_eq!(kinds, [("apps/v1", "Deployment"), ("apps/v1", "StatefulSet"), ("apps/v1", "DaemonSet")]);
    let seen = observe(json!({}), workload("ReplicaSet", json!({"replicas": 1}), json!({"replicas": 1})));
    assert_eq!((seen.outcome, seen.reason), (Outcome::Error, UNSUPPORTED_KIND));
    let untyped = observe(json!({}), json!({"metadata": {"name": "x"}}));
    assert_eq!((untyped.outcome, untyped.reason), (Outcome::Error, UNSUPPORTED_KIND));
}

fn pod(name: &str, containers: Value) -> Value {
    let owner = json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "checkout", "uid": "u-1", "controller": true});
    let metadata = json!({"name": name, "namespace": "shop", "labels": {"app": "checkout"}, "ownerReferences": [owner]});
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata});
    pod["status"] = json!({});
    pod["status"]["containerStatuses"] = containers;
    pod
}

/// A container that runs again since so many seconds before now.
fn restarted(count: u32, seconds_ago: i64) -> Value {
    let since = NOW.parse::<Timestamp>().unwrap() - jiff::SignedDuration::from_secs(seconds_ago);
    json!({
        "name": "app", "restartCount": count, "state": {"running": {"startedAt": since.to_string()}},
        "lastState": {"terminated": {"exitCode": 1, "startedAt": "2026-08-01T00:00:00Z", "finishedAt": "2026-08-02T00:00:00Z"}},
    })
}

fn storm(limit: Value, pods: Vec<Value>) -> Observation {
    observe_with(limit, deployment(3, 3, 3, 3), Some(pods))
}

#[test]
fn too_many_restarts_within_the_window_are_a_storm_that_names_the_worst_pod() {
    let limit = json!({"maxRestarts": 3});
    let pods = vec![pod("checkout-a", json!([restarted(1, 10)])), pod("checkout-b", json!([restarted(4, 100), restarted(1, 599)]))];
    let seen = storm(limit.clone(), pods.clone());
    assert_eq!((seen.outcome, seen.reason), (Outcome::Fail, RESTART_STORM));
    assert_eq!(seen.message, "6 restarts in the last 600 s, at most 3 allowed; most in pod checkout-b, container app (5)");
    assert_eq!((seen.value.as_deref(), seen.required.as_deref()), (Some("6 restarts"), Some("at most 3 restarts in 600 s")));
    // One stops counting after 1 s, which leaves 5; four after 500 s, which leaves 1.
    assert_eq!(seen.holds_until, Some("2026-09-01T12:08:20Z".parse().unwrap()));
    let later = parse(limit).observe(
        &object(deployment(3, 3, 3, 3)),
        &Watched(Some(pods.into_iter().map(object).collect())),
        "2026-09-01T12:08:20Z".parse().unwrap(),
    );
    assert_eq!((later.outcome, later.message.as_str()), (Outcome::Pass, "3/3 replicas available, 1 restart"));
    assert_eq!(later.required.as_deref(), Some("3 available, at most 3 restarts in 600 s"));
}

#[test]
fn which_restarts_count() {
    let finished = json!({"name": "app", "restartCount": 2, "state": {"waiting": {"reason": "ContainerCreating"}},
        "lastState": {"terminated": {"finishedAt": "2026-09-01T11:59:00Z"}}});
    let long_ago = json!({"name": "app", "restartCount": 2, "lastState": {"terminated": {"finishedAt": "2026-09-01T11:00:00Z"}}});
    let crash_loop = json!({"name": "app", "restartCount": 2, "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"finishedAt": "2026-09-01T11:00:00Z"}}});
    let undated = json!({"name": "app", "restartCount": 2, "state": {"waiting": {"reason": "Whatever"}}});
    let first_start = json!({"name": "app", "restartCount": 0, "state": {"running": {"startedAt": "2026-09-01T11:59:00Z"}}});
    let ended_again =
        json!({"name": "app", "restartCount": 2, "state": {"terminated": {"startedAt": "2026-09-01T11:59:00Z", "finishedAt": null}}});
    for (container, counts) in [
        (finished, true),
        (long_ago, false),
        (crash_loop, true),
        (undated, true),
        (first_start, false),
        (ended_again, true),
        (restarted(2, 599), true),
        (restarted(2, 600), false),
        (restarted(2, -30), true),
    ] {
        let seen = storm(json!({"maxRestarts": 0}), vec![pod("a", json!([container]))]);
        assert_eq!(seen.outcome == Outcome::Fail, counts, "{container}");
    }
    let mut init = pod("a", json!([]));
    init["status"]["initContainerStatuses"] = json!([restarted(1, 5)]);
    assert_eq!(storm(json!({"maxRestarts": 0}), vec![init]).reason, RESTART_STORM);
    let narrow = json!({"maxRestarts": 0, "restartWindowSeconds": 60});
    assert_eq!(storm(narrow, vec![pod("a", json!([restarted(2, 60)]))]).outcome, Outcome::Pass);
}

#[test]
fn only_the_workloads_own_living_pods_count() {
    let limit = json!({"maxRestarts": 0});
    let storming = || pod("a", json!([restarted(1, 5)]));
    let mut going = storming();
    going["metadata"]["deletionTimestamp"] = json!("2026-09-01T11:59:00Z");
    let mut other_app = storming();
    other_app["metadata"]["labels"] = json!({"app": "cart"});
    let mut other_namespace = storming();
    other_namespace["metadata"]["namespace"] = json!("other");
    assert_eq!(storm(limit.clone(), vec![going, other_app, other_namespace]).outcome, Outcome::Pass);
    let mut of_another = storming();
    of_another["metadata"]["ownerReferences"][0]["uid"] = json!("u-2");
    assert_eq!(storm(limit.clone(), vec![of_another.clone()]).outcome, Outcome::Fail);
    let set = || stateful_set(json!({"type": "RollingUpdate"}), 3, 3, ("a", "a"));
    assert_eq!(observe_with(limit.clone(), set(), Some(vec![of_another])).outcome, Outcome::Pass);
    assert_eq!(observe_with(limit, set(), Some(vec![storming()])).outcome, Outcome::Fail);
}

#[test]
fn pods_that_cannot_be_told_are_an_error() {
    let limit = json!({"maxRestarts": 0});
    assert!(parse(limit.clone()).needs_pods() && !parse(json!({})).needs_pods());
    let not_synced = observe(limit.clone(), deployment(3, 3, 3, 3));
    assert_eq!((not_synced.outcome, not_synced.reason), (Outcome::Error, NOT_SYNCED));
    assert_eq!(not_synced.message, "Pod in shop are not watched yet");
    let unreadable = storm(limit.clone(), vec![pod("a", json!([{"name": "app", "restartCount": "many"}]))]);
    assert_eq!((unreadable.outcome, unreadable.reason), (Outcome::Error, NO_DATA));
    assert!(unreadable.message.starts_with("pod a: its status cannot be read"), "{}", unreadable.message);
    let mut unselective = deployment(3, 3, 3, 3);
    unselective["spec"]["selector"] = Value::Null;
    let seen = observe_with(limit, unselective, Some(vec![]));
    assert_eq!((seen.outcome, seen.reason), (Outcome::Error, NO_DATA));
}

#[test]
fn a_spec_that_cannot_work_is_a_problem() {
    for (spec, field) in [
        (json!({"minReady": "0%"}), "minReady"),
        (json!({"maxRestarts": -1}), "maxRestarts"),
        (json!({"maxRestarts": 1, "restartWindowSeconds": 0}), "restartWindowSeconds"),
        (json!({"restartWindowSeconds": 60}), "restartWindowSeconds"),
    ] {
        let mut problems = Vec::new();
        assert_eq!(Rollout::parse(&serde_json::from_value(spec).unwrap(), "spec.probe.rollout", &mut problems), None);
        let fields: Vec<_> = problems.iter().map(|problem| problem.field.clone()).collect();
        assert_eq!(fields, [format!("spec.probe.rollout.{field}")]);
    }
}

const WORDS: &[&str] = &[
    "observedGeneration",
    "replicas",
    "updatedReplicas",
    "availableReplicas",
    "desiredNumberScheduled",
    "conditions",
    "type",
    "reason",
    "Progressing",
    "selector",
    "matchLabels",
    "matchExpressions",
    "updateStrategy",
    "rollingUpdate",
    "partition",
    "RollingUpdate",
    "containerStatuses",
    "restartCount",
    "state",
    "lastState",
    "running",
    "terminated",
    "startedAt",
    "2026-09-01T11:59:00Z",
];

proptest! {
    #[test]
    fn any_workload_is_answered(spec in any_json(WORDS), status in any_json(WORDS), kind in 0..3_usize) {
        let kind = ["Deployment", "StatefulSet", "DaemonSet"][kind];
        observe_with(json!({"maxRestarts": 1}), workload(kind, spec, status), Some(vec![]));
    }

    #[test]
    fn any_pod_is_answered(status in any_json(WORDS), container in any_json(WORDS)) {
        let mut odd = pod("a", json!([container]));
        storm(json!({"maxRestarts": 1}), vec![odd.clone()]);
        odd["status"] = status;
        storm(json!({"maxRestarts": 1}), vec![odd]);
    }

    #[test]
    fn by_default_a_deployment_passes_exactly_if_kubectl_calls_it_rolled_out(
        (seen, wanted, all, updated, available) in (3_i64..=5, 0_u32..4, 0_u32..4, 0_u32..4, 0_u32..4),
        late in any::<bool>(),
    ) {
        let mut target = deployment(wanted, all, updated, available);
        target["status"]["observedGeneration"] = json!(seen);
        if late {
            target["status"]["conditions"][1]["reason"] = json!("ProgressDeadlineExceeded");
        }
        let rolled_out = seen >= 4 && !late && updated >= wanted && all <= updated && available >= updated;
        prop_assert_eq!(observe(json!({}), target).outcome == Outcome::Pass, rolled_out);
    }
}
