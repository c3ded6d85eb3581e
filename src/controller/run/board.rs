//! The runs that there are, and what is to be done about them. Does nothing itself: it is told what happened, and says what to do.
//!
//! The leader alone acts. All that it knows of a run is in the run's status, so the next leader goes on with it.

use super::super::check::{Answer, CheckKey, Ticket};
use crate::api::{GateKind, PreflightRun, PreflightRunSpec, PreflightRunStatus, RunVerdict, conditions::passing};
use crate::cluster::snapshot::Books;
use crate::cluster::watch::Change;
use crate::core::freshness::{self, Revision};
use crate::core::gate::{CheckFacts, Gate, GateKey, Held};
use crate::core::run::keep::{Finished, collect, too_many};
use crate::core::run::report::refused;
use crate::core::run::select::{Invalid, select};
use crate::core::run::{CheckId, End, Found, Run};
use crate::core::starts::STORED_WITHIN;
use crate::core::verdict::Standing;
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// How often the status of a run that goes on is written at most, and how soon a write that failed is tried again.
const PACE: SignedDuration = SignedDuration::from_secs(1);

/// For how long after its time a request may still come back, and clocks may differ.
const COMES_BACK: SignedDuration = SignedDuration::from_secs(30);

/// Which run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What the leader knows besides the runs.
pub struct Leader<'a> {
    /// The checks.
    pub facts: &'a dyn CheckFacts,
    /// The gates, once all are known.
    pub gates: Option<&'a [Arc<Gate>]>,
    /// What is known of the starts of gates that count them, once these are known.
    pub starts: Option<&'a Books>,
}

/// What to do.
#[derive(Debug, Default)]
pub struct Output {
    /// Have these checks evaluated.
    pub asks: Vec<(CheckKey, Ticket)>,
    /// Nobody waits for these any longer.
    pub withdrawn: Vec<u64>,
    /// Write these statuses in place of what is at that revision, and tell with the same number how it ended.
    pub writes: Vec<(RunKey, u64, Box<PreflightRunStatus>, Revision)>,
    /// Delete these, if they are of that uid.
    pub deletes: Vec<(RunKey, String)>,
    /// When to look again although nothing happens.
    pub again: Option<Timestamp>,
}

#[derive(Debug)]
struct Entry {
    uid: String,
    revision: Revision,
    generation: Option<i64>,
    created: Timestamp,
    spec: PreflightRunSpec,
    /// As it is written.
    status: PreflightRunStatus,
    stage: Stage,
    /// A write on its way.
    sent: Option<(u64, Box<PreflightRunStatus>)>,
    written_at: Option<Timestamp>,
    /// Whether the last write was not made, or nobody knows.
    failed: bool,
    /// Whether its deletion is on its way.
    leaving: bool,
}

#[derive(Debug)]
enum Stage {
    /// Nothing was done about it by this replica.
    New,
    /// It goes on; answers of evaluations have this number.
    Active(Box<Run>, u64),
    /// It is not begun, and this is to be written.
    Refused(Box<PreflightRunStatus>),
}

/// All runs.
#[derive(Debug, Default)]
pub struct Board {
    complete: bool,
    runs: BTreeMap<RunKey, Entry>,
    tickets: HashMap<u64, RunKey>,
    numbers: u64,
}

impl Entry {
    fn of(run: PreflightRun) -> Self {
        let mut entry = Self {
            uid: run.uid().unwrap_or_default(),
            revision: Revision::parse(run.metadata.resource_version.as_deref()).unwrap_or_default(),
            generation: run.metadata.generation,
            created: run.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            spec: run.spec,
            status: run.status.unwrap_or_default(),
            stage: Stage::New,
            sent: None,
            written_at: None,
            failed: false,
            leaving: false,
        };
        entry.slim();
        entry
    }

    fn is_over(&self) -> bool {
        self.status.completion_time.is_some()
    }

    /// Of a run that is over little is needed.
    fn slim(&mut self) {
        if self.is_over() {
            self.spec.object = None;
            self.spec.checks = Vec::new();
            self.status.checks = Vec::new();
            self.stage = Stage::New;
        }
    }

