//! What to do next with the webhook's certificates: an authority (CA), the bundle of authorities that API servers trust, and the leaf
//! that every replica serves.
//!
//! Two things lag behind what is stored: API servers go on trusting the bundle they read last, and replicas go on serving the leaf they
//! read last. So a change that both sides must agree on is made in steps, each given [`Lifetimes::settle`] to arrive:
//!
//! 1. a new authority is added to the bundle; the leaf stays ([`Plan::RotateCa`]);
//! 2. once every webhook configuration has been seen with the new authority, and that has settled, the leaf is reissued
//!    ([`Plan::RenewLeaf`]);
//! 3. once no leaf of the old authority can be valid or served any more, the bundle goes without it ([`Plan::Retire`]).
//!
//! The phase is not stored: it follows from the certificates' validity and from which authority signed the leaf, so a leader that takes
//! over, or a Secret restored from a backup, continues at the right step. Only "seen in every configuration since" is remembered by the
//! leader ([`Published`]); forgetting it costs one more settling time.
//!
//! Where there is nothing to protect (no leaf that a client would accept), continuity gives way and the repair is made at once.

use super::problem::Problem;
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

/// How far before its issue a certificate's validity begins, so that a client whose clock is behind accepts it.
pub const BACKDATE: Duration = Duration::from_mins(5);
/// The most authorities in a bundle: the newest, the leaf's, and two that a repair left behind. Bounds the configuration's size however
/// often keys are lost.
pub const MAX_AUTHORITIES: usize = 4;

/// The longest settling time; short lifetimes have a shorter one. Watches deliver in milliseconds; this leaves room for an API server
/// that is being restarted.
const MAX_SETTLE: Duration = Duration::from_mins(10);
/// How soon to look again while the new authority is not in every configuration.
const UNPUBLISHED_RETRY: Duration = Duration::from_secs(30);
/// The longest wait, so that a clock that was set is noticed.
const MAX_WAIT: Duration = Duration::from_hours(12);

/// A certificate of an authority: its DER bytes, compared as they are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthorityId(Arc<[u8]>);

impl AuthorityId {
    /// The identity of a certificate.
    pub fn new(der: &[u8]) -> Self {
        Self(der.into())
    }

    /// The certificate, DER.
    pub fn der(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for AuthorityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = self.0.get(self.0.len().saturating_sub(4)..).unwrap_or_default();
        write!(f, "AuthorityId(…{tail:02x?})")
    }
}

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first instant.
    pub not_before: Timestamp,
    /// The last instant.
    pub not_after: Timestamp,
}

impl Validity {
    /// The validity of what is issued now, for a lifetime.
    pub fn starting(now: Timestamp, lifetime: Duration) -> Self {
        Self { not_before: earlier(now, BACKDATE), not_after: later(now, lifetime) }
    }

    /// The same, ending no later than another.
    #[must_use]
    pub fn within(self, outer: Self) -> Self {
        Self { not_after: self.not_after.min(outer.not_after), ..self }
    }

    /// Why it is not valid now, if so.
    fn check(self, now: Timestamp) -> Result<(), Reason> {
        if now < self.not_before {
            Err(Reason::NotYetValid)
        } else if now > self.not_after {
            Err(Reason::Expired)
        } else {
            Ok(())
        }
    }

    /// When it was issued, by this project's habit of backdating.
    fn issued_at(self) -> Timestamp {
        later(self.not_before, BACKDATE)
    }

    /// The instant when so many hundredths of the lifetime are over.
    fn hundredths(self, hundredths: u32) -> Timestamp {
        let lifetime = Duration::try_from(self.not_after.duration_since(self.issued_at())).unwrap_or(Duration::ZERO);
        later(self.issued_at(), lifetime / 100 * hundredths)
    }

    /// When it is to be renewed.
    fn renew_at(self) -> Timestamp {
        self.hundredths(67)
    }

    /// When it is to be renewed at the price of continuity, since it is about to expire.
    fn urgent_at(self) -> Timestamp {
        self.hundredths(92)
    }
}

