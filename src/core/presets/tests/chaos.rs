//! Chaos Mesh, Litmus, Krkn, Datadog, `ChaosBlade`, Chaos Toolkit.

use super::*;

const PAUSE: &str = "experiment.chaos-mesh.org/pause";
const CHAOS_MESH: &str = "chaos-mesh/chaos-controller-manager";
const POD: (&str, &str) = ("podchaos", "chaos-mesh.org");
const NETWORK: (&str, &str) = ("networkchaos", "chaos-mesh.org");

fn pod_chaos(action: &str) -> Value {
    spec(
        json!({"action": action, "mode": "fixed", "value": "2", "duration": "30s", "selector": {"namespaces": ["shop", "web"], "labelSelectors": {"app": "a"}}}),
    )
}

fn paused(object: Value) -> Value {
    annotated(object, PAUSE, "true")
}

fn made(preset: Preset, resource: (&'static str, &'static str), new: Value) -> Case {
    create(preset, resource, new)
}

#[test]
fn a_chaos_starts_when_it_is_made_or_resumed_unless_it_is_paused() {
    let (failure, kill) = (pod_chaos("pod-failure"), pod_chaos("pod-kill"));
    let m = Preset::ChaosMesh;
    for plural in [
        "podchaos",
        "networkchaos",
        "iochaos",
        "stresschaos",
        "timechaos",
        "dnschaos",
        "httpchaos",
        "jvmchaos",
        "kernelchaos",
        "blockchaos",
        "awschaos",
        "gcpchaos",
        "azurechaos",
        "physicalmachinechaos",
        "schedules",
    ] {
        create(m, (plural, "chaos-mesh.org"), failure.clone()).starts();
        create(m, (plural, "chaos-mesh.org"), paused(failure.clone())).passes();
        update(m, (plural, "chaos-mesh.org"), paused(failure.clone()), failure.clone()).starts();
        update(m, (plural, "chaos-mesh.org"), failure.clone(), paused(failure.clone())).passes();
        update(m, (plural, "chaos-mesh.org"), failure.clone(), failure.clone()).passes();
    }
    // The dashboard writes "false" and does not remove it; only "true" pauses.
    update(m, POD, paused(failure.clone()), annotated(failure.clone(), PAUSE, "false")).starts();
    create(m, POD, annotated(failure.clone(), PAUSE, "True")).starts();
    create(m, POD, with(failure, "annotations", json!({PAUSE: true}))).starts();
    for action in ["pod-kill", "container-kill", "ec2-restart", "vm-restart", "node-reset"] {
        create(m, POD, paused(pod_chaos(action))).starts();
    }
    update(m, POD, paused(pod_chaos("pod-failure")), paused(kill)).starts();
}

