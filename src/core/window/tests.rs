use super::*;
use crate::api::{TimeRange, Weekday};
use jiff::civil::Date;
use jiff::tz::TimeZoneDatabase;
use jiff::{SignedDuration, ToSpan};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn parse(spec: Value) -> Result<Schedule, Vec<String>> {
    let spec: WindowProbe = serde_json::from_value(spec).unwrap();
    let mut problems = Vec::new();
    let schedule = Schedule::parse(&spec, "spec.probe.window", &mut problems);
    assert_eq!(schedule.is_none(), !problems.is_empty(), "{problems:?}");
    schedule.ok_or_else(|| problems.iter().map(Problem::to_string).collect())
}

impl Schedule {
    fn ask(&self, now: Timestamp) -> WindowVerdict<'_> {
        self.judge(&[], now).unwrap()
    }

    /// Whether ranges alone allow starts, with offsets that are known already.
    fn is_open_by(&self, offsets: &Offsets, now: Timestamp) -> bool {
        let side = |entries| Side { entries, occurrences: Occurrences::default() };
        let covered = |entries| side(entries).lasting(offsets, floor(now)).is_some();
        !covered(&self.blackouts) && (self.any_time || covered(&self.allowed))
    }
}

fn schedule(spec: Value) -> Schedule {
    parse(spec).unwrap()
}

fn at(instant: &str) -> Timestamp {
    instant.parse().unwrap()
}

/// The instant at which a clock in a zone shows a time; of two the first, of none the one after the jump.
fn local(zone: &str, wall: &str) -> Timestamp {
    let zone = TimeZoneDatabase::bundled().get(zone).unwrap();
    zone.to_ambiguous_timestamp(wall.parse().unwrap()).compatible().unwrap()
}

/// Another way to the same answers: look at the clock once a minute.
mod naive {
    use super::*;

    /// What a clock shows: the date, and the minutes since midnight.
    pub type Wall = (Date, i64);

    pub struct Range {
        weekdays: Vec<Weekday>,
        from: i64,
        to: i64,
        only: Option<Date>,
    }

    impl Range {
        pub fn of(time: &Value, only: Option<Date>) -> Self {
            let time: TimeRange = serde_json::from_value(time.clone()).unwrap();
            let minute = |text: &str| text[..2].parse::<i64>().unwrap() * 60 + text[3..].parse::<i64>().unwrap();
            let (from, to) = (minute(&time.from), minute(&time.to));
            Self { weekdays: time.weekdays, from, to: if to < from { to + 1440 } else { to }, only }
        }

        /// The day whose range has a wall time in it, if there is one.
        fn day_of(&self, (date, minute): Wall) -> Option<Date> {
            let today = (self.from <= minute && minute < self.to && self.begins(date)).then_some(date);
            let from_yesterday = || {
                let yesterday = date.yesterday().unwrap();
                (minute + 1440 < self.to && self.begins(yesterday)).then_some(yesterday)
            };
            today.or_else(from_yesterday)
        }

        fn begins(&self, date: Date) -> bool {
            let weekday = date.weekday().to_monday_zero_offset();
            let on = self.weekdays.is_empty() || self.weekdays.iter().any(|wanted| *wanted as i8 == weekday);
            on && self.only.is_none_or(|only| only == date)
        }
    }

    /// All minutes of a time, and what the clock shows in each.
    pub fn minutes(zone: &TimeZone, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Wall)> {
        let instants = (0..).map(|minute| from + SignedDuration::from_mins(minute)).take_while(|instant| *instant < to);
        let wall = |instant: Timestamp| {
            let shown = zone.to_datetime(instant);
            (shown.date(), i64::from(shown.hour()) * 60 + i64::from(shown.minute()))
        };
        instants.map(|instant| (instant, wall(instant))).collect()
    }

    /// Whether the clock shows a time in the range, for each minute.
    pub fn shown(range: &Range, minutes: &[(Timestamp, Wall)]) -> Vec<bool> {
        minutes.iter().map(|(_, wall)| range.day_of(*wall).is_some()).collect()
    }

