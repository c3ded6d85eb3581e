//! Probe `cooldown`: so long since the last start.

use super::starts::{StartLimit, per};
use crate::api::{CooldownProbe, CooldownSince};
use crate::core::problem::Problem;
use crate::core::starts::{Limit, Since};
use jiff::SignedDuration;

/// The longest cooldown: a week.
const LONGEST: i32 = 604_800;

/// Reads the spec; what cannot work is a problem below `field`.
pub fn parse(spec: &CooldownProbe, field: &str, problems: &mut Vec<Problem>) -> Option<StartLimit> {
    if !(1..=LONGEST).contains(&spec.seconds) {
        problems.push(Problem::new(format!("{field}.seconds"), format!("must be from 1 to {LONGEST}")));
        return None;
    }
    let since = match spec.since {
        CooldownSince::Start => Since::Start,
        CooldownSince::Finish => Since::Finish,
    };
    Some(StartLimit(Limit::Cooldown { wait: SignedDuration::from_secs(i64::from(spec.seconds)), since, per: per(spec.per) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::StartsPer;
    use crate::core::starts::Per;

    #[test]
    fn what_the_schema_would_refuse_is_a_problem() {
        let read = |seconds| {
            let mut problems = Vec::new();
            let spec = CooldownProbe { seconds, since: CooldownSince::Finish, per: StartsPer::Gate };
            (parse(&spec, "spec.probe.cooldown", &mut problems), problems)
        };
        let wait = SignedDuration::from_secs(60);
        assert_eq!(read(60), (Some(StartLimit(Limit::Cooldown { wait, since: Since::Finish, per: Per::Gate })), Vec::new()));
        for bad in [0, -1, LONGEST + 1] {
            let (probe, problems) = read(bad);
            assert!(probe.is_none() && problems.len() == 1, "{bad}");
        }
    }
}