#[test]
fn a_chaos_that_runs_may_be_given_less_and_not_more() {
    let m = Preset::ChaosMesh;
    let base = pod_chaos("pod-failure");
    let changed = |field: &str, value: Value| {
        let mut new = base.clone();
        *new.pointer_mut("/spec").unwrap() = {
            let mut spec = base["spec"].clone();
            match field.split_once('.') {
                Some((outer, inner)) => spec[outer][inner] = value,
                None => spec[field] = value,
            }
            spec
        };
        new
    };
    for (field, value) in [
        ("mode", json!("all")),
        ("mode", json!("fixed-percent")),
        ("value", json!("3")),
        ("value", json!("many")),
        ("action", json!("pod-kill")),
        ("selector", Value::Null),
        ("selector", json!({"namespaces": ["shop", "web"]})),
        ("selector.namespaces", json!(["shop", "pay"])),
        ("selector.labelSelectors", json!({"app": "b"})),
        ("selector.pods", json!({"shop": ["a-0"]})),
        ("selector.newSelectors", json!({"x": "y"})),
        ("target", json!({"mode": "all"})),
        ("remoteCluster", json!("other")),
    ] {
        update(m, POD, base.clone(), changed(field, value)).starts();
    }
    for (field, value) in [
        ("mode", json!("one")),
        ("value", json!("1")),
        ("duration", json!("60s")),
        ("selector.namespaces", json!(["shop"])),
        // Its own.
        ("selector.namespaces", json!([])),
        ("selector.labelSelectors", json!({"app": "a", "tier": "b"})),
        ("selector.podPhaseSelectors", json!(["Running"])),
        ("selector.expressionSelectors", json!([{"key": "a", "operator": "Exists"}])),
        ("selector.nodes", json!(["n1"])),
        ("containerNames", json!(["app"])),
        ("delay", json!({"latency": "90ms"})),
    ] {
        update(m, POD, base.clone(), changed(field, value.clone())).passes();
        // Of a paused one nothing is held, but what is done at once.
        update(m, POD, paused(base.clone()), paused(changed(field, value))).passes();
    }
    update(m, POD, paused(base.clone()), paused(changed("mode", json!("all")))).passes();
    // The namespaces default to its own.
    let own = spec(json!({"mode": "one", "selector": {"labelSelectors": {"app": "a"}}}));
    let written = spec(json!({"mode": "one", "selector": {"namespaces": ["shop"], "labelSelectors": {"app": "a"}}}));
    let other = spec(json!({"mode": "one", "selector": {"namespaces": ["web"], "labelSelectors": {"app": "a"}}}));
    update(m, NETWORK, own.clone(), written.clone()).passes();
    update(m, NETWORK, written, own.clone()).passes();
    update(m, NETWORK, own, other).starts();
    // From all to any mode is less.
    let all = spec(json!({"mode": "all", "selector": {"namespaces": ["shop"]}}));
    let half = spec(json!({"mode": "fixed-percent", "value": "50", "selector": {"namespaces": ["shop"]}}));
    update(m, NETWORK, all, half).passes();
}

#[test]
fn what_the_controller_reports_through_the_object_passes_and_more_time_after_the_end_does_not() {
    let m = Preset::ChaosMesh;
    let base = pod_chaos("pod-failure");
    let reported = |phase: &str, duration: &str| {
        let mut new = base.clone();
        new["spec"]["duration"] = json!(duration);
        new["status"] = json!({"experiment": {"desiredPhase": phase, "containerRecords": [{"id": "a", "phase": "Injected"}]}});
        new
    };
    update(m, POD, base.clone(), reported("Run", "30s")).passes();
    update(m, POD, reported("Run", "30s"), reported("Stop", "30s")).passes();
    update(m, POD, reported("Run", "30s"), reported("Run", "1h")).passes();
    update(m, POD, reported("Stop", "30s"), reported("Stop", "1h")).starts();
}

#[test]
fn children_of_chaos_mesh_take_the_owner_and_the_account() {
    let m = Preset::ChaosMesh;
    let base = pod_chaos("pod-failure");
    let node = owned(base.clone(), "chaos-mesh.org/v1alpha1", "WorkflowNode");
    let fired = owned(base.clone(), "chaos-mesh.org/v1alpha1", "Schedule");
    create(m, POD, node.clone()).by(CHAOS_MESH).passes();
    create(m, POD, node.clone()).starts();
    create(m, POD, base.clone()).by(CHAOS_MESH).starts();
    create(m, POD, owned(base.clone(), "example.org/v1", "WorkflowNode")).by(CHAOS_MESH).starts();
    create(m, POD, owned(base.clone(), "chaos-mesh.organic/v1", "WorkflowNode")).by(CHAOS_MESH).starts();
    let mut not_controlling = node.clone();
    not_controlling["metadata"]["ownerReferences"][0]["controller"] = json!(false);
    create(m, POD, not_controlling).by(CHAOS_MESH).starts();
    // A firing is judged, whoever makes it; resumed by the Schedule it is not judged again.
    create(m, POD, fired.clone()).by(CHAOS_MESH).starts();
    update(m, POD, paused(fired.clone()), fired.clone()).by(CHAOS_MESH).passes();
    update(m, POD, paused(fired.clone()), fired).starts();
    // A Schedule in a Workflow was let in with it.
    create(m, ("schedules", "chaos-mesh.org"), node.clone()).by(CHAOS_MESH).passes();
    create(m, ("schedules", "chaos-mesh.org"), node).starts();
    update(m, ("schedules", "chaos-mesh.org"), base.clone(), spec(json!({"schedule": "@every 1s"}))).passes();
}