/// An authority in the stored bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Which.
    pub id: AuthorityId,
    /// When it is valid.
    pub validity: Validity,
}

/// The stored leaf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The authority in the stored bundle that signed it, if one did.
    pub issuer: Option<AuthorityId>,
    /// When it is valid.
    pub validity: Validity,
    /// The DNS names and IP addresses it is for.
    pub names: BTreeSet<String>,
}

/// What is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// The bundle, newest first; what cannot be read is left out.
    pub authorities: Vec<Authority>,
    /// Whether the stored authority key is the newest authority's.
    pub key_usable: bool,
    /// The leaf; none if it is missing, cannot be read, or its key is another's.
    pub leaf: Option<Leaf>,
}

/// How long certificates live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    ca: Duration,
    leaf: Duration,
}

impl Default for Lifetimes {
    /// Three years and thirty days: a leaf is short-lived since its renewal is exercised all the time; an authority's is a change of
    /// configuration.
    fn default() -> Self {
        Self { ca: Duration::from_hours(3 * 365 * 24), leaf: Duration::from_hours(30 * 24) }
    }
}

impl Lifetimes {
    /// Lifetimes that leave every step its time.
    pub fn new(ca: Duration, leaf: Duration) -> Result<Self, Problem> {
        if leaf < Duration::from_mins(1) {
            return Err(Problem::new("leaf lifetime", "must be at least one minute"));
        }
        if ca / 4 < leaf {
            return Err(Problem::new("CA lifetime", "must be at least four times the leaf's: a rotation waits for leaves to run out"));
        }
        if ca > Duration::from_hours(100 * 366 * 24) {
            return Err(Problem::new("CA lifetime", "must be at most a hundred years"));
        }
        Ok(Self { ca, leaf })
    }

    /// The authority's.
    pub const fn ca(&self) -> Duration {
        self.ca
    }

    /// The leaf's.
    pub const fn leaf(&self) -> Duration {
        self.leaf
    }

    /// How long a change is given to reach every API server and every replica.
    pub fn settle(&self) -> Duration {
        (self.leaf / 8).min(MAX_SETTLE)
    }
}

/// What the certificates should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long they live.
    pub lifetimes: Lifetimes,
    /// The names that the leaf must be for; see [`service_names`].
    pub names: BTreeSet<String>,
}

/// The names under which a Service is called, and one more host or IP address (of a webhook registered by URL).
pub fn service_names(service: &str, namespace: &str, extra: Option<&str>) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = ["", ".svc", ".svc.cluster.local"].iter().map(|end| format!("{service}.{namespace}{end}")).collect();
    names.insert(service.to_owned());
    if let Some(extra) = extra {
        let bare = extra.trim_start_matches('[').trim_end_matches(']');
        // An address has many spellings (`::1`, `0:0::1`); a certificate's has one.
        names.insert(bare.parse::<IpAddr>().map_or_else(|_| extra.to_ascii_lowercase(), |address| address.to_string()));
    }
    names
}

/// The authorities that every webhook configuration carries, each with the instant since when this process has seen that. Where there is
/// no configuration, nobody calls, and the stored bundle counts as published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published(BTreeMap<AuthorityId, Timestamp>);

impl Published {
    /// The same after another look. An authority that is missing from one configuration starts anew.
    #[must_use]
    pub fn observe(&self, in_every_configuration: impl IntoIterator<Item = AuthorityId>, now: Timestamp) -> Self {
        let since = |id: &AuthorityId| self.0.get(id).map_or(now, |since| (*since).min(now));
        Self(
            in_every_configuration
                .into_iter()
                .map(|id| {
                    let since = since(&id);
                    (id, since)
                })
                .collect(),
        )
    }

    /// When an authority will have settled, if it is published.
    fn settled_at(&self, id: &AuthorityId, settle: Duration) -> Option<Timestamp> {
        self.0.get(id).map(|since| later(*since, settle))
    }
}

