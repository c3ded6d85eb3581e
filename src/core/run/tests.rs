//! What a run evaluates, in which order, and what it comes to, whatever happens.

use super::report::refused;
use super::select::{Invalid, select};
use super::*;
use crate::api::conditions::{COMPLETE, PASSING, READY, get};
use crate::api::{GateKind, GateReference, PreflightRunSpec, RunMode};
use crate::core::check_status::MAX_STATUS_BYTES;
use crate::core::gate::CheckFact;
use crate::core::gate::testing::{Known, fact};
use crate::core::text::weight;
use crate::core::verdict::Standing;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use proptest::prelude::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + second).unwrap()
}

fn id(name: &str) -> CheckId {
    CheckId { namespace: "shop".into(), name: name.into() }
}

fn member(name: &str, priority: i32) -> Member {
    Member { check: id(name), priority, severity: Severity::Required }
}

fn found(verdict: RunVerdict) -> Found {
    Found { verdict, reason: "Because".into(), message: "what was found".into(), duration: Some(Duration::from_millis(7)) }
}

fn run(members: &[Member], stop_at_first_failure: bool) -> Run {
    Run::new("shop", Plan { members: members.to_vec(), missing: Vec::new(), stop_at_first_failure }, 60, at(0))
}

fn names(checks: &[CheckId]) -> Vec<&str> {
    checks.iter().map(|check| check.name.as_ref()).collect()
}

fn condition(status: &PreflightRunStatus, type_: &str) -> (String, String) {
    let found = get(&status.conditions, type_).unwrap();
    (found.status.clone(), found.reason.clone())
}

fn pair(status: &str, reason: &str) -> (String, String) {
    (status.to_owned(), reason.to_owned())
}

#[test]
fn tiers_go_one_after_the_other_and_side_by_side_within() {
    let mut run = run(&[member("late", 20), member("a", 0), member("b", 0)], false);
    assert_eq!(names(&run.begin(at(1))), ["a", "b"]);
    assert!(run.begin(at(1)).is_empty(), "both run");
    run.take(&id("b"), &found(RunVerdict::Failing));
    assert!(run.begin(at(2)).is_empty(), "the tier is not done");
    run.take(&id("a"), &found(RunVerdict::Passing));
    assert_eq!(names(&run.begin(at(3))), ["late"], "not stopped");
    let status = run.status(None, Some(1), at(3));
    assert_eq!((status.progress.as_deref(), status.verdict), (Some("2/3"), None));
    assert_eq!(condition(&status, COMPLETE), pair("False", "Running"));
    run.take(&id("late"), &found(RunVerdict::Passing));
    assert_eq!((run.ended(), run.verdict()), (Some(End::Finished), Verdict::Failing));
    let status = run.status(Some(&status), Some(1), at(4));
    assert_eq!(status.verdict, Some(Verdict::Failing));
    assert_eq!(condition(&status, READY), pair("True", "Evaluated"));
    assert_eq!(condition(&status, COMPLETE), pair("True", "Finished"));
    assert_eq!(condition(&status, PASSING), pair("False", "ChecksFailing"));
    assert_eq!(status.counts, Some(crate::api::RunCounts { passed: 2, failed: 1, ..Default::default() }));
}

#[test]
fn after_a_tier_with_a_required_check_that_does_not_pass_the_rest_is_left_out() {
    for (verdict, advisory, goes_on) in [
        (RunVerdict::Failing, false, false),
        (RunVerdict::Unknown, false, false),
        (RunVerdict::Failing, true, true),
        (RunVerdict::Warning, false, true),
        (RunVerdict::Skipped, false, true),
    ] {
        let severity = if advisory { Severity::Advisory } else { Severity::Required };
        let mut run = run(&[Member { severity, ..member("first", 0) }, member("second", 5), member("third", 10)], true);
        run.begin(at(1));
        run.take(&id("first"), &found(verdict));
        assert_eq!(names(&run.begin(at(1))) == ["second"], goes_on, "{verdict:?}");
        assert_eq!(run.ended() == Some(End::Finished), !goes_on);
        if !goes_on {
            let status = run.status(None, None, at(2));
            let last = &status.checks[2];
            assert_eq!((last.verdict, last.reason.as_str()), (RunVerdict::Skipped, "StoppedAtFailure"));
            assert!(last.message.contains("first of priority 0"), "{}", last.message);
        }
    }
}

#[test]
fn what_is_required_and_missing_could_not_be_told() {
    let missing = vec![("gone".to_owned(), "there is no PreflightCheck gone in namespace shop".to_owned())];
    let plan =
        |stop_at_first_failure| Plan { members: vec![member("a", 0), member("b", 5)], missing: missing.clone(), stop_at_first_failure };
    let mut run = Run::new("shop", plan(false), 60, at(0));
    run.begin(at(0));
    run.take(&id("a"), &found(RunVerdict::Passing));
    run.begin(at(0));
    run.take(&id("b"), &found(RunVerdict::Passing));
    assert_eq!((run.ended(), run.verdict()), (Some(End::Finished), Verdict::Unknown));
    let status = run.status(None, None, at(1));
    assert!(get(&status.conditions, PASSING).unwrap().message.starts_with("unknown: gone (there is no"), "{:?}", status.conditions);
    let mut alone = Run::new("shop", Plan { members: Vec::new(), ..plan(true) }, 60, at(0));
    assert!(alone.begin(at(0)).is_empty());
    assert_eq!(alone.ended(), Some(End::Finished));
}

