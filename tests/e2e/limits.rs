//! `concurrency` and `cooldown`: what runs is counted, nothing is admitted beyond, and what ended makes room.

use crate::manifests::{check, failing, podchaos_gate};
use crate::replicas::two_operators;
use crate::team::Team;
use crate::world::{ensure, eventually, shared, within};
use control_plane::{ControlPlane, Kubectl, Operator, Output, Splitter};
use serde_json::Value;
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
const ENDED: &str = r#"{"status":{"experiment":{"desiredPhase":"Stop"},"conditions":[{"type":"AllRecovered","status":"True"}]}}"#;

fn limited(probe: &str, checks: &[&str]) -> String {
    check("limit", &format!("{{ probe: {{ {probe} }} }}")) + &podchaos_gate("chaos", checks)
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
    lets_the_operator_see(&shared().plane);
    shared().team("limits")
}

fn lets_the_operator_see(plane: &ControlPlane) {
    plane.admin().apply_text(SEES_CHAOS).unwrap();
    eventually("the operator to be allowed to watch experiments", || {
        let args = ["auth", "can-i", "watch", "podchaos.chaos-mesh.org", "-A", "--as=system:serviceaccount:holdpoint-system:holdpoint"];
        let output = plane.admin().run(&args).map_err(|error| error.to_string())?;
        ensure(output.code == 0, || output.stderr.clone())
    });
}

/// Applies the gate and waits until it is in force: first it refuses for another reason, then a dry run, which begins nothing, finds a place.
fn in_force(kubectl: &Kubectl, probe: &str, enough: usize) {
    in_force_for(kubectl, probe, enough, &named("dry"));
}

fn in_force_for(kubectl: &Kubectl, probe: &str, enough: usize, object: &str) {
    kubectl.apply_text(&(failing("freeze") + &limited(probe, &["limit", "freeze"]))).unwrap();
    let dry = || kubectl.run_with_input(&["create", "--dry-run=server", "-f", "-"], object).unwrap();
    let all = |what: &str, fits: &dyn Fn(&Output) -> bool| {
        let mut in_a_row = 0;
        within(Duration::from_mins(1), what, || {
            let output = dry();
            in_a_row = if fits(&output) { in_a_row + 1 } else { 0 };
            ensure(in_a_row >= enough, || output.stderr.clone())
        });
    };
    all("the gate to refuse", &|output| output.stderr.contains("freeze"));
    kubectl.apply_text(&limited(probe, &["limit"])).unwrap();
    all("what runs to be counted", &|output| output.code == 0);
}

#[test]
fn an_experiment_that_ended_gives_its_place_back() {
    let team = team();
    in_force(&team.kubectl, "concurrency: { max: 1 }", 1);
    team.create(&named("first"));
    let refused = team.create_refused(&named("second"));
    assert!(refused.contains("1 of 1 places for starts are taken") && refused.contains("first"), "{refused}");
    team.done(&["patch", "podchaos", "first", "--type=merge", "-p", ENDED], "");
    eventually("the place to be free", || {
        let output = team.kubectl.run_with_input(&["create", "--dry-run=server", "-f", "-"], &named("dry")).unwrap();
        ensure(output.code == 0, || output.stderr.clone())
    });
    team.create(&named("second"));
    let refused = team.create_refused(&podchaos("generateName: third-"));
    assert!(refused.contains("second"), "{refused}");
}

#[test]
fn an_account_that_cannot_wait_is_refused_and_told_why() {
    let team = team();
    in_force(&team.kubectl, "concurrency: { max: 5 }", 1);
    let args = ["create", "-f", "-", "--as=system:serviceaccount:default:default", "--as-group=system:masters"];
    let refused = team.refused(&args, &named("by-account"));
    assert!(refused.contains("Forbidden") && refused.contains("there is a place"), "{refused}");
    // What it lacked is there when it tries again.
    within(Duration::from_secs(20), "the account to be admitted", || {
        let output = team.kubectl.run_with_input(&args, &named("by-account")).unwrap();
        ensure(output.code == 0, || output.stderr.clone())
    });
}

