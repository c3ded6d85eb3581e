//! Measures what is asked for.

use super::root::Root;
use super::{paths, runtime, system, units};
use crate::api::{ClockFact, HostFacts};
use crate::core::clock_offset::Offset;
use crate::core::host::{AllowedPaths, Ask, Asked, stamp};
use crate::core::text::{single_line, weight};
use futures::future;
use jiff::{SignedDuration, Timestamp};
use paths::Patience;
use std::fmt::Display;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// The most bytes of facts that a report has.
const MAX_BYTES: usize = 28 * 1024;
/// How much more uncertain the clock is than the answers say, in milliseconds: it drifts between them.
const DRIFT: i64 = 20;

/// What the agent sees of the host.
pub(super) struct Sight {
    root: Arc<Root>,
    allowed: AllowedPaths,
    cri_socket: Option<String>,
    patience: Patience,
}

/// An error of a fact.
#[allow(clippy::unnecessary_wraps, reason = "as a fact has it")]
pub(super) fn fault(error: impl Display) -> Option<String> {
    Some(single_line(&error.to_string(), 128))
}

impl Sight {
    pub(super) fn new(root: Root, allowed: AllowedPaths, cri_socket: Option<String>) -> Self {
        Self { root: Arc::new(root), allowed, cri_socket, patience: Patience::default() }
    }

    /// Everything that is asked for, and no more than a report has room for. `now` is the API server's time.
    pub(super) async fn measure(&self, asked: &Asked, offset: Option<Offset>, now: Timestamp) -> HostFacts {
        let names = |name: fn(&Ask) -> Option<&String>| asked.asks.iter().filter_map(name).cloned().collect::<Vec<String>>();
        let disks = names(|ask| if let Ask::Disk(path) = ask { Some(path) } else { None });
        let files = names(|ask| if let Ask::File(path) = ask { Some(path) } else { None });
        let unit_names = names(|ask| if let Ask::Unit(name) = ask { Some(name) } else { None });
        let images = names(|ask| if let Ask::Image(name) = ask { Some(name) } else { None });
        let wants_runtime = !images.is_empty() || asked.asks.contains(&Ask::Runtime);
        let (kernel, disks, files, units, container_runtime) = future::join5(
            system::measure(&self.root, asked),
            paths::disks(&self.root, &self.allowed, &self.patience, disks),
            paths::files(&self.root, &self.allowed, &self.patience, files),
            units::measure(&self.root, &unit_names),
            async { if wants_runtime { Some(runtime::measure(&self.root, self.cri_socket.as_deref(), &images).await) } else { None } },
        )
        .await;
        let clock = asked.asks.contains(&Ask::Clock).then(|| clock(offset));
        let omitted = i32::try_from(asked.omitted).unwrap_or(i32::MAX);
        let agent_version = env!("CARGO_PKG_VERSION").to_owned();
        let mut facts = HostFacts { agent_version, omitted, clock, container_runtime, disks, files, units, ..kernel };
        stamp(&mut facts, Some(now));
        fit(facts)
    }
}

/// How far this machine's clock is ahead.
fn clock(offset: Option<Offset>) -> ClockFact {
    let Some(Offset { earliest, latest }) = offset else {
        return ClockFact { error: fault("the API server's time is not known yet"), ..ClockFact::default() };
    };
    let bound = 1_i128 << 60;
    let milliseconds = |duration: SignedDuration| i64::try_from(duration.as_millis().clamp(-bound, bound)).unwrap_or_default();
    let (earliest, latest) = (milliseconds(earliest), milliseconds(latest));
    ClockFact {
        ahead_milliseconds: Some(-(earliest + latest) / 2),
        uncertainty_milliseconds: Some((latest - earliest + 1) / 2 + DRIFT),
        ..ClockFact::default()
    }
}

/// Leaves out facts, the last of the longest list first, until a report has room for the rest.
fn fit(mut facts: HostFacts) -> HostFacts {
    while weight(&facts) > MAX_BYTES {
        let images = facts.container_runtime.as_ref().map_or(0, |runtime| weight(&runtime.images));
        let (files, units) = (weight(&facts.files), weight(&facts.units));
        let dropped = if images >= files.max(units) {
            facts.container_runtime.as_mut().and_then(|runtime| runtime.images.pop()).is_some()
        } else if files >= units {
            facts.files.pop().is_some()
        } else {
            facts.units.pop().is_some()
        };
        if !dropped {
            return HostFacts { omitted: i32::MAX, agent_version: facts.agent_version, time: facts.time, ..HostFacts::default() };
        }
        facts.omitted = facts.omitted.saturating_add(1);
    }
    facts
}
