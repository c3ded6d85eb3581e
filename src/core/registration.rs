//! Which requests the API server is to send: the entries of the `ValidatingWebhookConfiguration`, from the gates.
//!
//! There is one entry for each failure policy, because the policy belongs to an entry; the answer is complete in each, because kubectl shows
//! only one of two refusals. Groups, resources and operations are exact. Versions are `*`: every served version is meant, also one that is
//! served tomorrow, and a list would leave a gap until it is seen.
//!
//! What can be decided by the API server is decided there, so that an unrelated object is never sent: the namespaces of namespaced gates,
//! match conditions, and what certainly is no start, so that stopping need not wait for an operator that is down. With many gates in one
//! entry the combined condition would become costly to evaluate for every request; beyond [`MAX_PUSHED_GATES`] or [`MAX_PUSHED_BYTES`] it is
//! left out, and the operator alone decides.

mod preset_starts;

pub use preset_starts::MAX_START_BYTES;

use super::expr::quoted;
use super::gate::{Gate, GateKey, Resource, Start};
use crate::api::{FailurePolicy, Operation};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, RuleWithOperations, ServiceReference, ValidatingWebhook, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use std::collections::{BTreeMap, BTreeSet};

/// The label that Kubernetes sets on each namespace (Kubernetes documentation, "Well-Known Labels").
const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";
/// Never held, whatever a gate says.
pub const EXCLUDED_NAMESPACES: &[&str] = &["kube-system", "kube-public", "kube-node-lease"];
/// How long the API server waits for an answer, in seconds.
pub const TIMEOUT_SECONDS: i32 = 3;
/// The most gates whose conditions are combined into one.
pub const MAX_PUSHED_GATES: usize = 32;
/// The longest combined condition, in bytes.
pub const MAX_PUSHED_BYTES: usize = 16 * 1024;
/// The most namespaces that are listed in an entry's selector.
const MAX_LISTED_NAMESPACES: usize = 1000;

/// How the API server reaches the webhook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// Through a Service of the operator's namespace.
    Service {
        /// The Service's name.
        name: String,
        /// Its port.
        port: u16,
    },
    /// By URL, for development. The path is appended.
    Url(String),
}

/// What all entries share.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// How to reach the webhook.
    pub address: Address,
    /// The operator's own namespace, which is never held.
    pub namespace: String,
    /// The trust bundle, in PEM.
    pub ca_bundle: Vec<u8>,
}

/// What is registered with the API server.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Registered {
    /// The generation of each gate whose rules are registered.
    pub gates: BTreeMap<GateKey, Option<i64>>,
    /// What is worth knowing of gates although nothing is wrong.
    pub notes: BTreeMap<GateKey, String>,
    /// Gates whose expressions the API server does not accept, and what it says.
    pub refused: BTreeMap<GateKey, String>,
    /// The trust bundle that is registered.
    pub ca_bundle: Vec<u8>,
    /// Why the last attempt did not succeed.
    pub error: Option<String>,
}

/// The name of the entry for a failure policy.
pub const fn entry_name(policy: FailurePolicy) -> &'static str {
    match policy {
        FailurePolicy::Fail => "fail.holdpoint.dev",
        FailurePolicy::Ignore => "ignore.holdpoint.dev",
    }
}

/// The path of the entry for a failure policy.
pub const fn entry_path(policy: FailurePolicy) -> &'static str {
    match policy {
        FailurePolicy::Fail => "/admit/fail",
        FailurePolicy::Ignore => "/admit/ignore",
    }
}

/// The entries for these gates, at most one for each failure policy. `refused` tells of gates whose expressions the API server does not
/// accept: those are not pushed down.
pub fn entries<'g>(gates: impl Iterator<Item = &'g Gate>, endpoint: &Endpoint, refused: &dyn Fn(&Gate) -> bool) -> Vec<ValidatingWebhook> {
    let mut gates: Vec<&Gate> = gates.filter(|g| !g.rules.is_empty()).collect();
    gates.sort_by(|a, b| a.key.cmp(&b.key));
    [FailurePolicy::Fail, FailurePolicy::Ignore]
        .into_iter()
        .filter_map(|policy| {
            let members: Vec<&Gate> = gates.iter().copied().filter(|g| g.effective_failure_policy() == policy).collect();
            (!members.is_empty()).then(|| entry(policy, &members, endpoint, refused))
        })
        .collect()
}

/// What is worth knowing of how gates are registered.
pub fn notes<'g>(gates: impl Iterator<Item = &'g Gate>) -> BTreeMap<GateKey, String> {
    let gates: Vec<&Gate> = gates.collect();
    let of_policy = |policy| gates.iter().copied().filter(|g| g.effective_failure_policy() == policy).collect::<Vec<_>>();
    let left_out = [FailurePolicy::Fail, FailurePolicy::Ignore].map(of_policy).into_iter().filter(|members| {
        let (_, left_out) = preset_starts::conditions(members, &|_| false);
        left_out.contains("")
    });
    let holds_pods = |gate: &&Gate| gate.presets.holds().iter().any(|(resource, _)| resource.group.is_empty());
    let note = "pods are not held: gates of the preset Krkn name too many different imageRepositories";
    left_out.flatten().filter(holds_pods).map(|gate| (gate.key.clone(), note.to_owned())).collect()
}

