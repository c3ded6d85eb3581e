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
//! The zones come from the database that is compiled in, not from the machine: every replica answers alike.

use super::problem::Problem;
use crate::api::{Blackout, DateRange, TimeRange, Weekday, WindowProbe};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};

mod span;
#[cfg(test)]
mod tests;

use span::{DAY, Offsets, Span};

/// About how many times one search asks one entry. No schedule that a person would write comes near.
const EFFORT: usize = 10_000;

/// Allowed windows and blackouts, ready to be asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    zone: TimeZone,
    zone_name: String,
    allowed: Vec<Entry>,
    blackouts: Vec<Entry>,
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
        let before = problems.len();
        let zone = parse_zone(&spec.time_zone, &format!("{field}.timeZone"), problems);
        if spec.allowed.is_empty() && spec.blackouts.is_empty() {
            problems.push(Problem::new(field, "set allowed, blackouts or both"));
        }
        let mut allowed = Vec::new();
        for (index, range) in spec.allowed.iter().enumerate() {
            let span = parse_range(range, &format!("{field}.allowed[{index}]"), problems);
            allowed.extend(span.map(|span| Entry { label: label(range.name.as_deref(), Some(range), None), span }));
        }
        let mut blackouts = Vec::new();
        for (index, blackout) in spec.blackouts.iter().enumerate() {
            let span = parse_blackout(blackout, &format!("{field}.blackouts[{index}]"), problems);
            let label = || label(blackout.name.as_deref(), blackout.time.as_ref(), blackout.dates.as_ref());
            blackouts.extend(span.map(|span| Entry { label: label(), span }));
        }
        let (zone, zone_name) = zone?;
        (problems.len() == before).then_some(Self { zone, zone_name, allowed, blackouts })
    }

    /// The name of the zone, as the IANA database writes it.
    pub fn zone_name(&self) -> &str {
        &self.zone_name
    }

    /// What the calendar says at an instant. The work is bounded, and small for an ordinary schedule.
    pub fn judge(&self, now: Timestamp) -> WindowVerdict<'_> {
        let at = floor(now);
        let offsets = Offsets::around(&self.zone, at);
        let by = self.by(&offsets, at);
        let change = match by {
            By::Blackout(_) => union_end(&self.blackouts, &offsets, at),
            By::AnyTime => next_start(&self.blackouts, &offsets, at),
            By::Allowed(_) => earliest(union_end(&self.allowed, &offsets, at), next_start(&self.blackouts, &offsets, at)),
            By::Outside => earliest(next_start(&self.allowed, &offsets, at), next_start(&self.blackouts, &offsets, at)),
        };
        let open = matches!(by, By::Allowed(_) | By::AnyTime);
        let next_opening = if open { None } else { self.next_opening(&offsets, at) };
        let instant = |second: i64| Timestamp::from_second(second).ok();
        WindowVerdict { open, by, until: change.and_then(instant), next_opening: next_opening.and_then(instant) }
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

    fn by(&self, offsets: &Offsets, at: i64) -> By<'_> {
        if let Some(label) = lasting(&self.blackouts, offsets, at) {
            By::Blackout(label)
        } else if self.allowed.is_empty() {
            By::AnyTime
        } else {
            lasting(&self.allowed, offsets, at).map_or(By::Outside, By::Allowed)
        }
    }

    fn next_opening(&self, offsets: &Offsets, from: i64) -> Option<i64> {
        let mut at = from;
        for _ in 0..EFFORT / (self.allowed.len() + self.blackouts.len()).max(1) {
            match self.by(offsets, at) {
                By::Allowed(_) | By::AnyTime => return Some(at),
                By::Blackout(_) => at = union_end(&self.blackouts, offsets, at)?,
                By::Outside => at = next_start(&self.allowed, offsets, at)?,
            }
        }
        None
    }
}

/// The label of the entry that covers an instant longest; of equals, the first.
fn lasting<'a>(entries: &'a [Entry], offsets: &Offsets, at: i64) -> Option<&'a str> {
    let ends = entries.iter().filter_map(|entry| Some((entry, entry.span.covering(offsets, at)?)));
    ends.rev().max_by_key(|(_, end)| *end).map(|(entry, _)| entry.label.as_str())
}

/// When the entries that cover an instant, and those that follow them without a break, have ended. `None`: not before the horizon.
/// A search that takes too long ends with an instant up to which they last at least.
fn union_end(entries: &[Entry], offsets: &Offsets, at: i64) -> Option<i64> {
    let mut end = at;
    for _ in 0..EFFORT / entries.len().max(1) {
        let before = end;
        for entry in entries {
            end = entry.span.covering(offsets, end).unwrap_or(end);
        }
        if end > offsets.horizon {
            return None;
        }
        if end == before {
            break;
        }
    }
    Some(end)
}

/// When the first of the entries begins after an instant that none of them covers. `None`: not before the horizon.
fn next_start(entries: &[Entry], offsets: &Offsets, at: i64) -> Option<i64> {
    entries.iter().filter_map(|entry| entry.span.next_start(offsets, at)).min().filter(|start| *start <= offsets.horizon)
}

fn earliest(a: Option<i64>, b: Option<i64>) -> Option<i64> {
    a.into_iter().chain(b).min()
}

/// The second that an instant lies in.
fn floor(instant: Timestamp) -> i64 {
    instant.as_second() - i64::from(instant.subsec_nanosecond() < 0)
}

