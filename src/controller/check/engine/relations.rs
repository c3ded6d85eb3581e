//! What a check owes to others: dependencies, members of a composite, and when it applies.

use super::super::objects::CheckKey;
use super::super::plan::{CheckPlan, When};
use super::Engine;
use crate::api::conditions::passing;
use crate::core::expr::Bindings;
use crate::core::freshness::{Basis, standing};
use crate::core::text::single_line;
use crate::core::verdict::{Evaluation, Standing};
use crate::probe::{CheckSelection, MemberFact};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// How long the answer of an expression that names the time holds.
const TIME_HOLDS: SignedDuration = SignedDuration::from_secs(5);
/// How many checks are followed in search of a circle.
const MAX_FOLLOWED: usize = 10_000;

/// Who asks about whom.
#[derive(Debug, Default)]
pub(super) struct Relations {
    /// All checks of a namespace.
    names: HashMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Who asks about a check by its name.
    by_name: HashMap<CheckKey, BTreeSet<CheckKey>>,
    /// Who asks about checks by their labels, by namespace.
    by_labels: HashMap<Arc<str>, BTreeSet<CheckKey>>,
}

impl Relations {
    pub(super) fn enter(&mut self, key: &CheckKey, plan: Option<&CheckPlan>) {
        self.names.entry(key.namespace.clone()).or_default().insert(key.name.clone());
        for other in plan.into_iter().flat_map(|plan| named(&key.namespace, plan)) {
            self.by_name.entry(other).or_default().insert(key.clone());
        }
        if plan.is_some_and(selects) {
            self.by_labels.entry(key.namespace.clone()).or_default().insert(key.clone());
        }
    }

    pub(super) fn leave(&mut self, key: &CheckKey, plan: Option<&CheckPlan>) {
        remove(&mut self.names, &key.namespace, &key.name);
        for other in plan.into_iter().flat_map(|plan| named(&key.namespace, plan)) {
            remove(&mut self.by_name, &other, key);
        }
        remove(&mut self.by_labels, &key.namespace, key);
    }

    /// Who asks about a check.
    pub(super) fn askers(&self, key: &CheckKey) -> impl Iterator<Item = &CheckKey> {
        self.by_name.get(key).into_iter().chain(self.by_labels.get(&key.namespace)).flatten().filter(move |asker| *asker != key)
    }

    pub(super) fn in_namespace(&self, namespace: &Arc<str>) -> impl Iterator<Item = &Arc<str>> {
        self.names.get(namespace).into_iter().flatten()
    }
}

fn remove<K: std::hash::Hash + Eq + Clone, V: Ord>(map: &mut HashMap<K, BTreeSet<V>>, key: &K, value: &V) {
    if let Some(set) = map.get_mut(key) {
        set.remove(value);
        if set.is_empty() {
            map.remove(key);
        }
    }
}

fn named<'a>(namespace: &'a Arc<str>, plan: &'a CheckPlan) -> impl Iterator<Item = CheckKey> + 'a {
    let members = plan.members().iter().filter_map(|member| match member {
        CheckSelection::Named(name) => Some(Arc::from(name.as_str())),
        CheckSelection::Labelled(_) => None,
    });
    plan.depends_on.iter().cloned().chain(members).map(|name| CheckKey { namespace: namespace.clone(), name })
}

fn selects(plan: &CheckPlan) -> bool {
    plan.members().iter().any(|member| matches!(member, CheckSelection::Labelled(_)))
}

/// What stands between a check and its evaluation.
pub(super) struct Hindrance {
    /// What it comes to instead; `None`: nothing, it is to be evaluated.
    pub(super) instead: Option<Evaluation>,
    /// When time alone may change that.
    pub(super) holds_until: Option<Timestamp>,
}

impl Engine {
    /// Whether a check is to be evaluated at all.
    pub(super) fn hindrance(&self, key: &CheckKey, plan: &CheckPlan, now: Timestamp) -> Hindrance {
        let instead = |reason, message: String| Some(Evaluation::Impossible(reason, message));
        if let Some(circle) = self.circle(key, plan) {
            return Hindrance { instead: instead(passing::INVALID_SPEC, circle), holds_until: None };
        }
        let (applies, mut holds_until) = self.applies(key, plan, now);
        match applies {
            Ok(true) => {}
            Ok(false) => {
                let message = "spec.when is false: the check does not apply here".to_owned();
                return Hindrance { instead: instead(passing::NOT_APPLICABLE, message), holds_until };
            }
            Err(why) => return Hindrance { instead: instead(passing::EVALUATION_ERROR, format!("spec.when: {why}")), holds_until },
        }
        for name in &plan.depends_on {
            let member = self.member(&CheckKey { namespace: key.namespace.clone(), name: name.clone() }, now);
            holds_until = [holds_until, member.holds_until].into_iter().flatten().min();
            let why = match member.standing {
                Some(Standing::Passing | Standing::Warning | Standing::NotApplicable) => continue,
                None => format!("it depends on {name}, which does not exist"),
                Some(_) => format!("it depends on {name}, which does not pass: {}", member.message),
            };
            return Hindrance { instead: instead(passing::DEPENDENCY_NOT_PASSING, single_line(&why, 512)), holds_until: None };
        }
        Hindrance { instead: None, holds_until }
    }

