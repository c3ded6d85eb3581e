//! Checks of keys of Secrets and ConfigMaps.

use crate::manifests::check;
use crate::team::{Team, reason_and_message};
use crate::world::{ensure, eventually, shared};
use std::path::Path;

/// One evaluation a second, one try each.
const BRISK: &str = "intervalSeconds: 1, timeoutSeconds: 1, staleAfterSeconds: 10, retries: { attempts: 1 }";

fn keys(name: &str, probe: &str) -> String {
    check(name, &format!("{{ {BRISK}, probe: {{ keys: {probe} }} }}"))
}

/// Runs what the check prints until it is no longer forbidden.
#[track_caller]
fn grant(team: &Team<'_>, check: &str) {
    let mut last = String::new();
    eventually("the check to be allowed to look", || {
        let object = team.kubectl.json(&["get", "pfc", check]).map_err(|error| error.to_string())?;
        let (reason, message) = reason_and_message(&object, "Ready");
        if reason == "Forbidden" && message != last {
            team.run_printed(&message);
            last.clone_from(&message);
        }
        ensure(reason == "Evaluated" && !last.is_empty(), || message)
    });
}

#[test]
fn a_config_map_must_have_its_keys() {
    let team = shared().team("keys");
    team.apply(&keys("configured", "{ configMap: ledger, keys: [url, region] }"));
    team.apply(&keys("any", "{ configMap: ledger }"));
    let missing = format!("ConfigMap/ledger: there is no ConfigMap ledger in namespace {}", team.name);
    team.says("configured", "Failing", &missing);
    assert_eq!(team.get("pfc", "configured")["status"]["results"][0]["reason"], "ObjectMissing");
    team.done(&["create", "configmap", "ledger", "--from-literal=region="], "");
    team.says("configured", "Failing", "ConfigMap/ledger: it has no key url; empty: region");
    team.says("any", "Failing", "ConfigMap/ledger: it has no key with a value");
    team.done(&["patch", "configmap", "ledger", "--type=merge", "--patch", r#"{"data":{"url":"postgres://ledger"}}"#], "");
    team.says("configured", "Failing", "ConfigMap/ledger: empty: region");
    team.says("any", "Passing", "ConfigMap/ledger: it has a key with a value");
    // A value of bytes that are no text is a value as well.
    team.done(
        &["patch", "configmap", "ledger", "--type=merge", "--patch", r#"{"data":{"region":null},"binaryData":{"region":"/w=="}}"#],
        "",
    );
    team.says("configured", "Passing", "ConfigMap/ledger: 2/2 keys with a value");
    team.done(&["delete", "configmap", "ledger"], "");
    team.says("configured", "Failing", &missing);
}

#[test]
fn a_secret_is_looked_at_after_the_printed_commands_and_its_values_go_nowhere() {
    let mut team = shared().team("secret");
    team.expect_forbidden("/secrets/db-credentials");
    let value = format!("hunter2-of-{}", team.name);
    team.apply(&keys("credentials", "{ secret: db-credentials, keys: [username, password] }"));
    let message = team.verdict_for("credentials", "Unknown", "Forbidden");
    assert!(message.contains("grant it: kubectl -n "), "{message}");
    grant(&team, "credentials");
    team.says("credentials", "Failing", &format!("Secret/db-credentials: there is no Secret db-credentials in namespace {}", team.name));
    team.done(
        &["create", "secret", "generic", "db-credentials", &format!("--from-literal=username={value}"), "--from-literal=password="],
        "",
    );
    team.says("credentials", "Failing", "Secret/db-credentials: empty: password");
    let patch = format!(r#"{{"stringData":{{"password":"{value}"}}}}"#);
    team.done(&["patch", "secret", "db-credentials", "--type=merge", "--patch", &patch], "");
    team.says("credentials", "Passing", "Secret/db-credentials: 2/2 keys with a value");
    team.done(&["patch", "secret", "db-credentials", "--type=json", "--patch", r#"[{"op":"remove","path":"/data/username"}]"#], "");
    team.says("credentials", "Failing", "Secret/db-credentials: it has no key username");
    let encoded = team.get("secret", "db-credentials")["data"]["password"].as_str().unwrap().to_owned();
    let check = team.get("pfc", "credentials").to_string();
    let events = format!("{:?}", team.events("PreflightCheck", "credentials"));
    for place in [check, events, team.world.log()] {
        assert!(!place.contains(&value) && !place.contains(&encoded), "the secret is in: {place}");
    }
}

#[test]
fn what_is_no_name_of_an_object_is_refused() {
    let team = shared().team("names");
    for (probe, says) in [
        ("{ secret: a, configMap: b, keys: [c] }", "exactly one of secret and configMap is required"),
        ("{ keys: [c] }", "exactly one of secret and configMap is required"),
        ("{ configMap: ../other, keys: [c] }", "should match"),
        ("{ configMap: a, keys: [b/c] }", "should match"),
    ] {
        let refused = team.apply_refused(&keys("odd", probe));
        assert!(refused.contains(says), "{probe}: {refused}");
    }
    team.apply(&keys("dots", "{ configMap: a..b }"));
    let message = team.condition_for("pfc/dots", "Ready", "False", "InvalidSpec");
    assert_eq!(message, "spec.probe.keys.configMap: \"a..b\" is not a name of a ConfigMap");
}

#[test]
fn the_example_works() {
    let team = shared().team("example");
    team.kubectl.apply(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/probes/keys.yaml")).unwrap();
    team.verdict("ledger-is-configured", "Failing");
    team.done(&["create", "configmap", "ledger", "--from-literal=database-url=postgres://ledger", "--from-literal=region=eu"], "");
    team.verdict("ledger-is-configured", "Passing");
}
