//! `make bench-scale`: what ten thousand checks and a thousand gates cost the operator and the API server.
//!
//! What the rows mean, and how they are measured, is in `docs/performance.md`. `QUIET_SECONDS=30 make bench-scale` watches for a shorter time
//! while nothing changes; the figures that are published come from five minutes. `OPERATOR=path/to/holdpoint` measures another build.

#[path = "scale/endpoints.rs"]
mod endpoints;
#[path = "scale/figures.rs"]
mod figures;
#[path = "scale/phases.rs"]
mod phases;
#[path = "admission/process.rs"]
mod process;
#[path = "scale/reaction.rs"]
mod reaction;
#[path = "scale/report.rs"]
mod report;
#[path = "admission/samples.rs"]
#[allow(dead_code, reason = "shared with the other benchmark, which needs more of it")]
mod samples;
#[path = "admission/table.rs"]
#[allow(dead_code, reason = "shared with the other benchmark, which needs more of it")]
mod table;
#[path = "scale/world.rs"]
mod world;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use world::World;

/// Any failure ends the run; it is shown, and nothing else is done about it.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// For how long nothing changes, unless `QUIET_SECONDS` says otherwise.
const QUIET: Duration = Duration::from_mins(5);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome<()> {
    let started = holdpoint::clock::instant();
    let quiet = setting("QUIET_SECONDS").map_or(Ok(QUIET), |seconds| seconds.parse().map(Duration::from_secs))?;
    let operator = setting("OPERATOR").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_holdpoint")), PathBuf::from);
    // One provider for all of TLS. An error means that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    println!("{}\n", process::machine()?);
    let mut world = World::start(operator)?;
    let outcome = measure(&mut world, quiet);
    outcome.map_err(|error| format!("{error}\n{}{}", world.operator.log_tail(), world.control_plane.log_tails()))?;
    println!("{}; the run took {} s.", process::machine()?, started.elapsed().as_secs());
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "cargo has the command line")]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn measure(world: &mut World, quiet: Duration) -> Outcome<()> {
    let mut report = report::Report::new();
    let outcome = fill_in(&mut report, world, quiet);
    // What was measured before something failed is worth seeing.
    report.print();
    outcome
}

fn fill_in(report: &mut report::Report, world: &mut World, quiet: Duration) -> Outcome<()> {
    eprintln!("creating everything");
    report.filled(&phases::fill(world)?);
    eprintln!("waiting until nothing changes");
    let settled = phases::settle(world)?;
    report.line(&format!("From the last create to the last status: {} s.", settled.as_secs()));
    eprintln!("nothing changes");
    report.quiet(&phases::quiet(world, quiet)?);
    eprintln!("Deployments break");
    report.reaction(&reaction::run(world)?);
    eprintln!("Deployments flap");
    report.flapping(&phases::flapping(world)?);
    eprintln!("starting again");
    report.restart(&phases::restart(world)?);
    Ok(())
}
