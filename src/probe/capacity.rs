//! Probe `capacity`: nodes have room, allocatable minus what the pods on them request.
//!
//! What is certain decides: a node that lacks one resource fails even if another cannot be told, and a sum that suffices without the nodes that
//! cannot be told passes.

use super::live::{LiveProbe, Look, Place, Related, TargetRule, guarded};
use super::objects::{NOT_SYNCED, target_name};
use crate::api::{CapacityProbe, CapacityScope, UnusableNodes};
use crate::core::observation::{NO_DATA, Observation, Outcome};
use crate::core::problem::Problem;
use crate::core::quantity::{Headroom, Quantity, Room};
use crate::core::text::single_line;
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::Value;

mod requests;
#[cfg(test)]
mod tests;

use requests::{Requests, amount};

/// Reason of a Pass.
pub const ENOUGH_ROOM: &str = "EnoughRoom";
/// Reason of a Fail: less is free than is needed.
pub const NOT_ENOUGH_ROOM: &str = "NotEnoughRoom";
/// Reason of a Fail: the node has nothing of the resource, not even in use.
pub const NO_SUCH_RESOURCE: &str = "NoSuchResource";
/// Reason of a Fail: the node takes no new pods.
pub const NODE_UNUSABLE: &str = "NodeUnusable";

const MAX_RESOURCES: usize = 16;
/// What a result for all nodes is called.
const ALL_NODES: &str = "Nodes";

/// The room that nodes must have.
#[derive(Clone, Debug, PartialEq)]
pub struct Capacity {
    resources: Vec<Resource>,
    scope: CapacityScope,
    unusable: UnusableNodes,
}

#[derive(Clone, Debug, PartialEq)]
struct Resource {
    name: String,
    free: Headroom,
}

/// A resource on a node.
enum Amount {
    /// So much can be requested, and so much is.
    Known { allocatable: Quantity, requested: Quantity },
    /// The node has none.
    Absent,
    /// It cannot be told.
    Unknown(String),
}

/// A node as it is.
struct Seen {
    /// Why it takes no new pods, if that counts; or why that cannot be told.
    unusable: Result<Option<&'static str>, String>,
    /// In the order of the resources.
    amounts: Vec<Amount>,
}

/// A resource on all nodes that count.
#[derive(Default)]
struct Total {
    allocatable: Quantity,
    /// What is allocatable and not free. More than there is on one node takes nothing from another.
    taken: Quantity,
    nodes_with_it: usize,
    unknown: Option<String>,
}

/// What came of one resource.
enum Finding {
    Enough(Room),
    Short(Room),
    Absent,
    Unknown(String),
}

impl Capacity {
    /// Reads the spec; what cannot work is a problem below `field`.
    pub fn parse(spec: &CapacityProbe, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        let at = format!("{field}.resources");
        if spec.resources.is_empty() || spec.resources.len() > MAX_RESOURCES {
            problems.push(Problem::new(&at, format!("name 1 to {MAX_RESOURCES} resources")));
        }
        let mut resources: Vec<Resource> = Vec::new();
        for (index, resource) in spec.resources.iter().enumerate().take(MAX_RESOURCES) {
            let name = &resource.name;
            if name.is_empty() {
                problems.push(Problem::new(format!("{at}[{index}].name"), "name a resource, such as memory"));
            }
            if resources.iter().any(|earlier| earlier.name == *name) {
                problems.push(Problem::new(format!("{at}[{index}].name"), format!("{:?} is there twice", single_line(name, 64))));
            }
            if let Some(free) = Headroom::parse(&resource.free, &format!("{at}[{index}].free"), problems) {
                resources.push(Resource { name: name.clone(), free });
            }
        }
        (problems.len() == before).then_some(Self { resources, scope: spec.scope, unusable: spec.unusable_nodes })
    }

