//! Logs, metrics, and the health endpoints' state.

pub mod health;
pub mod logs;
pub mod metrics;