#[test]
fn a_place_that_nobody_comes_back_for_is_free_again() {
    let team = team();
    in_force(&team.kubectl, "concurrency: { max: 1 }", 1);
    let args = ["create", "-f", "-", "--as=system:serviceaccount:default:default", "--as-group=system:masters"];
    let refused = team.refused(&args, &named("never-again"));
    assert!(refused.contains("there is a place"), "{refused}");
    let run = || team.kubectl.json(&["get", "preflightruns"]).unwrap()["items"][0]["status"].clone();
    eventually("the place to be kept", || ensure(run()["grant"]["since"].is_string(), || run().to_string()));
    let refused = team.create_refused(&named("another"));
    assert!(refused.contains("1 of 1 places for starts are taken: 1 just admitted"), "{refused}");
    within(Duration::from_secs(40), "the place to be given back", || ensure(run()["withdrawn"] == true, || run().to_string()));
    team.create(&named("another"));
}

#[test]
fn each_target_has_places_of_its_own() {
    let team = team();
    team.deployment("web", 1);
    team.deployment("db", 1);
    let of = |name: &str, app: &str| {
        named(name).replace("mode: one", &format!("action: pod-failure, mode: one, selector: {{ labelSelectors: {{ app: {app} }} }}"))
    };
    in_force_for(&team.kubectl, "concurrency: { max: 1, per: Target }", 1, &of("dry", "web"));
    team.create(&of("first", "web"));
    let refused = team.create_refused(&of("second", "web"));
    assert!(refused.contains("1 of 1 places for starts of these targets are taken: podchaos") && refused.contains("first"), "{refused}");
    team.create(&of("third", "db"));
    let refused = team.create_refused(&of("fourth", "gone"));
    assert!(refused.contains("nothing would be hit: there are no pods") && refused.contains("app=gone"), "{refused}");
}

#[test]
fn each_requester_has_places_of_their_own() {
    let team = team();
    in_force(&team.kubectl, "concurrency: { max: 1, per: Requester }", 1);
    let by = |who: &'static str| ["create", "-f", "-", who, "--as-group=system:masters"];
    team.done(&by("--as=jane"), &named("hers"));
    let refused = team.refused(&by("--as=jane"), &named("hers-too"));
    assert!(refused.contains("1 of 1 places for starts of this requester are taken") && refused.contains("hers"), "{refused}");
    team.done(&by("--as=joe"), &named("his"));
}

#[test]
fn a_cooldown_says_how_long_it_lasts_and_ends() {
    let team = team();
    in_force(&team.kubectl, "cooldown: { seconds: 8 }", 1);
    team.create(&named("first"));
    let refused = team.create_refused(&named("second"));
    assert!(refused.contains("of 8 s are left"), "{refused}");
    within(Duration::from_mins(1), "the cooldown to be over", || {
        let output = team.kubectl.run_with_input(&["create", "-f", "-"], &named("second")).unwrap();
        ensure(output.code == 0, || output.stderr.clone())
    });
    // Neither deleting what was started nor the run that it was started by opens it again.
    team.done(&["delete", "podchaos", "second"], "");
    team.done(&["delete", "preflightruns", "--all"], "");
    let refused = team.create_refused(&named("third"));
    assert!(refused.contains("are left"), "{refused}");
}

struct Replicas {
    plane: ControlPlane,
    _operators: Vec<Operator>,
    _service: Splitter,
}

fn replicas() -> Replicas {
    let (plane, operators, service) = two_operators();
    plane.admin().ok(&["api-resources", "--cached=false"]).unwrap();
    lets_the_operator_see(&plane);
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
    in_force(&kubectl, "concurrency: { max: 3 }", 8);
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
                        let object = if n % 2 == 0 {
                            named(&format!("race-{creator}-{n}"))
                        } else {
                            podchaos(&format!("generateName: race-{creator}-"))
                        };
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
    assert!(count(&made) >= 3, "places are used: {} were made", count(&made));
}
