use super::*;
use crate::api::{ClockFact, DiskFact, HostFacts, LoadFact, PortFact};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn parse(spec: Value) -> Result<Requirements, Vec<String>> {
    let spec: HostProbe = serde_json::from_value(spec).unwrap();
    let mut problems = Vec::new();
    let parsed = Requirements::parse(&spec, "spec.probe.host", &mut problems);
    assert_eq!(parsed.is_none(), !problems.is_empty());
    parsed.ok_or_else(|| problems.iter().map(Problem::to_string).collect())
}

fn facts(value: Value) -> HostFacts {
    serde_json::from_value(value).unwrap()
}

/// A host on which everything was measured.
fn host() -> HostFacts {
    let gi = 1_i64 << 30;
    facts(json!({
        "kernel": {"release": "6.8.0-45-generic"},
        "memory": {"totalBytes": 16 * gi, "availableBytes": 4 * gi, "swapTotalBytes": 2 * gi, "swapFreeBytes": gi},
        "load": {"oneMinutePercent": 80, "cpus": 8},
        "clock": {"aheadMilliseconds": -40, "uncertaintyMilliseconds": 60},
        "containerRuntime": {"name": "containerd", "version": "v1.7.2", "images": [{"name": "a:1", "present": true}, {"name": "b:1", "present": false}]},
        "disks": [
            {"path": "/var", "totalBytes": 100 * gi, "freeBytes": 12 * gi, "totalInodes": 1000, "freeInodes": 500},
            {"path": "/gone", "error": "is not there"},
            {"path": "/btrfs", "totalBytes": gi, "freeBytes": gi},
            {"path": "/proc", "totalBytes": 0, "freeBytes": 0},
        ],
        "files": [
            {"path": "/dev/kvm", "present": true, "type": "Device", "mode": "0660", "uid": 0, "gid": 108},
            {"path": "/etc/kubernetes", "present": true, "type": "Folder", "mode": "0755", "uid": 0, "gid": 0},
            {"path": "/run/reboot-required", "present": false},
            {"path": "/etc/closed/in", "error": "permission denied"},
        ],
        "modules": [{"name": "kvm", "present": true}, {"name": "nbd", "present": false}],
        "cpuFlags": [{"name": "vmx", "present": true}],
        "sysctls": [{"name": "vm.max_map_count", "value": "262144"}, {"name": "net.ipv4.tcp_mem", "value": "1 2 3"}],
        "units": [{"name": "containerd.service", "value": "active"}, {"name": "chronyd.service", "value": "failed"}],
        "hugepages": [{"size": "2Mi", "total": 512, "free": 100}],
        "ports": [{"port": 6443, "protocol": "TCP", "listening": true}, {"port": 53, "protocol": "UDP", "listening": false}],
    }))
}

