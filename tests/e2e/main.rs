//! End to end: the real API server, controllers and kubectl, the manifest that ships, and the operator as it runs in a cluster:
//! reached through its Service, with the rights of its own service account.
//!
//! Most tests share one control plane and one operator ([`world::shared`]) and take a fresh namespace each. What stops, starts or counts
//! everything has a control plane of its own, or takes turns on [`world::exclusive`].

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods, missing_docs)]

mod advice;
mod certificates;
mod checks;
mod children;
mod crashes;
mod decisions;
mod during_run;
mod endpoints;
mod examples;
mod explain;
mod gate_input;
mod gate_scope;
mod gated;
mod gates;
mod hosts;
mod input;
mod latency;
mod leadership;
mod limits;
mod manifests;
mod objects;
mod presets;
mod probe_analysis;
mod probe_capacity;
mod probe_cel;
mod probe_disruption_budget;
mod probe_keys;
mod probe_quota;
mod probe_window;
mod quiet;
mod records;
mod relations;
mod removal;
mod replicas;
mod runs;
mod servers;
mod silence;
mod starts;
mod stopping;
mod team;
mod ways_in;
mod world;
