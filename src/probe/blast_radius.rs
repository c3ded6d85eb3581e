//! Probe `blastRadius`: how much of what is there an experiment would hit at most, and whether it might hit what must never be hit.
//!
//! A mode or count says how many of the selected pods are hit, not which: so for each workload it is reckoned that as many as can be are its own.
//! What is protected may not even be among those that are selected.

use super::live::{Asked, LiveProbe, Look, Place, Related, TargetRule, guarded};
use super::objects::NOT_SYNCED;
use crate::api::BlastRadiusProbe;
use crate::api::conditions::passing::FORBIDDEN;
use crate::core::observation::{NOT_FOUND, Observation, Outcome};
use crate::core::problem::Problem;
use crate::core::selector::Selector;
use crate::core::text::single_line;
use crate::core::touch::{Cluster, Touch, Touched, Untold, Workload, is_active, resolve, resolve_nodes};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::DynamicObject;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

#[cfg(test)]
mod tests;

/// Reason of a Pass.
pub const WITHIN_LIMITS: &str = "WithinLimits";
/// Reason of a Fail: more would be hit than is allowed.
pub const TOO_MUCH: &str = "TooMuch";
/// Reason of a Fail: what must never be hit could be.
pub const PROTECTED: &str = "Protected";
/// Reason of an Error: only a request tells.
pub const NO_REQUEST: &str = "NoRequest";

const ZONE: &str = "topology.kubernetes.io/zone";
/// What the whole is called in results.
const WHOLE: &str = "Experiment";
/// Namespaces of the system, of the operator, and of tools as their default installation names them.
const PROTECTED_NAMESPACES: [&str; 7] =
    ["kube-system", "holdpoint-system", "chaos-mesh", "chaos-engineering", "krkn-operator-system", "chaosblade", "kubevirt"];
/// Labels that mark what belongs to the operator or to a tool, wherever it runs.
const PROTECTED_LABELS: [&str; 2] = ["app.kubernetes.io/part-of", "app.kubernetes.io/name"];
const PROTECTED_VALUES: [&str; 7] =
    ["holdpoint", "chaos-mesh", "litmus", "chaos-controller", "krkn-operator", "chaosblade-operator", "kubevirt"];

/// How much may be hit.
#[derive(Clone, Debug)]
pub struct BlastRadius {
    pods: Option<Limit>,
    nodes: Option<Limit>,
    pool: Option<String>,
    zone: Option<Limit>,
    protected: Selector,
}

/// So many, or so many of a hundred, rounded down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Count(usize),
    Percent(usize),
}

impl Limit {
    fn parse(value: Option<&IntOrString>, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let limit = match value? {
            IntOrString::Int(count) => usize::try_from(*count).ok().map(Self::Count),
            IntOrString::String(text) => {
                let percent = text.strip_suffix('%').and_then(|digits| digits.parse().ok());
                percent.filter(|percent| *percent <= 100).map(Self::Percent)
            }
        };
        if limit.is_none() {
            problems.push(Problem::new(field, "must be a number of at least 0, or a percentage from \"0%\" to \"100%\""));
        }
        limit
    }

    fn allows(self, hit: usize, of: usize) -> bool {
        match self {
            Self::Count(count) => hit <= count,
            Self::Percent(percent) => hit.saturating_mul(100) <= of.saturating_mul(percent),
        }
    }

