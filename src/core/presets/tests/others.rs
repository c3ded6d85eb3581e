//! Argo Workflows and Jobs.

use super::*;

fn suspended(suspend: bool) -> Value {
    spec(json!({ "suspend": suspend }))
}

#[test]
fn workflows_start_when_made_resumed_or_retried() {
    let (a, workflows, crons) = (Preset::ArgoWorkflows, ("workflows", "argoproj.io"), ("cronworkflows", "argoproj.io"));
    for resource in [workflows, crons] {
        create(a, resource, spec(json!({}))).starts();
        create(a, resource, suspended(false)).starts();
        create(a, resource, suspended(true)).passes();
        update(a, resource, suspended(true), suspended(false)).starts();
        update(a, resource, suspended(true), spec(json!({}))).starts();
        update(a, resource, suspended(false), suspended(true)).passes();
        update(a, resource, spec(json!({"schedule": "a"})), spec(json!({"schedule": "b"}))).passes();
    }
    create(a, workflows, owned(spec(json!({})), "argoproj.io/v1alpha1", "CronWorkflow")).by("argo/argo").starts();
    let phase = |phase: &str| json!({"metadata": {"name": "x"}, "spec": {}, "status": {"phase": phase, "nodes": {}}});
    for (old, new, starts) in [
        ("Failed", "Running", true),
        ("Error", "Running", true),
        ("Succeeded", "Running", true),
        ("Failed", "", true),
        ("Pending", "Running", false),
        ("Running", "Failed", false),
        ("Running", "Running", false),
        ("Failed", "Error", false),
    ] {
        assert_eq!(update(a, workflows, phase(old), phase(new)).is_start(), starts, "{old} → {new}");
    }
    update(a, workflows, spec(json!({})), spec(json!({"shutdown": "Stop"}))).passes();
}

#[test]
fn jobs_start_when_they_may_run_pods() {
    let (j, jobs, crons) = (Preset::Jobs, ("jobs", "batch"), ("cronjobs", "batch"));
    let of = |parallelism: i64, suspend: bool| spec(json!({"parallelism": parallelism, "suspend": suspend}));
    for resource in [jobs, crons] {
        create(j, resource, spec(json!({}))).starts();
        create(j, resource, suspended(true)).passes();
        update(j, resource, suspended(true), suspended(false)).starts();
        update(j, resource, suspended(false), suspended(true)).passes();
        update(j, resource, suspended(false), suspended(false)).passes();
    }
    create(j, jobs, of(0, false)).passes();
    create(j, jobs, owned(of(1, false), "batch/v1", "CronJob")).by("kube-system/cronjob-controller").starts();
    for (old, new, starts) in [
        (of(0, false), of(1, false), true),
        (of(1, false), of(2, false), true),
        (of(2, false), of(1, false), false),
        (of(2, false), of(0, false), false),
        (of(1, true), of(5, true), false),
        (spec(json!({})), of(1, false), false),
        (spec(json!({})), of(2, false), true),
    ] {
        assert_eq!(update(j, jobs, old.clone(), new.clone()).is_start(), starts, "{old} {new}");
    }
    // The operator's own: the label and its account.
    let own = with(spec(json!({})), "labels", json!({"app.kubernetes.io/managed-by": "holdpoint"}));
    create(j, jobs, own.clone()).by("holdpoint-system/holdpoint").passes();
    create(j, jobs, own).starts();
    create(j, jobs, spec(json!({}))).by("holdpoint-system/holdpoint").starts();
}
