//! `PreflightRuns`: made by people, and for requests that a gate holds.

use crate::manifests::{check, creating, failing, gate, machine, passing};
use crate::replicas::two_operators;
use crate::servers::HttpServer;
use crate::team::{Team, condition, steady};
use crate::world::{ensure, eventually, holds_for, shared, within};
use control_plane::Operator;
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// An HTTP server that answers nobody until it is let, and then everybody.
pub struct Reluctant {
    pub address: SocketAddr,
    answers: Arc<(Mutex<bool>, Condvar)>,
}

impl Reluctant {
    pub fn start() -> Reluctant {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let server = Reluctant { address: listener.local_addr().unwrap(), answers: Arc::default() };
        let answers = server.answers.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let answers = answers.clone();
                thread::spawn(move || serve(&stream, &answers));
            }
        });
        server
    }

    pub fn answer(&self) {
        *self.answers.0.lock().unwrap() = true;
        self.answers.1.notify_all();
    }

    /// A check of it that is evaluated when it is new, and then for an hour no more.
    pub fn check(&self, name: &str, more: &str) -> String {
        let times = "intervalSeconds: 3600, timeoutSeconds: 60, staleAfterSeconds: 7200, retries: { attempts: 1 }";
        check(name, &format!("{{ {times}, {more} probe: {{ http: {{ url: 'http://{}/' }} }} }}", self.address))
    }
}

fn serve(mut stream: &TcpStream, answers: &(Mutex<bool>, Condvar)) {
    let mut line = String::new();
    let _ = BufReader::new(stream).read_line(&mut line);
    let _lets = answers.1.wait_while(answers.0.lock().unwrap(), |lets| !*lets).unwrap();
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

fn run(name: &str, spec: &str) -> String {
    format!("\n---\napiVersion: holdpoint.dev/v1alpha1\nkind: PreflightRun\nmetadata: {{ name: {name} }}\nspec: {spec}\n")
}

/// A check with a priority.
fn of_priority(check: &str, priority: u32) -> String {
    check.replacen("spec: {", &format!("spec: {{ priority: {priority},"), 1)
}

fn complete(team: &Team<'_>, name: &str) -> Value {
    team.done(&["wait", "--for=condition=Complete", &format!("pfrun/{name}"), "--timeout=30s"], "");
    team.get("pfrun", name)
}

/// Check and verdict, in the order of the status.
fn checks(run: &Value) -> Vec<(String, String)> {
    let text = |check: &Value, field: &str| check[field].as_str().unwrap_or_default().to_owned();
    run["status"]["checks"].as_array().into_iter().flatten().map(|check| (text(check, "name"), text(check, "verdict"))).collect()
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, verdict)| ((*name).to_owned(), (*verdict).to_owned())).collect()
}

