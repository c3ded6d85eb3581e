//! The leader's part: asks the gate itself whether a held request would pass if it had a place, and writes the grant.

use super::ledger::{Counted, Held, Ledger};
use super::overlay::Overlay;
use crate::api::{Operation, PreflightRun, Response};
use crate::clock;
use crate::cluster::amend::{Amended, amend};
use crate::cluster::apply::ObjectRef;
use crate::cluster::lease::Leadership;
use crate::cluster::snapshot::{Books, Facts, Snapshot};
use crate::core::expr::Bindings;
use crate::core::gate::{Ask, CheckFacts, CheckNamespace, Gate, GateKey, OfRequest, Request, User, Which, waits};
use crate::core::starts::{Act, Granter, Place, Room, RunKey, RunView, Times, USABLE, Written};
use crate::core::verdict::Verdict;
use crate::telemetry::metrics::Metrics;
use futures::FutureExt;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Client;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// For how long after its time a request of an account that does not wait may still come back.
const AFTERWARDS: SignedDuration = SignedDuration::from_secs(30);
/// How long it is until a write is tried again of which nobody knows what came of it.
const AGAIN: Duration = Duration::from_millis(500);
/// How much longer than a client's pause a grant may be used.
const LATE: SignedDuration = SignedDuration::from_secs(10);

/// A write that ended.
pub(super) type Ended = (RunKey, Arc<str>, Written);

/// One leadership.
pub(super) struct Granting {
    pub(super) leadership: Leadership,
    granter: Granter,
    writes: FuturesUnordered<BoxFuture<'static, Ended>>,
}

impl Granting {
    pub(super) fn new(leadership: Leadership) -> Self {
        Self { leadership, granter: Granter::default(), writes: FuturesUnordered::new() }
    }

    /// The next write that ends; for ever, if there is none.
    pub(super) async fn ended(&mut self) -> Ended {
        match self.writes.next().await {
            Some(ended) => ended,
            None => std::future::pending().await,
        }
    }

    pub(super) fn take(&mut self, (run, version, written): Ended) {
        self.granter.written(&run, &version, written);
    }

    /// Looks which run may have a place now. The ledger has read all runs since this leadership began, and the books are made of it.
    pub(super) fn look(&mut self, seen: &Seen<'_>, client: &Client, metrics: &Metrics) {
        let views: BTreeMap<RunKey, RunView> = seen.ledger.runs().iter().map(|(key, held)| (key.clone(), seen.view(held))).collect();
        self.granter.see(&views);
        let acts = self.granter.step(&views, seen.times, |key, _, also| seen.room(key, also));
        for act in acts {
            let (key, version, status) = match act {
                Act::Grant(key, version, since, until) => (
                    key,
                    version,
                    json!({ "grant": { "since": Time(since), "expires": Time(until), "usedBy": null }, "term": self.leadership.term }),
                ),
                Act::Withdraw(key, version) => (key, version, json!({ "withdrawn": true, "term": self.leadership.term })),
                Act::Fence(key, version) => (key, version, json!({ "term": self.leadership.term })),
            };
            let Some(held) = seen.ledger.runs().get(&key) else { continue };
            let object = ObjectRef::of::<PreflightRun>(Some(&held.namespace), &held.name);
            self.writes.push(write(client.clone(), metrics.clone(), object, self.leadership.clone(), (key, version), status).boxed());
        }
    }
}

/// Writes as the leader, unless it leads no more by now. What is not begun is not made.
async fn write(
    client: Client,
    metrics: Metrics,
    object: ObjectRef,
    leadership: Leadership,
    (key, version): (RunKey, Arc<str>),
    status: Value,
) -> Ended {
    if !leadership.holds() {
        return (key, version, Written::Refused);
    }
    let written = match amend(client, metrics, object, version.as_ref().to_owned(), status).await {
        Amended::Made(_) => Written::Made,
        Amended::Overtaken | Amended::Gone | Amended::Refused => Written::Refused,
        Amended::Unanswered => {
            clock::sleep(AGAIN).await;
            Written::Unanswered
        }
    };
    (key, version, written)
}

/// What the leader looks at.
pub(super) struct Seen<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) gates: &'a HashMap<GateKey, Counted>,
    pub(super) books: &'a Books,
    pub(super) snapshot: &'a Snapshot,
    pub(super) facts: &'a Facts,
    pub(super) times: Times,
    pub(super) now: Timestamp,
}

