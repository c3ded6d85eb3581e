//! Structured logs on standard error: JSON for machines, text for terminals.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Text for people.
    Text,
    /// Text on a terminal, JSON elsewhere.
    Auto,
}

/// Starts logging. `filter` is a tracing filter, such as `info` or `holdpoint=debug,kube=info`; one that cannot be read is an error.
pub fn init(format: LogFormat, filter: &str) -> Result<(), String> {
    let filter =
        EnvFilter::try_new(filter).map_err(|e| format!("--log-filter \"{filter}\": {e}; write for example info or holdpoint=debug"))?;
    let text = match format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let result = if text { builder.try_init() } else { builder.json().flatten_event(true).try_init() };
    result.map_err(|e| e.to_string())
}
