//! Calendars: iCalendar text (RFC 5545), as calendar programs export it, read into events.
//!
//! Why there is code here and not a crate: the text is a tenant's, and what is not understood must be an error with its line, because an
//! event that is left out is an opening that nobody wrote. Of the crates, `icalendar` takes components inside of components apart by
//! recursion, so that a text of nothing but BEGINs overflows the stack, and numbers the lines of another text than the one that its author
//! wrote; `ical` drops spaces at folds; `calcard` takes what it cannot read for text and goes on; and all that know times know those of a
//! second database of zones. What is needed is little: lines, names and values of one kind of component.

use super::budget::Budget;
use super::content::{Line, Property, lines, unescaped};
use super::event::{Event, Length, MAX_RECURRING_DAYS};
use super::rule::{Days, Rule};
use super::value::{Duration, Moment, duration, moment};
use super::wall::{DAY, shown, wall_at};
use crate::core::text::single_line;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// The longest text, in bytes.
pub const MAX_CALENDAR_BYTES: usize = 256 * 1024;
/// The most events in one calendar.
pub const MAX_CALENDAR_EVENTS: usize = 2_000;
/// How deep components may lie in each other; alarms in events in calendars are three.
const MAX_DEPTH: usize = 8;
/// How much of a summary a message shows, in characters.
const MAX_SUMMARY_CHARS: usize = 63;
/// The longest single event, in days.
const MAX_DAYS: i64 = 3_660;

/// The events of a calendar that take time: neither cancelled nor transparent.
#[derive(Clone, Debug, PartialEq)]
pub struct Calendar {
    pub(super) events: Vec<Event>,
}

/// Why a calendar cannot be read, and in which line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct Unreadable {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

impl Unreadable {
    fn new(line: usize, message: impl AsRef<str>) -> Self {
        Self { line, message: single_line(message.as_ref(), 200) }
    }
}

/// One of an event's properties that matter.
struct Value {
    line: usize,
    zone: Option<String>,
    kind: Option<String>,
    text: String,
}

/// An event as it is written.
#[derive(Default)]
struct Written {
    line: usize,
    once: BTreeMap<&'static str, Value>,
    also: Vec<Value>,
    except: Vec<Value>,
}

/// The properties that an event has at most once.
const ONCE: [&str; 9] = ["DTSTART", "DTEND", "DURATION", "RRULE", "UID", "SUMMARY", "STATUS", "TRANSP", "RECURRENCE-ID"];

/// What one event is in its calendar.
struct Read {
    line: usize,
    uid: String,
    /// Whether its times are days.
    whole_days: bool,
    /// Which occurrence of the event of the same UID it stands for.
    instead_of: Option<i64>,
    event: Option<Event>,
}

impl Calendar {
    /// Reads a text. Times without a zone are of `zone`. `name` is what messages call the calendar.
    pub fn parse(text: &str, zone: &TimeZone, name: &str) -> Result<Self, Unreadable> {
        if text.len() > MAX_CALENDAR_BYTES {
            let message = format!("the text has {} KiB, at most {} are read", text.len() / 1024, MAX_CALENDAR_BYTES / 1024);
            return Err(Unreadable::new(1, message));
        }
        let mut budget = Budget::full();
        let mut read = Vec::new();
        for written in written(text)? {
            read.extend(written.read(zone, name, &mut budget)?);
        }
        replace(&mut read, &mut budget)?;
        Ok(Self { events: read.into_iter().filter_map(|read| read.event).collect() })
    }
}

