//! Starting and stopping.

use std::{
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicU32},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Error, Kubectl, Programs, Result,
    janitor::DataFolder,
    kubeconfig::{self, Credential},
    logs,
    pki::Pki,
    ports,
    process::Supervised,
    servers::Servers,
    service_range::ServiceRange,
};

/// An idle machine needs 2 to 5 s; one that compiles on every core much longer.
const START_DEADLINE: Duration = Duration::from_mins(2);
const ATTEMPTS: u32 = 3;

/// How to start a [`ControlPlane`], where the defaults do not do.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Further arguments of kube-apiserver.
    pub kube_apiserver_args: Vec<String>,
    /// Write an audit log (one JSON object a line, level `Metadata`) to [`ControlPlane::audit_log`].
    pub audit_log: bool,
}

/// A running control plane; dropping it stops it and removes its data, not its logs.
#[derive(Debug)]
pub struct ControlPlane {
    // Dropped in this order: clients of the API server first, the data and the claim on the addresses last.
    running: Mutex<Running>,
    admin: Kubectl,
    pub(crate) pki: Pki,
    pub(crate) names: AtomicU32,
    pub(crate) servers: Servers,
    data: DataFolder,
    _service_range: ServiceRange,
}

#[derive(Debug)]
struct Running {
    kube_controller_manager: Option<Supervised>,
    kube_apiserver: Option<Supervised>,
    etcd: Supervised,
}

impl ControlPlane {
    /// Starts etcd, kube-apiserver and kube-controller-manager and returns when they are ready (limit: 120 s each;
    /// before that, the first time on a machine, the programs are built). Any number may run at once.
    pub fn start() -> Result<ControlPlane> {
        ControlPlane::start_with(&Options::default())
    }

    /// As [`ControlPlane::start`], with options.
    pub fn start_with(options: &Options) -> Result<ControlPlane> {
        let programs = Programs::find_or_build()?;
        let mut attempt = 1;
        loop {
            match ControlPlane::try_start(&programs, options) {
                Err(error) if error.is_port_collision() && attempt < ATTEMPTS => attempt += 1,
                outcome => return outcome,
            }
        }
    }

    fn try_start(programs: &Programs, options: &Options) -> Result<ControlPlane> {
        let service_range = ServiceRange::claim()?;
        let data = DataFolder::create()?;
        let pki = Pki::create(data.path().join("pki"))?;
        let (serving, service_accounts) = Servers::identities(&pki)?;
        let [etcd_port, etcd_peer_port, api_port] = ports::free()?;
        let servers = Servers {
            programs: programs.clone(),
            data: data.path().to_owned(),
            logs: logs::folder()?,
            etcd_port,
            etcd_peer_port,
            api_port,
            service_cidr: service_range.cidr(),
            authority: pki.authority(),
            serving,
            service_accounts,
            audit_log: options.audit_log,
            kube_apiserver_args: options.kube_apiserver_args.clone(),
        };
        servers.prepare()?;

        let admin_kubeconfig = data.path().join("kubeconfig");
        let identity = pki.client("admin", "admin", &["system:masters"])?;
        kubeconfig::write(&admin_kubeconfig, &servers.api_url(), &pki.authority(), &Credential::Certificate(&identity))?;
        let admin = Kubectl::new(programs.path("kubectl"), admin_kubeconfig, data.path().join("kubectl-cache"));

        // kube-apiserver waits for etcd by itself.
        let running =
            Running { etcd: servers.start_etcd()?, kube_apiserver: Some(servers.start_kube_apiserver()?), kube_controller_manager: None };
        let running = Mutex::new(running);
        let control_plane = ControlPlane { running, admin, pki, names: AtomicU32::new(1), servers, data, _service_range: service_range };
        control_plane.wait_for_api_server()?;
        control_plane.start_kube_controller_manager()?;
        Ok(control_plane)
    }

    /// kubectl as an administrator (group `system:masters`: no authorisation applies).
    pub fn admin(&self) -> &Kubectl {
        &self.admin
    }

    /// The administrator's kubeconfig file.
    pub fn kubeconfig(&self) -> &Path {
        self.admin.kubeconfig()
    }

