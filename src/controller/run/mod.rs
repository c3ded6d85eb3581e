//! The controller of `PreflightRun`: evaluates on demand, and reports.

mod board;
mod run;
mod timetable;
mod wishes;

pub use run::{RunController, run};