#[test]
fn a_workflow_always_starts_and_internal_kinds_are_the_controllers_own() {
    let m = Preset::ChaosMesh;
    let workflows = ("workflows", "chaos-mesh.org");
    let flow = spec(json!({"entry": "a", "templates": [{"name": "a"}]}));
    let aborted = annotated(flow.clone(), "workflow.chaos-mesh.org/abort", "true");
    create(m, workflows, flow.clone()).starts();
    create(m, workflows, paused(flow.clone())).starts();
    create(m, workflows, owned(flow.clone(), "chaos-mesh.org/v1alpha1", "Schedule")).by(CHAOS_MESH).starts();
    update(m, workflows, flow.clone(), aborted.clone()).passes();
    update(m, workflows, aborted, flow.clone()).starts();
    update(m, workflows, flow.clone(), spec(json!({"entry": "a", "templates": [{"name": "a"}, {"name": "b"}]}))).starts();
    for plural in ["workflownodes", "podnetworkchaos", "podiochaos", "podhttpchaos", "statuschecks"] {
        let internal = (plural, "chaos-mesh.org");
        let (less, more) = (spec(json!({"tcs": [{"a": 1}]})), spec(json!({"tcs": [{"a": 1}, {"b": 2}]})));
        create(m, internal, more.clone()).by(CHAOS_MESH).passes();
        create(m, internal, more.clone()).starts();
        update(m, internal, less.clone(), more.clone()).starts();
        update(m, internal, less.clone(), more.clone()).by(CHAOS_MESH).passes();
        update(m, internal, more.clone(), less).passes();
        update(m, internal, more, spec(json!({}))).passes();
    }
}

#[test]
fn an_engine_starts_when_it_becomes_active_which_is_the_default() {
    let (l, engines, schedules) = (Preset::Litmus, ("chaosengines", "litmuschaos.io"), ("chaosschedules", "litmuschaos.io"));
    let engine = |state: Value| {
        let mut members = json!({"appinfo": {"appns": "shop", "applabel": "app=a"}, "experiments": [{"name": "pod-delete"}]});
        if !state.is_null() {
            members["engineState"] = state;
        }
        spec(members)
    };
    let (active, stopped, absent) = (engine(json!("active")), engine(json!("stop")), engine(Value::Null));
    for start in [&active, &absent, &engine(json!(["stop"]))] {
        create(l, engines, start.clone()).starts();
        create(l, engines, start.clone()).by("litmus/scheduler").starts();
        update(l, engines, stopped.clone(), start.clone()).starts();
        update(l, engines, stopped.clone(), start.clone()).by("litmus/litmus").starts();
        update(l, engines, start.clone(), stopped.clone()).passes();
    }
    create(l, engines, stopped.clone()).passes();
    update(l, engines, absent.clone(), active.clone()).passes();
    update(l, engines, active.clone(), absent.clone()).passes();
    let wider = {
        let mut wider = active.clone();
        wider["spec"]["appinfo"]["applabel"] = json!("app=b");
        wider
    };
    update(l, engines, active.clone(), wider.clone()).starts();
    update(l, engines, active.clone(), wider).by("litmus/litmus").passes();
    let mut more = active.clone();
    more["spec"]["experiments"] = json!([{"name": "pod-delete"}, {"name": "node-drain"}]);
    update(l, engines, active.clone(), more.clone()).starts();
    update(l, engines, more, active).passes();
    for stopped in ["halt", "stop", "complete"] {
        let (stopped, active) = (spec(json!({"scheduleState": stopped})), spec(json!({"scheduleState": "active"})));
        create(l, schedules, stopped.clone()).passes();
        create(l, schedules, active.clone()).starts();
        create(l, schedules, spec(json!({}))).starts();
        update(l, schedules, stopped.clone(), active.clone()).starts();
        update(l, schedules, stopped.clone(), spec(json!({}))).starts();
        update(l, schedules, active, stopped).passes();
    }
}

const KRKN: &str = "krkn-operator-system/krkn-operator-controller-manager";

