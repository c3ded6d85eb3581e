//! The admission webhook: its server and certificates, reviews in and answers out, and its registration with the API server. Nothing here
//! calls the API server while a request waits.

pub mod admit;
pub mod certificates;
pub mod handler;
pub mod issue;
pub mod registration;
pub mod render;
pub mod review;
pub mod server;
pub mod tls;
pub mod wish;
