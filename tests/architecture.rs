//! The shape of the crate, and of what it may do in a cluster, held by tests: who may know whom, names and lengths of files, and the rights
//! that the shipped manifest grants. Reads files only; the rules are in `architecture/rules.rs`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

#[path = "architecture/manifests.rs"]
mod manifests;
#[path = "architecture/paths.rs"]
mod paths;
#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/tokens.rs"]
mod tokens;

use manifests::{excessive_rights, objects, text};
use rules::{BANS, MAX_LINES, PARTS, Violation, check_name, check_source};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const FIXTURES: &str = "tests/architecture/fixtures/src";

/// Every Rust file below a folder, with its path relative to it.
fn rust_files(folder: &str) -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push((path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(), path));
            }
        }
    }
    found.sort();
    found
}

fn check(folder: &str) -> Vec<Violation> {
    rust_files(folder).iter().flat_map(|(name, path)| check_source(name, &fs::read_to_string(path).unwrap())).collect()
}

fn refuse<T: ToString>(problems: &[T]) {
    let lines: Vec<String> = problems.iter().map(T::to_string).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

#[test]
fn every_file_keeps_the_rules() {
    refuse(&check("src").iter().map(|violation| format!("src/{violation}")).collect::<Vec<_>>());
}

#[test]
fn the_rules_are_about_files_that_exist() {
    let files: BTreeSet<String> = rust_files("src").into_iter().map(|(name, _)| name).collect();
    assert!(files.len() >= 30, "looked at {} files only", files.len());
    let exists = |module: &str| {
        let module = module.replace("::", "/");
        files.contains(&format!("{module}.rs")) || files.contains(&format!("{module}/mod.rs"))
    };
    let modules = PARTS.iter().map(|part| part.name).chain(BANS.iter().flat_map(|ban| ban.modules.iter().copied()));
    let gone: Vec<String> = modules.filter(|m| !exists(m)).map(|m| format!("a rule is about `{m}`, which is not in src")).collect();
    refuse(&gone);
}

/// In the fixtures, `//~ rule` at the end of a line means that the line breaks the rule; no other line breaks any.
#[test]
fn the_checker_finds_what_is_wrong_and_nothing_else() {
    let mut expected = BTreeSet::new();
    for (name, path) in rust_files(FIXTURES) {
        for (number, line) in fs::read_to_string(path).unwrap().lines().enumerate() {
            let rules = line.split_once("//~ ").map_or("", |(_, rules)| rules);
            expected.extend(rules.split_whitespace().map(|rule| (name.clone(), number + 1, rule.to_owned())));
        }
    }
    let found: BTreeSet<_> = check(FIXTURES).into_iter().map(|v| (v.file, v.line, v.rule.to_owned())).collect();
    let missed: Vec<_> = expected.difference(&found).collect();
    let invented: Vec<_> = found.difference(&expected).collect();
    assert!(missed.is_empty() && invented.is_empty(), "missed: {missed:#?}\ninvented: {invented:#?}");
    let rules: BTreeSet<&str> = expected.iter().map(|(_, _, rule)| rule.as_str()).collect();
    let all = BANS.iter().map(|ban| ban.rule).chain(["edge", "root-import", "tests-marked", "file-name"]);
    assert_eq!(rules, all.collect(), "each rule has a fixture");
}

#[test]
fn a_violation_says_where_what_and_why() {
    let [violation] = check_source("core/gate.rs", "\nuse crate::cluster::Snapshot;\n").try_into().unwrap();
    assert_eq!(
        violation.to_string(),
        "core/gate.rs:2: [edge] core names crate::cluster::Snapshot, and may name only api: core decides from values alone; what it needs to \
         know is given to it, the time included"
    );
}

#[test]
fn long_files_are_refused() {
    assert_eq!(check_source("core/gate.rs", &"\n".repeat(MAX_LINES)), []);
    let found = check_source("core/gate.rs", &"\n".repeat(MAX_LINES + 1));
    assert!(found.iter().any(|v| v.rule == "file-length" && v.what.starts_with("601 lines")), "{found:?}");
}

#[test]
fn tests_and_benches_have_telling_names_too() {
    let files = ["tests", "benches"].into_iter().flat_map(rust_files).filter(|(name, _)| !name.contains("/fixtures/"));
    refuse(&files.flat_map(|(name, _)| check_name(&name)).collect::<Vec<_>>());
}

fn installed() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/install.yaml");
    let objects = objects(&fs::read_to_string(path).unwrap());
    assert!(objects.len() >= 15, "{} objects only", objects.len());
    objects
}

#[test]
fn the_manifest_grants_no_more_than_is_needed() {
    refuse(&excessive_rights(&installed()));
}

fn optional(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/optional").join(file);
    objects(&fs::read_to_string(path).unwrap())
}

