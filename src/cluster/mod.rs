//! Kubernetes I/O: clients, watches, what is known of the cluster, writes. Knows how, not why.

pub mod access;
pub mod amend;
pub mod apply;
pub mod client;
mod connections;
pub mod contact;
pub mod discovery;
pub mod events;
pub mod fields;
pub mod held;
pub mod lease;
pub mod make;
pub mod references;
pub mod snapshot;
pub mod watch;
