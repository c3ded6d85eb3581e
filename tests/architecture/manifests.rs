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
    ("ClusterRole/holdpoint", "holdpoint.dev", "preflightruns/status", "patch"),
    ("ClusterRole/holdpoint", "holdpoint.dev", "preflightruns", "create"),
    ("ClusterRole/holdpoint", "holdpoint.dev", "preflightruns", "delete"),
    ("ClusterRole/holdpoint", "events.k8s.io", "events", "create"),
    ("ClusterRole/holdpoint", "events.k8s.io", "events", "patch"),
    ("ClusterRole/holdpoint", "admissionregistration.k8s.io", "validatingwebhookconfigurations", "patch"),
    ("ClusterRole/holdpoint", "authorization.k8s.io", "subjectaccessreviews", "create"),
    ("Role/holdpoint", "", "secrets", "update"),
    ("Role/holdpoint", "", "secrets", "patch"),
    ("Role/holdpoint", "coordination.k8s.io", "leases", "patch"),
    // Agents: which report and which Lease is told by the policy, see `the_policy_binds_agents_to_their_own_host`.
    ("ClusterRole/holdpoint-agent", "holdpoint.dev", "hostreports", "create"),
    ("ClusterRole/holdpoint-agent", "holdpoint.dev", "hostreports", "patch"),
    ("Role/holdpoint-agent", "coordination.k8s.io", "leases", "create"),
    ("Role/holdpoint-agent", "coordination.k8s.io", "leases", "patch"),
];
/// Where the heartbeats of hosts are, and nothing else.
const HEARTBEATS: &str = "holdpoint-hosts";
/// Who may be an agent: users of the group, and in the manifest of the agents on nodes their service account.
const AGENT_ROLE: &str = "holdpoint-agent";
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
        let agent = |s: &Value| {
            let outside = text(s, "/kind") == "Group" && text(s, "/name") == "holdpoint:hosts";
            let on_node = text(s, "/kind") == "ServiceAccount" && text(s, "/name") == "holdpoint-agent";
            outside || (on_node && text(s, "/namespace") == "holdpoint-agents")
        };
        let of_agents = text(binding, "/roleRef/name") == AGENT_ROLE;
        if !list(binding, "/subjects").iter().all(|s| if of_agents { agent(s) } else { subject(s) }) {
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
    let of_lease = name == "Role/holdpoint" && text(role, "/metadata/namespace") == NAMESPACE && names == ["holdpoint"];
    let of_heartbeats = text(role, "/kind") == "Role" && text(role, "/metadata/namespace") == HEARTBEATS;
    if resources.iter().any(|r| r == "leases") && !of_lease && !of_heartbeats {
        problem("Leases other than the operator's");
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
