//! Every order of steps of a small world: an API server with runs and objects, two replicas that run core's own functions, and writes that are late,
//! lost, or made after their sender gave up. Nowhere may more run at once than is allowed.

use crate::core::gate::Resource;
use crate::core::starts::{
    Act, Asking, Book, Finding, Granter, Life, Limit, Past, Per, Place, Room, RunKey, RunView, Started, Subject, Times, UseOnce, Written,
    find,
};
use jiff::{SignedDuration, Timestamp};
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The world's clock advances by so many seconds: a grant may be used within one.
const TICK: i64 = 15;
/// The same, for what is granted.
const TICK_LONG: SignedDuration = SignedDuration::from_secs(TICK);
/// For how many ticks what was admitted may be on its way: the API server's minute.
const STORED: i64 = 4;
/// How many requests there are.
const RUNS: usize = 2;
/// How many may run at once.
const MAX: usize = 1;

/// A guard of the protocol that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guard {
    /// A new leader counts what the one before it may still write.
    Fence,
    /// A leader counts what it wrote and does not see yet.
    Own,
    /// A new leader reads all runs before it grants.
    ReadRuns,
    /// A write is refused if the run has changed.
    Precondition,
    /// A grant counts for as long as what was admitted by it may be on its way.
    Stored,
    /// A grant is used once.
    Once,
    /// A grant is used at the replica that asked.
    OwnReplica,
    /// What is given back is never used.
    GiveBack,
    /// The leader's watches deliver.
    Proof,
}

#[derive(Clone, Copy, Debug)]
struct Bounds {
    until: i64,
    terms: u8,
    /// How many creates may be on their way at once.
    creates: usize,
    /// How many writes of leaders may be on their way at once.
    writes: usize,
    /// Whether names are made up.
    generated: bool,
    /// How often an object ends or is deleted.
    ends: u8,
    /// How many grants may be on their way back at once.
    returns: usize,
    /// Whether who finds no place is refused, and does not wait for one.
    refuses: bool,
    without: Option<Guard>,
}

