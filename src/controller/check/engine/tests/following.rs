//! Replicas that do not lead, and those that take over.

use super::*;

fn pass() -> Observation {
    Observation::new("db:1", Outcome::Pass, "Accepted", "accepted")
}

/// A check that a leader of term 1 found passing at `at(0)`, as the API server has it.
fn passed() -> (PreflightCheck, Watermark) {
    let object = tcp("a", 1);
    let mut leader = World::with(vec![object.clone()]);
    leader.tell([Input::Probed(key("a"), 1, pass())]);
    let stored = leader.echo(&object);
    (stored, leader.output.vouched.unwrap())
}

fn watermark(seconds: i64, revision: u64, term: i64) -> Input {
    Input::Watermark(Some(Watermark { time: at(seconds), revision: Revision(revision), term, since: Revision(0) }))
}

#[test]
fn a_follower_neither_probes_nor_writes_nor_tells_and_takes_verdicts_from_statuses() {
    let (stored, _) = passed();
    let mut world = World::following();
    world.tell([checks(Change::Listed(vec![stored, check("live", json!({}))]))]);
    world.tell([Input::Kind(kind("Deployment"), Ok(Some(served("Deployment"))))]);
    let output = world.tell([objects(Change::Listed(vec![deployment("web", false)]))]);
    assert_eq!(output.fact("live"), Some((Verdict::Failing, "TargetsFailing")), "live checks are everybody's");
    let log = world.run_until(at(29));
    assert!(log.iter().all(|(_, o)| o.writes().is_empty() && o.probes().is_empty() && o.announced().is_empty()));
    assert_eq!(world.standing("a"), Standing::Passing);
}

#[test]
fn a_passing_status_is_believed_as_far_as_the_watermark_vouches_for_it() {
    let (stored, _) = passed();
    let revision: u64 = stored.metadata.resource_version.as_deref().unwrap().parse().unwrap();
    let mut world = World::following();
    world.tell([checks(Change::Listed(vec![stored]))]);
    world.now = at(31);
    assert_eq!(world.standing("a"), Standing::Stale, "nobody vouches for it");
    // The interval is 10 s, and it is believed for 30.
    world.tell([watermark(30, revision, 1)]);
    assert_eq!(world.standing("a"), Standing::Passing);
    world.now = at(49);
    assert_eq!(world.standing("a"), Standing::Passing);
    world.now = at(50);
    assert_eq!(world.standing("a"), Standing::Stale, "the watermark stood still");
    // One whose revision this replica has not seen counts for nothing yet.
    world.tell([watermark(50, revision + 5, 1)]);
    assert_eq!(world.standing("a"), Standing::Stale);
    world.tell([Input::ListedFrom(Revision(revision + 5)), checks(Change::Listed(vec![passed().0]))]);
    assert_eq!(world.standing("a"), Standing::Passing);
    // Nor one of another term, for a status that was written since.
    world.now = at(90);
    world.tell([watermark(90, revision, 2)]);
    assert_eq!(world.standing("a"), Standing::Stale);
}

#[test]
fn whoever_takes_over_keeps_the_beat_and_rewrites_nothing() {
    let (stored, vouched) = passed();
    let mut world = World::following();
    world.now = at(1);
    world.tell([checks(Change::Listed(vec![stored]))]);
    let output = world.tell([Input::Leads(Some((2, Some(vouched.clone()))))]);
    assert!(output.effects.is_empty(), "{:?}", output.effects);
    let log = world.run_until(at(10));
    let begun: Vec<_> = log.iter().filter(|(_, o)| !o.probes().is_empty()).map(|(t, _)| *t).collect();
    assert_eq!(begun, [10]);
    assert!(log.iter().all(|(_, o)| o.writes().is_empty()));
    let number = world.engine.checks[&key("a")].probing.running.unwrap().0;
    let output = world.tell([Input::Probed(key("a"), number, pass())]);
    assert!(output.writes().is_empty(), "it passes as before");
    assert!(output.vouched.as_ref().is_some_and(|w| w.term == 2 && w.time >= vouched.time), "{:?}", output.vouched);
}