#[test]
fn a_run_whose_time_is_up_or_that_is_cancelled_is_over_and_does_not_pass() {
    let begun = || {
        let mut run = run(&[member("done", 0), member("runs", 5), member("waits", 10)], false);
        run.begin(at(1));
        run.take(&id("done"), &found(RunVerdict::Passing));
        run.begin(at(1));
        run
    };
    let verdicts = |run: &Run| run.status(None, None, at(99)).checks.iter().map(|check| check.verdict).collect::<Vec<_>>();
    let mut late = begun();
    late.expire(at(59));
    assert_eq!((late.ended(), late.deadline()), (None, at(60)));
    late.expire(at(60));
    assert_eq!((late.ended(), late.verdict()), (Some(End::DeadlineExceeded), Verdict::Unknown));
    assert_eq!(verdicts(&late), [RunVerdict::Passing, RunVerdict::Unknown, RunVerdict::Skipped]);
    late.take(&id("runs"), &found(RunVerdict::Passing));
    assert_eq!(verdicts(&late)[1], RunVerdict::Unknown, "too late");
    let mut cancelled = begun();
    cancelled.end(End::Cancelled);
    cancelled.expire(at(60));
    assert_eq!(verdicts(&cancelled), [RunVerdict::Passing, RunVerdict::Skipped, RunVerdict::Skipped]);
    let status = cancelled.status(None, None, at(99));
    assert_eq!(condition(&status, COMPLETE), pair("True", "Cancelled"));
    assert_eq!(condition(&status, PASSING), pair("Unknown", "Cancelled"));
    assert_eq!((cancelled.running().count(), cancelled.begin(at(99)).len()), (0, 0), "nothing is held any more");
}

#[test]
fn another_leader_goes_on_where_one_stopped() {
    let members = [member("a", 0), member("b", 0), member("c", 5)];
    let mut first = run(&members, false);
    first.begin(at(1));
    first.take(&id("a"), &found(RunVerdict::Failing));
    let written = first.status(None, Some(1), at(2));
    let mut second = Run::new("shop", Plan { members: members.to_vec(), ..Plan::default() }, 60, at(0));
    second.resume(&written);
    assert_eq!(names(&second.begin(at(9))), ["b"], "a is done, c comes later");
    second.take(&id("b"), &found(RunVerdict::Passing));
    second.begin(at(9));
    second.take(&id("c"), &found(RunVerdict::Passing));
    let status = second.status(Some(&written), Some(1), at(10));
    assert_eq!((status.verdict, status.start_time), (Some(Verdict::Failing), written.start_time));
    assert_eq!(status.checks[0], written.checks[0]);
}

#[test]
fn a_run_that_is_refused_is_over_and_says_why() {
    let status = refused(None, Some(1), "TooManyRuns", "64 runs go on", at(5));
    assert_eq!(condition(&status, READY), pair("False", "TooManyRuns"));
    assert_eq!(condition(&status, COMPLETE), pair("True", "TooManyRuns"));
    assert_eq!(condition(&status, PASSING), pair("Unknown", "TooManyRuns"));
    assert_eq!(status.verdict, Some(Verdict::Unknown));
}

#[test]
fn a_spec_means_checks_by_name_by_label_or_by_gate() {
    let at_priority = |name: &str, priority| CheckFact { priority, ..fact("shop", name, Standing::Passing) };
    let facts =
        Known::of([at_priority("first", 0), at_priority("tenth", 10), at_priority("late", 20), fact("bar", "other", Standing::Passing)]);
    let all = PreflightRunSpec { check_selector: Some(LabelSelector::default()), ..Default::default() };
    let meant = |spec: &PreflightRunSpec| select(spec, "shop", None, &facts);
    let names = |plan: &Plan| plan.members.iter().map(|member| member.check.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&meant(&all).unwrap()), ["first", "late", "tenth"]);
    assert_eq!(names(&meant(&PreflightRunSpec { mode: RunMode::Light, ..all.clone() }).unwrap()), ["first", "tenth"]);
    let listed = PreflightRunSpec { checks: vec!["late".into(), "other".into()], ..Default::default() };
    let plan = meant(&listed).unwrap();
    assert_eq!((names(&plan), plan.missing.len()), (vec!["late".to_owned()], 1));
    let light = meant(&PreflightRunSpec { mode: RunMode::Light, checks: vec!["late".into()], ..Default::default() });
    assert_eq!(light, Err(Invalid("no check of priority 10 or less is meant".into())), "an empty run passes nothing");
    let gate_ref = Some(GateReference { kind: GateKind::ExperimentGate, name: "gone".into() });
    let error = meant(&PreflightRunSpec { gate_ref, ..Default::default() }).unwrap_err();
    assert_eq!(error, Invalid("spec.gateRef: there is no ExperimentGate gone".into()));
    let large = PreflightRunSpec { object: Some(serde_json::json!({ "data": "x".repeat(70_000) })), ..all };
    assert!(meant(&large).unwrap_err().0.starts_with("spec.object"));
}

