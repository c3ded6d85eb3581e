//! A namespace of a test, and what a test does and looks at in it.

use control_plane::{Kubectl, Output};
use serde_json::Value;
use std::thread;
use std::time::Duration;

use crate::world::{World, ensure, eventually, within};

/// A namespace. When the test ends, the operator must not have asked for anything that its shipped rights do not give it.
pub struct Team<'w> {
    pub world: &'w World,
    pub name: String,
    pub kubectl: Kubectl,
    /// What the test means the operator to be forbidden.
    expected_forbidden: Vec<String>,
}

impl<'w> Team<'w> {
    pub fn new(world: &'w World, prefix: &str) -> Team<'w> {
        let name = world.plane.namespace(prefix).unwrap();
        let kubectl = world.plane.admin().in_namespace(&name);
        let team = Team { world, name, kubectl, expected_forbidden: Vec::new() };
        let account = format!("--serviceaccount={}:default", team.name);
        team.done(&["create", "rolebinding", "preflight", "--clusterrole=holdpoint-reader", &account], "");
        team
    }

    /// The namespace's service account may read nothing.
    #[must_use]
    pub fn without_rights(self) -> Self {
        self.done(&["delete", "rolebinding", "preflight"], "");
        self
    }

    /// The namespace's service account may read nodes, and everything else, in the whole cluster.
    pub fn may_read_the_cluster(&self) {
        let account = format!("--serviceaccount={}:default", self.name);
        self.done(&["create", "clusterrolebinding", &self.name, "--clusterrole=holdpoint-reader", &account], "");
    }

    /// Runs what a check prints, until it is forbidden nothing more.
    #[track_caller]
    pub fn grant(&self, check: &str) {
        let mut last = String::new();
        eventually(&format!("check {check} to be allowed everything"), || {
            let object = self.kubectl.json(&["get", "pfc", check]).map_err(|error| error.to_string())?;
            let (reason, message) = reason_and_message(&object, "Passing");
            if reason == "Forbidden" && message != last {
                self.run_printed(&message);
                last.clone_from(&message);
            }
            ensure(reason != "Forbidden", || message.clone())
        });
    }

    /// The operator will be forbidden requests whose path contains this.
    pub fn expect_forbidden(&mut self, path: &str) {
        self.expected_forbidden.push(path.to_owned());
    }

    /// Applies YAML, server-side.
    #[track_caller]
    pub fn apply(&self, text: &str) -> String {
        self.kubectl.apply_text(text).unwrap()
    }

    /// Applies YAML that must be refused; what kubectl prints on standard error.
    #[track_caller]
    pub fn apply_refused(&self, text: &str) -> String {
        self.refused(&["apply", "--server-side", "-f", "-"], text)
    }

    /// `kubectl create -f -`, which must succeed; its output.
    #[track_caller]
    pub fn create(&self, text: &str) -> Output {
        self.done(&["create", "-f", "-"], text)
    }

    /// `kubectl create -f -`, which must be refused; what kubectl prints on standard error.
    #[track_caller]
    pub fn create_refused(&self, text: &str) -> String {
        self.refused(&["create", "-f", "-"], text)
    }

    /// A command that must succeed.
    #[track_caller]
    pub fn done(&self, args: &[&str], input: &str) -> Output {
        let output = self.kubectl.run_with_input(args, input).unwrap();
        assert_eq!(output.code, 0, "kubectl {} -n {}: {output:?}", args.join(" "), self.name);
        output
    }

    /// A command that must fail; what it prints on standard error.
    #[track_caller]
    pub fn refused(&self, args: &[&str], input: &str) -> String {
        let output = self.kubectl.run_with_input(args, input).unwrap();
        assert_eq!(output.code, 1, "kubectl {} -n {} was to be refused: {output:?}", args.join(" "), self.name);
        output.stderr
    }

    /// A Deployment with running pods, labelled `app=NAME`.
    pub fn deployment(&self, name: &str, replicas: u32) {
        let replicas = format!("--replicas={replicas}");
        self.done(&["create", "deployment", name, "--image=example/app:1", &replicas], "");
        self.run_pods(name);
    }

    pub fn run_pods(&self, app: &str) {
        self.world.plane.run_pods(&self.name, &format!("app={app}")).unwrap();
    }

    pub fn break_pods(&self, app: &str) {
        self.world.plane.break_pods(&self.name, &format!("app={app}")).unwrap();
    }

    /// An object as it is now.
    #[track_caller]
    pub fn get(&self, kind: &str, name: &str) -> Value {
        self.kubectl.json(&["get", kind, name]).unwrap()
    }

    /// Waits until a check has a verdict; its condition `Passing`'s reason and message.
    #[track_caller]
    pub fn verdict(&self, check: &str, verdict: &str) -> (String, String) {
        eventually(&format!("check {check} to be {verdict}"), || {
            let object = self.kubectl.json(&["get", "pfc", check]).map_err(|error| error.to_string())?;
            let status = &object["status"];
            let current = status["observedGeneration"] == object["metadata"]["generation"] && status["verdict"] == verdict;
            ensure(current, || status.to_string())?;
            Ok(reason_and_message(&object, "Passing"))
        })
    }

    /// Waits until a check has a verdict for a reason; the message.
    #[track_caller]
    pub fn verdict_for(&self, check: &str, verdict: &str, reason: &str) -> String {
        eventually(&format!("check {check} to be {verdict} for {reason}"), || {
            let object = self.kubectl.json(&["get", "pfc", check]).map_err(|error| error.to_string())?;
            let (found, message) = reason_and_message(&object, "Passing");
            ensure(object["status"]["verdict"] == verdict && found == reason, || object["status"].to_string())?;
            Ok(message)
        })
    }

    /// Waits until a check has a verdict and says just this.
    #[track_caller]
    pub fn says(&self, check: &str, verdict: &str, message: &str) {
        eventually(message, || {
            let (_, found) = self.verdict(check, verdict);
            ensure(found == message, || found.clone())
        });
    }

    /// Waits until a condition of an object has a status, for its current generation; its reason and message.
    #[track_caller]
    pub fn condition(&self, object: &str, type_: &str, status: &str) -> (String, String) {
        eventually(&format!("{type_}={status} of {object}"), || {
            let object = self.kubectl.json(&["get", object]).map_err(|error| error.to_string())?;
            let condition = condition(&object, type_);
            let current = condition["observedGeneration"] == object["metadata"]["generation"] && condition["status"] == status;
            ensure(current, || object["status"].to_string())?;
            Ok(reason_and_message(&object, type_))
        })
    }

    /// Waits until a condition of an object has a status for a reason; the message.
    #[track_caller]
    pub fn condition_for(&self, object: &str, type_: &str, status: &str, reason: &str) -> String {
        eventually(&format!("{type_}={status} of {object} for {reason}"), || {
            let (found, message) = self.condition(object, type_, status);
            ensure(found == reason, || format!("{found}: {message}")).map(|()| message)
        })
    }

    /// Waits until the webhook judges this object for a gate (`namespace/name`, or the name of a cluster gate): a webhook configuration
    /// takes effect up to a second after it was written. A dry run leaves no trace.
    #[track_caller]
    pub fn held_by(&self, gate: &str, object: &str) {
        let labels = [&format!("gate=\"{gate}\"")[..], "dry_run=\"true\""];
        within(Duration::from_mins(1), &format!("{gate} to hold {}", object.trim()), || {
            let before = self.world.metric("holdpoint_decisions_total", &labels);
            let output =
                self.kubectl.run_with_input(&["create", "--dry-run=server", "-f", "-"], object).map_err(|error| error.to_string())?;
            // The count is made after the answer.
            let counted = || ensure(self.world.metric("holdpoint_decisions_total", &labels) > before, String::new);
            let seen = control_plane::eventually(Duration::from_millis(200), "the count", counted).is_ok();
            ensure(seen, || format!("{output:?}"))
        });
    }

    /// As [`Team::held_by`], for a gate of this namespace.
    #[track_caller]
    pub fn held(&self, gate: &str, object: &str) {
        self.held_by(&format!("{}/{gate}", self.name), object);
    }

    /// The Events about an object of this namespace, oldest first: type, reason and note.
    pub fn events(&self, kind: &str, name: &str) -> Vec<(String, String, String)> {
        let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", self.name);
        let list = self.kubectl.ok(&["get", "--raw", &path]).unwrap();
        let list: Value = serde_json::from_str(&list).unwrap();
        let mut events: Vec<Value> = list["items"].as_array().unwrap().clone();
        events.retain(|event| event["regarding"]["kind"] == kind && event["regarding"]["name"] == name);
        events.sort_by_key(|event| event["eventTime"].to_string());
        let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
        events.iter().map(|event| (text(event, "type"), text(event, "reason"), text(event, "note"))).collect()
    }

    /// Runs the commands that a message prints after `grant it: `, exactly as they are printed.
    #[track_caller]
    pub fn run_printed(&self, message: &str) {
        let commands = message.split("grant it: ").nth(1).unwrap_or_else(|| panic!("no commands in: {message}"));
        assert!(!commands.contains('…'), "cut off: {message}");
        for command in commands.split(" && ") {
            let args: Vec<&str> = command.split_whitespace().collect();
            assert_eq!(args[0], "kubectl", "{message}");
            // Without the test's own namespace: what is printed must be complete.
            self.world.plane.admin().ok(&args[1..]).unwrap();
        }
    }
}

impl Drop for Team<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.world.operator().log_tail());
            return;
        }
        let mine = |path: &String| path.contains(&format!("/namespaces/{}/", self.name)) || !path.contains("/namespaces/");
        let expected = |path: &String| self.expected_forbidden.iter().any(|part| path.contains(part.as_str()));
        // A kind that only one test may not read is not another test's business.
        let other = |path: &String| path.contains("/e2e.example/") || path.contains("/later.example/");
        let unexpected: Vec<String> =
            self.world.forbidden().into_iter().filter(|path| mine(path) && !expected(path) && !other(path)).collect();
        assert!(unexpected.is_empty(), "the shipped rights of the operator do not suffice: {unexpected:?}");
    }
}

