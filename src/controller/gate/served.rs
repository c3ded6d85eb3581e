//! Whether the resources that gates name are served. A gate on one that is not stays registered, and works from the moment it is.

use crate::cluster::discovery;
use crate::core::gate::Gate;
use crate::core::problem::Problem;
use kube::Client;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The resources of each group, with whether they are namespaced.
type Groups = BTreeMap<String, BTreeMap<String, bool>>;

/// Asks for all groups that these gates name. A group that could not be asked about is left out: nothing is known of it.
pub async fn ask(client: &Client, gates: &[Arc<Gate>]) -> Groups {
    let names: BTreeSet<&str> = gates.iter().flat_map(|g| &g.rules).map(|(r, _)| r.group.as_str()).collect();
    let mut groups = Groups::new();
    for group in names {
        match discovery::resources(client, group).await {
            Ok(resources) => {
                groups.insert(group.to_owned(), resources);
            }
            Err(error) => tracing::warn!(group, %error, "cannot ask which resources an API group has"),
        }
    }
    groups
}

/// What is wrong with a gate in the light of what is served.
pub fn problems(gate: &Gate, groups: &Groups) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut last = None;
    for (resource, _) in &gate.rules {
        if last.replace(resource) == Some(resource) {
            continue;
        }
        let Some(served) = groups.get(&resource.group) else { continue };
        let (name, group) = (&resource.resource, &resource.group);
        let message = match served.get(name) {
            None => format!(
                "the cluster serves no resource {name} in group \"{group}\": see `kubectl api-resources --api-group={group}` (the plural is wanted, in lower case); \
                 the gate holds it by itself once it is served"
            ),
            Some(false) if gate.key.namespace.is_some() => {
                format!(
                    "{name}.{group} has no namespace: an ExperimentGate holds objects of its own namespace only, use a ClusterExperimentGate"
                )
            }
            Some(_) => continue,
        };
        problems.push(Problem::new("spec.match.rules[].resources", message));
    }
    problems
}
