//! `KubeVirt`.

use super::*;

const V: Preset = Preset::KubeVirt;
const VM: (&str, &str) = ("virtualmachines", "kubevirt.io");
const VM_STATUS: (&str, &str) = ("virtualmachines/status", "kubevirt.io");
const CONTROLLER: &str = "kubevirt/kubevirt-controller";
const API: &str = "kubevirt/kubevirt-apiserver";

fn strategy(strategy: &str) -> Value {
    spec(json!({"runStrategy": strategy}))
}

fn status(mut object: Value, status: Value) -> Value {
    object["status"] = status;
    object
}

#[test]
fn a_machine_starts_when_its_strategy_makes_it_run() {
    let running = |running: bool| spec(json!({ "running": running }));
    for start in
        [strategy("Always"), strategy("RerunOnFailure"), strategy("Once"), strategy("WaitAsReceiver"), strategy("New"), running(true)]
    {
        create(V, VM, start.clone()).starts();
        create(V, VM, start.clone()).by(CONTROLLER).starts();
        for stopped in [strategy("Halted"), strategy("Manual"), running(false), spec(json!({}))] {
            create(V, VM, stopped.clone()).passes();
            update(V, VM, stopped.clone(), start.clone()).starts();
            update(V, VM, stopped.clone(), start.clone()).by(API).starts();
            update(V, VM, start.clone(), stopped.clone()).passes();
            update(V, VM, stopped.clone(), stopped).passes();
        }
        update(V, VM, strategy("Always"), start).passes();
    }
    create(V, VM, owned(strategy("Always"), "pool.kubevirt.io/v1alpha1", "VirtualMachinePool")).by(CONTROLLER).passes();
    create(V, VM, owned(strategy("Always"), "pool.kubevirt.io/v1alpha1", "VirtualMachinePool")).starts();
    // More memory is no start.
    update(V, VM, strategy("Always"), spec(json!({"runStrategy": "Always", "template": {"memory": "2Gi"}}))).passes();
}

#[test]
fn a_manual_machine_that_runs_may_be_kept_running() {
    let runs = json!({"created": true});
    update(V, VM, status(strategy("Manual"), runs.clone()), status(strategy("Always"), runs.clone())).passes();
    update(V, VM, status(strategy("Halted"), runs.clone()), status(strategy("Always"), runs.clone())).starts();
    // What counts is what was: the new object's status is the requester's to write.
    update(V, VM, strategy("Manual"), status(strategy("Always"), runs)).starts();
}

#[test]
fn a_state_change_request_is_a_start_and_every_other_status_is_not() {
    let requests = |strategy_: &str, requests: Value| status(strategy(strategy_), json!({ "stateChangeRequests": requests }));
    let (start, stop) = (json!({"action": "Start"}), json!({"action": "Stop", "uid": "u"}));
    for resource in [VM, VM_STATUS] {
        update(V, resource, strategy("Manual"), requests("Manual", json!([start]))).by(API).starts();
        update(V, resource, strategy("Always"), requests("Always", json!([stop, start]))).by(API).starts();
        update(V, resource, strategy("Always"), requests("Always", json!([stop]))).by(API).passes();
        update(V, resource, requests("Manual", json!([stop, start])), requests("Manual", json!([start]))).by(CONTROLLER).passes();
        update(V, resource, requests("Manual", json!([start])), strategy("Manual")).by(CONTROLLER).passes();
        update(
            V,
            resource,
            requests("Manual", json!([start])),
            requests("Manual", json!([{"action": "Start", "data": {"paused": "true"}}])),
        )
        .by(API)
        .starts();
        update(V, resource, strategy("Manual"), status(strategy("Manual"), json!({"ready": true, "created": true})))
            .by(CONTROLLER)
            .passes();
        // What virt-controller does to keep a machine to its strategy.
        update(V, resource, strategy("RerunOnFailure"), requests("RerunOnFailure", json!([start]))).by(CONTROLLER).passes();
        update(V, resource, strategy("RerunOnFailure"), requests("RerunOnFailure", json!([start]))).by(API).starts();
        update(V, resource, strategy("Manual"), requests("Manual", json!([start]))).by(CONTROLLER).starts();
    }
    let asked = requests("Halted", json!([start]));
    update(V, VM, asked.clone(), requests("Always", json!([start]))).by(CONTROLLER).passes();
    update(V, VM, asked.clone(), requests("Always", json!([start]))).starts();
    update(V, VM, asked, requests("Once", json!([start]))).by(CONTROLLER).starts();
    update(V, VM, strategy("Halted"), strategy("Always")).by(CONTROLLER).starts();
}

