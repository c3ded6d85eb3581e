//! The `holdpoint` command: operator, and tools for its users.

use std::process::ExitCode;

/// Parsing and cloning reviews is what the process does most; the allocator is what that costs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // One provider for all of TLS. An error means that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    holdpoint::cmd::main()
}
