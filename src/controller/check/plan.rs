//! A `PreflightCheck`, parsed into what the engine acts upon.

use crate::api::{PreflightCheckSpec, Remediation, ReusePolicy, TargetSource, Targets};
use crate::core::expr::Expression;
use crate::core::problem::Problem;
use crate::core::selector::Selector;
use crate::core::text::single_line;
use crate::core::validate;
use crate::core::verdict::Settings;
use crate::probe::{Attempts, CheckSelection, LiveProbe, Plan as ProbePlan, ProbedProbe, TargetRule};
use jiff::SignedDuration;
use std::sync::Arc;
use std::time::Duration;

/// What a check does.
#[derive(Clone, Debug)]
pub struct CheckPlan {
    /// The probe.
    pub probe: ProbePlan,
    /// Its targets, if it needs any.
    pub targets: Option<TargetPlan>,
    /// Its targets, if they are the gated object's own.
    pub gated: Option<GatedPlan>,
    /// How observations become a verdict.
    pub settings: Settings,
    /// From one evaluation to the next.
    pub interval: SignedDuration,
    /// How often a probed check tries.
    pub attempts: Attempts,
    /// As which service account of its namespace it reads.
    pub account: Arc<str>,
    /// Checks of its namespace that must pass first.
    pub depends_on: Vec<Arc<str>>,
    /// When it applies.
    pub when: When,
    /// Whether what passed need run again.
    pub reuse: ReusePolicy,
    /// For how long, if for some time.
    pub reuse_for: SignedDuration,
    /// The host that a probed check talks to.
    pub host: Arc<str>,
}

/// When a check applies.
#[derive(Clone, Debug)]
pub enum When {
    /// Always.
    Always,
    /// Decided at each evaluation.
    Standing(Expression),
    /// Decided for each request.
    OfRequest(Expression),
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

/// Which of what a gated object touches are targets.
#[derive(Clone, Debug)]
pub struct GatedPlan {
    /// Of these kinds: apiVersion and kind. None: the probe itself looks at what is touched.
    pub kinds: Vec<(Arc<str>, Arc<str>)>,
    /// Whether the check names no kind, so that what is of another kind cannot be left out.
    pub all: bool,
    /// In which namespaces it looks; `None`: in the check's own.
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
        let of_the_gated = |probe: &ProbePlan| {
            let named = spec.targets.as_ref().is_some_and(|targets| targets.source == TargetSource::Gated);
            named || (probe.targets() == TargetRule::Gated && spec.targets.is_none())
        };
        let (targets, gated) = match &probe {
            Some(probe) if of_the_gated(probe) => (None, gated_plan(probe, spec.targets.as_ref(), problems)),
            Some(probe) => (target_plan(probe, spec.targets.as_ref(), problems), None),
            None => (None, None),
        };
        let when = when(spec.when.as_deref(), problems);
        if !problems.is_empty() {
            return None;
        }
        let (probe, settings) = (probe?, settings?);
        let seconds = |s: i32| u64::try_from(s).unwrap_or(0);
        let (host, live) = match &probe {
            ProbePlan::Live(_) => (Arc::from(""), true),
            ProbePlan::Probed(probed) => (probed.host().into(), false),
        };
        Some(Self {
            probe,
            targets,
            gated,
            settings: Settings { ages: settings.ages && !live, ..settings },
            interval: SignedDuration::from_secs(i64::from(spec.interval_seconds.max(1))),
            attempts: Attempts {
                attempts: u32::try_from(spec.retries.attempts).unwrap_or(1).max(1),
                backoff: Duration::from_secs(seconds(spec.retries.backoff_seconds)),
                timeout: Duration::from_secs(seconds(spec.timeout_seconds).max(1)),
            },
            account: spec.service_account_name.as_str().into(),
            depends_on: spec.depends_on.iter().map(|d| d.name.as_str().into()).collect(),
            when: when?,
            reuse: spec.reuse.policy,
            reuse_for: SignedDuration::from_secs(i64::from(spec.reuse.for_seconds.max(0))),
            host,
        })
    }