/// Takes a text apart into its events.
fn written(text: &str) -> Result<Vec<Written>, Unreadable> {
    let (mut inside, mut events, mut calendars, mut last) = (Vec::<String>::new(), Vec::new(), 0, 1);
    for Line { number, text } in lines(text) {
        last = number;
        let wrong = |message: String| Unreadable::new(number, message);
        let property = Property::of(&text).ok_or_else(|| wrong(format!("{:?} is not NAME:VALUE", single_line(&text, 40))))?;
        let component = property.value.trim().to_ascii_uppercase();
        if property.name.eq_ignore_ascii_case("BEGIN") {
            if inside.is_empty() != (component == "VCALENDAR") {
                return Err(wrong(format!(
                    "BEGIN:{} where it cannot be; a calendar is inside BEGIN:VCALENDAR",
                    single_line(&component, 40)
                )));
            }
            if inside.len() == MAX_DEPTH {
                return Err(wrong(format!("components more than {MAX_DEPTH} deep")));
            }
            calendars += usize::from(inside.is_empty());
            if inside.len() == 1 && component == "VEVENT" {
                if events.len() == MAX_CALENDAR_EVENTS {
                    return Err(wrong(format!("more than {MAX_CALENDAR_EVENTS} events")));
                }
                events.push(Written { line: number, ..Written::default() });
            }
            inside.push(component);
        } else if property.name.eq_ignore_ascii_case("END") {
            if inside.pop().as_ref() != Some(&component) {
                return Err(wrong(format!("END:{} without its BEGIN", single_line(&component, 40))));
            }
        } else if inside.is_empty() {
            return Err(wrong("before BEGIN:VCALENDAR or after END:VCALENDAR".to_owned()));
        } else if inside.len() == 2
            && inside.last().is_some_and(|component| component == "VEVENT")
            && let Some(event) = events.last_mut()
        {
            event.take(&property, number)?;
        }
    }
    match inside.last() {
        Some(component) => Err(Unreadable::new(last, format!("the text ends before END:{}", single_line(component, 40)))),
        None if calendars == 0 => Err(Unreadable::new(1, "there is no BEGIN:VCALENDAR")),
        None => Ok(events),
    }
}

/// Takes the occurrences that have an event of their own out of those of the event they belong to.
fn replace(read: &mut [Read], budget: &mut Budget) -> Result<(), Unreadable> {
    let mut instead: BTreeMap<String, Vec<(usize, bool, i64)>> = BTreeMap::new();
    for one in read.iter() {
        if let Some(instant) = one.instead_of {
            instead.entry(one.uid.clone()).or_default().push((one.line, one.whole_days, instant));
        }
    }
    for one in read.iter_mut().filter(|one| one.instead_of.is_none()) {
        let (Some(event), Some(instants)) = (&mut one.event, instead.get(&one.uid)) else { continue };
        budget.spend(instants.len()).map_err(|error| Unreadable::new(one.line, error.to_string()))?;
        if let Some((line, ..)) = instants.iter().find(|(_, whole_days, _)| *whole_days != one.whole_days) {
            return Err(Unreadable::new(*line, "RECURRENCE-ID must be a date if DTSTART is one, and a time if that is one"));
        }
        event.except.extend(instants.iter().map(|(.., instant)| *instant));
        event.except.sort_unstable();
    }
    Ok(())
}

impl Written {
    fn take(&mut self, property: &Property<'_>, line: usize) -> Result<(), Unreadable> {
        let name = property.name.to_ascii_uppercase();
        let value = || Value {
            line,
            zone: property.parameter("TZID").map(str::to_owned),
            kind: property.parameter("VALUE").map(str::to_ascii_uppercase),
            text: property.value.trim().to_owned(),
        };
        match name.as_str() {
            "RDATE" => self.also.push(value()),
            "EXDATE" => self.except.push(value()),
            "EXRULE" => return Err(Unreadable::new(line, "EXRULE is not supported: use EXDATE")),
            "RECURRENCE-ID" if property.parameter("RANGE").is_some() => {
                return Err(Unreadable::new(line, "RECURRENCE-ID with RANGE is not supported: split the event"));
            }
            other => {
                if let Some(known) = ONCE.iter().find(|known| **known == other)
                    && self.once.insert(known, value()).is_some()
                {
                    return Err(Unreadable::new(line, format!("a second {known} in one event")));
                }
            }
        }
        Ok(())
    }

    fn is(&self, property: &str, word: &str) -> bool {
        self.once.get(property).is_some_and(|value| value.text.eq_ignore_ascii_case(word))
    }

