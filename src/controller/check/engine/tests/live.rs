//! Live checks: a view of the watched objects.

use super::*;

#[test]
fn from_a_check_to_its_verdict() {
    let mut world = World::with(vec![check("a", json!({}))]);
    assert_eq!(world.output.wants(), ["ask Deployment"]);
    assert_eq!(world.output.fact("a"), Some((Verdict::Unknown, "NeverEvaluated")));
    assert!(world.output.writes().is_empty(), "an evaluation is about to come");
    let output = world.tell([Input::Kind(kind("Deployment"), Ok(Some(served("Deployment"))))]);
    assert_eq!(output.wants(), ["watch Deployment"]);
    assert!(output.writes().is_empty());
    let output = world.tell([objects(Change::Listed(vec![deployment("web", true)]))]);
    assert_eq!(output.fact("a"), Some((Verdict::Passing, "AllPassed")));
    assert_eq!(output.condition(PASSING), ("True".into(), "AllPassed".into(), "Deployment/web: condition Available is True".into()));
    assert_eq!(output.condition(READY).1, "Evaluated");
    assert_eq!((output.writes().len(), output.announced().len()), (1, 0));
}

#[test]
fn a_target_that_turns_bad_shows_in_the_same_step_and_its_recovery_too() {
    let object = check("a", json!({}));
    let mut world = World::watching(vec![object.clone()], vec![deployment("web", true)]);
    world.echo(&object);
    world.now += millis(1);
    let output = world.tell([objects(Change::Applied(deployment("web", false)))]);
    assert_eq!(output.fact("a"), Some((Verdict::Failing, "TargetsFailing")));
    assert_eq!(output.writes()[0].1.verdict, Verdict::Failing);
    assert_eq!(output.announced(), [("a", true, "CheckFailing")]);
    // Again, with nothing new to say.
    let output = world.tell([objects(Change::Applied(deployment("web", false)))]);
    assert_eq!((output.effects.len(), output.fact("a").unwrap().0), (0, Verdict::Failing));
    let output = world.tell([objects(Change::Applied(deployment("web", true)))]);
    assert_eq!((output.fact("a").unwrap().0, output.announced()), (Verdict::Passing, vec![("a", false, "CheckRecovered")]));
    let output = world.tell([objects(Change::Deleted(deployment("web", true)))]);
    assert_eq!(output.fact("a"), Some((Verdict::Unknown, "NoTargets")));
    assert_eq!(output.condition(PASSING).2, "there is no Deployment web in namespace shop");
    assert_eq!(output.announced(), [("a", true, "CheckUnknown")]);
}

#[test]
fn only_the_checks_that_an_object_concerns_are_evaluated() {
    let by_label = json!({"targets": {"apiVersion": "apps/v1", "kind": "Deployment", "selector": {"matchLabels": {"app": "web"}}}});
    let other = json!({"targets": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "other"}});
    let list = vec![check("named", json!({})), check("labelled", by_label), check("other", other)];
    let mut world = World::watching(list, vec![deployment("web", true), deployment("other", true)]);
    let output = world.tell([objects(Change::Applied(deployment("web", false)))]);
    let mut published: Vec<_> = output.facts.iter().map(|f| f.name.as_ref()).collect();
    published.sort_unstable();
    assert_eq!(published, ["labelled", "named"]);
    // One watch serves all.
    assert_eq!(world.engine.sources.watches.len(), 1);
}

#[test]
fn a_kind_that_is_not_served_is_asked_for_until_it_is() {
    let mut world = World::with(vec![check("a", json!({}))]);
    let output = world.tell([Input::Kind(kind("Deployment"), Ok(None))]);
    let (status, reason, message) = output.condition(READY);
    assert_eq!((status.as_str(), reason.as_str()), ("False", "InvalidSpec"));
    assert!(message.starts_with("spec.targets.kind: the cluster serves no kind Deployment in apps/v1"), "{message}");
    assert_eq!(output.fact("a"), Some((Verdict::Unknown, "InvalidSpec")));
    for _ in 0..3 {
        assert_eq!(world.wait(millis(4999)).wants(), Vec::<String>::new());
        assert_eq!(world.wait(millis(1)).wants(), ["ask Deployment"]);
        // Told several times, it still asks once.
        let unserved = || Input::Kind(kind("Deployment"), Ok(None));
        world.tell([unserved(), unserved(), Input::Kind(kind("Deployment"), Err("timed out".into()))]);
    }
    world.tell([Input::Kind(kind("Deployment"), Ok(Some(served("Deployment"))))]);
    assert_eq!(world.output.wants(), ["watch Deployment"]);
    let output = world.tell([objects(Change::Listed(vec![deployment("web", true)]))]);
    assert_eq!((output.fact("a").unwrap().0, output.condition(READY).0), (Verdict::Passing, "True".to_owned()));
    // Its kind is gone again.
    let output = world.tell([Input::Kind(kind("Deployment"), Ok(None)), objects(failed(false))]);
    assert_eq!(output.fact("a"), Some((Verdict::Unknown, "InvalidSpec")));
}

