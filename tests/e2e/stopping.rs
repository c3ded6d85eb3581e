//! Without the operator a gate that fails closed refuses starts, and nothing but starts. Alone on their control plane.

use crate::manifests::{failing, gate, machine};
use crate::team::Team;
use crate::world::{World, exclusive};
use std::path::Path;

/// Applies a gate as it ships, whose check fails: there is no such Deployment.
fn gated(team: &Team<'_>, example: &str, name: &str, probe: &str) {
    team.kubectl.apply(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example)).unwrap();
    team.held(name, probe);
}

fn patch(team: &Team<'_>, object: &str, patch: &str) {
    team.done(&["patch", object, "--type=merge", "--patch", patch], "");
}

/// A refusal by the API server in the operator's absence.
fn refused_without_operator(team: &Team<'_>, args: &[&str], input: &str) {
    let refused = team.refused(args, input);
    assert!(refused.contains("failed calling webhook \"fail.holdpoint.dev\""), "{refused}");
}

fn tidy(world: &World, team: &Team<'_>) {
    world.operator().restart().unwrap();
    team.done(&["delete", "xgate", "--all"], "");
}

#[test]
fn without_the_operator_machines_can_be_stopped_and_changed_and_not_started() {
    let world = exclusive();
    // Created while nothing is held.
    let team = world.team("stopping");
    for name in ["db", "other"] {
        team.create(&machine(name, "Always").replace("{ name: ", "{ finalizers: [e2e.example/hold], name: "));
    }
    gated(&team, "gate-kubevirt.yaml", "machines", &machine("probe", "Always"));
    let start = r#"{"spec":{"runStrategy":"Always"}}"#;
    let stop = r#"{"spec":{"runStrategy":"Halted"}}"#;

    // With it: a denial that explains itself, and creates without an old object.
    let denial = team.create_refused(&machine("new", "Always"));
    assert!(denial.contains("blocked by ExperimentGate/machines"), "{denial}");
    team.create(&machine("halted", "Halted"));
    let denial = team.refused(&["patch", "vm/halted", "--type=merge", "--patch", start], "");
    assert!(denial.contains("blocked by ExperimentGate/machines"), "{denial}");

    world.operator().kill();
    refused_without_operator(&team, &["create", "-f", "-"], &machine("new", "Always"));
    refused_without_operator(&team, &["patch", "vm/halted", "--type=merge", "--patch", start], "");
    team.create(&machine("new", "Halted"));
    patch(&team, "vm/db", r#"{"metadata":{"labels":{"tier":"data"}}}"#);
    patch(&team, "vm/halted", r#"{"metadata":{"labels":{"tier":"data"}}}"#);
    patch(&team, "vm/db", r#"{"spec":{"template":{"cpu":4}}}"#);
    patch(&team, "vm/db", stop);
    assert_eq!(team.get("vm", "db")["spec"]["runStrategy"], "Halted");
    refused_without_operator(&team, &["patch", "vm/db", "--type=merge", "--patch", start], "");
    team.done(&["delete", "vm", "db", "other", "halted", "--wait=false"], "");
    for object in ["vm/db", "vm/other"] {
        patch(&team, object, r#"{"metadata":{"finalizers":null}}"#);
    }
    assert_eq!(team.kubectl.ok(&["get", "vm", "-o", "name"]).unwrap(), "virtualmachine.kubevirt.io/new\n");
    tidy(&world, &team);
}

#[test]
fn without_the_operator_engines_can_be_stopped_and_not_started() {
    let world = exclusive();
    let engine = |name: &str, spec: &str| {
        format!("\n---\napiVersion: litmuschaos.io/v1alpha1\nkind: ChaosEngine\nmetadata: {{ name: {name} }}\nspec: {spec}\n")
    };
    let team = world.team("stopping");
    // Created while nothing is held.
    team.create(&engine("kill", "{ engineState: active }"));
    gated(&team, "gate-litmus.yaml", "litmus", &engine("probe", "{ engineState: active }"));
    team.create(&engine("stopped", "{ engineState: stop }"));
    let active = r#"{"spec":{"engineState":"active"}}"#;
    let stop = r#"{"spec":{"engineState":"stop"}}"#;

    world.operator().kill();
    refused_without_operator(&team, &["create", "-f", "-"], &engine("new", "{}"));
    patch(&team, "chaosengine/kill", r#"{"metadata":{"labels":{"tier":"data"}}}"#);
    // Without a state it is active, as it was before.
    patch(&team, "chaosengine/kill", r#"{"spec":{"engineState":null}}"#);
    patch(&team, "chaosengine/kill", stop);
    refused_without_operator(&team, &["patch", "chaosengine/kill", "--type=merge", "--patch", active], "");
    refused_without_operator(&team, &["patch", "chaosengine/kill", "--type=merge", "--patch", r#"{"spec":{"engineState":null}}"#], "");
    team.done(&["delete", "chaosengine", "kill"], "");
    tidy(&world, &team);
}

/// What cannot be evaluated is sent to the operator, also where the expression has no default: never an error of the API server.
#[test]
fn a_start_that_cannot_be_evaluated_takes_the_operator() {
    let world = exclusive();
    let team = world.team("stopping");
    let rules = "rules: [{ apiGroups: [e2e.example], resources: [things], operations: [CREATE, UPDATE] }]";
    let start = "object.spec.busy == true && (oldObject == null || oldObject.spec.busy != true)";
    let spec = format!("{{ mode: Enforce, match: {{ {rules}, start: '{start}' }}, checks: [{{ name: frozen }}] }}");
    team.apply(&(failing("frozen") + &gate("things", &spec)));
    let thing = |name: &str, more: &str| format!("\n---\napiVersion: e2e.example/v1\nkind: Thing\nmetadata: {{ name: {name} }}\n{more}\n");
    team.held("things", &thing("probe", "spec: { busy: true }"));
    for odd in ["", "spec: null", "spec: text", "spec: [busy]", "spec: { idle: true }"] {
        let denial = team.create_refused(&thing("odd", odd));
        assert!(denial.contains("blocked by ExperimentGate/things"), "{odd}: {denial}");
    }
    for fine in ["spec: { busy: false }", "spec: { busy: null }", "spec: { busy: [true] }"] {
        team.create(&thing("fine", fine));
        team.done(&["delete", "thing", "fine"], "");
    }
    team.create(&thing("fine", "spec: { busy: false }"));
    world.operator().kill();
    refused_without_operator(&team, &["create", "-f", "-"], &thing("odd", ""));
    refused_without_operator(&team, &["patch", "thing/fine", "--type=merge", "--patch", r#"{"spec":{"busy":true}}"#], "");
    patch(&team, "thing/fine", r#"{"metadata":{"labels":{"tier":"data"}}}"#);
    tidy(&world, &team);
}
