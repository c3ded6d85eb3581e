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

/// The API server, as far as one gate goes.
#[derive(Clone)]
struct Server {
    version: u64,
    object: ExperimentGate,
}

impl Server {
    fn new(object: ExperimentGate) -> Self {
        let mut server = Self { version: 100, object };
        server.store(Value::Null);
        server
    }

    fn status(&self) -> GateStatus {
        self.object.status.clone().unwrap_or_default()
    }

    fn store(&mut self, patch: Value) {
        self.version += 1;
        let mut value = serde_json::to_value(&self.object).unwrap();
        if let Value::Object(members) = patch {
            for (key, member) in members {
                if member.is_null() {
                    value["status"].as_object_mut().unwrap().remove(&key);
                } else {
                    value["status"][key] = member;
                }
            }
        }
        self.object = serde_json::from_value(value).unwrap();
        self.object.metadata.resource_version = Some(self.version.to_string());
    }

    fn write(&mut self, change: &StatusChange) -> Ended {
        if change.version != self.version.to_string() {
            return Ended::NotMade;
        }
        self.store(change.status.clone());
        Ended::Made(Some((self.version.to_string(), self.object.status.clone())))
    }
}

fn new_board(gates: Vec<ExperimentGate>) -> Board {
    let mut board = Board::new("me".to_owned(), Arc::default());
    board.take_namespaced(Change::Listed(gates));
    board.take_cluster(Change::Listed(Vec::new()));
    assert!(board.complete());
    board
}

fn pace(ms: i64) -> Pace {
    Pace { now: at(0) + SignedDuration::from_millis(ms), hurry: false }
}

/// One gate, `g`, and a replica that leads.
struct World {
    board: Board,
    server: Server,
    term: Option<i64>,
    output: Output,
}

impl World {
    fn with(gate: ExperimentGate) -> Self {
        let server = Server::new(gate);
        let mut board = new_board(vec![server.object.clone()]);
        board.found(&key("g"), Found::default());
        Self { board, server, term: Some(1), output: Output::default() }
    }

    /// Looks; nothing that it wants written is.
    fn look(&mut self, standing: Standing, ms: i64) -> &Output {
        let (facts, registered) = (facts(standing), registered(&["g"]));
        let leader = self.term.map(|term| Leader { term, facts: &facts, registered: &registered });
        self.output = self.board.look(leader, pace(ms));
        &self.output
    }

    /// Looks and writes; how many writes there were, and what was told.
    fn turn(&mut self, standing: Standing, ms: i64) -> (usize, Option<bool>) {
        self.look(standing, ms);
        let writes = std::mem::take(&mut self.output.writes);
        for (gate, change) in &writes {
            let ended = self.server.write(change);
            self.board.ended(gate, change.number, ended, pace(ms).now);
        }
        let mut told = self.output.turned.clone();
        told.append(&mut self.board.turned);
        assert!(told.len() <= 1);
        (writes.len(), told.first().map(|turned| turned.open))
    }

    /// The watch brings what is stored.
    fn seen(&mut self) {
        assert!(!self.board.take_namespaced(Change::Applied(self.server.object.clone())));
    }

    fn decide(&mut self, standing: Standing, dry_run: bool) {
        decide(&mut self.board, standing, dry_run, 0);
    }
}

fn decide(board: &mut Board, standing: Standing, dry_run: bool, number: i64) {
    let gates = board.gates();
    let decision = Ask::default().decide(&gates.iter().map(AsRef::as_ref).collect::<Vec<_>>(), &facts(standing));
    let record = Record {
        time: at(0),
        operation: "CREATE".into(),
        object: "PodChaos shop/kill".into(),
        user: "jane".into(),
        owner: None,
        dry_run,
        headline: number.to_string(),
        decision,
    };
    board.record(&record);
}

fn look(board: &mut Board, standing: Standing, registered: &Registered, ms: i64) -> Output {
    board.look(Some(Leader { term: 1, facts: &facts(standing), registered }), pace(ms))
}

fn condition(status: &GateStatus, type_: &str) -> (String, String) {
    let c = get(&status.conditions, type_).unwrap();
    (c.status.clone(), c.reason.clone())
}

fn status(change: &StatusChange) -> GateStatus {
    serde_json::from_value(change.status.clone()).unwrap()
}

#[test]
fn a_status_is_written_once() {
    let mut world = World::with(object("g", 1, json!({})));
    assert_eq!(world.turn(Standing::Passing, 0), (1, None));
    let status = world.server.status();
    assert_eq!((condition(&status, READY).1, condition(&status, OPEN).1), ("Serving".into(), "ChecksPassing".into()));
    assert_eq!(world.turn(Standing::Passing, 10), (0, None));
    // The watch tells what is known.
    world.seen();
    assert_eq!((world.turn(Standing::Passing, 5000), world.output.again), ((0, None), None));
    assert_eq!(world.server.status().recorders, [], "nothing was added");
}

