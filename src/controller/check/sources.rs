//! What live checks read: kinds, the rights to read them, watches. A watch is begun when a check that may read through it needs it, is shared by
//! all that do, and ends with the last.

use super::access::{Access, Account, Grants, Permission, refusal};
use super::engine::Effect;
use super::objects::{CheckKey, Interest, KindKey, KindState, Objects, Reader, Untold, WatchKey, Watched};
use super::per_request::{self, PerRequest, Readable};
use super::plan::{CheckPlan, TargetPlan, Which};
use super::publishing::Publishing;
use crate::api::conditions::passing;
use crate::cluster::discovery::Served;
use crate::cluster::snapshot::Labels;
use crate::core::allowance::Allowances;
use crate::core::selector::Selector;
use crate::core::verdict::Evaluation;
use crate::probe::{self, LiveProbe, Look, MemberFact, Place, Reference, ReferenceKind, Related};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::core::discovery::ApiResource;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// How long until the API server is asked again about a kind that it does not serve, or could not tell.
const ASK_AGAIN: SignedDuration = SignedDuration::from_secs(5);
/// In how many namespaces an account is asked about one by one. For more it must have the right in all.
const MAX_NAMESPACES: usize = 64;

/// What came of an evaluation.
#[derive(Debug)]
pub enum Found {
    /// It cannot be evaluated yet, and nothing is wrong.
    Waiting(String),
    /// It was evaluated, or it cannot be.
    Evaluation(Evaluation),
}

/// What one check reads through.
#[derive(Debug, Default)]
pub struct Reads {
    /// Watches that it subscribed to.
    pub watches: Vec<WatchKey>,
    /// Those of them that are copied for whoever waits for an answer.
    published: Vec<WatchKey>,
    accesses: Vec<Arc<Access>>,
    kinds: Vec<KindKey>,
}

#[derive(Debug)]
struct Kind {
    state: KindState,
    users: HashSet<CheckKey>,
}

/// Everything that can be read.
#[derive(Debug)]
pub struct Sources {
    kinds: HashMap<KindKey, Kind>,
    /// The watches.
    pub watches: HashMap<WatchKey, Watched>,
    /// The rights.
    pub grants: Grants,
    /// The copies for whoever waits for an answer.
    pub publishing: Publishing,
    namespaces: Option<Arc<HashMap<String, Labels>>>,
    /// What to do, to be taken out.
    pub effects: Vec<Effect>,
    idle: Vec<WatchKey>,
    /// What the expressions of each namespace may cost.
    allowances: RefCell<Allowances>,
}

/// A check that reads.
#[derive(Clone, Copy)]
pub struct Asker<'a> {
    /// Which.
    pub key: &'a CheckKey,
    /// What it does.
    pub plan: &'a CheckPlan,
    /// The time.
    pub now: Timestamp,
}

/// Objects that are needed.
struct Need<'a> {
    kind: KindKey,
    place: NeedPlace<'a>,
    name: Option<String>,
    quiet: bool,
    /// These are what the check is about; the rest is read besides.
    target: bool,
}

impl<'a> Need<'a> {
    /// What a probe reads besides its targets, which are in some namespaces.
    fn of(related: Related, namespaces: Option<&'a Selector>) -> Self {
        let Related { api_version, kind, place, name, quiet } = related;
        let place = match (place, namespaces) {
            (Place::Targets, None) => NeedPlace::Own,
            (Place::Targets, Some(selector)) => NeedPlace::Selected(selector),
            (Place::Everywhere, _) => NeedPlace::Everywhere,
            (Place::Owned(namespace), _) => NeedPlace::Owned(namespace),
        };
        Self { kind: KindKey { api_version: api_version.into(), kind: kind.into() }, place, name, quiet, target: false }
    }
}

/// Objects that may be read: how their kind is served, and in which namespace they are.
struct Allowed {
    served: Served,
    namespace: Option<Arc<str>>,
}

/// Adds to a list that stays short and is kept ten thousand times.
fn keep<T: Clone>(list: &mut Vec<T>, item: &T) {
    list.reserve_exact(1);
    list.push(item.clone());
}

