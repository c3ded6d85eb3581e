//! The agent: measures the machine that it runs on, and writes what it measured as a `HostReport`.
//!
//! It measures only what some check asks about, writes only when the meaning of something changed, and says with a Lease that what it wrote still
//! holds: the Lease is renewed only after everything was measured again and, if need be, written. An agent that hangs, dies or cannot write therefore
//! falls silent, and its host becomes Unknown.

mod checks;
mod measure;
mod paths;
mod proc;
mod root;
mod runtime;
mod server;
mod system;
mod units;

use crate::api::HostFacts;
use crate::clock;
use crate::core::host::{AllowedPaths, Asked, same_meaning};
use checks::Checks;
use kube::Client;
use measure::Sight;
use root::Root;
use server::Server;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// How many heartbeats may be missed before the host counts as silent.
const MISSED: u32 = 4;
/// How long the agent rests between two measurements, however often checks change.
const REST: Duration = Duration::from_secs(2);
/// How often it reads its own report back: somebody may have deleted it, or changed its labels.
const READ_BACK: Duration = Duration::from_mins(1);

/// How an agent works.
#[derive(Debug)]
pub struct Settings {
    /// The name of the host, and of everything that the agent writes.
    pub host: String,
    /// Where the host's file system is.
    pub root: PathBuf,
    /// How often it measures and says that it is alive.
    pub heartbeat: Duration,
    /// Labels of the report.
    pub labels: BTreeMap<String, String>,
    /// Where checks may look.
    pub allowed: AllowedPaths,
    /// The socket of the container runtime, as the host names it.
    pub cri_socket: Option<String>,
}

struct Agent {
    sight: Sight,
    server: Server,
    settings: Settings,
    /// The labels that the report has, those included that people gave it.
    labels: BTreeMap<String, String>,
    /// What the report says.
    written: Option<HostFacts>,
    read_back: Option<Instant>,
    /// What is wrong, so that it is logged once.
    trouble: Option<String>,
}

/// Runs for ever, unless it cannot begin.
pub async fn run(client: Client, settings: Settings) -> Result<Infallible, String> {
    let root = Root::open(&settings.root).map_err(|error| format!("--root {}: {error}", settings.root.display()))?;
    info!(host = settings.host, root = %settings.root.display(), heartbeat_seconds = settings.heartbeat.as_secs(), "agent started");
    let mut checks = Checks::watch(client.clone());
    let mut agent = Agent {
        sight: Sight::new(root, settings.allowed.clone(), settings.cri_socket.clone()),
        server: Server::new(client, settings.host.clone()),
        labels: settings.labels.clone(),
        settings,
        written: None,
        read_back: None,
        trouble: None,
    };
    agent.work(&mut checks).await
}

impl Agent {
    async fn work(&mut self, checks: &mut Checks) -> ! {
        // What checks ask about must be known before anything is written, or a restart would take all facts back for a moment.
        while !checks.complete() {
            checks.changed().await;
        }
        let mut due = clock::instant();
        loop {
            let wait = due.saturating_duration_since(clock::instant());
            tokio::select! {
                () = checks.changed() => due = due.min(clock::instant() + REST),
                () = clock::sleep(wait) => {
                    let begun = clock::instant();
                    self.round(checks).await;
                    // Many agents start at once; they need not go on together.
                    due = begun + self.settings.heartbeat.mul_f64(0.9 + 0.1 * fastrand::f64());
                }
            }
        }
    }

    async fn round(&mut self, checks: &Checks) {
        match self.renew(checks).await {
            Ok(()) => {
                if self.trouble.take().is_some() {
                    info!("the host is reported again");
                }
            }
            Err(error) => {
                if self.trouble.as_deref() != Some(&error) {
                    warn!(error, "the host cannot be reported; it becomes Unknown");
                }
                self.trouble = Some(error);
            }
        }
    }

    async fn renew(&mut self, checks: &Checks) -> Result<(), String> {
        self.read_back().await?;
        let wanted = checks.wanted(&self.settings.host, &self.labels);
        let asked = Asked::from_checks(wanted.iter().map(|check| (check.namespace.as_str(), &check.requirements)));
        let facts = self.sight.measure(&asked, self.server.offset(), self.server.now()).await;
        let requirements = wanted.iter().map(|check| &check.requirements);
        let unchanged = self.written.as_ref().is_some_and(|written| same_meaning(written, &facts, requirements));
        if !unchanged {
            let labels = self.server.apply_report(&facts, &self.settings.labels).await.map_err(|error| format!("report: {error}"))?;
            self.labels = labels;
            self.written = Some(facts);
        }
        let lasts = self.settings.heartbeat * MISSED;
        self.server.renew_heartbeat(lasts).await.map_err(|error| format!("heartbeat: {error}"))
    }

    async fn read_back(&mut self) -> Result<(), String> {
        let now = clock::instant();
        if self.read_back.is_some_and(|last| now.duration_since(last) < READ_BACK) {
            return Ok(());
        }
        let report = self.server.read_report().await.map_err(|error| format!("own report: {error}"))?;
        match report {
            Some((labels, facts)) => {
                let ours = self.settings.labels.iter().all(|(key, value)| labels.get(key) == Some(value));
                self.labels = labels;
                self.written = facts.filter(|_| ours);
            }
            None => self.written = None,
        }
        self.read_back = Some(now);
        Ok(())
    }
}