#[test]
fn openness_is_written_at_once_and_told_exactly_when_it_changes() {
    use Standing::{Failing, Passing, Stale, Unknown, Warning};
    let mut world = World::with(object("g", 1, json!({})));
    let told: Vec<_> = [Passing, Failing, Failing, Unknown, Passing, Warning, Stale]
        .iter()
        .enumerate()
        .map(|(i, standing)| world.turn(*standing, 1000 * i64::try_from(i).unwrap()))
        .collect();
    // A first status that says open is no news; one that still says closed, for another reason, is written and not told.
    assert_eq!(told, [(1, None), (1, Some(false)), (0, None), (1, None), (1, Some(true)), (1, None), (1, Some(false))]);
    assert_eq!(World::with(object("g", 1, json!({}))).turn(Failing, 0), (1, Some(false)));
}

#[test]
fn what_changes_all_the_time_is_written_ten_times_a_second() {
    let mut world = World::with(object("g", 1, json!({})));
    let standing = |ms: i64| if ms % 2 == 0 { Standing::Passing } else { Standing::Failing };
    let writes: usize = (0..1000).map(|ms| world.turn(standing(ms), ms).0).sum();
    assert!((9..=10).contains(&writes), "{writes}");
}

#[test]
fn decisions_are_added_once_a_second_at_most() {
    let mut world = World::with(object("g", 1, json!({})));
    world.turn(Standing::Failing, 0);
    world.decide(Standing::Failing, false);
    assert_eq!(world.turn(Standing::Failing, 500).0, 1);
    for ms in 501..1500 {
        world.decide(Standing::Failing, false);
        assert_eq!((world.turn(Standing::Failing, ms).0, world.output.again), (0, Some(pace(1500).now)), "{ms}");
    }
    assert_eq!(world.turn(Standing::Failing, 1500).0, 1);
    let status = world.server.status();
    assert_eq!((status.counters.denied, status.recent_decisions.len()), (1000, 20));
    // A change of openness does not wait, and takes the decisions along.
    world.decide(Standing::Failing, false);
    assert_eq!(world.turn(Standing::Passing, 1700), (1, Some(true)));
    assert_eq!(world.server.status().counters.denied, 1001);
}

#[test]
fn a_follower_adds_what_it_decided_and_says_nothing_else() {
    let mut world = World::with(object("g", 1, json!({})));
    world.term = None;
    assert_eq!(world.turn(Standing::Failing, 0), (0, None));
    world.decide(Standing::Failing, false);
    let change = world.look(Standing::Failing, 10).writes[0].1.clone();
    let members = change.status.as_object().unwrap();
    assert!(
        members.keys().all(|member| ["counters", "recentDecisions", "recorders"].contains(&member.as_str()) || member == "blocking"),
        "{members:?}"
    );
    assert_eq!(status(&change).counters.denied, 1);
}

#[test]
fn a_dry_run_leaves_no_trace() {
    let mut world = World::with(object("g", 1, json!({})));
    world.turn(Standing::Failing, 0);
    world.decide(Standing::Failing, true);
    assert_eq!(world.turn(Standing::Failing, 5000).0, 0);
    assert!(world.board.settled());
}

#[test]
fn what_ends_stores_every_decision_first() {
    let mut world = World::with(object("g", 1, json!({})));
    world.turn(Standing::Failing, 0);
    world.decide(Standing::Failing, false);
    world.turn(Standing::Failing, 100);
    world.decide(Standing::Failing, false);
    assert!(!world.board.settled());
    let output = world.board.look(None, Pace { hurry: true, ..pace(101) });
    assert!(!world.board.settled());
    let (gate, change) = &output.writes[0];
    world.board.ended(gate, change.number, world.server.write(change), at(1));
    assert!(world.board.settled());
    assert_eq!(world.server.status().counters.denied, 2);
}

#[test]
fn a_new_leader_that_agrees_writes_and_tells_nothing() {
    let mut before = World::with(object("g", 1, json!({})));
    before.decide(Standing::Failing, false);
    assert_eq!(before.turn(Standing::Failing, 0), (1, Some(false)));
    let mut world = World::with(before.server.object.clone());
    assert_eq!(world.turn(Standing::Failing, 1), (0, None));
    world.decide(Standing::Failing, false);
    assert_eq!(world.turn(Standing::Failing, 2), (1, None));
    let status = world.server.status();
    assert_eq!((status.counters.denied, status.recent_decisions.len()), (2, 2));
    // What opened while nobody led is told.
    assert_eq!(world.turn(Standing::Passing, 200), (1, Some(true)));
}

