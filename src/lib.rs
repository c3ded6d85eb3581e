//! wip
pub mod api;
pub mod clock;
pub mod cluster;
pub mod controller;
pub mod core;
pub mod probe;
pub mod telemetry;
pub mod webhook;