#[test]
fn a_status_stays_small_and_keeps_what_does_not_pass() {
    let members: Vec<_> = (0..MAX_CHECKS).map(|n| member(&format!("{n:03}-{}", "n".repeat(200)), 0)).collect();
    let mut run = run(&members, false);
    for n in 0.. {
        let begun = run.begin(at(n));
        for check in &begun {
            let verdict = if check.name.starts_with("00") { RunVerdict::Failing } else { RunVerdict::Passing };
            run.take(check, &Found { message: "m".repeat(1000), ..found(verdict) });
        }
        if begun.is_empty() {
            break;
        }
    }
    let status = run.status(None, None, at(60));
    assert!(weight(&status) <= MAX_STATUS_BYTES, "{}", weight(&status));
    assert_eq!(status.checks.iter().filter(|check| check.verdict == RunVerdict::Failing).count(), 10);
    assert_eq!(status.checks.len() + usize::try_from(status.omitted).unwrap(), MAX_CHECKS);
    assert_eq!(status.counts.unwrap().passed, i32::try_from(MAX_CHECKS).unwrap() - 10);
}

#[derive(Clone, Debug)]
enum Step {
    Begin,
    Take(usize, RunVerdict),
    Resume,
    Cancel,
    Pass(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let verdict = prop::sample::select(vec![
        RunVerdict::Passing,
        RunVerdict::Passing,
        RunVerdict::Warning,
        RunVerdict::Failing,
        RunVerdict::Unknown,
        RunVerdict::Skipped,
    ]);
    let step = prop_oneof![
        4 => Just(Step::Begin),
        8 => (0_usize..40, verdict).prop_map(|(n, verdict)| Step::Take(n, verdict)),
        1 => Just(Step::Resume),
        1 => Just(Step::Cancel),
        2 => (0_i64..20).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 0..120)
}

proptest! {
    /// Whatever happens in whatever order: no more runs at once than may, no tier begins before the one before it is done, what is done stays as it
    /// is, a run is over by its deadline, and one that passes had every required check pass.
    #[test]
    fn a_run_keeps_its_promises(
        checks in prop::collection::vec((0_i32..4, any::<bool>()), 1..40), stop in any::<bool>(), steps in steps(),
    ) {
        let members: Vec<_> = checks.iter().zip(0..).map(|((priority, advisory), n)| Member {
            severity: if *advisory { Severity::Advisory } else { Severity::Required },
            ..member(&format!("check-{n}"), *priority)
        }).collect();
        let plan = Plan { members, missing: Vec::new(), stop_at_first_failure: stop };
        let mut run = Run::new("shop", plan.clone(), 60, at(0));
        let (mut now, mut written) = (at(0), None);
        for step in steps {
            let before = run.status(written.as_ref(), None, now);
            match step {
                Step::Begin => {
                    let undone = |check: &RunCheck| matches!(check.verdict, RunVerdict::Pending | RunVerdict::Running);
                    let tier = before.checks.iter().filter(|check| undone(check)).map(|check| check.priority).min();
                    for check in run.begin(now) {
                        let member = plan.members.iter().find(|member| member.check == check).unwrap();
                        prop_assert_eq!(Some(member.priority), tier);
                    }
                }
                Step::Take(n, verdict) => run.take(&id(&format!("check-{n}")), &found(verdict)),
                Step::Resume => {
                    let written = run.status(None, None, now);
                    if run.ended().is_none() {
                        run = Run::new("shop", plan.clone(), 60, at(0));
                        run.resume(&written);
                    }
                }
                Step::Cancel => run.end(End::Cancelled),
                Step::Pass(seconds) => {
                    now = now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
                    run.expire(now);
                    prop_assert!(now < run.deadline() || run.ended().is_some());
                }
            }
            prop_assert!(run.running().count() <= MAX_PARALLEL);
            let after = run.status(Some(&before), None, now);
            for (old, new) in before.checks.iter().zip(&after.checks) {
                let done = !matches!(old.verdict, RunVerdict::Pending | RunVerdict::Running | RunVerdict::Skipped);
                prop_assert!(!done || old == new);
            }
            prop_assert_eq!(run.ended().is_some(), after.completion_time.is_some());
            written = Some(after);
        }
        if run.verdict().passes() {
            let status = run.status(None, None, now);
            let fine = |check: &RunCheck| check.advisory || matches!(check.verdict, RunVerdict::Passing | RunVerdict::Warning | RunVerdict::Skipped);
            prop_assert!(run.ended() == Some(End::Finished) && status.checks.iter().all(fine));
        }
    }
}
