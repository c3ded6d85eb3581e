//! What can go wrong, each with all that is needed to understand it from the text alone.

use std::{io, path::PathBuf, time::Duration};

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the control plane, or a request to it, failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused something.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was attempted, as the words after "cannot".
        what: String,
        /// The system's reason.
        source: io::Error,
    },
    /// `KUBEBUILDER_ASSETS` is set, but does not hold all programs.
    #[error("KUBEBUILDER_ASSETS is {folder}, which lacks: {missing}")]
    AssetsMissing {
        /// The folder that the variable names.
        folder: PathBuf,
        /// The programs that are not in it.
        missing: String,
    },
    /// Go is missing or too old, so the programs cannot be built.
    #[error(
        "{problem}. The Kubernetes test control plane is built from Go modules and needs Go {needed} or newer: \
         install it from https://go.dev/dl/ (or with your package manager) so that `go version` works; or set \
         KUBEBUILDER_ASSETS to a folder that holds etcd, kube-apiserver, kube-controller-manager and kubectl"
    )]
    Go {
        /// What was found instead.
        problem: String,
        /// The oldest version that will do.
        needed: String,
    },
    /// `assets/go.mod` lacks a line that the build depends on.
    #[error("{file} has no line `{line}`")]
    GoMod {
        /// The file.
        file: PathBuf,
        /// How the line begins.
        line: String,
    },
    /// A server ended by itself.
    #[error("{program} ended with exit code {code}; the end of {log}:\n{tail}")]
    Exited {
        /// Which one.
        program: String,
        /// Its exit code; 128 + n if signal n ended it.
        code: i32,
        /// The whole log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// Something did not come to hold in time.
    #[error("waited {} s for {what}; last seen: {last}", after.as_secs_f32())]
    Deadline {
        /// What was waited for.
        what: String,
        /// For how long.
        after: Duration,
        /// Why it did not hold when last looked at.
        last: String,
    },
    /// As [`Error::Deadline`], for something that a server's log explains.
    #[error("{error}\nThe end of {log}:\n{tail}")]
    Logged {
        /// What went wrong.
        error: Box<Error>,
        /// The whole log.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// kubectl ended with an exit code other than 0.
    #[error("`{command}` ended with exit code {code}\n{stderr}{stdout}")]
    Kubectl {
        /// The command line.
        command: String,
        /// Its exit code.
        code: i32,
        /// Its standard output.
        stdout: String,
        /// Its standard error.
        stderr: String,
    },
    /// The API server answered with something unexpected.
    #[error("{what}: {found}")]
    Unexpected {
        /// What was being read.
        what: String,
        /// What was there.
        found: String,
    },
    /// A selector that the harness does not understand.
    #[error("the selector `{0}` is not a list of key=value")]
    Selector(String),
    /// Every Service range is in use by another control plane.
    #[error("all of 127.66.0.0/24 to 127.126.0.0/24 are taken by other control planes on this machine")]
    NoServiceRange,
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A certificate that was just made could not be read back.
    #[error("a certificate's DER encoding is not what was expected")]
    Der,
    /// Text that should have been JSON is not.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// Wraps a system error: `.map_err(Error::io("read the file"))`.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let what = what.into();
        move |source| Error::Io { what, source }
    }

    /// Whether another program took a port between its choice and its use.
    pub(crate) fn is_port_collision(&self) -> bool {
        match self {
            Error::Exited { tail, .. } => tail.contains("address already in use"),
            Error::Logged { error, .. } => error.is_port_collision(),
            _ => false,
        }
    }
}
