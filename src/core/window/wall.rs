//! Wall times as seconds since 1970-01-01T00:00, as if the zone were UTC, and the instants at which a clock shows them.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

/// The seconds of a day.
pub(super) const DAY: i64 = 86_400;
/// Day 0.
const EPOCH: Date = jiff::civil::date(1970, 1, 1);

/// The instants that a wall time may mean. They differ on the two days of a year on which the clock is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// As RFC 5545 reads it: of a time shown twice the first; of a skipped one, as if the clock had not been put forward yet.
    pub(super) read: i64,
    /// The first instant that it may mean: for a skipped time, the jump.
    pub(super) first: i64,
    /// The last one.
    pub(super) last: i64,
}

/// When a zone's clock shows a wall time. `None` beyond the ends of time.
pub(super) fn shown(zone: &TimeZone, wall: i64) -> Option<Shown> {
    let at = |offset: Offset| wall - i64::from(offset.seconds());
    Some(match zone.to_ambiguous_timestamp(civil(wall)?).offset() {
        AmbiguousOffset::Unambiguous { offset } => Shown { read: at(offset), first: at(offset), last: at(offset) },
        AmbiguousOffset::Fold { before, after } => Shown { read: at(before), first: at(before), last: at(after) },
        AmbiguousOffset::Gap { before, .. } => {
            let read = at(before);
            let jump = zone.preceding(Timestamp::from_second(read + 1).ok()?).next();
            Shown { read, first: jump.map_or(read, |jump| jump.timestamp().as_second()), last: read }
        }
    })
}

/// What a zone's clock shows at an instant.
pub(super) fn wall_at(zone: &TimeZone, instant: i64) -> Option<i64> {
    let offset = zone.to_offset(Timestamp::from_second(instant).ok()?);
    Some(instant + i64::from(offset.seconds()))
}

/// The date and time of a wall time.
pub(super) fn civil(wall: i64) -> Option<DateTime> {
    Some(Offset::UTC.to_datetime(Timestamp::from_second(wall).ok()?))
}

/// The date of a day, counted from 1970-01-01.
pub(super) fn date_of(day: i64) -> Option<Date> {
    Some(civil(day.checked_mul(DAY)?)?.date())
}

/// The day of a date, counted from 1970-01-01.
pub(super) fn day_of(date: Date) -> i64 {
    date.duration_since(EPOCH).as_secs() / DAY
}

/// 0 for Monday. Day 0 was a Thursday.
pub(super) fn weekday_of(day: i64) -> i64 {
    (day + 3).rem_euclid(7)
}