    /// The folder of etcd, kube-apiserver, kube-controller-manager and kubectl.
    pub fn programs(&self) -> &Programs {
        &self.servers.programs
    }

    /// Where the servers' logs are. They are kept when the control plane stops, for the last 24 runs.
    pub fn logs_dir(&self) -> &Path {
        &self.servers.logs
    }

    /// The audit log, if [`Options::audit_log`] asked for one. A line is there shortly after the request's answer.
    pub fn audit_log(&self) -> PathBuf {
        self.servers.audit_log()
    }

    /// The range of Service addresses, such as `127.66.0.0/24`; no other control plane on this machine has it.
    pub fn service_cidr(&self) -> &str {
        &self.servers.service_cidr
    }

    /// The ends of the servers' logs and where to find the rest; for the output of a failed test.
    pub fn log_tails(&self) -> String {
        let tail = |name: &str| {
            let log = self.logs_dir().join(format!("{name}.log"));
            format!("The end of {}:\n{}\n", log.display(), logs::tail(&log))
        };
        ["etcd", "kube-controller-manager", "kube-apiserver"].map(tail).concat()
    }

    /// An error if a server has ended by itself.
    pub fn check_running(&self) -> Result<()> {
        let mut running = self.running();
        running.etcd.check_running()?;
        let Running { kube_apiserver, kube_controller_manager, .. } = &mut *running;
        for server in [kube_apiserver, kube_controller_manager].into_iter().flatten() {
            server.check_running()?;
        }
        Ok(())
    }

    /// Kills the API server (SIGKILL), as a crash would. etcd and the controller manager go on.
    pub fn kill_api_server(&self) {
        self.running().kube_apiserver = None;
    }

    /// Starts the API server again at the same address, and returns when it is ready (limit: 120 s).
    pub fn start_api_server(&self) -> Result<()> {
        self.kill_api_server();
        self.running().kube_apiserver = Some(self.servers.start_kube_apiserver()?);
        self.wait_for_api_server()?;
        if self.running().kube_controller_manager.as_mut().is_some_and(|server| server.check_running().is_err()) {
            self.start_kube_controller_manager()?;
        }
        Ok(())
    }

    /// Stops everything at once and removes the data; the same as dropping it.
    pub fn stop(self) {
        drop(self);
    }

    /// A file for something of this control plane, gone when it stops.
    pub(crate) fn data_file(&self, name: &str) -> PathBuf {
        self.data.path().join(name)
    }

    fn wait_for_api_server(&self) -> Result<()> {
        let what = "kube-apiserver to be ready";
        self.wait_for(what, |running| running.kube_apiserver.as_mut(), &["get", "--raw", "/readyz"])
    }

    fn start_kube_controller_manager(&self) -> Result<()> {
        let user = "system:kube-controller-manager";
        let identity = self.pki.client("kube-controller-manager", user, &[])?;
        let file = self.data_file("kube-controller-manager.kubeconfig");
        kubeconfig::write(&file, &self.servers.api_url(), &self.pki.authority(), &Credential::Certificate(&identity))?;
        self.running().kube_controller_manager = Some(self.servers.start_kube_controller_manager(&file)?);
        let what = "kube-controller-manager to make the default service account";
        let probe = ["get", "serviceaccount", "default", "--namespace=default"];
        self.wait_for(what, |running| running.kube_controller_manager.as_mut(), &probe)
    }

    /// Waits until the command succeeds; not if etcd or the given server ends meanwhile.
    fn wait_for(&self, what: &str, server: impl Fn(&mut Running) -> Option<&mut Supervised>, probe: &[&str]) -> Result<()> {
        let started = Instant::now();
        let admin = self.admin.with_deadline(Duration::from_secs(10));
        loop {
            let Err(error) = admin.ok(probe) else { return Ok(()) };
            let mut running = self.running();
            running.etcd.check_running()?;
            if let Some(server) = server(&mut running) {
                server.check_running()?;
                if started.elapsed() >= START_DEADLINE {
                    let (what, last) = (what.to_owned(), error.to_string());
                    return Err(server.explain(Error::Deadline { what, after: START_DEADLINE, last }));
                }
            }
            drop(running);
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        // A panic elsewhere does not make the processes' handles wrong.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
