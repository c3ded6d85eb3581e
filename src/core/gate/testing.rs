//! Gates, checks and requests for tests: written as users write them, judged as the webhook judges them.

#![allow(clippy::needless_pass_by_value, reason = "`json!(...)` reads best as an argument")]

use super::{CheckFact, CheckFacts, Decision, Gate, Held, HoldKey, Holds, Judgement, Request, Resource, User, decide, judge};
use crate::api::conditions::passing;
use crate::api::{ClusterExperimentGate, ExperimentGate, Operation, Severity};
use crate::core::clock_offset::Offset;
use crate::core::expr::Bindings;
use crate::core::freshness::{Basis, Freshness};
use crate::core::observation::{Observation, Outcome};
use crate::core::selector::Selector;
use crate::core::share::Share;
use crate::core::validate;
use crate::core::verdict::{Evaluation, Settings, Standing, State, Verdict, settle};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// An instant, so many seconds after an arbitrary one.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

/// An `ExperimentGate` of namespace `shop`.
pub(crate) fn xgate(name: &str, spec: Value) -> Gate {
    let metadata = json!({"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "generation": 1});
    let object: ExperimentGate = serde_json::from_value(
        json!({"apiVersion": "holdpoint.dev/v1alpha1", "kind": "ExperimentGate", "metadata": metadata, "spec": spec}),
    )
    .unwrap();
    validate::experiment_gate(&object)
}

/// A `ClusterExperimentGate`.
pub(crate) fn cxgate(name: &str, spec: Value) -> Gate {
    let metadata = json!({"name": name, "uid": format!("uid-{name}"), "generation": 1});
    let object: ClusterExperimentGate = serde_json::from_value(
        json!({"apiVersion": "holdpoint.dev/v1alpha1", "kind": "ClusterExperimentGate", "metadata": metadata, "spec": spec}),
    )
    .unwrap();
    validate::cluster_experiment_gate(&object)
}

/// A spec that holds the creation of `podchaos`, in mode Enforce, and requires these checks. Further members replace or add to it.
pub(crate) fn spec(checks: &[&str], more: Value) -> Value {
    let mut spec = json!({
        "match": {"rules": [{"apiGroups": ["chaos-mesh.org"], "resources": ["podchaos"], "operations": ["CREATE"]}]},
        "checks": checks.iter().map(|name| json!({"name": name})).collect::<Vec<_>>(),
        "mode": "Enforce",
    });
    let Value::Object(more) = more else { panic!("{more} is no map") };
    for (key, value) in more {
        match (spec.get_mut(&key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => old.extend(new),
            (_, value) => spec[key] = value,
        }
    }
    spec
}

/// Thresholds of one, everything must pass, believed for 120 s.
pub(crate) fn settings() -> Settings {
    Settings {
        min_passing: Share::Percent(100),
        min_targets: 1,
        failure_threshold: 1,
        success_threshold: 1,
        stale_after: SignedDuration::from_secs(120),
        ages: true,
        hold_down: SignedDuration::ZERO,
        outcomes: crate::api::Outcomes::default(),
        history_limit: 10,
    }
}

/// A state that was never evaluated.
pub(crate) fn unevaluated() -> State {
    State::unevaluated("NeverEvaluated", "not evaluated yet", VecDeque::new())
}

/// The state of a check that was evaluated once.
pub(crate) fn settled(evaluation: Evaluation, when: Timestamp) -> State {
    settle(&settings(), &unevaluated(), evaluation, Duration::from_millis(12), when)
}

/// What was seen of `Deployment/checkout`.
pub(crate) fn seen(outcome: Outcome) -> Observation {
    match outcome {
        Outcome::Pass => Observation::new("Deployment/checkout", outcome, "RolledOut", "3/3 ready").measured("3/3 ready", "3 ready"),
        Outcome::Warn => Observation::new("Deployment/checkout", outcome, "AlmostFull", "disk at 85%").measured("85%", "80%"),
        Outcome::Fail => Observation::new("Deployment/checkout", outcome, "TooFewReady", "1/3 ready").measured("1/3 ready", "3 ready"),
        Outcome::Error => Observation::error("Deployment/checkout", "Unreachable", "connection refused"),
    }
}

/// A state that is worth this at `at(0)`, evaluated 12 s (if stale: 11 min) before.
pub(crate) fn state(standing: Standing) -> State {
    let (outcome, when) = match standing {
        Standing::NotApplicable => return State::unevaluated(passing::NOT_APPLICABLE, "not applicable", VecDeque::new()),
        Standing::Passing => (Outcome::Pass, at(-12)),
        Standing::Warning => (Outcome::Warn, at(-12)),
        Standing::Stale => (Outcome::Pass, at(-660)),
        Standing::Unknown => (Outcome::Error, at(-12)),
        Standing::Failing => (Outcome::Fail, at(-12)),
    };
    let state = settled(Evaluation::Observed(vec![seen(outcome)]), when);
    assert_eq!(state.standing(at(0)), standing);
    state
}

/// A required check.
pub(crate) fn fact(namespace: &str, name: &str, standing: Standing) -> CheckFact {
    CheckFact {
        namespace: namespace.into(),
        name: name.into(),
        labels: Arc::default(),
        severity: Severity::Required,
        priority: 10,
        remediation: None,
        when: None,
        of_request: None,
        state: Arc::new(state(standing)),
        basis: Basis::Observed,
    }
}

/// The checks that are known.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) complete: bool,
    pub(crate) checks: Vec<Arc<CheckFact>>,
    pub(crate) freshness: Freshness,
    pub(crate) held: Option<Held>,
}

/// A replica whose watches deliver and whose clock is right.
pub(crate) fn trusted() -> Freshness {
    let exact = Offset { earliest: SignedDuration::ZERO, latest: SignedDuration::ZERO };
    Freshness { proved_at: Some(at(0)), watermark: None, offset: Some(exact) }
}

impl Known {
    /// All there are, in namespace `shop`.
    pub(crate) fn shop(checks: &[(&str, Standing)]) -> Self {
        Self::of(checks.iter().map(|(name, standing)| fact("shop", name, *standing)))
    }

    /// All there are.
    pub(crate) fn of(checks: impl IntoIterator<Item = CheckFact>) -> Self {
        Self { complete: true, checks: checks.into_iter().map(Arc::new).collect(), freshness: trusted(), held: None }
    }
}

impl CheckFacts for Known {
    fn complete(&self) -> bool {
        self.complete
    }

    fn named(&self, namespace: &str, name: &str) -> Option<Arc<CheckFact>> {
        self.checks.iter().find(|c| *c.namespace == *namespace && *c.name == *name).cloned()
    }

    fn selected(&self, namespace: &str, selector: &Selector) -> Vec<Arc<CheckFact>> {
        self.checks.iter().filter(|c| *c.namespace == *namespace && selector.matches(&c.labels)).cloned().collect()
    }

    fn freshness(&self) -> &Freshness {
        &self.freshness
    }

    fn holds(&self) -> &dyn Holds {
        self
    }
}

impl Holds for Known {
    fn held(&self, _key: &HoldKey) -> Option<Held> {
        self.held.clone()
    }
}

/// A request: by default, to create a `PodChaos` named `kill` in `shop`.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) resource: Resource,
    pub(crate) operation: Operation,
    pub(crate) namespace: Option<String>,
    pub(crate) object: Value,
    pub(crate) old_object: Option<Value>,
    pub(crate) request: Value,
    pub(crate) namespace_labels: Option<BTreeMap<String, String>>,
    pub(crate) user: String,
    pub(crate) groups: Vec<String>,
    pub(crate) dry_run: bool,
    pub(crate) generated_name: bool,
    pub(crate) cannot_wait: Option<&'static str>,
}

impl Default for Ask {
    fn default() -> Self {
        Self {
            resource: Resource { group: "chaos-mesh.org".into(), resource: "podchaos".into() },
            operation: Operation::Create,
            namespace: Some("shop".into()),
            object: json!({"metadata": {"name": "kill", "namespace": "shop"}, "spec": {}}),
            old_object: None,
            request: json!({"operation": "CREATE", "namespace": "shop", "resource": {"group": "chaos-mesh.org", "version": "v1alpha1", "resource": "podchaos"}}),
            namespace_labels: None,
            user: "jane".into(),
            groups: vec!["developers".into(), "system:authenticated".into()],
            dry_run: false,
            generated_name: false,
            cannot_wait: None,
        }
    }
}

impl Ask {
    /// To update: the old and the new object.
    pub(crate) fn update(old: Value, new: Value) -> Self {
        let mut ask = Self { operation: Operation::Update, object: new, old_object: Some(old), ..Self::default() };
        ask.request["operation"] = json!("UPDATE");
        ask
    }

    /// To create this.
    pub(crate) fn create(object: Value) -> Self {
        Self { object, ..Self::default() }
    }

    /// The decision at `at(0)`.
    pub(crate) fn decide(&self, gates: &[&Gate], facts: &dyn CheckFacts) -> Decision {
        let labels = |object: &Value| -> BTreeMap<String, String> {
            let labels = object.pointer("/metadata/labels").and_then(Value::as_object).cloned().unwrap_or_default();
            labels.into_iter().filter_map(|(key, value)| Some((key, value.as_str()?.to_owned()))).collect()
        };
        let bindings = Bindings::new(&self.object, self.old_object.as_ref(), &self.request);
        let request = Request {
            uid: "7F3A9C01-77aa-4000-8000-000000000000",
            resource: &self.resource,
            kind: "PodChaos",
            operation: self.operation,
            namespace: self.namespace.as_deref(),
            name: "kill",
            generated_name: self.generated_name,
            cannot_wait: self.cannot_wait,
            dry_run: self.dry_run,
            deleting: self.old_object.as_ref().is_some_and(|o| o.pointer("/metadata/deletionTimestamp").is_some()),
            labels: labels(&self.object),
            old_labels: self.old_object.as_ref().map(labels),
            namespace_labels: self.namespace_labels.as_ref(),
            user: User { name: &self.user, uid: "", groups: &self.groups },
            object: &self.object,
            old_object: self.old_object.as_ref(),
            bindings: &bindings,
        };
        decide(&request, gates.iter().copied(), facts, at(0))
    }
}

/// What a gate says of any start in `shop`, at `at(0)`.
pub(crate) fn judged(gate: &Gate, facts: &dyn CheckFacts) -> Judgement {
    judge(gate, Some("shop"), None, facts, at(0))
}

/// All that a state can be worth.
pub(crate) const STANDINGS: [Standing; 5] = [Standing::Passing, Standing::Warning, Standing::Stale, Standing::Unknown, Standing::Failing];

/// Whether a verdict lets a start through.
pub(crate) fn passes(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Passing | Verdict::Warning)
}
