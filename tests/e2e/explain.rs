//! `kubectl holdpoint explain`, run by the real kubectl as its plugin: what it tells, in which form, with which exit code.

use crate::manifests::{check, creating, failing, gate, networkchaos, passing, podchaos, podchaos_gate};
use crate::team::{Team, decision_id};
use crate::world::{ensure, eventually, shared};
use control_plane::{Kubectl, Output};
use serde_json::Value;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// A folder of `$PATH` with the link that makes the program a plugin.
static PLUGIN: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("plugin-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let link = folder.join("kubectl-holdpoint");
    // A process of this number may have left one.
    let _ = std::fs::remove_file(&link);
    symlink(env!("CARGO_BIN_EXE_holdpoint"), link).unwrap();
    folder
});

/// `kubectl holdpoint explain ARGS`, as a user.
fn explain_as(user: &Kubectl, args: &[&str], input: &str) -> Output {
    let path = format!("{}:{}", PLUGIN.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(shared().plane.programs().path("kubectl"));
    command.args(["holdpoint", "explain"]).args(args).env("PATH", path).env("KUBECONFIG", user.kubeconfig()).env("KUBERC", "off");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may end without reading it all.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Output { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The same as the administrator, in the namespace of a test.
fn explain(team: &Team<'_>, args: &[&str], input: &str) -> Output {
    explain_as(&team.kubectl, &[args, &["-n", &team.name]].concat(), input)
}

/// Its answer as JSON, with the exit code that it must have.
#[track_caller]
fn explained(team: &Team<'_>, code: i32, args: &[&str], input: &str) -> Value {
    let output = explain(team, &[args, &["-o", "json"]].concat(), input);
    assert_eq!(output.code, code, "{output:?}");
    let answer: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    assert_eq!((&answer["apiVersion"], &answer["kind"]), (&"cli.holdpoint.dev/v1alpha1".into(), &"Explanation".into()));
    answer["items"].clone()
}

/// Ages differ from run to run.
fn without_ages(text: &str) -> String {
    let mut steady = String::new();
    for line in crate::team::steady(text).lines() {
        let line = match line.rfind(" (").filter(|_| line.ends_with(" ago)")) {
            Some(at) => &line[..at],
            None => line,
        };
        steady.push_str(line);
        steady.push('\n');
    }
    steady
}

#[test]
fn a_refusal_is_a_tree_from_the_object_to_what_was_measured_and_what_to_do() {
    let team = shared().team("explain");
    team.deployment("web", 2);
    team.apply(&check(
        "web-healthy",
        "{ probe: { rollout: {} }, targets: { apiVersion: apps/v1, kind: Deployment, name: web }, \
         remediation: { message: Scale web back to 2, url: 'https://runbooks.example/web', owner: team-web } }",
    ));
    team.apply(&passing("window"));
    team.apply(&podchaos_gate("chaos", &["web-healthy", "window"]));
    team.held("chaos", &podchaos("kill"));
    team.break_pods("web");
    team.verdict("web-healthy", "Failing");

    let ns = &team.name;
    let output = explain(&team, &["-f", "-"], &podchaos("kill"));
    assert_eq!(output.code, 3, "{output:?}");
    assert_eq!(output.stderr, "");
    let found = "0/2 available, required 2 available: ";
    let expected = format!(
        "✗ PodChaos {ns}/kill: creating it would be denied [d-ID] (standard input)\n\
         ├── ✗ ExperimentGate {ns}/chaos (mode Enforce) denies\n\
         │   ├── ✗ FAIL web-healthy: {found}Deployment/web: 0/2 replicas available, at least 2 required (minReady 100%)\n"
    );
    let told = without_ages(&output.stdout);
    assert!(told.starts_with(&expected), "{told}");
    assert!(told.contains(&format!("│   │   ├── ✗ Deployment/web: {found}0/2 replicas available, at least 2 required")), "{told}");
    assert!(told.contains("│   │   └── → Scale web back to 2; see https://runbooks.example/web; ask team-web\n"), "{told}");
    assert!(told.contains("│   └── ✔ PASS window\n"), "{told}");
    assert!(told.ends_with(&format!("└── → kubectl wait --for=condition=Open xgate/chaos -n {ns} --timeout=10m\n")), "{told}");
    assert!(!output.stdout.contains('\u{1b}'), "no colours without a terminal");

    let items = explained(&team, 3, &["-f", "-"], &podchaos("kill"));
    let node = &items[0]["gates"][0];
    assert_eq!((&items[0]["question"], &items[0]["answer"], &node["predicted"]), (&"Create".into(), &"Deny".into(), &false.into()));
    let target = &node["checks"][0]["targets"][0];
    assert_eq!((&target["measured"], &target["required"]), (&"0/2 available".into(), &"2 available".into()));
    // It was a dry run, and leaves no trace.
    assert_eq!(team.kubectl.ok(&["get", "podchaos", "-o", "name"]).unwrap(), "");
    assert_eq!(team.get("xgate", "chaos")["status"]["counters"]["denied"], 0);

    // The gate and the check by themselves.
    let output = explain(&team, &["xgate/chaos"], "");
    assert_eq!(output.code, 3, "{output:?}");
    let first = format!("✗ ExperimentGate {ns}/chaos: closed (mode Enforce): ChecksFailing: 1 of 2 required checks not passing");
    assert!(output.stdout.starts_with(&first), "{}", output.stdout);
    assert!(
        output.stdout.contains("│   │   └── → Scale web back to 2") || output.stdout.contains("    └── → Scale web back to 2"),
        "{}",
        output.stdout
    );
    let output = explain(&team, &["preflightchecks.holdpoint.dev/web-healthy"], "");
    assert_eq!(output.code, 3, "{output:?}");
    assert!(output.stdout.contains(&format!("it keeps closed: ExperimentGate {ns}/chaos\n")), "{}", output.stdout);

    // Once it is mended, the same is admitted.
    team.run_pods("web");
    team.condition("xgate/chaos", "Open", "True");
    eventually("the object to be admitted", || {
        let output = explain(&team, &["-f", "-"], &podchaos("kill"));
        ensure(output.code == 0 && output.stdout.contains("creating it would be admitted"), || format!("{output:?}"))
    });
    assert_eq!(explain(&team, &["xgate/chaos", "pfc/window"], "").code, 0);
}

#[test]
fn what_a_gate_would_do_is_predicted_where_it_is_silent_and_warnings_are_shown() {
    let team = shared().team("explain-modes");
    team.apply(&failing("frozen"));
    let of = |name: &str, mode: &str, resource: &str| {
        gate(name, &format!("{{ mode: {mode}, match: {{ {} }}, checks: [{{ name: frozen }}] }}", creating("chaos-mesh.org", resource)))
    };
    team.apply(&(of("silent", "Audit", "podchaos") + &of("warns", "Warn", "networkchaos")));
    team.held("silent", &podchaos("kill"));
    team.held("warns", &networkchaos("slow"));
    let output = explain(&team, &["-f", "-"], &podchaos("kill"));
    assert_eq!(output.code, 0, "{output:?}");
    let ns = &team.name;
    let line = format!("! ExperimentGate {ns}/silent (mode Audit) admits; in mode Enforce it would deny (predicted)\n");
    assert!(output.stdout.contains(&line) && output.stdout.contains("FAIL frozen: "), "{}", output.stdout);

    let output = explain(&team, &["-f", "-"], &networkchaos("slow"));
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.contains("! Warning: ExperimentGate/warns would block: frozen FAIL ("), "{}", output.stdout);
    assert!(
        output.stdout.contains(&format!("! ExperimentGate {ns}/warns (mode Warn) admits with a warning; in mode Enforce it would deny\n")),
        "{}",
        output.stdout
    );
    let strict = explained(&team, 4, &["-f", "-", "--warnings-as-errors"], &networkchaos("slow"));
    assert_eq!(strict[0]["warnings"].as_array().map(Vec::len), Some(1));
}

#[test]
fn of_several_documents_each_is_answered_and_the_worst_counts() {
    let team = shared().team("explain-many");
    team.apply(&(failing("frozen") + &podchaos_gate("chaos", &["frozen"])));
    team.held("chaos", &podchaos("kill"));
    team.create(&networkchaos("there"));
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n- {{ apiVersion: chaos-mesh.org/v1alpha1, kind: PodChaos, metadata: {{ generateName: made-, \
         namespace: {} }}, spec: {{ mode: one }} }}\n",
        team.name
    );
    let input = networkchaos("there") + &podchaos("kill") + "---\n" + &list;
    let items = explained(&team, 3, &["-f", "-"], &input);
    let told: Vec<(&str, &str)> =
        items.as_array().unwrap().iter().map(|item| (item["question"].as_str().unwrap(), item["answer"].as_str().unwrap())).collect();
    assert_eq!(told, [("Update", "Pass"), ("Create", "Deny"), ("Create", "Deny")]);
    assert_eq!(items[2]["object"], format!("PodChaos {}/made-*", team.name));
    assert_eq!(items[1]["source"], "standard input, object 2");
    // An object that is stored, by its name: nothing holds it; a gate of other kinds is none.
    let items = explained(&team, 0, &["networkchaos/there"], "");
    assert_eq!(items[0]["notes"][0], "no gate that you may read looks at networkchaos");
    // What no schema takes and what is not served is the manifest's fault.
    let unknown = "\n---\napiVersion: chaos-mesh.org/v1alpha1\nkind: NoChaos\nmetadata: { name: x }\n";
    let items = explained(&team, 2, &["-f", "-"], &(podchaos("kill") + unknown));
    assert!(items[1]["message"].as_str().unwrap().starts_with("no kind NoChaos of chaos-mesh.org/v1alpha1 is served"), "{items}");
    let items = explained(&team, 2, &["-f", "-"], &check("wrong", "{ probe: {} }"));
    assert!(items[0]["message"].as_str().unwrap().contains("exactly one probe is required"), "{items}");
}

#[test]
fn a_decision_is_found_by_its_id() {
    let team = shared().team("explain-id");
    team.apply(&(failing("frozen") + &podchaos_gate("chaos", &["frozen"])));
    team.held("chaos", &podchaos("kill"));
    let id = decision_id(&team.create_refused(&podchaos("kill")));
    eventually("the decision to be found", || {
        // Whatever the namespace.
        let output = explain_as(&team.kubectl, &[&id, "-o", "json"], "");
        ensure(output.code == 3, || format!("{output:?}"))?;
        let answer: Value = serde_json::from_str(&output.stdout).map_err(|error| error.to_string())?;
        let item = &answer["items"][0];
        let inputs = item["inputs"].as_array().cloned().unwrap_or_default();
        let input = |name: &str| inputs.iter().find(|input| input["name"] == name).map(|input| input["value"].clone());
        let right = item["decisionId"] == id[..]
            && item["gates"][0]["answer"] == "Deny"
            && input("operation") == Some("CREATE".into())
            && input("object") == Some(format!("PodChaos {}/kill", team.name).into());
        ensure(right, || item.to_string())
    });
    let output = explain(&team, &["d-0123456789"], "");
    assert_eq!(output.code, 5, "{output:?}");
    assert!(output.stdout.starts_with("? d-0123456789: is not known\n"), "{output:?}");
}

#[test]
fn without_rights_the_answer_still_names_gates_and_checks() {
    let team = shared().team("explain-user");
    team.apply(&(failing("frozen") + &podchaos_gate("chaos", &["frozen"])));
    team.held("chaos", &podchaos("kill"));
    let creator = team.world.plane.user("explain-creator", &[]).unwrap();
    team.done(&["create", "role", "creator", "--verb=create", "--resource=podchaos.chaos-mesh.org"], "");
    team.done(&["create", "rolebinding", "creator", "--role=creator", "--user=explain-creator"], "");
    let output = eventually("the right to create", || {
        let output = explain_as(&creator, &["-f", "-", "-n", &team.name], &podchaos("kill"));
        ensure(output.code == 3, || format!("{output:?}")).map(|()| output)
    });
    assert!(output.stdout.contains(&format!("✗ ExperimentGate {}/chaos denies\n", team.name)), "{}", output.stdout);
    assert!(output.stdout.contains("FAIL frozen: ") && output.stdout.contains("· ExperimentGates cannot be read"), "{}", output.stdout);
    // Who may not ask gets no answer.
    let nobody = team.world.plane.user("explain-nobody", &[]).unwrap();
    let output = explain_as(&nobody, &["-f", "-", "-n", &team.name], &podchaos("kill"));
    assert_eq!(output.code, 5, "{output:?}");
    assert!(output.stdout.contains("cannot create resource \"podchaos\""), "{output:?}");
}

#[test]
fn mistakes_have_exit_codes_of_their_own_and_nothing_waits_for_ever() {
    let team = shared().team("explain-wrong");
    for (args, input, code, says) in [
        (&["-f", "-"][..], "a: b: c", 2, "error: standard input: "),
        (&["-f", "-"], "", 2, "error: there is no object in what -f names\n"),
        (
            &["-f", "-"],
            "apiVersion: v1\nkind: Pod\nmetadata: { name: a, namespace: elsewhere }\n",
            2,
            "error: standard input: the object's namespace is elsewhere, but --namespace is ",
        ),
        (&["-f", "/does/not/exist"], "", 2, "error: /does/not/exist: "),
        (&["nokind/x"], "", 1, "error: no kind nokind is served\n"),
        (&["chaos"], "", 1, "error: invalid value 'chaos' for '[KIND/NAME | DECISION-ID]...': write KIND/NAME, such as xgate/chaos"),
        (&["--kubeconfig", "/does/not/exist", "xgate/x"], "", 1, "error: kubeconfig /does/not/exist: "),
        (&["--context", "nowhere", "xgate/x"], "", 1, "error: kubeconfig "),
    ] {
        let output = explain(&team, args, input);
        assert_eq!((output.code, output.stdout.as_str()), (code, ""), "{args:?}: {output:?}");
        assert!(output.stderr.starts_with(says), "{args:?}: {output:?}");
    }
    let output = explain(&team, &["xgate/none"], "");
    assert_eq!(output.code, 5, "{output:?}");
    let output = explain(&team, &["--help"], "");
    assert!(output.code == 0 && output.stdout.contains("Usage: kubectl holdpoint explain [OPTIONS]"), "{output:?}");

    // An API server that takes the connection, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let config = std::fs::read_to_string(team.kubectl.kubeconfig()).unwrap();
    let mut config: Value = serde_json::from_str(&config).unwrap();
    config["clusters"][0]["cluster"]["server"] = format!("https://{}", silent.local_addr().unwrap()).into();
    let file = PLUGIN.join("silent.json");
    std::fs::write(&file, config.to_string()).unwrap();
    let output = explain(&team, &["--kubeconfig", &file.to_string_lossy(), "--timeout", "300ms", "xgate/x"], "");
    assert_eq!(output.code, 124, "{output:?}");
    assert!(output.stderr.starts_with("error: no answer from the API server within "), "{output:?}");
}
