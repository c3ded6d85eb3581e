//! Hosts: real agents, each on a folder that stands for its machine's file system.

use crate::manifests::check;
use crate::team::Team;
use crate::world::{World, ensure, eventually, holds_for, shared, within};
use control_plane::{Agent, Kubectl};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long an agent with a heartbeat of one second may be silent.
const STATED: Duration = Duration::from_secs(4);
/// What a busy machine may add to it.
const SLACK: Duration = Duration::from_secs(6);
const A_WHILE: Duration = Duration::from_secs(6);

/// A machine with an agent on it. When it goes, so do its report and its heartbeat.
struct Host {
    name: String,
    root: PathBuf,
    user: Kubectl,
    agent: Agent,
    world: &'static World,
}

impl Host {
    fn start(world: &'static World, prefix: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}-{number}.e2e.example");
        let root = std::env::temp_dir().join(format!("holdpoint-e2e-{}-{name}", std::process::id()));
        for (file, text) in [
            ("proc/sys/kernel/osrelease", "6.8.0-45-generic\n"),
            ("proc/sys/vm/max_map_count", "262144\n"),
            ("proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 500 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"),
            ("etc/hostname", "host\n"),
            ("root/secret", "secret\n"),
        ] {
            write(&root.join(file), text);
        }
        let user = world.plane.user(&format!("holdpoint:host:{name}"), &["holdpoint:hosts"]).unwrap();
        let agent = launch(world, &user, &name, &root);
        Self { name, root, user, agent, world }
    }

    fn write(&self, path: &str, text: &str) {
        write(&self.root.join(path), text);
    }

    fn restart(&mut self) {
        self.agent.kill();
        self.agent = launch(self.world, &self.user, &self.name, &self.root);
    }

    fn report(&self) -> Result<Value, String> {
        self.world.plane.admin().json(&["get", "hrep", &self.name]).map_err(|error| error.to_string())
    }

    fn heartbeat(&self) -> Result<Value, String> {
        self.world.plane.admin().in_namespace("holdpoint-hosts").json(&["get", "lease", &self.name]).map_err(|error| error.to_string())
    }

    /// Waits until the report says something.
    fn says(&self, pointer: &str, value: &Value) -> Value {
        eventually(&format!("{pointer} of {} to be {value}", self.name), || {
            let report = self.report()?;
            let found = report.pointer(pointer) == Some(value);
            ensure(found, || format!("{report}\n{}", self.agent.log_tail())).map(|()| report)
        })
    }

    /// A check of this host.
    fn check(&self, name: &str, host: &str) -> String {
        check(name, &format!("{{ probe: {{ host: {host} }}, targets: {{ source: Hosts, name: {} }} }}", self.name))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.agent.log_tail());
        }
        self.agent.kill();
        let admin = self.world.plane.admin();
        let _ = admin.run(&["delete", "hrep", &self.name, "--ignore-not-found"]);
        let _ = admin.in_namespace("holdpoint-hosts").run(&["delete", "lease", &self.name, "--ignore-not-found"]);
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn launch(world: &World, user: &Kubectl, name: &str, root: &Path) -> Agent {
    let extra = ["--heartbeat-seconds", "1", "--label", "e2e=hosts"];
    Agent::start(&world.plane, Path::new(env!("CARGO_BIN_EXE_holdpoint")), user, name, root, &extra).unwrap()
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A team whose checks may read hosts.
fn team(prefix: &str) -> Team<'static> {
    let team = shared().team(prefix);
    let account = format!("{}:default", team.name);
    let binding = ["create", "clusterrolebinding", &team.name, "--clusterrole=holdpoint-read-hosts", "--serviceaccount", &account];
    team.done(&binding, "");
    team
}

