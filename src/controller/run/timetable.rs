//! When gates want runs by their schedules.

use super::board::RunKey;
use crate::api::{GateKind, GateReference, PreflightRun, PreflightRunSpec};
use crate::core::gate::{Gate, GateKey};
use crate::core::run::naming;
use crate::core::run::schedule::Schedule;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use std::collections::BTreeMap;
use std::sync::Arc;

/// For how long a run is kept, in seconds; at least as long as its starting deadline, so that none is made twice.
const TTL_SECONDS: i64 = 86_400;
/// How soon a run is tried to be made again.
const RETRY: SignedDuration = SignedDuration::from_secs(1);

/// The schedules that are looked after.
#[derive(Debug, Default)]
pub struct Timetable {
    /// Whether this replica looked after them before.
    begun: bool,
    lines: BTreeMap<GateKey, Line>,
}

#[derive(Debug)]
struct Line {
    generation: Option<i64>,
    /// Up to when runs were made.
    until: Timestamp,
    /// When the next is due, or is to be looked for.
    next: Option<Timestamp>,
}

impl Timetable {
    /// The runs that are due, and when to look again. Whoever begins to look makes up for what was missed, at most one a gate, and as late as its
    /// schedule allows; a schedule that is new, or another, begins now.
    pub fn due(
        &mut self,
        gates: &[Arc<Gate>],
        operator: &str,
        now: Timestamp,
    ) -> (Vec<(GateKey, RunKey, PreflightRun)>, Option<Timestamp>) {
        let mut old = std::mem::take(&mut self.lines);
        let mut due = Vec::new();
        for gate in gates {
            let Some(schedule) = &gate.schedule else { continue };
            let known = old.remove(&gate.key).filter(|line| line.generation == gate.generation);
            let mut line = known.unwrap_or_else(|| {
                let until = if self.begun { now } else { Timestamp::MIN };
                Line { generation: gate.generation, until, next: Some(now) }
            });
            if line.next.is_some_and(|next| next <= now) {
                if let Some(time) = schedule.due(line.until, now) {
                    line.until = time;
                    let (key, run) = run(gate, schedule, time, operator);
                    due.push((gate.key.clone(), key, run));
                }
                line.next = schedule.next_after(now);
            }
            self.lines.insert(gate.key.clone(), line);
        }
        self.begun = true;
        (due, self.lines.values().filter_map(|line| line.next).min())
    }

    /// A run could not be made: it is still due.
    pub fn failed(&mut self, gate: &GateKey, now: Timestamp) {
        if let Some(line) = self.lines.get_mut(gate) {
            line.until = Timestamp::MIN;
            line.next = now.checked_add(RETRY).ok();
        }
    }
}

fn run(gate: &Gate, schedule: &Schedule, due: Timestamp, operator: &str) -> (RunKey, PreflightRun) {
    let key =
        RunKey { namespace: gate.key.namespace.clone().unwrap_or_else(|| operator.to_owned()), name: naming::scheduled(&gate.key, due) };
    let kind = if gate.key.namespace.is_some() { GateKind::ExperimentGate } else { GateKind::ClusterExperimentGate };
    let kept = schedule.starting_deadline.as_secs().saturating_mul(2).max(TTL_SECONDS);
    let spec = PreflightRunSpec {
        gate_ref: Some(GateReference { kind, name: gate.key.name.clone() }),
        mode: schedule.mode,
        deadline_seconds: 300,
        ttl_seconds_after_finished: i32::try_from(kept).unwrap_or(i32::MAX).min(604_800),
        scheduled_time: Some(Time(due)),
        ..PreflightRunSpec::default()
    };
    let mut run = PreflightRun::new(&key.name, spec);
    run.metadata.namespace = Some(key.namespace.clone());
    (key, run)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::ExperimentGate;
    use crate::core::validate::experiment_gate;
    use serde_json::json;

    fn gate(generation: i64, cron: &str) -> Arc<Gate> {
        let object: ExperimentGate = serde_json::from_value(json!({
            "apiVersion": "holdpoint.dev/v1alpha1",
            "kind": "ExperimentGate",
            "metadata": { "name": "chaos", "namespace": "shop", "generation": generation },
            "spec": {
                "match": { "rules": [{ "apiGroups": ["chaos-mesh.org"], "resources": ["podchaos"], "operations": ["CREATE"] }] },
                "checks": [{ "name": "a" }],
                "schedule": { "cron": cron, "timeZone": "Europe/Berlin", "startingDeadlineSeconds": 600 },
            },
        }))
        .unwrap();
        let gate = experiment_gate(&object);
        assert_eq!(gate.problems, []);
        Arc::new(gate)
    }

    fn at(time: &str) -> Timestamp {
        time.parse().unwrap()
    }

    impl Timetable {
        fn names(&mut self, gate: &Arc<Gate>, now: &str) -> Vec<String> {
            self.due(std::slice::from_ref(gate), "holdpoint-system", at(now)).0.into_iter().map(|(_, key, _)| key.name).collect()
        }
    }

    #[test]
    fn each_time_comes_once_and_the_next_leader_makes_up_for_one() {
        let daily = gate(1, "0 6 * * *");
        let mut first = Timetable::default();
        assert_eq!(first.names(&daily, "2026-06-01T03:59:59Z"), [""; 0]);
        assert_eq!(first.names(&daily, "2026-06-01T04:00:00Z"), ["xgate-chaos-at-202606010400"]);
        assert_eq!(first.names(&daily, "2026-06-01T04:00:01Z"), [""; 0]);
        // The same name: whoever is second finds it made.
        assert_eq!(Timetable::default().names(&daily, "2026-06-01T04:09:00Z"), ["xgate-chaos-at-202606010400"]);
        assert_eq!(Timetable::default().names(&daily, "2026-06-01T04:10:00Z"), [""; 0], "too late");
        first.failed(&daily.key, at("2026-06-01T04:00:02Z"));
        assert_eq!(first.names(&daily, "2026-06-01T04:00:03Z"), ["xgate-chaos-at-202606010400"], "it is tried again");
    }

    #[test]
    fn a_schedule_that_is_new_begins_now() {
        let mut timetable = Timetable::default();
        assert_eq!(timetable.due(&[], "holdpoint-system", at("2026-06-01T04:00:00Z")), (Vec::new(), None));
        assert_eq!(timetable.names(&gate(1, "0 6 * * *"), "2026-06-01T04:05:00Z"), [""; 0]);
        assert_eq!(timetable.names(&gate(2, "2 6 * * *"), "2026-06-01T04:06:00Z"), [""; 0], "another");
        let (due, again) = timetable.due(&[gate(2, "2 6 * * *")], "holdpoint-system", at("2026-06-02T04:02:00Z"));
        assert_eq!((due.len(), again), (1, Some(at("2026-06-03T04:02:00Z"))));
        let spec = &due[0].2.spec;
        assert_eq!(
            (spec.scheduled_time.as_ref().unwrap().0, spec.gate_ref.as_ref().unwrap().name.as_str()),
            (at("2026-06-02T04:02:00Z"), "chaos")
        );
    }
}
