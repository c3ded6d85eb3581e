//! Whether the resources that gates name are served. A gate on one that is not stays registered, and works from the moment it is.
//!
//! Of a preset that is expected: most clusters have few of the tools, and few of a tool's kinds.

use super::board::Found;
use crate::cluster::discovery;
use crate::core::gate::{Gate, Resource};
use crate::core::problem::Problem;
use kube::Client;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The resources of each group, with whether they are namespaced.
type Groups = BTreeMap<String, BTreeMap<String, bool>>;

/// Asks for all groups that these gates name. A group that could not be asked about is left out: nothing is known of it.
pub async fn ask(client: &Client, gates: &[Arc<Gate>]) -> Groups {
    let by_hand = gates.iter().flat_map(|g| &g.by_hand).map(|(r, _)| r);
    // Only whether they are namespaced is worth asking.
    let of_presets = gates.iter().filter(|g| g.key.namespace.is_some()).flat_map(|g| g.presets.holds()).map(|(r, _)| r);
    let names: BTreeSet<&str> = by_hand.chain(of_presets).map(|r| r.group.as_str()).collect();
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

/// What a gate's author should know in the light of what is served.
pub fn found(gate: &Gate, groups: &Groups) -> Found {
    let by_hand: BTreeSet<&Resource> = gate.by_hand.iter().map(|(resource, _)| resource).collect();
    let problems = by_hand.into_iter().filter_map(|resource| problem(gate, resource, groups)).collect();
    let of_presets: BTreeSet<&Resource> = gate.presets.holds().iter().map(|(resource, _)| resource).collect();
    let out_of_reach = |resource: &&Resource| gate.key.namespace.is_some() && scope(resource, groups) == Some(false);
    let notes = of_presets.into_iter().filter(out_of_reach).map(|Resource { group, resource }| {
        format!(
            "{resource}.{group} has no namespace and is not held: an ExperimentGate holds objects of its own namespace only, use a ClusterExperimentGate"
        )
    });
    Found { problems, notes: notes.collect() }
}

/// Whether a resource is namespaced, if it is served.
fn scope(resource: &Resource, groups: &Groups) -> Option<bool> {
    groups.get(&resource.group)?.get(&resource.resource).copied()
}

fn problem(gate: &Gate, resource: &Resource, groups: &Groups) -> Option<Problem> {
    groups.get(&resource.group)?;
    let (name, group) = (&resource.resource, &resource.group);
    let message = match scope(resource, groups) {
        None => format!(
            "the cluster serves no resource {name} in group \"{group}\": see `kubectl api-resources --api-group={group}` (the plural is wanted, in lower case); \
             the gate holds it by itself once it is served"
        ),
        Some(false) if gate.key.namespace.is_some() => {
            format!(
                "{name}.{group} has no namespace: an ExperimentGate holds objects of its own namespace only, use a ClusterExperimentGate"
            )
        }
        Some(_) => return None,
    };
    Some(Problem::new("spec.match.rules[].resources", message))
}
