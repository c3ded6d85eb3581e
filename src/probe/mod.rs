//! How to observe one target, one protocol a file. Returns an [`Observation`](crate::core::observation::Observation), never a verdict.
//!
//! There are two families (see [`Plan`]). **Live** probes are pure functions of watched objects and the time. **Probed** ones go over the
//! network, through the one [`net::Dialer`].
//!
//! A new probe is one new file here, one variant in [`crate::api::Probe`], one arm in the dispatch of `plan.rs`, its tests and its example.

mod attempts;
pub mod condition;
pub mod http;
pub mod net;
pub mod node;
mod objects;
mod plan;
pub mod rollout;
pub mod tcp;
pub mod window;

pub use attempts::{Attempts, observe};
pub use objects::{NOT_SYNCED, NotSynced, ReadObjects};
pub use plan::{Live, Outbound, Plan, Probed, ReadReferences, ReferenceError, ReferenceKind, Related};
