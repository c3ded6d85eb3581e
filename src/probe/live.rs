//! What a probe is to the engine: two traits, one for each family. A new probe implements one of them and gets one arm in `plan.rs`.

use super::objects::ReadObjects;
use super::plan::Outbound;
use crate::core::gate::Ask;
use crate::core::observation::{NO_DATA, Observation, PANIC};
use crate::core::selector::Selector;
use crate::core::starts::Limit;
use crate::core::touch::{Cluster, Touch};
use crate::core::verdict::Standing;
use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::DynamicObject;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// A probe that is a pure function of watched objects, of other checks and of the time. It reads memory only and never waits.
pub trait LiveProbe: fmt::Debug + Send + Sync {
    /// As in `spec.probe`.
    fn name(&self) -> &'static str;
    /// What the check's `targets` must be.
    fn targets(&self) -> TargetRule;
    /// What it reads besides the targets. All of it is there when it is asked, or reading it is an error.
    fn reads(&self) -> Vec<Related> {
        Vec::new()
    }
    /// Whether what it says is about one request, and so can be said only while that waits.
    fn per_request(&self) -> bool {
        false
    }
    /// The limit of starts that it is, if it asks what the gate has admitted.
    fn limit(&self) -> Option<Limit> {
        None
    }
    /// Of which kinds (apiVersion and kind) its targets are where they are the gated object's own and `targets` names no kind; none: it must.
    fn touched_kinds(&self) -> &'static [(&'static str, &'static str)] {
        match self.targets() {
            TargetRule::OneOf(kinds, _) => kinds,
            _ => &[],
        }
    }
    /// What is seen while a request waits. It reads memory only, without a lock, and what it costs is taken from the allowance.
    fn observe_request(&self, asked: &Asked<'_>, allowance: &mut u64) -> Vec<Observation> {
        self.observe_within(&asked.look, allowance)
    }
    /// Which other checks of the namespace it asks about.
    fn members(&self) -> &[CheckSelection] {
        &[]
    }
    /// What is seen of the targets. Without targets of its own it gives one observation; with targets, one for each or one for all.
    fn observe(&self, look: &Look<'_>) -> Vec<Observation>;
    /// The same, and takes what it cost from an allowance of units of work ([`crate::core::allowance`]). Only probes whose work the author of
    /// a check decides cost anything.
    fn observe_within(&self, look: &Look<'_>, allowance: &mut u64) -> Vec<Observation> {
        let _ = allowance;
        self.observe(look)
    }
}

/// A probe that must go and look. Each has one target, which its spec carries.
pub trait ProbedProbe: fmt::Debug + Send + Sync {
    /// As in `spec.probe`.
    fn name(&self) -> &'static str;
    /// What is observed, for results.
    fn target(&self) -> &str;
    /// Which host it talks to: as many evaluations as may talk to one host at once are bounded.
    fn host(&self) -> String;
    /// Objects that it fetches by name.
    fn references(&self) -> Vec<Reference> {
        Vec::new()
    }
    /// Tries once, within a time.
    fn observe<'a>(&'a self, outbound: &'a Outbound, namespace: &'a str, timeout: Duration) -> BoxFuture<'a, Observation>;
}

/// What a check's `targets` must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetRule {
    /// None: the probe carries its own.
    None,
    /// Objects of any kind.
    Any,
    /// Objects of any kind, or none.
    Optional,
    /// Objects of one of these kinds (apiVersion and kind), and how a message calls them.
    OneOf(&'static [(&'static str, &'static str)], &'static str),
    /// Hosts.
    Hosts,
    /// What the gated object selects, whatever that is.
    Gated,
}

/// What a live probe reads besides its targets.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Related {
    /// The apiVersion.
    pub api_version: &'static str,
    /// The kind.
    pub kind: &'static str,
    /// Where.
    pub place: Place,
    /// One object by its name; `None`: all.
    pub name: Option<String>,
    /// Changes alone do not evaluate the check again; they are read when something else does.
    pub quiet: bool,
}

/// Where related objects are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Place {
    /// In the namespaces of the targets; without targets, in the check's own. The cluster, for a kind without namespaces.
    Targets,
    /// In all namespaces.
    Everywhere,
    /// In one namespace of the operator's own, read as the operator itself: what is there is no tenant's.
    Owned(&'static str),
}

/// An object that a probed check fetches.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// What it is.
    pub kind: super::plan::ReferenceKind,
    /// Its name, in the check's namespace.
    pub name: String,
}

/// Which checks.
#[derive(Clone, Debug)]
pub enum CheckSelection {
    /// The one of a name.
    Named(String),
    /// All with some labels.
    Labelled(Selector),
}

/// Another check as `composite` sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberFact {
    /// Its name.
    pub name: String,
    /// What it is worth now; `None`: there is no such check.
    pub standing: Option<Standing>,
    /// What it says.
    pub message: String,
    /// When time alone may change what it is worth.
    pub holds_until: Option<Timestamp>,
}

/// What a live probe looks at while a request waits.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The request, the gate, and what is known of the cluster.
    pub ask: &'a Ask<'a>,
    /// What it looks at in any case.
    pub look: Look<'a>,
    /// What the object selects, if that is asked about.
    pub touch: Option<&'a Touch>,
    /// Where that is looked up: what the check may read.
    pub cluster: &'a dyn Cluster,
}

/// What a live probe looks at.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// The targets. Empty only for probes without any.
    pub targets: &'a [&'a DynamicObject],
    /// The check's namespace.
    pub namespace: &'a str,
    /// The watched objects.
    pub objects: &'a dyn ReadObjects,
    /// The checks that [`LiveProbe::members`] names, by name; the check itself is not among them.
    pub members: &'a [MemberFact],
    /// The time.
    pub now: Timestamp,
}

impl Look<'_> {
    /// Observes each target by itself: a panic is an error of that target and of no other.
    pub fn each(&self, observe: impl Fn(&DynamicObject) -> Observation) -> Vec<Observation> {
        self.targets.iter().map(|target| guarded(&target.name_any(), || observe(target))).collect()
    }
}

/// An observation that survives a panic of the probe.
pub fn guarded(target: &str, observe: impl FnOnce() -> Observation) -> Observation {
    catch_unwind(AssertUnwindSafe(observe)).unwrap_or_else(|_| Observation::error(target, PANIC, DEFECT))
}

/// All observations of a probe; a panic is one error. What they cost is taken from the allowance.
pub fn observe(probe: &dyn LiveProbe, look: &Look<'_>, allowance: &mut u64) -> Vec<Observation> {
    sound(|| probe.observe_within(look, allowance))
}

/// All observations of a probe while a request waits.
pub fn observe_request(probe: &dyn LiveProbe, asked: &Asked<'_>, allowance: &mut u64) -> Vec<Observation> {
    sound(|| probe.observe_request(asked, allowance))
}

fn sound(observe: impl FnOnce() -> Vec<Observation>) -> Vec<Observation> {
    match catch_unwind(AssertUnwindSafe(observe)) {
        Ok(seen) if seen.is_empty() => vec![Observation::error("", NO_DATA, "the probe saw nothing")],
        Ok(seen) => seen,
        Err(_) => vec![Observation::error("", PANIC, DEFECT)],
    }
}

/// What a panic in a probe is called.
pub(super) const DEFECT: &str = "the probe itself failed: this is a defect of the operator, please report it";
