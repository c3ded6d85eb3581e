//! What pods ask of their node, by the scheduler's rule.
//!
//! <https://kubernetes.io/docs/concepts/workloads/pods/init-containers/#resource-sharing-within-containers> and, with sidecars,
//! <https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers>: containers run together with all
//! sidecars, an init container with the sidecars that stand before it, and the pod needs the most of these. What the pod asks for as a whole
//! (<https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#pod-level-resource-specification>) takes the place of that.
//! Overhead comes on top. While a pod is being resized in place it holds the larger of what it had and what it is to get.
//!
//! The pods of a whole cluster are gone through at every observation, so nothing is deserialised: only what is asked about is looked up.

use crate::core::quantity::Quantity;
use kube::api::DynamicObject;
use serde_json::Value;
use std::collections::HashMap;

/// The resource of which every pod takes one.
const PODS: &str = "pods";

/// What the pods of each node ask for.
pub(super) struct Requests<'a> {
    by_node: HashMap<&'a str, Result<Vec<Quantity>, String>>,
}

impl<'a> Requests<'a> {
    /// Adds up what the pods of these nodes ask for of these resources.
    pub(super) fn of(nodes: impl Iterator<Item = &'a str>, pods: &[&DynamicObject], resources: &[&str]) -> Self {
        let nothing = || Ok(vec![Quantity::ZERO; resources.len()]);
        let mut by_node: HashMap<_, _> = nodes.map(|node| (node, nothing())).collect();
        for pod in pods {
            let node = pod.data.get("spec").and_then(|spec| spec.get("nodeName")).and_then(Value::as_str);
            let Some(sums) = node.and_then(|node| by_node.get_mut(node)) else { continue };
            let Ok(so_far) = sums else { continue };
            if is_terminal(pod) {
                continue;
            }
            if let Err(why) = add(pod, resources, so_far) {
                let name = pod.metadata.name.as_deref().unwrap_or_default();
                let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
                *sums = Err(format!("what pod {namespace}/{name} requests cannot be read: {why}"));
            }
        }
        Self { by_node }
    }

    /// What is asked of a node, in the order of the resources; or why that cannot be told.
    pub(super) fn on(&self, node: &str) -> Result<&[Quantity], &str> {
        self.by_node.get(node).map_or(Ok(&[]), |sums| sums.as_deref().map_err(String::as_str))
    }
}

/// Its containers have ended for good, so it holds nothing any more.
fn is_terminal(pod: &DynamicObject) -> bool {
    let phase = pod.data.get("status").and_then(|status| status.get("phase")).and_then(Value::as_str);
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn add(pod: &DynamicObject, resources: &[&str], sums: &mut [Quantity]) -> Result<(), String> {
    let pod = Pod::of(pod)?;
    for (resource, sum) in resources.iter().zip(sums) {
        let asked = if *resource == PODS { Quantity::whole(1) } else { pod.asks(resource)? };
        *sum = sum.plus(asked);
    }
    Ok(())
}

struct Pod<'a> {
    containers: &'a [Value],
    init_containers: &'a [Value],
    whole: Option<&'a Value>,
    overhead: Option<&'a Value>,
    container_statuses: &'a [Value],
    init_container_statuses: &'a [Value],
    /// The size that its spec asks for will not be given to it.
    resize_infeasible: bool,
}

impl<'a> Pod<'a> {
    fn of(pod: &'a DynamicObject) -> Result<Self, String> {
        let spec = pod.data.get("spec").ok_or("it has no spec")?;
        let status = pod.data.get("status").unwrap_or(&Value::Null);
        let is_infeasible = |condition: &Value| {
            let is = |member: &str, text: &str| condition.get(member).and_then(Value::as_str) == Some(text);
            is("type", "PodResizePending") && is("reason", "Infeasible")
        };
        Ok(Self {
            containers: list(spec, "containers")?,
            init_containers: list(spec, "initContainers")?,
            whole: requests(spec),
            overhead: present(spec.get("overhead")),
            container_statuses: list(status, "containerStatuses")?,
            init_container_statuses: list(status, "initContainerStatuses")?,
            resize_infeasible: list(status, "conditions")?.iter().any(is_infeasible),
        })
    }

    fn asks(&self, resource: &str) -> Result<Quantity, String> {
        let asked = match self.of_the_whole(resource)? {
            Some(whole) => whole,
            None => self.of_containers(resource)?,
        };
        Ok(asked.plus(amount(self.overhead, resource)?.unwrap_or_default()))
    }

    fn of_the_whole(&self, resource: &str) -> Result<Option<Quantity>, String> {
        let supported = matches!(resource, "cpu" | "memory") || resource.starts_with("hugepages-");
        if supported { amount(self.whole, resource) } else { Ok(None) }
    }

    fn of_containers(&self, resource: &str) -> Result<Quantity, String> {
        let mut together = Quantity::ZERO;
        for container in self.containers {
            together = together.plus(self.of_running(container, self.container_statuses, resource)?);
        }
        let (mut sidecars, mut most) = (Quantity::ZERO, Quantity::ZERO);
        for container in self.init_containers {
            if container.get("restartPolicy").and_then(Value::as_str) == Some("Always") {
                sidecars = sidecars.plus(self.of_running(container, self.init_container_statuses, resource)?);
                most = most.max(sidecars);
            } else {
                let own = amount(requests(container), resource)?.unwrap_or_default();
                most = most.max(sidecars.plus(own));
            }
        }
        Ok(together.plus(sidecars).max(most))
    }

    /// What a container asks for that runs as long as the pod does, and so may be resized.
    fn of_running(&self, container: &Value, statuses: &[Value], resource: &str) -> Result<Quantity, String> {
        let asked = amount(requests(container), resource)?;
        let name = container.get("name").and_then(Value::as_str);
        let is_of_it = |status: &&Value| name.is_some() && status.get("name").and_then(Value::as_str) == name;
        let status = if matches!(resource, "cpu" | "memory") { statuses.iter().find(is_of_it) } else { None };
        let Some(status) = status else { return Ok(asked.unwrap_or_default()) };
        let held = amount(requests(status), resource)?.max(amount(present(status.get("allocatedResources")), resource)?);
        let asked = if self.resize_infeasible && held.is_some() { None } else { asked };
        Ok(asked.max(held).unwrap_or_default())
    }
}

/// `resources.requests` of a container, of its status or of a pod's spec.
fn requests(of: &Value) -> Option<&Value> {
    present(of.get("resources").and_then(|resources| resources.get("requests")))
}

fn present(value: Option<&Value>) -> Option<&Value> {
    value.filter(|value| !value.is_null())
}

fn list<'a>(of: &'a Value, member: &str) -> Result<&'a [Value], String> {
    match present(of.get(member)) {
        None => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => Err(format!("{member} is not a list")),
    }
}

/// An amount among named amounts; `None`: it is not there.
pub(super) fn amount(amounts: Option<&Value>, resource: &str) -> Result<Option<Quantity>, String> {
    let amounts = match amounts {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(amounts)) => amounts,
        Some(_) => return Err("amounts of resources are not a map".to_owned()),
    };
    let Some(value) = present(amounts.get(resource)) else { return Ok(None) };
    let text = value.as_str().ok_or_else(|| format!("{resource} is not a text"))?;
    match Quantity::parse(text) {
        Ok(amount) if amount.is_negative() => Err(format!("{resource} is {text:?}, less than nothing")),
        Ok(amount) => Ok(Some(amount)),
        Err(error) => Err(format!("{resource}: {text:?} {error}")),
    }
}
