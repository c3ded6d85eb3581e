//! From what an object selects to the pods, workloads and nodes that are there.

use super::nodes::Nodes;
use super::workload::{is_active, node_of};
use super::{Filter, Part, Pods, Touch, Workload};
use kube::core::DynamicObject;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of the cluster.
pub trait Cluster {
    /// All pods of one namespace or (`None`) of all: never a part of them.
    fn pods(&self, namespace: Option<&str>) -> Result<Vec<&DynamicObject>, Untold>;
    /// All nodes.
    fn nodes(&self) -> Result<Vec<&DynamicObject>, Untold>;
}

/// Why it cannot be told what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Untold {
    /// Whoever asks may not read it.
    pub forbidden: bool,
    /// One line.
    pub message: String,
}

/// Pods of which so many are hit at most.
#[derive(Debug)]
pub struct Group<'a> {
    /// Those that may be hit, by the node on which they are.
    pub pods: Vec<&'a DynamicObject>,
    /// How many of them.
    limit: Limit,
    /// Whether they are hit because of their node.
    pub by_node: bool,
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    Pods(usize),
    /// All pods of so many nodes.
    Nodes(usize),
}

/// The pods that an object touches.
#[derive(Debug, Default)]
pub struct Touched<'a> {
    /// Each selection by itself.
    pub groups: Vec<Group<'a>>,
    /// What was looked for.
    pub looked_for: Vec<String>,
}

impl Group<'_> {
    /// How many of some of the pods are hit at most.
    pub fn at_most(&self, counts: impl Fn(&DynamicObject) -> bool) -> usize {
        let wanted = self.pods.iter().filter(|pod| counts(pod));
        match self.limit {
            Limit::Pods(limit) => wanted.count().min(limit),
            Limit::Nodes(limit) => {
                let mut by_node: BTreeMap<&str, usize> = BTreeMap::new();
                for pod in wanted {
                    *by_node.entry(node_of(pod).unwrap_or_default()).or_default() += 1;
                }
                let mut counts: Vec<usize> = by_node.into_values().collect();
                counts.sort_unstable_by(|a, b| b.cmp(a));
                counts.into_iter().take(limit).sum()
            }
        }
    }
}

impl<'a> Touched<'a> {
    /// All pods that may be hit, each once, by namespace and name.
    pub fn pods(&self) -> Vec<&'a DynamicObject> {
        let name = |pod: &'a DynamicObject| (pod.metadata.namespace.as_deref(), pod.metadata.name.as_deref());
        let all: BTreeMap<_, &'a DynamicObject> = self.groups.iter().flat_map(|group| &group.pods).map(|pod| (name(pod), *pod)).collect();
        all.into_values().collect()
    }

    /// The workloads of the pods that may be hit, each with how many of its pods are hit at most.
    pub fn workloads(&self) -> BTreeMap<Workload, usize> {
        let mut selected: BTreeMap<Workload, usize> = BTreeMap::new();
        for pod in self.pods() {
            *selected.entry(Workload::of(pod)).or_default() += 1;
        }
        let mut hit: BTreeMap<Workload, usize> = BTreeMap::new();
        for group in &self.groups {
            let mut of: BTreeMap<Workload, Vec<&DynamicObject>> = BTreeMap::new();
            for pod in &group.pods {
                of.entry(Workload::of(pod)).or_default().push(pod);
            }
            for (workload, pods) in of {
                let alone = Group { pods, limit: group.limit, by_node: group.by_node };
                *hit.entry(workload).or_default() += alone.at_most(|_| true);
            }
        }
        let at_most = |(workload, all): (Workload, usize)| {
            let hit = hit.get(&workload).copied().unwrap_or(0).min(all);
            (workload, hit)
        };
        selected.into_iter().map(at_most).collect()
    }

    /// How many pods are hit at most, of all together.
    pub fn at_most(&self) -> usize {
        self.groups.iter().map(|group| group.at_most(|_| true)).sum::<usize>().min(self.pods().len())
    }
}