    fn of(self, total: usize) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Percent(percent) => total.saturating_mul(percent) / 100,
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl BlastRadius {
    /// Reads the spec; what cannot work is a problem below `field`.
    pub fn parse(spec: &BlastRadiusProbe, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        let pods = Limit::parse(spec.max_pods.as_ref(), &format!("{field}.maxPods"), problems);
        let nodes = Limit::parse(spec.max_nodes.as_ref(), &format!("{field}.maxNodes"), problems);
        let zone = Limit::parse(spec.max_nodes_of_zone.as_ref(), &format!("{field}.maxNodesOfZone"), problems);
        let protected = Selector::parse(&spec.protected_namespaces, &format!("{field}.protectedNamespaces"), problems);
        if spec.node_pool_label.is_some() && nodes.is_none() {
            problems.push(Problem::new(format!("{field}.nodePoolLabel"), "needs maxNodes: it says what a pool is"));
        }
        (problems.len() == before).then_some(Self { pods, nodes, pool: spec.node_pool_label.clone(), zone, protected: protected? })
    }

    fn reads_nodes(&self) -> bool {
        self.nodes.is_some() || self.zone.is_some()
    }

    fn judge(&self, asked: &Asked<'_>, touch: &Touch) -> Result<Vec<Observation>, Untold> {
        let touched = resolve(touch, asked.cluster)?;
        let nodes = if self.reads_nodes() { self.judge_nodes(touch, asked.cluster)? } else { Vec::new() };
        let pods = touched.pods();
        if pods.is_empty() && nodes.is_empty() {
            let message = format!("nothing would be hit: there are no {}", single_line(&touched.looked_for.join("; no "), 200));
            return Ok(vec![Observation::error(WHOLE, NOT_FOUND, message)]);
        }
        let mut seen = self.judge_protected(asked, &touched);
        seen.extend(nodes);
        seen.extend(self.judge_workloads(&touched, asked.cluster)?);
        if seen.is_empty() {
            let message = format!("at most {} of {} selected pods would be hit", touched.at_most(), pods.len());
            seen.push(Observation::new(WHOLE, Outcome::Pass, WITHIN_LIMITS, message));
        }
        Ok(seen)
    }

    fn judge_workloads(&self, touched: &Touched<'_>, cluster: &dyn Cluster) -> Result<Vec<Observation>, Untold> {
        let Some(limit) = self.pods else { return Ok(Vec::new()) };
        let workloads = touched.workloads();
        let mut totals: BTreeMap<Workload, usize> = BTreeMap::new();
        for namespace in workloads.keys().map(|workload| workload.namespace.as_str()).collect::<BTreeSet<_>>() {
            for pod in cluster.pods(Some(namespace))?.into_iter().filter(|pod| is_active(pod)) {
                *totals.entry(Workload::of(pod)).or_default() += 1;
            }
        }
        let judge = |(workload, hit): (Workload, usize)| {
            let total = totals.get(&workload).copied().unwrap_or(0).max(hit);
            let (what, of) =
                (format!("{}/{workload}", workload.namespace), if total == 1 { "1 pod".to_owned() } else { format!("{total} pods") });
            let message = format!("at most {hit} of its {of} would be hit");
            let seen = if limit.allows(hit, total) {
                Observation::new(what, Outcome::Pass, WITHIN_LIMITS, message)
            } else {
                let message = format!("{message}, {} allowed (maxPods {limit})", limit.of(total));
                Observation::new(what, Outcome::Fail, TOO_MUCH, message)
            };
            seen.measured(format!("{hit} of {of}"), format!("at most {}", limit.of(total)))
        };
        Ok(workloads.into_iter().map(judge).collect())
    }

    fn judge_nodes(&self, touch: &Touch, cluster: &dyn Cluster) -> Result<Vec<Observation>, Untold> {
        let groups: Vec<_> = resolve_nodes(touch, cluster)?.into_iter().filter(|group| group.themselves).collect();
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        let all = cluster.nodes()?;
        let mut seen = Vec::new();
        for (limit, label, field, what) in
            [(self.nodes, self.pool.as_deref(), "maxNodes", "Pool"), (self.zone, Some(ZONE), "maxNodesOfZone", "Zone")]
        {
            let Some(limit) = limit else { continue };
            let of = |node: &DynamicObject| match label {
                Some(label) => node.metadata.labels.as_ref().and_then(|labels| labels.get(label)).cloned().unwrap_or_default(),
                None => "all".to_owned(),
            };
            let mut totals: BTreeMap<String, usize> = BTreeMap::new();
            for node in &all {
                *totals.entry(of(node)).or_default() += 1;
            }
            for (name, total) in totals {
                let selected: BTreeSet<&str> = groups
                    .iter()
                    .flat_map(|group| &group.nodes)
                    .filter(|node| of(node) == name)
                    .filter_map(|node| node.metadata.name.as_deref())
                    .collect();
                let hit: usize =
                    groups.iter().map(|group| group.nodes.iter().filter(|node| of(node) == name).count().min(group.at_most)).sum();
                let hit = hit.min(selected.len());
                if hit == 0 {
                    continue;
                }
                let shown = if name.is_empty() { "(none)" } else { &name };
                let message = format!("at most {hit} of its {total} nodes would be hit");
                let (outcome, reason, message) = if limit.allows(hit, total) {
                    (Outcome::Pass, WITHIN_LIMITS, message)
                } else {
                    (Outcome::Fail, TOO_MUCH, format!("{message}, {} allowed ({field} {limit})", limit.of(total)))
                };
                let seen_of_it = Observation::new(format!("{what}/{shown}"), outcome, reason, message);
                seen.push(seen_of_it.measured(format!("{hit} of {total} nodes"), format!("at most {}", limit.of(total))));
            }
        }
        Ok(seen)
    }

    /// What must never be hit, and could be.
    fn judge_protected(&self, asked: &Asked<'_>, touched: &Touched<'_>) -> Vec<Observation> {
        let labels = asked.ask.world.namespaces();
        let mut namespaces: BTreeMap<&str, Observation> = BTreeMap::new();
        let mut seen = Vec::new();
        for group in &touched.groups {
            for pod in &group.pods {
                let workload = Workload::of(pod);
                // A node's own pods go with it, and come back with it.
                if group.by_node && matches!(workload.kind.as_str(), "DaemonSet" | "Node") {
                    continue;
                }
                let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
                let name = format!("{namespace}/{workload}");
                if let Some(why) = belongs_to_a_tool(pod) {
                    let message = format!("its pods could be hit, and it is {why}: exclude it from the experiment's selectors");
                    let one = Observation::new(&name, Outcome::Fail, PROTECTED, message).measured("selected", "not selected");
                    if !seen.contains(&one) {
                        seen.push(one);
                    }
                }
                if namespaces.contains_key(namespace) {
                    continue;
                }
                let of = labels.as_ref().and_then(|all| all.get(namespace));
                let target = format!("Namespace/{namespace}");
                match of {
                    None => {
                        let message = "its labels are not known, so it cannot be told whether it is protected";
                        namespaces.insert(namespace, Observation::error(target, NOT_SYNCED, message));
                    }
                    Some(of) if self.protected.matches(of) => {
                        let message =
                            format!("it is protected (labels {}), and its pods could be hit, such as {workload}'s", self.protected);
                        let found = Observation::new(target, Outcome::Fail, PROTECTED, message).measured("selected", "not selected");
                        namespaces.insert(namespace, found);
                    }
                    Some(_) => {}
                }
            }
        }
        seen.extend(namespaces.into_values());
        seen
    }
}

/// Why a pod must never be hit, whatever a check says.
fn belongs_to_a_tool(pod: &DynamicObject) -> Option<String> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    if PROTECTED_NAMESPACES.contains(&namespace) {
        return Some(format!("in namespace {namespace}"));
    }
    let labels = pod.metadata.labels.as_ref()?;
    let marked = |key: &&&str| labels.get(**key).is_some_and(|value| PROTECTED_VALUES.contains(&value.as_str()));
    let key = PROTECTED_LABELS.iter().find(marked)?;
    Some(format!("part of {}", labels.get(*key).map(String::as_str).unwrap_or_default()))
}

