//! Probe `window`: now is inside an allowed window and outside every blackout.

use super::live::{LiveProbe, Look, Place, Related, TargetRule};
use super::objects::NOT_SYNCED;
use crate::api::{CalendarEffect, WindowProbe};
use crate::core::observation::{NO_DATA, Observation, Outcome};
use crate::core::problem::Problem;
use crate::core::text::single_line;
use crate::core::window::{By, Schedule, WindowVerdict};
use jiff::{SignedDuration, Timestamp};
use kube::api::DynamicObject;
use serde_json::Value;
use std::sync::{Mutex, PoisonError};

mod settled;
#[cfg(test)]
mod tests;

use settled::{Answer, Settled};

/// Reason of a Pass: starts are allowed now.
pub const IN_WINDOW: &str = "InWindow";
/// Reason of a Fail: now is outside every allowed window.
pub const OUTSIDE_WINDOW: &str = "OutsideWindow";
/// Reason of a Fail: now is in a blackout.
pub const BLACKOUT: &str = "Blackout";
/// Reason of an Error: there are more occurrences than one look may count out.
pub const TOO_COSTLY: &str = "TooCostly";

/// The longest that an answer is kept.
const KEPT_FOR: SignedDuration = SignedDuration::from_hours(24);
/// How much of a ConfigMap's name a message shows as the calendar's, in characters.
const MAX_NAME_CHARS: usize = 63;

/// The calendar of a check.
#[derive(Debug)]
pub struct Window {
    schedule: Schedule,
    calendars: Vec<Source>,
    /// The last answer that took reading calendars or counting out recurrences. Only that is kept: parsed calendars of every check
    /// would be many times the text, which all checks share.
    settled: Mutex<Option<Settled>>,
}

/// Where a calendar's text is.
#[derive(Debug)]
struct Source {
    /// What messages call it.
    name: String,
    effect: CalendarEffect,
    config_map: String,
    key: String,
}

impl Window {
    /// Reads the spec; what cannot work is a problem below `field`.
    pub fn parse(spec: &WindowProbe, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let source = |calendar: &crate::api::WindowCalendar| {
            let given = calendar.name.as_deref().filter(|name| !name.trim().is_empty());
            Source {
                name: single_line(given.unwrap_or(&calendar.config_map_ref.name), MAX_NAME_CHARS),
                effect: calendar.effect,
                config_map: calendar.config_map_ref.name.clone(),
                key: calendar.config_map_ref.key.clone(),
            }
        };
        let calendars = spec.calendars.iter().map(source).collect();
        Schedule::parse(spec, field, problems).map(|schedule| Self { schedule, calendars, settled: Mutex::new(None) })
    }

    /// What the calendar says now. The target is the zone, since that is whose clock is read.
    fn seen(&self, look: &Look<'_>) -> Observation {
        let now = look.now;
        if self.calendars.is_empty() && !self.schedule.has_recurrences() {
            return match self.schedule.judge(&[], now) {
                Ok(verdict) => self.observation(&verdict, now),
                Err(error) => self.error(TOO_COSTLY, error.to_string()),
            };
        }
        let texts = match self.texts(look) {
            Ok(texts) => texts,
            Err((reason, message)) => return self.error(reason, message),
        };
        let versions: Vec<&str> = texts.iter().map(|(_, version)| *version).collect();
        let kept = {
            let settled = self.settled.lock().unwrap_or_else(PoisonError::into_inner);
            settled.as_ref().and_then(|settled| settled.answer(&versions, now)).cloned()
        };
        let answer = kept.unwrap_or_else(|| {
            let answer = self.answer(&texts, now);
            let settled = Settled::new(&versions, now, answer.clone());
            *self.settled.lock().unwrap_or_else(PoisonError::into_inner) = settled;
            answer
        });
        match &answer {
            Answer::Verdict(verdict) => self.observation(&verdict.borrowed(), now),
            Answer::Error(reason, message) => self.error(reason, message),
        }
    }

