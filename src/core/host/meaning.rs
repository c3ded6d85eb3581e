//! Whether two measurements of a host mean the same. Numbers move all the time; a report is written when it matters.

use super::Requirements;
use super::judge::Found;
use crate::api::HostFacts;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// By how much of its total the room on a disk may change unnoticed, in percent.
const DISK: u64 = 1;
/// By how much of their total memory and swap may change unnoticed, in percent.
const MEMORY: u64 = 5;
/// By how much the load may change unnoticed, in percent of the CPUs.
const LOAD: u64 = 50;
/// By how much the clock's offset, or its uncertainty, may change unnoticed, in milliseconds.
const CLOCK: u64 = 250;

/// Whether nobody who asks would take one for the other: every requirement is found the same, whatever is no number is equal, and no number has moved far.
pub fn same_meaning<'a>(old: &HostFacts, new: &HostFacts, asked: impl IntoIterator<Item = &'a Requirements>) -> bool {
    let found = |requirements: &Requirements, facts: &HostFacts| -> Vec<Found> {
        requirements.judge(facts).into_iter().map(|finding| finding.found).collect()
    };
    near(old, new) && steady(old, new) == steady(new, new) && asked.into_iter().all(|one| found(one, old) == found(one, new))
}

/// Whether the numbers that move all the time are where they were.
fn near(old: &HostFacts, new: &HostFacts) -> bool {
    let disks = old.disks.iter().zip(&new.disks).all(|(old, new)| {
        let bytes = within(old.free_bytes, new.free_bytes, share(new.total_bytes, DISK));
        bytes && within(old.free_inodes, new.free_inodes, share(new.total_inodes, DISK))
    });
    let memory = old.memory.as_ref().zip(new.memory.as_ref()).is_none_or(|(old, new)| {
        let memory = within(old.available_bytes, new.available_bytes, share(new.total_bytes, MEMORY));
        memory && within(old.swap_free_bytes, new.swap_free_bytes, share(new.swap_total_bytes, MEMORY))
    });
    let load = old.load.as_ref().zip(new.load.as_ref());
    let load = load.is_none_or(|(old, new)| within(old.one_minute_percent, new.one_minute_percent, LOAD));
    let clock = old.clock.as_ref().zip(new.clock.as_ref()).is_none_or(|(old, new)| {
        let ahead = within(old.ahead_milliseconds, new.ahead_milliseconds, CLOCK);
        ahead && within(old.uncertainty_milliseconds, new.uncertainty_milliseconds, CLOCK)
    });
    disks && memory && load && clock
}

fn share(total: Option<i64>, percent: u64) -> u64 {
    let total = total.and_then(|total| u64::try_from(total).ok()).unwrap_or(0);
    (total / 100).saturating_mul(percent)
}

/// Whether both are numbers that are no further apart than this, or both are none.
fn within(old: Option<i64>, new: Option<i64>, distance: u64) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => old.abs_diff(new) <= distance,
        (None, None) => true,
        _ => false,
    }
}

/// The facts with the times and the moving numbers taken from another measurement, so that what is left can be compared.
fn steady(facts: &HostFacts, from: &HostFacts) -> HostFacts {
    let mut steady = facts.clone();
    for (disk, from) in steady.disks.iter_mut().zip(&from.disks) {
        (disk.free_bytes, disk.free_inodes) = (from.free_bytes, from.free_inodes);
    }
    if let Some((memory, from)) = steady.memory.as_mut().zip(from.memory.as_ref()) {
        (memory.available_bytes, memory.swap_free_bytes) = (from.available_bytes, from.swap_free_bytes);
    }
    if let Some((load, from)) = steady.load.as_mut().zip(from.load.as_ref()) {
        load.one_minute_percent = from.one_minute_percent;
    }
    if let Some((clock, from)) = steady.clock.as_mut().zip(from.clock.as_ref()) {
        (clock.ahead_milliseconds, clock.uncertainty_milliseconds) = (from.ahead_milliseconds, from.uncertainty_milliseconds);
    }
    stamp(&mut steady, None);
    steady
}

/// Gives every fact the time of its measurement.
pub fn stamp(facts: &mut HostFacts, time: Option<Timestamp>) {
    let time = time.map(Time);
    let HostFacts {
        kernel,
        memory,
        load,
        clock,
        container_runtime,
        disks,
        files,
        modules,
        cpu_flags,
        sysctls,
        units,
        hugepages,
        ports,
        ..
    } = facts;
    let mut all: Vec<&mut Option<Time>> = Vec::new();
    all.extend(kernel.iter_mut().map(|fact| &mut fact.time));
    all.extend(memory.iter_mut().map(|fact| &mut fact.time));
    all.extend(load.iter_mut().map(|fact| &mut fact.time));
    all.extend(clock.iter_mut().map(|fact| &mut fact.time));
    if let Some(runtime) = container_runtime {
        all.push(&mut runtime.time);
        all.extend(runtime.images.iter_mut().map(|fact| &mut fact.time));
    }
    all.extend(disks.iter_mut().map(|fact| &mut fact.time));
    all.extend(files.iter_mut().map(|fact| &mut fact.time));
    all.extend(modules.iter_mut().chain(cpu_flags).map(|fact| &mut fact.time));
    all.extend(sysctls.iter_mut().chain(units).map(|fact| &mut fact.time));
    all.extend(hugepages.iter_mut().map(|fact| &mut fact.time));
    all.extend(ports.iter_mut().map(|fact| &mut fact.time));
    for one in all {
        one.clone_from(&time);
    }
    facts.time = time;
}
