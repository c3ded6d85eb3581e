//! Agents of hosts, as processes beside the control plane.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use crate::{
    ControlPlane, Kubectl, Result, logs,
    process::{Launch, Supervised},
};

/// A running agent; dropping it kills it (SIGKILL).
#[derive(Debug)]
pub struct Agent {
    process: Supervised,
    log: PathBuf,
}

impl Agent {
    /// Runs `holdpoint agent` for a host, as this user, on a folder that stands for the host's file system. Does not wait for anything.
    pub fn start(control_plane: &ControlPlane, binary: &Path, user: &Kubectl, host: &str, root: &Path, extra: &[&str]) -> Result<Agent> {
        let mut args: Vec<OsString> = vec!["agent".into(), "--kubeconfig".into(), user.kubeconfig().into()];
        args.extend(["--host-name".into(), host.into(), "--root".into(), root.into()]);
        args.extend(extra.iter().map(OsString::from));
        let number = control_plane.names.fetch_add(1, Ordering::Relaxed);
        let log = control_plane.logs_dir().join(format!("agent-{host}-{number}.log"));
        let launch = Launch { name: "holdpoint agent", program: binary, args, env: Vec::new(), folder: None, log: log.clone() };
        Ok(Agent { process: Supervised::spawn(launch)?, log })
    }

    /// Kills it at once (SIGKILL), as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Sends it another signal: `STOP` freezes it, `CONT` goes on, `TERM` asks it to end.
    pub fn signal(&mut self, signal: &str) -> Result<()> {
        self.process.signal(signal)
    }

    /// The exit code, if it has ended.
    pub fn exit_code(&mut self) -> Result<Option<i32>> {
        self.process.exit_code()
    }

    /// The end of its output and where to find the rest; for the output of a failed test.
    pub fn log_tail(&self) -> String {
        format!("The end of {}:\n{}\n", self.log.display(), logs::tail(&self.log))
    }
}
