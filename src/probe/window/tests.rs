use super::super::objects::{NotSynced, ReadObjects};
use super::*;
use serde_json::json;

/// ConfigMaps of a namespace, or not synced yet.
#[derive(Default)]
struct ConfigMaps(Option<Vec<DynamicObject>>);

impl ConfigMaps {
    fn of(objects: impl IntoIterator<Item = Value>) -> Self {
        Self(Some(objects.into_iter().map(|value| serde_json::from_value(value).unwrap()).collect()))
    }
}

impl ReadObjects for ConfigMaps {
    fn list<'a>(&'a self, _: &str, _: &str, _: Option<&str>) -> Result<Vec<&'a DynamicObject>, NotSynced> {
        panic!("a calendar is read by its name");
    }

    fn get<'a>(&'a self, version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Result<Option<&'a DynamicObject>, NotSynced> {
        assert_eq!((version, kind, namespace), ("v1", "ConfigMap", Some("shop")));
        let all = self.0.as_ref().ok_or_else(|| NotSynced { message: "ConfigMaps are not watched yet".to_owned() })?;
        Ok(all.iter().find(|object| object.metadata.name.as_deref() == Some(name)))
    }
}

fn window(spec: Value) -> Window {
    let mut problems = Vec::new();
    let window = Window::parse(&serde_json::from_value(spec).unwrap(), "spec.probe.window", &mut problems);
    assert_eq!(problems, []);
    window.unwrap()
}

fn look(window: &Window, objects: &ConfigMaps, now: &str) -> Observation {
    let look = Look { targets: &[], namespace: "shop", objects, members: &[], now: now.parse().unwrap() };
    let mut seen = window.observe(&look);
    assert_eq!(seen.len(), 1);
    seen.remove(0)
}

fn observe(spec: Value, now: &str) -> Observation {
    look(&window(spec), &ConfigMaps::default(), now)
}

fn config_map(version: &str, text: &str) -> Value {
    let metadata = json!({"name": "team-calendar", "namespace": "shop", "resourceVersion": version});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"calendar.ics": text}})
}

/// A calendar with one event of an hour, daily from a time on.
fn daily(start: &str) -> String {
    format!(
        "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:Stocktaking\nDTSTART:{start}\nDURATION:PT1H\nRRULE:FREQ=DAILY\nEND:VEVENT\nEND:VCALENDAR\n"
    )
}

fn with_calendar(effect: &str) -> Window {
    window(
        json!({"timeZone": "Europe/Berlin", "calendars": [{"name": "shop", "effect": effect, "configMapRef": {"name": "team-calendar"}}]}),
    )
}

fn office_hours() -> Value {
    json!({
        "timeZone": "Europe/Berlin",
        "allowed": [{"name": "office hours", "weekdays": ["Mon", "Tue", "Wed", "Thu"], "from": "09:00", "to": "16:00"}],
        "blackouts": [{"name": "Black Friday", "dates": {"from": "2026-11-25", "to": "2026-11-30"}}],
    })
}

#[test]
fn the_message_names_what_decides_and_when_it_changes() {
    for (now, outcome, reason, message, until) in [
        ("2026-11-24T14:00:00Z", Outcome::Pass, IN_WINDOW, "inside \"office hours\" until 16:00 Europe/Berlin", "2026-11-24T15:00:00Z"),
        (
            "2026-11-25T14:00:00Z",
            Outcome::Fail,
            BLACKOUT,
            "blackout \"Black Friday\" until Tue 2026-12-01 00:00 Europe/Berlin; next opening Tue 2026-12-01 09:00 Europe/Berlin",
            "2026-11-30T23:00:00Z",
        ),
        (
            "2026-12-04T07:00:00Z",
            Outcome::Fail,
            OUTSIDE_WINDOW,
            "outside every allowed window; next opening Mon 2026-12-07 09:00 Europe/Berlin",
            "2026-12-07T08:00:00Z",
        ),
    ] {
        let seen = observe(office_hours(), now);
        assert_eq!((seen.outcome, seen.reason, seen.message.as_str()), (outcome, reason, message));
        assert_eq!(seen.holds_until, Some(until.parse().unwrap()), "{now}");
        assert_eq!(seen.target, "Europe/Berlin");
    }
}

#[test]
fn the_measured_value_stays_the_same_while_the_answer_does() {
    let early = observe(office_hours(), "2026-11-24T08:00:00Z");
    let late = observe(office_hours(), "2026-11-24T14:59:59.999Z");
    assert_eq!(early, late);
    assert_eq!(early.value.as_deref(), Some("inside \"office hours\""));
    assert_eq!(early.required.as_deref(), Some("inside an allowed window"));
}

