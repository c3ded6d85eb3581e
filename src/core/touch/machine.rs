//! A virtual machine that is to run: on which nodes it can.
//!
//! As the scheduler sees its pod: the node's label `kubevirt.io/schedulable`, `nodeSelector`, and the required terms of node affinity. Taints
//! are not looked at.

use super::Unresolvable;
use super::reading::{list, map, part, text, texts};
use crate::core::text::single_line;
use kube::core::DynamicObject;
use serde_json::Value;
use std::collections::BTreeMap;

/// The label of nodes on which machines are run.
const SCHEDULABLE: (&str, &str) = ("kubevirt.io/schedulable", "true");

/// Where a machine can run.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    labels: BTreeMap<String, String>,
    /// One of these must hold, if there are any.
    terms: Vec<Vec<Requirement>>,
    /// Whether how large it is stands in another object.
    pub sized_elsewhere: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Requirement {
    /// A label's key; the node's name, if it is a field.
    key: Key,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
enum Key {
    Label(String),
    Name,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    Gt,
    Lt,
}

impl Machine {
    /// Reads the spec of a `VirtualMachineInstance`.
    pub(super) fn read(spec: &Value, sized_elsewhere: bool) -> Result<Self, Unresolvable> {
        let mut labels = map(spec, "nodeSelector")?;
        labels.insert(SCHEDULABLE.0.to_owned(), SCHEDULABLE.1.to_owned());
        let affinity = part(spec, "affinity")?.map(|affinity| part(affinity, "nodeAffinity")).transpose()?.flatten();
        let required = affinity.map(|affinity| part(affinity, "requiredDuringSchedulingIgnoredDuringExecution")).transpose()?.flatten();
        let terms = match required {
            Some(required) => list(required, "nodeSelectorTerms")?.iter().map(term).collect::<Result<_, _>>()?,
            None => Vec::new(),
        };
        Ok(Self { labels, terms, sized_elsewhere })
    }

    /// Whether it can run on a node.
    pub fn fits(&self, node: &DynamicObject) -> bool {
        let nothing = BTreeMap::new();
        let labels = node.metadata.labels.as_ref().unwrap_or(&nothing);
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let holds = |requirement: &Requirement| requirement.holds(labels, name);
        self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && (self.terms.is_empty() || self.terms.iter().any(|term| !term.is_empty() && term.iter().all(holds)))
    }

    /// What is asked of nodes, for a message.
    pub(super) fn looked_for(&self) -> String {
        let labels: Vec<String> = self.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let affinity = if self.terms.is_empty() { "" } else { " that its affinity allows" };
        format!("nodes with labels {}{affinity}", single_line(&labels.join(","), 160))
    }
}

fn term(term: &Value) -> Result<Vec<Requirement>, Unresolvable> {
    let mut all = Vec::new();
    for expression in list(term, "matchExpressions")? {
        let key = text(expression, "key")?.unwrap_or_default().to_owned();
        all.push(Requirement::read(expression, Key::Label(key))?);
    }
    for field in list(term, "matchFields")? {
        if text(field, "key")? != Some("metadata.name") {
            return Err(Unresolvable::new("its node affinity names a field other than metadata.name"));
        }
        all.push(Requirement::read(field, Key::Name)?);
    }
    Ok(all)
}

impl Requirement {
    fn read(of: &Value, key: Key) -> Result<Self, Unresolvable> {
        let operator = match text(of, "operator")? {
            Some("In") => Operator::In,
            Some("NotIn") => Operator::NotIn,
            Some("Exists") => Operator::Exists,
            Some("DoesNotExist") => Operator::DoesNotExist,
            Some("Gt") => Operator::Gt,
            Some("Lt") => Operator::Lt,
            other => {
                let other = single_line(other.unwrap_or_default(), 32);
                return Err(Unresolvable::new(&format!("its node affinity has the operator {other:?}, which is not known")));
            }
        };
        Ok(Self { key, operator, values: texts(of, "values")? })
    }

    fn holds(&self, labels: &BTreeMap<String, String>, name: &str) -> bool {
        let value = match &self.key {
            Key::Label(key) => labels.get(key).map(String::as_str),
            Key::Name => Some(name),
        };
        let listed = value.is_some_and(|value| self.values.iter().any(|wanted| wanted == value));
        let number = |text: &str| text.parse::<i64>().ok();
        let compared = || value.and_then(number).zip(self.values.first().and_then(|wanted| number(wanted)));
        match self.operator {
            Operator::In => listed,
            Operator::NotIn => !listed,
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt => compared().is_some_and(|(value, wanted)| value > wanted),
            Operator::Lt => compared().is_some_and(|(value, wanted)| value < wanted),
        }
    }
}
