//! Where the four programs are.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::{Error, Result, go_build};

/// Each program with the Go package it is built from.
pub(crate) const PROGRAMS: [(&str, &str); 4] = [
    ("etcd", "go.etcd.io/etcd/server/v3"),
    ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    ("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
];

/// The folder of the four programs.
#[derive(Debug, Clone)]
pub struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// The folder that `KUBEBUILDER_ASSETS` names; else this machine's cache, which is filled first if need be
    /// (once per machine and version; about 8 minutes on 2 cores, with progress on standard error).
    pub fn find_or_build() -> Result<Programs> {
        if let Some(folder) = env::var_os("KUBEBUILDER_ASSETS").filter(|value| !value.is_empty()) {
            return Programs::given(PathBuf::from(folder));
        }
        Ok(Programs { folder: go_build::find_or_build()? })
    }

    /// The folder that holds them.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of one of them, such as `kubectl`.
    pub fn path(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }

    fn given(folder: PathBuf) -> Result<Programs> {
        let missing = missing(&folder);
        if missing.is_empty() { Ok(Programs { folder }) } else { Err(Error::AssetsMissing { folder, missing }) }
    }
}

/// The names of the programs that the folder lacks; empty if it has all.
pub(crate) fn missing(folder: &Path) -> String {
    let missing: Vec<&str> = PROGRAMS.iter().map(|(program, _)| *program).filter(|program| !folder.join(program).is_file()).collect();
    missing.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_folder_must_hold_all_four() {
        let folder = env::temp_dir().join(format!("control-plane-assets-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        for program in ["etcd", "kubectl"] {
            std::fs::write(folder.join(program), "").unwrap();
        }
        let error = Programs::given(folder.clone()).unwrap_err().to_string();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(error.ends_with("lacks: kube-apiserver, kube-controller-manager"), "{error}");
    }
}
