//! How many reviews one thread judges: the body's bytes in, the answer's bytes out, without a network.

use crate::Outcome;
use crate::aims::Aims;
use crate::cluster::{gate, gate_of_preset, gate_with_expressions, review};
use crate::samples::Samples;
use crate::table::{Table, number, times};
use holdpoint::api::{ExperimentGate, FailurePolicy, Severity};
use holdpoint::clock;
use holdpoint::cluster::snapshot::Snapshot;
use holdpoint::core::clock_offset::Offset;
use holdpoint::core::freshness::{Basis, Freshness};
use holdpoint::core::gate::{CheckFact, Gate};
use holdpoint::core::validate::experiment_gate;
use holdpoint::core::verdict::{State, Verdict};
use holdpoint::webhook::admit::admit;
use holdpoint::webhook::review::Review;
use jiff::{SignedDuration, Timestamp};
use serde::de::IgnoredAny;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

/// Gates in a row of the table, each in a namespace of its own.
const APART: [usize; 3] = [10, 1000, 10_000];
/// Gates in a row, all in one namespace.
const TOGETHER: [usize; 3] = [1, 100, 1000];
/// Reviews a second on one core with 1,000 gates: what must be, and what is aimed at.
pub const LEAST_RATE: [f64; 2] = [20_000.0, 40_000.0];
/// How much longer one takes with 10,000 gates than with 10.
const MOST_GROWTH_PERCENT: f64 = 10.0;
/// How long a batch of reviews takes at least: long enough for the clock, and shorter than what the system gives a thread at once, so that
/// the median batch is one that nothing interrupted.
const BATCH: Duration = Duration::from_micros(250);
/// How long one thing is measured at a stretch, and how often.
const SLICE: Duration = Duration::from_millis(30);
const ROUNDS: usize = 20;
/// The namespace of the request.
const HERE: &str = "team-0";

/// Something to measure.
struct Subject<'a> {
    work: Box<dyn Fn() -> usize + 'a>,
    batch: u32,
    taken: Samples,
}

impl<'a> Subject<'a> {
    fn new(work: impl Fn() -> usize + 'a) -> Self {
        // The first call warms up.
        black_box(work());
        let started = clock::instant();
        black_box(work());
        let one = started.elapsed().max(Duration::from_nanos(1));
        let batch = u32::try_from(BATCH.as_nanos() / one.as_nanos()).unwrap_or(u32::MAX).max(1);
        Self { work: Box::new(work), batch, taken: Samples::default() }
    }

    fn measure(&mut self) {
        let slice = clock::instant();
        while slice.elapsed() < SLICE {
            let started = clock::instant();
            for _ in 0..self.batch {
                black_box((self.work)());
            }
            self.taken.push(started.elapsed());
        }
    }

    fn per_second(&self) -> f64 {
        f64::from(self.batch) / self.taken.percentile(50).as_secs_f64()
    }
}

/// A kind of world to judge in.
struct World {
    name: &'static str,
    gate: fn(&str, &str) -> Value,
    /// Whether each gate has a namespace of its own, so that one of them holds the request; if not, all do.
    apart: bool,
    passes: bool,
}

const WORLDS: [World; 6] = [
    World { name: "a gate in each namespace; one holds the request", gate, apart: true, passes: true },
    World { name: "  the same, refused", gate, apart: true, passes: false },
    World { name: "  the same, by a preset", gate: gate_of_preset, apart: true, passes: true },
    World { name: "  the same, with matchConditions and start", gate: gate_with_expressions, apart: true, passes: true },
    World { name: "all gates in one namespace; all hold the request", gate, apart: false, passes: true },
    World { name: "  the same, with matchConditions and start", gate: gate_with_expressions, apart: false, passes: true },
];

impl World {
    const fn gates(&self) -> [usize; 3] {
        if self.apart { APART } else { TOGETHER }
    }
}

/// Measures.
pub fn run(aims: &mut Aims) -> Outcome<Vec<Table>> {
    let now = clock::now();
    let body = review(HERE);
    let mut subjects = stages(&body, now)?;
    let stages = subjects.len();
    for world in &WORLDS {
        for gates in world.gates() {
            let snapshot = snapshot(world, gates, now)?;
            let judged = move |body: &[u8]| admit(&snapshot, FailurePolicy::Fail, body, false, now);
            let admitted = judged(&body);
            let holding = admitted.record.map_or(0, |record| record.decision.judgements.len());
            if admitted.answer.allowed != world.passes || holding != if world.apart { 1 } else { gates } {
                return Err(format!(
                    "{}: {holding} of {gates} gates hold the request, and it is answered with {:?}",
                    world.name, admitted.answer
                )
                .into());
            }
            let body = &body;
            subjects.push(Subject::new(move || judged(body).answer.to_json().len()));
        }
    }
    let mut order: Vec<usize> = (0..subjects.len()).collect();
    for _ in 0..ROUNDS {
        fastrand::shuffle(&mut order);
        for index in &order {
            if let Some(subject) = subjects.get_mut(*index) {
                subject.measure();
            }
        }
    }
    let rates: Vec<f64> = subjects.iter().map(Subject::per_second).collect();
    let (stages, worlds) = rates.split_at(stages);
    let one = worlds.first().copied().unwrap_or_default();
    Ok([whereabouts(stages, one, body.len())].into_iter().chain(tables(worlds, body.len(), aims)).collect())
}

