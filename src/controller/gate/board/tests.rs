//! What is written of a gate, and what is told, and when.

use super::*;
use crate::api::conditions::{OPEN, READY, get};
use crate::core::gate::testing::{Ask, Known, at, spec};
use crate::core::verdict::Standing;
use serde_json::{Value, json};

fn object(name: &str, generation: i64, more: Value) -> ExperimentGate {
    serde_json::from_value(json!({
        "apiVersion": "holdpoint.dev/v1alpha1",
        "kind": "ExperimentGate",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "generation": generation},
        "spec": spec(&["a"], more),
    }))
    .unwrap()
}

fn key(name: &str) -> GateKey {
    GateKey { namespace: Some("shop".into()), name: name.into() }
}

fn facts(standing: Standing) -> Known {
    Known::shop(&[("a", standing)])
}

fn registered(names: &[&str]) -> Registered {
    Registered { gates: names.iter().map(|name| (key(name), Some(1))).collect(), ..Registered::default() }
}

struct World {
    board: Board,
    output: Output,
}

impl World {
    fn with(gates: Vec<ExperimentGate>) -> Self {
        let mut board = Board::default();
        board.take_namespaced(Change::Listed(gates));
        board.take_cluster(Change::Listed(Vec::new()));
        assert!(board.complete());
        Self { board, output: Output::default() }
    }

    fn look(&mut self, standing: Standing, ms: i64) -> &Output {
        self.output = self.board.look(&facts(standing), &registered(&["g"]), at(0) + SignedDuration::from_millis(ms));
        &self.output
    }

    /// What was written last comes back.
    fn echo(&mut self, object: &ExperimentGate) -> ExperimentGate {
        let (_, status) = self.output.writes.last().unwrap();
        let mut object = object.clone();
        object.status = Some(serde_json::from_str(&serde_json::to_string(status).unwrap()).unwrap());
        assert!(!self.board.take_namespaced(Change::Applied(object.clone())));
        assert!(self.board.gates[&key("g")].sent.is_none());
        object
    }

    fn decide(&mut self, standing: Standing, dry_run: bool) {
        let gates = self.board.gates();
        let decision = Ask::default().decide(&gates.iter().map(AsRef::as_ref).collect::<Vec<_>>(), &facts(standing));
        let record = Record {
            time: at(0),
            operation: "CREATE".into(),
            object: "PodChaos shop/kill".into(),
            user: "jane".into(),
            dry_run,
            headline: "why".into(),
            decision,
        };
        self.board.record(&record);
    }
}

fn turned(output: &Output) -> Vec<(String, bool)> {
    output.turned.iter().map(|t| (t.gate.key.name.clone(), t.open)).collect()
}

fn condition(status: &GateStatus, type_: &str) -> (String, String) {
    let c = get(&status.conditions, type_).unwrap();
    (c.status.clone(), c.reason.clone())
}

#[test]
fn a_status_is_written_once() {
    let gate = object("g", 1, json!({}));
    let mut world = World::with(vec![gate.clone()]);
    let output = world.look(Standing::Passing, 0);
    assert_eq!(output.writes.len(), 1);
    assert_eq!(
        (condition(&output.writes[0].1, READY).1, condition(&output.writes[0].1, OPEN).1),
        ("Serving".into(), "ChecksPassing".into())
    );
    assert!(world.look(Standing::Passing, 10).writes.is_empty());
    world.look(Standing::Failing, 20);
    world.echo(&gate);
    let output = world.look(Standing::Failing, 30);
    assert_eq!((output.writes.len(), output.again), (0, None));
}

#[test]
fn openness_is_written_at_once_and_told_exactly_when_it_changes() {
    let mut world = World::with(vec![object("g", 1, json!({}))]);
    let mut told = Vec::new();
    for (i, standing) in
        [Standing::Passing, Standing::Failing, Standing::Failing, Standing::Unknown, Standing::Passing, Standing::Warning, Standing::Stale]
            .iter()
            .enumerate()
    {
        let output = world.look(*standing, i64::try_from(i).unwrap());
        told.push((output.writes.len(), turned(output).first().map(|t| t.1)));
    }
    // A first status that says open is no news; one that still says closed, for another reason, is written and not told.
    assert_eq!(told, [(1, None), (1, Some(false)), (0, None), (1, None), (1, Some(true)), (1, None), (1, Some(false))]);
    let mut closed = World::with(vec![object("g", 1, json!({}))]);
    assert_eq!(turned(closed.look(Standing::Failing, 0)), [("g".to_owned(), false)]);
}

