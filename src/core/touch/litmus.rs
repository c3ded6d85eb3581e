//! Litmus: `appinfo` or `selectors` of a `ChaosEngine` (or of the one that a `ChaosSchedule` makes), and the environment of each experiment.
//!
//! What the environment does not say, the `ChaosExperiment` does, and that is not in the request: without `PODS_AFFECTED_PERC` all selected pods
//! count. <https://litmuschaos.github.io/litmus/experiments/categories/pods/common-tunables-for-pod-experiments/>: empty or 0 means one pod.

use super::nodes::Nodes;
use super::pods::comma_separated;
use super::reading::{equalities, list, part, text};
use super::{Amount, Filter, Gated, Part, Pods, Unresolvable};
use crate::core::selector::Selector;
use crate::core::text::single_line;
use serde_json::Value;
use std::collections::BTreeSet;

/// Kinds of applications whose pods tell that they are of it.
const KINDS: [&str; 4] = ["deployment", "statefulset", "daemonset", "rollout"];

/// What the environment of one experiment says.
struct Environment<'a>(&'a [Value]);

impl<'a> Environment<'a> {
    /// The value of a variable; `None`: it is not set here.
    fn get(&self, name: &str) -> Result<Option<&'a str>, Unresolvable> {
        let found = self.0.iter().rev().find(|entry| entry.get("name").and_then(Value::as_str) == Some(name));
        let Some(entry) = found else { return Ok(None) };
        match (entry.get("value"), entry.get("valueFrom").filter(|from| !from.is_null())) {
            (_, Some(_)) => Err(Unresolvable::new(&format!("the value of {name} is not in the request"))),
            (None | Some(Value::Null), None) => Ok(Some("")),
            (Some(Value::String(value)), None) => Ok(Some(value.trim())),
            (Some(_), None) => Err(Unresolvable::new(&format!("the value of {name} is not a text"))),
        }
    }

    fn filled(&self, name: &str) -> Result<Option<&'a str>, Unresolvable> {
        Ok(self.get(name)?.filter(|value| !value.is_empty()))
    }

    /// A percentage, or the upper end of a range of them.
    fn percentage(&self, name: &str) -> Result<Option<u64>, Unresolvable> {
        let Some(value) = self.get(name)? else { return Ok(None) };
        let upper = value.rsplit('-').next().unwrap_or_default().trim().trim_end_matches('%');
        match upper {
            "" => Ok(Some(0)),
            digits => digits
                .parse()
                .map(Some)
                .map_err(|_| Unresolvable::new(&format!("{name} is {:?}, not a percentage", single_line(value, 32)))),
        }
    }
}

pub(super) fn parts(gated: &Gated<'_>) -> Result<Vec<Part>, Unresolvable> {
    let spec = part(gated.object, "spec")?.ok_or_else(|| Unresolvable::new("it has no spec"))?;
    let engine = match gated.kind {
        "ChaosSchedule" => part(spec, "engineTemplateSpec")?.ok_or_else(|| Unresolvable::new("it has no engineTemplateSpec"))?,
        _ => spec,
    };
    let mut found = Vec::new();
    for experiment in list(engine, "experiments")? {
        let name = text(experiment, "name")?.unwrap_or_default();
        let components = experiment.pointer("/spec/components").unwrap_or(&Value::Null);
        let environment = Environment(list(components, "env")?);
        match name {
            _ if name.starts_with("node-") || matches!(name, "kubelet-service-kill" | "docker-service-kill") => {
                found.push(Part::Nodes(nodes(name, &environment)?));
            }
            _ if name.starts_with("pod-") || matches!(name, "container-kill" | "disk-fill") => {
                pods(engine, gated.namespace, &environment, &mut found)?;
            }
            _ => return Err(Unresolvable::new(&format!("it is not known what the experiment {:?} touches", single_line(name, 63)))),
        }
    }
    Ok(found)
}

