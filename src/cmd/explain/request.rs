//! Whether an object would be admitted: the API server is asked, in a dry run, and its answer counts.

use super::knowledge::{Asked, Knowledge};
use super::manifests::Manifest;
use super::server::{Failure, Reply, Resource, Server, of_kind};
use crate::clock;
use crate::core::explanation::{Answer, CheckNode, GateNode, Item, Question};
use crate::core::gate::{CauseKind, Judgement};
use crate::core::records::word;
use http::Method;
use jiff::Timestamp;
use kube::core::Status;
use kube::core::response::StatusCause;
use serde_json::{Value, json};

/// Who the fields of a dry run belong to; nothing of it is stored.
const CREATED_BY: &str = "kubectl-holdpoint";
/// As `kubectl apply --server-side` names itself: the dry run changes what that would change.
const APPLIED_BY: &str = "kubectl";
/// What the webhook's entries are called in answers.
const OUR_ENTRIES: &str = "holdpoint.dev\"";
/// What a refusal says that a request proper would not have got: it would have waited.
const NOT_IN_A_DRY_RUN: &str = "nothing is begun for a dry run: it would be held";
/// The metadata that a stored object has and a new one has not.
const GIVEN: &[&str] = &[
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "managedFields",
    "selfLink",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "ownerReferences",
];

/// What is asked about, and where it would be.
struct Subject<'a> {
    resource: &'a Resource,
    namespace: Option<&'a str>,
    /// The name; empty if the API server is to make one.
    name: &'a str,
    object: Value,
    /// `Kind namespace/name`.
    shown: String,
}

/// How the API server answered.
enum Outcome {
    Admitted,
    /// An admission webhook or policy refuses it; whether it is ours.
    Denied {
        ours: bool,
    },
    /// It would be asked to come back.
    Held,
    Invalid,
    Untold,
}

/// Explains an object of a file.
pub(super) async fn of_manifest(server: &Server, known: &[Resource], user: &Value, manifest: Manifest) -> Result<Item, Failure> {
    let source = manifest.source.clone();
    let shown = format!("{} {}", manifest.kind, manifest.metadata("name"));
    let invalid = |why: String| Item {
        source: Some(source.clone()),
        message: Some(why),
        ..Item::new(shown.trim_end(), Question::Create, Answer::Invalid, "cannot be used")
    };
    let Some(resource) = of_kind(known, &manifest.api_version, &manifest.kind) else {
        return Ok(invalid(format!(
            "no kind {} of {} is served: is its CustomResourceDefinition installed?",
            manifest.kind, manifest.api_version
        )));
    };
    let (name, prefix) = (manifest.metadata("name").to_owned(), manifest.metadata("generateName").to_owned());
    if name.is_empty() && prefix.is_empty() {
        return Ok(invalid("metadata.name is missing, and so is metadata.generateName".to_owned()));
    }
    let own = manifest.metadata("namespace").to_owned();
    let namespace = if own.is_empty() { server.namespace.clone() } else { own };
    let namespace = resource.namespaced.then_some(namespace.as_str());
    let called = if name.is_empty() { format!("{prefix}*") } else { name.clone() };
    let subject =
        Subject { resource, namespace, name: &name, object: manifest.object, shown: shown_as(&resource.kind, namespace, &called) };
    let old = if name.is_empty() { None } else { stored(server, &subject).await? };
    let mut item = ask(server, user, subject, old, false).await?;
    item.source = Some(source);
    Ok(item)
}

/// Explains whether another start of a stored object would be admitted.
pub(super) async fn of_stored(server: &Server, user: &Value, resource: &Resource, mut object: Value) -> Result<Item, Failure> {
    let text = |field: &str| object.pointer(&format!("/metadata/{field}")).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (name, namespace) = (text("name"), text("namespace"));
    let namespace = resource.namespaced.then_some(namespace.as_str());
    let owned = object.pointer("/metadata/ownerReferences").and_then(Value::as_array).is_some_and(|owners| !owners.is_empty());
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|field, _| !GIVEN.contains(&field.as_str()));
    }
    if let Some(members) = object.as_object_mut() {
        members.remove("status");
    }
    let subject = Subject { resource, namespace, name: &name, object, shown: shown_as(&resource.kind, namespace, &name) };
    let mut item = ask(server, user, subject, None, true).await?;
    if owned {
        item.notes.push("it has an owner: what the owner's controller makes may be admitted where your own request is not".to_owned());
    }
    Ok(item)
}

