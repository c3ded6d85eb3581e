//! Hosts: what a check requires of them, what of that an agent must measure, and what its measurements mean.
//!
//! The agent and the operator share this. The agent measures what the requirements ask about ([`Asked`]) and writes only when the meaning changes
//! ([`same_meaning`]); the operator judges what was written ([`Requirements::judge`]).

mod amount;
mod asked;
mod judge;
mod meaning;
mod path;
#[cfg(test)]
mod tests;

pub use amount::{Amount, Release, bytes_text};
pub use asked::{Ask, Asked, MAX_OF_A_KIND, hugepage_bytes};
pub use judge::{Finding, Found};
pub use meaning::{same_meaning, stamp};
pub use path::{AllowedPaths, normal};

use super::problem::Problem;
use crate::api::{FileRequirement, FileState, FileType, HostProbe, KernelRequirement, PortProtocol, PortState, SysctlRequirement};

/// The most requirements of one check.
const MAX_REQUIREMENTS: usize = 200;

/// What a check requires of a host.
#[derive(Clone, Debug, PartialEq)]
pub struct Requirements(Vec<Requirement>);

/// One thing that is required.
#[derive(Clone, Debug, PartialEq)]
enum Requirement {
    DiskFree { path: String, at_least: Amount },
    InodesFree { path: String, at_least: i64 },
    MemoryAvailable(Amount),
    SwapUsed(Amount),
    Load(i64),
    KernelVersion(Release),
    Module(String),
    Device(String),
    Sysctl { name: String, wanted: Wanted },
    Hugepages { size: String, at_least: i64 },
    CpuFlag(String),
    Clock { at_most: i64 },
    Unit(String),
    Port { port: u16, protocol: PortProtocol, listening: bool },
    File(Wish),
    Runtime(Option<Release>),
    Image(String),
}

/// What a kernel parameter must be.
#[derive(Clone, Debug, PartialEq)]
enum Wanted {
    Exactly(String),
    Within(Option<i64>, Option<i64>),
}

/// What a file must be like.
#[derive(Clone, Debug, PartialEq)]
struct Wish {
    path: String,
    present: bool,
    type_: FileType,
    mode: Option<String>,
    uid: Option<i64>,
    gid: Option<i64>,
}

/// Collects requirements, and what is wrong with them.
struct Parser<'a> {
    field: &'a str,
    problems: &'a mut Vec<Problem>,
    found: Vec<Requirement>,
}

impl Requirements {
    /// Reads the spec; what cannot work is a problem below `field`.
    pub fn parse(spec: &HostProbe, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        let mut parser = Parser { field, problems, found: Vec::new() };
        parser.room(spec);
        parser.kernel(spec);
        parser.network_and_units(spec);
        parser.files(spec);
        if let Some(runtime) = &spec.container_runtime {
            let version = parser.release(runtime.min_version.as_deref(), "containerRuntime.minVersion");
            parser.found.push(Requirement::Runtime(version));
            for (index, image) in runtime.images.iter().enumerate() {
                parser.plain(image, 255, &format!("containerRuntime.images[{index}]"), Requirement::Image);
            }
        }
        let found = parser.found;
        if found.is_empty() && problems.len() == before {
            problems.push(Problem::new(field, "at least one requirement is needed, such as disk, memory, devices or files"));
        }
        if found.len() > MAX_REQUIREMENTS {
            problems.push(Problem::new(field, format!("at most {MAX_REQUIREMENTS} requirements")));
        }
        (problems.len() == before).then_some(Self(found))
    }
}

