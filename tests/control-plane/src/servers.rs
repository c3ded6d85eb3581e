//! The three servers' command lines.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Error, Programs, Result,
    pki::{Identity, Pki},
    process::{Launch, Supervised},
};

/// Where the servers are, and with which files they work. Enough to start each again.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) programs: Programs,
    pub(crate) data: PathBuf,
    pub(crate) logs: PathBuf,
    pub(crate) etcd_port: u16,
    pub(crate) etcd_peer_port: u16,
    pub(crate) api_port: u16,
    pub(crate) service_cidr: String,
    pub(crate) authority: PathBuf,
    pub(crate) serving: Identity,
    pub(crate) service_accounts: Identity,
    pub(crate) audit_log: bool,
    pub(crate) kube_apiserver_args: Vec<String>,
}

/// Who did what with which outcome, one line a request, with the webhooks' annotations; nothing of the bodies.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{ level: Metadata }]
";

impl Servers {
    /// Makes what only the servers need.
    pub(crate) fn prepare(&self) -> Result<()> {
        let policy = self.audit_policy();
        fs::write(&policy, AUDIT_POLICY).map_err(Error::io(format!("write {}", policy.display())))
    }

    pub(crate) fn identities(pki: &Pki) -> Result<(Identity, Identity)> {
        Ok((pki.server()?, pki.service_accounts()?))
    }

    /// The API server's address, as a URL.
    pub(crate) fn api_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.api_port)
    }

    pub(crate) fn audit_log(&self) -> PathBuf {
        self.logs.join("audit.log")
    }

    pub(crate) fn start_etcd(&self) -> Result<Supervised> {
        let client = format!("http://127.0.0.1:{}", self.etcd_port);
        let peer = format!("http://127.0.0.1:{}", self.etcd_peer_port);
        let args = vec![
            path("--data-dir", &self.data.join("etcd")),
            text("--listen-client-urls", &client),
            text("--advertise-client-urls", &client),
            text("--listen-peer-urls", &peer),
            text("--initial-advertise-peer-urls", &peer),
            text("--initial-cluster", &format!("default={peer}")),
            "--unsafe-no-fsync".into(),
        ];
        self.spawn("etcd", args)
    }

    pub(crate) fn start_kube_apiserver(&self) -> Result<Supervised> {
        let mut args = vec![
            text("--etcd-servers", &format!("http://127.0.0.1:{}", self.etcd_port)),
            "--bind-address=127.0.0.1".into(),
            text("--secure-port", &self.api_port.to_string()),
            // Without these two it exits when the machine has no default route, and logs errors for ever.
            "--advertise-address=127.0.0.1".into(),
            "--endpoint-reconciler-type=none".into(),
            text("--service-cluster-ip-range", &self.service_cidr),
            "--authorization-mode=RBAC".into(),
            "--allow-privileged=true".into(),
            path("--client-ca-file", &self.authority),
            path("--cert-dir", &self.data.join("kube-apiserver")),
            path("--tls-cert-file", &self.serving.certificate),
            path("--tls-private-key-file", &self.serving.key),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            path("--service-account-key-file", &self.service_accounts.certificate),
            path("--service-account-signing-key-file", &self.service_accounts.key),
        ];
        if self.audit_log {
            args.push(path("--audit-policy-file", &self.audit_policy()));
            args.push(path("--audit-log-path", &self.audit_log()));
        }
        args.extend(self.kube_apiserver_args.iter().map(OsString::from));
        self.spawn("kube-apiserver", args)
    }

    pub(crate) fn start_kube_controller_manager(&self, kubeconfig: &Path) -> Result<Supervised> {
        let args = vec![
            path("--kubeconfig", kubeconfig),
            "--bind-address=127.0.0.1".into(),
            "--secure-port=0".into(),
            "--leader-elect=false".into(),
            "--use-service-account-credentials=true".into(),
            path("--service-account-private-key-file", &self.service_accounts.key),
            path("--root-ca-file", &self.authority),
            // Its default of 20 requests a second makes the start take 5 s instead of 0.3 s.
            "--kube-api-qps=1000".into(),
            "--kube-api-burst=2000".into(),
            // Nodes without a kubelet send no heartbeats: these two would evict everything.
            "--controllers=*,-node-lifecycle-controller,-taint-eviction-controller".into(),
        ];
        self.spawn("kube-controller-manager", args)
    }

    fn spawn(&self, name: &str, args: Vec<OsString>) -> Result<Supervised> {
        let program = self.programs.path(name);
        let log = self.logs.join(format!("{name}.log"));
        Supervised::spawn(Launch { name, program: &program, args, env: Vec::new(), folder: Some(&self.data), log })
    }

    fn audit_policy(&self) -> PathBuf {
        self.data.join("audit-policy.yaml")
    }
}

fn text(flag: &str, value: &str) -> OsString {
    format!("{flag}={value}").into()
}

fn path(flag: &str, value: &Path) -> OsString {
    let mut argument = OsString::from(format!("{flag}="));
    argument.push(value);
    argument
}