    /// Whether a minute is between the first and the last in which the clock shows a time in one day's range.
    pub fn unbroken(range: &Range, minutes: &[(Timestamp, Wall)]) -> Vec<bool> {
        let mut spans: BTreeMap<Date, (usize, usize)> = BTreeMap::new();
        for (index, (_, wall)) in minutes.iter().enumerate() {
            if let Some(day) = range.day_of(*wall) {
                spans.entry(day).or_insert((index, index)).1 = index;
            }
        }
        (0..minutes.len()).map(|index| spans.values().any(|(first, last)| *first <= index && index <= *last)).collect()
    }
}

/// The days on which the clock is put forward and back in 2026.
const CHANGES: [(&str, &str); 6] = [
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("Australia/Lord_Howe", "2026-04-05"),
];

/// Compares a schedule with the naive model from six hours before a day to six hours after it, in every minute.
fn compare_minute_by_minute(zone: &str, day: &str, minutes: &[(Timestamp, naive::Wall)], time: &Value) {
    let date = day.parse().unwrap();
    let allowed = schedule(json!({"timeZone": zone, "allowed": [time]}));
    let blackout = schedule(json!({"timeZone": zone, "blackouts": [{"time": time}]}));
    let dated = schedule(json!({"timeZone": zone, "blackouts": [{"time": time, "dates": {"from": day, "to": day}}]}));
    let shown = naive::shown(&naive::Range::of(time, None), minutes);
    let unbroken = naive::unbroken(&naive::Range::of(time, None), minutes);
    let that_day = naive::unbroken(&naive::Range::of(time, Some(date)), minutes);
    let offsets = Offsets::around(&allowed.zone, floor(minutes[0].0));
    let six_hours = SignedDuration::from_hours(6);
    let (from, to) = (local(zone, &format!("{day}T00:00")) - six_hours, local(zone, &format!("{day}T23:59")) + six_hours);
    for (index, (minute, wall)) in minutes.iter().enumerate().filter(|(_, (minute, _))| from <= *minute && *minute < to) {
        let is_open = |schedule: &Schedule| match index % 30 {
            0 => schedule.ask(*minute).open,
            _ => schedule.is_open_by(&offsets, *minute),
        };
        let answers = (is_open(&allowed), is_open(&blackout), is_open(&dated));
        assert_eq!(answers, (shown[index], !unbroken[index], !that_day[index]), "{minute} {wall:?} {zone} {time}");
    }
}

#[test]
fn every_minute_around_a_change_of_the_clock_is_as_a_look_at_the_clock_says() {
    let ranges = [
        ("00:00", "24:00"),
        ("02:30", "04:00"),
        ("01:00", "02:30"),
        ("01:30", "02:00"),
        ("02:15", "02:45"),
        ("02:10", "02:20"),
        ("01:15", "01:45"),
        ("22:00", "02:15"),
        ("22:00", "06:00"),
        ("02:30", "02:15"),
        ("03:00", "02:00"),
    ];
    for (zone, day) in CHANGES {
        let database = TimeZoneDatabase::bundled().get(zone).unwrap();
        let two_days = SignedDuration::from_hours(48);
        let noon = local(zone, &format!("{day}T12:00"));
        let minutes = naive::minutes(&database, noon - two_days, noon + two_days);
        for (from, to) in ranges {
            compare_minute_by_minute(zone, day, &minutes, &json!({"from": from, "to": to}));
        }
        compare_minute_by_minute(zone, day, &minutes, &json!({"weekdays": ["Sat"], "from": "22:00", "to": "02:15"}));
        compare_minute_by_minute(zone, day, &minutes, &json!({"weekdays": ["Sun"], "from": "01:20", "to": "02:40"}));
    }
}

