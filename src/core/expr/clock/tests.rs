//! What the clock says, in any zone.

use super::super::{Bindings, EvaluationError, Expression};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

fn evaluate(source: &str, now: Timestamp) -> Result<bool, EvaluationError> {
    let mut problems = Vec::new();
    let expression = Expression::compile(source, "f", &["object", "now"], &mut problems);
    assert_eq!(problems, [], "{source}");
    let object = json!({"metadata": {"creationTimestamp": "2026-11-21T14:30:00Z"}, "zone": "Asia/Tokyo", "number": 1});
    expression.unwrap().evaluate(&Bindings::of(&[("object", &object)]).with_time("now", now))
}

#[test]
fn now_is_an_instant_that_can_be_compared_and_read_in_any_zone() {
    // A Saturday in winter, 15:04:05.678 in Berlin.
    let now: Timestamp = "2026-11-21T14:04:05.678Z".parse().unwrap();
    for source in [
        "now == timestamp('2026-11-21T14:04:05.678Z') && now == timestamp('2026-11-21T15:04:05.678+01:00')",
        "now - timestamp(object.metadata.creationTimestamp) < duration('1h')",
        "timestamp(object.metadata.creationTimestamp) - now > duration('25m')",
        "now + duration('24h') > timestamp('2026-11-22T00:00:00Z')",
        "now.getFullYear() == 2026 && now.getMonth() == 10 && now.getDate() == 21 && now.getDayOfMonth() == 20",
        "now.getDayOfYear() == 324 && now.getDayOfWeek() == 6",
        "now.getHours() == 14 && now.getMinutes() == 4 && now.getSeconds() == 5 && now.getMilliseconds() == 678",
        "now.getHours('Europe/Berlin') == 15 && now.getHours('UTC') == 14 && now.getHours('America/New_York') == 9",
        "now.getHours('+05:30') == 19 && now.getMinutes('+05:30') == 34 && now.getHours('-02:00') == 12 && now.getHours('02:00') == 16",
        "now.getDate('Pacific/Auckland') == 22 && now.getHours(object.zone) == 23",
        "timestamp('2026-07-01T00:30:00+02:00').getHours() == 22 && timestamp('2026-07-01T00:30:00Z').getHours('Europe/Berlin') == 2",
        "duration('90m').getHours() == 1 && duration('90m').getMinutes() == 90 && (now - now).getSeconds() == 0",
        "now.getDayOfWeek() in [0, 6] || (now.getHours('Europe/Berlin') >= 9 && now.getHours('Europe/Berlin') < 16)",
        "string(now).startsWith('2026-11-21T14:04:05')",
    ] {
        assert_eq!(evaluate(source, now), Ok(true), "{source}");
    }
}

#[test]
fn what_is_no_time_or_no_zone_is_an_error() {
    let now: Timestamp = "2026-11-21T14:04:05Z".parse().unwrap();
    for (source, why) in [
        ("now.getHours(object.metadata.creationTimestamp) == 1", "`getHours`: there is no such time zone"),
        ("now.getHours(object.number) == 1", "`getHours`: a time zone is a text, such as 'Europe/Berlin'"),
        ("object.zone.getHours() == 1", "`getHours`: it reads times and durations"),
        ("duration('1h').getDate() == 1", "`getDate`: a duration has no date"),
        ("duration('1h').getHours('UTC') == 1", "`getHours`: a duration is in no time zone"),
        ("now + 1 == now", "`add` does not take timestamp and int"),
        ("timestamp(object.zone) < now", "`timestamp`: premature end of input"),
    ] {
        assert_eq!(evaluate(source, now), Err(EvaluationError::Failed { message: why.to_owned() }), "{source}");
    }
}

proptest! {
    #[test]
    fn any_instant_is_the_one_that_was_given(second in Timestamp::MIN.as_second()..Timestamp::MAX.as_second(), nanosecond in 0..1_000_000_000_i32) {
        let now = Timestamp::new(second, nanosecond).unwrap();
        let bounded = matches!(evaluate("now == now && now.getHours() >= 0", now), Ok(true) | Err(EvaluationError::Failed { .. }));
        prop_assert!(bounded);
        if (0..250_000_000_000).contains(&second) {
            prop_assert_eq!(evaluate(&format!("now == timestamp('{now}')"), now), Ok(true));
        }
    }

    #[test]
    fn any_text_is_a_zone_or_none(name in "[+-]?[0-9]{0,3}:?[0-9]{0,3}|[A-Za-z/_+-]{0,20}|.{0,8}") {
        let _ = super::is_zone(&name);
    }
}
