//! Instants on the clock of a time zone: `now.getHours('Europe/Berlin')`.
//!
//! The interpreter's own functions read an instant in the zone in which it was written, and know no other. In CEL that is UTC, or the
//! zone that is named. The zones come from the database inside the operator, so that every replica tells the same time.

use jiff::civil::Weekday;
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use jiff::{Timestamp, Zoned};
use kube::core::cel::cel::extractors::{Arguments, This};
use kube::core::cel::cel::objects::Value;
use kube::core::cel::cel::{Context, ExecutionError};
use std::sync::LazyLock;

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

type Read = fn(&Zoned) -> i64;

/// What an instant has, by the function that reads it. Months, days of the month (but for `getDate`) and days of the year count from 0,
/// and weeks begin on Sunday.
const OF_INSTANTS: [(&str, Read); 10] = [
    ("getFullYear", |time| i64::from(time.year())),
    ("getMonth", |time| i64::from(time.month()) - 1),
    ("getDayOfYear", |time| i64::from(time.day_of_year()) - 1),
    ("getDayOfMonth", |time| i64::from(time.day()) - 1),
    ("getDate", |time| i64::from(time.day())),
    ("getDayOfWeek", |time| i64::from(time.weekday().since(Weekday::Sunday))),
    ("getHours", |time| i64::from(time.hour())),
    ("getMinutes", |time| i64::from(time.minute())),
    ("getSeconds", |time| i64::from(time.second())),
    ("getMilliseconds", |time| i64::from(time.millisecond())),
];

/// Whether a text names a time zone: of the IANA database, or an offset such as `+02:00`.
pub(super) fn is_zone(name: &str) -> bool {
    zone(name).is_some()
}

/// An instant as the interpreter has it.
pub(super) fn from_instant(instant: Timestamp) -> Option<Value> {
    instant.to_string().parse().ok().map(Value::Timestamp)
}

/// Puts the functions in the place of the interpreter's own.
pub(super) fn add_to(context: &mut Context<'static>) {
    for (name, read) in OF_INSTANTS {
        context.add_function(name, move |This(of): This<Value>, Arguments(zone): Arguments| get(name, read, &of, zone.first()));
    }
}

fn get(name: &'static str, read: Read, of: &Value, zone_name: Option<&Value>) -> Result<Value, ExecutionError> {
    let wrong = |message: &str| ExecutionError::function_error(name, message);
    match (of, zone_name) {
        (Value::Timestamp(time), zone_name) => {
            let zone = match zone_name {
                None => TimeZone::UTC,
                Some(Value::String(name)) => zone(name).ok_or_else(|| wrong("there is no such time zone"))?,
                Some(_) => return Err(wrong("a time zone is a text, such as 'Europe/Berlin'")),
            };
            let nanoseconds = i32::try_from(time.timestamp_subsec_nanos()).unwrap_or(0);
            let instant = Timestamp::new(time.timestamp(), nanoseconds).map_err(|_| wrong("the time is out of range"))?;
            Ok(Value::Int(read(&instant.to_zoned(zone))))
        }
        (Value::Duration(time), None) => Ok(Value::Int(match name {
            "getHours" => time.num_hours(),
            "getMinutes" => time.num_minutes(),
            "getSeconds" => time.num_seconds(),
            "getMilliseconds" => time.num_milliseconds(),
            _ => return Err(wrong("a duration has no date")),
        })),
        (Value::Duration(_), Some(_)) => Err(wrong("a duration is in no time zone")),
        _ => Err(wrong("it reads times and durations")),
    }
}

fn zone(name: &str) -> Option<TimeZone> {
    if name.starts_with(['+', '-']) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return offset(name).map(TimeZone::fixed);
    }
    ZONES.get(name).ok().filter(|zone| !zone.is_unknown())
}

/// `+HH:MM`; without a sign it is ahead of UTC.
fn offset(text: &str) -> Option<Offset> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (hours, minutes) = digits.split_once(':')?;
    let two = |part: &str| (part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit())).then(|| part.parse::<i32>().ok())?;
    let (hours, minutes) = (two(hours)?, two(minutes).filter(|minutes| *minutes < 60)?);
    Offset::from_seconds(sign * (hours * 60 + minutes) * 60).ok()
}

#[cfg(test)]
mod tests;
