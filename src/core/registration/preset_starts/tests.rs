//! What presets push down: what is no start is not sent, however many gates there are, and no pod that has nothing to do with chaos ever.

#![allow(clippy::needless_pass_by_value, reason = "`json!(...)` reads best as an argument")]

use super::super::{Address, Endpoint, entries, notes};
use super::*;
use crate::api::Preset;
use crate::core::expr::{Bindings, server};
use crate::core::gate::testing::{cxgate, spec, xgate};
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhook;
use serde_json::{Value, json};

fn entry(gates: &[Gate]) -> ValidatingWebhook {
    let endpoint = Endpoint { address: Address::Url("https://127.0.0.1".into()), namespace: "ops".into(), ca_bundle: Vec::new() };
    let [entry] = entries(gates.iter(), &endpoint, &|_| false).try_into().unwrap();
    entry
}

/// A gate by presets alone, but for what is said further.
fn gate(name: &str, presets: &[&str], more: Value) -> Gate {
    let mut all = spec(&["a"], more);
    all["presets"] = json!(presets);
    all.as_object_mut().unwrap().remove("match");
    xgate(name, all)
}

/// Whether the API server sends a request of namespace `shop` to this entry.
fn is_sent(entry: &ValidatingWebhook, resource: (&str, &str, Option<&str>), object: Value, old: Option<Value>) -> bool {
    let (group, plural, subresource) = resource;
    let operation = if old.is_some() { "UPDATE" } else { "CREATE" };
    let mut request = json!({
        "operation": operation, "namespace": "shop", "userInfo": {"username": "alice"},
        "resource": {"group": group, "version": "v1", "resource": plural},
    });
    if let Some(subresource) = subresource {
        request["subResource"] = json!(subresource);
    }
    let path = subresource.map_or_else(|| plural.to_owned(), |subresource| format!("{plural}/{subresource}"));
    let ruled = entry.rules.as_ref().unwrap().iter().any(|rule| {
        let has = |list: &Option<Vec<String>>, what: &str| list.as_ref().unwrap().iter().any(|one| one == what);
        has(&rule.api_groups, group) && has(&rule.resources, &path) && has(&rule.operations, operation)
    });
    let bindings = Bindings::new(&object, old.as_ref(), &request);
    ruled && entry.match_conditions.iter().flatten().all(|condition| server::evaluate(&condition.expression, &bindings).unwrap())
}

fn machine(strategy: &str) -> Value {
    json!({"metadata": {"name": "x"}, "spec": {"runStrategy": strategy}})
}

const VM: (&str, &str, Option<&str>) = ("kubevirt.io", "virtualmachines", None);

#[test]
fn what_stops_is_not_sent_with_one_gate_or_with_a_thousand() {
    for count in [1, 1000] {
        let gates: Vec<Gate> = (0..count).map(|i| gate(&format!("g{i}"), &Preset::ALL.map(Preset::as_str)[..8], json!({}))).collect();
        assert!(gates.iter().all(|gate| gate.problems.is_empty()), "{:?}", gates[0].problems);
        let entry = entry(&gates);
        assert!(is_sent(&entry, VM, machine("Always"), None));
        assert!(is_sent(&entry, VM, machine("Always"), Some(machine("Halted"))));
        assert!(!is_sent(&entry, VM, machine("Halted"), None));
        assert!(!is_sent(&entry, VM, machine("Halted"), Some(machine("Always"))));
        assert!(!is_sent(&entry, VM, machine("Always"), Some(machine("Always"))));
        let scaled = |replicas: i64| json!({"metadata": {"name": "x"}, "spec": {"replicas": replicas}});
        let pool = ("pool.kubevirt.io", "virtualmachinepools", Some("scale"));
        assert!(is_sent(&entry, pool, scaled(2), Some(scaled(1))) && !is_sent(&entry, pool, scaled(1), Some(scaled(2))));
        assert!(entry.match_conditions.as_ref().unwrap().len() <= 64, "the API server takes no more");
    }
}

