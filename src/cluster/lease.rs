//! Leadership: plays the moves of [`crate::core::lease`] on the Lease, and publishes what came of it.

use super::apply::FIELD_MANAGER;
use super::client::{CallError, call};
use super::contact::{Clocks, Contact, LEASE, Sight};
use crate::clock;
use crate::core::freshness::Watermark;
use crate::core::lease::{Elector, Leading, LeaseView, Move, Outcome, TAKEN_AFTER, Write, annotations};
use crate::core::text::single_line;
use crate::telemetry::health::Readiness;
use crate::telemetry::metrics::Metrics;
use jiff::SignedDuration;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Map, Value, json};
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The name of the condition of readiness.
pub const READY_LEASE: &str = "lease";
/// How long a write may take. Then it is tried again, so that one that is lost does not cost the leadership.
const WRITE_DEADLINE: Duration = Duration::from_millis(1500);
/// By how much candidates differ.
const JITTER: Duration = Duration::from_secs(1);
/// The longest part of a holder's name that is this machine's.
const NAME: usize = 200;

/// Whether this replica leads.
#[derive(Clone, Debug, Default)]
pub enum Role {
    /// Another does, or nobody.
    #[default]
    Follower,
    /// It does.
    Leader(Leadership),
}

impl Role {
    /// The leadership, if it lasts at this moment.
    pub fn leadership(&self) -> Option<&Leadership> {
        match self {
            Self::Leader(leadership) if leadership.holds() => Some(leadership),
            Self::Leader(_) | Self::Follower => None,
        }
    }
}

/// A leadership of this replica. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// Its number.
    pub term: i64,
    /// What the leader before vouched for last; it is final.
    pub taken_over: Option<Watermark>,
    lasts: Arc<Lasts>,
}

#[derive(Debug)]
struct Lasts {
    clocks: Clocks,
    /// `None` once it is over.
    leading: RwLock<Option<Leading>>,
}

impl Leadership {
    /// Whether it lasts at this moment: nobody else can lead. To be asked before anything is done as the leader, and again after any wait: a
    /// process that was stopped does not know.
    pub fn holds(&self) -> bool {
        let leading = self.lasts.leading.read().unwrap_or_else(PoisonError::into_inner);
        leading.as_ref().is_some_and(|leading| leading.holds(self.lasts.clocks.now()))
    }
}

/// What keeping the Lease needs.
pub struct LeaseKeeper {
    /// The API server.
    pub client: Client,
    /// What is seen of the Lease.
    pub contact: Contact,
    /// The operator's namespace, in which the Lease is.
    pub namespace: String,
    /// The name of this pod or machine; what tells one process from another is added.
    pub name: String,
    /// Counts.
    pub metrics: Metrics,
    /// Told whether the Lease is there.
    pub readiness: Readiness,
    /// The latest leadership that statuses of checks name.
    pub terms: watch::Receiver<i64>,
}

/// What comes of keeping the Lease. If the sender is dropped, no more watermarks are published.
pub struct Kept {
    /// Whether this replica leads.
    pub role: watch::Receiver<Role>,
    /// What the leader vouches for. It is published with the next renewal, within about a second, if its term is that of the leadership.
    pub vouched: watch::Sender<Option<Watermark>>,
    /// The newest watermark that was seen, by any replica.
    pub watermark: watch::Receiver<Option<Watermark>>,
}

/// Takes part in the election until `release` is cancelled; then, if this replica leads, it gives up the Lease, so that another takes over at
/// once. To be cancelled after the last write as the leader is done.
pub fn keep(keeper: LeaseKeeper, release: CancellationToken) -> (Kept, impl Future<Output = ()> + Send) {
    let (role, role_out) = watch::channel(Role::default());
    let (vouched_in, vouched) = watch::channel(None);
    let (watermark, watermark_out) = watch::channel(None);
    let me = format!("{}_{:08x}", single_line(&keeper.name, NAME), fastrand::u32(..));
    let elector = Elector::new(me, JITTER.mul_f64(fastrand::f64()));
    let task = Task {
        api: Api::namespaced(keeper.client, &keeper.namespace),
        sight: keeper.contact.lease(),
        clocks: Clocks::start(),
        elector,
        role,
        vouched,
        watermark,
        metrics: keeper.metrics,
        contact: keeper.contact,
        readiness: keeper.readiness,
        terms: keeper.terms,
        namespace: keeper.namespace,
        was_there: false,
        told: Sight::Unknown,
    };
    (Kept { role: role_out, vouched: vouched_in, watermark: watermark_out }, task.run(release))
}

