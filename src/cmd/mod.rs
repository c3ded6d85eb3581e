//! The command line: subcommands and their output.

mod agent;
mod crds;
mod explain;
mod presets;
mod reference;
mod run;

use crate::clock;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use std::path::Path;
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
    /// Print what presets of gates expand to, and why
    Presets(presets::Args),
    /// Explain why an object would be refused, why a gate is closed, or what was decided
    Explain(explain::Args),
    /// Print this reference as Markdown
    #[command(hide = true)]
    CliReference,
}

/// Parses the command line and runs the command. Exit codes: 0 success, 1 failure or wrong usage.
pub fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Printing help to a closed pipe is no failure.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    let result = match cli.command {
        Command::Explain(args) => return run_explain(args),
        Command::Agent(args) => run_agent(*args),
        Command::Crds(args) => crds::execute(&args),
        Command::Presets(args) => presets::execute(&args),
        Command::CliReference => reference::execute(Cli::command()),
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

/// How usage is told when the program is called as a plugin of kubectl.
const PLUGIN: &str = "kubectl-holdpoint";

/// Reads the command line. A copy or link named `kubectl-holdpoint` is what `kubectl holdpoint` runs.
fn parse() -> Result<Cli, clap::Error> {
    let called = std::env::args_os().next();
    let is_plugin = called.as_deref().and_then(|path| Path::new(path).file_stem()).is_some_and(|name| name == PLUGIN);
    let command = if is_plugin { Cli::command().bin_name("kubectl holdpoint") } else { Cli::command() };
    Cli::from_arg_matches(&command.try_get_matches()?)
}

/// Expressions are evaluated here as well, so on a thread with a deep stack.
fn run_explain(args: explain::Args) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .thread_name("holdpoint")
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async { clock::spawn(explain::execute(args)).await }).unwrap_or(ExitCode::FAILURE);
    runtime.shutdown_background();
    code
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
