//! What the user may read of gates and checks, and what the webhook's own code makes of it.
//!
//! The API server's answer names the gates that refuse or warn. What gates in mode Audit would have done, and which checks pass, is worked
//! out here, from the statuses: the same decision as in the webhook, on what the user may see.

use super::server::{Failure, Resource, Server};
use crate::api::conditions::{PASSING, get};
use crate::api::{ClusterExperimentGate, ExperimentGate, FailurePolicy, PreflightCheck, TargetResult};
use crate::clock;
use crate::cluster::snapshot::{Labels, Snapshot};
use crate::controller::check::remediation;
use crate::core::check_status::restore;
use crate::core::clock_offset::Offset;
use crate::core::explanation::{CheckNode, TargetNode};
use crate::core::expr::Expression;
use crate::core::freshness::{Basis, Freshness};
use crate::core::gate::{self, CheckFact, GateKey, Judgement};
use crate::core::validate::{EXPRESSION_ROOTS, cluster_experiment_gate, experiment_gate};
use crate::core::verdict::State;
use crate::webhook::admit::admit;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

const OURS: &str = "/apis/holdpoint.dev/v1alpha1";

/// Gates and checks as they stand, as far as the user may read them.
pub(super) struct Knowledge {
    /// Gates of the namespace.
    pub(super) gates: Vec<ExperimentGate>,
    /// Gates of the cluster.
    pub(super) cluster_gates: Vec<ClusterExperimentGate>,
    /// The checks of a namespace; `None`: they may not be read.
    checks: BTreeMap<String, Option<BTreeMap<String, PreflightCheck>>>,
    labels: HashMap<String, Labels>,
    /// What could not be read.
    pub(super) notes: Vec<String>,
}

impl Knowledge {
    /// Reads what concerns a namespace, or objects of the cluster.
    pub(super) async fn read(server: &Server, namespace: Option<&str>) -> Result<Self, Failure> {
        let mut known =
            Self { gates: Vec::new(), cluster_gates: Vec::new(), checks: BTreeMap::new(), labels: HashMap::new(), notes: Vec::new() };
        if let Some(namespace) = namespace {
            known.gates = known.list(server, &format!("{OURS}/namespaces/{namespace}/experimentgates"), "ExperimentGates").await?;
            if let Ok(object) = server.get::<Namespace>(&format!("/api/v1/namespaces/{namespace}")).await? {
                known.labels.insert(namespace.to_owned(), object.metadata.labels.unwrap_or_default());
            }
        }
        known.cluster_gates = known.list(server, &format!("{OURS}/clusterexperimentgates"), "ClusterExperimentGates").await?;
        let mut places: BTreeSet<String> = namespace.into_iter().map(str::to_owned).collect();
        let specs = known.cluster_gates.iter().filter_map(|gate| serde_json::to_value(&gate.spec).ok());
        specs.for_each(|spec| namespaces_in(&spec, &mut places));
        for place in places {
            known.read_checks(server, &place).await?;
        }
        Ok(known)
    }

    /// Reads the checks of a namespace, once.
    pub(super) async fn read_checks(&mut self, server: &Server, namespace: &str) -> Result<(), Failure> {
        if !self.checks.contains_key(namespace) {
            let checks = match server.list::<PreflightCheck>(&format!("{OURS}/namespaces/{namespace}/preflightchecks")).await? {
                Ok(checks) => Some(checks.into_iter().map(|c| (c.name_any(), c)).collect()),
                Err(status) => {
                    self.notes.push(format!("PreflightChecks of namespace {namespace} cannot be read: {}", status.message));
                    None
                }
            };
            self.checks.insert(namespace.to_owned(), checks);
        }
        Ok(())
    }

    async fn list<T: serde::de::DeserializeOwned>(&mut self, server: &Server, path: &str, what: &str) -> Result<Vec<T>, Failure> {
        Ok(server.list(path).await?.unwrap_or_else(|status| {
            self.notes.push(format!("{what} cannot be read, so that only those are told of that the answer names: {}", status.message));
            Vec::new()
        }))
    }