#[test]
fn a_run_evaluates_by_tiers_and_reports() {
    let team = shared().team("run");
    let server = HttpServer::start("200 OK", "");
    let http = check(
        "api",
        &format!(
            "{{ priority: 5, intervalSeconds: 3600, staleAfterSeconds: 7200, probe: {{ http: {{ url: 'http://{}/' }} }} }}",
            server.address
        ),
    );
    team.apply(&[http, of_priority(&failing("frozen"), 10), of_priority(&passing("rules"), 20)].concat());
    team.verdict("api", "Passing");
    team.verdict("frozen", "Failing");
    team.verdict("rules", "Passing");
    let asked = server.seen().len();
    team.create(&run("full", "{ checkSelector: {}, force: true }"));
    let full = complete(&team, "full");
    assert_eq!(checks(&full), pairs(&[("api", "Passing"), ("frozen", "Failing"), ("rules", "Passing")]), "{full}");
    assert_eq!(server.seen().len(), asked + 1, "evaluated anew, once");
    let status = &full["status"];
    assert_eq!((status["verdict"].as_str(), status["progress"].as_str()), (Some("Failing"), Some("3/3")), "{status}");
    assert_eq!(condition(&full, "Passing")["status"], "False");
    assert!(condition(&full, "Passing")["message"].as_str().unwrap().starts_with("failing: frozen"), "{full}");
    team.create(&run("light", "{ checkSelector: {}, mode: Light }"));
    assert_eq!(checks(&complete(&team, "light")), pairs(&[("api", "Passing"), ("frozen", "Failing")]));
    team.create(&run("short", "{ checkSelector: {}, stopAtFirstFailure: true }"));
    let short = complete(&team, "short");
    assert_eq!(checks(&short), pairs(&[("api", "Passing"), ("frozen", "Failing"), ("rules", "Skipped")]));
    team.create(&run("named", "{ checks: [rules, gone] }"));
    let named = complete(&team, "named");
    assert_eq!((checks(&named).len(), named["status"]["verdict"].as_str()), (2, Some("Unknown")), "{named}");
    team.create(&run("good", "{ checks: [rules] }"));
    team.done(&["wait", "--for=condition=Passing", "pfrun/good", "--timeout=30s"], "");
    team.create(&run("lost", "{ gateRef: { name: nowhere } }"));
    let lost = complete(&team, "lost");
    assert_eq!(condition(&lost, "Ready")["reason"], "InvalidSpec", "{lost}");
    println!("{}", team.done(&["get", "pfrun"], "").stdout);
}

#[test]
fn a_run_says_how_far_it_is_and_can_be_cancelled_and_ends_in_time() {
    let team = shared().team("run-cancel");
    let server = Reluctant::start();
    team.apply(&[server.check("slow", "priority: 20,"), passing("quick")].concat());
    team.verdict("quick", "Passing");
    team.create(&run("long", "{ checkSelector: {} }"));
    eventually("progress", || {
        let run = team.get("pfrun", "long");
        ensure(run["status"]["progress"] == "1/2" && checks(&run) == pairs(&[("quick", "Passing"), ("slow", "Running")]), || {
            run.to_string()
        })
    });
    let changed = team.refused(&["patch", "pfrun", "long", "--type=merge", "-p", "{\"spec\":{\"force\":true}}"], "");
    assert!(changed.contains("a run cannot be changed, only cancelled"), "{changed}");
    let changed = team
        .refused(&["patch", "pfrun", "long", "--type=merge", "-p", "{\"spec\":{\"checkSelector\":{\"matchLabels\":{\"a\":\"b\"}}}}"], "");
    assert!(changed.contains("a run cannot be changed, only cancelled"), "{changed}");
    team.done(&["patch", "pfrun", "long", "--type=merge", "-p", "{\"spec\":{\"cancel\":true}}"], "");
    let cancelled = complete(&team, "long");
    assert_eq!(condition(&cancelled, "Complete")["reason"], "Cancelled", "{cancelled}");
    assert_eq!((checks(&cancelled)[1].1.as_str(), cancelled["status"]["verdict"].as_str()), ("Skipped", Some("Unknown")));
    team.create(&run("late", "{ checkSelector: {}, deadlineSeconds: 2 }"));
    let late = complete(&team, "late");
    assert_eq!(condition(&late, "Complete")["reason"], "DeadlineExceeded", "{late}");
    assert_eq!(condition(&late, "Passing")["status"], "Unknown", "{late}");
    // What waits waits for the evaluation that is under way, and is told of it.
    team.create(&run("joined", "{ checkSelector: {} }"));
    server.answer();
    assert_eq!(complete(&team, "joined")["status"]["verdict"], "Passing");
}

