//! Checks of room on nodes.

use crate::manifests::check;
use crate::team::Team;
use crate::world::shared;
use control_plane::NodeShape;
use std::path::Path;

/// A team with two nodes of its own, and what its checks read readable for its account.
fn with_nodes(prefix: &str) -> (Team<'static>, [String; 2]) {
    let team = shared().team(prefix);
    team.may_read_the_cluster();
    let labels = || [("team".to_owned(), team.name.clone())].into();
    let nodes = ["a", "b"].map(|node| {
        let name = format!("{node}-of-{}", team.name);
        let shape = NodeShape { cpu: "4".to_owned(), memory: "8Gi".to_owned(), pods: 10, labels: labels(), ..NodeShape::default() };
        team.world.plane.node(&name, &shape).unwrap();
        name
    });
    (team, nodes)
}

fn on_one(name: &str, node: &str, probe: &str) -> String {
    check(name, &format!("{{ probe: {{ capacity: {probe} }}, targets: {{ apiVersion: v1, kind: Node, name: {node} }} }}"))
}

fn on_all(team: &Team<'_>, name: &str, probe: &str, more: &str) -> String {
    let selector = format!("selector: {{ matchLabels: {{ team: {} }} }}", team.name);
    check(name, &format!("{{ probe: {{ capacity: {probe} }}, targets: {{ apiVersion: v1, kind: Node, {selector} }}{more} }}"))
}

/// A pod on a node, with a container's requests and those of an init container.
fn pod(name: &str, node: &str, requests: &str, init: &str) -> String {
    let container = |name: &str, requests: &str| format!("{{ name: {name}, image: example/app:1, resources: {{ requests: {requests} }} }}");
    let spec = format!("nodeName: {node}, containers: [{}], initContainers: [{}]", container("app", requests), container("init", init));
    format!("\n---\napiVersion: v1\nkind: Pod\nmetadata: {{ name: {name} }}\nspec: {{ {spec} }}\n")
}

