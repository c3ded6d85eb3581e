//! Evaluations that somebody waits for.

use super::super::Ticket;
use super::*;

fn seen(outcome: Outcome) -> Observation {
    Observation::new("db:1", outcome, "Connected", "connected")
}

fn ask(name: &str, number: u64, force: bool) -> Input {
    Input::Evaluate(key(name), Ticket { number, force })
}

impl World {
    /// Who was answered, and the verdict.
    fn answered(&self) -> Vec<(u64, Option<Verdict>)> {
        self.output.answers.iter().map(|answer| (answer.number, answer.found.as_ref().map(|(state, _)| state.verdict))).collect()
    }

    fn ended(&mut self, name: &str, number: u64, outcome: Outcome) {
        self.tell([Input::Probed(key(name), number, seen(outcome))]);
    }
}

#[test]
fn who_asks_joins_what_is_under_way_unless_it_has_to_begin_afterwards() {
    let mut world = World::with(vec![tcp("a", 1)]);
    assert_eq!(world.output.probes(), [("a".to_owned(), 1)]);
    world.tell([ask("a", 7, false), ask("a", 8, true)]);
    assert_eq!((world.answered(), world.output.probes()), (vec![], vec![]));
    world.ended("a", 1, Outcome::Fail);
    assert_eq!(world.answered(), [(7, Some(Verdict::Failing))]);
    world.wait(millis(1));
    world.ended("a", 2, Outcome::Pass);
    assert_eq!(world.answered(), [(8, Some(Verdict::Passing))]);
}

#[test]
fn what_was_just_evaluated_is_as_good_as_new_unless_it_is_forced() {
    let mut world = World::with(vec![tcp("a", 1)]);
    world.ended("a", 1, Outcome::Pass);
    world.wait(millis(900));
    assert_eq!(world.tell([ask("a", 7, false)]).probes().len(), 0);
    assert_eq!(world.answered(), [(7, Some(Verdict::Passing))]);
    assert_eq!(world.tell([ask("a", 8, true)]).probes(), [("a".to_owned(), 2)]);
    world.ended("a", 2, Outcome::Pass);
    world.wait(millis(1100));
    assert_eq!(world.tell([ask("a", 9, false)]).probes(), [("a".to_owned(), 3)], "not so new any more");
}

#[test]
fn what_passed_and_need_not_run_again_runs_only_if_it_is_forced() {
    let more = json!({"probe": {"tcp": {"host": "db", "port": 1}}, "reuse": {"policy": "UntilSpecChanges"}});
    let mut reusing = check("a", more);
    reusing.spec.targets = None;
    let mut world = World::with(vec![reusing]);
    world.ended("a", 1, Outcome::Pass);
    world.wait(SignedDuration::from_secs(600));
    assert_eq!(world.tell([ask("a", 7, false)]).probes().len(), 0);
    assert_eq!(world.answered(), [(7, Some(Verdict::Passing))]);
    assert_eq!(world.tell([ask("a", 8, true)]).probes(), [("a".to_owned(), 2)]);
    world.ended("a", 2, Outcome::Fail);
    assert_eq!(world.answered(), [(8, Some(Verdict::Failing))]);
}

#[test]
fn a_live_check_is_told_of_as_soon_as_there_is_something_to_tell() {
    let mut world = World::with(vec![check("a", json!({}))]);
    world.tell([ask("a", 7, false)]);
    assert_eq!(world.answered(), []);
    world.tell([Input::Kind(kind("Deployment"), Ok(Some(served("Deployment"))))]);
    world.tell([objects(Change::Listed(vec![deployment("web", true)]))]);
    world.tell([]);
    world.tell([ask("a", 8, true)]);
    assert_eq!(world.answered(), [(8, Some(Verdict::Passing))]);
}

#[test]
fn nobody_waits_for_what_is_gone_or_does_not_run() {
    let mut suspended = tcp("s", 1);
    suspended.spec.suspend = true;
    let mut world = World::with(vec![suspended, tcp("a", 1)]);
    world.tell([ask("s", 1, true), ask("none", 2, false), ask("a", 3, true), ask("a", 4, true)]);
    assert_eq!(world.answered(), [(2, None), (1, Some(Verdict::Unknown))]);
    world.tell([Input::Withdraw(4), checks(Change::Deleted(tcp("a", 1)))]);
    assert_eq!(world.answered(), [(3, None)]);
}

#[test]
fn only_the_leader_answers() {
    let mut world = World::following();
    world.tell([checks(Change::Listed(vec![tcp("a", 1)])), ask("a", 7, false)]);
    assert_eq!(world.answered(), []);
    world.tell([Input::Leads(Some((1, None)))]);
    assert_eq!((world.output.probes(), world.answered()), (vec![("a".to_owned(), 1)], vec![]));
    world.ended("a", 1, Outcome::Pass);
    assert_eq!(world.answered(), [(7, Some(Verdict::Passing))]);
    world.tell([ask("a", 8, true)]);
    world.tell([Input::Leads(None)]);
    world.tell([Input::Leads(Some((2, None)))]);
    assert!(world.engine.asks_are_empty(), "whoever asked asks the next leader");
}
