//! Checks of what the experiment will touch that wants to start: `targets.source: Gated`, and the probe `blastRadius`.

use crate::manifests::{check, creating, gate, podchaos_gate};
use crate::team::Team;
use crate::world::{ensure, eventually, shared};

/// A `PodChaos` of so many percent of the pods with these labels, or of whatever a selector says.
fn kill(name: &str, percent: u32, selector: &str) -> String {
    format!(
        "\n---\napiVersion: chaos-mesh.org/v1alpha1\nkind: PodChaos\nmetadata: {{ name: {name} }}\n\
         spec: {{ action: pod-kill, mode: fixed-percent, value: '{percent}', selector: {selector} }}\n"
    )
}

const WEB: &str = "{ labelSelectors: { app: web } }";

/// Waits until a check is ready to be asked.
#[track_caller]
fn ready(team: &Team<'_>, check: &str) {
    team.verdict_for(check, "Unknown", "PerRequest");
}

/// Tries to start something until the refusal says this: the operator may not have seen all pods yet.
#[track_caller]
fn refused(team: &Team<'_>, object: &str, says: &str) -> String {
    eventually(says, || {
        let output = team.kubectl.run_with_input(&["create", "--dry-run=server", "-f", "-"], object).map_err(|error| error.to_string())?;
        ensure(output.code == 1 && output.stderr.contains(says), || format!("{output:?}")).map(|()| output.stderr.clone())
    })
}

#[track_caller]
fn admitted(team: &Team<'_>, object: &str) {
    eventually("it to be admitted", || {
        let output = team.kubectl.run_with_input(&["create", "--dry-run=server", "-f", "-"], object).map_err(|error| error.to_string())?;
        ensure(output.code == 0 && !output.stderr.contains("Warning"), || format!("{output:?}"))
    });
}

#[test]
fn too_large_a_part_of_a_workload_is_refused_with_numbers_and_a_small_one_admitted() {
    let team = shared().team("radius");
    team.deployment("web", 5);
    team.apply(&check("small", "{ probe: { blastRadius: { maxPods: '50%' } } }"));
    ready(&team, "small");
    team.apply(&podchaos_gate("chaos", &["small"]));
    team.held("chaos", &kill("kill", 20, WEB));
    let denial = refused(&team, &kill("kill", 60, WEB), "at most 3 of its 5 pods would be hit, 2 allowed (maxPods 50%)");
    assert!(denial.contains("small FAIL (3 of 5 pods, required at most 2)"), "{denial}");
    assert!(denial.contains(&format!("{}/Deployment/web: at most 3 of its 5 pods", team.name)), "{denial}");
    admitted(&team, &kill("kill", 20, WEB));
    refused(&team, &kill("kill", 20, "{ labelSelectors: { app: gone } }"), "with labels app=gone");
    refused(
        &team,
        &kill("kill", 20, "{ namespaces: [kube-system] }"),
        "pods in namespace kube-system could be hit, and this check looks at namespace",
    );
    let remote = kill("kill", 20, WEB).replace("action: pod-kill", "action: pod-kill, remoteCluster: east");
    refused(&team, &remote, "it cannot be told what it touches: it runs in another cluster");
    // A standing verdict would be no answer.
    let (reason, _) = team.condition("xgate/chaos", "Open", "Unknown");
    assert_eq!(reason, "PerRequest");
}

#[test]
fn the_workloads_and_pods_that_would_be_hit_are_judged_as_they_are() {
    let team = shared().team("touched");
    team.deployment("web", 2);
    team.deployment("db", 2);
    team.apply(&check("touched-healthy", "{ probe: { rollout: {} }, targets: { source: Gated } }"));
    team.apply(&check("may-go", "{ probe: { disruptionBudget: {} }, targets: { source: Gated, apiVersion: apps/v1, kind: Deployment } }"));
    for check in ["touched-healthy", "may-go"] {
        ready(&team, check);
    }
    team.apply(&podchaos_gate("chaos", &["touched-healthy"]));
    team.apply(&gate(
        "budgets",
        &format!("{{ mode: Enforce, match: {{ {} }}, checks: [{{ name: may-go }}] }}", creating("chaos-mesh.org", "podchaos")),
    ));
    for gate in ["chaos", "budgets"] {
        team.held(gate, &kill("kill", 50, WEB));
    }
    refused(&team, &kill("kill", 50, WEB), "no PodDisruptionBudget covers its pods");
    team.done(&["create", "pdb", "web", "--selector=app=web", "--max-unavailable=1"], "");
    admitted(&team, &kill("kill", 50, WEB));
    team.break_pods("db");
    admitted(&team, &kill("kill", 50, WEB));
    team.break_pods("web");
    let denial = refused(&team, &kill("kill", 50, WEB), "Deployment/web: 0/2 replicas available");
    assert!(denial.contains("allows 0 disruptions"), "{denial}");
}

#[test]
fn what_is_protected_is_not_even_selected() {
    let (team, vault) = (shared().team("protects"), shared().team("vault"));
    team.deployment("web", 3);
    vault.deployment("web", 1);
    team.may_read_the_cluster();
    team.apply(&check("safe", "{ probe: { blastRadius: {} }, targets: { source: Gated, namespaceSelector: {} } }"));
    ready(&team, "safe");
    team.apply(&podchaos_gate("chaos", &["safe"]));
    let both = kill("kill", 20, &format!("{{ namespaces: [{}, {}], labelSelectors: {{ app: web }} }}", team.name, vault.name));
    team.held("chaos", &both);
    admitted(&team, &both);
    team.world.plane.admin().ok(&["label", "namespace", &vault.name, "holdpoint.dev/protected=true"]).unwrap();
    refused(&team, &both, &format!("Namespace/{}: it is protected (labels holdpoint.dev/protected=true)", vault.name));
}

#[test]
fn an_account_that_may_not_list_pods_is_told_so_and_nothing_passes() {
    let team = shared().team("blind").without_rights();
    team.apply(&check("small", "{ probe: { blastRadius: { maxPods: '50%' } } }"));
    let message = team.verdict_for("small", "Unknown", "Forbidden");
    assert!(message.contains("may not list pods in namespace") && message.contains("grant it: kubectl -n"), "{message}");
    team.apply(&podchaos_gate("chaos", &["small"]));
    team.held("chaos", &kill("kill", 20, WEB));
    refused(&team, &kill("kill", 20, WEB), "small UNKNOWN (service account");
    team.grant("small");
    ready(&team, "small");
}