    /// The probe, if it is a probed one.
    pub fn probed(&self) -> Option<&Arc<dyn ProbedProbe>> {
        match &self.probe {
            ProbePlan::Probed(probe) => Some(probe),
            ProbePlan::Live(_) => None,
        }
    }

    /// Whether it looks at namespaces by their labels.
    pub fn looks_elsewhere(&self) -> bool {
        let of_objects = self.targets.as_ref().and_then(|targets| targets.namespaces.as_ref());
        of_objects.or(self.gated.as_ref().and_then(|gated| gated.namespaces.as_ref())).is_some()
    }

    /// Its probe, if it is decided for each request.
    pub fn per_request(&self) -> Option<&Arc<dyn LiveProbe>> {
        match &self.probe {
            ProbePlan::Live(probe) if probe.per_request() || self.gated.is_some() => Some(probe),
            _ => None,
        }
    }

    /// Which other checks its probe asks about.
    pub fn members(&self) -> &[CheckSelection] {
        match &self.probe {
            ProbePlan::Live(probe) => probe.members(),
            ProbePlan::Probed(_) => &[],
        }
    }
}

/// What a `when` about the check itself may name.
const STANDING_ROOTS: [&str; 3] = ["environment", "namespace", "now"];

fn when(source: Option<&str>, problems: &mut Vec<Problem>) -> Option<When> {
    const FIELD: &str = "spec.when";
    let Some(source) = source else { return Some(When::Always) };
    let roots: Vec<&str> = validate::EXPRESSION_ROOTS.iter().chain(&STANDING_ROOTS).copied().collect();
    let expression = Expression::compile(source, FIELD, &roots, problems)?;
    let names = |roots: &[&str]| roots.iter().any(|root| expression.references(root));
    match (names(validate::EXPRESSION_ROOTS), names(&STANDING_ROOTS)) {
        (true, true) => {
            let message = "it names both the request (request, object, oldObject) and the check's surroundings (environment, namespace, now): \
                           write it about one of them";
            problems.push(Problem::new(FIELD, message));
            None
        }
        (true, false) => Some(When::OfRequest(expression)),
        (false, _) => Some(When::Standing(expression)),
    }
}