#[test]
fn nobody_is_asked_about_a_kind_that_no_check_names() {
    let mut world = World::with(vec![check("a", json!({}))]);
    world.tell([Input::Kind(kind("Deployment"), Ok(None))]);
    world.tell([checks(Change::Deleted(check("a", json!({}))))]);
    assert_eq!(world.wait(millis(5000)).wants(), Vec::<String>::new());
    assert_eq!(world.planned(), None);
}

#[test]
fn an_api_server_that_cannot_be_asked_is_no_fault_of_the_check() {
    let mut world = World::with(vec![check("a", json!({}))]);
    world.tell([Input::Kind(kind("Deployment"), Err("timed out".into()))]);
    world.wait(millis(1000));
    let (status, reason, message) = world.output.condition(READY);
    assert_eq!(
        (status.as_str(), reason.as_str(), message.as_str()),
        ("Unknown", "Pending", "asking the API server about Deployment of apps/v1")
    );
    assert_eq!(world.wait(millis(4000)).wants(), ["ask Deployment"]);
}

#[test]
fn a_forbidden_watch_says_how_to_grant_the_right() {
    let mut world = World::with(vec![check("a", json!({}))]);
    world.tell([Input::Kind(kind("Deployment"), Ok(Some(served("Deployment"))))]);
    let output = world.tell([objects(failed(true))]);
    let grant = "kubectl create clusterrole holdpoint-read-deployments --verb=get,list,watch --resource=deployments.apps \
                 && kubectl label clusterrole holdpoint-read-deployments holdpoint.dev/aggregate-to-operator=true";
    let wanted = format!("Deployment objects in namespace shop cannot be watched: deployments.apps is forbidden; grant it: {grant}");
    assert_eq!(output.condition(READY), ("False".into(), "Forbidden".into(), wanted.clone()));
    assert_eq!(output.condition(PASSING), ("Unknown".into(), "Forbidden".into(), wanted));
    // However long the error is, the commands stay whole.
    let output =
        world.tell([objects(Change::Failed { message: "x".repeat(10_000), forbidden: true, not_found: false, silent: Duration::ZERO })]);
    assert!(output.condition(READY).2.ends_with("aggregate-to-operator=true"));
    let output = world.tell([objects(Change::Listed(vec![deployment("web", true)]))]);
    assert_eq!(output.fact("a").unwrap().0, Verdict::Passing);
}

#[test]
fn a_broken_watch_is_believed_for_five_seconds() {
    let mut world = World::watching(vec![check("a", json!({}))], vec![deployment("web", true)]);
    world.now += millis(100);
    assert!(world.tell([objects(failed(false))]).facts.is_empty());
    // More failures do not prolong it.
    world.now += millis(3000);
    world.tell([objects(failed(false))]);
    world.now += millis(1999);
    world.tell([]);
    assert_eq!(world.standing("a"), Standing::Passing);
    assert_eq!(world.planned(), Some(world.now + millis(1)));
    let output = world.wait(millis(1));
    assert_eq!(output.fact("a"), Some((Verdict::Unknown, "EvaluationError")));
    assert_eq!(
        output.condition(PASSING).2,
        "Deployment objects in namespace shop cannot be watched since 5s: deployments.apps is forbidden"
    );
    let output = world.tell([objects(Change::Listed(vec![deployment("web", false)]))]);
    assert_eq!(output.fact("a").unwrap().0, Verdict::Failing);
    // One that is mended in time leaves no trace.
    world.tell([objects(failed(false))]);
    let output = world.tell([objects(Change::Listed(vec![deployment("web", false)]))]);
    assert!(output.effects.is_empty());
    assert_eq!(world.wait(millis(5001)).wants(), Vec::<String>::new());
    assert_eq!(world.standing("a"), Standing::Failing);
}