fn shown_as(kind: &str, namespace: Option<&str>, name: &str) -> String {
    namespace.map_or_else(|| format!("{kind} {name}"), |namespace| format!("{kind} {namespace}/{name}"))
}

/// The object as it is stored, if there is one that the user may read.
async fn stored(server: &Server, subject: &Subject<'_>) -> Result<Option<Value>, Failure> {
    Ok(server.get::<Value>(&subject.resource.path_of(subject.namespace, subject.name)).await?.ok())
}

/// Asks, and tells what gates say. `again`: the object is stored, and the question is whether a new one like it would be admitted.
async fn ask(server: &Server, user: &Value, subject: Subject<'_>, old: Option<Value>, again: bool) -> Result<Item, Failure> {
    let mut old = old;
    let mut reply = if old.is_some() { update(server, &subject).await? } else { create(server, &subject).await? };
    let exists = |reply: &Reply| reply.code == 409 && reply.status().reason == "AlreadyExists";
    // It is there, and may not be read.
    if !again && old.is_none() && exists(&reply) {
        reply = update(server, &subject).await?;
        old = Some(json!({}));
    }
    // Admission comes before the name is looked at.
    let outcome = if again && exists(&reply) { Outcome::Admitted } else { outcome(&reply) };
    let object =
        if reply.code.is_success() && reply.body.get("kind").is_some() { reply.body.clone() } else { completed(&subject, old.as_ref()) };
    let knowledge = Knowledge::read(server, subject.namespace).await?;
    let asked = Asked {
        resource: subject.resource,
        namespace: subject.namespace,
        name: subject.name,
        user,
        object: &object,
        old_object: old.as_ref(),
    };
    let now = clock::now();
    let predicted = knowledge.judge(&asked.review(), now);
    let mut item = told(&subject, &outcome, &reply, old.is_some(), again);
    let status = reply.status();
    item.gates = gates(&knowledge, &outcome, &status, &reply.warnings, predicted, subject.namespace, now);
    item.notes.extend(knowledge.notes.iter().cloned());
    notes(&mut item, &knowledge, &subject, &outcome);
    Ok(item)
}

async fn create(server: &Server, subject: &Subject<'_>) -> Result<Reply, Failure> {
    let path = format!("{}?dryRun=All&fieldManager={CREATED_BY}&fieldValidation=Strict", subject.resource.path(subject.namespace));
    server.send(Method::POST, &path, "application/json", completed(subject, None).to_string().into_bytes()).await
}

async fn update(server: &Server, subject: &Subject<'_>) -> Result<Reply, Failure> {
    let path = subject.resource.path_of(subject.namespace, subject.name);
    let path = format!("{path}?dryRun=All&fieldManager={APPLIED_BY}&force=true&fieldValidation=Strict");
    let mut object = completed(subject, None);
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        // Whoever applies may not say who owned what.
        metadata.remove("managedFields");
    }
    server.send(Method::PATCH, &path, "application/apply-patch+yaml", object.to_string().into_bytes()).await
}

/// The object with its namespace; on an update with what is stored, as far as that can be told from here.
fn completed(subject: &Subject<'_>, old: Option<&Value>) -> Value {
    let mut object = subject.object.clone();
    if let (Some(namespace), Some(metadata)) = (subject.namespace, object.get_mut("metadata").and_then(Value::as_object_mut)) {
        metadata.insert("namespace".to_owned(), namespace.into());
    }
    old.map_or(object.clone(), |old| merged(old.clone(), &object))
}

/// Members of the second over those of the first.
fn merged(mut base: Value, over: &Value) -> Value {
    match (&mut base, over) {
        (Value::Object(members), Value::Object(others)) => {
            for (name, value) in others {
                let before = members.remove(name).unwrap_or_default();
                members.insert(name.clone(), merged(before, value));
            }
            base
        }
        _ => over.clone(),
    }
}

