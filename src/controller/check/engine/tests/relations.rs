//! Dependencies, composites, rights, overrides, and when a check applies.

use super::*;

fn depending(name: &str, on: &str) -> PreflightCheck {
    check(name, json!({"dependsOn": [{"name": on}]}))
}

fn namespaces(labels: &[(&str, &str)]) -> Input {
    let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Input::Namespaces(Arc::new([("shop".to_owned(), labels)].into()))
}

#[test]
fn what_depends_on_a_check_that_does_not_pass_is_not_run() {
    let mut world = World::with(vec![tcp("database", 1), {
        let mut check = tcp("schema", 5);
        check.spec.depends_on = vec![crate::api::Dependency { name: "database".into() }];
        check
    }]);
    assert_eq!(world.output.probes(), [("database".to_owned(), 1)]);
    assert_eq!(world.state("schema").reason, "DependencyNotPassing");
    let fail = Observation::new("db:1", Outcome::Fail, "Refused", "refused");
    world.tell([Input::Probed(key("database"), 1, fail)]);
    assert_eq!(world.state("schema").message, "it depends on database, which does not pass: db:1: refused");
    // It passes: what waited for it runs at once.
    let [(_, number)] = world.wait(SignedDuration::from_secs(10)).probes().try_into().unwrap();
    let pass = || Observation::new("db:1", Outcome::Pass, "Accepted", "accepted");
    let output = world.tell([Input::Probed(key("database"), number, pass())]);
    let [(name, number)] = output.probes().try_into().unwrap();
    assert_eq!(name, "schema");
    world.tell([Input::Probed(key("schema"), number, pass())]);
    assert_eq!(world.standing("schema"), Standing::Passing);
    world.tell([checks(Change::Deleted(tcp("database", 1)))]);
    assert_eq!((world.state("schema").reason, world.standing("schema")), ("DependencyNotPassing", Standing::Unknown));
}

#[test]
fn a_live_check_follows_its_dependency_in_the_same_step() {
    let other = json!({"targets": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "other"}});
    let list = vec![check("first", other), depending("second", "first")];
    let mut world = World::watching(list, vec![deployment("web", true), deployment("other", true)]);
    assert_eq!(world.standing("second"), Standing::Passing);
    world.tell([objects(Change::Applied(deployment("other", false)))]);
    assert_eq!((world.standing("first"), world.state("second").reason), (Standing::Failing, "DependencyNotPassing"));
    world.tell([objects(Change::Applied(deployment("other", true)))]);
    assert_eq!(world.standing("second"), Standing::Passing);
}

#[test]
fn a_circle_is_named_by_each_that_is_in_it_and_ends() {
    let list = vec![depending("a", "b"), depending("b", "c"), depending("c", "a"), depending("outside", "a"), depending("self", "self")];
    let mut world = World::watching(list, vec![deployment("web", true)]);
    assert_eq!(world.state("a").message, "spec.dependsOn: a circle, in which no check could come first: a → b → c → a");
    assert_eq!(world.state("b").reason, "InvalidSpec");
    assert_eq!(world.state("outside").reason, "DependencyNotPassing");
    assert_eq!(world.state("self").message, "spec.dependsOn: a circle, in which no check could come first: self → self");
    // Whoever breaks it frees all.
    let mut free = check("c", json!({}));
    free.metadata.generation = Some(2);
    world.tell([checks(Change::Applied(free))]);
    world.tell([Input::Kind(kind("Deployment"), Ok(Some(served("Deployment"))))]);
    world.tell([objects(Change::Listed(vec![deployment("web", true)]))]);
    for name in ["a", "b", "c", "outside"] {
        assert_eq!(world.standing(name), Standing::Passing, "{name}: {}", world.state(name).message);
    }
}

