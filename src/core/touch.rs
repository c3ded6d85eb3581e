//! What an experiment will touch, told from its object: which pods, which nodes, and how many of them at most.
//!
//! One file a tool reads the object ([`touch`]); [`resolve`] finds the pods, their workloads and their nodes among those that are known. What
//! cannot be resolved is an error with a reason, and never nothing: nothing touched would be taken for harmless.

use crate::core::text::single_line;
use serde_json::Value;

mod chaos_mesh;
mod chaosblade;
mod datadog;
mod krkn;
mod kubevirt;
mod litmus;
mod machine;
mod nodes;
mod pods;
mod reading;
mod resolve;
mod workload;

pub use machine::Machine;
pub use nodes::Nodes;
pub use pods::{Filter, Pods};
pub use resolve::{Cluster, Group, NodeGroup, Touched, Untold, resolve, resolve_nodes};
pub use workload::{Workload, is_active, node_of};

/// How many selections of one object are looked at: each is compared with each pod.
const MAX_PARTS: usize = 32;

/// An object that somebody wants to start.
#[derive(Clone, Copy, Debug)]
pub struct Gated<'a> {
    /// Its API group.
    pub group: &'a str,
    /// Its kind.
    pub kind: &'a str,
    /// Its namespace, if it has one.
    pub namespace: Option<&'a str>,
    /// The object.
    pub object: &'a Value,
}

/// What an object selects.
#[derive(Clone, Debug, PartialEq)]
pub struct Touch {
    /// Each by itself; all of them are touched.
    pub parts: Vec<Part>,
}

/// One selection.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Pods.
    Pods(Pods),
    /// Nodes, and so all that runs there.
    Nodes(Nodes),
    /// A virtual machine that is to run on one of some nodes.
    Machine(Box<Machine>),
}

/// How many of those that are selected are hit at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// All.
    All,
    /// So many.
    Count(u64),
    /// So many of a hundred, rounded down, and at least one.
    PercentDown(u64),
    /// The same, rounded up.
    PercentUp(u64),
}

impl Amount {
    /// How many of a total that is at most.
    pub fn of(self, total: usize) -> usize {
        let all = u64::try_from(total).unwrap_or(u64::MAX);
        let wanted = match self {
            Self::All => all,
            Self::Count(count) => count,
            Self::PercentDown(percent) => (all.saturating_mul(percent.min(100)) / 100).max(1),
            Self::PercentUp(percent) => all.saturating_mul(percent.min(100)).div_ceil(100).max(1),
        };
        usize::try_from(wanted.min(all)).unwrap_or(total)
    }
}

/// Why it cannot be told what an object touches.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unresolvable(pub String);

impl Unresolvable {
    fn new(why: &str) -> Self {
        Self(single_line(why, 240))
    }
}

/// What an object selects, or why that cannot be told.
pub fn touch(gated: &Gated<'_>) -> Result<Touch, Unresolvable> {
    let parts = match (gated.group, gated.kind) {
        ("chaos-mesh.org", _) => chaos_mesh::parts(gated)?,
        ("litmuschaos.io", "ChaosEngine" | "ChaosSchedule") => litmus::parts(gated)?,
        ("chaos.datadoghq.com", _) => datadog::parts(gated)?,
        ("chaosblade.io", "ChaosBlade") => chaosblade::parts(gated)?,
        ("krkn.krkn-chaos.dev", _) | ("batch", "Job") | ("", "Pod") => krkn::parts(gated)?,
        ("kubevirt.io" | "pool.kubevirt.io", _) => kubevirt::parts(gated)?,
        ("chaostoolkit.org", _) => {
            return Err(Unresolvable::new("a Chaos Toolkit experiment is a script: only running it tells what it touches"));
        }
        ("argoproj.io" | "batch", _) => {
            return Err(Unresolvable::new(&format!("what a {} runs is not told by its object", gated.kind)));
        }
        (group, kind) => {
            let of = if group.is_empty() { String::new() } else { format!(" of {group}") };
            return Err(Unresolvable::new(&format!("it is not known what a {kind}{of} touches")));
        }
    };
    match parts.len() {
        0 => Err(Unresolvable::new(&format!("this {} selects nothing that could be resolved", gated.kind))),
        count if count > MAX_PARTS => Err(Unresolvable::new(&format!("it has {count} selections, and at most {MAX_PARTS} are looked at"))),
        _ => Ok(Touch { parts }),
    }
}

/// Whether a kind is one of objects that gates hold, so that `source: Gated` of that kind means the object itself.
pub fn is_held_itself(api_version: &str, kind: &str) -> bool {
    let group = workload::group(api_version);
    let tools = ["chaos-mesh.org", "litmuschaos.io", "krkn.krkn-chaos.dev", "chaos.datadoghq.com", "chaosblade.io", "chaostoolkit.org"];
    tools.contains(&group)
        || group == "kubevirt.io"
        || group.ends_with(".kubevirt.io")
        || (group == "argoproj.io" && matches!(kind, "Workflow" | "CronWorkflow"))
        || (group == "batch" && matches!(kind, "Job" | "CronJob"))
}

#[cfg(test)]
mod tests;
