//! The controller of `PreflightCheck`: keeps each check's verdict current.

mod engine;
mod live;
mod objects;
mod plan;
mod run;

pub use run::{CheckController, READY_CHECKS, run};
