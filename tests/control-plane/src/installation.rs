//! Installing the product: the very file that ships.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;

use crate::{ControlPlane, Error, Result, eventually};

const NAMESPACE: &str = "holdpoint-system";
const SERVICE: &str = "holdpoint-webhook";
const SERVICE_ACCOUNT: &str = "holdpoint";
const SERVICE_PORT: u16 = 443;
/// Instead of 443 where only root may listen below 1024.
const UNPRIVILEGED_PORT: u16 = 9443;
const DEADLINE: Duration = Duration::from_secs(30);

/// An installed product, without a running operator.
#[derive(Debug, Clone)]
pub struct Installation {
    address: SocketAddr,
    kubeconfig: PathBuf,
}

impl Installation {
    /// Applies the manifest as its documentation says (`kubectl apply --server-side -f`), reads the address that the
    /// webhook's Service got, and gets a token of the operator's service account. Where this process may not listen on
    /// port 443, the Service's port becomes 9443. Once per control plane.
    pub fn apply(control_plane: &ControlPlane, manifest: &Path) -> Result<Installation> {
        let admin = control_plane.admin().in_namespace(NAMESPACE);
        // Its objects name their namespaces: there are several.
        control_plane.admin().apply(manifest)?;
        let jsonpath = "jsonpath={.spec.clusterIP}";
        let ip: IpAddr = eventually(DEADLINE, "the webhook Service's address", || {
            let printed = admin.ok(&["get", "service", SERVICE, "-o", jsonpath]).map_err(|error| error.to_string())?;
            printed.trim().parse().map_err(|_| format!("clusterIP `{printed}`"))
        })?;
        let port = if may_listen_on(SERVICE_PORT)? {
            SERVICE_PORT
        } else {
            let patch = json!([{ "op": "replace", "path": "/spec/ports/0/port", "value": UNPRIVILEGED_PORT }]).to_string();
            admin.ok(&["patch", "service", SERVICE, "--type=json", "--patch", &patch])?;
            UNPRIVILEGED_PORT
        };
        let kubeconfig = control_plane.service_account(NAMESPACE, SERVICE_ACCOUNT)?.kubeconfig().to_owned();
        Ok(Installation { address: SocketAddr::new(ip, port), kubeconfig })
    }

    /// Where the API server sends admission reviews.
    pub fn service_address(&self) -> SocketAddr {
        self.address
    }

    /// A kubeconfig with a token of the operator's service account, valid for 24 h.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The flag that the operator needs when the Service's port is not the usual one.
    pub(crate) fn port_args(&self) -> Vec<String> {
        let port = self.address.port();
        if port == SERVICE_PORT { Vec::new() } else { vec!["--service-port".to_owned(), port.to_string()] }
    }
}

fn may_listen_on(port: u16) -> Result<bool> {
    // An address that nothing else uses: only the permission is of interest.
    match TcpListener::bind((Ipv4Addr::new(127, 65, 0, 1), port)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(true),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(false),
        Err(error) => Err(Error::Io { what: format!("listen on port {port}"), source: error }),
    }
}
