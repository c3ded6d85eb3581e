//! Measured durations and their percentiles.

use std::time::Duration;

/// Durations of one contender.
#[derive(Clone, Debug, Default)]
pub struct Samples(Vec<Duration>);

impl Samples {
    /// Adds one.
    pub fn push(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// Adds another's.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The sample that is larger than so many of a hundred; zero without samples.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        sorted.get((sorted.len() * percent / 100).min(last)).copied().unwrap_or_default()
    }

    /// The median in milliseconds.
    pub fn p50(&self) -> f64 {
        milliseconds(self.percentile(50))
    }

    /// The 99th percentile in milliseconds.
    pub fn p99(&self) -> f64 {
        milliseconds(self.percentile(99))
    }
}

/// For differences, which may be negative.
pub fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
