//! What does not happen: needless requests and needless writes. Alone on their control plane, for they count everything.

use crate::manifests::{check, failing, machine, passing, podchaos, podchaos_gate, rollout};
use crate::servers::HttpServer;
use crate::world::{World, ensure, eventually, exclusive, holds_for, within};
use std::time::Duration;

/// How long nothing may happen.
const A_WHILE: Duration = Duration::from_secs(6);

fn entries(world: &World) -> String {
    world.plane.admin().ok(&["get", "validatingwebhookconfiguration", "holdpoint", "-o", "jsonpath={.webhooks[*].name}"]).unwrap()
}

#[test]
fn unrelated_objects_are_never_sent_to_the_webhook() {
    let world = exclusive();
    let team = world.team("unrelated");
    let other = world.team("elsewhere");
    team.apply(&(failing("frozen") + &podchaos_gate("chaos", &["frozen"])));
    team.held("chaos", &podchaos("kill"));
    let sent = || world.metric("holdpoint_admission_requests_total", &[]);
    let before = sent();
    // The same kind elsewhere, other kinds here, and everything that makes a workload run.
    other.create(&podchaos("kill"));
    team.create(&machine("db", "Always"));
    team.deployment("web", 2);
    team.done(&["create", "configmap", "settings", "--from-literal=a=b"], "");
    team.done(&["label", "namespace", &team.name, "seen=yes"], "");
    team.apply(&rollout("web-healthy", "web"));
    team.done(&["delete", "vm", "db"], "");
    assert!(sent() - before == 0, "{} requests were sent", sent() - before);
    team.create_refused(&podchaos("kill"));
    eventually("the one request", || ensure(sent() - before == 1, || (sent() - before).to_string()));
    team.done(&["delete", "xgate", "chaos"], "");
}

#[test]
fn system_namespaces_and_the_operators_own_are_never_held() {
    let world = exclusive();
    let team = world.team("system");
    team.apply(&failing("frozen"));
    let spec = format!(
        "{{ mode: Enforce, match: {{ {} }}, checks: [{{ name: frozen, namespace: {} }}] }}",
        crate::manifests::creating("chaos-mesh.org", "podchaos"),
        team.name
    );
    team.apply(&crate::manifests::cluster_gate("everything", &spec));
    team.held_by("everything", &podchaos("kill"));
    team.create_refused(&podchaos("kill"));
    for namespace in ["kube-system", "kube-public", "kube-node-lease", "holdpoint-system"] {
        world.plane.admin().in_namespace(namespace).ok_with_input(&["create", "-f", "-"], &podchaos("kill")).unwrap();
    }
    world.plane.admin().ok(&["delete", "cxgate", "everything"]).unwrap();
}

#[test]
fn the_last_gate_takes_its_entries_with_it() {
    let world = exclusive();
    let team = world.team("last");
    team.apply(&passing("ready"));
    eventually("no entries, for there is no gate", || {
        let found = entries(&world);
        ensure(found.is_empty(), || found)
    });
    let warn = podchaos_gate("warn", &["ready"]).replace("mode: Enforce", "mode: Warn");
    team.apply(&(podchaos_gate("enforce", &["ready"]) + &warn));
    eventually("both entries", || {
        let found = entries(&world);
        ensure(found == "fail.holdpoint.dev ignore.holdpoint.dev", || found)
    });
    team.done(&["delete", "xgate", "enforce"], "");
    // A gate that never refuses must not refuse when the operator is down.
    eventually("one entry to go", || {
        let found = entries(&world);
        ensure(found == "ignore.holdpoint.dev", || found)
    });
    team.done(&["delete", "xgate", "warn"], "");
    eventually("no entries", || {
        let found = entries(&world);
        ensure(found.is_empty(), || found)
    });
}

#[test]
fn the_status_of_an_unchanged_world_is_not_written() {
    let world = exclusive();
    let team = world.team("unchanged");
    let server = HttpServer::start("200 OK", "");
    team.deployment("web", 2);
    team.apply(&(rollout("web-healthy", "web") + &passing("window") + &failing("frozen") + &rollout("absent", "absent")));
    let times = "intervalSeconds: 1, timeoutSeconds: 1, staleAfterSeconds: 120";
    team.apply(&check("answers", &format!("{{ {times}, probe: {{ http: {{ url: 'http://{}/' }} }} }}", server.address)));
    team.apply(&podchaos_gate("chaos", &["web-healthy", "window", "answers"]));
    team.condition("xgate/chaos", "Open", "True");
    team.condition("xgate/chaos", "Ready", "True");
    team.verdict("absent", "Unknown");
    let writes = || world.metric("holdpoint_status_writes_total", &[]);
    // What is on its way may arrive.
    within(Duration::from_mins(1), "no write for a while", || {
        let (before, asked) = (writes(), server.seen().len());
        holds_for(A_WHILE, || ensure(writes() == before, || format!("{} writes", writes() - before)))?;
        assert!(server.seen().len() >= asked + 3, "the endpoint is asked all the time");
        Ok(())
    });
    // Also as the API server counts.
    let versions = |kind: &str| team.kubectl.ok(&["get", kind, "-o", "jsonpath={.items[*].metadata.resourceVersion}"]).unwrap();
    let before = versions("pfc,xgate");
    let unchanged = holds_for(A_WHILE, || ensure(versions("pfc,xgate") == before, || versions("pfc,xgate")));
    assert_eq!(unchanged, Ok(()), "{before}");
    team.done(&["delete", "xgate", "chaos"], "");
}
