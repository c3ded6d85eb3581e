//! `control-plane demo`: the main job as a user sees it, with real commands and their real output.
//!
//! Each step also says what must come of it. If something else does, the demo ends with an error that says what was
//! expected, so it is a test as well.

use std::{
    env,
    io::{IsTerminal, Write, stdout},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use control_plane::{ControlPlane, Error, Kubectl, NodeShape, Operator, OperatorOptions, Output, Result, eventually, other_projects};
use serde_json::Value;

/// Where the story takes place.
const NAMESPACE: &str = "shop";
/// A webhook configuration takes effect within about a second.
const SOON: Duration = Duration::from_secs(30);
/// How much of `kubectl describe` is shown.
const MAX_DESCRIBED_LINES: usize = 60;

const PLAIN: &str = "";
const BOLD: &str = "\x1b[1m";
const CYAN: &str = "\x1b[36m";
const RESET: &str = "\x1b[0m";

/// The command's arguments.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The `holdpoint` binary.
    #[arg(long, value_name = "BINARY")]
    operator: PathBuf,
    /// The manifest that installs the operator.
    #[arg(long, value_name = "FILE")]
    manifest: PathBuf,
    /// The folder of the demo's own manifests.
    #[arg(long, value_name = "FOLDER", default_value = "examples/demo")]
    examples: PathBuf,
}

/// Tells the story from beginning to end. Everything that it started is gone when it returns.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let screen = Screen::new();
    let files = Files::find(&arguments.examples)?;
    screen.say("Starting etcd, kube-apiserver and kube-controller-manager on this machine, and installing Holdpoint.");
    let control_plane = ControlPlane::start()?;
    control_plane.install_crds(&other_projects())?;
    control_plane.node("node-1", &NodeShape::default())?;
    let options =
        OperatorOptions { binary: arguments.operator.clone(), install_manifest: arguments.manifest.clone(), ..OperatorOptions::default() };
    let operator = Operator::start(&control_plane, &options)?;
    screen.note(&format!(
        "Ready after {} s. There is no kubelet: where pods should run or crash, the demo says so to the API server.",
        screen.elapsed()
    ));
    let story = Story { screen, cluster: &control_plane, kubectl: control_plane.admin().in_namespace(NAMESPACE), files };
    let told = story.tell();
    if told.is_err() {
        eprintln!("\n{}", operator.log_tail());
    }
    told
}

/// The demo's manifests, as they are named on the command lines.
struct Files {
    deployment: String,
    check: String,
    gates: String,
    experiment: String,
    machine: String,
}

impl Files {
    fn find(folder: &Path) -> Result<Files> {
        let file = |name: &str| {
            let path = folder.join(name);
            if path.is_file() {
                return Ok(path.to_string_lossy().into_owned());
            }
            let what = format!("{} is not there", path.display());
            Err(Error::Unexpected {
                what,
                found: "run the demo from the repository's folder, or name the folder with --examples".to_owned(),
            })
        };
        Ok(Files {
            deployment: file("deployment.yaml")?,
            check: file("check.yaml")?,
            gates: file("gates.yaml")?,
            experiment: file("podchaos.yaml")?,
            machine: file("virtualmachine.yaml")?,
        })
    }
}

struct Story<'a> {
    screen: Screen,
    cluster: &'a ControlPlane,
    kubectl: Kubectl,
    files: Files,
}

