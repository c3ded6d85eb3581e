//! The kinds that gates with `duringRun` hold, each watched while there is such a gate.

use crate::clock;
use crate::cluster::contact::Contact;
use crate::cluster::discovery::{self, Served};
use crate::cluster::watch::{Change, forward_dynamic};
use crate::core::during_run::{Experiment, MARK, Tool};
use crate::core::gate::Resource;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use jiff::{SignedDuration, Timestamp};
use kube::api::DynamicObject;
use kube::{Api, Client};
use std::collections::BTreeMap;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How often it is asked whether a kind is served that was not.
const ASK_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// What a watch says of a kind.
pub(super) type Said = (Resource, Change<DynamicObject>);
/// Whether a kind is served.
type Answer = (Resource, Option<Served>);

/// An object's place: namespace and name.
pub(super) type Place = (String, String);

/// The kinds that are watched.
pub(super) struct Kinds {
    client: Client,
    contact: Contact,
    said: mpsc::Sender<Said>,
    by_resource: BTreeMap<Resource, Kind>,
    questions: FuturesUnordered<BoxFuture<'static, Answer>>,
}

struct Kind {
    tool: &'static Tool,
    state: State,
    objects: BTreeMap<Place, Experiment>,
    /// Whether the operator lacks the right to watch it.
    forbidden: bool,
}

enum State {
    Asked,
    NotServed { again: Timestamp },
    Watched { served: Served, _ends: DropGuard },
}

impl Kinds {
    pub(super) fn new(client: Client, contact: Contact, said: mpsc::Sender<Said>) -> Self {
        Self { client, contact, said, by_resource: BTreeMap::new(), questions: FuturesUnordered::new() }
    }

    /// Watches these, and no others.
    pub(super) fn want(&mut self, wanted: &BTreeMap<Resource, &'static Tool>, now: Timestamp) {
        self.by_resource.retain(|resource, _| wanted.contains_key(resource));
        for (resource, tool) in wanted {
            let due = match self.by_resource.get(resource).map(|kind| &kind.state) {
                None => true,
                Some(State::NotServed { again }) => *again <= now,
                Some(State::Asked | State::Watched { .. }) => false,
            };
            if due {
                let kind = Kind { tool, state: State::Asked, objects: BTreeMap::new(), forbidden: false };
                self.by_resource.insert(resource.clone(), kind);
                self.questions.push(ask(self.client.clone(), resource.clone()).boxed());
            }
        }
    }

    /// The next answer; for ever, if nothing was asked.
    pub(super) async fn answered(&mut self) -> Answer {
        match self.questions.next().await {
            Some(answer) => answer,
            None => std::future::pending().await,
        }
    }

    pub(super) fn answer(&mut self, (resource, served): Answer, now: Timestamp) {
        let Some(kind) = self.by_resource.get_mut(&resource) else { return };
        let Some(served) = served else {
            kind.state = State::NotServed { again: now.checked_add(ASK_EVERY).unwrap_or(now) };
            return;
        };
        let ends = CancellationToken::new();
        let api = Api::<DynamicObject>::all_with(self.client.clone(), &served.resource);
        clock::spawn(forward_dynamic(api, self.contact.clone(), resource, self.said.clone(), ends.clone()));
        kind.state = State::Watched { served, _ends: ends.drop_guard() };
    }

    /// Takes in what a watch says. Returns whether the right to watch was found to be missing, or is there again.
    pub(super) fn take(&mut self, (resource, change): Said, now: Timestamp) -> Option<bool> {
        let kind = self.by_resource.get_mut(&resource)?;
        let State::Watched { served, .. } = &kind.state else { return None };
        match change {
            Change::Listed(objects) => {
                let kept = objects.into_iter().filter_map(|object| keep(kind.tool, &resource, served, object));
                kind.objects = kept.map(|experiment| (place(&experiment), experiment)).collect();
                return std::mem::take(&mut kind.forbidden).then_some(false);
            }
            Change::Applied(object) => {
                let at = (object.metadata.namespace.clone().unwrap_or_default(), object.metadata.name.clone().unwrap_or_default());
                match keep(kind.tool, &resource, served, object) {
                    Some(experiment) => drop(kind.objects.insert(at, experiment)),
                    None => drop(kind.objects.remove(&at)),
                }
            }
            Change::Deleted(object) => {
                let at = (object.metadata.namespace.unwrap_or_default(), object.metadata.name.unwrap_or_default());
                kind.objects.remove(&at);
            }
            Change::Unreadable { namespace, name, .. } => drop(kind.objects.remove(&(namespace.unwrap_or_default(), name))),
            Change::Failed { not_found: true, .. } => {
                kind.objects.clear();
                kind.state = State::NotServed { again: now.checked_add(ASK_EVERY).unwrap_or(now) };
            }
            Change::Failed { forbidden: true, .. } => {
                kind.objects.clear();
                return (!std::mem::replace(&mut kind.forbidden, true)).then_some(true);
            }
            Change::Failed { .. } => {}
        }
        None
    }

    /// Whether the operator lacks the right to watch a kind.
    pub(super) fn is_forbidden(&self, resource: &Resource) -> bool {
        self.by_resource.get(resource).is_some_and(|kind| kind.forbidden)
    }

    /// The experiments of a kind, of all namespaces or of one.
    pub(super) fn of<'a>(
        &'a self,
        resource: &Resource,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a Served, &'a Experiment)> + use<'a> {
        let kind = self.by_resource.get(resource);
        let served = kind.and_then(|kind| match &kind.state {
            State::Watched { served, .. } => Some((served, kind)),
            State::Asked | State::NotServed { .. } => None,
        });
        let from = (namespace.unwrap_or_default().to_owned(), String::new());
        let within = move |(of, _): &&'a Place| namespace.is_none_or(|namespace| of == namespace);
        served.into_iter().flat_map(move |(served, kind)| {
            let objects = kind.objects.range(from.clone()..);
            objects.take_while(move |(place, _)| within(place)).map(move |(_, experiment)| (served, experiment))
        })
    }

    /// The uids of all that is kept.
    pub(super) fn uids(&self) -> impl Iterator<Item = &str> {
        self.by_resource.values().flat_map(|kind| kind.objects.values()).map(|experiment| experiment.text("/metadata/uid"))
    }
}

async fn ask(client: Client, resource: Resource) -> Answer {
    let served = discovery::plural(&client, &resource.group, &resource.resource).await.unwrap_or_else(|error| {
        tracing::warn!(group = resource.group, resource = resource.resource, %error, "cannot ask whether a kind is served");
        None
    });
    (resource, served)
}

/// An object as it is looked at, if it runs, or if something was done to it. What is over is forgotten: there may be many.
fn keep(tool: &'static Tool, resource: &Resource, served: &Served, object: DynamicObject) -> Option<Experiment> {
    let mut object = serde_json::to_value(object).ok()?;
    if let Some(members) = object.as_object_mut() {
        members.insert("apiVersion".to_owned(), served.resource.api_version.as_str().into());
        members.insert("kind".to_owned(), served.resource.kind.as_str().into());
    }
    let experiment = Experiment { tool, resource: resource.clone(), object };
    let marked = experiment.object.pointer("/metadata/annotations").is_some_and(|all| all.get(MARK).is_some());
    (experiment.runs() || marked).then_some(experiment)
}

fn place(experiment: &Experiment) -> Place {
    (experiment.namespace().unwrap_or_default().to_owned(), experiment.text("/metadata/name").to_owned())
}
