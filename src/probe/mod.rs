//! How to observe one target, one protocol a file. Returns an [`Observation`](crate::core::observation::Observation), never a verdict.
//!
//! There are two families (see [`Plan`]). **Live** probes are pure functions of watched objects and the time. **Probed** ones go over the
//! network, through the one [`net::Dialer`].
//!
//! A new probe is one new file here, one variant in [`crate::api::Probe`], one arm in the dispatch of `plan.rs`, its tests and its example:
//! `CONTRIBUTING.md` walks through it.

pub mod analysis;
mod attempts;
pub mod blast_radius;
pub mod capacity;
pub mod cel;
pub mod composite;
pub mod concurrency;
pub mod condition;
pub mod cooldown;
pub mod disruption_budget;
pub mod host;
pub mod http;
pub mod keys;
mod live;
pub mod net;
pub mod node;
mod objects;
mod plan;
pub mod quota;
pub mod rollout;
mod starts;
pub mod tcp;
pub mod window;

pub use attempts::{Attempts, observe as observe_probed};
pub use live::{
    Asked, CheckSelection, LiveProbe, Look, MemberFact, Place, ProbedProbe, Reference, Related, TargetRule, guarded, observe,
    observe_request,
};
pub use objects::{NOT_SYNCED, NotSynced, ReadObjects};
pub use plan::{KeyState, KeyStates, Outbound, Plan, ReadReferences, ReferenceError, ReferenceKind};
