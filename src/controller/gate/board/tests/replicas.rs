//! Several replicas and whatever can happen between them and the API server: every decision is in the status exactly once, and every transition
//! is told at most once.

use super::*;
use proptest::prelude::*;

/// A replica and its connection: writes under way, and what the watch has not brought yet.
struct Replica {
    board: Board,
    under_way: Vec<(GateKey, StatusChange)>,
    /// Writes whose answer was lost before they were made or not.
    late: Vec<StatusChange>,
    unseen: Vec<ExperimentGate>,
    told: Vec<bool>,
    decided: i64,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Decide(usize),
    Look {
        replica: usize,
        leads: bool,
        passing: bool,
    },
    /// A write arrives, and its answer too.
    Answer(usize),
    /// A write arrives, its answer does not.
    LoseAnswer(usize),
    /// The connection breaks; the write may arrive later, or never.
    LoseRequest {
        replica: usize,
        ever: bool,
    },
    /// Such a write arrives.
    ArriveLate(usize),
    /// The watch brings one version; all; or begins again with a list.
    See(usize),
    SeeAll(usize),
    List(usize),
    Wait(i64),
}

fn step() -> impl Strategy<Value = Step> {
    let replica = || 0_usize..3;
    prop_oneof![
        3 => replica().prop_map(Step::Decide),
        6 => (replica(), any::<bool>(), any::<bool>()).prop_map(|(replica, leads, passing)| Step::Look { replica, leads, passing }),
        4 => replica().prop_map(Step::Answer),
        2 => replica().prop_map(Step::LoseAnswer),
        2 => (replica(), any::<bool>()).prop_map(|(replica, ever)| Step::LoseRequest { replica, ever }),
        2 => replica().prop_map(Step::ArriveLate),
        3 => replica().prop_map(Step::See),
        2 => replica().prop_map(Step::SeeAll),
        1 => replica().prop_map(Step::List),
        4 => (0_i64..1500).prop_map(Step::Wait),
    ]
}

struct Cluster {
    server: Server,
    replicas: Vec<Replica>,
    ms: i64,
    /// How often the gate opened or closed, as it is stored.
    transitions: usize,
}

impl Cluster {
    fn new() -> Self {
        let server = Server::new(object("g", 1, json!({})));
        let replica = |name: &str| {
            let mut board = Board::new(name.to_owned(), Arc::default());
            board.take_namespaced(Change::Listed(vec![server.object.clone()]));
            board.take_cluster(Change::Listed(Vec::new()));
            board.found(&key("g"), Found::default());
            Replica { board, under_way: Vec::new(), late: Vec::new(), unseen: Vec::new(), told: Vec::new(), decided: 0 }
        };
        Self { replicas: ["a", "b", "c"].map(replica).into(), server, ms: 0, transitions: 0 }
    }

    fn write(&mut self, change: &StatusChange) -> Ended {
        let before = openness(&self.server.status()).map(|(open, _)| open);
        let ended = self.server.write(change);
        if let Ended::Made(_) = ended {
            let after = openness(&self.server.status()).map(|(open, _)| open);
            self.transitions += usize::from(after.is_some() && before.map_or(after == Some(false), |_| before != after));
            for replica in &mut self.replicas {
                replica.unseen.push(self.server.object.clone());
            }
        }
        ended
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Wait(ms) => self.ms += ms,
            Step::Decide(n) => {
                self.replicas[n].decided += 1;
                decide(&mut self.replicas[n].board, Standing::Failing, false, 0);
            }
            Step::Look { replica, leads, passing } => {
                let (facts, registered) = (facts(if passing { Standing::Passing } else { Standing::Failing }), registered(&["g"]));
                let leader = leads.then_some(Leader { term: 1, facts: &facts, registered: &registered });
                let replica = &mut self.replicas[replica];
                let output = replica.board.look(leader, pace(self.ms));
                replica.told.extend(output.turned.iter().map(|turned| turned.open));
                replica.under_way.extend(output.writes);
                assert!(replica.under_way.len() <= 1, "one write at a time");
            }
            Step::Answer(n) => self.end(n, Self::write),
            Step::LoseAnswer(n) => self.end(n, |cluster, change| {
                cluster.write(change);
                Ended::Unanswered
            }),
            Step::LoseRequest { replica, ever } => self.end(replica, |cluster, change| {
                if ever {
                    cluster.replicas[replica].late.push(change.clone());
                }
                Ended::Unanswered
            }),
            Step::ArriveLate(n) => {
                if let Some(change) = self.replicas[n].late.pop() {
                    self.write(&change);
                }
            }
            Step::See(n) => {
                let replica = &mut self.replicas[n];
                if !replica.unseen.is_empty() {
                    replica.board.take_namespaced(Change::Applied(replica.unseen.remove(0)));
                }
            }
            Step::SeeAll(n) => {
                let replica = &mut self.replicas[n];
                for object in replica.unseen.drain(..) {
                    replica.board.take_namespaced(Change::Applied(object));
                }
            }
            // What was on its way on the old connection does not come any more.
            Step::List(n) => {
                let replica = &mut self.replicas[n];
                replica.unseen.clear();
                replica.board.take_namespaced(Change::Listed(vec![self.server.object.clone()]));
            }
        }
    }

    fn end(&mut self, n: usize, how: impl Fn(&mut Self, &StatusChange) -> Ended) {
        if let Some((gate, change)) = self.replicas[n].under_way.pop() {
            let ended = how(self, &change);
            let now = pace(self.ms).now;
            self.replicas[n].board.ended(&gate, change.number, ended, now);
        }
    }

    /// Everything works again, for long enough.
    fn calm(&mut self) {
        for _ in 0..12 {
            for n in 0..self.replicas.len() {
                self.take(Step::Answer(n));
                self.take(Step::SeeAll(n));
                self.take(Step::Wait(2000));
                self.take(Step::Look { replica: n, leads: false, passing: false });
                self.take(Step::Answer(n));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn every_decision_is_stored_exactly_once_whatever_is_lost(steps in prop::collection::vec(step(), 1..120)) {
        let mut cluster = Cluster::new();
        for step in steps {
            cluster.take(step);
            let decided: i64 = cluster.replicas.iter().map(|replica| replica.decided).sum();
            prop_assert!(cluster.server.status().counters.denied <= decided, "counted twice");
        }
        cluster.calm();
        let decided: i64 = cluster.replicas.iter().map(|replica| replica.decided).sum();
        prop_assert_eq!(cluster.server.status().counters.denied, decided);
        prop_assert!(cluster.replicas.iter().all(|replica| replica.board.settled()));
        let told: usize = cluster.replicas.iter().map(|replica| replica.told.len()).sum();
        prop_assert!(told <= cluster.transitions, "{} told of {}", told, cluster.transitions);
        prop_assert!(cluster.server.status().recorders.len() <= 3);
    }
}