/// A condition of an object, or null.
pub fn condition<'a>(object: &'a Value, type_: &str) -> &'a Value {
    static NULL: Value = Value::Null;
    object["status"]["conditions"].as_array().into_iter().flatten().find(|c| c["type"] == type_).unwrap_or(&NULL)
}

pub fn reason_and_message(object: &Value, type_: &str) -> (String, String) {
    let condition = condition(object, type_);
    let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    (text("reason"), text("message"))
}

/// A text with what differs from run to run taken out: decisions' ids and ages.
pub fn steady(text: &str) -> String {
    let mut rest = text;
    let mut steady = String::new();
    while let Some(at) = rest.find("[d-") {
        let end = rest[at..].find(']').unwrap();
        steady.push_str(&rest[..at]);
        steady.push_str("[d-ID]");
        rest = &rest[at + end + 1..];
    }
    steady.push_str(rest);
    let lines = steady.lines().map(|line| match line.rfind("  (").filter(|_| line.ends_with(" ago)")) {
        Some(at) => format!("{}  (… ago)", &line[..at]),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// The id of the decision that a denial names.
#[track_caller]
pub fn decision_id(denial: &str) -> String {
    let at = denial.find("[d-").unwrap_or_else(|| panic!("no decision id in: {denial}"));
    let end = denial[at..].find(']').unwrap();
    denial[at + 1..at + end].to_owned()
}
