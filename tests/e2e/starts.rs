//! What starts something is held; what stops it never is.

use crate::manifests::{failing, gate, machine, passing};
use crate::team::Team;
use crate::world::shared;

/// What examples/gate-kubevirt.yaml says: machines that are to run, and were not to run before.
fn gated(prefix: &str, check: &str) -> Team<'static> {
    let team = shared().team(prefix);
    let match_ = "match: { rules: [{ apiGroups: [kubevirt.io], resources: [virtualmachines], operations: [CREATE, UPDATE] }], \
                  start: \"object.spec.?runStrategy.orValue('Halted') != 'Halted' && \
                  (oldObject == null || oldObject.spec.?runStrategy.orValue('Halted') == 'Halted')\" }";
    team.apply(&(check.to_owned() + &gate("machines", &format!("{{ mode: Enforce, {match_}, checks: [{{ name: ready }}] }}"))));
    team.held("machines", &machine("probe", "Always"));
    team
}

fn run_strategy(strategy: &str) -> Vec<String> {
    let patch = format!(r#"{{"spec":{{"runStrategy":"{strategy}"}}}}"#);
    ["patch", "vm", "db", "--type=merge", "--patch", &patch].map(str::to_owned).to_vec()
}

fn args(owned: &[String]) -> Vec<&str> {
    owned.iter().map(String::as_str).collect()
}

#[test]
fn a_machine_may_be_created_halted_and_starting_it_is_what_is_refused() {
    let team = gated("start", &failing("ready"));
    team.create_refused(&machine("running", "Always"));
    team.create(&machine("db", "Halted"));
    let start = run_strategy("Always");
    let denial = team.refused(&args(&start), "");
    assert!(
        denial
            .contains(&format!("VirtualMachine {}/db blocked by ExperimentGate/machines: 1 of 1 required check not passing: ", team.name)),
        "{denial}"
    );
    team.refused(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &machine("db", "Always"));
    team.refused(&["replace", "-f", "-"], &machine("db", "Always"));
    // The older version of the same object.
    team.refused(
        &["apply", "--server-side", "--force-conflicts", "-f", "-"],
        &machine("db", "Always").replace("kubevirt.io/v1", "kubevirt.io/v1alpha3"),
    );
    assert_eq!(team.get("vm", "db")["spec"]["runStrategy"], "Halted");
    team.done(&["label", "vm", "db", "tier=data"], "");
    team.done(&["patch", "vm", "db", "--subresource=status", "--type=merge", "--patch", r#"{"status":{"ready":false}}"#], "");

    team.done(&["delete", "pfc", "ready"], "");
    team.apply(&passing("ready"));
    team.condition("xgate/machines", "Open", "True");
    team.done(&args(&start), "");
    assert_eq!(team.get("vm", "db")["spec"]["runStrategy"], "Always");
}

#[test]
fn a_running_machine_may_be_changed_stopped_and_deleted_while_the_gate_is_closed() {
    let team = gated("stop", &passing("ready"));
    team.condition("xgate/machines", "Open", "True");
    for name in ["db", "other"] {
        team.create(&machine(name, "Always").replace("{ name: ", "{ finalizers: [e2e.example/hold], name: "));
    }
    team.done(&["delete", "pfc", "ready"], "");
    team.apply(&failing("ready"));
    team.condition("xgate/machines", "Open", "False");

    team.done(&["label", "vm", "db", "tier=data"], "");
    team.done(&["patch", "vm", "db", "--type=merge", "--patch", r#"{"spec":{"template":{"cpu":4}}}"#], "");
    team.done(&args(&run_strategy("Halted")), "");
    // It is stopped now: to start it again is held.
    team.refused(&args(&run_strategy("Always")), "");
    // Deleting, and what finalizers write, even if it looked like a start.
    team.done(&["delete", "vm", "db", "other", "--wait=false"], "");
    let looks_like_a_start = r#"{"spec":{"runStrategy":"Always"}}"#;
    team.done(&["patch", "vm", "db", "--type=merge", "--patch", looks_like_a_start], "");
    for name in ["db", "other"] {
        team.done(&["patch", "vm", name, "--type=merge", "--patch", r#"{"metadata":{"finalizers":null}}"#], "");
    }
    assert_eq!(team.kubectl.ok(&["get", "vm", "-o", "name"]).unwrap(), "");
}

#[test]
fn an_engine_starts_when_its_state_becomes_active() {
    let team = shared().team("litmus");
    let match_ = "match: { rules: [{ apiGroups: [litmuschaos.io], resources: [chaosengines], operations: [CREATE, UPDATE] }], \
                  start: \"object.spec.engineState == 'active' && (oldObject == null || oldObject.spec.engineState != 'active')\" }";
    team.apply(&(failing("ready") + &gate("litmus", &format!("{{ mode: Enforce, {match_}, checks: [{{ name: ready }}] }}"))));
    let engine =
        |state: &str| format!("apiVersion: litmuschaos.io/v1alpha1\nkind: ChaosEngine\nmetadata: {{ name: kill }}\nspec: {{ {state} }}\n");
    team.held("litmus", &engine("engineState: active"));
    team.create_refused(&engine("engineState: active"));
    // What the expression cannot tell counts as a start.
    let denial = team.create_refused(&engine("appinfo: {}"));
    assert!(denial.contains("blocked by ExperimentGate/litmus"), "{denial}");
    team.create(&engine("engineState: stop"));
    team.refused(&["patch", "chaosengine", "kill", "--type=merge", "--patch", r#"{"spec":{"engineState":"active"}}"#], "");
    team.done(&["delete", "chaosengine", "kill"], "");
}
