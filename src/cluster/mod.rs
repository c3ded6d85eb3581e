//! Kubernetes I/O: clients, watches, what is known of the cluster, writes. Knows how, not why.

pub mod apply;
pub mod client;
pub mod contact;
pub mod discovery;
pub mod events;
pub mod references;
pub mod snapshot;
pub mod watch;