fn parse_zone(name: &str, field: &str, problems: &mut Vec<Problem>) -> Option<(TimeZone, String)> {
    let zone = TimeZoneDatabase::bundled().get(name).ok().filter(|zone| !zone.is_unknown());
    if zone.is_none() {
        problems.push(Problem::new(field, format!("{name:?} is not in the IANA time zone database; Europe/Berlin or UTC would be")));
    }
    zone.map(|zone| {
        let canonical = zone.iana_name().unwrap_or(name).to_owned();
        (zone, canonical)
    })
}

fn parse_range(range: &TimeRange, field: &str, problems: &mut Vec<Problem>) -> Option<Span> {
    let mut read = |text: &str, member: &str, latest: i64| {
        let minute = minute_of_day(text).filter(|minute| *minute <= latest);
        if minute.is_none() {
            let highest = if latest == 1440 { "24:00" } else { "23:59" };
            let message = format!("{text:?} is not a time of day from \"00:00\" to \"{highest}\"");
            problems.push(Problem::new(format!("{field}.{member}"), message));
        }
        minute
    };
    let (from, to) = (read(&range.from, "from", 1439), read(&range.to, "to", 1440));
    let (from, to) = (from?, to?);
    if from == to {
        let message = "from and to must differ; for a whole day write from: \"00:00\", to: \"24:00\"";
        problems.push(Problem::new(field, message));
        return None;
    }
    let overnight = if to < from { DAY } else { 0 };
    Some(Span::weekly(weekday_mask(&range.weekdays), from * 60, to * 60 + overnight))
}

fn parse_blackout(blackout: &Blackout, field: &str, problems: &mut Vec<Problem>) -> Option<Span> {
    let before = problems.len();
    let dates = blackout.dates.as_ref().and_then(|dates| parse_dates(dates, &format!("{field}.dates"), problems));
    let time = blackout.time.as_ref().and_then(|time| parse_range(time, &format!("{field}.time"), problems));
    if problems.len() > before {
        return None;
    }
    match (dates, time) {
        (Some((first, last)), None) => Some(Span::whole_days(first, last)),
        (Some((first, last)), Some(time)) => Some(time.within(first, last).unbroken()),
        (None, Some(time)) => Some(time.unbroken()),
        (None, None) => {
            problems.push(Problem::new(field, "set dates, time or both"));
            None
        }
    }
}

/// The first and the last day, counted from 1970-01-01.
fn parse_dates(dates: &DateRange, field: &str, problems: &mut Vec<Problem>) -> Option<(i64, i64)> {
    let mut read = |text: &str, member: &str| {
        let day = day_number(text);
        if day.is_none() {
            let message = format!("{text:?} is not a date of the calendar, such as 2026-11-30");
            problems.push(Problem::new(format!("{field}.{member}"), message));
        }
        day
    };
    let (first, last) = (read(&dates.from, "from"), read(&dates.to, "to"));
    let (first, last) = (first?, last?);
    if first > last {
        problems.push(Problem::new(field, "from must not be after to"));
        return None;
    }
    Some((first, last))
}

/// `HH:MM` in minutes; up to `24:00`.
fn minute_of_day(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |digits: &str| {
        let plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<i64>().ok().filter(|_| plain)
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (minutes < 60 && hours * 60 + minutes <= 1440).then_some(hours * 60 + minutes)
}

/// `YYYY-MM-DD` in days since 1970-01-01.
fn day_number(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let mut number = |length: usize| {
        let digits = parts.next().filter(|part| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse::<i16>().ok()
    };
    let (year, month, day) = (number(4)?, number(2)?, number(2)?);
    if parts.next().is_some() {
        return None;
    }
    let date = Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()?;
    let epoch = Date::new(1970, 1, 1).ok()?;
    Some(date.duration_since(epoch).as_secs() / DAY)
}

/// One bit a weekday, Monday the lowest. None given means all.
fn weekday_mask(weekdays: &[Weekday]) -> u8 {
    if weekdays.is_empty() {
        return 0b111_1111;
    }
    weekdays.iter().fold(0, |mask, weekday| mask | (1 << weekday_index(*weekday)))
}

fn weekday_index(weekday: Weekday) -> u8 {
    match weekday {
        Weekday::Mon => 0,
        Weekday::Tue => 1,
        Weekday::Wed => 2,
        Weekday::Thu => 3,
        Weekday::Fri => 4,
        Weekday::Sat => 5,
        Weekday::Sun => 6,
    }
}

/// How messages call an entry: its name in quotes, or its dates and times.
fn label(name: Option<&str>, time: Option<&TimeRange>, dates: Option<&DateRange>) -> String {
    if let Some(name) = name.filter(|name| !name.trim().is_empty()) {
        return format!("\"{name}\"");
    }
    let mut parts = Vec::new();
    if let Some(dates) = dates {
        parts.push(if dates.from == dates.to { dates.from.clone() } else { format!("{} to {}", dates.from, dates.to) });
    }
    if let Some(time) = time {
        if !time.weekdays.is_empty() {
            parts.push(time.weekdays.iter().map(|weekday| format!("{weekday:?}")).collect::<Vec<_>>().join(","));
        }
        parts.push(format!("{}-{}", time.from, time.to));
    }
    parts.join(" ")
}