    fn see(&self, node: &DynamicObject, requests: &Requests<'_>) -> Seen {
        let unusable = match self.unusable {
            UnusableNodes::NoRoom => why_unusable(node),
            UnusableNodes::Room => Ok(None),
        };
        let requested = requests.on(node.metadata.name.as_deref().unwrap_or_default());
        let allocatable = node.data.get("status").and_then(|status| status.get("allocatable"));
        let of = |(index, resource): (usize, &Resource)| match amount(allocatable, &resource.name) {
            Err(why) => Amount::Unknown(format!("its status.allocatable cannot be read: {why}")),
            Ok(_) if !allocatable.is_some_and(Value::is_object) => Amount::Unknown("it has no status.allocatable".to_owned()),
            Ok(None) => Amount::Absent,
            Ok(Some(allocatable)) => match requested {
                Ok(sums) => Amount::Known { allocatable, requested: sums.get(index).copied().unwrap_or_default() },
                Err(why) => Amount::Unknown(why.to_owned()),
            },
        };
        Seen { unusable, amounts: self.resources.iter().enumerate().map(of).collect() }
    }

    fn judge_node(&self, target: &str, seen: Seen) -> Observation {
        let mut unknown = None;
        match seen.unusable {
            Ok(None) => {}
            Ok(Some(why)) => {
                return Observation::new(target, Outcome::Fail, NODE_UNUSABLE, format!("{why}, so it has no room"))
                    .measured("no room", self.required());
            }
            Err(why) => unknown = Some(why),
        }
        let judge = |(resource, amount): (&Resource, Amount)| match amount {
            Amount::Unknown(why) => Finding::Unknown(why),
            Amount::Absent => Finding::Absent,
            Amount::Known { allocatable, requested } => Finding::of(resource.free.judge(&resource.name, allocatable, requested)),
        };
        let findings = self.resources.iter().zip(seen.amounts).map(judge).collect();
        self.conclude(target, "it has no", findings, unknown, "")
    }

    fn judge_sum(&self, seen: Vec<Seen>) -> Observation {
        let all = seen.len();
        let mut totals: Vec<Total> = self.resources.iter().map(|_| Total::default()).collect();
        let mut counted = 0_usize;
        let mut untold = None;
        for node in seen {
            match node.unusable {
                Ok(Some(_)) => {}
                Ok(None) => {
                    counted += 1;
                    totals.iter_mut().zip(node.amounts).for_each(|(total, amount)| total.add(amount));
                }
                Err(why) => {
                    untold.get_or_insert(why);
                }
            }
        }
        if counted == 0 && untold.is_none() {
            let message = format!("none of {all} nodes takes new pods, so there is no room");
            return Observation::new(ALL_NODES, Outcome::Fail, NODE_UNUSABLE, message).measured("no room", self.required());
        }
        let judge = |(resource, total): (&Resource, Total)| {
            let unknown = total.unknown.or_else(|| untold.clone());
            let room = resource.free.judge(&resource.name, total.allocatable, total.taken);
            match unknown {
                // More nodes only add to what is free, but they may lower its share of the whole.
                Some(why) if !room.enough || resource.free.is_percentage() => Finding::Unknown(why),
                _ if total.nodes_with_it == 0 => Finding::Absent,
                _ => Finding::of(room),
            }
        };
        let findings = self.resources.iter().zip(totals).map(judge).collect();
        let on = if counted == all { format!(" on {}", nodes(all)) } else { format!(" on {counted} of {}", nodes(all)) };
        self.conclude(ALL_NODES, "none has", findings, None, &on)
    }

    /// One observation of what came of each resource.
    fn conclude(&self, target: &str, lacks: &str, findings: Vec<Finding>, mut unknown: Option<String>, on: &str) -> Observation {
        let (mut enough, mut short, mut absent, mut values) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (resource, finding) in self.resources.iter().zip(findings) {
            let name = &resource.name;
            match finding {
                Finding::Enough(room) => {
                    values.push(format!("{name} {}", room.free));
                    enough.push(room.text);
                }
                Finding::Short(room) => {
                    values.push(format!("{name} {}", room.free));
                    short.push(room.text);
                }
                Finding::Absent => {
                    values.push(format!("{name} none"));
                    absent.push(format!("{lacks} {name}, {} needed", resource.free));
                }
                Finding::Unknown(why) => {
                    unknown.get_or_insert(why);
                }
            }
        }
        let reason = if absent.is_empty() { NOT_ENOUGH_ROOM } else { NO_SUCH_RESOURCE };
        let wrong: Vec<String> = absent.into_iter().chain(short).collect();
        let seen = match (wrong.is_empty(), unknown) {
            (false, _) => Observation::new(target, Outcome::Fail, reason, format!("{}{on}", wrong.join("; "))),
            (true, Some(why)) => return Observation::error(target, NO_DATA, why),
            (true, None) => Observation::new(target, Outcome::Pass, ENOUGH_ROOM, format!("{}{on}", enough.join("; "))),
        };
        seen.measured(values.join(", "), self.required())
    }