#[test]
fn counters_are_written_once_a_second_at_most() {
    let gate = object("g", 1, json!({}));
    let mut world = World::with(vec![gate]);
    world.look(Standing::Failing, 0);
    for i in 0..500 {
        world.decide(Standing::Failing, false);
        let output = world.look(Standing::Failing, i);
        assert_eq!((output.writes.len(), output.again), (0, Some(at(1))), "{i}");
    }
    let output = world.look(Standing::Failing, 1000);
    assert_eq!((output.writes[0].1.counters.denied, output.writes[0].1.recent_decisions.len()), (500, 20));
    world.decide(Standing::Failing, false);
    assert!(world.look(Standing::Failing, 1500).writes.is_empty());
    // A change of openness does not wait, and takes the counters along.
    let output = world.look(Standing::Passing, 1600);
    assert_eq!((output.writes[0].1.counters.denied, turned(output)), (501, vec![("g".to_owned(), true)]));
}

#[test]
fn a_dry_run_leaves_no_trace() {
    let mut world = World::with(vec![object("g", 1, json!({}))]);
    world.look(Standing::Failing, 0);
    world.decide(Standing::Failing, true);
    assert!(world.look(Standing::Failing, 5000).writes.is_empty());
    assert_eq!(world.board.gates[&key("g")].ledger, Ledger::default());
}

#[test]
fn after_a_restart_counters_go_on_and_nothing_is_told_again() {
    let gate = object("g", 1, json!({}));
    let mut before = World::with(vec![gate.clone()]);
    before.decide(Standing::Failing, false);
    before.look(Standing::Failing, 0);
    let written = before.echo(&gate);
    let mut world = World::with(vec![written]);
    assert!(turned(world.look(Standing::Failing, 1)).is_empty() && world.output.writes.is_empty());
    world.decide(Standing::Failing, false);
    let output = world.look(Standing::Failing, 2);
    assert_eq!((output.writes[0].1.counters.denied, output.writes[0].1.recent_decisions.len(), turned(output)), (2, 2, Vec::new()));
    // What opened while the operator was away is told.
    assert_eq!(turned(world.look(Standing::Passing, 3)), [("g".to_owned(), true)]);
}

#[test]
fn after_a_restart_what_is_not_known_yet_is_no_news_for_a_second() {
    let gate = object("g", 1, json!({}));
    let mut before = World::with(vec![gate.clone()]);
    before.look(Standing::Passing, 0);
    let written = before.echo(&gate);
    let mut world = World::with(vec![written.clone()]);
    let output = world.board.look(&facts(Standing::Unknown), &Registered::default(), at(10));
    assert_eq!((output.writes.len(), output.turned.len(), output.again), (0, 0, Some(at(11))));
    // Known in time: as if nothing had been.
    let output = world.board.look(&facts(Standing::Passing), &registered(&["g"]), at(10) + SignedDuration::from_millis(500));
    assert_eq!((output.writes.len(), output.turned.len()), (0, 0));
    // Not in time: it is closed, and that is told.
    let mut slow = World::with(vec![written.clone()]);
    slow.board.look(&facts(Standing::Unknown), &registered(&["g"]), at(10));
    let output = slow.board.look(&facts(Standing::Unknown), &registered(&["g"]), at(11));
    assert_eq!((output.writes.len(), turned(&output)), (1, vec![("g".to_owned(), false)]));
    // What fails is told at once.
    let mut failing = World::with(vec![written]);
    assert_eq!(turned(&failing.board.look(&facts(Standing::Failing), &registered(&["g"]), at(10))), [("g".to_owned(), false)]);
}

#[test]
fn nothing_is_said_before_all_checks_are_known() {
    let mut world = World::with(vec![object("g", 1, json!({}))]);
    let output = world.board.look(&Known { complete: false, ..facts(Standing::Failing) }, &registered(&["g"]), at(0));
    assert!(output.writes.is_empty() && output.turned.is_empty());
}

#[test]
fn ready_tells_whether_this_generation_is_registered_and_accepted() {
    let mut world = World::with(vec![object("g", 2, json!({})), object("h", 1, json!({}))]);
    let refused = Registered {
        gates: [(key("g"), Some(1)), (key("h"), Some(1))].into(),
        refused: [(key("h"), "no such function".to_owned())].into(),
        ..Registered::default()
    };
    let output = world.board.look(&facts(Standing::Passing), &refused, at(0));
    let ready: Vec<_> = output.writes.iter().map(|(k, s)| (k.name.as_str(), condition(s, READY).1)).collect();
    assert_eq!(ready, [("g", "WebhookNotReady".to_owned()), ("h", "InvalidSpec".to_owned())]);
    let failed = Registered { error: Some("cannot be registered: x".into()), ..Registered::default() };
    let output = world.board.look(&facts(Standing::Passing), &failed, at(2));
    assert_eq!(get(&output.writes[0].1.conditions, READY).unwrap().message, "cannot be registered: x");
    world.board.found(&key("g"), vec![Problem::new("spec.match.rules[].resources", "not served")]);
    let output = world.board.look(&facts(Standing::Passing), &failed, at(3));
    assert_eq!(condition(&output.writes[0].1, READY).1, "InvalidSpec");
}

