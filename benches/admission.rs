//! `make bench`: what the webhook costs, each figure beside something that is measured in the same run.
//!
//! Names of sections as arguments (`cargo bench -- direct`) run only these. What the rows mean, and how they are measured, is in
//! `docs/performance.md`.

#[path = "admission/aims.rs"]
mod aims;
#[path = "admission/cluster.rs"]
mod cluster;
#[path = "admission/direct.rs"]
mod direct;
#[path = "admission/latency.rs"]
mod latency;
#[path = "admission/load.rs"]
mod load;
#[path = "admission/no_op.rs"]
mod no_op;
#[path = "admission/open.rs"]
mod open;
#[path = "admission/process.rs"]
mod process;
#[path = "admission/reaction.rs"]
mod reaction;
#[path = "admission/samples.rs"]
mod samples;
#[path = "admission/table.rs"]
mod table;
#[path = "admission/wire.rs"]
mod wire;

use aims::Aims;
use cluster::Cluster;
use std::error::Error;
use std::process::ExitCode;

/// The operator's allocator: reviews are judged in this process, too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Any failure ends the run; it is shown, and nothing else is done about it.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// How to be started as the webhook that does nothing.
const NO_OP: &str = "no-op-webhook";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [NO_OP, listen, name] => no_op::serve(listen, name),
        sections => run(sections),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(sections: &[&str]) -> Outcome<()> {
    let wanted = |section: &str| sections.is_empty() || sections.contains(&section);
    let started = holdpoint::clock::instant();
    // One provider for all of TLS. An error means that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    println!("{}\n", process::machine()?);
    let mut aims = Aims::new();
    if wanted("direct") {
        direct::run(&mut aims)?.iter().for_each(table::Table::print);
    }
    if ["latency", "open", "reaction", "load", "many"].into_iter().any(wanted) {
        let cluster = Cluster::start()?;
        let outcome = on_cluster(&cluster, &wanted, &mut aims);
        outcome.map_err(|error| format!("{error}\n{}{}", cluster.operator.log_tail(), cluster.control_plane.log_tails()))?;
    }
    aims.print();
    println!("The run took {} s.", started.elapsed().as_secs());
    Ok(())
}

fn on_cluster(cluster: &Cluster, wanted: &dyn Fn(&str) -> bool, aims: &mut Aims) -> Outcome<()> {
    let idle = load::idle(cluster)?;
    let arena = latency::Arena::build(cluster)?;
    if wanted("latency") {
        latency::run(cluster, &arena, latency::FULL, aims)?.print();
    }
    if wanted("open") {
        open::run(cluster, &arena)?.print();
    }
    if wanted("reaction") {
        reaction::run(cluster)?.print();
    }
    if wanted("load") {
        load::run(cluster, &arena, idle, aims)?.print();
        latency::run(cluster, &arena, latency::BESIDE_MANY, aims)?.print();
    }
    if wanted("many") {
        load::many(cluster, &arena, aims)?.print();
        latency::run(cluster, &arena, latency::BESIDE_VERY_MANY, aims)?.print();
    }
    Ok(())
}