struct Task {
    api: Api<Lease>,
    contact: Contact,
    sight: watch::Receiver<Sight>,
    clocks: Clocks,
    elector: Elector,
    role: watch::Sender<Role>,
    vouched: watch::Receiver<Option<Watermark>>,
    terms: watch::Receiver<i64>,
    watermark: watch::Sender<Option<Watermark>>,
    metrics: Metrics,
    readiness: Readiness,
    namespace: String,
    was_there: bool,
    /// What was last told of the Lease, if it is not usable.
    told: Sight,
}

impl Task {
    async fn run(mut self, release: CancellationToken) {
        loop {
            self.elector.heard_of(*self.terms.borrow());
            self.publish_role();
            let wanted = self.vouched.borrow().clone();
            match self.elector.step(self.clocks.now(), wanted.as_ref()) {
                Move::Acquire(write) | Move::Renew(write) => self.write(&write).await,
                Move::StepDown => {
                    tracing::warn!("this replica leads no longer");
                    self.elector.step_down();
                    self.publish_role();
                }
                Move::Wait(wait) => {
                    let wait = wait.unwrap_or(TAKEN_AFTER).min(Duration::from_secs(1));
                    tokio::select! {
                        () = release.cancelled() => return self.release().await,
                        Ok(()) = self.sight.changed() => {}
                        () = clock::sleep(wait) => {}
                    }
                    self.look();
                }
            }
            if release.is_cancelled() {
                return self.release().await;
            }
        }
    }

    /// Takes in what is seen of the Lease.
    fn look(&mut self) {
        let sight = self.sight.borrow_and_update().clone();
        let now = self.clocks.now();
        match &sight {
            Sight::There(view) => self.elector.observe(Some(view.clone()), now),
            Sight::Missing => self.elector.observe(None, now),
            Sight::Refused(_) | Sight::Unknown => {}
        }
        self.tell(&sight);
        if let Sight::There(LeaseView { watermark: Some(seen), .. }) = &sight {
            self.watermark.send_if_modified(|known| {
                let news = known.as_ref() != Some(seen);
                *known = Some(seen.clone());
                news
            });
        }
        self.measure();
    }

    /// Says what is wrong with the Lease, once. An operator that never had one is not ready: its installation is incomplete. One that loses it
    /// still answers, because live checks need no leader.
    fn tell(&mut self, sight: &Sight) {
        let place = format!("{}/{LEASE}", self.namespace);
        let wrong = match sight {
            Sight::Unknown => return,
            Sight::There(_) => None,
            Sight::Missing => Some(format!("the Lease {place} is missing, so no replica leads: apply the installation manifest again")),
            Sight::Refused(message) => Some(format!("the Lease {place} cannot be read: {message}")),
        };
        match &wrong {
            None => {
                self.was_there = true;
                self.readiness.ready(READY_LEASE);
            }
            Some(wrong) if !self.was_there => self.readiness.not_ready(READY_LEASE, wrong.clone()),
            Some(_) => {}
        }
        if std::mem::discriminant(sight) != std::mem::discriminant(&self.told) {
            self.told = sight.clone();
            if let Some(wrong) = wrong {
                tracing::error!("{wrong}");
            }
        }
    }

    fn measure(&self) {
        let ahead = self.contact.proof().borrow().offset.map_or(SignedDuration::ZERO, |offset| offset.latest);
        let age = self.watermark.borrow().as_ref().map(|watermark| clock::now().duration_since(watermark.time).saturating_add(ahead));
        self.metrics.watermark_age(age.map(|age| age.as_secs_f64()));
    }

    async fn write(&mut self, write: &Write) {
        let began = self.clocks.now();
        let outcome = self.send(write).await;
        self.elector.written(write, began, outcome, self.clocks.now());
        self.publish_role();
    }

