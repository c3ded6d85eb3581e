//! What holds of all gates, checks and requests.

use super::*;
use proptest::prelude::*;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,6}".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let key = prop::sample::select(vec!["metadata", "labels", "deletionTimestamp", "spec", "active", "tier", "x"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..5).prop_map(|pairs| pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

fn any_expression() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "true",
        "false",
        "object.spec.active",
        "oldObject == null",
        "object.metadata.labels.tier == 'prod'",
        "request.operation == 'CREATE'",
        "object.spec.active ==",
        "1 / 0 == 1",
    ])
}

fn any_spec() -> impl Strategy<Value = (bool, Value)> {
    let response = || prop::sample::select(vec!["Allow", "Warn", "Hold", "Deny"]);
    let respond = (response(), response(), response(), response())
        .prop_map(|(failing, unknown, stale, missing)| json!({"failing": failing, "unknown": unknown, "stale": stale, "missing": missing}));
    let mode = prop::sample::select(vec!["Enforce", "Warn", "Audit"]);
    let selector = prop::sample::select(vec![json!({}), json!({"matchLabels": {"tier": "prod"}}), json!({"matchLabels": {"a b": "c"}})]);
    let reference = prop_oneof![
        prop::sample::select(NAMES.to_vec()).prop_map(|name| json!({"name": name})),
        (prop::sample::select(NAMES.to_vec()), 1..20).prop_map(|(name, max)| json!({"name": name, "maxAgeSeconds": max})),
        selector.clone().prop_map(|selector| json!({"selector": selector})),
        Just(json!({})),
    ];
    let operations = prop::sample::select(vec![json!(["CREATE"]), json!(["UPDATE"]), json!(["CREATE", "UPDATE"]), json!([])]);
    let resource = prop::sample::select(vec!["podchaos", "pods", "*"]);
    let matches = (
        operations,
        resource,
        prop::option::of(any_expression()),
        prop::option::of(selector),
        prop::collection::vec(any_expression(), 0..3),
    )
        .prop_map(|(operations, resource, start, selector, conditions)| {
            let group = if resource == "pods" { "" } else { "chaos-mesh.org" };
            let conditions: Vec<_> = conditions.into_iter().map(|e| json!({"name": "c", "expression": e})).collect();
            let mut matches = json!({
                "rules": [{"apiGroups": [group], "resources": [resource], "operations": operations}],
                "matchConditions": conditions,
            });
            matches["start"] = json!(start);
            matches["objectSelector"] = json!(selector);
            matches
        });
    let policy = prop::sample::select(vec!["Fail", "Ignore"]);
    let group =
        prop::option::of((0..4, prop::collection::vec(reference.clone(), 0..4)).prop_map(|(count, of)| json!({"count": count, "of": of})));
    let tiers = (group, prop::sample::select(vec![0, 10, 100]), any::<bool>());
    (any::<bool>(), matches, prop::collection::vec(reference, 0..4), mode, respond, policy, tiers).prop_map(
        |(cluster, matches, checks, mode, respond, policy, (group, max_priority, stop))| {
            let spec = json!({
                "match": matches, "checks": checks, "mode": mode, "respond": respond, "failurePolicy": policy,
                "atLeast": group, "maxPriority": max_priority, "stopAtFirstFailure": stop,
            });
            (cluster, spec)
        },
    )
}

fn gate((cluster, spec): (bool, Value), i: usize) -> Gate {
    let name = format!("g{i}");
    if cluster { cxgate(&name, spec) } else { xgate(&name, spec) }
}

fn any_facts() -> impl Strategy<Value = Known> {
    let check = (prop::sample::select(NAMES.to_vec()), prop::sample::select(STANDINGS.to_vec()), any::<bool>(), any::<bool>()).prop_map(
        |(name, standing, advisory, prod)| CheckFact {
            severity: if advisory { Severity::Advisory } else { Severity::Required },
            priority: if prod { 20 } else { 10 },
            labels: if prod { Arc::new([("tier".to_owned(), "prod".to_owned())].into()) } else { Arc::default() },
            ..fact("shop", name, standing)
        },
    );
    (prop::collection::vec(check, 0..5), any::<bool>()).prop_map(|(mut checks, complete)| {
        checks.sort_by(|a, b| a.name.cmp(&b.name));
        checks.dedup_by(|a, b| a.name == b.name);
        Known { complete, ..Known::of(checks) }
    })
}