#[test]
fn every_requirement_is_met_unmet_or_untold_as_measured() {
    use Found::{Met, Unmet, Untold};
    for (spec, found, message) in [
        (json!({"disk": [{"path": "/var", "minFree": "12Gi"}]}), Met, "/var has 12Gi free of 100Gi, at least 12Gi required"),
        (json!({"disk": [{"path": "/var", "minFree": "13Gi"}]}), Unmet, "/var has 12Gi free of 100Gi, at least 13Gi required"),
        (json!({"disk": [{"path": "/var", "minFree": "12%"}]}), Met, "/var has 12% free of 100Gi, at least 12% required"),
        (json!({"disk": [{"path": "/var", "minFree": "13%"}]}), Unmet, "/var has 12% free of 100Gi, at least 13% required"),
        (json!({"disk": [{"path": "/var", "minFreeInodes": 501}]}), Unmet, "/var has 500 free inodes, at least 501 required"),
        (json!({"disk": [{"path": "/btrfs", "minFreeInodes": 0}]}), Untold, "the file system of /btrfs has no fixed number of inodes"),
        (json!({"disk": [{"path": "/proc", "minFree": "0%"}]}), Untold, "disk /proc has no size"),
        (json!({"disk": [{"path": "/gone", "minFree": "0"}]}), Untold, "disk /gone: is not there"),
        (json!({"disk": [{"path": "/new", "minFree": "0"}]}), Untold, "disk /new is not measured yet"),
        (json!({"memory": {"minAvailable": "25%"}}), Met, "25% of 16Gi memory available, at least 25% required"),
        (json!({"memory": {"minAvailable": "5Gi"}}), Unmet, "4Gi of 16Gi memory available, at least 5Gi required"),
        (json!({"swap": {"maxUsed": "50%"}}), Met, "50% of 2Gi swap used, at most 50% allowed"),
        (json!({"swap": {"maxUsed": "512Mi"}}), Unmet, "1Gi of 2Gi swap used, at most 512Mi allowed"),
        (json!({"load": {"maxOneMinutePercent": 80}}), Met, "load is 80% of the CPUs, at most 80% allowed"),
        (json!({"load": {"maxOneMinutePercent": 79}}), Unmet, "load is 80% of the CPUs, at most 79% allowed"),
        (json!({"kernel": {"minVersion": "6.8"}}), Met, "kernel is 6.8.0-45-generic, at least 6.8.0 required"),
        (json!({"kernel": {"minVersion": "6.10"}}), Unmet, "kernel is 6.8.0-45-generic, at least 6.10.0 required"),
        (json!({"kernel": {"modules": ["kvm"]}}), Met, "kernel module kvm is loaded"),
        (json!({"kernel": {"modules": ["nbd"]}}), Unmet, "kernel module nbd is not loaded"),
        (json!({"kernel": {"modules": ["zfs"]}}), Untold, "kernel module zfs is not measured yet"),
        (json!({"devices": ["/dev/kvm"]}), Met, "/dev/kvm is a device"),
        (json!({"devices": ["/dev/nvidia0"]}), Untold, "/dev/nvidia0 is not measured yet"),
        (
            json!({"sysctls": [{"name": "vm.max_map_count", "min": 262_144}]}),
            Met,
            "sysctl vm.max_map_count is 262144, required is at least 262144",
        ),
        (json!({"sysctls": [{"name": "vm.max_map_count", "max": 1}]}), Unmet, "sysctl vm.max_map_count is 262144, required is at most 1"),
        (json!({"sysctls": [{"name": "net.ipv4.tcp_mem", "value": "1  2 3"}]}), Met, "sysctl net.ipv4.tcp_mem is 1 2 3, required is 1 2 3"),
        (
            json!({"sysctls": [{"name": "net.ipv4.tcp_mem", "min": 1}]}),
            Untold,
            "sysctl net.ipv4.tcp_mem is \"1 2 3\", which is not one number",
        ),
        (json!({"hugepages": [{"size": "2Mi", "minFree": 101}]}), Unmet, "100 huge pages of 2Mi free, at least 101 required"),
        (json!({"cpuFlags": ["vmx"]}), Met, "CPU flag vmx is present"),
        (json!({"timeSync": {"maxOffsetMilliseconds": 100}}), Met, "clock is ahead by -40 ms ± 60 ms"),
        (json!({"units": [{"name": "containerd.service"}]}), Met, "unit containerd.service is active"),
        (json!({"units": [{"name": "chronyd.service"}]}), Unmet, "unit chronyd.service is failed"),
        (json!({"ports": [{"port": 6443}]}), Unmet, "TCP port 6443 is listening"),
        (json!({"ports": [{"port": 53, "protocol": "UDP"}]}), Met, "UDP port 53 is free"),
        (json!({"ports": [{"port": 53}]}), Untold, "TCP port 53 is not measured yet"),
        (json!({"files": [{"path": "/etc/kubernetes", "type": "Folder", "mode": "755", "uid": 0}]}), Met, "/etc/kubernetes is as required"),
        (
            json!({"files": [{"path": "/etc/kubernetes", "type": "File", "mode": "0700", "gid": 1}]}),
            Unmet,
            "/etc/kubernetes has type Folder, mode 0755, gid 0, required is type File, mode 0700, gid 1",
        ),
        (json!({"files": [{"path": "/run/reboot-required", "state": "Absent"}]}), Met, "/run/reboot-required is absent"),
        (json!({"files": [{"path": "/run/reboot-required"}]}), Unmet, "/run/reboot-required is absent"),
        (json!({"files": [{"path": "/dev/kvm", "state": "Absent"}]}), Unmet, "/dev/kvm is present"),
        (json!({"files": [{"path": "/etc/closed/in", "state": "Absent"}]}), Untold, "/etc/closed/in: permission denied"),
        (json!({"containerRuntime": {"minVersion": "1.7"}}), Met, "containerd is v1.7.2, at least 1.7.0 required"),
        (json!({"containerRuntime": {"minVersion": "2.0"}}), Unmet, "containerd is v1.7.2, at least 2.0.0 required"),
    ] {
        let findings = parse(spec.clone()).unwrap().judge(&host());
        assert_eq!((findings[0].found, findings[0].message.as_str()), (found, message), "{spec}");
    }
    let images = parse(json!({"containerRuntime": {"images": ["a:1", "b:1"]}})).unwrap().judge(&host());
    assert_eq!(images.iter().map(|finding| finding.found).collect::<Vec<_>>(), [Met, Met, Unmet]);
}

