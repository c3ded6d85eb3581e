//! What measurements mean for a check.

use super::amount::{Amount, Release, bytes_text};
use super::{Requirement, Requirements, Wanted, Wish};
use crate::api::{ClockFact, FileFact, FileType, HostFacts, MemoryFact, PortProtocol, PresenceFact, TextFact};

/// Whether a requirement is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Found {
    /// It is not.
    Unmet,
    /// It cannot be told.
    Untold,
    /// It is.
    Met,
}

/// What was found about one requirement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is met.
    pub found: Found,
    /// The kind of requirement, in one CamelCase word: the reason of a failure.
    pub reason: &'static str,
    /// What is so, in words.
    pub message: String,
    /// What was measured.
    pub value: String,
    /// What is required.
    pub required: String,
}

/// Why something cannot be told.
struct Untold(String);

type Judged = Result<(bool, String, String, String), Untold>;

impl Requirements {
    /// What is found about each of them.
    pub fn judge(&self, facts: &HostFacts) -> Vec<Finding> {
        self.0.iter().map(|requirement| requirement.judge(facts)).collect()
    }
}

impl Requirement {
    fn judge(&self, facts: &HostFacts) -> Finding {
        let judged = match self {
            Self::DiskFree { path, at_least } => disk_free(facts, path, *at_least),
            Self::InodesFree { path, at_least } => inodes_free(facts, path, *at_least),
            Self::MemoryAvailable(at_least) => memory(facts, *at_least),
            Self::SwapUsed(at_most) => swap(facts, *at_most),
            Self::Load(at_most) => load(facts, *at_most),
            Self::KernelVersion(at_least) => kernel(facts, *at_least),
            Self::Module(name) => presence(&facts.modules, "kernel module", name, "loaded"),
            Self::Device(path) => device(facts, path),
            Self::Sysctl { name, wanted } => sysctl(facts, name, wanted),
            Self::Hugepages { size, at_least } => hugepages(facts, size, *at_least),
            Self::CpuFlag(name) => presence(&facts.cpu_flags, "CPU flag", name, "present"),
            Self::Clock { at_most } => clock(facts, *at_most),
            Self::Unit(name) => unit(facts, name),
            Self::Port { port, protocol, listening } => self::port(facts, *port, *protocol, *listening),
            Self::File(wish) => file(facts, wish),
            Self::Runtime(at_least) => runtime(facts, *at_least),
            Self::Image(name) => image(facts, name),
        };
        match judged {
            Ok((met, message, value, required)) => {
                Finding { found: if met { Found::Met } else { Found::Unmet }, reason: self.reason(), message, value, required }
            }
            Err(Untold(message)) => {
                Finding { found: Found::Untold, reason: self.reason(), message, value: String::new(), required: String::new() }
            }
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::DiskFree { .. } | Self::InodesFree { .. } => "DiskLow",
            Self::MemoryAvailable(_) => "MemoryLow",
            Self::SwapUsed(_) => "SwapUsed",
            Self::Load(_) => "LoadHigh",
            Self::KernelVersion(_) => "KernelTooOld",
            Self::Module(_) => "ModuleMissing",
            Self::Device(_) => "DeviceMissing",
            Self::Sysctl { .. } => "SysctlDiffers",
            Self::Hugepages { .. } => "HugepagesLow",
            Self::CpuFlag(_) => "CpuFlagMissing",
            Self::Clock { .. } => "ClockOff",
            Self::Unit(_) => "UnitNotActive",
            Self::Port { .. } => "PortState",
            Self::File(_) => "FileDiffers",
            Self::Runtime(_) => "RuntimeTooOld",
            Self::Image(_) => "ImageMissing",
        }
    }
}

/// The fact, if it was measured.
fn measured<'a, T>(fact: Option<&'a T>, error: impl Fn(&T) -> &Option<String>, what: &str) -> Result<&'a T, Untold> {
    let fact = fact.ok_or_else(|| Untold(format!("{what} is not measured yet")))?;
    match error(fact) {
        Some(error) => Err(Untold(format!("{what}: {error}"))),
        None => Ok(fact),
    }
}