/// The pods that an object touches.
pub fn resolve<'a>(touch: &Touch, cluster: &'a dyn Cluster) -> Result<Touched<'a>, Untold> {
    let mut touched = Touched::default();
    for part in &touch.parts {
        match part {
            Part::Pods(wanted) => {
                let pods = select(wanted, cluster)?;
                let limit = Limit::Pods(wanted.amount.of(pods.len()));
                touched.groups.push(Group { pods, limit, by_node: false });
                touched.looked_for.push(wanted.to_string());
            }
            Part::Nodes(wanted) => {
                let names = names(wanted, cluster)?;
                let on = |pod: &&DynamicObject| is_active(pod) && node_of(pod).is_some_and(|node| names.contains(node));
                let pods = cluster.pods(None)?.into_iter().filter(on).collect();
                touched.groups.push(Group { pods, limit: Limit::Nodes(wanted.amount.of(names.len())), by_node: true });
                touched.looked_for.push(format!("pods on {wanted}"));
            }
            Part::Machine(_) => touched.looked_for.push("pods, and a virtual machine that starts touches none".to_owned()),
        }
    }
    Ok(touched)
}

fn select<'a>(wanted: &Pods, cluster: &'a dyn Cluster) -> Result<Vec<&'a DynamicObject>, Untold> {
    let mut on = BTreeSet::new();
    for filter in &wanted.filters {
        if let Filter::On(nodes) = filter {
            on = names(nodes, cluster)?;
        }
    }
    let fits = |pod: &&DynamicObject| is_active(pod) && wanted.filters.iter().all(|filter| filter.matches(pod, &on));
    let mut found = Vec::new();
    if wanted.namespaces.is_empty() {
        found.extend(cluster.pods(None)?.into_iter().filter(fits));
    }
    for namespace in &wanted.namespaces {
        found.extend(cluster.pods(Some(namespace))?.into_iter().filter(fits));
    }
    Ok(found)
}

/// The names of nodes that are selected. Those that are named one by one need not be there.
fn names(wanted: &Nodes, cluster: &dyn Cluster) -> Result<BTreeSet<String>, Untold> {
    if wanted.are_named() {
        return Ok(wanted.names.clone());
    }
    Ok(cluster.nodes()?.into_iter().filter(|node| wanted.matches(node)).filter_map(|node| node.metadata.name.clone()).collect())
}

/// Nodes of which so many are touched at most; and what was looked for.
#[derive(Debug)]
pub struct NodeGroup<'a> {
    /// Those that may be touched.
    pub nodes: Vec<&'a DynamicObject>,
    /// How many of them.
    pub at_most: usize,
    /// Whether the nodes themselves are hit; if not, something runs or is to run there.
    pub themselves: bool,
    /// What was looked for.
    pub looked_for: String,
}

/// The nodes that an object touches: those that it hits, those of the pods that it hits, those on which a machine can run.
pub fn resolve_nodes<'a>(touch: &Touch, cluster: &'a dyn Cluster) -> Result<Vec<NodeGroup<'a>>, Untold> {
    let all = cluster.nodes()?;
    let mut groups = Vec::new();
    for part in &touch.parts {
        groups.push(match part {
            Part::Nodes(wanted) => {
                let nodes: Vec<_> = all.iter().copied().filter(|node| wanted.matches(node)).collect();
                NodeGroup { at_most: wanted.amount.of(nodes.len()), nodes, themselves: true, looked_for: wanted.to_string() }
            }
            Part::Machine(machine) => {
                let nodes: Vec<_> = all.iter().copied().filter(|node| machine.fits(node)).collect();
                NodeGroup { at_most: nodes.len().min(1), nodes, themselves: false, looked_for: machine.looked_for() }
            }
            Part::Pods(wanted) => {
                let pods = select(wanted, cluster)?;
                let on: BTreeSet<&str> = pods.iter().filter_map(|pod| node_of(pod)).collect();
                let named = |node: &&DynamicObject| node.metadata.name.as_deref().is_some_and(|name| on.contains(name));
                let nodes: Vec<_> = all.iter().copied().filter(named).collect();
                let at_most = wanted.amount.of(pods.len()).min(nodes.len());
                NodeGroup { nodes, at_most, themselves: false, looked_for: format!("nodes of {wanted}") }
            }
        });
    }
    Ok(groups)
}
