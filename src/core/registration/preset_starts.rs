//! What a start is by the presets of an entry's gates, as conditions for the API server: one for each API group.
//!
//! They say nothing of namespaces and labels, so a thousand gates with one preset need no more than one; they are never left out for the number of
//! gates. So what stops something, and what merely reports, never waits for the operator.

use super::super::expr::quoted;
use super::super::gate::{Gate, Resource, Start};
use super::{MAX_PUSHED_GATES, SUBRESOURCE, start};
use k8s_openapi::api::admissionregistration::v1::MatchCondition;
use std::collections::{BTreeMap, BTreeSet};

/// The longest condition of one group, in bytes. Only many gates with options of their own can make a longer one.
pub const MAX_START_BYTES: usize = 64 * 1024;

/// The conditions of these gates, and the groups for which there can be none. Of a gate whose expressions the API server does not accept everything is
/// sent, except pods.
pub fn conditions(gates: &[&Gate], refused: &dyn Fn(&Gate) -> bool) -> (Vec<MatchCondition>, BTreeSet<String>) {
    let (mut conditions, mut left_out) = (Vec::new(), BTreeSet::new());
    let untold = gates.iter().any(|gate| refused(gate) && gate.presets.holds().iter().any(|(resource, _)| resource.group.is_empty()));
    for (group, starts) in by_group(gates, refused) {
        let expression = condition(&group, &starts);
        if expression.len() > MAX_START_BYTES || (untold && group.is_empty()) {
            left_out.insert(group);
        } else {
            let name = if group.is_empty() { "core" } else { group.as_str() };
            conditions.push(MatchCondition { name: format!("start-{name}"), expression });
        }
    }
    (conditions, left_out)
}

/// Of each group, what is a start of which resources: the plurals by what they have in common.
fn by_group(gates: &[&Gate], refused: &dyn Fn(&Gate) -> bool) -> BTreeMap<String, BTreeMap<String, BTreeSet<String>>> {
    let mut terms: BTreeMap<&Resource, BTreeMap<*const (), String>> = BTreeMap::new();
    for gate in gates {
        for (resource, hold) in gate.presets.holds() {
            let text = || if refused(gate) { "true".to_owned() } else { hold.cel() };
            terms.entry(resource).or_default().entry(std::sync::Arc::as_ptr(hold).cast()).or_insert_with(text);
        }
    }
    let mut groups: BTreeMap<String, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (resource, held) in terms {
        // What several resources have in common is written once: the API server compiles all of it whenever any of it changes.
        for start in held.into_values().chain(by_hand(gates, resource, refused)) {
            groups.entry(resource.group.clone()).or_default().entry(start).or_default().insert(resource.resource.clone());
        }
    }
    groups
}

/// What is a start of a resource by gates that hold it by hand.
fn by_hand(gates: &[&Gate], resource: &Resource, refused: &dyn Fn(&Gate) -> bool) -> Vec<String> {
    let holders: Vec<&&Gate> = gates.iter().filter(|gate| gate.by_hand.iter().any(|(held, _)| held == resource)).collect();
    if holders.len() > MAX_PUSHED_GATES {
        return vec!["true".to_owned()];
    }
    let of = |gate: &&&Gate| match &gate.start {
        Start::EveryCreate | Start::Unusable => "request.operation == 'CREATE'".to_owned(),
        Start::When(_) => start(gate).filter(|_| !refused(gate)).unwrap_or_else(|| "true".to_owned()),
    };
    holders.iter().map(of).collect()
}

fn condition(group: &str, starts: &BTreeMap<String, BTreeSet<String>>) -> String {
    let list = |plurals: &BTreeSet<String>| plurals.iter().map(|plural| quoted(plural)).collect::<Vec<_>>().join(", ");
    let known: BTreeSet<String> = starts.values().flatten().cloned().collect();
    let terms = starts.iter().map(|(start, plurals)| format!(" || (p in [{}] && ({start}))", list(plurals)));
    let any = terms.collect::<String>();
    format!("request.resource.group != {} || [{SUBRESOURCE}].exists(p, !(p in [{}]){any})", quoted(group), list(&known))
}

#[cfg(test)]
mod tests;
