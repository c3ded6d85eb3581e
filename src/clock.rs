//! The only place that reads a clock, sleeps or starts a task. Everything else is given the time.

#![allow(clippy::disallowed_methods, reason = "this is the one place")]

use jiff::Timestamp;
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::task::{JoinHandle, JoinSet};

/// The wall clock, now.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// A point of the monotonic clock, to measure durations.
pub fn instant() -> Instant {
    Instant::now()
}

/// Sleeps for a duration of the monotonic clock.
pub async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// Sleeps until an instant of the wall clock, or for ever if there is none: an arm of a `select!`. It wakes after a minute at the latest, so
/// that whoever waits looks at the clock again: the machine may have been suspended, or its clock set.
pub async fn wake(at: Option<Timestamp>) {
    let Some(at) = at else { return std::future::pending().await };
    let left = Duration::try_from(at.duration_since(now())).unwrap_or(Duration::ZERO);
    sleep(left.min(Duration::from_mins(1))).await;
}

/// Gives a future so long.
pub async fn within<F: Future>(limit: Duration, future: F) -> Result<F::Output, tokio::time::error::Elapsed> {
    tokio::time::timeout(limit, future).await
}

/// Starts a task.
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    tokio::spawn(future)
}

/// Starts a task in a set of tasks.
pub fn spawn_into<T: Send + 'static>(tasks: &mut JoinSet<T>, future: impl Future<Output = T> + Send + 'static) {
    tasks.spawn(future);
}
