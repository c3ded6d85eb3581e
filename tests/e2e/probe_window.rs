//! Checks of calendars: recurrences, and iCalendar text in ConfigMaps.

use crate::manifests::{check, podchaos, podchaos_gate};
use crate::team::Team;
use crate::world::{ensure, eventually, shared};
use jiff::{SignedDuration, Timestamp, Zoned};
use std::path::Path;

/// What a clock in Tokyo shows some minutes from now.
fn tokyo(minutes: i64) -> Zoned {
    (Timestamp::now() + SignedDuration::from_mins(minutes)).in_tz("Asia/Tokyo").unwrap()
}

fn window(name: &str, probe: &str) -> String {
    check(name, &format!("{{ probe: {{ window: {{ timeZone: Asia/Tokyo, {probe} }} }} }}"))
}

/// A daily recurrence of an hour that began a week and some minutes ago.
fn daily(minutes_ago: i64) -> String {
    let start = tokyo(-7 * 24 * 60 - minutes_ago).strftime("%Y-%m-%dT%H:%M").to_string();
    format!("recurrence: {{ rule: FREQ=DAILY, start: '{start}', durationMinutes: 60 }}")
}

/// Lets the namespace's checks read ConfigMaps.
fn may_read_config_maps(team: &Team<'_>) {
    let account = format!("--serviceaccount={}:default", team.name);
    team.done(&["create", "role", "reads", "--verb=get,list,watch", "--resource=configmaps"], "");
    team.done(&["create", "rolebinding", "reads", "--role=reads", &account], "");
}

/// A ConfigMap with a calendar of one event of an hour, daily since some minutes before now.
fn calendar(team: &Team<'_>, lines: &str) {
    let text = format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\n{lines}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n");
    let object = serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "team-calendar"}, "data": {"calendar.ics": text},
    });
    team.apply(&format!("\n---\n{object}\n"));
}

fn event(minutes_ago: i64) -> String {
    let start = tokyo(-7 * 24 * 60 - minutes_ago).strftime("%Y%m%dT%H%M00").to_string();
    format!("SUMMARY:Stocktaking\r\nDTSTART;TZID=Asia/Tokyo:{start}\r\nDURATION:PT1H\r\nRRULE:FREQ=DAILY")
}

#[track_caller]
fn says(team: &Team<'_>, check: &str, verdict: &str, part: &str) {
    eventually(part, || {
        let (_, found) = team.verdict(check, verdict);
        ensure(found.contains(part), || found.clone())
    });
}

#[test]
fn recurrences_open_and_close() {
    let team = shared().team("recurrence");
    team.apply(&window("in-blackout", &format!("blackouts: [{{ name: nightly, {} }}]", daily(30))));
    team.apply(&window("after-blackout", &format!("blackouts: [{{ {} }}]", daily(90))));
    team.apply(&window("in-window", &format!("allowed: [{{ name: slot, {} }}]", daily(30))));
    team.apply(&window("after-window", &format!("allowed: [{{ {} }}]", daily(90))));
    says(&team, "in-blackout", "Failing", "Asia/Tokyo: blackout \"nightly\" until ");
    says(&team, "after-blackout", "Passing", "Asia/Tokyo: no blackout until ");
    says(&team, "in-window", "Passing", "Asia/Tokyo: inside \"slot\" until ");
    says(&team, "after-window", "Failing", "Asia/Tokyo: outside every allowed window; next opening ");
    team.apply(&podchaos_gate("chaos", &["in-blackout"]));
    team.condition("xgate/chaos", "Ready", "True");
    let refused = team.create_refused(&podchaos("kill"));
    assert!(refused.contains("blackout \"nightly\" until "), "{refused}");
}

