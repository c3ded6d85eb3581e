//! How a gate or a check stands, and what was decided: what the operator wrote into their statuses.

use super::knowledge::{Knowledge, node};
use super::server::{Failure, Server};
use crate::api::conditions::{OPEN, READY, get};
use crate::api::{
    ClusterExperimentGate, DecidedBy, ExperimentGate, GateStatus, Mode, PreflightCheck, RecentDecision, Severity, VerdictName,
};
use crate::clock;
use crate::core::explanation::{Answer, CheckNode, GateNode, Input, Item, Question};
use crate::core::gate::{GateKey, seconds};
use jiff::Timestamp;
use kube::ResourceExt;
use serde_json::{Map, Value};

const OURS: &str = "/apis/holdpoint.dev/v1alpha1";
/// How many of a gate's last decisions are told.
const MAX_DECISIONS: usize = 3;
/// How many gates that a check holds shut are told.
const MAX_GATES: usize = 10;
/// How many lines the inputs of a decision may take.
const MAX_INPUTS: usize = 60;

/// What both kinds of gate have.
struct AnyGate {
    key: GateKey,
    mode: Mode,
    generation: Option<i64>,
    status: Option<GateStatus>,
}

impl From<&ExperimentGate> for AnyGate {
    fn from(gate: &ExperimentGate) -> Self {
        let key = GateKey { namespace: gate.namespace(), name: gate.name_any() };
        Self { key, mode: gate.spec.mode, generation: gate.metadata.generation, status: gate.status.clone() }
    }
}

impl From<&ClusterExperimentGate> for AnyGate {
    fn from(gate: &ClusterExperimentGate) -> Self {
        let key = GateKey { namespace: None, name: gate.name_any() };
        Self { key, mode: gate.spec.mode, generation: gate.metadata.generation, status: gate.status.clone() }
    }
}

impl AnyGate {
    fn shown(&self) -> String {
        match &self.key.namespace {
            Some(namespace) => format!("{} {namespace}/{}", self.key.kind(), self.key.name),
            None => format!("{} {}", self.key.kind(), self.key.name),
        }
    }

    /// Whether it is open, why, and what that means for a start.
    fn open(&self) -> (Answer, String, String) {
        let condition = self.status.as_ref().and_then(|s| get(&s.conditions, OPEN));
        let Some(condition) = condition else {
            return (Answer::Unknown, "Pending".to_owned(), "the operator has not looked at it yet".to_owned());
        };
        let answer = match (condition.status.as_str(), self.mode) {
            ("True", _) | ("False", Mode::Audit) => Answer::Pass,
            ("False", Mode::Warn) => Answer::Warn,
            ("False", Mode::Enforce) => Answer::Deny,
            _ => Answer::Unknown,
        };
        (answer, condition.reason.clone(), condition.message.clone())
    }
}

/// Explains a gate.
pub(super) async fn of_gate(server: &Server, namespace: Option<&str>, object: &Value) -> Result<Item, Failure> {
    let wrong = |e: serde_json::Error| Failure::Broken(format!("the gate cannot be read: {e}"));
    let gate: AnyGate = match namespace {
        Some(_) => (&serde_json::from_value::<ExperimentGate>(object.clone()).map_err(wrong)?).into(),
        None => (&serde_json::from_value::<ClusterExperimentGate>(object.clone()).map_err(wrong)?).into(),
    };
    let now = clock::now();
    let mut knowledge = Knowledge::read(server, namespace).await?;
    let status = gate.status.clone().unwrap_or_default();
    if namespace.is_none() {
        let places: Vec<&str> = status.blockers.iter().filter_map(|b| Some(b.check.split_once('/')?.0)).collect();
        for place in places {
            knowledge.read_checks(server, place).await?;
        }
    }
    let (answer, reason, message) = gate.open();
    let open = match answer {
        Answer::Unknown => "neither open nor closed",
        _ if status.blocking > 0 || reason == "InvalidSpec" => "closed",
        _ => "open",
    };
    let mut item = Item::new(gate.shown(), Question::Gate, answer, format!("{open} (mode {:?}): {reason}: {message}", gate.mode));
    let ready = get(&status.conditions, READY).filter(|c| c.status != "True");
    item.notes.extend(ready.map(|c| format!("it is not ready: {}: {}", c.reason, c.message)));
    if status.observed_generation != gate.generation {
        item.notes.push("its spec has just been changed: the status is about the one before".to_owned());
    }
    item.gates = vec![GateNode {
        gate: gate.shown(),
        mode: format!("{:?}", gate.mode),
        answer: answer_word(answer, gate.mode).to_owned(),
        would_be: (open == "closed" && gate.mode != Mode::Enforce).then(|| "Deny".to_owned()),
        predicted: false,
        generation: gate.generation,
        required: None,
        checks: status
            .blockers
            .iter()
            .map(|b| CheckNode {
                verdict: b.verdict.clone(),
                message: b.message.clone(),
                ..knowledge.evidence(gate.key.namespace.as_deref(), &b.check, now)
            })
            .collect(),
        passing: Vec::new(),
        notes: status.recent_decisions.iter().take(MAX_DECISIONS).map(|d| decided(d, now)).collect(),
    }];
    item.notes.extend(knowledge.notes.iter().cloned());
    if open == "closed" && reason != "InvalidSpec" {
        let place = gate.key.namespace.as_ref().map_or_else(String::new, |n| format!(" -n {n}"));
        item.remedies.push(format!("kubectl wait --for=condition=Open {}/{}{place} --timeout=10m", gate.key.short_kind(), gate.key.name));
    }
    Ok(item)
}

