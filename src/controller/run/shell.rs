//! The shell of the runs: watches them, has checks evaluated, writes statuses, deletes what is over for long enough.

use super::super::check::{Answer, Input as ToEngine};
use super::board::{Board, Leader, Output, RunKey};
use super::timetable::Timetable;
use super::wishes::{Wishes, run_key, run_of};
use crate::api::PreflightRun;
use crate::clock;
use crate::cluster::apply::{Ended, ObjectRef, StatusWriter};
use crate::cluster::contact::Contact;
use crate::cluster::lease::Role;
use crate::cluster::make::{Made, delete, make};
use crate::cluster::snapshot::Snapshot;
use crate::cluster::watch::watch;
use crate::core::gate::{GateKey, Wish};
use crate::telemetry::metrics::Metrics;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use jiff::{SignedDuration, Timestamp};
use kube::runtime::watcher::Config;
use kube::{Api, Client};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::{mpsc, watch as tokio_watch};
use tokio_util::sync::CancellationToken;

/// How long changes are collected before all runs are looked at: a burst costs one look.
const COLLECT: Duration = Duration::from_millis(10);
/// How often all runs are looked at although nothing happens.
const LOOK_EVERY: SignedDuration = SignedDuration::from_secs(5);
/// How many runs are deleted at once.
const DELETIONS: usize = 8;
/// How many runs are made at once for requests that are held, and how many more may wait to be made.
const MAKING: usize = 16;
const TO_MAKE: usize = 1024;

/// What the controller works with.
pub struct RunController {
    /// The API server.
    pub client: Client,
    /// Proof that it is there.
    pub contact: Contact,
    /// What is known of checks and gates.
    pub snapshot: Snapshot,
    /// Counts.
    pub metrics: Metrics,
    /// Whether this replica leads: only the leader evaluates, writes and deletes.
    pub role: tokio_watch::Receiver<Role>,
    /// Where evaluations are asked for.
    pub engine: mpsc::UnboundedSender<ToEngine>,
    /// What came of them.
    pub answers: mpsc::UnboundedReceiver<Answer>,
    /// What requests wait for that this replica's webhook holds.
    pub wishes: mpsc::Receiver<Wish>,
    /// This replica: what tells one process from another.
    pub replica: String,
    /// The operator's namespace: there are the runs for objects without one.
    pub namespace: String,
}

/// A run to be made.
struct ToMake {
    key: RunKey,
    run: PreflightRun,
    /// The gate whose schedule wants it.
    scheduled: Option<GateKey>,
}

struct Shell {
    context: RunController,
    board: Board,
    writer: StatusWriter,
    waiting: VecDeque<(RunKey, String)>,
    deletions: FuturesUnordered<BoxFuture<'static, (RunKey, bool)>>,
    again: Option<Timestamp>,
    wishes: Wishes,
    timetable: Timetable,
    to_make: VecDeque<ToMake>,
    making: FuturesUnordered<BoxFuture<'static, Option<GateKey>>>,
}

/// Runs until shutdown.
pub async fn run(context: RunController, shutdown: CancellationToken) {
    let (ended_in, mut ended) = mpsc::unbounded_channel();
    let (writer, writing) = StatusWriter::new(context.client.clone(), context.metrics.clone(), ended_in);
    clock::spawn(writing);
    let mut changes = watch::<PreflightRun>(Api::all(context.client.clone()), Config::default(), context.contact.clone()).boxed();
    let mut shell = Shell {
        context,
        board: Board::default(),
        writer,
        waiting: VecDeque::new(),
        deletions: FuturesUnordered::new(),
        again: None,
        wishes: Wishes::default(),
        to_make: VecDeque::new(),
        making: FuturesUnordered::new(),
        timetable: Timetable::default(),
    };
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = clock::wake(shell.again) => shell.again = None,
            Ok(()) = shell.context.role.changed() => {}
            Some(change) = changes.next() => shell.board.take(change),
            Some(answer) = shell.context.answers.recv() => shell.answered(&answer),
            Some(wish) = shell.context.wishes.recv() => shell.wish(&wish),
            Some(failed) = shell.making.next() => shell.made(failed),
            Some(end) = ended.recv() => shell.written(end),
            Some((key, gone)) = shell.deletions.next() => shell.board.deleted(&key, gone),
        }
        // Who is held comes back in a moment, and is to find what it waits for.
        shell.make();
        shell.publish();
        clock::sleep(COLLECT).await;
        while let Some(Some(change)) = changes.next().now_or_never() {
            shell.board.take(change);
        }
        while let Ok(answer) = shell.context.answers.try_recv() {
            shell.answered(&answer);
        }
        while let Ok(end) = ended.try_recv() {
            shell.written(end);
        }
        while let Ok(wish) = shell.context.wishes.try_recv() {
            shell.wish(&wish);
        }
        shell.look();
        shell.make();
        shell.publish();
    }
}