#[test]
fn a_composite_is_as_its_members_are_at_each_instant() {
    let mut both =
        check("both", json!({"probe": {"composite": {"checks": [{"name": "db"}, {"selector": {"matchLabels": {"tier": "infra"}}}]}}}));
    both.spec.targets = None;
    let mut live = check("live", json!({}));
    live.metadata.labels = Some([("tier".to_owned(), "infra".to_owned())].into());
    let mut world = World::watching(vec![both, live, tcp("db", 1)], vec![deployment("web", true)]);
    assert_eq!(world.state("both").verdict, Verdict::Unknown, "db was not evaluated yet");
    world.tell([Input::Probed(key("db"), 1, Observation::new("db:1", Outcome::Pass, "Accepted", "accepted"))]);
    assert_eq!(world.standing("both"), Standing::Passing);
    world.tell([objects(Change::Applied(deployment("web", false)))]);
    assert_eq!(
        world.state("both").message,
        "1 of 2 targets pass, 2 needed; PreflightCheck/live: Deployment/web: condition Available is False"
    );
    world.tell([objects(Change::Applied(deployment("web", true)))]);
    // Nobody evaluates db any more: it goes stale, and so does what was made of it.
    world.run_until(at(31));
    assert_eq!((world.standing("db"), world.state("both").verdict), (Standing::Stale, Verdict::Unknown));
}

#[test]
fn what_the_account_may_not_read_is_not_watched_and_told_with_the_commands() {
    let mut world = World::with(vec![check("a", json!({"serviceAccountName": "reader"}))]);
    let served = Input::Kind(kind("Deployment"), Ok(Some(served("Deployment"))));
    let output = world.tell_granting([served], |_| false);
    assert_eq!(output.wants(), ["a CheckUnknown"]);
    let (status, reason, message) = output.condition(PASSING);
    assert_eq!((status.as_str(), reason.as_str()), ("Unknown", "Forbidden"));
    assert!(
        message.starts_with(
            "service account shop:reader may not get deployments.apps web in namespace shop; grant it: kubectl -n shop create role"
        ),
        "{message}"
    );
    // It is asked again, and allowed by name alone.
    world.now += SignedDuration::from_secs(5);
    let output = world.tell_granting([], |access| access.name.as_deref() == Some("web"));
    assert_eq!(output.wants(), ["watch Deployment"]);
    world.tell_granting([objects(Change::Listed(vec![deployment("web", true)]))], |access| access.name.is_some());
    assert_eq!(world.standing("a"), Standing::Passing);
    // And taken away.
    world.now += SignedDuration::from_secs(31);
    let output = world.tell_granting([], |_| false);
    assert_eq!(output.fact("a"), Some((Verdict::Unknown, "Forbidden")));
    assert_eq!(output.wants().last().map(String::as_str), Some("unwatch Deployment"));
}

#[test]
fn what_is_read_besides_is_asked_for_too_and_nothing_is_watched_without_it() {
    let mut world = World::with(vec![check("a", json!({"probe": {"rollout": {"maxRestarts": 0}}}))]);
    let kinds = [Input::Kind(kind("Deployment"), Ok(Some(served("Deployment")))), Input::Kind(kind("Pod"), Ok(Some(served("Pod"))))];
    let output = world.tell_granting(kinds, |access| &*access.resource != "pods");
    assert_eq!(output.fact("a"), Some((Verdict::Unknown, "Forbidden")));
    assert!(output.wants().iter().all(|want| !want.starts_with("watch")), "{:?}", output.wants());
    world.now += SignedDuration::from_secs(5);
    assert_eq!(world.tell([]).wants(), ["watch Deployment", "watch Pod"]);
}

#[test]
fn an_override_counts_in_its_environment_and_says_so() {
    let overrides = json!({"quorum": {"minPassing": "100%"}, "overrides": [{"environment": "production", "suspend": true}]});
    let mut world = World::watching(vec![check("a", overrides)], vec![deployment("web", true)]);
    assert_eq!(world.standing("a"), Standing::Passing);
    let output = world.tell([namespaces(&[(crate::api::ENVIRONMENT, "production")])]);
    assert_eq!(output.fact("a"), Some((Verdict::Unknown, "Suspended")));
    let writes = output.writes();
    let status = writes.last().unwrap().1;
    assert_eq!((status.environment.as_deref(), status.effective.as_ref().unwrap().suspend), (Some("production"), Some(true)));
    world.tell([namespaces(&[])]);
    assert_eq!(world.standing("a"), Standing::Passing);
}

