//! Probed checks: a steady beat, one at a time.

use super::super::places::MAX_PER_NAMESPACE;
use super::*;

fn seen(outcome: Outcome) -> Observation {
    Observation::new("db:1", outcome, "Connected", "connected")
}

impl World {
    /// Every probe that is wanted is answered after so long.
    fn answer_all(&mut self, end: Timestamp, takes: SignedDuration, outcome: Outcome) -> Vec<(i64, u64)> {
        let mut running: Vec<(Timestamp, String, u64)> = Vec::new();
        let mut begun = Vec::new();
        let mut note = |now: Timestamp, output: &Output, running: &mut Vec<(Timestamp, String, u64)>| {
            for (name, number) in output.probes() {
                assert!(running.iter().all(|(_, n, _)| *n != name), "two at a time");
                begun.push((now.duration_since(at(0)).as_secs(), number));
                running.push((now + takes, name, number));
            }
        };
        note(self.now, &self.output, &mut running);
        loop {
            let answer = running.iter().map(|(t, ..)| *t).min();
            let Some(next) = [self.planned(), answer].into_iter().flatten().min().filter(|t| *t <= end) else { break };
            self.now = next.max(self.now);
            let (done, rest): (Vec<_>, Vec<_>) = running.into_iter().partition(|(t, ..)| *t <= self.now);
            running = rest;
            let inputs: Vec<_> = done.into_iter().map(|(_, name, n)| Input::Probed(key(&name), n, seen(outcome))).collect();
            self.tell(inputs);
            note(self.now, &self.output, &mut running);
        }
        self.now = end;
        begun
    }
}

#[test]
fn it_is_due_at_once_and_once() {
    let mut world = World::with(vec![tcp("a", 1)]);
    assert_eq!(world.output.probes(), [("a".to_owned(), 1)]);
    assert!(world.tell([]).probes().is_empty());
    assert!(world.wait(SignedDuration::from_secs(25)).probes().is_empty(), "never two at a time");
    let output = world.tell([Input::Probed(key("a"), 1, seen(Outcome::Pass))]);
    assert_eq!((output.fact("a").unwrap().0, output.probes().len()), (Verdict::Passing, 0));
    assert_eq!(output.condition(READY).1, "Evaluated");
}

#[test]
fn beats_do_not_drift_and_do_not_burst_after_a_pause() {
    let mut world = World::with(vec![tcp("a", 1)]);
    let begun: Vec<i64> = world.answer_all(at(60), millis(300), Outcome::Pass).into_iter().map(|(t, _)| t).collect();
    assert_eq!(begun, [0, 10, 20, 30, 40, 50, 60]);
    // A probe that takes longer than the beat leaves beats out.
    let mut world = World::with(vec![tcp("a", 1)]);
    let begun: Vec<i64> = world.answer_all(at(60), millis(12_500), Outcome::Pass).into_iter().map(|(t, _)| t).collect();
    assert_eq!(begun, [0, 20, 40, 60]);
    // The machine slept for 15 minutes and a bit: one evaluation, then the old beat.
    let mut world = World::with(vec![tcp("a", 1)]);
    world.tell([Input::Probed(key("a"), 1, seen(Outcome::Pass))]);
    assert_eq!(world.wait(SignedDuration::from_millis(905_500)).probes().len(), 0, "not all at the same instant");
    assert_eq!(world.standing("a"), Standing::Stale);
    let begun: Vec<i64> = world.answer_all(at(940), millis(300), Outcome::Pass).into_iter().map(|(t, _)| t).collect();
    assert!((905..=915).contains(&begun[0]), "{begun:?}");
    assert!(begun[1..] == [920, 930, 940] || begun[1..] == [910, 920, 930, 940], "{begun:?}");
}

#[test]
fn lower_priority_numbers_go_first_where_not_all_may_run() {
    let elsewhere = |i: i32| {
        let mut check = tcp(&format!("c{i:02}"), 100 - i);
        check.spec.probe.tcp.as_mut().unwrap().host = format!("db-{i}");
        check
    };
    let mut world = World::with((0..100).map(elsewhere).collect());
    let first = world.output.probes();
    // Of the places of a namespace some are kept for priority 0, which nobody has here.
    let wanted: Vec<_> = (88..100).rev().map(|i| format!("c{i:02}")).collect();
    assert_eq!(first.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), wanted);
    // Each that ends makes room for one.
    let (name, number) = first[10].clone();
    let output = world.tell([Input::Probed(key(&name), number, seen(Outcome::Fail))]);
    assert_eq!(output.probes().iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(), ["c87"]);
    // All get their turn.
    world.answer_all(at(5), millis(200), Outcome::Pass);
    assert!(world.engine.places.taken() <= MAX_PER_NAMESPACE);
}

#[test]
fn priority_0_is_not_kept_waiting_by_what_is_slow() {
    let mut slow: Vec<_> = (0..50).map(|i| tcp(&format!("slow{i:02}"), 20)).collect();
    slow.push(tcp("urgent", 0));
    let mut world = World::with(slow);
    let begun: Vec<String> = world.output.probes().into_iter().map(|(name, _)| name).collect();
    assert_eq!(begun[0], "urgent");
    // None of them ends; another that is urgent comes.
    let output = world.tell([checks(Change::Applied(tcp("urgent-too", 0)))]);
    assert_eq!(output.probes().iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["urgent-too"]);
}

