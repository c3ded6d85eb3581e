//! The controller of `PreflightCheck`: keeps each check's verdict current.

mod access;
mod engine;
mod objects;
mod packed_object;
mod per_request;
mod plan;
mod publishing;
mod run;
mod sources;

pub use engine::{Answer, Input, Ticket};
pub use objects::CheckKey;
pub use plan::remediation;
pub use run::{CheckController, READY_CHECKS, run};
