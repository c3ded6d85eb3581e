//! The command line: subcommands and their output.

mod agent;
mod crds;
mod run;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The stack of every thread that may compile or evaluate an expression. The parser of expressions recurses; the memory is only reserved.
const STACK_BYTES: usize = 64 * 1024 * 1024;

#[derive(Debug, Parser)]
#[command(name = "holdpoint", version, about = "Preflight checks and experiment gates for Kubernetes", long_about = None)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator: keep checks current, and answer the API server
    Run(Box<run::Args>),
    /// Measure this machine, and report it as a host that checks can ask about
    Agent(Box<agent::Args>),
    /// Print the CustomResourceDefinitions, or write them into a folder
    Crds(crds::Args),
}

/// Parses the command line and runs the command. Exit codes: 0 success, 1 failure or wrong usage.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Printing help to a closed pipe is no failure.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    let result = match cli.command {
        Command::Agent(args) => run_agent(*args),
        Command::Crds(args) => crds::execute(&args),
        Command::Run(args) => tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_stack_size(STACK_BYTES)
            .thread_name("holdpoint")
            .build()
            .map_err(|e| format!("cannot start the runtime: {e}"))
            .and_then(|runtime| runtime.block_on(run::execute(*args))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("holdpoint: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run_agent(args: agent::Args) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_name("holdpoint")
        .build()
        .map_err(|e| format!("cannot start the runtime: {e}"))?;
    let result = runtime.block_on(agent::execute(args));
    // A thread that looks at a file system which does not answer may never end: it is not waited for.
    runtime.shutdown_background();
    result
}
