//! The kernel's own files, read. Each function takes the text and gives what it says, or nothing where it says something else than expected.

use crate::api::PortProtocol;
use std::collections::BTreeSet;
use std::io::{self, BufRead};

#[cfg(test)]
mod tests;

/// The longest line of a table that is read.
const MAX_LINE: u64 = 4096;

/// Memory and swap in bytes, from `/proc/meminfo`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    pub total: i64,
    pub available: i64,
    pub swap_total: i64,
    pub swap_free: i64,
}

pub(super) fn memory(text: &str) -> Option<Memory> {
    let field = |name: &str| -> Option<i64> {
        let rest = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let kilobytes: i64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
        kilobytes.checked_mul(1024).filter(|bytes| *bytes >= 0)
    };
    Some(Memory {
        total: field("MemTotal")?,
        available: field("MemAvailable")?,
        swap_total: field("SwapTotal")?,
        swap_free: field("SwapFree")?,
    })
}

/// The load average of one minute in hundredths, from `/proc/loadavg`.
pub(super) fn load_hundredths(text: &str) -> Option<i64> {
    let (whole, rest) = text.split_whitespace().next()?.split_once('.')?;
    let hundredths = rest.get(..2).filter(|_| rest.len() == 2)?;
    let digits = |part: &str| part.bytes().all(|c| c.is_ascii_digit()).then(|| part.parse::<i64>().ok()).flatten();
    digits(whole)?.checked_mul(100)?.checked_add(digits(hundredths)?)
}

/// How many CPUs a list such as `0-3,8` names, from `/sys/devices/system/cpu/online`.
pub(super) fn cpus(text: &str) -> Option<i64> {
    let mut count = 0_i64;
    for range in text.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (i64, i64) = (first.parse().ok()?, last.parse().ok()?);
        if first < 0 || last < first {
            return None;
        }
        count = count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(count)
}

/// The flags of the first CPU, from `/proc/cpuinfo`: `flags` on x86, `Features` on ARM.
pub(super) fn cpu_flags(text: &str) -> Option<BTreeSet<&str>> {
    let line = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        ["flags", "Features", "features", "isa"].contains(&name.trim()).then_some(value)
    });
    Some(line?.split_whitespace().collect())
}

/// The names of loaded modules, from `/proc/modules`.
pub(super) fn modules(text: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| line.split_whitespace().next()).map(module_name).collect()
}

/// The names of modules that are built into the kernel, from `modules.builtin`: paths that end in `NAME.ko`.
pub(super) fn built_in(text: &str) -> BTreeSet<String> {
    text.lines().filter_map(|line| line.rsplit('/').next()?.strip_suffix(".ko")).map(module_name).collect()
}

/// The kernel takes `-` and `_` in the name of a module for the same.
pub(super) fn module_name(name: &str) -> String {
    name.replace('-', "_")
}

/// A kernel parameter: numbers only, with one space between. Other values may be secrets, or commands.
pub(super) fn numbers(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |word: &&str| {
        let digits = word.strip_prefix('-').unwrap_or(word);
        !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit())
    };
    let joined = words.join(" ");
    (!words.is_empty() && joined.len() <= 64 && words.iter().all(number)).then_some(joined)
}

/// Which of these ports something listens on, from a table such as `/proc/net/tcp`. The kernel lists sockets that listen for TCP before all others, so
/// reading ends there: a busy host has a hundred thousand others.
pub(super) fn listening(table: impl BufRead, protocol: PortProtocol, asked: &BTreeSet<u16>, found: &mut BTreeSet<u16>) -> io::Result<()> {
    let mut table = table;
    let mut line = String::new();
    let mut first = true;
    while io::Read::take(&mut table, MAX_LINE).read_line(&mut line)? > 0 {
        let heading = std::mem::take(&mut first);
        match socket(&line) {
            _ if heading => {}
            Some((port, state)) => match (protocol, state) {
                (PortProtocol::Tcp, 0x0A) | (PortProtocol::Udp, _) => {
                    if asked.contains(&port) {
                        found.insert(port);
                    }
                }
                (PortProtocol::Tcp, _) => return Ok(()),
            },
            None => return Err(io::Error::new(io::ErrorKind::InvalidData, "an unreadable line")),
        }
        line.clear();
    }
    // Without even a heading it was no table.
    if first { Err(io::Error::new(io::ErrorKind::InvalidData, "an empty table")) } else { Ok(()) }
}

/// The local port and the state of a line such as `  0: 0100007F:0CEA 00000000:0000 0A …`.
fn socket(line: &str) -> Option<(u16, u8)> {
    let mut words = line.split_whitespace();
    let (local, state) = (words.nth(1)?, words.nth(1)?);
    let port = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
    Some((port, u8::from_str_radix(state, 16).ok()?))
}