    /// What the event is; `None` if it takes no time and stands for nothing.
    fn read(&self, probe_zone: &TimeZone, calendar: &str, budget: &mut Budget) -> Result<Option<Read>, Unreadable> {
        let takes_time = !self.is("STATUS", "CANCELLED") && !self.is("TRANSP", "TRANSPARENT");
        let instead_of = self.once.get("RECURRENCE-ID");
        if !takes_time && instead_of.is_none() {
            return Ok(None);
        }
        let uid = self.once.get("UID").map(|value| value.text.clone());
        let mut read = Read { line: self.line, uid: uid.unwrap_or_default(), whole_days: false, instead_of: None, event: None };
        if let Some(value) = instead_of {
            if read.uid.is_empty() {
                return Err(Unreadable::new(value.line, "RECURRENCE-ID without UID"));
            }
            let time = value.time(probe_zone)?;
            (read.whole_days, read.instead_of) = (time.whole_day, Some(time.instant(value.line)?));
        }
        if takes_time {
            let (event, whole_days) = self.event(probe_zone, calendar, budget)?;
            if read.instead_of.is_none() {
                read.whole_days = whole_days;
            }
            read.event = Some(event);
        }
        Ok(Some(read))
    }

    fn event(&self, probe_zone: &TimeZone, calendar: &str, budget: &mut Budget) -> Result<(Event, bool), Unreadable> {
        let begins = self.once.get("DTSTART").ok_or_else(|| Unreadable::new(self.line, "the event has no DTSTART"))?;
        let start = begins.time(probe_zone)?;
        let length = self.length(&start, probe_zone)?;
        let recurs = self.once.contains_key("RRULE") || !self.also.is_empty();
        let limit = if recurs { MAX_RECURRING_DAYS } else { MAX_DAYS };
        if length.in_days() > limit + 1 {
            let kind = if recurs { "event that recurs" } else { "event" };
            return Err(Unreadable::new(self.line, format!("an {kind} lasts longer than {limit} days")));
        }
        let days = self.once.get("RRULE").map(|rule| start.days(rule, budget)).transpose()?;
        let mut event = Event {
            label: self.label(calendar),
            zone: start.zone.clone(),
            start: start.wall,
            length,
            days,
            also: Vec::new(),
            except: Vec::new(),
        };
        for (values, also) in [(&self.also, true), (&self.except, false)] {
            for value in values {
                for time in value.times(probe_zone)? {
                    if time.whole_day != start.whole_day {
                        return Err(Unreadable::new(value.line, "it must be a date if DTSTART is one, and a time if that is one"));
                    }
                    let instant = time.instant(value.line)?;
                    if also {
                        let same_zone = time.zone == start.zone;
                        event.also.extend(if same_zone { Some(time.wall) } else { wall_at(&start.zone, instant) });
                    } else {
                        event.except.push(instant);
                    }
                }
            }
        }
        event.except.sort_unstable();
        Ok((event, start.whole_day))
    }

    /// How long the event lasts, by DTEND or DURATION; without them a day or, at a time, no time.
    fn length(&self, start: &Time, probe_zone: &TimeZone) -> Result<Length, Unreadable> {
        let (ends, lasts) = (self.once.get("DTEND"), self.once.get("DURATION"));
        if let (Some(_), Some(second)) = (ends, lasts) {
            return Err(Unreadable::new(second.line, "DTEND and DURATION in one event"));
        }
        if let Some(lasts) = lasts {
            let Duration { days, seconds } = duration(&lasts.text).map_err(|error| Unreadable::new(lasts.line, error))?;
            if start.whole_day && (seconds != 0 || days == 0) {
                return Err(Unreadable::new(lasts.line, "an event of whole days lasts whole days: DURATION:P1D"));
            }
            return Ok(Length::Lasting { days, seconds });
        }
        let Some(ends) = ends else {
            return Ok(Length::Lasting { days: i64::from(start.whole_day), seconds: 0 });
        };
        let end = ends.time(probe_zone)?;
        if end.whole_day != start.whole_day {
            return Err(Unreadable::new(ends.line, "DTEND must be a date if DTSTART is one, and a time if that is one"));
        }
        let seconds = end.instant(ends.line)? - start.instant(ends.line)?;
        if seconds < 0 || end.whole_day && end.wall <= start.wall {
            return Err(Unreadable::new(ends.line, "DTEND must be after DTSTART; of whole days it is the day after the last"));
        }
        Ok(if end.whole_day {
            Length::Lasting { days: (end.wall - start.wall) / DAY, seconds: 0 }
        } else if end.zone == start.zone {
            Length::Ending { seconds, wall: end.wall - start.wall }
        } else {
            Length::Lasting { days: 0, seconds }
        })
    }

