//! Hold: the client is asked to come back, and what is needed is evaluated meanwhile.
//!
//! The webhook keeps nothing of a request, so it cannot tell a first try from a later one. What tells is the `PreflightRun` that the first one
//! asked for: it is found by gate, object and requester.

use super::{GateKey, Judgement, Request};
use crate::api::{Operation, Response, VerdictName};
use jiff::{SignedDuration, Timestamp};
use ring::digest::{Context, SHA256};
use serde_json::Value;
use std::cell::OnceCell;
use std::fmt;

/// The largest object that is held, in bytes of JSON: a run is to carry it.
pub const MAX_HELD_BYTES: usize = 64 * 1024;
/// For how long after the time is over tries are still of the request that was held; later ones are of a new one.
const AFTERWARDS: SignedDuration = SignedDuration::from_secs(30);
/// Tries of the first seconds are a second apart: most evaluations take no longer.
const EAGER: SignedDuration = SignedDuration::from_secs(3);
/// How many tries are left after these, of the ten that kubectl and client-go make.
const LATER_TRIES: i64 = 6;

/// Which wait: whoever asks for the same object again, at the same gate, goes on with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HoldKey {
    /// The gate.
    pub gate: GateKey,
    /// What is asked for.
    pub object: Digest,
    /// Who asks.
    pub requester: String,
}

/// What tells one object that is asked for from another: 128 bits of a SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub u128);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl HoldKey {
    /// The object and the requester in one.
    pub fn digest(&self) -> u128 {
        let mut context = Context::new(&SHA256);
        context.update(&self.object.0.to_be_bytes());
        context.update(self.requester.as_bytes());
        first_half(context)
    }
}

/// Which wait a request is of, at a gate. `None`: its object is too large to be held.
pub fn hold_key(gate: &GateKey, request: &Request<'_>) -> Option<HoldKey> {
    digest(request).map(|object| HoldKey { gate: gate.clone(), object, requester: request.user.name.to_owned() })
}

/// The runs that were asked for.
pub trait Holds {
    /// The run that was asked for last for this key. It is known from when it was asked for, by the replica that was: a wait must end although no
    /// run can be made.
    fn held(&self, key: &HoldKey) -> Option<Held>;
}

/// A run for a request that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The run: namespace/name.
    pub run: String,
    /// When it was asked for.
    pub since: Timestamp,
    /// What it came to, if it is over.
    pub ended: Option<VerdictName>,
    /// Until when a place that it was given may be used: at the replica that held the request, so a retry that another one got has to come again.
    pub place_until: Option<Timestamp>,
    /// Whether that wait is over, so that whoever asks again begins a new one.
    pub withdrawn: bool,
}

/// Nobody was ever held.
#[derive(Clone, Copy, Debug)]
pub struct NoHolds;

impl Holds for NoHolds {
    fn held(&self, _key: &HoldKey) -> Option<Held> {
        None
    }
}

/// A request that a gate would hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    /// Which wait it is.
    pub key: HoldKey,
    /// What comes of it.
    pub outcome: Outcome,
    /// The run that was asked for: namespace/name. `None`: it is to be asked for.
    pub run: Option<String>,
}

/// What comes of a request that a gate would hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client is asked to come back after so many seconds.
    Waits(u32),
    /// Nothing would be stored, so nothing is begun.
    DryRun,
    /// It is an account that does not wait: its work would stall. What is needed is evaluated all the same, for when it tries again.
    Account,
    /// The run is over, and not all passes.
    Ended(VerdictName),
    /// It has waited for as long as the gate says.
    Over,
    /// It cannot wait, for a reason of the operator.
    Impossible(&'static str),
}

impl Hold {
    /// Whether a run is to be made.
    pub const fn wants_run(&self) -> bool {
        self.run.is_none() && matches!(self.outcome, Outcome::Waits(_) | Outcome::Account)
    }
}

