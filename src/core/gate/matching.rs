//! Which requests a gate holds.

use super::{Gate, Request, Resource, Start};
use crate::api::{FailurePolicy, Operation};
use crate::core::presets::term::Asked;

impl Gate {
    /// Whether it is certain that the gate holds this.
    pub fn certainly_holds(&self, request: &Request<'_>) -> bool {
        matches!(self.holds(request), Ok(true))
    }

    pub(super) fn holds(&self, request: &Request<'_>) -> Result<bool, ConditionError> {
        if !has(&self.rules, request) || !self.selects(request) {
            return Ok(false);
        }
        // As Kubernetes does for the matchConditions of a webhook: one that is false settles it, also if another cannot be evaluated.
        let mut unable = None;
        for (name, condition) in &self.conditions {
            match condition.evaluate(request.bindings) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(error) => {
                    unable.get_or_insert_with(|| ConditionError { condition: name.clone(), error: error.to_string() });
                }
            }
        }
        match (unable, self.effective_failure_policy()) {
            (None, _) => Ok(self.starts(request)),
            (Some(_), FailurePolicy::Ignore) => Ok(false),
            // What certainly starts nothing is not held either.
            (Some(error), FailurePolicy::Fail) => {
                if self.starts(request) {
                    Err(error)
                } else {
                    Ok(false)
                }
            }
        }
    }

    fn starts(&self, request: &Request<'_>) -> bool {
        self.presets.starts(request.resource, &asked(request)) || (has(&self.by_hand, request) && self.starts_by_hand(request))
    }

    fn starts_by_hand(&self, request: &Request<'_>) -> bool {
        match &self.start {
            Start::EveryCreate | Start::Unusable => request.operation == Operation::Create,
            Start::When(expression) => expression.evaluate(request.bindings).unwrap_or(true),
        }
    }

    fn selects(&self, request: &Request<'_>) -> bool {
        let in_namespace = match (&self.key.namespace, request.namespace) {
            (Some(own), namespace) => namespace == Some(own.as_str()),
            (None, None) => true,
            (None, Some(_)) => self.namespace_selector.as_ref().is_none_or(|s| match request.namespace_labels {
                Some(labels) => s.matches(labels),
                // A namespace that was never seen has labels that are not known: it might be selected.
                None => true,
            }),
        };
        in_namespace
            && self
                .object_selector
                .as_ref()
                .is_none_or(|s| s.matches(&request.labels) || request.old_labels.as_ref().is_some_and(|l| s.matches(l)))
    }
}

/// Whether sorted rules name the request's resource and operation.
fn has(rules: &[(Resource, Operation)], request: &Request<'_>) -> bool {
    rules.binary_search_by(|(resource, operation)| resource.cmp(request.resource).then(operation.cmp(&request.operation))).is_ok()
}

fn asked<'a>(request: &Request<'a>) -> Asked<'a> {
    Asked {
        operation: request.operation,
        user: request.user.name,
        namespace: request.namespace.unwrap_or_default(),
        object: request.object,
        old_object: request.old_object,
    }
}

/// A condition of a gate that cannot be evaluated for an object.
pub(super) struct ConditionError {
    /// Its name.
    pub(super) condition: String,
    /// Why not.
    pub(super) error: String,
}
