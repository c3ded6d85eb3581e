//! Decisions: values in, values out, the time a parameter. Knows no runtime, no client, no socket, no file and no clock.

pub mod observation;
pub mod problem;
pub mod text;
