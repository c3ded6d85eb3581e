//! A real Kubernetes control plane for tests, the demo and development: etcd, kube-apiserver and
//! kube-controller-manager as ordinary processes on loopback, and the real kubectl to talk to them.
//! There is no container engine, no kubelet, no scheduler and no kube-proxy. Linux only: it relies on all of
//! 127.0.0.0/8 being local.
//!
//! ```no_run
//! # fn main() -> control_plane::Result<()> {
//! let cluster = control_plane::ControlPlane::start()?;
//! let team = cluster.namespace("team")?;
//! cluster.admin().in_namespace(&team).ok(&["create", "deployment", "web", "--image=web:1"])?;
//! cluster.run_pods(&team, "app=web")?; // no kubelet: the harness plays it
//! # Ok(())
//! # }
//! ```
//!
//! What stands in for the missing parts:
//! * kubelet: [`ControlPlane::node`], [`ControlPlane::run_pods`], [`ControlPlane::break_pods`];
//! * kube-proxy: the Service range lies in 127.0.0.0/8, so a Service's address can be listened on ([`Operator`]),
//!   or shared between replicas ([`Splitter`]);
//! * an identity provider: [`ControlPlane::user`] (client certificate), [`ControlPlane::service_account`] (token).
//!
//! Everything waits with a deadline and says in its error what it waited for and what it saw last. Servers end when
//! this process does, however it ends. The crate is synchronous and does not know the product crate.

// The product takes time from one place and never sleeps; here, waiting for other processes is the job.
#![allow(clippy::disallowed_methods)]

mod agent;
mod assets;
mod cache;
mod control_plane;
#[allow(clippy::indexing_slicing, reason = "indexing a JSON value for reading gives null, it does not panic")]
mod crds;
mod error;
mod go_build;
mod http;
mod installation;
mod janitor;
mod kubeconfig;
mod kubectl;
mod logs;
mod namespaces;
mod nodes;
mod operator;
mod pki;
#[allow(clippy::indexing_slicing, reason = "indexing a JSON value for reading gives null, it does not panic")]
mod pods;
mod poll;
mod ports;
mod process;
mod progress;
mod servers;
mod service_range;
mod splitter;
mod subject;
mod timestamp;
mod users;
#[allow(clippy::indexing_slicing, reason = "indexing a JSON value for reading gives null, it does not panic")]
mod workloads;

pub use agent::Agent;
pub use assets::Programs;
pub use control_plane::{ControlPlane, Options};
pub use crds::other_projects;
pub use error::{Error, Result};
pub use installation::Installation;
pub use kubectl::{Kubectl, Output};
pub use nodes::NodeShape;
pub use operator::{Operator, OperatorOptions};
pub use poll::eventually;
pub use splitter::Splitter;
