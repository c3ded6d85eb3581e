//! An instant, as one machine sees it: on the clock that cannot be set, and on the one that can.

use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// A point of both clocks of one process. Points of two processes cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// By the monotonic clock, since some point of this process. It may stand still while the machine is suspended.
    pub steady: Duration,
    /// By the wall clock. It may be set, forwards or back.
    pub wall: Timestamp,
}

impl Moment {
    /// How much time may have passed since an earlier moment: what either clock says, whichever is more. For whoever must not take
    /// something for newer than it is.
    pub fn at_most_since(self, earlier: Self) -> Duration {
        let by_wall = Duration::try_from(self.wall.duration_since(earlier.wall)).unwrap_or(Duration::ZERO);
        self.steady_since(earlier).max(by_wall)
    }

    /// How much time has certainly passed: a clock that is set does not count. For whoever must wait long enough.
    pub fn steady_since(self, earlier: Self) -> Duration {
        self.steady.saturating_sub(earlier.steady)
    }

    /// The moment so much later, were no clock set.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        let signed = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
        Self { steady: self.steady.saturating_add(time), wall: self.wall.saturating_add(signed).unwrap_or(Timestamp::MAX) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspended_machine_and_a_clock_set_back_make_nothing_younger() {
        let second = Duration::from_secs(1);
        let start = Moment { steady: second, wall: Timestamp::UNIX_EPOCH };
        let suspended = Moment { steady: 2 * second, wall: Timestamp::from_second(60).unwrap() };
        assert_eq!(suspended.at_most_since(start), 60 * second);
        assert_eq!(suspended.steady_since(start), second);
        let set_back = Moment { steady: 3 * second, wall: Timestamp::from_second(-60).unwrap() };
        assert_eq!(set_back.at_most_since(start), 2 * second);
        assert_eq!(start.at_most_since(set_back), 60 * second, "the wall clock alone says so");
        assert_eq!(start.after(second).at_most_since(start), second);
        assert_eq!(start.after(Duration::MAX).wall, Timestamp::MAX);
    }
}
