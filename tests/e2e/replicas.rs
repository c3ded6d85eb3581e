//! Two replicas behind one Service: what each decides is kept, and none of them admits what should not be, whoever leads.

use crate::manifests::{check, passing, podchaos_gate, rollout};
use crate::servers::HttpServer;
use crate::world::{ensure, eventually, holds_for, manifest, options, within};
use control_plane::{ControlPlane, Installation, Kubectl, Operator, Options, Splitter, other_projects};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// After 6 s and up to one more another takes over from a leader that does not say goodbye; the rest is for a busy machine.
const TAKEN_OVER: Duration = Duration::from_secs(20);
/// By when creates are admitted again after a leader was lost and all is good.
const ADMITTED_AGAIN: Duration = Duration::from_secs(15);
/// How old the last observation may be by which a start is admitted: of the endpoint, and of the Deployment.
const STALE_AFTER: Duration = Duration::from_secs(5);
const PROOF_LASTS: Duration = Duration::from_secs(5);
/// How long a target stays bad: longer than any answer may rest on what was, and than nobody leads.
const BAD: Duration = Duration::from_secs(11);
/// Creates a second, and by how many at once: a replica that hangs holds each up for 3 s.
const RATE: u32 = 50;
const CLIENTS: u32 = 25;

struct Replicas {
    plane: ControlPlane,
    /// The one that was started first leads at first.
    operators: Vec<Operator>,
    _service: Splitter,
    proxy: Proxy,
}

/// A control plane with two operators behind one Service.
pub fn two_operators() -> (ControlPlane, Vec<Operator>, Splitter) {
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
    (plane, operators, service)
}

impl Replicas {
    fn start() -> Replicas {
        let (plane, operators, service) = two_operators();
        let proxy = Proxy::start(&plane);
        // kubectl remembers which kinds there are, and there are more now than when it first asked.
        plane.admin().ok(&["api-resources", "--cached=false"]).unwrap();
        let replicas = Replicas { plane, operators, _service: service, proxy };
        replicas.leads(0);
        replicas
    }

    fn team(&self) -> Team<'_> {
        let name = self.plane.namespace("replicas").unwrap();
        let kubectl = self.plane.admin().in_namespace(&name);
        let account = format!("--serviceaccount={name}:default");
        kubectl.ok(&["create", "rolebinding", "reads", "--clusterrole=view", &account]).unwrap();
        Team { replicas: self, name, kubectl }
    }

    /// Waits until a replica leads.
    fn leads(&self, n: usize) {
        within(TAKEN_OVER, &format!("replica {n} to lead"), || ensure(self.metric(n, "holdpoint_leader", &[]) == 1, String::new));
    }

    fn metric(&self, n: usize, name: &str, labels: &[&str]) -> i64 {
        let text = self.operators[n].metrics().unwrap();
        let values = text.lines().filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let found = series.split('{').next() == Some(name) && labels.iter().all(|label| series.contains(label));
            found.then(|| value.parse::<i64>().unwrap())
        });
        values.sum()
    }

    /// Decisions of a replica that are kept.
    fn decided(&self, n: usize) -> i64 {
        self.metric(n, "holdpoint_decisions_total", &["dry_run=\"false\""])
    }
}

struct Team<'r> {
    replicas: &'r Replicas,
    name: String,
    kubectl: Kubectl,
}

impl Team<'_> {
    fn status(&self, kind: &str, name: &str) -> Value {
        self.kubectl.json(&["get", kind, name]).unwrap()["status"].clone()
    }

    fn verdict(&self, check: &str, verdict: &str) {
        eventually(&format!("{check} to be {verdict}"), || {
            let status = self.status("pfc", check);
            ensure(status["verdict"] == verdict, || status.to_string())
        });
    }

    /// Waits until both replicas refuse a dry run, or both admit it: as often in a row as it takes to have asked both.
    fn answers(&self, deadline: Duration, admitted: bool, contains: &str) {
        let mut in_a_row = 0;
        within(deadline, &format!("creates to be {}", if admitted { "admitted" } else { "refused" }), || {
            let sent = self.replicas.proxy.create(&self.name, "?dryRun=All");
            in_a_row = if sent.admitted() == admitted && sent.text.contains(contains) { in_a_row + 1 } else { 0 };
            ensure(in_a_row >= 8, || sent.text.clone())
        });
    }

    fn deployment(&self, name: &str) {
        self.kubectl.ok(&["create", "deployment", name, "--image=example/app:1", "--replicas=1"]).unwrap();
        self.run_pods(name);
    }

    fn run_pods(&self, app: &str) {
        self.replicas.plane.run_pods(&self.name, &format!("app={app}")).unwrap();
    }

    /// Returns when the Deployment's status says so.
    fn break_pods(&self, app: &str) {
        self.replicas.plane.break_pods(&self.name, &format!("app={app}")).unwrap();
        eventually("the Deployment to be unavailable", || {
            let status = self.status("deployment", app);
            ensure(status["availableReplicas"].as_i64().unwrap_or(0) == 0, || status.to_string())
        });
    }
}

