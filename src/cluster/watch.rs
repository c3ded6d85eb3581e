//! Watches: a stream of what changed, complete at first, that mends itself.
//!
//! After any error the watch begins again with a full list. The library's watcher would resume in silence, and silence after an error cannot be
//! told from a connection that delivers nothing; a list is the proof that it works again.

use super::client::is_not_found;
use super::contact::Contact;
use crate::clock;
use crate::core::freshness::Revision;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use kube::Api;
use kube::api::{DynamicObject, ListParams, ObjectMeta};
use kube::core::{DeserializeGuard, Resource};
use kube::runtime::watcher::{self, Config, Event, watcher};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// What a watch says.
#[derive(Debug)]
pub enum Change<K> {
    /// All objects there are. What was known before and is not in it, is gone.
    Listed(Vec<K>),
    /// An object is new or changed.
    Applied(K),
    /// An object is gone.
    Deleted(K),
    /// An object that cannot be read as its kind. The others go on.
    Unreadable {
        /// Its namespace.
        namespace: Option<String>,
        /// Its name.
        name: String,
        /// What is wrong with it.
        error: String,
    },
    /// The watch broke, and will be started again.
    Failed {
        /// One line.
        message: String,
        /// The operator has not the right to list or watch.
        forbidden: bool,
        /// The kind is not served (any longer).
        not_found: bool,
        /// For how long nothing had proved that it works.
        silent: Duration,
    },
}

/// What a watch says that tells lists in parts: of ten thousand objects, only a few are in memory as they came.
#[derive(Debug)]
pub enum Told<K> {
    /// Some of a list, which goes on.
    Part(Vec<K>),
    /// What happened. `Listed` ends a list: it has those that were in no part of it.
    Change(Change<K>),
}

/// How many objects are told in one part.
const PART: usize = 128;

/// The first delay before a broken watch is started again; it doubles, because a verdict that is not renewed blocks, up to [`LAST_DELAY`].
const FIRST_DELAY: Duration = Duration::from_millis(100);
/// The longest delay.
const LAST_DELAY: Duration = Duration::from_secs(5);

/// Watches one of the operator's own kinds, or another typed one. One object that cannot be read stops nothing.
pub fn watch<K>(api: Api<DeserializeGuard<K>>, config: Config, contact: Contact) -> impl Stream<Item = Change<K>> + Send
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    mending(contact, move || watcher(api.clone(), config.clone()).boxed(), read_guarded)
}

fn read_guarded<K: Resource>(DeserializeGuard(object): DeserializeGuard<K>) -> Read<K> {
    match object {
        Ok(mut object) => {
            prune(object.meta_mut());
            Read::Object(object)
        }
        Err(bad) => Read::Bad(bad.metadata.namespace, bad.metadata.name.unwrap_or_default(), bad.error),
    }
}

/// As [`watch`], of a kind whose revisions are compared. A list of what there is does not say at which revision that is so, if the newest object
/// was deleted. So before each list the revision is asked for, and put here: the list is at that one or a later. Lists are told in parts.
pub fn watch_from<K>(
    api: Api<DeserializeGuard<K>>,
    config: Config,
    contact: Contact,
    listed: Arc<AtomicU64>,
) -> impl Stream<Item = Told<K>> + Send
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let make = move || {
        let (before, listed) = (api.clone(), listed.clone());
        let asked = async move {
            let found = before.list_metadata(&ListParams::default().limit(1)).await.map_err(watcher::Error::InitialListFailed)?;
            let revision = Revision::parse(found.metadata.resource_version.as_deref()).unwrap_or_default();
            listed.fetch_max(revision.0, Ordering::AcqRel);
            Ok(())
        };
        let failed = futures::stream::once(asked).filter_map(|asked: watcher::Result<()>| std::future::ready(asked.err().map(Err)));
        failed.chain(watcher(api.clone(), config.clone())).boxed()
    };
    in_parts(contact, PART, make, read_guarded)
}

/// Watches objects of any kind as they are. What no probe reads is dropped on arrival.
pub fn watch_dynamic(api: Api<DynamicObject>, config: Config, contact: Contact) -> impl Stream<Item = Change<DynamicObject>> + Send {
    mending(
        contact,
        move || watcher(api.clone(), config.clone()).boxed(),
        |mut object| {
            prune(&mut object.metadata);
            Read::Object(object)
        },
    )
}

