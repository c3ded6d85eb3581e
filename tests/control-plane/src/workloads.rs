//! Whether the objects that own pods have what they want.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{Error, Kubectl, Result};

type Labels = BTreeMap<String, String>;

/// Reads `key=value,…`.
pub(crate) fn parse_selector(selector: &str) -> Result<Labels> {
    let requirements = selector.split(',').filter(|requirement| !requirement.trim().is_empty());
    let parsed = requirements.map(|requirement| {
        let (key, value) = requirement.split_once('=')?;
        let (key, value) = (key.trim(), value.trim().trim_start_matches('='));
        (!key.contains(['!', ' ', '(']) && !key.is_empty()).then(|| (key.to_owned(), value.to_owned()))
    });
    parsed.collect::<Option<Labels>>().ok_or_else(|| Error::Selector(selector.to_owned()))
}

/// The workloads whose pods the selector matches; not the `ReplicaSets` of Deployments.
pub(crate) fn matching(kubectl: &Kubectl, labels: &Labels) -> Result<Vec<Value>> {
    let list = kubectl.json(&["get", "deployments,statefulsets,replicasets,daemonsets"])?;
    let items = list["items"].as_array().into_iter().flatten();
    let is_owned = |item: &Value| item.pointer("/metadata/ownerReferences/0").is_some();
    let matches = |item: &&Value| {
        let template = &item["spec"]["template"]["metadata"]["labels"];
        !is_owned(item) && labels.iter().all(|(key, value)| template[key] == value.as_str())
    };
    Ok(items.filter(matches).cloned().collect())
}

/// Why a workload does not have what it wants yet; nothing if it has.
pub(crate) fn unmet(workload: &Value) -> Option<String> {
    let kind = workload["kind"].as_str().unwrap_or_default();
    let status = |field: &str| workload["status"][field].as_i64().unwrap_or(0);
    let wanted = workload["spec"]["replicas"].as_i64().unwrap_or(1);
    // With minReadySeconds, pods become available long after they are ready.
    let waits = workload["spec"]["minReadySeconds"].as_i64().unwrap_or(0) > 0;
    let counts = match kind {
        "Deployment" => {
            vec![("replicas", wanted), ("updatedReplicas", wanted), (if waits { "readyReplicas" } else { "availableReplicas" }, wanted)]
        }
        "StatefulSet" => vec![("replicas", wanted), ("updatedReplicas", wanted), ("readyReplicas", wanted)],
        "DaemonSet" => {
            let wanted = status("desiredNumberScheduled");
            vec![("updatedNumberScheduled", wanted), ("numberReady", wanted)]
        }
        _ => vec![("replicas", wanted), ("readyReplicas", wanted)],
    };
    let name = workload["metadata"]["name"].as_str().unwrap_or_default();
    if status("observedGeneration") < workload["metadata"]["generation"].as_i64().unwrap_or(0) {
        return Some(format!("{kind} {name} was not looked at by its controller yet"));
    }
    let (field, wanted) = counts.into_iter().find(|(field, wanted)| status(field) != *wanted)?;
    Some(format!("{kind} {name} has {field} {}, wants {wanted}", status(field)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_are_lists_of_equalities() {
        assert_eq!(parse_selector("").unwrap(), Labels::new());
        let two = parse_selector("app=web, tier==front").unwrap();
        assert_eq!(two, Labels::from([("app".into(), "web".into()), ("tier".into(), "front".into())]));
        for other in ["app", "app!=web", "app in (web)"] {
            assert!(parse_selector(other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_rolling_update_is_unmet_until_all_replicas_are_new() {
        let deployment = |generation: i64, replicas: i64| {
            let status = json!({ "observedGeneration": 2, "replicas": replicas, "updatedReplicas": 2, "availableReplicas": 2 });
            json!({ "kind": "Deployment", "metadata": { "name": "web", "generation": generation }, "spec": { "replicas": 2 }, "status": status })
        };
        assert_eq!(unmet(&deployment(2, 2)), None);
        assert!(unmet(&deployment(3, 2)).unwrap().contains("not looked at"));
        assert_eq!(unmet(&deployment(2, 3)).unwrap(), "Deployment web has replicas 3, wants 2");
    }
}
