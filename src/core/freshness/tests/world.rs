//! A small world for the search: an API server with one check and the Lease, a target, and two replicas that run core's own functions.
//!
//! Everything that may be late is: a replica acts at any later time or never (so it may be stopped and resumed anywhere), its watches deliver
//! when they like (a lost and relisted watch is one that delivers much at once), a write may arrive long after its sender gave up, and anybody
//! may take the Lease at any moment, expired or not. Times are the API server's, in seconds from the start.

use crate::core::clock_offset::Offset;
use crate::core::coverage::{Beat, Coverage, Evaluated, Mark};
use crate::core::freshness::{Basis, Freshness, Reported, Revision, Watermark, standing};
use crate::core::gate::testing::{at, seen, settings, unevaluated};
use crate::core::observation::Outcome;
use crate::core::verdict::{Evaluation, Settings, Standing, State, Verdict, settle};
use jiff::{SignedDuration, Timestamp};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::time::Duration;

/// The only check.
const CHECK: u8 = 0;
/// What the world's clock advances by.
const TICK: i8 = 2;

/// A guard of the protocol that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// A watermark is believed only when the own watch has reached its revision.
    Revision,
    /// What a deposed leader wrote after another took over is not covered.
    Term,
    /// A leader begins only when its watch has reached its predecessor's revision.
    TakeOver,
    /// The watermark waits for an overdue check until the flag is written.
    Overdue,
    /// The watermark waits until a write is acknowledged.
    Acknowledged,
    /// Times are compared on the API server's clock.
    Clock,
    /// Beats that nobody vouches for are due again for the new leader.
    MissedBeats,
    /// A failure that the threshold forgives is flagged.
    Forgiven,
    /// An evaluation that took too long does not clear the flag.
    SlowEvaluation,
    /// A status write is refused if the object has changed.
    Precondition,
    /// After a write without an answer the check counts as exposed.
    Doubt,
    /// What the predecessor did not vouch for holds the new leader's watermark back.
    Adopted,
    /// The watermark's revision includes that at which a check was forgotten.
    Forgotten,
}

impl Guard {
    /// Every guard there is.
    pub const ALL: [Self; 13] = [
        Self::Revision,
        Self::Term,
        Self::TakeOver,
        Self::Overdue,
        Self::Acknowledged,
        Self::Clock,
        Self::MissedBeats,
        Self::Forgiven,
        Self::SlowEvaluation,
        Self::Precondition,
        Self::Doubt,
        Self::Adopted,
        Self::Forgotten,
    ];
}

/// How far the search goes.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is one thing that may happen")]
pub struct Bounds {
    /// Whether the target is good to begin with, and the check passes.
    pub good: bool,
    /// When the world ends.
    pub until: i8,
    /// How often the target changes.
    pub flips: u8,
    /// How many leaderships there are.
    pub terms: u8,
    /// How often a replica restarts.
    pub restarts: u8,
    /// How many writes may outlive their sender's patience.
    pub orphans: u8,
    /// Whether the check may be deleted.
    pub deletes: bool,
    /// Consecutive failures that turn the verdict.
    pub failure_threshold: u32,
    /// From one evaluation to the next.
    pub interval: i8,
    /// How long a pass is believed.
    pub stale_after: i8,
    /// What is added to the server's time to get each replica's.
    pub skew: [i8; 2],
    /// How uncertain the measured offset is.
    pub uncertain: i8,
    /// Whether an evaluation may take time.
    pub slow_evaluations: bool,
    /// Whether a write may.
    pub slow_writes: bool,
    /// Whether a leader may be stopped between computing a watermark and writing it.
    pub stopped_at_lease: bool,
    /// The guard that is left out.
    pub without: Option<Guard>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Status {
    passing: bool,
    failures: u8,
    last_passing: Option<i8>,
    /// When it was due next, less as many intervals as fit: only the beat is of interest.
    phase: i8,
    term: u8,
    overdue: bool,
}

/// The object at a revision; `None`: deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Version {
    revision: u8,
    status: Option<Status>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Message {
    guard: u8,
    status: Status,
}

/// An evaluation under way: when it began, on the server's clock at the earliest and in truth, and whether the target passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Running {
    began: i8,
    local: i8,
    truth: i8,
    pass: bool,
}

