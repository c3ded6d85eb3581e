use super::*;
use crate::api::CalendarEffect;
use crate::core::window::{By, Schedule};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

const EFFECTS: [CalendarEffect; 2] = [CalendarEffect::Blackout, CalendarEffect::Allowed];

fn berlin() -> TimeZone {
    named_zone("Europe/Berlin").unwrap()
}

fn at(wall: &str) -> Timestamp {
    berlin().to_ambiguous_timestamp(wall.parse().unwrap()).compatible().unwrap()
}

fn calendar(events: &str) -> String {
    format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//example//EN\r\n{}END:VCALENDAR\r\n", events.replace('\n', "\r\n"))
}

fn event(lines: &str) -> String {
    calendar(&format!("BEGIN:VEVENT\nUID:1\n{lines}\nEND:VEVENT\n"))
}

fn parse(text: &str) -> Result<Calendar, Unreadable> {
    Calendar::parse(text, &berlin(), "releases")
}

fn schedule() -> Schedule {
    let spec = json!({"timeZone": "Europe/Berlin", "calendars": [{"configMapRef": {"name": "releases"}}]});
    Schedule::parse(&serde_json::from_value(spec).unwrap(), "window", &mut Vec::new()).unwrap()
}

/// The stretches that the calendar covers as a blackout, from an instant on, in wall times of Berlin.
fn covered(text: &str, from: &str) -> Vec<String> {
    let calendars = [(CalendarEffect::Blackout, parse(text).unwrap_or_else(|error| panic!("{error}: {text}")))];
    let (schedule, mut now, mut found) = (schedule(), at(from), Vec::new());
    let shown = |instant: Timestamp| instant.to_zoned(berlin()).strftime("%m-%dT%H:%M").to_string();
    while found.len() < 6 {
        let Some(start) = schedule.judge(&calendars, now).unwrap().until else { break };
        let Some(end) = schedule.judge(&calendars, start).unwrap().until else { break };
        found.push(format!("{} {}", shown(start), shown(end)));
        now = end;
    }
    found
}

#[test]
fn events_cover_what_they_say() {
    for (lines, expected) in [
        ("DTSTART;TZID=Europe/Berlin:20261127T180000\nDTEND;TZID=Europe/Berlin:20261127T200000", &["11-27T18:00 11-27T20:00"][..]),
        ("DTSTART:20261127T180000\nDURATION:PT2H30M", &["11-27T18:00 11-27T20:30"]),
        ("DTSTART:20261127T180000Z\nDTEND:20261127T190000Z", &["11-27T19:00 11-27T20:00"]),
        ("DTSTART;TZID=America/New_York:20261127T090000\nDTEND;TZID=Europe/Berlin:20261127T160000", &["11-27T15:00 11-27T16:00"]),
        ("DTSTART;TZID=\"Europe/Berlin\";X-A=\"a:b;c\":20261127T220000\nDURATION:P1DT1H", &["11-27T22:00 11-28T23:00"]),
        // Whole days: to the day after the last, one day if nothing is said, and days of the calendar on the days of a change.
        ("DTSTART;VALUE=DATE:20261127\nDTEND;VALUE=DATE:20261130", &["11-27T00:00 11-30T00:00"]),
        ("DTSTART;VALUE=DATE:20261127", &["11-27T00:00 11-28T00:00"]),
        ("DTSTART;VALUE=DATE:20261025", &["10-25T00:00 10-26T00:00"]),
        ("DTSTART;VALUE=DATE:20261127\nDURATION:P1W", &["11-27T00:00 12-04T00:00"]),
        ("DTSTART;VALUE=DATE:20261127\nRRULE:FREQ=WEEKLY;UNTIL=20261204T235959Z", &["11-27T00:00 11-28T00:00", "12-04T00:00 12-05T00:00"]),
        // Of no length: nothing.
        ("DTSTART:20261127T180000", &[]),
        ("DTSTART:20261127T180000\nDTEND:20261127T180000", &[]),
        // Rules, more dates and fewer.
        (
            "DTSTART:20261127T180000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;COUNT=3",
            &["11-27T18:00 11-27T19:00", "12-04T18:00 12-04T19:00", "12-11T18:00 12-11T19:00"],
        ),
        (
            "DTSTART:20261127T180000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;COUNT=3\nEXDATE:20261127T180000,20261211T180000",
            &["12-04T18:00 12-04T19:00"],
        ),
        ("DTSTART:20261127T180000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;COUNT=2\nEXDATE:20261204T170000Z", &["11-27T18:00 11-27T19:00"]),
        (
            "DTSTART:20261127T180000\nDURATION:PT1H\nRDATE:20261201T090000\nRDATE:20261202T080000Z,20261127T180000",
            &["11-27T18:00 11-27T19:00", "12-01T09:00 12-01T10:00", "12-02T09:00 12-02T10:00"],
        ),
        (
            "DTSTART;VALUE=DATE:20261127\nRRULE:FREQ=DAILY;COUNT=3\nEXDATE;VALUE=DATE:20261128",
            &["11-27T00:00 11-28T00:00", "11-29T00:00 11-30T00:00"],
        ),
        // The beginning is an occurrence, whether the rule names it or not.
        (
            "DTSTART:20261126T180000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;BYDAY=FR;COUNT=2",
            &["11-26T18:00 11-26T19:00", "11-27T18:00 11-27T19:00"],
        ),
        ("DTSTART:20261127T180000\nDURATION:PT1H\nSTATUS:CANCELLED", &[]),
        ("DTSTART:20261127T180000\nDURATION:PT1H\nTRANSP:TRANSPARENT", &[]),
        (
            "DTSTART:20261127T180000\nDURATION:PT1H\nSTATUS:CONFIRMED\nTRANSP:OPAQUE\nBEGIN:VALARM\nDURATION:PT9H\nEND:VALARM",
            &["11-27T18:00 11-27T19:00"],
        ),
    ] {
        assert_eq!(covered(&event(lines), "2026-09-01T00:00"), expected, "{lines}");
    }
}

