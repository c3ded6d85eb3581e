//! The status of an unchanged world is Unchanged.

use super::*;
use crate::api::PreflightCheckStatus;
use crate::api::conditions::{READY, get};
use crate::core::gate::testing::{at, seen, settings, unevaluated};
use crate::core::observation::{Observation, Outcome};
use crate::core::verdict::{Evaluation, MAX_RESULTS, Settings, settle};
use proptest::prelude::*;
use std::time::Duration;

fn ready() -> Wanted {
    Wanted { type_: READY, status: Some(true), reason: "Evaluated".into(), message: "The check is accepted and evaluated".into() }
}

fn view(state: &State) -> View<'_> {
    View {
        generation: Some(3),
        probe: Some("rollout"),
        ready: ready(),
        state,
        next: None,
        interval: None,
        refresh_after: None,
        last_passing: state.last_pass,
        term: None,
        overdue_since: None,
        effective: None,
        request: None,
    }
}

fn written(change: Change) -> PreflightCheckStatus {
    let Change::Write(status) = change else { panic!("nothing to write") };
    // As the API server keeps it.
    serde_json::from_str(&serde_json::to_string(&status).unwrap()).unwrap()
}

fn evaluated(outcome: Outcome, previous: &State, now: Timestamp) -> State {
    settle(&settings(), previous, Evaluation::Observed(vec![seen(outcome)]), Duration::from_millis(7), now)
}

fn condition<'a>(status: &'a PreflightCheckStatus, type_: &str) -> &'a k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition {
    get(&status.conditions, type_).unwrap()
}

#[test]
fn it_says_what_the_state_says() {
    for (outcome, status, reason) in [
        (Outcome::Pass, "True", "AllPassed"),
        (Outcome::Warn, "True", "AllPassed"),
        (Outcome::Fail, "False", "TargetsFailing"),
        (Outcome::Error, "Unknown", "EvaluationError"),
    ] {
        let state = evaluated(outcome, &unevaluated(), at(0));
        let status_ = written(diff(None, &view(&state), at(1)));
        let passing = condition(&status_, PASSING);
        assert_eq!((passing.status.as_str(), passing.reason.as_str(), passing.observed_generation), (status, reason, Some(3)));
        assert_eq!(condition(&status_, READY).observed_generation, Some(3));
        assert_eq!((status_.observed_generation, status_.verdict, status_.probe.as_deref()), (Some(3), state.verdict, Some("rollout")));
        assert_eq!((status_.last_evaluation_time.unwrap().0, status_.last_duration_milliseconds), (at(0), Some(7)));
        assert_eq!(status_.results[0].outcome, outcome.as_str());
        assert_eq!(status_.history.len(), 1);
    }
    let never = written(diff(None, &view(&unevaluated()), at(0)));
    assert_eq!((never.last_evaluation_time, never.last_duration_milliseconds), (None, None));
}

#[test]
fn repetition_alone_is_no_change() {
    let first = evaluated(Outcome::Pass, &unevaluated(), at(0));
    let status = written(diff(None, &view(&first), at(0)));
    let mut state = first;
    for i in 1..100 {
        state = evaluated(Outcome::Pass, &state, at(i * 30));
        state.duration = Duration::from_millis(u64::try_from(i).unwrap());
        assert_eq!(diff(Some(&status), &View { next: Some(at(i * 30 + 30)), ..view(&state) }, at(i * 30)), Change::Unchanged);
    }
    // Another measured value is a change, and a new generation is.
    let mut other = state.clone();
    other.results[0].value = Some("4/4 ready".into());
    assert_ne!(diff(Some(&status), &view(&other), at(0)), Change::Unchanged);
    assert_ne!(diff(Some(&status), &View { generation: Some(4), ..view(&state) }, at(0)), Change::Unchanged);
}

#[test]
fn a_probed_check_refreshes_its_time_at_half_of_stale_after() {
    let first = evaluated(Outcome::Pass, &unevaluated(), at(0));
    let status = written(diff(None, &view(&first), at(0)));
    for (seconds, probed, writes) in [(59, true, false), (60, true, true), (61, true, true), (600, false, false)] {
        let state = evaluated(Outcome::Pass, &first, at(seconds));
        let refresh_after = probed.then_some(SignedDuration::from_secs(60));
        let change = diff(Some(&status), &View { refresh_after, ..view(&state) }, at(seconds));
        assert_eq!(change != Change::Unchanged, writes, "after {seconds} s, probed: {probed}");
    }
}

