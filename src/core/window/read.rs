//! Reads the fields of a `window` probe, or says what is wrong with them.

use super::budget::Budget;
use super::event::{Event, Length};
use super::rule::{Days, Rule};
use super::span::Span;
use super::wall::{DAY, date_of, day_of};
use super::{Entry, Schedule};
use crate::api::{AllowedWindow, Blackout, CalendarEffect, DateRange, Recurrence, TimeRange, Weekday, WindowProbe};
use crate::core::problem::Problem;
use crate::core::text::single_line;
use jiff::civil::Date;
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// The longest occurrence of a recurrence, in minutes.
const MAX_MINUTES: i32 = 44_640;

/// Reads a probe's windows. What cannot work is a problem below `field`.
pub(super) fn schedule(spec: &WindowProbe, field: &str, problems: &mut Vec<Problem>) -> Option<Schedule> {
    let before = problems.len();
    let zone = parse_zone(&spec.time_zone, &format!("{field}.timeZone"), problems);
    if spec.allowed.is_empty() && spec.blackouts.is_empty() && spec.calendars.is_empty() {
        problems.push(Problem::new(field, "set allowed, blackouts or calendars"));
    }
    let clock = zone.as_ref().map_or(TimeZone::UTC, |(zone, _)| zone.clone());
    let (mut allowed, mut blackouts, mut events) = (Vec::new(), Vec::new(), Vec::new());
    for (index, window) in spec.allowed.iter().enumerate() {
        let field = format!("{field}.allowed[{index}]");
        match parse_allowed(window, &clock, &field, problems) {
            Some(Found::Range(span, label)) => allowed.push(Entry { label, span }),
            Some(Found::Event(event)) => events.push((CalendarEffect::Allowed, event)),
            None => {}
        }
    }
    for (index, blackout) in spec.blackouts.iter().enumerate() {
        let field = format!("{field}.blackouts[{index}]");
        match parse_blackout(blackout, &clock, &field, problems) {
            Some(Found::Range(span, label)) => blackouts.push(Entry { label, span }),
            Some(Found::Event(event)) => events.push((CalendarEffect::Blackout, event)),
            None => {}
        }
    }
    let any_time = spec.allowed.is_empty() && spec.calendars.iter().all(|calendar| calendar.effect == CalendarEffect::Blackout);
    let (zone, zone_name) = zone?;
    (problems.len() == before).then_some(Schedule { zone, zone_name, allowed, blackouts, events, any_time })
}

/// What an entry is.
enum Found {
    Range(Span, String),
    Event(Event),
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

fn parse_allowed(window: &AllowedWindow, zone: &TimeZone, field: &str, problems: &mut Vec<Problem>) -> Option<Found> {
    match (window.recurrence.as_ref(), window.from.as_ref(), window.to.as_ref()) {
        (None, Some(from), Some(to)) => {
            let range = TimeRange { name: None, weekdays: window.weekdays.clone(), from: from.clone(), to: to.clone() };
            let span = parse_range(&range, field, problems)?;
            Some(Found::Range(span, label(window.name.as_deref(), Some(&range), None)))
        }
        (Some(recurrence), None, None) if window.weekdays.is_empty() => {
            parse_recurrence(recurrence, window.name.as_deref(), zone, &format!("{field}.recurrence"), problems).map(Found::Event)
        }
        _ => {
            problems.push(Problem::new(field, "set from and to, with weekdays or without, or recurrence alone"));
            None
        }
    }
}

fn parse_blackout(blackout: &Blackout, zone: &TimeZone, field: &str, problems: &mut Vec<Problem>) -> Option<Found> {
    let before = problems.len();
    let name = blackout.name.as_deref();
    if let Some(recurrence) = &blackout.recurrence {
        if blackout.dates.is_some() || blackout.time.is_some() {
            problems.push(Problem::new(field, "set dates, time or both, or recurrence alone"));
            return None;
        }
        return parse_recurrence(recurrence, name, zone, &format!("{field}.recurrence"), problems).map(Found::Event);
    }
    let dates = blackout.dates.as_ref().and_then(|dates| parse_dates(dates, &format!("{field}.dates"), problems));
    let time = blackout.time.as_ref().and_then(|time| parse_range(time, &format!("{field}.time"), problems));
    if problems.len() > before {
        return None;
    }
    let span = match (dates, time) {
        (Some((first, last)), None) => Span::whole_days(first, last),
        (Some((first, last)), Some(time)) => time.within(first, last).unbroken(),
        (None, Some(time)) => time.unbroken(),
        (None, None) => {
            problems.push(Problem::new(field, "set dates, time or both, or recurrence alone"));
            return None;
        }
    };
    Some(Found::Range(span, label(name, blackout.time.as_ref(), blackout.dates.as_ref())))
}

fn parse_recurrence(
    recurrence: &Recurrence,
    name: Option<&str>,
    zone: &TimeZone,
    field: &str,
    problems: &mut Vec<Problem>,
) -> Option<Event> {
    let before = problems.len();
    let mut problem = |member: &str, message: String| problems.push(Problem::new(format!("{field}.{member}"), message));
    let start = wall_time(&recurrence.start);
    if start.is_none() {
        problem("start", format!("{:?} is not a date and time, such as 2026-01-30T18:00", recurrence.start));
    }
    let minutes = i64::from(recurrence.duration_minutes);
    if !(1..=i64::from(MAX_MINUTES)).contains(&minutes) {
        problem("durationMinutes", format!("{minutes} is not from 1 to {MAX_MINUTES}"));
    }
    let rule = Rule::parse(&recurrence.rule).map_err(|message| problem("rule", message)).ok();
    let (start, rule) = (start?, rule?);
    let (day, mut budget) = (start.div_euclid(DAY), Budget::full());
    let days = Days::new(rule, day, &mut budget).map_err(|error| problem("rule", error.to_string())).ok()?;
    match days.first(&mut budget) {
        Ok(Some(first)) if first == day => {}
        Ok(Some(first)) => {
            let weekday = date_of(day).map_or_else(String::new, |date| format!(" ({:?})", date.weekday()));
            let right = date_of(first).map_or_else(String::new, |date| format!("; the first that it names is {date}"));
            problem("start", format!("the rule does not name that day{weekday}{right}"));
        }
        Ok(None) => problem("rule", "it names no day at all".to_owned()),
        Err(error) => problem("rule", error.to_string()),
    }
    let label = label_of_recurrence(name, &recurrence.rule);
    let length = Length::Lasting { days: 0, seconds: minutes * 60 };
    let event = Event { label, zone: zone.clone(), start, length, days: Some(days), also: Vec::new(), except: Vec::new() };
    (problems.len() == before).then_some(event)
}

/// `YYYY-MM-DDTHH:MM` as wall time.
fn wall_time(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T')?;
    let minute = minute_of_day(time).filter(|minute| *minute < 1440)?;
    Some(day_number(date)? * DAY + minute * 60)
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
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok().map(day_of)
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

fn label_of_recurrence(name: Option<&str>, rule: &str) -> String {
    let name = name.filter(|name| !name.trim().is_empty());
    name.map_or_else(|| single_line(rule, 63), |name| format!("\"{name}\""))
}