/// From 22:00 to 06:00 are eight hours; in the night of a change they are not.
#[test]
fn an_end_on_the_clock_and_a_length_that_differ_give_the_closed_answer() {
    let nights = event("DTSTART;TZID=Europe/Berlin:20260105T220000\nDTEND;TZID=Europe/Berlin:20260106T060000\nRRULE:FREQ=DAILY");
    let until = |effect: CalendarEffect, wall: &str| schedule().judge(&[(effect, parse(&nights).unwrap())], at(wall)).unwrap().until;
    for (wall, ends) in [
        ("2026-03-28T23:00", ["2026-03-29T07:00", "2026-03-29T06:00"]),
        ("2026-10-24T23:00", ["2026-10-25T06:00", "2026-10-25T05:00"]),
        ("2026-06-01T23:00", ["2026-06-02T06:00", "2026-06-02T06:00"]),
    ] {
        for (effect, end) in EFFECTS.into_iter().zip(ends) {
            if effect == CalendarEffect::Blackout {
                assert_eq!(until(effect, wall), Some(at(end)), "{effect:?} {wall}");
            } else {
                let spec = json!({"timeZone": "Europe/Berlin", "calendars": [{"effect": "Allowed", "configMapRef": {"name": "n"}}]});
                let schedule = Schedule::parse(&serde_json::from_value(spec).unwrap(), "window", &mut Vec::new()).unwrap();
                let calendars = [(effect, parse(&nights).unwrap())];
                let verdict = schedule.judge(&calendars, at(wall)).unwrap();
                assert_eq!((verdict.open, verdict.until), (true, Some(at(end))), "{wall}");
            }
        }
    }
}

#[test]
fn an_occurrence_with_an_event_of_its_own_is_moved_or_dropped() {
    let weekly = "BEGIN:VEVENT\nUID:a\nDTSTART;TZID=Europe/Berlin:20261120T180000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;COUNT=3\nEND:VEVENT\n";
    let instead = |lines: &str| {
        let own = format!("BEGIN:VEVENT\nUID:a\nRECURRENCE-ID;TZID=Europe/Berlin:20261127T180000\n{lines}\nEND:VEVENT\n");
        // The order does not matter.
        let one = covered(&calendar(&format!("{own}{weekly}")), "2026-11-01T00:00");
        assert_eq!(one, covered(&calendar(&format!("{weekly}{own}")), "2026-11-01T00:00"));
        one
    };
    let others = ["11-20T18:00 11-20T19:00", "12-04T18:00 12-04T19:00"];
    assert_eq!(instead("DTSTART:20261128T090000\nDURATION:PT2H"), [others[0], "11-28T09:00 11-28T11:00", others[1]]);
    assert_eq!(instead("DTSTART:20261128T090000\nSTATUS:CANCELLED"), others);
    assert_eq!(instead("DTSTART:20261128T090000\nDURATION:PT2H\nTRANSP:TRANSPARENT"), others);
}

#[test]
fn a_calendar_without_events_covers_nothing() {
    let text = calendar("");
    assert_eq!(schedule().judge(&[(CalendarEffect::Blackout, parse(&text).unwrap())], at("2026-09-01T00:00")).unwrap().by, By::AnyTime);
    assert_eq!(
        parse(&calendar("BEGIN:VTODO\nDUE:nonsense\nEND:VTODO\nBEGIN:VTIMEZONE\nBEGIN:STANDARD\nDTSTART:x\nEND:STANDARD\nEND:VTIMEZONE\n"))
            .unwrap()
            .events,
        []
    );
}

