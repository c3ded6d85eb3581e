//! The shell: watches, publishes, grants.

use super::granting::{Granting, Seen};
use super::kinds::Kinds;
use super::ledger::{Counted, Ledger, resources};
use crate::api::PreflightRun;
use crate::clock;
use crate::cluster::amend::amend;
use crate::cluster::apply::{FIELD_MANAGER, ObjectRef};
use crate::cluster::client::call;
use crate::cluster::contact::Contact;
use crate::cluster::lease::Role;
use crate::cluster::snapshot::{Books, Snapshot};
use crate::cluster::watch::{Change, watch};
use crate::core::gate::{CheckFact, CheckFacts, CheckNamespace, Gate, GateKey, Resource, Which, World};
use crate::core::starts::Limit;
use crate::telemetry::metrics::Metrics;
use futures::StreamExt;
use futures::stream::BoxStream;
use jiff::{SignedDuration, Timestamp};
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::Config;
use kube::{Api, Client};
use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch as tokio_watch};
use tokio_util::sync::CancellationToken;

/// How many changes of watched objects may wait.
const QUEUE: usize = 1024;
/// How long changes are collected before they are looked at: a burst costs one look.
const COLLECT: Duration = Duration::from_millis(10);
/// How often it is looked although nothing is new: gates and checks come and go, and places end.
const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(1);
/// The same, while a grant of this replica may be used at any moment.
const LOOK_SOON: SignedDuration = SignedDuration::from_millis(200);

/// What the controller works with.
pub struct StartsController {
    /// The API server.
    pub client: Client,
    /// Proof that it is there.
    pub contact: Contact,
    /// Gates and checks; and where is published what is known of starts.
    pub snapshot: Snapshot,
    /// Counts.
    pub metrics: Metrics,
    /// Whether this replica leads.
    pub role: tokio_watch::Receiver<Role>,
    /// This process, as it is named in the runs that it asks for.
    pub replica: Arc<str>,
}

struct Shell {
    context: StartsController,
    kinds: Kinds,
    ledger: Ledger,
    /// The gates whose checks count starts.
    gates: HashMap<GateKey, Counted>,
    books: Books,
    granting: Option<Granting>,
    /// When gates were looked through last.
    chosen: Option<Timestamp>,
    /// Whether all gates and checks were known then.
    complete: bool,
}

/// Runs until shutdown.
pub async fn run(context: StartsController, shutdown: CancellationToken) {
    let (said_in, mut said) = mpsc::channel(QUEUE);
    let mut shell = Shell {
        kinds: Kinds::new(context.client.clone(), context.contact.clone(), said_in),
        ledger: Ledger::new(context.replica.clone()),
        gates: HashMap::new(),
        books: Books::new(),
        granting: None,
        chosen: None,
        complete: false,
        context,
    };
    let mut role = shell.context.role.clone();
    let mut runs = shell.runs();
    let mut again = Some(clock::now());
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            Ok(()) = role.changed() => {
                shell.granting = match &*role.borrow_and_update() {
                    Role::Leader(leadership) => Some(Granting::new(leadership.clone())),
                    Role::Follower => None,
                };
                // A leader must have read all runs since the one before it ended: the watch begins again, with a list.
                if shell.granting.is_some() {
                    shell.ledger.read = false;
                    runs = shell.runs();
                }
            }
            () = clock::wake(again) => {}
            Some(change) = runs.next() => shell.ledger.take(change),
            Some(one) = said.recv() => shell.kinds.take(one, clock::now()),
            answer = shell.kinds.answered() => shell.kinds.answer(answer, clock::now()),
            ended = ended(&mut shell.granting) => {
                if let Some(granting) = &mut shell.granting {
                    granting.take(ended);
                }
            }
        }
        // A burst of changes is one look.
        clock::sleep(COLLECT).await;
        while let Ok(one) = said.try_recv() {
            shell.kinds.take(one, clock::now());
        }
        again = shell.look();
    }
}

async fn ended(granting: &mut Option<Granting>) -> super::granting::Ended {
    match granting {
        Some(granting) => granting.ended().await,
        None => std::future::pending().await,
    }
}

