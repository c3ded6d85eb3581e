//! The operator as a process beside the control plane.

use std::{
    ffi::OsString,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::Duration,
};

use crate::{
    ControlPlane, Error, Installation, Result, eventually, http, logs, ports,
    process::{Launch, Supervised},
};

const READY_DEADLINE: Duration = Duration::from_mins(1);
const TERMINATE_DEADLINE: Duration = Duration::from_mins(1);

/// What to run, and how.
#[derive(Debug, Clone, Default)]
pub struct OperatorOptions {
    /// The `holdpoint` binary.
    pub binary: PathBuf,
    /// The manifest that ships, `deploy/install.yaml`.
    pub install_manifest: PathBuf,
    /// Arguments after those that the harness gives `holdpoint run`.
    pub extra_args: Vec<String>,
    /// Environment variables besides ours.
    pub extra_env: Vec<(String, String)>,
}

/// A running operator; dropping it kills it (SIGKILL).
#[derive(Debug)]
pub struct Operator {
    launch: Recipe,
    health: SocketAddr,
    metrics: SocketAddr,
    listen: SocketAddr,
    process: Supervised,
}

#[derive(Debug)]
struct Recipe {
    binary: PathBuf,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
    log: PathBuf,
}

impl Operator {
    /// Installs the manifest and runs the operator on the address of its webhook's Service, as its service account;
    /// returns when `/readyz` answers 200 (limit: 60 s). Once per control plane; see [`Operator::replica`] for more.
    pub fn start(control_plane: &ControlPlane, options: &OperatorOptions) -> Result<Operator> {
        let installation = Installation::apply(control_plane, &options.install_manifest)?;
        Operator::replica(control_plane, &installation, options, installation.service_address())
    }

    /// Runs one operator of an existing installation, its webhook listening where the caller says, and returns when
    /// `/readyz` answers 200 (limit: 60 s). With several, a [`crate::Splitter`] on the Service's address shares out the
    /// connections. Restarting the webhook's listener elsewhere than on the Service's address is the caller's to route.
    pub fn replica(
        control_plane: &ControlPlane,
        installation: &Installation,
        options: &OperatorOptions,
        listen: SocketAddr,
    ) -> Result<Operator> {
        let operator = Operator::launch(control_plane, installation, options, listen)?;
        operator.wait_until_ready()
    }

    /// As [`Operator::replica`], without waiting: for tests of what holds before it is ready.
    pub fn launch(
        control_plane: &ControlPlane,
        installation: &Installation,
        options: &OperatorOptions,
        listen: SocketAddr,
    ) -> Result<Operator> {
        let [health, metrics] = ports::free()?.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let mut args: Vec<OsString> = vec!["run".into(), "--kubeconfig".into(), installation.kubeconfig().into()];
        for (flag, address) in [("--listen", listen), ("--health-listen", health), ("--metrics-listen", metrics)] {
            args.extend([flag.into(), address.to_string().into()]);
        }
        args.extend(installation.port_args().into_iter().map(OsString::from));
        args.extend(options.extra_args.iter().map(OsString::from));
        let number = control_plane.names.fetch_add(1, Ordering::Relaxed);
        let log = control_plane.logs_dir().join(format!("holdpoint-{number}.log"));
        let launch = Recipe { binary: options.binary.clone(), args, env: options.extra_env.clone(), log };
        let process = launch.spawn()?;
        Ok(Operator { launch, health, metrics, listen, process })
    }

    /// The status and body of `/readyz`. An error if nobody answers.
    pub fn readyz(&self) -> Result<(u16, String)> {
        let response = http::get(self.health, "/readyz").map_err(|found| unexpected("the operator's /readyz", found))?;
        Ok((response.status, response.body))
    }

    /// The text of `/metrics`.
    pub fn metrics(&self) -> Result<String> {
        let response = http::get(self.metrics, "/metrics").map_err(|found| unexpected("the operator's /metrics", found))?;
        if response.status == 200 {
            return Ok(response.body);
        }
        Err(unexpected("the operator's /metrics", format!("status {}: {}", response.status, response.body)))
    }

    /// Kills it at once (SIGKILL), as a crash would.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Asks it to end (SIGTERM), waits until it has (limit: 60 s), and gives its exit code.
    pub fn terminate(&mut self) -> Result<i32> {
        self.process.signal("TERM")?;
        self.process.wait(TERMINATE_DEADLINE)
    }

    /// Sends it another signal: `STOP` freezes it, `CONT` goes on.
    pub fn signal(&mut self, signal: &str) -> Result<()> {
        self.process.signal(signal)
    }

    /// Starts it again with the same arguments and addresses, killing it first if it still runs, and waits until it is
    /// ready (limit: 60 s).
    pub fn restart(&mut self) -> Result<()> {
        self.process.kill();
        self.process = self.launch.spawn()?;
        self.check_ready()
    }

    /// The exit code, if it has ended.
    pub fn exit_code(&mut self) -> Result<Option<i32>> {
        self.process.exit_code()
    }

    /// Its process id, for what `/proc` tells.
    pub fn pid(&self) -> Result<u32> {
        self.process.pid()
    }

    /// Where its webhook listens.
    pub fn webhook_address(&self) -> SocketAddr {
        self.listen
    }

    /// Where its health endpoints are.
    pub fn health_address(&self) -> SocketAddr {
        self.health
    }

    /// Where its metrics are.
    pub fn metrics_address(&self) -> SocketAddr {
        self.metrics
    }

    /// Its output, over all restarts.
    pub fn log_path(&self) -> &Path {
        &self.launch.log
    }

    /// The end of its output and where to find the rest; for the output of a failed test.
    pub fn log_tail(&self) -> String {
        format!("The end of {}:\n{}\n", self.launch.log.display(), logs::tail(&self.launch.log))
    }

    /// Waits until `/readyz` answers 200 (limit: 60 s), and gives the operator back.
    pub fn wait_until_ready(mut self) -> Result<Operator> {
        self.check_ready()?;
        Ok(self)
    }

    fn check_ready(&mut self) -> Result<()> {
        let mut ended = None;
        let ready = eventually(READY_DEADLINE, "the operator to be ready", || {
            if let Err(error) = self.process.check_running() {
                ended = Some(error);
                return Ok(());
            }
            match self.readyz() {
                Ok((200, _)) => Ok(()),
                Ok((status, body)) => Err(format!("status {status}: {body}")),
                Err(error) => Err(error.to_string()),
            }
        });
        ended.map_or_else(|| ready.map_err(|error| self.process.explain(error)), Err)
    }
}

impl Recipe {
    fn spawn(&self) -> Result<Supervised> {
        Supervised::spawn(Launch {
            name: "holdpoint",
            program: &self.binary,
            args: self.args.clone(),
            env: self.env.clone(),
            folder: None,
            log: self.log.clone(),
        })
    }
}

fn unexpected(what: &str, found: String) -> Error {
    Error::Unexpected { what: what.to_owned(), found }
}
