//! The client of the API server, and the deadline of every call.

use super::connections;
use crate::clock;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::future::Future;
use std::path::Path;
use std::time::Duration;

/// How long one call to the API server may take.
pub const CALL_DEADLINE: Duration = Duration::from_secs(5);

/// How long a connection may be silent. The API server ends a watch after 290 s; a list that never comes must not be waited for for ever.
const SILENCE: Duration = Duration::from_mins(5);

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The API server answered with an error, or could not be reached.
    #[error(transparent)]
    Kube(#[from] kube::Error),
    /// No answer in time.
    #[error("no answer from the API server within {} s", .0.as_secs())]
    Deadline(Duration),
}

impl CallError {
    /// The API server's own status, if it answered.
    pub fn status(&self) -> Option<&kube::core::Status> {
        match self {
            Self::Kube(kube::Error::Api(status)) => Some(status),
            _ => None,
        }
    }

    /// The object is not there.
    pub fn is_not_found(&self) -> bool {
        self.status().is_some_and(is_not_found)
    }

    /// The operator has not the right.
    pub fn is_forbidden(&self) -> bool {
        self.status().is_some_and(kube::core::Status::is_forbidden)
    }

    /// The object is not at the revision that was named.
    pub fn is_conflict(&self) -> bool {
        self.status().is_some_and(kube::core::Status::is_conflict)
    }

    /// What was sent is not acceptable.
    pub fn is_invalid(&self) -> bool {
        self.status().is_some_and(kube::core::Status::is_invalid)
    }
}

/// Something is not there, or not served at all: that is answered in plain text, from which the library makes a status without the reason
/// that it looks for.
pub fn is_not_found(status: &kube::core::Status) -> bool {
    status.is_not_found() || status.code == 404
}

/// Makes a call with the deadline.
pub async fn call<T>(future: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    call_within(CALL_DEADLINE, future).await
}

/// Makes a call that may take longer than others.
pub async fn call_within<T>(limit: Duration, future: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match clock::within(limit, future).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(CallError::Deadline(limit)),
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The kubeconfig cannot be used.
    #[error("kubeconfig {path}: {error}")]
    Kubeconfig {
        /// Its path.
        path: String,
        /// What is wrong.
        error: kube::config::KubeconfigError,
    },
    /// No kubeconfig was named and the process does not run in a cluster.
    #[error("no --kubeconfig given, and neither a cluster's service account nor a default kubeconfig was found: {0}")]
    Infer(#[from] kube::config::InferConfigError),
    /// The configuration does not make a client.
    #[error("cannot make a client: {0}")]
    Client(#[from] kube::Error),
}

/// A client, and the namespace that its configuration names. Watches, calls and the Lease have connections of their own behind it, so one is
/// enough for all. Calls are not retried: an answer that comes late is worth nothing here, and the callers have their own rhythm.
pub async fn connect(kubeconfig: Option<&Path>) -> Result<(Client, String), ClientError> {
    connect_in(kubeconfig, None).await
}

/// As [`connect`], in a context of the kubeconfig that need not be its current one.
pub async fn connect_in(kubeconfig: Option<&Path>, context: Option<&str>) -> Result<(Client, String), ClientError> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let mut config = match (kubeconfig, context) {
        (Some(path), _) => {
            let wrong = |error| ClientError::Kubeconfig { path: path.display().to_string(), error };
            let file = Kubeconfig::read_from(path).map_err(wrong)?;
            kube::Config::from_custom_kubeconfig(file, &options).await.map_err(wrong)?
        }
        (None, Some(_)) => {
            let wrong = |error| ClientError::Kubeconfig { path: "by default".to_owned(), error };
            kube::Config::from_kubeconfig(&options).await.map_err(wrong)?
        }
        (None, None) => kube::Config::infer().await?,
    };
    config.connect_timeout = Some(CALL_DEADLINE);
    config.read_timeout = Some(SILENCE);
    let namespace = config.default_namespace.clone();
    Ok((connections::client(&config)?, namespace))
}