fn outcome(reply: &Reply) -> Outcome {
    if reply.code.is_success() {
        return Outcome::Admitted;
    }
    let status = reply.status();
    let by_webhook = status.message.contains("admission webhook ") && status.message.contains(" denied the request");
    let ours = by_webhook && status.message.split(" denied the request").next().is_some_and(|start| start.contains(OUR_ENTRIES));
    match reply.code.as_u16() {
        429 if ours => Outcome::Held,
        _ if ours && status.message.contains(NOT_IN_A_DRY_RUN) => Outcome::Held,
        _ if by_webhook || status.message.contains("ValidatingAdmissionPolicy") => Outcome::Denied { ours },
        400 | 404 | 413 | 415 | 422 => Outcome::Invalid,
        _ => Outcome::Untold,
    }
}

/// The answer, before gates are told of.
fn told(subject: &Subject<'_>, outcome: &Outcome, reply: &Reply, is_update: bool, again: bool) -> Item {
    let question = if is_update { Question::Update } else { Question::Create };
    let asked = match (is_update, again) {
        (true, _) => "applying it",
        (false, true) => "creating it again",
        (false, false) => "creating it",
    };
    let answer = match outcome {
        Outcome::Admitted if reply.warnings.is_empty() => Answer::Pass,
        Outcome::Admitted => Answer::Warn,
        Outcome::Denied { .. } => Answer::Deny,
        Outcome::Held | Outcome::Untold => Answer::Unknown,
        Outcome::Invalid => Answer::Invalid,
    };
    let says = match outcome {
        Outcome::Admitted if reply.warnings.is_empty() => "would be admitted",
        Outcome::Admitted => "would be admitted with a warning",
        Outcome::Denied { ours: true } => "would be denied",
        Outcome::Denied { ours: false } => "would be denied, not by Holdpoint",
        Outcome::Held => "would have to wait",
        Outcome::Invalid => "cannot work",
        Outcome::Untold => "cannot be told about",
    };
    let mut item =
        Item { warnings: reply.warnings.clone(), ..Item::new(subject.shown.clone(), question, answer, format!("{asked} {says}")) };
    if !matches!(outcome, Outcome::Admitted) {
        let status = reply.status();
        item.decision_id = decision_id(&status.message);
        item.remedies = lines_after("wait: ", &status.message);
        item.message = Some(status.message);
    }
    item
}

/// The id at the end of a message's first line: `[d-7f3a9c0177]`.
fn decision_id(message: &str) -> Option<String> {
    let (_, rest) = message.lines().next()?.rsplit_once("[d-")?;
    let digits = rest.strip_suffix(']')?;
    digits.chars().all(|c| c.is_ascii_hexdigit()).then(|| format!("d-{digits}"))
}

fn lines_after(word: &str, message: &str) -> Vec<String> {
    message.lines().filter_map(|line| line.strip_prefix(word)).map(str::to_owned).collect()
}

/// The gates: those that the answer names, with the evidence of what they name, and those that are predicted.
fn gates(
    knowledge: &Knowledge,
    outcome: &Outcome,
    status: &Status,
    warnings: &[String],
    predicted: Vec<Judgement>,
    namespace: Option<&str>,
    now: Timestamp,
) -> Vec<GateNode> {
    let answer = match outcome {
        Outcome::Denied { ours: true } => Some("Deny"),
        Outcome::Held => Some("Hold"),
        _ => None,
    };
    let causes = answer.and(status.details.as_ref()).map(|d| d.causes.as_slice()).unwrap_or_default();
    let mut nodes = Vec::new();
    let mut named: Vec<(&str, Vec<(&str, &StatusCause)>)> = Vec::new();
    for (gate, check, cause) in causes.iter().filter_map(|c| parts(&c.field).map(|(gate, check)| (gate, check, c))) {
        match named.iter_mut().find(|(known, _)| *known == gate) {
            Some((_, checks)) => checks.push((check, cause)),
            None => named.push((gate, vec![(check, cause)])),
        }
    }
    let mut predicted = predicted;
    for (gate, causes) in named {
        let own = predicted.iter().position(|j| j.gate.to_string() == gate).map(|at| predicted.remove(at));
        nodes.push(answered(knowledge, gate, answer.unwrap_or_default(), &causes, own.as_ref(), namespace, now));
    }
    nodes.extend(predicted.iter().map(|judgement| foreseen(knowledge, judgement, outcome, warnings, now)));
    nodes
}

/// `ExperimentGate/chaos/web-healthy` is the gate and the check.
fn parts(field: &str) -> Option<(&str, &str)> {
    let (kind, rest) = field.split_once('/')?;
    let (name, check) = rest.split_once('/')?;
    Some((field.get(..kind.len() + 1 + name.len())?, check))
}

