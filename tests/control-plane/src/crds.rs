//! Custom resource definitions.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use crate::{ControlPlane, Result, eventually};

const DEADLINE: Duration = Duration::from_secs(30);

/// The folder of minimal CRDs of other projects (`KubeVirt`, Chaos Mesh, Litmus): real names, versions and scopes, and
/// a schema that takes anything.
pub fn other_projects() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("crds")
}

impl ControlPlane {
    /// Applies a file or folder of CRDs and waits (limit: 30 s) until all CRDs of the cluster are established. Install
    /// all at the start: the first create of a kind within 2 s of that is held up for 2 s by the API server.
    pub fn install_crds(&self, path: &Path) -> Result<()> {
        self.admin().apply(path)?;
        eventually(DEADLINE, "all CRDs to be established", || {
            let crds = self.admin().json(&["get", "customresourcedefinitions"]).map_err(|error| error.to_string())?;
            let items = crds.pointer("/items").and_then(Value::as_array);
            let mut waiting = items.into_iter().flatten().filter(|crd| !is_established(crd));
            waiting.next().map_or(Ok(()), |crd| Err(format!("{} is not", crd.pointer("/metadata/name").unwrap_or(&Value::Null))))
        })
    }
}

fn is_established(crd: &Value) -> bool {
    let conditions = crd.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| condition["type"] == "Established" && condition["status"] == "True")
}
