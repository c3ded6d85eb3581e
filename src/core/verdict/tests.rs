//! How observations become a verdict. The clock is a number.

use super::*;
use crate::core::gate::testing::{at, passes, seen, settings, unevaluated};
use proptest::prelude::*;

mod transitions;

fn observed(outcomes: &[Outcome]) -> Evaluation {
    let one = |(i, outcome): (usize, &Outcome)| Observation { target: format!("Pod/{i:02}"), ..seen(*outcome) };
    Evaluation::Observed(outcomes.iter().enumerate().map(one).collect())
}

fn once(settings: &Settings, evaluation: Evaluation) -> State {
    settle(settings, &unevaluated(), evaluation, Duration::ZERO, at(0))
}

fn run(settings: &Settings, outcomes: &[Outcome]) -> State {
    outcomes
        .iter()
        .zip(0..)
        .fold(unevaluated(), |state, (outcome, i)| settle(settings, &state, observed(&[*outcome]), Duration::ZERO, at(i * 30)))
}

use Outcome::{Error, Fail, Pass, Warn};

#[test]
fn quorum_is_a_number_or_a_percentage() {
    for (share, outcomes, verdict, word) in [
        (Share::Percent(100), &[Pass, Pass, Pass][..], Verdict::Passing, "AllPassed"),
        (Share::Percent(100), &[Pass, Pass, Fail], Verdict::Failing, "TargetsFailing"),
        (Share::Percent(100), &[Pass, Pass, Error], Verdict::Unknown, "EvaluationError"),
        (Share::Percent(100), &[Pass, Error, Fail], Verdict::Failing, "TargetsFailing"),
        (Share::Percent(50), &[Pass, Pass, Fail], Verdict::Passing, "QuorumMet"),
        (Share::Percent(50), &[Pass, Error, Fail], Verdict::Unknown, "EvaluationError"),
        (Share::Percent(50), &[Pass, Fail, Fail], Verdict::Failing, "TargetsFailing"),
        (Share::Count(2), &[Pass, Pass, Fail, Fail, Fail], Verdict::Passing, "QuorumMet"),
        (Share::Count(2), &[Pass, Warn, Fail], Verdict::Warning, "QuorumMet"),
        (Share::Count(2), &[Warn, Warn], Verdict::Warning, "AllPassed"),
        (Share::Count(3), &[Pass, Pass], Verdict::Failing, "TargetsFailing"),
        (Share::Count(3), &[Pass, Pass, Error, Error], Verdict::Unknown, "EvaluationError"),
    ] {
        let state = once(&Settings { min_passing: share, ..settings() }, observed(outcomes));
        assert_eq!((state.verdict, state.reason), (verdict, word), "{share} of {outcomes:?}");
    }
}

#[test]
fn what_could_not_be_told_goes_through_outcomes() {
    use Verdict::{Failing, Passing, Unknown, Warning};
    let no_data = || Evaluation::Observed(vec![Observation::error("Pod/a", NO_DATA, "no status yet")]);
    let gone = || Evaluation::Observed(vec![Observation::error("Pod/a", NOT_FOUND, "gone")]);
    let none = || Evaluation::NoTargets("no Pod has the labels app=x".to_owned());
    for verdict in [Passing, Warning, Failing, Unknown] {
        let with = |error, no_data, no_targets| Settings { outcomes: Outcomes { error, no_data, no_targets }, ..settings() };
        assert_eq!(once(&with(verdict, Unknown, Unknown), observed(&[Error])).verdict, verdict);
        assert_eq!(once(&with(Unknown, verdict, Unknown), no_data()).verdict, verdict);
        assert_eq!(once(&with(Unknown, Unknown, verdict), none()).verdict, verdict);
        // A target that is gone is no target, whatever is said of errors.
        assert_eq!(once(&with(Passing, Passing, verdict), gone()).verdict, verdict);
    }
    let defaults = settings();
    for (evaluation, word) in [(observed(&[Error]), "EvaluationError"), (no_data(), "NoData"), (none(), "NoTargets"), (gone(), "NoTargets")]
    {
        let state = once(&defaults, evaluation);
        assert_eq!((state.verdict, state.reason), (Unknown, word));
    }
    let denied = Evaluation::Observed(vec![Observation::error("a:80", TARGET_DENIED, "refused")]);
    assert_eq!(once(&defaults, denied).reason, "TargetDenied");
    let impossible = Evaluation::Impossible(reason::FORBIDDEN, "may not\nlist".to_owned());
    let state = once(&defaults, impossible);
    assert_eq!((state.verdict, state.reason, state.message.as_str()), (Unknown, "Forbidden", "may not list"));
}

