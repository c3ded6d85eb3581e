#![allow(clippy::needless_pass_by_value, reason = "`json!(...)` reads best as an argument")]

use super::super::plan::ReadReferences;
use super::*;
use crate::core::netpolicy::NetworkPolicy;
use crate::probe::net::Dialer;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

/// Answers every question with the same, or with nothing at all.
struct Answers(Option<Result<KeyStates, ReferenceError>>);

impl ReadReferences for Answers {
    fn read<'a>(&'a self, _: ReferenceKind, _: &'a str, _: &'a str, _: &'a str) -> BoxFuture<'a, Result<Vec<u8>, ReferenceError>> {
        unreachable!("the probe asks for no value")
    }

    fn keys<'a>(&'a self, _: ReferenceKind, _: &'a str, _: &'a str, _: &'a [String]) -> BoxFuture<'a, Result<KeyStates, ReferenceError>> {
        Box::pin(async {
            match self.0.clone() {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        })
    }
}

fn parse(spec: Value) -> Result<Keys, Vec<String>> {
    let mut problems = Vec::new();
    let parsed = Keys::parse(&serde_json::from_value(spec).unwrap(), "spec.probe.keys", &mut problems);
    parsed.ok_or_else(|| problems.iter().map(Problem::to_string).collect())
}

async fn observe(spec: Value, answer: Option<Result<KeyStates, ReferenceError>>) -> Observation {
    let outbound = Outbound {
        dialer: Dialer::new(NetworkPolicy::default()),
        references: Arc::new(Answers(answer)),
        service_account: Arc::from("holdpoint-system:holdpoint"),
    };
    let keys = parse(spec).unwrap();
    keys.observe(&outbound, "shop", Duration::from_millis(50)).await
}

fn credentials() -> Value {
    json!({"secret": "db", "keys": ["username", "password", "url"]})
}

fn holds(asked: &[KeyState], any_filled: bool) -> KeyStates {
    KeyStates { asked: asked.to_vec(), any_filled }
}

#[tokio::test]
async fn all_keys_must_be_there_and_have_a_value() {
    use KeyState::{Empty, Filled, Missing};
    for (found, outcome, reason, message, value) in [
        ([Filled, Filled, Filled], Outcome::Pass, KEYS_PRESENT, "3/3 keys with a value", "3/3 keys with a value"),
        ([Filled, Missing, Filled], Outcome::Fail, KEY_MISSING, "it has no key password", "2/3 keys with a value"),
        ([Missing, Missing, Empty], Outcome::Fail, KEY_MISSING, "it has no key username, password; empty: url", "0/3 keys with a value"),
        ([Filled, Empty, Filled], Outcome::Fail, KEY_EMPTY, "empty: password", "2/3 keys with a value"),
    ] {
        let seen = observe(credentials(), Some(Ok(holds(&found, true)))).await;
        assert_eq!((seen.target.as_str(), seen.outcome, seen.reason, seen.message.as_str()), ("Secret/db", outcome, reason, message));
        assert_eq!((seen.value.as_deref(), seen.required.as_deref()), (Some(value), Some("3/3 keys with a value")));
    }
}

#[tokio::test]
async fn without_keys_any_value_will_do() {
    let spec = json!({"configMap": "flags"});
    let seen = observe(spec.clone(), Some(Ok(holds(&[], true)))).await;
    assert_eq!(
        (seen.target.as_str(), seen.outcome, seen.message.as_str()),
        ("ConfigMap/flags", Outcome::Pass, "it has a key with a value")
    );
    let seen = observe(spec, Some(Ok(holds(&[], false)))).await;
    assert_eq!((seen.outcome, seen.reason, seen.message.as_str()), (Outcome::Fail, KEY_EMPTY, "it has no key with a value"));
}

#[tokio::test]
async fn what_is_not_there_fails_and_what_cannot_be_asked_is_an_error() {
    for (answer, outcome, reason, message) in [
        (Some(Err(ReferenceError::NotFound)), Outcome::Fail, OBJECT_MISSING, "there is no Secret db in namespace shop"),
        (Some(Err(ReferenceError::Unreadable("reset".to_owned()))), Outcome::Error, FETCH_FAILED, "cannot be read: reset"),
        (None, Outcome::Error, TIMEOUT, "no answer from the API server within 0 s"),
        // An answer about fewer keys than were asked about.
        (Some(Ok(holds(&[KeyState::Filled], true))), Outcome::Error, FETCH_FAILED, "the answer is not about all keys"),
    ] {
        let seen = observe(credentials(), answer).await;
        assert_eq!((seen.outcome, seen.reason, seen.message.as_str()), (outcome, reason, message));
    }
    let seen = observe(credentials(), Some(Err(ReferenceError::Forbidden))).await;
    assert_eq!((seen.outcome, seen.reason), (Outcome::Error, FORBIDDEN));
    assert_eq!(
        seen.message,
        "may not read Secret db; grant it: kubectl -n shop create role holdpoint-db --verb=get --resource=secrets --resource-name=db \
         && kubectl -n shop create rolebinding holdpoint-db --role=holdpoint-db --serviceaccount=holdpoint-system:holdpoint"
    );
}

#[test]
fn what_it_fetches_is_named_for_the_authorisation() {
    assert_eq!(parse(credentials()).unwrap().references(), [Reference { kind: ReferenceKind::Secret, name: "db".to_owned() }]);
    assert_eq!(
        parse(json!({"configMap": "a.b-c"})).unwrap().references(),
        [Reference { kind: ReferenceKind::ConfigMap, name: "a.b-c".to_owned() }]
    );
}

#[test]
fn what_cannot_work_is_named() {
    let one = "spec.probe.keys: exactly one of secret and configMap is required";
    assert_eq!(parse(json!({})).unwrap_err(), [one]);
    assert_eq!(parse(json!({"secret": "a", "configMap": "b"})).unwrap_err(), [one]);
    for name in ["", "../other", "a/b", "a?b", "a#b", "A", "a b", "-a", "a-", "a..b", ".a", "a%2fb", &"a".repeat(254)] {
        let problems = parse(json!({"secret": name, "keys": ["a"]})).unwrap_err();
        assert_eq!(problems.len(), 1, "{name}");
        assert!(problems[0].starts_with("spec.probe.keys.secret: ") && problems[0].ends_with(" is not a name of a Secret"), "{problems:?}");
    }
    assert_eq!(
        parse(json!({"configMap": "a", "keys": ["ok", "a/b", "", "ok"]})).unwrap_err(),
        [
            "spec.probe.keys.keys[1]: \"a/b\" is not a key of a ConfigMap",
            "spec.probe.keys.keys[2]: \"\" is not a key of a ConfigMap",
            "spec.probe.keys.keys[3]: \"ok\" is there twice",
        ]
    );
    let many: Vec<String> = (0..65).map(|n| format!("k{n}")).collect();
    assert_eq!(parse(json!({"secret": "a", "keys": many})).unwrap_err(), ["spec.probe.keys.keys: at most 64 keys can be asked about"]);
}

proptest! {
    #[test]
    fn any_text_is_a_probe_or_a_problem(name in any::<String>(), keys in proptest::collection::vec(any::<String>(), 0..4)) {
        if let Ok(keys) = parse(json!({"secret": name, "keys": keys})) {
            prop_assert!(!keys.target().contains("..") && keys.target().matches('/').count() == 1);
        }
    }
}