/// `kubectl proxy`: a create costs no process of its own.
struct Proxy {
    kubectl: Child,
    address: SocketAddr,
    number: AtomicUsize,
}

/// A create, and its answer.
struct Sent {
    from: Instant,
    until: Instant,
    code: u16,
    text: String,
}

impl Sent {
    fn admitted(&self) -> bool {
        self.code == 201
    }
}

impl Proxy {
    fn start(plane: &ControlPlane) -> Proxy {
        let mut command = Command::new(plane.programs().path("kubectl"));
        command.arg("--kubeconfig").arg(plane.kubeconfig()).args(["proxy", "--port=0"]).stdout(Stdio::piped());
        let mut kubectl = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(kubectl.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        Proxy { kubectl, address, number: AtomicUsize::new(0) }
    }

    /// Creates a chaos experiment with a name of its own.
    fn create(&self, namespace: &str, query: &str) -> Sent {
        let name = format!("kill-{}", self.number.fetch_add(1, Ordering::Relaxed));
        let object =
            json!({ "apiVersion": "chaos-mesh.org/v1alpha1", "kind": "PodChaos", "metadata": { "name": name }, "spec": { "mode": "one" } });
        let (body, address) = (object.to_string(), self.address);
        let path = format!("/apis/chaos-mesh.org/v1alpha1/namespaces/{namespace}/podchaos{query}");
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: ");
        let from = Instant::now();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        stream.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let text = String::from_utf8_lossy(&answer).into_owned();
        let code = text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Sent { from, until: Instant::now(), code, text }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.kubectl.kill();
        let _ = self.kubectl.wait();
    }
}

/// When a target was good, from before it turned good until after it had turned bad.
#[derive(Default)]
struct History(Vec<(Instant, Option<Instant>)>);

impl History {
    fn good(&mut self) {
        self.0.push((Instant::now(), None));
    }

    fn bad(&mut self) {
        self.0.last_mut().unwrap().1 = Some(Instant::now());
    }

    /// For how long it had been bad when a create was sent.
    fn bad_for(&self, sent: &Sent) -> Duration {
        let begun = self.0.iter().filter(|(from, _)| *from <= sent.until);
        let since = |until: Option<Instant>| until.map_or(Duration::ZERO, |until| sent.from.saturating_duration_since(until));
        begun.map(|(_, until)| since(*until)).min().unwrap_or(Duration::MAX)
    }
}

/// Creates all the time, until it is told to stop; returns what came of each. All clients ask at once: so many connections reach both replicas.
fn load(proxy: &Proxy, namespace: &str, stop: &AtomicBool) -> Vec<Sent> {
    let all = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            let all = &all;
            scope.spawn(move || {
                let period = Duration::from_secs(1) * CLIENTS / RATE;
                let mut due = Instant::now();
                while !stop.load(Ordering::Relaxed) {
                    thread::sleep(due.saturating_duration_since(Instant::now()));
                    let sent = proxy.create(namespace, "");
                    all.lock().unwrap().push(sent);
                    due = (due + period).max(Instant::now());
                }
            });
        }
    });
    all.into_inner().unwrap()
}

/// What turns good and bad under load: an endpoint, and a Deployment.
struct Targets<'t> {
    team: &'t Team<'t>,
    server: HttpServer,
    endpoint: History,
    deployment: History,
}