/// What a leader knows of the check: its verdict, the failures in a row, and when it was last evaluated and passed, on its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Known {
    passing: bool,
    failures: u8,
    own: Option<(i8, i8)>,
    last_passing: Option<i8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Leader {
    term: u8,
    coverage: Coverage<u8>,
    known: Known,
    /// What was written of it, or taken over: whether it passes, and is overdue.
    written: Option<(bool, bool)>,
    guard: u8,
    due: i8,
    running: Option<Running>,
    sending: Option<Message>,
    publishing: Option<Watermark>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Replica {
    view: Version,
    believed: Option<Watermark>,
    acquired: Option<(u8, Option<Watermark>)>,
    leader: Option<Leader>,
}

/// The whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    now: i8,
    good: bool,
    passed_at: Option<i8>,
    log: Vec<Version>,
    lease: (u8, Option<Watermark>),
    orphan: Option<Message>,
    replicas: [Replica; 2],
    flips: u8,
    restarts: u8,
    orphans: u8,
}

/// What may happen next. The number is a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Tick,
    TargetChanges,
    Delete,
    Deliver(usize),
    HearLease(usize),
    Acquire(usize),
    Begin(usize),
    Evaluate(usize),
    EvaluationEnds(usize),
    Send(usize),
    WriteArrives(usize),
    GiveUp(usize),
    OrphanArrives,
    ComputeWatermark(usize),
    WriteLease(usize),
    Restart(usize),
}

fn seconds(time: Timestamp) -> i8 {
    i8::try_from(time.duration_since(at(0)).as_secs()).unwrap()
}

fn span(seconds: i8) -> SignedDuration {
    SignedDuration::from_secs(i64::from(seconds))
}

fn time(seconds: i8) -> Timestamp {
    at(i64::from(seconds))
}

impl Bounds {
    fn lacks(&self, guard: Guard) -> bool {
        self.without == Some(guard)
    }

    /// The server's time at a replica: the earliest it can be.
    fn earliest(&self, local: i8, replica: usize) -> i8 {
        if self.lacks(Guard::Clock) { local } else { local - self.skew[replica] - self.uncertain }
    }

    fn freshness(&self, replica: usize, watermark: Option<Watermark>) -> Freshness {
        let bounds =
            if self.lacks(Guard::Clock) { (0, 0) } else { (-self.skew[replica] - self.uncertain, -self.skew[replica] + self.uncertain) };
        Freshness { watermark, offset: Some(Offset { earliest: span(bounds.0), latest: span(bounds.1) }), ..Freshness::default() }
    }

    fn settings(&self) -> Settings {
        Settings { failure_threshold: self.failure_threshold, stale_after: span(self.stale_after), ..settings() }
    }

    fn reported(&self, version: Version) -> Option<Reported> {
        let status = version.status?;
        Some(Reported {
            last_passing: status.last_passing.map(time),
            interval: span(self.interval),
            revision: Revision(u64::from(version.revision)),
            term: Some(i64::from(status.term)),
            overdue: status.overdue,
            stale_after: Some(span(self.stale_after)),
        })
    }
}

fn state(passing: bool) -> State {
    State { verdict: if passing { Verdict::Passing } else { Verdict::Failing }, reason: "", ..unevaluated() }
}

impl World {
    /// All is quiet: replica 0 leads, the check was evaluated at 0, both replicas know what came of it.
    pub fn quiet(bounds: &Bounds) -> Self {
        let last_passing = bounds.good.then_some(0);
        let status = Status { passing: bounds.good, failures: 0, last_passing, phase: 0, term: 1, overdue: false };
        let version = Version { revision: 1, status: Some(status) };
        let replica = Replica { view: version, believed: None, acquired: None, leader: None };
        let mut world = Self {
            now: 0,
            good: bounds.good,
            passed_at: last_passing,
            log: vec![version],
            lease: (1, None),
            orphan: None,
            replicas: [replica.clone(), replica],
            flips: 0,
            restarts: 0,
            orphans: 0,
        };
        let mut coverage = Coverage::begin(1, Revision(1), None).unwrap();
        let beat = Beat { anchor: time(bounds.interval), interval: span(bounds.interval) };
        coverage.evaluated(&CHECK, Evaluated { began: time(0), beat, passed: bounds.good, changed: true });
        assert_eq!(coverage.write(&CHECK, time(0)) == Mark::Covered, bounds.good);
        coverage.written(&CHECK, Revision(0), Revision(1));
        let watermark = coverage.watermark(time(0));
        world.lease.1.clone_from(&watermark);
        for replica in &mut world.replicas {
            replica.believed.clone_from(&watermark);
        }
        let local = bounds.skew[0];
        let own = Some((local, local + bounds.stale_after));
        let known = Known { passing: bounds.good, failures: 0, own, last_passing };
        world.replicas[0].leader = Some(Leader {
            term: 1,
            coverage,
            known,
            written: Some((bounds.good, false)),
            guard: 1,
            due: bounds.interval,
            running: None,
            sending: None,
            publishing: None,
        });
        world
    }

    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    fn current(&self) -> Version {
        *self.log.last().unwrap()
    }

