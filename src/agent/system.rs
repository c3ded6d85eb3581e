//! What the kernel says of itself: memory, load, modules, parameters, huge pages, CPU flags, ports.

use super::measure::fault;
use super::proc;
use super::root::{Root, Unseen};
use crate::api::{HostFacts, HugepagesFact, KernelFact, LoadFact, MemoryFact, PortFact, PortProtocol, PresenceFact, TextFact};
use crate::core::host::{Ask, Asked, hugepage_bytes};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::{BufReader, Read};
use std::sync::Arc;

/// The most that is read of a small file, and of a table.
const SMALL: u64 = 16 * 1024;
const LARGE: u64 = 1 << 20;
/// The most that is read of a table of sockets.
const SOCKETS: u64 = 32 << 20;
const ODD: &str = "the kernel's answer is not understood";

/// Kernel parameters that each namespace has its own of: those that a pod sees are not the host's.
const NAMESPACED: [&str; 9] =
    ["net.", "user.", "fs.mqueue.", "kernel.shm", "kernel.msg", "kernel.sem", "kernel.hostname", "kernel.domainname", "kernel.ns_last_pid"];

pub(super) async fn measure(root: &Arc<Root>, asked: &Asked) -> HostFacts {
    let (root, asked) = (root.clone(), asked.clone());
    // These files are the kernel's: reading them takes moments.
    tokio::task::spawn_blocking(move || read(&root, &asked)).await.unwrap_or_default()
}

fn read(root: &Root, asked: &Asked) -> HostFacts {
    let mut facts = HostFacts { kernel: Some(kernel(root)), ..HostFacts::default() };
    let release = facts.kernel.as_ref().and_then(|kernel| kernel.release.clone());
    let (mut modules, mut flags, mut ports) = (Vec::new(), Vec::new(), Vec::new());
    for ask in &asked.asks {
        match ask {
            Ask::Memory => facts.memory = Some(memory(root)),
            Ask::Load => facts.load = Some(load(root)),
            Ask::Module(name) => modules.push(name),
            Ask::CpuFlag(name) => flags.push(name),
            Ask::Sysctl(name) => facts.sysctls.push(sysctl(root, name)),
            Ask::Hugepages(size) => facts.hugepages.push(hugepages(root, size)),
            Ask::Port(protocol, port) => ports.push((*protocol, *port)),
            Ask::Clock | Ask::Runtime | Ask::Disk(_) | Ask::File(_) | Ask::Unit(_) | Ask::Image(_) => {}
        }
    }
    if !modules.is_empty() {
        facts.modules = presences(&modules, &loaded_modules(root, release.as_deref()), |all, name| all.contains(&proc::module_name(name)));
    }
    if !flags.is_empty() {
        let text = root.text("/proc/cpuinfo", SMALL);
        let all = text.as_deref().map_err(ToString::to_string).and_then(|text| proc::cpu_flags(text).ok_or_else(|| ODD.to_owned()));
        facts.cpu_flags = presences(&flags, &all, BTreeSet::contains);
    }
    facts.ports = [PortProtocol::Tcp, PortProtocol::Udp].into_iter().flat_map(|protocol| of_protocol(root, protocol, &ports)).collect();
    facts
}

/// For each name whether it is there, or why that cannot be told.
fn presences<T>(names: &[&String], all: &Result<T, impl Display>, contains: impl Fn(&T, &str) -> bool) -> Vec<PresenceFact> {
    let fact = |name: &&String| match all {
        Ok(all) => PresenceFact { name: (*name).clone(), present: Some(contains(all, name)), ..PresenceFact::default() },
        Err(error) => PresenceFact { name: (*name).clone(), error: fault(error), ..PresenceFact::default() },
    };
    names.iter().map(fact).collect()
}

fn kernel(root: &Root) -> KernelFact {
    match root.text("/proc/sys/kernel/osrelease", 64) {
        Ok(text) => KernelFact { release: Some(text.trim().to_owned()), ..KernelFact::default() },
        Err(error) => KernelFact { error: fault(error), ..KernelFact::default() },
    }
}

fn memory(root: &Root) -> MemoryFact {
    let failed = |error| MemoryFact { error, ..MemoryFact::default() };
    match root.text("/proc/meminfo", SMALL).map(|text| proc::memory(&text)) {
        Ok(Some(memory)) => MemoryFact {
            total_bytes: Some(memory.total),
            available_bytes: Some(memory.available),
            swap_total_bytes: Some(memory.swap_total),
            swap_free_bytes: Some(memory.swap_free),
            ..MemoryFact::default()
        },
        Ok(None) => failed(fault(ODD)),
        Err(error) => failed(fault(error)),
    }
}