#[test]
fn a_range_that_begins_in_the_skipped_hour_begins_at_the_jump() {
    let spring = schedule(json!({"timeZone": "Europe/Berlin", "allowed": [{"from": "02:30", "to": "05:00"}]}));
    assert_eq!(spring.ask(at("2026-03-29T00:59:59.999Z")).until, Some(at("2026-03-29T01:00:00Z")));
    assert_eq!(spring.ask(at("2026-03-29T01:00:00Z")).until, Some(at("2026-03-29T03:00:00Z")));
    let skipped = schedule(json!({"timeZone": "Europe/Berlin", "allowed": [{"weekdays": ["Sun"], "from": "02:15", "to": "02:45"}]}));
    assert_eq!(skipped.ask(at("2026-03-28T12:00:00Z")).until, Some(local("Europe/Berlin", "2026-04-05T02:15")));
}

#[test]
fn in_the_repeated_hour_a_blackout_is_unbroken_and_an_allowed_range_is_not() {
    let time = json!({"from": "02:15", "to": "02:45"});
    let allowed = schedule(json!({"timeZone": "Europe/Berlin", "allowed": [time]}));
    let verdict = allowed.ask(at("2026-10-25T00:15:00Z"));
    assert_eq!((verdict.open, verdict.until), (true, Some(at("2026-10-25T00:45:00Z"))));
    let verdict = allowed.ask(at("2026-10-25T00:45:00Z"));
    assert_eq!((verdict.open, verdict.until), (false, Some(at("2026-10-25T01:15:00Z"))));
    let blackout = schedule(json!({"timeZone": "Europe/Berlin", "blackouts": [{"time": time}]}));
    let verdict = blackout.ask(at("2026-10-25T00:15:00Z"));
    assert_eq!((verdict.open, verdict.until), (false, Some(at("2026-10-25T01:45:00Z"))));
}

#[test]
fn a_range_across_midnight_belongs_to_the_day_on_which_it_begins() {
    let nights =
        schedule(json!({"timeZone": "Europe/Berlin", "allowed": [{"name": "night", "weekdays": ["Fri"], "from": "22:00", "to": "06:00"}]}));
    // 2026-09-04 is a Friday.
    for (wall, open) in [
        ("2026-09-04T05:59:59", false),
        ("2026-09-04T21:59:59", false),
        ("2026-09-04T22:00", true),
        ("2026-09-05T05:59:59", true),
        ("2026-09-05T06:00", false),
        ("2026-09-05T22:00", false),
    ] {
        assert_eq!(nights.ask(local("Europe/Berlin", wall)).open, open, "{wall}");
    }
}

#[test]
fn blackouts_win_over_allowed_windows_and_the_next_opening_heeds_both() {
    let black_friday = schedule(json!({
        "timeZone": "Europe/Berlin",
        "allowed": [{"name": "office hours", "weekdays": ["Mon", "Tue", "Wed", "Thu"], "from": "09:00", "to": "16:00"}],
        "blackouts": [
            {"name": "Black Friday", "dates": {"from": "2026-11-25", "to": "2026-11-30"}},
            {"name": "stand-up", "time": {"from": "09:00", "to": "09:15"}, "dates": {"from": "2026-01-01", "to": "2026-12-01"}},
        ],
    }));
    let berlin = |wall: &str| local("Europe/Berlin", wall);
    for (now, by, until, next_opening) in [
        ("2026-11-24T15:00", By::Allowed("\"office hours\""), "2026-11-24T16:00", None),
        ("2026-11-24T16:00", By::Outside, "2026-11-25T00:00", Some("2026-12-01T09:15")),
        ("2026-11-25T10:00", By::Blackout("\"Black Friday\""), "2026-12-01T00:00", Some("2026-12-01T09:15")),
        ("2026-12-01T00:00", By::Outside, "2026-12-01T09:00", Some("2026-12-01T09:15")),
        ("2026-12-01T09:01", By::Blackout("\"stand-up\""), "2026-12-01T09:15", Some("2026-12-01T09:15")),
        ("2026-12-01T09:15", By::Allowed("\"office hours\""), "2026-12-01T16:00", None),
        ("2026-12-02T09:00", By::Allowed("\"office hours\""), "2026-12-02T16:00", None),
    ] {
        let open = matches!(by, By::Allowed(_));
        let expected = WindowVerdict { open, by, until: Some(berlin(until)), next_opening: next_opening.map(berlin) };
        assert_eq!(black_friday.ask(berlin(now)), expected, "{now}");
    }
}