const SMALL: Bounds =
    Bounds { until: 7, terms: 1, creates: 2, writes: 2, generated: false, ends: 1, returns: 0, refuses: false, without: None };

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Run {
    version: u8,
    granted: Option<i64>,
    used_by: Option<u8>,
    withdrawn: bool,
    replica: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Object {
    request: usize,
    uid: u8,
    runs: bool,
    created: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Flying {
    term: u8,
    run: usize,
    version: u8,
    grant: Option<i64>,
    withdraws: bool,
    /// Its sender still waits.
    awaited: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Create {
    request: usize,
    uid: u8,
    admitted: i64,
}

#[derive(Clone, Debug, Default)]
struct Replica {
    runs: [Option<Run>; RUNS],
    objects: Vec<Object>,
    /// When its watch of objects last delivered all.
    seen: i64,
    /// The use of each grant that it remembers.
    once: [UseOnce; RUNS],
    leads: Option<(u8, bool, Granter)>,
}

#[derive(Clone, Debug, Default)]
struct World {
    now: i64,
    term: u8,
    uids: u8,
    ended: u8,
    runs: [Option<Run>; RUNS],
    objects: Vec<Object>,
    creates: Vec<Create>,
    writes: Vec<Flying>,
    /// Runs whose places are given back, and the version that this replaces.
    returns: Vec<(usize, u8)>,
    replicas: [Replica; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Tick,
    Ask(usize, usize),
    SeeRuns(usize),
    SeeObjects(usize),
    Lead(usize),
    Decide(usize),
    /// A write arrives, and its sender hears of it or not.
    Arrive(usize, bool),
    /// The sender of a write gives up; the write may still arrive.
    GiveUp(usize),
    Admit(usize, usize),
    Store(usize),
    TellUse(usize),
    /// The replica that held a request gives its grant back, and that arrives.
    GiveBack(usize),
    Return(usize),
    End(usize),
    Delete(usize),
}

fn at(tick: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + tick * TICK).unwrap()
}

fn text(number: impl std::fmt::Display) -> Arc<str> {
    number.to_string().into()
}

fn resource() -> Arc<Resource> {
    Arc::new(Resource { group: "chaos-mesh.org".to_owned(), resource: "podchaos".to_owned() })
}

fn subject(bounds: &Bounds, request: usize) -> Subject {
    let name = (!bounds.generated).then(|| text(request));
    Subject { resource: resource(), namespace: Some("shop".into()), name, create: true }
}

impl World {
    fn times(&self) -> Times {
        Times { earliest: at(self.now), latest: at(self.now) }
    }

    fn place(bounds: &Bounds, replica: &Replica, index: usize, run: &Run) -> Place {
        let (since, until) = run.granted.map_or((Timestamp::MIN, Timestamp::MIN), |granted| (at(granted), at(granted + 1)));
        Place {
            run: text(index),
            subject: subject(bounds, index),
            digest: text(index),
            requester: "jane".into(),
            aim: None,
            replica: text(run.replica),
            since,
            until,
            used_by: run.used_by.map(text),
            withdrawn: run.withdrawn,
            once: if bounds.without == Some(Guard::Once) { UseOnce::default() } else { replica.once[index].clone() },
        }
    }

    fn book(&self, bounds: &Bounds, replica: usize) -> Book {
        let replica = &self.replicas[replica];
        let objects = replica.objects.iter().map(|object| {
            Arc::new(Started {
                resource: resource(),
                namespace: Some("shop".into()),
                name: if bounds.generated { text(object.uid) } else { text(object.request) },
                uid: text(object.uid),
                life: if object.runs { Life::Running } else { Life::Over(None) },
                since: at(object.created),
                created: at(object.created),
                requester: None,
                aim: None,
            })
        });
        let granted = |(index, run): (usize, &Option<Run>)| {
            let run = run.as_ref().filter(|run| run.granted.is_some())?;
            let place = Self::place(bounds, replica, index, run);
            (bounds.without != Some(Guard::Stored) || place.usable(self.times())).then_some(place)
        };
        let places = replica.runs.iter().enumerate().filter_map(granted).collect();
        Book { objects: objects.collect(), places, past: Past::default(), ..Book::default() }
    }

    fn views(&self, bounds: &Bounds, replica: usize) -> BTreeMap<RunKey, RunView> {
        let replica = &self.replicas[replica];
        let runs = replica.runs.iter().enumerate().filter_map(|(index, run)| run.as_ref().map(|run| (index, run)));
        runs.map(|(index, run)| {
            let place = Self::place(bounds, replica, index, run);
            let waits = run.granted.is_none() && !run.withdrawn;
            (text(index), RunView { version: text(run.version), place, waits, usable: TICK_LONG, made: at(0) })
        })
        .collect()
    }

    fn admits(&self, bounds: &Bounds, request: usize, replica: usize) -> bool {
        let asks = |run: &Run| if bounds.without == Some(Guard::OwnReplica) { replica_text(run.replica) } else { replica_text(replica) };
        let Some(run) = &self.replicas[replica].runs[request] else { return false };
        let uid = text(self.uids);
        let book = self.book(bounds, replica);
        book.pass(&text(request), &asks(run), &uid, self.times()).is_some()
    }

    fn steps(&self) -> Vec<Step> {
        let mut steps = vec![Step::Tick];
        for r in 0..2 {
            steps.extend([Step::SeeRuns(r), Step::SeeObjects(r), Step::Lead(r), Step::Decide(r)]);
            steps.extend((0..RUNS).flat_map(|request| [Step::Ask(request, r), Step::Admit(request, r)]));
        }
        steps.extend((0..self.writes.len()).flat_map(|w| [Step::Arrive(w, true), Step::Arrive(w, false), Step::GiveUp(w)]));
        steps.extend((0..self.creates.len()).map(Step::Store));
        steps.extend((0..self.objects.len()).flat_map(|o| [Step::End(o), Step::Delete(o)]));
        steps.extend((0..RUNS).flat_map(|request| [Step::TellUse(request), Step::GiveBack(request)]));
        steps.extend((0..self.returns.len()).map(Step::Return));
        steps
    }

    /// What a step leads to; `None` if it cannot be made.
    fn after(&self, step: Step, bounds: &Bounds) -> Option<Self> {
        let mut next = self.clone();
        // Whatever is remembered once is remembered by one world only.
        for replica in &mut next.replicas {
            for once in &mut replica.once {
                *once = once.alone();
            }
        }
        next.make(step, bounds).then_some(next)
    }

    fn make(&mut self, step: Step, bounds: &Bounds) -> bool {
        match step {
            Step::Tick => {
                self.now += 1;
                self.creates.retain(|create| self.now <= create.admitted + STORED);
                self.now <= bounds.until
            }
            Step::Ask(request, replica) => {
                let new = self.runs[request].is_none();
                self.runs[request].get_or_insert(Run { version: 0, granted: None, used_by: None, withdrawn: false, replica });
                new
            }
            Step::SeeRuns(replica) => {
                let replica = &mut self.replicas[replica];
                let news = replica.runs != self.runs;
                replica.runs = self.runs;
                let first = replica.leads.as_mut().is_some_and(|(_, read, _)| !std::mem::replace(read, true));
                news || first
            }
            Step::SeeObjects(replica) => {
                let replica = &mut self.replicas[replica];
                let news = replica.objects != self.objects || replica.seen != self.now;
                replica.objects.clone_from(&self.objects);
                replica.seen = self.now;
                news
            }
            Step::Lead(replica) => {
                self.term += 1;
                for other in &mut self.replicas {
                    other.leads = None;
                }
                self.replicas[replica].leads = Some((self.term, bounds.without == Some(Guard::ReadRuns), Granter::default()));
                self.term <= bounds.terms
            }
            Step::Decide(replica) => self.decide(replica, bounds),
            Step::Arrive(write, heard) => self.arrive(write, heard, bounds),
            Step::GiveUp(write) => {
                let Some(write) = self.writes.get_mut(write).filter(|write| write.awaited) else { return false };
                write.awaited = false;
                let write = *write;
                self.tell(&write, Written::Unanswered);
                true
            }
            Step::Admit(request, replica) => {
                if !self.admits(bounds, request, replica) {
                    return false;
                }
                self.creates.push(Create { request, uid: self.uids, admitted: self.now });
                self.uids += 1;
                self.creates.len() <= bounds.creates
            }
            Step::Store(create) if create >= self.creates.len() => false,
            Step::Store(create) => {
                let create = self.creates.remove(create);
                if bounds.generated || self.objects.iter().all(|object| object.request != create.request) {
                    self.objects.push(Object { request: create.request, uid: create.uid, runs: true, created: self.now });
                }
                true
            }
            Step::TellUse(request) => {
                let Some(run) = self.runs[request].as_mut().filter(|run| run.used_by.is_none()) else { return false };
                let Some(uid) = self.replicas[run.replica].once[request].used_by() else { return false };
                run.used_by = uid.parse().ok();
                run.version += 1;
                true
            }
            Step::GiveBack(request) => {
                let Some(Run { replica, .. }) = self.runs[request] else { return false };
                let (times, replica) = (self.times(), &self.replicas[replica]);
                let Some(run) = &replica.runs[request] else { return false };
                let place = Self::place(bounds, replica, request, run);
                let lapsed = run.granted.is_some() && run.used_by.is_none() && place.lapsed(times);
                let given = lapsed && (bounds.without == Some(Guard::GiveBack) || place.once.give_back());
                let new = given && !self.returns.contains(&(request, run.version));
                self.returns.push((request, run.version));
                new && self.returns.len() <= bounds.returns
            }
            Step::Return(index) => {
                let (request, version) = self.returns.remove(index);
                let Some(run) = &mut self.runs[request] else { return false };
                if run.version == version {
                    run.withdrawn = true;
                    run.version += 1;
                }
                true
            }
            Step::End(object) => {
                self.ended += 1;
                std::mem::replace(&mut self.objects[object].runs, false) && self.ended <= bounds.ends
            }
            Step::Delete(object) => {
                self.ended += 1;
                self.objects.remove(object);
                self.ended <= bounds.ends
            }
        }
    }

    fn decide(&mut self, replica: usize, bounds: &Bounds) -> bool {
        let (views, book, times) = (self.views(bounds, replica), self.book(bounds, replica), self.times());
        let Replica { seen, leads: Some((term, read, granter)), .. } = &mut self.replicas[replica] else { return false };
        // A watch may lag for a while that is shorter than a tick.
        if !*read || (*seen < self.now && bounds.without != Some(Guard::Proof)) {
            return false;
        }
        let new = granter.see(&views);
        granter.forget(bounds.without == Some(Guard::Fence), bounds.without == Some(Guard::Own));
        let limit = Limit::Concurrency { max: u32::try_from(MAX).unwrap(), per: Per::Gate };
        let acts = granter.step(&views, times, |key, _, also| {
            let asking = Asking { requester: "jane".into(), targets: None, resolve: &|_| None, digest: Some(key.clone()) };
            match find(limit, &book.with(also.iter().cloned(), times), &asking, times) {
                Finding::Room(..) => Room::Yes,
                _ if bounds.refuses => Room::Never,
                _ => Room::NotYet,
            }
        });
        let sent = new || !acts.is_empty();
        for act in acts {
            let (key, version, grant, withdraws) = match act {
                Act::Grant(key, version, ..) => (key, version, Some(self.now), false),
                Act::Withdraw(key, version) => (key, version, None, true),
                Act::Fence(key, version) => (key, version, None, false),
            };
            let (run, version) = (key.parse().unwrap(), version.parse().unwrap());
            self.writes.push(Flying { term: *term, run, version, grant, withdraws, awaited: true });
        }
        sent && self.writes.len() <= bounds.writes
    }

    fn arrive(&mut self, write: usize, heard: bool, bounds: &Bounds) -> bool {
        if write >= self.writes.len() {
            return false;
        }
        let write = self.writes.remove(write);
        let Some(run) = &mut self.runs[write.run] else { return false };
        let made = run.version == write.version || bounds.without == Some(Guard::Precondition);
        if made {
            run.version += 1;
            run.granted = write.grant.or(run.granted);
            run.withdrawn |= write.withdraws;
        }
        if heard != write.awaited && heard {
            return false;
        }
        if write.awaited {
            let told = if made { Written::Made } else { Written::Refused };
            self.tell(&write, if heard { told } else { Written::Unanswered });
        }
        true
    }

    fn tell(&mut self, write: &Flying, told: Written) {
        for replica in &mut self.replicas {
            if let Some((term, _, granter)) = &mut replica.leads
                && *term == write.term
            {
                granter.written(&text(write.run), &text(write.version), told);
            }
        }
    }

    fn too_many(&self) -> bool {
        self.objects.iter().filter(|object| object.runs).count() > MAX
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.now, self.term, self.ended, &self.runs, &self.objects, &self.creates, &self.writes, &self.returns).hash(&mut hasher);
        for replica in &self.replicas {
            (&replica.runs, &replica.objects, self.now - replica.seen).hash(&mut hasher);
            replica.once.iter().for_each(|once| once.end().hash(&mut hasher));
            if let Some((term, read, granter)) = &replica.leads {
                (term, read).hash(&mut hasher);
                granter.fingerprint(&mut hasher);
            }
        }
        hasher.finish()
    }
}

fn replica_text(replica: usize) -> Arc<str> {
    text(replica)
}

struct Found {
    states: usize,
    /// In how many something runs, and in how many both requests came to run, one after the other.
    used: usize,
    both: usize,
    too_many: Option<Vec<Step>>,
}

fn search(bounds: &Bounds, first: &[Step], enough: usize) -> Found {
    // A step that changes nothing is none.
    let start = first.iter().fold(World::default(), |world, step| world.after(*step, bounds).unwrap_or(world));
    let mut known = HashSet::from([start.fingerprint()]);
    let mut ways: Vec<(usize, Option<Step>)> = vec![(0, None)];
    let mut queue = VecDeque::from([(0, start)]);
    let mut found = Found { states: 0, used: 0, both: 0, too_many: None };
    while let Some((place, world)) = queue.pop_front() {
        found.states += 1;
        if found.states > enough {
            break;
        }
        found.used += usize::from(world.objects.iter().any(|object| object.runs));
        found.both += usize::from(world.ended > 0 && world.objects.iter().any(|object| object.runs));
        if world.too_many() {
            let mut steps = Vec::new();
            let mut place = place;
            while let Some(step) = ways[place].1 {
                steps.push(step);
                place = ways[place].0;
            }
            steps.reverse();
            found.too_many = Some(steps);
            return found;
        }
        for step in world.steps() {
            let Some(next) = world.after(step, bounds) else { continue };
            if known.insert(next.fingerprint()) {
                ways.push((place, Some(step)));
                queue.push_back((ways.len() - 1, next));
            }
        }
    }
    found
}

/// Both requests are held, by different replicas, and the first leads.
const HELD: [Step; 4] = [Step::Ask(0, 0), Step::Ask(1, 1), Step::Lead(0), Step::SeeRuns(0)];

/// The same, and the leader has written both runs, so that nothing can be on its way from before.
const FENCED: [Step; 8] = [
    Step::Ask(0, 0),
    Step::Ask(1, 1),
    Step::Lead(0),
    Step::SeeRuns(0),
    Step::Decide(0),
    Step::Arrive(0, true),
    Step::Arrive(0, true),
    Step::SeeRuns(0),
];

/// The other replica knows only its own request's run when the leader grants the other.
const UNREAD: [Step; 8] = [
    Step::Lead(0),
    Step::SeeRuns(0),
    Step::Decide(0),
    Step::Ask(1, 1),
    Step::SeeRuns(1),
    Step::Ask(0, 0),
    Step::SeeRuns(0),
    Step::Decide(0),
];

/// A leader grants the only request there is, and another leads before that write arrives; then comes an older request.
const LATE: [Step; 14] = [
    Step::Lead(0),
    Step::SeeRuns(0),
    Step::Decide(0),
    Step::Ask(1, 1),
    Step::SeeRuns(0),
    Step::Decide(0),
    Step::Ask(0, 0),
    Step::Lead(1),
    Step::SeeRuns(1),
    Step::Decide(1),
    Step::Arrive(1, true),
    Step::Arrive(1, true),
    Step::SeeRuns(1),
    Step::Decide(1),
];

/// The first request is admitted by its grant.
const ADMITTED: [Step; 12] = [
    Step::Ask(0, 0),
    Step::Ask(1, 1),
    Step::Lead(0),
    Step::SeeRuns(0),
    Step::Decide(0),
    Step::Arrive(0, true),
    Step::Arrive(0, true),
    Step::SeeRuns(0),
    Step::Decide(0),
    Step::Arrive(0, true),
    Step::SeeRuns(0),
    Step::Admit(0, 0),
];

/// The grant of the first request was not used in time, and is given back.
const LAPSED: [Step; 17] = [
    Step::Ask(0, 0),
    Step::Ask(1, 1),
    Step::Lead(0),
    Step::SeeRuns(0),
    Step::Decide(0),
    Step::Arrive(0, true),
    Step::Arrive(0, true),
    Step::SeeRuns(0),
    Step::Decide(0),
    Step::Arrive(0, true),
    Step::SeeRuns(0),
    Step::Tick,
    Step::SeeObjects(0),
    Step::GiveBack(0),
    Step::Return(0),
    Step::SeeRuns(0),
    Step::Decide(0),
];

/// The first request was admitted by its grant, of which nobody was told, and the time to use it is over.
const UNTOLD: [Step; 15] = [
    Step::Ask(0, 0),
    Step::Ask(1, 1),
    Step::Lead(0),
    Step::SeeRuns(0),
    Step::Decide(0),
    Step::Arrive(0, true),
    Step::Arrive(0, true),
    Step::SeeRuns(0),
    Step::Decide(0),
    Step::Arrive(0, true),
    Step::SeeRuns(0),
    Step::Admit(0, 0),
    Step::Tick,
    Step::SeeObjects(0),
    Step::GiveBack(0),
];

/// As many states are looked at, nearest first, where the whole world is too large.
const ENOUGH: usize = 20_000;

#[test]
fn of_one_place_never_two_run_whatever_is_late() {
    let change = Bounds { terms: 2, until: 1, writes: 4, creates: 1, ends: 0, ..SMALL };
    for (name, bounds, first) in [
        ("names", SMALL, &FENCED[..]),
        ("names that are made again", Bounds { ends: 2, ..SMALL }, &ADMITTED[..]),
        ("generated names", Bounds { generated: true, ..SMALL }, &FENCED[..]),
        ("a change of leader", change, &HELD[..]),
        ("a change of leader that has not read", change, &UNREAD[..]),
        ("a late write", change, &LATE[..]),
        ("what was admitted is late", SMALL, &ADMITTED[..]),
        ("who finds no place is refused", Bounds { refuses: true, ..SMALL }, &FENCED[..]),
        ("nobody used it in time", Bounds { returns: 1, ..SMALL }, &LAPSED[..]),
        ("nobody knows that it was used", Bounds { returns: 1, ..SMALL }, &UNTOLD[..]),
    ] {
        let found = search(&bounds, first, ENOUGH);
        assert!(found.too_many.is_none(), "{name}: {:#?}", found.too_many);
        // After a change of leader nothing runs before many more steps.
        assert!(found.used > 0 || bounds.terms > 1, "{name}: of {} states something runs in none", found.states);
        println!("{name}: {} states, something runs in {}, the second in {}", found.states, found.used, found.both);
    }
}

#[test]
fn without_any_one_of_its_guards_too_many_run() {
    let change = Bounds { terms: 2, until: 1, writes: 4, creates: 2, ends: 0, ..SMALL };
    let generated = Bounds { generated: true, ..SMALL };
    let one = Bounds { ends: 0, ..SMALL };
    for (guard, bounds, first) in [
        (Guard::Fence, change, &HELD[..]),
        (Guard::ReadRuns, change, &UNREAD),
        (Guard::Precondition, change, &LATE),
        (Guard::Own, SMALL, &FENCED),
        (Guard::Stored, SMALL, &ADMITTED),
        (Guard::Proof, one, &ADMITTED),
        (Guard::Once, generated, &ADMITTED),
        (Guard::OwnReplica, generated, &ADMITTED),
        (Guard::GiveBack, Bounds { returns: 1, ..one }, &UNTOLD),
    ] {
        let found = search(&Bounds { without: Some(guard), ..bounds }, first, 5 * ENOUGH);
        println!("{guard:?}: {} states: {:?}", found.states, found.too_many);
        assert!(found.too_many.is_some(), "{guard:?} guards nothing, in {} states", found.states);
    }
}