fn any_ask() -> impl Strategy<Value = Ask> {
    let namespace = prop::option::of(prop::sample::select(vec!["shop", "other"]));
    (any_json(), prop::option::of(any_json()), namespace, prop::option::of(Just(BTreeMap::new()))).prop_map(
        |(object, old_object, namespace, namespace_labels)| Ask {
            operation: if old_object.is_some() { Operation::Update } else { Operation::Create },
            object,
            old_object,
            namespace: namespace.map(str::to_owned),
            namespace_labels,
            ..Ask::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn decide_is_total_and_says_the_same_twice(specs in prop::collection::vec(any_spec(), 0..4), facts in any_facts(), ask in any_ask()) {
        let gates: Vec<Gate> = specs.into_iter().enumerate().map(|(i, s)| gate(s, i)).collect();
        let gates: Vec<&Gate> = gates.iter().collect();
        let decision = ask.decide(&gates, &facts);
        prop_assert_eq!(&decision, &ask.decide(&gates, &facts));
        prop_assert_eq!(decision.answer, decision.judgements.iter().map(|j| j.answer).max().unwrap_or(Response::Allow));
        for judgement in &decision.judgements {
            prop_assert!(judgement.answer <= judgement.would_be);
            prop_assert!(judgement.required >= judgement.passing.len());
            prop_assert!(judgement.causes.is_sorted_by(|a, b| a.response >= b.response));
            prop_assert!(judgement.mode == Mode::Enforce || judgement.answer < Response::Hold);
            // Whoever is held knows for what.
            prop_assert!(judgement.answer != Response::Hold || judgement.causes.iter().any(|c| c.response == Response::Hold && c.curable));
        }
    }

    #[test]
    fn another_gate_never_weakens_the_answer(specs in prop::collection::vec(any_spec(), 1..4), facts in any_facts(), ask in any_ask()) {
        let gates: Vec<Gate> = specs.into_iter().enumerate().map(|(i, s)| gate(s, i)).collect();
        let all: Vec<&Gate> = gates.iter().collect();
        let (_, fewer) = all.split_last().unwrap();
        prop_assert!(ask.decide(&all, &facts).answer >= ask.decide(fewer, &facts).answer);
    }

    #[test]
    fn the_order_of_gates_does_not_matter(specs in prop::collection::vec(any_spec(), 1..4), facts in any_facts(), ask in any_ask()) {
        let gates: Vec<Gate> = specs.into_iter().enumerate().map(|(i, s)| gate(s, i)).collect();
        let there: Vec<&Gate> = gates.iter().collect();
        let back: Vec<&Gate> = gates.iter().rev().collect();
        prop_assert_eq!(ask.decide(&there, &facts), ask.decide(&back, &facts));
    }

    #[test]
    fn stopping_at_the_first_failure_changes_what_is_told_and_not_what_is_answered(spec in any_spec(), facts in any_facts(), ask in any_ask()) {
        let (cluster, mut stops) = spec;
        stops["stopAtFirstFailure"] = json!(true);
        let mut goes_on = stops.clone();
        goes_on["stopAtFirstFailure"] = json!(false);
        let (short, long) = (ask.decide(&[&gate((cluster, stops), 0)], &facts), ask.decide(&[&gate((cluster, goes_on), 0)], &facts));
        prop_assert_eq!(short.answer, long.answer);
        for (short, long) in short.judgements.iter().zip(&long.judgements) {
            prop_assert_eq!((short.would_be, short.required), (long.would_be, long.required));
            prop_assert!(short.causes.iter().all(|cause| long.causes.contains(cause)));
            prop_assert_eq!(short.causes.len() + short.skipped.later, long.causes.len());
        }
    }

    #[test]
    fn of_several_a_worse_one_never_helps(standings in prop::collection::vec(prop::sample::select(STANDINGS.to_vec()), 4), which in 0_usize..4, worse in prop::sample::select(STANDINGS.to_vec()), count in 1..5) {
        let of: Vec<_> = NAMES.iter().map(|name| json!({"name": name})).collect();
        let gate = xgate("chaos", spec(&[], json!({"checks": [], "atLeast": {"count": count, "of": of}})));
        let facts = |standings: &[Standing]| Known::of(NAMES.iter().zip(standings).map(|(name, standing)| fact("shop", name, *standing)));
        let mut worsened = standings.clone();
        worsened[which] = worsened[which].max(worse);
        let (before, after) = (judged(&gate, &facts(&standings)), judged(&gate, &facts(&worsened)));
        prop_assert!(after.answer >= before.answer);
        let good = standings.iter().filter(|s| matches!(s, Standing::Passing | Standing::Warning)).count();
        prop_assert_eq!(before.answer < Response::Hold, good >= usize::try_from(count).unwrap());
        prop_assert_eq!(before.required, 1);
    }

    #[test]
    fn a_failing_required_check_never_turns_a_denial_into_an_admission(spec in any_spec(), facts in any_facts(), ask in any_ask()) {
        let before = ask.decide(&[&gate(spec.clone(), 0)], &facts);
        let (cluster, mut more) = spec;
        let place = if cluster { json!({"name": "worse", "namespace": "shop"}) } else { json!({"name": "worse"}) };
        more["checks"].as_array_mut().unwrap().push(place);
        let mut facts = facts;
        facts.checks.push(fact("shop", "worse", Standing::Failing).into());
        let after = ask.decide(&[&gate((cluster, more.clone()), 0)], &facts);
        // A selector that found nothing may find the new check; that one fails, and counts as `failing` says instead of as `missing`.
        let found_now = !matches!(more["respond"]["failing"].as_str(), Some("Deny" | "Hold")) && before.judgements.iter().any(|j| j.causes.iter().any(|c| c.check.contains('[') || c.check == OWN_SPEC));
        prop_assert!(after.answer >= before.answer || found_now, "{more}: {before:?} then {after:?}");
    }

    #[test]
    fn enforce_admits_only_what_was_seen_passing_or_what_it_was_told_to(spec in any_spec(), facts in any_facts(), ask in any_ask()) {
        let (cluster, mut enforcing) = spec;
        enforcing["mode"] = json!("Enforce");
        let gate = gate((cluster, enforcing), 0);
        let decision = ask.decide(&[&gate], &facts);
        let Some(judgement) = decision.judgements.first() else { return Ok(()) };
        if decision.answer < Response::Hold {
            prop_assert!(gate.problems.is_empty() || gate.respond.unknown < Response::Hold);
            for required in &gate.checks {
                let Which::Named(name) = &required.which else { continue };
                let place = if cluster { ask.namespace.as_deref() } else { Some("shop") };
                let Some(check) = place.and_then(|p| facts.named(p, name)) else {
                    let absent = if facts.complete { gate.respond.missing } else { gate.respond.unknown };
                    // A condition that cannot be evaluated is answered without looking at the checks.
                    prop_assert!(absent < Response::Hold || judgement.required == 0);
                    continue;
                };
                let too_old = required.max_age.is_some_and(|max| check.state.age(at(0)) > Some(max));
                let told_to = match check.state.standing(at(0)) {
                    Standing::Passing | Standing::Warning if too_old => gate.respond.stale < Response::Hold,
                    Standing::NotApplicable | Standing::Passing | Standing::Warning => true,
                    Standing::Stale => gate.respond.stale < Response::Hold,
                    Standing::Unknown => gate.respond.unknown < Response::Hold,
                    Standing::Failing => gate.respond.failing < Response::Hold,
                };
                let spared = check.severity == Severity::Advisory || check.priority > gate.max_priority;
                prop_assert!(told_to || spared || judgement.required == 0);
            }
        }
    }

    #[test]
    fn a_worse_standing_never_helps_where_the_responses_agree(standing in prop::sample::select(STANDINGS.to_vec()), worse in prop::sample::select(STANDINGS.to_vec())) {
        let gate = xgate("chaos", spec(&["a"], json!({})));
        let answer = |standing| judged(&gate, &Known::shop(&[("a", standing)])).answer;
        prop_assert!(answer(standing.max(worse)) >= answer(standing));
    }
}
