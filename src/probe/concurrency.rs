//! Probe `concurrency`: fewer than so many starts are active.

use super::starts::{StartLimit, per};
use crate::api::ConcurrencyProbe;
use crate::core::problem::Problem;
use crate::core::starts::Limit;

/// Reads the spec; what cannot work is a problem below `field`.
pub fn parse(spec: &ConcurrencyProbe, field: &str, problems: &mut Vec<Problem>) -> Option<StartLimit> {
    let Ok(max @ 1..=1000) = u32::try_from(spec.max) else {
        problems.push(Problem::new(format!("{field}.max"), "must be from 1 to 1000"));
        return None;
    };
    Some(StartLimit(Limit::Concurrency { max, per: per(spec.per) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::StartsPer;
    use crate::core::starts::Per;

    #[test]
    fn what_the_schema_would_refuse_is_a_problem() {
        let read = |max| {
            let mut problems = Vec::new();
            (parse(&ConcurrencyProbe { max, per: StartsPer::Requester }, "spec.probe.concurrency", &mut problems), problems)
        };
        assert_eq!(read(3), (Some(StartLimit(Limit::Concurrency { max: 3, per: Per::Requester })), Vec::new()));
        for bad in [0, -1, 1001] {
            let (probe, problems) = read(bad);
            assert!(probe.is_none() && problems.len() == 1, "{bad}");
        }
    }
}
