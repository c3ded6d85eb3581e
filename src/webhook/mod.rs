//! The admission webhook: its server and certificates, reviews in and answers out, and its registration with the API server. Nothing here
//! calls the API server while a request waits.

pub mod admit;
pub mod registration;
pub mod render;
pub mod review;
