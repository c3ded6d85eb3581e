//! Checks of conditions, nodes and the calendar.

use crate::manifests::{check, failing, passing};
use crate::world::{ensure, eventually, shared};

const THING: &str = "
apiVersion: e2e.example/v1
kind: Thing
metadata: { name: reactor }
";

const LATER: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: laters.later.example }
spec:
  group: later.example
  names: { kind: Later, listKind: LaterList, plural: laters, singular: later }
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema: { openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true } }
";

#[test]
fn a_kind_that_the_operator_may_not_read_is_readable_after_the_printed_commands() {
    let mut team = shared().team("condition");
    team.expect_forbidden("/apis/e2e.example/v1/");
    team.apply(THING);
    team.apply(&check(
        "reactor-stable",
        "{ probe: { condition: { type: Stable } }, targets: { apiVersion: e2e.example/v1, kind: Thing, name: reactor } }",
    ));
    let message = team.condition_for("pfc/reactor-stable", "Ready", "False", "Forbidden");
    assert!(message.contains(&format!("service account {}:default may not get things.e2e.example reactor", team.name)), "{message}");
    team.run_printed(&message);
    let message = eventually("the operator's own right to be asked for", || {
        let message = team.condition_for("pfc/reactor-stable", "Ready", "False", "Forbidden");
        ensure(message.contains("things.e2e.example is forbidden"), || message.clone()).map(|()| message)
    });
    let printed = "grant it: kubectl create clusterrole holdpoint-read-things --verb=get,list,watch --resource=things.e2e.example \
                   && kubectl label clusterrole holdpoint-read-things holdpoint.dev/aggregate-to-operator=true";
    assert!(message.ends_with(printed), "{message}");
    assert_eq!(team.verdict("reactor-stable", "Unknown").0, "Forbidden");

    team.run_printed(&message);
    assert_eq!(team.verdict_for("reactor-stable", "Unknown", "NoData"), "Thing/reactor: it has no status.conditions");
    team.condition("pfc/reactor-stable", "Ready", "True");
    let set = |status: &str| {
        let patch = format!(
            r#"{{"status":{{"conditions":[{{"type":"Stable","status":"{status}","reason":"Cooling","message":"pump 2 is off"}}]}}}}"#
        );
        team.done(&["patch", "thing", "reactor", "--subresource=status", "--type=merge", "--patch", &patch], "");
    };
    set("True");
    assert_eq!(team.verdict("reactor-stable", "Passing").1, "Thing/reactor: condition Stable is True");
    set("False");
    assert_eq!(team.verdict("reactor-stable", "Failing").1, "Thing/reactor: condition Stable is False (Cooling): pump 2 is off");
}

#[test]
fn a_condition_must_have_held_for_as_long_as_the_check_says() {
    let team = shared().team("for");
    team.deployment("web", 1);
    team.apply(&check(
        "settled",
        "{ probe: { condition: { type: Available, forSeconds: 5 } }, targets: { apiVersion: apps/v1, kind: Deployment, name: web } }",
    ));
    // Nothing changes but the time.
    let (reason, message) = team.verdict("settled", "Failing");
    assert_eq!(reason, "TargetsFailing");
    assert!(message.ends_with("less than 5 s ago"), "{message}");
    assert!(team.verdict("settled", "Passing").1.starts_with("Deployment/web: condition Available is True since "));
}

#[test]
fn a_kind_that_does_not_exist_is_named_and_found_once_it_does() {
    let mut team = shared().team("kind");
    team.expect_forbidden("/apis/later.example/v1/");
    let spec = "{ probe: { condition: { type: Ready } }, targets: { apiVersion: later.example/v1, kind: Later, name: x } }";
    team.apply(&check("later", spec));
    let (reason, message) = team.condition("pfc/later", "Ready", "False");
    assert_eq!(reason, "InvalidSpec");
    assert_eq!(
        message,
        "spec.targets.kind: the cluster serves no kind Later in later.example/v1: see `kubectl api-resources`; \
         the check goes on by itself once the kind is there"
    );
    assert_eq!(team.verdict("later", "Unknown").0, "InvalidSpec");

    team.apply(LATER);
    team.condition_for("pfc/later", "Ready", "False", "Forbidden");
    team.grant("later");
    let message = team.verdict_for("later", "Unknown", "NoTargets");
    assert_eq!(message, format!("there is no Later x in namespace {}", team.name));
    // And gone again.
    team.done(&["delete", "customresourcedefinition", "laters.later.example"], "");
    team.condition_for("pfc/later", "Ready", "False", "InvalidSpec");
}

