//! The same with the real kubectl, by people with certificates and by the accounts of controllers with tokens.

use super::world;
use crate::manifests::{failing, gate};
use crate::team::Team;
use crate::world::{ensure, eventually};
use control_plane::Kubectl;

const PAUSED: &str = "annotations: { experiment.chaos-mesh.org/pause: 'true' }, ";

/// A closed gate with a preset, once it holds an object.
fn closed(prefix: &str, preset: &str, probe: &str) -> Team<'static> {
    let team = world().team(prefix);
    let spec = format!("{{ mode: Enforce, presets: [{preset}], checks: [{{ name: frozen }}] }}");
    team.apply(&(failing("frozen") + &gate("starts", &spec)));
    team.held("starts", probe);
    team
}

fn chaos(kind: &str, metadata: &str, spec: &str) -> String {
    format!("\n---\napiVersion: chaos-mesh.org/v1alpha1\nkind: {kind}\nmetadata: {{ {metadata} }}\nspec: {{ {spec} }}\n")
}

/// Somebody who may edit everything in the namespace.
fn person(team: &Team<'_>) -> Kubectl {
    let kubectl = team.world.plane.user(&format!("{}-person", team.name), &["testers"]).unwrap();
    entitled(team, &["--user", &format!("{}-person", team.name)]);
    in_force(kubectl.in_namespace(&team.name))
}

/// A right takes effect a moment after it was given.
fn in_force(kubectl: Kubectl) -> Kubectl {
    eventually("the rights to be in force", || {
        let may = kubectl.run(&["auth", "can-i", "*", "*"]).map_err(|error| error.to_string())?;
        ensure(may.code == 0, || may.stdout)
    });
    kubectl
}

/// The account of a controller, where its tool installs it.
fn account(team: &Team<'_>, namespace: &str, name: &str) -> Kubectl {
    let admin = team.world.plane.admin();
    admin.apply_text(&format!("{{ apiVersion: v1, kind: Namespace, metadata: {{ name: {namespace} }} }}")).unwrap();
    let account = format!("{{ apiVersion: v1, kind: ServiceAccount, metadata: {{ name: {name} }} }}");
    admin.in_namespace(namespace).apply_text(&account).unwrap();
    entitled(team, &[&format!("--serviceaccount={namespace}:{name}")]);
    in_force(team.world.plane.service_account(namespace, name).unwrap().in_namespace(&team.name))
}

fn entitled(team: &Team<'_>, subject: &[&str]) {
    let name = format!("may-{}", subject.concat().replace(|c: char| !c.is_ascii_alphanumeric(), "-").trim_matches('-'));
    team.done(&[&["create", "rolebinding", &name, "--clusterrole=cluster-admin"], subject].concat(), "");
}

#[track_caller]
fn held(kubectl: &Kubectl, args: &[&str], input: &str) {
    let output = kubectl.run_with_input(args, input).unwrap();
    assert!(output.code == 1 && output.stderr.contains(" blocked by ExperimentGate/starts"), "kubectl {}: {output:?}", args.join(" "));
}

#[track_caller]
fn passes(kubectl: &Kubectl, args: &[&str], input: &str) {
    kubectl.ok_with_input(args, input).unwrap();
}

#[test]
fn of_a_list_what_is_paused_is_let_in_and_resuming_it_is_held() {
    let team = closed("k-list", "ChaosMesh", &chaos("NetworkChaos", "name: probe", "mode: one"));
    let person = person(&team);
    let list = r#"{"apiVersion":"v1","kind":"List","items":[
        {"apiVersion":"chaos-mesh.org/v1alpha1","kind":"NetworkChaos","metadata":{"name":"runs"},"spec":{"mode":"one"}},
        {"apiVersion":"chaos-mesh.org/v1alpha1","kind":"Schedule","metadata":{"name":"paused","annotations":{"experiment.chaos-mesh.org/pause":"true"}},"spec":{}},
        {"apiVersion":"chaos-mesh.org/v1alpha1","kind":"Workflow","metadata":{"generateName":"all-"},"spec":{}}]}"#;
    let output = person.run_with_input(&["create", "-f", "-"], list).unwrap();
    assert_eq!((output.code, &output.stdout[..]), (1, "schedule.chaos-mesh.org/paused created\n"), "{output:?}");
    assert_eq!(output.stderr.matches(" blocked by ExperimentGate/starts").count(), 2, "{output:?}");
    let pause = "experiment.chaos-mesh.org/pause";
    held(&person, &["annotate", "schedule.chaos-mesh.org/paused", &format!("{pause}-")], "");
    held(&person, &["annotate", "--overwrite", "schedule.chaos-mesh.org/paused", &format!("{pause}=false")], "");
    passes(&person, &["annotate", "schedule.chaos-mesh.org/paused", "note=seen"], "");
    // kubectl apply as people use it: what is not there is created, what is there is patched.
    let paused = chaos("NetworkChaos", &format!("{PAUSED}name: slow"), "mode: one");
    passes(&person, &["apply", "-f", "-"], &paused);
    held(&person, &["apply", "-f", "-"], &paused.replace(PAUSED, ""));
    held(&person, &["replace", "-f", "-"], &paused.replace(PAUSED, ""));
    held(&person, &["apply", "-f", "-"], &chaos("IOChaos", "name: other", "mode: one"));
    passes(&person, &["delete", "networkchaos,schedules.chaos-mesh.org", "--all"], "");
}

