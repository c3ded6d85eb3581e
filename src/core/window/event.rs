//! What happens at certain times, once or by a rule, and the instants that it covers.
//!
//! A time of day that a clock skips or shows twice is read as RFC 5545 says: of two, the first; a skipped one as if the clock had not been
//! put forward yet. Where a blackout could mean more, it covers that too: from the jump on, and up to the end as counted from the
//! second time. An event with a beginning and an end has its length in hours and its end on the clock; on a day of a change the two differ:
//! a blackout lasts to the later, an allowed time to the earlier.

use super::budget::{Budget, MAX_OCCURRENCES, TooMuch};
use super::rule::{Days, Until};
use super::wall::{DAY, Shown, shown};
use crate::api::CalendarEffect;
use jiff::tz::TimeZone;

#[cfg(test)]
mod tests;

/// The longest that an event that recurs lasts, in days: beyond it, all that began for so long would have to be looked at.
pub(super) const MAX_RECURRING_DAYS: i64 = 366;
/// More than any zone is ahead of or behind UTC, and any change of a clock, in days.
const SLACK_DAYS: i64 = 2;

/// How long each occurrence lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// Days of the calendar, then seconds.
    Lasting { days: i64, seconds: i64 },
    /// To an end that was given: the seconds that pass to it, and how much later the clock shows it.
    Ending { seconds: i64, wall: i64 },
}

/// An event.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    /// What messages call it.
    pub(super) label: String,
    /// Whose clock its times are of.
    pub(super) zone: TimeZone,
    /// When it begins, as wall time.
    pub(super) start: i64,
    /// How long it lasts.
    pub(super) length: Length,
    /// On which further days, at the same time.
    pub(super) days: Option<Days>,
    /// At which further wall times.
    pub(super) also: Vec<i64>,
    /// The instants at which it would begin but does not; sorted.
    pub(super) except: Vec<i64>,
}

impl Length {
    /// The most days that it takes, rounded up.
    pub(super) fn in_days(self) -> i64 {
        let seconds = match self {
            Self::Lasting { days, seconds } => days * DAY + seconds,
            Self::Ending { seconds, wall } => seconds.max(wall),
        };
        seconds.div_euclid(DAY) + 1
    }
}

impl Event {
    /// Hands over what it covers between two instants, and what reaches into that.
    pub(super) fn lay_out(
        &self,
        effect: CalendarEffect,
        (from, to): (i64, i64),
        budget: &mut Budget,
        spans: &mut Vec<(i64, i64)>,
    ) -> Result<(), TooMuch> {
        budget.spend(1 + self.also.len())?;
        let mut add = |wall: i64, until: Until, budget: &mut Budget| -> Result<bool, TooMuch> {
            budget.spend(8)?;
            let Some(begins) = shown(&self.zone, wall) else { return Ok(true) };
            let over = match until {
                Until::Forever => false,
                Until::Day(day) => wall.div_euclid(DAY) > day,
                Until::Wall(last) => wall > last,
                Until::Instant(last) => begins.read > last,
            };
            if over {
                return Ok(false);
            }
            if self.except.binary_search(&begins.read).is_ok() {
                return Ok(true);
            }
            if let Some((start, end)) = self.span(effect, wall, begins)
                && start < end
                && from < end
                && start <= to
            {
                if spans.len() >= MAX_OCCURRENCES {
                    return Err(TooMuch::Occurrences);
                }
                spans.push((start, end));
            }
            Ok(true)
        };
        add(self.start, Until::Forever, budget)?;
        for wall in &self.also {
            add(*wall, Until::Forever, budget)?;
        }
        let Some(days) = &self.days else { return Ok(()) };
        let time = self.start.rem_euclid(DAY);
        let first = (from.div_euclid(DAY) - self.length.in_days() - SLACK_DAYS).max(self.start.div_euclid(DAY) + 1);
        days.each(first, to.div_euclid(DAY) + SLACK_DAYS, budget, &mut |day, budget| add(day * DAY + time, days.until(), budget))
    }

    /// The instants that one occurrence covers.
    fn span(&self, effect: CalendarEffect, wall: i64, begins: Shown) -> Option<(i64, i64)> {
        let closed = effect == CalendarEffect::Blackout;
        let latest_beginning = if closed { begins.last } else { begins.read };
        let on_the_clock = |wall: i64| shown(&self.zone, wall).map(|ends| if closed { ends.last } else { ends.read });
        let end = match self.length {
            Length::Lasting { days: 0, seconds } => latest_beginning + seconds,
            Length::Lasting { days, seconds } => on_the_clock(wall + days * DAY)? + seconds,
            Length::Ending { seconds, wall: later } if closed => (latest_beginning + seconds).max(on_the_clock(wall + later)?),
            Length::Ending { seconds, wall: later } => (latest_beginning + seconds).min(on_the_clock(wall + later)?),
        };
        Some((if closed { begins.first } else { begins.read }, end))
    }
}