impl Parser<'_> {
    fn problem(&mut self, at: &str, message: impl Into<String>) {
        self.problems.push(Problem::new(format!("{}.{at}", self.field), message.into()));
    }

    /// Disk, memory, swap, load and huge pages.
    fn room(&mut self, spec: &HostProbe) {
        for (index, disk) in spec.disk.iter().enumerate() {
            let at = format!("disk[{index}]");
            let Some(path) = self.path(&disk.path, &format!("{at}.path")) else { continue };
            if let Some(at_least) = disk.min_free.as_deref().and_then(|text| self.amount(text, &format!("{at}.minFree"))) {
                self.found.push(Requirement::DiskFree { path: path.clone(), at_least });
            }
            match disk.min_free_inodes {
                Some(at_least) if at_least >= 0 => self.found.push(Requirement::InodesFree { path, at_least }),
                Some(_) => self.problem(&format!("{at}.minFreeInodes"), "must be 0 or more"),
                None if disk.min_free.is_none() => self.problem(&at, "minFree or minFreeInodes is required"),
                None => {}
            }
        }
        if let Some(at_least) = spec.memory.as_ref().and_then(|memory| self.amount(&memory.min_available, "memory.minAvailable")) {
            self.found.push(Requirement::MemoryAvailable(at_least));
        }
        if let Some(at_most) = spec.swap.as_ref().and_then(|swap| self.amount(&swap.max_used, "swap.maxUsed")) {
            self.found.push(Requirement::SwapUsed(at_most));
        }
        if let Some(load) = &spec.load {
            self.at_least_one(load.max_one_minute_percent, "load.maxOneMinutePercent", Requirement::Load);
        }
        for (index, pages) in spec.hugepages.iter().enumerate() {
            let at = format!("hugepages[{index}]");
            if hugepage_bytes(&pages.size).is_none() {
                self.problem(&format!("{at}.size"), format!("{:?} is not the size of a page, such as 2Mi", pages.size));
            } else if pages.min_free < 0 {
                self.problem(&format!("{at}.minFree"), "must be 0 or more");
            } else {
                self.found.push(Requirement::Hugepages { size: pages.size.clone(), at_least: i64::from(pages.min_free) });
            }
        }
    }

    /// Kernel, modules, parameters, CPU flags and the clock.
    fn kernel(&mut self, spec: &HostProbe) {
        if let Some(KernelRequirement { min_version, modules }) = &spec.kernel {
            if let Some(version) = self.release(min_version.as_deref(), "kernel.minVersion") {
                self.found.push(Requirement::KernelVersion(version));
            }
            for (index, module) in modules.iter().enumerate() {
                self.plain(module, 56, &format!("kernel.modules[{index}]"), Requirement::Module);
            }
        }
        for (index, sysctl) in spec.sysctls.iter().enumerate() {
            self.sysctl(sysctl, &format!("sysctls[{index}]"));
        }
        for (index, flag) in spec.cpu_flags.iter().enumerate() {
            self.plain(flag, 32, &format!("cpuFlags[{index}]"), Requirement::CpuFlag);
        }
        if let Some(clock) = &spec.time_sync {
            self.at_least_one(clock.max_offset_milliseconds, "timeSync.maxOffsetMilliseconds", |at_most| Requirement::Clock { at_most });
        }
    }

    fn sysctl(&mut self, spec: &SysctlRequirement, at: &str) {
        if !path::is_sysctl(&spec.name) {
            self.problem(&format!("{at}.name"), format!("{:?} is not the name of a kernel parameter, such as vm.swappiness", spec.name));
            return;
        }
        let wanted = match (&spec.value, spec.min, spec.max) {
            (Some(value), None, None) => Wanted::Exactly(value.split_whitespace().collect::<Vec<_>>().join(" ")),
            (None, min, max) if min.or(max).is_some() => Wanted::Within(min, max),
            _ => return self.problem(at, "either value, or min or max, is required"),
        };
        self.found.push(Requirement::Sysctl { name: spec.name.clone(), wanted });
    }

    fn network_and_units(&mut self, spec: &HostProbe) {
        for (index, unit) in spec.units.iter().enumerate() {
            self.plain(&unit.name, 128, &format!("units[{index}].name"), Requirement::Unit);
        }
        for (index, port) in spec.ports.iter().enumerate() {
            match u16::try_from(port.port) {
                Ok(number) if number > 0 => {
                    let listening = port.state == PortState::Listening;
                    self.found.push(Requirement::Port { port: number, protocol: port.protocol, listening });
                }
                _ => self.problem(&format!("ports[{index}].port"), "must be from 1 to 65535"),
            }
        }
    }

    fn files(&mut self, spec: &HostProbe) {
        for (index, device) in spec.devices.iter().enumerate() {
            let at = format!("devices[{index}]");
            let Some(path) = self.path(device, &at) else { continue };
            if path.starts_with("/dev/") {
                self.found.push(Requirement::Device(path));
            } else {
                self.problem(&at, "must be below /dev");
            }
        }
        for (index, file) in spec.files.iter().enumerate() {
            let at = format!("files[{index}]");
            let Some(path) = self.path(&file.path, &format!("{at}.path")) else { continue };
            if let Some(wish) = self.wish(path, file, &at) {
                self.found.push(Requirement::File(wish));
            }
        }
    }

    fn wish(&mut self, path: String, file: &FileRequirement, at: &str) -> Option<Wish> {
        let present = file.state == FileState::Present;
        let described = file.mode.is_some() || file.uid.is_some() || file.gid.is_some() || file.type_ != FileType::Any;
        if !present && described {
            self.problem(at, "what is absent has no type, mode, uid or gid");
            return None;
        }
        let mode = match file.mode.as_deref() {
            None => None,
            Some(digits) if (3..=4).contains(&digits.len()) && digits.bytes().all(|c| (b'0'..=b'7').contains(&c)) => {
                Some(format!("{digits:0>4}"))
            }
            Some(other) => {
                self.problem(&format!("{at}.mode"), format!("{other:?} is not three or four octal digits, such as \"0644\""));
                return None;
            }
        };
        Some(Wish { path, present, type_: file.type_, mode, uid: file.uid, gid: file.gid })
    }

    fn path(&mut self, text: &str, at: &str) -> Option<String> {
        match normal(text) {
            Ok(path) => Some(path.to_owned()),
            Err(why) => {
                self.problem(at, format!("{text:?} {why}"));
                None
            }
        }
    }

    fn amount(&mut self, text: &str, at: &str) -> Option<Amount> {
        let amount = Amount::parse(text);
        if amount.is_none() {
            self.problem(at, format!("{text:?} is neither a quantity, such as 10Gi, nor a percentage, such as 15%"));
        }
        amount
    }

    fn release(&mut self, text: Option<&str>, at: &str) -> Option<Release> {
        let text = text?;
        let release = Release::parse(text);
        if release.is_none() {
            self.problem(at, format!("{text:?} is not a version, such as 5.15"));
        }
        release
    }

    fn at_least_one(&mut self, value: i32, at: &str, requirement: impl Fn(i64) -> Requirement) {
        if value > 0 {
            self.found.push(requirement(i64::from(value)));
        } else {
            self.problem(at, "must be 1 or more");
        }
    }

    fn plain(&mut self, text: &str, max: usize, at: &str, requirement: impl Fn(String) -> Requirement) {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:@/\\".contains(c);
        if text.is_empty() || text.len() > max || !text.chars().all(plain) {
            self.problem(at, format!("must be 1 to {max} of A-Z a-z 0-9 - _ . : @ / \\"));
        } else {
            self.found.push(requirement(text.to_owned()));
        }
    }
}
