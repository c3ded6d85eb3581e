//! Experiments that run: stops those whose gate says so when a check turns Failing, and touches the parents of refused children when a gate opens.
//! The leader alone does so. What is done is decided in [`crate::core::during_run`].

mod acting;
mod kinds;
mod nudging;
mod run;
mod telling;

pub use nudging::Opened;
pub use run::{ExperimentController, run};
