//! Calendar arithmetic: is now inside an allowed window and outside every blackout, until when, and when is the next opening.
//!
//! All times are wall time of the probe's zone. On the two days of a year on which the clock is put forward or back:
//!
//! - An **allowed** range is open exactly while the clock shows a time in it. A time that is skipped in spring is never shown, so a
//!   range that begins there begins at the jump, and one that lies within it is left out. An hour that is shown twice in autumn counts
//!   both times; a range that begins or ends inside it is interrupted by the part of the repetition that it does not name.
//! - A **blackout** has no such gap: it lasts from the first time the clock shows a time in it to the last.
//!
//! So wherever a wall time is ambiguous, the answer is the closed one.
//!
//! Recurrences and the events of calendars have lengths, and are read as `window/event.rs` says; the ambiguous answer is the closed one, too.
//!
//! The zones come from the database that is compiled in, not from the machine: every replica answers alike.

use super::problem::Problem;
use crate::api::{CalendarEffect, WindowProbe};
use jiff::Timestamp;
use jiff::tz::TimeZone;

mod budget;
mod calendar;
mod content;
mod event;
mod events;
mod read;
mod rule;
mod span;
#[cfg(test)]
mod tests;
mod value;
mod wall;

pub use budget::{MAX_OCCURRENCES, TooMuch};
pub use calendar::{Calendar, MAX_CALENDAR_BYTES, MAX_CALENDAR_EVENTS, Unreadable};

use budget::Budget;
use event::Event;
use events::{Events, Occurrences};
use span::{Offsets, Span};

/// About how many times one search asks one entry. No schedule that a person would write comes near.
const EFFORT: usize = 10_000;

/// Allowed windows and blackouts, ready to be asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    zone: TimeZone,
    zone_name: String,
    allowed: Vec<Entry>,
    blackouts: Vec<Entry>,
    /// Recurrences.
    events: Vec<(CalendarEffect, Event)>,
    /// Whether starts are allowed at any time that is no blackout: nothing says when they are allowed.
    any_time: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Entry {
    label: String,
    span: Span,
}

/// What the calendar says at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowVerdict<'a> {
    /// Whether starts are allowed.
    pub open: bool,
    /// Which window or blackout says so.
    pub by: By<'a>,
    /// The first instant at which the answer is another one: of inside, outside and blackout. `None` if that is more than
    /// 400 days away. If dozens of entries follow each other without a break, it may be an earlier instant.
    pub until: Option<Timestamp>,
    /// While closed, the first instant at which starts are allowed. `None` while open, and if none was found within 400 days
    /// or, of dozens of entries, in a bounded search.
    pub next_opening: Option<Timestamp>,
}

/// What decides. The text is the entry's name in quotes or, if it has none, its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By<'a> {
    /// Inside this allowed window; of several, the one that ends last.
    Allowed(&'a str),
    /// No windows are given and no blackout is on.
    AnyTime,
    /// Outside every allowed window.
    Outside,
    /// In this blackout; of several, the one that ends last.
    Blackout(&'a str),
}

impl Schedule {
    /// Reads a probe's windows. Unknown zones, impossible dates and times are problems below `field`.
    pub fn parse(spec: &WindowProbe, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        read::schedule(spec, field, problems)
    }

    /// The name of the zone, as the IANA database writes it.
    pub fn zone_name(&self) -> &str {
        &self.zone_name
    }

    /// Reads the text of a calendar; times without a zone are of this schedule's. `name` is what messages call it.
    pub fn calendar(&self, text: &str, name: &str) -> Result<Calendar, Unreadable> {
        Calendar::parse(text, &self.zone, name)
    }

    /// Whether there are recurrences, whose occurrences must be counted out at every look.
    pub fn has_recurrences(&self) -> bool {
        !self.events.is_empty()
    }

    /// What the windows, blackouts and calendars say at an instant. The work is bounded, and small for an ordinary schedule.
    pub fn judge<'a>(&'a self, calendars: &'a [(CalendarEffect, Calendar)], now: Timestamp) -> Result<WindowVerdict<'a>, TooMuch> {
        let at = floor(now);
        let offsets = Offsets::around(&self.zone, at);
        let of_calendars = calendars.iter().flat_map(|(effect, calendar)| calendar.events.iter().map(|event| (*effect, event)));
        let events = self.events.iter().map(|(effect, event)| (*effect, event)).chain(of_calendars);
        let events = Events::lay_out(events, (at, offsets.horizon), &mut Budget::full())?;
        let side = |entries: &'a [Entry], occurrences| Side { entries, occurrences };
        let look = Look {
            allowed: side(&self.allowed, events.allowed),
            blackouts: side(&self.blackouts, events.blackouts),
            any_time: self.any_time,
            offsets,
        };
        Ok(look.verdict(at))
    }

    /// An instant on the schedule's clock, such as `Tue 2026-12-01 09:00 Europe/Berlin`.
    pub fn on_the_clock(&self, instant: Timestamp) -> String {
        format!("{} {}", instant.to_zoned(self.zone.clone()).strftime("%a %Y-%m-%d %H:%M"), self.zone_name)
    }

    /// The same, without the date if that is today's: `16:00 Europe/Berlin`.
    pub fn on_the_clock_seen_from(&self, instant: Timestamp, now: Timestamp) -> String {
        let zoned = instant.to_zoned(self.zone.clone());
        if zoned.date() == now.to_zoned(self.zone.clone()).date() {
            format!("{} {}", zoned.strftime("%H:%M"), self.zone_name)
        } else {
            self.on_the_clock(instant)
        }
    }
}

/// A schedule as it is around one instant.
struct Look<'a> {
    allowed: Side<'a>,
    blackouts: Side<'a>,
    any_time: bool,
    offsets: Offsets,
}