#[test]
fn a_gate_s_schedule_makes_runs() {
    let team = shared().team("run-schedule");
    team.apply(&passing("rules"));
    team.verdict("rules", "Passing");
    let schedule = "schedule: { cron: '* * * * *', timeZone: Europe/Amsterdam }";
    team.apply(&gate(
        "minutely",
        &format!("{{ match: {{ {} }}, checks: [{{ name: rules }}], {schedule} }}", creating("chaos-mesh.org", "podchaos")),
    ));
    let run = within(Duration::from_secs(90), "a run by the clock", || {
        let runs = team.kubectl.json(&["get", "pfrun"]).unwrap();
        let run = runs["items"].as_array().into_iter().flatten().find(|run| run["status"]["completionTime"].is_string()).cloned();
        run.ok_or_else(|| runs.to_string())
    });
    assert_eq!(run["spec"]["gateRef"]["name"], "minutely", "{run}");
    assert!(run["spec"]["scheduledTime"].as_str().is_some_and(|time| time.ends_with(":00Z")), "on the minute: {run}");
    assert_eq!((checks(&run), run["status"]["verdict"].as_str()), (pairs(&[("rules", "Passing")]), Some("Passing")), "{run}");
}

#[test]
fn a_run_goes_on_when_the_leader_dies() {
    let (plane, mut operators, _service) = two_operators();
    plane.admin().ok(&["api-resources", "--cached=false"]).unwrap();
    let kubectl = plane.admin().in_namespace(&plane.namespace("run-leader").unwrap());
    let server = Reluctant::start();
    kubectl.apply_text(&[server.check("slow", "priority: 20,"), passing("quick")].concat()).unwrap();
    kubectl.ok(&["wait", "--for=condition=Passing", "pfc/quick", "--timeout=60s"]).unwrap();
    let leads = |operator: &Operator| operator.metrics().unwrap().lines().any(|line| line == "holdpoint_leader 1");
    let leader = within(Duration::from_secs(30), "a leader", || operators.iter().position(leads).ok_or_else(String::new));
    kubectl.apply_text(&run("long", "{ checkSelector: {} }")).unwrap();
    let status = || kubectl.json(&["get", "pfrun", "long"]).unwrap()["status"].clone();
    eventually("progress", || ensure(status()["progress"] == "1/2", || status().to_string()));
    let began = status()["startTime"].clone();
    operators[leader].kill();
    server.answer();
    kubectl.ok(&["wait", "--for=condition=Complete", "pfrun/long", "--timeout=90s"]).unwrap();
    let over = status();
    assert_eq!((&over["startTime"], &over["verdict"], &over["progress"]), (&began, &"Passing".into(), &"2/2".into()), "{over}");
}

#[test]
fn what_need_not_run_again_is_forced_and_finished_runs_are_deleted() {
    let team = shared().team("run-force");
    let server = HttpServer::start("200 OK", "");
    let spec = format!(
        "{{ intervalSeconds: 1, timeoutSeconds: 1, reuse: {{ policy: UntilSpecChanges }}, probe: {{ http: {{ url: 'http://{}/licence' }} }} }}",
        server.address
    );
    team.apply(&check("licence", &spec));
    team.verdict("licence", "Passing");
    server.answer("500 Internal Server Error", "");
    let asked = server.seen().len();
    team.create(&run("content", "{ checks: [licence] }"));
    assert_eq!((complete(&team, "content")["status"]["verdict"].as_str(), server.seen().len()), (Some("Passing"), asked));
    team.create(&run("forced", "{ checks: [licence], force: true, ttlSecondsAfterFinished: 3 }"));
    assert_eq!(complete(&team, "forced")["status"]["verdict"], "Failing");
    eventually("the run to be deleted", || {
        let there = team.done(&["get", "pfrun", "-o", "name"], "").stdout;
        ensure(!there.contains("forced") && there.contains("content"), || there.clone())
    });
    let many: String = (0..24).map(|n| run(&format!("many-{n:02}"), "{ checks: [licence] }")).collect();
    team.create(&many);
    eventually("the latest twenty to be kept", || {
        let there = team.done(&["get", "pfrun", "-o", "name"], "").stdout;
        ensure(there.lines().count() == 20, || there.clone())
    });
}

