//! The controller of `PreflightRun`: evaluates on demand, and reports.

mod board;
mod shell;
mod timetable;
mod wishes;

pub use shell::{RunController, run};