#[test]
fn what_is_optional_for_tools_lets_the_operator_read_and_nothing_else() {
    let roles = optional("read-tools.yaml");
    assert!(roles.len() >= 10, "{} roles only", roles.len());
    refuse(&excessive_rights(&roles));
    for role in &roles {
        let name = text(role, "/metadata/name");
        let label = |key: &str| text(role, &format!("/metadata/labels/{}", key.replace('/', "~1")));
        assert_eq!(text(role, "/kind"), "ClusterRole", "{name}");
        assert_eq!(name, format!("holdpoint-read-{}", label("holdpoint.dev/tool")));
        assert_eq!(label("holdpoint.dev/aggregate-to-operator"), "true", "{name}");
        // The commands that remove the installation go by it.
        assert_eq!(label("app.kubernetes.io/part-of"), "holdpoint", "{name}");
        let grants = role.get("rules").and_then(Value::as_array).unwrap();
        assert!(grants.iter().all(|rule| rule.get("verbs") == Some(&json!(["get", "list", "watch"]))), "{name}: {grants:?}");
    }
}

#[test]
fn what_is_optional_for_interventions_is_for_the_operator_alone_and_changes_what_the_tools_stop_by() {
    for (file, right, verb) in [("intervene.yaml", "intervene", "patch"), ("intervene-delete.yaml", "delete", "delete")] {
        let roles = optional(file);
        assert!(roles.len() >= 6, "{} roles only", roles.len());
        for role in &roles {
            let name = text(role, "/metadata/name");
            let label = |key: &str| text(role, &format!("/metadata/labels/{}", key.replace('/', "~1")));
            assert_eq!(text(role, "/kind"), "ClusterRole", "{name}");
            assert_eq!(name, format!("holdpoint-{right}-{}", label("holdpoint.dev/tool")));
            assert_eq!(label("holdpoint.dev/aggregate-to-intervener"), "true", "{name}");
            // That would give it to every account that is bound to holdpoint-reader.
            assert_eq!(label("holdpoint.dev/aggregate-to-operator"), "", "{name}");
            assert_eq!(label("app.kubernetes.io/part-of"), "holdpoint", "{name}");
            let grants = role.get("rules").and_then(Value::as_array).unwrap();
            assert!(grants.iter().all(|rule| rule.get("verbs") == Some(&json!(["get", "list", "watch", verb]))), "{name}: {grants:?}");
            let no_core = |rule: &Value| !rule.get("apiGroups").unwrap().as_array().unwrap().iter().any(|group| group == "");
            assert!(grants.iter().all(no_core), "{name}: {grants:?}");
        }
    }
}

#[test]
fn what_is_optional_for_secrets_lets_the_operator_alone_fetch_them_by_name() {
    let grants = optional("read-all-secrets.yaml");
    let [role, binding] = grants.as_slice() else { panic!("{} objects", grants.len()) };
    assert_eq!(role.get("rules"), Some(&json!([{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}])));
    // That would give Secrets to every account that is bound to holdpoint-reader.
    assert_eq!(role.pointer("/metadata/labels/holdpoint.dev~1aggregate-to-operator"), None);
    assert_eq!(text(binding, "/roleRef/name"), text(role, "/metadata/name"));
    let found = excessive_rights(&grants);
    assert!(matches!(found.as_slice(), [one] if one.contains("Secrets other than")), "{found:?}");
}

#[test]
fn the_agents_on_nodes_get_no_more_than_agents_elsewhere_and_no_privilege() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/agent");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let all: Vec<Value> = files.flat_map(|path| objects(&fs::read_to_string(path).unwrap())).collect();
    refuse(&excessive_rights(&all));
    let agents = all.iter().find(|o| text(o, "/kind") == "DaemonSet").unwrap();
    let pod = agents.pointer("/spec/template/spec").unwrap();
    for shared in ["hostNetwork", "hostPID", "hostIPC"] {
        assert_eq!(pod.get(shared), None, "{shared}");
    }
    assert_eq!(pod.pointer("/securityContext/runAsNonRoot"), Some(&json!(true)));
    let container = pod.pointer("/containers/0").unwrap();
    let context = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}});
    assert_eq!(container.get("securityContext"), Some(&context));
    assert_eq!(container.pointer("/volumeMounts/0/readOnly"), Some(&json!(true)));
    assert_eq!(container.pointer("/volumeMounts/1"), None);
}

#[test]
fn the_policy_binds_agents_to_their_own_host() {
    let objects = installed();
    let find = |kind: &str| objects.iter().find(|o| text(o, "/kind") == kind).unwrap();
    let (policy, binding) = (find("ValidatingAdmissionPolicy"), find("ValidatingAdmissionPolicyBinding"));
    assert_eq!(text(binding, "/spec/policyName"), text(policy, "/metadata/name"));
    assert_eq!(binding.pointer("/spec/validationActions"), Some(&json!(["Deny"])));
    assert_eq!(text(policy, "/spec/failurePolicy"), "Fail");
    let rules = policy.pointer("/spec/matchConstraints/resourceRules").unwrap().as_array().unwrap();
    let covered: Vec<_> = rules.iter().map(|rule| (rule.pointer("/resources/0").unwrap(), rule.get("operations").unwrap())).collect();
    let operations = json!(["CREATE", "UPDATE", "DELETE"]);
    assert_eq!(covered, [(&json!("hostreports"), &operations), (&json!("leases"), &operations)]);
}

