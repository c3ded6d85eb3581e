//! Checks that are decided while the request waits: what they are asked, and what they may look at.
//!
//! They read memory only. Whatever they cannot tell is an error, which is no pass; a panic of one is its own, and no other's.

use super::{GateKey, Request};
use crate::api::conditions::passing;
use crate::core::starts::{Book, Limit, Times};
use crate::core::verdict::State;
use crate::core::watched::{Published, WatchKey};
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A check that is decided for each request.
pub trait OfRequest: fmt::Debug + Send + Sync {
    /// What it says of a request: settled at once, without thresholds. A pure function of what it is asked.
    fn state(&self, ask: &Ask<'_>) -> State;
    /// The limit of starts that it is, if it is one: [`World::starts`] are kept for gates with such a check only.
    fn limit(&self) -> Option<Limit> {
        None
    }
}

/// What a check is asked.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// The request that waits.
    pub request: &'a Request<'a>,
    /// The gate that asks.
    pub gate: &'a GateKey,
    /// The time.
    pub now: Timestamp,
    /// What is known of the cluster.
    pub world: &'a dyn World,
}

/// What is known of the cluster while a request waits. Reading it takes no lock and never waits.
pub trait World {
    /// What a watch has delivered; `None`: nothing is watched that way.
    fn watched(&self, key: &WatchKey) -> Option<Arc<Published>>;
    /// The labels of all namespaces; `None`: they are not known yet.
    fn namespaces(&self) -> Option<Arc<HashMap<String, BTreeMap<String, String>>>>;
    /// What is known of the starts of a gate whose checks count them.
    fn starts(&self, gate: &GateKey) -> Option<Arc<Book>> {
        let _ = gate;
        None
    }
    /// The API server's time when the own clock shows `now`; `None`: it is not known well enough.
    fn times(&self, now: Timestamp) -> Option<Times> {
        let _ = now;
        None
    }
}

/// A world of which nothing is known.
#[derive(Clone, Copy, Debug)]
pub struct Unknown;

impl World for Unknown {
    fn watched(&self, _key: &WatchKey) -> Option<Arc<Published>> {
        None
    }

    fn namespaces(&self) -> Option<Arc<HashMap<String, BTreeMap<String, String>>>> {
        None
    }
}

/// What a check says of a request. A panic is something that could not be told.
pub(super) fn ask(check: &dyn OfRequest, ask: &Ask<'_>) -> State {
    catch_unwind(AssertUnwindSafe(|| check.state(ask))).unwrap_or_else(|_| {
        let message = "the check itself failed on this request: this is a defect of the operator, please report it";
        State::unevaluated(passing::EVALUATION_ERROR, message, VecDeque::new())
    })
}

#[cfg(test)]
mod tests;
