//! wip
pub mod api;
pub mod clock;
pub mod core;
pub mod probe;
