//! Restarts of a workload's containers within a time.

use super::super::objects::read;
use crate::api::RolloutProbe;
use crate::core::problem::Problem;
use crate::core::selector::Selector;
use jiff::{SignedDuration, Timestamp};
use kube::api::DynamicObject;
use serde::Deserialize;
use std::collections::BTreeMap;

const DEFAULT_WINDOW_SECONDS: i32 = 600;

/// How many restarts are too many, and over which time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RestartLimit {
    max: u64,
    seconds: i64,
}

/// The restarts that count.
#[derive(Debug, Default)]
pub(super) struct Restarts {
    total: u64,
    /// The pod with most of them: its name, how many, and its container with most of them.
    worst: Option<(String, u64, String)>,
    /// How many stop counting at which instant.
    expiring: Vec<(Timestamp, u64)>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    container_statuses: Option<Vec<ContainerStatus>>,
    init_container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerStatus {
    #[serde(default)]
    name: String,
    #[serde(default)]
    restart_count: u32,
    state: Option<ContainerState>,
    last_state: Option<ContainerState>,
}

#[derive(Deserialize)]
struct ContainerState {
    waiting: Option<Waiting>,
    running: Option<Running>,
    terminated: Option<Terminated>,
}

#[derive(Deserialize)]
struct Waiting {
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Running {
    started_at: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Terminated {
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

/// When a container's restarts stop counting.
#[derive(Debug, PartialEq)]
enum Counts {
    /// They do not count now.
    No,
    /// They count until an instant.
    Until(Timestamp),
    /// They count for as long as the container's status stays as it is.
    Yes,
}

impl RestartLimit {
    /// The limit of a spec, if it has one.
    pub(super) fn parse(spec: &RolloutProbe, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let Some(max) = spec.max_restarts else {
            if spec.restart_window_seconds.is_some() {
                let message = "needs maxRestarts: it is the time over which restarts are counted";
                problems.push(Problem::new(format!("{field}.restartWindowSeconds"), message));
            }
            return None;
        };
        let max = u64::try_from(max);
        if max.is_err() {
            problems.push(Problem::new(format!("{field}.maxRestarts"), "must be 0 or more"));
        }
        let seconds = spec.restart_window_seconds.unwrap_or(DEFAULT_WINDOW_SECONDS);
        if seconds < 1 {
            problems.push(Problem::new(format!("{field}.restartWindowSeconds"), "must be at least 1"));
            return None;
        }
        Some(Self { max: max.ok()?, seconds: i64::from(seconds) })
    }

    /// Counts the restarts of the pods that a workload's selector finds and that, if `owner` is given, are controlled by that uid.
    /// Pods that are being deleted do not count.
    pub(super) fn count(
        &self,
        pods: &[&DynamicObject],
        selector: &Selector,
        owner: Option<&str>,
        now: Timestamp,
    ) -> Result<Restarts, String> {
        let none = BTreeMap::new();
        let mut restarts = Restarts::default();
        for pod in pods {
            let selected = selector.matches(pod.metadata.labels.as_ref().unwrap_or(&none));
            if selected && pod.metadata.deletion_timestamp.is_none() && owner.is_none_or(|uid| is_controlled_by(pod, uid)) {
                let name = pod.metadata.name.as_deref().unwrap_or_default();
                let status = read(pod, "status").map_err(|why| format!("pod {name}: {why}"))?;
                restarts.add_pod(name, &status.unwrap_or_default(), self, now);
            }
        }
        Ok(restarts)
    }

    /// Why the restarts are too many, if they are.
    pub(super) fn storm(&self, seen: &Restarts) -> Option<String> {
        let (pod, count, container) = seen.worst.as_ref().filter(|_| seen.total > self.max)?;
        let most = format!("most in pod {pod}, container {container} ({count})");
        Some(format!("{} in the last {} s, at most {} allowed; {most}", seen.text(), self.seconds, self.max))
    }

    /// When so many restarts will have stopped counting that they are no longer too many, if time alone brings that.
    pub(super) fn falls_below(&self, seen: &Restarts) -> Option<Timestamp> {
        let mut expiring = seen.expiring.clone();
        expiring.sort_unstable();
        let mut left = seen.total;
        expiring.into_iter().find_map(|(instant, count)| {
            left = left.saturating_sub(count);
            (left <= self.max).then_some(instant)
        })
    }

    /// What is required.
    pub(super) fn text(&self) -> String {
        format!("at most {} in {} s", plural(self.max), self.seconds)
    }

    fn counts(&self, container: &ContainerStatus, now: Timestamp) -> Counts {
        let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
        if container.restart_count == 0 {
            return Counts::No;
        }
        if waiting.and_then(|waiting| waiting.reason.as_deref()) == Some("CrashLoopBackOff") {
            return Counts::Yes;
        }
        // A restart of unknown time may have been a moment ago.
        let Some(last) = last_restart(container) else { return Counts::Yes };
        match last.checked_add(SignedDuration::from_secs(self.seconds)) {
            Ok(expiry) if expiry <= now => Counts::No,
            Ok(expiry) => Counts::Until(expiry),
            Err(_) => Counts::Yes,
        }
    }
}

impl Restarts {
    /// How many there are.
    pub(super) fn text(&self) -> String {
        plural(self.total)
    }

    fn add_pod(&mut self, pod: &str, status: &PodStatus, limit: &RestartLimit, now: Timestamp) {
        let mut of_pod = 0;
        let mut worst: Option<(&str, u64)> = None;
        for container in status.container_statuses.iter().chain(&status.init_container_statuses).flatten() {
            let count = u64::from(container.restart_count);
            match limit.counts(container, now) {
                Counts::No => continue,
                Counts::Until(instant) => self.expiring.push((instant, count)),
                Counts::Yes => {}
            }
            of_pod += count;
            if worst.is_none_or(|(_, most)| count > most) {
                worst = Some((&container.name, count));
            }
        }
        self.total += of_pod;
        let Some((container, _)) = worst else { return };
        // Of equals the first by name, so that the message stays the same while nothing changes.
        let leads = self.worst.as_ref().is_none_or(|(name, most, _)| of_pod > *most || (of_pod == *most && pod < name.as_str()));
        if leads {
            self.worst = Some((pod.to_owned(), of_pod, container.to_owned()));
        }
    }
}

/// When a container was started again last, as far as its status tells.
fn last_restart(container: &ContainerStatus) -> Option<Timestamp> {
    let state = container.state.as_ref();
    let running = state.and_then(|state| state.running.as_ref()?.started_at);
    let ended = state.and_then(|state| state.terminated.as_ref()?.started_at);
    let before = container.last_state.as_ref().and_then(|state| state.terminated.as_ref()?.finished_at);
    running.into_iter().chain(ended).chain(before).max()
}

fn is_controlled_by(pod: &DynamicObject, uid: &str) -> bool {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

fn plural(count: u64) -> String {
    if count == 1 { "1 restart".to_owned() } else { format!("{count} restarts") }
}
