//! Dates, times and durations as RFC 5545 writes them.

use super::wall::{DAY, day_of};
use crate::core::text::single_line;
use jiff::civil::Date;

/// A date or a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// A day, counted from 1970-01-01.
    Date(i64),
    /// What some clock shows, in seconds.
    Wall(i64),
    /// An instant, written in UTC.
    Instant(i64),
}

/// How long something lasts: days of the calendar, then seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Duration {
    pub(super) days: i64,
    pub(super) seconds: i64,
}

/// Reads `20261130`, `20261130T180000` or `20261130T180000Z`.
pub(super) fn moment(text: &str) -> Result<Moment, String> {
    let wrong = || format!("{:?} is not a date or time, such as 20261130, 20261130T180000 or 20261130T180000Z", single_line(text, 40));
    let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
    let day = day(date).ok_or_else(wrong)?;
    let Some(time) = time else { return Ok(Moment::Date(day)) };
    let (digits, utc) = time.strip_suffix('Z').map_or((time, false), |digits| (digits, true));
    let wall = day * DAY + second_of_day(digits).ok_or_else(wrong)?;
    Ok(if utc { Moment::Instant(wall) } else { Moment::Wall(wall) })
}

/// Reads `P1W`, `P3D`, `PT2H30M` or `P1DT12H`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{:?} is not a duration, such as PT2H, P1D or P1W", single_line(text, 40));
    let mut rest = text.strip_prefix('+').unwrap_or(text).strip_prefix('P').ok_or_else(wrong)?;
    let mut duration = Duration { days: 0, seconds: 0 };
    let (mut in_time, mut last) = (false, 0);
    while !rest.is_empty() {
        if let Some(time) = rest.strip_prefix('T').filter(|_| !in_time) {
            (rest, in_time) = (time, true);
            // A T with nothing after it.
            last = last.max(10);
            continue;
        }
        let split = rest.find(|c: char| !c.is_ascii_digit()).filter(|split| (1..=6).contains(split)).ok_or_else(wrong)?;
        let (digits, unit) = (rest.get(..split).unwrap_or_default(), rest.get(split..=split).unwrap_or_default());
        let number: i64 = digits.parse().map_err(|_| wrong())?;
        let (order, days, seconds) = match (unit, in_time) {
            ("W", false) => (1, 7, 0),
            ("D", false) => (2, 1, 0),
            ("H", true) => (11, 0, 3_600),
            ("M", true) => (12, 0, 60),
            ("S", true) => (13, 0, 1),
            _ => return Err(wrong()),
        };
        if order <= last {
            return Err(wrong());
        }
        last = order;
        duration.days += days * number;
        duration.seconds += seconds * number;
        rest = rest.get(split + 1..).unwrap_or_default();
    }
    // Nothing was given, or nothing after the T.
    if last == 0 || last == 10 { Err(wrong()) } else { Ok(duration) }
}

/// Reads `20261130`.
fn day(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| digits(text.get(from..to)?);
    if text.len() != 8 {
        return None;
    }
    let date = Date::new(i16::try_from(number(0, 4)?).ok()?, i8::try_from(number(4, 6)?).ok()?, i8::try_from(number(6, 8)?).ok()?);
    date.ok().map(day_of)
}

/// Reads `180000`.
fn second_of_day(text: &str) -> Option<i64> {
    let number = |from: usize, to: usize| digits(text.get(from..to)?);
    if text.len() != 6 {
        return None;
    }
    let (hours, minutes, seconds) = (number(0, 2)?, number(2, 4)?, number(4, 6)?);
    (hours < 24 && minutes < 60 && seconds < 60).then_some(hours * 3_600 + minutes * 60 + seconds)
}

fn digits(text: &str) -> Option<i64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}