fn entry(policy: FailurePolicy, gates: &[&Gate], endpoint: &Endpoint, refused: &dyn Fn(&Gate) -> bool) -> ValidatingWebhook {
    let (starts, left_out) = preset_starts::conditions(gates, refused);
    ValidatingWebhook {
        name: entry_name(policy).to_owned(),
        admission_review_versions: vec!["v1".to_owned()],
        client_config: client_config(policy, endpoint),
        failure_policy: Some(match policy {
            FailurePolicy::Fail => "Fail".to_owned(),
            FailurePolicy::Ignore => "Ignore".to_owned(),
        }),
        match_conditions: Some(std::iter::once(not_being_deleted()).chain(pushed_condition(gates, refused)).chain(starts).collect()),
        match_policy: Some("Equivalent".to_owned()),
        namespace_selector: Some(namespaces(gates, &endpoint.namespace)),
        object_selector: Some(LabelSelector::default()),
        rules: Some(rules(gates, &left_out)),
        // Decisions are recorded in the gates' status and as Events, but not for a dry run.
        side_effects: "NoneOnDryRun".to_owned(),
        timeout_seconds: Some(TIMEOUT_SECONDS),
    }
}

fn client_config(policy: FailurePolicy, endpoint: &Endpoint) -> WebhookClientConfig {
    let path = entry_path(policy);
    let (service, url) = match &endpoint.address {
        Address::Service { name, port } => (
            Some(ServiceReference {
                name: name.clone(),
                namespace: endpoint.namespace.clone(),
                path: Some(path.to_owned()),
                port: Some(i32::from(*port)),
            }),
            None,
        ),
        Address::Url(base) => (None, Some(format!("{}{path}", base.trim_end_matches('/')))),
    };
    WebhookClientConfig { ca_bundle: Some(ByteString(endpoint.ca_bundle.clone())), service, url }
}

/// One rule for each group and set of operations. Presets hold resources of the core group only by what the API server can tell of them: no pod must ever
/// wait for the operator because nobody could tell it from one that is held.
fn rules(gates: &[&Gate], left_out: &BTreeSet<String>) -> Vec<RuleWithOperations> {
    let mut operations: BTreeMap<&Resource, BTreeSet<Operation>> = BTreeMap::new();
    let is_sent = |gate: &Gate, rule: &(Resource, Operation)| {
        !rule.0.group.is_empty() || !left_out.contains("") || gate.by_hand.binary_search(rule).is_ok()
    };
    for (resource, operation) in gates.iter().flat_map(|g| g.rules.iter().filter(|rule| is_sent(g, rule))) {
        operations.entry(resource).or_default().insert(*operation);
    }
    let mut grouped: BTreeMap<(&str, &BTreeSet<Operation>), Vec<String>> = BTreeMap::new();
    for (resource, set) in &operations {
        grouped.entry((resource.group.as_str(), set)).or_default().push(resource.resource.clone());
    }
    grouped
        .into_iter()
        .map(|((group, set), resources)| RuleWithOperations {
            api_groups: Some(vec![group.to_owned()]),
            api_versions: Some(vec!["*".to_owned()]),
            operations: Some(set.iter().map(|o| operation_name(*o).to_owned()).collect()),
            resources: Some(resources),
            scope: Some("*".to_owned()),
        })
        .collect()
}

const fn operation_name(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "CREATE",
        Operation::Update => "UPDATE",
    }
}

/// Only the gates' own namespaces if all are namespaced; else all but the excluded ones.
fn namespaces(gates: &[&Gate], own: &str) -> LabelSelector {
    let listed: Option<BTreeSet<&str>> = gates.iter().map(|g| g.key.namespace.as_deref()).collect();
    let requirement = |operator: &str, values: Vec<String>| LabelSelectorRequirement {
        key: NAMESPACE_NAME_LABEL.to_owned(),
        operator: operator.to_owned(),
        values: Some(values),
    };
    let mut excluded: Vec<String> = EXCLUDED_NAMESPACES.iter().map(|n| (*n).to_owned()).collect();
    excluded.push(own.to_owned());
    let mut expressions = vec![requirement("NotIn", excluded)];
    if let Some(listed) = listed.filter(|l| l.len() <= MAX_LISTED_NAMESPACES) {
        expressions.push(requirement("In", listed.into_iter().map(str::to_owned).collect()));
    }
    LabelSelector { match_expressions: Some(expressions), match_labels: None }
}

