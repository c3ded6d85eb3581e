//! The checks that ask about hosts. Only those are watched, by the field `spec.targets.source`.

use crate::api::{HostProbe, PreflightCheck};
use crate::core::host::Requirements;
use crate::core::selector::Selector;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use serde::Deserialize;
use std::collections::BTreeMap;
use tracing::warn;

#[cfg(test)]
mod tests;

/// How many checks are looked at. More about hosts than these, and what the rest asks about is not measured.
const MAX_CHECKS: usize = 4096;

/// What a check wants of which hosts.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub namespace: String,
    pub requirements: Requirements,
    hosts: Hosts,
}

#[derive(Clone, Debug)]
enum Hosts {
    Named(String),
    Labelled(Selector),
}

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    suspend: bool,
    targets: Targets,
    probe: Probe,
}

#[derive(Deserialize)]
struct Targets {
    source: String,
    name: Option<String>,
    selector: Option<LabelSelector>,
}

#[derive(Deserialize)]
struct Probe {
    host: HostProbe,
}

type Key = (String, String);

/// The checks as they are now.
pub(super) struct Checks {
    events: BoxStream<'static, watcher::Result<Event<DynamicObject>>>,
    known: BTreeMap<Key, Wanted>,
    listing: BTreeMap<Key, Wanted>,
    complete: bool,
}

impl Checks {
    pub(super) fn watch(client: Client) -> Self {
        let api: Api<DynamicObject> = Api::all_with(client, &ApiResource::erase::<PreflightCheck>(&()));
        let config = watcher::Config::default().fields("spec.targets.source=Hosts");
        Self::new(watcher(api, config).default_backoff().inspect_err(|error| warn!(%error, "checks cannot be watched")).boxed())
    }

    fn new(events: BoxStream<'static, watcher::Result<Event<DynamicObject>>>) -> Self {
        Self { events, known: BTreeMap::new(), listing: BTreeMap::new(), complete: false }
    }

    /// Whether all of them were seen once.
    pub(super) fn complete(&self) -> bool {
        self.complete
    }

    /// Waits until something may have changed.
    pub(super) async fn changed(&mut self) {
        loop {
            match self.events.next().await {
                Some(Ok(event)) => {
                    if self.take(event) {
                        return;
                    }
                }
                // What was known stays: a host is not measured less because the API server is away.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    fn take(&mut self, event: Event<DynamicObject>) -> bool {
        match event {
            Event::Init => {
                self.listing.clear();
                false
            }
            Event::InitApply(object) => {
                put(&mut self.listing, &object);
                false
            }
            Event::InitDone => {
                self.known = std::mem::take(&mut self.listing);
                self.complete = true;
                true
            }
            Event::Apply(object) => put(&mut self.known, &object),
            Event::Delete(object) => self.known.remove(&key(&object)).is_some(),
        }
    }

    /// Those that ask about a host.
    pub(super) fn wanted(&self, host: &str, labels: &BTreeMap<String, String>) -> Vec<Wanted> {
        let selects = |wanted: &&Wanted| match &wanted.hosts {
            Hosts::Named(name) => name == host,
            Hosts::Labelled(selector) => selector.matches(labels),
        };
        self.known.values().filter(selects).cloned().collect()
    }
}

fn key(object: &DynamicObject) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// Whether what is known changed: a status that was written changes nothing.
fn put(known: &mut BTreeMap<Key, Wanted>, object: &DynamicObject) -> bool {
    let key = key(object);
    let Some(wanted) = read(object) else { return known.remove(&key).is_some() };
    match known.get(&key) {
        Some(before) if before.requirements == wanted.requirements && before.hosts.same(&wanted.hosts) => false,
        None if known.len() >= MAX_CHECKS => {
            warn!(namespace = key.0, name = key.1, "too many checks of hosts: this one is not measured for");
            false
        }
        _ => {
            known.insert(key, wanted);
            true
        }
    }
}

impl Hosts {
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Named(a), Self::Named(b)) => a == b,
            (Self::Labelled(a), Self::Labelled(b)) => a == b,
            _ => false,
        }
    }
}

/// What a check wants. Nothing, if it is suspended or the operator would not accept it either.
fn read(object: &DynamicObject) -> Option<Wanted> {
    let Spec { suspend, targets, probe } = Spec::deserialize(object.data.get("spec")?).ok()?;
    if suspend || targets.source != "Hosts" {
        return None;
    }
    let mut problems = Vec::new();
    let hosts = match (targets.name, targets.selector) {
        (Some(name), None) => Hosts::Named(name),
        (None, Some(selector)) => Hosts::Labelled(Selector::parse(&selector, "spec.targets.selector", &mut problems)?),
        _ => return None,
    };
    let requirements = Requirements::parse(&probe.host, "spec.probe.host", &mut problems)?;
    Some(Wanted { namespace: object.namespace().unwrap_or_default(), requirements, hosts })
}
