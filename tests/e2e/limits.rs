//! `concurrency` and `cooldown`: what runs is counted, nothing is admitted beyond, and what ended makes room.

use crate::manifests::{check, creating, gate};
use crate::team::Team;
use crate::world::{ensure, eventually, manifest, options, shared, within};
use control_plane::{ControlPlane, Installation, Kubectl, Operator, Options, Splitter, other_projects};
use serde_json::Value;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What lets the operator see what runs.
const SEES_CHAOS: &str = r#"
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: { name: holdpoint-sees-podchaos, labels: { holdpoint.dev/aggregate-to-operator: "true" } }
rules: [{ apiGroups: [chaos-mesh.org], resources: [podchaos], verbs: [get, list, watch] }]
"#;

/// What is done to an experiment to end it.
const ENDED: &str =
    r#"{"status":{"experiment":{"desiredPhase":"Stop"},"conditions":[{"type":"AllRecovered","status":"True"}]}}"#;

fn limited(probe: &str) -> String {
    let spec = format!("{{ mode: Enforce, match: {{ {} }}, checks: [{{ name: limit }}] }}", creating("chaos-mesh.org", "podchaos"));
    check("limit", &format!("{{ probe: {{ {probe} }} }}")) + &gate("chaos", &spec)
}

fn named(name: &str) -> String {
    podchaos(&format!("name: {name}"))
}

fn podchaos(metadata: &str) -> String {
    format!("\n---\napiVersion: chaos-mesh.org/v1alpha1\nkind: PodChaos\nmetadata: {{ {metadata} }}\nspec: {{ mode: one }}\n")
}

fn runs(object: &Value) -> bool {
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    !conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "AllRecovered" && one["status"] == "True"))
}

fn team() -> Team<'static> {
    shared().plane.admin().apply_text(SEES_CHAOS).unwrap();
    shared().team("limits")
}

/// Waits until the gate is in force: a dry run begins nothing, and so passes as soon as there is a place.
fn in_force(team: &Team<'_>) {
    eventually("what runs to be counted", || {
        let output = team.kubectl.run_with_input(&["create", "--dry-run=server", "-f", "-"], &named("dry")).unwrap();
        let gates = team.kubectl.json(&["get", "xgate", "chaos"]).unwrap();
        let ready = crate::team::condition(&gates, "Ready")["status"] == "True";
        ensure(output.code == 0 && ready, || output.stderr.clone())
    });
    eventually("the gate to hold what cannot wait", || {
        let output = team.kubectl.run_with_input(&["create", "-f", "-", "--as=system:serviceaccount:default:default", "--as-group=system:masters"], &named("probe")).unwrap();
        if output.code == 0 {
            team.kubectl.ok(&["delete", "podchaos", "probe"]).unwrap();
        }
        ensure(output.code != 0, || "admitted".to_owned())
    });
}

#[test]
fn an_experiment_that_ended_gives_its_place_back() {
    let team = team();
    team.apply(&limited("concurrency: { max: 1 }"));
    let refused = account_is_refused(&team);
    assert!(refused.contains("there is a place"), "{refused}");
    team.create(&named("first"));
    let refused = team.create_refused(&named("second"));
    assert!(refused.contains("1 starts are active, 1 may be") && refused.contains("first"), "{refused}");
    team.done(&["patch", "podchaos", "first", "--type=merge", "-p", ENDED], "");
    eventually("the place to be free", || {
        let output = team.kubectl.run_with_input(&["create", "--dry-run=server", "-f", "-"], &named("dry")).unwrap();
        ensure(output.code == 0, || output.stderr.clone())
    });
    team.create(&named("second"));
    team.done(&["create", "--dry-run=client", "-f", "-"], &named("third"));
    let refused = team.create_refused(&podchaos("generateName: third-"));
    assert!(refused.contains("second"), "{refused}");
}

/// A create by an account that does not wait, of an object that nobody else asks for.
fn account_is_refused(team: &Team<'_>) -> String {
    in_force(team);
    team.refused(&["create", "-f", "-", "--as=system:serviceaccount:default:default", "--as-group=system:masters"], &named("by-account"))
}