    fn earliest(&self, bounds: &Bounds, replica: usize) -> i8 {
        bounds.earliest(self.now + bounds.skew[replica], replica)
    }

    /// Whether the target was not observed passing for longer than that is believed.
    pub fn too_old(&self, bounds: &Bounds) -> bool {
        self.passed_at.is_none_or(|at| self.now - at > bounds.stale_after)
    }

    /// What a replica would answer now about the check it knows.
    pub fn answer(&self, bounds: &Bounds, replica: usize) -> Option<Standing> {
        let this = &self.replicas[replica];
        let status = this.view.status?;
        let now = time(self.now + bounds.skew[replica]);
        let freshness = bounds.freshness(replica, this.believed.clone());
        if let Some(leader) = &this.leader
            && let Some((evaluated, stale)) = leader.known.own
        {
            let own = State { evaluated_at: Some(time(evaluated)), stale_at: Some(time(stale)), ..state(leader.known.passing) };
            return Some(standing(&own, &Basis::Observed, &freshness, now));
        }
        let mut reported = bounds.reported(this.view)?;
        if bounds.lacks(Guard::Term)
            && let Some(watermark) = &this.believed
        {
            reported.term = Some(watermark.term);
        }
        Some(standing(&state(status.passing), &Basis::Reported(reported), &freshness, now))
    }

    /// What an answer should have rested on.
    pub fn truth(&self, bounds: &Bounds) -> String {
        let last = self.passed_at.map_or("never".to_owned(), |at| format!("at {at}"));
        format!("it was observed passing {last} for the last time, now it is {}, and {} s are allowed", self.now, bounds.stale_after)
    }

    /// What may happen.
    pub fn steps(&self, bounds: &Bounds) -> Vec<Step> {
        let mut steps = Vec::with_capacity(12);
        let mut may = |step, condition| {
            if condition {
                steps.push(step);
            }
        };
        may(Step::Tick, self.now + TICK <= bounds.until);
        may(Step::TargetChanges, self.flips < bounds.flips);
        may(Step::Delete, bounds.deletes && self.current().status.is_some());
        may(Step::OrphanArrives, self.orphan.is_some());
        for (r, replica) in self.replicas.iter().enumerate() {
            may(Step::Deliver(r), replica.view.revision < self.current().revision);
            may(Step::HearLease(r), self.hears(r, bounds));
            may(Step::Acquire(r), self.lease.0 < bounds.terms && usize::from(self.lease.0) % 2 == r && replica.leader.is_none());
            may(Step::Begin(r), replica.acquired.is_some());
            may(Step::Restart(r), self.restarts < bounds.restarts);
            let Some(leader) = &replica.leader else { continue };
            let now = self.earliest(bounds, r);
            let exists = replica.view.status.is_some();
            may(Step::Evaluate(r), exists && leader.running.is_none() && now >= leader.due);
            may(Step::EvaluationEnds(r), leader.running.is_some());
            may(Step::Send(r), exists && leader.sending.is_none() && leader.wants_write(replica.view, now));
            may(Step::WriteArrives(r), leader.sending.is_some());
            may(Step::GiveUp(r), leader.sending.is_some() && self.orphans < bounds.orphans);
            may(Step::ComputeWatermark(r), leader.publishing.is_none());
            may(Step::WriteLease(r), leader.publishing.is_some());
        }
        steps
    }

