//! Probed checks: a steady beat, one at a time.

use super::super::places::{MAX_IN_FLIGHT, MAX_PER_HOST};
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
    assert_eq!(world.wait(SignedDuration::from_millis(905_500)).probes().len(), 1);
    assert_eq!(world.standing("a"), Standing::Stale);
    let begun: Vec<i64> = world.answer_all(at(930), millis(300), Outcome::Pass).into_iter().map(|(t, _)| t).collect();
    assert_eq!(begun, [905, 910, 920, 930]);
}

#[test]
fn lower_priority_numbers_go_first_where_not_all_may_run() {
    let many: Vec<_> = (0..100).map(|i| tcp(&format!("c{i:02}"), 99 - i)).collect();
    let mut world = World::with(many);
    let first = world.output.probes();
    assert_eq!(first.len(), MAX_IN_FLIGHT);
    let wanted: Vec<_> = (36..100).rev().map(|i| format!("c{i:02}")).collect();
    assert_eq!(first.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), wanted);
    // Each that ends makes room for one.
    let (name, number) = first[10].clone();
    let output = world.tell([Input::Probed(key(&name), number, seen(Outcome::Fail))]);
    assert_eq!(output.probes().iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(), ["c35"]);
    // All get their turn.
    world.answer_all(at(5), millis(200), Outcome::Pass);
    assert!(world.engine.places.taken() <= MAX_IN_FLIGHT);
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

#[test]
fn its_time_is_refreshed_at_half_of_stale_after_and_not_otherwise() {
    let object = tcp("a", 1);
    let mut world = World::with(vec![object.clone()]);
    let mut writes = Vec::new();
    let mut number = 1;
    for i in 0..30 {
        world.tell([Input::Probed(key("a"), number, seen(Outcome::Pass))]);
        if !world.output.writes().is_empty() {
            writes.push(i * 10);
            world.echo(&object);
        }
        let log = world.run_until(at((i + 1) * 10));
        assert!(log.iter().all(|(_, o)| o.writes().is_empty()), "{i}");
        number = log.iter().find_map(|(_, o)| o.probes().first().map(|(_, n)| *n)).unwrap();
    }
    // Half of 30 s: every second beat.
    assert_eq!(writes, (0..15).map(|i| i * 20).collect::<Vec<_>>());
}