impl<'t> Targets<'t> {
    fn new(team: &'t Team<'t>) -> Targets<'t> {
        let server = HttpServer::start("503 Service Unavailable", "");
        let times =
            format!("intervalSeconds: 1, timeoutSeconds: 1, staleAfterSeconds: {}, retries: {{ attempts: 1 }}", STALE_AFTER.as_secs());
        let http = check("answers", &format!("{{ {times}, probe: {{ http: {{ url: 'http://{}/' }} }} }}", server.address));
        team.deployment("web");
        team.kubectl.apply_text(&(rollout("web-healthy", "web") + &http + &podchaos_gate("chaos", &["answers", "web-healthy"]))).unwrap();
        let mut targets = Targets { team, server, endpoint: History::default(), deployment: History::default() };
        targets.deployment.good();
        // Closed: the gate is in force.
        team.answers(Duration::from_mins(1), false, "answers FAIL");
        targets.endpoint_good();
        team.answers(TAKEN_OVER, true, "");
        targets
    }

    fn endpoint_good(&mut self) {
        self.endpoint.good();
        self.server.answer("200 OK", "");
    }

    fn endpoint_bad(&mut self) {
        self.server.answer("503 Service Unavailable", "");
        self.endpoint.bad();
    }

    fn deployment_good(&mut self) {
        self.deployment.good();
        self.team.run_pods("web");
    }

    fn deployment_bad(&mut self) {
        self.team.break_pods("web");
        self.deployment.bad();
    }

    /// Waits until a create is admitted that was sent after all was good; how long that took.
    fn admitted_again(&self, what: &str) {
        let since = Instant::now();
        within(ADMITTED_AGAIN, "creates to be admitted again", || {
            let sent = self.team.replicas.proxy.create(&self.team.name, "?dryRun=All");
            ensure(sent.admitted(), || sent.text.clone())
        });
        println!("{what}: admitted again {:.1} s after all was good", since.elapsed().as_secs_f64());
    }

    /// No create was admitted by what was no longer so.
    fn verify(&self, all: &[Sent]) {
        let admitted: Vec<&Sent> = all.iter().filter(|sent| sent.admitted()).collect();
        let wrong = |sent: &&&Sent| self.endpoint.bad_for(sent) > STALE_AFTER || self.deployment.bad_for(sent) > PROOF_LASTS;
        let wrong: Vec<_> = admitted.iter().filter(wrong).map(|sent| (sent.from, sent.until)).collect();
        let latest = |history: &History| admitted.iter().map(|sent| history.bad_for(sent)).max().unwrap_or_default();
        println!(
            "admitted last after the endpoint {:?}, the Deployment {:?} had turned bad",
            latest(&self.endpoint),
            latest(&self.deployment)
        );
        let refused = all.iter().filter(|sent| sent.code == 403).count();
        println!("{} creates: {} admitted, {refused} refused by the gate, others without an answer", all.len(), admitted.len());
        assert!(wrong.is_empty(), "false admits: {wrong:?}\nendpoint {:?}\ndeployment {:?}", self.endpoint.0, self.deployment.0);
        assert!(admitted.len() > 100 && refused > 100, "the gate was seen open and closed");
    }
}

/// Time passes while the load goes on.
fn pass(time: Duration) {
    let _ = holds_for(time, || Ok(()));
}

/// Loses the leader at the moment when the endpoint turns bad, lets everything turn good and bad again, and looks at every create afterwards.
fn handover(lose: impl FnOnce(&mut Operator), regain: impl FnOnce(&mut Operator)) {
    let mut replicas = Replicas::start();
    // Taken out: the load needs the rest meanwhile.
    let mut leader = replicas.operators.remove(0);
    let replicas = &replicas;
    let team = replicas.team();
    let mut targets = Targets::new(&team);
    let stop = AtomicBool::new(false);
    let all = thread::scope(|scope| {
        let load = scope.spawn(|| load(&replicas.proxy, &team.name, &stop));
        // Whatever fails below, the load ends.
        let ends = EndsLoad(&stop);
        pass(Duration::from_secs(2));
        let asked = leader.metrics().unwrap().lines().any(|line| line.starts_with("holdpoint_decisions_total{"));
        assert!(asked && replicas.decided(0) > 0, "both replicas are asked");
        targets.endpoint_bad();
        lose(&mut leader);
        pass(BAD);
        replicas.leads(0);
        targets.endpoint_good();
        targets.admitted_again("after the endpoint was bad");
        targets.deployment_bad();
        pass(BAD);
        targets.deployment_good();
        targets.admitted_again("after the Deployment was bad");
        // The old leader comes back, with what it knew.
        targets.endpoint_bad();
        pass(STALE_AFTER);
        regain(&mut leader);
        pass(Duration::from_secs(6));
        targets.endpoint_good();
        targets.admitted_again("after the former leader came back");
        drop(ends);
        load.join().unwrap()
    });
    targets.verify(&all);
}

