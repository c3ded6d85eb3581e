//! `holdpoint agent`: measures the machine that it runs on.

use crate::agent::{self, Settings};
use crate::cluster::client::connect;
use crate::core::host::{AllowedPaths, normal};
use crate::telemetry::logs::{self, LogFormat};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the host and of its HostReport; in a pod, the name of the node
    #[arg(long, env = "HOLDPOINT_HOST_NAME", value_name = "NAME", value_parser = host_name)]
    host_name: String,
    /// Kubeconfig of the API server; in a pod none is needed
    #[arg(long, env = "HOLDPOINT_KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Where the host's file system is
    #[arg(long, env = "HOLDPOINT_ROOT", default_value = "/", value_name = "FOLDER")]
    root: PathBuf,
    /// Seconds from one measurement to the next; a host whose agent is silent for four times as long is Unknown
    #[arg(long, env = "HOLDPOINT_HEARTBEAT_SECONDS", default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=150))]
    heartbeat_seconds: u64,
    /// Label of the HostReport, by which checks select it; may be repeated
    #[arg(long, env = "HOLDPOINT_LABELS", value_delimiter = ',', value_name = "KEY=VALUE", value_parser = label)]
    label: Vec<(String, String)>,
    /// Folder into which checks may look; may be repeated. Whoever may write checks learns what is there, and whose it is, never what is in it
    #[arg(
        long,
        env = "HOLDPOINT_ALLOW_PATH",
        value_delimiter = ',',
        value_name = "FOLDER",
        default_value = "/boot,/dev,/etc,/lib,/mnt,/opt,/run,/srv,/sys,/usr,/var",
        value_parser = folder
    )]
    allow_path: Vec<String>,
    /// CRI socket of the container runtime, as the host names it, such as /run/containerd/containerd.sock. Whoever may open it rules the host
    #[arg(long, env = "HOLDPOINT_CRI_SOCKET", value_name = "PATH", value_parser = folder)]
    cri_socket: Option<String>,
    /// How log lines look
    #[arg(long, env = "HOLDPOINT_LOG_FORMAT", value_enum, default_value_t = LogFormat::Auto)]
    log_format: LogFormat,
    /// Which log lines: a level, or target=level pairs
    #[arg(long, env = "HOLDPOINT_LOG_FILTER", default_value = "info,kube_runtime=error", value_name = "FILTER")]
    log_filter: String,
}

pub(super) async fn execute(args: Args) -> Result<(), String> {
    logs::init(args.log_format, &args.log_filter)?;
    let (client, _) = connect(args.kubeconfig.as_deref()).await.map_err(|e| e.to_string())?;
    let settings = Settings {
        host: args.host_name,
        root: args.root,
        heartbeat: Duration::from_secs(args.heartbeat_seconds),
        labels: args.label.into_iter().collect::<BTreeMap<_, _>>(),
        allowed: AllowedPaths::new(args.allow_path),
        cri_socket: args.cri_socket,
    };
    let mut terminated = signal(SignalKind::terminate()).map_err(|e| format!("cannot wait for signals: {e}"))?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(|e| format!("cannot wait for signals: {e}"))?;
    tokio::select! {
        result = agent::run(client, settings) => result.map(|never| match never {}),
        _ = terminated.recv() => Ok(()),
        _ = interrupted.recv() => Ok(()),
    }
}

/// As Kubernetes names nodes and other objects.
fn host_name(text: &str) -> Result<String, String> {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let part = |part: &str| part.starts_with(edge) && part.ends_with(edge) && part.chars().all(|c| edge(c) || c == '-');
    if text.len() <= 253 && text.split('.').all(part) {
        return Ok(text.to_owned());
    }
    Err("must be a name of a-z 0-9 - and dots, such as db-1.example".to_owned())
}

fn label(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("must be KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn folder(text: &str) -> Result<String, String> {
    normal(text).map(str::to_owned).map_err(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_refused_early() {
        assert_eq!(host_name("db-1.example"), Ok("db-1.example".to_owned()));
        for name in ["", "DB", "a_b", "-a", "a.", "../a", &"a".repeat(254)] {
            assert!(host_name(name).is_err(), "{name:?}");
        }
        assert_eq!(label("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(label("a").is_err() && folder("etc").is_err() && folder("/etc/../root").is_err());
    }
}