#[test]
fn folded_lines_and_escapes_are_read() {
    let text = "\u{feff}BEGIN:VCALENDAR\nBEGIN:vevent\nSUMM\n ARY:Black\\, Fri\n\tday\\nfreeze \\u\n\nDTSTART;VALUE\n =DATE:2026\n  1127\nEND:VEVENT\nEND:VCALENDAR";
    let error = parse(text).unwrap_err();
    assert_eq!(error.line, 7, "a fold takes one space away, not two: {error}");
    let text = text.replace("\n  1127", "\n 1127");
    let calendars = [(CalendarEffect::Blackout, parse(&text).unwrap())];
    let schedule = schedule();
    let verdict = schedule.judge(&calendars, at("2026-11-27T12:00")).unwrap();
    assert_eq!(verdict.by, By::Blackout("\"Black, Friday freeze u\" of calendar releases"));
    assert_eq!(covered(&text.replace('\n', "\r\n"), "2026-09-01T00:00"), ["11-27T00:00 11-28T00:00"]);
}

#[test]
fn what_cannot_be_read_is_said_with_its_line() {
    let in_event = |lines: &str| event(lines);
    let good = "DTSTART:20261127T180000\nDURATION:PT1H";
    for (text, line, says) in [
        (String::new(), 1, "no BEGIN:VCALENDAR"),
        ("hello".to_owned(), 1, "\"hello\" is not NAME:VALUE"),
        ("A:b\n".to_owned(), 1, "before BEGIN:VCALENDAR"),
        ("BEGIN:VEVENT\nEND:VEVENT\n".to_owned(), 1, "BEGIN:VEVENT where it cannot be"),
        ("BEGIN:VCALENDAR\nBEGIN:VCALENDAR\n".to_owned(), 2, "BEGIN:VCALENDAR where it cannot be"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR\n".to_owned(), 3, "END:VCALENDAR without its BEGIN"),
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261127T180000".to_owned(), 3, "ends before END:VEVENT"),
        ("END:VCALENDAR\n".to_owned(), 1, "without its BEGIN"),
        (format!("{}garbage\n", calendar("")), 5, "\"garbage\" is not NAME:VALUE"),
        (in_event("SUMMARY:x"), 4, "no DTSTART"),
        (in_event("DTSTART:tomorrow"), 6, "\"tomorrow\" is not a date or time"),
        (in_event("DTSTART:20260230T180000"), 6, "not a date or time"),
        (in_event("DTSTART:20261127T240000"), 6, "not a date or time"),
        (in_event("DTSTART;VALUE=DATE:20261127T180000"), 6, "does not go with VALUE=DATE"),
        (in_event("DTSTART;TZID=W. Europe Standard Time:20261127T180000"), 6, "TZID \"W. Europe Standard Time\" is not in the IANA"),
        (in_event(&format!("{good}\nDTSTART:20261127T180000")), 8, "a second DTSTART"),
        (in_event(&format!("{good}\nDTEND:20261127T190000")), 7, "DTEND and DURATION"),
        (in_event("DTSTART:20261127T180000\nDTEND:20261127T170000"), 7, "DTEND must be after DTSTART"),
        (in_event("DTSTART;VALUE=DATE:20261127\nDTEND;VALUE=DATE:20261127"), 7, "the day after the last"),
        (in_event("DTSTART;VALUE=DATE:20261127\nDTEND:20261127T190000"), 7, "must be a date if DTSTART is one"),
        (in_event("DTSTART;VALUE=DATE:20261127\nDURATION:PT1H"), 7, "whole days"),
        (in_event("DTSTART:20261127T180000\nDURATION:-PT1H"), 7, "not a duration"),
        (in_event("DTSTART:20261127T180000\nDURATION:P1DT"), 7, "not a duration"),
        (in_event("DTSTART:20261127T180000\nDURATION:PT1M1H"), 7, "not a duration"),
        (in_event("DTSTART:20261127T180000\nDURATION:P9999999D"), 7, "not a duration"),
        (in_event("DTSTART:20261127T180000\nDURATION:P9999D"), 4, "longer than 3660 days"),
        (in_event("DTSTART:20261127T180000\nDURATION:P400D\nRRULE:FREQ=DAILY"), 4, "longer than 366 days"),
        (in_event(&format!("{good}\nRRULE:FREQ=MINUTELY")), 8, "RRULE: FREQ=MINUTELY is not supported"),
        (in_event(&format!("{good}\nRRULE:FREQ=DAILY\nRRULE:FREQ=DAILY")), 9, "a second RRULE"),
        (in_event(&format!("{good}\nEXRULE:FREQ=DAILY")), 8, "EXRULE is not supported"),
        (in_event(&format!("{good}\nEXDATE;VALUE=DATE:20261127")), 8, "a time if that is one"),
        (in_event(&format!("{good}\nRDATE;VALUE=PERIOD:20261127T180000Z/PT1H")), 8, "not a date or time"),
        (in_event(&format!("{good}\nRECURRENCE-ID;RANGE=THISANDFUTURE:20261127T180000")), 8, "RANGE is not supported"),
        (calendar(&format!("BEGIN:VEVENT\n{good}\nRECURRENCE-ID:20261127T180000\nEND:VEVENT\n")), 7, "without UID"),
        ("BEGIN:VCALENDAR\n".to_owned() + &"BEGIN:X\n".repeat(100_000 / 8), 9, "more than 8 deep"),
        (
            calendar(&"BEGIN:VEVENT\nSTATUS:CANCELLED\nEND:VEVENT\n".repeat(MAX_CALENDAR_EVENTS + 1)),
            4 + 3 * MAX_CALENDAR_EVENTS,
            "more than 2000 events",
        ),
        (calendar(&"X:y\n".repeat(100_000)), 1, "KiB, at most 256 are read"),
    ] {
        let error = parse(&text).unwrap_err();
        assert!(error.message.contains(says), "{error}: expected {says}");
        assert_eq!(error.line, line, "{error}");
    }
}

#[test]
fn work_for_text_is_bounded() {
    let counting = "BEGIN:VEVENT\nDTSTART:19700101T000000Z\nRRULE:FREQ=DAILY;COUNT=10000\nEND:VEVENT\n".repeat(300);
    assert!(parse(&calendar(&counting)).unwrap_err().message.contains("more work than one look may cost"));
    let instead: String = (0..900).map(|_| "BEGIN:VEVENT\nUID:a\nRECURRENCE-ID:20261127T180000\nSTATUS:CANCELLED\nEND:VEVENT\n").collect();
    let masters = "BEGIN:VEVENT\nUID:a\nDTSTART:20261127T180000\nEND:VEVENT\n".repeat(1_000);
    assert!(parse(&calendar(&format!("{instead}{masters}"))).unwrap_err().message.contains("more work"));
}

fn any_line() -> impl Strategy<Value = String> {
    let name = proptest::sample::select(vec![
        "DTSTART",
        "DTEND",
        "DURATION",
        "RRULE",
        "RDATE",
        "EXDATE",
        "UID",
        "RECURRENCE-ID",
        "STATUS",
        "TRANSP",
        "SUMMARY",
        "X",
    ]);
    let parameters = proptest::sample::select(vec!["", ";VALUE=DATE", ";TZID=Europe/Berlin", ";TZID=Nowhere", ";X=\"", ";", ";TZID"]);
    let value = prop_oneof![
        "[0-9]{8}",
        "20(26|27)(0[1-9]|1[0-2])(0[1-9]|1[0-9]|2[0-8])(T(0[0-9]|1[0-9])0000Z?)?",
        "(00|99)[0-9]{2}(0[1-9]|12)(01|31)T[0-9]{6}Z?",
        "P[0-9]{1,6}[WD]|PT[0-9]{1,6}[HMS]|P[0-9WDTHMS]{0,6}",
        "FREQ=(DAILY|WEEKLY|MONTHLY|YEARLY)(;(INTERVAL|COUNT)=[0-9]{1,4})?(;BYDAY=-?[1-5]?(MO|FR))?(;UNTIL=[0-9]{8})?",
        "CANCELLED|TRANSPARENT|a",
        "\\PC{0,12}",
    ];
    (name, parameters, value).prop_map(|(name, parameters, value)| format!("{name}{parameters}:{value}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}|((BEGIN|END):(VCALENDAR|VEVENT|X)\r?\n ?){0,12}") {
        let _ = parse(&text);
    }

    #[test]
    fn any_event_is_read_or_refused_and_then_asked(
        events in proptest::collection::vec(proptest::collection::vec(any_line(), 0..6), 0..4), year in 0_i64..10_000,
    ) {
        let events = events.iter().map(|lines| format!("BEGIN:VEVENT\n{}\nEND:VEVENT\n", lines.join("\n"))).collect::<Vec<_>>().concat();
        if let Ok(calendar) = parse(&calendar(&events)) {
            let now = Timestamp::from_second((year - 1970) * 31_556_952).unwrap_or(Timestamp::MAX);
            for effect in EFFECTS {
                let _ = schedule().judge(&[(effect, calendar.clone())], now);
                let _ = schedule().judge(&[(effect, calendar.clone())], Timestamp::MAX);
                let _ = schedule().judge(&[(effect, calendar.clone())], Timestamp::MIN);
            }
        }
    }
}
