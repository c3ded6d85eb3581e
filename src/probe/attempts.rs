//! One evaluation of a probed check: tries, with a pause between them, each within its deadline; a panic is an error of that target.

use super::live::{DEFECT, ProbedProbe};
use super::plan::Outbound;
use crate::clock;
use crate::core::observation::{Observation, Outcome, PANIC, TIMEOUT};
use futures::FutureExt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// How often to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts {
    /// Tries in all, at least 1.
    pub attempts: u32,
    /// The pause between them, give or take a quarter.
    pub backoff: Duration,
    /// How long one try may take.
    pub timeout: Duration,
}

/// A little more than a try's own deadline, for probes that do not keep theirs.
const GRACE: Duration = Duration::from_millis(250);

/// Tries until it passes or the tries are used up.
pub async fn observe(probe: &dyn ProbedProbe, outbound: &Outbound, namespace: &str, plan: Attempts) -> Observation {
    let started = clock::instant();
    let mut attempt = 1;
    loop {
        let mut seen = once(probe, outbound, namespace, plan.timeout).await;
        seen.attempts = attempt;
        seen.duration = started.elapsed();
        if attempt >= plan.attempts || matches!(seen.outcome, Outcome::Pass | Outcome::Warn) {
            return seen;
        }
        clock::sleep(jittered(plan.backoff)).await;
        attempt += 1;
    }
}

async fn once(probe: &dyn ProbedProbe, outbound: &Outbound, namespace: &str, timeout: Duration) -> Observation {
    let guarded = AssertUnwindSafe(probe.observe(outbound, namespace, timeout)).catch_unwind();
    match clock::within(timeout + GRACE, guarded).await {
        Ok(Ok(seen)) => seen,
        Ok(Err(_)) => Observation::error(probe.target(), PANIC, DEFECT),
        Err(_) => Observation::error(probe.target(), TIMEOUT, format!("no answer within {} s", timeout.as_secs())),
    }
}

/// Between three and five quarters of a duration.
fn jittered(duration: Duration) -> Duration {
    duration.saturating_mul(fastrand::u32(750..1250)) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_stay_within_a_quarter_and_differ() {
        let pauses: Vec<Duration> = (0..1000).map(|_| jittered(Duration::from_secs(4))).collect();
        assert!(pauses.iter().all(|p| (3000..5000).contains(&p.as_millis())));
        assert!(pauses.iter().collect::<std::collections::BTreeSet<_>>().len() > 300);
    }
}
