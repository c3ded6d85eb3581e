//! Probe `host`: what the agent on a machine measured meets the requirements.
//!
//! An agent writes its report only when something changed its meaning, so an old report may be as good as a new one. What tells is the agent's
//! heartbeat, a Lease with the host's name: it is renewed only after everything was measured again. A host whose heartbeat is over is not known, whatever
//! its report says. Heartbeats are read and not waited for: an observation holds until the heartbeat that it rests on is over.

use super::live::{LiveProbe, Look, Place, Related, TargetRule};
use super::objects::{ReadObjects, target_name};
use crate::api::{HEARTBEAT_NAMESPACE, HostFacts, HostProbe, MAX_SILENCE_SECONDS};
use crate::core::host::{Finding, Found, Requirements};
use crate::core::observation::{NO_DATA, Observation, Outcome};
use crate::core::problem::Problem;
use jiff::{SignedDuration, Timestamp};
use kube::api::DynamicObject;
use serde::Deserialize;

#[cfg(test)]
mod tests;

/// Reason of a Pass.
pub const HOST_FIT: &str = "HostFit";
/// Reason of an Error: the agent has not been heard of for longer than it said.
pub const AGENT_SILENT: &str = "AgentSilent";

const LEASE: (&str, &str) = ("coordination.k8s.io/v1", "Lease");
/// How far in the future a heartbeat may be: clocks differ. One further ahead would outlive its agent.
const AHEAD: SignedDuration = SignedDuration::from_secs(60);
/// How soon a silent host is looked at again: its agent's next heartbeat changes nothing that anybody waits for.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(3);
/// How many findings a message names.
const NAMED: usize = 4;

/// What a host must be like.
#[derive(Clone, Debug, PartialEq)]
pub struct Host {
    requirements: Requirements,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Heartbeat {
    renew_time: Option<Timestamp>,
    lease_duration_seconds: Option<i32>,
}

impl Host {
    /// Reads the spec; what cannot work is a problem below `field`.
    pub fn parse(spec: &HostProbe, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        Requirements::parse(spec, field, problems).map(|requirements| Self { requirements })
    }

    /// What is seen of one host.
    fn observe(&self, target: &DynamicObject, objects: &dyn ReadObjects, now: Timestamp) -> Observation {
        let name = target_name(target);
        let host = target.metadata.name.as_deref().unwrap_or_default();
        let until = match alive_until(objects, host, now) {
            Ok(until) => until,
            Err((reason, message)) => {
                let again = now.checked_add(LOOK_AGAIN).ok();
                return Observation::error(name, reason, message).holding_until(again);
            }
        };
        let facts = match target.data.get("facts").map(HostFacts::deserialize) {
            Some(Ok(facts)) => facts,
            Some(Err(error)) => {
                return Observation::error(name, NO_DATA, format!("its report cannot be read: {error}")).holding_until(Some(until));
            }
            None => return Observation::error(name, NO_DATA, "its report has no facts").holding_until(Some(until)),
        };
        verdict(&name, &self.requirements.judge(&facts)).holding_until(Some(until))
    }
}

/// Until when the host's last heartbeat is to be believed; or the reason and the message of why it is not.
fn alive_until(objects: &dyn ReadObjects, host: &str, now: Timestamp) -> Result<Timestamp, (&'static str, String)> {
    let (api_version, kind) = LEASE;
    let lease = objects.get(api_version, kind, Some(HEARTBEAT_NAMESPACE), host);
    let lease = lease.map_err(|error| (super::NOT_SYNCED, error.message))?;
    let lease = lease.ok_or_else(|| (AGENT_SILENT, format!("its agent has no Lease {HEARTBEAT_NAMESPACE}/{host}")))?;
    let unreadable = || (AGENT_SILENT, format!("Lease {HEARTBEAT_NAMESPACE}/{host} cannot be read"));
    let heartbeat = lease.data.get("spec").and_then(|spec| Heartbeat::deserialize(spec).ok()).ok_or_else(unreadable)?;
    let (Some(renewed), Some(seconds)) = (heartbeat.renew_time, heartbeat.lease_duration_seconds) else { return Err(unreadable()) };
    let lasts = SignedDuration::from_secs(i64::from(seconds.clamp(0, MAX_SILENCE_SECONDS)));
    let until = renewed.checked_add(lasts).map_err(|_| unreadable())?;
    if renewed.duration_since(now) > AHEAD {
        return Err((AGENT_SILENT, format!("its agent's heartbeat is of {renewed}, which is yet to come")));
    }
    if now >= until {
        return Err((AGENT_SILENT, format!("its agent is silent since {renewed}, for more than {} s", lasts.as_secs())));
    }
    Ok(until)
}

/// One observation of all findings: what is known to be wrong comes before what cannot be told.
fn verdict(name: &str, findings: &[Finding]) -> Observation {
    let all = |found: Found| findings.iter().filter(move |finding| finding.found == found);
    if let Some(worst) = all(Found::Unmet).next() {
        let seen = Observation::new(name, Outcome::Fail, worst.reason, named(all(Found::Unmet)));
        return seen.measured(&worst.value, &worst.required);
    }
    if all(Found::Untold).next().is_some() {
        return Observation::error(name, NO_DATA, named(all(Found::Untold)));
    }
    match findings {
        [one] => Observation::new(name, Outcome::Pass, HOST_FIT, &one.message).measured(&one.value, &one.required),
        many => Observation::new(name, Outcome::Pass, HOST_FIT, format!("{} requirements met", many.len())),
    }
}

fn named<'a>(findings: impl Iterator<Item = &'a Finding>) -> String {
    let messages: Vec<&str> = findings.map(|finding| finding.message.as_str()).collect();
    let first = messages.iter().take(NAMED).copied().collect::<Vec<_>>().join("; ");
    match messages.len().checked_sub(NAMED) {
        Some(more) if more > 0 => format!("{more} more; {first}"),
        _ => first,
    }
}

impl LiveProbe for Host {
    fn name(&self) -> &'static str {
        "host"
    }

    fn targets(&self) -> TargetRule {
        TargetRule::Hosts
    }

    fn reads(&self) -> Vec<Related> {
        let (api_version, kind) = LEASE;
        vec![Related { api_version, kind, place: Place::Owned(HEARTBEAT_NAMESPACE), name: None, quiet: true }]
    }

    fn observe(&self, look: &Look<'_>) -> Vec<Observation> {
        look.each(|target| self.observe(target, look.objects, look.now))
    }
}
