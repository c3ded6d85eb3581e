//! Which objects gates hold.

use crate::manifests::{cluster_gate, creating, failing, gate, passing, podchaos};
use crate::world::{ensure, eventually, shared};

fn labelled(name: &str, label: &str) -> String {
    podchaos(name)
        .replace("} \nspec", "}\nspec")
        .replace(&format!("{{ name: {name} }}"), &format!("{{ name: {name}, labels: {{ {label} }} }}"))
}

#[test]
fn an_object_selector_narrows_a_gate() {
    let team = shared().team("object-selector");
    let rules = creating("chaos-mesh.org", "podchaos");
    let selector =
        "objectSelector: { matchLabels: { environment: production }, matchExpressions: [{ key: harmless, operator: DoesNotExist }] }";
    team.apply(
        &(failing("frozen")
            + &gate("chaos", &format!("{{ mode: Enforce, match: {{ {rules}, {selector} }}, checks: [{{ name: frozen }}] }}"))),
    );
    team.held("chaos", &labelled("kill", "environment: production"));
    team.create_refused(&labelled("kill", "environment: production"));
    team.create(&podchaos("unlabelled"));
    team.create(&labelled("staging", "environment: staging"));
    team.create(&labelled("harmless", "environment: production, harmless: 'yes'"));
}

#[test]
fn match_conditions_narrow_a_gate() {
    let team = shared().team("match-conditions");
    let rules = creating("chaos-mesh.org", "podchaos");
    let conditions = "matchConditions: [{ name: not-one, expression: \"object.spec.mode != 'one'\" }, \
                      { name: not-by-robot, expression: \"!request.userInfo.username.startsWith('robot')\" }]";
    team.apply(
        &(failing("frozen")
            + &gate("chaos", &format!("{{ mode: Enforce, match: {{ {rules}, {conditions} }}, checks: [{{ name: frozen }}] }}"))),
    );
    let all = podchaos("all").replace("mode: one", "mode: all");
    team.held("chaos", &all);
    team.create_refused(&all);
    team.create(&podchaos("one"));
    let robot = team.world.plane.user("robot-7", &["system:masters"]).unwrap().in_namespace(&team.name);
    robot.ok_with_input(&["create", "-f", "-"], &all).unwrap();
}

#[test]
fn a_condition_that_the_api_server_cannot_compile_is_judged_by_the_operator_or_said_to_be_wrong() {
    let team = shared().team("conditions-refused");
    let rules = creating("chaos-mesh.org", "podchaos");
    let of = |expression: &str| {
        let conditions = format!("matchConditions: [{{ name: odd, expression: \"{expression}\" }}]");
        gate("chaos", &format!("{{ mode: Enforce, match: {{ {rules}, {conditions} }}, checks: [{{ name: frozen }}] }}"))
    };
    team.apply(&(failing("frozen") + &of("object.spec.mode ==")));
    let (reason, message) = team.condition("xgate/chaos", "Ready", "False");
    assert_eq!(reason, "InvalidSpec");
    assert!(message.starts_with("spec.match.matchConditions[0].expression: "), "{message}");
    // Half a gate must not open.
    team.held("chaos", &podchaos("kill"));
    team.create_refused(&podchaos("kill"));
    team.apply(&of("object.spec.mode == 'all'"));
    team.condition("xgate/chaos", "Ready", "True");
    eventually("the other mode to be let in", || {
        let output = team.kubectl.run_with_input(&["create", "--dry-run=server", "-f", "-"], &podchaos("kill")).unwrap();
        ensure(output.code == 0, || output.stderr.clone())
    });
}