/// Sends what a watch of objects says, each with what tells it from other watches, until it is told to end or nobody listens.
pub async fn forward_dynamic<T: Clone>(
    api: Api<DynamicObject>,
    contact: Contact,
    of: T,
    said: mpsc::Sender<(T, Change<DynamicObject>)>,
    ends: CancellationToken,
) {
    let mut changes = pin!(watch_dynamic(api, Config::default(), contact));
    let all = async {
        while let Some(change) = changes.next().await {
            if said.send((of.clone(), change)).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = ends.cancelled() => {}
        () = all => {}
    }
}

/// Managed fields and the last-applied annotation are often most of an object, and nobody reads them.
fn prune(metadata: &mut ObjectMeta) {
    metadata.managed_fields = None;
    if let Some(annotations) = &mut metadata.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
}

enum Read<K> {
    Object(K),
    Bad(Option<String>, String, String),
}

type Events<T> = BoxStream<'static, watcher::Result<Event<T>>>;

struct Watch<T, K, M, R> {
    make: M,
    read: R,
    contact: Contact,
    events: Option<Events<T>>,
    listing: Vec<K>,
    /// How many of a list are told at once.
    part: usize,
    delay: Duration,
}

fn mending<T, K, M, R>(contact: Contact, make: M, read: R) -> impl Stream<Item = Change<K>> + Send
where
    T: Send + 'static,
    K: Send,
    M: Fn() -> Events<T> + Send,
    R: Fn(T) -> Read<K> + Send,
{
    in_parts(contact, usize::MAX, make, read).filter_map(|told| {
        std::future::ready(match told {
            Told::Part(_) => None,
            Told::Change(change) => Some(change),
        })
    })
}

fn in_parts<T, K, M, R>(contact: Contact, part: usize, make: M, read: R) -> impl Stream<Item = Told<K>> + Send
where
    T: Send + 'static,
    K: Send,
    M: Fn() -> Events<T> + Send,
    R: Fn(T) -> Read<K> + Send,
{
    let start = Watch { make, read, contact, events: None, listing: Vec::new(), part, delay: Duration::ZERO };
    futures::stream::unfold(start, |mut watch| async move {
        let told = watch.next().await;
        Some((told, watch))
    })
}

impl<T, K, M, R> Watch<T, K, M, R>
where
    M: Fn() -> Events<T>,
    R: Fn(T) -> Read<K>,
{
    async fn next(&mut self) -> Told<K> {
        loop {
            let events = if let Some(events) = &mut self.events {
                events
            } else {
                clock::sleep(self.delay).await;
                self.contact.regained().await;
                self.delay = (self.delay * 2).clamp(FIRST_DELAY, LAST_DELAY);
                self.events.insert((self.make)())
            };
            let told = tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) => self.take(event),
                    Some(Err(error)) => Some(Told::Change(self.fail(&error))),
                    None => {
                        self.events = None;
                        None
                    }
                },
                silent = self.contact.lost() => Some(Told::Change(self.silence(silent))),
            };
            if let Some(told) = told {
                return told;
            }
        }
    }

    fn take(&mut self, event: Event<T>) -> Option<Told<K>> {
        match event {
            Event::Init => {
                self.listing.clear();
                None
            }
            Event::InitApply(object) => match (self.read)(object) {
                Read::Object(object) => {
                    self.listing.push(object);
                    (self.listing.len() >= self.part).then(|| Told::Part(std::mem::take(&mut self.listing)))
                }
                Read::Bad(namespace, name, error) => Some(Told::Change(Change::Unreadable { namespace, name, error })),
            },
            Event::InitDone => {
                self.delay = Duration::ZERO;
                Some(Told::Change(Change::Listed(std::mem::take(&mut self.listing))))
            }
            Event::Apply(object) => Some(Told::Change(self.one(object, Change::Applied))),
            Event::Delete(object) => Some(Told::Change(self.one(object, Change::Deleted))),
        }
    }

    fn one(&self, object: T, wrap: impl Fn(K) -> Change<K>) -> Change<K> {
        match (self.read)(object) {
            Read::Object(object) => wrap(object),
            Read::Bad(namespace, name, error) => Change::Unreadable { namespace, name, error },
        }
    }

    fn silence(&mut self, silent: Duration) -> Change<K> {
        self.events = None;
        let message = "the API server does not answer".to_owned();
        Change::Failed { message, forbidden: false, not_found: false, silent }
    }

    fn fail(&mut self, error: &watcher::Error) -> Change<K> {
        self.events = None;
        let status = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(s))
            | watcher::Error::WatchStartFailed(kube::Error::Api(s))
            | watcher::Error::WatchFailed(kube::Error::Api(s))
            | watcher::Error::WatchError(s) => Some(s),
            _ => None,
        };
        Change::Failed {
            message: status.map_or_else(|| error.to_string(), |s| s.message.clone()),
            forbidden: status.is_some_and(|s| s.is_forbidden()),
            not_found: status.is_some_and(|s| is_not_found(s)),
            silent: Duration::ZERO,
        }
    }
}
