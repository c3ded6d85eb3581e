#![allow(clippy::needless_pass_by_value, reason = "`json!(...)` reads best as an argument")]
use super::*;
use crate::api::Response;
use crate::core::freshness::Freshness;
use crate::core::gate::testing::{Ask as Asking, Known, fact, judged, seen, settled, spec, state, xgate};
use crate::core::gate::{CauseKind, CheckFact};
use crate::core::observation::Outcome;
use crate::core::verdict::{Evaluation, Standing};
use serde_json::{Value, json};

/// Passes if the object says so.
#[derive(Debug)]
struct AsTheObjectSays;

impl OfRequest for AsTheObjectSays {
    fn state(&self, ask: &Ask<'_>) -> State {
        let outcome = match ask.request.object["spec"]["safe"].as_bool() {
            Some(true) => Outcome::Pass,
            Some(false) => Outcome::Fail,
            None => panic!("a defect"),
        };
        assert!(ask.world.namespaces().is_none() && ask.gate.name == "chaos");
        settled(Evaluation::Observed(vec![seen(outcome)]), ask.now)
    }
}

fn asked(name: &str) -> CheckFact {
    let standing = state(Standing::Unknown);
    CheckFact { of_request: Some(Arc::new(AsTheObjectSays)), state: Arc::new(standing), ..fact("shop", name, Standing::Unknown) }
}

fn start(safe: Value) -> Asking {
    Asking::create(json!({"metadata": {"name": "kill"}, "spec": {"safe": safe}}))
}

#[test]
fn it_is_decided_for_each_request_by_what_it_says_of_that() {
    let (gate, facts) = (xgate("chaos", spec(&["a", "b"], json!({}))), Known::of([asked("a"), fact("shop", "b", Standing::Passing)]));
    let admitted = start(json!(true)).decide(&[&gate], &facts);
    let passing: Vec<_> = admitted.judgements[0].passing.iter().map(|passed| &passed.check[..]).collect();
    assert_eq!((admitted.answer, passing), (Response::Allow, vec!["a", "b"]));
    let refused = start(json!(false)).decide(&[&gate], &facts);
    assert_eq!(refused.answer, Response::Deny);
    let cause = &refused.judgements[0].causes[0];
    assert_eq!((&cause.check[..], cause.kind, cause.age_seconds), ("a", CauseKind::Failing, None));
    assert_eq!(cause.measured, Some(("1/3 ready".to_owned(), "3 ready".to_owned())));
}

#[test]
fn a_panic_is_its_own_and_does_not_pass() {
    let (gate, facts) = (xgate("chaos", spec(&["a", "b"], json!({}))), Known::of([asked("a"), fact("shop", "b", Standing::Failing)]));
    let refused = start(Value::Null).decide(&[&gate], &facts);
    let causes: Vec<_> = refused.judgements[0].causes.iter().map(|cause| (&cause.check[..], cause.kind)).collect();
    assert_eq!((refused.answer, causes), (Response::Deny, vec![("b", CauseKind::Failing), ("a", CauseKind::Unknown)]));
}

#[test]
fn without_a_request_it_neither_passes_nor_blocks() {
    let gate = xgate("chaos", spec(&["a", "b"], json!({})));
    let open = judged(&gate, &Known::of([asked("a"), fact("shop", "b", Standing::Passing)]));
    assert_eq!((open.per_request, open.causes.len(), open.required), (true, 0, 2));
    let closed = judged(&gate, &Known::of([asked("a"), fact("shop", "b", Standing::Failing)]));
    assert_eq!((closed.per_request, closed.causes.len()), (true, 1));
}

#[test]
fn it_is_not_believed_while_watches_are_not_known_to_deliver() {
    let gate = xgate("chaos", spec(&["a"], json!({})));
    let facts = Known { freshness: Freshness { proved_at: None, ..Known::of([]).freshness }, ..Known::of([asked("a")]) };
    let refused = start(json!(true)).decide(&[&gate], &facts);
    assert_eq!(refused.judgements[0].causes[0].kind, CauseKind::Unknown);
    assert!(refused.judgements[0].causes[0].message.contains("has not been heard of"), "{refused:?}");
}
