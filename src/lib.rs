//! Holdpoint: preflight checks and experiment gates for Kubernetes.
//!
//! A reconcile loop keeps each check's verdict current; a validating webhook refuses the start of VMs and chaos experiments while a required
//! check does not pass. The core decides: values in, values out, the time a parameter. Shells do I/O and hold no opinions.
//!
//! ```text
//!         Kubernetes API: list, watch, apply                 API server: AdmissionReview
//!                      |                                               |
//!               cluster/ watch, apply                       webhook/ TLS, parse, render
//!                      |        \                                      |
//!       controller/ one per kind  +----> cluster/snapshot (read without a lock)
//!          |        |                                                  |
//!    probe/ observe |                                                  v
//!          |        +------------------> core/ <------------------ core::gate::decide
//!          +--- Observation -----------> verdicts, statuses, decisions
//! ```
//!
//! Dependencies point one way, `cmd -> {controller, webhook} -> {cluster, probe} -> core -> api`; [`clock`] and [`telemetry`] are leaves that
//! `core` and `api` may not use. `tests/architecture.rs` refuses any other edge.

pub mod agent;
pub mod api;
pub mod clock;
pub mod cluster;
pub mod cmd;
pub mod controller;
pub mod core;
pub mod probe;
pub mod telemetry;
pub mod webhook;