    fn gate(&self, namespace: &str) -> Option<GateKey> {
        let reference = self.spec.gate_ref.as_ref()?;
        let namespace = (reference.kind == GateKind::ExperimentGate).then(|| namespace.to_owned());
        Some(GateKey { namespace, name: reference.name.clone() })
    }

    /// Whether a request may still come back for it, or the ledger of starts needs it.
    fn is_needed(&self, gate: &GateKey, leader: &Leader<'_>, now: Timestamp) -> bool {
        if self.spec.digest.is_none() || self.status.withdrawn {
            return false;
        }
        let before = |at: Timestamp, wait: SignedDuration| at.saturating_add(wait).is_ok_and(|until| now < until);
        let Some(grant) = &self.status.grant else {
            return before(self.created, SignedDuration::from_secs(i64::from(self.spec.deadline_seconds)) + COMES_BACK);
        };
        let book = leader.starts.map(|books| books.get(gate));
        before(grant.expires.0, STORED_WITHIN + COMES_BACK)
            || book.is_none_or(|book| book.is_some_and(|book| book.needs(&self.uid, grant.used_by.as_deref(), now)))
    }

    fn trigger(&self) -> &'static str {
        match (&self.spec.digest, &self.spec.scheduled_time) {
            (Some(_), _) => "held",
            (None, Some(_)) => "schedule",
            (None, None) => "request",
        }
    }
}

impl Board {
    /// The runs for requests that are held.
    pub fn held(&self) -> impl Iterator<Item = (RunKey, Held)> {
        self.runs.iter().filter(|(_, entry)| entry.spec.digest.is_some()).map(|(key, entry)| {
            let run = format!("{}/{}", key.namespace, key.name);
            let place = entry.status.grant.as_ref().filter(|grant| grant.used_by.is_none());
            let (ended, withdrawn) = (entry.status.verdict.filter(|_| entry.is_over()), entry.status.withdrawn);
            (key.clone(), Held { run, since: entry.created, ended, place_until: place.map(|grant| grant.expires.0), withdrawn })
        })
    }

    /// The uid of a run that is of another wait than one that begins now, and in its way.
    pub fn in_the_way(&self, key: &RunKey) -> Option<&str> {
        self.runs.get(key).filter(|entry| entry.is_over() || entry.status.withdrawn).map(|entry| entry.uid.as_str())
    }

    /// Takes in what happened to runs.
    pub fn take(&mut self, change: Change<PreflightRun>) {
        match change {
            Change::Listed(list) => {
                self.complete = true;
                let mut old = std::mem::take(&mut self.runs);
                for run in list {
                    let key = key_of(&run);
                    if let Some(entry) = old.remove(&key) {
                        self.runs.insert(key, entry);
                    }
                    self.upsert(run);
                }
            }
            Change::Applied(run) => self.upsert(run),
            Change::Deleted(run) => {
                self.runs.remove(&key_of(&run));
            }
            Change::Unreadable { namespace, name, error } => {
                tracing::error!(namespace, name, error, "a PreflightRun cannot be read and is left alone");
                self.runs.remove(&RunKey { namespace: namespace.unwrap_or_default(), name });
            }
            Change::Failed { message, .. } => {
                tracing::warn!(error = message, "the watch of PreflightRuns broke and begins again");
            }
        }
    }

    fn upsert(&mut self, run: PreflightRun) {
        let key = key_of(&run);
        let mut new = Entry::of(run);
        if let Some(old) = self.runs.remove(&key).filter(|old| old.uid == new.uid) {
            // What was written comes back; an older version may still be on its way.
            if old.revision > new.revision {
                new.revision = old.revision;
                new.status = old.status;
            }
            new.sent = old.sent;
            new.written_at = old.written_at;
            new.failed = old.failed;
            new.leaving = old.leaving;
            new.stage = old.stage;
            new.slim();
        }
        self.runs.insert(key, new);
    }

    /// A check was evaluated.
    pub fn answered(&mut self, answer: &Answer, facts: &dyn CheckFacts, now: Timestamp) {
        let Some(entry) = self.tickets.get(&answer.number).and_then(|key| self.runs.get_mut(key)) else { return };
        if let Stage::Active(run, _) = &mut entry.stage {
            let check = CheckId { namespace: answer.check.namespace.clone(), name: answer.check.name.clone() };
            run.take(&check, &found(answer, facts, now));
        }
    }

