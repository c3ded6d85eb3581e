//! One controller a kind: read, decide in [`crate::core`], observe through [`crate::probe`], apply through [`crate::cluster`].

pub mod check;
pub mod experiments;
pub mod gate;
pub mod run;
pub mod starts;
