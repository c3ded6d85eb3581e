//! When a gate evaluates its checks by itself.

use crate::api::{RunMode, RunSchedule};
use crate::core::problem::Problem;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

/// A schedule that is known to be sound.
#[derive(Clone, Debug)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
    /// How late a run may begin.
    pub starting_deadline: SignedDuration,
    /// Which checks it evaluates.
    pub mode: RunMode,
}

impl Schedule {
    /// Reads a schedule. Every fault is a problem at a field below `field`.
    pub fn parse(schedule: &RunSchedule, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let zone = TimeZoneDatabase::bundled().get(&schedule.time_zone).ok().filter(|zone| !zone.is_unknown());
        if zone.is_none() {
            let message = format!("{:?} is no time zone: use an IANA name such as Europe/Berlin", schedule.time_zone);
            problems.push(Problem::new(format!("{field}.timeZone"), message));
        }
        let cron = Self::cron(&schedule.cron);
        if let Err(message) = &cron {
            problems.push(Problem::new(format!("{field}.cron"), message.clone()));
        }
        let starting_deadline = SignedDuration::from_secs(i64::from(schedule.starting_deadline_seconds.max(1)));
        Some(Self { cron: cron.ok()?, zone: zone?, starting_deadline, mode: schedule.mode })
    }

    fn cron(text: &str) -> Result<Cron, String> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let meaning = "five fields are wanted: minute, hour, day of month, month, day of week, such as 0 6 * * 1-5";
        let cron = parser.parse(text).map_err(|error| format!("{text:?}: {error}; {meaning}"))?;
        // The thirtieth of February never comes.
        let comes = cron.find_next_occurrence(&Timestamp::UNIX_EPOCH.to_zoned(TimeZone::UTC), false).is_ok();
        if comes { Ok(cron) } else { Err(format!("{text:?} never comes")) }
    }

    /// The first time after an instant.
    pub fn next_after(&self, instant: Timestamp) -> Option<Timestamp> {
        self.cron.find_next_occurrence(&instant.to_zoned(self.zone.clone()), false).ok().map(|time| time.timestamp())
    }

    /// What is due now: the latest time after `since` that is not longer ago than the starting deadline. Those before it were missed.
    pub fn due(&self, since: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let latest = self.cron.find_previous_occurrence(&now.to_zoned(self.zone.clone()), true).ok()?.timestamp();
        let in_time = now.duration_since(latest) < self.starting_deadline;
        (latest > since && latest <= now && in_time).then_some(latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(cron: &str, zone: &str) -> Result<Schedule, String> {
        let spec =
            RunSchedule { cron: cron.to_owned(), time_zone: zone.to_owned(), starting_deadline_seconds: 300, mode: RunMode::default() };
        let mut problems = Vec::new();
        Schedule::parse(&spec, "spec.schedule", &mut problems).ok_or_else(|| problems.iter().map(ToString::to_string).collect())
    }

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    #[test]
    fn the_time_is_that_of_the_zone_also_when_its_clocks_change() {
        let weekdays = read("0 6 * * 1-5", "Europe/Berlin").unwrap();
        // A Friday; on Sunday clocks go forward.
        assert_eq!(weekdays.next_after(at("2026-03-27T05:00:00Z")), Some(at("2026-03-30T04:00:00Z")));
        let nightly = read("30 2 * * *", "Europe/Berlin").unwrap();
        // 02:30 does not exist on that Sunday: it is not left out.
        assert_eq!(nightly.next_after(at("2026-03-28T12:00:00Z")), Some(at("2026-03-29T01:00:00Z")));
        // And exists twice on another.
        assert_eq!(nightly.next_after(at("2026-10-24T12:00:00Z")), Some(at("2026-10-25T00:30:00Z")));
        assert_eq!(nightly.next_after(at("2026-10-25T00:30:00Z")), Some(at("2026-10-26T01:30:00Z")));
    }

    #[test]
    fn what_was_missed_is_made_up_for_once_and_only_in_time() {
        let minutely = read("* * * * *", "UTC").unwrap();
        let (long_ago, now) = (at("2026-01-01T00:00:00Z"), at("2026-01-02T10:00:30Z"));
        assert_eq!(minutely.due(long_ago, now), Some(at("2026-01-02T10:00:00Z")), "the latest only");
        assert_eq!(minutely.due(at("2026-01-02T10:00:00Z"), now), None, "once");
        let daily = read("0 6 * * *", "UTC").unwrap();
        assert_eq!(daily.due(long_ago, at("2026-01-02T06:04:59Z")), Some(at("2026-01-02T06:00:00Z")));
        assert_eq!(daily.due(long_ago, at("2026-01-02T06:05:00Z")), None, "too late");
    }

    #[test]
    fn what_cannot_work_is_said_at_its_field() {
        for (cron, zone, what) in [
            ("0 6 * *", "UTC", "spec.schedule.cron"),
            ("0 0 6 * * 1", "UTC", "spec.schedule.cron"),
            ("61 6 * * *", "UTC", "spec.schedule.cron"),
            ("0 0 30 2 *", "UTC", "never comes"),
            ("0 6 * * *", "Mars/Base", "spec.schedule.timeZone"),
        ] {
            let found = read(cron, zone).unwrap_err();
            assert!(found.contains(what), "{cron} {zone}: {found}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[ -~]{0,40}|([0-9*,/?LW#-]{1,4} ){4}[0-9*,/?LW#-]{1,4}") {
            if let Ok(schedule) = read(&text, "Europe/Berlin") {
                let now = at("2026-05-01T00:00:00Z");
                let _ = schedule.due(Timestamp::UNIX_EPOCH, now);
                prop_assert!(schedule.next_after(now).is_none_or(|next| next > now));
            }
        }
    }
}