#[test]
fn after_a_start_and_a_takeover_what_is_not_known_yet_is_no_news_for_a_second() {
    let mut before = World::with(object("g", 1, json!({})));
    before.turn(Standing::Passing, 0);
    let nothing = Registered::default();
    let start = || {
        let mut board = new_board(vec![before.server.object.clone()]);
        board.found(&key("g"), Found::default());
        let output = look(&mut board, Standing::Unknown, &nothing, 10_000);
        assert_eq!((output.writes.len(), output.again), (0, Some(at(11))));
        board
    };
    // Known in time: as if nothing had been.
    let mut board = start();
    assert_eq!(look(&mut board, Standing::Passing, &registered(&["g"]), 10_500).writes, []);
    // The same when it leads again later.
    board.look(None, pace(20_000));
    assert_eq!(look(&mut board, Standing::Unknown, &nothing, 30_000).writes, []);
    // Not in time: it is closed.
    let output = look(&mut start(), Standing::Unknown, &nothing, 11_000);
    assert_eq!(condition(&status(&output.writes[0].1), OPEN).0, "False");
    // What fails is said at once.
    assert_eq!(look(&mut start(), Standing::Failing, &registered(&["g"]), 10_001).writes.len(), 1);
    // What the API server was not asked about yet stays as it was.
    let mut board = new_board(vec![before.server.object.clone()]);
    assert_eq!(look(&mut board, Standing::Passing, &registered(&["g"]), 0).again, Some(at(1)));
}

#[test]
fn nothing_is_said_before_all_checks_are_known() {
    let mut board = new_board(vec![object("g", 1, json!({}))]);
    let output = board.look(
        Some(Leader { term: 1, facts: &Known { complete: false, ..facts(Standing::Failing) }, registered: &registered(&["g"]) }),
        pace(0),
    );
    assert!(output.writes.is_empty() && output.turned.is_empty());
}

#[test]
fn ready_tells_whether_this_generation_is_registered_and_accepted() {
    let mut board = new_board(vec![object("g", 2, json!({})), object("h", 1, json!({}))]);
    let refused = Registered {
        gates: [(key("g"), Some(1)), (key("h"), Some(1))].into(),
        refused: [(key("h"), "no such function".to_owned())].into(),
        ..Registered::default()
    };
    let ready = |board: &mut Board, registered: &Registered, ms: i64| -> Vec<(String, String)> {
        let output = look(board, Standing::Passing, registered, ms);
        for (gate, change) in &output.writes {
            board.ended(gate, change.number, Ended::NotMade, pace(ms).now);
        }
        let of = |change: &StatusChange| get(&status(change).conditions, READY).map(|c| (c.reason.clone(), c.message.clone())).unwrap();
        output.writes.iter().map(|(_, change)| of(change)).collect()
    };
    let reasons: Vec<String> = ready(&mut board, &refused, 0).into_iter().map(|(reason, _)| reason).collect();
    assert_eq!(reasons, ["WebhookNotReady", "InvalidSpec"]);
    let failed = Registered { error: Some("cannot be registered: x".into()), ..Registered::default() };
    assert_eq!(ready(&mut board, &failed, 2000)[0].1, "cannot be registered: x");
    board.found(&key("g"), Found { problems: vec![Problem::new("spec.match.rules[].resources", "not served")], notes: Vec::new() });
    assert_eq!(ready(&mut board, &failed, 4000)[0].0, "InvalidSpec");
}

#[test]
fn a_gate_whose_spec_cannot_work_is_told_closed_whatever_it_answers() {
    let broken = json!({"match": {"start": "object ="}, "respond": {"unknown": "Warn"}});
    let mut world = World::with(object("g", 1, broken));
    assert_eq!(world.turn(Standing::Passing, 0), (1, Some(false)));
    assert_eq!(condition(&world.server.status(), OPEN), ("False".into(), "InvalidSpec".into()));
}

#[test]
fn a_write_that_was_not_made_is_made_again_and_told_then() {
    let mut world = World::with(object("g", 1, json!({})));
    world.decide(Standing::Failing, false);
    let number = world.look(Standing::Failing, 0).writes[0].1.number;
    assert_eq!((world.turn(Standing::Failing, 50), world.output.again), ((0, None), None), "its end is told");
    world.board.ended(&key("g"), number, Ended::NotMade, pace(100).now);
    assert_eq!((world.turn(Standing::Failing, 1099), world.output.again), ((0, None), Some(pace(1100).now)));
    assert_eq!(world.turn(Standing::Failing, 1100), (1, Some(false)));
    assert_eq!(world.server.status().counters.denied, 1);
    // Somebody was first: as soon as that is seen.
    world.server.store(Value::Null);
    assert_eq!(world.turn(Standing::Passing, 2000), (1, None));
    world.seen();
    assert_eq!(world.turn(Standing::Passing, 2100), (1, Some(true)));
}