#[test]
fn a_node_check_follows_readiness_cordon_labels_and_taints() {
    let team = shared().team("node");
    team.may_read_the_cluster();
    let node = format!("node-of-{}", team.name);
    let shape =
        control_plane::NodeShape { labels: [("tier".to_owned(), "metal".to_owned())].into(), ..control_plane::NodeShape::default() };
    team.world.plane.node(&node, &shape).unwrap();
    let targets = format!("targets: {{ apiVersion: v1, kind: Node, name: {node} }}");
    let probe = "{ requiredLabels: { tier: metal }, forbiddenTaints: [{ key: example.com/maintenance }] }";
    team.apply(&check("node-fit", &format!("{{ probe: {{ node: {probe} }}, {targets} }}")));
    assert_eq!(team.verdict("node-fit", "Passing").1, format!("Node/{node}: ready"));

    let kubectl = |args: &[&str]| team.world.plane.admin().ok(args).unwrap();
    let fails_with = |expected: &str| {
        let expected = format!("Node/{node}: {expected}");
        eventually(&expected, || {
            let (_, message) = team.verdict("node-fit", "Failing");
            ensure(message == expected, || message.clone())
        });
    };
    team.world.plane.set_node_ready(&node, false).unwrap();
    fails_with("Ready is False (KubeletNotReady)");
    team.world.plane.set_node_ready(&node, true).unwrap();
    team.verdict("node-fit", "Passing");
    kubectl(&["cordon", &node]);
    fails_with("it is cordoned");
    kubectl(&["uncordon", &node]);
    kubectl(&["label", "node", &node, "tier=virtual", "--overwrite"]);
    fails_with("label tier is \"virtual\", not \"metal\"");
    kubectl(&["label", "node", &node, "tier=metal", "--overwrite"]);
    kubectl(&["taint", "node", &node, "example.com/maintenance=now:NoSchedule"]);
    fails_with("it has taint example.com/maintenance:NoSchedule");
    kubectl(&["delete", "node", &node]);
    assert_eq!(team.verdict("node-fit", "Unknown"), ("NoTargets".to_owned(), format!("there is no Node {node}")));
}

#[test]
fn a_window_is_open_or_says_when_it_opens_next() {
    let team = shared().team("window");
    team.apply(&passing("always"));
    team.apply(&failing("frozen"));
    let (reason, message) = team.verdict("always", "Passing");
    assert_eq!(reason, "AllPassed");
    assert!(message.starts_with("UTC: "), "{message}");
    let (reason, message) = team.verdict("frozen", "Failing");
    assert_eq!(reason, "TargetsFailing");
    assert!(message.starts_with("UTC: ") && message.contains("freeze"), "{message}");
    assert_eq!(team.get("pfc", "frozen")["status"]["results"][0]["reason"], "Blackout");

    // Yesterday's weekday: open again within a week, in the zone that the check names.
    let now = jiff::Timestamp::now().in_tz("Asia/Tokyo").unwrap();
    let yesterday = now.yesterday().unwrap().strftime("%a").to_string();
    let opening = now.date().saturating_add(jiff::Span::new().days(6)).to_string();
    let range = format!("{{ weekdays: [{yesterday}], from: '09:00', to: '10:00' }}");
    team.apply(&check("weekly", &format!("{{ probe: {{ window: {{ timeZone: Asia/Tokyo, allowed: [{range}] }} }} }}")));
    let (_, message) = team.verdict("weekly", "Failing");
    assert!(message.contains(&format!("next opening {yesterday} {opening} 09:00 Asia/Tokyo")), "{message}");
}