/// All of them, or what is wrong with one. That nothing can come of it is told before that something is awaited.
fn all<T>(results: Vec<Result<T, Found>>) -> Result<Vec<T>, Found> {
    let (mut good, mut waiting) = (Vec::new(), None);
    for result in results {
        match result {
            Ok(value) => good.push(value),
            Err(found @ Found::Evaluation(_)) => return Err(found),
            Err(found @ Found::Waiting(_)) => waiting = waiting.or(Some(found)),
        }
    }
    waiting.map_or(Ok(good), Err)
}

#[derive(Clone, Copy)]
enum NeedPlace<'a> {
    Own,
    Selected(&'a Selector),
    Everywhere,
    Owned(&'static str),
}

impl Sources {
    /// Nothing yet.
    pub fn new() -> Self {
        Self {
            kinds: HashMap::new(),
            watches: HashMap::new(),
            grants: Grants::default(),
            publishing: Publishing::default(),
            namespaces: None,
            effects: Vec::new(),
            idle: Vec::new(),
            allowances: RefCell::default(),
        }
    }

    /// The namespaces with their labels.
    pub fn take_namespaces(&mut self, namespaces: Arc<HashMap<String, Labels>>) {
        self.namespaces = Some(namespaces);
    }

    /// The labels of a namespace; `None`: the namespaces are not known yet.
    pub fn namespace(&self, name: &str) -> Option<&Labels> {
        static NONE: Labels = Labels::new();
        self.namespaces.as_ref().map(|all| all.get(name).unwrap_or(&NONE))
    }

    /// The API server answered about a kind. Returns the checks that it concerns, and when to ask again.
    pub fn take_kind(
        &mut self,
        key: &KindKey,
        answer: Result<Option<Served>, String>,
        now: Timestamp,
    ) -> (HashSet<CheckKey>, Option<Timestamp>) {
        let again = now.checked_add(ASK_AGAIN).unwrap_or(now);
        let Some(kind) = self.kinds.get_mut(key) else { return (HashSet::new(), None) };
        let state = match answer {
            Ok(Some(served)) => KindState::Served(served),
            Ok(None) => KindState::Unserved(format!(
                "the cluster serves no kind {} in {}: see `kubectl api-resources`; the check goes on by itself once the kind is there",
                key.kind, key.api_version
            )),
            Err(message) => {
                tracing::warn!(api_version = %key.api_version, kind = %key.kind, error = message, "cannot ask the API server about a kind");
                return (HashSet::new(), Some(again));
            }
        };
        let again = matches!(state, KindState::Unserved(_)).then_some(again);
        if kind.state == state {
            return (HashSet::new(), again);
        }
        kind.state = state;
        (kind.users.clone(), again)
    }

    /// It is time to ask about a kind again, if somebody still needs it.
    pub fn ask_again(&mut self, key: &KindKey) {
        match self.kinds.get(key) {
            Some(kind) if kind.users.is_empty() => drop(self.kinds.remove(key)),
            Some(_) => self.effects.push(Effect::Ask(key.clone())),
            None => {}
        }
    }

    /// A check reads nothing any more.
    pub fn release(&mut self, check: &CheckKey, reads: &mut Reads) {
        self.unwatch(check, reads);
        self.grants.release(check, &reads.accesses);
        for kind in &reads.kinds {
            if let Some(kind) = self.kinds.get_mut(kind) {
                kind.users.remove(check);
            }
        }
        *reads = Reads::default();
    }

    fn unwatch(&mut self, check: &CheckKey, reads: &mut Reads) {
        for watch in reads.published.drain(..) {
            self.publishing.unsubscribe(check, &watch);
        }
        for watch in reads.watches.drain(..) {
            if self.watches.get_mut(&watch).is_some_and(|w| w.unsubscribe(check)) {
                self.idle.push(watch);
            }
        }
    }

    /// Ends the watches that nobody looks at any more.
    pub fn end_idle(&mut self) {
        for watch in std::mem::take(&mut self.idle) {
            if self.watches.get(&watch).is_some_and(Watched::is_idle) {
                self.watches.remove(&watch);
                self.effects.push(Effect::Unwatch(watch));
            }
        }
    }

    /// Evaluates a live check.
    pub fn evaluate(&mut self, asker: Asker<'_>, probe: &dyn LiveProbe, reads: &mut Reads, members: &[MemberFact]) -> Found {
        match self.prepare(asker, probe, reads) {
            Ok(target) => self.look(asker, probe, reads, members, target.as_ref()),
            Err(found) => found,
        }
    }

    /// Sees to it that everything that the probe reads may be read and is watched. Returns the watch of the targets.
    fn prepare(&mut self, asker: Asker<'_>, probe: &dyn LiveProbe, reads: &mut Reads) -> Result<Option<WatchKey>, Found> {
        let targets = asker.plan.targets.as_ref();
        let mut needs = Vec::new();
        if let Some(targets) = targets {
            let kind = KindKey { api_version: targets.api_version.as_str().into(), kind: targets.kind.as_str().into() };
            let place = targets.namespaces.as_ref().map_or(NeedPlace::Own, NeedPlace::Selected);
            let name = match &targets.which {
                Which::Named(name) => Some(name.as_str()),
                Which::Selected(_) => None,
            };
            needs.push(Need { kind, place, name: name.map(str::to_owned), quiet: false, target: true });
        }
        needs.extend(probe.reads().into_iter().map(|related| Need::of(related, targets.and_then(|t| t.namespaces.as_ref()))));
        let target = needs.iter().position(|need| need.target);
        let mut provided = self.obtain(asker, reads, &needs)?;
        Ok(target.map(|target| provided.swap_remove(target)))
    }

    /// The watches in which what is needed is, if all of it may be read and is there.
    fn obtain(&mut self, asker: Asker<'_>, reads: &mut Reads, needs: &[Need<'_>]) -> Result<Vec<WatchKey>, Found> {
        let allowed: Vec<Result<Allowed, Found>> = needs.iter().map(|need| self.allow(asker, reads, need)).collect();
        let allowed = all(allowed).inspect_err(|found| {
            // Who may not read all of it holds no watch.
            if matches!(found, Found::Evaluation(Evaluation::Impossible(passing::FORBIDDEN | passing::INVALID_SPEC, _))) {
                self.unwatch(asker.key, reads);
            }
        })?;
        let provided = needs.iter().zip(allowed).map(|(need, allowed)| self.provide(asker, reads, need, allowed)).collect();
        all(provided)
    }

    /// Sees to it that everything may be read and is copied that a check looks at which is decided for each request.
    pub fn prepare_for_requests(&mut self, asker: Asker<'_>, probe: &Arc<dyn LiveProbe>, reads: &mut Reads) -> Result<PerRequest, Found> {
        let gated = asker.plan.gated.as_ref();
        let namespaces = gated.and_then(|gated| gated.namespaces.as_ref());
        let place = namespaces.map_or(NeedPlace::Own, NeedPlace::Selected);
        let of_kind = |(api_version, kind): &(Arc<str>, Arc<str>)| {
            let kind = KindKey { api_version: api_version.clone(), kind: kind.clone() };
            Need { kind, place, name: None, quiet: true, target: true }
        };
        let mut needs: Vec<Need<'_>> = gated.iter().flat_map(|gated| per_request::looked_up(gated)).map(|kind| of_kind(&kind)).collect();
        needs.extend(probe.reads().into_iter().map(|related| Need { quiet: true, ..Need::of(related, namespaces) }));
        let watches = self.obtain(asker, reads, &needs)?;
        let readable = match (namespaces, &self.namespaces) {
            (None, _) => Readable::Own,
            (Some(selector), Some(known)) => Readable::Selected(selector.clone(), known.clone()),
            (Some(_), None) => return Err(Found::Waiting("the namespaces are not known yet".to_owned())),
        };
        for watch in &watches {
            self.publishing.subscribe(asker.key, watch, asker.now);
            if !reads.published.contains(watch) {
                reads.published.push(watch.clone());
            }
        }
        Ok(PerRequest::new(asker.key, asker.plan, probe.clone(), watches, readable))
    }

    /// Where objects are, if their kind is served and the check's account may read them there.
    fn allow(&mut self, asker: Asker<'_>, reads: &mut Reads, need: &Need<'_>) -> Result<Allowed, Found> {
        let served = self.served(asker.key, reads, &need.kind)?;
        let own: Arc<str> = match need.place {
            NeedPlace::Owned(namespace) => namespace.into(),
            _ => asker.key.namespace.clone(),
        };
        let namespace = match need.place {
            _ if !served.namespaced => None,
            NeedPlace::Own | NeedPlace::Owned(_) => Some(own),
            NeedPlace::Selected(_) | NeedPlace::Everywhere => None,
        };
        if !matches!(need.place, NeedPlace::Owned(_)) {
            self.permit(asker, reads, need, &served.resource, namespace.as_ref())?;
        }
        Ok(Allowed { served, namespace })
    }

    /// The watch in which they are.
    fn provide(&mut self, asker: Asker<'_>, reads: &mut Reads, need: &Need<'_>, allowed: Allowed) -> Result<WatchKey, Found> {
        let (Allowed { served, namespace }, target) = (allowed, need.target);
        // Targets of one kind share a watch, also those that are named. What else is needed of a name is watched alone.
        let one = need.name.as_deref().filter(|_| !target);
        let key = WatchKey { kind: need.kind.clone(), namespace: namespace.clone(), name: one.map(Into::into) };
        let known = reads.watches.contains(&key);
        // Targets that are named may be of a kind of which all are needed besides.
        if !known || !target {
            let effects = &mut self.effects;
            let watched = self.watches.entry(key.clone()).or_insert_with(|| {
                effects.push(Effect::Watch(key.clone(), served.clone()));
                Watched::default()
            });
            let interest = match need.name.as_deref() {
                _ if need.quiet => Interest::Quiet,
                Some(name) if target => Interest::Target(namespace.as_deref().unwrap_or_default(), name),
                Some(name) => Interest::One(namespace.as_deref().unwrap_or_default(), name),
                None => Interest::All,
            };
            watched.subscribe(&need.kind, asker.key, interest);
            if !known {
                let shared = self.watches.get_key_value(&key).map_or(&key, |(shared, _)| shared);
                keep(&mut reads.watches, shared);
            }
        }
        match self.watches.get(&key).map(|watched| watched.objects(&key, asker.now).map(drop)) {
            Some(Err(Untold { message, waiting: true, .. })) => Err(Found::Waiting(message)),
            Some(Err(Untold { message, forbidden: true, .. })) if target => {
                let message = format!("{message}; grant it: {}", grant_operator(&served.resource));
                Err(Found::Evaluation(Evaluation::Impossible(passing::FORBIDDEN, message)))
            }
            Some(Err(Untold { message, .. })) if target => {
                Err(Found::Evaluation(Evaluation::Impossible(passing::EVALUATION_ERROR, message)))
            }
            _ => Ok(key),
        }
    }

    fn served(&mut self, check: &CheckKey, reads: &mut Reads, key: &KindKey) -> Result<Served, Found> {
        let waiting = || Found::Waiting(format!("asking the API server about {} of {}", key.kind, key.api_version));
        let effects = &mut self.effects;
        let kind = self.kinds.entry(key.clone()).or_insert_with(|| {
            effects.push(Effect::Ask(key.clone()));
            Kind { state: KindState::Asked, users: HashSet::new() }
        });
        if !reads.kinds.contains(key) {
            kind.users.insert(check.clone());
            let shared = self.kinds.get_key_value(key).map_or(key, |(shared, _)| shared);
            keep(&mut reads.kinds, shared);
        }
        let Some(kind) = self.kinds.get(key) else { return Err(waiting()) };
        match &kind.state {
            KindState::Asked => Err(waiting()),
            KindState::Served(served) => Ok(served.clone()),
            KindState::Unserved(message) => {
                let message = format!("spec.targets.kind: {message}");
                Err(Found::Evaluation(Evaluation::Impossible(passing::INVALID_SPEC, message)))
            }
        }
    }

    fn permit(
        &mut self,
        asker: Asker<'_>,
        reads: &mut Reads,
        need: &Need<'_>,
        resource: &ApiResource,
        namespace: Option<&Arc<str>>,
    ) -> Result<(), Found> {
        let of = |verb, namespace: Option<&Arc<str>>, name: Option<&str>| Access {
            account: Account { namespace: asker.key.namespace.clone(), name: asker.plan.account.clone() },
            verb,
            group: resource.group.as_str().into(),
            resource: resource.plural.as_str().into(),
            namespace: namespace.cloned(),
            name: name.map(Into::into),
        };
        match (need.place, need.name.as_deref()) {
            // The right to get all of them is asked for first, because many checks share the answer.
            (_, Some(name)) => match self.ask(asker, reads, of("get", namespace, None))? {
                Ok(()) => Ok(()),
                Err(_) => self.ask(asker, reads, of("get", namespace, Some(name)))?.map_err(|access| forbidden(&access)),
            },
            (NeedPlace::Selected(selector), None) if namespace.is_none() => {
                let Err(refused) = self.list_and_watch(asker, reads, |verb| of(verb, None, None))? else { return Ok(()) };
                let Some(namespaces) = self.namespaces.clone() else {
                    return Err(Found::Waiting("the namespaces are not known yet".to_owned()));
                };
                let selected: Vec<&String> =
                    namespaces.iter().filter(|(_, labels)| selector.matches(labels)).map(|(name, _)| name).collect();
                if selected.is_empty() || selected.len() > MAX_NAMESPACES {
                    return Err(forbidden(&refused));
                }
                for place in selected {
                    let place: Arc<str> = place.as_str().into();
                    // Which namespaces there are is not told: the account may not know.
                    let Ok(()) = self.list_and_watch(asker, reads, |verb| of(verb, Some(&place), None))? else {
                        return Err(forbidden(&refused));
                    };
                }
                Ok(())
            }
            _ => self.list_and_watch(asker, reads, |verb| of(verb, namespace, None))?.map_err(|access| forbidden(&access)),
        }
    }

    fn list_and_watch(
        &mut self,
        asker: Asker<'_>,
        reads: &mut Reads,
        of: impl Fn(&'static str) -> Access,
    ) -> Result<Result<(), Access>, Found> {
        for verb in ["list", "watch"] {
            if let Err(refused) = self.ask(asker, reads, of(verb))? {
                return Ok(Err(refused));
            }
        }
        Ok(Ok(()))
    }

    /// Whether a right is given; the outer error is that it is not known.
    fn ask(&mut self, asker: Asker<'_>, reads: &mut Reads, access: Access) -> Result<Result<(), Access>, Found> {
        let known = reads.accesses.iter().any(|other| **other == access);
        let (permission, shared) = self.grants.permission(&access, asker.key, asker.now);
        if let Some(shared) = shared.filter(|_| !known) {
            keep(&mut reads.accesses, shared);
        }
        match permission {
            Permission::Allowed => Ok(Ok(())),
            Permission::Denied => Ok(Err(access)),
            Permission::Asked => Err(Found::Waiting(format!("asking what service account {} may read", access.account))),
            Permission::Untold(error) => {
                let message = format!("cannot ask what service account {} may read: {error}", access.account);
                Err(Found::Evaluation(Evaluation::Impossible(passing::EVALUATION_ERROR, message)))
            }
        }
    }

    /// Whether a probed check may fetch what it refers to.
    pub fn may_fetch(&mut self, asker: Asker<'_>, reads: &mut Reads, references: &[Reference]) -> Result<(), Found> {
        for Reference { kind, name } in references {
            let resource = match kind {
                ReferenceKind::ConfigMap => "configmaps",
                ReferenceKind::Secret => "secrets",
            };
            let of = |name: Option<&str>| Access {
                account: Account { namespace: asker.key.namespace.clone(), name: asker.plan.account.clone() },
                verb: "get",
                group: "".into(),
                resource: resource.into(),
                namespace: Some(asker.key.namespace.clone()),
                name: name.map(Into::into),
            };
            if self.ask(asker, reads, of(None))?.is_err() {
                self.ask(asker, reads, of(Some(name)))?.map_err(|access| forbidden(&access))?;
            }
        }
        Ok(())
    }

    fn look(&self, asker: Asker<'_>, probe: &dyn LiveProbe, reads: &Reads, members: &[MemberFact], watch: Option<&WatchKey>) -> Found {
        let reader = Reader { watches: &self.watches, own: &reads.watches, now: asker.now };
        let namespace = &asker.key.namespace;
        let observe = |targets: &[&DynamicObject]| {
            let look = Look { targets, namespace, objects: &reader, members, now: asker.now };
            let start = self.allowances.borrow().left(namespace, asker.now);
            let mut left = start;
            let seen = probe::observe(probe, &look, &mut left);
            self.allowances.borrow_mut().spend(namespace, start.saturating_sub(left), asker.now);
            seen
        };
        let (Some(targets), Some(watch)) = (&asker.plan.targets, watch) else {
            return Found::Evaluation(Evaluation::Observed(observe(&[])));
        };
        let Some(watched) = self.watches.get(watch) else {
            return Found::Waiting(format!("{} objects are not watched yet", watch.kind.kind));
        };
        let objects = match watched.objects(watch, asker.now) {
            Ok(objects) => objects,
            Err(untold) => return Found::Waiting(untold.message),
        };
        let place = watch.namespace.as_deref();
        let named;
        let selected = match &targets.which {
            Which::Named(name) => {
                named = watched.target(&watch.kind, place.unwrap_or_default(), name);
                named.as_deref().into_iter().collect()
            }
            Which::Selected(selector) => self.selected(selector, targets, objects, place),
        };
        if selected.is_empty() {
            return Found::Evaluation(Evaluation::NoTargets(nothing_found(targets, watch.namespace.as_deref())));
        }
        let mut seen = observe(&selected);
        if targets.namespaces.is_some() && seen.len() == selected.len() {
            for (observation, target) in seen.iter_mut().zip(&selected) {
                observation.target = format!("{}/{}", target.namespace().unwrap_or_default(), observation.target);
            }
        }
        Found::Evaluation(Evaluation::Observed(seen))
    }

    fn selected<'a>(&self, selector: &Selector, targets: &TargetPlan, objects: &'a Objects, own: Option<&str>) -> Vec<&'a DynamicObject> {
        let known = self.namespaces.as_deref();
        let there = |namespace: &str| match (&targets.namespaces, own) {
            (Some(selector), None) if !namespace.is_empty() => {
                known.and_then(|all| all.get(namespace)).is_some_and(|labels| selector.matches(labels))
            }
            _ => true,
        };
        let places = objects.iter().filter(|(namespace, _)| there(namespace)).map(|(_, objects)| objects);
        places.flat_map(BTreeMap::values).map(AsRef::as_ref).filter(|o| selector.matches(o.labels())).collect()
    }
}