#[test]
fn a_clock_is_judged_only_as_exactly_as_it_is_known() {
    let limit = parse(json!({"timeSync": {"maxOffsetMilliseconds": 500}})).unwrap();
    for (ahead, uncertainty, found) in [
        (0, 500, Found::Met),
        (0, 501, Found::Untold),
        (-900, 300, Found::Unmet),
        (900, 400, Found::Untold),
        (i64::MIN, 0, Found::Unmet),
        (0, i64::MIN, Found::Untold),
    ] {
        let clock = ClockFact { ahead_milliseconds: Some(ahead), uncertainty_milliseconds: Some(uncertainty), ..ClockFact::default() };
        let facts = HostFacts { clock: Some(clock), ..HostFacts::default() };
        assert_eq!(limit.judge(&facts)[0].found, found, "{ahead} ± {uncertainty}");
    }
}

#[test]
fn nothing_measured_meets_nothing() {
    let spec = json!({
        "disk": [{"path": "/", "minFree": "0%", "minFreeInodes": 0}], "memory": {"minAvailable": "0"}, "swap": {"maxUsed": "100%"},
        "load": {"maxOneMinutePercent": 1000}, "kernel": {"minVersion": "0.1", "modules": ["a"]}, "devices": ["/dev/a"],
        "sysctls": [{"name": "a.b", "min": 0}], "hugepages": [{"size": "2Mi", "minFree": 0}], "cpuFlags": ["a"],
        "timeSync": {"maxOffsetMilliseconds": 1000}, "units": [{"name": "a.service"}], "ports": [{"port": 1}],
        "files": [{"path": "/a", "state": "Absent"}], "containerRuntime": {"images": ["a"]},
    });
    let requirements = parse(spec).unwrap();
    for empty in [HostFacts::default(), facts(json!({"memory": {}, "load": {}, "clock": {}, "kernel": {}}))] {
        for finding in requirements.judge(&empty) {
            let runtime_answers = finding.message.contains("answers");
            assert!(finding.found == Found::Untold && !runtime_answers, "{finding:?}");
        }
    }
    assert_eq!(requirements.asks().count(), 16, "everything but the kernel's release is asked for");
}

