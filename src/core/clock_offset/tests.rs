//! The true offset is always inside, however the answers come.

use super::*;
use proptest::prelude::*;

const MILLISECOND: i64 = 1_000_000;
/// An instant of this machine's clock.
const START: i64 = 1_760_000_000 * 1000 * MILLISECOND;

fn at(nanos: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanos)).unwrap()
}

/// Asks at an instant of this machine's clock; the server, whose clock is so far ahead, dates its answer on the way.
fn ask(estimator: &mut Estimator, sent: i64, there: i64, back: i64, ahead: i64) {
    let server = sent + there + ahead;
    let date = Timestamp::from_second(server.div_euclid(1000 * MILLISECOND)).unwrap();
    estimator.answered(date, at(sent), at(sent + there + back));
}

fn contains(offset: Offset, ahead: i64) -> bool {
    offset.earliest.as_nanos() <= i128::from(ahead) && i128::from(ahead) <= offset.latest.as_nanos()
}

fn width(offset: Offset) -> SignedDuration {
    offset.latest - offset.earliest
}

fn samples() -> impl Strategy<Value = Vec<(i64, i64, i64)>> {
    let one = (0..1000 * MILLISECOND, 0..40 * MILLISECOND, 0..40 * MILLISECOND);
    prop::collection::vec(one, 1..200)
}

proptest! {
    #[test]
    fn a_constant_offset_is_always_inside(ahead in -3_600_000 * MILLISECOND..3_600_000 * MILLISECOND, samples in samples()) {
        let mut estimator = Estimator::default();
        for (i, (phase, there, back)) in (0_i64..).zip(samples) {
            ask(&mut estimator, START + i * 1000 * MILLISECOND + phase, there, back, ahead);
            let offset = estimator.offset().unwrap();
            prop_assert!(contains(offset, ahead), "{ahead}: {offset:?}");
            prop_assert!(width(offset) <= SignedDuration::from_millis(1080), "{offset:?}");
        }
    }

    #[test]
    fn sixty_answers_at_different_points_of_the_second_leave_less_than_100_ms_besides_the_way(
        ahead in -10_000 * MILLISECOND..10_000 * MILLISECOND,
        first in 0..1000 * MILLISECOND,
        way in 0..100 * MILLISECOND,
    ) {
        let mut estimator = Estimator::default();
        for i in 0..60 {
            // 617 ms and a second have no common divisor to speak of: the points spread over the second.
            ask(&mut estimator, START + first + i * 1617 * MILLISECOND, way / 2, way / 2, ahead);
        }
        let offset = estimator.offset().unwrap();
        prop_assert!(width(offset).as_nanos() <= i128::from(100 * MILLISECOND + way), "{offset:?}");
        prop_assert!(contains(offset, ahead));
    }

    #[test]
    fn a_clock_that_was_set_is_noticed_at_once_and_the_doubt_passes(
        before in -100_000 * MILLISECOND..100_000 * MILLISECOND,
        after in -100_000 * MILLISECOND..100_000 * MILLISECOND,
        samples in samples(),
    ) {
        prop_assume!((before - after).abs() > 2500 * MILLISECOND);
        let mut estimator = Estimator::default();
        for (i, (phase, there, back)) in (0_i64..).zip(samples) {
            ask(&mut estimator, START + i * 1000 * MILLISECOND + phase, there, back, before);
        }
        for i in 0..30 {
            ask(&mut estimator, START + 300_000 * MILLISECOND + i * 1137 * MILLISECOND, MILLISECOND, MILLISECOND, after);
            let offset = estimator.offset().unwrap();
            prop_assert!(contains(offset, after));
            prop_assert!(i < 10 || !contains(offset, before), "answer {i}: {offset:?}");
        }
    }

    #[test]
    fn whatever_the_answers_say_there_is_no_panic_and_no_empty_bound(answers in prop::collection::vec((any::<i64>(), any::<i64>(), any::<i64>()), 0..100)) {
        let mut estimator = Estimator::default();
        let any = |n: i64| Timestamp::from_nanosecond(i128::from(n) * 7).unwrap_or(Timestamp::MAX);
        for (date, sent, received) in answers {
            estimator.answered(any(date), any(sent), any(received));
            prop_assert!(estimator.offset().is_none_or(|offset| offset.earliest <= offset.latest));
        }
    }
}

#[test]
fn servers_whose_clocks_differ_are_both_inside() {
    let mut estimator = Estimator::default();
    let servers = [0, 5000 * MILLISECOND];
    for i in 0..200 {
        let ahead = servers[usize::from(i % 7 == 0)];
        ask(&mut estimator, START + i * 1093 * MILLISECOND, MILLISECOND, MILLISECOND, ahead);
        let offset = estimator.offset().unwrap();
        assert!(i < 8 || servers.iter().all(|server| contains(offset, *server)), "answer {i}: {offset:?}");
    }
}

#[test]
fn a_slow_drift_is_followed() {
    let mut estimator = Estimator::default();
    for i in 0..2000 {
        // 100 ppm: 0.1 ms with each answer.
        let ahead = i * MILLISECOND / 10;
        ask(&mut estimator, START + i * 1093 * MILLISECOND, MILLISECOND, MILLISECOND, ahead);
        assert!(contains(estimator.offset().unwrap(), ahead), "answer {i}");
    }
}

#[test]
fn nothing_is_known_before_the_first_answer_and_a_clock_set_back_meanwhile_tells_nothing() {
    let mut estimator = Estimator::default();
    assert_eq!(estimator.offset(), None);
    estimator.answered(at(START), at(START), at(START - 1));
    assert_eq!(estimator.offset(), None);
    ask(&mut estimator, START, 0, 0, 0);
    assert!(estimator.offset().unwrap().within(SignedDuration::from_secs(1)));
    assert!(!estimator.offset().unwrap().within(SignedDuration::from_millis(900)));
}
