//! A namespace per test.

use std::{sync::atomic::Ordering, time::Duration};

use crate::{ControlPlane, Result, eventually};

const DEADLINE: Duration = Duration::from_secs(30);

impl ControlPlane {
    /// Creates a namespace named `prefix-N` and waits (limit: 30 s) for its `default` service account, without which
    /// no pod can be created. Deleting it takes 5 s; leave it and take a fresh one for the next test.
    pub fn namespace(&self, prefix: &str) -> Result<String> {
        let name = format!("{prefix}-{}", self.names.fetch_add(1, Ordering::Relaxed));
        self.admin().ok(&["create", "namespace", &name])?;
        let admin = self.admin().in_namespace(&name);
        eventually(DEADLINE, &format!("the default service account of {name}"), || admin.ok(&["get", "serviceaccount", "default"]))?;
        Ok(name)
    }
}