#[test]
fn a_calendar_is_followed_and_a_broken_one_is_never_no_blackout() {
    let team = shared().team("calendar");
    may_read_config_maps(&team);
    let calendars = "calendars: [{ name: shop, configMapRef: { name: team-calendar } }]";
    team.apply(&window("no-event", calendars));
    let missing = "Asia/Tokyo: ConfigMap team-calendar does not exist";
    eventually(missing, || {
        let message = team.verdict_for("no-event", "Unknown", "NoData");
        ensure(message == missing, || message.clone())
    });
    calendar(&team, &event(90));
    says(&team, "no-event", "Passing", "no blackout until ");
    calendar(&team, &event(30));
    says(&team, "no-event", "Failing", "blackout \"Stocktaking\" of calendar shop until ");
    assert_eq!(team.get("pfc", "no-event")["status"]["results"][0]["reason"], "Blackout");
    // A day is a day of the check's zone.
    calendar(&team, &format!("DTSTART;VALUE=DATE:{}", tokyo(0).strftime("%Y%m%d")));
    says(&team, "no-event", "Failing", "blackout calendar shop until ");

    calendar(&team, "DTSTART:soon");
    let broken = "Asia/Tokyo: ConfigMap team-calendar, key calendar.ics, line 5: \"soon\" is not a date or time";
    eventually(broken, || {
        let message = team.verdict_for("no-event", "Unknown", "NoData");
        ensure(message.starts_with(broken), || message.clone())
    });
    // Repaired, it recovers by itself.
    calendar(&team, &event(90));
    says(&team, "no-event", "Passing", "no blackout until ");
    team.done(&["delete", "configmap", "team-calendar"], "");
    team.verdict_for("no-event", "Unknown", "NoData");
}

#[test]
fn what_a_calendar_allows_is_allowed() {
    let team = shared().team("allowed");
    may_read_config_maps(&team);
    calendar(&team, &event(30));
    let calendars = |key: &str| format!("calendars: [{{ effect: Allowed, configMapRef: {{ name: team-calendar, key: {key} }} }}]");
    team.apply(&window("in-event", &calendars("calendar.ics")));
    team.apply(&window("other-key", &calendars("other.ics")));
    says(&team, "in-event", "Passing", "inside \"Stocktaking\" of calendar team-calendar until ");
    let message = team.verdict_for("other-key", "Unknown", "NoData");
    assert_eq!(message, "Asia/Tokyo: ConfigMap team-calendar has no key other.ics");
    calendar(&team, &event(90));
    says(&team, "in-event", "Failing", "outside every allowed window; next opening ");
}

#[test]
fn rules_that_cannot_work_are_refused_where_they_are_seen() {
    let team = shared().team("rules");
    let recurrence = |rule: &str, start: &str| {
        window("odd", &format!("blackouts: [{{ recurrence: {{ rule: '{rule}', start: '{start}', durationMinutes: 60 }} }}]"))
    };
    for (yaml, says) in [
        (recurrence("FREQ=MINUTELY", "2026-01-01T09:00"), "the shortest FREQ is DAILY"),
        (recurrence("BYDAY=FR", "2026-01-01T09:00"), "FREQ is missing"),
        (recurrence("FREQ=DAILY", "2026-01-01"), "start"),
        (window("odd", "allowed: [{ from: '09:00' }]"), "set from and to, with weekdays or without, or recurrence alone"),
        (window("odd", &format!("allowed: [{{ from: '09:00', to: '10:00', {} }}]", daily(0))), "recurrence alone"),
        (window("odd", &format!("blackouts: [{{ time: {{ from: '09:00', to: '10:00' }}, {} }}]", daily(0))), "recurrence alone"),
        (check("odd", "{ probe: { window: { timeZone: UTC } } }"), "set allowed, blackouts or calendars"),
    ] {
        let refused = team.apply_refused(&yaml);
        assert!(refused.contains(says), "{refused}");
    }
    // What only the operator can know is in Ready.
    team.apply(&recurrence("FREQ=MONTHLY;BYDAY=-1FR", "2026-01-01T09:00"));
    let (_, message) = team.condition("pfc/odd", "Ready", "False");
    let expected = "spec.probe.window.blackouts[0].recurrence.start: the rule does not name that day (Thursday); the first that it names is 2026-01-30";
    assert!(message.contains(expected), "{message}");
}

#[test]
fn the_examples_are_accepted_and_judged() {
    let team = shared().team("examples");
    may_read_config_maps(&team);
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/probes");
    for (file, name) in [("window.yaml", "good-time"), ("window-calendar.yaml", "no-release-today")] {
        team.kubectl.apply(&examples.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        team.condition(&format!("pfc/{name}"), "Ready", "True");
        eventually(&format!("{name} to be judged"), || {
            let status = team.get("pfc", name)["status"].clone();
            ensure(status["verdict"] == "Passing" || status["verdict"] == "Failing", || status.to_string())
        });
    }
}
