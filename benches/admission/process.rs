//! What the system tells of a process, and of itself.

use crate::Outcome;
use std::fs;
use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::Duration;

/// The unit of times in `/proc/PID/stat`, the same on every architecture that we build for.
const TICK: Duration = Duration::from_millis(10);

/// One line about the machine. Percentiles of a busy machine are not those of an idle one, so it says how busy it is.
pub fn machine() -> Outcome<String> {
    let cores = available_parallelism().map_or(1, NonZero::get);
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split_whitespace().next().unwrap_or("unknown");
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        information.lines().find_map(|line| line.strip_prefix("model name")).map_or("unknown CPU", |l| l.trim_matches([' ', '\t', ':']));
    let build = if cfg!(debug_assertions) { "DEBUG build: the figures mean nothing" } else { "release build" };
    Ok(format!("Holdpoint {}, {build}; {cores} cores ({model}), load average at the start {load}", env!("CARGO_PKG_VERSION")))
}

/// Memory of a process, in KiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Resident now.
    pub resident: u32,
    /// Of that, what is not pages of files: the program itself is left out.
    pub anonymous: u32,
    /// The most that ever was.
    pub peak: u32,
}

/// The memory of a process.
pub fn memory(pid: u32) -> Outcome<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name: &str| -> Outcome<u32> {
        let value = status.lines().find_map(|line| line.strip_prefix(name)).and_then(|rest| rest.split_whitespace().next());
        Ok(value.ok_or_else(|| format!("no {name} in the status of process {pid}"))?.parse()?)
    };
    Ok(Memory { resident: field("VmRSS:")?, anonymous: field("RssAnon:")?, peak: field("VmHWM:")? })
}

/// The CPU time that a process has used, in user space and in the kernel.
pub fn cpu_time(pid: u32) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is the program's name in parentheses, and may contain anything.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks = fields.skip(11).take(2).map(str::parse::<u32>).sum::<Result<u32, _>>()?;
    Ok(TICK * ticks)
}