#[test]
fn ranges_that_meet_or_overlap_are_one() {
    let day = schedule(json!({"allowed": [
        {"name": "a", "from": "08:00", "to": "12:00"}, {"name": "b", "from": "12:00", "to": "18:00"}, {"name": "c", "from": "11:00", "to": "13:00"},
    ]}));
    let verdict = day.ask(at("2026-09-01T11:30:00Z"));
    assert_eq!((verdict.by, verdict.until), (By::Allowed("\"c\""), Some(at("2026-09-01T18:00:00Z"))));
    let always = schedule(json!({"allowed": [{"from": "00:00", "to": "24:00"}]}));
    let expected = WindowVerdict { open: true, by: By::Allowed("00:00-24:00"), until: None, next_opening: None };
    assert_eq!(always.ask(at("2026-09-01T11:30:00Z")), expected);
}

#[test]
fn what_never_changes_and_what_never_opens_have_no_instants() {
    let past = schedule(json!({"blackouts": [{"dates": {"from": "2020-01-01", "to": "2020-12-31"}}]}));
    let now = at("2026-09-01T11:30:00Z");
    assert_eq!(past.ask(now), WindowVerdict { open: true, by: By::AnyTime, until: None, next_opening: None });
    let distant = schedule(json!({"blackouts": [{"dates": {"from": "0000-01-01", "to": "9999-12-31"}}]}));
    let by = By::Blackout("0000-01-01 to 9999-12-31");
    assert_eq!(distant.ask(now), WindowVerdict { open: false, by, until: None, next_opening: None });
    let never = schedule(json!({"allowed": [{"from": "10:00", "to": "11:00"}], "blackouts": [{"time": {"from": "09:00", "to": "12:00"}}]}));
    let verdict = never.ask(at("2026-09-01T10:30:00Z"));
    assert_eq!((verdict.until, verdict.next_opening), (Some(at("2026-09-01T12:00:00Z")), None));
}

#[test]
fn a_search_that_is_given_up_says_too_early_rather_than_too_late() {
    let quarter = |number: i32| format!("{:02}:{:02}", number / 4, number % 4 * 15);
    let spec = |tiles: Vec<Value>| schedule(json!({"blackouts": tiles}));
    // All day in quarters of an hour, the last one listed first, and one of the 96 left out or not.
    let tiles: Vec<_> = (0..96).rev().map(|part| json!({"time": {"from": quarter(part), "to": quarter(part + 1)}})).collect();
    let now = at("2026-09-01T11:30:00Z");
    let closed = spec(tiles.clone());
    let verdict = closed.ask(now);
    assert!(!verdict.open && verdict.until.is_none_or(|until| now < until && !closed.ask(until).open));
    assert_eq!(verdict.next_opening, None);
    let open_at_midnight = spec(tiles.iter().take(95).cloned().collect());
    assert_eq!(open_at_midnight.ask(now).next_opening, Some(at("2026-09-02T00:00:00Z")));
}

#[test]
fn what_cannot_work_is_a_problem_at_its_field() {
    for (spec, field, says) in [
        (json!({"timeZone": "Europe/Berlni", "blackouts": [{"time": {"from": "01:00", "to": "02:00"}}]}), "timeZone", "IANA"),
        (json!({"timeZone": "Etc/Unknown", "blackouts": [{"time": {"from": "01:00", "to": "02:00"}}]}), "timeZone", "Europe/Berlin"),
        (json!({"blackouts": [{"dates": {"from": "2026-02-30", "to": "2026-03-01"}}]}), "blackouts[0].dates.from", "2026-02-30"),
        (json!({"blackouts": [{"dates": {"from": "2026-02-01", "to": "2026-3-01"}}]}), "blackouts[0].dates.to", "not a date"),
        (json!({"blackouts": [{"dates": {"from": "2026-02-02", "to": "2026-02-01"}}]}), "blackouts[0].dates", "after"),
        (json!({"blackouts": [{"name": "empty"}]}), "blackouts[0]", "dates, time or both"),
        (json!({"blackouts": [{"time": {"from": "24:00", "to": "02:00"}}]}), "blackouts[0].time.from", "23:59"),
        (json!({"allowed": [{"from": "09:00", "to": "24:01"}]}), "allowed[0].to", "24:00"),
        (json!({"allowed": [{"from": "9:00", "to": "12:00"}]}), "allowed[0].from", "not a time of day"),
        (json!({"allowed": [{"from": "09:60", "to": "12:00"}]}), "allowed[0].from", "not a time of day"),
        (json!({"allowed": [{"from": "09:00", "to": "09:00"}]}), "allowed[0]", "must differ"),
    ] {
        let problems = parse(spec.clone()).unwrap_err();
        assert_eq!(problems.len(), 1, "{spec} {problems:?}");
        assert!(problems[0].starts_with(&format!("spec.probe.window.{field}: ")), "{problems:?}");
        assert!(problems[0].contains(says), "{problems:?}");
    }
    assert_eq!(parse(json!({})).unwrap_err(), ["spec.probe.window: set allowed, blackouts or calendars"]);
}

