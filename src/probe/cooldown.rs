//! Probe `cooldown`: so long since the last start.

use super::live::{Asked, LiveProbe, Look, TargetRule};
use super::starts;
use crate::api::{CooldownProbe, CooldownSince};
use crate::core::observation::Observation;
use crate::core::problem::Problem;
use crate::core::starts::{Limit, Since};
use jiff::SignedDuration;

/// The longest cooldown: a week.
const LONGEST: i32 = 604_800;

/// How long, since what, and of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cooldown(Limit);

impl Cooldown {
    /// Reads the spec; what cannot work is a problem below `field`.
    pub fn parse(spec: &CooldownProbe, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        if !(1..=LONGEST).contains(&spec.seconds) {
            problems.push(Problem::new(format!("{field}.seconds"), format!("must be from 1 to {LONGEST}")));
            return None;
        }
        let since = match spec.since {
            CooldownSince::Start => Since::Start,
            CooldownSince::Finish => Since::Finish,
        };
        Some(Self(Limit::Cooldown { wait: SignedDuration::from_secs(i64::from(spec.seconds)), since, per: starts::per(spec.per) }))
    }
}

impl LiveProbe for Cooldown {
    fn name(&self) -> &'static str {
        "cooldown"
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
        let parse = |seconds| {
            let mut problems = Vec::new();
            let spec = CooldownProbe { seconds, since: CooldownSince::Finish, per: StartsPer::Gate };
            (Cooldown::parse(&spec, "spec.probe.cooldown", &mut problems), problems)
        };
        let wait = SignedDuration::from_secs(60);
        assert_eq!(parse(60), (Some(Cooldown(Limit::Cooldown { wait, since: Since::Finish, per: Per::Gate })), Vec::new()));
        for bad in [0, -1, LONGEST + 1] {
            let (probe, problems) = parse(bad);
            assert!(probe.is_none() && problems.len() == 1, "{bad}");
        }
    }
}