    /// Whether the checks of a namespace could be read.
    fn is_readable(&self, namespace: &str) -> bool {
        self.checks.get(namespace).is_some_and(Option::is_some)
    }

    /// A check by its name.
    pub(super) fn check(&self, namespace: &str, name: &str) -> Option<&PreflightCheck> {
        self.checks.get(namespace)?.as_ref()?.get(name)
    }

    /// What the gates say of a request, as far as they can be read: those that hold it. `review` is an AdmissionReview.
    pub(super) fn judge(&self, review: &Value, now: Timestamp) -> Vec<Judgement> {
        let snapshot = self.snapshot(now);
        let body = review.to_string().into_bytes();
        let asked = [FailurePolicy::Fail, FailurePolicy::Ignore].map(|entry| admit(&snapshot, entry, &body, false, now).record);
        let mut judgements: Vec<Judgement> = asked.into_iter().flatten().flat_map(|record| record.decision.judgements).collect();
        judgements.sort_by(|a, b| b.answer.cmp(&a.answer).then(b.would_be.cmp(&a.would_be)).then_with(|| a.gate.cmp(&b.gate)));
        judgements
    }

    /// The gates that look at a resource, whether they hold a request or not.
    pub(super) fn looking_at(&self, resource: &Resource, namespace: Option<&str>) -> Vec<GateKey> {
        let resource = gate::Resource { group: resource.group.clone(), resource: resource.plural.clone() };
        self.snapshot(clock::now()).gates().of(&resource, namespace).map(|gate| gate.key.clone()).collect()
    }

    fn snapshot(&self, now: Timestamp) -> Snapshot {
        let snapshot = Snapshot::default();
        let own = self.gates.iter().map(|gate| Arc::new(experiment_gate(gate)));
        let cluster = self.cluster_gates.iter().map(|gate| Arc::new(cluster_experiment_gate(gate)));
        snapshot.publish_gates(own.chain(cluster).collect(), true);
        let facts = self.checks.values().flatten().flat_map(BTreeMap::values).map(fact).collect();
        snapshot.publish_checks(facts, &[], true);
        snapshot.publish_namespaces(Arc::new(self.labels.clone()));
        let exact = Offset { earliest: SignedDuration::ZERO, latest: SignedDuration::ZERO };
        snapshot.publish_freshness(Freshness { proved_at: Some(now), watermark: None, offset: Some(exact) });
        snapshot
    }

    /// A check with its evidence, by the name that a gate of this key has for it.
    pub(super) fn evidence(&self, gate_namespace: Option<&str>, check: &str, now: Timestamp) -> CheckNode {
        let (namespace, name) = match (gate_namespace, check.split_once('/')) {
            (Some(namespace), _) => (namespace, check),
            (None, Some((namespace, name))) => (namespace, name),
            (None, None) => ("", check),
        };
        if let Some(found) = self.check(namespace, name) {
            return CheckNode { check: check.to_owned(), ..node(found, now) };
        }
        let hidden = self.is_hidden(gate_namespace, check);
        let message = if hidden { format!("you may not read the PreflightChecks of namespace {namespace}") } else { String::new() };
        CheckNode { check: check.to_owned(), verdict: "Missing".to_owned(), message, ..CheckNode::default() }
    }

    /// Whether a check, by the name that a gate has for it, is of a namespace that could not be read.
    pub(super) fn is_hidden(&self, gate_namespace: Option<&str>, check: &str) -> bool {
        let namespace = gate_namespace.or_else(|| Some(check.split_once('/')?.0));
        namespace.is_some_and(|n| self.checks.contains_key(n) && !self.is_readable(n))
    }
}

