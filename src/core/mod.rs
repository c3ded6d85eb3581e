//! Decisions: values in, values out, the time a parameter. Knows no runtime, no client, no socket, no file and no clock.

pub mod certificates;
pub mod check_status;
pub mod clock_offset;
pub mod coverage;
pub mod expr;
pub mod freshness;
pub mod gate;
pub mod gate_status;
pub mod host;
pub mod json_path;
pub mod lease;
pub mod liveness;
pub mod moment;
pub mod netpolicy;
pub mod observation;
pub mod overrides;
pub mod problem;
pub mod quantity;
pub mod records;
pub mod registration;
pub mod selector;
pub mod share;
pub mod text;
pub mod validate;
pub mod verdict;
pub mod window;
