//! A selection of nodes.

use super::Amount;
use super::pods::some;
use crate::core::selector::Selector;
use crate::core::text::single_line;
use kube::core::DynamicObject;
use std::collections::BTreeSet;
use std::fmt;

/// Which nodes, and how many of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Nodes {
    /// Those of these names.
    pub names: BTreeSet<String>,
    /// And those with these labels. Neither: all.
    pub labels: Option<Selector>,
    /// How many of those are hit at most.
    pub amount: Amount,
}

impl Nodes {
    /// Whether their names alone tell which they are, so that no node need be read.
    pub(super) fn are_named(&self) -> bool {
        self.labels.is_none() && !self.names.is_empty()
    }

    /// Whether a node is one of them.
    pub fn matches(&self, node: &DynamicObject) -> bool {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        if self.names.contains(name) {
            return true;
        }
        match (&self.labels, &node.metadata.labels) {
            (Some(selector), Some(labels)) => selector.matches(labels),
            (Some(selector), None) => selector.matches(&std::collections::BTreeMap::new()),
            (None, _) => self.names.is_empty(),
        }
    }
}

impl fmt::Display for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nodes")?;
        if !self.names.is_empty() {
            write!(f, " named {}", some(self.names.iter()))?;
        }
        match &self.labels {
            Some(selector) if self.names.is_empty() => write!(f, " with labels {}", single_line(&selector.to_string(), 120)),
            Some(selector) => write!(f, " or with labels {}", single_line(&selector.to_string(), 120)),
            None => Ok(()),
        }
    }
}
