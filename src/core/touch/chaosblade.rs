//! `ChaosBlade`: the matchers of each experiment: `namespace`, `names`, `labels`, `evict-count`, `evict-percent`.

use super::nodes::Nodes;
use super::reading::{equalities, list, part, text, texts};
use super::{Amount, Filter, Gated, Part, Pods, Unresolvable};
use crate::core::selector::Selector;
use crate::core::text::single_line;
use serde_json::Value;
use std::collections::BTreeSet;

pub(super) fn parts(gated: &Gated<'_>) -> Result<Vec<Part>, Unresolvable> {
    let spec = part(gated.object, "spec")?.ok_or_else(|| Unresolvable::new("it has no spec"))?;
    list(spec, "experiments")?.iter().map(experiment).collect()
}

fn experiment(experiment: &Value) -> Result<Part, Unresolvable> {
    let matchers = list(experiment, "matchers")?;
    let values = |name: &str| -> Result<BTreeSet<String>, Unresolvable> {
        let mut found = BTreeSet::new();
        for matcher in matchers.iter().filter(|matcher| matcher.get("name").and_then(Value::as_str) == Some(name)) {
            for value in texts(matcher, "value")? {
                found.extend(value.split(',').map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned));
            }
        }
        Ok(found)
    };
    let number = |name: &str| -> Result<Option<u64>, Unresolvable> {
        let odd = || Unresolvable::new(&format!("{name} is not one number"));
        match values(name)?.iter().collect::<Vec<_>>().as_slice() {
            [] => Ok(None),
            [one] => one.parse().map(Some).map_err(|_| odd()),
            _ => Err(odd()),
        }
    };
    let amount = match (number("evict-count")?, number("evict-percent")?) {
        (Some(count), _) => Amount::Count(count),
        (None, Some(percent)) => Amount::PercentUp(percent),
        (None, None) => Amount::All,
    };
    let (names, labels) = (values("names")?, values("labels")?);
    let labels: Vec<Selector> =
        labels.iter().map(|pair| equalities(pair, "labels")).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    if names.is_empty() && labels.is_empty() {
        return Err(Unresolvable::new("it has neither names nor labels"));
    }
    match text(experiment, "scope")? {
        Some("node") => match <[Selector; 1]>::try_from(labels) {
            Ok([selector]) => Ok(Part::Nodes(Nodes { names, labels: Some(selector), amount })),
            Err(none) if none.is_empty() => Ok(Part::Nodes(Nodes { names, labels: None, amount })),
            Err(_) => Err(Unresolvable::new("it selects nodes by several labels, and versions differ in what that means")),
        },
        Some("pod" | "container") => {
            let namespaces = values("namespace")?;
            if namespaces.is_empty() {
                return Err(Unresolvable::new("it names no namespace"));
            }
            let mut filters = Vec::new();
            if !names.is_empty() {
                filters.push(Filter::Named(namespaces.iter().map(|namespace| (namespace.clone(), names.clone())).collect()));
            } else if !labels.is_empty() {
                filters.push(Filter::AnyLabels(labels));
            }
            Ok(Part::Pods(Pods { namespaces, filters, amount }))
        }
        other => Err(Unresolvable::new(&format!("its scope {:?} is not known", single_line(other.unwrap_or_default(), 32)))),
    }
}
