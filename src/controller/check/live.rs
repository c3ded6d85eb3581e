//! One evaluation of a live check, from the watched objects.

use super::objects::{KindKey, KindState, Reader, Untold, WatchKey, Watched};
use super::plan::{TargetPlan, Which};
use crate::api::conditions::passing;
use crate::core::observation::Observation;
use crate::core::verdict::Evaluation;
use crate::probe::{self, LiveProbe, Look};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::DynamicObject;
use std::collections::HashMap;

/// What came of it.
#[derive(Debug)]
pub enum Found {
    /// It cannot be evaluated yet, and nothing is wrong.
    Waiting(String),
    /// It was evaluated, or it cannot be.
    Evaluation(Evaluation),
}

/// Evaluates a live check of a namespace.
pub fn evaluate(
    probe: &dyn LiveProbe,
    targets: Option<&TargetPlan>,
    namespace: &str,
    kinds: &HashMap<KindKey, KindState>,
    watches: &HashMap<WatchKey, Watched>,
    now: Timestamp,
) -> Found {
    let reader = Reader { watches, now };
    let Some(targets) = targets else {
        return Found::Evaluation(Evaluation::Observed(observe(probe, &[], namespace, &reader)));
    };
    let kind = KindKey { api_version: targets.api_version.clone(), kind: targets.kind.clone() };
    let served = match kinds.get(&kind) {
        None | Some(KindState::Asked) => {
            return Found::Waiting(format!("asking the API server about {} of {}", kind.kind, kind.api_version));
        }
        Some(KindState::Unserved(message)) => {
            return Found::Evaluation(Evaluation::Impossible(passing::INVALID_SPEC, format!("spec.targets.kind: {message}")));
        }
        Some(KindState::Served(served)) => served,
    };
    let key = WatchKey { kind, namespace: served.namespaced.then(|| namespace.to_owned()) };
    let Some(source) = watches.get(&key) else { return Found::Waiting(format!("{} objects are not watched yet", key.kind.kind)) };
    let objects = match source.objects(&key, now) {
        Ok(objects) => objects,
        Err(Untold { message, waiting: true, .. }) => return Found::Waiting(message),
        Err(Untold { message, forbidden: true, .. }) => {
            let message = format!("{message}; grant it: {}", grant(&served.resource.group, &served.resource.plural));
            return Found::Evaluation(Evaluation::Impossible(passing::FORBIDDEN, message));
        }
        Err(Untold { message, .. }) => return Found::Evaluation(Evaluation::Impossible(passing::EVALUATION_ERROR, message)),
    };
    let selected: Vec<&DynamicObject> = match &targets.which {
        Which::Named(name) => objects.get(name).map(AsRef::as_ref).into_iter().collect(),
        Which::Selected(selector) => objects.values().map(AsRef::as_ref).filter(|o| selector.matches(o.labels())).collect(),
    };
    if let Some(message) = related_waiting(probe, namespace, &reader) {
        return Found::Waiting(message);
    }
    if selected.is_empty() {
        return Found::Evaluation(Evaluation::NoTargets(nothing_found(targets, key.namespace.as_deref())));
    }
    Found::Evaluation(Evaluation::Observed(observe(probe, &selected, namespace, &reader)))
}

/// What else the probe reads may still be on its way.
fn related_waiting(probe: &dyn LiveProbe, namespace: &str, reader: &Reader<'_>) -> Option<String> {
    let reads = probe.reads();
    let related = reads.first()?;
    let kind = KindKey { api_version: related.api_version.to_owned(), kind: related.kind.to_owned() };
    let key = WatchKey { kind, namespace: Some(namespace.to_owned()) };
    match reader.watches.get(&key).map(|w| w.objects(&key, reader.now)) {
        None => Some(format!("{} objects are not watched yet", related.kind)),
        Some(Err(untold)) if untold.waiting => Some(untold.message),
        _ => None,
    }
}

fn observe(probe: &dyn LiveProbe, targets: &[&DynamicObject], namespace: &str, reader: &Reader<'_>) -> Vec<Observation> {
    probe::observe(probe, &Look { targets, namespace, objects: reader, members: &[], now: reader.now })
}

fn nothing_found(targets: &TargetPlan, namespace: Option<&str>) -> String {
    let place = namespace.map_or_else(String::new, |n| format!(" in namespace {n}"));
    match &targets.which {
        Which::Named(name) => format!("there is no {} {name}{place}", targets.kind),
        Which::Selected(selector) if selector.selects_all() => format!("there is no {}{place}", targets.kind),
        Which::Selected(selector) => format!("no {}{place} has the labels {selector}", targets.kind),
    }
}

/// The commands that let the operator watch a kind.
fn grant(group: &str, plural: &str) -> String {
    let resource = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
    format!(
        "kubectl create clusterrole holdpoint-read-{plural} --verb=get,list,watch --resource={resource} \
         && kubectl label clusterrole holdpoint-read-{plural} holdpoint.dev/aggregate-to-operator=true"
    )
}