    /// `"Black Friday" of calendar releases`, or only the calendar.
    fn label(&self, calendar: &str) -> String {
        let summary = self.once.get("SUMMARY").map(|value| single_line(&unescaped(&value.text), MAX_SUMMARY_CHARS));
        match summary.filter(|summary| !summary.is_empty()) {
            Some(summary) => format!("\"{summary}\" of calendar {calendar}"),
            None => format!("calendar {calendar}"),
        }
    }
}

/// A time with the clock that shows it.
struct Time {
    wall: i64,
    whole_day: bool,
    zone: TimeZone,
}

impl Time {
    fn instant(&self, line: usize) -> Result<i64, Unreadable> {
        shown(&self.zone, self.wall).map(|shown| shown.read).ok_or_else(|| Unreadable::new(line, "beyond the end of time"))
    }

    /// The days of a rule that begins at this time.
    fn days(&self, rule: &Value, budget: &mut Budget) -> Result<Days, Unreadable> {
        let wrong = |message: String| Unreadable::new(rule.line, format!("RRULE: {message}"));
        let parsed = Rule::parse(&rule.text).map_err(wrong)?;
        let parsed = if self.whole_day { parsed.of_whole_days() } else { parsed };
        Days::new(parsed, self.wall.div_euclid(DAY), budget).map_err(|error| wrong(error.to_string()))
    }
}

impl Value {
    fn time(&self, probe_zone: &TimeZone) -> Result<Time, Unreadable> {
        self.read(&self.text, probe_zone)
    }

    /// A list of times.
    fn times(&self, probe_zone: &TimeZone) -> Result<Vec<Time>, Unreadable> {
        self.text.split(',').map(|text| self.read(text.trim(), probe_zone)).collect()
    }

    fn read(&self, text: &str, probe_zone: &TimeZone) -> Result<Time, Unreadable> {
        let wrong = |message: String| Unreadable::new(self.line, message);
        let moment = moment(text).map_err(wrong)?;
        match (&moment, self.kind.as_deref()) {
            (_, None) | (Moment::Date(_), Some("DATE")) | (Moment::Wall(_) | Moment::Instant(_), Some("DATE-TIME")) => {}
            (_, Some(kind)) => return Err(wrong(format!("{:?} does not go with VALUE={}", single_line(text, 40), single_line(kind, 40)))),
        }
        Ok(match moment {
            Moment::Date(day) => Time { wall: day * DAY, whole_day: true, zone: probe_zone.clone() },
            Moment::Instant(instant) => Time { wall: instant, whole_day: false, zone: TimeZone::UTC },
            Moment::Wall(wall) => {
                let zone = self.zone.as_deref().map(|name| named_zone(name).ok_or_else(|| unknown_zone(self.line, name))).transpose()?;
                Time { wall, whole_day: false, zone: zone.unwrap_or_else(|| probe_zone.clone()) }
            }
        })
    }
}

fn named_zone(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok().filter(|zone| !zone.is_unknown())
}

fn unknown_zone(line: usize, name: &str) -> Unreadable {
    let name = single_line(name, 60);
    Unreadable::new(line, format!("TZID {name:?} is not in the IANA time zone database; Europe/Berlin or UTC would be"))
}
