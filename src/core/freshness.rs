//! What a replica may believe, of what it watched and of what another replica observed.
//!
//! The leader writes a check's status only when its meaning changes, so an old status may be as good as a new one. What tells is the
//! [`Watermark`]: everything due up to an instant was evaluated, and the statuses that say so are at a revision. `docs/freshness.md` has the
//! whole protocol, and `tests` below search it for a start that rests on an observation older than allowed.

use super::clock_offset::Offset;
use super::verdict::{CLOCK_TOLERANCE, Standing, State, Verdict};
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

/// How old the proof may be that the watches deliver. Without one, what was watched counts as unknown.
pub const PROOF_LASTS: SignedDuration = SignedDuration::from_secs(5);
/// How far the clock of a replica may be from the API server's before nothing that depends on it is believed.
pub const CLOCK_BUDGET: SignedDuration = SignedDuration::from_secs(5);

/// A resource version of one kind's objects, which may be compared: <https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl Revision {
    /// Reads one; whatever is not a number is not comparable, and counts as none.
    pub fn parse(text: Option<&str>) -> Option<Self> {
        text?.parse().ok().map(Self)
    }
}

/// What the leader vouches for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Watermark {
    /// Every evaluation that was due up to this instant, of the API server's time, has been made, or the check's status says that it is overdue.
    pub time: Timestamp,
    /// The statuses that say what came of it are at this revision or before.
    pub revision: Revision,
    /// Which leadership this is; each is one more than the last.
    pub term: i64,
    /// Up to this revision the leader took over what those before it wrote.
    pub since: Revision,
}

impl Watermark {
    /// Whether it vouches for a status. A deposed leader may still write: what it wrote after another took over is nobody's word but its own.
    pub fn covers(&self, reported: &Reported) -> bool {
        !reported.overdue && (reported.term == Some(self.term) || reported.revision <= self.since)
    }
}

/// What a status says of a passing check that another replica observed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// When it was last observed passing, of the API server's time.
    pub last_passing: Option<Timestamp>,
    /// From one evaluation to the next.
    pub interval: SignedDuration,
    /// The revision of the object that carries the status.
    pub revision: Revision,
    /// The leadership that wrote it.
    pub term: Option<i64>,
    /// The status itself says that no watermark counts for it: an evaluation is late, its last ones failed and were forgiven, or what passed
    /// need not run again.
    pub overdue: bool,
    /// How long a passing observation is believed.
    pub stale_after: Option<SignedDuration>,
}

impl Reported {
    /// When the check was observed passing at the latest, as far as is known.
    pub fn observed(&self, watermark: Option<&Watermark>) -> Option<Timestamp> {
        let vouched = watermark.filter(|w| w.covers(self)).and_then(|w| w.time.checked_sub(self.interval).ok());
        self.last_passing.max(vouched)
    }
}

/// Where a state comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Basis {
    /// It is a view of watched objects, or of nothing but the clock.
    Live,
    /// This replica observed it.
    Observed,
    /// Another one did, and wrote it down.
    Reported(Reported),
}

/// What a replica knows of its own knowledge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// When it was last proved that watches deliver, by the replica's clock.
    pub proved_at: Option<Timestamp>,
    /// The newest watermark whose revision the replica's own watch of checks has reached.
    pub watermark: Option<Watermark>,
    /// How far the replica's clock is from the API server's; `None` before it was measured.
    pub offset: Option<Offset>,
}

impl Freshness {
    /// Whether watches were proved to deliver not too long ago. A proof from the future is none: the clock was set back.
    pub fn proved(&self, now: Timestamp) -> bool {
        self.proved_at.is_some_and(|at| now.duration_since(at) <= PROOF_LASTS && at.duration_since(now) <= CLOCK_TOLERANCE)
    }

    /// The replica's clock is known to be near enough to the API server's.
    pub fn clock_is_right(&self) -> bool {
        self.offset.is_some_and(|offset| offset.within(CLOCK_BUDGET))
    }

    /// The latest that the API server's clock can show now.
    pub fn server_time(&self, now: Timestamp) -> Option<Timestamp> {
        self.offset.and_then(|offset| now.checked_add(offset.latest).ok())
    }
}

/// What a state is worth at an instant, to this replica.
pub fn standing(state: &State, basis: &Basis, freshness: &Freshness, now: Timestamp) -> Standing {
    let believed = match state.verdict {
        Verdict::Failing | Verdict::Unknown => return state.standing(now),
        Verdict::Passing => Standing::Passing,
        Verdict::Warning => Standing::Warning,
    };
    match basis {
        Basis::Live if freshness.proved(now) => state.standing(now),
        Basis::Observed if freshness.clock_is_right() => state.standing(now),
        Basis::Reported(reported) if freshness.clock_is_right() => {
            let age = |at| freshness.server_time(now).map(|now| now.duration_since(at));
            match (reported.observed(freshness.watermark.as_ref()), reported.stale_after) {
                (None, _) => Standing::Unknown,
                (Some(_), None) => believed,
                (Some(at), Some(allowed)) if age(at).is_some_and(|age| age < allowed) => believed,
                _ => Standing::Stale,
            }
        }
        _ => Standing::Unknown,
    }
}

/// How old the observation is on which the state rests; zero if the clock was set back.
pub fn age(state: &State, basis: &Basis, freshness: &Freshness, now: Timestamp) -> Option<Duration> {
    match basis {
        Basis::Live | Basis::Observed => state.age(now),
        Basis::Reported(reported) => {
            let at = if state.verdict.passes() { reported.observed(freshness.watermark.as_ref()) } else { state.evaluated_at };
            at.map(|at| Duration::try_from(freshness.server_time(now).unwrap_or(now).duration_since(at)).unwrap_or(Duration::ZERO))
        }
    }
}

/// How long a passing observation is believed.
pub fn believed_for(state: &State, basis: &Basis) -> Option<Duration> {
    let believed = match basis {
        Basis::Live | Basis::Observed => state.stale_at.zip(state.evaluated_at).map(|(stale, evaluated)| stale.duration_since(evaluated)),
        Basis::Reported(reported) => reported.stale_after,
    };
    believed.and_then(|d| Duration::try_from(d).ok())
}

/// Why a passing state is not believed for a reason that is not the check's own, in one line.
pub fn distrust(state: &State, basis: &Basis, freshness: &Freshness, now: Timestamp) -> Option<String> {
    if !state.verdict.passes() {
        return None;
    }
    let since = |at: Timestamp| format!(" for {} s", now.duration_since(at).as_secs().max(0));
    match basis {
        Basis::Live if !freshness.proved(now) => {
            let silent = freshness.proved_at.map_or_else(String::new, since);
            Some(format!("the API server has not been heard of{silent}, so what was watched is not believed"))
        }
        Basis::Observed | Basis::Reported(_) if !freshness.clock_is_right() => Some(match freshness.offset {
            None => "the operator has not yet compared its clock with the API server's".to_owned(),
            Some(_) => format!("the operator's clock is more than {} s from the API server's", CLOCK_BUDGET.as_secs()),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
