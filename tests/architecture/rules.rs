//! The rules: who may know whom, each with the sentence that is printed when it is broken.

use super::paths::{Path, paths};
use super::tokens::tokens;
use std::fmt;
use std::path::Path as FilePath;

/// The longest file, in lines.
pub const MAX_LINES: usize = 600;
/// The longest file of tests: tables of cases are long, and easy to read.
pub const MAX_TEST_LINES: usize = 900;

/// A part of the crate, and the parts that it may name besides itself.
pub struct Part {
    pub name: &'static str,
    pub may_name: &'static [&'static str],
    pub why: &'static str,
}

/// Every part there may be. A new one is added here, with a reason.
pub const PARTS: &[Part] = &[
    Part { name: "api", may_name: &[], why: "api is what users write; whoever reads it must not meet a client, a clock or a decision" },
    Part {
        name: "core",
        may_name: &["api"],
        why: "core decides from values alone; what it needs to know is given to it, the time included",
    },
    Part { name: "clock", may_name: &[], why: "clock is below everything that does I/O" },
    Part { name: "telemetry", may_name: &["clock"], why: "telemetry is told numbers and words; it knows no rule of the domain" },
    Part {
        name: "probe",
        may_name: &["core", "api", "clock"],
        why: "a probe observes; objects are given to it through a trait of its own, and verdicts are made elsewhere",
    },
    Part {
        name: "cluster",
        may_name: &["core", "api", "probe", "clock", "telemetry"],
        why: "cluster reads and writes Kubernetes objects without knowing why; of probe it implements the reading traits",
    },
    Part {
        name: "agent",
        may_name: &["cluster", "core", "api", "clock", "telemetry"],
        why: "the agent measures one machine and writes what it measured; what checks make of it is core's, and it knows no probe, no controller and no webhook",
    },
    Part {
        name: "controller",
        may_name: &["cluster", "probe", "core", "api", "clock", "telemetry"],
        why: "a controller keeps statuses current; how a request is answered is not its business",
    },
    Part {
        name: "webhook",
        may_name: &["cluster", "core", "api", "clock", "telemetry"],
        why: "the webhook answers from the snapshot; it never looks by itself, so it knows no probe and no controller",
    },
    Part {
        name: "cmd",
        may_name: &["agent", "webhook", "controller", "cluster", "probe", "core", "api", "clock", "telemetry"],
        why: "cmd puts the parts together",
    },
    Part { name: "main", may_name: &["cmd"], why: "main hands over to cmd" },
    Part { name: "lib", may_name: &[], why: "lib.rs is a map of the crate, without logic" },
];

/// Names that some modules may not name. A name stands for everything below it.
pub struct Ban {
    pub rule: &'static str,
    /// Modules, without `crate`; what is inside of them is meant too.
    pub modules: &'static [&'static str],
    pub names: &'static [&'static str],
    pub why: &'static str,
}

pub const BANS: &[Ban] = &[
    Ban {
        rule: "no-io",
        modules: &["api", "core"],
        names: &[
            "axum",
            "futures",
            "hyper",
            "hyper_util",
            "reqwest",
            "rustls",
            "tokio",
            "tokio_rustls",
            "tokio_util",
            "tower",
            "kube::Api",
            "kube::Client",
            "kube::api::Api",
            "kube::client",
            "kube::runtime",
            "std::env",
            "std::fs",
            "std::process",
            "std::thread",
            "std::net::TcpListener",
            "std::net::TcpStream",
            "std::net::ToSocketAddrs",
            "std::net::UdpSocket",
        ],
        why: "api and core are values and functions of values: no runtime, no client, no socket, no file, no environment. That is why \
              decisions can be tested by the thousand, and are the same in every replica",
    },
    Ban {
        rule: "no-chance",
        modules: &["api", "core"],
        names: &["fastrand", "getrandom", "rand", "std::collections::hash_map::RandomState"],
        why: "the same values must give the same decision; ids and jitter are given to core",
    },
    Ban {
        rule: "probe-without-client",
        modules: &["probe"],
        names: &["kube::Api", "kube::Client", "kube::api::Api", "kube::client"],
        why: "a probe reads objects through its ReadObjects trait, so that it costs the API server nothing and is tested without one",
    },
    Ban {
        rule: "admission-from-memory",
        modules: &["webhook::admit", "webhook::render"],
        names: &[
            "kube::Api",
            "kube::Client",
            "kube::api::Api",
            "kube::client",
            "std::sync::Mutex",
            "std::sync::RwLock",
            "tokio::sync::Mutex",
            "tokio::sync::RwLock",
        ],
        why: "while a request waits there is no call to the API server and no lock: one slow request must not delay another",
    },
];

