//! The kinds that gates hold whose checks count starts, each watched while there is such a gate.

use crate::clock;
use crate::cluster::contact::Contact;
use crate::cluster::discovery::{self, Served};
use crate::cluster::snapshot::Labels;
use crate::cluster::watch::{Change, forward_dynamic};
use crate::core::gate::Resource;
use crate::core::starts::{Aim, Life, Started, life};
use crate::core::text::single_line;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::DynamicObject;
use kube::{Api, Client, ResourceExt};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How often it is asked whether a kind is served that was not.
const ASK_EVERY: SignedDuration = SignedDuration::from_secs(5);
/// How long a watch may be broken before what it showed is no longer believed.
const BROKEN: SignedDuration = SignedDuration::from_secs(5);

/// What a watch says of a kind.
pub(super) type Said = (Arc<Resource>, Change<DynamicObject>);
type Answer = (Arc<Resource>, Result<Option<Served>, String>);

/// An object, and what tells which gates hold it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) started: Arc<Started>,
    pub(super) labels: Labels,
    pub(super) owner: Option<OwnerReference>,
}

/// The kinds that are watched.
pub(super) struct Kinds {
    client: Client,
    contact: Contact,
    said: mpsc::Sender<Said>,
    by_resource: BTreeMap<Arc<Resource>, Kind>,
    questions: FuturesUnordered<BoxFuture<'static, Answer>>,
}