/// Why something is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nothing is stored.
    Missing,
    /// What is stored cannot be read, or a key does not belong to its certificate.
    Unreadable,
    /// The stored authority key is not the newest authority's.
    KeyLost,
    /// It has expired.
    Expired,
    /// It is not valid yet: some clock was wrong.
    NotYetValid,
    /// The leaf is for other names: the Service was renamed.
    WrongNames,
    /// The leaf was signed by no authority in the bundle.
    UnknownIssuer,
    /// Two thirds of its lifetime are over.
    Due,
    /// A new authority has been published.
    NewAuthority,
}

impl Reason {
    /// The word in a log line, an event and a metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "Missing",
            Self::Unreadable => "Unreadable",
            Self::KeyLost => "KeyLost",
            Self::Expired => "Expired",
            Self::NotYetValid => "NotYetValid",
            Self::WrongNames => "WrongNames",
            Self::UnknownIssuer => "UnknownIssuer",
            Self::Due => "Due",
            Self::NewAuthority => "NewAuthority",
        }
    }
}

/// The next step. After each but [`Plan::Keep`]: store the result, publish its bundle, and plan again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing to make. The stored bundle is to be in every configuration all the same.
    Keep {
        /// When to plan again, if nothing changes before.
        check_again_at: Timestamp,
        /// The newest authority is not in every configuration yet, or has only just arrived.
        awaiting_publication: bool,
    },
    /// Make an authority and a leaf: nobody can be served with what there is.
    IssueAll {
        /// Why.
        because: Reason,
        /// The authorities that stay in the bundle, behind the new one.
        retain: Vec<AuthorityId>,
    },
    /// Make an authority, put it first in the bundle, and leave the leaf alone.
    RotateCa {
        /// Why.
        because: Reason,
        /// The authorities that stay in the bundle, behind the new one.
        retain: Vec<AuthorityId>,
    },
    /// Make a leaf, signed by the newest authority.
    RenewLeaf {
        /// Why.
        because: Reason,
    },
    /// Leave authorities out of the bundle that nothing depends on any more.
    Retire {
        /// The authorities that stay in the bundle.
        retain: Vec<AuthorityId>,
    },
}

/// The next step for what is stored (none: nothing is), as published, at an instant.
pub fn plan(stored: Option<&Stored>, published: &Published, settings: &Settings, now: Timestamp) -> Plan {
    let Some(stored) = stored else {
        return Plan::IssueAll { because: Reason::Missing, retain: Vec::new() };
    };
    let Some(newest) = stored.authorities.first() else {
        return Plan::IssueAll { because: Reason::Unreadable, retain: Vec::new() };
    };
    let can_sign = if stored.key_usable { newest.validity.check(now) } else { Err(Reason::KeyLost) };
    match (can_sign, served(stored, settings, now)) {
        (Err(because), Err(_)) => Plan::IssueAll { because, retain: retained(stored, None, now) },
        (Err(because), Ok((_, issuer))) => Plan::RotateCa { because, retain: retained(stored, Some(issuer), now) },
        (Ok(()), Err(because)) => Plan::RenewLeaf { because },
        (Ok(()), Ok((leaf, issuer))) if *issuer == newest.id => steady(stored, newest, leaf, settings, now),
        (Ok(()), Ok((leaf, _))) => switching(newest, leaf, published, settings, now),
    }
}

/// The leaf and its issuer, if a client would accept them.
fn served<'a>(stored: &'a Stored, settings: &Settings, now: Timestamp) -> Result<(&'a Leaf, &'a AuthorityId), Reason> {
    let leaf = stored.leaf.as_ref().ok_or(Reason::Unreadable)?;
    let issuer = stored.authorities.iter().find(|authority| Some(&authority.id) == leaf.issuer.as_ref()).ok_or(Reason::UnknownIssuer)?;
    issuer.validity.check(now)?;
    leaf.validity.check(now)?;
    if settings.names.is_subset(&leaf.names) { Ok((leaf, &issuer.id)) } else { Err(Reason::WrongNames) }
}

