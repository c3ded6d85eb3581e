//! Presets: of each tool, which resources are held and what of them is a start. Data, in terms that are decided here and pushed down to the API
//! server as CEL alike (`term`, `cel`).
//!
//! A start is a creation of something that will run, or an update that makes it run, resumes it, or widens what runs. What a tool's own controller makes
//! for a parent that was let in passes: it has the parent as its controlling owner, and that controller's account asks. An owner reference alone is
//! anybody's to write, and an account alone is also that of a console. Kinds are told by group and resource; every served version counts.

mod accounts;
mod argo_workflows;
mod cel;
mod chaos_mesh;
mod chaos_toolkit;
mod chaosblade;
mod datadog;
mod jobs;
mod krkn;
mod kubevirt;
mod litmus;
mod of_gate;
pub mod term;

pub use accounts::{Accounts, ControllerAccount};
pub use of_gate::Presets;

use crate::api::{Operation, Preset};
pub use chaos_mesh::CHAOS;
use std::sync::Arc;
use term::{Asked, Term};

/// What a preset holds of some resources that are alike.
#[derive(Clone, Debug)]
pub struct Hold {
    /// Their API group.
    pub group: &'static str,
    /// Their plurals, with a subresource after a slash.
    pub resources: &'static [&'static str],
    /// Which creations are starts; `None`: they are not looked at.
    pub create: Option<Term>,
    /// Which updates are.
    pub update: Option<Term>,
    /// The same in words.
    pub start: &'static str,
    /// What passes, and why.
    pub passes: &'static [(&'static str, &'static str)],
}

impl Hold {
    /// The operations that are looked at.
    pub fn operations(&self) -> impl Iterator<Item = Operation> {
        let of = |term: &Option<Term>, operation| term.is_some().then_some(operation);
        [of(&self.create, Operation::Create), of(&self.update, Operation::Update)].into_iter().flatten()
    }

    /// Whether a request for one of the resources is a start. An update of which nobody knows what there was is one.
    pub fn starts(&self, asked: &Asked<'_>) -> bool {
        match asked.operation {
            Operation::Create => self.create.as_ref().is_some_and(|term| term.holds(asked)),
            Operation::Update => self.update.as_ref().is_some_and(|term| asked.old_object.is_none() || term.holds(asked)),
        }
    }

    /// The same as CEL, for requests to create or update one of the resources.
    pub fn cel(&self) -> String {
        let update = |term: &Term| format!("(oldObject == null || {})", term.cel());
        match (&self.create, &self.update) {
            (Some(create), Some(term)) => format!("(request.operation == 'CREATE' ? {} : {})", create.cel(), update(term)),
            (Some(create), None) => format!("(request.operation == 'CREATE' && {})", create.cel()),
            (None, Some(term)) => format!("(request.operation == 'UPDATE' && {})", update(term)),
            (None, None) => "false".to_owned(),
        }
    }
}

/// All presets, for the accounts of one cluster.
#[derive(Clone, Debug)]
pub struct Catalog {
    accounts: Accounts,
    holds: Vec<(Preset, Arc<[Arc<Hold>]>)>,
}

impl Default for Catalog {
    /// For tools that are installed as they are by default, and an operator likewise.
    fn default() -> Self {
        Self::new(Accounts::default())
    }
}

impl Catalog {
    /// All presets.
    pub fn new(accounts: Accounts) -> Self {
        let of = |preset| (preset, shared(holds(preset, &accounts, &[])));
        let holds = Preset::ALL.into_iter().map(of).collect();
        Self { accounts, holds }
    }

    /// What a preset holds. Krkn's images may come from more repositories.
    pub fn holds(&self, preset: Preset, image_repositories: &[String]) -> Arc<[Arc<Hold>]> {
        if preset == Preset::Krkn && !image_repositories.is_empty() {
            return shared(holds(preset, &self.accounts, image_repositories));
        }
        self.holds.iter().find(|(of, _)| *of == preset).map(|(_, holds)| holds.clone()).unwrap_or_default()
    }

    /// The accounts of a tool's controllers, by the names under which they ask.
    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }
}

fn shared(holds: Vec<Hold>) -> Arc<[Arc<Hold>]> {
    holds.into_iter().map(Arc::new).collect()
}

fn holds(preset: Preset, accounts: &Accounts, image_repositories: &[String]) -> Vec<Hold> {
    match preset {
        Preset::ChaosMesh => chaos_mesh::holds(accounts),
        Preset::Litmus => litmus::holds(accounts),
        Preset::Krkn => krkn::holds(accounts, image_repositories),
        Preset::Datadog => datadog::holds(),
        Preset::ChaosBlade => chaosblade::holds(),
        Preset::ChaosToolkit => chaos_toolkit::holds(),
        Preset::KubeVirt => kubevirt::holds(accounts),
        Preset::ArgoWorkflows => argo_workflows::holds(),
        Preset::Jobs => jobs::holds(accounts),
    }
}

/// Kinds of the tool that are never held, and why.
pub const fn never(preset: Preset) -> &'static [(&'static str, &'static str)] {
    match preset {
        Preset::ChaosMesh => chaos_mesh::NEVER,
        Preset::Litmus => litmus::NEVER,
        Preset::Krkn => krkn::NEVER,
        Preset::KubeVirt => kubevirt::NEVER,
        Preset::ArgoWorkflows => argo_workflows::NEVER,
        Preset::Datadog | Preset::ChaosBlade | Preset::ChaosToolkit | Preset::Jobs => &[],
    }
}

#[cfg(test)]
mod tests;