impl Story<'_> {
    fn tell(&self) -> Result<()> {
        self.a_service_and_its_check()?;
        self.the_gates()?;
        self.a_bad_release()?;
        self.starts_are_refused()?;
        self.the_fix()?;
        self.starts_are_admitted()?;
        self.what_the_gate_remembers()?;
        self.farewell();
        Ok(())
    }

    fn a_service_and_its_check(&self) -> Result<()> {
        self.screen.step("A service runs in namespace shop. Checks there may look at it, and one says when it is fit for an experiment.");
        self.cluster.admin().ok(&["create", "namespace", NAMESPACE])?;
        self.succeeds(&["create", "-f", &self.files.deployment], "deployment.apps/checkout created")?;
        self.cluster.run_pods(NAMESPACE, "app=checkout")?;
        self.succeeds(
            &["create", "rolebinding", "preflight", "--clusterrole=holdpoint-reader", "--serviceaccount=shop:default"],
            "rolebinding.rbac.authorization.k8s.io/preflight created",
        )?;
        self.succeeds(&["apply", "-f", &self.files.check], "preflightcheck.holdpoint.dev/checkout-healthy created")?;
        self.succeeds(&["wait", "--for=condition=Passing", "pfc/checkout-healthy", "--timeout=30s"], "condition met")?;
        Ok(())
    }

    fn the_gates(&self) -> Result<()> {
        self.screen.step("Two gates require the check: one for Chaos Mesh experiments, one for KubeVirt machines.");
        self.succeeds(&["apply", "-f", &self.files.gates], "experimentgate.holdpoint.dev/machines created")?;
        self.succeeds(&["wait", "--for=condition=Ready", "xgate/chaos", "xgate/machines", "--timeout=30s"], "machines condition met")?;
        Ok(())
    }

    fn a_bad_release(&self) -> Result<()> {
        self.screen.step("Then somebody releases a version of the service that crashes.");
        self.succeeds(&["set", "image", "deployment/checkout", "checkout=registry.example/checkout:1.1"], "image updated")?;
        let selector = self.newest_pods()?;
        self.cluster.break_pods(NAMESPACE, &selector)?;
        self.succeeds(&["get", "pods"], "CrashLoopBackOff")?;
        // The gates are in effect once the API server has read its webhook configuration.
        for file in [&self.files.experiment, &self.files.machine] {
            eventually(SOON, &format!("a dry run of {file} to be refused because of checkout-healthy"), || {
                let output = self.kubectl.run(&["create", "--dry-run=server", "-f", file]).map_err(|error| error.to_string())?;
                if is_refusal(&output) { Ok(()) } else { Err(both(&output)) }
            })?;
        }
        Ok(())
    }

    fn starts_are_refused(&self) -> Result<()> {
        self.screen
            .step("An experiment would now hit a service in the middle of a failed release. It is refused, and the refusal says why.");
        self.is_refused(&self.files.experiment)?;
        self.screen.step("The same holds for a virtual machine.");
        self.is_refused(&self.files.machine)?;
        self.screen.step("Nobody has to try to find out what is wrong.");
        for gate in ["chaos", "machines"] {
            self.has_decided(gate, 1, 0)?;
        }
        let printed = self.succeeds(&["get", "pfc,xgate"], "preflightcheck.holdpoint.dev/checkout-healthy")?;
        for (row, word) in [("checkout-healthy", "Failing"), ("experimentgate.holdpoint.dev/chaos", "False")] {
            if !printed.lines().any(|line| line.contains(row) && line.contains(word)) {
                return Err(unexpected(&format!("the row of {row} to say {word}"), printed));
            }
        }
        Ok(())
    }

    fn the_fix(&self) -> Result<()> {
        self.screen.step("The fix is the one that the refusal names. The gates open by themselves, and one can wait for that.");
        self.succeeds(&["rollout", "undo", "deployment/checkout"], "rolled back")?;
        self.succeeds(&["wait", "--for=condition=Open", "xgate/chaos", "xgate/machines", "--timeout=30s"], "machines condition met")?;
        Ok(())
    }

    fn starts_are_admitted(&self) -> Result<()> {
        self.screen.step("The same two commands once more.");
        self.succeeds(&["create", "-f", &self.files.experiment], "podchaos.chaos-mesh.org/kill-one-checkout created")?;
        self.succeeds(&["create", "-f", &self.files.machine], "virtualmachine.kubevirt.io/load-generator created")?;
        Ok(())
    }

    fn what_the_gate_remembers(&self) -> Result<()> {
        self.screen.step("The gate tells what it decided, for whom and why; the ids are those of the refusals.");
        self.has_decided("chaos", 1, 1)?;
        let arguments = ["describe", "xgate", "chaos"];
        self.screen.command(&arguments);
        let described = self.kubectl.ok(&arguments)?;
        let status: Vec<&str> = described.lines().skip_while(|line| !line.starts_with("Status:")).take(MAX_DESCRIBED_LINES).collect();
        self.screen.print(&format!("[...]\n{}\n", status.join("\n")));
        if ["Recent Decisions:", "Deny", "Allow", "kill-one-checkout"].iter().all(|text| described.contains(text)) {
            return Ok(());
        }
        Err(unexpected("kubectl describe to show the gate's recent decisions", described))
    }

    fn farewell(&self) {
        self.screen.step(&format!("That was the main job, in {} s. Everything that was started ends with it.", self.screen.elapsed()));
        self.screen.note(
            "Next: `make up` keeps the same control plane and operator running. Paste the two `export` lines that it prints\n\
             into another terminal (the first is `export KUBECONFIG=...`), and try the manifests in examples/.",
        );
    }

    /// Runs a command that must succeed and print a text.
    fn succeeds(&self, arguments: &[&str], expected: &str) -> Result<String> {
        self.screen.command(arguments);
        let output = self.kubectl.run(arguments)?;
        self.screen.print(&both(&output));
        if output.code == 0 && output.stdout.contains(expected) {
            return Ok(output.stdout);
        }
        let what = format!("`kubectl {}` to succeed and to print \"{expected}\"", arguments.join(" "));
        Err(unexpected(&what, format!("exit code {}", output.code)))
    }

    /// Runs a create that the webhook must refuse, because of the check.
    fn is_refused(&self, file: &str) -> Result<()> {
        let arguments = ["create", "-f", file];
        self.screen.command(&arguments);
        let output = self.kubectl.run(&arguments)?;
        self.screen.print(&both(&output));
        if is_refusal(&output) {
            return Ok(());
        }
        let what = format!("`kubectl create -f {file}` to be refused because of checkout-healthy");
        Err(unexpected(&what, format!("exit code {}", output.code)))
    }

    /// Waits until a gate's status shows so many refusals and admissions: it is written once a second at most.
    fn has_decided(&self, gate: &str, denied: i64, admitted: i64) -> Result<()> {
        eventually(SOON, &format!("the status of gate {gate} to count {denied} denied and {admitted} admitted"), || {
            let object = self.kubectl.json(&["get", "xgate", gate]).map_err(|error| error.to_string())?;
            let counter = |name: &str| object.pointer(&format!("/status/counters/{name}")).and_then(Value::as_i64);
            let seen = (counter("denied"), counter("admitted"));
            if seen == (Some(denied), Some(admitted)) { Ok(()) } else { Err(format!("{seen:?}")) }
        })
    }

    /// The selector of the pods of the latest release, once there is one.
    fn newest_pods(&self) -> Result<String> {
        eventually(SOON, "a pod of the new release", || {
            let pods = self.kubectl.json(&["get", "pods", "--selector=app=checkout"]).map_err(|error| error.to_string())?;
            let items = pods.pointer("/items").and_then(Value::as_array);
            let image = |pod: &Value| pod.pointer("/spec/containers/0/image").and_then(Value::as_str).map(str::to_owned);
            let mut of_release = items.into_iter().flatten().filter(|pod| image(pod).is_some_and(|image| image.ends_with(":1.1")));
            let hash = of_release.next().and_then(|pod| pod.pointer("/metadata/labels/pod-template-hash")).and_then(Value::as_str);
            hash.map(|hash| format!("app=checkout,pod-template-hash={hash}")).ok_or_else(|| "none of them is".to_owned())
        })
    }
}

