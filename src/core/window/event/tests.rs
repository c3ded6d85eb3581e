use crate::api::CalendarEffect;
use crate::core::problem::Problem;
use crate::core::window::{By, Calendar, MAX_OCCURRENCES, Schedule, TooMuch};
use jiff::tz::TimeZoneDatabase;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};

fn parse(spec: Value) -> Result<Schedule, Vec<String>> {
    let mut problems = Vec::new();
    let schedule = Schedule::parse(&serde_json::from_value(spec).unwrap(), "spec.probe.window", &mut problems);
    assert_eq!(schedule.is_none(), !problems.is_empty(), "{problems:?}");
    schedule.ok_or_else(|| problems.iter().map(Problem::to_string).collect())
}

fn schedule(spec: Value) -> Schedule {
    parse(spec).unwrap()
}

fn at(instant: &str) -> Timestamp {
    instant.parse().unwrap()
}

/// The instant at which a clock in Berlin shows a time.
fn berlin(wall: &str) -> Timestamp {
    TimeZoneDatabase::bundled().get("Europe/Berlin").unwrap().to_ambiguous_timestamp(wall.parse().unwrap()).compatible().unwrap()
}

fn recurrence(rule: &str, start: &str, minutes: i32) -> Value {
    json!({"recurrence": {"rule": rule, "start": start, "durationMinutes": minutes}})
}

fn blackout(rule: &str, start: &str, minutes: i32) -> Schedule {
    schedule(json!({"timeZone": "Europe/Berlin", "blackouts": [recurrence(rule, start, minutes)]}))
}

fn allowed(rule: &str, start: &str, minutes: i32) -> Schedule {
    schedule(json!({"timeZone": "Europe/Berlin", "allowed": [recurrence(rule, start, minutes)]}))
}

/// From when to when the schedule is as it will be at an instant, found by asking.
fn stretch(schedule: &Schedule, before: Timestamp) -> (Option<Timestamp>, Option<Timestamp>) {
    let begins = schedule.judge(&[], before).unwrap().until;
    (begins, begins.and_then(|begins| schedule.judge(&[], begins).unwrap().until))
}

#[test]
fn each_months_last_friday_is_a_blackout() {
    let schedule = schedule(json!({"timeZone": "Europe/Berlin", "blackouts": [
        {"name": "release night", "recurrence": {"rule": "FREQ=MONTHLY;BYDAY=-1FR", "start": "2026-01-30T18:00", "durationMinutes": 120}},
    ]}));
    for (wall, open, until) in [
        ("2026-01-01T12:00", true, "2026-01-30T18:00"),
        ("2026-11-27T17:59:59", true, "2026-11-27T18:00"),
        ("2026-11-27T18:00", false, "2026-11-27T20:00"),
        ("2026-11-27T19:59:59", false, "2026-11-27T20:00"),
        ("2026-11-27T20:00", true, "2026-12-25T18:00"),
    ] {
        let verdict = schedule.judge(&[], berlin(wall)).unwrap();
        assert_eq!((verdict.open, verdict.until), (open, Some(berlin(until))), "{wall}");
        assert_eq!(verdict.by, if open { By::AnyTime } else { By::Blackout("\"release night\"") });
        assert_eq!(verdict.next_opening, (!open).then(|| berlin(until)));
    }
}

#[test]
fn recurrences_and_weekly_ranges_are_one_calendar() {
    let schedule = schedule(json!({
        "timeZone": "Europe/Berlin",
        "allowed": [{"weekdays": ["Mon"], "from": "09:00", "to": "12:00"}, recurrence("FREQ=WEEKLY;BYDAY=MO", "2026-01-05T12:00", 60)],
        "blackouts": [recurrence("FREQ=WEEKLY;INTERVAL=2", "2026-01-05T11:00", 30)],
    }));
    // A Monday with the blackout: the range and the recurrence meet at noon.
    let verdict = schedule.judge(&[], berlin("2026-01-19T11:30")).unwrap();
    assert_eq!((verdict.by, verdict.until), (By::Allowed("Mon 09:00-12:00"), Some(berlin("2026-01-19T13:00"))));
    let verdict = schedule.judge(&[], berlin("2026-01-19T11:00")).unwrap();
    assert_eq!((verdict.by, verdict.next_opening), (By::Blackout("FREQ=WEEKLY;INTERVAL=2"), Some(berlin("2026-01-19T11:30"))));
    let verdict = schedule.judge(&[], berlin("2026-01-12T10:00")).unwrap();
    assert_eq!(verdict.until, Some(berlin("2026-01-12T13:00")));
    let verdict = schedule.judge(&[], berlin("2026-01-12T13:00")).unwrap();
    assert_eq!((verdict.by, verdict.next_opening), (By::Outside, Some(berlin("2026-01-19T09:00"))));
}