    fn required(&self) -> String {
        self.resources.iter().map(|resource| format!("{} {}", resource.name, resource.free)).collect::<Vec<_>>().join(", ")
    }
}

impl Finding {
    fn of(room: Room) -> Self {
        if room.enough { Self::Enough(room) } else { Self::Short(room) }
    }
}

impl Total {
    fn add(&mut self, amount: Amount) {
        match amount {
            Amount::Known { allocatable, requested } => {
                self.allocatable = self.allocatable.plus(allocatable);
                self.taken = self.taken.plus(requested.min(allocatable));
                self.nodes_with_it += 1;
            }
            Amount::Absent => {}
            Amount::Unknown(why) => {
                self.unknown.get_or_insert(why);
            }
        }
    }
}

impl LiveProbe for Capacity {
    fn name(&self) -> &'static str {
        "capacity"
    }

    fn targets(&self) -> TargetRule {
        TargetRule::OneOf(&[("v1", "Node")], "Node of v1")
    }

    fn reads(&self) -> Vec<Related> {
        vec![Related { api_version: "v1", kind: "Pod", place: Place::Everywhere, name: None, quiet: false }]
    }

    fn observe(&self, look: &Look<'_>) -> Vec<Observation> {
        let pods = match look.objects.list("v1", "Pod", None) {
            Ok(pods) => pods,
            Err(error) => return vec![Observation::error(ALL_NODES, NOT_SYNCED, error.message)],
        };
        let resources: Vec<&str> = self.resources.iter().map(|resource| resource.name.as_str()).collect();
        let targets = look.targets.iter().filter_map(|node| node.metadata.name.as_deref());
        let requests = Requests::of(targets, &pods, &resources);
        match self.scope {
            CapacityScope::PerNode => look.each(|node| self.judge_node(&target_name(node), self.see(node, &requests))),
            CapacityScope::Sum => vec![guarded(ALL_NODES, || {
                let mut nodes: Vec<_> = look.targets.to_vec();
                // So that the same node is named while nothing changes.
                nodes.sort_by_key(|node| node.name_any());
                let look_at = |node: &DynamicObject| self.see(node, &requests).named(node.metadata.name.as_deref().unwrap_or_default());
                self.judge_sum(nodes.into_iter().map(look_at).collect())
            })],
        }
    }
}

impl Seen {
    /// The same, with what cannot be told said of the node.
    fn named(self, node: &str) -> Self {
        let of = |why: String| format!("{node}: {why}");
        let amounts = self.amounts.into_iter().map(|amount| match amount {
            Amount::Unknown(why) => Amount::Unknown(of(why)),
            other => other,
        });
        Self { unusable: self.unusable.map_err(of), amounts: amounts.collect() }
    }
}

/// Why a node takes no new pods: the taints that keep them away follow from these.
fn why_unusable(node: &DynamicObject) -> Result<Option<&'static str>, String> {
    if node.metadata.deletion_timestamp.is_some() {
        return Ok(Some("it is being deleted"));
    }
    let unschedulable = node.data.get("spec").and_then(|spec| spec.get("unschedulable"));
    match unschedulable {
        None | Some(Value::Null | Value::Bool(false)) => {}
        Some(Value::Bool(true)) => return Ok(Some("it is cordoned")),
        Some(_) => return Err("its spec.unschedulable is neither true nor false".to_owned()),
    }
    let conditions = node.data.get("status").and_then(|status| status.get("conditions")).and_then(Value::as_array);
    let text = |condition: &Value, member: &str| condition.get(member).and_then(Value::as_str).map(str::to_owned);
    let ready = conditions.into_iter().flatten().find(|condition| text(condition, "type").as_deref() == Some("Ready"));
    match ready.and_then(|ready| text(ready, "status")).as_deref() {
        Some("True") => Ok(None),
        Some(_) => Ok(Some("it is not Ready")),
        None => Err("it has no condition Ready".to_owned()),
    }
}

fn nodes(count: usize) -> String {
    if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") }
}
