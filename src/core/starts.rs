//! Starts that were admitted, what of them still runs, and the places that are left: `cooldown` and `concurrency`.
//!
//! The truth is in the API server: what runs is what the watches of the kinds that a gate holds show. What they cannot show is what was admitted and is
//! not stored yet, and two replicas that answer at once would each admit the last one. So no place is taken on the way of a request. There is one
//! way: the request is held, the leader writes a **grant** into the run of that request, and the retry passes by it, at any replica.
//!
//! - A grant may be used for [`USABLE`]. It counts as a place for [`STORED_WITHIN`] longer, because what was admitted by it may still be stored so
//!   late: the API server gives a request a minute, of which its other webhooks may take all.
//! - The replica that held the request gives back what was not used in time: it alone can know that. Then it counts no more, and another may have it.
//! - Who is refused because there is no place does not come back for one: the leader withdraws the run, or the next free place would be kept for nobody.
//! - It counts no more once its object is seen, because then the object itself counts, or is over.
//! - It is used once, at the replica that held the request, which remembers that and tells the run of which object. That a name is its own does not
//!   make more of it safe: what is deleted can be made again under the same name, after its place was given to another.
//! - Only the leader grants, in place of the revision of the run that it saw. A new leader counts each run that has no grant as one that may be
//!   granted yet, by a write of the leader before it that is still on its way, until it has written that run itself ([`Granter`]).
//!
//! `tests` search all orders of these steps, for two replicas, a change of leader, late and lost writes and late watches, for one place too many.

mod book;
mod granter;
mod life;
mod limit;

pub use book::{Aim, Book, Past, PastStart, Place, Started, Subject, Targets, UseOnce};
pub use granter::{Act, Granter, Room, RunKey, RunView, Written};
pub use life::{Life, life};
pub use limit::{Asking, Finding, Limit, Per, Since, find};

use jiff::SignedDuration;

/// For how long a grant may be used at least; longer where clients come back more rarely.
pub const USABLE: SignedDuration = SignedDuration::from_secs(15);
/// For how long after that what was admitted by it may still be stored: the API server's limit for a request, which is a minute unless it is started
/// with another `--request-timeout`, and what clocks and watches may be late.
pub const STORED_WITHIN: SignedDuration = SignedDuration::from_secs(75);

/// The API server's time, as far as this process knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// It is at least this.
    pub earliest: jiff::Timestamp,
    /// It is at most this.
    pub latest: jiff::Timestamp,
}

#[cfg(test)]
mod tests;
