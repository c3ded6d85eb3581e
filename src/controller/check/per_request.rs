//! A check that is decided while a request waits: what it needs for that, and how it decides. It reads published copies of watches, and only
//! those that its account may read.

use super::objects::CheckKey;
use super::plan::CheckPlan;
use crate::core::gate::{Ask, OfRequest};
use crate::core::verdict::{Evaluation, Settings, State, settle};
use crate::core::watched::{Place, Published, WatchKey};
use crate::probe::{self, Asked, LiveProbe, Look, NotSynced, ReadObjects};
use jiff::{SignedDuration, Timestamp};
use kube::api::DynamicObject;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A check, ready to be asked.
#[derive(Debug)]
pub struct PerRequest {
    namespace: Arc<str>,
    probe: Arc<dyn LiveProbe>,
    settings: Settings,
    watches: Vec<WatchKey>,
}

impl PerRequest {
    /// A check whose watches are copied.
    pub fn new(key: &CheckKey, plan: &CheckPlan, probe: Arc<dyn LiveProbe>, watches: Vec<WatchKey>) -> Self {
        let once = Settings {
            failure_threshold: 1,
            success_threshold: 1,
            hold_down: SignedDuration::ZERO,
            ages: false,
            history_limit: 0,
            ..plan.settings.clone()
        };
        Self { namespace: key.namespace.clone(), probe, settings: once, watches }
    }

    fn evaluate(&self, ask: &Ask<'_>) -> Evaluation {
        let copies = Copies::of(&self.watches, ask);
        let look = Look { targets: &[], namespace: &self.namespace, objects: &copies, members: &[], now: ask.now };
        Evaluation::Observed(probe::observe_request(self.probe.as_ref(), &Asked { ask, look }, &mut { u64::MAX }))
    }
}

impl OfRequest for PerRequest {
    fn state(&self, ask: &Ask<'_>) -> State {
        let before = State::unevaluated("", "", VecDeque::new());
        settle(&self.settings, &before, self.evaluate(ask), Duration::ZERO, ask.now)
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
        let fits = |key: &WatchKey| {
            let place = key.namespace.is_none() || key.namespace.as_deref() == namespace;
            let one = key.name.is_none() || key.name.as_deref() == name;
            *key.kind.api_version == *api_version && *key.kind.kind == *kind && place && one
        };
        let found = self.copies.iter().find(|(key, _)| fits(key));
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
