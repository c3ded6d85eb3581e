//! Checks that are decided for each request: kept ready, so that whoever waits for an answer reads memory only.

use super::super::objects::CheckKey;
use super::super::plan::CheckPlan;
use super::super::sources::{Asker, Found};
use super::Engine;
use crate::api::conditions::passing;
use crate::core::gate::OfRequest;
use crate::core::verdict::Evaluation;
use crate::probe::LiveProbe;
use jiff::Timestamp;
use std::sync::Arc;

/// What the status of such a check says.
const READY: &str = "it is decided for each request, while that waits; everything that it looks at is there";

impl Engine {
    /// What such a check looks at may be there now, or no longer.
    pub(super) fn look_at_per_request(&mut self, key: &CheckKey, plan: &CheckPlan, probe: &Arc<dyn LiveProbe>, now: Timestamp) {
        let hindrance = self.hindrance(key, plan, now);
        let Some(check) = self.checks.get_mut(key) else { return };
        let prepared = match hindrance.instead {
            Some(evaluation) => Err(Found::Evaluation(evaluation)),
            None => self.sources.prepare_for_requests(Asker { key, plan, now }, probe, &mut check.reads),
        };
        let found = match prepared {
            Ok(ready) => {
                let ready: Arc<dyn OfRequest> = Arc::new(ready);
                check.of_request = Some(ready);
                Found::Evaluation(Evaluation::Impossible(passing::PER_REQUEST, READY.to_owned()))
            }
            // What it has been looking at tells by itself whether it can still be believed.
            Err(waiting @ Found::Waiting(_)) => waiting,
            Err(found) => {
                check.of_request = None;
                found
            }
        };
        self.take_live(key, found, hindrance.holds_until, now);
        self.renew(key);
    }
}
