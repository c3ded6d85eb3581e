//! The input of a decision, by a fuzzer: `cargo +nightly fuzz run review`, with `cargo install cargo-fuzz` once.
//!
//! The first byte chooses. Even: the rest is a body as it comes in, and must get an answer. Odd: the rest says how a start that is refused is to be written
//! otherwise, and it must be refused all the same. A panic counts although the webhook catches it. `make test` does the same for a bounded
//! time: `src/webhook/admit/tests/hostile.rs`.

#![no_main]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

#[path = "../../src/webhook/admit/tests/hostile/rewriting.rs"]
mod rewriting;
#[path = "../../src/webhook/admit/tests/hostile/starts.rs"]
mod starts;

use holdpoint::api::{ExperimentGate, FailurePolicy};
use holdpoint::cluster::snapshot::Snapshot;
use holdpoint::core::clock_offset::Offset;
use holdpoint::core::freshness::Freshness;
use holdpoint::core::validate::experiment_gate;
use holdpoint::webhook::admit::admit;
use jiff::{SignedDuration, Timestamp};
use libfuzzer_sys::fuzz_target;
use rewriting::{Choices, restated, rewritten};
use serde_json::{Value, json};
use starts::{Start, UID, starts};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// Each start with a world whose only gate holds it. The check that the gate requires is missing, so that it is closed.
static WORLDS: LazyLock<Vec<(Start, Snapshot)>> = LazyLock::new(|| {
    let world = |start: Start| {
        let snapshot = closed_to(&start);
        (start, snapshot)
    };
    starts().into_iter().map(world).collect()
});

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn closed_to(start: &Start) -> Snapshot {
    let mut spec = json!({"checks": [{"name": "a"}], "mode": "Enforce"});
    for (name, value) in start.hold.as_object().unwrap() {
        spec[name] = value.clone();
    }
    let gate = json!({
        "apiVersion": "holdpoint.dev/v1alpha1",
        "kind": "ExperimentGate",
        "metadata": {"name": "closed", "namespace": "shop", "uid": "uid"},
        "spec": spec,
    });
    let gate: ExperimentGate = serde_json::from_value(gate).unwrap();
    let snapshot = Snapshot::default();
    snapshot.publish_gates(vec![Arc::new(experiment_gate(&gate))], true);
    snapshot.publish_checks(Vec::new(), &[], true);
    snapshot.publish_namespaces(Arc::new(HashMap::from([("shop".to_owned(), Default::default())])));
    let exact = Offset { earliest: SignedDuration::ZERO, latest: SignedDuration::ZERO };
    snapshot.publish_freshness(Freshness { proved_at: Some(now()), watermark: None, offset: Some(exact) });
    snapshot
}

fn answered(snapshot: &Snapshot, body: &[u8]) -> Value {
    let answer = admit(snapshot, FailurePolicy::Fail, body, false, now()).answer.to_json();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert!(answer["response"]["uid"].is_string() && answer["response"]["allowed"].is_boolean());
    answer["response"].clone()
}

fuzz_target!(|input: &[u8]| {
    let [first, rest @ ..] = input else { return };
    let (start, snapshot) = &WORLDS[usize::from(first >> 1) % WORLDS.len()];
    if first & 1 == 0 {
        answered(snapshot, rest);
        return;
    }
    let mut choices = Choices::new(rest);
    let restated = restated(start.review.clone(), &mut choices);
    let body = rewritten(&restated, &mut choices);
    let answer = answered(snapshot, body.as_bytes());
    assert!(answer["allowed"] == json!(false) && answer["uid"] == UID, "a start got through: {body}\n{answer}");
});
