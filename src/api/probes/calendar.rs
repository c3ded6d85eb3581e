//! Parts of `window`: allowed times, recurrences, calendars.

use super::Weekday;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A time in which starts are allowed: a weekly range, or a recurrence.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "has(self.recurrence) ? !has(self.from) && !has(self.to) && !has(self.weekdays) : has(self.from) && has(self.to)"
).message("set from and to, with weekdays or without, or recurrence alone"))]
#[x_kube(validation = Rule::new("!has(self.from) || !has(self.to) || self.from != self.to")
    .message("from and to must differ; for a whole day write from: \"00:00\", to: \"24:00\""))]
pub struct AllowedWindow {
    /// A name for messages. Example: `office hours`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub name: Option<String>,
    /// The weekdays on which the range begins. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    pub weekdays: Vec<Weekday>,
    /// When it begins, HH:MM in 24 hours, included. Example: "22:00".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5), regex(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub from: Option<String>,
    /// When it ends, HH:MM, excluded; "24:00" is the end of the day. Earlier than `from` means: on the next day. Example: "06:00".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5), regex(pattern = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"))]
    pub to: Option<String>,
    /// A recurrence instead of a weekly range.
    /// Example: `{rule: "FREQ=MONTHLY;BYDAY=-1FR", start: "2026-01-30T18:00", durationMinutes: 120}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recurrence: Option<Recurrence>,
}

/// A time that recurs by a rule of RFC 5545.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Recurrence {
    /// The rule, as an RRULE of RFC 5545 without that word: FREQ (DAILY, WEEKLY, MONTHLY or YEARLY) with INTERVAL, COUNT (at most 10000) or
    /// UNTIL, BYDAY, BYMONTHDAY, BYMONTH, BYSETPOS, WKST. Examples: `FREQ=MONTHLY;BYDAY=-1FR` (each month's last Friday),
    /// `FREQ=WEEKLY;INTERVAL=2`.
    #[schemars(length(min = 1, max = 512), regex(pattern = "^[A-Za-z0-9=;,+-]+$"))]
    #[x_kube(validation = Rule::new("self.matches('(?i)(^|;)FREQ=')").message("FREQ is missing: DAILY, WEEKLY, MONTHLY or YEARLY"))]
    #[x_kube(validation = Rule::new("!self.matches('(?i)FREQ=(SECONDLY|MINUTELY|HOURLY)')")
        .message("the shortest FREQ is DAILY; times of day are weekly ranges"))]
    pub rule: String,
    /// When the first one begins, on the clock of the probe's zone: a day that the rule names. Example: "2026-01-30T18:00".
    #[schemars(length(max = 16), regex(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub start: String,
    /// How many minutes each lasts. Range: 1 to 44640 (31 days).
    #[schemars(range(min = 1, max = 44_640))]
    pub duration_minutes: i32,
}

/// A calendar whose events are allowed times or blackouts.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WindowCalendar {
    /// A name for messages. Default: the ConfigMap's. Example: `releases`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub name: Option<String>,
    /// What its events are: times in which nothing may start (Blackout), or in which starts are allowed (Allowed). Default: Blackout.
    #[serde(default)]
    pub effect: CalendarEffect,
    /// Where its text is. While the ConfigMap or the key is missing, or the text cannot be read, the check has no data
    /// (`outcomes.noData`).
    pub config_map_ref: CalendarText,
}

/// What the events of a calendar are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum CalendarEffect {
    /// Times in which nothing may start.
    #[default]
    Blackout,
    /// Times in which starts are allowed.
    Allowed,
}

/// Text of RFC 5545 (iCalendar, `.ics`) in a ConfigMap of the check's namespace: at most 256 KiB and 2000 events.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CalendarText {
    /// The ConfigMap's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key. Default: `calendar.ics`.
    #[serde(default = "calendar_ics")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn calendar_ics() -> String {
    "calendar.ics".to_owned()
}