#[test]
fn across_midnight_a_leap_day_and_the_last_of_a_count() {
    let night = allowed("FREQ=WEEKLY;BYDAY=FR", "2026-09-04T22:00", 480);
    assert!(night.judge(&[], berlin("2026-09-05T05:59:59")).unwrap().open);
    assert_eq!(stretch(&night, berlin("2026-09-05T06:00")), (Some(berlin("2026-09-11T22:00")), Some(berlin("2026-09-12T06:00"))));
    let leap = blackout("FREQ=YEARLY", "2024-02-29T09:00", 60);
    assert_eq!(leap.judge(&[], berlin("2027-01-01T09:00")).unwrap().until, None, "2028 is beyond the horizon");
    assert_eq!(stretch(&leap, berlin("2028-01-01T09:00")).0, Some(berlin("2028-02-29T09:00")));
    let three = blackout("FREQ=DAILY;COUNT=3", "2026-09-01T09:00", 60);
    assert!(!three.judge(&[], berlin("2026-09-03T09:30")).unwrap().open);
    assert_eq!(three.judge(&[], berlin("2026-09-03T10:00")).unwrap().until, None);
    // UNTIL is the beginning of the last one, as a date, as a time of the zone or in UTC.
    for until in ["20260903", "20260903T090000", "20260903T070000Z"] {
        let three = blackout(&format!("FREQ=DAILY;UNTIL={until}"), "2026-09-01T09:00", 60);
        assert_eq!(
            stretch(&three, berlin("2026-09-02T12:00")),
            (Some(berlin("2026-09-03T09:00")), Some(berlin("2026-09-03T10:00"))),
            "{until}"
        );
        assert_eq!(three.judge(&[], berlin("2026-09-03T10:00")).unwrap().until, None);
    }
    // One that began long ago still lasts.
    let month = blackout("FREQ=MONTHLY;INTERVAL=2", "2026-01-01T00:00", 44_640);
    assert!(!month.judge(&[], berlin("2026-01-31T23:59")).unwrap().open);
    assert!(month.judge(&[], berlin("2026-02-01T00:00")).unwrap().open);
}

/// 2026-03-29 has no 02:00 to 03:00 in Berlin (the jump is at 01:00Z); 2026-10-25 has that hour twice (00:00Z and 01:00Z).
#[test]
fn on_the_days_of_a_change_the_answer_is_the_closed_one() {
    let of = |make: fn(&str, &str, i32) -> Schedule, start: &str, minutes: i32, day: &str| {
        stretch(&make("FREQ=DAILY", start, minutes), berlin(&format!("{day}T00:30")))
    };
    let both = |from: &str, to: &str| (Some(at(from)), Some(at(to)));
    let spring = "2026-03-29";
    // A skipped 02:30: read as 03:30; a blackout begins at the jump.
    assert_eq!(of(allowed, "2026-01-01T02:30", 60, spring), both("2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z"));
    assert_eq!(of(blackout, "2026-01-01T02:30", 60, spring), both("2026-03-29T01:00:00Z", "2026-03-29T02:30:00Z"));
    // Two hours are two hours, whatever the clock shows at their end.
    assert_eq!(of(allowed, "2026-01-01T01:30", 120, spring), both("2026-03-29T00:30:00Z", "2026-03-29T02:30:00Z"));
    let autumn = "2026-10-25";
    // 02:30 is shown twice: an allowed time is at the first, a blackout lasts over both.
    assert_eq!(of(allowed, "2026-01-01T02:30", 30, autumn), both("2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z"));
    assert_eq!(of(blackout, "2026-01-01T02:30", 30, autumn), both("2026-10-25T00:30:00Z", "2026-10-25T02:00:00Z"));
    assert_eq!(of(allowed, "2026-01-01T01:30", 120, autumn), both("2026-10-24T23:30:00Z", "2026-10-25T01:30:00Z"));
}