#[test]
fn too_many_runs_are_refused_with_the_limits_name() {
    let team = shared().team("run-storm");
    let server = Reluctant::start();
    team.apply(&server.check("slow", ""));
    let all: String = (0..70).map(|n| run(&format!("storm-{n:02}"), "{ checks: [slow] }")).collect();
    team.create(&all);
    let reason = |item: &Value| condition(item, "Complete")["reason"].as_str().unwrap_or_default().to_owned();
    let list = || team.kubectl.json(&["get", "pfrun"]).unwrap()["items"].as_array().cloned().unwrap_or_default();
    eventually("six to be refused", || {
        let items = list();
        let refused: Vec<&Value> = items.iter().filter(|item| reason(item) == "TooManyRuns").collect();
        ensure(refused.len() == 6 && items.iter().filter(|item| reason(item) == "Running").count() == 64, || format!("{refused:?}"))
    });
    let refused = list().into_iter().find(|item| reason(item) == "TooManyRuns").unwrap();
    assert!(condition(&refused, "Ready")["message"].as_str().unwrap().contains("maxActiveRunsPerNamespace"), "{refused}");
    server.answer();
    eventually("the others to be over", || ensure(list().iter().all(|item| reason(item) != "Running"), String::new));
}

#[test]
fn nobody_names_another_as_who_asked() {
    let team = shared().team("run-who");
    team.apply(&passing("a"));
    let account = format!("--serviceaccount={}:tester", team.name);
    team.done(&["create", "rolebinding", "edits", "--clusterrole=edit", &account], "");
    let user = format!("--as=system:serviceaccount:{}:tester", team.name);
    let create = ["create", "-f", "-", &user];
    within(Duration::from_secs(10), "the account to have its rights", || {
        let refused = team.refused(&create, &run("forged", "{ checks: [a], requestedBy: jane }"));
        ensure(refused.contains("and may name nobody else"), || refused)
    });
    for field in ["replica: x", "digest: x", "held: x", "scheduledTime: '2026-01-01T00:00:00Z'"] {
        let refused = team.refused(&create, &run("forged", &format!("{{ checks: [a], {field} }}")));
        assert!(refused.contains("written by the operator only"), "{refused}");
    }
    team.done(&create, &run("own", &format!("{{ checks: [a], requestedBy: 'system:serviceaccount:{}:tester' }}", team.name)));
    complete(&team, "own");
}

/// A gate that holds machines for what waiting can cure.
fn machines(checks: &str, seconds: u32) -> String {
    let matches = creating("kubevirt.io", "virtualmachines");
    gate(
        "machines",
        &format!(
            "{{ mode: Enforce, match: {{ {matches} }}, checks: [{checks}], respond: {{ unknown: Hold, stale: Hold }}, holdSeconds: {seconds} }}"
        ),
    )
}

/// Waits until the gate refuses or holds a dry run: it is in force.
fn in_force(team: &Team<'_>) {
    eventually("the gate to be in force", || {
        let printed = team.kubectl.run_with_input(&["create", "-f", "-", "--dry-run=server"], &machine("probe", "Always")).unwrap();
        ensure(printed.code != 0 && printed.stderr.contains("machines"), || format!("{printed:?}"))
    });
}