struct EndsLoad<'s>(&'s AtomicBool);

impl Drop for EndsLoad<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn no_start_is_admitted_falsely_when_the_leader_is_killed() {
    handover(Operator::kill, |leader| leader.restart().unwrap());
}

#[test]
fn no_start_is_admitted_falsely_when_the_leader_hangs_and_goes_on() {
    handover(|leader| leader.signal("STOP").unwrap(), |leader| leader.signal("CONT").unwrap());
}

#[test]
fn what_each_replica_decides_is_in_the_gates_status_and_counted_once() {
    let mut replicas = Replicas::start();
    let name = {
        let team = replicas.team();
        let server = HttpServer::start("503 Service Unavailable", "");
        let times = "intervalSeconds: 1, timeoutSeconds: 1, staleAfterSeconds: 60, retries: { attempts: 1 }";
        let http = check("answers", &format!("{{ {times}, probe: {{ http: {{ url: 'http://{}/' }} }} }}", server.address));
        team.kubectl.apply_text(&(http + &podchaos_gate("chaos", &["answers"]))).unwrap();
        team.answers(Duration::from_mins(1), false, "answers FAIL");
        let create = |number: usize| {
            let client = || (0..number / 10).filter(|_| replicas.proxy.create(&team.name, "").admitted()).count();
            thread::scope(|scope| {
                let clients: Vec<_> = (0..10).map(|_| scope.spawn(client)).collect();
                clients.into_iter().map(|client| client.join().unwrap()).sum::<usize>()
            })
        };
        assert_eq!(create(40), 0);
        server.answer("200 OK", "");
        team.answers(TAKEN_OVER, true, "");
        assert_eq!(create(60), 60);
        // A decision is counted after it was answered.
        let decided = eventually("100 decisions to be counted", || {
            let decided = [replicas.decided(0), replicas.decided(1)];
            ensure(decided.iter().sum::<i64>() == 100, || format!("{decided:?}")).map(|()| decided)
        });
        assert!(decided.iter().all(|n| *n > 0), "{decided:?}");
        println!("decided by each: {decided:?}");
        let status = eventually("100 decisions in the status", || {
            let status = team.status("xgate", "chaos");
            ensure(status["counters"] == json!({ "admitted": 60, "warned": 0, "held": 0, "denied": 40 }), || {
                status["counters"].to_string()
            })?;
            Ok(status)
        });
        assert_eq!(status["recorders"].as_array().unwrap().len(), 2, "{status}");
        let recent = status["recentDecisions"].as_array().unwrap();
        assert!(recent.len() == 20 && recent.iter().all(|entry| entry["decision"] == "Allow"), "{recent:?}");
        let times: Vec<&str> = recent.iter().map(|entry| entry["time"].as_str().unwrap()).collect();
        assert!(times.is_sorted_by(|a, b| a >= b), "newest first: {times:?}");
        // What is decided in the last moment before the end is kept too.
        assert_eq!(create(20), 20);
        team.name.clone()
    };
    let codes: Vec<i32> = replicas.operators.iter_mut().map(|operator| operator.terminate().unwrap()).collect();
    assert_eq!(codes, [0, 0]);
    let status = replicas.plane.admin().in_namespace(&name).json(&["get", "xgate", "chaos"]).unwrap()["status"].clone();
    assert_eq!(status["counters"], json!({ "admitted": 80, "warned": 0, "held": 0, "denied": 40 }));
}