fn nodes(experiment: &str, environment: &Environment<'_>) -> Result<Nodes, Unresolvable> {
    let named = environment.filled("TARGET_NODES")?.or(environment.filled("TARGET_NODE")?);
    if let Some(named) = named {
        return Ok(Nodes { names: comma_separated(named), labels: None, amount: Amount::All });
    }
    let Some(label) = environment.filled("NODE_LABEL")? else {
        let message = format!("{} names neither TARGET_NODE nor NODE_LABEL, so any node may be hit", single_line(experiment, 63));
        return Err(Unresolvable::new(&message));
    };
    let amount = match environment.percentage("NODES_AFFECTED_PERC")? {
        None => Amount::All,
        Some(percent) => Amount::PercentDown(percent),
    };
    Ok(Nodes { names: BTreeSet::new(), labels: equalities(label, "NODE_LABEL")?, amount })
}

fn pods(engine: &Value, own: Option<&str>, environment: &Environment<'_>, found: &mut Vec<Part>) -> Result<(), Unresolvable> {
    let amount = match environment.percentage("PODS_AFFECTED_PERC")? {
        None => Amount::All,
        Some(percent) => Amount::PercentDown(percent),
    };
    let targets = environment.filled("TARGET_PODS")?.map(comma_separated);
    let named = |namespaces: &BTreeSet<String>, names: &BTreeSet<String>| {
        let of_each = namespaces.iter().map(|namespace| (namespace.clone(), names.clone())).collect();
        Part::Pods(Pods { namespaces: namespaces.clone(), filters: vec![Filter::Named(of_each)], amount: Amount::All })
    };
    if let Some(selectors) = part(engine, "selectors")? {
        for pod in list(selectors, "pods")? {
            let namespaces = comma_separated(place(text(pod, "namespace")?, own)?);
            found.push(named(&namespaces, &comma_separated(text(pod, "names")?.unwrap_or_default())));
        }
        for workload in list(selectors, "workloads")? {
            let namespaces = comma_separated(place(text(workload, "namespace")?, own)?);
            let mut filters = Vec::new();
            let called = comma_separated(text(workload, "names")?.unwrap_or_default());
            filters.extend(of_kind(text(workload, "kind")?, called));
            filters.extend(labels(text(workload, "labels")?, "selectors.workloads.labels")?);
            found.push(Part::Pods(Pods { namespaces, filters, amount }));
        }
        return Ok(());
    }
    let info = part(engine, "appinfo")?.unwrap_or(&Value::Null);
    let one_of = |field: &str, variable: &str| -> Result<Option<&str>, Unresolvable> {
        let (info, set) = (if info.is_null() { None } else { text(info, field)? }, environment.filled(variable)?);
        match (info, set) {
            (Some(info), Some(set)) if info != set => {
                Err(Unresolvable::new(&format!("appinfo.{field} and {variable} say different things")))
            }
            (info, set) => Ok(info.or(set)),
        }
    };
    let (namespace, label, kind) = (one_of("appns", "APP_NAMESPACE")?, one_of("applabel", "APP_LABEL")?, one_of("appkind", "APP_KIND")?);
    if namespace.is_none() && label.is_none() && kind.is_none() && targets.is_none() {
        return Err(Unresolvable::new("it names no application: neither appinfo nor selectors nor TARGET_PODS"));
    }
    let namespaces = comma_separated(place(namespace, own)?);
    if let Some(names) = targets {
        found.push(named(&namespaces, &names));
        return Ok(());
    }
    let mut filters: Vec<Filter> = of_kind(kind, BTreeSet::new()).into_iter().collect();
    filters.extend(labels(label, "appinfo.applabel")?);
    found.push(Part::Pods(Pods { namespaces, filters, amount }));
    Ok(())
}

fn place<'a>(named: Option<&'a str>, own: Option<&'a str>) -> Result<&'a str, Unresolvable> {
    named.or(own).ok_or_else(|| Unresolvable::new("it names no namespace"))
}

fn of_kind(kind: Option<&str>, names: BTreeSet<String>) -> Option<Filter> {
    let kind = kind?.to_ascii_lowercase();
    KINDS.contains(&kind.as_str()).then_some(Filter::Of(kind, names))
}

/// Versions differ in whether several labels must all be there: any of them counts.
fn labels(text: Option<&str>, field: &str) -> Result<Option<Filter>, Unresolvable> {
    let Some(text) = text else { return Ok(None) };
    let each: Result<Vec<Option<Selector>>, _> = comma_separated(text).iter().map(|pair| equalities(pair, field)).collect();
    let each: Vec<Selector> = each?.into_iter().flatten().collect();
    Ok((!each.is_empty()).then_some(Filter::AnyLabels(each)))
}