    /// Whether a check applies, as far as that does not depend on a request, and until when time cannot change it.
    fn applies(&self, key: &CheckKey, plan: &CheckPlan, now: Timestamp) -> (Result<bool, String>, Option<Timestamp>) {
        let When::Standing(expression) = &plan.when else { return (Ok(true), None) };
        let holds_until = expression.references("now").then(|| now.checked_add(TIME_HOLDS).ok()).flatten();
        let Some(labels) = self.sources.namespace(&key.namespace) else {
            return (Err("the labels of the namespace are not known yet".to_owned()), None);
        };
        let environment = json!(self.environment_of(&key.namespace).unwrap_or_default());
        let namespace = json!({"name": key.namespace.as_ref(), "labels": labels});
        let bindings = Bindings::of(&[("environment", &environment), ("namespace", &namespace)]).with_time("now", now);
        (expression.evaluate(&bindings).map_err(|error| error.to_string()), holds_until)
    }

    /// The environment of a namespace: its own label, or else the operator's.
    pub(super) fn environment_of(&self, namespace: &str) -> Option<String> {
        let own = self.sources.namespace(namespace).and_then(|labels| labels.get(crate::api::ENVIRONMENT));
        own.or(self.environment.as_ref()).cloned()
    }

    /// The checks that a composite asks about. Of itself it does not ask.
    pub(super) fn members(&self, key: &CheckKey, plan: &CheckPlan, now: Timestamp) -> Vec<MemberFact> {
        let found = self.asked_about(key, plan);
        found.into_iter().filter(|member| member != key).map(|member| self.member(&member, now)).collect()
    }

    fn asked_about(&self, key: &CheckKey, plan: &CheckPlan) -> BTreeSet<CheckKey> {
        let of = |name: &Arc<str>| CheckKey { namespace: key.namespace.clone(), name: name.clone() };
        let mut found = BTreeSet::new();
        for member in plan.members() {
            match member {
                CheckSelection::Named(name) => {
                    found.insert(of(&name.as_str().into()));
                }
                CheckSelection::Labelled(selector) => {
                    let names = self.relations.in_namespace(&key.namespace).map(of);
                    let selected = |member: &CheckKey| self.checks.get(member).is_some_and(|check| selector.matches(&check.labels));
                    found.extend(names.filter(|member| member != key && selected(member)));
                }
            }
        }
        found
    }

    fn member(&self, key: &CheckKey, now: Timestamp) -> MemberFact {
        let name = key.name.as_ref().to_owned();
        let Some(check) = self.checks.get(key) else {
            return MemberFact { name, standing: None, message: String::new(), holds_until: None };
        };
        let freshness = self.own_freshness(now);
        let ages_at = match &check.basis {
            Basis::Live | Basis::Observed => check.state.next_change(),
            Basis::Reported(reported) => {
                let stale = reported.observed(freshness.watermark.as_ref()).zip(reported.stale_after);
                stale.and_then(|(at, after)| at.checked_add(after).ok()).map(|at| self.local_at_the_earliest(at))
            }
        };
        MemberFact {
            name,
            standing: Some(standing(&check.state, &check.basis, &freshness, now)),
            message: check.state.message.clone(),
            holds_until: ages_at.filter(|at| *at > now),
        }
    }

    /// A line that names the circle that a check is in, if it is in one.
    fn circle(&self, key: &CheckKey, plan: &CheckPlan) -> Option<String> {
        let next = |key: &CheckKey, plan: &CheckPlan| -> Vec<CheckKey> {
            let members = self.asked_about(key, plan);
            let depends = plan.depends_on.iter().map(|name| CheckKey { namespace: key.namespace.clone(), name: name.clone() });
            depends.chain(members).collect()
        };
        let mut came_from: BTreeMap<CheckKey, CheckKey> = BTreeMap::new();
        let mut seen: HashSet<CheckKey> = HashSet::new();
        let mut open: Vec<(CheckKey, CheckKey)> = next(key, plan).into_iter().map(|other| (other, key.clone())).collect();
        while let Some((other, from)) = open.pop() {
            if other == *key {
                let mut path = vec![key.name.as_ref()];
                let mut at = &from;
                while at != key {
                    path.push(&at.name);
                    let Some(before) = came_from.get(at) else { break };
                    at = before;
                }
                path.push(&key.name);
                path.reverse();
                let shown: Vec<&str> = path.iter().take(8).copied().collect();
                let more = if path.len() > shown.len() { " → …" } else { "" };
                let field = if plan.depends_on.is_empty() { "spec.probe.composite.checks" } else { "spec.dependsOn" };
                return Some(format!("{field}: a circle, in which no check could come first: {}{more}", shown.join(" → ")));
            }
            if seen.len() >= MAX_FOLLOWED || !seen.insert(other.clone()) {
                continue;
            }
            came_from.insert(other.clone(), from);
            if let Some(plan) = self.checks.get(&other).and_then(|check| check.plan.as_ref().ok()) {
                open.extend(next(&other, plan).into_iter().map(|further| (further, other.clone())));
            }
        }
        None
    }
}
