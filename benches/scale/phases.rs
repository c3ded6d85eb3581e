//! What is done to the cluster, one thing after the other.

use crate::Outcome;
use crate::figures::{Figures, Flow, Footprint, footprint, with_verdict};
use crate::reaction::Target;
use crate::world::{
    ALL_GATES, ALL_HTTP, ALL_LIVE, DEPLOYMENTS, GATES, HTTP_CHECKS, NAMESPACES, World, deployment, gate, http_check, live_checks, reader,
};
use futures::future::{try_join, try_join_all};
use futures::{Stream, StreamExt, TryStreamExt};
use holdpoint::clock;
use kube::api::{DynamicObject, ListParams};
use serde_json::Value;
use std::time::{Duration, Instant};

/// For how long no status must have been written before nothing is expected to change any more: a check that was late while all of it was created is
/// written at each evaluation, two of which are thirty seconds apart, until ten of them were prompt.
pub const STILL: Duration = Duration::from_secs(65);
/// How many requests are on their way at once while the cluster is filled.
const AT_ONCE: usize = 24;
/// How long any phase may take.
const PATIENCE: Duration = Duration::from_mins(15);
/// How many Deployments flap, for how long, and how often each turns.
pub const FLAPPING: usize = 100;
const FLAP_FOR: Duration = Duration::from_mins(1);
/// See [`FLAPPING`].
pub const FLAP_EVERY: Duration = Duration::from_millis(500);
/// For how long the operator is watched after it was started again.
pub const AFTER_RESTART: Duration = Duration::from_mins(1);

/// How long it took to create everything.
pub struct Filled {
    /// The operator without objects.
    pub empty: Footprint,
    /// The Deployments.
    pub deployments: Duration,
    /// The checks.
    pub checks: Duration,
    /// The gates.
    pub gates: Duration,
}

/// Creates everything.
pub fn fill(world: &World) -> Outcome<Filled> {
    let empty = footprint(world)?;
    world.runtime.block_on(async {
        all(futures::stream::iter(world.namespaces.iter().map(|namespace| world.create(namespace, reader(namespace))))).await?;
        let deployments = timed(all(in_each(world, DEPLOYMENTS).map(|(namespace, number)| async move {
            world.create(namespace, deployment(number)).await?;
            Target::new(world.deployments(namespace), number).turn(true).await.map(drop)
        })))
        .await?;
        let live = in_each(world, DEPLOYMENTS).map(|(namespace, number)| async move {
            for check in live_checks(number) {
                world.create(namespace, check).await?;
            }
            Ok(())
        });
        let http = in_each(world, HTTP_CHECKS).map(|(namespace, number)| async move {
            let servers = &world.endpoints.addresses;
            let server = *servers.get(number % servers.len().max(1)).ok_or("no server")?;
            world.create(namespace, http_check(number, server)).await
        });
        let checks = timed(try_join(all(live), all(http))).await?;
        let gates = timed(all(in_each(world, GATES).map(|(namespace, number)| world.create(namespace, gate(number))))).await?;
        Ok(Filled { empty, deployments, checks, gates })
    })
}

fn in_each(world: &World, count: usize) -> impl Stream<Item = (&String, usize)> {
    futures::stream::iter((0..count).flat_map(|number| world.namespaces.iter().map(move |namespace| (namespace, number))))
}

async fn all<F: Future<Output = Outcome<()>>>(work: impl Stream<Item = F>) -> Outcome<()> {
    work.buffer_unordered(AT_ONCE).try_collect().await
}

async fn timed<T>(work: impl Future<Output = Outcome<T>>) -> Outcome<Duration> {
    let started = clock::instant();
    work.await?;
    Ok(started.elapsed())
}

/// Waits until every check passes, every gate is open, nothing is written any more, and what was late while all of it was created is forgiven; how
/// long that took, without the stillness itself.
pub fn settle(world: &World) -> Outcome<Duration> {
    let started = clock::instant();
    until("all checks to pass", || {
        let passing = with_verdict(world, "Passing", "")?;
        Ok((passing == ALL_LIVE + ALL_HTTP).then_some(()).ok_or_else(|| format!("{passing} of {} do", ALL_LIVE + ALL_HTTP)))
    })?;
    let moved = world.runtime.block_on(still(world))?;
    world.runtime.block_on(all_open(world))?;
    Ok(moved.duration_since(started))
}

/// Waits until no status was written for a while. When the last one was.
async fn still(world: &World) -> Outcome<Instant> {
    let started = clock::instant();
    let (mut written, mut moved) = (-1.0, started);
    while moved.elapsed() < STILL {
        let now = Figures::read(world).await?.writes();
        if now > written {
            (written, moved) = (now, clock::instant());
        }
        if started.elapsed() > PATIENCE {
            return Err(format!("statuses go on being written, {written} until now").into());
        }
        clock::sleep(Duration::from_secs(1)).await;
    }
    Ok(moved)
}

async fn all_open(world: &World) -> Outcome<()> {
    let mut open = 0;
    for namespace in &world.namespaces {
        let gates = world.api(namespace, "holdpoint.dev", "v1alpha1", "ExperimentGate").list(&ListParams::default()).await?;
        open += gates.items.iter().filter(|gate| is_open(gate)).count();
    }
    if open == ALL_GATES { Ok(()) } else { Err(format!("{open} of {ALL_GATES} gates are open").into()) }
}

