//! However an object comes in, a gate that holds it holds it.

use crate::manifests::{creating, failing, gate, networkchaos, passing, podchaos, podchaos_gate};
use crate::team::{Team, steady};
use crate::world::{ensure, eventually, shared};

fn closed(prefix: &str) -> Team<'static> {
    let team = shared().team(prefix);
    team.apply(&(failing("frozen") + &podchaos_gate("chaos", &["frozen"])));
    team.held("chaos", &podchaos("kill"));
    team
}

#[track_caller]
fn is_denial(stderr: &str, subject: &str) {
    assert!(stderr.contains("denied the request: ") && stderr.contains(&format!("{subject} blocked by ExperimentGate/chaos")), "{stderr}");
}

#[test]
fn create_apply_replace_and_server_side_apply_are_held_alike() {
    let team = closed("verbs");
    let subject = format!("PodChaos {}/kill", team.name);
    for args in [
        &["create", "-f", "-"][..],
        &["create", "--save-config", "-f", "-"],
        &["apply", "-f", "-"],
        &["apply", "--server-side", "-f", "-"],
        &["apply", "--server-side", "--force-conflicts", "--field-manager=gitops", "-f", "-"],
    ] {
        is_denial(&team.refused(args, &podchaos("kill")), &subject);
    }
    assert!(!team.kubectl.ok(&["get", "podchaos"]).unwrap().contains("kill"));
}

#[test]
fn replace_is_held_where_it_creates_and_not_where_it_updates() {
    let team = shared().team("replace");
    team.apply(&(passing("frozen") + &podchaos_gate("chaos", &["frozen"])));
    team.held("chaos", &podchaos("kill"));
    team.create(&podchaos("kill"));
    team.done(&["delete", "pfc", "frozen"], "");
    team.apply(&failing("frozen"));
    team.condition("xgate/chaos", "Open", "False");
    // The gate names CREATE only.
    team.done(&["replace", "-f", "-"], &podchaos("kill").replace("one", "all"));
    assert_eq!(team.get("podchaos", "kill")["spec"]["mode"], "all");
    let refused = team.refused(&["replace", "--force", "-f", "-"], &podchaos("kill"));
    is_denial(&refused, &format!("PodChaos {}/kill", team.name));
}

#[test]
fn an_object_with_a_generated_name_is_held() {
    let team = closed("generate");
    let object = podchaos("x").replace("name: x", "generateName: kill-");
    let denial = team.create_refused(&object);
    assert!(denial.contains(&format!("PodChaos {}/kill-", team.name)) && denial.contains(" blocked by ExperimentGate/chaos"), "{denial}");
}

#[test]
fn of_several_documents_each_is_judged_by_itself() {
    let team = closed("documents");
    let file = podchaos("kill-1") + &networkchaos("slow") + &podchaos("kill-2");
    let output = team.kubectl.run_with_input(&["create", "-f", "-"], &file).unwrap();
    assert_eq!((output.code, &output.stdout[..]), (1, "networkchaos.chaos-mesh.org/slow created\n"), "{output:?}");
    assert_eq!(output.stderr.matches("Error from server (Forbidden): ").count(), 2, "{output:?}");
    for name in ["kill-1", "kill-2"] {
        is_denial(&output.stderr, &format!("PodChaos {}/{name}", team.name));
    }
}

#[test]
fn each_item_of_a_list_is_judged() {
    let team = closed("list");
    let item = |kind: &str, name: &str| {
        format!(r#"{{"apiVersion":"chaos-mesh.org/v1alpha1","kind":"{kind}","metadata":{{"name":"{name}"}},"spec":{{}}}}"#)
    };
    let items = [item("PodChaos", "kill-1"), item("NetworkChaos", "slow"), item("PodChaos", "kill-2")].join(",");
    let list = format!(r#"{{"apiVersion":"v1","kind":"List","items":[{items}]}}"#);
    let output = team.kubectl.run_with_input(&["apply", "-f", "-"], &list).unwrap();
    assert_eq!(output.code, 1, "{output:?}");
    assert!(output.stdout.contains("networkchaos.chaos-mesh.org/slow created"), "{output:?}");
    for name in ["kill-1", "kill-2"] {
        is_denial(&output.stderr, &format!("PodChaos {}/{name}", team.name));
    }
}

#[test]
fn an_older_served_version_is_held_too() {
    let team = shared().team("version");
    let rules = creating("kubevirt.io", "virtualmachines");
    team.apply(&(failing("frozen") + &gate("chaos", &format!("{{ mode: Enforce, match: {{ {rules} }}, checks: [{{ name: frozen }}] }}"))));
    let machine = |version: &str| {
        format!("apiVersion: kubevirt.io/{version}\nkind: VirtualMachine\nmetadata: {{ name: db }}\nspec: {{ runStrategy: Always }}\n")
    };
    team.held("chaos", &machine("v1"));
    for version in ["v1", "v1alpha3"] {
        is_denial(&team.create_refused(&machine(version)), &format!("VirtualMachine {}/db", team.name));
    }
}

#[test]
fn a_dry_run_gets_the_same_answer_and_leaves_no_trace() {
    let team = closed("dry");
    let dry = team.refused(&["create", "--dry-run=server", "-f", "-"], &podchaos("kill"));
    let real = team.create_refused(&podchaos("kill"));
    assert_eq!(steady(&dry), steady(&real));
    let id = crate::team::decision_id(&real);
    eventually("the decision to be recorded", || {
        let status = team.get("xgate", "chaos")["status"].clone();
        ensure(status["recentDecisions"][0]["id"] == id[..], || status.to_string())
    });
    let status = team.get("xgate", "chaos")["status"].clone();
    assert_eq!(status["recentDecisions"].as_array().unwrap().len(), 1, "{status}");
    assert_eq!(status["counters"], serde_json::json!({ "admitted": 0, "warned": 0, "held": 0, "denied": 1 }));
    eventually("an Event of the denial", || {
        let denied = team.events("ExperimentGate", "chaos").into_iter().filter(|(_, reason, _)| reason == "AdmissionDenied").count();
        ensure(denied == 1, || denied.to_string())
    });
    let of_gate = format!("gate=\"{}/chaos\"", team.name);
    assert!(team.world.metric("holdpoint_decisions_total", &[&of_gate, "dry_run=\"true\"", "decision=\"Deny\""]) >= 1);
    assert_eq!(team.world.metric("holdpoint_decisions_total", &[&of_gate, "dry_run=\"false\"", "decision=\"Deny\""]), 1);
}
