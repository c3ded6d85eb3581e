//! What the API server, the operator and the system have counted at an instant, and what of it came in between.

use crate::Outcome;
use crate::process::{Memory, cpu_time, memory};
use crate::world::World;
use holdpoint::clock;
use std::fs;
use std::time::{Duration, Instant};

/// Counters at an instant.
pub struct Figures {
    at: Instant,
    cpu: Duration,
    check_writes: f64,
    gate_writes: f64,
    reviews: f64,
    leases: f64,
    evaluations: f64,
    /// How many evaluations were late by at most so many seconds.
    lateness: Vec<(f64, f64)>,
}

/// What came between two instants.
pub struct Flow {
    /// How long it was, in seconds.
    pub seconds: f64,
    /// Statuses of checks that were written, each second.
    pub check_writes: f64,
    /// Statuses of gates that were written, each second.
    pub gate_writes: f64,
    /// Reviews of rights, each second.
    pub reviews: f64,
    /// Writes of Leases, whoever made them, each second.
    pub leases: f64,
    /// Targets that were observed, each second.
    pub evaluations: f64,
    /// The operator's CPU time, in cores.
    pub cores: f64,
    /// How late probed evaluations began, in seconds, at the 99th percentile: at most that.
    pub lateness: f64,
}

impl Figures {
    /// Reads all of it. What that costs the operator falls before the instant.
    pub async fn read(world: &World) -> Outcome<Self> {
        let server = world.api_server_metrics().await?;
        let operator = world.operator.metrics()?;
        let requests = |labels: &[&str]| sum(&server, "apiserver_request_total", labels);
        let writes = |labels: &[&str]| {
            ["PATCH", "APPLY", "PUT"]
                .iter()
                .map(|verb| {
                    let verb = format!("verb=\"{verb}\"");
                    let labels: Vec<&str> = labels.iter().copied().chain([verb.as_str()]).collect();
                    requests(&labels)
                })
                .sum()
        };
        let status = "subresource=\"status\"";
        Ok(Self {
            check_writes: writes(&["resource=\"preflightchecks\"", status]),
            gate_writes: writes(&["resource=\"experimentgates\"", status]),
            reviews: requests(&["resource=\"subjectaccessreviews\"", "verb=\"POST\""]),
            leases: writes(&["resource=\"leases\""]),
            evaluations: sum(&operator, "holdpoint_evaluations_total", &[]),
            lateness: buckets(&operator, "holdpoint_evaluation_lateness_seconds_bucket"),
            cpu: cpu_time(world.operator.pid()?)?,
            at: clock::instant(),
        })
    }

    /// All statuses that were ever written.
    pub fn writes(&self) -> f64 {
        self.check_writes + self.gate_writes
    }

    /// What came since an earlier instant, in the life of the same process.
    pub fn since(&self, earlier: &Self) -> Flow {
        let seconds = self.at.duration_since(earlier.at).as_secs_f64();
        let each_second = |of: fn(&Self) -> f64| (of(self) - of(earlier)) / seconds;
        Flow {
            seconds,
            check_writes: each_second(|f| f.check_writes),
            gate_writes: each_second(|f| f.gate_writes),
            reviews: each_second(|f| f.reviews),
            leases: each_second(|f| f.leases),
            evaluations: each_second(|f| f.evaluations),
            cores: self.cpu.saturating_sub(earlier.cpu).as_secs_f64() / seconds,
            lateness: percentile(&self.lateness, &earlier.lateness, 0.99),
        }
    }

    /// How late evaluations began since the process started, at the 99th percentile.
    pub fn lateness(&self) -> f64 {
        percentile(&self.lateness, &[], 0.99)
    }
}

/// The operator's process.
#[derive(Clone, Copy)]
pub struct Footprint {
    /// Its memory.
    pub memory: Memory,
    /// Its sockets.
    pub sockets: usize,
}

/// What the operator's process takes up.
pub fn footprint(world: &World) -> Outcome<Footprint> {
    let pid = world.operator.pid()?;
    let mut sockets = 0;
    for file in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // A file that is closed meanwhile is none.
        let target = fs::read_link(file?.path());
        sockets += usize::from(target.is_ok_and(|target| target.to_string_lossy().starts_with("socket:")));
    }
    Ok(Footprint { memory: memory(pid)?, sockets })
}

/// How many checks have a verdict, by the operator's metrics; of those whose name begins so.
pub fn with_verdict(world: &World, verdict: &str, name: &str) -> Outcome<usize> {
    let (verdict, name) = (format!("verdict=\"{verdict}\""), format!("name=\"{name}"));
    let series = |line: &&str| line.starts_with("holdpoint_check_verdict{") && line.contains(&verdict) && line.contains(&name);
    Ok(world.operator.metrics()?.lines().filter(series).count())
}

/// The sum of all series of a name that have these labels.
pub fn sum(text: &str, name: &str, labels: &[&str]) -> f64 {
    series(text, name).filter(|(found, _)| labels.iter().all(|label| found.contains(label))).map(|(_, value)| value).sum()
}

/// The labels and the value of each series of a name.
fn series<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
    text.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        (labels.is_empty() || labels.starts_with('{')).then_some((labels, value.parse().ok()?))
    })
}

fn buckets(text: &str, name: &str) -> Vec<(f64, f64)> {
    let bound = |labels: &str| {
        let (_, rest) = labels.split_once("le=\"")?;
        let (bound, _) = rest.split_once('"')?;
        bound.trim_start_matches('+').parse::<f64>().ok()
    };
    series(text, name).filter_map(|(labels, count)| Some((bound(labels)?, count))).collect()
}

/// The upper bound of the bucket in which a share of what was counted since lies.
fn percentile(now: &[(f64, f64)], before: &[(f64, f64)], share: f64) -> f64 {
    let earlier = |bound: f64| before.iter().find(|(b, _)| b.total_cmp(&bound).is_eq()).map_or(0.0, |(_, count)| *count);
    let counts: Vec<(f64, f64)> = now.iter().map(|(bound, count)| (*bound, count - earlier(*bound))).collect();
    let all = counts.last().map_or(0.0, |(_, count)| *count);
    counts.iter().find(|(_, count)| *count >= all * share).map_or(0.0, |(bound, _)| *bound)
}