#[test]
fn a_check_that_is_gone_or_changed_gives_its_place_back_and_its_answer_is_ignored() {
    let mut changed = tcp("a", 1);
    let mut world = World::with(vec![changed.clone(), tcp("b", 1)]);
    changed.metadata.generation = Some(2);
    let output = world.tell([checks(Change::Applied(changed)), checks(Change::Deleted(tcp("b", 1)))]);
    assert_eq!(output.probes(), [("a".to_owned(), 3)]);
    assert_eq!(world.engine.places.taken(), 3);
    let output = world.tell([Input::Probed(key("a"), 1, seen(Outcome::Pass)), Input::Probed(key("b"), 2, seen(Outcome::Pass))]);
    assert!(output.facts.is_empty());
    assert_eq!((world.engine.places.taken(), world.standing("a")), (1, Standing::Unknown));
    world.tell([Input::Probed(key("a"), 3, seen(Outcome::Pass))]);
    assert_eq!((world.engine.places.taken(), world.standing("a")), (0, Standing::Passing));
    // Twice the same answer: nothing.
    assert!(world.tell([Input::Probed(key("a"), 3, seen(Outcome::Fail))]).facts.is_empty());
}

#[test]
fn a_verdict_goes_stale_when_nothing_comes_back_and_a_failing_one_stays() {
    for (outcome, stands, reason) in [(Outcome::Pass, Standing::Stale, "Stale"), (Outcome::Fail, Standing::Failing, "TargetsFailing")] {
        let mut world = World::with(vec![tcp("a", 1)]);
        world.tell([Input::Probed(key("a"), 1, seen(outcome))]);
        let log = world.run_until(at(300));
        let begun: Vec<_> = log.iter().filter(|(_, o)| !o.probes().is_empty()).map(|(t, _)| *t).collect();
        assert_eq!(begun, [10], "the second one never came back");
        assert_eq!((world.standing("a"), world.state("a").reason), (stands, reason));
        let stale = log.iter().find(|(_, o)| o.fact("a").is_some_and(|(_, r)| r == "Stale"));
        match outcome {
            Outcome::Pass => {
                let (when, output) = stale.unwrap();
                assert_eq!((*when, output.announced()), (30, vec![("a", true, "CheckUnknown")]));
                assert_eq!(output.condition(PASSING).2, "last evaluated 30 s ago; it passed then");
            }
            _ => assert!(stale.is_none()),
        }
    }
}

#[test]
fn a_failure_that_comes_in_late_does_not_revive_what_is_stale() {
    let mut forgiving = tcp("a", 1);
    forgiving.spec.failure_threshold = 3;
    let mut world = World::with(vec![forgiving]);
    world.tell([Input::Probed(key("a"), 1, seen(Outcome::Pass))]);
    world.wait(SignedDuration::from_secs(10));
    world.now += SignedDuration::from_secs(50);
    world.tell([Input::Probed(key("a"), 2, seen(Outcome::Fail))]);
    assert_eq!(world.standing("a"), Standing::Stale);
}

/// Evaluates `a` at each beat for five minutes; says when a status was written. The engine is woken every second, as it wants.
fn written_over_five_minutes(object: &PreflightCheck, takes: impl Fn(i64) -> i64) -> Vec<i64> {
    let mut world = World::with(vec![object.clone()]);
    let (mut writes, mut object) = (Vec::new(), object.clone());
    let mut running = world.output.probes().first().map(|(_, number)| (takes(0), *number));
    for second in 0..300 {
        world.now = at(second);
        let ended = running.take_if(|(at, _)| *at <= second).map(|(_, number)| Input::Probed(key("a"), number, seen(Outcome::Pass)));
        world.tell(ended);
        if let Some((_, number)) = world.output.probes().first() {
            running = Some((second + takes(second), *number));
        }
        if !world.output.writes().is_empty() {
            writes.push(second);
            let (begun, output) = (running, std::mem::take(&mut world.output));
            world.output = output;
            object = world.echo(&object);
            running = begun.or(world.output.probes().first().map(|(_, number)| (second + takes(second), *number)));
        }
    }
    writes
}

#[test]
fn a_check_that_passes_in_time_is_written_once() {
    assert_eq!(written_over_five_minutes(&tcp("a", 1), |_| 1), [1]);
}

#[test]
fn a_check_that_is_slow_each_time_is_flagged_once_and_then_renewed_at_half_of_stale_after() {
    let writes = written_over_five_minutes(&tcp("a", 1), |_| 4);
    // Its status says that it was not evaluated yet; then what came of it; and that the next look is overdue.
    assert_eq!(writes[..3], [1, 4, 12]);
    // Half of 30 s: every second beat.
    let pauses: Vec<i64> = writes[3..].windows(2).map(|two| two[1] - two[0]).collect();
    assert!(pauses.iter().all(|pause| *pause == 20), "{writes:?}");
}

#[test]
fn a_check_that_was_slow_for_a_while_is_vouched_for_again_after_ten_prompt_evaluations() {
    let writes = written_over_five_minutes(&tcp("a", 1), |second| if second < 30 { 4 } else { 1 });
    // Slow until 30; renewed at half of 30 s while it is on probation, and written once more when that ends, after the beats from 30 to 120.
    assert!(writes.contains(&121), "{writes:?}");
    assert!(writes.iter().all(|at| *at <= 121), "nothing is written of what is vouched for: {writes:?}");
}