#[test]
fn hostile_paths_and_names_are_refused_with_the_field() {
    for (path, why) in [
        ("etc/passwd", "is not absolute"),
        ("/etc/../root", "contains . or .."),
        ("/..", "contains . or .."),
        ("/./a", "contains . or .."),
        ("//etc", "has a slash too many"),
        ("/etc/", "has a slash too many"),
        ("/etc\n", "contains control characters"),
        ("/\0", "contains control characters"),
        ("", "is not absolute"),
        (&format!("/{}", "a".repeat(128)), "is longer than 128 bytes"),
    ] {
        let problems = parse(json!({"files": [{"path": path}]})).unwrap_err();
        assert!(problems[0].starts_with("spec.probe.host.files[0].path: ") && problems[0].ends_with(why), "{problems:?}");
        assert!(normal(path).is_err());
    }
    for path in ["/", "/a", "/a/..b", "/a/.../ü"] {
        assert_eq!(normal(path), Ok(path));
    }
    for (spec, field) in [
        (json!({}), "spec.probe.host: "),
        (json!({"devices": ["/etc/passwd"]}), "spec.probe.host.devices[0]: "),
        (json!({"devices": ["/dev"]}), "spec.probe.host.devices[0]: "),
        (json!({"sysctls": [{"name": "..", "min": 1}]}), "spec.probe.host.sysctls[0].name: "),
        (json!({"sysctls": [{"name": "a/b.c", "min": 1}]}), "spec.probe.host.sysctls[0].name: "),
        (json!({"sysctls": [{"name": "a.b"}]}), "spec.probe.host.sysctls[0]: "),
        (json!({"disk": [{"path": "/"}]}), "spec.probe.host.disk[0]: "),
        (json!({"disk": [{"path": "/", "minFree": "1.5Gi"}]}), "spec.probe.host.disk[0].minFree: "),
        (json!({"disk": [{"path": "/", "minFree": "101%"}]}), "spec.probe.host.disk[0].minFree: "),
        (json!({"disk": [{"path": "/", "minFree": "999999999999999999Pi"}]}), "spec.probe.host.disk[0].minFree: "),
        (json!({"hugepages": [{"size": "2M", "minFree": 1}]}), "spec.probe.host.hugepages[0].size: "),
        (json!({"ports": [{"port": 0}]}), "spec.probe.host.ports[0].port: "),
        (json!({"units": [{"name": "a b"}]}), "spec.probe.host.units[0].name: "),
        (json!({"files": [{"path": "/a", "mode": "0888"}]}), "spec.probe.host.files[0].mode: "),
        (json!({"files": [{"path": "/a", "state": "Absent", "uid": 0}]}), "spec.probe.host.files[0]: "),
        (json!({"kernel": {"minVersion": "six"}}), "spec.probe.host.kernel.minVersion: "),
        (json!({"load": {"maxOneMinutePercent": 0}}), "spec.probe.host.load.maxOneMinutePercent: "),
    ] {
        let problems = parse(spec.clone()).unwrap_err();
        assert!(problems[0].starts_with(field), "{spec}: {problems:?}");
    }
}

#[test]
fn allowed_folders_are_those_named_what_is_in_them_and_what_leads_to_them() {
    let allowed = AllowedPaths::new(["/etc".to_owned(), "/var/lib".to_owned()]);
    for path in ["/", "/etc", "/etc/kubernetes/pki", "/var", "/var/lib", "/var/lib/kubelet"] {
        assert!(allowed.allow(path), "{path}");
    }
    for path in ["/root", "/home/a", "/etcetera", "/var/log", "/var/library"] {
        assert!(!allowed.allow(path), "{path}");
    }
    assert!(AllowedPaths::new(["/".to_owned()]).allow("/home/a"));
    assert!(!AllowedPaths::new([]).allow("/"));
}

#[test]
fn a_namespace_that_asks_for_everything_leaves_the_others_their_share() {
    let files = |prefix: &str, count: usize| {
        let all: Vec<Requirements> = (0..count.div_ceil(16))
            .map(|part| {
                let paths = (part * 16..count.min(part * 16 + 16)).map(|n| json!({"path": format!("/{prefix}{n:04}")}));
                parse(json!({"files": paths.collect::<Vec<_>>()})).unwrap()
            })
            .collect();
        all
    };
    let (greedy, modest) = (files("a", 500), files("z", 20));
    let checks = greedy.iter().map(|one| ("greedy", one)).chain(modest.iter().map(|one| ("modest", one)));
    let asked = Asked::from_checks(checks);
    assert_eq!((asked.asks.len(), asked.omitted), (MAX_OF_A_KIND, 520 - MAX_OF_A_KIND));
    let of = |prefix: &str| asked.asks.iter().filter(|ask| matches!(ask, Ask::File(path) if path.starts_with(prefix))).count();
    assert_eq!((of("/z"), of("/a")), (20, MAX_OF_A_KIND - 20));
    let twice = Asked::from_checks(modest.iter().map(|one| ("a", one)).chain(modest.iter().map(|one| ("b", one))));
    assert_eq!((twice.asks.len(), twice.omitted), (20, 0), "what two ask about is measured once");
}