#[test]
fn a_cluster_gate_holds_the_namespaces_that_it_selects_with_the_checks_that_it_names() {
    let world = shared();
    let (platform, shop, play) = (world.team("platform"), world.team("shop"), world.team("play"));
    let label = format!("gated-by={}", platform.name);
    world.plane.admin().ok(&["label", "namespace", &shop.name, &label]).unwrap();
    platform.apply(&passing("nodes-fit"));
    let name = format!("gate-of-{}", platform.name);
    let spec = format!(
        "{{ mode: Enforce, match: {{ {}, namespaceSelector: {{ matchLabels: {{ gated-by: {} }} }} }}, \
         checks: [{{ name: nodes-fit, namespace: {} }}, {{ name: local }}] }}",
        creating("chaos-mesh.org", "podchaos"),
        platform.name,
        platform.name
    );
    platform.apply(&cluster_gate(&name, &spec));
    shop.held_by(&name, &podchaos("kill"));
    play.create(&podchaos("kill"));
    let denial = shop.create_refused(&podchaos("kill"));
    let missing = format!("{0}/local MISSING (there is no PreflightCheck local in namespace {0})", shop.name);
    assert!(denial.contains(&format!("blocked by ClusterExperimentGate/{name}: 1 of 2 ")) && denial.contains(&missing), "{denial}");
    // It is open for some namespaces and closed for others: there is nothing to wait for.
    assert!(!denial.contains("wait: "), "{denial}");
    let (reason, message) = platform.condition(&format!("cxgate/{name}"), "Open", "Unknown");
    assert_eq!((&reason[..], &message[..]), ("PerRequest", "checks are looked up in the namespace of each request"));

    // A team's own check, under a name that another namespace's check has too.
    play.apply(&failing("local"));
    shop.apply(&passing("local"));
    shop.verdict("local", "Passing");
    shop.create(&podchaos("kill"));
    platform.done(&["delete", "pfc", "nodes-fit"], "");
    platform.apply(&failing("nodes-fit"));
    platform.verdict("nodes-fit", "Failing");
    let denial = shop.create_refused(&podchaos("kill-again"));
    assert!(denial.contains(&format!("{}/nodes-fit FAIL (", platform.name)), "{denial}");

    // A namespace that comes to be selected.
    world.plane.admin().ok(&["label", "namespace", &play.name, &label]).unwrap();
    eventually("the other namespace to be held", || {
        let output = play.kubectl.run_with_input(&["create", "--dry-run=server", "-f", "-"], &podchaos("more")).unwrap();
        ensure(output.stderr.contains("local FAIL ("), || format!("{output:?}"))
    });
    world.plane.admin().ok(&["delete", "cxgate", &name]).unwrap();
}

#[test]
fn objects_without_a_namespace_are_held_by_cluster_gates() {
    let team = shared().team("cluster-scoped");
    team.apply(&failing("frozen"));
    let name = format!("platforms-of-{}", team.name);
    let checks = format!("[{{ name: frozen, namespace: {} }}]", team.name);
    // Another test's platforms are none of this gate's business.
    let selector = format!("objectSelector: {{ matchLabels: {{ of: {} }} }}", team.name);
    team.apply(&cluster_gate(
        &name,
        &format!("{{ mode: Enforce, match: {{ {}, {selector} }}, checks: {checks} }}", creating("e2e.example", "platforms")),
    ));
    let platform = format!("apiVersion: e2e.example/v1\nkind: Platform\nmetadata: {{ name: p-{0}, labels: {{ of: {0} }} }}\n", team.name);
    team.held_by(&name, &platform);
    let denial = team.create_refused(&platform);
    assert!(denial.contains(&format!("Platform p-{} blocked by ClusterExperimentGate/{name}", team.name)), "{denial}");
    team.world.plane.admin().ok(&["delete", "cxgate", &name]).unwrap();
}

#[test]
fn a_gate_on_a_resource_that_is_not_served_says_so() {
    let team = shared().team("unserved");
    let of = |name: &str, group: &str, resource: &str| {
        gate(name, &format!("{{ mode: Enforce, match: {{ {} }}, checks: [{{ name: x }}] }}", creating(group, resource)))
    };
    team.apply(&of("typo", "chaos-mesh.org", "podchaoses"));
    let message = team.condition_for("xgate/typo", "Ready", "False", "InvalidSpec");
    let expected = "spec.match.rules[].resources: the cluster serves no resource podchaoses in group \"chaos-mesh.org\": \
                    see `kubectl api-resources --api-group=chaos-mesh.org`";
    assert!(message.starts_with(expected), "{message}");
    team.apply(&of("scope", "e2e.example", "platforms"));
    let message = team.condition_for("xgate/scope", "Ready", "False", "InvalidSpec");
    let expected =
        "platforms.e2e.example has no namespace: an ExperimentGate holds objects of its own namespace only, use a ClusterExperimentGate";
    assert!(message.ends_with(expected), "{message}");
    // They hold nothing and break nothing.
    team.create(&podchaos("kill"));
}