fn target_plan(probe: &ProbePlan, targets: Option<&Targets>, problems: &mut Vec<Problem>) -> Option<TargetPlan> {
    let name = probe.name();
    let mut problem = |field: &str, message: String| {
        problems.push(Problem::new(field, message));
        None
    };
    let targets = match (probe.targets(), targets) {
        (TargetRule::Gated, Some(_)) => {
            return problem("spec.targets.source", format!("the {name} probe looks at what the gated object touches: write source: Gated"));
        }
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
        (_, TargetSource::Gated) => return None,
        (rule, TargetSource::Objects) => {
            let (Some(api_version), Some(kind)) = (targets.api_version.clone(), targets.kind.clone()) else {
                return problem("spec.targets", "apiVersion and kind are required".to_owned());
            };
            if (api_version.as_str(), kind.as_str()) == SECRET {
                let message = "Secrets are not watched, and so are no targets: the probe keys asks about one by its name";
                return problem("spec.targets.kind", message.to_owned());
            }
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

fn gated_plan(probe: &ProbePlan, targets: Option<&Targets>, problems: &mut Vec<Problem>) -> Option<GatedPlan> {
    let name = probe.name();
    let mut problem = |field: &str, message: String| {
        problems.push(Problem::new(field, message));
        None
    };
    let (rule, usual) = match probe {
        ProbePlan::Live(live) => (live.targets(), live.touched_kinds()),
        ProbePlan::Probed(_) => (TargetRule::None, [].as_slice()),
    };
    if matches!(rule, TargetRule::None | TargetRule::Hosts) {
        return problem("spec.targets.source", format!("the {name} probe does not look at objects: it cannot look at what is touched"));
    }
    if targets.is_some_and(|targets| targets.name.is_some() || targets.selector.is_some()) {
        return problem("spec.targets", "source: Gated means what the gated object selects: remove name and selector".to_owned());
    }
    let namespaces = match targets.and_then(|targets| targets.namespace_selector.as_ref()) {
        Some(selector) => Some(Selector::parse(selector, "spec.targets.namespaceSelector", problems)?),
        None => None,
    };
    let mut problem = |field: &str, message: String| {
        problems.push(Problem::new(field, message));
        None
    };
    let named = targets.and_then(|targets| targets.api_version.as_deref().zip(targets.kind.as_deref()));
    let (kinds, all) = match (named, rule) {
        (None, TargetRule::Gated) => (Vec::new(), true),
        (Some(_), TargetRule::Gated) => {
            return problem("spec.targets.kind", format!("the {name} probe looks at all that is touched: remove apiVersion and kind"));
        }
        (None, _) if usual.is_empty() => {
            return problem("spec.targets", format!("the {name} probe looks at any kind: say of which, with apiVersion and kind"));
        }
        (None, _) => (usual.to_vec(), true),
        (Some(SECRET), _) => return problem("spec.targets.kind", "Secrets are not watched, and so are no targets".to_owned()),
        (Some(kind), TargetRule::OneOf(kinds, wanted)) if !kinds.contains(&kind) => {
            return problem(
                "spec.targets.kind",
                format!("the {name} probe cannot look at {} of {}: its targets are {wanted}", kind.1, kind.0),
            );
        }
        (Some(kind), _) => (vec![kind], false),
    };
    let kinds = kinds.into_iter().map(|(api_version, kind)| (api_version.into(), kind.into())).collect();
    Some(GatedPlan { kinds, all, namespaces })
}

/// What hosts are as objects.
const HOST_REPORT: (&str, &str) = ("holdpoint.dev/v1alpha1", "HostReport");
/// What is never a target: a watch would hold what is in them.
const SECRET: (&str, &str) = ("v1", "Secret");

/// The remediation as one line for a message.
pub fn remediation(remediation: Option<&Remediation>) -> Option<String> {
    let r = remediation?;
    let url = r.url.as_ref().map(|u| format!("see {u}"));
    let owner = r.owner.as_ref().map(|o| format!("ask {o}"));
    let parts: Vec<&str> = [r.message.as_deref(), url.as_deref(), owner.as_deref()].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| single_line(&parts.join("; "), 400))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[allow(clippy::needless_pass_by_value, reason = "`json!(...)` reads best as an argument")]
    fn problems_of(probe: serde_json::Value, kind: &str) -> Vec<(String, String)> {
        let targets = json!({"apiVersion": "v1", "kind": kind, "selector": {}});
        let spec: PreflightCheckSpec = serde_json::from_value(json!({"probe": probe, "targets": targets})).unwrap();
        let mut problems = Vec::new();
        let plan = CheckPlan::parse(&spec, &mut problems);
        assert_eq!(plan.is_some(), problems.is_empty(), "{problems:?}");
        problems.into_iter().map(|problem| (problem.field, problem.message)).collect()
    }

    #[test]
    fn a_secret_is_no_target_of_any_probe() {
        let refused = [(
            "spec.targets.kind".to_owned(),
            "Secrets are not watched, and so are no targets: the probe keys asks about one by its name".to_owned(),
        )];
        let condition = || json!({"condition": {"type": "Available"}});
        let cel = || json!({"cel": {"expression": "object.data.size() > 0", "message": "empty"}});
        let analysis = json!({"analysis": {"path": "$.type", "outcomes": {"Opaque": "Pass"}}});
        for probe in [condition(), cel(), analysis, json!({"disruptionBudget": {}})] {
            assert_eq!(problems_of(probe, "Secret"), refused);
        }
        assert_eq!([problems_of(condition(), "Pod"), problems_of(cel(), "ConfigMap")], [vec![], vec![]]);
    }
}
