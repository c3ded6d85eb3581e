//! What the shipped manifest grants: as little as the operator can work with.

use serde_json::Value;

/// The one Secret that the operator may read.
const SECRET: &str = "holdpoint-webhook-tls";
const NAMESPACE: &str = "holdpoint-system";
const READ: &[&str] = &["get", "list", "watch"];
/// Everything that the operator may write: role, group, resource, verb.
const WRITES: &[(&str, &str, &str, &str)] = &[
    ("ClusterRole/holdpoint", "holdpoint.dev", "preflightchecks/status", "patch"),
    ("ClusterRole/holdpoint", "holdpoint.dev", "experimentgates/status", "patch"),
    ("ClusterRole/holdpoint", "holdpoint.dev", "clusterexperimentgates/status", "patch"),
    ("ClusterRole/holdpoint", "events.k8s.io", "events", "create"),
    ("ClusterRole/holdpoint", "events.k8s.io", "events", "patch"),
    ("ClusterRole/holdpoint", "admissionregistration.k8s.io", "validatingwebhookconfigurations", "patch"),
    ("Role/holdpoint", "", "secrets", "update"),
    ("Role/holdpoint", "", "secrets", "patch"),
];
/// The role for people: it is bound to nobody, Kubernetes adds its rules to `edit`.
const FOR_PEOPLE: &str = "ClusterRole/holdpoint-edit";

/// The objects of a manifest.
pub fn objects(yaml: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(yaml).unwrap()
}

/// What is wrong with the rights that these objects grant.
pub fn excessive_rights(objects: &[Value]) -> Vec<String> {
    let kind = |object: &Value| text(object, "/kind");
    let roles = objects.iter().filter(|o| ["Role", "ClusterRole"].contains(&kind(o).as_str()));
    let mut problems: Vec<String> = roles.flat_map(|role| list(role, "/rules").into_iter().flat_map(|grant| check(role, &grant))).collect();
    for binding in objects.iter().filter(|o| kind(o).ends_with("RoleBinding")) {
        let subject =
            |s: &Value| text(s, "/kind") == "ServiceAccount" && text(s, "/name") == "holdpoint" && text(s, "/namespace") == NAMESPACE;
        if !list(binding, "/subjects").iter().all(subject) {
            problems.push(format!("{} binds more than the operator's service account", text(binding, "/metadata/name")));
        }
        if text(binding, "/roleRef/name") == "holdpoint-edit" {
            problems.push(format!("{} gives the operator the rights of people", text(binding, "/metadata/name")));
        }
    }
    problems
}

fn check(role: &Value, grant: &Value) -> Vec<String> {
    let name = format!("{}/{}", text(role, "/kind"), text(role, "/metadata/name"));
    let strings = |field: &str| list(grant, field).iter().map(|v| v.as_str().unwrap_or("?").to_owned()).collect::<Vec<_>>();
    let (groups, resources, verbs, names) = (strings("/apiGroups"), strings("/resources"), strings("/verbs"), strings("/resourceNames"));
    let mut problems = Vec::new();
    let mut problem = |what: &str| problems.push(format!("{name}: {what} in {grant}"));
    if [&groups, &resources, &verbs, &names, &strings("/nonResourceURLs")].into_iter().flatten().any(|v| v.contains('*')) {
        problem("a wildcard");
    }
    for verb in ["escalate", "bind", "impersonate"] {
        if verbs.iter().any(|v| v == verb) {
            problem(verb);
        }
    }
    let of_certificates = name == "Role/holdpoint" && text(role, "/metadata/namespace") == NAMESPACE && names == [SECRET];
    if resources.iter().any(|r| r.starts_with("secrets")) && !of_certificates {
        problem("Secrets other than that of the certificates");
    }
    if resources.iter().any(|r| r.ends_with("webhookconfigurations")) && names != ["holdpoint"] {
        problem("webhook configurations other than the operator's");
    }
    if name != FOR_PEOPLE {
        for group in &groups {
            for resource in &resources {
                for verb in verbs.iter().filter(|v| !READ.contains(&v.as_str())) {
                    if !WRITES.contains(&(&name, group, resource, verb)) {
                        problem(&format!("the right to {verb} {resource}, which is not in the list of tests/architecture/manifests.rs,"));
                    }
                }
            }
        }
    } else if groups != ["holdpoint.dev"] || resources.iter().any(|r| r.contains("status") || r.starts_with("cluster")) {
        problem("more than the namespaced kinds");
    }
    problems
}

/// The string at a pointer, or nothing.
pub fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list(value: &Value, pointer: &str) -> Vec<Value> {
    value.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default()
}
