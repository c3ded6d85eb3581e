//! Every file under examples/ is accepted as it is.

use crate::manifests::passing;
use crate::presets;
use crate::world::{ensure, eventually, shared};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    files
}

#[test]
fn every_example_is_accepted_and_ready() {
    let _turn = presets::cluster_gates();
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let files = ["", "probes", "presets"].map(|folder| yaml_files(&examples.join(folder))).concat();
    assert!(files.len() >= 20, "{files:?}");
    // What examples look at of other tools.
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/optional/read-tools.yaml");
    shared()
        .plane
        .admin()
        .ok(&["apply", "--server-side", "-f", &tools.to_string_lossy(), "--selector", "holdpoint.dev/tool=argo"])
        .unwrap();
    crate::during_run::world();
    let teams: Vec<_> = files.iter().map(|file| (file, shared().team("example"))).collect();
    for (_, team) in &teams {
        team.may_read_the_cluster();
    }
    for (file, team) in &teams {
        team.kubectl.apply(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
    for (file, team) in &teams {
        eventually(&format!("{} to be ready", file.display()), || {
            let path = file.to_string_lossy();
            let printed = team.kubectl.ok(&["get", "-f", &path, "-o", "json"]).map_err(|error| error.to_string())?;
            let printed: Value = serde_json::from_str(&printed).map_err(|error| error.to_string())?;
            let one = [printed.clone()];
            let items = printed["items"].as_array().map_or(&one[..], Vec::as_slice);
            let mut ours =
                items.iter().filter(|item| item["apiVersion"].as_str().is_some_and(|version| version.starts_with("holdpoint.dev/")));
            let not_ready = ours.find(|item| crate::team::condition(item, "Ready")["status"] != "True");
            ensure(not_ready.is_none(), || not_ready.unwrap().to_string())
        });
    }
    // Cluster-wide gates would go on holding other tests' objects.
    shared().plane.admin().ok(&["delete", "cxgate", "--ignore-not-found", "production-chaos", "chaosblade"]).unwrap();
}

#[test]
fn the_optional_manifests_are_accepted_and_a_tool_can_be_picked() {
    let optional = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/optional");
    // Not for real: what the operator may read is other tests' matter.
    let apply = |file: &str, more: &[&str]| {
        let path = optional.join(file).to_string_lossy().into_owned();
        let printed =
            shared().plane.admin().ok(&[&["apply", "--server-side", "--dry-run=server", "-f", &path][..], more].concat()).unwrap();
        printed.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(apply("read-all-secrets.yaml", &[]).len(), 2);
    assert!(apply("read-tools.yaml", &[]).len() >= 10);
    let picked = apply("read-tools.yaml", &["--selector", "holdpoint.dev/tool=kubevirt"]);
    assert!(matches!(picked.as_slice(), [one] if one.contains("/holdpoint-read-kubevirt ")), "{picked:?}");
}

#[test]
fn the_demos_files_do_what_the_demo_shows() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/demo");
    let team = shared().team("demo");
    for file in yaml_files(&demo) {
        // They may name a namespace of their own: what is looked at here is that the API accepts them.
        let printed = team.kubectl.run(&["apply", "--server-side", "--dry-run=server", "-f", &file.to_string_lossy()]).unwrap();
        let no_namespace = printed.stderr.contains("does not match the namespace") || printed.stderr.contains("namespaces \"");
        assert!(printed.code == 0 || no_namespace, "{}: {printed:?}", file.display());
    }
    team.apply(&passing("unused"));
}
