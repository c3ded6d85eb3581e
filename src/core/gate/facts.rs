//! The checks as gates see them.

use super::hold::{Holds, NoHolds};
use super::of_request::{OfRequest, Unknown, World};
use crate::api::Severity;
use crate::core::expr::Expression;
use crate::core::freshness::{Basis, Freshness};
use crate::core::selector::Selector;
use crate::core::verdict::State;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A check as gates see it.
#[derive(Debug)]
pub struct CheckFact {
    /// The check's namespace.
    pub namespace: Arc<str>,
    /// The check's name.
    pub name: Arc<str>,
    /// Its labels.
    pub labels: Arc<BTreeMap<String, String>>,
    /// Whether it can block.
    pub severity: Severity,
    /// Its tier, 0 to 100: lower first.
    pub priority: i32,
    /// What to do when it does not pass, in one line.
    pub remediation: Option<Arc<str>>,
    /// Which requests it is about, if not all.
    pub when: Option<Expression>,
    /// Who decides it for each request, if it is one that needs the request; then `state` is none that counts.
    pub of_request: Option<Arc<dyn OfRequest>>,
    /// Its settled state.
    pub state: Arc<State>,
    /// Where that comes from.
    pub basis: Basis,
}

/// The checks that are known.
pub trait CheckFacts {
    /// Whether all checks of the cluster are known; if not, one that is not found may well exist.
    fn complete(&self) -> bool;
    /// The check of a name.
    fn named(&self, namespace: &str, name: &str) -> Option<Arc<CheckFact>>;
    /// The checks of a namespace whose labels match.
    fn selected(&self, namespace: &str, selector: &Selector) -> Vec<Arc<CheckFact>>;
    /// What may be believed of what they say.
    fn freshness(&self) -> &Freshness;
    /// The runs that were asked for by requests that are held.
    fn holds(&self) -> &dyn Holds {
        &NoHolds
    }
    /// What checks may look at that are decided for each request.
    fn world(&self) -> &dyn World {
        &Unknown
    }
}