impl Shell {
    fn answered(&mut self, answer: &Answer) {
        let facts = self.context.snapshot.checks();
        self.board.answered(answer, &facts, clock::now());
    }

    fn written(&mut self, end: Ended) {
        let Ended { object, number, revision } = end;
        let key = RunKey { namespace: object.namespace.unwrap_or_default(), name: object.name };
        if let Some((trigger, verdict)) = self.board.written(&key, number, revision) {
            self.context.metrics.run_over(trigger, verdict);
        }
    }

    fn wish(&mut self, wish: &Wish) {
        let key = run_key(wish, &self.context.namespace);
        if self.to_make.len() >= TO_MAKE || !self.wishes.remember(wish, &key, clock::now()) {
            return self.context.metrics.dropped("too_many_held_requests");
        }
        let run = run_of(wish, &key, &self.context.replica);
        self.to_make.push_back(ToMake { key, run, scheduled: None });
    }

    /// Makes the runs that are wished for. One that is there already is joined.
    fn make(&mut self) {
        while self.making.len() < MAKING
            && let Some(ToMake { key, run, scheduled }) = self.to_make.pop_front()
        {
            let old = self.board.in_the_way(&key).filter(|_| scheduled.is_none()).map(str::to_owned);
            let (client, metrics) = (self.context.client.clone(), self.context.metrics.clone());
            let making = async move {
                if let Some(uid) = old {
                    delete(client.clone(), &object(&key), &uid).await;
                }
                if let Made::Failed(error) = make(client, &key.namespace, &run).await {
                    tracing::warn!(namespace = key.namespace, name = key.name, error, "cannot make a run");
                    metrics.dropped("run_not_made");
                    return scheduled;
                }
                None
            };
            self.making.push(making.boxed());
        }
    }

    fn made(&mut self, failed: Option<GateKey>) {
        if let Some(gate) = failed {
            self.timetable.failed(&gate, clock::now());
        }
    }

    /// Tells the webhook who waits for what.
    fn publish(&mut self) {
        self.context.snapshot.publish_holds(self.wishes.held(self.board.held()));
    }

    fn look(&mut self) {
        let now = clock::now();
        let (facts, gates) = (self.context.snapshot.checks(), self.context.snapshot.gates());
        let starts = self.context.snapshot.starts();
        let leader = Leader { facts: &facts, gates: gates.complete.then_some(gates.all.as_slice()), starts: starts.as_deref() };
        let leads = self.context.role.borrow_and_update().leadership().is_some();
        let output = self.board.look(leads.then_some(&leader), now);
        let next = if leads && gates.complete {
            let (due, next) = self.timetable.due(&gates.all, &self.context.namespace, now);
            self.to_make.extend(due.into_iter().map(|(gate, key, run)| ToMake { key, run, scheduled: Some(gate) }));
            next
        } else {
            self.timetable = Timetable::default();
            None
        };
        self.again = [output.again, next, now.checked_add(LOOK_EVERY).ok()].into_iter().flatten().min();
        self.act(output);
    }

    fn act(&mut self, output: Output) {
        // An error means that the engine has ended, and with it the process.
        for number in output.withdrawn {
            let _ = self.context.engine.send(ToEngine::Withdraw(number));
        }
        for (check, ticket) in output.asks {
            let _ = self.context.engine.send(ToEngine::Evaluate(check, ticket));
        }
        for (key, number, status, guard) in output.writes {
            self.writer.write(object(&key), number, &status, Some(guard));
        }
        self.waiting.extend(output.deletes);
        while self.deletions.len() < DELETIONS
            && let Some((key, uid)) = self.waiting.pop_front()
        {
            let client = self.context.client.clone();
            self.deletions.push(
                async move {
                    let gone = delete(client, &object(&key), &uid).await;
                    (key, gone)
                }
                .boxed(),
            );
        }
    }
}

fn object(key: &RunKey) -> ObjectRef {
    ObjectRef::of::<PreflightRun>(Some(&key.namespace), &key.name)
}