    /// A write ended; `None`: it was not made, or nobody knows.
    pub fn written(&mut self, key: &RunKey, number: u64, revision: Option<Revision>) -> Option<(&'static str, &'static str)> {
        let entry = self.runs.get_mut(key)?;
        let (_, status) = entry.sent.take_if(|(sent, _)| *sent == number)?;
        entry.failed = revision.is_none();
        entry.revision = entry.revision.max(revision?);
        entry.status = *status;
        let verdict = entry.status.verdict.filter(|_| entry.is_over());
        entry.slim();
        Some((entry.trigger(), verdict?.as_str()))
    }

    /// A deletion ended. If it failed it is tried again.
    pub fn deleted(&mut self, key: &RunKey, gone: bool) {
        if let Some(entry) = self.runs.get_mut(key).filter(|_| !gone) {
            entry.leaving = false;
        }
    }

    /// Says what to do. Without a leader nothing is done, and what was under way is forgotten.
    pub fn look(&mut self, leader: Option<&Leader<'_>>, now: Timestamp) -> Output {
        let mut output = Output::default();
        let Some(leader) = leader.filter(|leader| self.complete && leader.facts.complete()) else {
            self.tickets.clear();
            for entry in self.runs.values_mut() {
                entry.stage = Stage::New;
                entry.sent = None;
                entry.leaving = false;
            }
            return output;
        };
        let mut waiting: Vec<(Timestamp, RunKey)> =
            self.runs.iter().filter(|(_, entry)| !entry.is_over()).map(|(key, entry)| (entry.created, key.clone())).collect();
        waiting.sort();
        let mut active = Active::default();
        // Those that began go on before others begin.
        for begun in [true, false] {
            for (_, key) in &waiting {
                let has_begun =
                    self.runs.get(key).is_some_and(|entry| entry.status.start_time.is_some() || !matches!(entry.stage, Stage::New));
                if has_begun == begun {
                    self.advance(key, leader, &mut active, &mut output, now);
                }
            }
        }
        self.collect(leader, &mut output, now);
        output
    }

    fn advance(&mut self, key: &RunKey, leader: &Leader<'_>, active: &mut Active, output: &mut Output, now: Timestamp) {
        let Some(entry) = self.runs.get_mut(key) else { return };
        if matches!(entry.stage, Stage::New) {
            let too_many = if entry.status.start_time.is_none() { active.too_many(&key.namespace) } else { None };
            let Some(stage) = begin(entry, key, leader, too_many, now) else { return };
            entry.stage = match stage {
                Ok(run) => {
                    self.numbers += 1;
                    self.tickets.insert(self.numbers, key.clone());
                    Stage::Active(Box::new(run), self.numbers)
                }
                Err(status) => Stage::Refused(Box::new(status)),
            };
        }
        let over = match &mut entry.stage {
            Stage::New => return,
            Stage::Refused(_) => true,
            Stage::Active(run, number) => {
                active.add(&key.namespace);
                if entry.spec.cancel {
                    run.end(End::Cancelled);
                }
                run.expire(now);
                let ticket = Ticket { number: *number, force: entry.spec.force };
                let begun = run.begin(now).into_iter().map(|check| (CheckKey { namespace: check.namespace, name: check.name }, ticket));
                output.asks.extend(begun);
                if run.ended().is_some() && self.tickets.remove(number).is_some() {
                    output.withdrawn.push(*number);
                }
                output.again = [output.again, Some(run.deadline()).filter(|_| run.ended().is_none())].into_iter().flatten().min();
                run.ended().is_some()
            }
        };
        let wanted = match &entry.stage {
            Stage::Active(run, _) => run.status(Some(&entry.status), entry.generation, now),
            Stage::Refused(status) => PreflightRunStatus::clone(status),
            Stage::New => return,
        };
        if entry.sent.is_some() || wanted == entry.status {
            return;
        }
        let rests_until = entry.written_at.and_then(|at| at.checked_add(PACE).ok()).filter(|until| now < *until);
        // The end is told at once, unless telling it failed just now.
        if let Some(until) = rests_until.filter(|_| !over || entry.failed) {
            output.again = [output.again, Some(until)].into_iter().flatten().min();
            return;
        }
        self.numbers += 1;
        entry.written_at = Some(now);
        entry.sent = Some((self.numbers, Box::new(wanted.clone())));
        output.writes.push((key.clone(), self.numbers, Box::new(wanted), entry.revision));
    }