/// The namespace of a gate that an answer names as `Kind/name`.
fn place_of<'a>(gate: &str, namespace: Option<&'a str>) -> Option<&'a str> {
    namespace.filter(|_| gate.starts_with("ExperimentGate/"))
}

fn gate_shown(gate: &str, namespace: Option<&str>) -> String {
    let (kind, name) = gate.split_once('/').unwrap_or(("", gate));
    shown_as(kind, namespace, name)
}

/// A gate that the answer names.
fn answered(
    knowledge: &Knowledge,
    gate: &str,
    answer: &str,
    causes: &[(&str, &StatusCause)],
    own: Option<&Judgement>,
    namespace: Option<&str>,
    now: Timestamp,
) -> GateNode {
    let place = place_of(gate, namespace);
    let check = |(name, cause): &(&str, &StatusCause)| {
        let verdict = match cause.reason.as_str() {
            "CheckFailed" => "Failing",
            "CheckStale" => "Stale",
            "CheckMissing" => "Missing",
            "CheckWarning" => "Warning",
            _ => "Unknown",
        };
        CheckNode { verdict: verdict.to_owned(), message: cause.message.clone(), ..knowledge.evidence(place, name, now) }
    };
    let mut checks: Vec<CheckNode> = causes.iter().map(check).collect();
    let denied = |name: &str| causes.iter().any(|(known, _)| *known == name);
    // An answer names what it refuses for; what only warns is known from the statuses.
    let warning = own.into_iter().flat_map(|j| &j.causes).filter(|c| c.kind == CauseKind::Warning && !denied(&c.check));
    checks.extend(warning.map(|c| CheckNode { verdict: "Warning".to_owned(), ..knowledge.evidence(place, &c.check, now) }));
    let passing = own.map(|j| j.passing.iter().map(|p| p.check.clone()).filter(|name| !denied(name)).collect()).unwrap_or_default();
    GateNode {
        gate: gate_shown(gate, place),
        mode: own.map(|j| format!("{:?}", j.mode)).unwrap_or_default(),
        answer: answer.to_owned(),
        would_be: None,
        predicted: false,
        generation: own.and_then(|j| j.generation),
        required: own.map(|j| j.required),
        checks,
        passing,
        notes: Vec::new(),
    }
}

/// A gate that the answer does not name.
fn foreseen(knowledge: &Knowledge, judgement: &Judgement, outcome: &Outcome, warnings: &[String], now: Timestamp) -> GateNode {
    let place = judgement.gate.namespace.as_deref();
    let mut notes = Vec::new();
    let mut checks = Vec::new();
    for cause in &judgement.causes {
        let evidence = knowledge.evidence(place, &cause.check, now);
        let (verdict, message) = match cause.kind {
            CauseKind::Missing if knowledge.is_hidden(place, &cause.check) => ("Unknown", evidence.message.clone()),
            kind => (kind.as_str(), cause.message.clone()),
        };
        checks.push(CheckNode { verdict: verdict.to_owned(), message, ..evidence });
    }
    let named = warnings.iter().any(|w| w.starts_with(&format!("{} ", judgement.gate)));
    let (mut answer, mut would_be) = (word(judgement.answer), word(judgement.would_be));
    let per_request = checks.iter().any(|c| c.reason.as_deref() == Some("PerRequest"));
    if per_request {
        notes.push("some of its checks are decided while the request waits: only the answer tells what they say".to_owned());
    }
    // The answer counts: nothing that was admitted was denied.
    if matches!(outcome, Outcome::Admitted) && matches!(answer, "Deny" | "Hold") {
        checks.retain(|c| c.reason.as_deref() != Some("PerRequest"));
        if !checks.is_empty() {
            notes.push("by the statuses that you may read it would refuse, but the API server admits it: something has just changed, or the gate is not in effect yet".to_owned());
        }
        (answer, would_be) = ("Allow", "Allow");
    }
    GateNode {
        gate: gate_shown(&judgement.gate.to_string(), place),
        mode: format!("{:?}", judgement.mode),
        answer: answer.to_owned(),
        would_be: (would_be != answer).then(|| would_be.to_owned()),
        predicted: !named,
        generation: judgement.generation,
        required: Some(judgement.required),
        checks,
        passing: judgement.passing.iter().map(|p| p.check.clone()).collect(),
        notes,
    }
}