#[test]
fn no_pod_is_sent_but_with_the_image_of_an_experiment() {
    let pod = |image: &str| json!({"metadata": {"name": "x"}, "spec": {"containers": [{"name": "c", "image": image}]}});
    let pods = ("", "pods", None);
    let own = json!({"presetOptions": {"krkn": {"imageRepositories": ["quay.example/chaos/runs"]}}});
    let more = entry(&[gate("a", &["Krkn"], json!({})), gate("b", &["Krkn"], own)]);
    assert!(
        is_sent(&more, pods, pod("quay.io/krkn-chaos/krkn-hub:x"), None) && is_sent(&more, pods, pod("quay.example/chaos/runs:1"), None)
    );
    assert!(!is_sent(&more, pods, pod("nginx"), None) && !is_sent(&more, pods, json!({"metadata": {}}), None));
    assert!(!is_sent(&more, ("batch", "jobs", None), pod("nginx"), None));
    // Too many options of their own: then no pod is sent at all, and the gates say so. Everything else is.
    let many: Vec<Gate> = (0..60)
        .map(|i| {
            let repositories: Vec<String> = (0..8).map(|j| format!("registry-{i}.example/chaos/{}{j}", "long".repeat(20))).collect();
            gate(&format!("g{i}"), &["Krkn", "KubeVirt"], json!({"presetOptions": {"krkn": {"imageRepositories": repositories}}}))
        })
        .collect();
    let crowded = entry(&many);
    assert!(!is_sent(&crowded, pods, pod("krkn-hub"), None) && is_sent(&crowded, ("batch", "jobs", None), pod("nginx"), None));
    assert!(is_sent(&crowded, VM, machine("Always"), None) && !is_sent(&crowded, VM, machine("Halted"), None));
    assert_eq!((notes(many.iter()).len(), notes([gate("a", &["Krkn"], json!({}))].iter()).len()), (60, 0));
}

#[test]
fn a_gate_by_hand_on_the_same_resource_sends_what_it_holds_and_no_more() {
    let rules = json!([{"apiGroups": ["kubevirt.io"], "resources": ["virtualmachines"], "operations": ["CREATE", "UPDATE"]}]);
    let start = "object.spec.?tier.orValue('') == 'prod'";
    let by_hand = cxgate("hand", spec(&["a"], json!({"match": {"rules": rules, "start": start}})));
    let entry = entry(&[gate("a", &["KubeVirt"], json!({})), by_hand]);
    let prod = json!({"metadata": {"name": "x"}, "spec": {"runStrategy": "Halted", "tier": "prod"}});
    assert!(
        is_sent(&entry, VM, prod, None) && is_sent(&entry, VM, machine("Always"), None) && !is_sent(&entry, VM, machine("Halted"), None)
    );
}

#[test]
fn jobs_need_a_selector_and_without_one_no_job_is_sent() {
    let open = gate("a", &["Jobs", "Litmus"], json!({}));
    assert_eq!(open.problems.len(), 1);
    assert!(open.problems[0].message.contains("match.objectSelector"), "{:?}", open.problems);
    assert!(open.rules.iter().all(|(resource, _)| resource.group == "litmuschaos.io"));
    let mut selected = spec(&["a"], json!({}));
    selected["presets"] = json!(["Jobs"]);
    selected["match"] = json!({"objectSelector": {"matchLabels": {"chaos": "yes"}}});
    let selected = xgate("b", selected);
    assert_eq!(selected.problems, []);
    let entry = entry(&[selected]);
    let job = |labels: Value| json!({"metadata": {"name": "x", "labels": labels}, "spec": {}});
    let jobs = ("batch", "jobs", None);
    assert!(is_sent(&entry, jobs, job(json!({"chaos": "yes"})), None) && !is_sent(&entry, jobs, job(json!({})), None));
}