#[test]
fn transition_times_move_with_the_status_alone_and_have_whole_seconds() {
    let half = SignedDuration::from_millis(500);
    let time = |status: &PreflightCheckStatus| condition(status, PASSING).last_transition_time.0;
    let state = evaluated(Outcome::Pass, &unevaluated(), at(0) + half);
    let Change::Write(sent) = diff(None, &view(&state), at(0) + half) else { panic!("nothing to write") };
    assert_eq!(time(&sent), at(0));
    // What comes back is what was sent: else it would never be taken for written.
    assert_eq!(written(Change::Write(sent.clone())), *sent);
    let state = evaluated(Outcome::Warn, &state, at(30));
    let status = written(diff(Some(&sent), &view(&state), at(30)));
    assert_eq!((status.verdict, time(&status)), (Verdict::Warning, at(0)));
    let state = evaluated(Outcome::Fail, &state, at(60));
    let status = written(diff(Some(&status), &view(&state), at(60)));
    assert_eq!(time(&status), at(60));
    assert_eq!(condition(&status, READY).last_transition_time.0, at(0));
}

#[test]
fn what_others_wrote_is_put_right_but_their_conditions_stay() {
    let state = evaluated(Outcome::Fail, &unevaluated(), at(0));
    let mut status = written(diff(None, &view(&state), at(0)));
    let mut foreign = condition(&status, READY).clone();
    foreign.type_ = "Somebodys".into();
    status.conditions.push(foreign);
    assert_eq!(diff(Some(&status), &view(&state), at(0)), Change::Unchanged);
    status.verdict = Verdict::Passing;
    let mended = written(diff(Some(&status), &view(&state), at(0)));
    assert_eq!((mended.verdict, mended.conditions.len()), (Verdict::Failing, 3));
}

#[test]
fn the_largest_status_is_bounded_and_says_so() {
    for text in ["x".repeat(5000), "\"\\".repeat(2500), "𐍈".repeat(5000)] {
        let one = |i: usize, outcome| Observation {
            target: format!("{i}{text}").chars().take(316).collect(),
            ..Observation::new("", outcome, "SomeQuiteLongReason", &text).measured(&text, &text)
        };
        let settings = Settings { history_limit: MAX_RESULTS, ..settings() };
        let mut state = unevaluated();
        for i in 0..40 {
            let outcome = if i % 2 == 0 { Outcome::Fail } else { Outcome::Pass };
            let list = (0..50).map(|n| one(n, outcome)).collect();
            state = settle(&settings, &state, Evaluation::Observed(list), Duration::MAX, at(i));
        }
        state.message = text.chars().take(1024).collect();
        let ready = Wanted { message: state.message.clone(), ..ready() };
        let status = written(diff(None, &View { ready, ..view(&state) }, at(0)));
        let size = serde_json::to_vec(&status).unwrap().len();
        assert!(size <= MAX_STATUS_BYTES, "{size} bytes");
        assert!(size > 16 * 1024, "cut to {size} bytes: too much");
        let summary = status.summary.clone().unwrap();
        assert_eq!((summary.targets, summary.truncated), (50, true));
        assert!(status.results.len() >= ALWAYS_KEPT && status.history.len() >= ALWAYS_KEPT);
        assert_eq!(diff(Some(&status), &view_with(&state, &status), at(99)), Change::Unchanged);
    }
}

fn view_with<'a>(state: &'a State, status: &PreflightCheckStatus) -> View<'a> {
    let message = condition(status, READY).message.clone();
    View { ready: Wanted { message, ..ready() }, ..view(state) }
}

proptest! {
    #[test]
    fn the_status_of_an_unchanged_world_is_unchanged(
        outcomes in prop::collection::vec(prop::sample::select(vec![Outcome::Pass, Outcome::Warn, Outcome::Fail, Outcome::Error]), 0..6),
        message in ".{0,300}",
        nanos in 0_i64..3_000_000_000,
        refresh in prop::option::of(1_i64..100),
    ) {
        let mut state = unevaluated();
        for (outcome, i) in outcomes.into_iter().zip(0..) {
            let observation = Observation { message: message.clone(), ..seen(outcome) };
            state = settle(&settings(), &state, Evaluation::Observed(vec![observation]), Duration::from_millis(3), at(i) + SignedDuration::from_nanos(nanos));
        }
        let view = View { refresh_after: refresh.map(SignedDuration::from_secs), ..view(&state) };
        let now = at(10) + SignedDuration::from_nanos(nanos);
        let once = written(diff(None, &view, now));
        prop_assert_eq!(diff(Some(&once), &view, now + SignedDuration::from_secs(5)), Change::Unchanged);
        // And what is written over something else is the same afterwards.
        let other = PreflightCheckStatus { verdict: Verdict::Warning, ..once.clone() };
        let twice = match diff(Some(&other), &view, now) {
            Change::Write(status) => *status,
            Change::Unchanged => other,
        };
        prop_assert_eq!(diff(Some(&twice), &view, now), Change::Unchanged);
    }
}