    /// The world after a step; `None`: nothing has come of it.
    pub fn after(&self, step: Step, bounds: &Bounds) -> Option<Self> {
        let mut world = self.clone();
        match step {
            Step::Tick => world.now += TICK,
            Step::TargetChanges => {
                world.good = !world.good;
                world.flips += 1;
            }
            Step::Delete => world.put(None),
            Step::Deliver(r) => world.deliver(r, bounds),
            Step::HearLease(r) => world.replicas[r].believed.clone_from(&self.lease.1),
            Step::Acquire(r) => {
                world.lease.0 += 1;
                world.replicas[r].acquired = Some(world.lease.clone());
            }
            Step::Begin(r) => world.begin(r, bounds)?,
            Step::Evaluate(r) => {
                world.evaluate(r, bounds);
                if !bounds.slow_evaluations {
                    world.evaluation_ends(r, bounds);
                }
            }
            Step::EvaluationEnds(r) => world.evaluation_ends(r, bounds),
            Step::Send(r) => {
                world.send(r, bounds);
                if !bounds.slow_writes {
                    world.write_arrives(r, bounds);
                }
            }
            Step::WriteArrives(r) => world.write_arrives(r, bounds),
            Step::GiveUp(r) => {
                let leader = world.replicas[r].leader.as_mut()?;
                world.orphan = leader.sending.take();
                world.orphans += 1;
                if bounds.lacks(Guard::Doubt) {
                    leader.forget_the_write();
                } else {
                    leader.coverage.write_failed(&CHECK);
                }
            }
            Step::OrphanArrives => {
                let message = world.orphan.take()?;
                world.arrive(message, bounds)?;
            }
            Step::ComputeWatermark(r) => {
                world.compute(r, bounds)?;
                if !bounds.stopped_at_lease {
                    world.write_lease(r);
                }
            }
            Step::WriteLease(r) => world.write_lease(r),
            Step::Restart(r) => {
                world.restarts += 1;
                world.step_down(r);
                world.replicas[r] = Replica { view: self.current(), believed: None, acquired: None, leader: None };
                world.forget_history();
            }
        }
        (world != *self).then_some(world)
    }

    /// What is left of a leader that stops leading, or ends: a write may be on its way.
    fn step_down(&mut self, r: usize) {
        let leader = self.replicas[r].leader.take();
        if self.orphan.is_none()
            && let Some(message) = leader.and_then(|leader| leader.sending)
        {
            self.orphan = Some(message);
        }
    }

    fn put(&mut self, status: Option<Status>) {
        let revision = self.current().revision + 1;
        self.log.push(Version { revision, status });
    }

    /// What arrives at the API server: `None` if it is refused.
    fn arrive(&mut self, message: Message, bounds: &Bounds) -> Option<u8> {
        let current = self.current();
        let stored = current.status?;
        if current.revision != message.guard && !bounds.lacks(Guard::Precondition) {
            return None;
        }
        if stored != message.status {
            self.put(Some(message.status));
        }
        Some(self.current().revision)
    }

    fn deliver(&mut self, r: usize, bounds: &Bounds) {
        let replica = &mut self.replicas[r];
        let next = self.log.iter().find(|version| version.revision > replica.view.revision);
        let Some(next) = next.copied() else { return };
        replica.view = next;
        if let Some(leader) = &mut replica.leader
            && next.status.is_none()
        {
            let at = if bounds.lacks(Guard::Forgotten) { Revision(0) } else { Revision(u64::from(next.revision)) };
            leader.coverage.forget(&CHECK, at);
            leader.running = None;
        }
        // Who sees a later leadership's status knows that it was deposed.
        if next.status.is_some_and(|status| replica.leader.as_ref().is_some_and(|leader| leader.term < status.term)) {
            self.step_down(r);
        }
        self.forget_history();
    }

    /// What every replica has seen is needed no more.
    fn forget_history(&mut self) {
        let reached = self.replicas.iter().map(|replica| replica.view.revision).min().unwrap();
        self.log.retain(|version| version.revision >= reached);
    }

    /// Whether a replica may hear of the Lease's watermark and believe it. To hear of it before its watch has reached the revision, and believe
    /// it then, comes to the same as to reach the revision before.
    fn hears(&self, r: usize, bounds: &Bounds) -> bool {
        let Replica { view, believed, leader, .. } = &self.replicas[r];
        let reached = Revision(u64::from(view.revision));
        let news = self.lease.1.as_ref().filter(|w| Some(*w) != believed.as_ref());
        leader.is_none() && news.is_some_and(|w| w.revision <= reached || bounds.lacks(Guard::Revision))
    }