#[test]
fn what_cannot_work_is_a_problem_at_its_field() {
    let ok = |more: Value| {
        let mut recurrence = json!({"rule": "FREQ=DAILY", "start": "2026-01-30T18:00", "durationMinutes": 60});
        recurrence.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        recurrence
    };
    for (recurrence, field, says) in [
        (ok(json!({"rule": "FREQ=HOURLY"})), "rule", "the shortest is DAILY"),
        (ok(json!({"rule": "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30"})), "rule", "names no day"),
        (
            ok(json!({"rule": "FREQ=MONTHLY;BYDAY=-1FR", "start": "2026-01-01T18:00"})),
            "start",
            "(Thursday); the first that it names is 2026-01-30",
        ),
        (ok(json!({"start": "2026-02-30T18:00"})), "start", "not a date and time"),
        (ok(json!({"start": "2026-01-30"})), "start", "not a date and time"),
        (ok(json!({"start": "2026-01-30T24:00"})), "start", "not a date and time"),
        (ok(json!({"durationMinutes": 0})), "durationMinutes", "from 1 to 44640"),
        (ok(json!({"durationMinutes": 44_641})), "durationMinutes", "from 1 to 44640"),
    ] {
        for list in ["allowed", "blackouts"] {
            let problems = parse(json!({list: [{"recurrence": recurrence}]})).unwrap_err();
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].starts_with(&format!("spec.probe.window.{list}[0].recurrence.{field}: ")), "{problems:?}");
            assert!(problems[0].contains(says), "{problems:?}");
        }
    }
    for (spec, says) in [
        (json!({"allowed": [{"from": "09:00"}]}), "allowed[0]: set from and to"),
        (json!({"allowed": [{"from": "09:00", "to": "10:00", "recurrence": ok(json!({}))}]}), "recurrence alone"),
        (json!({"allowed": [{"weekdays": ["Mon"], "recurrence": ok(json!({}))}]}), "recurrence alone"),
        (json!({"blackouts": [{"time": {"from": "09:00", "to": "10:00"}, "recurrence": ok(json!({}))}]}), "recurrence alone"),
    ] {
        assert!(parse(spec).unwrap_err().join(" ").contains(says));
    }
}

#[test]
fn more_than_a_look_may_cost_is_an_error() {
    let daily = recurrence("FREQ=DAILY", "2026-01-01T09:00", 60);
    let now = at("2026-09-01T12:00:00Z");
    let many = schedule(json!({"allowed": vec![daily.clone(); 32], "blackouts": vec![daily; 64]}));
    const { assert!(32 * 400 < MAX_OCCURRENCES && MAX_OCCURRENCES < 96 * 400) };
    assert_eq!(many.judge(&[], now), Err(TooMuch::Occurrences));
    let never =
        "BEGIN:VEVENT\nDTSTART:20200101T000000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30\nEND:VEVENT\n".repeat(2_000);
    let text = format!("BEGIN:VCALENDAR\n{never}END:VCALENDAR\n");
    let calendar =
        [(CalendarEffect::Blackout, schedule(json!({"calendars": [{"configMapRef": {"name": "x"}}]})).calendar(&text, "x").unwrap())];
    assert_eq!(many.judge(&calendar, now), Err(TooMuch::Occurrences));
    let only_calendar = schedule(json!({"calendars": [{"configMapRef": {"name": "x"}}]}));
    assert_eq!(only_calendar.judge(&calendar, now), Err(TooMuch::Steps));
}

fn any_recurrence() -> impl Strategy<Value = (Value, String)> {
    let rules = proptest::sample::select(vec![
        "FREQ=DAILY;INTERVAL=3",
        "FREQ=WEEKLY;BYDAY=FR",
        "FREQ=MONTHLY;BYDAY=-1FR",
        "FREQ=YEARLY;BYDAY=FR",
        "FREQ=MONTHLY;BYMONTHDAY=30",
    ]);
    (rules, 0..24_i32, 0..4_i32, prop_oneof![1..600_i32, 600..20_000_i32]).prop_map(|(rule, hour, quarter, minutes)| {
        // A Friday, the last one and the 30th of its month.
        let start = format!("2026-01-30T{hour:02}:{:02}", quarter * 15);
        let event = format!(
            "BEGIN:VEVENT\nUID:{rule}{start}\nDTSTART;TZID=Europe/Berlin:{}00\nDURATION:PT{minutes}M\nRRULE:{rule}\nEND:VEVENT\n",
            start.replace([':', '-'], "")
        );
        (recurrence(rule, &start, minutes), event)
    })
}