#[test]
fn an_answer_that_is_lost_loses_and_doubles_nothing() {
    for made in [true, false] {
        let mut world = World::with(object("g", 1, json!({})));
        world.decide(Standing::Failing, false);
        let (gate, change) = world.look(Standing::Failing, 0).writes[0].clone();
        if made {
            world.server.write(&change);
        }
        world.board.ended(&gate, change.number, Ended::Unanswered, at(0));
        world.decide(Standing::Failing, false);
        assert_eq!((world.turn(Standing::Failing, 500), world.output.again), ((0, None), Some(at(1))), "{made}");
        // The same again; the new decision waits for certainty.
        let told = world.turn(Standing::Failing, 1000);
        assert_eq!((told, world.server.status().counters.denied), ((1, (!made).then_some(false)), 1), "{made}");
        world.seen();
        assert_eq!(world.turn(Standing::Failing, 2000), (1, made.then_some(false)), "{made}");
        assert_eq!(world.server.status().counters.denied, 2, "{made}");
        assert!(world.board.settled());
    }
}

#[test]
fn a_write_of_a_gate_that_was_made_anew_says_nothing_of_the_new_one() {
    let mut world = World::with(object("g", 1, json!({})));
    world.decide(Standing::Failing, false);
    let (gate, change) = world.look(Standing::Failing, 0).writes[0].clone();
    let mut again = object("g", 1, json!({}));
    again.metadata.uid = Some("another".into());
    let mut next = World { server: Server::new(again), ..world };
    assert!(next.board.take_namespaced(Change::Applied(next.server.object.clone())));
    let second = next.look(Standing::Failing, 10).writes[0].1.clone();
    assert_ne!(second.number, change.number);
    next.board.ended(&gate, change.number, Ended::NotMade, at(0));
    assert_eq!(next.look(Standing::Failing, 20).writes, [], "the second is under way");
    assert_eq!(status(&second).counters.denied, 0, "the new gate decided nothing");
}

#[test]
fn a_status_that_somebody_changed_is_put_right() {
    let mut world = World::with(object("g", 1, json!({})));
    world.turn(Standing::Failing, 0);
    world.server.store(json!({ "blocking": 0 }));
    world.seen();
    assert_eq!(world.turn(Standing::Failing, 1000), (1, None));
    assert_eq!(world.server.status().blocking, 1);
    // Again and again: not at once.
    world.server.store(json!({ "blocking": 0 }));
    world.seen();
    assert_eq!((world.turn(Standing::Failing, 1100).0, world.output.again), (0, Some(at(2))));
    assert_eq!(world.turn(Standing::Failing, 2000).0, 1);
    // An old event is no news.
    let mut old = world.server.object.clone();
    old.metadata.resource_version = Some("50".into());
    old.status = None;
    world.board.take_namespaced(Change::Applied(old));
    assert_eq!(world.turn(Standing::Failing, 9000).0, 0);
}

#[test]
fn a_gate_that_became_unreadable_stays_as_it_was() {
    let unreadable = || Change::Unreadable { namespace: Some("shop".into()), name: "g".into(), error: "x".into() };
    let mut board = new_board(vec![object("g", 1, json!({})), object("h", 1, json!({}))]);
    assert!(!board.take_namespaced(unreadable()));
    // The watch begins again: it is unreadable in the list too.
    board.take_namespaced(unreadable());
    board.take_namespaced(Change::Listed(vec![object("h", 1, json!({}))]));
    assert_eq!(board.gates().len(), 2);
    // The list of the other kind says nothing of it.
    board.take_namespaced(unreadable());
    board.take_cluster(Change::Listed(Vec::new()));
    board.take_namespaced(Change::Listed(vec![object("h", 1, json!({}))]));
    assert_eq!(board.gates().len(), 2);
    // In the next list it is gone for good.
    board.take_namespaced(Change::Listed(vec![object("h", 1, json!({}))]));
    assert_eq!(board.gates().len(), 1);
}

#[test]
fn only_a_new_spec_changes_the_gates() {
    let mut board = new_board(vec![object("g", 1, json!({}))]);
    assert!(!board.take_namespaced(Change::Applied(object("g", 1, json!({})))));
    assert!(board.take_namespaced(Change::Applied(object("g", 2, json!({"mode": "Audit"})))));
    assert_eq!(board.gates()[0].mode, crate::api::Mode::Audit);
    let mut again = object("g", 1, json!({}));
    again.metadata.uid = Some("another".into());
    assert!(board.take_namespaced(Change::Applied(again.clone())));
    assert!(board.take_namespaced(Change::Deleted(again.clone())));
    assert!(!board.take_namespaced(Change::Deleted(again)));
    assert!(!board.take_namespaced(Change::Failed {
        message: "x".into(),
        forbidden: false,
        not_found: false,
        silent: std::time::Duration::ZERO
    }));
}

mod replicas;