/// The namespaces that a gate's spec names, wherever it does.
fn namespaces_in(spec: &Value, found: &mut BTreeSet<String>) {
    match spec {
        Value::Object(members) => {
            found.extend(members.get("namespace").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| namespaces_in(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| namespaces_in(item, found)),
        _ => {}
    }
}

/// A check as gates see it, by its status: what is stale says so itself, or the API server's answer does.
fn fact(check: &PreflightCheck) -> CheckFact {
    let state = check.status.as_ref().and_then(|status| {
        let condition = get(&status.conditions, PASSING)?;
        let known = crate::api::conditions::passing::known(&condition.reason);
        Some(restore(status, check.metadata.generation).unwrap_or_else(|| State::unevaluated(known, &condition.message, VecDeque::new())))
    });
    let unevaluated = || State::unevaluated(crate::api::conditions::passing::NEVER_EVALUATED, "it has no status yet", VecDeque::new());
    // One about the check's own surroundings has its outcome in the status.
    let when = check.spec.when.as_deref().and_then(|source| Expression::compile(source, "spec.when", EXPRESSION_ROOTS, &mut Vec::new()));
    CheckFact {
        namespace: check.namespace().unwrap_or_default().into(),
        name: check.name_any().into(),
        labels: Arc::new(check.labels().clone()),
        severity: check.spec.severity,
        priority: check.spec.priority,
        remediation: remediation(check.spec.remediation.as_ref()).map(Into::into),
        when,
        of_request: None,
        state: Arc::new(state.unwrap_or_else(unevaluated)),
        basis: Basis::Observed,
    }
}

/// A check as its status tells of it.
pub(super) fn node(check: &PreflightCheck, now: Timestamp) -> CheckNode {
    let remediation = remediation(check.spec.remediation.as_ref());
    let status = check.status.clone().unwrap_or_default();
    let condition = get(&status.conditions, PASSING);
    let age =
        |time: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time| u64::try_from(now.duration_since(time.0).as_secs()).unwrap_or(0);
    let target = |result: &TargetResult| TargetNode {
        target: result.target.clone(),
        outcome: result.outcome.clone(),
        reason: result.reason.clone(),
        message: result.message.clone(),
        measured: result.value.clone(),
        required: result.required.clone(),
        age_seconds: result.time.as_ref().map(age),
    };
    let worst = status.results.first().filter(|r| r.outcome != "Pass");
    CheckNode {
        check: check.name_any(),
        verdict: format!("{:?}", status.verdict),
        reason: condition.map(|c| c.reason.clone()),
        message: condition.map(|c| c.message.clone()).unwrap_or_default(),
        measured: worst.and_then(|r| r.value.clone()),
        required: worst.and_then(|r| r.required.clone()),
        age_seconds: status.last_evaluation_time.as_ref().map(age),
        targets: status.results.iter().map(target).collect(),
        remediation,
    }
}

/// A request as the API server would send it to a webhook.
pub(super) struct Asked<'a> {
    pub(super) resource: &'a Resource,
    pub(super) namespace: Option<&'a str>,
    pub(super) name: &'a str,
    pub(super) user: &'a Value,
    pub(super) object: &'a Value,
    pub(super) old_object: Option<&'a Value>,
}

impl Asked<'_> {
    /// The review of it.
    pub(super) fn review(&self) -> Value {
        let resource = self.resource;
        let kind = json!({"group": resource.group, "version": resource.version, "kind": resource.kind});
        let plural = json!({"group": resource.group, "version": resource.version, "resource": resource.plural});
        json!({
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "request": {
                // An id is needed; it is not shown.
                "uid": "00000000-0000-0000-0000-000000000000",
                "kind": kind, "resource": plural, "requestKind": kind, "requestResource": plural,
                "name": self.name,
                "namespace": self.namespace.unwrap_or_default(),
                "operation": if self.old_object.is_some() { "UPDATE" } else { "CREATE" },
                "userInfo": self.user,
                "object": self.object,
                "oldObject": self.old_object,
                "dryRun": true,
            }
        })
    }
}