fn is_open(gate: &DynamicObject) -> bool {
    let conditions = gate.data.pointer("/status/conditions").and_then(Value::as_array);
    let has = |condition: &Value, field: &str, value: &str| condition.get(field).and_then(Value::as_str) == Some(value);
    conditions.into_iter().flatten().any(|condition| has(condition, "type", "Open") && has(condition, "status", "True"))
}

/// Asks again and again, not too often: reading the operator's metrics is work for it.
fn until(what: &str, attempt: impl Fn() -> Outcome<Result<(), String>>) -> Outcome<()> {
    let mut failed = None;
    let found = control_plane::eventually(PATIENCE, what, || match attempt() {
        Ok(found) => found,
        Err(error) => {
            failed = Some(error);
            Ok(())
        }
    });
    found?;
    failed.map_or(Ok(()), Err)
}

/// What happens while nothing does.
pub struct Quiet {
    /// What came.
    pub flow: Flow,
    /// The operator at the end.
    pub footprint: Footprint,
    /// How many requests the servers answered, each second.
    pub asked: f64,
    /// How long `/metrics` takes.
    pub scrape: Duration,
    /// And how long its text is, in bytes.
    pub scraped: usize,
}

/// Watches for a while.
pub fn quiet(world: &World, duration: Duration) -> Outcome<Quiet> {
    let (flow, asked) = world.runtime.block_on(async {
        let (before, answered) = (Figures::read(world).await?, world.endpoints.answered());
        clock::sleep(duration).await;
        let asked = world.endpoints.answered() - answered;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((Figures::read(world).await?.since(&before), asked))
    })?;
    let footprint = footprint(world)?;
    let started = clock::instant();
    let scraped = world.operator.metrics()?.len();
    let asked = f64::from(u32::try_from(asked)?) / flow.seconds;
    Ok(Quiet { flow, footprint, asked, scrape: started.elapsed(), scraped })
}

/// What happens while Deployments flap.
pub struct Flapped {
    /// What came.
    pub flow: Flow,
    /// Turns of Deployments each second.
    pub turns: f64,
    /// How long it took from the last turn until every check passed again and nothing was written.
    pub settled: Duration,
    /// The operator at the end.
    pub footprint: Footprint,
}

/// Turns the Deployments back and forth.
pub fn flapping(world: &World) -> Outcome<Flapped> {
    let (flow, turns) = world.runtime.block_on(async {
        let before = Figures::read(world).await?;
        let until = clock::instant() + FLAP_FOR;
        let places = (0..FLAPPING).filter_map(|number| Some((number, world.namespaces.get(number % NAMESPACES)?)));
        let turning = places.map(|(number, namespace)| flap(Target::new(world.deployments(namespace), number / NAMESPACES), until));
        let turns: u32 = try_join_all(turning).await?.into_iter().sum();
        let flow = Figures::read(world).await?.since(&before);
        let turns = f64::from(turns) / flow.seconds;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>((flow, turns))
    })?;
    let footprint = footprint(world)?;
    Ok(Flapped { flow, turns, settled: settle(world)?, footprint })
}

async fn flap(target: Target, until: Instant) -> Outcome<u32> {
    let mut turns = 0;
    clock::sleep(FLAP_EVERY.mul_f64(fastrand::f64())).await;
    while clock::instant() < until {
        let begun = clock::instant();
        target.turn(turns % 2 == 1).await?;
        turns += 1;
        clock::sleep(FLAP_EVERY.saturating_sub(begun.elapsed())).await;
    }
    target.turn(true).await?;
    Ok(turns + 1)
}

/// What a start costs.
pub struct Restarted {
    /// Until it was ready.
    pub ready: Duration,
    /// Until every live check was evaluated.
    pub live: Duration,
    /// Until every check passed by the metrics of the new process.
    pub all: Duration,
    /// Status writes in the time after, each second.
    pub writes: f64,
    /// How late probed evaluations began, at the 99th percentile, in seconds.
    pub lateness: f64,
    /// The operator a minute later.
    pub footprint: Footprint,
}

/// Kills the operator and starts it again.
pub fn restart(world: &mut World) -> Outcome<Restarted> {
    let before = world.runtime.block_on(Figures::read(world))?.writes();
    let started = clock::instant();
    world.operator.restart()?;
    let ready = started.elapsed();
    let passing = |prefix: &'static str, all: usize| {
        let passing = with_verdict(world, "Passing", prefix)?;
        Ok((passing == all).then_some(()).ok_or_else(|| format!("{passing} of {all} do")))
    };
    until("all live checks to pass", || passing("live-", ALL_LIVE))?;
    let live = started.elapsed();
    until("all checks to pass", || passing("", ALL_LIVE + ALL_HTTP))?;
    let all = started.elapsed();
    world.runtime.block_on(clock::sleep(AFTER_RESTART.saturating_sub(all)));
    let after = world.runtime.block_on(Figures::read(world))?;
    let writes = (after.writes() - before) / started.elapsed().as_secs_f64();
    Ok(Restarted { ready, live, all, writes, lateness: after.lateness(), footprint: footprint(world)? })
}