const fn answer_word(answer: Answer, mode: Mode) -> &'static str {
    match (answer, mode) {
        (Answer::Deny, _) => "Deny",
        (Answer::Warn, _) => "Warn",
        _ => "Allow",
    }
}

/// A decision in a line.
fn decided(decision: &RecentDecision, now: Timestamp) -> String {
    let age = u64::try_from(now.duration_since(decision.time.0).as_secs()).unwrap_or(0);
    format!(
        "{} {} ago: {} {} of {} by {}",
        decision.id,
        seconds(age),
        decision.decision,
        decision.operation,
        decision.object,
        decision.user
    )
}

/// Explains a check.
pub(super) async fn of_check(server: &Server, namespace: &str, object: &Value) -> Result<Item, Failure> {
    let check: PreflightCheck =
        serde_json::from_value(object.clone()).map_err(|e| Failure::Broken(format!("the check cannot be read: {e}")))?;
    let found = node(&check, clock::now());
    let status = check.status.clone().unwrap_or_default();
    let answer = match (status.verdict, check.spec.severity) {
        (VerdictName::Passing, _) => Answer::Pass,
        (VerdictName::Warning, _) | (VerdictName::Failing, Severity::Advisory) => Answer::Warn,
        (VerdictName::Failing, Severity::Required) => Answer::Deny,
        (VerdictName::Unknown, _) => Answer::Unknown,
    };
    let reason = found.reason.as_ref().map_or_else(String::new, |reason| format!(", {reason}"));
    let summary = format!("{}{reason}: {}", found.verdict, found.message);
    let mut item = Item::new(format!("PreflightCheck {namespace}/{}", found.check), Question::Check, answer, summary);
    let ready = get(&status.conditions, READY).filter(|c| c.status != "True");
    item.notes.extend(ready.map(|c| format!("it is not ready: {}: {}", c.reason, c.message)));
    if status.observed_generation != check.metadata.generation {
        item.notes.push("its spec has just been changed: the status is about the one before".to_owned());
    }
    if status.summary.as_ref().is_some_and(|s| s.truncated) {
        item.notes.push("the status leaves out the least bad targets".to_owned());
    }
    let knowledge = Knowledge::read(server, Some(namespace)).await?;
    let own = knowledge.gates.iter().map(AnyGate::from).map(|gate| (found.check.clone(), gate));
    let cluster = knowledge.cluster_gates.iter().map(AnyGate::from).map(|gate| (format!("{namespace}/{}", found.check), gate));
    let blocks = |(name, gate): &(String, AnyGate)| gate.status.iter().flat_map(|s| &s.blockers).any(|b| b.check == *name);
    let shut: Vec<String> = own.chain(cluster).filter(blocks).map(|(_, gate)| gate.shown()).collect();
    if !shut.is_empty() {
        let more = if shut.len() > MAX_GATES { format!(" and {} more", shut.len() - MAX_GATES) } else { String::new() };
        let named: Vec<&str> = shut.iter().take(MAX_GATES).map(String::as_str).collect();
        item.notes.push(format!("it keeps closed: {}{more}", named.join(", ")));
    }
    item.notes.extend(knowledge.notes.iter().cloned());
    if answer != Answer::Pass {
        item.remedies.push(format!("kubectl wait --for=condition=Passing pfc/{} -n {namespace} --timeout=10m", found.check));
    }
    item.check = Some(found);
    Ok(item)
}