#[test]
fn the_controllers_account_passes_with_what_is_inside_and_is_held_when_a_schedule_fires() {
    // Before the gate.
    let mut team = world().team("k-account");
    team.expect_forbidden("/schedules/hourly");
    team.create(&(chaos("WorkflowNode", "name: node", "type: NetworkChaos") + &chaos("Schedule", "name: hourly", "schedule: '@every 1h'")));
    team.apply(&(failing("frozen") + &gate("starts", "{ mode: Enforce, presets: [ChaosMesh], checks: [{ name: frozen }] }")));
    team.held("starts", &chaos("NetworkChaos", "name: probe", "mode: one"));
    let controller = account(&team, "chaos-mesh", "chaos-controller-manager");
    let owned = |kind: &str, name: &str| {
        let uid = team.get(&format!("{}.chaos-mesh.org", kind.to_lowercase()), name)["metadata"]["uid"].as_str().unwrap().to_owned();
        let owner = format!("{{ apiVersion: chaos-mesh.org/v1alpha1, kind: {kind}, name: {name}, uid: {uid}, controller: true }}");
        chaos("NetworkChaos", &format!("generateName: {name}-, ownerReferences: [{owner}]"), "mode: one")
    };
    let child = owned("WorkflowNode", "node");
    passes(&controller, &["create", "-f", "-"], &child);
    held(&person(&team), &["create", "-f", "-"], &child);
    held(&controller, &["create", "-f", "-"], &owned("Schedule", "hourly"));
}

#[test]
fn machines_are_held_by_scale_status_and_migration() {
    let machine = |name: &str, strategy: &str| crate::manifests::machine(name, strategy);
    let team = closed("k-machines", "KubeVirt", &machine("probe", "Always"));
    let person = person(&team);
    passes(&person, &["create", "-f", "-"], &machine("db", "Manual"));
    let start = r#"{"status":{"stateChangeRequests":[{"action":"Start"}]}}"#;
    held(&person, &["patch", "vm/db", "--subresource=status", "--type=merge", "--patch", start], "");
    passes(&person, &["patch", "vm/db", "--subresource=status", "--type=merge", "--patch", r#"{"status":{"ready":false}}"#], "");
    let set =
        "\n---\napiVersion: kubevirt.io/v1\nkind: VirtualMachineInstanceReplicaSet\nmetadata: { name: many }\nspec: { replicas: 0 }\n";
    passes(&person, &["create", "-f", "-"], set);
    held(&person, &["scale", "vmirs/many", "--replicas=2"], "");
    passes(&person, &["scale", "vmirs/many", "--replicas=0"], "");
    let migration = "\n---\napiVersion: kubevirt.io/v1\nkind: VirtualMachineInstanceMigration\nmetadata: { generateName: drain-, \
                     annotations: { kubevirt.io/evacuationMigration: node-1 } }\nspec: { vmiName: db }\n";
    held(&person, &["create", "-f", "-"], migration);
    passes(&account(&team, "kubevirt", "kubevirt-controller"), &["create", "-f", "-"], migration);
}

#[test]
fn a_job_that_somebody_makes_of_a_cron_job_is_held() {
    let mut team = world().team("k-jobs");
    team.expect_forbidden("/cronjobs/nightly");
    let cron = "\n---\napiVersion: batch/v1\nkind: CronJob\nmetadata: { name: nightly, labels: { purpose: chaos } }\n\
                spec: { schedule: '0 0 1 1 *', suspend: true, jobTemplate: { metadata: { labels: { purpose: chaos } }, \
                spec: { template: { spec: { restartPolicy: Never, containers: [{ name: run, image: example/app }] } } } } }\n";
    let job = "\n---\napiVersion: batch/v1\nkind: Job\nmetadata: { name: probe, labels: { purpose: chaos } }\n\
               spec: { template: { spec: { restartPolicy: Never, containers: [{ name: run, image: example/app }] } } }\n";
    let spec =
        "{ mode: Enforce, presets: [Jobs], match: { objectSelector: { matchLabels: { purpose: chaos } } }, checks: [{ name: frozen }] }";
    team.apply(&(failing("frozen") + &gate("starts", spec)));
    team.held("starts", job);
    let person = person(&team);
    passes(&person, &["create", "-f", "-"], cron);
    held(&person, &["create", "job", "now", "--from=cronjob/nightly"], "");
    held(&person, &["patch", "cronjob/nightly", "--patch", r#"{"spec":{"suspend":false}}"#], "");
    passes(&person, &["patch", "cronjob/nightly", "--patch", r#"{"spec":{"schedule":"0 0 1 2 *"}}"#], "");
}

#[test]
fn a_gate_on_all_jobs_cannot_work() {
    let team = world().team("k-all-jobs");
    team.apply(&(failing("frozen") + &gate("starts", "{ mode: Enforce, presets: [Jobs], checks: [{ name: frozen }] }")));
    let message = team.condition_for("xgate/starts", "Ready", "False", "InvalidSpec");
    assert!(message.contains("objectSelector"), "{message}");
}

#[test]
fn a_gate_of_a_namespace_says_that_a_kind_has_no_namespace() {
    let team = world().team("k-scope");
    team.apply(&(failing("frozen") + &gate("starts", "{ mode: Enforce, presets: [ChaosBlade], checks: [{ name: frozen }] }")));
    let said = eventually("the gate to say so", || {
        let gate = team.kubectl.json(&["get", "xgate", "starts"]).map_err(|error| error.to_string())?;
        let said = crate::team::reason_and_message(&gate, "Ready").1;
        ensure(said.contains("chaosblades") && said.contains("ClusterExperimentGate"), || gate["status"].to_string())?;
        Ok(said)
    });
    assert!(!said.is_empty());
}