fn is_refusal(output: &Output) -> bool {
    let says = ["Error from server (Forbidden)", "blocked by ExperimentGate/", "checkout-healthy FAIL"];
    output.code != 0 && says.iter().all(|text| output.stderr.contains(text))
}

/// What a user sees of a command.
fn both(output: &Output) -> String {
    format!("{}{}", output.stdout, output.stderr)
}

fn unexpected(expected: &str, found: String) -> Error {
    Error::Unexpected { what: format!("the demo expected {expected}"), found }
}

/// Standard output: explanations, commands and what they print. In colour on a terminal.
struct Screen {
    colour: bool,
    started: Instant,
}

impl Screen {
    fn new() -> Screen {
        let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|value| value == "dumb");
        Screen { colour: stdout().is_terminal() && !is_set("NO_COLOR") && !dumb, started: Instant::now() }
    }

    fn elapsed(&self) -> u64 {
        self.started.elapsed().as_secs()
    }

    fn say(&self, sentence: &str) {
        self.write(BOLD, sentence);
    }

    fn step(&self, sentence: &str) {
        self.write(PLAIN, "");
        self.say(sentence);
    }

    fn note(&self, text: &str) {
        self.write(PLAIN, text);
    }

    fn command(&self, arguments: &[&str]) {
        self.write(CYAN, &format!("$ kubectl -n {NAMESPACE} {}", arguments.join(" ")));
    }

    fn print(&self, output: &str) {
        self.write(PLAIN, output.trim_end());
    }

    fn write(&self, style: &str, text: &str) {
        let (before, after) = if self.colour && !style.is_empty() { (style, RESET) } else { ("", "") };
        // Whoever reads may have seen enough (`| head`); what was started must be cleaned up all the same.
        let _ = writeln!(stdout(), "{before}{text}{after}");
    }
}