#[test]
fn a_check_that_does_not_apply_is_not_required() {
    let when = json!({"when": "environment == 'production' || namespace.labels['tier'] == 'prod'"});
    let mut world = World::with(vec![check("a", when)]);
    world.tell([namespaces(&[("tier", "test")])]);
    assert_eq!((world.state("a").reason, world.standing("a")), ("NotApplicable", Standing::NotApplicable));
    assert!(world.output.announced().is_empty());
    world.tell([namespaces(&[("tier", "prod")])]);
    world.tell([Input::Kind(kind("Deployment"), Ok(Some(served("Deployment"))))]);
    world.tell([objects(Change::Listed(vec![deployment("web", true)]))]);
    assert_eq!(world.standing("a"), Standing::Passing);
    // What cannot be told applies to nobody's relief.
    world.tell([namespaces(&[])]);
    assert_eq!((world.state("a").reason, world.standing("a")), ("EvaluationError", Standing::Unknown));
    // About a request: it has a verdict all the same, and the fact says what to ask of the request.
    let mut mixed = check("b", json!({"when": "object.metadata.name == 'x' && environment == 'y'"}));
    mixed.metadata.uid = Some("b".into());
    world.tell([checks(Change::Applied(mixed))]);
    assert!(world.state("b").message.starts_with("spec.when: it names both the request"), "{}", world.state("b").message);
    let output = world.tell([checks(Change::Applied(check("c", json!({"when": "object.metadata.name == 'x'"}))))]);
    assert!(output.facts.iter().any(|f| &*f.name == "c" && f.when.is_some()));
}

#[test]
fn targets_in_several_namespaces_need_the_right_in_all_and_are_told_apart() {
    let all = json!({"targets": {"apiVersion": "apps/v1", "kind": "Deployment", "selector": {}, "namespaceSelector": {"matchLabels": {"team": "x"}}}});
    let mut world = World::with(vec![check("a", all)]);
    let labels = |team: &str| [("team".to_owned(), team.to_owned())].into();
    let all = [("one".to_owned(), labels("x")), ("two".to_owned(), labels("x")), ("three".to_owned(), labels("y"))];
    let inputs = || [Input::Namespaces(Arc::new(all.clone().into())), Input::Kind(kind("Deployment"), Ok(Some(served("Deployment"))))];
    // In one of two: which it is not, is not told.
    let output = world.tell_granting(inputs(), |access| access.namespace.as_deref() == Some("one"));
    let message = output.condition(PASSING).2;
    assert!(
        message.contains("may not list deployments.apps; grant it: kubectl create clusterrole") && !message.contains("two"),
        "{message}"
    );
    world.now += SignedDuration::from_secs(5);
    let output = world.tell_granting([], |access| ["one", "two"].map(Some).contains(&access.namespace.as_deref()));
    assert_eq!(output.wants(), ["watch Deployment"]);
    let place = |namespace: &str, available| {
        let mut object = deployment("web", available);
        object.metadata.namespace = Some(namespace.to_owned());
        object
    };
    let everywhere = WatchKey { kind: kind("Deployment"), namespace: None, name: None };
    let listed = Change::Listed(vec![place("one", true), place("two", false), place("three", false)]);
    world.tell([Input::Objects(everywhere, Box::new(listed))]);
    let targets: Vec<_> = world.state("a").results.iter().map(|o| (o.target.as_str(), o.outcome)).collect();
    assert_eq!(targets, [("two/Deployment/web", Outcome::Fail), ("one/Deployment/web", Outcome::Pass)]);
}

#[test]
fn what_passed_is_used_again_until_the_annotation_asks_for_it() {
    let mut once = tcp("a", 1);
    once.spec.reuse.policy = crate::api::ReusePolicy::UntilSpecChanges;
    let mut world = World::with(vec![once.clone()]);
    world.tell([Input::Probed(key("a"), 1, Observation::new("db:1", Outcome::Pass, "Accepted", "accepted"))]);
    let mut seen = world.echo(&once);
    let log = world.run_until(at(100_000));
    assert!(log.iter().all(|(_, o)| o.probes().is_empty()));
    assert_eq!(world.standing("a"), Standing::Passing);
    seen.metadata.annotations = Some([(crate::api::EVALUATE_AT.to_owned(), "now".to_owned())].into());
    let [(_, number)] = world.tell([checks(Change::Applied(seen.clone()))]).probes().try_into().unwrap();
    let output = world.tell([Input::Probed(key("a"), number, Observation::new("db:1", Outcome::Fail, "Refused", "refused"))]);
    let writes = output.writes();
    assert_eq!(writes.last().unwrap().1.evaluated_at_request.as_deref(), Some("now"));
    assert_eq!(world.standing("a"), Standing::Failing);
    // The same value asks for nothing more.
    assert!(world.tell([checks(Change::Applied(seen))]).probes().is_empty());
}
