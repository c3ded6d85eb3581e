//! Proof that the API server is still there, and that watches deliver.
//!
//! A connection that was cut without a word (a firewall that forgot it, a machine that vanished) looks like one on which nothing happens: a
//! watch would go on trusting it for minutes, and what it delivered last with it. So the Lease is asked for about every second, on a
//! connection of its own, and what was found must be seen through a watch of the Lease as well. While the API server does not answer, or the
//! watch does not show it, all watches count as broken; when it does again they begin anew with a full list.
//!
//! The answers also tell how far this machine's clock is from the API server's.

use super::watch::{Change, watch as watch_objects};
use crate::clock;
use crate::core::clock_offset::{Estimator, Offset};
use crate::core::lease::LeaseView;
use crate::core::liveness::{Found, Liveness};
use crate::core::moment::Moment;
use crate::core::text::single_line;
use crate::telemetry::metrics::Metrics;
use futures::{Stream, StreamExt};
use http::StatusCode;
use http::header::DATE;
use http_body_util::{BodyExt, Limited};
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::GetParams;
use kube::client::Body;
use kube::core::{DeserializeGuard, Request, Resource};
use kube::runtime::watcher::Config;
use kube::{Api, Client};
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The name of the Lease, in the operator's namespace.
pub const LEASE: &str = "holdpoint";
/// How often the API server is asked. Not quite evenly, because its answers are dated by the second: see [`crate::core::clock_offset`].
const EVERY: Duration = Duration::from_millis(900);
/// How much later it may be, by chance.
const JITTER: Duration = Duration::from_millis(200);
/// How long it may take to answer. With [`EVERY`] and the tolerance for a broken watch, what was watched is believed for 5 s after the last proof.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a watch of the Lease that was begun again for being late is given before it is begun yet again.
const LATE_AGAIN: Duration = Duration::from_secs(10);
/// The longest Lease that is read. Ours has less than 1 kB.
const LONGEST: usize = 256 * 1024;
/// The longest error that is told.
const MESSAGE: usize = 300;
/// How HTTP writes dates.
const DATES: DateTimeParser = DateTimeParser::new();

#[derive(Clone, Copy, Debug)]
struct State {
    alive: bool,
    last_proof: Instant,
}

/// What is known of the knowledge of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// When the last question was asked whose answer came and was seen through a watch as well, by this machine's clock.
    pub proved_at: Option<Timestamp>,
    /// How far this machine's clock is from the API server's; `None` before the first answer.
    pub offset: Option<Offset>,
}

/// What is seen of the Lease, by question or through the watch, whichever is newer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sight {
    /// Nothing yet.
    #[default]
    Unknown,
    /// It is not there, so nobody can lead.
    Missing,
    /// The operator may not read it. One line.
    Refused(String),
    /// It is there.
    There(LeaseView),
}

/// Whether the API server answers and watches deliver. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Contact {
    state: watch::Receiver<State>,
    proof: watch::Receiver<Proof>,
    sight: watch::Receiver<Sight>,
}

