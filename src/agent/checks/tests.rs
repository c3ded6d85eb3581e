use super::*;
use futures::stream;
use serde_json::{Value, json};

fn check(name: &str, targets: &Value, host: &Value) -> DynamicObject {
    let spec = json!({"targets": targets, "probe": {"host": host}});
    let object = json!({"apiVersion": "holdpoint.dev/v1alpha1", "kind": "PreflightCheck", "metadata": {"name": name, "namespace": "team"}, "spec": spec});
    serde_json::from_value(object).unwrap()
}

fn disk(path: &str) -> Value {
    json!({"disk": [{"path": path, "minFree": "1Gi"}]})
}

fn checks(events: Vec<Event<DynamicObject>>) -> Checks {
    let mut checks = Checks::new(stream::empty().boxed());
    for event in events {
        checks.take(event);
    }
    checks
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn only_checks_that_could_select_the_host_are_wanted() {
    let all = checks(vec![
        Event::Init,
        Event::InitApply(check("named", &json!({"source": "Hosts", "name": "a"}), &disk("/a"))),
        Event::InitApply(check("other", &json!({"source": "Hosts", "name": "b"}), &disk("/b"))),
        Event::InitApply(check("metal", &json!({"source": "Hosts", "selector": {"matchLabels": {"metal": "yes"}}}), &disk("/m"))),
        Event::InitApply(check("all", &json!({"source": "Hosts", "selector": {}}), &disk("/all"))),
        Event::InitApply(check("objects", &json!({"source": "Objects", "name": "a"}), &disk("/x"))),
        Event::InitApply(check("both", &json!({"source": "Hosts", "name": "a", "selector": {}}), &disk("/x"))),
        Event::InitApply(check("hostile", &json!({"source": "Hosts", "name": "a"}), &disk("/../x"))),
        Event::InitApply(check("newer", &json!({"source": "Hosts", "name": "a"}), &json!({"disk": "all"}))),
        Event::InitDone,
    ]);
    assert!(all.complete());
    let count = |host: &str, pairs: &[(&str, &str)]| all.wanted(host, &labels(pairs)).len();
    assert_eq!((count("a", &[]), count("a", &[("metal", "yes")]), count("c", &[])), (2, 3, 1));
}

#[test]
fn a_change_is_one_of_what_is_asked_and_nothing_else() {
    let named = json!({"source": "Hosts", "name": "a"});
    let mut all = checks(vec![Event::Init, Event::InitApply(check("one", &named, &disk("/a"))), Event::InitDone]);
    let mut written = check("one", &named, &disk("/a"));
    written.data["status"] = json!({"verdict": "Passing"});
    assert!(!all.take(Event::Apply(written)), "a status");
    assert!(all.take(Event::Apply(check("one", &named, &disk("/b")))));
    assert!(all.take(Event::Apply(check("one", &json!({"source": "Hosts", "selector": {}}), &disk("/b")))));
    let mut suspended = check("one", &named, &disk("/b"));
    suspended.data["spec"]["suspend"] = json!(true);
    assert!(all.take(Event::Apply(suspended.clone())));
    assert!(all.wanted("a", &labels(&[])).is_empty());
    assert!(!all.take(Event::Apply(suspended.clone())));
    assert!(!all.take(Event::Delete(suspended)));
}

#[test]
fn a_new_list_replaces_what_was_known_only_when_it_is_complete() {
    let named = json!({"source": "Hosts", "name": "a"});
    let mut all = checks(vec![Event::Init, Event::InitApply(check("one", &named, &disk("/a"))), Event::InitDone]);
    all.take(Event::Init);
    assert_eq!(all.wanted("a", &labels(&[])).len(), 1);
    assert!(all.take(Event::InitDone));
    assert!(all.wanted("a", &labels(&[])).is_empty());
}
