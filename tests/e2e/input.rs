//! Checks that cannot work, and a command line that cannot.

use crate::manifests::check;
use crate::world::shared;
use std::process::Command;

#[test]
fn a_check_that_cannot_work_is_refused_when_it_is_applied() {
    let team = shared().team("bad-check");
    let tcp = "probe: { tcp: { host: a, port: 1 } }";
    let exactly_one = "spec.probe: Invalid value: exactly one probe is required: set one of rollout, condition, node, capacity, quota, disruptionBudget, keys, cel, analysis, composite, host, blastRadius, http, tcp, window, cooldown, concurrency";
    let cases = [
        ("{ probe: { tcp: { host: a, port: 1 }, window: { allowed: [{ from: '00:00', to: '24:00' }] } } }".to_owned(), exactly_one),
        ("{ probe: {} }".to_owned(), exactly_one),
        (
            format!("{{ {tcp}, intervalSeconds: 4 }}"),
            "spec.intervalSeconds: Invalid value: intervalSeconds must be at least timeoutSeconds: \
             an evaluation must be able to end before the next begins",
        ),
        (
            format!("{{ {tcp}, staleAfterSeconds: 34 }}"),
            "spec.staleAfterSeconds: Invalid value: staleAfterSeconds must be at least intervalSeconds + timeoutSeconds: \
             otherwise a healthy check would go stale between evaluations",
        ),
        (
            format!("{{ {tcp}, quorum: {{ minPassing: '0%' }} }}"),
            "spec.quorum.minPassing: Invalid value: \"0%\": spec.quorum.minPassing in body should match '^(100|[1-9][0-9]?)%$'",
        ),
        (
            "{ probe: { http: { url: 'http://casey:secret@a/' } } }".to_owned(),
            "spec.probe.http.url: Invalid value: \"http://casey:secret@a/\": must not carry a user name or password",
        ),
        (
            "{ probe: { http: { url: 'file:///etc/passwd' } } }".to_owned(),
            "spec.probe.http.url: Invalid value: \"file:///etc/passwd\": must start with http:// or https://",
        ),
        (
            "{ probe: { rollout: {} } }".to_owned(),
            "spec.targets: Invalid value: the probes rollout, condition, node, capacity, disruptionBudget, analysis and host need targets",
        ),
        (
            "{ probe: { rollout: {} }, targets: { apiVersion: apps/v1, kind: Deployment, name: a, selector: {} } }".to_owned(),
            "spec.targets: Invalid value: exactly one of name and selector is required",
        ),
    ];
    for (spec, expected) in cases {
        let expected = format!("The PreflightCheck \"bad\" is invalid: {expected}\n");
        assert_eq!(team.apply_refused(&check("bad", &spec)), expected, "{spec}");
    }
}

#[test]
fn a_check_that_only_the_operator_can_judge_says_what_is_wrong_where() {
    let team = shared().team("odd-check");
    let window = "allowed: [{ from: '09:00', to: '16:00' }]";
    let deployment = "apiVersion: apps/v1, kind: Deployment, name: web";
    let cases = [
        ("zone", format!("{{ probe: {{ window: {{ timeZone: Europe/Berlino, {window} }} }} }}"), "spec.probe.window.timeZone: "),
        (
            "host",
            "{ probe: { http: { url: 'https://' } } }".to_owned(),
            "spec.probe.http.url: has no host: write an absolute URL, such as https://",
        ),
        (
            "date",
            "{ probe: { window: { blackouts: [{ dates: { from: '2026-02-30', to: '2026-03-01' } }] } } }".to_owned(),
            "spec.probe.window.blackouts[0].dates.from: ",
        ),
        (
            "path",
            "{ probe: { http: { url: 'http://a/', body: { jsonPath: { path: 'status', equals: ok } } } } }".to_owned(),
            "spec.probe.http.body.jsonPath.path: ",
        ),
        (
            "kind",
            "{ probe: { rollout: {} }, targets: { apiVersion: v1, kind: Pod, name: web } }".to_owned(),
            "spec.targets.kind: the rollout probe cannot look at Pod of v1: its targets are Deployment, StatefulSet or DaemonSet of apps/v1",
        ),
        (
            "node",
            format!("{{ probe: {{ node: {{}} }}, targets: {{ {deployment} }} }}"),
            "spec.targets.kind: the node probe cannot look at Deployment of apps/v1: its targets are Node of v1",
        ),
    ];
    for (name, spec, field) in cases {
        team.apply(&check(name, &spec));
        let (reason, message) = team.condition(&format!("pfc/{name}"), "Ready", "False");
        assert_eq!(reason, "InvalidSpec", "{name}");
        assert!(message.starts_with(field) && message.len() > field.len() - 2, "{name}: {message}");
        assert_eq!(team.verdict(name, "Unknown").0, "InvalidSpec");
    }
    let (_, message) = team.condition("pfc/zone", "Ready", "False");
    assert!(message.contains("Europe/Berlino") && message.contains("Europe/Berlin"), "{message}");
    // A mend is enough.
    team.apply(&check("zone", &format!("{{ probe: {{ window: {{ timeZone: Europe/Berlin, {window} }} }} }}")));
    team.condition("pfc/zone", "Ready", "True");
}

#[test]
fn a_bad_command_line_says_what_would_be_right() {
    let run = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_holdpoint")).arg("run").args(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, stderr) = run(&["--allow-cidr", "10.1.2.3/8"]);
    assert_eq!(code, Some(1));
    let expected = "error: invalid value '10.1.2.3/8' for '--allow-cidr <CIDR>': \"10.1.2.3/8\" has bits set after the prefix: \
                    write the network address, 10.0.0.0/8, or 10.1.2.3/32 for this one address\n";
    assert!(stderr.starts_with(expected), "{stderr}");
    let (code, stderr) = run(&["--allow-cidr", "127.0.0.1"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("\"127.0.0.1\" has no prefix length: for this one address write 127.0.0.1/32"), "{stderr}");
    let (code, stderr) = run(&["--kubeconfig", "/does/not/exist"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("/does/not/exist"), "{stderr}");
    let (code, stderr) = run(&["--certificate-lifetime", "5"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("--certificate-lifetime"), "{stderr}");
}