#[test]
fn fewer_targets_than_wanted_are_no_targets_but_are_shown() {
    let settings = Settings { min_targets: 2, min_passing: Share::Count(1), ..settings() };
    let state = once(&settings, observed(&[Pass]));
    assert_eq!((state.verdict, state.reason), (Verdict::Unknown, "NoTargets"));
    assert_eq!(state.message, "1 of at least 2 targets exist");
    assert_eq!((state.results.len(), state.summary.passing), (1, 1));
}

#[test]
fn the_message_says_what_is_wrong_also_of_a_single_target() {
    let text = |share, outcomes: &[Outcome]| once(&Settings { min_passing: share, ..settings() }, observed(outcomes)).message;
    assert_eq!(text(Share::Percent(100), &[Fail]), "Pod/00: 1/3 ready");
    assert_eq!(text(Share::Percent(100), &[Pass, Pass]), "2 of 2 targets pass, 2 needed");
    assert_eq!(text(Share::Percent(100), &[Pass, Fail]), "1 of 2 targets pass, 2 needed; Pod/01: 1/3 ready");
    assert_eq!(text(Share::Percent(50), &[Pass, Fail]), "1 of 2 targets pass, 1 needed; Pod/01: 1/3 ready");
    // The one target passes: it is the number of targets that does not.
    assert_eq!(text(Share::Count(2), &[Pass]), "1 of 1 targets pass, 2 needed; Pod/00: 3/3 ready");
}

#[test]
fn a_passing_verdict_is_believed_until_it_is_stale_and_a_failing_one_for_ever() {
    let passed = run(&settings(), &[Pass]);
    for (when, standing) in [
        (at(0), Standing::Passing),
        (at(119), Standing::Passing),
        (at(120) - SignedDuration::from_nanos(1), Standing::Passing),
        (at(120), Standing::Stale),
        (at(1_000_000), Standing::Stale),
        // The clock was set back, by more than two clocks may differ.
        (at(-1), Standing::Passing),
        (at(-2), Standing::Unknown),
    ] {
        assert_eq!(passed.standing(when), standing, "{when}");
    }
    assert_eq!(passed.next_change(), Some(at(120)));
    let failed = run(&settings(), &[Fail]);
    for when in [at(-100), at(0), at(120), at(1_000_000)] {
        assert_eq!(failed.standing(when), Standing::Failing);
    }
    assert_eq!(failed.next_change(), None);
    assert_eq!((failed.age(at(5)), failed.age(at(-5))), (Some(Duration::from_secs(5)), Some(Duration::ZERO)));
    assert_eq!(State { evaluated_at: None, ..passed.clone() }.standing(at(0)), Standing::Unknown);
    assert_eq!(State { stale_at: None, ..passed }.standing(at(1_000_000)), Standing::Passing, "it does not age");
}

#[test]
fn what_holds_until_an_instant_is_not_believed_from_then_on() {
    let until = |seconds| Observation { holds_until: Some(at(seconds)), ..seen(Pass) };
    let state = once(&settings(), Evaluation::Observed(vec![until(60), until(30), seen(Pass)]));
    assert_eq!(state.holds_until, Some(at(30)));
    assert_eq!(state.next_change(), Some(at(30)));
    assert_eq!(state.standing(at(30) - SignedDuration::from_nanos(1)), Standing::Passing);
    assert_eq!(state.standing(at(30)), Standing::Unknown);
    let failing = once(&settings(), Evaluation::Observed(vec![Observation { holds_until: Some(at(30)), ..seen(Fail) }]));
    assert_eq!((failing.standing(at(31)), failing.next_change()), (Standing::Failing, Some(at(30))));
}

#[test]
fn results_are_the_worst_and_counted_in_full() {
    let mut outcomes = vec![Pass; 100];
    outcomes[40] = Fail;
    outcomes[70] = Error;
    outcomes[90] = Warn;
    let state = once(&settings(), observed(&outcomes));
    let worst: Vec<_> = state.results.iter().take(4).map(|o| o.outcome).collect();
    assert_eq!(worst, [Fail, Error, Warn, Pass]);
    assert_eq!(state.results.len(), MAX_RESULTS);
    let Summary { targets, passing, warning, failing, unknown, truncated } = state.summary;
    assert_eq!((targets, passing, warning, failing, unknown, truncated), (100, 97, 1, 1, 1, true));
}

fn any_outcome() -> impl Strategy<Value = Outcome> {
    prop::sample::select(vec![Pass, Warn, Fail, Error])
}

