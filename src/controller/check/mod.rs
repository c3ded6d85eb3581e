//! The controller of `PreflightCheck`: keeps each check's verdict current.

mod access;
mod engine;
mod objects;
mod plan;
mod run;
mod sources;

pub use run::{CheckController, READY_CHECKS, run};