#[test]
fn a_silent_agent_makes_its_own_host_unknown_within_its_stated_time() {
    let team = team("silent");
    let (mut one, other) = (Host::start(shared(), "one"), Host::start(shared(), "other"));
    let requirement = "{ sysctls: [{ name: vm.max_map_count, min: 262144 }] }";
    team.apply(&(one.check("one-fit", requirement) + &other.check("other-fit", requirement)));
    for name in ["one-fit", "other-fit"] {
        let message = team.verdict(name, "Passing").1;
        assert!(message.ends_with("sysctl vm.max_map_count is 262144, required is at least 262144"), "{message}");
    }
    one.agent.kill();
    let killed = Instant::now();
    let message = within(STATED + SLACK, "the killed agent's host to be Unknown", || {
        let check = team.kubectl.json(&["get", "pfc", "one-fit"]).map_err(|error| error.to_string())?;
        let verdict = check["status"]["verdict"].clone();
        ensure(verdict == "Unknown", || check["status"].to_string()).map(|()| check["status"].to_string())
    });
    assert!(killed.elapsed() <= STATED + SLACK);
    assert!(message.contains("its agent is silent since ") && message.contains("for more than 4 s"), "{message}");
    assert_eq!(team.get("pfc", "other-fit")["status"]["verdict"], "Passing");

    one.restart();
    team.verdict("one-fit", "Passing");
    // One that hangs is as silent as one that is dead.
    one.agent.signal("STOP").unwrap();
    team.verdict("one-fit", "Unknown");
    one.agent.signal("CONT").unwrap();
    team.verdict("one-fit", "Passing");
}

#[test]
fn a_fact_that_turns_bad_fails_the_check_until_it_is_good_again() {
    let team = team("facts");
    let host = Host::start(shared(), "facts");
    team.apply(
        &(host.check("file", "{ files: [{ path: /etc/maintenance, state: Absent }] }")
            + &host.check("memory", "{ memory: { minAvailable: \"40%\" } }")),
    );
    team.verdict("file", "Passing");
    team.verdict("memory", "Passing");
    host.write("etc/maintenance", "");
    host.write("proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 399 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n");
    assert!(team.verdict("file", "Failing").1.ends_with("/etc/maintenance is present"));
    let message = team.verdict("memory", "Failing").1;
    assert!(message.ends_with("39% of 1000Ki memory available, at least 40% required"), "{message}");
    fs::remove_file(host.root.join("etc/maintenance")).unwrap();
    host.write("proc/meminfo", "odd");
    team.verdict("file", "Passing");
    assert!(team.verdict("memory", "Unknown").1.contains("memory: the kernel's answer is not understood"));
    host.write("proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 600 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n");
    team.verdict("memory", "Passing");
}

#[test]
fn hosts_are_selected_by_label_and_without_the_right_nothing_is_told() {
    let blind = shared().team("blind").without_rights();
    let host = Host::start(shared(), "labelled");
    let requirement =
        "probe: { host: { kernel: { minVersion: \"5.15\" } } }, targets: { source: Hosts, selector: { matchLabels: { rack: r7 } } }";
    let spec = format!("{{ {requirement} }}");
    host.says("/metadata/labels/e2e", &"hosts".into());
    blind.apply(&check("kernel", &spec));
    let message = blind.verdict_for("kernel", "Unknown", "Forbidden");
    assert!(!message.contains(&host.name), "{message}");

    let team = team("labelled");
    team.apply(&check("kernel", &spec));
    team.verdict_for("kernel", "Unknown", "NoTargets");
    shared().plane.admin().ok(&["label", "hrep", &host.name, "rack=r7"]).unwrap();
    let message = team.verdict("kernel", "Passing").1;
    assert!(message.contains("kernel is 6.8.0-45-generic"), "{message}");
    shared().plane.admin().ok(&["label", "hrep", &host.name, "rack-"]).unwrap();
    team.verdict_for("kernel", "Unknown", "NoTargets");
}