#[test]
fn a_machine_whose_check_has_never_run_waits_and_starts() {
    let team = shared().team("hold");
    let server = Reluctant::start();
    team.apply(&[server.check("ready", ""), machines("{ name: ready }", 25)].concat());
    in_force(&team);
    assert_eq!(team.done(&["get", "pfrun", "-o", "name"], "").stdout, "", "a dry run begins nothing");
    let begun = Instant::now();
    let printed = thread::scope(|scope| {
        let create = scope.spawn(|| team.kubectl.run_with_input(&["create", "-f", "-"], &machine("db", "Always")).unwrap());
        let held = eventually("a run for the request", || {
            let items = team.kubectl.json(&["get", "pfrun"]).unwrap()["items"].as_array().cloned().unwrap_or_default();
            items.first().cloned().ok_or_else(String::new)
        });
        let spec = &held["spec"];
        assert_eq!(spec["held"], format!("CREATE VirtualMachine {}/db", team.name), "{held}");
        assert!(spec["requestedBy"].as_str().is_some_and(|user| !user.is_empty()) && spec["gateRef"]["name"] == "machines", "{held}");
        assert!(spec["object"].is_null(), "what may hold secrets is not shown");
        // The user sees nothing but a create that takes its time.
        holds_for(Duration::from_secs(1), || ensure(!create.is_finished(), || "it did not wait".to_owned())).unwrap();
        server.answer();
        create.join().unwrap()
    });
    println!("created after {:.1} s: {printed:?}", begun.elapsed().as_secs_f64());
    assert_eq!(printed.code, 0, "{printed:?}");
    assert!(begun.elapsed() < Duration::from_secs(15), "it came back soon");
    team.get("vm", "db");
    eventually("the run to be over", || {
        let items = team.kubectl.json(&["get", "pfrun"]).unwrap()["items"].as_array().cloned().unwrap_or_default();
        ensure(items.len() == 1 && items[0]["status"]["verdict"] == "Passing", || format!("{items:?}"))
    });
    println!("{}", team.done(&["get", "pfrun", "-o", "wide"], "").stdout);
}

#[test]
fn waiting_ends_with_a_refusal_that_names_the_run() {
    let team = shared().team("hold-over");
    let server = Reluctant::start();
    team.apply(&[server.check("ready", ""), machines("{ name: ready }", 4)].concat());
    in_force(&team);
    let begun = Instant::now();
    let refused = team.create_refused(&machine("db", "Always"));
    println!("after {:.1} s: {}", begun.elapsed().as_secs_f64(), steady(&refused));
    let name = team.done(&["get", "pfrun", "-o", "jsonpath={.items[0].metadata.name}"], "").stdout;
    assert!(refused.contains("orbidden") && refused.contains(&name) && !name.is_empty(), "{name}: {refused}");
    assert!(begun.elapsed() >= Duration::from_secs(4) && begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    // Accounts of programs do not wait: their work would stall.
    let account = format!("--serviceaccount={}:tester", team.name);
    team.done(&["create", "rolebinding", "edits", "--clusterrole=admin", &account], "");
    team.done(&["create", "role", "vms", "--verb=create", "--resource=virtualmachines.kubevirt.io"], "");
    team.done(&["create", "rolebinding", "vms", "--role=vms", &account], "");
    let user = format!("--as=system:serviceaccount:{}:tester", team.name);
    let begun = Instant::now();
    let refused = within(Duration::from_secs(10), "the account to have its rights", || {
        let printed = team.kubectl.run_with_input(&["create", "-f", "-", &user], &machine("other", "Always")).unwrap();
        ensure(printed.code != 0 && printed.stderr.contains("machines"), || format!("{printed:?}"))?;
        Ok(printed.stderr)
    });
    assert!(refused.contains("orbidden") && begun.elapsed() < Duration::from_secs(4), "{refused}");
    server.answer();
}

#[test]
fn what_waiting_cannot_cure_is_refused_at_once() {
    let team = shared().team("hold-fails");
    let server = Reluctant::start();
    team.apply(&[server.check("ready", ""), failing("frozen"), machines("{ name: ready }, { name: frozen }", 25)].concat());
    in_force(&team);
    let begun = Instant::now();
    let refused = team.create_refused(&machine("db", "Always"));
    assert!(refused.contains("frozen") && begun.elapsed() < Duration::from_secs(3), "{refused}");
    assert_eq!(team.done(&["get", "pfrun", "-o", "name"], "").stdout, "", "nothing is evaluated for it");
    server.answer();
}
