//! The presets of one gate.

use super::term::Asked;
use super::{Catalog, Hold};
use crate::api::{Operation, Preset};
use crate::core::gate::Resource;
use std::sync::Arc;

/// What a gate's presets hold, by resource.
#[derive(Clone, Debug, Default)]
pub struct Presets {
    names: Vec<Preset>,
    /// Sorted by resource; of one resource there may be several.
    holds: Vec<(Resource, Arc<Hold>)>,
}

impl Presets {
    /// Those of a spec.
    pub fn new(names: &[Preset], image_repositories: &[String], catalog: &Catalog) -> Self {
        let mut holds: Vec<(Resource, Arc<Hold>)> = Vec::new();
        for hold in names.iter().flat_map(|preset| catalog.holds(*preset, image_repositories).to_vec()) {
            let resource = |plural: &&str| Resource { group: hold.group.to_owned(), resource: (*plural).to_owned() };
            holds.extend(hold.resources.iter().map(|plural| (resource(plural), hold.clone())));
        }
        holds.sort_by(|(a, _), (b, _)| a.cmp(b));
        Self { names: names.to_vec(), holds }
    }

    /// Which they are.
    pub fn names(&self) -> &[Preset] {
        &self.names
    }

    /// What is held of each resource, sorted by it.
    pub fn holds(&self) -> &[(Resource, Arc<Hold>)] {
        &self.holds
    }

    /// What is looked at.
    pub fn rules(&self) -> impl Iterator<Item = (Resource, Operation)> {
        self.holds.iter().flat_map(|(resource, hold)| hold.operations().map(|operation| (resource.clone(), operation)))
    }

    /// Whether a request is a start by one of them.
    pub fn starts(&self, resource: &Resource, asked: &Asked<'_>) -> bool {
        let first = self.holds.partition_point(|(known, _)| known < resource);
        let of_resource = self.holds.get(first..).unwrap_or_default().iter().take_while(|(known, _)| known == resource);
        of_resource.into_iter().any(|(_, hold)| hold.starts(asked))
    }
}