#[test]
fn without_allowed_windows_any_time_outside_the_blackouts_passes() {
    let nightly = json!({"blackouts": [{"time": {"from": "22:00", "to": "02:00"}}]});
    let seen = observe(nightly.clone(), "2026-09-01T12:00:00Z");
    assert_eq!((seen.outcome, seen.message.as_str()), (Outcome::Pass, "no blackout until 22:00 UTC"));
    let seen = observe(nightly, "2026-09-01T23:00:00Z");
    let expected = "blackout 22:00-02:00 until Wed 2026-09-02 02:00 UTC; next opening Wed 2026-09-02 02:00 UTC";
    assert_eq!((seen.outcome, seen.message.as_str()), (Outcome::Fail, expected));
}

#[test]
fn what_does_not_change_says_so() {
    let seen = observe(json!({"allowed": [{"from": "00:00", "to": "24:00"}]}), "2026-09-01T12:00:00Z");
    assert_eq!((seen.outcome, seen.message.as_str()), (Outcome::Pass, "inside 00:00-24:00 for more than a year"));
    assert_eq!(seen.holds_until, None);
    let forever = json!({"blackouts": [{"name": "freeze", "dates": {"from": "2026-01-01", "to": "2030-01-01"}}]});
    let seen = observe(forever, "2026-09-01T12:00:00Z");
    let expected = "blackout \"freeze\" for more than a year; no opening in sight";
    assert_eq!((seen.outcome, seen.message.as_str()), (Outcome::Fail, expected));
}

#[test]
fn a_long_message_is_cut_in_the_end_only() {
    let name = "x".repeat(63);
    let zone = "America/Argentina/ComodRivadavia";
    let seen = observe(
        json!({"timeZone": zone, "blackouts": [{"name": name, "dates": {"from": "2026-01-01", "to": "2026-12-31"}}]}),
        "2026-09-01T12:00:00Z",
    );
    assert!(seen.message.ends_with(&format!("next opening Fri 2027-01-01 00:00 {}", seen.target)), "{}", seen.message);
}

#[test]
fn a_calendars_events_are_blackouts_or_allowed_times() {
    let objects = ConfigMaps::of([config_map("1", &daily("20260901T180000"))]);
    let blackouts = with_calendar("Blackout");
    let seen = look(&blackouts, &objects, "2026-11-20T12:00:00Z");
    assert_eq!((seen.outcome, seen.message.as_str()), (Outcome::Pass, "no blackout until 18:00 Europe/Berlin"));
    assert_eq!(seen.holds_until, Some("2026-11-20T17:00:00Z".parse().unwrap()));
    let seen = look(&blackouts, &objects, "2026-11-20T17:00:00Z");
    let until = "Fri 2026-11-20 19:00 Europe/Berlin";
    let expected = format!("blackout \"Stocktaking\" of calendar shop until {until}; next opening {until}");
    assert_eq!((seen.outcome, seen.reason, seen.message), (Outcome::Fail, BLACKOUT, expected));
    let allowed = with_calendar("Allowed");
    let seen = look(&allowed, &objects, "2026-11-20T12:00:00Z");
    let expected = "outside every allowed window; next opening Fri 2026-11-20 18:00 Europe/Berlin";
    assert_eq!((seen.outcome, seen.message.as_str()), (Outcome::Fail, expected));
    let seen = look(&allowed, &objects, "2026-11-20T17:30:00Z");
    assert_eq!((seen.outcome, seen.message.as_str()), (Outcome::Pass, "inside \"Stocktaking\" of calendar shop until 19:00 Europe/Berlin"));
    // Without events starts are never allowed, and never in a blackout.
    let empty = ConfigMaps::of([config_map("2", "BEGIN:VCALENDAR\nEND:VCALENDAR\n")]);
    assert_eq!(look(&allowed, &empty, "2026-11-20T17:30:00Z").reason, OUTSIDE_WINDOW);
    assert_eq!(look(&blackouts, &empty, "2026-11-20T17:30:00Z").outcome, Outcome::Pass);
}

