//! What requests that are held wait for: the runs of this replica's requests, from the instant that they were asked for, and those of all replicas.

use super::board::RunKey;
use crate::api::{GateKind, GateReference, Operation, PreflightRun, PreflightRunSpec, RunMode, RunStart};
use crate::core::gate::{Held, Wish};
use crate::core::run::naming;
use crate::core::text::single_line;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, HashMap};

/// How many requests of this replica are remembered at once.
const MAX_WISHES: usize = 4096;
/// For how long after waiting is over a wish is remembered: later tries are of a new wait.
const REMEMBERED: SignedDuration = SignedDuration::from_mins(1);
/// For how long a run of a held request is kept.
const TTL_SECONDS: i32 = 600;
/// A run that was made that long before it was wished for is of the same wait: clocks differ, and times of objects have whole seconds.
const SAME_WAIT: SignedDuration = SignedDuration::from_secs(3);

/// The wishes of this replica.
#[derive(Debug, Default)]
pub struct Wishes(BTreeMap<String, Local>);

#[derive(Debug)]
struct Local {
    run: RunKey,
    since: Timestamp,
    until: Timestamp,
}

impl Wishes {
    /// Remembers a wish. False: there is no room, and nothing comes of it.
    pub fn remember(&mut self, wish: &Wish, run: &RunKey, now: Timestamp) -> bool {
        self.0.retain(|_, local| local.until > now);
        if self.0.len() >= MAX_WISHES && !self.0.contains_key(&run.name) {
            return false;
        }
        let until = wish.deadline.checked_add(REMEMBERED).unwrap_or(wish.deadline);
        self.0.insert(run.name.clone(), Local { run: run.clone(), since: wish.asked_at, until });
        true
    }

    /// What is known of waits, by the names of their runs: `seen` are the runs that there are.
    pub fn held(&self, seen: impl Iterator<Item = (RunKey, Held)>) -> HashMap<String, Held> {
        let mut all: HashMap<String, Held> = HashMap::new();
        for (name, local) in &self.0 {
            let run = format!("{}/{}", local.run.namespace, local.run.name);
            all.insert(name.clone(), Held { run, since: local.since, ended: None, place_until: None, withdrawn: false });
        }
        for (key, held) in seen {
            let newer = |local: &Held| local.since.duration_since(held.since) > SAME_WAIT;
            if !all.get(&key.name).is_some_and(newer) {
                all.insert(key.name, held);
            }
        }
        all
    }
}

/// Where the run of a wish is: in the gate's namespace, or the request's, or the operator's if the object has none.
pub fn run_key(wish: &Wish, operator: &str) -> RunKey {
    let namespace = wish.key.gate.namespace.as_deref().or(wish.asked.namespace.as_deref()).unwrap_or(operator);
    RunKey { namespace: namespace.to_owned(), name: naming::held(&wish.key.gate, wish.key.digest()) }
}

/// The run of a wish.
pub fn run_of(wish: &Wish, key: &RunKey, replica: &str) -> PreflightRun {
    let gate = &wish.key.gate;
    let kind = if gate.namespace.is_some() { GateKind::ExperimentGate } else { GateKind::ClusterExperimentGate };
    let operation = match wish.asked.operation {
        Operation::Create => "CREATE",
        Operation::Update => "UPDATE",
    };
    let waits = wish.deadline.duration_since(wish.asked_at).as_secs().clamp(1, 3600);
    let spec = PreflightRunSpec {
        gate_ref: Some(GateReference { kind, name: gate.name.clone() }),
        mode: RunMode::Full,
        deadline_seconds: i32::try_from(waits).unwrap_or(3600),
        ttl_seconds_after_finished: TTL_SECONDS,
        requested_by: Some(single_line(&wish.key.requester, 256)),
        replica: Some(single_line(replica, 64)),
        digest: Some(wish.key.object.to_string()),
        held: Some(single_line(&format!("{operation} {}", wish.asked.title), 640)),
        start: Some(start_of(wish)),
        ..PreflightRunSpec::default()
    };
    let mut run = PreflightRun::new(&key.name, spec);
    run.metadata.namespace = Some(key.namespace.clone());
    run
}

/// Groups of kinds whose specs say at what an experiment is aimed, and hold nothing that is not for everybody to read who may read runs.
const EXPERIMENTS: [&str; 4] = ["chaos-mesh.org", "litmuschaos.io", "chaos.datadoghq.com", "chaosblade.io"];

fn start_of(wish: &Wish) -> RunStart {
    let asked = &wish.asked;
    let experiment = EXPERIMENTS.contains(&asked.resource.group.as_str());
    RunStart {
        group: asked.resource.group.clone(),
        resource: asked.resource.resource.split('/').next().unwrap_or_default().to_owned(),
        kind: asked.kind.clone(),
        namespace: asked.namespace.clone(),
        name: asked.name.clone(),
        create: asked.operation == Operation::Create,
        spec: asked.object.get("spec").filter(|spec| experiment && spec.is_object()).cloned(),
    }
}
