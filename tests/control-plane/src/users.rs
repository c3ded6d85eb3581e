//! Users other than the administrator.

use std::sync::atomic::Ordering;

use crate::{
    ControlPlane, Kubectl, Result,
    kubeconfig::{self, Credential},
};

impl ControlPlane {
    /// kubectl as a person: a client certificate with this name and these groups. May do nothing until RBAC says so.
    pub fn user(&self, name: &str, groups: &[&str]) -> Result<Kubectl> {
        let file = self.next_file("user");
        let identity = self.pki.client(&file, name, groups)?;
        self.client(&file, &Credential::Certificate(&identity))
    }

    /// kubectl as a service account, with a token (`TokenRequest`) that is valid for 24 h. The account must exist.
    pub fn service_account(&self, namespace: &str, name: &str) -> Result<Kubectl> {
        let token = self.admin().in_namespace(namespace).ok(&["create", "token", name, "--duration=24h"])?;
        let file = self.next_file("service-account");
        self.client(&file, &Credential::Token(token.trim()))
    }

    /// As [`ControlPlane::service_account`], with the token that a pod gets: bound to it and to its node.
    pub fn pod_account(&self, namespace: &str, name: &str, pod: &str) -> Result<Kubectl> {
        let bound = ["create", "token", name, "--duration=1h", "--bound-object-kind=Pod", "--bound-object-name", pod];
        let token = self.admin().in_namespace(namespace).ok(&bound)?;
        let file = self.next_file("pod-account");
        self.client(&file, &Credential::Token(token.trim()))
    }

    fn client(&self, file: &str, credential: &Credential<'_>) -> Result<Kubectl> {
        let kubeconfig = self.data_file(&format!("{file}.kubeconfig"));
        kubeconfig::write(&kubeconfig, &self.servers.api_url(), &self.pki.authority(), credential)?;
        Ok(Kubectl::new(self.programs().path("kubectl"), kubeconfig, self.data_file("kubectl-cache")))
    }

    fn next_file(&self, kind: &str) -> String {
        format!("{kind}-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }
}
