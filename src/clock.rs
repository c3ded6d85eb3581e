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

/// Sleeps until an instant of the wall clock; at once if it has passed. The wall clock is looked at again at least every minute, so that a
/// machine that was suspended, or whose clock was set, does not oversleep.
pub async fn sleep_until(instant: Timestamp) {
    loop {
        let left = Duration::try_from(instant.duration_since(now())).unwrap_or(Duration::ZERO);
        if left.is_zero() {
            return;
        }
        sleep(left.min(Duration::from_mins(1))).await;
    }
}

/// Sleeps until an instant of the wall clock, or for ever if there is none: an arm of a `select!`.
pub async fn wake(at: Option<Timestamp>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
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