#[test]
fn a_probed_check_goes_stale_while_nobody_leads_and_recovers_when_one_does() {
    let mut replicas = Replicas::start();
    let mut leader = replicas.operators.remove(0);
    let team = replicas.team();
    let targets = Targets::new(&team);
    // The leader hangs, and no other may take over.
    leader.signal("STOP").unwrap();
    let admin = replicas.plane.admin();
    admin.ok(&["delete", "lease", "holdpoint", "-n", "holdpoint-system"]).unwrap();
    within(STALE_AFTER * 3, "the passing verdict not to count any more", || {
        let sent = replicas.proxy.create(&team.name, "?dryRun=All");
        ensure(sent.code == 403 && sent.text.contains("answers STALE"), || sent.text.clone())
    });
    let never = holds_for(Duration::from_secs(5), || {
        let sent = replicas.proxy.create(&team.name, "?dryRun=All");
        ensure(!sent.admitted(), || sent.text.clone())
    });
    never.expect("it does not come back by itself");
    assert_eq!(team.status("pfc", "answers")["verdict"], "Passing", "nobody wrote");
    admin
        .apply_text("{ apiVersion: coordination.k8s.io/v1, kind: Lease, metadata: { name: holdpoint, namespace: holdpoint-system } }")
        .unwrap();
    replicas.leads(0);
    targets.admitted_again("after one leads again");
    leader.signal("CONT").unwrap();
}

#[test]
fn a_handover_rewrites_nothing() {
    let mut replicas = Replicas::start();
    let mut leader = replicas.operators.remove(0);
    let team = replicas.team();
    let server = HttpServer::start("200 OK", "");
    team.deployment("web");
    let probe = |interval: u32| {
        let times = format!("intervalSeconds: {interval}, timeoutSeconds: 1, staleAfterSeconds: 300, retries: {{ attempts: 1 }}");
        format!("{{ {times}, probe: {{ http: {{ url: 'http://{}/' }} }} }}", server.address)
    };
    let all: String = (0..50)
        .map(|n| match n % 3 {
            0 => rollout(&format!("check-{n}"), "web"),
            1 => passing(&format!("check-{n}")),
            // A few are due while nobody leads, and most are not.
            _ => check(&format!("check-{n}"), &probe(if n < 12 { 2 } else { 180 })),
        })
        .collect();
    team.kubectl.apply_text(&(all + &podchaos_gate("chaos", &["check-0", "check-1", "check-2"]))).unwrap();
    team.verdict("check-48", "Passing");
    team.answers(Duration::from_mins(1), true, "");
    let objects = || -> BTreeMap<String, Value> {
        let list = team.kubectl.json(&["get", "pfc,xgate"]).unwrap();
        list["items"].as_array().unwrap().iter().map(|item| (item["metadata"]["name"].as_str().unwrap().to_owned(), item.clone())).collect()
    };
    let entries = || {
        let args = ["get", "validatingwebhookconfiguration", "holdpoint", "-o", "jsonpath={.metadata.resourceVersion}"];
        replicas.plane.admin().ok(&args).unwrap()
    };
    let versions = || objects().into_iter().map(|(name, object)| (name, object["metadata"]["resourceVersion"].clone())).collect::<Vec<_>>();
    within(Duration::from_mins(1), "no write for a while", || {
        let before = versions();
        holds_for(Duration::from_secs(4), || ensure(versions() == before, || "a write".to_owned()))
    });
    let (before, registered) = (objects(), entries());
    leader.kill();
    replicas.leads(0);
    pass(Duration::from_secs(6));
    let after = objects();
    assert_eq!(entries(), registered, "the webhook configuration is as it was");
    let written: Vec<&String> =
        before.keys().filter(|name| before[*name]["metadata"]["resourceVersion"] != after[*name]["metadata"]["resourceVersion"]).collect();
    let meaning =
        |object: &Value| [&object["status"]["conditions"], &object["status"]["history"], &object["status"]["verdict"]].map(Clone::clone);
    let turned: Vec<&String> = before.keys().filter(|name| meaning(&before[*name]) != meaning(&after[*name])).collect();
    assert_eq!(turned, [""; 0], "no verdict, no condition and no history is another");
    // A probed check that was due while nobody led is marked, watched more closely for ten evaluations, and unmarked: nothing else is written.
    let late = |name: &&String| before[*name]["status"]["intervalSeconds"] == 2;
    let others: Vec<&&String> = written.iter().filter(|name| !late(name)).collect();
    let first = others.first().map(|name| (&before[**name]["status"], &after[**name]["status"]));
    assert!(others.is_empty(), "who was due for nothing is not written: {others:?}, the first {first:#?}");
    let writes = replicas.metric(0, "holdpoint_status_writes_total", &[]);
    println!("{} of 50 checks were written, {writes} writes in all", written.len());
    assert!(writes <= 12 * i64::try_from(written.len()).unwrap(), "{writes} writes");
}