#[test]
fn the_zone_is_named_as_the_database_writes_it() {
    let spec = |zone: &str| json!({"timeZone": zone, "allowed": [{"from": "01:00", "to": "02:00"}]});
    assert_eq!(schedule(spec("europe/berlin")).zone_name(), "Europe/Berlin");
    assert_eq!(schedule(json!({"allowed": [{"from": "01:00", "to": "02:00"}]})).zone_name(), "UTC");
    assert_eq!(schedule(spec("Etc/GMT+5")).zone_name(), "Etc/GMT+5");
}

#[test]
fn instants_at_the_ends_of_time_are_answered() {
    let spec = json!({"timeZone": "Europe/Berlin", "allowed": [{"from": "22:00", "to": "06:00"}], "blackouts": [{"dates": {"from": "2026-01-01", "to": "2026-01-01"}}]});
    for instant in [Timestamp::MIN, Timestamp::MAX, Timestamp::UNIX_EPOCH, at("-000001-01-01T00:00:00.5Z"), at("1969-12-31T23:59:59.5Z")] {
        let _ = schedule(spec.clone()).ask(instant);
    }
}

#[test]
fn days_that_a_zone_skipped_or_repeated_do_no_harm() {
    // Samoa had no 2011-12-30; Kwajalein had no 1993-08-21 and two of 1969-09-30.
    let weekdays = json!(["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]);
    for (zone, from, to) in [
        ("Pacific/Apia", "2011-12-28T00:00:00Z", "2012-01-02T00:00:00Z"),
        ("Pacific/Kwajalein", "1993-08-19T00:00:00Z", "1993-08-24T00:00:00Z"),
        ("Pacific/Kwajalein", "1969-09-28T00:00:00Z", "1969-10-03T00:00:00Z"),
    ] {
        let time = json!({"weekdays": weekdays, "from": "22:00", "to": "06:30"});
        let schedule = schedule(json!({"timeZone": zone, "allowed": [time]}));
        let minutes = naive::minutes(&schedule.zone, at(from), at(to));
        let shown = naive::shown(&naive::Range::of(&time, None), &minutes);
        for ((minute, _), open) in minutes.iter().zip(shown).step_by(15) {
            let verdict = schedule.ask(*minute);
            assert_eq!(verdict.open, open, "{minute}");
            let until = verdict.until.unwrap();
            assert_eq!(schedule.ask(until - SignedDuration::from_nanos(1)).open, open, "{minute}");
            assert_ne!(schedule.ask(until).open, open, "{minute}");
        }
    }
}

fn any_time() -> impl Strategy<Value = Value> {
    let weekdays = proptest::sample::subsequence(vec!["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], 0..=7);
    (weekdays, 0..96_i32, 0..=96_i32).prop_filter_map("an empty range", |(weekdays, from, to)| {
        let text = |quarter: i32| format!("{:02}:{:02}", quarter / 4, quarter % 4 * 15);
        (from != to).then(|| json!({"weekdays": weekdays, "from": text(from), "to": text(to)}))
    })
}

fn any_schedule() -> impl Strategy<Value = Schedule> {
    let zone = proptest::sample::select(vec![
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "Asia/Kathmandu",
    ]);
    let dates = (0..430_i32, 0..40_i32).prop_map(|(from, days)| {
        let from = Date::new(2026, 2, 1).unwrap() + from.days();
        json!({"from": from.to_string(), "to": (from + days.days()).to_string()})
    });
    let blackout = (proptest::option::of(dates), proptest::option::of(any_time())).prop_filter_map("an empty blackout", |(dates, time)| {
        (dates.is_some() || time.is_some()).then(|| json!({"dates": dates, "time": time}))
    });
    (zone, proptest::collection::vec(any_time(), 0..4), proptest::collection::vec(blackout, 0..4))
        .prop_filter("nothing set", |(_, allowed, blackouts)| !allowed.is_empty() || !blackouts.is_empty())
        .prop_map(|(zone, allowed, blackouts)| schedule(json!({"timeZone": zone, "allowed": allowed, "blackouts": blackouts})))
}

/// Instants of 14 months, many of them near a change of the clock.
fn any_instant() -> impl Strategy<Value = Timestamp> {
    let near = (proptest::sample::select(CHANGES.to_vec()), -2_000_i64..2_000)
        .prop_map(|((zone, day), minutes)| local(zone, &format!("{day}T02:00")) + SignedDuration::from_mins(minutes));
    let anywhere = (0_i64..36_000_000).prop_map(|seconds| at("2026-02-01T00:00:00Z") + SignedDuration::from_secs(seconds));
    let nanos = (prop_oneof![near, anywhere], 0_i64..1_000_000_000);
    nanos.prop_map(|(instant, nanos)| instant + SignedDuration::from_nanos(nanos))
}

fn class(schedule: &Schedule, instant: Timestamp) -> u8 {
    match schedule.ask(instant).by {
        By::Allowed(_) | By::AnyTime => 0,
        By::Outside => 1,
        By::Blackout(_) => 2,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_answer_holds_until_it_says_and_no_longer(schedule in any_schedule(), now in any_instant(), part in 0.0..1.0) {
        let verdict = schedule.ask(now);
        let answer = class(&schedule, now);
        prop_assert_eq!(verdict.open, answer == 0);
        let nano = SignedDuration::from_nanos(1);
        if let Some(until) = verdict.until {
            prop_assert!(now < until);
            prop_assert_eq!(class(&schedule, until - nano), answer);
            prop_assert_ne!(class(&schedule, until), answer);
            let between = now + until.duration_since(now).mul_f64(part);
            prop_assert_eq!(class(&schedule, between.min(until - nano)), answer);
        } else {
            for days in [1, 7, 100, 390] {
                prop_assert_eq!(class(&schedule, now + SignedDuration::from_hours(24 * days)), answer);
            }
        }
    }

    #[test]
    fn the_next_opening_is_open_and_nothing_before_it_is(schedule in any_schedule(), now in any_instant(), part in 0.0..1.0) {
        let verdict = schedule.ask(now);
        let Some(opening) = verdict.next_opening else { return Ok(()) };
        let nano = SignedDuration::from_nanos(1);
        prop_assert!(!verdict.open && now < opening);
        prop_assert!(schedule.ask(opening).open);
        prop_assert!(!schedule.ask(opening - nano).open);
        let between = now + opening.duration_since(now).mul_f64(part);
        prop_assert!(!schedule.ask(between.min(opening - nano)).open);
    }

    #[test]
    fn any_text_is_parsed_or_refused(zone in "\\PC{0,20}|[A-Za-z]{1,8}/[A-Za-z]{1,8}", time in "\\PC{0,8}|[0-9:+-]{0,6}", date in "\\PC{0,12}|[0-9-]{0,11}") {
        let _ = parse(json!({
            "timeZone": zone,
            "allowed": [{"from": time, "to": "12:00"}, {"from": "12:00", "to": time}],
            "blackouts": [{"dates": {"from": date, "to": "2026-12-31"}}, {"dates": {"from": "2026-01-01", "to": date}, "time": {"from": time, "to": time}}],
        }));
    }
}