fn any_observation() -> impl Strategy<Value = Observation> {
    let reasons = prop::sample::select(vec![NO_DATA, NOT_FOUND, TARGET_DENIED, "Other"]);
    ("[ab]", any_outcome(), reasons, "[xy]?", prop::option::of(-5_i64..5)).prop_map(|(target, outcome, reason, message, until)| {
        Observation { reason, holds_until: until.map(at), ..Observation::new(target, outcome, "x", message) }
    })
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let share = prop_oneof![(1_u8..=100).prop_map(Share::Percent), (1_u32..6).prop_map(Share::Count)];
    let verdict = || prop::sample::select(vec![Verdict::Passing, Verdict::Warning, Verdict::Failing, Verdict::Unknown]);
    let outcomes = (verdict(), verdict(), verdict()).prop_map(|(error, no_data, no_targets)| Outcomes { error, no_data, no_targets });
    (share, 1_u32..4, 1_u32..4, 1_u32..4, outcomes, 0_usize..30).prop_map(
        |(min_passing, min_targets, failures, passes, outcomes, limit)| Settings {
            min_passing,
            min_targets,
            failure_threshold: failures,
            success_threshold: passes,
            outcomes,
            history_limit: limit,
            ..settings()
        },
    )
}

proptest! {
    #[test]
    fn the_order_of_observations_makes_no_difference(
        settings in any_settings(),
        (list, shuffled) in prop::collection::vec(any_observation(), 0..8).prop_flat_map(|list| (Just(list.clone()), Just(list).prop_shuffle())),
    ) {
        let state = |list| once(&settings, Evaluation::Observed(list));
        prop_assert_eq!(state(list), state(shuffled));
    }

    #[test]
    fn a_worse_target_never_makes_a_better_verdict(settings in any_settings(), list in prop::collection::vec(any_outcome(), 1..8), i in 0_usize..8) {
        // Errors count as the spec says, which may be better than a warning.
        let settings = Settings { outcomes: Outcomes::default(), ..settings };
        let before = once(&settings, observed(&list));
        let mut worse = list.clone();
        worse[i % list.len()] = Fail;
        let after = once(&settings, observed(&worse));
        // One warning less and enough that pass: that may be better.
        prop_assume!(before.verdict != Verdict::Warning);
        prop_assert!(badness(after.verdict) >= badness(before.verdict), "{list:?} {:?} -> {worse:?} {:?}", before.verdict, after.verdict);
    }

    #[test]
    fn no_unknown_beats_a_failing(settings in any_settings(), list in prop::collection::vec(any_outcome(), 1..8)) {
        let settings = Settings { outcomes: Outcomes::default(), min_targets: 1, failure_threshold: 1, ..settings };
        let state = once(&settings, observed(&list));
        // With every error resolved for the better, it would still not be enough: so it fails, errors or not.
        let best = list.iter().filter(|o| **o != Fail).count();
        let fails = best < usize::try_from(settings.min_passing.of(u32::try_from(list.len()).unwrap())).unwrap();
        prop_assert_eq!(state.verdict == Verdict::Failing, fails);
        prop_assert!(Standing::Failing > Standing::Unknown && Standing::Unknown > Standing::Stale);
    }

    #[test]
    fn passing_needs_enough_that_pass(settings in any_settings(), evaluations in prop::collection::vec(prop::collection::vec(any_observation(), 0..5), 1..12)) {
        let mut state = unevaluated();
        let mut time = 0;
        let mut last_pass = None;
        for list in evaluations {
            let alone = once(&Settings { failure_threshold: 1, success_threshold: 1, ..settings.clone() }, Evaluation::Observed(list.clone()));
            state = settle(&settings, &state, Evaluation::Observed(list), Duration::ZERO, at(time));
            if passes(alone.verdict) {
                last_pass = Some(time);
            }
            // Whoever passes was observed passing, and is believed no longer than from then.
            if passes(state.verdict) {
                prop_assert!(last_pass.is_some());
                prop_assert!(state.stale_at <= last_pass.map(|t| at(t + 120)));
            }
            prop_assert!(state.history.len() <= settings.history_limit.min(MAX_RESULTS));
            prop_assert!(state.results.len() <= MAX_RESULTS);
            time += 30;
        }
    }

    #[test]
    fn standing_never_improves_by_waiting(settings in any_settings(), list in prop::collection::vec(any_observation(), 0..5), a in 0_i64..300, b in 0_i64..300) {
        let state = once(&settings, Evaluation::Observed(list));
        let (early, late) = (state.standing(at(a.min(b))), state.standing(at(a.max(b))));
        prop_assert!(late >= early || (late == Standing::Stale && early == Standing::Unknown), "{early:?} then {late:?}");
    }
}
