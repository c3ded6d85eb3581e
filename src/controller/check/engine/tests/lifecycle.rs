//! Checks come, change, are suspended, written over and go.

use super::*;

fn changed(name: &str, generation: i64, more: Value) -> PreflightCheck {
    let mut object = check(name, more);
    object.metadata.generation = Some(generation);
    object
}

#[test]
fn a_new_spec_starts_over_and_keeps_the_watch() {
    let object = check("a", json!({}));
    let mut world = World::watching(vec![object.clone()], vec![deployment("web", true), deployment("other", false)]);
    world.echo(&object);
    let other = json!({"targets": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "other"}});
    let output = world.tell([checks(Change::Applied(changed("a", 2, other.clone())))]);
    // What is watched already is looked at in the same step.
    assert_eq!(output.wants(), ["a CheckFailing"]);
    assert_eq!(output.fact("a"), Some((Verdict::Failing, "TargetsFailing")));
    let [(_, status)] = output.writes().try_into().unwrap();
    assert_eq!((status.observed_generation, status.history.len()), (Some(2), 2));
    // Another kind: unknown until its objects are there.
    let sets = json!({"targets": {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web"}});
    let output = world.tell([checks(Change::Applied(changed("a", 3, sets)))]);
    assert_eq!(output.wants(), ["ask StatefulSet", "unwatch Deployment"]);
    assert_eq!(output.fact("a"), Some((Verdict::Unknown, "NeverEvaluated")));
    assert_eq!((output.condition(READY).0, output.writes()[0].1.observed_generation), ("Unknown".to_owned(), Some(3)));
}

#[test]
fn a_suspended_check_is_not_evaluated_whatever_happens() {
    let suspended = changed("a", 2, json!({"suspend": true}));
    let mut world = World::watching(vec![check("a", json!({}))], vec![deployment("web", true)]);
    let output = world.tell([checks(Change::Applied(suspended.clone()))]);
    assert_eq!(output.fact("a"), Some((Verdict::Unknown, "Suspended")));
    assert_eq!((output.condition(READY).1, output.condition(PASSING).1), ("Suspended".to_owned(), "Suspended".to_owned()));
    assert_eq!(output.wants(), ["unwatch Deployment"]);
    world.echo(&suspended);
    // Its kind is told of because another check asks.
    world.tell([checks(Change::Applied(check("b", json!({"targets": {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "x"}}))))]);
    let mut daemons = changed("c", 1, json!({"suspend": true, "targets": {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "x"}}));
    daemons.metadata.uid = Some("uid-c".into());
    world.tell([checks(Change::Applied(daemons))]);
    world.tell([Input::Kind(kind("DaemonSet"), Ok(Some(served("DaemonSet"))))]);
    world.tell([Input::Objects(watch("DaemonSet"), Box::new(Change::Listed(vec![deployment("x", true)])))]);
    assert_eq!(world.state("b").verdict, Verdict::Passing);
    assert_eq!((world.state("a").reason, world.state("c").reason), ("Suspended", "Suspended"));
    world.run_until(at(1000));
    assert_eq!(world.state("c").reason, "Suspended");
    let output = world.tell([checks(Change::Applied(changed("a", 3, json!({}))))]);
    assert_eq!(output.wants(), ["watch Deployment"]);
}

#[test]
fn a_spec_that_cannot_work_says_so_and_stops_no_other() {
    let bad = check("bad", json!({"probe": {}}));
    let mut world = World::watching(vec![bad, check("good", json!({}))], vec![deployment("web", true)]);
    assert_eq!(world.state("good").verdict, Verdict::Passing);
    assert_eq!(world.state("bad").reason, "InvalidSpec");
    let output = World::with(vec![check("bad", json!({"probe": {}, "intervalSeconds": 1}))]).output;
    let (status, reason, message) = output.condition(READY);
    assert_eq!((status.as_str(), reason.as_str()), ("False", "InvalidSpec"));
    assert!(message.starts_with("spec.intervalSeconds: 1 is less than timeoutSeconds (5)"), "{message}");
    assert!(message.contains("spec.probe: exactly one probe is required"), "{message}");
    world.run_until(at(100));
    assert_eq!(world.state("bad").reason, "InvalidSpec");
}

#[test]
fn one_that_cannot_be_read_counts_as_missing_and_stops_no_other() {
    let mut world = World::watching(vec![check("a", json!({})), check("b", json!({}))], vec![deployment("web", true)]);
    let unreadable = Change::Unreadable { namespace: Some("shop".into()), name: "a".into(), error: "spec: invalid type".into() };
    let output = world.tell([checks(unreadable)]);
    assert_eq!(output.removed, [(Arc::from("shop"), Arc::from("a"))]);
    let output = world.tell([objects(Change::Applied(deployment("web", false)))]);
    assert_eq!((output.facts.len(), output.fact("b").unwrap().0), (1, Verdict::Failing));
    world.tell([checks(Change::Applied(check("a", json!({}))))]);
    assert_eq!(world.state("a").verdict, Verdict::Failing);
}

#[test]
fn after_a_restart_no_written_status_is_believed() {
    let object = check("a", json!({}));
    let mut before = World::watching(vec![object.clone()], vec![deployment("web", true)]);
    let written = before.echo(&object);
    let mut world = World::with(vec![written.clone()]);
    assert_eq!(world.output.fact("a"), Some((Verdict::Unknown, "NeverEvaluated")));
    assert!(world.output.writes().is_empty());
    world.tell([Input::Kind(kind("Deployment"), Ok(Some(served("Deployment"))))]);
    world.now += millis(300);
    let output = world.tell([objects(Change::Listed(vec![deployment("web", true)]))]);
    // The same as before: nothing to write, nothing to tell.
    assert_eq!((output.fact("a").unwrap().0, output.effects.len()), (Verdict::Passing, 0));
    // If it takes longer, the status says so.
    let mut slow = World::with(vec![written]);
    assert!(slow.wait(millis(999)).writes().is_empty());
    let output = slow.wait(millis(1));
    assert_eq!((output.condition(PASSING).0, output.condition(READY).1), ("Unknown".to_owned(), "Pending".to_owned()));
    assert!(output.announced().is_empty());
}

#[test]
fn what_turned_bad_while_the_operator_was_away_is_told() {
    let object = check("a", json!({}));
    let written = World::watching(vec![object.clone()], vec![deployment("web", true)]).echo(&object);
    let world = World::watching(vec![written.clone()], vec![deployment("web", false)]);
    assert_eq!(world.output.announced(), [("a", true, "CheckFailing")]);
    let history: Vec<_> = world.output.writes()[0].1.history.iter().map(|h| h.verdict).collect();
    assert_eq!(history, [Verdict::Failing, Verdict::Passing]);
}

#[test]
fn a_status_that_somebody_changed_is_put_right() {
    let object = check("a", json!({}));
    let mut world = World::watching(vec![object.clone()], vec![deployment("web", false)]);
    let mut tampered = world.echo(&object);
    tampered.status.as_mut().unwrap().verdict = Verdict::Passing;
    let output = world.tell([checks(Change::Applied(tampered.clone()))]);
    assert_eq!(output.writes()[0].1.verdict, Verdict::Failing);
    // Again, while the write is under way: after a while.
    assert!(world.tell([checks(Change::Applied(tampered))]).writes().is_empty());
    let log = world.run_until(at(5));
    assert_eq!(log.iter().filter(|(_, o)| !o.writes().is_empty()).map(|(t, _)| *t).collect::<Vec<_>>(), [5]);
}

#[test]
fn a_suspended_check_s_status_is_put_right_too() {
    let object = check("a", json!({"suspend": true}));
    let mut world = World::with(vec![object.clone()]);
    assert_eq!(world.output.writes().len(), 1);
    // The write was lost: it is not seen.
    let log = world.run_until(at(120));
    assert_eq!(log.iter().map(|(t, o)| (*t, o.writes().len())).collect::<Vec<_>>(), [(120, 1)]);
}

#[test]
fn a_write_that_failed_is_tried_again() {
    let object = check("a", json!({}));
    let mut world = World::watching(vec![object.clone()], vec![deployment("web", true)]);
    let [(_, number, _)] = world.output.sent().try_into().unwrap();
    assert!(world.tell([Input::Written(key("a"), number, None)]).writes().is_empty(), "not at once");
    assert_eq!(world.wait(RETRY).writes().len(), 1);
    world.echo(&object);
    let log = world.run_until(at(300));
    assert!(log.iter().all(|(_, o)| o.writes().is_empty()));
}

#[test]
fn nothing_is_written_while_nothing_changes() {
    let object = check("a", json!({"intervalSeconds": 10, "staleAfterSeconds": 20}));
    let mut world = World::watching(vec![object.clone()], vec![deployment("web", true)]);
    world.echo(&object);
    let log = world.run_until(at(3600));
    assert!(log.iter().all(|(_, o)| o.effects.is_empty()), "{log:?}");
    assert_eq!(world.standing("a"), Standing::Passing);
    assert!(log.len() < 500, "{} steps", log.len());
}

#[test]
fn a_check_that_is_deleted_leaves_nothing_behind() {
    let mut world = World::watching(vec![check("a", json!({})), check("b", json!({})), tcp("c", 1)], vec![deployment("web", true)]);
    let output = world.tell([checks(Change::Deleted(check("a", json!({}))))]);
    assert_eq!((output.removed.len(), output.wants()), (1, Vec::new()));
    let output = world.tell([checks(Change::Listed(Vec::new()))]);
    assert_eq!((output.removed.len(), output.wants(), output.facts.len()), (2, vec!["unwatch Deployment".to_owned()], 0));
    assert!(world.engine.checks.is_empty() && world.engine.sources.watches.is_empty() && world.engine.agenda.is_empty());
    // What still comes in is for nobody.
    world.tell([objects(Change::Applied(deployment("web", true))), Input::Written(key("a"), 1, None)]);
    world.tell([Input::Probed(key("c"), 1, Observation::new("x", Outcome::Pass, "x", "x"))]);
    world.run_until(at(100));
    assert_eq!((world.engine.places.taken(), world.planned()), (0, None));
}

#[test]
fn one_that_is_replaced_in_one_step_is_there_afterwards() {
    let mut again = check("a", json!({}));
    again.metadata.uid = Some("another".into());
    for inputs in [
        vec![checks(Change::Deleted(check("a", json!({})))), checks(Change::Applied(again.clone()))],
        vec![checks(Change::Applied(again.clone()))],
        vec![checks(Change::Listed(vec![again.clone()]))],
    ] {
        let mut world = World::watching(vec![check("a", json!({}))], vec![deployment("web", true)]);
        let output = world.tell(inputs);
        assert!(output.removed.is_empty());
        assert_eq!(output.fact("a").unwrap().0, Verdict::Passing);
    }
    let mut world = World::watching(Vec::new(), Vec::new());
    let output = world.tell([checks(Change::Applied(again.clone())), checks(Change::Deleted(again))]);
    assert_eq!((output.facts.len(), output.removed.len()), (0, 1));
}

#[test]
fn new_labels_are_published_without_a_new_evaluation() {
    let object = check("a", json!({}));
    let mut world = World::watching(vec![object.clone()], vec![deployment("web", true)]);
    let mut labelled = world.echo(&object);
    labelled.metadata.labels = Some([("tier".to_owned(), "infra".to_owned())].into());
    let output = world.tell([checks(Change::Applied(labelled))]);
    assert_eq!((output.facts[0].labels.len(), output.fact("a").unwrap().0, output.effects.len()), (1, Verdict::Passing, 0));
}

#[test]
fn all_checks_are_known_after_the_first_list() {
    let mut world = World::new();
    world.tell([checks(Change::Applied(check("a", json!({}))))]);
    assert!(!world.engine.complete());
    world.tell([checks(Change::Listed(Vec::new()))]);
    assert!(world.engine.complete());
    world.tell([checks(Change::Failed { message: "gone".into(), forbidden: false, not_found: false, silent: Duration::ZERO })]);
    assert!(world.engine.complete());
}

#[test]
fn a_list_in_parts_is_whole_at_its_end_and_not_before() {
    let named = |names: &[&str]| names.iter().map(|name| check(name, json!({}))).collect::<Vec<_>>();
    let listed = |world: &World| world.engine.checks.keys().map(|key| key.name.to_string()).collect::<Vec<_>>();
    let mut world = World::new();
    world.tell([Input::SomeChecks(named(&["a", "b"])), Input::SomeChecks(named(&["c"]))]);
    assert!(!world.engine.complete() && world.engine.revision == Revision::default());
    world.tell([Input::ListedFrom(Revision(7)), checks(Change::Listed(named(&["d"])))]);
    assert!(world.engine.complete() && world.engine.revision == Revision(7));
    assert_eq!(listed(&world), ["a", "b", "c", "d"]);
    // What was told of a list that broke is of no list.
    world.tell([Input::SomeChecks(named(&["a", "b"]))]);
    world.tell([checks(Change::Failed { message: "gone".into(), forbidden: false, not_found: false, silent: Duration::ZERO })]);
    world.tell([Input::SomeChecks(named(&["c"])), checks(Change::Listed(named(&["e"])))]);
    assert_eq!(listed(&world), ["c", "e"]);
}