/// A total, of which a share can be told.
fn total(value: Option<i64>, what: &str) -> Result<u64, Untold> {
    match size(value, what)? {
        0 => Err(Untold(format!("{what} has no size"))),
        total => Ok(total),
    }
}

/// A number that cannot be negative.
fn size(value: Option<i64>, what: &str) -> Result<u64, Untold> {
    value.and_then(|value| u64::try_from(value).ok()).ok_or_else(|| Untold(format!("{what} is not measured")))
}

fn disk_free(facts: &HostFacts, path: &str, at_least: Amount) -> Judged {
    let what = format!("disk {path}");
    let disk = measured(facts.disks.iter().find(|disk| disk.path == path), |disk| &disk.error, &what)?;
    let (free, total) = (size(disk.free_bytes, &what)?, total(disk.total_bytes, &what)?);
    let value = at_least.measure(free, total);
    let message = format!("{path} has {value} free of {}, at least {at_least} required", bytes_text(total));
    Ok((at_least.reached_by(free, total), message, format!("{value} free"), format!("{at_least} free")))
}

fn inodes_free(facts: &HostFacts, path: &str, at_least: i64) -> Judged {
    let what = format!("disk {path}");
    let disk = measured(facts.disks.iter().find(|disk| disk.path == path), |disk| &disk.error, &what)?;
    let free = disk.free_inodes.ok_or_else(|| Untold(format!("the file system of {path} has no fixed number of inodes")))?;
    let message = format!("{path} has {free} free inodes, at least {at_least} required");
    Ok((free >= at_least, message, format!("{free} inodes"), format!("{at_least} inodes")))
}

fn memory_fact(facts: &HostFacts) -> Result<&MemoryFact, Untold> {
    measured(facts.memory.as_ref(), |memory| &memory.error, "memory")
}

fn memory(facts: &HostFacts, at_least: Amount) -> Judged {
    let fact = memory_fact(facts)?;
    let (available, total) = (size(fact.available_bytes, "memory")?, total(fact.total_bytes, "memory")?);
    let value = at_least.measure(available, total);
    let message = format!("{value} of {} memory available, at least {at_least} required", bytes_text(total));
    Ok((at_least.reached_by(available, total), message, format!("{value} available"), format!("{at_least} available")))
}

fn swap(facts: &HostFacts, at_most: Amount) -> Judged {
    let fact = memory_fact(facts)?;
    let (free, total) = (size(fact.swap_free_bytes, "swap")?, size(fact.swap_total_bytes, "swap")?);
    let used = total.saturating_sub(free);
    let value = at_most.measure(used, total);
    let message = format!("{value} of {} swap used, at most {at_most} allowed", bytes_text(total));
    Ok((!at_most.exceeded_by(used, total), message, format!("{value} used"), format!("at most {at_most}")))
}

fn load(facts: &HostFacts, at_most: i64) -> Judged {
    let fact = measured(facts.load.as_ref(), |load| &load.error, "load")?;
    let percent = fact.one_minute_percent.ok_or_else(|| Untold("load is not measured".to_owned()))?;
    let message = format!("load is {percent}% of the CPUs, at most {at_most}% allowed");
    Ok((percent <= at_most, message, format!("{percent}%"), format!("at most {at_most}%")))
}

fn kernel(facts: &HostFacts, at_least: Release) -> Judged {
    let fact = measured(facts.kernel.as_ref(), |kernel| &kernel.error, "kernel")?;
    let text = fact.release.as_deref().unwrap_or_default();
    let release = Release::parse(text).ok_or_else(|| Untold(format!("kernel release {text:?} cannot be read")))?;
    Ok((release >= at_least, format!("kernel is {text}, at least {at_least} required"), text.to_owned(), at_least.to_string()))
}

