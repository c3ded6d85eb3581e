//! What `cooldown` and `concurrency` share: they ask what is known of the starts of the gate that asks, and need a place that was granted.

use super::live::{Asked, LiveProbe, Look, Place, Related, TargetRule};
use super::objects::NOT_SYNCED;
use crate::api::conditions::passing::{AWAITING_PLACE, FORBIDDEN, NO_PLACE};
use crate::api::{Operation, StartsPer};
use crate::core::gate::{Ask, hold_key};
use crate::core::observation::{NO_DATA, NOT_FOUND, Observation, Outcome};
use crate::core::starts::{Asking, Finding, Limit, Per, find};
use crate::core::text::single_line;
use crate::core::touch::{Cluster, Gated, Touch, resolve, touch};
use serde_json::Value;
use std::sync::Arc;

/// The longest name of a requester that a run has.
const MAX_REQUESTER: usize = 256;

/// Reason of a Pass: the leader has granted a place.
pub const PLACE_GRANTED: &str = "PlaceGranted";
/// Reason of a Pass: there is a place, and nothing will be stored.
pub const ROOM: &str = "Room";

/// What it is told of where it is not about the gate.
const WHOLE: &str = "Experiment";

pub(super) const fn per(per: StartsPer) -> Per {
    match per {
        StartsPer::Gate => Per::Gate,
        StartsPer::Target => Per::Target,
        StartsPer::Requester => Per::Requester,
    }
}

/// A limit of starts, as a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StartLimit(pub(super) Limit);

impl LiveProbe for StartLimit {
    fn name(&self) -> &'static str {
        match self.0 {
            Limit::Concurrency { .. } => "concurrency",
            Limit::Cooldown { .. } => "cooldown",
        }
    }

    fn targets(&self) -> TargetRule {
        match self.0 {
            // What the experiment selects.
            limit if limit.per() == Per::Target => TargetRule::Gated,
            Limit::Concurrency { .. } | Limit::Cooldown { .. } => TargetRule::None,
        }
    }

    fn reads(&self) -> Vec<Related> {
        let pods = || Related { api_version: "v1", kind: "Pod", place: Place::Targets, name: None, quiet: true };
        (self.0.per() == Per::Target).then(pods).into_iter().collect()
    }

    fn per_request(&self) -> bool {
        true
    }

    fn limit(&self) -> Option<Limit> {
        Some(self.0)
    }

    fn observe(&self, _look: &Look<'_>) -> Vec<Observation> {
        vec![Observation::error("", NO_DATA, "it can be told of a request only")]
    }

    fn observe_request(&self, asked: &Asked<'_>, _allowance: &mut u64) -> Vec<Observation> {
        vec![observe(self.0, asked)]
    }
}

/// What is seen of one start.
fn observe(limit: Limit, asked: &Asked<'_>) -> Observation {
    let Asked { ask, .. } = asked;
    let target = ask.gate.to_string();
    let Some(book) = ask.world.starts(ask.gate) else {
        return Observation::error(target, NOT_SYNCED, "the operator has not read yet what this gate admitted");
    };
    let Some(times) = ask.world.times(ask.now) else {
        return Observation::error(target, NOT_SYNCED, "the operator has not yet compared its clock with the API server's");
    };
    let digest = hold_key(ask.gate, ask.request).map(|key| format!("{:032x}", key.digest()));
    // Nothing comes of a dry run, so it needs no place, and must not use one up.
    if let (Some(digest), false) = (&digest, ask.request.dry_run)
        && book.pass(digest, &book.replica, uid(ask), times).is_some()
    {
        return Observation::new(target, Outcome::Pass, PLACE_GRANTED, "a place was granted");
    }
    let targets = match asked.touch.filter(|_| limit.per() == Per::Target).map(|touch| workloads(touch, asked.cluster)) {
        None => None,
        Some(Ok(workloads)) => Some(workloads),
        Some(Err((reason, message))) => return Observation::error(WHOLE, reason, message),
    };
    let asking = Asking {
        requester: single_line(ask.request.user.name, MAX_REQUESTER).into(),
        targets,
        resolve: &|aim| {
            let gated = Gated { group: &aim.group, kind: &aim.kind, namespace: aim.namespace.as_deref(), object: &aim.object };
            touch(&gated).ok().and_then(|touch| workloads(&touch, asked.cluster).ok())
        },
        digest: digest.map(Into::into),
    };
    match find(limit, &book, &asking, times) {
        Finding::Room(value, required) if ask.request.dry_run => {
            Observation::new(target, Outcome::Pass, ROOM, "there is a place").measured(value, required)
        }
        Finding::Room(value, required) => {
            Observation::error(target, AWAITING_PLACE, "there is a place, which the operator's leader has yet to grant")
                .measured(value, required)
        }
        Finding::None { value, required, message, .. } => {
            Observation::new(target, Outcome::Fail, NO_PLACE, message).measured(value, required)
        }
        Finding::Unknown(message) => Observation::error(target, NO_DATA, message),
    }
}

/// The workloads of the pods that may be hit, or why that cannot be told; none is not known to be none.
fn workloads(touch: &Touch, cluster: &dyn Cluster) -> Result<Arc<[Arc<str>]>, (&'static str, String)> {
    let touched = resolve(touch, cluster).map_err(|untold| {
        let reason = if untold.forbidden { FORBIDDEN } else { NOT_SYNCED };
        (reason, untold.message)
    })?;
    let words: Arc<[Arc<str>]> = touched.workloads().keys().map(|workload| Arc::from(format!("{workload:?}"))).collect();
    if words.is_empty() {
        let message = format!("nothing would be hit: there are no {}", single_line(&touched.looked_for.join("; no "), 200));
        return Err((NOT_FOUND, message));
    }
    Ok(words)
}

/// What tells this one try from others: the uid of an object that is made, which the API server gives it before it asks; else the request's.
fn uid<'a>(ask: &Ask<'a>) -> &'a str {
    let made = ask.request.operation == Operation::Create;
    let uid = ask.request.object.pointer("/metadata/uid").and_then(Value::as_str).filter(|uid| made && !uid.is_empty());
    uid.unwrap_or(ask.request.uid)
}
