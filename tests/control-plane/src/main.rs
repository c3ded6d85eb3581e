//! `control-plane`: the test control plane by hand.

#[allow(clippy::disallowed_methods, reason = "the product takes time from one place; this says how long it took")]
mod demo;
#[allow(clippy::disallowed_methods, reason = "the product takes time from one place; this looks after processes once a second")]
mod up;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use control_plane::{Error, Programs, Result};

/// A real Kubernetes control plane on this machine, without containers: for development.
#[derive(Parser)]
#[command(name = "control-plane")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a control plane, print how to reach it, and stay until Ctrl-C; then nothing of it is left but its logs.
    Up(up::Arguments),
    /// Show the main job from end to end, with real commands and their output; ends by itself, in under a minute.
    Demo(demo::Arguments),
    /// Build the four programs if that was not done yet, and print the folder they are in.
    Assets,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Up(arguments) => up::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Assets => assets(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            // 2: the machine lacks something that the user has to install.
            ExitCode::from(if matches!(error, Error::Go { .. }) { 2 } else { 1 })
        }
    }
}

fn assets() -> Result<()> {
    println!("{}", Programs::find_or_build()?.folder().display());
    Ok(())
}