#[test]
fn the_example_is_accepted_and_waits_for_hosts() {
    let team = team("host-example");
    team.kubectl.apply(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/probes/host.yaml")).unwrap();
    team.verdict_for("rack-is-fit", "Unknown", "NoTargets");
    team.condition("pfc/rack-is-fit", "Ready", "True");
    let refused = team.apply_refused(&check("empty", "{ probe: { host: {} }, targets: { source: Hosts, name: a } }"));
    assert!(refused.contains("at least one requirement is needed"), "{refused}");
}

#[test]
fn agents_measure_what_checks_ask_about_and_nothing_else() {
    let team = shared().team("asked");
    let host = Host::start(shared(), "asked");
    symlink("/etc/passwd", host.root.join("etc/escape")).unwrap();
    let first = host.says("/facts/kernel/release", &"6.8.0-45-generic".into());
    assert!(first["facts"].get("files").is_none() && first["facts"].get("memory").is_none(), "{first}");
    team.apply(&host.check("escape", "{ files: [{ path: /etc/escape }, { path: /root/secret }, { path: /etc/hostname }] }"));
    let report = host.says("/facts/files/2/path", &"/root/secret".into());
    let files = report["facts"]["files"].as_array().unwrap();
    assert_eq!((&files[0]["path"], &files[0]["present"]), (&"/etc/escape".into(), &false.into()), "a link of this machine's: {report}");
    assert_eq!((&files[1]["present"], &files[1]["type"]), (&true.into(), &"File".into()), "{report}");
    assert!(files[2].get("present").is_none() && files[2]["error"].as_str().unwrap().contains("--allow-path"), "{report}");
    team.done(&["delete", "pfc", "escape"], "");
    eventually("the facts to go with the check", || {
        let report = host.report()?;
        ensure(report["facts"].get("files").is_none(), || report.to_string())
    });
}

#[test]
fn a_quiet_host_costs_heartbeats_and_no_reports() {
    let team = shared().team("quiet-host");
    let mut host = Host::start(shared(), "quiet");
    team.apply(
        &host.check("many", "{ disk: [{ path: /, minFree: \"0%\" }], memory: { minAvailable: \"1%\" }, files: [{ path: /etc/hostname }] }"),
    );
    host.says("/facts/files/0/present", &true.into());
    let version = |object: Result<Value, String>| object.map(|object| object["metadata"]["resourceVersion"].clone());
    let (report, heartbeat) = (version(host.report()), version(host.heartbeat()));
    let unchanged = || ensure(version(host.report()) == report, || format!("{:?}", host.report()));
    assert_eq!(holds_for(A_WHILE, unchanged), Ok(()));
    assert_ne!(version(host.heartbeat()), heartbeat, "{}", host.agent.log_tail());
    // Nor does a restart write what is there already.
    host.restart();
    let unchanged = || ensure(version(host.report()) == report, || format!("{:?}", host.report()));
    assert_eq!(holds_for(A_WHILE, unchanged), Ok(()));
    // A report that somebody deleted comes back, within a minute.
    shared().plane.admin().ok(&["delete", "hrep", &host.name]).unwrap();
    within(Duration::from_secs(90), "the report to come back", || host.report());
}

fn report_of(name: &str) -> String {
    format!("apiVersion: holdpoint.dev/v1alpha1\nkind: HostReport\nmetadata: {{ name: {name} }}\nfacts: {{}}\n")
}

fn heartbeat_of(name: &str, seconds: u32) -> String {
    format!(
        "apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {{ name: {name}, namespace: holdpoint-hosts }}\nspec: {{ leaseDurationSeconds: {seconds} }}\n"
    )
}

/// Applies as somebody; standard error if it is refused.
fn apply_as(user: &Kubectl, object: &str) -> Result<(), String> {
    let output = user.run_with_input(&["apply", "--server-side", "--force-conflicts", "-f", "-"], object).unwrap();
    ensure(output.code == 0, || output.stderr)
}

#[test]
fn an_agent_writes_the_report_and_the_heartbeat_of_its_own_host_only() {
    let plane = &shared().plane;
    let agent = plane.user("holdpoint:host:own.example", &["holdpoint:hosts"]).unwrap();
    // A policy takes effect a moment after it was installed.
    let refused = |object: &str, says: &str| {
        eventually(&format!("a refusal that says: {says}"), || {
            let error = apply_as(&agent, object).err().unwrap_or_else(|| "it was let".to_owned());
            ensure(error.contains("Forbidden") && error.contains(says), || error)
        });
    };
    let own = "the agent of host own.example may write the HostReport and the Lease of that name, and no other";
    refused(&report_of("other.example"), own);
    refused(&heartbeat_of("other.example", 40), own);
    refused(&heartbeat_of("own.example", 601), "a heartbeat lasts at most 600 s");
    apply_as(&agent, &report_of("own.example")).unwrap();
    apply_as(&agent, &heartbeat_of("own.example", 40)).unwrap();
    refused(&report_of("own.example").replace("own.example }", "own.example, finalizers: [a.example/b] }"), "no finalizers");
    // What no policy needs to say: it has no such rights.
    refused(&heartbeat_of("own.example", 40).replace("holdpoint-hosts", "holdpoint-system"), "cannot");
    for args in [["delete", "hrep", "own.example"], ["delete", "pfc", "any"]] {
        assert!(agent.run(&args).unwrap().stderr.contains("Forbidden"), "{args:?}");
    }
    // The group alone is nobody's host.
    let nobody = plane.user("somebody", &["holdpoint:hosts"]).unwrap();
    let error = apply_as(&nobody, &report_of("somebody")).unwrap_err();
    assert!(error.contains("this agent is authenticated for no host"), "{error}");
    plane.admin().ok(&["delete", "hrep", "own.example"]).unwrap();
    plane.admin().in_namespace("holdpoint-hosts").ok(&["delete", "lease", "own.example"]).unwrap();
}

#[test]
fn an_agent_in_a_pod_is_the_one_of_its_node() {
    let plane = &shared().plane;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/agent");
    plane.admin().ok(&["apply", "--server-side", "-k", folder.to_str().unwrap()]).unwrap();
    let agents = plane.admin().in_namespace("holdpoint-agents");
    // Other tests' nodes come and go, and their pods with them.
    let pod = eventually("the agent's pod of node-1 to be bound", || {
        let pods = agents.json(&["get", "pods"]).map_err(|error| error.to_string())?;
        let node = "/spec/affinity/nodeAffinity/requiredDuringSchedulingIgnoredDuringExecution/nodeSelectorTerms/0/matchFields/0/values/0";
        let own = pods["items"].as_array().into_iter().flatten().find(|pod| pod.pointer(node).is_some_and(|name| name == "node-1"));
        let name = own.and_then(|pod| pod["metadata"]["name"].as_str()).ok_or_else(|| pods.to_string())?;
        plane.bind_pod("holdpoint-agents", name, "node-1").map_err(|error| error.to_string())?;
        Ok(name.to_owned())
    });
    let agent = plane.pod_account("holdpoint-agents", "holdpoint-agent", &pod).unwrap();
    eventually("a refusal for another node", || {
        let error = apply_as(&agent, &report_of("node-2")).err().unwrap_or_else(|| "it was let".to_owned());
        ensure(error.contains("the agent of host node-1 may write"), || error)
    });
    apply_as(&agent, &report_of("node-1")).unwrap();
    apply_as(&agent, &heartbeat_of("node-1", 40)).unwrap();
    let unbound = plane.service_account("holdpoint-agents", "holdpoint-agent").unwrap();
    let error = apply_as(&unbound, &report_of("node-1")).unwrap_err();
    assert!(error.contains("this agent is authenticated for no host"), "{error}");
    plane.admin().ok(&["delete", "hrep", "node-1"]).unwrap();
    plane.admin().in_namespace("holdpoint-hosts").ok(&["delete", "lease", "node-1"]).unwrap();
    plane.admin().ok(&["delete", "namespace", "holdpoint-agents", "--wait=false"]).unwrap();
}
