//! What the engine is told, and what it says.

use super::super::objects::{CheckKey, KindKey, WatchKey};
use crate::api::{PreflightCheck, PreflightCheckStatus};
use crate::cluster::discovery::Served;
use crate::cluster::watch::Change;
use crate::core::gate::CheckFact;
use crate::core::observation::Observation;
use crate::probe::{Attempts, ProbedProbe};
use kube::api::DynamicObject;
use std::sync::Arc;

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// To the checks.
    Checks(Box<Change<PreflightCheck>>),
    /// To watched objects.
    Objects(WatchKey, Box<Change<DynamicObject>>),
    /// The API server answered about a kind: how it is served, or that it is not, or that it could not be asked.
    Kind(KindKey, Result<Option<Served>, String>),
    /// A probed evaluation ended.
    Probed(CheckKey, u64, Observation),
    /// A status could not be written.
    Unwritten(CheckKey),
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
    /// Run a probed evaluation and tell how it ended, with the same number.
    Probe(CheckKey, u64, Arc<dyn ProbedProbe>, Attempts),
    /// Write a status.
    Write(CheckKey, Box<PreflightCheckStatus>),
    /// Tell of a transition: the check's uid, whether it is bad news, the reason of the Event, and a line.
    Announce(CheckKey, String, bool, &'static str, String),
}

/// What a step came to.
#[derive(Debug, Default)]
pub struct Output {
    /// What to do, in order.
    pub effects: Vec<Effect>,
    /// Facts to publish.
    pub facts: Vec<CheckFact>,
    /// Checks that are gone.
    pub removed: Vec<(String, String)>,
}
