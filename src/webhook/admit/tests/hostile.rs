//! Whatever comes in, an answer goes out: no panic, valid JSON, the uid; and no start gets through by being written otherwise.

#[allow(unreachable_pub, missing_docs, reason = "the fuzz target uses the same files")]
mod rewriting;
#[allow(unreachable_pub, reason = "the fuzz target uses the same files")]
mod starts;

use super::*;
use rewriting::{Choices, restated, rewritten};
use starts::{Start, starts};

/// A world in which the only gate, which holds the start, is closed.
fn closed_to(start: &Start) -> Snapshot {
    let mut spec = json!({"checks": [{"name": "a"}], "mode": "Enforce"});
    for (name, value) in start.hold.as_object().unwrap() {
        spec[name] = value.clone();
    }
    snapshot(Standing::Failing, vec![xgate("closed", spec)])
}

/// One of the starts.
fn one(which: prop::sample::Index) -> Start {
    let mut starts = starts();
    let at = which.index(starts.len());
    starts.swap_remove(at)
}

/// The answer as the API server reads it.
fn answered(snapshot: &Snapshot, entry: FailurePolicy, body: &[u8]) -> Value {
    let answer = admit(snapshot, entry, body, false, at(0)).answer.to_json();
    let read: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!((&read["apiVersion"], &read["kind"]), (&json!("admission.k8s.io/v1"), &json!("AdmissionReview")));
    assert!(read["response"]["uid"].is_string() && read["response"]["allowed"].is_boolean(), "{read}");
    let told = read["response"]["status"]["message"].as_str().unwrap_or_default();
    assert!(!told.contains("the operator itself failed"), "a panic on {}", String::from_utf8_lossy(body));
    read["response"].clone()
}

#[test]
fn each_start_is_refused_as_it_stands() {
    for start in starts() {
        let answer = answered(&closed_to(&start), FailurePolicy::Fail, start.review.to_string().as_bytes());
        assert_eq!((&answer["allowed"], &answer["uid"]), (&json!(false), &json!(UID)), "{} {}: {answer}", start.hold, start.review);
    }
}

/// Any JSON, not too deep.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop_oneof!["true", "1", "active", "stop", "Always", "kill", "", "2026-01-01T00:00:00Z"].prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let key = prop_oneof![
            "[a-z]{1,4}",
            Just("spec".to_owned()),
            Just("metadata".to_owned()),
            Just("name".to_owned()),
            Just("labels".to_owned()),
            Just("annotations".to_owned()),
            Just("ownerReferences".to_owned()),
            Just("mode".to_owned()),
            Just("count".to_owned()),
            Just("engineState".to_owned()),
            Just("runStrategy".to_owned()),
            Just("status".to_owned()),
            Just("stateChangeRequests".to_owned()),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key, inner, 0..5).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        answered(&closed(), FailurePolicy::Fail, &bytes);
        answered(&closed(), FailurePolicy::Ignore, &bytes);
    }

    #[test]
    fn any_json_as_a_review_gets_an_answer(json in any_json(), place in 0..9_usize, which in any::<prop::sample::Index>()) {
        let start = one(which);
        let places = ["", "/request", "/request/object", "/request/oldObject", "/request/object/spec", "/request/object/metadata",
            "/request/userInfo", "/request/oldObject/spec", "/request/resource"];
        let mut review = start.review.clone();
        if let Some(found) = review.pointer_mut(places[place]) {
            *found = json;
        }
        let answer = answered(&closed_to(&start), FailurePolicy::Fail, review.to_string().as_bytes());
        // Where the uid can be read, it is given back.
        if let Some(uid) = review.pointer("/request/uid").and_then(Value::as_str) {
            prop_assert_eq!(&answer["uid"], uid);
        }
    }

    #[test]
    fn no_start_gets_through_by_being_written_otherwise(choices in prop::collection::vec(any::<u8>(), 0..600), which in any::<prop::sample::Index>()) {
        let start = one(which);
        let mut choices = Choices::new(&choices);
        let restated = restated(start.review.clone(), &mut choices);
        let body = rewritten(&restated, &mut choices);
        let answer = answered(&closed_to(&start), FailurePolicy::Fail, body.as_bytes());
        prop_assert_eq!((&answer["allowed"], &answer["uid"]), (&json!(false), &json!(UID)), "{}", body);
    }

    /// Cutting a body short, or changing a byte of it, may make it another question, but never takes the answer away.
    #[test]
    fn a_damaged_review_gets_an_answer(which in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()) {
        let start = one(which);
        let mut body = start.review.to_string().into_bytes();
        let at = at.index(body.len());
        if cut { body.truncate(at) } else { body[at] = byte }
        answered(&closed_to(&start), FailurePolicy::Fail, &body);
    }
}