    async fn send(&self, write: &Write) -> Outcome {
        let patch = Patch::Merge(body(write, &format!("{:.6}", clock::now())));
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        match clock::within(WRITE_DEADLINE, call(self.api.patch(LEASE, &params, &patch))).await {
            Ok(Ok(lease)) => Outcome::Written(LeaseView::of(&lease)),
            Ok(Err(CallError::Kube(kube::Error::Api(status)))) if (400..500).contains(&status.code) && status.code != 429 => {
                if ![404, 409].contains(&status.code) {
                    tracing::error!(error = single_line(&status.message, NAME), "the Lease cannot be written, so this replica cannot lead");
                }
                Outcome::Refused
            }
            _ => Outcome::Unanswered,
        }
    }

    /// Tells who waits for the role if it changed, and how long it lasts in any case.
    fn publish_role(&self) {
        let leading = self.elector.leading();
        self.metrics.leader(leading.is_some());
        self.role.send_if_modified(|role| match (&*role, leading) {
            (Role::Leader(leadership), Some(leading)) if leadership.term == leading.term => {
                *leadership.lasts.leading.write().unwrap_or_else(PoisonError::into_inner) = Some(leading.clone());
                false
            }
            (Role::Follower, None) => false,
            (_, new) => {
                if let Role::Leader(old) = &*role {
                    *old.lasts.leading.write().unwrap_or_else(PoisonError::into_inner) = None;
                }
                *role = new.map_or(Role::Follower, |leading| self.leadership(leading));
                true
            }
        });
    }

    fn leadership(&self, leading: &Leading) -> Role {
        tracing::info!(term = leading.term, "this replica leads");
        let lasts = Lasts { clocks: self.clocks, leading: RwLock::new(Some(leading.clone())) };
        Role::Leader(Leadership { term: leading.term, taken_over: leading.taken_over.clone(), lasts: Arc::new(lasts) })
    }

    /// First leads no longer, then says so.
    async fn release(mut self) {
        let write = self.elector.release();
        self.elector.step_down();
        self.publish_role();
        if let Some(write) = write {
            let given_up = matches!(self.send(&write).await, Outcome::Written(_));
            tracing::info!(given_up, "the Lease");
        }
    }
}

/// The merge patch of a write. Naming the version that it replaces makes the API server refuse it if there is another.
fn body(write: &Write, now: &str) -> Value {
    let mut spec = Map::from_iter([
        ("holderIdentity".to_owned(), write.holder.clone().map_or(Value::Null, Value::from)),
        ("leaseTransitions".to_owned(), write.term.into()),
        ("leaseDurationSeconds".to_owned(), TAKEN_AFTER.as_secs().into()),
    ]);
    if write.holder.is_some() {
        spec.insert("renewTime".to_owned(), now.into());
    }
    let carried: Map<String, Value> =
        write.watermark.iter().flat_map(annotations).map(|(key, value)| (key.to_owned(), value.into())).collect();
    json!({ "metadata": { "resourceVersion": write.replaces.version, "annotations": carried }, "spec": spec })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::freshness::Revision;
    use jiff::Timestamp;

    #[test]
    fn a_write_names_what_it_replaces_and_touches_only_what_is_ours() {
        let replaces = LeaseView { version: "41".to_owned(), revision: Revision(41), holder: None, term: 2, watermark: None };
        let mark = Watermark { time: Timestamp::UNIX_EPOCH, revision: Revision(40), term: 3, since: Revision(39) };
        let write = Write { replaces, holder: Some("pod_1".to_owned()), term: 3, watermark: Some(mark) };
        let expected = json!({
            "metadata": { "resourceVersion": "41", "annotations": {
                "holdpoint.dev/watermark-time": "1970-01-01T00:00:00Z",
                "holdpoint.dev/watermark-revision": "40",
                "holdpoint.dev/watermark-term": "3",
                "holdpoint.dev/watermark-since": "39",
            } },
            "spec": { "holderIdentity": "pod_1", "leaseTransitions": 3, "leaseDurationSeconds": 6, "renewTime": "now" },
        });
        assert_eq!(body(&write, "now"), expected);
        let given_up = body(&Write { holder: None, watermark: None, ..write }, "now");
        assert_eq!(given_up["spec"], json!({ "holderIdentity": null, "leaseTransitions": 3, "leaseDurationSeconds": 6 }));
        assert_eq!(given_up["metadata"]["annotations"], json!({}));
    }
}
