//! What the engine is told, and what it says.

use super::super::access::Access;
use super::super::objects::{CheckKey, KindKey, WatchKey};
use super::asks::{Answer, Ticket};
use crate::api::{PreflightCheck, PreflightCheckStatus};
use crate::cluster::discovery::Served;
use crate::cluster::snapshot::Labels;
use crate::cluster::watch::Change;
use crate::core::clock_offset::Offset;
use crate::core::freshness::{Revision, Watermark};
use crate::core::gate::CheckFact;
use crate::core::observation::Observation;
use crate::core::watched::Published;
use crate::probe::{Attempts, ProbedProbe};
use kube::api::DynamicObject;
use std::collections::HashMap;
use std::sync::Arc;

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// Some of a list of checks, which goes on.
    SomeChecks(Vec<PreflightCheck>),
    /// To the checks. `Listed` has those that were not told before as some of the list.
    Checks(Box<Change<PreflightCheck>>),
    /// The list of checks that comes next is of this revision or a later one.
    ListedFrom(Revision),
    /// To watched objects.
    Objects(WatchKey, Box<Change<DynamicObject>>),
    /// The API server answered about a kind: how it is served, or that it is not, or that it could not be asked.
    Kind(KindKey, Result<Option<Served>, String>),
    /// It answered about a right, or could not be asked.
    Allowed(Access, Result<bool, String>),
    /// The labels of all namespaces.
    Namespaces(Arc<HashMap<String, Labels>>),
    /// A probed evaluation ended.
    Probed(CheckKey, u64, Observation),
    /// A status was written, and this is its revision; or it could not be written.
    Written(CheckKey, u64, Option<Revision>),
    /// This replica leads, in this term, after one that last vouched for this; or it does not.
    Leads(Option<(i64, Option<Watermark>)>),
    /// The watermark that the Lease carries.
    Watermark(Option<Watermark>),
    /// How far the replica's clock is from the API server's.
    Clock(Offset),
    /// Somebody waits for an evaluation of a check. Only the leader answers.
    Evaluate(CheckKey, Ticket),
    /// Nobody waits with tickets of this number any longer.
    Withdraw(u64),
}

/// What to do.
#[derive(Debug)]
pub enum Effect {
    /// Watch these objects.
    Watch(WatchKey, Served),
    /// Watch them no longer.
    Unwatch(WatchKey),
    /// Ask the API server about a kind.
    Ask(KindKey),
    /// Ask it about a right.
    Authorize(Access),
    /// Run a probed evaluation and tell how it ended, with the same number.
    Probe(CheckKey, u64, Arc<dyn ProbedProbe>, Attempts),
    /// Write a status and tell how it ended, with the same number. A revision: only in place of what is at that revision.
    Write(CheckKey, u64, Box<PreflightCheckStatus>, Option<Revision>),
    /// Tell of a transition: the check's uid, whether it is bad news, the reason of the Event, and a line.
    Announce(CheckKey, String, bool, &'static str, String),
}

/// What a step came to.
#[derive(Debug, Default)]
pub struct Output {
    /// What to do, in order.
    pub effects: Vec<Effect>,
    /// Copies of watches for whoever waits for an answer; `None`: nobody looks at one any more.
    pub watched: Vec<(WatchKey, Option<Arc<Published>>)>,
    /// Facts to publish.
    pub facts: Vec<CheckFact>,
    /// For who waits for an evaluation.
    pub answers: Vec<Answer>,
    /// Whether one of them says something else than before, and not the same once more.
    pub news: bool,
    /// Checks that are gone.
    pub removed: Vec<(Arc<str>, Arc<str>)>,
    /// The watermark that this replica may go by, if it is another than before.
    pub reached: Option<Watermark>,
    /// What this replica vouches for as the leader.
    pub vouched: Option<Watermark>,
    /// The latest leadership that a status names.
    pub latest_term: i64,
}
