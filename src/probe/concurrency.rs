//! Probe `concurrency`: fewer than so many starts are active.

use super::live::{Asked, LiveProbe, Look, TargetRule};
use super::starts;
use crate::api::ConcurrencyProbe;
use crate::core::observation::Observation;
use crate::core::problem::Problem;
use crate::core::starts::Limit;

/// How many, and of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency(Limit);

impl Concurrency {
    /// Reads the spec; what cannot work is a problem below `field`.
    pub fn parse(spec: &ConcurrencyProbe, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let Ok(max @ 1..=1000) = u32::try_from(spec.max) else {
            problems.push(Problem::new(format!("{field}.max"), "must be from 1 to 1000"));
            return None;
        };
        Some(Self(Limit::Concurrency { max, per: starts::per(spec.per) }))
    }
}

impl LiveProbe for Concurrency {
    fn name(&self) -> &'static str {
        "concurrency"
    }

    fn targets(&self) -> TargetRule {
        starts::targets(self.0)
    }

    fn per_request(&self) -> bool {
        true
    }

    fn counts_starts(&self) -> bool {
        true
    }

    fn observe(&self, _look: &Look<'_>) -> Vec<Observation> {
        vec![starts::unasked()]
    }

    fn observe_request(&self, asked: &Asked<'_>, _allowance: &mut u64) -> Vec<Observation> {
        vec![starts::observe(self.0, asked)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::StartsPer;
    use crate::core::starts::Per;

    #[test]
    fn what_the_schema_would_refuse_is_a_problem() {
        let parse = |max| {
            let mut problems = Vec::new();
            (Concurrency::parse(&ConcurrencyProbe { max, per: StartsPer::Requester }, "spec.probe.concurrency", &mut problems), problems)
        };
        assert_eq!(parse(3), (Some(Concurrency(Limit::Concurrency { max: 3, per: Per::Requester })), Vec::new()));
        for bad in [0, -1, 1001] {
            let (probe, problems) = parse(bad);
            assert!(probe.is_none() && problems.len() == 1, "{bad}");
        }
    }
}