fn presence(facts: &[PresenceFact], what: &str, name: &str, word: &str) -> Judged {
    let what = format!("{what} {name}");
    let fact = measured(facts.iter().find(|fact| fact.name == name), |fact| &fact.error, &what)?;
    let present = fact.present.ok_or_else(|| Untold(format!("{what} is not measured")))?;
    let value = if present { word.to_owned() } else { format!("not {word}") };
    Ok((present, format!("{what} is {value}"), format!("{name} {value}"), format!("{name} {word}")))
}

fn file_fact<'a>(facts: &'a HostFacts, path: &str) -> Result<(&'a FileFact, bool), Untold> {
    let fact = measured(facts.files.iter().find(|file| file.path == path), |file| &file.error, path)?;
    let present = fact.present.ok_or_else(|| Untold(format!("{path} is not measured")))?;
    Ok((fact, present))
}

fn device(facts: &HostFacts, path: &str) -> Judged {
    let (fact, present) = file_fact(facts, path)?;
    let is_device = fact.type_ == Some(FileType::Device);
    let value = match (present, is_device) {
        (false, _) => "absent",
        (true, true) => "a device",
        (true, false) => "no device",
    };
    Ok((present && is_device, format!("{path} is {value}"), value.to_owned(), "a device".to_owned()))
}

fn file(facts: &HostFacts, wish: &Wish) -> Judged {
    let path = &wish.path;
    let (fact, present) = file_fact(facts, path)?;
    let word = |present: bool| if present { "present" } else { "absent" };
    if present != wish.present || !present {
        let (is, wanted) = (word(present), word(wish.present));
        return Ok((present == wish.present, format!("{path} is {is}"), is.to_owned(), wanted.to_owned()));
    }
    let number = |value: Option<i64>| value.map_or_else(|| "?".to_owned(), |value| value.to_string());
    let kind = fact.type_.map_or_else(|| "?".to_owned(), |type_| format!("{type_:?}"));
    let mode = fact.mode.clone().unwrap_or_else(|| "?".to_owned());
    let asked = [
        ("type", (wish.type_ != FileType::Any).then(|| format!("{:?}", wish.type_)), kind),
        ("mode", wish.mode.clone(), mode),
        ("uid", wish.uid.map(|uid| uid.to_string()), number(fact.uid)),
        ("gid", wish.gid.map(|gid| gid.to_string()), number(fact.gid)),
    ];
    let (mut is, mut wanted) = (Vec::new(), Vec::new());
    for (name, wish, found) in asked {
        if let Some(wish) = wish.filter(|wish| *wish != found) {
            is.push(format!("{name} {found}"));
            wanted.push(format!("{name} {wish}"));
        }
    }
    if wanted.is_empty() {
        return Ok((true, format!("{path} is as required"), "as required".to_owned(), "present".to_owned()));
    }
    let (is, wanted) = (is.join(", "), wanted.join(", "));
    Ok((false, format!("{path} has {is}, required is {wanted}"), is, wanted))
}

fn text<'a>(facts: &'a [TextFact], name: &str, what: &str) -> Result<&'a str, Untold> {
    let fact = measured(facts.iter().find(|fact| fact.name == name), |fact| &fact.error, what)?;
    fact.value.as_deref().ok_or_else(|| Untold(format!("{what} is not measured")))
}

fn sysctl(facts: &HostFacts, name: &str, wanted: &Wanted) -> Judged {
    let what = format!("sysctl {name}");
    let value = text(&facts.sysctls, name, &what)?;
    let (met, required) = match wanted {
        Wanted::Exactly(wanted) => (value == wanted, wanted.clone()),
        Wanted::Within(min, max) => {
            let number: i64 = value.parse().map_err(|_| Untold(format!("{what} is {value:?}, which is not one number")))?;
            let bounds = [min.map(|min| format!("at least {min}")), max.map(|max| format!("at most {max}"))];
            let within = min.is_none_or(|min| number >= min) && max.is_none_or(|max| number <= max);
            (within, bounds.into_iter().flatten().collect::<Vec<_>>().join(", "))
        }
    };
    Ok((met, format!("{what} is {value}, required is {required}"), value.to_owned(), required))
}

