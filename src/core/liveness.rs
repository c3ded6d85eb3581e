//! Proof that watches deliver: what a question found must be seen through the watch as well.
//!
//! The API server may answer while a watch has been forgotten on its way. So an object that changes every second, the Lease, is both asked
//! for and watched. The proof is as old as the newest question whose answer the watch has shown: what changed before it was asked is known.

use super::freshness::Revision;
use super::moment::Moment;
use std::collections::VecDeque;
use std::time::Duration;

/// How long the watch may take to show what a question found.
pub const SHOWN_WITHIN: Duration = Duration::from_secs(3);
/// How many questions may be open. The oldest tells how late the watch is, the newest how young the next proof is.
const OPEN: usize = 16;

/// What there was of the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It was there, at this revision.
    At(Revision),
    /// It was not there.
    Missing,
}

/// Compares answers with what the watch shows.
#[derive(Clone, Debug, Default)]
pub struct Liveness {
    open: VecDeque<(Moment, Found)>,
    shown: Option<Found>,
    proved: Option<Moment>,
}

impl Liveness {
    /// A question, asked then, was answered.
    pub fn answered(&mut self, asked: Moment, found: Found) {
        if self.open.len() >= OPEN {
            self.open.remove(1);
        }
        self.open.push_back((asked, found));
        self.compare();
    }

    /// The watch shows this; `None` if it broke and shows nothing.
    pub fn shown(&mut self, shown: Option<Found>) {
        self.shown = shown;
        self.compare();
    }

    fn compare(&mut self) {
        let Some(shown) = self.shown else { return };
        let Some(newest) = self.open.iter().rposition(|(_, found)| proves(shown, *found)) else { return };
        // Whatever was asked before it is answered as well: the object may have been deleted or made in between.
        self.proved = self.open.drain(..=newest).next_back().map(|(asked, _)| asked);
    }

    /// When the last question was asked whose answer the watch has shown.
    pub fn proved(&self) -> Option<Moment> {
        self.proved
    }

    /// Whether the watch owes an answer for too long.
    pub fn lags(&self, now: Moment) -> bool {
        self.open.front().is_some_and(|(asked, _)| now.steady_since(*asked) > SHOWN_WITHIN)
    }
}

/// The watch is at least as far as the answer.
fn proves(shown: Found, found: Found) -> bool {
    match (shown, found) {
        (Found::At(shown), Found::At(found)) => shown >= found,
        (Found::Missing, Found::Missing) => true,
        // Deleted since the question, or not yet made for the watch: the next question tells.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn at(seconds: u64) -> Moment {
        Moment { steady: Duration::ZERO, wall: Timestamp::UNIX_EPOCH }.after(Duration::from_secs(seconds))
    }

    fn revision(n: u64) -> Found {
        Found::At(Revision(n))
    }

    #[test]
    fn only_what_the_watch_has_shown_is_proved() {
        let mut liveness = Liveness::default();
        liveness.answered(at(1), revision(10));
        assert_eq!(liveness.proved(), None, "no watch yet");
        liveness.shown(Some(revision(9)));
        assert_eq!(liveness.proved(), None);
        liveness.answered(at(2), revision(12));
        liveness.shown(Some(revision(11)));
        assert_eq!(liveness.proved(), Some(at(1)));
        liveness.shown(Some(revision(15)));
        assert_eq!(liveness.proved(), Some(at(2)));
        liveness.answered(at(3), revision(15));
        assert_eq!(liveness.proved(), Some(at(3)), "nothing has changed since");
    }

    #[test]
    fn a_watch_that_delivers_nothing_proves_nothing_although_the_server_answers() {
        let mut liveness = Liveness::default();
        liveness.shown(Some(revision(10)));
        liveness.answered(at(0), revision(10));
        for second in 1..100 {
            liveness.answered(at(second), revision(10 + second));
            assert_eq!(liveness.proved(), Some(at(0)));
            assert_eq!(liveness.lags(at(second)), second > 4, "{second}");
        }
        assert!(liveness.open.len() <= OPEN);
        liveness.shown(Some(revision(108)));
        assert_eq!((liveness.proved(), liveness.lags(at(100))), (Some(at(98)), false));
    }

    #[test]
    fn a_missing_object_is_an_answer_too_and_a_broken_watch_is_none() {
        let mut liveness = Liveness::default();
        liveness.shown(Some(Found::Missing));
        liveness.answered(at(1), Found::Missing);
        assert_eq!(liveness.proved(), Some(at(1)));
        liveness.shown(Some(revision(3)));
        liveness.answered(at(2), Found::Missing);
        assert_eq!(liveness.proved(), Some(at(1)), "made since it was asked for");
        liveness.answered(at(2), revision(3));
        assert_eq!((liveness.proved(), liveness.lags(at(9))), (Some(at(2)), false));
        liveness.shown(None);
        liveness.answered(at(3), revision(3));
        assert_eq!(liveness.proved(), Some(at(2)));
        assert!(liveness.lags(at(7)));
        liveness.shown(Some(revision(3)));
        assert_eq!((liveness.proved(), liveness.lags(at(7))), (Some(at(3)), false));
    }
}
