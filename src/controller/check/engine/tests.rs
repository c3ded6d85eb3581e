//! The engine, told things and asked what it wants. The clock is a number.

#![allow(clippy::needless_pass_by_value, reason = "`json!(...)` reads best as an argument")]

use super::super::access::Access;
use super::*;
use crate::api::PreflightCheckStatus;
use crate::api::conditions::{PASSING, READY, get};
use crate::cluster::discovery::Served;
use crate::core::freshness::{Freshness, standing};
use crate::core::gate::testing::at;
use crate::core::observation::{Observation, Outcome};
use crate::core::verdict::Standing;
use kube::api::DynamicObject;
use kube::core::discovery::ApiResource;
use serde_json::{Value, json};

mod asks;
mod following;
mod lifecycle;
mod live;
mod probed;
mod relations;

const RETRY: SignedDuration = SignedDuration::from_secs(1);

/// An engine, its clock, and what came of the last step.
struct World {
    engine: Engine,
    now: Timestamp,
    output: Output,
    /// The newest revision of any object.
    revision: u64,
    /// Whether writes are answered.
    answers: bool,
}

fn millis(ms: i64) -> SignedDuration {
    SignedDuration::from_millis(ms)
}

fn key(name: &str) -> CheckKey {
    CheckKey { namespace: "shop".into(), name: name.into() }
}

fn kind(kind: &str) -> KindKey {
    KindKey { api_version: if kind == "Pod" { "v1" } else { "apps/v1" }.into(), kind: kind.into() }
}

fn watch(of: &str) -> WatchKey {
    WatchKey { kind: kind(of), namespace: Some("shop".into()), name: None }
}

fn served(of: &str) -> Served {
    let (group, plural) = if of == "Pod" { ("", "pods".to_owned()) } else { ("apps", format!("{}s", of.to_lowercase())) };
    let resource =
        ApiResource { group: group.into(), version: "v1".into(), api_version: kind(of).api_version.to_string(), kind: of.into(), plural };
    Served { resource, namespaced: true }
}

/// A check of namespace `shop`, by default of condition Available of Deployment `web`.
fn check(name: &str, more: Value) -> PreflightCheck {
    let mut spec = json!({
        "probe": {"condition": {"type": "Available"}},
        "targets": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
    });
    for (field, value) in more.as_object().unwrap().clone() {
        spec[field] = value;
    }
    serde_json::from_value(json!({
        "apiVersion": "holdpoint.dev/v1alpha1",
        "kind": "PreflightCheck",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "generation": 1},
        "spec": spec,
    }))
    .unwrap()
}

/// A check that goes out every 10 s and is believed for 30 s.
fn tcp(name: &str, priority: i32) -> PreflightCheck {
    let more = json!({"probe": {"tcp": {"host": "db", "port": 1}}, "intervalSeconds": 10, "staleAfterSeconds": 30, "priority": priority});
    let mut check = check(name, more);
    check.spec.targets = None;
    check
}

fn deployment(name: &str, available: bool) -> DynamicObject {
    let status = if available { "True" } else { "False" };
    serde_json::from_value(json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop", "labels": {"app": name}},
        "status": {"conditions": [{"type": "Available", "status": status}]},
    }))
    .unwrap()
}

fn checks(change: Change<PreflightCheck>) -> Input {
    Input::Checks(Box::new(change))
}

fn objects(change: Change<DynamicObject>) -> Input {
    Input::Objects(watch("Deployment"), Box::new(change))
}

fn failed(forbidden: bool) -> Change<DynamicObject> {
    Change::Failed { message: "deployments.apps is\nforbidden".into(), forbidden, not_found: false, silent: Duration::ZERO }
}

impl World {
    /// A leader, whose clock is right.
    fn new() -> Self {
        let mut world = Self::following();
        world.tell([Input::Leads(Some((1, None)))]);
        world
    }

    /// A replica that does not lead, whose clock is right.
    fn following() -> Self {
        let engine = Engine::new(Metrics::default(), None);
        let mut world = Self { engine, now: at(0), output: Output::default(), revision: 10, answers: true };
        let exact = Offset { earliest: SignedDuration::ZERO, latest: SignedDuration::ZERO };
        world.tell([Input::Clock(exact), Input::Namespaces(Arc::default())]);
        world
    }

    /// With all checks listed.
    fn with(list: Vec<PreflightCheck>) -> Self {
        let mut world = Self::new();
        world.tell([checks(Change::Listed(list))]);
        world
    }

    /// With these checks, Deployments served and listed.
    fn watching(list: Vec<PreflightCheck>, deployments: Vec<DynamicObject>) -> Self {
        let mut world = Self::with(list);
        world.tell([Input::Kind(kind("Deployment"), Ok(Some(served("Deployment"))))]);
        world.tell([objects(Change::Listed(deployments))]);
        world
    }

    /// Every right that is asked for is given.
    fn tell(&mut self, inputs: impl IntoIterator<Item = Input>) -> &Output {
        self.tell_granting(inputs, |_| true)
    }