#[test]
fn a_new_leader_waits_until_it_has_seen_all_that_the_last_one_wrote() {
    let (stored, vouched) = passed();
    let mut world = World::following();
    world.tell([checks(Change::Listed(vec![stored]))]);
    let beyond = Watermark { revision: Revision(vouched.revision.0 + 7), ..vouched };
    world.tell([Input::Leads(Some((2, Some(beyond.clone()))))]);
    assert!(!world.engine.leads() && world.output.vouched.is_none());
    let listed = [Input::ListedFrom(beyond.revision), checks(Change::Listed(vec![passed().0]))];
    world.tell(listed.into_iter().chain([Input::Leads(Some((2, Some(beyond))))]));
    assert!(world.engine.leads());
}

#[test]
fn beats_that_were_missed_are_made_up_for_before_the_watermark_passes_them() {
    let (stored, vouched) = passed();
    let mut world = World::following();
    world.now = at(25);
    world.tell([checks(Change::Listed(vec![stored]))]);
    world.tell([Input::Leads(Some((2, Some(vouched))))]);
    assert!(world.output.vouched.as_ref().is_some_and(|w| w.time < at(10)), "the beat at 10 s was missed: {:?}", world.output.vouched);
    assert!(world.output.writes().is_empty(), "nothing is written for it while it is made up for");
    let log = world.run_until(at(36));
    let begun: Vec<_> = log.iter().filter(|(_, o)| !o.probes().is_empty()).map(|(t, _)| *t).collect();
    assert_eq!(begun.len(), 1, "once, and not for each that was missed");
    let number = world.engine.checks[&key("a")].probing.running.unwrap().0;
    world.tell([Input::Probed(key("a"), number, pass())]);
    world.wait(millis(10));
    assert!(world.output.vouched.as_ref().is_some_and(|w| w.time > at(25)), "{:?}", world.output.vouched);
}

#[test]
fn a_leader_that_is_deposed_stops_at_once_and_what_still_comes_back_is_ignored() {
    let mut world = World::with(vec![tcp("a", 1)]);
    let output = world.tell([Input::Leads(None)]);
    assert!(output.vouched.is_none());
    let output = world.tell([Input::Probed(key("a"), 1, pass())]);
    assert!(output.writes().is_empty() && output.vouched.is_none());
    assert_eq!((world.standing("a"), world.engine.places.taken()), (Standing::Unknown, 0));
    // A status of a later term says the same, before the Lease does.
    let mut world = World::with(vec![tcp("a", 1)]);
    let mut written = tcp("a", 1);
    written.metadata.resource_version = Some("99".into());
    written.status = Some(PreflightCheckStatus { term: Some(7), ..PreflightCheckStatus::default() });
    world.tell([checks(Change::Applied(written))]);
    let output = world.tell([Input::Leads(Some((1, None)))]);
    assert!(output.latest_term == 7 && !world.engine.leads());
}

#[test]
fn a_late_write_of_a_deposed_leader_is_vouched_for_by_nobody_and_written_anew() {
    let (mut stored, _) = passed();
    let mut world = World::with(Vec::new());
    world.tell([Input::Leads(Some((2, None)))]);
    stored.metadata.resource_version = Some("500".into());
    world.tell([checks(Change::Applied(stored))]);
    assert!(world.engine.checks[&key("a")].probing.foreign);
    let log = world.run_until(at(12));
    let number = world.engine.checks[&key("a")].probing.running.unwrap().0;
    assert!(log.iter().all(|(_, o)| o.writes().is_empty()));
    let output = world.tell([Input::Probed(key("a"), number, pass())]);
    let writes = output.writes();
    assert_eq!(writes.last().map(|(_, status)| status.term), Some(Some(2)), "although it says the same");
}