fn load(root: &Root) -> LoadFact {
    let failed = |error| LoadFact { error, ..LoadFact::default() };
    let texts = (root.text("/proc/loadavg", SMALL), root.text("/sys/devices/system/cpu/online", SMALL));
    let (average, cpus) = match texts {
        (Ok(average), Ok(cpus)) => (proc::load_hundredths(&average), proc::cpus(&cpus)),
        (Err(error), _) | (_, Err(error)) => return failed(fault(error)),
    };
    match (average, cpus.filter(|cpus| *cpus > 0)) {
        (Some(hundredths), Some(cpus)) => LoadFact { one_minute_percent: Some(hundredths / cpus), cpus: Some(cpus), ..LoadFact::default() },
        _ => failed(fault(ODD)),
    }
}

/// Loaded modules, and those that are built in. On a host without the list of the latter, only loaded ones count.
fn loaded_modules(root: &Root, release: Option<&str>) -> Result<BTreeSet<String>, Unseen> {
    let mut all = proc::modules(&root.text("/proc/modules", LARGE)?);
    let release = release.filter(|release| !release.contains('/')).ok_or(Unseen::Absent)?;
    match root.text(&format!("/lib/modules/{release}/modules.builtin"), LARGE) {
        Ok(text) => all.extend(proc::built_in(&text)),
        Err(Unseen::Absent) => {}
        Err(error) => return Err(error),
    }
    Ok(all)
}

fn sysctl(root: &Root, name: &str) -> TextFact {
    let failed = |error| TextFact { name: name.to_owned(), error, ..TextFact::default() };
    if !root.is_own() && NAMESPACED.iter().any(|prefix| name.starts_with(prefix)) {
        return failed(fault("an agent in a pod sees the pod's own value, not the host's"));
    }
    match root.text(&format!("/proc/sys/{}", name.replace('.', "/")), SMALL).map(|text| proc::numbers(&text)) {
        Ok(Some(value)) => TextFact { name: name.to_owned(), value: Some(value), ..TextFact::default() },
        Ok(None) => failed(fault("is not a number: only numbers are reported")),
        Err(error) => failed(fault(error)),
    }
}

fn hugepages(root: &Root, size: &str) -> HugepagesFact {
    let failed = |error| HugepagesFact { size: size.to_owned(), error, ..HugepagesFact::default() };
    let Some(bytes) = hugepage_bytes(size) else { return failed(fault("is not the size of a page")) };
    let folder = format!("/sys/kernel/mm/hugepages/hugepages-{}kB", bytes / 1024);
    let number = |file: &str| match root.text(&format!("{folder}/{file}"), 64) {
        Ok(text) => text.trim().parse::<i64>().map_err(|_| ODD.to_owned()),
        // The kernel has no pages of this size.
        Err(Unseen::Absent) => Ok(0),
        Err(error) => Err(error.to_string()),
    };
    match (number("nr_hugepages"), number("free_hugepages")) {
        (Ok(total), Ok(free)) => HugepagesFact { size: size.to_owned(), total: Some(total), free: Some(free), ..HugepagesFact::default() },
        (Err(error), _) | (_, Err(error)) => failed(fault(error)),
    }
}

fn of_protocol(root: &Root, protocol: PortProtocol, asked: &[(PortProtocol, u16)]) -> Vec<PortFact> {
    let asked: BTreeSet<u16> = asked.iter().filter(|(of, _)| *of == protocol).map(|(_, port)| *port).collect();
    if asked.is_empty() {
        return Vec::new();
    }
    let found = listening(root, protocol, &asked);
    let fact = |port: u16| {
        let fact = PortFact { port: i32::from(port), protocol, ..PortFact::default() };
        match &found {
            Ok(found) => PortFact { listening: Some(found.contains(&port)), ..fact },
            Err(error) => PortFact { error: fault(error), ..fact },
        }
    };
    asked.iter().copied().map(fact).collect()
}

/// Process 1 is in the host's network, whichever the agent is in.
fn listening(root: &Root, protocol: PortProtocol, asked: &BTreeSet<u16>) -> Result<BTreeSet<u16>, String> {
    let tables = match protocol {
        PortProtocol::Tcp => ["/proc/1/net/tcp", "/proc/1/net/tcp6"],
        PortProtocol::Udp => ["/proc/1/net/udp", "/proc/1/net/udp6"],
    };
    let mut found = BTreeSet::new();
    for (table, needed) in tables.into_iter().zip([true, false]) {
        match root.file(table) {
            Ok(file) => {
                let mut bounded = BufReader::new(file.take(SOCKETS));
                proc::listening(&mut bounded, protocol, asked, &mut found).map_err(|error| format!("{table}: {error}"))?;
                if bounded.get_ref().limit() == 0 {
                    return Err(format!("{table} is too long"));
                }
            }
            // A host without IPv6 has no second table.
            Err(Unseen::Absent) if !needed => {}
            Err(error) => return Err(format!("{table} {error}")),
        }
    }
    Ok(found)
}