impl LiveProbe for BlastRadius {
    fn name(&self) -> &'static str {
        "blastRadius"
    }

    fn targets(&self) -> TargetRule {
        TargetRule::Gated
    }

    fn per_request(&self) -> bool {
        true
    }

    fn reads(&self) -> Vec<Related> {
        let all = |kind, place| Related { api_version: "v1", kind, place, name: None, quiet: true };
        let nodes = self.reads_nodes().then(|| all("Node", Place::Everywhere));
        [Some(all("Pod", Place::Targets)), nodes].into_iter().flatten().collect()
    }

    fn observe(&self, _look: &Look<'_>) -> Vec<Observation> {
        vec![Observation::error(WHOLE, NO_REQUEST, "only a request tells what would be hit")]
    }

    fn observe_request(&self, asked: &Asked<'_>, _allowance: &mut u64) -> Vec<Observation> {
        let Some(touch) = asked.touch else {
            return vec![Observation::error(WHOLE, NO_REQUEST, "it is not told what would be hit")];
        };
        let mut seen = Vec::new();
        let failed = guarded(WHOLE, || match self.judge(asked, touch) {
            Ok(found) => {
                seen = found;
                Observation::new(WHOLE, Outcome::Pass, WITHIN_LIMITS, "")
            }
            Err(Untold { forbidden: true, message }) => Observation::error(WHOLE, FORBIDDEN, message),
            Err(Untold { forbidden: false, message }) => Observation::error(WHOLE, NOT_SYNCED, message),
        });
        if failed.outcome == Outcome::Pass { seen } else { vec![failed] }
    }
}
