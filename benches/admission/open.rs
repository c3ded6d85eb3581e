//! The same creates with an open loop: they are sent at a fixed rate whether earlier ones are answered or not, and each takes from the instant
//! at which it was to be sent. A client that waits for its answers before it asks again does not see what a stall does to those behind it.

use crate::Outcome;
use crate::cluster::Cluster;
use crate::latency::Arena;
use crate::samples::Samples;
use crate::table::{Table, nothing, number};
use holdpoint::clock;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Creates each second.
const RATES: [u32; 2] = [50, 150];
/// How long each contender is sent to at a stretch, and how often.
const STRETCH: Duration = Duration::from_secs(3);
const ROUNDS: usize = 4;
/// How many may be on their way at once; beyond, the rate is more than there is capacity, and the run ends.
const MOST_WAITING: usize = 2000;

/// Sends at a fixed rate for some time, and waits for all answers.
pub async fn arrivals<F, W>(rate: f64, length: Duration, mut send: F) -> Outcome<Samples>
where
    F: FnMut() -> W,
    W: Future<Output = Outcome<()>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(MOST_WAITING));
    let mut pending: JoinSet<Outcome<Duration>> = JoinSet::new();
    let started = clock::instant();
    let gap = Duration::from_secs_f64(1.0 / rate);
    let mut due = started;
    while due.duration_since(started) < length {
        clock::sleep(due.saturating_duration_since(clock::instant())).await;
        let place = places.clone().try_acquire_owned().map_err(|_| format!("{MOST_WAITING} requests wait at {rate} a second"))?;
        clock::spawn_into(&mut pending, timed(due, send(), place));
        due += gap;
    }
    let mut taken = Samples::default();
    while let Some(answered) = pending.join_next().await {
        taken.push(answered??);
    }
    Ok(taken)
}

async fn timed<P>(due: Instant, request: impl Future<Output = Outcome<()>>, place: P) -> Outcome<Duration> {
    request.await?;
    drop(place);
    Ok(due.elapsed())
}

/// Measures.
pub fn run(cluster: &Cluster, arena: &Arena) -> Outcome<Table> {
    cluster.runtime.block_on(measure(arena))
}

async fn measure(arena: &Arena) -> Outcome<Table> {
    let title =
        format!("Create through the API server, open loop: dry run, {ROUNDS} times {} s each, in turns; milliseconds", STRETCH.as_secs());
    let mut table = Table::new(title, &["", "creates a second", "p50", "p99", "added p50", "added p99"]);
    for rate in RATES {
        let mut measured = vec![Samples::default(); arena.contenders().len()];
        let mut order: Vec<usize> = (0..measured.len()).collect();
        for _ in 0..ROUNDS {
            fastrand::shuffle(&mut order);
            for index in &order {
                let contender = arena.contenders().get(*index).ok_or("no such contender")?;
                let create = || {
                    let (request, expected) = (contender.request.clone(), contender.expected);
                    async move { request.expect(expected).await }
                };
                let taken = arrivals(f64::from(rate), STRETCH, create).await?;
                measured.get_mut(*index).ok_or("no such contender")?.extend(&taken);
            }
        }
        let plain = measured.first().cloned().unwrap_or_default();
        for (index, (contender, samples)) in arena.contenders().iter().zip(&measured).enumerate() {
            let added = |of: fn(&Samples) -> f64| if index == 0 { nothing() } else { number(of(samples) - of(&plain)) };
            let cells = [rate.to_string(), number(samples.p50()), number(samples.p99()), added(Samples::p50), added(Samples::p99)];
            table.row(contender.name, cells);
        }
    }
    Ok(table)
}