fn forbidden(access: &Access) -> Found {
    Found::Evaluation(Evaluation::Impossible(passing::FORBIDDEN, refusal(access)))
}

fn nothing_found(targets: &TargetPlan, namespace: Option<&str>) -> String {
    let place = namespace.map_or_else(String::new, |n| format!(" in namespace {n}"));
    let place = targets.namespaces.as_ref().map_or(place, |selector| {
        if selector.selects_all() { " in any namespace".to_owned() } else { format!(" in namespaces with the labels {selector}") }
    });
    match &targets.which {
        Which::Named(name) => format!("there is no {} {name}{place}", targets.kind),
        Which::Selected(selector) if selector.selects_all() => format!("there is no {}{place}", targets.kind),
        Which::Selected(selector) => format!("no {}{place} has the labels {selector}", targets.kind),
    }
}

/// The commands that let the operator itself watch a kind.
fn grant_operator(resource: &ApiResource) -> String {
    let ApiResource { group, plural, .. } = resource;
    let resource = if group.is_empty() { plural.clone() } else { format!("{plural}.{group}") };
    format!(
        "kubectl create clusterrole holdpoint-read-{plural} --verb=get,list,watch --resource={resource} \
         && kubectl label clusterrole holdpoint-read-{plural} holdpoint.dev/aggregate-to-operator=true"
    )
}
