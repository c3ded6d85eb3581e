//! What an agent must measure.

use super::amount::Amount;
use super::{Requirement, Requirements};
use crate::api::PortProtocol;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How many facts of one kind (disks, files, ports …) a host measures.
pub const MAX_OF_A_KIND: usize = 64;

/// One thing to measure.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ask {
    /// Memory and swap.
    Memory,
    /// The load average.
    Load,
    /// The offset of the clock.
    Clock,
    /// The container runtime.
    Runtime,
    /// The file system of a path.
    Disk(String),
    /// A file, folder or device.
    File(String),
    /// A kernel module.
    Module(String),
    /// A CPU flag.
    CpuFlag(String),
    /// A kernel parameter.
    Sysctl(String),
    /// A systemd unit.
    Unit(String),
    /// Huge pages of a size.
    Hugepages(String),
    /// A port.
    Port(PortProtocol, u16),
    /// An image.
    Image(String),
}

/// Everything that a host measures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// What is measured.
    pub asks: BTreeSet<Ask>,
    /// How much more checks ask about.
    pub omitted: usize,
}

impl Requirements {
    /// What must be measured to judge them. The kernel's release is always.
    pub fn asks(&self) -> impl Iterator<Item = Ask> + '_ {
        self.0.iter().filter_map(Requirement::ask)
    }
}

impl Requirement {
    fn ask(&self) -> Option<Ask> {
        Some(match self {
            Self::DiskFree { path, .. } | Self::InodesFree { path, .. } => Ask::Disk(path.clone()),
            Self::MemoryAvailable(_) | Self::SwapUsed(_) => Ask::Memory,
            Self::Load(_) => Ask::Load,
            Self::KernelVersion(_) => return None,
            Self::Module(name) => Ask::Module(name.clone()),
            Self::Device(path) => Ask::File(path.clone()),
            Self::Sysctl { name, .. } => Ask::Sysctl(name.clone()),
            Self::Hugepages { size, .. } => Ask::Hugepages(size.clone()),
            Self::CpuFlag(name) => Ask::CpuFlag(name.clone()),
            Self::Clock { .. } => Ask::Clock,
            Self::Unit(name) => Ask::Unit(name.clone()),
            Self::Port { port, protocol, .. } => Ask::Port(*protocol, *port),
            Self::File(wish) => Ask::File(wish.path.clone()),
            Self::Runtime(_) => Ask::Runtime,
            Self::Image(name) => Ask::Image(name.clone()),
        })
    }
}

impl Ask {
    /// Facts of one kind share its bound.
    fn kind(&self) -> u8 {
        match self {
            Self::Memory => 0,
            Self::Load => 1,
            Self::Clock => 2,
            Self::Runtime => 3,
            Self::Disk(_) => 4,
            Self::File(_) => 5,
            Self::Module(_) => 6,
            Self::CpuFlag(_) => 7,
            Self::Sysctl(_) => 8,
            Self::Unit(_) => 9,
            Self::Hugepages(_) => 10,
            Self::Port(..) => 11,
            Self::Image(_) => 12,
        }
    }

    fn bound(&self) -> usize {
        if matches!(self, Self::Hugepages(_)) { 16 } else { MAX_OF_A_KIND }
    }
}

impl Asked {
    /// Everything that the requirements of some checks ask about. Where there is not room for all, namespaces take turns, so that one which asks about
    /// everything takes nothing from the others but what is left over.
    pub fn from_checks<'a>(checks: impl IntoIterator<Item = (&'a str, &'a Requirements)>) -> Self {
        let mut wishes: BTreeMap<&str, BTreeSet<Ask>> = BTreeMap::new();
        for (namespace, requirements) in checks {
            wishes.entry(namespace).or_default().extend(requirements.asks());
        }
        let mut queues: VecDeque<_> = wishes.into_values().map(BTreeSet::into_iter).collect();
        let mut taken: BTreeMap<u8, usize> = BTreeMap::new();
        let mut asked = Self::default();
        let mut omitted = BTreeSet::new();
        while let Some(mut queue) = queues.pop_front() {
            let Some(ask) = queue.next() else { continue };
            queues.push_back(queue);
            let count = taken.entry(ask.kind()).or_default();
            if asked.asks.contains(&ask) {
                continue;
            }
            if *count < ask.bound() {
                *count += 1;
                asked.asks.insert(ask);
            } else {
                omitted.insert(ask);
            }
        }
        asked.omitted = omitted.len();
        asked
    }
}

/// The bytes of a page of this size, such as `2Mi`.
pub fn hugepage_bytes(size: &str) -> Option<u64> {
    match Amount::parse(size) {
        Some(Amount::Bytes(bytes)) if bytes >= 1024 && size.ends_with('i') => Some(bytes),
        _ => None,
    }
}