struct Kind {
    state: State,
    objects: BTreeMap<Arc<str>, Entry>,
    listed: bool,
    /// Since when it cannot be watched, and why.
    broken: Option<(Timestamp, String)>,
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
    pub(super) fn want(&mut self, wanted: &BTreeSet<Resource>, now: Timestamp) {
        self.by_resource.retain(|resource, _| wanted.contains(&**resource));
        for resource in wanted {
            let due = match self.by_resource.get(resource).map(|kind| &kind.state) {
                None => true,
                Some(State::NotServed { again }) => *again <= now,
                Some(State::Asked | State::Watched { .. }) => false,
            };
            if due {
                let resource = Arc::new(resource.clone());
                let kind = self.by_resource.entry(resource.clone()).or_insert_with(Kind::new);
                kind.state = State::Asked;
                self.questions.push(ask(self.client.clone(), resource).boxed());
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
        let again = now.checked_add(ASK_EVERY).unwrap_or(now);
        let Some(kind) = self.by_resource.get_mut(&resource) else { return };
        match served {
            // Nothing of it can run.
            Ok(None) => {
                *kind = Kind { state: State::NotServed { again }, listed: true, ..Kind::new() };
            }
            Err(message) => {
                kind.state = State::NotServed { again };
                kind.broken.get_or_insert((now, message));
            }
            Ok(Some(served)) => {
                let ends = CancellationToken::new();
                let api = Api::<DynamicObject>::all_with(self.client.clone(), &served.resource);
                clock::spawn(forward_dynamic(api, self.contact.clone(), resource, self.said.clone(), ends.clone()));
                kind.listed = false;
                kind.state = State::Watched { served, _ends: ends.drop_guard() };
            }
        }
    }

    pub(super) fn take(&mut self, (resource, change): Said, now: Timestamp) {
        let Some(kind) = self.by_resource.get_mut(&resource) else { return };
        let State::Watched { served, .. } = &kind.state else { return };
        match change {
            Change::Listed(objects) => {
                let mut known = std::mem::take(&mut kind.objects);
                kind.objects = objects.into_iter().map(|object| entry(&resource, served, object, &mut known, now)).collect();
                (kind.listed, kind.broken) = (true, None);
            }
            Change::Applied(object) => {
                let (uid, entry) = entry(&resource, served, object, &mut kind.objects, now);
                kind.objects.insert(uid, entry);
            }
            Change::Deleted(object) => drop(kind.objects.remove(object.uid().unwrap_or_default().as_str())),
            Change::Unreadable { name, error, .. } => {
                kind.broken.get_or_insert((now, format!("{name} cannot be read: {}", single_line(&error, 100))));
            }
            Change::Failed { not_found: true, .. } => {
                let again = now.checked_add(ASK_EVERY).unwrap_or(now);
                *kind = Kind { state: State::NotServed { again }, listed: true, ..Kind::new() };
            }
            Change::Failed { message, forbidden, .. } => {
                let message = if forbidden { grant(&served.resource.plural, &resource.group) } else { message };
                kind.listed &= !forbidden;
                kind.broken.get_or_insert((now, message));
            }
        }
    }

    /// The objects of a kind, or why they cannot be told.
    pub(super) fn of(&self, resource: &Resource, now: Timestamp) -> Result<impl Iterator<Item = &Entry>, String> {
        let name = if resource.group.is_empty() { resource.resource.clone() } else { format!("{}.{}", resource.resource, resource.group) };
        let Some(kind) = self.by_resource.get(resource) else { return Err(format!("{name} are not watched yet")) };
        match &kind.broken {
            Some((since, message)) if !kind.listed || now.duration_since(*since) >= BROKEN => {
                Err(format!("{name} cannot be watched: {message}"))
            }
            _ if !kind.listed => Err(format!("waiting for the first list of {name}")),
            _ => Ok(kind.objects.values()),
        }
    }
}

impl Kind {
    const fn new() -> Self {
        Self { state: State::Asked, objects: BTreeMap::new(), listed: false, broken: None }
    }
}

fn grant(plural: &str, group: &str) -> String {
    format!("the operator may not; grant it what deploy/optional/read-tools.yaml has for {plural}.{group}")
}

async fn ask(client: Client, resource: Arc<Resource>) -> Answer {
    let served = discovery::plural(&client, &resource.group, &resource.resource).await;
    (resource, served.map_err(|error| single_line(&error.to_string(), 120)))
}

/// What is kept of an object. When it began to run is when that was seen; of one that is seen for the first time, when it was made.
fn entry(
    resource: &Arc<Resource>,
    served: &Served,
    mut object: DynamicObject,
    known: &mut BTreeMap<Arc<str>, Entry>,
    now: Timestamp,
) -> (Arc<str>, Entry) {
    let uid: Arc<str> = object.uid().unwrap_or_default().into();
    let before = known.remove(&uid).map(|entry| entry.started);
    let labels = std::mem::take(object.labels_mut());
    let owner = object.owner_references_mut().iter().find(|owner| owner.controller == Some(true)).cloned();
    let created = object.creation_timestamp().map_or(now, |time| time.0);
    let annotations: Map<String, Value> = object.annotations().iter().map(|(k, v)| (k.clone(), Value::from(v.as_str()))).collect();
    let (namespace, name): (Option<Arc<str>>, Arc<str>) = (object.namespace().map(Into::into), object.name_any().into());
    if let Value::Object(data) = &mut object.data {
        data.insert("metadata".to_owned(), json!({ "namespace": namespace.as_deref(), "name": &*name, "annotations": annotations }));
    }
    let stands = told(life(resource, &object.data), before.as_deref(), now);
    let since = match &before {
        Some(before) if before.life.runs() || !stands.runs() => before.since,
        Some(_) => now,
        None => created,
    };
    if let Value::Object(data) = &mut object.data {
        data.remove("status");
    }
    let aim = Aim {
        group: resource.group.as_str().into(),
        kind: served.resource.kind.as_str().into(),
        namespace: namespace.clone(),
        object: object.data,
    };
    let started = Started {
        resource: resource.clone(),
        namespace,
        name,
        uid: uid.clone(),
        life: stands,
        since,
        created,
        requester: None,
        aim: Some(Arc::new(aim)),
    };
    (uid, Entry { started: Arc::new(started), labels, owner })
}

/// When something ended is when that was seen, if it does not say so itself.
fn told(life: Life, before: Option<&Started>, now: Timestamp) -> Life {
    match (life, before.map(|before| before.life)) {
        (Life::Over(None), Some(Life::Running)) => Life::Over(Some(now)),
        (Life::Over(None), Some(known @ Life::Over(Some(_)))) => known,
        (life, _) => life,
    }
}