/// What else should be known.
fn notes(item: &mut Item, knowledge: &Knowledge, subject: &Subject<'_>, outcome: &Outcome) {
    if matches!(outcome, Outcome::Held) {
        item.notes.push("nothing is evaluated for a dry run: create it, and the client waits for the answer by itself".to_owned());
    }
    if !item.gates.is_empty() || !matches!(outcome, Outcome::Admitted) {
        return;
    }
    let looking: Vec<String> = knowledge
        .looking_at(subject.resource, subject.namespace)
        .iter()
        .map(|key| gate_shown(&key.to_string(), key.namespace.as_deref()))
        .collect();
    if looking.is_empty() {
        item.notes.push(format!("no gate that you may read looks at {}", subject.resource.plural));
    } else {
        item.notes.push(format!(
            "this starts nothing that a gate holds; gates that look at {}: {}",
            subject.resource.plural,
            looking.join(", ")
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    fn reply(code: u16, message: &str) -> Reply {
        let body = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": "", "code": code});
        Reply { code: StatusCode::from_u16(code).unwrap(), body, warnings: Vec::new() }
    }

    fn named(outcome: &Outcome) -> &'static str {
        match outcome {
            Outcome::Admitted => "admitted",
            Outcome::Denied { ours: true } => "denied",
            Outcome::Denied { ours: false } => "denied by others",
            Outcome::Held => "held",
            Outcome::Invalid => "invalid",
            Outcome::Untold => "untold",
        }
    }

    #[test]
    fn answers_are_told_apart() {
        let ours = "admission webhook \"fail.holdpoint.dev\" denied the request: PodChaos shop/kill blocked";
        let theirs = "admission webhook \"x.example\" denied the request: no \"holdpoint.dev\" here";
        for (code, message, expected) in [
            (201, "", "admitted"),
            (403, ours, "denied"),
            (429, ours, "held"),
            (403, &format!("{ours}; {NOT_IN_A_DRY_RUN} for up to 25s [d-7f]"), "held"),
            (403, theirs, "denied by others"),
            (400, theirs, "denied by others"),
            (422, "podchaos \"a\" is forbidden: ValidatingAdmissionPolicy 'x' with binding 'y' denied request: no", "denied by others"),
            (403, "podchaos.chaos-mesh.org is forbidden: User \"jane\" cannot create resource", "untold"),
            (422, "PodChaos \"a\" is invalid: spec.mode: Required value", "invalid"),
            (404, "namespaces \"nowhere\" not found", "invalid"),
            (500, "failed calling webhook \"fail.holdpoint.dev\": connection refused", "untold"),
            (429, "too many requests", "untold"),
        ] {
            assert_eq!(named(&outcome(&reply(code, message))), expected, "{code} {message}");
        }
        let page = Reply { code: StatusCode::BAD_GATEWAY, body: Value::Null, warnings: Vec::new() };
        assert_eq!(page.status().message, "the API server answered 502 Bad Gateway");
    }

    #[test]
    fn ids_and_commands_are_found_in_a_message() {
        let message = "x blocked: a FAIL (b [d-x]) [d-7f3a9c0177]\n  FAIL a\nwait: kubectl wait\n";
        assert_eq!(decision_id(message).as_deref(), Some("d-7f3a9c0177"));
        for none in ["", "x [d-7f]\u{20}", "x [d-xyz]", "x\n[d-7f]"] {
            assert_eq!(decision_id(none), None, "{none}");
        }
        assert_eq!(lines_after("wait: ", message), ["kubectl wait"]);
        assert_eq!(parts("ClusterExperimentGate/prod/shop/web"), Some(("ClusterExperimentGate/prod", "shop/web")));
        assert_eq!((parts("ExperimentGate/chaos/web"), parts("x")), (Some(("ExperimentGate/chaos", "web")), None));
    }

    #[test]
    fn what_is_applied_lies_over_what_is_stored() {
        let old = json!({"spec": {"a": 1, "b": [1, 2]}, "metadata": {"name": "x"}});
        assert_eq!(merged(old, &json!({"spec": {"b": [3]}})), json!({"spec": {"a": 1, "b": [3]}, "metadata": {"name": "x"}}));
    }
}
