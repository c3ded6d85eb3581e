//! A `PreflightCheck`, parsed into what the engine acts upon.

use crate::api::{PreflightCheckSpec, Remediation, TargetSource, Targets};
use crate::core::problem::Problem;
use crate::core::selector::Selector;
use crate::core::text::single_line;
use crate::core::validate;
use crate::core::verdict::Settings;
use crate::probe::{Attempts, Plan as ProbePlan, TargetRule};
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
    /// In which namespaces; `None`: in the check's own.
    pub namespaces: Option<Selector>,
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
        let targets = probe.as_ref().and_then(|probe| target_plan(probe, spec.targets.as_ref(), problems));
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

fn target_plan(probe: &ProbePlan, targets: Option<&Targets>, problems: &mut Vec<Problem>) -> Option<TargetPlan> {
    let name = probe.name();
    let mut problem = |field: &str, message: String| {
        problems.push(Problem::new(field, message));
        None
    };
    let targets = match (probe.targets(), targets) {
        (TargetRule::None | TargetRule::Optional, None) => return None,
        (TargetRule::None, Some(_)) => {
            return problem("spec.targets", format!("the {name} probe carries its own target: remove this field"));
        }
        (TargetRule::Hosts, None) => {
            return problem("spec.targets", format!("the {name} probe needs targets with source: Hosts, and name or selector"));
        }
        (_, None) => return problem("spec.targets", format!("the {name} probe needs targets: apiVersion, kind, and name or selector")),
        (_, Some(targets)) => targets,
    };
    let (api_version, kind) = match (probe.targets(), targets.source) {
        (TargetRule::Hosts, TargetSource::Hosts) => (HOST_REPORT.0.to_owned(), HOST_REPORT.1.to_owned()),
        (TargetRule::Hosts, TargetSource::Objects) => {
            return problem("spec.targets.source", format!("the {name} probe looks at hosts: write source: Hosts"));
        }
        (_, TargetSource::Hosts) => {
            return problem("spec.targets.source", format!("only the host probe looks at Hosts: the targets of {name} are Objects"));
        }
        (rule, TargetSource::Objects) => {
            let (Some(api_version), Some(kind)) = (targets.api_version.clone(), targets.kind.clone()) else {
                return problem("spec.targets", "apiVersion and kind are required".to_owned());
            };
            if let TargetRule::OneOf(kinds, wanted) = rule
                && !kinds.contains(&(api_version.as_str(), kind.as_str()))
            {
                let message = format!("the {name} probe cannot look at {kind} of {api_version}: its targets are {wanted}");
                return problem("spec.targets.kind", message);
            }
            (api_version, kind)
        }
    };
    let which = match (&targets.name, &targets.selector) {
        (Some(name), None) => Which::Named(name.clone()),
        (None, Some(selector)) => Which::Selected(Selector::parse(selector, "spec.targets.selector", problems)?),
        _ => return problem("spec.targets", "exactly one of name and selector is required".to_owned()),
    };
    let namespaces = match &targets.namespace_selector {
        Some(selector) => Some(Selector::parse(selector, "spec.targets.namespaceSelector", problems)?),
        None => None,
    };
    Some(TargetPlan { api_version, kind, which, namespaces })
}

/// What hosts are as objects.
const HOST_REPORT: (&str, &str) = ("holdpoint.dev/v1alpha1", "HostReport");

/// The remediation as one line for a message.
pub fn remediation(remediation: Option<&Remediation>) -> Option<String> {
    let r = remediation?;
    let url = r.url.as_ref().map(|u| format!("see {u}"));
    let owner = r.owner.as_ref().map(|o| format!("ask {o}"));
    let parts: Vec<&str> = [r.message.as_deref(), url.as_deref(), owner.as_deref()].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| single_line(&parts.join("; "), 400))
}