#[test]
fn a_gate_whose_spec_cannot_work_is_told_closed_whatever_it_answers() {
    let broken = json!({"match": {"start": "object ="}, "respond": {"unknown": "Warn"}});
    let mut world = World::with(vec![object("g", 1, broken)]);
    let output = world.look(Standing::Passing, 0);
    assert_eq!(condition(&output.writes[0].1, OPEN), ("False".into(), "InvalidSpec".into()));
    assert_eq!(turned(output), [("g".to_owned(), false)]);
}

#[test]
fn a_write_that_failed_is_tried_again_after_a_pause() {
    let mut world = World::with(vec![object("g", 1, json!({}))]);
    assert_eq!(world.look(Standing::Passing, 0).writes.len(), 1);
    for ms in [1, 500, 999] {
        world.board.unwritten(&key("g"));
        let output = world.look(Standing::Passing, ms);
        assert_eq!((output.writes.len(), output.again), (0, Some(at(1))), "{ms}");
    }
    assert_eq!(world.look(Standing::Passing, 1000).writes.len(), 1);
    // One that was never seen is written again too, later.
    assert_eq!(world.look(Standing::Passing, 1001).again, Some(at(121)));
    assert_eq!(world.look(Standing::Passing, 121_000).writes.len(), 1);
}

#[test]
fn a_status_that_somebody_changed_is_put_right() {
    let gate = object("g", 1, json!({}));
    let mut world = World::with(vec![gate.clone()]);
    world.look(Standing::Failing, 0);
    let mut tampered = world.echo(&gate);
    tampered.status.as_mut().unwrap().blocking = 0;
    world.board.take_namespaced(Change::Applied(tampered.clone()));
    let output = world.look(Standing::Failing, 10);
    assert_eq!((output.writes[0].1.blocking, output.turned.len()), (1, 0));
    // Again, while the write is under way: after a while.
    world.board.take_namespaced(Change::Applied(tampered));
    assert_eq!(world.look(Standing::Failing, 20).writes.len(), 0);
    assert_eq!(world.look(Standing::Failing, 5010).writes.len(), 1);
}

#[test]
fn a_gate_that_became_unreadable_stays_as_it_was() {
    let unreadable = || Change::Unreadable { namespace: Some("shop".into()), name: "g".into(), error: "x".into() };
    let mut world = World::with(vec![object("g", 1, json!({})), object("h", 1, json!({}))]);
    assert!(!world.board.take_namespaced(unreadable()));
    // The watch begins again: it is unreadable in the list too.
    world.board.take_namespaced(unreadable());
    world.board.take_namespaced(Change::Listed(vec![object("h", 1, json!({}))]));
    assert_eq!(world.board.gates().len(), 2);
    // The list of the other kind says nothing of it.
    world.board.take_namespaced(unreadable());
    world.board.take_cluster(Change::Listed(Vec::new()));
    world.board.take_namespaced(Change::Listed(vec![object("h", 1, json!({}))]));
    assert_eq!(world.board.gates().len(), 2);
    // In the next list it is gone for good.
    world.board.take_namespaced(Change::Listed(vec![object("h", 1, json!({}))]));
    assert_eq!(world.board.gates().len(), 1);
}

#[test]
fn only_a_new_spec_changes_the_gates() {
    let mut world = World::with(vec![object("g", 1, json!({}))]);
    assert!(!world.board.take_namespaced(Change::Applied(object("g", 1, json!({})))));
    assert!(world.board.take_namespaced(Change::Applied(object("g", 2, json!({"mode": "Audit"})))));
    assert_eq!(world.board.gates()[0].mode, crate::api::Mode::Audit);
    let mut again = object("g", 1, json!({}));
    again.metadata.uid = Some("another".into());
    assert!(world.board.take_namespaced(Change::Applied(again.clone())));
    assert!(world.board.take_namespaced(Change::Deleted(again.clone())));
    assert!(!world.board.take_namespaced(Change::Deleted(again)));
    assert!(!world.board.take_namespaced(Change::Failed {
        message: "x".into(),
        forbidden: false,
        not_found: false,
        silent: std::time::Duration::ZERO
    }));
}
