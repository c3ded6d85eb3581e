//! Probe `window`: now is inside an allowed window and outside every blackout.

use super::live::{LiveProbe, Look, TargetRule};
use crate::api::WindowProbe;
use crate::core::observation::{Observation, Outcome};
use crate::core::problem::Problem;
use crate::core::window::{By, Schedule, WindowVerdict};
use jiff::Timestamp;

#[cfg(test)]
mod tests;

/// Reason of a Pass: starts are allowed now.
pub const IN_WINDOW: &str = "InWindow";
/// Reason of a Fail: now is outside every allowed window.
pub const OUTSIDE_WINDOW: &str = "OutsideWindow";
/// Reason of a Fail: now is in a blackout.
pub const BLACKOUT: &str = "Blackout";

/// The calendar of a check.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    schedule: Schedule,
}

impl Window {
    /// Reads the spec; what cannot work is a problem below `field`.
    pub fn parse(spec: &WindowProbe, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        Schedule::parse(spec, field, problems).map(|schedule| Self { schedule })
    }

    /// What the calendar says now. The target is the zone, since that is whose clock is read.
    pub fn observe(&self, now: Timestamp) -> Observation {
        let verdict = self.schedule.judge(now);
        let (outcome, reason) = match verdict.by {
            By::Allowed(_) | By::AnyTime => (Outcome::Pass, IN_WINDOW),
            By::Outside => (Outcome::Fail, OUTSIDE_WINDOW),
            By::Blackout(_) => (Outcome::Fail, BLACKOUT),
        };
        let value = match verdict.by {
            By::Allowed(label) => format!("inside {label}"),
            By::AnyTime => "outside every blackout".to_owned(),
            By::Outside => "outside every allowed window".to_owned(),
            By::Blackout(label) => format!("blackout {label}"),
        };
        let required = match verdict.by {
            By::Allowed(_) | By::Outside => "inside an allowed window",
            By::AnyTime | By::Blackout(_) => "outside every blackout",
        };
        Observation::new(self.schedule.zone_name(), outcome, reason, self.message(&verdict, now))
            .measured(value, required)
            .holding_until(verdict.until)
    }

    fn message(&self, verdict: &WindowVerdict<'_>, now: Timestamp) -> String {
        let until = |from: &str| match verdict.until {
            Some(instant) if verdict.open => format!("{from} until {}", self.schedule.on_the_clock_seen_from(instant, now)),
            Some(instant) => format!("{from} until {}", self.schedule.on_the_clock(instant)),
            None => format!("{from} for more than a year"),
        };
        let next_opening = || match verdict.next_opening {
            Some(instant) => format!("next opening {}", self.schedule.on_the_clock(instant)),
            None => "no opening in sight".to_owned(),
        };
        match verdict.by {
            By::Allowed(label) => until(&format!("inside {label}")),
            By::AnyTime => until("no blackout"),
            By::Outside => format!("outside every allowed window; {}", next_opening()),
            By::Blackout(label) => format!("{}; {}", until(&format!("blackout {label}")), next_opening()),
        }
    }
}

impl LiveProbe for Window {
    fn name(&self) -> &'static str {
        "window"
    }

    fn targets(&self) -> TargetRule {
        TargetRule::None
    }

    fn observe(&self, look: &Look<'_>) -> Vec<Observation> {
        vec![self.observe(look.now)]
    }
}
