//! Touches the parents of refused children when their gate opens: some controllers look again only when something changes.

use super::acting::lacks_right;
use super::telling;
use crate::clock;
use crate::cluster::apply::ObjectRef;
use crate::cluster::client::CallError;
use crate::cluster::discovery;
use crate::cluster::events::Events;
use crate::cluster::fields;
use crate::core::during_run::{Stalled, nudge, stalls};
use crate::core::gate::{Gate, Resource};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Who touches parents.
const MANAGER: &str = "holdpoint-nudge";
/// How many wait; more are not touched.
const MAX_WAITING: usize = 256;
/// How many are touched at once.
const CONCURRENCY: usize = 4;
/// How often it is tried.
const ATTEMPTS: u32 = 5;
/// The pause before the second try; it doubles.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(1);

/// A gate that opened, and the parents of what it had refused, each with the time of the latest refusal.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The gate.
    pub gate: Arc<Gate>,
    /// The parents.
    pub refused: Vec<(Stalled, Timestamp)>,
}

struct Waiting {
    gate: Arc<Gate>,
    refused: Timestamp,
    attempt: u32,
    due: Timestamp,
}

/// A try that ended.
pub(super) struct Tried {
    stalled: Stalled,
    waiting: Waiting,
    result: Result<(), CallError>,
}

/// The parents to touch.
pub(super) struct Nudging {
    client: Client,
    events: Events,
    waiting: BTreeMap<Stalled, Waiting>,
    under_way: BTreeSet<Stalled>,
    tries: FuturesUnordered<BoxFuture<'static, Tried>>,
}

impl Nudging {
    pub(super) fn new(client: Client, events: Events) -> Self {
        Self { client, events, waiting: BTreeMap::new(), under_way: BTreeSet::new(), tries: FuturesUnordered::new() }
    }

    /// Takes in that a gate opened.
    pub(super) fn opened(&mut self, opened: Opened, now: Timestamp) {
        for (stalled, refused) in opened.refused {
            let room = self.waiting.len() < MAX_WAITING || self.waiting.contains_key(&stalled);
            if stalls(&stalled.api_version, &stalled.kind).is_some() && room {
                self.waiting.insert(stalled, Waiting { gate: opened.gate.clone(), refused, attempt: 0, due: now });
            }
        }
    }

    /// Begins what is due.
    pub(super) fn look(&mut self, now: Timestamp) {
        while self.tries.len() < CONCURRENCY {
            let due = |(stalled, waiting): &(&Stalled, &Waiting)| waiting.due <= now && !self.under_way.contains(*stalled);
            let Some(stalled) = self.waiting.iter().find(due).map(|(stalled, _)| stalled.clone()) else { return };
            let Some(waiting) = self.waiting.remove(&stalled) else { return };
            self.under_way.insert(stalled.clone());
            let client = self.client.clone();
            let attempt = async move {
                let result = touch(&client, &stalled, waiting.refused).await;
                Tried { stalled, waiting, result }
            };
            self.tries.push(attempt.boxed());
        }
    }

    /// When something is due.
    pub(super) fn again(&self) -> Option<Timestamp> {
        self.waiting.values().map(|waiting| waiting.due).min()
    }

    /// The next try that ended; for ever, if none is under way.
    pub(super) async fn tried(&mut self) -> Tried {
        match self.tries.next().await {
            Some(tried) => tried,
            None => std::future::pending().await,
        }
    }

    /// Takes in how a try ended.
    pub(super) fn take(&mut self, tried: Tried, now: Timestamp) {
        let Tried { stalled, mut waiting, result } = tried;
        self.under_way.remove(&stalled);
        let Err(error) = result else { return };
        if error.is_not_found() {
            return;
        }
        let resource = Resource {
            group: stalled.api_version.split('/').next().unwrap_or_default().to_owned(),
            resource: stalls(&stalled.api_version, &stalled.kind).unwrap_or_default().to_owned(),
        };
        let right = ["get", "patch"].into_iter().find(|verb| lacks_right(&error, verb));
        let title = stalled.namespace.as_ref().map_or_else(|| stalled.name.clone(), |namespace| format!("{namespace}/{}", stalled.name));
        if waiting.attempt == 0 {
            let why = right.map_or_else(
                || error.to_string(),
                |verb| {
                    format!("the operator may not {verb} {}.{}; {}", resource.resource, resource.group, telling::grant(&resource, false))
                },
            );
            let note = format!("cannot make {} {title} try again what was refused: {why}", stalled.kind);
            tracing::warn!(gate = %waiting.gate.key, message = note, "a parent could not be touched");
            self.events.publish(telling::of_gate(&waiting.gate, note));
        }
        waiting.attempt += 1;
        if waiting.attempt < ATTEMPTS {
            waiting.due = now.checked_add(FIRST_PAUSE.saturating_mul(1 << waiting.attempt)).unwrap_or(now);
            // A later refusal counts for more.
            self.waiting.entry(stalled).or_insert(waiting);
        }
    }
}

async fn touch(client: &Client, stalled: &Stalled, refused: Timestamp) -> Result<(), CallError> {
    let Some(served) = discovery::kind(client, &stalled.api_version, &stalled.kind).await? else { return Ok(()) };
    let object = ObjectRef { resource: served.resource, namespace: stalled.namespace.clone(), name: stalled.name.clone() };
    let Some(parent) = fields::get(client, &object).await? else { return Ok(()) };
    let parent = serde_json::to_value(parent).unwrap_or_default();
    let Some(fields) = nudge(stalled, &parent, refused, clock::now()) else { return Ok(()) };
    fields::apply(client, &object, MANAGER, &fields).await?;
    tracing::info!(kind = stalled.kind, namespace = stalled.namespace, name = stalled.name, "touched, to try again what was refused");
    Ok(())
}