#[test]
fn instances_and_migrations_are_the_controllers_own_only_where_it_has_to() {
    let (instances, migrations) = (("virtualmachineinstances", "kubevirt.io"), ("virtualmachineinstancemigrations", "kubevirt.io"));
    for kind in ["VirtualMachine", "VirtualMachineInstanceReplicaSet"] {
        for version in ["kubevirt.io/v1", "kubevirt.io/v1alpha3"] {
            create(V, instances, owned(spec(json!({})), version, kind)).by(CONTROLLER).passes();
            create(V, instances, owned(spec(json!({})), version, kind)).starts();
        }
    }
    create(V, instances, spec(json!({}))).by(CONTROLLER).starts();
    create(V, instances, owned(spec(json!({})), "v1", "Pod")).by(CONTROLLER).starts();
    let holds = Catalog::default().holds(V, &[]);
    assert!(holds.iter().any(|h| h.resources == ["virtualmachineinstances"] && h.update.is_none()), "heartbeats are never sent");
    let migration = spec(json!({"vmiName": "a"}));
    create(V, migrations, migration.clone()).starts();
    create(V, migrations, migration.clone()).by(CONTROLLER).starts();
    for annotation in ["kubevirt.io/evacuationMigration", "kubevirt.io/workloadUpdateMigration"] {
        create(V, migrations, annotated(migration.clone(), annotation, "")).by(CONTROLLER).passes();
        create(V, migrations, annotated(migration.clone(), annotation, "")).starts();
        create(V, migrations, annotated(migration.clone(), annotation, "")).by(API).starts();
    }
}

#[test]
fn replicas_start_when_there_are_more_of_them() {
    let of = |replicas: Value, paused: bool| spec(json!({"replicas": replicas, "paused": paused}));
    for (plural, scale, group) in [
        ("virtualmachineinstancereplicasets", "virtualmachineinstancereplicasets/scale", "kubevirt.io"),
        ("virtualmachinepools", "virtualmachinepools/scale", "pool.kubevirt.io"),
    ] {
        let resource = (plural, group);
        create(V, resource, spec(json!({}))).starts();
        create(V, resource, of(json!(2), false)).starts();
        create(V, resource, of(json!(2), true)).passes();
        create(V, resource, of(json!(0), false)).passes();
        for (old, new, starts) in [
            (of(json!(0), false), of(json!(1), false), true),
            (of(json!(1), false), of(json!(3), false), true),
            (of(json!(3), false), of(json!(1), false), false),
            (of(json!(3), true), of(json!(3), false), true),
            (of(json!(3), false), of(json!(3), true), false),
            (of(json!(3), true), of(json!(9), true), false),
            (of(json!(0), true), of(json!(0), false), false),
            (spec(json!({})), of(json!(1), false), false),
            (spec(json!({})), of(json!(2), false), true),
        ] {
            assert_eq!(update(V, resource, old.clone(), new.clone()).is_start(), starts, "{old} {new}");
        }
        update(V, (scale, group), of(json!(1), false), of(json!(2), false)).starts();
        update(V, (scale, group), spec(json!({})), of(json!(1), false)).starts();
        update(V, (scale, group), of(json!(2), false), of(json!(1), false)).passes();
        update(V, (scale, group), of(json!(2), false), spec(json!({}))).passes();
    }
}
