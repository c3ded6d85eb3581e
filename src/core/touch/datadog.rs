//! Datadog's chaos controller: `selector`, `advancedSelector`, `filter`, `count` and `level` of a Disruption, or of the one that a
//! `DisruptionCron` or `DisruptionRollout` makes for its `targetResource`. Pods are those of its own namespace; a percentage is rounded up.

use super::nodes::Nodes;
use super::reading::{list, map, member, part, selector, text};
use super::{Amount, Filter, Gated, Part, Pods, Unresolvable};
use crate::core::text::single_line;
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn parts(gated: &Gated<'_>) -> Result<Vec<Part>, Unresolvable> {
    let spec = part(gated.object, "spec")?.ok_or_else(|| Unresolvable::new("it has no spec"))?;
    let (disruption, target) = match gated.kind {
        "Disruption" => (spec, None),
        "DisruptionCron" | "DisruptionRollout" => {
            let template = part(spec, "disruptionTemplate")?.ok_or_else(|| Unresolvable::new("it has no disruptionTemplate"))?;
            let target = part(spec, "targetResource")?.ok_or_else(|| Unresolvable::new("it has no targetResource"))?;
            (template, Some(target))
        }
        kind => return Err(Unresolvable::new(&format!("it is not known what a {} touches", single_line(kind, 63)))),
    };
    let amount = amount(disruption)?;
    let labels = selector(map(disruption, "selector")?, list(disruption, "advancedSelector")?, "selector")?;
    let level = text(disruption, "level")?.unwrap_or("pod");
    if level == "node" && target.is_none() {
        let labels = labels.ok_or_else(|| Unresolvable::new("it has neither selector nor advancedSelector"))?;
        return Ok(vec![Part::Nodes(Nodes { names: BTreeSet::new(), labels: Some(labels), amount })]);
    }
    if level != "pod" {
        return Err(Unresolvable::new(&format!("its level {:?} cannot be resolved here", single_line(level, 32))));
    }
    let namespace = gated.namespace.ok_or_else(|| Unresolvable::new("it has no namespace"))?;
    let mut filters = Vec::new();
    match target {
        // The controller selects by the labels of the target's pods, whatever the template says.
        Some(target) => {
            let wanted = |field| {
                text(target, field).and_then(|found| found.ok_or_else(|| Unresolvable::new("its targetResource has no kind and name")))
            };
            filters.push(Filter::Of(wanted("kind")?.to_ascii_lowercase(), [wanted("name")?.to_owned()].into()));
        }
        None => filters.push(Filter::Labels(labels.ok_or_else(|| Unresolvable::new("it has neither selector nor advancedSelector"))?)),
    }
    let annotations = part(disruption, "filter")?.map(|filter| map(filter, "annotations")).transpose()?.unwrap_or_default();
    if !annotations.is_empty() {
        filters.push(Filter::Annotations(annotations));
    }
    Ok(vec![Part::Pods(Pods { namespaces: [namespace.to_owned()].into(), filters, amount })])
}

fn amount(disruption: &Value) -> Result<Amount, Unresolvable> {
    let odd = || Unresolvable::new("its count is neither a number nor a percentage");
    match member(disruption, "count") {
        Some(Value::Number(count)) => count.as_u64().map(Amount::Count).ok_or_else(odd),
        Some(Value::String(text)) => {
            let percentage = text.strip_suffix('%').and_then(|digits| digits.parse().ok()).map(Amount::PercentUp);
            percentage.or_else(|| text.parse().ok().map(Amount::Count)).ok_or_else(odd)
        }
        None => Err(Unresolvable::new("it has no count")),
        Some(_) => Err(odd()),
    }
}