impl Seen<'_> {
    fn view(&self, held: &Held) -> RunView {
        let gate = self.gates.get(&held.gate).map(|counted| &counted.gate);
        let seconds = gate.map_or(SignedDuration::ZERO, |gate| SignedDuration::from_secs(i64::from(gate.hold_seconds)));
        // Who waits has an answer when the time is over, and comes back no more; who does not wait tries again at leisure.
        let patience = if waits(&held.place.requester) { seconds } else { seconds.saturating_add(AFTERWARDS) };
        let comes_back = self.times.earliest.duration_since(held.made) < patience;
        RunView {
            version: held.version.clone(),
            place: held.place.clone(),
            waits: gate.is_some() && comes_back && !held.granted && !held.place.withdrawn && !held.cancelled && held.evaluated,
            // Clients come back more rarely the longer they wait; see `core::gate::hold`.
            usable: USABLE.max(SignedDuration::from_secs(seconds.as_secs() / 6).saturating_add(LATE)),
            made: held.made,
        }
    }

    /// Whether every check of the gate that counts starts has room for this one, given places that are not in its book yet. What else the gate requires was
    /// evaluated, and is judged again when the request comes back.
    fn room(&self, key: &RunKey, also: &[Place]) -> Room {
        let Some(held) = self.ledger.runs().get(key) else { return Room::NotYet };
        let (Some(Counted { gate, .. }), Some(book)) = (self.gates.get(&held.gate), self.books.get(&held.gate)) else {
            return Room::NotYet;
        };
        let mut book = book.with(also.iter().filter(|place| self.is_of(place, &held.gate)).cloned(), self.times);
        book.places.retain(|place| place.run != *key);
        let overlay = Overlay { facts: self.facts, gate: &gate.key, book: Arc::new(book) };
        let (subject, namespaces) = (&held.place.subject, self.snapshot.namespaces());
        let namespace = subject.namespace.as_deref();
        let object = held.place.aim.as_ref().map_or(Value::Null, |aim| aim.object.clone());
        let named = json!({ "userInfo": { "username": &*held.place.requester } });
        let bindings = Bindings::new(&object, None, &named);
        let request = Request {
            uid: key,
            resource: &subject.resource,
            kind: &held.kind,
            operation: if subject.create { Operation::Create } else { Operation::Update },
            namespace,
            name: subject.name.as_deref().unwrap_or("*"),
            generated_name: subject.name.is_none(),
            cannot_wait: None,
            // It is a question: nothing is used up.
            dry_run: true,
            deleting: false,
            labels: BTreeMap::new(),
            old_labels: None,
            namespace_labels: namespace.and_then(|namespace| namespaces.get(namespace)),
            user: User { name: &held.place.requester, ..User::default() },
            object: &object,
            old_object: None,
            bindings: &bindings,
        };
        let ask = Ask { request: &request, gate: &gate.key, now: self.now, world: &overlay };
        let verdicts = counting(gate, namespace, self.facts).into_iter().map(|check| check.state(&ask).verdict);
        match verdicts.min_by_key(|verdict| (verdict.passes(), *verdict != Verdict::Failing)) {
            Some(Verdict::Failing) if gate.respond.failing == Response::Deny => Room::Never,
            Some(verdict) if !verdict.passes() => Room::NotYet,
            _ => Room::Yes,
        }
    }

    fn is_of(&self, place: &Place, gate: &GateKey) -> bool {
        self.ledger.runs().get(&place.run).is_none_or(|held| held.gate == *gate)
    }
}

/// The checks of a gate that count starts, for a start in a namespace.
fn counting(gate: &Gate, namespace: Option<&str>, facts: &Facts) -> Vec<Arc<dyn OfRequest>> {
    let references = gate.checks.iter().chain(gate.at_least.iter().flat_map(|group| &group.of));
    let found = references.flat_map(|reference| {
        let place = match &reference.place {
            CheckNamespace::Fixed(fixed) => Some(fixed.as_str()),
            CheckNamespace::OfRequest => namespace,
        };
        match (place, &reference.which) {
            (None, _) => Vec::new(),
            (Some(place), Which::Named(name)) => facts.named(place, name).into_iter().collect(),
            (Some(place), Which::Selected(selector)) => facts.selected(place, selector),
        }
    });
    found.filter_map(|fact| fact.of_request.clone()).filter(|check| check.limit().is_some()).collect()
}
