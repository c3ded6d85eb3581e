//! Which checks a gate requires, from either kind of gate.

use crate::api::{CheckReference, ClusterCheckReference};
use crate::core::gate::{AtLeast, CheckNamespace, Required, Which};
use crate::core::problem::Problem;
use crate::core::selector::Selector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use std::time::Duration;

/// What both kinds of reference give.
pub(super) struct Reference<'a> {
    name: Option<&'a str>,
    selector: Option<&'a LabelSelector>,
    place: CheckNamespace,
    max_age_seconds: Option<i32>,
}

impl<'a> Reference<'a> {
    /// Of an `ExperimentGate` in a namespace.
    pub(super) fn namespaced(reference: &'a CheckReference, namespace: &str) -> Self {
        let CheckReference { name, selector, max_age_seconds } = reference;
        let place = CheckNamespace::Fixed(namespace.to_owned());
        Self { name: name.as_deref(), selector: selector.as_ref(), place, max_age_seconds: *max_age_seconds }
    }

    /// Of a `ClusterExperimentGate`.
    pub(super) fn cluster(reference: &'a ClusterCheckReference) -> Self {
        let ClusterCheckReference { name, selector, namespace, max_age_seconds } = reference;
        let place = namespace.clone().map_or(CheckNamespace::OfRequest, CheckNamespace::Fixed);
        Self { name: name.as_deref(), selector: selector.as_ref(), place, max_age_seconds: *max_age_seconds }
    }
}

/// What a gate requires.
pub(super) struct References {
    /// All of these.
    pub(super) checks: Vec<Required>,
    /// Some of these.
    pub(super) at_least: Option<AtLeast>,
}

/// Reads the references of `spec.checks` and of `spec.atLeast`. None at all is a problem, unless there is another.
pub(super) fn references<'a>(
    checks: impl Iterator<Item = Reference<'a>>,
    at_least: Option<(i32, Vec<Reference<'a>>)>,
    problems: &mut Vec<Problem>,
) -> References {
    let checks = all("spec.checks", checks, problems);
    let at_least = at_least.map(|(count, of)| group(count, of, problems));
    if checks.is_empty() && at_least.is_none() && problems.is_empty() {
        problems.push(Problem::new("spec.checks", "at least one check is required: a gate without any would admit everything"));
    }
    References { checks, at_least }
}

fn group(count: i32, of: Vec<Reference<'_>>, problems: &mut Vec<Problem>) -> AtLeast {
    let names_only = of.iter().all(|reference| reference.selector.is_none());
    let of = all("spec.atLeast.of", of.into_iter(), problems);
    let wanted = usize::try_from(count).unwrap_or(0);
    if wanted == 0 {
        problems.push(Problem::new("spec.atLeast.count", format!("{count} of them would be none: at least 1 must pass")));
    } else if names_only && wanted > of.len() && problems.is_empty() {
        problems.push(Problem::new("spec.atLeast.count", format!("{count} must pass, of {}", of.len())));
    }
    AtLeast { count: wanted.max(1), of }
}

fn all<'a>(field: &str, references: impl Iterator<Item = Reference<'a>>, problems: &mut Vec<Problem>) -> Vec<Required> {
    references.enumerate().filter_map(|(i, reference)| required(&format!("{field}[{i}]"), reference, problems)).collect()
}

fn required(field: &str, reference: Reference<'_>, problems: &mut Vec<Problem>) -> Option<Required> {
    let Reference { name, selector, place, max_age_seconds } = reference;
    let which = match (name, selector) {
        (Some(name), None) => Which::Named(name.to_owned()),
        (None, Some(selector)) => Which::Selected(Selector::parse(selector, &format!("{field}.selector"), problems)?),
        _ => {
            problems.push(Problem::new(field, "exactly one of name and selector is required"));
            return None;
        }
    };
    let max_age = max_age_seconds.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
    Some(Required { place, which, max_age })
}