fn hugepages(facts: &HostFacts, size: &str, at_least: i64) -> Judged {
    let what = format!("hugepages {size}");
    let fact = measured(facts.hugepages.iter().find(|pages| pages.size == size), |pages| &pages.error, &what)?;
    let free = fact.free.ok_or_else(|| Untold(format!("{what} are not measured")))?;
    let message = format!("{free} huge pages of {size} free, at least {at_least} required");
    Ok((free >= at_least, message, format!("{free} free"), format!("{at_least} free")))
}

/// Met only if it is so however wrong the measurement is, and unmet likewise.
fn clock(facts: &HostFacts, at_most: i64) -> Judged {
    let fact = measured(facts.clock.as_ref(), |clock| &clock.error, "clock")?;
    let ClockFact { ahead_milliseconds: Some(ahead), uncertainty_milliseconds: Some(uncertainty), .. } = fact else {
        return Err(Untold("clock is not measured".to_owned()));
    };
    let (distance, uncertainty) = (ahead.saturating_abs(), uncertainty.saturating_abs());
    let value = format!("{ahead} ms ± {uncertainty} ms");
    let required = format!("at most {at_most} ms");
    if distance.saturating_add(uncertainty) <= at_most {
        return Ok((true, format!("clock is ahead by {value}"), value, required));
    }
    if distance.saturating_sub(uncertainty) > at_most {
        return Ok((false, format!("clock is ahead by {value}, {required} allowed"), value, required));
    }
    Err(Untold(format!("clock is ahead by {value}, too uncertain to tell whether it is {required}")))
}

fn unit(facts: &HostFacts, name: &str) -> Judged {
    let what = format!("unit {name}");
    let state = text(&facts.units, name, &what)?;
    Ok((state == "active", format!("{what} is {state}"), state.to_owned(), "active".to_owned()))
}

fn port(facts: &HostFacts, port: u16, protocol: PortProtocol, listening: bool) -> Judged {
    let name = match protocol {
        PortProtocol::Tcp => "TCP",
        PortProtocol::Udp => "UDP",
    };
    let what = format!("{name} port {port}");
    let mut ports = facts.ports.iter();
    let fact = ports.find(|fact| fact.port == i32::from(port) && fact.protocol == protocol);
    let fact = measured(fact, |fact| &fact.error, &what)?;
    let is = fact.listening.ok_or_else(|| Untold(format!("{what} is not measured")))?;
    let word = |listening: bool| if listening { "listening" } else { "free" };
    Ok((is == listening, format!("{what} is {}", word(is)), word(is).to_owned(), word(listening).to_owned()))
}

fn runtime(facts: &HostFacts, at_least: Option<Release>) -> Judged {
    let fact = measured(facts.container_runtime.as_ref(), |runtime| &runtime.error, "container runtime")?;
    let (name, version) = (fact.name.as_deref().unwrap_or("runtime"), fact.version.as_deref().unwrap_or_default());
    let Some(at_least) = at_least else {
        return Ok((true, format!("{name} {version} answers"), version.to_owned(), "any".to_owned()));
    };
    let release = Release::parse(version).ok_or_else(|| Untold(format!("the version {version:?} of {name} cannot be read")))?;
    let message = format!("{name} is {version}, at least {at_least} required");
    Ok((release >= at_least, message, version.to_owned(), at_least.to_string()))
}

fn image(facts: &HostFacts, name: &str) -> Judged {
    let fact = measured(facts.container_runtime.as_ref(), |runtime| &runtime.error, "container runtime")?;
    presence(&fact.images, "image", name, "present")
}
