//! Removing the operator, in the wrong order too.

use crate::manifests::{failing, machine, podchaos, podchaos_gate, rollout};
use crate::world::{World, ensure, eventually};

#[test]
fn what_no_gate_names_works_however_the_operator_is_removed() {
    let world = World::start(&[]);
    let team = world.team("removal");
    team.apply(&(failing("frozen") + &podchaos_gate("chaos", &["frozen"])));
    team.held("chaos", &podchaos("kill"));
    let admin = world.plane.admin();
    // The Deployment and the namespace first, as people do.
    admin.ok(&["delete", "deployment", "holdpoint", "-n", "holdpoint-system", "--wait=false"]).unwrap();
    world.operator().terminate().unwrap();
    admin.ok(&["delete", "namespace", "holdpoint-system", "holdpoint-hosts", "--wait=false"]).unwrap();
    // What no gate names works, and so does stopping and removing what they hold.
    team.create(&machine("db", "Always"));
    team.deployment("web", 1);
    team.apply(&rollout("web-healthy", "web"));
    team.done(&["delete", "vm", "db"], "");
    eventually("both namespaces to be gone", || {
        let output = admin.run(&["get", "namespace", "holdpoint-system", "holdpoint-hosts"]).unwrap();
        ensure(output.stderr.matches("NotFound").count() == 2, || format!("{output:?}"))
    });
    let refused = team.create_refused(&podchaos("kill"));
    assert!(refused.contains("failed calling webhook \"fail.holdpoint.dev\""), "{refused}");
    // No finalizer holds back our own objects.
    team.done(&["delete", "xgate", "chaos", "--timeout=10s"], "");
    team.done(&["delete", "pfc", "--all", "--timeout=10s"], "");
    admin.ok(&["delete", "validatingwebhookconfiguration", "holdpoint"]).unwrap();
    eventually("everything to be admitted", || {
        let output = team.kubectl.run_with_input(&["create", "-f", "-"], &podchaos("kill")).unwrap();
        ensure(output.code == 0, || output.stderr.clone())
    });
    admin.ok(&["delete", "customresourcedefinition", "--selector", "app.kubernetes.io/part-of=holdpoint", "--timeout=30s"]).unwrap();
    admin.ok(&["delete", "clusterrole,clusterrolebinding", "--selector", "app.kubernetes.io/part-of=holdpoint"]).unwrap();
    let policies = "validatingadmissionpolicybinding,validatingadmissionpolicy";
    admin.ok(&["delete", policies, "--selector", "app.kubernetes.io/part-of=holdpoint"]).unwrap();
    let kinds = format!("crd,clusterrole,clusterrolebinding,validatingwebhookconfiguration,{policies}");
    let left = admin.ok(&["get", &kinds, "-o", "name"]).unwrap();
    assert!(!left.contains("holdpoint"), "{left}");
}