#[test]
fn krkn_runs_start_but_for_those_inside_a_graph() {
    let (k, runs) = (Preset::Krkn, ("krknscenarioruns", "krkn.krkn-chaos.dev"));
    let run = spec(json!({"scenarioName": "pod", "targetClusters": {"a": ["x", "y"]}}));
    let child = owned(run.clone(), "krkn.krkn-chaos.dev/v1alpha1", "KrknGraphRun");
    create(k, runs, run.clone()).starts();
    // The console and the REST API.
    create(k, runs, run.clone()).by(KRKN).starts();
    create(k, runs, child.clone()).starts();
    create(k, runs, child).by(KRKN).passes();
    create(k, ("krkngraphruns", "krkn.krkn-chaos.dev"), run.clone()).starts();
    update(k, runs, run.clone(), spec(json!({"scenarioName": "pod", "targetClusters": {"a": ["x"]}}))).passes();
    update(k, runs, run.clone(), spec(json!({"scenarioName": "pod", "targetClusters": {"a": ["x", "z"]}}))).starts();
    update(k, runs, run, spec(json!({"scenarioName": "node", "targetClusters": {"a": ["x", "y"]}}))).starts();
}

fn job(image: &str, suspend: bool) -> Value {
    spec(
        json!({"suspend": suspend, "template": {"spec": {"containers": [{"name": "sidecar", "image": "nginx"}, {"name": "c", "image": image}]}}}),
    )
}

#[test]
fn classic_krkn_is_told_by_its_image() {
    let (k, jobs, pods) = (Preset::Krkn, ("jobs", "batch"), ("pods", ""));
    let hub = "quay.io/krkn-chaos/krkn-hub:pod-scenarios";
    let pod = |image: &str| spec(json!({"containers": [{"name": "c", "image": image}]}));
    for image in [hub, "krkn-hub", "r:5000/a/krkn-hub@sha256:00", "quay.io/redhat-chaos/krkn-hub:a@sha256:0"] {
        create(k, jobs, job(image, false)).starts();
        create(k, pods, pod(image)).starts();
    }
    for image in ["nginx", "krkn-hub/nginx", "quay.io/x/my-krkn-hub", "quay.io/x/krkn-hubs:1", "a@b/krkn-hub", ""] {
        create(k, jobs, job(image, false)).passes();
        create(k, pods, pod(image)).passes();
    }
    create(k, jobs, job(hub, true)).passes();
    update(k, jobs, job(hub, true), job(hub, false)).starts();
    update(k, jobs, job("nginx", true), job("nginx", false)).passes();
    update(k, jobs, job(hub, false), job(hub, true)).passes();
    // The Job of a CronJob is judged; the pod of a Job is not.
    create(k, jobs, owned(job(hub, false), "batch/v1", "CronJob")).by("kube-system/cronjob-controller").starts();
    let of_job = owned(pod(hub), "batch/v1", "Job");
    create(k, pods, of_job.clone()).by("kube-system/job-controller").passes();
    create(k, pods, Case { user: "system:kube-controller-manager".into(), ..create(k, pods, of_job.clone()) }.new).starts();
    assert!(!Case { user: "system:kube-controller-manager".into(), ..create(k, pods, of_job.clone()) }.is_start());
    create(k, pods, of_job).starts();
    create(k, pods, pod(hub)).by("kube-system/job-controller").starts();
    let of_run = owned(pod(hub), "krkn.krkn-chaos.dev/v1alpha1", "KrknScenarioRun");
    create(k, pods, of_run.clone()).by(KRKN).passes();
    create(k, pods, of_run).starts();
    // Nor can the image be changed to one later, or added to debug.
    update(k, pods, pod("nginx"), pod(hub)).starts();
    update(k, pods, pod(hub), pod(hub)).passes();
    let debugging = spec(json!({"containers": [{"image": "nginx"}], "ephemeralContainers": [{"image": hub}]}));
    update(k, ("pods/ephemeralcontainers", ""), pod("nginx"), debugging).starts();
    let init = spec(json!({"containers": [{"image": "nginx"}], "initContainers": [{"image": hub}]}));
    create(k, pods, init).starts();
    // More repositories, whole.
    let more = ["quay.example/chaos/scenarios".to_owned()];
    assert!(create(k, pods, pod("quay.example/chaos/scenarios:1")).is_start_with(&more));
    assert!(create(k, pods, pod(hub)).is_start_with(&more));
    assert!(!create(k, pods, pod("quay.example/chaos/scenarios/x:1")).is_start_with(&more));
    assert!(!create(k, pods, pod("quayxexample/chaos/scenarios")).is_start_with(&more));
}