    fn begin(&mut self, r: usize, bounds: &Bounds) -> Option<()> {
        let now = self.earliest(bounds, r);
        let replica = &mut self.replicas[r];
        let (term, mut predecessor) = replica.acquired.clone()?;
        let reached = Revision(u64::from(replica.view.revision));
        if let Some(watermark) = &mut predecessor {
            if bounds.lacks(Guard::TakeOver) {
                watermark.revision = watermark.revision.min(reached);
            }
            if bounds.lacks(Guard::MissedBeats) {
                watermark.time = time(now);
            }
            if bounds.lacks(Guard::Adopted) {
                watermark.since = reached;
            }
        }
        let mut coverage = Coverage::begin(i64::from(term), reached, predecessor)?;
        replica.acquired = None;
        let status = replica.view.status;
        let reported = bounds.reported(replica.view).filter(|_| status.is_some_and(|s| s.passing));
        let due = reported.and_then(|reported| coverage.adopt(CHECK, &reported, status.map(|s| time(s.phase))));
        let known = Known {
            passing: status.is_some_and(|s| s.passing),
            failures: status.map_or(0, |s| s.failures),
            own: None,
            last_passing: status.and_then(|s| s.last_passing),
        };
        replica.leader = Some(Leader {
            term,
            coverage,
            known,
            written: status.map(|s| (s.passing, s.overdue)),
            guard: replica.view.revision,
            due: due.map_or(now, seconds).max(-100),
            running: None,
            sending: None,
            publishing: None,
        });
        Some(())
    }

    fn evaluate(&mut self, r: usize, bounds: &Bounds) {
        let local = self.now + bounds.skew[r];
        let running = Running { began: bounds.earliest(local, r), local, truth: self.now, pass: self.good };
        if let Some(leader) = &mut self.replicas[r].leader {
            leader.running = Some(running);
        }
    }

    fn evaluation_ends(&mut self, r: usize, bounds: &Bounds) {
        let now = self.earliest(bounds, r);
        let Replica { view, leader: Some(leader), .. } = &mut self.replicas[r] else { return };
        let Some(running) = leader.running.take() else { return };
        if running.pass {
            self.passed_at = self.passed_at.max(Some(running.truth));
        }
        let mut previous = state(leader.known.passing);
        previous.streak.failures = i32::from(leader.known.failures);
        previous.stale_at = leader.known.own.map(|(_, stale)| time(stale));
        let outcome = if running.pass { Outcome::Pass } else { Outcome::Fail };
        let settled = settle(&bounds.settings(), &previous, Evaluation::Observed(vec![seen(outcome)]), Duration::ZERO, time(running.local));
        let passing = settled.verdict == Verdict::Passing;
        leader.known = Known {
            passing,
            failures: u8::try_from(settled.streak.failures).unwrap() % u8::try_from(bounds.failure_threshold).unwrap(),
            own: settled.stale_at.map(|stale| (running.local, seconds(stale))),
            last_passing: if running.pass { Some(running.began) } else { leader.known.last_passing },
        };
        let beat = Beat { anchor: time(leader.due), interval: span(bounds.interval) };
        let passed = passing && (running.pass || bounds.lacks(Guard::Forgiven));
        let changed = leader.written != Some((passing, passing && !passed)) || leader.overwritten(*view);
        let began = if bounds.lacks(Guard::SlowEvaluation) { now } else { running.began };
        leader.coverage.evaluated(&CHECK, Evaluated { began: time(began), beat, passed, changed });
        leader.due = seconds(beat.after(time(now)));
    }

    fn send(&mut self, r: usize, bounds: &Bounds) {
        let now = self.earliest(bounds, r);
        let Replica { view, leader: Some(leader), .. } = &mut self.replicas[r] else { return };
        let mark = leader.coverage.write(&CHECK, time(now));
        let known = leader.known;
        let status = Status {
            passing: known.passing,
            failures: known.failures,
            last_passing: known.last_passing,
            phase: leader.due.rem_euclid(bounds.interval),
            term: leader.term,
            overdue: known.passing && mark == Mark::Overdue,
        };
        leader.guard = leader.guard.max(view.revision);
        leader.sending = Some(Message { guard: leader.guard, status });
        if bounds.lacks(Guard::Acknowledged) {
            leader.coverage.written(&CHECK, Revision(0), Revision(1));
        }
    }

