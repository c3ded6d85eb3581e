//! A check that is decided while a request waits: what it needs for that, and how it decides. It reads published copies of watches, and only
//! those that its account may read.

use super::objects::CheckKey;
use super::plan::{CheckPlan, GatedPlan};
use crate::api::conditions::passing::{self, AWAITING_PLACE};
use crate::cluster::snapshot::Labels;
use crate::core::gate::{Ask, OfRequest};
use crate::core::observation::{NO_DATA, NOT_FOUND, Observation, Outcome};
use crate::core::selector::Selector;
use crate::core::starts::Limit;
use crate::core::text::single_line;
use crate::core::touch::{self, Cluster, Gated, Touch, Untold, Workload, resolve, resolve_nodes};
use crate::core::verdict::{Evaluation, Settings, State, settle};
use crate::core::watched::{Place, Published, WatchKey};
use crate::probe::{self, Asked, LiveProbe, Look, NOT_SYNCED, NotSynced, ReadObjects};
use jiff::{SignedDuration, Timestamp};
use kube::api::DynamicObject;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// Reason of an Error: the object does not tell what it touches.
const UNRESOLVABLE: &str = "Unresolvable";
/// Reason of an Error: what is touched is of a kind that the probe cannot judge.
const NOT_JUDGED: &str = "NotJudged";
const POD: (&str, &str) = ("v1", "Pod");
const NODE: (&str, &str) = ("v1", "Node");
/// What the gated object's targets are called where there are none to name.
const WHOLE: &str = "Experiment";

/// A check, ready to be asked.
#[derive(Debug)]
pub struct PerRequest {
    namespace: Arc<str>,
    probe: Arc<dyn LiveProbe>,
    gated: Option<GatedPlan>,
    readable: Readable,
    settings: Settings,
    watches: Vec<WatchKey>,
}

/// Which namespaces a check may look at.
#[derive(Debug)]
pub enum Readable {
    /// Its own.
    Own,
    /// Those with these labels, of the namespaces as they were when its rights were asked for.
    Selected(Selector, Arc<HashMap<String, Labels>>),
}

/// The kinds that are looked up for a check of what is touched.
pub fn looked_up(gated: &GatedPlan) -> Vec<(Arc<str>, Arc<str>)> {
    let mut kinds: Vec<(Arc<str>, Arc<str>)> = Vec::new();
    for (api_version, kind) in &gated.kinds {
        if touch::is_held_itself(api_version, kind) {
            continue;
        }
        let pair = (api_version.clone(), kind.clone());
        // Nodes may be those of the pods, and the owners are found through them.
        for needed in [(POD.0.into(), POD.1.into()), pair] {
            if !kinds.contains(&needed) {
                kinds.push(needed);
            }
        }
    }
    kinds
}

impl PerRequest {
    /// A check whose watches are copied.
    pub fn new(key: &CheckKey, plan: &CheckPlan, probe: Arc<dyn LiveProbe>, watches: Vec<WatchKey>, readable: Readable) -> Self {
        let once = Settings {
            failure_threshold: 1,
            success_threshold: 1,
            hold_down: SignedDuration::ZERO,
            ages: false,
            history_limit: 0,
            ..plan.settings.clone()
        };
        Self { namespace: key.namespace.clone(), probe, gated: plan.gated.clone(), readable, settings: once, watches }
    }

    fn evaluate(&self, ask: &Ask<'_>) -> Evaluation {
        let copies = Copies::of(&self.watches, ask);
        let seen = Seen { copies: &copies, own: &self.namespace, readable: &self.readable };
        let Some(gated) = &self.gated else { return self.observe(ask, &seen, None, &[]) };
        let object = Gated {
            group: &ask.request.resource.group,
            kind: ask.request.kind,
            namespace: ask.request.namespace,
            object: ask.request.object,
        };
        if let [(api_version, kind)] = gated.kinds.as_slice()
            && touch::is_held_itself(api_version, kind)
        {
            return self.itself(ask, &seen, (api_version, kind));
        }
        let touch = match touch::touch(&object) {
            Ok(touch) => touch,
            Err(why) => {
                let message = format!("it cannot be told what it touches: {why}");
                return Evaluation::Observed(vec![Observation::error(WHOLE, UNRESOLVABLE, message)]);
            }
        };
        if gated.kinds.is_empty() {
            return self.observe(ask, &seen, Some(&touch), &[]);
        }
        match targets(gated, &touch, &seen) {
            Ok(found) if found.objects.is_empty() && found.others.is_empty() => {
                Evaluation::NoTargets(format!("nothing is touched: there are no {}", single_line(&found.looked_for.join("; no "), 240)))
            }
            Ok(found) => {
                let mut all = found.others;
                if !found.objects.is_empty() {
                    match self.observe(ask, &seen, Some(&touch), &found.objects) {
                        Evaluation::Observed(seen) => all.extend(seen),
                        other => return other,
                    }
                }
                Evaluation::Observed(all)
            }
            Err(Untold { forbidden: true, message }) => Evaluation::Impossible(passing::FORBIDDEN, message),
            Err(Untold { message, .. }) => Evaluation::Observed(vec![Observation::error(WHOLE, NOT_SYNCED, message)]),
        }
    }

