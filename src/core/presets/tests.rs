//! What each preset holds and lets pass, by tables: operation, state, author. What is decided is what is printed, on arbitrary objects.

#![allow(clippy::needless_pass_by_value, reason = "`json!(...)` reads best as an argument")]

mod agreement;
mod chaos;
mod kubevirt;
mod others;

use super::term::{Asked, Term};
use super::*;
use crate::core::expr::{Bindings, server};
use serde_json::{Value, json};

const USER: &str = "alice";

fn account(path: &str) -> String {
    format!("system:serviceaccount:{}", path.replace('/', ":"))
}

/// A request for `plural.group`.
#[derive(Clone, Debug)]
struct Case {
    preset: Preset,
    group: &'static str,
    plural: &'static str,
    user: String,
    old: Option<Value>,
    new: Value,
}

fn create(preset: Preset, (plural, group): (&'static str, &'static str), new: Value) -> Case {
    Case { preset, group, plural, user: USER.to_owned(), old: None, new }
}

fn update(preset: Preset, resource: (&'static str, &'static str), old: Value, new: Value) -> Case {
    Case { old: Some(old), ..create(preset, resource, new) }
}

impl Case {
    fn by(mut self, path: &str) -> Self {
        self.user = account(path);
        self
    }

    /// Whether it is looked at and a start; the API server must come to the same.
    fn is_start(&self) -> bool {
        self.is_start_with(&[])
    }

    fn is_start_with(&self, repositories: &[String]) -> bool {
        let operation = if self.old.is_some() { Operation::Update } else { Operation::Create };
        let asked = Asked { operation, user: &self.user, namespace: "shop", object: &self.new, old_object: self.old.as_ref() };
        let holds = Catalog::default().holds(self.preset, repositories);
        let hold = holds.iter().find(|h| h.group == self.group && h.resources.contains(&self.plural)).expect("a held resource");
        let decided = hold.starts(&asked);
        assert_eq!(evaluate(&hold.cel(), &asked), Ok(decided), "{self:?}\n{}", hold.cel());
        decided
    }

    fn starts(&self) {
        assert!(self.is_start(), "passes, and is a start: {self:?}");
    }

    fn passes(&self) {
        assert!(!self.is_start(), "is held, and starts nothing: {self:?}");
    }
}

fn evaluate(cel: &str, asked: &Asked<'_>) -> Result<bool, String> {
    let operation = match asked.operation {
        Operation::Create => "CREATE",
        Operation::Update => "UPDATE",
    };
    let request = json!({"operation": operation, "namespace": asked.namespace, "userInfo": {"username": asked.user}});
    server::evaluate(cel, &Bindings::new(asked.object, asked.old_object, &request))
}

/// An object with this spec.
fn spec(spec: Value) -> Value {
    json!({"metadata": {"name": "x", "namespace": "shop"}, "spec": spec})
}

fn with(mut object: Value, field: &str, value: Value) -> Value {
    object["metadata"][field] = value;
    object
}

fn annotated(object: Value, key: &str, value: &str) -> Value {
    with(object, "annotations", json!({ key: value }))
}

fn owned(object: Value, version: &str, kind: &str) -> Value {
    with(object, "ownerReferences", json!([{"apiVersion": version, "kind": kind, "name": "p", "uid": "u", "controller": true}]))
}

#[test]
fn no_two_entries_of_a_preset_hold_the_same_resource_and_each_says_why() {
    for preset in Preset::ALL {
        let holds = Catalog::default().holds(preset, &[]);
        let mut resources: Vec<_> = holds.iter().flat_map(|h| h.resources.iter().map(|r| (h.group, *r))).collect();
        assert!(!resources.is_empty());
        resources.sort_unstable();
        let before = resources.len();
        resources.dedup();
        assert_eq!(resources.len(), before, "{preset:?}");
        for hold in holds.iter() {
            assert!(hold.operations().count() > 0 && !hold.start.is_empty() && !hold.passes.is_empty(), "{hold:?}");
        }
    }
}

#[test]
fn accounts_are_read_strictly_and_replace_the_defaults_of_their_tool_only() {
    for wrong in [
        "",
        "Krkn",
        "krkn=a/b",
        "Krkn=a",
        "Krkn=a/",
        "Krkn=/b",
        "Krkn=A/b",
        "Krkn=a/b/c",
        "Krkn=a.b/c",
        "Krkn=a /b",
        "Krkn=-a/b",
        "Nix=a/b",
    ] {
        assert!(wrong.parse::<ControllerAccount>().is_err(), "{wrong}");
    }
    let parsed: Vec<ControllerAccount> = ["Krkn=chaos/krkn.one", "Krkn=chaos/two"].iter().map(|text| text.parse().unwrap()).collect();
    let accounts = Accounts::new(&parsed, ("ops", "guard"));
    assert_eq!(*accounts.of(Preset::Krkn), [account("chaos/krkn.one"), account("chaos/two")]);
    assert_eq!(*accounts.of(Preset::ChaosMesh), [account("chaos-mesh/chaos-controller-manager")]);
    assert_eq!(*accounts.operator(), [account("ops/guard")]);
    assert!(accounts.has(&account("chaos/two")) && !accounts.has(&account("krkn-operator-system/krkn-operator-controller-manager")));
    // Each default is sound.
    for preset in [Preset::ChaosMesh, Preset::Litmus, Preset::Krkn, Preset::Datadog, Preset::KubeVirt, Preset::ArgoWorkflows] {
        assert!(!Accounts::default().of(preset).is_empty(), "{preset:?}");
    }
}

#[test]
fn an_update_of_which_the_old_object_is_not_told_is_a_start() {
    for preset in Preset::ALL {
        for hold in Catalog::default().holds(preset, &[]).iter().filter(|h| h.update.is_some()) {
            let object = spec(json!({}));
            let asked = Asked { operation: Operation::Update, user: USER, namespace: "shop", object: &object, old_object: None };
            assert!(hold.starts(&asked));
            assert_eq!(evaluate(&hold.cel(), &asked), Ok(true));
        }
    }
}

/// What no tool ever writes in an update that only reports: metadata, finalizers, status.
#[test]
fn an_update_of_metadata_and_status_alone_is_no_start_of_anything() {
    let bare = json!({"metadata": {"name": "x"}, "spec": {}});
    let full = spec(json!({
        "replicas": 2, "parallelism": 3, "count": "50%", "mode": "all", "value": "3", "action": "delay", "runStrategy": "Always",
        "selector": {"namespaces": ["shop"], "labelSelectors": {"app": "a"}}, "engineState": "active", "experiments": [{"name": "a"}],
        "containers": [{"name": "a", "image": "nginx"}], "template": {"spec": {"containers": [{"image": "nginx"}]}},
    }));
    for preset in Preset::ALL {
        for hold in Catalog::default().holds(preset, &[]).iter().filter(|h| h.update.is_some()) {
            for old in [&bare, &full] {
                let mut new = old.clone();
                new["metadata"]["finalizers"] = json!(["a/b"]);
                new["metadata"]["labels"] = json!({"a": "b"});
                new["status"] = json!({"phase": "Running", "ready": true, "replicas": 7, "experiment": {"desiredPhase": "Run"}});
                let asked = Asked { operation: Operation::Update, user: USER, namespace: "shop", object: &new, old_object: Some(old) };
                assert!(!hold.starts(&asked), "{} {:?}", hold.group, hold.resources);
                assert_eq!(evaluate(&hold.cel(), &asked), Ok(false));
            }
        }
    }
}