/// What an answer consists of, measured by itself.
fn stages(body: &[u8], now: Timestamp) -> Outcome<Vec<Subject<'_>>> {
    let [world, ..] = &WORLDS;
    let snapshot = snapshot(world, 1, now)?;
    let answer = admit(&snapshot, FailurePolicy::Fail, body, false, now).answer;
    Ok(vec![
        Subject::new(|| usize::from(serde_json::from_slice::<IgnoredAny>(body).is_ok())),
        Subject::new(|| serde_json::from_slice::<Value>(body).map_or(0, |value| usize::from(value.is_object()))),
        Subject::new(|| Review::parse(body).map_or(0, |review| review.head.uid.len())),
        Subject::new(move || answer.to_json().len()),
    ])
}

/// Where the time of one review goes: each row holds the one above it, up to the whole.
fn whereabouts(stages: &[f64], whole: f64, bytes: usize) -> Table {
    let title = format!("Where the time of one review goes: {bytes} bytes, 10 gates, one holds the request; microseconds");
    let mut table = Table::new(title, &["", "each", "of the whole"]);
    let whole = 1e6 / whole;
    let each = |at: usize| stages.get(at).map_or(0.0, |rate| 1e6 / rate);
    let mut row = |name: &str, each: f64| table.row(name, [number(each), format!("{:.0} %", each / whole * 100.0)]);
    row("going over the bytes as JSON, nothing kept", each(0));
    row("the same into a tree of values", each(1));
    row("reading the review: the same, and its head", each(2));
    row("deciding: what is left", (whole - each(2) - each(3)).max(0.0));
    row("writing the answer", each(3));
    row("the whole", whole);
    table
}

fn tables(rates: &[f64], bytes: usize, aims: &mut Aims) -> [Table; 2] {
    let title = format!("Reviews a second on one thread, without a network: a review of {bytes} bytes");
    let mut apart = Table::new(title, &["", "10 gates", "1,000", "10,000", "1,000 to 10", "10,000 to 10"]);
    let mut together = Table::new("The same where gates share a namespace", &["", "1 gate", "100", "1,000", "100 to 1", "1,000 to 1"]);
    for (world, rates) in WORLDS.iter().zip(rates.chunks(3)) {
        let [few, many, most] = rates else { continue };
        let cells = [number(*few), number(*many), number(*most), times(many / few), times(most / few)];
        let name = world.name.trim_start().trim_start_matches("the same, ");
        if world.apart {
            apart.row(world.name, cells);
            for least in LEAST_RATE {
                aims.at_least(format!("Reviews a second on one thread, 1,000 gates: {name}"), *many, least);
            }
            aims.at_most(format!("p50 with 10,000 gates beyond that with 10, %: {name}"), (few / most - 1.0) * 100.0, MOST_GROWTH_PERCENT);
        } else {
            together.row(world.name, cells);
        }
    }
    [apart, together]
}

fn snapshot(world: &World, gates: usize, now: Timestamp) -> Outcome<Snapshot> {
    let namespace = |number: usize| if world.apart { format!("team-{number}") } else { HERE.to_owned() };
    let mut all = Vec::new();
    let mut facts = Vec::new();
    for number in 0..gates {
        let (namespace, check) = (namespace(number), format!("check-{number}"));
        all.push(Arc::new(parsed((world.gate)(&format!("gate-{number}"), &check), &namespace)?));
        facts.push(fact(&namespace, &check, world.passes, now)?);
    }
    let labels = |namespace: String| (namespace.clone(), BTreeMap::from([("kubernetes.io/metadata.name".to_owned(), namespace)]));
    let snapshot = Snapshot::default();
    snapshot.publish_namespaces(Arc::new((0..gates).map(namespace).map(labels).collect()));
    let exact = Offset { earliest: SignedDuration::ZERO, latest: SignedDuration::ZERO };
    snapshot.publish_freshness(Freshness { proved_at: Some(now), watermark: None, offset: Some(exact) });
    snapshot.publish_checks(facts, &[], true);
    snapshot.publish_gates(all, true);
    Ok(snapshot)
}

fn parsed(gate: Value, namespace: &str) -> Outcome<Gate> {
    let mut object: ExperimentGate = serde_json::from_value(gate)?;
    object.metadata.namespace = Some(namespace.to_owned());
    let gate = experiment_gate(&object);
    match gate.problems.first() {
        None => Ok(gate),
        Some(problem) => Err(problem.to_string().into()),
    }
}

fn fact(namespace: &str, name: &str, passes: bool, now: Timestamp) -> Outcome<CheckFact> {
    let (verdict, reason) = if passes { (Verdict::Passing, "AllPassed") } else { (Verdict::Failing, "TargetsFailing") };
    let state = State {
        verdict,
        evaluated_at: Some(now),
        stale_at: Some(now.checked_add(SignedDuration::from_hours(1))?),
        ..State::unevaluated(reason, "3 of 3 replicas are available", VecDeque::new())
    };
    Ok(CheckFact {
        namespace: namespace.into(),
        name: name.into(),
        labels: Arc::default(),
        severity: Severity::Required,
        priority: 10,
        remediation: None,
        when: None,
        of_request: None,
        state: Arc::new(state),
        basis: Basis::Observed,
    })
}