#[test]
fn disruptions_start_unless_they_are_dry_runs() {
    let (d, disruptions) = (Preset::Datadog, ("disruptions", "chaos.datadoghq.com"));
    let disruption = |count: Value, dry: bool| {
        spec(json!({"count": count, "dryRun": dry, "selector": {"app": "a"}, "network": {"drop": 10}, "duration": "1m"}))
    };
    create(d, disruptions, disruption(json!(1), false)).starts();
    create(d, disruptions, disruption(json!(1), true)).passes();
    create(d, disruptions, owned(disruption(json!(1), false), "chaos.datadoghq.com/v1beta1", "DisruptionCron"))
        .by("chaos-engineering/chaos-controller")
        .starts();
    update(d, disruptions, disruption(json!(1), true), disruption(json!(1), false)).starts();
    for (old, new, starts) in [
        (json!(1), json!(2), true),
        (json!(2), json!(1), false),
        (json!("50%"), json!("60%"), true),
        (json!("50%"), json!("9%"), false),
        (json!("50%"), json!(1), true),
        (json!(1), json!("50%"), true),
        (json!("50%"), json!("fifty"), true),
    ] {
        assert_eq!(
            update(d, disruptions, disruption(old.clone(), false), disruption(new.clone(), false)).is_start(),
            starts,
            "{old} {new}"
        );
        update(d, disruptions, disruption(old, false), disruption(new, true)).passes();
    }
    let base = disruption(json!(1), false);
    let changed = |field: &str, value: Value| {
        let mut new = base.clone();
        new["spec"][field] = value;
        new
    };
    for (field, value) in [
        ("selector", json!({})),
        ("selector", json!({"app": "b"})),
        ("level", json!("node")),
        ("network", json!({"drop": 90})),
        ("dns", json!([])),
    ] {
        update(d, disruptions, base.clone(), changed(field, value)).starts();
    }
    for (field, value) in [
        ("selector", json!({"app": "a", "b": "c"})),
        ("duration", json!("2m")),
        ("containers", json!(["app"])),
        ("advancedSelector", json!([{"key": "a"}])),
    ] {
        update(d, disruptions, base.clone(), changed(field, value)).passes();
    }
    let cron = |paused: bool, dry: bool| spec(json!({"paused": paused, "schedule": "* * * * *", "disruptionTemplate": {"dryRun": dry}}));
    for plural in ["disruptioncrons", "disruptionrollouts"] {
        let resource = (plural, "chaos.datadoghq.com");
        create(d, resource, cron(false, false)).starts();
        create(d, resource, cron(false, true)).passes();
        update(d, resource, cron(false, true), cron(false, false)).starts();
        update(d, resource, cron(false, false), cron(true, false)).passes();
    }
    let crons = ("disruptioncrons", "chaos.datadoghq.com");
    create(d, crons, cron(true, false)).passes();
    update(d, crons, cron(true, false), cron(false, false)).starts();
    update(d, crons, cron(true, true), cron(false, true)).passes();
}

#[test]
fn blades_and_toolkit_experiments_start_when_they_are_made() {
    let blades = ("chaosblades", "chaosblade.io");
    let (one, two) = (spec(json!({"experiments": [{"a": 1}]})), spec(json!({"experiments": [{"a": 1}, {"b": 1}]})));
    made(Preset::ChaosBlade, blades, one.clone()).starts();
    update(Preset::ChaosBlade, blades, one.clone(), two.clone()).starts();
    update(Preset::ChaosBlade, blades, two, one).passes();
    made(Preset::ChaosToolkit, ("chaosexperiments", "chaostoolkit.org"), spec(json!({}))).starts();
}
