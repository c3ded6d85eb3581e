//! A selection of pods.

use super::Amount;
use super::nodes::Nodes;
use super::workload::{Workload, node_of, phase};
use crate::core::selector::Selector;
use crate::core::text::single_line;
use kube::core::DynamicObject;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Which pods, and how many of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Pods {
    /// In which namespaces; empty: in all.
    pub namespaces: BTreeSet<String>,
    /// What a pod must be like, all of it.
    pub filters: Vec<Filter>,
    /// How many of those are hit at most.
    pub amount: Amount,
}

/// What a pod must be like.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// It has one of these names in its namespace.
    Named(BTreeMap<String, BTreeSet<String>>),
    /// It has these labels.
    Labels(Selector),
    /// It matches one of these.
    AnyLabels(Vec<Selector>),
    /// It has these annotations.
    Annotations(BTreeMap<String, String>),
    /// Its fields have these values.
    Fields(Vec<(Field, String)>),
    /// It is in one of these phases.
    Phases(BTreeSet<String>),
    /// It is on one of these nodes; the amount does not count.
    On(Nodes),
    /// Its workload is of this kind (in small letters) and, if any are given, has one of these names.
    Of(String, BTreeSet<String>),
}

/// A field of a pod by which it can be selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field(&'static str);

/// <https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/>
const FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "status.phase",
    "status.podIP",
    "status.nominatedNodeName",
];

impl Field {
    /// The field of a path, if pods can be selected by it.
    pub(super) fn of(path: &str) -> Option<Self> {
        FIELDS.iter().find(|field| **field == path).map(|field| Self(field))
    }

    fn read(self, pod: &DynamicObject) -> &str {
        let found = match self.0 {
            "metadata.name" => pod.metadata.name.as_deref(),
            "metadata.namespace" => pod.metadata.namespace.as_deref(),
            path => path.split_once('.').and_then(|(part, name)| pod.data.get(part)?.get(name)?.as_str()),
        };
        found.unwrap_or_default()
    }
}

impl Filter {
    /// Whether a pod is like that. `nodes` are the names of those that are selected, if that is asked.
    pub(super) fn matches(&self, pod: &DynamicObject, nodes: &BTreeSet<String>) -> bool {
        let nothing = BTreeMap::new();
        let labels = pod.metadata.labels.as_ref().unwrap_or(&nothing);
        match self {
            Self::Named(names) => {
                let of = names.get(pod.metadata.namespace.as_deref().unwrap_or_default());
                of.zip(pod.metadata.name.as_deref()).is_some_and(|(names, name)| names.contains(name))
            }
            Self::Labels(selector) => selector.matches(labels),
            Self::AnyLabels(selectors) => selectors.iter().any(|selector| selector.matches(labels)),
            Self::Annotations(wanted) => {
                let annotations = pod.metadata.annotations.as_ref();
                wanted.iter().all(|(key, value)| annotations.and_then(|all| all.get(key)) == Some(value))
            }
            Self::Fields(fields) => fields.iter().all(|(field, value)| field.read(pod) == value),
            Self::Phases(phases) => phase(pod).is_some_and(|phase| phases.contains(phase)),
            Self::On(_) => node_of(pod).is_some_and(|node| nodes.contains(node)),
            Self::Of(kind, names) => {
                let workload = Workload::of(pod);
                workload.kind.to_ascii_lowercase() == *kind && (names.is_empty() || names.contains(&workload.name))
            }
        }
    }
}

/// What was looked for, for a message.
impl fmt::Display for Pods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pods")?;
        let named = self.filters.iter().any(|filter| matches!(filter, Filter::Named(_)));
        match (self.namespaces.len(), self.namespaces.first()) {
            _ if named => {}
            (1, Some(only)) => write!(f, " in namespace {}", single_line(only, 63))?,
            (0, _) | (_, None) => write!(f, " in any namespace")?,
            (_, Some(_)) => write!(f, " in namespaces {}", some(self.namespaces.iter()))?,
        }
        for filter in &self.filters {
            write!(f, " {filter}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(names) => {
                let all: Vec<String> =
                    names.iter().flat_map(|(place, names)| names.iter().map(move |name| format!("{place}/{name}"))).collect();
                write!(f, "named {}", some(all.iter()))
            }
            Self::Labels(selector) => write!(f, "with labels {}", single_line(&selector.to_string(), 120)),
            Self::AnyLabels(selectors) => {
                let all: Vec<String> = selectors.iter().map(ToString::to_string).collect();
                write!(f, "with labels {}", single_line(&all.join(" or "), 120))
            }
            Self::Annotations(wanted) => write!(f, "with annotations {}", pairs(wanted.iter().map(|(k, v)| (k.as_str(), v.as_str())))),
            Self::Fields(fields) => write!(f, "with fields {}", pairs(fields.iter().map(|(k, v)| (k.0, v.as_str())))),
            Self::Phases(phases) => write!(f, "in phase {}", some(phases.iter())),
            Self::On(nodes) => write!(f, "on {nodes}"),
            Self::Of(kind, names) if names.is_empty() => write!(f, "of a {}", single_line(kind, 63)),
            Self::Of(kind, names) => write!(f, "of {} {}", single_line(kind, 63), some(names.iter())),
        }
    }
}

/// The first few of many names.
pub(super) fn some<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let all = names.len();
    let first: Vec<&str> = names.take(3).map(String::as_str).collect();
    let more = if all > first.len() { format!(" and {} more", all - first.len()) } else { String::new() };
    format!("{}{more}", single_line(&first.join(", "), 120))
}

fn pairs<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let all: Vec<String> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
    single_line(&all.join(","), 120)
}

/// The texts of a field that lists them with commas.
pub(super) fn comma_separated(text: &str) -> BTreeSet<String> {
    text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Whether a value is there and asks for something.
pub(super) fn asks(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}