/// The allowed times, or the blackouts.
struct Side<'a> {
    entries: &'a [Entry],
    occurrences: Occurrences<'a>,
}

impl<'a> Look<'a> {
    fn verdict(&self, at: i64) -> WindowVerdict<'a> {
        let (allowed, blackouts, offsets) = (&self.allowed, &self.blackouts, &self.offsets);
        let by = self.by(at);
        let change = match by {
            By::Blackout(_) => blackouts.union_end(offsets, at),
            By::AnyTime => blackouts.next_start(offsets, at),
            By::Allowed(_) => earliest(allowed.union_end(offsets, at), blackouts.next_start(offsets, at)),
            By::Outside => earliest(allowed.next_start(offsets, at), blackouts.next_start(offsets, at)),
        };
        let open = matches!(by, By::Allowed(_) | By::AnyTime);
        let next_opening = if open { None } else { self.next_opening(at) };
        let instant = |second: i64| Timestamp::from_second(second).ok();
        WindowVerdict { open, by, until: change.and_then(instant), next_opening: next_opening.and_then(instant) }
    }

    fn by(&self, at: i64) -> By<'a> {
        if let Some(label) = self.blackouts.lasting(&self.offsets, at) {
            By::Blackout(label)
        } else if self.any_time {
            By::AnyTime
        } else {
            self.allowed.lasting(&self.offsets, at).map_or(By::Outside, By::Allowed)
        }
    }

    fn next_opening(&self, from: i64) -> Option<i64> {
        let mut at = from;
        for _ in 0..EFFORT / (self.allowed.entries.len() + self.blackouts.entries.len()).max(1) {
            match self.by(at) {
                By::Allowed(_) | By::AnyTime => return Some(at),
                By::Blackout(_) => at = self.blackouts.union_end(&self.offsets, at)?,
                By::Outside => at = self.allowed.next_start(&self.offsets, at)?,
            }
        }
        None
    }
}

impl<'a> Side<'a> {
    /// The label of what covers an instant longest; of equals, the first.
    fn lasting(&self, offsets: &Offsets, at: i64) -> Option<&'a str> {
        let entries = self.entries.iter().filter_map(|entry| Some((entry.span.covering(offsets, at)?, entry.label.as_str())));
        let all = self.occurrences.covering(at).into_iter().chain(entries.rev());
        all.max_by_key(|(end, _)| *end).map(|(_, label)| label)
    }

    /// When what covers an instant, and what follows it without a break, has ended. `None`: not before the horizon.
    /// A search that takes too long ends with an instant up to which it lasts at least.
    fn union_end(&self, offsets: &Offsets, at: i64) -> Option<i64> {
        let mut end = at;
        for _ in 0..EFFORT / self.entries.len().max(1) {
            let before = end;
            for entry in self.entries {
                end = entry.span.covering(offsets, end).unwrap_or(end);
            }
            end = self.occurrences.covering(end).map_or(end, |(last_end, _)| last_end);
            if end > offsets.horizon {
                return None;
            }
            if end == before {
                break;
            }
        }
        Some(end)
    }

    /// When the first begins after an instant that none covers. `None`: not before the horizon.
    fn next_start(&self, offsets: &Offsets, at: i64) -> Option<i64> {
        let entries = self.entries.iter().filter_map(|entry| entry.span.next_start(offsets, at));
        entries.chain(self.occurrences.next_start(at)).min().filter(|start| *start <= offsets.horizon)
    }
}

fn earliest(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    a.into_iter().chain(b).min()
}

/// The second that an instant lies in.
fn floor(instant: Timestamp) -> i64 {
    instant.as_second() - i64::from(instant.subsec_nanosecond() < 0)
}