fn any_instant() -> impl Strategy<Value = Timestamp> {
    let near = (proptest::sample::select(vec!["2026-03-29T02:00", "2026-10-25T02:00", "2027-03-28T02:00"]), -3_000_i64..3_000)
        .prop_map(|(wall, minutes)| berlin(wall) + SignedDuration::from_mins(minutes));
    let anywhere = (0_i64..36_000_000).prop_map(|seconds| at("2026-02-01T00:00:00Z") + SignedDuration::from_secs(seconds));
    prop_oneof![near, anywhere]
}

type Judge = (Schedule, Vec<(CalendarEffect, Calendar)>);

/// Recurrences of the spec, and the same written as a calendar.
fn any_calendars() -> impl Strategy<Value = (Judge, Judge)> {
    let list = || proptest::collection::vec(any_recurrence(), 0..3);
    (list(), list()).prop_filter("nothing set", |(a, b)| !a.is_empty() || !b.is_empty()).prop_map(|(allowed, blackouts)| {
        let values = |list: &[(Value, String)]| list.iter().map(|(value, _)| value.clone()).collect::<Vec<_>>();
        let of_spec = schedule(json!({"timeZone": "Europe/Berlin", "allowed": values(&allowed), "blackouts": values(&blackouts)}));
        let sides = [("Allowed", &allowed), ("Blackout", &blackouts)].into_iter().filter(|(_, list)| !list.is_empty());
        let calendars: Vec<Value> = sides.clone().map(|(effect, _)| json!({"effect": effect, "configMapRef": {"name": effect}})).collect();
        let of_calendars = schedule(json!({"timeZone": "Asia/Kathmandu", "calendars": calendars}));
        let texts = sides.map(|(effect, list)| {
            let events: String = list.iter().map(|(_, event)| event.as_str()).collect();
            let calendar = of_calendars.calendar(&format!("BEGIN:VCALENDAR\n{events}END:VCALENDAR\n"), effect).unwrap();
            (serde_json::from_value(json!(effect)).unwrap(), calendar)
        });
        let texts: Vec<_> = texts.collect();
        ((of_spec, Vec::new()), (of_calendars, texts))
    })
}

fn class((schedule, calendars): &Judge, instant: Timestamp) -> u8 {
    match schedule.judge(calendars, instant).unwrap().by {
        By::Allowed(_) | By::AnyTime => 0,
        By::Outside => 1,
        By::Blackout(_) => 2,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn answers_hold_until_they_say_and_openings_are_the_first((of_spec, of_calendars) in any_calendars(), now in any_instant(), part in 0.0..1.0) {
        let verdict = of_spec.0.judge(&of_spec.1, now).unwrap();
        let answer = class(&of_spec, now);
        let nano = SignedDuration::from_nanos(1);
        if let Some(until) = verdict.until {
            prop_assert!(now < until);
            prop_assert_eq!(class(&of_spec, until - nano), answer);
            prop_assert_ne!(class(&of_spec, until), answer);
            let between = now + until.duration_since(now).mul_f64(part);
            prop_assert_eq!(class(&of_spec, between.min(until - nano)), answer);
        }
        if let Some(opening) = verdict.next_opening {
            prop_assert!(!verdict.open && now < opening && class(&of_spec, opening) == 0);
            let between = now + opening.duration_since(now).mul_f64(part);
            prop_assert_ne!(class(&of_spec, between.min(opening - nano)), 0);
        }
        // A calendar that says the same gives the same answers.
        let of_text = of_calendars.0.judge(&of_calendars.1, now).unwrap();
        prop_assert_eq!((of_text.open, of_text.until, of_text.next_opening), (verdict.open, verdict.until, verdict.next_opening));
    }

    #[test]
    fn any_recurrence_is_parsed_or_refused(rule in "\\PC{0,40}", start in "\\PC{0,16}|[0-9T:-]{0,16}", minutes in any::<i32>()) {
        let _ = parse(json!({"allowed": [recurrence(&rule, &start, minutes)]}));
    }
}
