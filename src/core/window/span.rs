//! Ranges of wall time laid onto the line of instants.
//!
//! Everything here counts in seconds: instants since 1970-01-01T00:00Z, wall times as if the zone were UTC. The difference between
//! the two is the zone's offset, which is constant between two transitions.

use super::wall::{DAY, weekday_of};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// How far ahead the calendar looks.
const HORIZON_DAYS: i64 = 400;
/// From how long before an instant the offsets are known.
const LOOK_BACK_DAYS: i64 = 8;
/// More transitions than any zone has in a horizon.
const MAX_TRANSITIONS: usize = 64;

/// A zone's offsets, around one instant.
pub(super) struct Offsets {
    /// Constant offsets: from an instant, to an instant, wall time minus instant. Without gaps.
    segments: Vec<(i64, i64, i64)>,
    /// Up to where they are known.
    pub(super) horizon: i64,
}

impl Offsets {
    /// The offsets from a few days before an instant to the horizon.
    pub(super) fn around(zone: &TimeZone, at: i64) -> Self {
        let horizon = at.saturating_add(HORIZON_DAYS * DAY);
        let first = Timestamp::from_second(at.saturating_sub(LOOK_BACK_DAYS * DAY)).unwrap_or(Timestamp::MIN);
        let mut offset = i64::from(zone.to_offset(first).seconds());
        let mut start = i64::MIN;
        let mut segments = Vec::with_capacity(4);
        for transition in zone.following(first).take(MAX_TRANSITIONS) {
            let end = transition.timestamp().as_second();
            if end > horizon {
                break;
            }
            let next = i64::from(transition.offset().seconds());
            if next != offset {
                segments.push((start, end, offset));
                (start, offset) = (end, next);
            }
        }
        segments.push((start, i64::MAX, offset));
        Self { segments, horizon }
    }

    /// The day that the clock shows at an instant.
    fn day_at(&self, at: i64) -> i64 {
        let segment = self.segments.iter().find(|(_, end, _)| at < *end);
        (at + segment.map_or(0, |(_, _, offset)| *offset)).div_euclid(DAY)
    }

    /// The instants at which the clock shows a wall time from `from` (included) to `to` (excluded). Several pieces if the clock was
    /// put back meanwhile, none if all of it was skipped.
    fn showing(&self, from: i64, to: i64) -> impl Iterator<Item = (i64, i64)> {
        self.segments.iter().filter_map(move |(start, end, offset)| {
            let piece = (*start.max(&(from - offset)), *end.min(&(to - offset)));
            (piece.0 < piece.1).then_some(piece)
        })
    }
}

/// A range that begins on certain days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// The weekdays on which it begins, one bit each, Monday the lowest.
    weekdays: u8,
    /// The first and the last day on which it begins, counted from 1970-01-01.
    first: i64,
    last: i64,
    /// From when to when, in seconds of wall time after the beginning of that day.
    from: i64,
    to: i64,
    /// Whether it lasts from the first to the last time that the clock shows a time in it, or only while it does.
    unbroken: bool,
}

impl Span {
    /// A range on some weekdays of every week, only while the clock shows a time in it.
    pub(super) fn weekly(weekdays: u8, from: i64, to: i64) -> Self {
        Self { weekdays, first: i64::MIN, last: i64::MAX, from, to, unbroken: false }
    }

    /// Whole days, the last one included, without a break.
    pub(super) fn whole_days(first: i64, last: i64) -> Self {
        Self { weekdays: 0b111_1111, first, last: first, from: 0, to: (last - first + 1) * DAY, unbroken: true }
    }

    /// The same, beginning only on days from `first` to `last`.
    pub(super) fn within(self, first: i64, last: i64) -> Self {
        Self { first, last, ..self }
    }

    /// The same, from the first to the last time that the clock shows a time in it.
    pub(super) fn unbroken(self) -> Self {
        Self { unbroken: true, ..self }
    }

    /// If it covers an instant: until when at least.
    pub(super) fn covering(&self, offsets: &Offsets, at: i64) -> Option<i64> {
        let today = offsets.day_at(at);
        let pieces = self.days(today, today + 1).flat_map(|day| self.pieces(offsets, day));
        pieces.filter(|(start, end)| *start <= at && at < *end).map(|(_, end)| end).max()
    }

    /// When it begins next after an instant that it does not cover, if that is before the horizon.
    pub(super) fn next_start(&self, offsets: &Offsets, at: i64) -> Option<i64> {
        let mut days = self.days(offsets.day_at(at), offsets.day_at(offsets.horizon));
        let first_after = |day: i64| self.pieces(offsets, day).map(|(start, _)| start).filter(|start| *start > at).min();
        let (day, start) = days.find_map(|day| Some((day, first_after(day)?)))?;
        // Around a clock that was put back, the range of the next day may have a piece before the last one of this day.
        days.take_while(|next| *next <= day + 2).filter_map(first_after).chain([start]).min()
    }

    /// The days on which it begins, from the first whose range may reach into a day, to `last`. A clock that is put back may make
    /// it reach one day further.
    fn days(&self, today: i64, last: i64) -> impl Iterator<Item = i64> {
        let days = self.first.max(today - self.to / DAY - 1)..=self.last.min(last);
        days.filter(|day| self.weekdays & (1 << weekday_of(*day)) != 0)
    }

    /// The instants that the range of one day covers.
    fn pieces(&self, offsets: &Offsets, day: i64) -> impl Iterator<Item = (i64, i64)> {
        let shown = offsets.showing(day * DAY + self.from, day * DAY + self.to);
        let (whole, parts) =
            if self.unbroken { (shown.reduce(|all, piece| (all.0.min(piece.0), all.1.max(piece.1))), None) } else { (None, Some(shown)) };
        whole.into_iter().chain(parts.into_iter().flatten())
    }
}