    fn collect(&mut self, leader: &Leader<'_>, output: &mut Output, now: Timestamp) {
        let finished: Vec<Finished<RunKey>> = self
            .runs
            .iter()
            .filter_map(|(key, entry)| {
                let completed = entry.status.completion_time.as_ref()?.0;
                let gate = entry.gate(&key.namespace);
                let needed = gate.as_ref().is_some_and(|gate| entry.is_needed(gate, leader, now));
                let group = (key.namespace.clone(), gate.map(|gate| gate.to_string()));
                Some(Finished { key: key.clone(), group, completed, ttl_seconds: entry.spec.ttl_seconds_after_finished, needed })
            })
            .collect();
        let (gone, again) = collect(&finished, now);
        for key in gone {
            if let Some(entry) = self.runs.get_mut(&key).filter(|entry| !entry.leaving) {
                entry.leaving = true;
                output.deletes.push((key, entry.uid.clone()));
            }
        }
        output.again = [output.again, again].into_iter().flatten().min();
    }
}

/// How many runs go on.
#[derive(Default)]
struct Active {
    all: usize,
    by_namespace: HashMap<String, usize>,
}

impl Active {
    fn too_many(&self, namespace: &str) -> Option<String> {
        too_many(self.by_namespace.get(namespace).copied().unwrap_or(0), self.all)
    }

    fn add(&mut self, namespace: &str) {
        self.all += 1;
        *self.by_namespace.entry(namespace.to_owned()).or_default() += 1;
    }
}

/// A run that begins or goes on, or why it does not; `None`: it cannot be told yet.
fn begin(
    entry: &Entry,
    key: &RunKey,
    leader: &Leader<'_>,
    too_many: Option<String>,
    now: Timestamp,
) -> Option<Result<Run, PreflightRunStatus>> {
    let no = |reason: &str, message: &str| Some(Err(refused(Some(&entry.status), entry.generation, reason, message, now)));
    if let Some(message) = too_many {
        return no("TooManyRuns", &message);
    }
    let wanted = entry.gate(&key.namespace);
    let gates = if wanted.is_some() { leader.gates? } else { &[] };
    let gate = wanted.and_then(|wanted| gates.iter().find(|gate| gate.key == wanted));
    match select(&entry.spec, &key.namespace, gate.map(AsRef::as_ref), leader.facts) {
        Err(Invalid(message)) => no("InvalidSpec", &message),
        Ok(plan) => {
            let began = entry.status.start_time.as_ref().map_or(now, |time| time.0);
            let mut run = Run::new(&key.namespace, plan, entry.spec.deadline_seconds, began);
            run.resume(&entry.status);
            Some(Ok(run))
        }
    }
}

/// What a check is worth to a run.
fn found(answer: &Answer, facts: &dyn CheckFacts, now: Timestamp) -> Found {
    let Some((state, basis)) = &answer.found else {
        return Found::unknown("Missing", "there is no such check any longer");
    };
    let verdict = match freshness::standing(state, basis, facts.freshness(), now) {
        // It is told when the request comes again.
        Standing::Unknown if state.reason == passing::PER_REQUEST => RunVerdict::Skipped,
        Standing::NotApplicable => RunVerdict::Skipped,
        Standing::Passing => RunVerdict::Passing,
        Standing::Warning => RunVerdict::Warning,
        Standing::Stale | Standing::Unknown => RunVerdict::Unknown,
        Standing::Failing => RunVerdict::Failing,
    };
    let distrust = freshness::distrust(state, basis, facts.freshness(), now);
    let reason =
        if distrust.is_some() || (verdict == RunVerdict::Unknown && state.verdict.passes()) { passing::STALE } else { state.reason };
    Found {
        verdict,
        reason: reason.to_owned(),
        message: distrust.unwrap_or_else(|| state.message.clone()),
        duration: state.evaluated_at.map(|_| state.duration),
    }
}

fn key_of(run: &PreflightRun) -> RunKey {
    RunKey { namespace: run.namespace().unwrap_or_default(), name: run.name_any() }
}