#[test]
fn a_cooldown_says_how_long_it_lasts_and_ends() {
    let team = team();
    team.apply(&limited("cooldown: { seconds: 8 }"));
    in_force(&team);
    team.create(&named("first"));
    let refused = team.create_refused(&named("second"));
    assert!(refused.contains("of 8 s are left"), "{refused}");
    within(Duration::from_secs(60), "the cooldown to be over", || {
        let output = team.kubectl.run_with_input(&["create", "-f", "-"], &named("second")).unwrap();
        ensure(output.code == 0, || output.stderr.clone())
    });
    let refused = team.create_refused(&named("third"));
    assert!(refused.contains("are left"), "{refused}");
}

struct Replicas {
    plane: ControlPlane,
    _operators: Vec<Operator>,
    _service: Splitter,
}

fn replicas() -> Replicas {
    let plane = ControlPlane::start_with(&Options::default()).unwrap();
    plane.install_crds(&other_projects()).unwrap();
    let installation = Installation::apply(&plane, &manifest()).unwrap();
    let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let addresses = [free(), free()];
    let service = Splitter::start(installation.service_address(), addresses.to_vec()).unwrap();
    let replica = |n: usize| {
        let mut options = options(&[]);
        options.extra_env.push(("HOSTNAME".to_owned(), format!("replica-{n}")));
        Operator::replica(&plane, &installation, &options, addresses[n]).unwrap()
    };
    let operators = vec![replica(0), replica(1)];
    plane.admin().apply_text(SEES_CHAOS).unwrap();
    plane.admin().ok(&["api-resources", "--cached=false"]).unwrap();
    Replicas { plane, _operators: operators, _service: service }
}

/// Ends what runs, one after the other, and looks before each at how many run at once: nothing else ends anything, so no excess goes unseen.
fn end_what_runs(kubectl: &Kubectl, stop: &AtomicBool, most: &AtomicUsize, ended: &AtomicUsize) {
    while !stop.load(Ordering::Relaxed) {
        let all = kubectl.json(&["get", "podchaos"]).unwrap();
        let running: Vec<&Value> = all["items"].as_array().unwrap().iter().filter(|object| runs(object)).collect();
        most.fetch_max(running.len(), Ordering::Relaxed);
        if let Some(first) = running.first() {
            let name = first["metadata"]["name"].as_str().unwrap();
            kubectl.ok(&["patch", "podchaos", name, "--type=merge", "-p", ENDED]).unwrap();
            ended.fetch_add(1, Ordering::Relaxed);
        }
        thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn of_two_hundred_racing_creates_through_two_replicas_never_more_than_three_run_at_once() {
    let replicas = replicas();
    let name = replicas.plane.namespace("racing").unwrap();
    let kubectl = replicas.plane.admin().in_namespace(&name).with_deadline(Duration::from_mins(3));
    let account = format!("--serviceaccount={name}:default");
    kubectl.ok(&["create", "rolebinding", "reads", "--clusterrole=view", &account]).unwrap();
    kubectl.apply_text(&limited("concurrency: { max: 3 }")).unwrap();
    within(Duration::from_mins(1), "both replicas to hold", || {
        let refused = (0..8).all(|_| {
            let args = ["create", "-f", "-", "--as=system:serviceaccount:default:default", "--as-group=system:masters"];
            kubectl.run_with_input(&args, &named("probe")).unwrap().stderr.contains("there is a place")
        });
        kubectl.ok(&["delete", "podchaos", "--all"]).unwrap();
        ensure(refused, || "admitted, or not counted".to_owned())
    });
    let (stop, most, ended) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let (made, refused, other) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let began = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| end_what_runs(&kubectl, &stop, &most, &ended));
        let creators: Vec<_> = (0..20)
            .map(|creator| {
                let (kubectl, made, refused, other) = (&kubectl, &made, &refused, &other);
                scope.spawn(move || {
                    for n in 0..10 {
                        let object = if n % 2 == 0 { named(&format!("race-{creator}-{n}")) } else { podchaos(&format!("generateName: race-{creator}-")) };
                        let output = kubectl.run_with_input(&["create", "-f", "-"], &object).unwrap();
                        let counter = match &output {
                            output if output.code == 0 => made,
                            output if output.stderr.contains("Forbidden") => refused,
                            _ => other,
                        };
                        counter.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        for creator in creators {
            creator.join().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
    let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
    println!(
        "{} made, {} refused, {} otherwise, at most {} at once, {} ended, in {:?}",
        count(&made),
        count(&refused),
        count(&other),
        count(&most),
        count(&ended),
        began.elapsed()
    );
    assert!(count(&most) <= 3, "{} ran at once", count(&most));
    assert!(count(&made) >= 6, "places are used: {} were made", count(&made));
}