/// Explains a decision: it is looked for among the last ones of all gates that the user may read.
pub(super) async fn of_decision(server: &Server, id: &str) -> Result<Item, Failure> {
    let mut notes = Vec::new();
    let mut gates: Vec<AnyGate> = Vec::new();
    let mut own = server.list::<ExperimentGate>(&format!("{OURS}/experimentgates")).await?;
    if own.is_err() {
        notes.push(format!("you may not read gates of all namespaces: only those of {} were looked at", server.namespace));
        own = server.list::<ExperimentGate>(&format!("{OURS}/namespaces/{}/experimentgates", server.namespace)).await?;
    }
    match own {
        Ok(found) => gates.extend(found.iter().map(AnyGate::from)),
        Err(status) => notes.push(format!("ExperimentGates cannot be read: {}", status.message)),
    }
    match server.list::<ClusterExperimentGate>(&format!("{OURS}/clusterexperimentgates")).await? {
        Ok(found) => gates.extend(found.iter().map(AnyGate::from)),
        Err(status) => notes.push(format!("ClusterExperimentGates cannot be read: {}", status.message)),
    }
    let decisions = gates.iter().flat_map(|gate| gate.status.iter().flat_map(|s| &s.recent_decisions).map(move |d| (gate, d)));
    let found: Vec<(&AnyGate, &RecentDecision)> = decisions.filter(|(_, d)| d.id == id).collect();
    let Some((_, first)) = found.first() else {
        let message = format!(
            "no gate that you may read has it among its last 20 decisions ({} gates were looked at); the operator's log and the audit log keep it longer",
            gates.len()
        );
        let item = Item::new(id, Question::Decision, Answer::Unknown, "is not known");
        return Ok(Item { message: Some(message), notes, ..item });
    };
    let answer = found.iter().map(|(_, d)| answer_of(&d.decision)).max().unwrap_or(Answer::Unknown);
    let summary = format!("{} of it by {} was decided at {}", first.operation, first.user, first.time.0);
    let mut item = Item::new(first.object.clone(), Question::Decision, answer, summary);
    item.decision_id = Some(id.to_owned());
    item.gates = found.iter().map(|(gate, decision)| taken(gate, decision)).collect();
    item.inputs = inputs(first);
    item.notes = notes;
    Ok(item)
}

fn answer_of(decision: &str) -> Answer {
    match decision {
        "Deny" => Answer::Deny,
        "Warn" => Answer::Warn,
        "Allow" => Answer::Pass,
        _ => Answer::Unknown,
    }
}

/// What one gate said.
fn taken(gate: &AnyGate, decision: &RecentDecision) -> GateNode {
    let (_, reason, _) = gate.open();
    let now = match gate.status.as_ref().and_then(|s| get(&s.conditions, OPEN)) {
        Some(open) => format!("by now: Open={} ({reason})", open.status),
        None => "by now: not known".to_owned(),
    };
    let more = if decision.more_checks > 0 { format!("and {} more required checks", decision.more_checks) } else { String::new() };
    GateNode {
        gate: gate.shown(),
        mode: String::new(),
        answer: decision.decision.clone(),
        would_be: decision.would_be.clone(),
        predicted: false,
        generation: decision.generation,
        required: None,
        checks: decision.checks.iter().map(decided_by).collect(),
        passing: Vec::new(),
        notes: vec![decision.message.clone(), more, now].into_iter().filter(|note| !note.is_empty()).collect(),
    }
}

/// A check as it stood when the decision was made.
fn decided_by(check: &DecidedBy) -> CheckNode {
    CheckNode {
        check: check.check.clone(),
        verdict: check.verdict.clone(),
        message: "observed before the decision".to_owned(),
        age_seconds: check.age_seconds.and_then(|age| u64::try_from(age).ok()),
        ..CheckNode::default()
    }
}

/// All that the record of a decision says and that is not told otherwise.
fn inputs(decision: &RecentDecision) -> Vec<Input> {
    const TOLD: &[&str] = &["id", "decision", "wouldBe", "message", "generation", "checks", "moreChecks"];
    let Ok(Value::Object(members)) = serde_json::to_value(decision) else { return Vec::new() };
    let mut inputs = Vec::new();
    for (name, value) in members.iter().filter(|(name, _)| !TOLD.contains(&name.as_str())) {
        match value {
            Value::Array(items) => inputs.extend(items.iter().map(|item| Input { name: name.clone(), value: line(item) })),
            value => inputs.push(Input { name: name.clone(), value: line(value) }),
        }
    }
    inputs.truncate(MAX_INPUTS);
    inputs
}

/// A value in a line: texts as they are, members as `name=value`.
fn line(value: &Value) -> String {
    let members = |members: &Map<String, Value>| {
        let parts: Vec<String> = members.iter().map(|(name, value)| format!("{name}={}", line(value))).collect();
        parts.join(" ")
    };
    match value {
        Value::String(text) => text.clone(),
        Value::Object(map) => members(map),
        other => other.to_string(),
    }
}