impl Shell {
    fn runs(&self) -> BoxStream<'static, Change<PreflightRun>> {
        watch(Api::all(self.context.client.clone()), Config::default(), self.context.contact.clone()).boxed()
    }

    /// Looks at everything. Returns when to look again.
    fn look(&mut self) -> Option<Timestamp> {
        let now = clock::now();
        if self.chosen.is_none_or(|at| now.duration_since(at).abs() >= LOOK_EVERY) {
            self.chosen = Some(now);
            self.choose(now);
        }
        let snapshot = &self.context.snapshot;
        let namespaces = snapshot.namespaces();
        let book = |counted| Arc::new(self.ledger.book(counted, &self.kinds, &namespaces, now));
        self.books = self.gates.iter().map(|(key, counted)| (key.clone(), book(counted))).collect();
        if self.complete {
            snapshot.publish_starts(self.books.clone());
        }
        for book in self.books.values() {
            self.ledger.note(book, now);
        }
        for (held, uid) in self.ledger.used() {
            let object = ObjectRef::of::<PreflightRun>(Some(&held.namespace), &held.name);
            clock::spawn(tell_use(self.context.client.clone(), object, uid.to_owned()));
        }
        let times = snapshot.times(now);
        if let Some(times) = times {
            for held in self.ledger.give_back(times) {
                let object = ObjectRef::of::<PreflightRun>(Some(&held.namespace), &held.name);
                let status = json!({ "withdrawn": true });
                clock::spawn(amend(self.context.client.clone(), self.context.metrics.clone(), object, held.version.to_string(), status));
            }
            self.ledger.tidy(&self.books, times, now);
            self.grant(now);
        }
        let soon = times.is_some_and(|times| self.ledger.awaits_use(times));
        now.checked_add(if soon { LOOK_SOON } else { LOOK_EVERY }).ok()
    }

    /// Finds the gates whose checks count starts.
    fn choose(&mut self, now: Timestamp) {
        let snapshot = &self.context.snapshot;
        let (gates, facts, namespaces) = (snapshot.gates(), snapshot.checks(), snapshot.namespaces());
        self.complete |= gates.complete && facts.complete();
        let longest_wait = |gate: &Gate| {
            let references = gate.checks.iter().chain(gate.at_least.iter().flat_map(|group| &group.of));
            let waits = references.filter_map(|reference| {
                let found = |namespace: &str| match &reference.which {
                    Which::Named(name) => facts.named(namespace, name).and_then(|fact| wait(&fact)),
                    Which::Selected(selector) => facts.selected(namespace, selector).iter().filter_map(|fact| wait(fact)).max(),
                };
                match &reference.place {
                    CheckNamespace::Fixed(namespace) => found(namespace),
                    CheckNamespace::OfRequest => namespaces.keys().filter_map(|namespace| found(namespace)).max(),
                }
            });
            waits.max()
        };
        let counted = |gate: &Arc<Gate>| Some((gate.key.clone(), Counted { gate: gate.clone(), longest_wait: longest_wait(gate)? }));
        self.gates = gates.all.iter().filter_map(counted).collect();
        let wanted: BTreeSet<Resource> = self.gates.values().flat_map(|counted| resources(&counted.gate)).collect();
        self.kinds.want(&wanted, now);
    }

    fn grant(&mut self, now: Timestamp) {
        let snapshot = &self.context.snapshot;
        let facts = snapshot.checks();
        let (Some(granting), Some(times)) = (&mut self.granting, snapshot.times(now)) else { return };
        if !self.ledger.read || !granting.leadership.holds() || !facts.freshness().proved(now) {
            return;
        }
        let seen = Seen { ledger: &self.ledger, gates: &self.gates, books: &self.books, snapshot, facts: &facts, times, now };
        granting.look(&seen, &self.context.client, &self.context.metrics);
    }
}

/// How long has to be between starts, if the check counts them.
fn wait(fact: &CheckFact) -> Option<SignedDuration> {
    match fact.of_request.as_ref()?.limit()? {
        Limit::Cooldown { wait, .. } => Some(wait),
        Limit::Concurrency { .. } => Some(SignedDuration::ZERO),
    }
}

/// Tells which object a grant for a generated name was used for. If that is lost, the place counts until it ends, besides the object.
async fn tell_use(client: Client, run: ObjectRef, uid: String) {
    let api: Api<PreflightRun> = Api::namespaced(client, run.namespace.as_deref().unwrap_or_default());
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let patch = Patch::Merge(json!({ "status": { "grant": { "usedBy": uid } } }));
    if let Err(error) = call(api.patch_status(&run.name, &params, &patch)).await {
        tracing::warn!(run = run.name, %error, "cannot tell that a place is taken: it counts until it ends");
    }
}
