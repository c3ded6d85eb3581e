//! Gates that cannot work.

use crate::manifests::{creating, failing, gate, podchaos};
use crate::world::shared;

#[test]
fn a_gate_that_would_hold_what_the_cluster_needs_is_refused() {
    let team = shared().team("bad-gate");
    let rule = |group: &str, resource: &str, operation: &str| {
        format!("rules: [{{ apiGroups: ['{group}'], resources: ['{resource}'], operations: [{operation}] }}]")
    };
    let wildcard =
        |what: &str| format!("Invalid value: a wildcard is not allowed: name the {what}, a gate must never hold what nobody meant");
    let core = "Invalid value: the cluster itself depends on pods, nodes, namespaces, events, bindings and endpoints: \
                gate what makes the pods instead, such as podchaos in chaos-mesh.org or virtualmachines in kubevirt.io";
    let leases =
        "Invalid value: the cluster itself depends on leases, events, webhook configurations and access rules: they cannot be gated";
    let own = "Invalid value: the operator's own kinds cannot be gated: a closed gate could then never be opened";
    let update = "Invalid value: rules with operation UPDATE need start: an expression that is true only for updates that start something, \
                  such as object.spec.runStrategy == 'Always' && oldObject.spec.runStrategy != 'Always'";
    let cases = [
        (rule("", "pods", "CREATE"), "spec.match.rules[0].resources", core.to_owned()),
        (rule("", "pods/exec", "CREATE"), "spec.match.rules[0].resources", core.to_owned()),
        (rule("coordination.k8s.io", "leases", "CREATE"), "spec.match.rules[0].apiGroups", leases.to_owned()),
        (rule("*", "podchaos", "CREATE"), "spec.match.rules[0].apiGroups", wildcard("groups")),
        (rule("chaos-mesh.org", "*", "CREATE"), "spec.match.rules[0].resources", wildcard("resources")),
        (rule("chaos-mesh.org", "podchaos/*", "CREATE"), "spec.match.rules[0].resources", wildcard("resources")),
        (rule("holdpoint.dev", "experimentgates", "CREATE"), "spec.match.rules[0].apiGroups", own.to_owned()),
        (rule("kubevirt.io", "virtualmachines", "UPDATE"), "spec.match.start", update.to_owned()),
    ];
    for (rules, field, expected) in cases {
        let refused = team.apply_refused(&gate("bad", &format!("{{ match: {{ {rules} }}, checks: [{{ name: x }}] }}")));
        assert_eq!(refused, format!("The ExperimentGate \"bad\" is invalid: {field}: {expected}\n"));
    }
    let rules = creating("chaos-mesh.org", "podchaos");
    let refused = team.apply_refused(&gate("bad", &format!("{{ match: {{ {rules} }}, checks: [{{ name: x, selector: {{}} }}] }}")));
    assert_eq!(
        refused,
        "The ExperimentGate \"bad\" is invalid: spec.checks[0]: Invalid value: exactly one of name and selector is required\n"
    );
    let refused = team.apply_refused(&gate(
        "bad",
        &format!("{{ match: {{ {} }}, checks: [{{ name: x }}] }}", rule("chaos-mesh.org", "podchaos", "DELETE")),
    ));
    assert!(
        refused.contains("spec.match.rules[0].operations[0]: Unsupported value: \"DELETE\": supported values: \"CREATE\", \"UPDATE\""),
        "{refused}"
    );
}

#[test]
fn an_expression_of_five_kilobytes_is_refused() {
    let team = shared().team("long");
    let long = format!("'{}' == ''", "a".repeat(5000));
    let rules = creating("chaos-mesh.org", "podchaos");
    let start = team.apply_refused(&gate("bad", &format!("{{ match: {{ {rules}, start: \"{long}\" }}, checks: [{{ name: x }}] }}")));
    assert!(start.contains("spec.match.start: Too long: may not be more than 4096 bytes"), "{start}");
    let conditions = format!("matchConditions: [{{ name: long, expression: \"{long}\" }}]");
    let condition = team.apply_refused(&gate("bad", &format!("{{ match: {{ {rules}, {conditions} }}, checks: [{{ name: x }}] }}")));
    assert!(condition.contains("spec.match.matchConditions[0].expression: Too long: may not be more than 4096 bytes"), "{condition}");
}

#[test]
fn an_expression_that_does_not_compile_is_named_and_every_create_counts_as_a_start() {
    let team = shared().team("cel");
    let of = |start: &str| {
        let rules = "rules: [{ apiGroups: [chaos-mesh.org], resources: [podchaos], operations: [CREATE, UPDATE] }]";
        gate("chaos", &format!("{{ mode: Enforce, match: {{ {rules}, start: \"{start}\" }}, checks: [{{ name: frozen }}] }}"))
    };
    team.create(&podchaos("before"));
    team.apply(&(failing("frozen") + &of("object.spec.mode ==")));
    let (reason, message) = team.condition("xgate/chaos", "Ready", "False");
    assert_eq!(reason, "InvalidSpec");
    assert!(message.starts_with("spec.match.start: "), "{message}");
    assert_eq!(team.condition("xgate/chaos", "Open", "False").0, "InvalidSpec");
    team.held("chaos", &podchaos("kill"));
    let denial = team.create_refused(&podchaos("kill"));
    assert!(denial.contains("(this gate's own spec) UNKNOWN (spec.match.start: "), "{denial}");
    // Stopping is always allowed: no update is taken for a start.
    team.done(&["patch", "podchaos", "before", "--type=merge", "--patch", r#"{"spec":{"mode":"all"}}"#], "");

    team.apply(&of("objekt.spec.mode == 'all'"));
    let (_, message) = team.condition("xgate/chaos", "Ready", "False");
    assert!(message.starts_with("spec.match.start: ") && message.contains("objekt"), "{message}");
}
