//! Thresholds, staleness and history: from one evaluation to the next.

use super::*;

fn with(failures: u32, successes: u32) -> Settings {
    Settings { failure_threshold: failures, success_threshold: successes, ..settings() }
}

#[test]
fn thresholds_count_consecutive_evaluations() {
    use Verdict::{Failing, Passing, Unknown, Warning};
    for (failures, successes, outcomes, verdict, word) in [
        (1, 1, &[Pass][..], Passing, "AllPassed"),
        (1, 1, &[Warn], Warning, "AllPassed"),
        (1, 1, &[Pass, Fail], Failing, "TargetsFailing"),
        (2, 1, &[Pass, Fail], Passing, "ThresholdPending"),
        (2, 1, &[Warn, Fail], Warning, "ThresholdPending"),
        (2, 1, &[Pass, Fail, Fail], Failing, "TargetsFailing"),
        (2, 1, &[Pass, Fail, Pass, Fail], Passing, "ThresholdPending"),
        // Whoever was never seen passing does not pass while failures are counted.
        (2, 1, &[Fail], Unknown, "ThresholdPending"),
        (3, 1, &[Fail, Fail], Unknown, "ThresholdPending"),
        // One that could not tell does not break a row of failures.
        (2, 1, &[Fail, Error, Fail], Failing, "TargetsFailing"),
        (2, 1, &[Pass, Fail, Error, Fail], Failing, "TargetsFailing"),
        (3, 1, &[Fail, Error, Fail, Error, Error, Fail], Failing, "TargetsFailing"),
        (2, 1, &[Fail, Error, Pass, Fail], Passing, "ThresholdPending"),
        // It does end a row of passes.
        (1, 2, &[Pass], Unknown, "ThresholdPending"),
        (1, 2, &[Pass, Pass], Passing, "AllPassed"),
        (1, 2, &[Pass, Error, Pass], Unknown, "ThresholdPending"),
        (1, 2, &[Pass, Error, Pass, Pass], Passing, "AllPassed"),
        (1, 2, &[Fail, Pass], Failing, "ThresholdPending"),
        (1, 2, &[Fail, Pass, Fail, Pass], Failing, "ThresholdPending"),
        (1, 2, &[Fail, Pass, Pass], Passing, "AllPassed"),
        (1, 2, &[Fail, Pass, Warn], Warning, "AllPassed"),
        // What could not be told is not forgiven by any threshold.
        (3, 3, &[Pass, Pass, Pass, Error], Unknown, "EvaluationError"),
        (1, 1, &[Fail, Error], Unknown, "EvaluationError"),
        (3, 1, &[Fail, Fail, Fail, Error, Fail], Failing, "TargetsFailing"),
    ] {
        let state = run(&with(failures, successes), outcomes);
        assert_eq!((state.verdict, state.reason), (verdict, word), "{failures} failures, {successes} passes: {outcomes:?}");
    }
    assert_eq!(run(&with(3, 1), &[Pass, Fail]).message, "1 of 3 consecutive failures; Pod/00: 1/3 ready");
    assert_eq!(run(&with(1, 3), &[Fail, Pass]).message, "1 of 3 consecutive passes; Pod/00: 3/3 ready");
}

#[test]
fn a_failure_that_the_threshold_forgives_does_not_renew_the_belief() {
    let mut state = run(&with(100, 1), &[Pass]);
    for i in 1..4 {
        state = settle(&with(100, 1), &state, observed(&[Fail]), Duration::ZERO, at(i * 30));
        assert_eq!(state.stale_at, Some(at(120)));
        assert_eq!(state.standing(at(i * 30)), Standing::Passing);
    }
    assert_eq!(state.standing(at(120)), Standing::Stale);
    // Nor does one that comes in after it went stale, before anybody noticed.
    state = settle(&with(100, 1), &state, observed(&[Fail]), Duration::ZERO, at(500));
    assert_eq!(state.standing(at(500)), Standing::Stale);
    assert_eq!(state.turned_stale(at(500), 10).message, "it last passed too long ago; 4 of 100 consecutive failures; Pod/00: 1/3 ready");
    state = settle(&with(100, 1), &state, observed(&[Pass]), Duration::ZERO, at(530));
    assert_eq!(state.standing(at(530)), Standing::Passing);
}

#[test]
fn what_turned_stale_stays_stale_and_not_merely_unknown() {
    let state = run(&settings(), &[Pass]).turned_stale(at(150), 10);
    assert_eq!((state.verdict, state.reason), (Verdict::Unknown, "Stale"));
    assert_eq!(state.message, "last evaluated 150 s ago; it passed then");
    // A gate that answers stale and unknown differently must not change its answer by the engine's taking notice.
    assert_eq!(state.standing(at(150)), Standing::Stale);
    assert_eq!(state.history.iter().map(|t| t.verdict).collect::<Vec<_>>(), [Verdict::Unknown, Verdict::Passing]);
    let state = settle(&settings(), &state, observed(&[Error]), Duration::ZERO, at(160));
    assert_eq!(state.standing(at(160)), Standing::Unknown);
}

#[test]
fn history_has_transitions_only_and_a_limit() {
    use Verdict::{Failing, Passing, Unknown, Warning};
    let limited = |limit| Settings { history_limit: limit, ..settings() };
    let state = run(&limited(10), &[Pass, Pass, Fail, Fail, Error, Pass, Pass, Warn]);
    let seen: Vec<_> = state.history.iter().map(|t| (t.verdict, t.time)).collect();
    assert_eq!(seen, [(Warning, at(210)), (Passing, at(150)), (Unknown, at(120)), (Failing, at(60)), (Passing, at(0))]);
    assert_eq!(run(&limited(2), &[Pass, Fail, Pass, Fail]).history.len(), 2);
    assert_eq!(run(&limited(0), &[Pass, Fail]).history.len(), 0);
    let flapping: Vec<Outcome> = [Pass, Fail].into_iter().cycle().take(200).collect();
    assert_eq!(run(&limited(1000), &flapping).history.len(), MAX_RESULTS);
}

#[test]
fn counts_do_not_overflow_and_messages_are_bounded() {
    let mut state = unevaluated();
    state.streak = Streak { passes: i32::MAX, failures: i32::MAX, errors: i32::MAX };
    for outcome in [Pass, Fail, Error] {
        let next = settle(&settings(), &state, observed(&[outcome]), Duration::MAX, Timestamp::MAX);
        assert_ne!(next.standing(Timestamp::MAX), Standing::Passing);
    }
    let long = Evaluation::NoTargets("x\u{1b}[2J\n".repeat(10_000));
    let state = once(&settings(), long);
    assert!(state.message.chars().count() <= 1024 && !state.message.contains('\n'));
}