    /// The gated object is the target.
    fn itself(&self, ask: &Ask<'_>, seen: &Seen<'_>, (api_version, kind): (&str, &str)) -> Evaluation {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        if ask.request.kind != kind || ask.request.resource.group != group {
            return Evaluation::NoTargets(format!("what wants to start is a {}, and no {kind}", single_line(ask.request.kind, 63)));
        }
        match read(ask.request.object, ask.request.name) {
            Ok(object) => self.observe(ask, seen, None, &[&object]),
            Err(why) => Evaluation::Observed(vec![Observation::error(WHOLE, NO_DATA, format!("the object cannot be read: {why}"))]),
        }
    }

    fn observe(&self, ask: &Ask<'_>, seen: &Seen<'_>, touch: Option<&Touch>, targets: &[&DynamicObject]) -> Evaluation {
        let look = Look { targets, namespace: &self.namespace, objects: seen.copies, members: &[], now: ask.now };
        let asked = Asked { ask, look, touch, cluster: seen };
        let mut found = probe::observe_request(self.probe.as_ref(), &asked, &mut { u64::MAX });
        // That the start has no place yet is nothing that `outcomes` could answer for.
        if let Some(one) = found.iter().find(|one| one.outcome == Outcome::Error && one.reason == AWAITING_PLACE) {
            return Evaluation::Impossible(AWAITING_PLACE, one.message.clone());
        }
        // What was looked for is told in the place of what is missing.
        if let [one] = found.as_slice()
            && one.outcome == Outcome::Error
            && one.reason == NOT_FOUND
        {
            return Evaluation::NoTargets(one.message.clone());
        }
        if matches!(self.readable, Readable::Selected(..)) && found.len() == targets.len() {
            for (observation, target) in found.iter_mut().zip(targets) {
                if let Some(namespace) = &target.metadata.namespace {
                    observation.target = format!("{namespace}/{}", observation.target);
                }
            }
        }
        Evaluation::Observed(found)
    }
}

/// A request's object may have no name yet.
fn read(object: &Value, name: &str) -> Result<DynamicObject, serde_json::Error> {
    let mut object: DynamicObject = serde_json::from_value(object.clone())?;
    object.metadata.name.get_or_insert_with(|| name.to_owned());
    Ok(object)
}

impl OfRequest for PerRequest {
    fn state(&self, ask: &Ask<'_>) -> State {
        let before = State::unevaluated("", "", VecDeque::new());
        settle(&self.settings, &before, self.evaluate(ask), Duration::ZERO, ask.now)
    }

    fn limit(&self) -> Option<Limit> {
        self.probe.limit()
    }
}

/// What is touched, of the kinds that are asked about.
#[derive(Default)]
struct Targets<'a> {
    objects: Vec<&'a DynamicObject>,
    /// What stands for targets that cannot be judged.
    others: Vec<Observation>,
    looked_for: Vec<String>,
}

fn targets<'a>(gated: &GatedPlan, touch: &Touch, seen: &'a Seen<'a>) -> Result<Targets<'a>, Untold> {
    let mut found = Targets::default();
    if gated.kinds.iter().any(|(api_version, kind)| (&**api_version, &**kind) == NODE) {
        let groups = resolve_nodes(touch, seen)?;
        let name = |node: &'a DynamicObject| node.metadata.name.as_deref();
        let all: BTreeMap<_, _> = groups.iter().flat_map(|group| &group.nodes).map(|node| (name(node), *node)).collect();
        found.objects.extend(all.into_values());
        found.looked_for.extend(groups.into_iter().map(|group| group.looked_for));
        return Ok(found);
    }
    let touched = resolve(touch, seen)?;
    found.looked_for.clone_from(&touched.looked_for);
    let pods = touched.pods();
    if gated.kinds.iter().any(|(api_version, kind)| (&**api_version, &**kind) == POD) {
        found.objects = pods;
        return Ok(found);
    }
    for workload in pods.into_iter().map(Workload::of).collect::<BTreeSet<_>>() {
        let name = || format!("{}/{workload}", workload.namespace);
        let Some((api_version, kind)) = gated.kinds.iter().find(|(api_version, kind)| workload.is(api_version, kind)) else {
            if gated.all {
                let message = "its pods could be hit, and the probe cannot judge such a workload: name the kind that the check is about";
                found.others.push(Observation::error(name(), NOT_JUDGED, message));
            }
            continue;
        };
        match seen.copies.get(api_version, kind, Some(&workload.namespace), &workload.name) {
            Ok(Some(object)) => found.objects.push(object),
            Ok(None) => found.others.push(Observation::error(name(), NO_DATA, "its pods could be hit, and it is not there itself")),
            Err(error) => return Err(Untold { forbidden: false, message: error.message }),
        }
    }
    if found.objects.is_empty() && found.others.is_empty() {
        let kinds: Vec<&str> = gated.kinds.iter().map(|(_, kind)| &**kind).collect();
        for looked_for in &mut found.looked_for {
            *looked_for = format!("{} of {looked_for}", kinds.join(" or "));
        }
    }
    Ok(found)
}