    fn tell_granting(&mut self, inputs: impl IntoIterator<Item = Input>, granted: impl Fn(&Access) -> bool) -> &Output {
        let mut output = self.engine.step(inputs, self.now);
        let mut answered = 0;
        for round in 0.. {
            assert!(round < 100, "there is always something more to do");
            let asked = |e: &Effect| if let Effect::Authorize(access) = e { Some(access.clone()) } else { None };
            let questions: Vec<Access> = output.effects.iter().filter_map(asked).collect();
            output.effects.retain(|e| asked(e).is_none());
            let mut answers: Vec<Input> = Vec::new();
            for access in questions {
                let answer = Ok(granted(&access));
                answers.push(Input::Allowed(access, answer));
            }
            for (key, number, _) in output.sent().into_iter().skip(answered).filter(|_| self.answers) {
                self.revision += 1;
                answers.push(Input::Written(key, number, Some(Revision(self.revision))));
            }
            answered = output.sent().len();
            if answers.is_empty() {
                self.output = output;
                return &self.output;
            }
            let next = self.engine.step(answers, self.now);
            output.effects.extend(next.effects);
            output.facts.extend(next.facts);
            output.watched.extend(next.watched);
            output.removed.extend(next.removed);
            output.answers.extend(next.answers);
            output.vouched = next.vouched;
        }
        unreachable!()
    }

    /// When the engine wants to be woken for something else than to vouch.
    fn planned(&self) -> Option<Timestamp> {
        [self.engine.agenda.first().map(|(at, ..)| *at), self.engine.sources.grants.next_wake()].into_iter().flatten().min()
    }

    fn wait(&mut self, by: SignedDuration) -> &Output {
        self.now += by;
        self.tell([])
    }

    /// Wakes up as the engine wants, until an instant; says when something was to be done or published.
    fn run_until(&mut self, end: Timestamp) -> Vec<(i64, Output)> {
        let mut log = Vec::new();
        while let Some(next) = self.planned().filter(|next| *next <= end) {
            self.now = next.max(self.now);
            self.tell([]);
            log.push((self.now.duration_since(at(0)).as_secs(), std::mem::take(&mut self.output)));
            assert!(log.len() < 10_000, "it wakes up without end");
        }
        self.now = end;
        log
    }

    fn state(&self, name: &str) -> &State {
        &self.engine.checks[&key(name)].state
    }

    /// What it is worth to the webhook of this replica, whose watches deliver.
    fn standing(&self, name: &str) -> Standing {
        let freshness = Freshness { proved_at: Some(self.now), ..self.engine.own_freshness(self.now) };
        let check = &self.engine.checks[&key(name)];
        standing(&check.state, &check.basis, &freshness, self.now)
    }

    /// Gives back what was written last, as the API server would, and takes it in.
    fn echo(&mut self, object: &PreflightCheck) -> PreflightCheck {
        let (_, _, status) = self.output.sent().pop().unwrap();
        let mut object = object.clone();
        object.status = Some(serde_json::from_str(&serde_json::to_string(&status).unwrap()).unwrap());
        object.metadata.resource_version = Some(self.revision.to_string());
        self.tell([checks(Change::Applied(object.clone()))]);
        assert!(self.engine.checks[&key(&object.name_any())].sent.is_none(), "what was written is not known again");
        object
    }
}

impl Output {
    fn writes(&self) -> Vec<(&CheckKey, &PreflightCheckStatus)> {
        self.effects.iter().filter_map(|e| if let Effect::Write(k, _, s, _) = e { Some((k, s.as_ref())) } else { None }).collect()
    }

    fn sent(&self) -> Vec<(CheckKey, u64, PreflightCheckStatus)> {
        let sent = |e: &Effect| if let Effect::Write(k, n, s, _) = e { Some((k.clone(), *n, s.as_ref().clone())) } else { None };
        self.effects.iter().filter_map(sent).collect()
    }

    fn announced(&self) -> Vec<(&str, bool, &'static str)> {
        let told =
            |e: &Effect| if let Effect::Announce(k, _, bad, reason, _) = e { Some((k.name.to_string(), *bad, *reason)) } else { None };
        let list: Vec<_> = self.effects.iter().filter_map(told).collect();
        list.into_iter().map(|(n, bad, r)| (&*n.leak(), bad, r)).collect()
    }

    fn probes(&self) -> Vec<(String, u64)> {
        self.effects.iter().filter_map(|e| if let Effect::Probe(k, n, ..) = e { Some((k.name.to_string(), *n)) } else { None }).collect()
    }

    /// Everything but writes, in words.
    fn wants(&self) -> Vec<String> {
        let word = |e: &Effect| match e {
            Effect::Watch(k, _) => Some(format!("watch {}", k.kind.kind)),
            Effect::Unwatch(k) => Some(format!("unwatch {}", k.kind.kind)),
            Effect::Ask(k) => Some(format!("ask {}", k.kind)),
            Effect::Probe(k, ..) => Some(format!("probe {}", k.name)),
            Effect::Announce(k, _, _, reason, _) => Some(format!("{} {reason}", k.name)),
            Effect::Authorize(..) | Effect::Write(..) => None,
        };
        self.effects.iter().filter_map(word).collect()
    }

    /// What was published last of a check: its verdict and why.
    fn fact(&self, name: &str) -> Option<(Verdict, &'static str)> {
        self.facts.iter().rev().find(|f| *f.name == *name).map(|f| (f.state.verdict, f.state.reason))
    }

    fn condition(&self, type_: &str) -> (String, String, String) {
        let writes = self.writes();
        let c = get(&writes.last().expect("nothing was written").1.conditions, type_).unwrap();
        (c.status.clone(), c.reason.clone(), c.message.clone())
    }
}