/// The leaf is the newest authority's.
fn steady(stored: &Stored, newest: &Authority, leaf: &Leaf, settings: &Settings, now: Timestamp) -> Plan {
    if now >= newest.validity.renew_at() {
        return Plan::RotateCa { because: Reason::Due, retain: retained(stored, Some(&newest.id), now) };
    }
    if now >= leaf.validity.renew_at() {
        return Plan::RenewLeaf { because: Reason::Due };
    }
    let wake = newest.validity.renew_at().min(leaf.validity.renew_at());
    let retirements = || stored.authorities.iter().skip(1).map(|old| retire_at(old, newest, leaf, &settings.lifetimes));
    if retirements().any(|at| now >= at) {
        let stays = |old: &&Authority| old.id == newest.id || now < retire_at(old, newest, leaf, &settings.lifetimes);
        return Plan::Retire { retain: stored.authorities.iter().filter(stays).map(|authority| authority.id.clone()).collect() };
    }
    keep(retirements().fold(wake, Timestamp::min), false, now)
}

/// The leaf is an older authority's: the newest waits to be known everywhere.
fn switching(newest: &Authority, leaf: &Leaf, published: &Published, settings: &Settings, now: Timestamp) -> Plan {
    let settled_at = published.settled_at(&newest.id, settings.lifetimes.settle());
    if settled_at.is_some_and(|at| now >= at) {
        return Plan::RenewLeaf { because: Reason::NewAuthority };
    }
    if now >= leaf.validity.urgent_at() {
        return Plan::RenewLeaf { because: Reason::Due };
    }
    let wake = settled_at.unwrap_or_else(|| later(now, UNPUBLISHED_RETRY));
    keep(wake.min(leaf.validity.urgent_at()), true, now)
}

/// When an old authority may leave the bundle: the leaf in place has arrived everywhere, and either no leaf of the old one is valid any
/// longer (its key was given up when the newest was made, so its last leaf is older than that), or it has itself expired.
fn retire_at(old: &Authority, newest: &Authority, leaf: &Leaf, lifetimes: &Lifetimes) -> Timestamp {
    let leaf_lifetime = Duration::try_from(leaf.validity.not_after.duration_since(leaf.validity.not_before)).unwrap_or_default();
    let last_leaf_ends = later(newest.validity.issued_at(), leaf_lifetime.max(lifetimes.leaf));
    let leaf_arrived = later(leaf.validity.issued_at(), lifetimes.settle());
    later(last_leaf_ends, lifetimes.settle()).min(old.validity.not_after).max(leaf_arrived)
}

/// The authorities that stay behind a new one: those not expired, the leaf's first of all if there is no room for all.
fn retained(stored: &Stored, issuer: Option<&AuthorityId>, now: Timestamp) -> Vec<AuthorityId> {
    let mut room = MAX_AUTHORITIES - 1;
    let needed = |authority: &&Authority| Some(&authority.id) == issuer;
    room -= usize::from(stored.authorities.iter().any(|authority| needed(&authority)));
    let keeps = |authority: &&Authority| {
        if needed(authority) {
            return true;
        }
        let fits = authority.validity.not_after >= now && room > 0;
        room -= usize::from(fits);
        fits
    };
    stored.authorities.iter().filter(keeps).map(|authority| authority.id.clone()).collect()
}

/// Keep, and look again at an instant that is neither past nor far.
fn keep(wake: Timestamp, awaiting_publication: bool, now: Timestamp) -> Plan {
    let check_again_at = wake.clamp(later(now, Duration::from_secs(1)), later(now, MAX_WAIT));
    Plan::Keep { check_again_at, awaiting_publication }
}

/// So much later, or the end of time.
fn later(instant: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration).ok().and_then(|duration| instant.checked_add(duration).ok()).unwrap_or(Timestamp::MAX)
}

/// So much earlier, or the beginning of time.
fn earlier(instant: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration).ok().and_then(|duration| instant.checked_sub(duration).ok()).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests;
