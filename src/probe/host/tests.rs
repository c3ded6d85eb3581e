use super::super::objects::testing::{NOW, Watched, any_json, object};
use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn host(spec: Value) -> Host {
    let mut problems = Vec::new();
    Host::parse(&serde_json::from_value(spec).unwrap(), "spec.probe.host", &mut problems).unwrap()
}

fn report(facts: &Value) -> DynamicObject {
    object(json!({"apiVersion": "holdpoint.dev/v1alpha1", "kind": "HostReport", "metadata": {"name": "db-1"}, "facts": facts}))
}

fn lease(spec: &Value) -> DynamicObject {
    let metadata = json!({"name": "db-1", "namespace": HEARTBEAT_NAMESPACE});
    object(json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}))
}

fn beating() -> Watched {
    Watched(Some(vec![lease(&json!({"renewTime": "2026-09-01T11:59:50.123456Z", "leaseDurationSeconds": 40}))]))
}

fn seen(host: &Host, report: &DynamicObject, objects: &Watched) -> Observation {
    let look = Look { targets: &[report], namespace: "shop", objects, members: &[], now: now() };
    LiveProbe::observe(host, &look).remove(0)
}

#[test]
fn what_is_wrong_comes_before_what_cannot_be_told_and_that_before_a_pass() {
    let probe = host(json!({"kernel": {"minVersion": "6.0", "modules": ["kvm", "nbd"]}, "devices": ["/dev/kvm"]}));
    let facts = |release: &str, kvm: bool, device: Value| {
        let modules = json!([{"name": "kvm", "present": kvm}, {"name": "nbd", "present": true}]);
        report(&json!({"kernel": {"release": release}, "modules": modules, "files": [device]}))
    };
    let there = json!({"path": "/dev/kvm", "present": true, "type": "Device"});
    let denied = json!({"path": "/dev/kvm", "error": "permission denied"});

    let fit = seen(&probe, &facts("6.1.0", true, there.clone()), &beating());
    assert_eq!((fit.outcome, fit.reason, fit.message.as_str()), (Outcome::Pass, HOST_FIT, "4 requirements met"));
    assert_eq!(fit.target, "HostReport/db-1");
    assert_eq!(fit.holds_until, Some("2026-09-01T12:00:30.123456Z".parse().unwrap()));

    let untold = seen(&probe, &facts("6.1.0", true, denied.clone()), &beating());
    assert_eq!((untold.outcome, untold.reason, untold.message.as_str()), (Outcome::Error, NO_DATA, "/dev/kvm: permission denied"));

    let wrong = seen(&probe, &facts("5.4.0", false, denied), &beating());
    assert_eq!((wrong.outcome, wrong.reason), (Outcome::Fail, "KernelTooOld"));
    assert_eq!(wrong.message, "kernel is 5.4.0, at least 6.0.0 required; kernel module kvm is not loaded");
    assert_eq!((wrong.value.as_deref(), wrong.required.as_deref()), (Some("5.4.0"), Some("6.0.0")));
    assert_eq!(wrong.holds_until, fit.holds_until);
}

#[test]
fn a_host_without_a_heartbeat_is_not_known_whatever_its_report_says() {
    let probe = host(json!({"kernel": {"minVersion": "6.0"}}));
    let good = report(&json!({"kernel": {"release": "6.1.0"}}));
    let with = |spec: &Value| seen(&probe, &good, &Watched(Some(vec![lease(spec)])));
    let at = |time: &str, seconds: i64| with(&json!({"renewTime": time, "leaseDurationSeconds": seconds}));
    for (observation, reason, says) in [
        (at("2026-09-01T11:59:20Z", 40), AGENT_SILENT, "its agent is silent since 2026-09-01T11:59:20Z, for more than 40 s"),
        (at("2026-09-01T11:00:00Z", 1_000_000), AGENT_SILENT, "its agent is silent since 2026-09-01T11:00:00Z, for more than 600 s"),
        (at("2026-09-01T12:00:00Z", -5), AGENT_SILENT, "its agent is silent since 2026-09-01T12:00:00Z, for more than 0 s"),
        (at("2036-09-01T12:00:00Z", 40), AGENT_SILENT, "its agent's heartbeat is of 2036-09-01T12:00:00Z, which is yet to come"),
        (with(&json!({"renewTime": NOW})), AGENT_SILENT, "Lease holdpoint-hosts/db-1 cannot be read"),
        (with(&json!({"leaseDurationSeconds": 40})), AGENT_SILENT, "Lease holdpoint-hosts/db-1 cannot be read"),
        (with(&json!("odd")), AGENT_SILENT, "Lease holdpoint-hosts/db-1 cannot be read"),
        (seen(&probe, &good, &Watched(Some(vec![]))), AGENT_SILENT, "its agent has no Lease holdpoint-hosts/db-1"),
        (seen(&probe, &good, &Watched(None)), super::super::NOT_SYNCED, "Lease in holdpoint-hosts are not watched yet"),
    ] {
        assert_eq!((observation.outcome, observation.reason, observation.message.as_str()), (Outcome::Error, reason, says));
        assert_eq!(observation.holds_until, now().checked_add(LOOK_AGAIN).ok(), "a heartbeat that comes again is seen soon");
    }
    assert_eq!(at("2026-09-01T11:59:20.000001Z", 40).outcome, Outcome::Pass);
    assert_eq!(at("2026-09-01T12:00:59Z", 40).outcome, Outcome::Pass, "clocks differ");
}

#[test]
fn a_report_without_facts_is_no_data() {
    let probe = host(json!({"kernel": {"minVersion": "6.0"}}));
    let mut without = report(&json!({}));
    without.data = json!({});
    for odd in [without, report(&json!("x")), report(&json!({"kernel": 6})), report(&json!({}))] {
        let observation = seen(&probe, &odd, &beating());
        assert_eq!((observation.outcome, observation.reason), (Outcome::Error, NO_DATA), "{odd:?}");
    }
}

#[test]
fn many_findings_are_counted() {
    let names: Vec<String> = (0..10).map(|n| format!("flag{n}")).collect();
    let facts: Vec<Value> = names.iter().map(|name| json!({"name": name, "present": false})).collect();
    let observation = seen(&host(json!({"cpuFlags": names})), &report(&json!({"cpuFlags": facts})), &beating());
    assert!(observation.message.starts_with("6 more; CPU flag flag0 is not present; "), "{}", observation.message);
}

#[test]
fn heartbeats_are_read_quietly_from_their_own_namespace() {
    let reads = host(json!({"cpuFlags": ["a"]})).reads();
    assert!(matches!(reads.as_slice(), [Related { kind: "Lease", place: Place::Owned(HEARTBEAT_NAMESPACE), quiet: true, name: None, .. }]));
}

proptest! {
    #[test]
    fn any_report_and_any_lease_are_judged(
        facts in any_json(&["kernel", "release", "disks", "path", "/var", "freeBytes", "totalBytes", "error", "memory", "load"]),
        spec in any_json(&["renewTime", "leaseDurationSeconds", NOW]),
    ) {
        let probe = host(json!({"kernel": {"minVersion": "6.0"}, "disk": [{"path": "/var", "minFree": "10%"}], "memory": {"minAvailable": "1Gi"}}));
        let observation = seen(&probe, &report(&facts), &Watched(Some(vec![lease(&spec)])));
        prop_assert!(observation.outcome != Outcome::Pass);
        prop_assert!(observation.message.chars().count() <= 256);
    }
}
