//! How far this machine's clock is from the API server's, measured from the dates of its responses.
//!
//! A response is dated by the second. When it was dated, the server's clock showed something within that second, and this machine's clock
//! something between sending the question and receiving the answer: that bounds the offset to about a second, and where many such bounds
//! overlap, to a fraction of it.

use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;

/// How many answers bound the offset; older ones are forgotten, because clocks drift.
const WINDOW: usize = 60;
/// For how many answers a bound is remembered that a later one contradicts: one of several API servers whose clocks differ may have given it.
const DOUBT: usize = 10;
/// How much an answer's bound widens with each later answer: clocks drift, and are slewed, by up to 500 ppm.
const DRIFT: SignedDuration = SignedDuration::from_micros(500);

/// The bounds of what must be added to this machine's clock to get the API server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offset {
    /// At least this.
    pub earliest: SignedDuration,
    /// At most this.
    pub latest: SignedDuration,
}

impl Offset {
    /// Whether the clocks are certainly no further apart than this.
    pub fn within(self, budget: SignedDuration) -> bool {
        self.earliest >= -budget && self.latest <= budget
    }

    /// What both say; `None` if they contradict each other.
    fn overlap(self, other: Self) -> Option<Self> {
        let both = Self { earliest: self.earliest.max(other.earliest), latest: self.latest.min(other.latest) };
        (both.earliest <= both.latest).then_some(both)
    }

    /// What either says.
    fn hull(self, other: Self) -> Self {
        Self { earliest: self.earliest.min(other.earliest), latest: self.latest.max(other.latest) }
    }

    fn widened(self, by: SignedDuration) -> Self {
        Self { earliest: self.earliest.saturating_sub(by), latest: self.latest.saturating_add(by) }
    }
}

/// Measures the offset, answer by answer.
#[derive(Clone, Debug, Default)]
pub struct Estimator {
    /// What each answer says, the newest first.
    bounds: VecDeque<Offset>,
    /// What earlier answers said, that later ones contradict, and how many answers ago.
    contradicted: VecDeque<(Offset, usize)>,
}

impl Estimator {
    /// Takes an answer: its date, and this machine's clock when the question was sent and when the answer was there. A clock that was set
    /// back in between says nothing.
    pub fn answered(&mut self, date: Timestamp, sent: Timestamp, received: Timestamp) {
        if received < sent {
            return;
        }
        let latest = date.duration_since(sent).saturating_add(SignedDuration::from_secs(1));
        let said = Offset { earliest: date.duration_since(received), latest };
        for (_, age) in &mut self.contradicted {
            *age += 1;
        }
        self.contradicted.retain(|(_, age)| *age < DOUBT);
        if let Some(before) = self.agreed()
            && before.widened(DRIFT).overlap(said).is_none()
        {
            self.bounds.clear();
            self.contradicted.push_front((before, 0));
            self.contradicted.truncate(DOUBT);
        }
        self.bounds.push_front(said);
        self.bounds.truncate(WINDOW);
    }

    /// Where all answers of the window agree.
    fn agreed(&self) -> Option<Offset> {
        let aged = self.bounds.iter().zip(0_i32..).map(|(bound, age)| bound.widened(DRIFT.saturating_mul(age)));
        aged.map(Some).reduce(|a, b| a?.overlap(b?)).flatten()
    }

    /// What is known of the offset; `None` before the first answer.
    pub fn offset(&self) -> Option<Offset> {
        let agreed = self.agreed()?;
        Some(self.contradicted.iter().fold(agreed, |known, (bound, _)| known.hull(*bound)))
    }
}

#[cfg(test)]
mod tests;