/// What finalizers write is never held, and must not wait for an operator that is down. A condition of its own, because one that is false
/// settles the matter even if another cannot be evaluated.
fn not_being_deleted() -> MatchCondition {
    let expression = "oldObject == null || !has(oldObject.metadata.deletionTimestamp)".to_owned();
    MatchCondition { name: "not-being-deleted".to_owned(), expression }
}

/// One condition: at least one of the gates may be about the request.
fn pushed_condition(gates: &[&Gate], refused: &dyn Fn(&Gate) -> bool) -> Option<MatchCondition> {
    if gates.len() > MAX_PUSHED_GATES {
        return None;
    }
    let terms: BTreeSet<String> = gates.iter().map(|g| term(g, refused(g))).collect();
    let expression = terms.into_iter().collect::<Vec<_>>().join(" || ");
    (expression.len() <= MAX_PUSHED_BYTES).then(|| MatchCondition { name: "some-gate".to_owned(), expression })
}

/// The gate is about this resource, this namespace and these labels, its own conditions hold, and it is or may be a start.
fn term(gate: &Gate, refused: bool) -> String {
    let mut parts = vec![resources(gate.rules.iter().map(|(resource, _)| resource))];
    if let Some(namespace) = &gate.key.namespace {
        parts.push(format!("request.?namespace.orValue('') == {}", quoted(namespace)));
    }
    if let Some(selector) = &gate.object_selector {
        parts.push(format!("({} || {})", labels_match("object", selector.source()), labels_match("oldObject", selector.source())));
    }
    if !refused {
        // The line break ends a comment that the expression may end in.
        parts.extend(gate.conditions.iter().map(|(_, e)| format!("({}\n)", e.source())));
        parts.extend(start_of_gate(gate));
    }
    format!("({})", parts.join(" && "))
}

/// What the gate holds by a preset is told elsewhere; of the rest, it is or may be a start.
fn start_of_gate(gate: &Gate) -> Option<String> {
    let by_hand = start(gate)?;
    if gate.presets.holds().is_empty() {
        return Some(by_hand);
    }
    let by_preset = resources(gate.presets.holds().iter().map(|(resource, _)| resource));
    Some(format!("({by_preset} || {by_hand})"))
}

/// It is a start, or it takes the operator to tell. What cannot be evaluated counts as a start; the API server would refuse it instead, or
/// let it pass, as the failure policy says. So an expression of which nobody knows when it has a value is not pushed down.
fn start(gate: &Gate) -> Option<String> {
    let Start::When(expression) = &gate.start else { return None };
    let guard = expression.certain_when()?;
    Some(format!("(!({guard}) || ({}\n))", expression.source()))
}

/// The field with the expressions of a gate that are pushed down, if any are.
pub fn pushed_field(gate: &Gate) -> Option<&'static str> {
    match (gate.conditions.is_empty(), start(gate).is_none()) {
        (true, true) => (!gate.presets.holds().is_empty()).then_some("spec.presets"),
        (false, true) => Some("spec.match.matchConditions"),
        (true, false) => Some("spec.match.start"),
        (false, false) => Some("spec.match"),
    }
}

/// The plural that a request is about, with its subresource.
const SUBRESOURCE: &str =
    "request.?subResource.orValue('') == '' ? request.resource.resource : request.resource.resource + '/' + request.subResource";

fn resources<'r>(resources: impl Iterator<Item = &'r Resource>) -> String {
    let mut by_group: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for resource in resources {
        by_group.entry(&resource.group).or_default().insert(quoted(&resource.resource));
    }
    let terms = by_group.into_iter().map(|(group, resources)| {
        let list = resources.into_iter().collect::<Vec<_>>().join(", ");
        format!("(request.resource.group == {} && ({SUBRESOURCE}) in [{list}])", quoted(group))
    });
    format!("({})", terms.collect::<Vec<_>>().join(" || "))
}

/// A label selector as CEL. An object that is not there (`oldObject` of a create) has no labels and matches nothing.
fn labels_match(object: &str, selector: &LabelSelector) -> String {
    let labels = format!("{object}.metadata.?labels.orValue({{}})");
    let mut terms = vec![format!("{object} != null")];
    for (key, wanted) in selector.match_labels.iter().flatten() {
        terms.push(format!("{0} in {labels} && {labels}[{0}] == {1}", quoted(key), quoted(wanted)));
    }
    for requirement in selector.match_expressions.iter().flatten() {
        let key = quoted(&requirement.key);
        let list = requirement.values.iter().flatten().map(|v| quoted(v)).collect::<Vec<_>>().join(", ");
        terms.push(match requirement.operator.as_str() {
            "In" => format!("{key} in {labels} && {labels}[{key}] in [{list}]"),
            "NotIn" => format!("!({key} in {labels} && {labels}[{key}] in [{list}])"),
            "Exists" => format!("{key} in {labels}"),
            _ => format!("!({key} in {labels})"),
        });
    }
    format!("({})", terms.join(" && "))
}

#[cfg(test)]
mod tests;
