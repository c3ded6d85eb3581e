//! How to observe one target, one protocol a file. Returns an [`Observation`](crate::core::observation::Observation), never a verdict.
