//! The `holdpoint` command: operator, and tools for its users.

use std::process::ExitCode;

/// Parsing and cloning reviews is what the process does most; the allocator is what that costs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // One provider for all of TLS. An error means that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // A panic that somebody's input provokes is caught where it happens, and must be one line in the log, not a backtrace a request.
    std::panic::set_hook(Box::new(|info| tracing::error!(location = info.location().map(ToString::to_string), "panic: {info}")));
    holdpoint::cmd::main()
}
