//! Control planes with an installed, running operator.

use control_plane::{ControlPlane, Error, Installation, NodeShape, Operator, OperatorOptions, Options, other_projects};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::team::Team;

/// How long to wait for what takes moments on an idle machine.
pub const SOON: Duration = Duration::from_secs(30);
/// Who the operator is to the API server.
const ACCOUNT: &str = "system:serviceaccount:holdpoint-system:holdpoint";
/// A kind that the operator may not read as shipped.
const THINGS: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: things.e2e.example }
spec:
  group: e2e.example
  names: { kind: Thing, listKind: ThingList, plural: things, singular: thing }
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      subresources: { status: {} }
      schema: { openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true } }
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: platforms.e2e.example }
spec:
  group: e2e.example
  names: { kind: Platform, listKind: PlatformList, plural: platforms, singular: platform }
  scope: Cluster
  versions:
    - name: v1
      served: true
      storage: true
      schema: { openAPIV3Schema: { type: object, x-kubernetes-preserve-unknown-fields: true } }
";

/// A control plane, and the operator in it.
pub struct World {
    pub plane: ControlPlane,
    operator: Mutex<Operator>,
    audit: Mutex<Audit>,
}

/// What was read of the audit log so far.
#[derive(Default)]
struct Audit {
    offset: u64,
    /// What the operator was forbidden: verb and path.
    forbidden: BTreeSet<String>,
    /// The requests that the webhook annotated.
    decided: Vec<Value>,
}

/// The one of most tests. Nothing here may stop it or count what all do.
pub fn shared() -> &'static World {
    static SHARED: LazyLock<World> = LazyLock::new(|| World::start(&[]));
    &SHARED
}

/// One for tests that need all of it: they take turns.
pub fn exclusive() -> MutexGuard<'static, World> {
    static EXCLUSIVE: LazyLock<Mutex<World>> = LazyLock::new(|| Mutex::new(World::start(&[])));
    let world = EXCLUSIVE.lock().unwrap_or_else(PoisonError::into_inner);
    world.clear();
    world
}

impl World {
    /// Starts one of its own. The operator's checks may reach 127.0.0.0/8.
    pub fn start(operator_args: &[&str]) -> World {
        World::start_through(operator_args, |api_server| api_server)
    }

    /// As [`World::start`], with something between the operator and the API server.
    pub fn start_through(operator_args: &[&str], between: impl FnOnce(SocketAddr) -> SocketAddr) -> World {
        let plane = ControlPlane::start_with(&Options { audit_log: true, ..Options::default() }).unwrap();
        plane.admin().apply_text(THINGS).unwrap();
        plane.install_crds(&other_projects()).unwrap();
        plane.node("node-1", &NodeShape::default()).unwrap();
        let installation = Installation::apply(&plane, &manifest()).unwrap();
        redirect(installation.kubeconfig(), between);
        let options = options(operator_args);
        let operator = Operator::replica(&plane, &installation, &options, installation.service_address()).unwrap();
        // kubectl remembers which kinds there are, and there are more now than when it first asked.
        plane.admin().ok(&["api-resources", "--cached=false"]).unwrap();
        World { plane, operator: Mutex::new(operator), audit: Mutex::default() }
    }

    /// A fresh namespace.
    pub fn team(&self, prefix: &str) -> Team<'_> {
        Team::new(self, prefix)
    }

    /// Undoes what a failed test may have left: gates, and an operator that does not run.
    fn clear(&self) {
        if self.operator().readyz().is_err() {
            self.operator().restart().unwrap();
        }
        self.plane.admin().ok(&["delete", "xgate,cxgate", "--all", "--all-namespaces"]).unwrap();
        self.forgive();
    }

    /// Forgets what the operator was forbidden: an API server that starts forbids for a moment, until it has read the roles.
    pub fn forgive(&self) {
        let mut audit = self.audit.lock().unwrap_or_else(PoisonError::into_inner);
        audit.read(&self.plane.audit_log());
        audit.forbidden.clear();
    }

    pub fn operator(&self) -> MutexGuard<'_, Operator> {
        self.operator.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sum of a counter or gauge over all label sets that contain these texts.
    pub fn metric(&self, name: &str, labels: &[&str]) -> i64 {
        let text = self.operator().metrics().unwrap();
        sum(&text, name, labels)
    }

    /// Everything that the operator has written to its log.
    pub fn log(&self) -> String {
        fs::read_to_string(self.operator().log_path()).unwrap()
    }

    /// What the operator was forbidden so far: verb and path.
    pub fn forbidden(&self) -> BTreeSet<String> {
        let mut audit = self.audit.lock().unwrap_or_else(PoisonError::into_inner);
        audit.read(&self.plane.audit_log());
        audit.forbidden.clone()
    }

    /// The audit entry of a decision.
    pub fn audited(&self, decision_id: &str) -> Result<Value, String> {
        let mut audit = self.audit.lock().unwrap_or_else(PoisonError::into_inner);
        audit.read(&self.plane.audit_log());
        let names = |event: &&Value| {
            let annotations = event["annotations"].as_object().into_iter().flatten();
            annotations.into_iter().any(|(key, value)| key.ends_with("/decision-id") && value == decision_id)
        };
        audit.decided.iter().find(names).cloned().ok_or_else(|| format!("no audit entry of {decision_id}"))
    }
}

