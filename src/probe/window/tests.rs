use super::*;
use serde_json::{Value, json};

fn observe(spec: Value, now: &str) -> Observation {
    let mut problems = Vec::new();
    let window = Window::parse(&serde_json::from_value(spec).unwrap(), "spec.probe.window", &mut problems);
    assert_eq!(problems, []);
    window.unwrap().observe(now.parse().unwrap())
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
