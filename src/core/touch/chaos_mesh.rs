//! Chaos Mesh: `selector`, `mode` and `value` of a chaos, of a Schedule's, and of every template of a Workflow.
//!
//! As its selectors do it (<https://chaos-mesh.org/docs/define-chaos-experiment-scope/>): pods named one by one stand alone; nodes by name and
//! nodes by label add up; everything else must hold together; without namespaces it is the object's own; a percentage is rounded down.

use super::nodes::Nodes;
use super::pods::{Field, asks};
use super::reading::{list, map, object, part, selector, text, texts, whole};
use super::{Amount, Filter, Gated, Part, Pods, Unresolvable};
use crate::core::text::single_line;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// How deep schedules and workflows may lie in one another.
const MAX_DEPTH: usize = 4;

pub(super) fn parts(gated: &Gated<'_>) -> Result<Vec<Part>, Unresolvable> {
    let spec = part(gated.object, "spec")?.ok_or_else(|| Unresolvable::new("it has no spec"))?;
    let namespace = gated.namespace.ok_or_else(|| Unresolvable::new("it has no namespace"))?;
    let mut found = Vec::new();
    match gated.kind {
        "Schedule" => schedule(spec, namespace, MAX_DEPTH, &mut found)?,
        "Workflow" => workflow(spec, namespace, MAX_DEPTH, &mut found)?,
        kind => chaos(spec, kind, namespace, &mut found)?,
    }
    Ok(found)
}

/// A Schedule makes what it embeds.
fn schedule(spec: &Value, namespace: &str, depth: usize, found: &mut Vec<Part>) -> Result<(), Unresolvable> {
    if depth == 0 {
        return Err(Unresolvable::new(&format!("schedules and workflows lie more than {MAX_DEPTH} deep in one another")));
    }
    embedded(spec, namespace, found)?;
    match part(spec, "workflow")? {
        Some(inner) => workflow(inner, namespace, depth - 1, found),
        None => Ok(()),
    }
}

/// Every template of a Workflow counts, whether or not another one names it.
fn workflow(spec: &Value, namespace: &str, depth: usize, found: &mut Vec<Part>) -> Result<(), Unresolvable> {
    if depth == 0 {
        return Err(Unresolvable::new(&format!("schedules and workflows lie more than {MAX_DEPTH} deep in one another")));
    }
    for template in list(spec, "templates")? {
        let name = || single_line(template.get("name").and_then(Value::as_str).unwrap_or_default(), 63);
        if template.get("task").is_some_and(asks) {
            return Err(Unresolvable::new(&format!("template {} is a task: only running it tells what it touches", name())));
        }
        embedded(template, namespace, found)?;
        if let Some(inner) = part(template, "schedule")? {
            schedule(inner, namespace, depth - 1, found)?;
        }
    }
    Ok(())
}

/// The chaos that a Schedule or a template carries: members such as `podChaos`.
fn embedded(of: &Value, namespace: &str, found: &mut Vec<Part>) -> Result<(), Unresolvable> {
    let Some(members) = of.as_object() else { return Err(Unresolvable::new("a template is not an object")) };
    for (kind, spec) in members.iter().filter(|(name, spec)| name.ends_with("Chaos") && !spec.is_null()) {
        chaos(spec, kind, namespace, found)?;
    }
    Ok(())
}

fn chaos(spec: &Value, kind: &str, namespace: &str, found: &mut Vec<Part>) -> Result<(), Unresolvable> {
    let known = kind.to_ascii_lowercase();
    match known.as_str() {
        "physicalmachinechaos" => return Err(Unresolvable::new("it touches physical machines, which are not in the cluster")),
        "awschaos" | "gcpchaos" | "azurechaos" => {
            return Err(Unresolvable::new("it touches machines of a cloud, by ids that the cluster does not know"));
        }
        "podchaos" | "networkchaos" | "iochaos" | "stresschaos" | "timechaos" | "dnschaos" | "httpchaos" | "jvmchaos" | "kernelchaos"
        | "blockchaos" => {}
        _ => return Err(Unresolvable::new(&format!("it is not known what a {} touches", single_line(kind, 63)))),
    }
    if spec.get("remoteCluster").is_some_and(asks) {
        return Err(Unresolvable::new("it runs in another cluster (spec.remoteCluster)"));
    }
    found.push(Part::Pods(pods(spec, namespace)?));
    if let Some(target) = part(spec, "target")?.filter(|target| known == "networkchaos" && asks(target)) {
        found.push(Part::Pods(pods(target, namespace)?));
    }
    Ok(())
}

fn pods(of: &Value, namespace: &str) -> Result<Pods, Unresolvable> {
    let wanted = part(of, "selector")?.ok_or_else(|| Unresolvable::new("it has no selector"))?;
    let amount = amount(of)?;
    if let Some(places) = object(wanted, "pods")?.filter(|places| !places.is_empty()) {
        let of = |place: &String| {
            texts(wanted.get("pods").unwrap_or(&Value::Null), place).map(|names| (place.clone(), names.into_iter().collect()))
        };
        let named: BTreeMap<String, BTreeSet<String>> = places.keys().map(of).collect::<Result<_, _>>()?;
        return Ok(Pods { namespaces: named.keys().cloned().collect(), filters: vec![Filter::Named(named)], amount });
    }
    let mut namespaces: BTreeSet<String> = texts(wanted, "namespaces")?.into_iter().collect();
    if namespaces.is_empty() {
        namespaces.insert(namespace.to_owned());
    }
    let mut filters = Vec::new();
    let labels = selector(map(wanted, "labelSelectors")?, list(wanted, "expressionSelectors")?, "selector")?;
    filters.extend(labels.map(Filter::Labels));
    let annotations = map(wanted, "annotationSelectors")?;
    if !annotations.is_empty() {
        filters.push(Filter::Annotations(annotations));
    }
    let fields = map(wanted, "fieldSelectors")?.into_iter().map(|(path, value)| {
        let field =
            Field::of(&path).ok_or_else(|| Unresolvable::new(&format!("pods cannot be selected by the field {}", single_line(&path, 63))));
        field.map(|field| (field, value))
    });
    let fields: Vec<(Field, String)> = fields.collect::<Result<_, _>>()?;
    if !fields.is_empty() {
        filters.push(Filter::Fields(fields));
    }
    let phases: BTreeSet<String> = texts(wanted, "podPhaseSelectors")?.into_iter().collect();
    if !phases.is_empty() {
        filters.push(Filter::Phases(phases));
    }
    let names: BTreeSet<String> = texts(wanted, "nodes")?.into_iter().collect();
    let labels = selector(map(wanted, "nodeSelectors")?, &[], "selector.nodeSelectors")?;
    if !names.is_empty() || labels.is_some() {
        filters.push(Filter::On(Nodes { names, labels, amount: Amount::All }));
    }
    Ok(Pods { namespaces, filters, amount })
}

fn amount(of: &Value) -> Result<Amount, Unresolvable> {
    let value = || {
        let value = of.get("value").and_then(whole);
        value.ok_or_else(|| Unresolvable::new("its value is not a number, and its mode needs one"))
    };
    match text(of, "mode")? {
        Some("one") => Ok(Amount::Count(1)),
        Some("all") => Ok(Amount::All),
        Some("fixed") => value().map(Amount::Count),
        Some("fixed-percent" | "random-max-percent") => value().map(Amount::PercentDown),
        Some(other) => Err(Unresolvable::new(&format!("its mode {:?} is not known", single_line(other, 63)))),
        None => Err(Unresolvable::new("it has no mode")),
    }
}
