//! One controller a kind: read, decide in [`crate::core`], observe through [`crate::probe`], apply through [`crate::cluster`].

pub mod check;
pub mod experiments;
pub mod gate;
pub mod starts;
pub mod run;
