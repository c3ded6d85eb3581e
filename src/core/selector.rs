//! Label selectors, read strictly.

use super::problem::Problem;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::core::SelectorExt as _;
use std::collections::BTreeMap;
use std::fmt;

/// A label selector that is known to be sound. `{}` selects everything; that an absent one selects nothing is for the caller to see.
///
/// What the API server would refuse in a selector of its own kinds is refused here too. In a custom resource nobody else checks it,
/// and a key that no object can carry would quietly select nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Selector {
    source: LabelSelector,
    parsed: kube::core::Selector,
}

impl Selector {
    /// Reads a selector. Every fault is a problem at `<field>.matchLabels` or `<field>.matchExpressions[n]`.
    pub fn parse(selector: &LabelSelector, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        for (key, value) in selector.match_labels.iter().flatten() {
            let at = format!("{field}.matchLabels");
            check_key(key, &at, problems);
            check_value(value, &at, problems);
        }
        for (index, requirement) in selector.match_expressions.iter().flatten().enumerate() {
            check_requirement(requirement, &format!("{field}.matchExpressions[{index}]"), problems);
        }
        if problems.len() > before {
            return None;
        }
        match kube::core::Selector::try_from(selector.clone()) {
            Ok(parsed) => Some(Self { source: selector.clone(), parsed }),
            Err(error) => {
                problems.push(Problem::new(field, error.to_string()));
                None
            }
        }
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.parsed.matches(labels)
    }

    /// Whether it selects every object, because it asks for nothing.
    pub fn selects_all(&self) -> bool {
        self.parsed.selects_all()
    }

    /// The selector as it was written.
    pub fn source(&self) -> &LabelSelector {
        &self.source
    }
}

/// As on kubectl's command line: `app=checkout,tier in (a,b)`.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parsed.fmt(f)
    }
}

fn check_requirement(requirement: &LabelSelectorRequirement, field: &str, problems: &mut Vec<Problem>) {
    check_key(&requirement.key, &format!("{field}.key"), problems);
    let values = requirement.values.as_deref().unwrap_or_default();
    let at = format!("{field}.values");
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => {
            problems.push(Problem::new(at, format!("operator {} needs at least one value", requirement.operator)));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            problems.push(Problem::new(at, format!("operator {} takes no values", requirement.operator)));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => values.iter().for_each(|value| check_value(value, &at, problems)),
        other => problems.push(Problem::new(
            format!("{field}.operator"),
            format!("{other:?} is not an operator: write In, NotIn, Exists or DoesNotExist"),
        )),
    }
}

/// A label's key: an optional DNS name and a slash, then a name.
fn check_key(key: &str, field: &str, problems: &mut Vec<Problem>) {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    if name.is_empty() || !is_name(name) || prefix.is_some_and(|prefix| !is_dns_name(prefix)) {
        problems.push(Problem::new(field, format!("{key:?} is not a label key, such as app or app.kubernetes.io/name")));
    }
}

/// A label's value: empty, or a name.
fn check_value(value: &str, field: &str, problems: &mut Vec<Problem>) {
    if !value.is_empty() && !is_name(value) {
        let wants = "at most 63 of A-Z a-z 0-9 - _ . with a letter or digit at both ends";
        problems.push(Problem::new(field, format!("{value:?} is not a label value: {wants}")));
    }
}

fn is_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let edge = |c: char| c.is_ascii_alphanumeric();
    text.len() <= 63 && text.chars().all(inner) && text.starts_with(edge) && text.ends_with(edge)
}

fn is_dns_name(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let label = |part: &str| part.starts_with(edge) && part.ends_with(edge) && part.chars().all(|c| edge(c) || c == '-');
    text.len() <= 253 && text.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn parse(selector: Value) -> Result<Selector, Vec<String>> {
        let selector: LabelSelector = serde_json::from_value(selector).unwrap();
        let mut problems = Vec::new();
        let parsed = Selector::parse(&selector, "spec.targets.selector", &mut problems);
        assert_eq!(parsed.is_none(), !problems.is_empty());
        parsed.ok_or_else(|| problems.iter().map(Problem::to_string).collect())
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn every_operator_selects_as_in_kubernetes() {
        let all = labels(&[("app", "checkout"), ("tier", "")]);
        for (selector, selected) in [
            (json!({}), true),
            (json!({"matchLabels": {"app": "checkout", "tier": ""}}), true),
            (json!({"matchLabels": {"app": "checkout", "team": "a"}}), false),
            (json!({"matchExpressions": [{"key": "app", "operator": "In", "values": ["cart", "checkout"]}]}), true),
            (json!({"matchExpressions": [{"key": "team", "operator": "In", "values": ["a"]}]}), false),
            (json!({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["checkout"]}]}), false),
            (json!({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["a"]}]}), true),
            (json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}), true),
            (json!({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}), false),
            (json!({"matchLabels": {"app": "checkout"}, "matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}), false),
        ] {
            assert_eq!(parse(selector.clone()).unwrap().matches(&all), selected, "{selector}");
        }
        assert!(parse(json!({})).unwrap().selects_all());
        assert!(!parse(json!({"matchLabels": {"a": "b"}})).unwrap().selects_all());
    }

    #[test]
    fn it_is_shown_as_kubectl_takes_it_and_keeps_what_was_written() {
        let written = json!({"matchLabels": {"app": "x"}, "matchExpressions": [{"key": "tier", "operator": "In", "values": ["b", "a"]}]});
        let selector = parse(written.clone()).unwrap();
        assert_eq!(selector.to_string(), "app=x,tier in (a,b)");
        assert_eq!(serde_json::to_value(selector.source()).unwrap(), written);
    }

    #[test]
    fn faults_name_the_field_and_what_would_be_right() {
        for (selector, field, says) in [
            (json!({"matchExpressions": [{"key": "a", "operator": "Equals", "values": ["b"]}]}), "matchExpressions[0].operator", "NotIn"),
            (json!({"matchExpressions": [{"key": "a", "operator": "In"}]}), "matchExpressions[0].values", "needs at least one value"),
            (json!({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": []}]}), "matchExpressions[0].values", "NotIn needs"),
            (
                json!({"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]}),
                "matchExpressions[0].values",
                "takes no values",
            ),
            (json!({"matchExpressions": [{"key": "a b", "operator": "Exists"}]}), "matchExpressions[0].key", "not a label key"),
            (json!({"matchLabels": {"a": "x y"}}), "matchLabels", "not a label value"),
            (json!({"matchLabels": {"": "x"}}), "matchLabels", "not a label key"),
            (json!({"matchLabels": {"UPPER.example/a": "x"}}), "matchLabels", "not a label key"),
            (json!({"matchLabels": {"a/b/c": "x"}}), "matchLabels", "not a label key"),
        ] {
            let problems = parse(selector.clone()).unwrap_err();
            assert_eq!(problems.len(), 1, "{selector}");
            assert!(problems[0].starts_with(&format!("spec.targets.selector.{field}: ")), "{problems:?}");
            assert!(problems[0].contains(says), "{problems:?}");
        }
    }

    #[test]
    fn ordinary_keys_and_values_are_accepted() {
        for key in ["app", "app.kubernetes.io/name", "a-b.example/A_b.c", "x1"] {
            assert!(parse(json!({"matchLabels": {key: "v1.2_x-Y"}})).is_ok(), "{key}");
        }
    }
}