/// Changes the address of the API server in a kubeconfig.
fn redirect(kubeconfig: &Path, between: impl FnOnce(SocketAddr) -> SocketAddr) {
    let mut config: Value = serde_json::from_str(&fs::read_to_string(kubeconfig).unwrap()).unwrap();
    let server = &mut config["clusters"][0]["cluster"]["server"];
    let address = server.as_str().unwrap().trim_start_matches("https://").parse().unwrap();
    *server = format!("https://{}", between(address)).into();
    fs::write(kubeconfig, config.to_string()).unwrap();
}

/// The manifest that ships.
pub fn manifest() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/install.yaml")
}

/// The operator under test, allowed to reach servers on this machine.
pub fn options(args: &[&str]) -> OperatorOptions {
    let args = ["--allow-cidr", "127.0.0.0/8"].iter().chain(args);
    OperatorOptions {
        binary: PathBuf::from(env!("CARGO_BIN_EXE_holdpoint")),
        install_manifest: manifest(),
        extra_args: args.map(|&arg| arg.to_owned()).collect(),
        extra_env: Vec::new(),
    }
}

/// The sum of a counter or gauge in the text of `/metrics`.
fn sum(text: &str, name: &str, labels: &[&str]) -> i64 {
    let values = text.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let found = series.split('{').next() == Some(name) && labels.iter().all(|label| series.contains(label));
        found.then(|| value.parse::<i64>().unwrap())
    });
    values.sum()
}

/// Waits with a deadline; a test fails with what was seen last.
#[track_caller]
pub fn eventually<T>(what: &str, attempt: impl FnMut() -> Result<T, String>) -> T {
    within(SOON, what, attempt)
}

/// As [`eventually`], with another deadline.
#[track_caller]
pub fn within<T>(deadline: Duration, what: &str, attempt: impl FnMut() -> Result<T, String>) -> T {
    control_plane::eventually(deadline, what, attempt).unwrap_or_else(|error: Error| panic!("{error}"))
}

/// An error as soon as something does not hold, within a time.
pub fn holds_for(time: Duration, mut attempt: impl FnMut() -> Result<(), String>) -> Result<(), String> {
    let violation = control_plane::eventually(time, "a violation", || match attempt() {
        Ok(()) => Err("none"),
        Err(why) => Ok(why),
    });
    violation.map_or(Ok(()), Err)
}

/// Fails the attempt unless something holds.
pub fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

impl Audit {
    /// Reads on from where the last reading ended, whole lines only.
    fn read(&mut self, path: &Path) {
        let mut file = File::open(path).unwrap();
        file.seek(SeekFrom::Start(self.offset)).unwrap();
        let mut reader = BufReader::new(file);
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|length| length > 0) && line.ends_with('\n') {
            self.offset += line.len() as u64;
            self.take(&line);
            line.clear();
        }
    }

    fn take(&mut self, line: &str) {
        let is_forbidden = line.contains("\"code\":403") && line.contains(ACCOUNT);
        if !is_forbidden && !line.contains("/decision-id\"") {
            return;
        }
        let event: Value = serde_json::from_str(line).unwrap();
        let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
        if is_forbidden && event["user"]["username"] == ACCOUNT {
            let path = text("requestURI").split('?').next().unwrap_or_default().to_owned();
            self.forbidden.insert(format!("{} {path}", text("verb")));
        }
        if line.contains("/decision-id\"") && event["stage"] == "ResponseComplete" {
            self.decided.push(event);
        }
    }
}