#[test]
fn every_probe_has_an_example_and_a_section_that_names_it() {
    let read = |file: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap();
    let definition = objects(&read("crds/holdpoint.dev_preflightchecks.yaml")).remove(0);
    let probes = definition.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/probe/properties").unwrap();
    let probes = probes.as_object().unwrap();
    assert!(probes.len() >= 14, "{} probes only", probes.len());
    let docs = read("docs/checks.md");
    for probe in probes.keys() {
        let dashed = probe.chars().map(|c| if c.is_ascii_uppercase() { format!("-{}", c.to_ascii_lowercase()) } else { c.to_string() });
        let example = format!("examples/probes/{}.yaml", dashed.collect::<String>());
        assert!(
            objects(&read(&example)).iter().any(|o| o.pointer(&format!("/spec/probe/{probe}")).is_some()),
            "{example} shows no {probe}"
        );
        for expected in [format!("\n### {probe}\n"), format!("](#{})", probe.to_lowercase()), format!("](../{example})")] {
            assert!(docs.contains(&expected), "docs/checks.md lacks {expected:?} of {probe}");
        }
    }
}

#[test]
fn the_operator_finds_what_it_fills_in_empty() {
    let objects = installed();
    let find = |kind: &str| objects.iter().find(|o| text(o, "/kind") == kind).unwrap();
    assert_eq!((text(find("Secret"), "/metadata/name"), find("Secret").get("data")), ("holdpoint-webhook-tls".to_owned(), None));
    assert_eq!((text(find("Lease"), "/metadata/name"), find("Lease").get("spec")), ("holdpoint".to_owned(), None));
    let configuration = find("ValidatingWebhookConfiguration");
    assert_eq!((text(configuration, "/metadata/name"), configuration.get("webhooks")), ("holdpoint".to_owned(), None));
}

#[test]
fn excessive_rights_are_found() {
    let holder = |kind: &str, name: &str, grant: Value| json!({"kind": kind, "metadata": {"name": name, "namespace": "holdpoint-system"}, "rules": [grant]});
    let grant = |group: &str, resource: &str, verb: &str, names: &[&str]| json!({"apiGroups": [group], "resources": [resource], "verbs": [verb], "resourceNames": names});
    let bad = [
        (holder("ClusterRole", "holdpoint", grant("apps", "*", "get", &[])), "a wildcard"),
        (holder("ClusterRole", "holdpoint", grant("apps", "deployments", "*", &[])), "a wildcard"),
        (holder("ClusterRole", "holdpoint", json!({"nonResourceURLs": ["/*"], "verbs": ["get"]})), "a wildcard"),
        (holder("ClusterRole", "holdpoint", grant("rbac.authorization.k8s.io", "clusterroles", "escalate", &[])), "escalate"),
        (holder("ClusterRole", "holdpoint", grant("rbac.authorization.k8s.io", "clusterroles", "bind", &[])), "bind"),
        (holder("ClusterRole", "holdpoint", grant("", "users", "impersonate", &[])), "impersonate"),
        (holder("ClusterRole", "holdpoint", grant("", "secrets", "get", &["holdpoint-webhook-tls"])), "Secrets other than"),
        (holder("Role", "holdpoint", grant("", "secrets", "get", &[])), "Secrets other than"),
        (holder("Role", "holdpoint", grant("", "secrets", "create", &["holdpoint-webhook-tls"])), "the right to create secrets"),
        (
            holder("ClusterRole", "holdpoint", grant("admissionregistration.k8s.io", "validatingwebhookconfigurations", "patch", &[])),
            "webhook configurations other than",
        ),
        (
            holder(
                "ClusterRole",
                "holdpoint",
                grant("admissionregistration.k8s.io", "validatingwebhookconfigurations", "create", &["holdpoint"]),
            ),
            "the right to create validatingwebhookconfigurations",
        ),
        (holder("ClusterRole", "holdpoint-read-kubernetes", grant("apps", "deployments", "patch", &[])), "the right to patch deployments"),
        (
            holder("ClusterRole", "holdpoint-edit", grant("holdpoint.dev", "preflightchecks/status", "patch", &[])),
            "more than the namespaced kinds",
        ),
        (json!({"kind": "RoleBinding", "metadata": {"name": "x"}, "subjects": [{"kind": "Group", "name": "y"}]}), "binds more than"),
    ];
    for (object, what) in bad {
        let found = excessive_rights(std::slice::from_ref(&object));
        assert!(found.iter().any(|problem| problem.contains(what)), "{object}: {what} not in {found:?}");
    }
}
