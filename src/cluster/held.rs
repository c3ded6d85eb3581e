//! The runs for requests that are held, as the webhook reads them.

use crate::core::gate::{Held, HoldKey, Holds};
use crate::core::run::naming;
use std::collections::HashMap;

/// By the names of the runs, which say what they are for.
#[derive(Clone, Debug, Default)]
pub struct HeldRuns(pub HashMap<String, Held>);

impl Holds for HeldRuns {
    fn held(&self, key: &HoldKey) -> Option<Held> {
        self.0.get(&naming::held(&key.gate, key.digest())).cloned()
    }
}