#[test]
fn what_a_list_leaves_out_is_gone() {
    let all = json!({"targets": {"apiVersion": "apps/v1", "kind": "Deployment", "selector": {}}});
    let mut world = World::watching(vec![check("a", all)], vec![deployment("x", true), deployment("y", false)]);
    assert_eq!(world.standing("a"), Standing::Failing);
    let output = world.tell([objects(Change::Listed(vec![deployment("x", true)]))]);
    assert_eq!(output.fact("a").unwrap().0, Verdict::Passing);
}

#[test]
fn a_window_flips_exactly_at_its_edge() {
    // 2027-01-15 08:00 UTC, a Friday, is at(0).
    let window = json!({"probe": {"window": {"allowed": [{"from": "08:00", "to": "08:01"}]}}, "intervalSeconds": 86_400, "staleAfterSeconds": 100_000});
    let mut open = check("a", window);
    open.spec.targets = None;
    let mut world = World::with(vec![open.clone()]);
    assert_eq!(world.output.fact("a"), Some((Verdict::Passing, "AllPassed")));
    world.echo(&open);
    let almost = at(60) - SignedDuration::from_nanos(1);
    let idle = world.run_until(almost);
    assert!(idle.iter().all(|(_, output)| output.writes().is_empty()));
    assert_eq!((world.standing("a"), world.planned()), (Standing::Passing, Some(at(60))));
    // Even if nobody wakes the engine, the published fact is not believed any longer.
    assert_eq!(world.state("a").standing(at(60)), Standing::Unknown);
    let output = world.wait(SignedDuration::from_nanos(1));
    assert_eq!((output.fact("a").unwrap().0, output.announced()), (Verdict::Failing, vec![("a", true, "CheckFailing")]));
    let opens = at(86_400);
    world.run_until(opens - millis(1));
    assert_eq!(world.standing("a"), Standing::Failing);
    let log = world.run_until(opens);
    assert_eq!((log.last().unwrap().0, world.standing("a")), (86_400, Standing::Passing));
}

#[test]
fn what_else_a_probe_reads_is_waited_for_and_watched() {
    let storm = json!({"probe": {"rollout": {"maxRestarts": 0}}});
    let mut world = World::with(vec![check("a", storm)]);
    assert_eq!(world.output.wants(), ["ask Deployment", "ask Pod"]);
    world.tell([Input::Kind(kind("Deployment"), Ok(Some(served("Deployment")))), Input::Kind(kind("Pod"), Ok(Some(served("Pod"))))]);
    world.tell([objects(Change::Listed(vec![deployment("web", true)]))]);
    assert_eq!(world.state("a").message, "waiting for the first list of Pod objects in namespace shop");
    let output = world.tell([Input::Objects(watch("Pod"), Box::new(Change::Listed(Vec::new())))]);
    assert!(output.fact("a").is_some_and(|(_, reason)| reason != "NeverEvaluated"));
    let output = world.tell([checks(Change::Deleted(check("a", json!({}))))]);
    assert_eq!(output.wants(), ["unwatch Deployment", "unwatch Pod"]);
}

#[test]
fn a_clock_that_is_set_back_makes_everything_due_at_once() {
    let mut world = World::watching(vec![check("a", json!({})), tcp("b", 1)], vec![deployment("web", true)]);
    let [(_, number)] = World::with(vec![tcp("b", 1)]).output.probes().try_into().unwrap();
    let pass = Observation::new("db:1", Outcome::Pass, "Connected", "connected");
    world.tell([Input::Probed(key("b"), number, pass)]);
    assert_eq!((world.standing("a"), world.standing("b")), (Standing::Passing, Standing::Passing));
    world.tell([objects(failed(false))]);
    world.now -= SignedDuration::from_hours(1);
    assert_eq!((world.standing("a"), world.standing("b")), (Standing::Unknown, Standing::Unknown));
    let output = world.tell([]);
    assert_eq!(output.probes().len(), 1);
    let behind = Offset { earliest: SignedDuration::from_hours(1), latest: SignedDuration::from_hours(1) };
    world.tell([Input::Clock(behind)]);
    assert_eq!(world.standing("a"), Standing::Passing);
    // The break of the watch counts from now.
    assert_eq!(world.wait(millis(5000)).fact("a"), Some((Verdict::Unknown, "EvaluationError")));
}