/// Names under which anything can be put, so that everything is.
const VAGUE_NAMES: &[&str] = &["common", "helper", "helpers", "manager", "misc", "util", "utils"];

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Relative to the folder that was checked.
    pub file: String,
    pub line: usize,
    pub rule: &'static str,
    pub what: String,
}

impl Violation {
    fn new(file: &str, line: usize, rule: &'static str, what: String) -> Self {
        Self { file: file.to_owned(), line, rule, what }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: [{}] {}", self.file, self.line, self.rule, self.what)
    }
}

/// What is wrong with a source file. `file` is its path below `src`.
pub fn check_source(file: &str, source: &str) -> Vec<Violation> {
    let mut violations = check_name(file);
    let module = module(file);
    let of_tests = module.iter().any(|name| name == "tests");
    let (lines, limit) = (source.lines().count(), if of_tests { MAX_TEST_LINES } else { MAX_LINES });
    if lines > limit {
        let what = format!(
            "{lines} lines, the limit is {limit}: find the two things in it, and give each a file with a name that says what it is"
        );
        violations.push(Violation::new(file, 1, "file-length", what));
    }
    if of_tests {
        return violations;
    }
    let tokens = tokens(source);
    for two in tokens.windows(2) {
        if let [first, second] = two
            && first.is("mod")
            && second.is("tests")
        {
            let what = "`mod tests` without #[cfg(test)]: it would ship, and rules for tests are laxer".to_owned();
            violations.push(Violation::new(file, second.line, "tests-marked", what));
        }
    }
    for path in paths(&tokens, &module) {
        violations.extend(check_edge(file, &module, &path));
        violations.extend(BANS.iter().filter_map(|ban| check_ban(file, &module, &path, ban)));
    }
    violations.sort();
    violations.dedup();
    violations
}

/// What is wrong with a file's name, or with that of a folder it is in.
pub fn check_name(file: &str) -> Vec<Violation> {
    let vague = file.split(['/', '.']).find(|part| VAGUE_NAMES.contains(part));
    let what = |part: &str| format!("`{part}` says nothing about what is in it: name the file after what it does");
    vague.map(|part| Violation::new(file, 1, "file-name", what(part))).into_iter().collect()
}

/// `core/window/span.rs` is `["core", "window", "span"]`; the roots are `["lib"]` and `["main"]`.
fn module(file: &str) -> Vec<String> {
    let path = FilePath::new(file).with_extension("");
    let names = path.iter().map(|part| part.to_string_lossy().into_owned());
    names.filter(|name| name != "mod").collect()
}

fn check_edge(file: &str, module: &[String], path: &Path) -> Option<Violation> {
    let violation = |rule, what| Some(Violation::new(file, path.line, rule, what));
    let mut segments = path.segments.iter().map(String::as_str);
    if segments.next() != Some("crate") {
        return None;
    }
    let target = match segments.next() {
        // The roots have no module of their own: `self` and `super` in them are the crate.
        Some(name) if name == "lib" || name == "main" => segments.next()?,
        Some(name) if name != "*" => name,
        _ => {
            return violation(
                "root-import",
                "imports the crate's root: name the part that is meant, so that this test can see it".to_owned(),
            );
        }
    };
    let own = module.first().map_or("", String::as_str);
    if target == own {
        return None;
    }
    let Some(part) = PARTS.iter().find(|part| part.name == own) else {
        return violation("edge", format!("`{own}` is not in the table of tests/architecture/rules.rs: add it, and say what it may know"));
    };
    let named = path.segments.join("::");
    if part.may_name.contains(&target) {
        return None;
    }
    let allowed =
        if part.may_name.is_empty() { "nothing else of this crate".to_owned() } else { format!("only {}", part.may_name.join(", ")) };
    violation("edge", format!("{own} names {named}, and may name {allowed}: {}", part.why))
}

fn check_ban(file: &str, module: &[String], path: &Path, ban: &Ban) -> Option<Violation> {
    let inside = |of: &str| of.split("::").zip(module.iter().map(String::as_str).chain(std::iter::repeat(""))).all(|(a, b)| a == b);
    if !ban.modules.iter().any(|of| inside(of)) {
        return None;
    }
    let name = ban.names.iter().find(|name| covers(&path.segments, name))?;
    Some(Violation::new(file, path.line, ban.rule, format!("names {name} (as {}): {}", path.segments.join("::"), ban.why)))
}

/// The path is the name, something below it, or a `*` that brings it along.
fn covers(path: &[String], name: &str) -> bool {
    let name: Vec<&str> = name.split("::").collect();
    let (start, all) = match path.split_last() {
        Some((last, start)) if last == "*" => (start, true),
        _ => (path, false),
    };
    let same = start.iter().zip(&name).all(|(a, b)| a == b);
    same && (start.len() >= name.len() || (all && start.len() + 1 == name.len()))
}