/// The cluster, as far as a check may see it.
struct Seen<'a> {
    copies: &'a Copies<'a>,
    own: &'a str,
    readable: &'a Readable,
}

impl Seen<'_> {
    fn may_read(&self, namespace: Option<&str>) -> Result<(), Untold> {
        let readable = match (self.readable, namespace) {
            (Readable::Own, Some(namespace)) => namespace == self.own,
            (Readable::Own, None) => false,
            (Readable::Selected(selector, _), None) => selector.selects_all(),
            (Readable::Selected(selector, known), Some(namespace)) => known.get(namespace).is_some_and(|labels| selector.matches(labels)),
        };
        if readable {
            return Ok(());
        }
        let place = namespace.map_or_else(|| "any namespace".to_owned(), |namespace| format!("namespace {}", single_line(namespace, 63)));
        let own = match self.readable {
            Readable::Own => format!("looks at namespace {} only", self.own),
            Readable::Selected(selector, _) => format!("looks at namespaces with the labels {selector} only"),
        };
        let message = format!(
            "pods in {place} could be hit, and this check {own}: widen spec.targets.namespaceSelector, and let its service account list pods there"
        );
        Err(Untold { forbidden: true, message })
    }
}

impl Cluster for Seen<'_> {
    fn pods(&self, namespace: Option<&str>) -> Result<Vec<&DynamicObject>, Untold> {
        self.may_read(namespace)?;
        let told = |error: NotSynced| Untold { forbidden: false, message: error.message };
        self.copies.list(POD.0, POD.1, namespace).map_err(told)
    }

    fn nodes(&self) -> Result<Vec<&DynamicObject>, Untold> {
        let told =
            |error: NotSynced| Untold { forbidden: false, message: format!("it cannot be told which nodes those are: {}", error.message) };
        self.copies.list(NODE.0, NODE.1, None).map_err(told)
    }
}

/// The copies that a check reads.
pub struct Copies<'a> {
    copies: Vec<(&'a WatchKey, Option<Arc<Published>>)>,
    now: Timestamp,
}

impl<'a> Copies<'a> {
    fn of(watches: &'a [WatchKey], ask: &Ask<'_>) -> Self {
        Self { copies: watches.iter().map(|key| (key, ask.world.watched(key))).collect(), now: ask.now }
    }

    fn places(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Result<&BTreeMap<Arc<str>, Arc<Place>>, NotSynced> {
        let found = self.copies.iter().find(|(key, _)| key.covers(api_version, kind, namespace, name));
        let Some((key, Some(copy))) = found else {
            return Err(NotSynced { message: format!("{kind} objects are not watched") });
        };
        copy.objects(key, self.now).map_err(|message| NotSynced { message })
    }
}

impl ReadObjects for Copies<'_> {
    fn list<'a>(&'a self, api_version: &str, kind: &str, namespace: Option<&str>) -> Result<Vec<&'a DynamicObject>, NotSynced> {
        let places = self.places(api_version, kind, namespace, None)?;
        let of = |place: &'a Arc<Place>| place.values().map(AsRef::as_ref);
        Ok(match namespace {
            Some(namespace) => places.get(namespace).into_iter().flat_map(of).collect(),
            None => places.values().flat_map(of).collect(),
        })
    }

    fn get<'a>(
        &'a self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<&'a DynamicObject>, NotSynced> {
        let places = self.places(api_version, kind, namespace, Some(name))?;
        Ok(places.get(namespace.unwrap_or_default()).and_then(|place| place.get(name)).map(AsRef::as_ref))
    }
}