#[test]
fn small_movements_mean_nothing_until_they_cross_a_threshold() {
    let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
    let with = |change: &dyn Fn(&mut HostFacts)| {
        let mut new = host();
        change(&mut new);
        stamp(&mut new, Some(at(2)));
        new
    };
    let mut old = host();
    stamp(&mut old, Some(at(1)));
    assert_eq!(old.disks[0].time, old.time);
    let percent = old.disks[0].total_bytes.unwrap() / 100;
    let free = |by: i64| move |facts: &mut HostFacts| facts.disks[0].free_bytes = facts.disks[0].free_bytes.map(|free| free + by);
    let none: [Requirements; 0] = [];
    assert!(same_meaning(&old, &with(&|_| ()), &none), "another time alone");
    assert!(same_meaning(&old, &with(&free(-percent)), &none));
    assert!(!same_meaning(&old, &with(&free(-percent - 1)), &none));
    let threshold = [parse(json!({"disk": [{"path": "/var", "minFree": "12Gi"}]})).unwrap()];
    assert!(same_meaning(&old, &with(&free(1)), &threshold));
    assert!(!same_meaning(&old, &with(&free(-1)), &threshold), "a byte less than required");
    let load = |percent: i64| move |facts: &mut HostFacts| facts.load.as_mut().unwrap().one_minute_percent = Some(percent);
    assert!(same_meaning(&old, &with(&load(130)), &none));
    assert!(!same_meaning(&old, &with(&load(131)), &none));
    assert!(!same_meaning(&old, &with(&load(79)), &[parse(json!({"load": {"maxOneMinutePercent": 79}})).unwrap()]));
    let changes: [&dyn Fn(&mut HostFacts); 8] = [
        &|facts| facts.files[0].mode = Some("0666".to_owned()),
        &|facts| facts.units[0].value = Some("failed".to_owned()),
        &|facts| facts.ports[1].listening = Some(true),
        &|facts| facts.modules.truncate(1),
        &|facts| facts.ports.push(PortFact::default()),
        &|facts| facts.disks.push(DiskFact::default()),
        &|facts| facts.disks[0].error = Some("gone".to_owned()),
        &|facts| facts.load = None::<LoadFact>,
    ];
    for (index, change) in changes.into_iter().enumerate() {
        assert!(!same_meaning(&old, &with(change), &none), "change {index}");
    }
}

#[test]
fn sizes_are_shown_for_people_and_read_back() {
    for (bytes, text) in [(0, "0"), (1023, "1023"), (1024, "1Ki"), (10 << 30, "10Gi"), ((10 << 30) - 1, "9.9Gi"), (u64::MAX, "16383.9Pi")] {
        assert_eq!(bytes_text(bytes), text);
    }
    assert_eq!(Amount::parse("10Gi"), Some(Amount::Bytes(10 << 30)));
    assert_eq!(Amount::parse("1k"), Some(Amount::Bytes(1000)));
    assert_eq!(hugepage_bytes("2Mi"), Some(2 << 20));
    for text in ["", "Gi", "-1", "1e3", "1 Gi", "%", "1%%", "99999999999999999999"] {
        assert_eq!(Amount::parse(text), None, "{text:?}");
    }
    assert!(Release::parse("5.15.0-91-generic") > Release::parse("5.9"));
    assert_eq!(Release::parse("v2.0.0-rc.1"), Release::parse("2.0"));
    assert_eq!(Release::parse("6.1-rc3"), Release::parse("6.1.0"));
    for text in ["", "six", "6", "6.", ".6", "6.x"] {
        assert_eq!(Release::parse(text), None, "{text:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(text in "\\PC{0,24}|/[a-z./]{0,20}|[0-9.]{0,12}(Gi|%)?") {
        let _ = (Amount::parse(&text), Release::parse(&text), hugepage_bytes(&text), AllowedPaths::new([text.clone()]).allow(&text));
        if let Ok(path) = normal(&text) {
            prop_assert!(path.starts_with('/') && path.split('/').all(|part| part != ".."));
        }
    }

    #[test]
    fn equal_facts_mean_the_same(free in 0_i64..1_000_000, load in 0_i64..10_000) {
        let mut facts = host();
        facts.disks[0].free_bytes = Some(free);
        facts.load = Some(LoadFact { one_minute_percent: Some(load), ..LoadFact::default() });
        let asked = [parse(json!({"disk": [{"path": "/var", "minFree": "12%"}], "load": {"maxOneMinutePercent": 100}})).unwrap()];
        prop_assert!(same_meaning(&facts, &facts, &asked));
        let kinds: BTreeSet<Ask> = asked[0].asks().collect();
        prop_assert_eq!(kinds.len(), 2);
    }
}