    /// Every calendar's text, and the version of its ConfigMap.
    fn texts<'a>(&self, look: &Look<'a>) -> Result<Vec<(&'a str, &'a str)>, (&'static str, String)> {
        let text = |source: &Source| {
            let Source { config_map, key, .. } = source;
            let found = look.objects.get("v1", "ConfigMap", Some(look.namespace), config_map);
            let object = found.map_err(|error| (NOT_SYNCED, error.message))?;
            let object: &'a DynamicObject = object.ok_or_else(|| (NO_DATA, format!("ConfigMap {config_map} does not exist")))?;
            let of = |field: &str| object.data.get(field).and_then(|data| data.get(key));
            let version = object.metadata.resource_version.as_deref().unwrap_or_default();
            match of("data") {
                Some(Value::String(text)) => Ok((text.as_str(), version)),
                _ if of("binaryData").is_some() => {
                    Err((NO_DATA, format!("ConfigMap {config_map}, key {key}: it is binary data, and must be text in UTF-8")))
                }
                _ => Err((NO_DATA, format!("ConfigMap {config_map} has no key {key}"))),
            }
        };
        self.calendars.iter().map(text).collect()
    }

    /// Reads the calendars and asks.
    fn answer(&self, texts: &[(&str, &str)], now: Timestamp) -> Answer {
        let mut calendars = Vec::with_capacity(texts.len());
        for (source, (text, _)) in self.calendars.iter().zip(texts) {
            match self.schedule.calendar(text, &source.name) {
                Ok(calendar) => calendars.push((source.effect, calendar)),
                Err(error) => {
                    let Source { config_map, key, .. } = source;
                    return Answer::Error(NO_DATA, format!("ConfigMap {config_map}, key {key}, {error}"));
                }
            }
        }
        match self.schedule.judge(&calendars, now) {
            Ok(verdict) => Answer::of(&verdict),
            Err(error) => Answer::Error(TOO_COSTLY, error.to_string()),
        }
    }

    fn error(&self, reason: &'static str, message: impl AsRef<str>) -> Observation {
        Observation::error(self.schedule.zone_name(), reason, message)
    }

    fn observation(&self, verdict: &WindowVerdict<'_>, now: Timestamp) -> Observation {
        let (outcome, reason) = match verdict.by {
            By::Allowed(_) | By::AnyTime => (Outcome::Pass, IN_WINDOW),
            By::Outside => (Outcome::Fail, OUTSIDE_WINDOW),
            By::Blackout(_) => (Outcome::Fail, BLACKOUT),
        };
        let value = match verdict.by {
            By::Allowed(label) => format!("inside {label}"),
            By::AnyTime => "outside every blackout".to_owned(),
            By::Outside => "outside every allowed window".to_owned(),
            By::Blackout(label) => format!("blackout {label}"),
        };
        let required = match verdict.by {
            By::Allowed(_) | By::Outside => "inside an allowed window",
            By::AnyTime | By::Blackout(_) => "outside every blackout",
        };
        Observation::new(self.schedule.zone_name(), outcome, reason, self.message(verdict, now))
            .measured(value, required)
            .holding_until(verdict.until)
    }

    fn message(&self, verdict: &WindowVerdict<'_>, now: Timestamp) -> String {
        let until = |from: &str| match verdict.until {
            Some(instant) if verdict.open => format!("{from} until {}", self.schedule.on_the_clock_seen_from(instant, now)),
            Some(instant) => format!("{from} until {}", self.schedule.on_the_clock(instant)),
            None => format!("{from} for more than a year"),
        };
        let next_opening = || match verdict.next_opening {
            Some(instant) => format!("next opening {}", self.schedule.on_the_clock(instant)),
            None => "no opening in sight".to_owned(),
        };
        match verdict.by {
            By::Allowed(label) => until(&format!("inside {label}")),
            By::AnyTime => until("no blackout"),
            By::Outside => format!("outside every allowed window; {}", next_opening()),
            By::Blackout(label) => format!("{}; {}", until(&format!("blackout {label}")), next_opening()),
        }
    }
}

impl LiveProbe for Window {
    fn name(&self) -> &'static str {
        "window"
    }

    fn targets(&self) -> TargetRule {
        TargetRule::None
    }

    fn reads(&self) -> Vec<Related> {
        let mut names: Vec<&String> = self.calendars.iter().map(|source| &source.config_map).collect();
        names.sort_unstable();
        names.dedup();
        let read =
            |name: &String| Related { api_version: "v1", kind: "ConfigMap", place: Place::Targets, name: Some(name.clone()), quiet: false };
        names.into_iter().map(read).collect()
    }

    fn observe(&self, look: &Look<'_>) -> Vec<Observation> {
        vec![self.seen(look)]
    }
}