/// Settles a judgement whose answer is Hold: it stays so, or becomes Deny.
pub(super) fn settle(
    judgement: &mut Judgement,
    asked: &OnceCell<Option<Digest>>,
    request: &Request<'_>,
    holds: &dyn Holds,
    now: Timestamp,
) {
    let digest = asked.get_or_init(|| digest(request));
    let key = HoldKey { gate: judgement.gate.clone(), object: digest.unwrap_or(Digest(0)), requester: request.user.name.to_owned() };
    let allowed = SignedDuration::from_secs(i64::from(judgement.hold_seconds));
    let held =
        digest.and_then(|_| holds.held(&key)).filter(|held| !held.withdrawn && now.duration_since(held.since) < allowed + AFTERWARDS);
    let evaluated = judgement.causes.iter().any(|cause| cause.response == Response::Hold && !cause.of.is_empty());
    let outcome = match &held {
        _ if digest.is_none() => Outcome::Impossible("the object is too large to be judged by a run"),
        _ if request.dry_run => Outcome::DryRun,
        // Where a place is all that is missing, what the run evaluated says nothing of it.
        Some(Held { ended: Some(verdict @ (VerdictName::Failing | VerdictName::Unknown)), .. }) if evaluated => Outcome::Ended(*verdict),
        Some(held) if now.duration_since(held.since) >= allowed && held.place_until.is_none_or(|until| now >= until) => Outcome::Over,
        _ if !waits(request.user.name) => Outcome::Account,
        None if request.cannot_wait.is_some() => Outcome::Impossible(request.cannot_wait.unwrap_or_default()),
        held => Outcome::Waits(retry_after(held.as_ref().map(|held| now.duration_since(held.since)).unwrap_or_default(), allowed)),
    };
    if !matches!(outcome, Outcome::Waits(_)) {
        judgement.answer = Response::Deny;
        judgement.would_be = Response::Deny;
        for cause in judgement.causes.iter_mut().filter(|cause| cause.response == Response::Hold) {
            cause.response = Response::Deny;
        }
    }
    judgement.hold = Some(Hold { key, outcome, run: held.map(|held| held.run) });
}

/// After how many seconds the client should come back. The last of its tries comes when the time is over, and is told so.
fn retry_after(waited: SignedDuration, allowed: SignedDuration) -> u32 {
    let left = (allowed - waited).as_secs().max(0) + 1;
    let pause = if waited < EAGER { 1 } else { ((allowed - EAGER).as_secs() + LATER_TRIES - 1) / LATER_TRIES };
    u32::try_from(pause.clamp(1, left)).unwrap_or(1)
}

/// Whether people or their tools ask, who wait when they are told to. Programs of accounts of the system take a 429 for a fault.
pub fn waits(user: &str) -> bool {
    !user.starts_with("system:") || user == "system:admin"
}

/// What tells the object from others, whenever it is asked for: without what the API server makes up anew for each try, and without what
/// controllers report. `None`: it is too large.
fn digest(request: &Request<'_>) -> Option<Digest> {
    let mut context = Context::new(&SHA256);
    let operation = match request.operation {
        Operation::Create => "CREATE",
        Operation::Update => "UPDATE",
    };
    for part in [operation, &request.resource.group, &request.resource.resource, request.kind, request.namespace.unwrap_or_default()] {
        context.update(part.as_bytes());
        context.update(&[0]);
    }
    let mut sink = Sink { context, left: MAX_HELD_BYTES };
    let status_counts = request.resource.resource.ends_with("/status");
    let left_out = |path: Depth, key: &str| match path {
        Depth::Root => key == "status" && !status_counts,
        Depth::Metadata => {
            matches!(key, "uid" | "creationTimestamp" | "managedFields" | "resourceVersion" | "generation" | "selfLink")
                || (key == "name" && request.generated_name)
        }
        Depth::Below => false,
    };
    sink.value(request.object, Depth::Root, &left_out).then(|| Digest(first_half(sink.context)))
}

/// Where in an object a map is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Root,
    Metadata,
    Below,
}

/// Takes in a value in its canonical form, as long as it is not too long.
struct Sink {
    context: Context,
    left: usize,
}

impl Sink {
    fn bytes(&mut self, bytes: &[u8]) -> bool {
        self.context.update(bytes);
        let fits = bytes.len() <= self.left;
        self.left = self.left.saturating_sub(bytes.len());
        fits
    }

    /// Each text is preceded by its length, each list and map by its size: no two values look the same.
    fn text(&mut self, mark: u8, text: &str) -> bool {
        self.bytes(&[mark]) && self.bytes(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes()) && self.bytes(text.as_bytes())
    }

    fn value(&mut self, value: &Value, depth: Depth, left_out: &dyn Fn(Depth, &str) -> bool) -> bool {
        match value {
            Value::Null => self.bytes(b"z"),
            Value::Bool(yes) => self.bytes(if *yes { b"t" } else { b"f" }),
            Value::Number(number) => self.text(b'n', &number.to_string()),
            Value::String(text) => self.text(b's', text),
            Value::Array(items) => {
                self.text(b'a', "") && items.iter().all(|item| self.value(item, Depth::Below, left_out)) && self.bytes(b"]")
            }
            Value::Object(members) => {
                let mut sorted: Vec<_> = members.iter().filter(|(key, _)| !left_out(depth, key)).collect();
                sorted.sort_unstable_by_key(|(key, _)| *key);
                let inside = |key: &str| if depth == Depth::Root && key == "metadata" { Depth::Metadata } else { Depth::Below };
                self.bytes(b"m")
                    && sorted.into_iter().all(|(key, value)| self.text(b'k', key) && self.value(value, inside(key), left_out))
                    && self.bytes(b"}")
            }
        }
    }
}

fn first_half(context: Context) -> u128 {
    let digest = context.finish();
    digest.as_ref().iter().take(16).fold(0, |sum, byte| sum << 8 | u128::from(*byte))
}
