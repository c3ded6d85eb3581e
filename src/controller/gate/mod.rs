//! The controller of `ExperimentGate` and `ClusterExperimentGate`: parses gates, publishes them to the webhook, and keeps their status.

mod board;
mod run;
mod served;

pub use run::{GateController, READY_GATES, run};
