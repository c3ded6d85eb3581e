//! Whether an object runs, one function for each tool. What is not known to be over runs: a kind of which nothing is known is over when it is deleted.

use crate::core::gate::Resource;
use jiff::Timestamp;
use serde_json::Value;

/// How an object stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Life {
    /// It was made stopped, or only makes others run: each firing of a schedule is a start of its own.
    Idle,
    /// It runs, or will.
    Running,
    /// It has ended, and when, if it says so.
    Over(Option<Timestamp>),
}

impl Life {
    /// Whether it takes a place.
    pub const fn runs(self) -> bool {
        matches!(self, Self::Running)
    }
}

/// How an object of a resource stands, by what it says itself.
pub fn life(resource: &Resource, object: &Value) -> Life {
    let see = See(object);
    let plural = resource.resource.split('/').next().unwrap_or_default();
    match (resource.group.as_str(), plural) {
        ("chaos-mesh.org", "schedules")
        | ("litmuschaos.io", "chaosschedules")
        | ("chaos.datadoghq.com", "disruptioncrons" | "disruptionrollouts")
        | ("argoproj.io", "cronworkflows")
        | ("batch", "cronjobs") => Life::Idle,
        ("chaos-mesh.org", "workflows") => see.ended(see.is("/status/conditions", "Accomplished"), "/status/endTime"),
        ("chaos-mesh.org", _) => chaos_mesh(see),
        ("litmuschaos.io", "chaosengines") => litmus(see),
        ("krkn.krkn-chaos.dev", _) => see.phase("/status/phase", &["Succeeded", "Completed", "Failed", "PartiallyFailed", "Cancelled"]),
        ("chaos.datadoghq.com", "disruptions") if see.flag("/spec/dryRun") == Some(true) => Life::Idle,
        ("chaos.datadoghq.com", "disruptions") => {
            see.phase("/status/injectionStatus", &["PreviouslyInjected", "PreviouslyPartiallyInjected", "PreviouslyNotInjected"])
        }
        ("chaosblade.io", "chaosblades") => see.phase("/status/phase", &["Destroyed"]),
        ("argoproj.io", "workflows") if see.text("/status/phase").is_empty() && see.flag("/spec/suspend") == Some(true) => Life::Idle,
        ("argoproj.io", "workflows") => see.phase("/status/phase", &["Succeeded", "Failed", "Error"]),
        ("batch", "jobs") => job(see),
        ("", "pods") => see.phase("/status/phase", &["Succeeded", "Failed"]),
        ("kubevirt.io", "virtualmachines") => machine(see),
        ("kubevirt.io", "virtualmachineinstances" | "virtualmachineinstancemigrations") => {
            see.phase("/status/phase", &["Succeeded", "Failed"])
        }
        ("kubevirt.io", "virtualmachineinstancereplicasets") | ("pool.kubevirt.io", "virtualmachinepools") => replicas(see),
        _ => Life::Running,
    }
}

/// Where a tool writes when an object ended.
const ENDS: [&str; 5] =
    ["/status/endTime", "/status/finishedAt", "/status/completionTime", "/status/migrationState/endTimestamp", "/status/completedAt"];

#[derive(Clone, Copy)]
struct See<'a>(&'a Value);

impl<'a> See<'a> {
    fn text(self, pointer: &str) -> &'a str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    fn flag(self, pointer: &str) -> Option<bool> {
        self.0.pointer(pointer)?.as_bool()
    }

    fn number(self, pointer: &str) -> Option<i64> {
        self.0.pointer(pointer)?.as_i64()
    }

    fn time(self, pointer: &str) -> Option<Timestamp> {
        self.text(pointer).parse().ok()
    }

    fn annotated(self, key: &str) -> bool {
        self.0.pointer("/metadata/annotations").and_then(|all| all.get(key)).and_then(Value::as_str) == Some("true")
    }

    /// The condition of a type, if it is true.
    fn condition(self, pointer: &str, of_type: &str) -> Option<&'a Value> {
        let text = |condition: &'a Value, field: &str| condition.get(field).and_then(Value::as_str);
        let conditions = self.0.pointer(pointer)?.as_array()?;
        conditions.iter().find(|c| text(c, "type") == Some(of_type) && text(c, "status") == Some("True"))
    }

    fn is(self, pointer: &str, of_type: &str) -> bool {
        self.condition(pointer, of_type).is_some()
    }

    fn ended(self, over: bool, at: &str) -> Life {
        let at = self.time(at);
        if over || at.is_some() { Life::Over(at) } else { Life::Running }
    }

    fn phase(self, pointer: &str, over: &[&str]) -> Life {
        if over.contains(&self.text(pointer)) { Life::Over(ENDS.iter().find_map(|at| self.time(at))) } else { Life::Running }
    }
}

/// What these do is done at once, and nothing recovers.
const ONE_SHOT: [&str; 5] = ["pod-kill", "container-kill", "ec2-restart", "vm-restart", "node-reset"];

fn chaos_mesh(see: See<'_>) -> Life {
    let conditions = "/status/conditions";
    let one_shot = ONE_SHOT.contains(&see.text("/spec/action"));
    let stopped = see.text("/status/experiment/desiredPhase") != "Run";
    if (see.is(conditions, "AllRecovered") && stopped) || (one_shot && see.is(conditions, "AllInjected")) {
        return Life::Over(None);
    }
    let untouched = see.0.pointer("/status/experiment/containerRecords").and_then(Value::as_array).is_none_or(Vec::is_empty);
    if see.annotated("experiment.chaos-mesh.org/pause") && !one_shot && untouched { Life::Idle } else { Life::Running }
}

fn litmus(see: See<'_>) -> Life {
    match (see.text("/spec/engineState"), see.text("/status/engineStatus")) {
        ("stop", "") => Life::Idle,
        (_, "completed" | "stopped") => Life::Over(None),
        _ => Life::Running,
    }
}

fn job(see: See<'_>) -> Life {
    let done = ["Complete", "Failed"].iter().find_map(|of_type| see.condition("/status/conditions", of_type));
    if let Some(done) = done {
        let told = done.get("lastTransitionTime").and_then(Value::as_str).and_then(|at| at.parse().ok());
        return Life::Over(see.time("/status/completionTime").or(told));
    }
    let stopped = see.flag("/spec/suspend") == Some(true) || see.number("/spec/parallelism") == Some(0);
    if stopped && see.number("/status/active").unwrap_or(0) == 0 { Life::Idle } else { Life::Running }
}

fn machine(see: See<'_>) -> Life {
    if see.flag("/status/created") == Some(true) {
        return Life::Running;
    }
    match (see.text("/spec/runStrategy"), see.flag("/spec/running")) {
        ("Always" | "WaitAsReceiver", _) | ("", Some(true)) => Life::Running,
        // They run once they are told to, and until they end: what the machine says of itself counts.
        ("RerunOnFailure" | "Once", _) if see.text("/status/printableStatus") != "Stopped" => Life::Running,
        ("RerunOnFailure" | "Once", _) => Life::Over(None),
        _ if see.0.pointer("/status/stateChangeRequests").and_then(Value::as_array).is_some_and(|all| !all.is_empty()) => Life::Running,
        _ if see.text("/status/printableStatus").is_empty() => Life::Idle,
        _ => Life::Over(None),
    }
}

fn replicas(see: See<'_>) -> Life {
    let wanted = see.number("/spec/replicas").unwrap_or(1);
    let there = see.number("/status/replicas").unwrap_or(0);
    let idle = wanted == 0 || see.flag("/spec/paused") == Some(true);
    if idle && there == 0 { Life::Idle } else { Life::Running }
}