#[test]
fn a_calendar_that_cannot_be_read_is_an_error_and_never_no_blackout() {
    let other = |data: Value| {
        let mut map = config_map("1", "");
        map.as_object_mut().unwrap().remove("data");
        map.as_object_mut().unwrap().extend(data.as_object().unwrap().clone());
        ConfigMaps::of([map])
    };
    let broken = "BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:soon\nEND:VEVENT\nEND:VCALENDAR\n";
    for (objects, reason, message) in [
        (ConfigMaps(None), NOT_SYNCED, "ConfigMaps are not watched yet"),
        (ConfigMaps::of([]), NO_DATA, "ConfigMap team-calendar does not exist"),
        (other(json!({})), NO_DATA, "ConfigMap team-calendar has no key calendar.ics"),
        (other(json!({"data": {"x": "y"}})), NO_DATA, "ConfigMap team-calendar has no key calendar.ics"),
        (other(json!({"data": {"calendar.ics": 1}})), NO_DATA, "ConfigMap team-calendar has no key calendar.ics"),
        (
            other(json!({"binaryData": {"calendar.ics": "AA=="}})),
            NO_DATA,
            "ConfigMap team-calendar, key calendar.ics: it is binary data, and must be text in UTF-8",
        ),
        (ConfigMaps::of([config_map("1", "")]), NO_DATA, "ConfigMap team-calendar, key calendar.ics, line 1: there is no BEGIN:VCALENDAR"),
        (
            ConfigMaps::of([config_map("1", broken)]),
            NO_DATA,
            "ConfigMap team-calendar, key calendar.ics, line 3: \"soon\" is not a date or time, such as 20261130, 20261130T180000 or 20261130T180000Z",
        ),
    ] {
        for effect in ["Blackout", "Allowed"] {
            let seen = look(&with_calendar(effect), &objects, "2026-11-20T12:00:00Z");
            assert_eq!((seen.outcome, seen.reason, seen.message.as_str()), (Outcome::Error, reason, message));
        }
    }
    let many = format!(
        "BEGIN:VCALENDAR\n{}END:VCALENDAR\n",
        "BEGIN:VEVENT\nDTSTART:20200101T000000\nDURATION:PT1H\nRRULE:FREQ=DAILY\nEND:VEVENT\n".repeat(100)
    );
    let seen = look(&with_calendar("Blackout"), &ConfigMaps::of([config_map("1", &many)]), "2026-11-20T12:00:00Z");
    assert_eq!((seen.outcome, seen.reason), (Outcome::Error, TOO_COSTLY));
}

/// One probe sees what its ConfigMap becomes: an answer is kept no longer than it is true.
#[test]
fn a_kept_answer_ends_with_the_text_and_with_the_time() {
    let window = with_calendar("Blackout");
    let now = "2026-11-20T17:30:00Z";
    let at = |objects: &ConfigMaps, now: &str| look(&window, objects, now).outcome;
    let evening = ConfigMaps::of([config_map("1", &daily("20260901T180000"))]);
    assert_eq!(at(&evening, now), Outcome::Fail);
    assert_eq!(at(&evening, "2026-11-20T17:59:59.999Z"), Outcome::Fail);
    assert_eq!(at(&evening, "2026-11-20T18:00:00Z"), Outcome::Pass);
    assert_eq!(at(&evening, now), Outcome::Fail, "a clock may be set back");
    assert_eq!(at(&ConfigMaps::of([config_map("2", "broken")]), now), Outcome::Error);
    assert_eq!(at(&ConfigMaps::of([config_map("3", &daily("20260901T060000"))]), now), Outcome::Pass);
    assert_eq!(at(&ConfigMaps::of([]), now), Outcome::Error);
    assert_eq!(at(&evening, now), Outcome::Fail);
    // Without a version it cannot be told that the text is the same.
    assert_eq!(at(&ConfigMaps::of([config_map("", &daily("20260901T180000"))]), now), Outcome::Fail);
    assert_eq!(at(&ConfigMaps::of([config_map("", "broken")]), now), Outcome::Error);
}

#[test]
fn it_reads_each_config_map_once_and_nothing_else() {
    let calendar = |name: &str, key: &str| json!({"configMapRef": {"name": name, "key": key}});
    let spec = json!({"calendars": [calendar("b", "x.ics"), calendar("a", "x.ics"), calendar("b", "y.ics")]});
    let names: Vec<_> = window(spec).reads().into_iter().map(|read| (read.kind, read.place, read.name.unwrap())).collect();
    assert_eq!(names, [("ConfigMap", Place::Targets, "a".to_owned()), ("ConfigMap", Place::Targets, "b".to_owned())]);
    assert_eq!(window(office_hours()).reads(), []);
}

#[test]
fn a_recurrence_is_judged_like_a_range() {
    let spec =
        json!({"blackouts": [{"recurrence": {"rule": "FREQ=MONTHLY;BYDAY=-1FR", "start": "2026-01-30T18:00", "durationMinutes": 120}}]});
    let seen = observe(spec.clone(), "2026-11-27T19:00:00Z");
    let expected = "blackout FREQ=MONTHLY;BYDAY=-1FR until Fri 2026-11-27 20:00 UTC; next opening Fri 2026-11-27 20:00 UTC";
    assert_eq!((seen.outcome, seen.message.as_str()), (Outcome::Fail, expected));
    assert_eq!(observe(spec, "2026-11-27T20:00:00Z").outcome, Outcome::Pass);
}
