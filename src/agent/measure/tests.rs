use super::*;
use crate::api::{FileFact, FileType, PortProtocol, PresenceFact, TextFact};
use jiff::SignedDuration;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// A host made of files; removed with it.
struct Host(PathBuf);

impl Host {
    fn new(files: &[(&str, &str)]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let folder = std::env::temp_dir().join(format!("holdpoint-host-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir_all(&folder).unwrap();
        let host = Self(folder);
        for (path, text) in files {
            host.write(path, text);
        }
        host
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn sight(&self) -> Sight {
        Sight::new(Root::open(&self.0).unwrap(), AllowedPaths::new(["/dev", "/etc", "/var"].map(str::to_owned)), None)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn asked(asks: Vec<Ask>) -> Asked {
    Asked { asks: asks.into_iter().collect(), omitted: 0 }
}

const TABLE: &str = "  sl  local_address rem_address   st\n";

#[tokio::test]
async fn what_is_asked_for_is_measured_and_nothing_else() {
    let host = Host::new(&[
        ("proc/sys/kernel/osrelease", "6.8.0-45-generic\n"),
        ("proc/sys/vm/max_map_count", "262144\n"),
        ("proc/sys/kernel/core_pattern", "|/usr/bin/report --token=secret\n"),
        ("proc/sys/net/ipv4/ip_forward", "1\n"),
        ("proc/meminfo", "MemTotal: 100 kB\nMemAvailable: 50 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"),
        ("proc/loadavg", "3.00 1.00 1.00 1/2 3\n"),
        ("sys/devices/system/cpu/online", "0-3\n"),
        ("proc/modules", "kvm_intel 1 0 - Live 0x0\n"),
        ("lib/modules/6.8.0-45-generic/modules.builtin", "kernel/fs/ext4/ext4.ko\n"),
        ("proc/cpuinfo", "flags : vmx\n"),
        ("proc/1/net/tcp", &format!("{TABLE} 0: 00000000:192B 00000000:0000 0A\n")),
        ("proc/1/net/udp", TABLE),
        ("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "8\n"),
        ("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "5\n"),
        ("etc/kubernetes/admin.conf", "secret"),
        ("root/secret", "secret"),
    ]);
    let name = |name: &str| name.to_owned();
    let asks = vec![
        Ask::Memory,
        Ask::Load,
        Ask::Clock,
        Ask::Runtime,
        Ask::Disk(name("/var")),
        Ask::Disk(name("/etc")),
        Ask::File(name("/etc/kubernetes/admin.conf")),
        Ask::File(name("/etc/gone")),
        Ask::File(name("/root/secret")),
        Ask::Module(name("kvm-intel")),
        Ask::Module(name("ext4")),
        Ask::Module(name("nbd")),
        Ask::CpuFlag(name("vmx")),
        Ask::CpuFlag(name("svm")),
        Ask::Sysctl(name("vm.max_map_count")),
        Ask::Sysctl(name("kernel.core_pattern")),
        Ask::Sysctl(name("net.ipv4.ip_forward")),
        Ask::Unit(name("a.service")),
        Ask::Hugepages(name("2Mi")),
        Ask::Hugepages(name("1Gi")),
        Ask::Port(PortProtocol::Tcp, 6443),
        Ask::Port(PortProtocol::Tcp, 80),
        Ask::Port(PortProtocol::Udp, 53),
        Ask::Image(name("a:1")),
    ];
    let facts = host.sight().measure(&asked(asks), None, Timestamp::UNIX_EPOCH).await;
    let text = serde_json::to_string(&facts).unwrap();
    assert!(!text.contains("token"), "{text}");
    assert_eq!(facts.kernel.unwrap().release.as_deref(), Some("6.8.0-45-generic"));
    assert_eq!(facts.memory.unwrap().available_bytes, Some(50 * 1024));
    assert_eq!(facts.load.unwrap().one_minute_percent, Some(75));
    assert_eq!(facts.clock.unwrap().error.as_deref(), Some("the API server's time is not known yet"));
    assert_eq!(facts.container_runtime.unwrap().error.as_deref(), Some("the agent was not given the runtime's socket (--cri-socket)"));
    assert!(facts.disks[0].total_bytes.unwrap() > 0, "/etc: {:?}", facts.disks);
    assert_eq!(facts.disks[1].error.as_deref(), Some("is not there"), "/var");
    let file = |fact: &FileFact| (fact.path.clone(), fact.present, fact.type_, fact.error.is_some());
    assert_eq!(
        facts.files.iter().map(file).collect::<Vec<_>>(),
        [
            (name("/etc/gone"), Some(false), None, false),
            (name("/etc/kubernetes/admin.conf"), Some(true), Some(FileType::File), false),
            (name("/root/secret"), None, None, true),
        ]
    );
    let present = |facts: &[PresenceFact]| facts.iter().map(|fact| fact.present).collect::<Vec<_>>();
    assert_eq!(present(&facts.modules), [Some(true), Some(true), Some(false)], "ext4, kvm-intel, nbd");
    assert_eq!(present(&facts.cpu_flags), [Some(false), Some(true)], "svm, vmx");
    let value = |fact: &TextFact| (fact.value.clone(), fact.error.clone());
    assert_eq!(
        facts.sysctls.iter().map(value).collect::<Vec<_>>(),
        [
            (None, Some(name("is not a number: only numbers are reported"))),
            (None, Some(name("an agent in a pod sees the pod's own value, not the host's"))),
            (Some(name("262144")), None),
        ]
    );
    assert!(facts.units[0].error.as_deref().unwrap().starts_with("there is no D-Bus"), "{:?}", facts.units);
    assert_eq!(facts.hugepages.iter().map(|pages| (pages.total, pages.free)).collect::<Vec<_>>(), [(Some(0), Some(0)), (Some(8), Some(5))]);
    let ports: Vec<_> = facts.ports.iter().map(|port| (port.port, port.listening)).collect();
    assert_eq!(ports, [(80, Some(false)), (6443, Some(true)), (53, Some(false))]);

    let nothing = host.sight().measure(&asked(vec![]), None, Timestamp::UNIX_EPOCH).await;
    let only_kernel = HostFacts {
        kernel: nothing.kernel.clone(),
        agent_version: nothing.agent_version.clone(),
        time: nothing.time.clone(),
        ..HostFacts::default()
    };
    assert_eq!(nothing, only_kernel);
    assert!(nothing.time.is_some() && nothing.kernel.is_some_and(|kernel| kernel.time == nothing.time));
}

#[tokio::test]
async fn what_cannot_be_measured_is_an_error_and_no_value() {
    let host = Host::new(&[("proc/meminfo", "odd"), ("proc/1/net/tcp", ""), ("proc/loadavg", "0.1"), ("proc/modules/not", "a file")]);
    symlink("/etc/loop", host.0.join("etc-loop")).unwrap();
    let asks = vec![Ask::Memory, Ask::Load, Ask::Module("a".into()), Ask::CpuFlag("a".into()), Ask::Port(PortProtocol::Tcp, 1)];
    let facts = host.sight().measure(&asked(asks), None, Timestamp::UNIX_EPOCH).await;
    assert!(facts.memory.as_ref().is_some_and(|fact| fact.error.is_some() && fact.total_bytes.is_none()));
    assert!(facts.load.as_ref().is_some_and(|fact| fact.error.is_some() && fact.one_minute_percent.is_none()));
    assert!(facts.kernel.as_ref().is_some_and(|fact| fact.error.is_some() && fact.release.is_none()));
    assert!(facts.modules[0].error.is_some() && facts.cpu_flags[0].error.is_some());
    assert!(facts.ports[0].error.is_some() && facts.ports[0].listening.is_none(), "{:?}", facts.ports);
}

#[tokio::test]
async fn a_path_that_does_not_come_back_is_asked_once() {
    let patience = Patience::default();
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    assert_eq!(patience.look("a".to_owned(), move || blocked.recv().is_ok()).await, None);
    assert_eq!(patience.look("a".to_owned(), || true).await, None, "the first one is still away");
    assert_eq!(patience.look("b".to_owned(), || true).await, Some(true));
    release.send(()).unwrap();
    while patience.look("a".to_owned(), || true).await.is_none() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_report_never_outgrows_its_bound() {
    let long = "x".repeat(128);
    let files = (0..64).map(|n| FileFact { path: format!("/{n:03}{long}"), error: Some(long.clone()), ..FileFact::default() }).collect();
    let units = (0..64).map(|n| TextFact { name: format!("{n:03}{long}"), error: Some(long.clone()), ..TextFact::default() }).collect();
    let fitted = fit(HostFacts { files, units, ..HostFacts::default() });
    assert!(weight(&fitted) <= MAX_BYTES && fitted.omitted > 0);
    assert_eq!(fitted.omitted, i32::try_from(128 - fitted.files.len() - fitted.units.len()).unwrap());
    assert!(fitted.files[0].path.starts_with("/000"));
    let sysctls = (0..200).map(|_| TextFact { name: long.clone(), error: Some(long.clone()), ..TextFact::default() }).collect();
    assert!(weight(&fit(HostFacts { sysctls, ..HostFacts::default() })) <= MAX_BYTES);
}

#[test]
fn the_clock_is_told_with_its_uncertainty() {
    let offset = Offset { earliest: SignedDuration::from_millis(-700), latest: SignedDuration::from_millis(-500) };
    let fact = clock(Some(offset));
    assert_eq!((fact.ahead_milliseconds, fact.uncertainty_milliseconds), (Some(600), Some(100 + DRIFT)));
    let odd = clock(Some(Offset { earliest: SignedDuration::MIN, latest: SignedDuration::MAX }));
    assert!(odd.uncertainty_milliseconds.unwrap() > 1 << 59);
}
