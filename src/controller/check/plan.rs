//! A `PreflightCheck`, parsed into what the engine acts upon.

use crate::api::{PreflightCheckSpec, Remediation, Targets};
use crate::core::problem::Problem;
use crate::core::selector::Selector;
use crate::core::text::single_line;
use crate::core::validate;
use crate::core::verdict::Settings;
use crate::probe::{Attempts, Plan as ProbePlan};
use jiff::SignedDuration;
use std::time::Duration;

/// What a check does.
#[derive(Clone, Debug)]
pub struct CheckPlan {
    /// The probe.
    pub probe: ProbePlan,
    /// Its targets, if it needs any.
    pub targets: Option<TargetPlan>,
    /// How observations become a verdict.
    pub settings: Settings,
    /// From one evaluation to the next.
    pub interval: SignedDuration,
    /// How often a probed check tries.
    pub attempts: Attempts,
}

/// Which objects are targets.
#[derive(Clone, Debug)]
pub struct TargetPlan {
    /// Their apiVersion.
    pub api_version: String,
    /// Their kind.
    pub kind: String,
    /// Which of them.
    pub which: Which,
}

/// One by name, or many by labels.
#[derive(Clone, Debug)]
pub enum Which {
    /// The one of this name.
    Named(String),
    /// All with these labels.
    Selected(Selector),
}

impl CheckPlan {
    /// Parses a spec; all that is wrong with it goes into `problems`.
    pub fn parse(spec: &PreflightCheckSpec, problems: &mut Vec<Problem>) -> Option<Self> {
        let settings = validate::settings(spec, problems);
        let probe = ProbePlan::parse(&spec.probe, problems);
        let targets = match (&probe, &spec.targets) {
            (Some(probe), Some(targets)) => target_plan(probe, targets, problems),
            (Some(probe), None) if probe.needs_targets() => {
                problems.push(Problem::new(
                    "spec.targets",
                    format!("the {} probe needs targets: apiVersion, kind, and name or selector", probe.name()),
                ));
                None
            }
            _ => None,
        };
        if !problems.is_empty() {
            return None;
        }
        let seconds = |s: i32| u64::try_from(s).unwrap_or(0);
        Some(Self {
            probe: probe?,
            targets,
            settings: settings?,
            interval: SignedDuration::from_secs(i64::from(spec.interval_seconds.max(1))),
            attempts: Attempts {
                attempts: u32::try_from(spec.retries.attempts).unwrap_or(1).max(1),
                backoff: Duration::from_secs(seconds(spec.retries.backoff_seconds)),
                timeout: Duration::from_secs(seconds(spec.timeout_seconds).max(1)),
            },
        })
    }
}

fn target_plan(probe: &ProbePlan, targets: &Targets, problems: &mut Vec<Problem>) -> Option<TargetPlan> {
    if !probe.needs_targets() {
        problems.push(Problem::new("spec.targets", format!("the {} probe carries its own target: remove this field", probe.name())));
        return None;
    }
    if let Some(message) = probe.refuses(&targets.api_version, &targets.kind) {
        problems.push(Problem::new("spec.targets.kind", message));
        return None;
    }
    let which = match (&targets.name, &targets.selector) {
        (Some(name), None) => Which::Named(name.clone()),
        (None, Some(selector)) => Which::Selected(Selector::parse(selector, "spec.targets.selector", problems)?),
        _ => {
            problems.push(Problem::new("spec.targets", "exactly one of name and selector is required"));
            return None;
        }
    };
    Some(TargetPlan { api_version: targets.api_version.clone(), kind: targets.kind.clone(), which })
}

/// The remediation as one line for a message.
pub fn remediation(remediation: Option<&Remediation>) -> Option<String> {
    let r = remediation?;
    let url = r.url.as_ref().map(|u| format!("see {u}"));
    let owner = r.owner.as_ref().map(|o| format!("ask {o}"));
    let parts: Vec<&str> = [r.message.as_deref(), url.as_deref(), owner.as_deref()].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| single_line(&parts.join("; "), 400))
}