impl Contact {
    /// Contact through the Lease in a namespace, and the task that keeps it.
    pub fn new(client: Client, namespace: &str, metrics: Metrics) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (proof_in, proof) = watch::channel(Proof::default());
        let (sight_in, sight) = watch::channel(Sight::default());
        let started = State { alive: true, last_proof: clock::instant() };
        let (all, state) = watch::channel(started);
        let (own, own_state) = watch::channel(started);
        let contact = Self { state, proof, sight };
        // The watch of the Lease must begin again while it is itself the reason for which all others wait.
        let for_lease = Self { state: own_state, ..contact.clone() };
        let keeper = Keeper {
            metrics,
            all,
            own,
            proof: proof_in,
            sight: sight_in,
            clocks: Clocks::start(),
            liveness: Liveness::default(),
            estimator: Estimator::default(),
            answers: true,
            begun_again: None,
        };
        (contact, keeper.run(client, namespace.to_owned(), for_lease))
    }

    /// Waits until the API server answers and watches deliver.
    pub async fn regained(&mut self) {
        let ended = self.state.wait_for(|state| state.alive).await.is_err();
        if ended {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the API server does not answer, or watches do not deliver. Returns for how long there has been no proof.
    pub async fn lost(&mut self) -> Duration {
        let silent = self.state.wait_for(|state| !state.alive).await.map(|state| state.last_proof.elapsed()).ok();
        match silent {
            Some(silent) => silent,
            None => std::future::pending().await,
        }
    }

    /// The last proof, and how far the clock is off. Changes about every second.
    pub fn proof(&self) -> watch::Receiver<Proof> {
        self.proof.clone()
    }

    /// What is seen of the Lease.
    pub fn lease(&self) -> watch::Receiver<Sight> {
        self.sight.clone()
    }
}

/// Both clocks of this process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks(Instant);

impl Clocks {
    pub(super) fn start() -> Self {
        Self(clock::instant())
    }

    pub(super) fn now(self) -> Moment {
        Moment { steady: self.0.elapsed(), wall: clock::now() }
    }

    fn instant(self, moment: Moment) -> Instant {
        self.0.checked_add(moment.steady).unwrap_or(self.0)
    }
}

/// A question that was answered, or not in time.
struct Asked {
    at: Moment,
    over: Moment,
    answer: Option<Answer>,
}

struct Answer {
    sight: Sight,
    date: Option<Timestamp>,
}

/// Asks for ever: each question about [`EVERY`] after the last.
fn questions(client: Client, namespace: String, clocks: Clocks) -> impl Stream<Item = Asked> + Send {
    futures::stream::unfold((client, namespace, Duration::ZERO), move |(client, namespace, wait)| async move {
        clock::sleep(wait).await;
        let at = clocks.now();
        let answer = clock::within(PATIENCE, ask(&client, &namespace)).await.ok().flatten();
        let over = clocks.now();
        let next = (EVERY + JITTER.mul_f64(fastrand::f64())).saturating_sub(over.steady_since(at));
        Some((Asked { at, over, answer }, (client, namespace, next)))
    })
}

/// Asks for the Lease. `None` is no answer, or one that tells nothing.
async fn ask(client: &Client, namespace: &str) -> Option<Answer> {
    let request = Request::new(Lease::url_path(&(), Some(namespace))).get(LEASE, &GetParams::default()).ok()?;
    let response = client.send(request.map(Body::from)).await.ok()?;
    let date = response.headers().get(DATE).and_then(|date| DATES.parse_timestamp(date.as_bytes()).ok());
    let status = response.status();
    let body = Limited::new(response.into_body(), LONGEST).collect().await.ok()?.to_bytes();
    let sight = match status {
        StatusCode::OK => Sight::There(LeaseView::of(&serde_json::from_slice(&body).ok()?)),
        StatusCode::NOT_FOUND => Sight::Missing,
        StatusCode::FORBIDDEN => Sight::Refused(message(&body)),
        _ => return None,
    };
    Some(Answer { sight, date })
}

/// The API server's own words.
fn message(body: &[u8]) -> String {
    let status: Option<kube::core::Status> = serde_json::from_slice(body).ok();
    single_line(&status.map_or_else(|| "forbidden".to_owned(), |status| status.message), MESSAGE)
}

struct Keeper {
    metrics: Metrics,
    /// What all watches wait for.
    all: watch::Sender<State>,
    /// What the watch of the Lease waits for.
    own: watch::Sender<State>,
    proof: watch::Sender<Proof>,
    sight: watch::Sender<Sight>,
    clocks: Clocks,
    liveness: Liveness,
    estimator: Estimator,
    answers: bool,
    /// When the watch of the Lease was last begun again for being late.
    begun_again: Option<Moment>,
}

impl Keeper {
    async fn run(mut self, client: Client, namespace: String, contact: Contact) {
        let api: Api<DeserializeGuard<Lease>> = Api::namespaced(client.clone(), &namespace);
        let mut changes = std::pin::pin!(watch_objects(api, Config::default().fields(&format!("metadata.name={LEASE}")), contact));
        let mut questions = std::pin::pin!(questions(client, namespace, self.clocks));
        while !self.all.is_closed() {
            tokio::select! {
                Some(asked) = questions.next() => self.asked(asked),
                Some(change) = changes.next() => self.changed(change),
            }
        }
    }

    fn asked(&mut self, asked: Asked) {
        self.answers = asked.answer.is_some();
        if let Some(answer) = asked.answer {
            if let Some(date) = answer.date {
                // What the monotonic clock says of the way there and back; the wall clock may be set meanwhile.
                let way = SignedDuration::try_from(asked.over.steady_since(asked.at)).unwrap_or_default();
                self.estimator.answered(date, asked.at.wall, asked.at.wall.saturating_add(way).unwrap_or(asked.over.wall));
            }
            match &answer.sight {
                Sight::There(view) => self.liveness.answered(asked.at, Found::At(view.revision)),
                Sight::Missing => self.liveness.answered(asked.at, Found::Missing),
                Sight::Refused(_) | Sight::Unknown => {}
            }
            self.see(answer.sight);
        }
        self.publish();
    }

    /// The watch of the Lease says something.
    fn changed(&mut self, change: Change<Lease>) {
        let sight = match change {
            Change::Listed(leases) => leases.first().map_or(Sight::Missing, |lease| Sight::There(LeaseView::of(lease))),
            Change::Applied(lease) => Sight::There(LeaseView::of(&lease)),
            Change::Deleted(_) => Sight::Missing,
            Change::Unreadable { .. } | Change::Failed { .. } => {
                self.liveness.shown(None);
                return;
            }
        };
        self.liveness.shown(match &sight {
            Sight::There(view) => Some(Found::At(view.revision)),
            _ => Some(Found::Missing),
        });
        self.see(sight);
        self.publish();
    }

    /// An answer may be older than what the watch has shown, and the other way round.
    fn see(&self, sight: Sight) {
        self.sight.send_if_modified(|known| {
            let older = matches!((&*known, &sight), (Sight::There(known), Sight::There(new)) if new.revision < known.revision);
            let news = !older && *known != sight;
            if news {
                *known = sight;
            }
            news
        });
    }

    fn publish(&mut self) {
        let (now, proved) = (self.clocks.now(), self.liveness.proved());
        let late = self.liveness.lags(now);
        let alive = self.answers && !late;
        let begin_again = late && self.begun_again.is_none_or(|at| now.steady_since(at) > LATE_AGAIN);
        if begin_again {
            tracing::warn!("the API server answers, but the watch of the Lease does not show what it says: watches begin again");
            self.begun_again = Some(now);
        }
        if !late {
            self.begun_again = None;
        }
        let last_proof = proved.map(|at| self.clocks.instant(at));
        turn(&self.own, self.answers && !begin_again, last_proof);
        turn(&self.all, alive, last_proof);
        let proof = Proof { proved_at: proved.map(|at| at.wall), offset: self.estimator.offset() };
        self.metrics.proof_age(proof.proved_at.map(|at| now.wall.duration_since(at).as_secs_f64()));
        self.metrics.clock_offset(proof.offset.map(|o| (o.earliest.as_secs_f64(), o.latest.as_secs_f64())));
        self.proof.send_if_modified(|known| {
            let news = *known != proof;
            *known = proof;
            news
        });
    }
}

/// Tells watches if it turned.
fn turn(state: &watch::Sender<State>, alive: bool, last_proof: Option<Instant>) {
    state.send_if_modified(|state| {
        state.last_proof = last_proof.unwrap_or(state.last_proof);
        let turned = state.alive != alive;
        state.alive = alive;
        turned
    });
}
