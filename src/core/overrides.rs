//! Which values of a check's spec are in force in an environment.

use crate::api::{Override, PreflightCheckSpec};
use std::borrow::Cow;

/// The spec as it is in an environment, and the override that made it so. The first override of the environment counts; each field that it sets
/// replaces the whole field.
pub fn effective<'s>(spec: &'s PreflightCheckSpec, environment: Option<&str>) -> (Cow<'s, PreflightCheckSpec>, Option<&'s Override>) {
    let Some(used) = environment.and_then(|environment| spec.overrides.iter().find(|o| o.environment == environment)) else {
        return (Cow::Borrowed(spec), None);
    };
    let mut spec = spec.clone();
    let Override {
        environment: _,
        severity,
        priority,
        quorum,
        interval_seconds,
        timeout_seconds,
        retries,
        failure_threshold,
        success_threshold,
        hold_down_seconds,
        reuse,
        stale_after_seconds,
        outcomes,
        remediation,
        suspend,
    } = used.clone();
    replace(&mut spec.severity, severity);
    replace(&mut spec.priority, priority);
    replace(&mut spec.quorum, quorum);
    replace(&mut spec.interval_seconds, interval_seconds);
    replace(&mut spec.timeout_seconds, timeout_seconds);
    replace(&mut spec.retries, retries);
    replace(&mut spec.failure_threshold, failure_threshold);
    replace(&mut spec.success_threshold, success_threshold);
    replace(&mut spec.hold_down_seconds, hold_down_seconds);
    replace(&mut spec.reuse, reuse);
    replace(&mut spec.stale_after_seconds, stale_after_seconds);
    replace(&mut spec.outcomes, outcomes);
    replace(&mut spec.remediation, remediation.map(Some));
    replace(&mut spec.suspend, suspend);
    (Cow::Owned(spec), Some(used))
}

fn replace<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[allow(clippy::needless_pass_by_value, reason = "`json!(...)` reads best as an argument")]
    fn spec(overrides: serde_json::Value) -> PreflightCheckSpec {
        serde_json::from_value(json!({
            "probe": {"tcp": {"host": "db", "port": 1}}, "timeoutSeconds": 5, "priority": 3,
            "quorum": {"minPassing": 2, "minTargets": 4}, "overrides": overrides,
        }))
        .unwrap()
    }

    #[test]
    fn the_first_override_of_the_environment_counts_and_no_other() {
        let spec = spec(json!([
            {"environment": "production", "timeoutSeconds": 15, "severity": "Advisory"},
            {"environment": "production", "timeoutSeconds": 20},
            {"environment": "staging", "suspend": true},
        ]));
        let (there, used) = effective(&spec, Some("production"));
        assert_eq!((there.timeout_seconds, there.severity, there.priority, there.suspend), (15, crate::api::Severity::Advisory, 3, false));
        assert_eq!(used, spec.overrides.first());
        assert!(effective(&spec, Some("staging")).0.suspend);
        for other in [None, Some("test"), Some("")] {
            assert_eq!(effective(&spec, other), (Cow::Borrowed(&spec), None));
        }
    }

    #[test]
    fn an_override_replaces_whole_fields() {
        let spec = spec(json!([{"environment": "production", "quorum": {"minPassing": 1}}]));
        let (there, _) = effective(&spec, Some("production"));
        assert_eq!(there.quorum.min_targets, 1, "the default of the override's own quorum, not what the spec has");
    }
}
