//! Probe `quota`: the ResourceQuotas of the check's namespace leave room.
//!
//! What is used is what the quota controller last wrote. A status that is not yet of the spec's limits says nothing about them.

use super::capacity::{ENOUGH_ROOM, NOT_ENOUGH_ROOM};
use super::live::{LiveProbe, Look, Place, Related, TargetRule, guarded};
use super::objects::{NOT_SYNCED, NotSynced, read, target_name};
use crate::api::{QuotaProbe, ScopedQuotas};
use crate::core::observation::{NO_DATA, NOT_FOUND, Observation, Outcome};
use crate::core::problem::Problem;
use crate::core::quantity::{Headroom, Quantity, Room};
use crate::core::text::single_line;
use kube::api::DynamicObject;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// Reason of a Pass: no quota limits the resources.
pub const UNLIMITED: &str = "Unlimited";

const MAX_RESOURCES: usize = 16;
const KIND: (&str, &str) = ("v1", "ResourceQuota");

/// The room that quotas must leave.
#[derive(Clone, Debug, PartialEq)]
pub struct Quota {
    name: Option<String>,
    resources: Vec<Resource>,
    scoped: ScopedQuotas,
}

#[derive(Clone, Debug, PartialEq)]
struct Resource {
    name: String,
    free: Headroom,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    hard: Option<BTreeMap<String, String>>,
    scopes: Option<Vec<String>>,
    scope_selector: Option<Value>,
}

#[derive(Default, Deserialize)]
struct Status {
    hard: Option<BTreeMap<String, String>>,
    used: Option<BTreeMap<String, String>>,
}

impl Quota {
    /// Reads the spec; what cannot work is a problem below `field`.
    pub fn parse(spec: &QuotaProbe, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        let at = format!("{field}.resources");
        if spec.resources.is_empty() || spec.resources.len() > MAX_RESOURCES {
            problems.push(Problem::new(&at, format!("name 1 to {MAX_RESOURCES} resources")));
        }
        let mut resources: Vec<Resource> = Vec::new();
        for (index, resource) in spec.resources.iter().enumerate().take(MAX_RESOURCES) {
            let name = &resource.name;
            if name.is_empty() {
                problems.push(Problem::new(format!("{at}[{index}].name"), "name a resource, such as requests.cpu"));
            }
            if resources.iter().any(|earlier| earlier.name == *name || earlier.name == other_name(name)) {
                problems.push(Problem::new(format!("{at}[{index}].name"), format!("{:?} is there twice", single_line(name, 64))));
            }
            if let Some(free) = Headroom::parse(&resource.free, &format!("{at}[{index}].free"), problems) {
                resources.push(Resource { name: name.clone(), free });
            }
        }
        (problems.len() == before).then(|| Self { name: spec.name.clone(), resources, scoped: spec.scoped })
    }

    /// What is seen of one quota; `None`: it does not limit what is asked about.
    fn judge(&self, quota: &DynamicObject) -> Option<Observation> {
        let target = target_name(quota);
        let spec: Spec = match read(quota, "spec") {
            Ok(spec) => spec.unwrap_or_default(),
            Err(why) => return Some(Observation::error(target, NO_DATA, why)),
        };
        let has_scopes = spec.scopes.is_some_and(|scopes| !scopes.is_empty()) || spec.scope_selector.is_some();
        if has_scopes && self.scoped == ScopedQuotas::Ignored {
            return None;
        }
        let hard = spec.hard.unwrap_or_default();
        let asked = self.resources.iter().flat_map(|resource| {
            let names = [resource.name.as_str(), other_name(&resource.name)];
            names
                .into_iter()
                .filter_map(|name| hard.get_key_value(name))
                .map(move |(name, limit)| (resource, name.as_str(), limit.as_str()))
        });
        let asked: Vec<_> = asked.collect();
        if asked.is_empty() {
            return None;
        }
        let status: Status = match read(quota, "status") {
            Ok(status) => status.unwrap_or_default(),
            Err(why) => return Some(Observation::error(target, NO_DATA, why)),
        };
        let rooms = asked.iter().map(|(resource, name, limit)| (*name, room(resource, name, limit, &status)));
        Some(self.conclude(&target, rooms.collect()))
    }