#[test]
fn room_on_a_node_follows_its_pods() {
    let (team, [node, other]) = with_nodes("room");
    team.apply(&on_one("room", &node, "{ resources: [{ name: cpu, free: 3 }, { name: memory, free: '50%' }] }"));
    team.says("room", "Passing", &format!("Node/{node}: cpu: 4 of 4 free; memory: 8Gi of 8Gi free"));
    team.apply(&pod("elsewhere", &other, "{ cpu: 4 }", "{}"));
    // The init container needs more than the container.
    team.apply(&pod("busy", &node, "{ cpu: 500m, memory: 1Gi }", "{ cpu: 1500m }"));
    team.says("room", "Failing", &format!("Node/{node}: cpu: 2.5 of 4 free, 3 needed"));
    let result = &team.get("pfc", "room")["status"]["results"][0];
    assert_eq!((&result["reason"], &result["value"]), (&"NotEnoughRoom".into(), &"cpu 2.5, memory 7Gi".into()));
    assert_eq!(result["required"], "cpu 3, memory 50%");

    // An ended pod holds nothing.
    team.done(&["patch", "pod", "busy", "--subresource=status", "--type=merge", "--patch", r#"{"status":{"phase":"Succeeded"}}"#], "");
    team.says("room", "Passing", &format!("Node/{node}: cpu: 4 of 4 free; memory: 8Gi of 8Gi free"));

    team.world.plane.admin().ok(&["cordon", &node]).unwrap();
    team.says("room", "Failing", &format!("Node/{node}: it is cordoned, so it has no room"));
    team.world.plane.admin().ok(&["delete", "node", &node]).unwrap();
    assert_eq!(team.verdict("room", "Unknown"), ("NoTargets".to_owned(), format!("there is no Node {node}")));
}

#[test]
fn a_device_is_missing_until_the_node_has_it() {
    let (team, [node, _]) = with_nodes("device");
    team.apply(&on_one("gpu", &node, "{ resources: [{ name: nvidia.com/gpu, free: 2 }] }"));
    team.says("gpu", "Failing", &format!("Node/{node}: it has no nvidia.com/gpu, 2 needed"));
    assert_eq!(team.get("pfc", "gpu")["status"]["results"][0]["reason"], "NoSuchResource");
    let patch = r#"{"status":{"capacity":{"nvidia.com/gpu":"2"},"allocatable":{"nvidia.com/gpu":"2"}}}"#;
    team.done(&["patch", "node", &node, "--subresource=status", "--type=merge", "--patch", patch], "");
    team.says("gpu", "Passing", &format!("Node/{node}: nvidia.com/gpu: 2 of 2 free"));
}

#[test]
fn room_may_be_asked_of_some_nodes_or_of_all_together() {
    let (team, [a, b]) = with_nodes("sum");
    let cpu = |free: &str| format!("{{ resources: [{{ name: cpu, free: {free} }}], scope: Sum }}");
    team.apply(&on_all(&team, "sum", &cpu("7"), ""));
    team.apply(&on_all(&team, "one-node", "{ resources: [{ name: cpu, free: 4 }] }", ", quorum: { minPassing: 1 }"));
    team.says("sum", "Passing", "Nodes: cpu: 8 of 8 free on 2 nodes");
    team.apply(&pod("busy", &a, "{ cpu: 2 }", "{}"));
    team.says("sum", "Failing", "Nodes: cpu: 6 of 8 free, 7 needed on 2 nodes");
    assert_eq!(team.verdict("one-node", "Passing").0, "QuorumMet");
    team.world.plane.set_node_ready(&b, false).unwrap();
    team.says("sum", "Failing", "Nodes: cpu: 2 of 4 free, 7 needed on 1 of 2 nodes");
    team.verdict("one-node", "Failing");
}

#[test]
fn a_node_that_tells_nothing_is_no_data() {
    let (team, [_, _]) = with_nodes("silent");
    let node = format!("silent-of-{}", team.name);
    team.apply(&format!("\n---\napiVersion: v1\nkind: Node\nmetadata: {{ name: {node} }}\n"));
    team.apply(&on_one("silent", &node, "{ resources: [{ name: cpu, free: 1 }] }"));
    team.verdict_for("silent", "Unknown", "NoData");
    team.world.plane.admin().ok(&["delete", "node", &node]).unwrap();
}

#[test]
fn an_account_that_may_not_read_all_pods_is_forbidden() {
    let (team, [node, _]) = with_nodes("stranger");
    let probe = "{ capacity: { resources: [{ name: cpu, free: 1 }] } }";
    let targets = format!("{{ apiVersion: v1, kind: Node, name: {node} }}");
    team.apply(&check("room", &format!("{{ serviceAccountName: stranger, probe: {probe}, targets: {targets} }}")));
    assert!(team.verdict_for("room", "Unknown", "Forbidden").contains("stranger"));
}

#[test]
fn a_wrong_amount_is_refused_at_once() {
    let team = shared().team("amount");
    for (free, says) in [
        ("lots", "should match"),
        ("'101%'", "should match"),
        ("'1e300'", "should match"),
        ("1e300", "must be of type integer,string"),
        ("1.5KiB", "should match"),
        ("0", "should be greater than or equal to 1"),
        ("-1", "should be greater than or equal to 1"),
    ] {
        let refused = team.apply_refused(&on_one("odd", "some-node", &format!("{{ resources: [{{ name: cpu, free: {free} }}] }}")));
        assert!(refused.contains("spec.probe.capacity.resources[0].free") && refused.contains(says), "{free}: {refused}");
    }
    team.apply(&on_one("zero", "some-node", "{ resources: [{ name: cpu, free: '0Gi' }] }"));
    let message = team.condition_for("pfc/zero", "Ready", "False", "InvalidSpec");
    assert_eq!(message, "spec.probe.capacity.resources[0].free: \"0Gi\" must be more than nothing");
}

#[test]
fn the_example_works() {
    let (team, _) = with_nodes("example");
    team.kubectl.apply(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/probes/capacity.yaml")).unwrap();
    team.verdict("room-for-a-failed-node", "Passing");
    let message = team.verdict_for("four-gpus-free", "Unknown", "NoTargets");
    assert_eq!(message, "no Node has the labels example.com/pool=gpu");
}