    fn write_arrives(&mut self, r: usize, bounds: &Bounds) {
        let Some(message) = self.replicas[r].leader.as_mut().and_then(|leader| leader.sending.take()) else { return };
        let answer = self.arrive(message, bounds);
        let current = self.current();
        let Replica { view, leader: Some(leader), .. } = &mut self.replicas[r] else { return };
        match answer {
            Some(revision) => {
                leader.coverage.written(&CHECK, Revision(u64::from(message.guard)), Revision(u64::from(revision)));
                leader.guard = revision;
                leader.written = Some((message.status.passing, message.status.overdue));
                // Its own watch says so, too; that it says so later makes no difference to a leader.
                *view = current;
            }
            None => leader.coverage.write_failed(&CHECK),
        }
        self.forget_history();
    }

    fn compute(&mut self, r: usize, bounds: &Bounds) -> Option<()> {
        let now = self.earliest(bounds, r);
        let known = self.lease.1.clone();
        let leader = self.replicas[r].leader.as_mut()?;
        if bounds.lacks(Guard::Overdue) && leader.coverage.overdue(time(now)).next().is_some() {
            leader.coverage.forget(&CHECK, Revision(0));
        }
        let watermark = leader.coverage.watermark(time(now))?;
        if known.as_ref() == Some(&watermark) {
            return None;
        }
        leader.publishing = Some(watermark);
        Some(())
    }

    fn write_lease(&mut self, r: usize) {
        let Some(leader) = &mut self.replicas[r].leader else { return };
        // Only its holder writes the Lease, but to take it over; so the term tells as much as a resource version.
        if self.lease.0 == leader.term {
            self.lease.1 = leader.publishing.take();
            self.replicas[r].believed.clone_from(&self.lease.1);
        } else {
            self.step_down(r);
        }
    }
}

impl Leader {
    /// The status of one deposed before is in the place of what was written or taken over.
    fn overwritten(&self, view: Version) -> bool {
        view.revision > self.guard && view.status.is_some_and(|status| status.term < self.term)
    }

    fn wants_write(&self, view: Version, now: i8) -> bool {
        self.coverage.unwritten(&CHECK)
            || self.coverage.overdue(time(now)).next().is_some()
            || (self.known.own.is_some() && self.overwritten(view))
    }

    /// As if the write had never been sent: what the guard [`Guard::Doubt`] prevents.
    fn forget_the_write(&mut self) {
        self.coverage.written(&CHECK, Revision(0), Revision(1));
    }
}

/// For people.
impl World {
    /// What can be seen of it, in parts.
    pub fn parts(&self) -> Vec<String> {
        let watermark = |w: Option<&Watermark>| {
            let Some(w) = w else { return "nothing".to_owned() };
            format!("T={} R={} (term {}, since {})", w.time.duration_since(at(0)).as_secs_f64(), w.revision.0, w.term, w.since.0)
        };
        let version = |v: Version| {
            let Some(s) = v.status else { return format!("@{} deleted", v.revision) };
            let verdict = if s.passing { "Passing" } else { "Failing" };
            let flag = if s.overdue { " overdue" } else { "" };
            let last = s.last_passing.map_or("never".to_owned(), |at| format!("at {at}"));
            format!("@{} {verdict}{flag}, passed {last} (term {})", v.revision, s.term)
        };
        let mut parts = vec![
            format!("time {}", self.now),
            format!("target {}", if self.good { "good" } else { "bad" }),
            format!("store {}", version(self.current())),
            format!("lease of term {}: {}", self.lease.0, watermark(self.lease.1.as_ref())),
        ];
        for (r, replica) in self.replicas.iter().enumerate() {
            let role = replica.leader.as_ref().map_or("follows".to_owned(), |leader| format!("leads in term {}", leader.term));
            parts.push(format!("{r} {role}"));
            parts.push(format!("{r} sees {}", version(replica.view)));
            parts.push(format!("{r} believes {}", watermark(replica.believed.as_ref())));
        }
        parts
    }
}