    /// What is certainly wrong fails it even if something else cannot be told.
    fn conclude(&self, target: &str, rooms: Vec<(&str, Result<Room, String>)>) -> Observation {
        let (mut enough, mut short, mut values, mut unknown) = (Vec::new(), Vec::new(), Vec::new(), None);
        for (name, room) in rooms {
            match room {
                Ok(room) => {
                    values.push(format!("{name} {}", room.free));
                    if room.enough { &mut enough } else { &mut short }.push(room.text);
                }
                Err(why) => {
                    unknown.get_or_insert(why);
                }
            }
        }
        let seen = match (short.is_empty(), unknown) {
            (false, _) => Observation::new(target, Outcome::Fail, NOT_ENOUGH_ROOM, short.join("; ")),
            (true, Some(why)) => return Observation::error(target, NO_DATA, why),
            (true, None) => Observation::new(target, Outcome::Pass, ENOUGH_ROOM, enough.join("; ")),
        };
        let required: Vec<String> = self.resources.iter().map(|resource| format!("{} {}", resource.name, resource.free)).collect();
        seen.measured(values.join(", "), required.join(", "))
    }

    fn quotas<'a>(&self, look: &Look<'a>) -> Result<Vec<&'a DynamicObject>, NotSynced> {
        match &self.name {
            Some(name) => Ok(look.objects.get(KIND.0, KIND.1, Some(look.namespace), name)?.into_iter().collect()),
            None => look.objects.list(KIND.0, KIND.1, Some(look.namespace)),
        }
    }
}

impl LiveProbe for Quota {
    fn name(&self) -> &'static str {
        "quota"
    }

    fn targets(&self) -> TargetRule {
        TargetRule::None
    }

    fn reads(&self) -> Vec<Related> {
        vec![Related { api_version: KIND.0, kind: KIND.1, place: Place::Targets, name: self.name.clone(), quiet: false }]
    }

    fn observe(&self, look: &Look<'_>) -> Vec<Observation> {
        let namespace = format!("Namespace/{}", look.namespace);
        let quotas = match (self.quotas(look), &self.name) {
            (Err(error), _) => return vec![Observation::error(namespace, NOT_SYNCED, error.message)],
            (Ok(quotas), Some(name)) if quotas.is_empty() => {
                let message = format!("there is no ResourceQuota {name} in namespace {}", look.namespace);
                return vec![Observation::error(format!("ResourceQuota/{name}"), NOT_FOUND, message)];
            }
            (Ok(quotas), _) => quotas,
        };
        let guarded_judge = |quota: &DynamicObject| {
            let mut limits = true;
            let seen = guarded(&target_name(quota), || {
                let seen = self.judge(quota);
                limits = seen.is_some();
                seen.unwrap_or_else(|| Observation::new("", Outcome::Pass, UNLIMITED, ""))
            });
            limits.then_some(seen)
        };
        let seen: Vec<Observation> = quotas.into_iter().filter_map(guarded_judge).collect();
        if !seen.is_empty() {
            return seen;
        }
        let names = self.resources.iter().map(|resource| resource.name.as_str()).collect::<Vec<_>>().join(", ");
        let message = match &self.name {
            Some(name) => format!("ResourceQuota {name} does not limit {names}"),
            None => format!("no ResourceQuota limits {names}"),
        };
        vec![Observation::new(namespace, Outcome::Pass, UNLIMITED, message)]
    }
}

/// What a quota leaves of a resource that it limits.
fn room(resource: &Resource, name: &str, limit: &str, status: &Status) -> Result<Room, String> {
    let amount = |what: &str, text: &str| Quantity::parse(text).map_err(|error| format!("{what} {name}: {text:?} {error}"));
    let limit = amount("its spec.hard", limit)?;
    let not_yet = || format!("its status does not tell of the limit of {name} yet");
    let seen = amount("its status.hard", status.hard.as_ref().and_then(|hard| hard.get(name)).ok_or_else(not_yet)?)?;
    if seen != limit {
        return Err(format!("its status is of another limit of {name}: {}, not {}", seen.shown(name), limit.shown(name)));
    }
    let used = amount("its status.used", status.used.as_ref().and_then(|used| used.get(name)).ok_or_else(not_yet)?)?;
    if used.is_negative() {
        return Err(format!("its status.used {name} is less than nothing"));
    }
    Ok(resource.free.judge(name, limit, used))
}

/// The other one of the two names that Kubernetes has for what is requested of these; nothing for any other resource.
fn other_name(name: &str) -> &str {
    match name {
        "cpu" => "requests.cpu",
        "requests.cpu" => "cpu",
        "memory" => "requests.memory",
        "requests.memory" => "memory",
        "ephemeral-storage" => "requests.ephemeral-storage",
        "requests.ephemeral-storage" => "ephemeral-storage",
        _ => "",
    }
}
