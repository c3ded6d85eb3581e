//! Probe `analysis`: the verdict that another tool wrote into the status of its object.
//!
//! The presets follow the tools' API types: `AnalysisPhase` of Argo Rollouts (`pkg/apis/rollouts/v1alpha1/analysis_types.go`), the conditions of
//! Kueue (`apis/kueue/v1beta1/workload_types.go` and `admissioncheck_types.go`), `ResultVerdict` of Litmus
//! (`api/litmuschaos/v1alpha1/chaosresult_types.go`), `TestWorkflowStatus` of Testkube (`api/testworkflows/v1`).
//!
//! A path is evaluated where all live checks are: it may have names, indexes and one filter, and an object through which that would have to
//! search long is refused.

use super::live::{LiveProbe, Look, TargetRule, guarded};
use super::objects::target_name;
use crate::api::{AnalysisOutcome, AnalysisPreset, AnalysisProbe, AnalysisTargets};
use crate::core::json_path::{NotOne, Reach, SinglePath, exceeds, text_of};
use crate::core::observation::{NO_DATA, Observation, Outcome};
use crate::core::problem::Problem;
use crate::core::text::single_line;
use kube::api::DynamicObject;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// Reason of a Pass: the tool's verdict says so.
pub const ANALYSIS_PASSED: &str = "AnalysisPassed";
/// Reason of a Warn: the tool's verdict says so.
pub const ANALYSIS_WARNED: &str = "AnalysisWarned";
/// Reason of a Fail: the tool's verdict says so.
pub const ANALYSIS_FAILED: &str = "AnalysisFailed";
/// Reason of an Error: the tool could not tell, or its verdict cannot be read.
pub const ANALYSIS_ERROR: &str = "AnalysisError";

/// The most values of an object in which a filter searches.
const MAX_VALUES: usize = 20_000;
/// The longest value in a message, in characters.
const MAX_VALUE_CHARS: usize = 64;
/// The most entries of the table.
const MAX_OUTCOMES: usize = 32;

type Table = &'static [(&'static str, AnalysisOutcome)];

/// What is known of a tool.
struct Known {
    targets: TargetRule,
    path: &'static str,
    message_path: Option<&'static str>,
    outcomes: Table,
}

const fn known(preset: AnalysisPreset) -> Known {
    use AnalysisOutcome::{Error, Fail, NoData, Pass};
    const CONDITION: Table = &[("True", Pass), ("False", Fail), ("Unknown", NoData)];
    match preset {
        AnalysisPreset::ArgoAnalysisRun => Known {
            targets: TargetRule::OneOf(&[("argoproj.io/v1alpha1", "AnalysisRun")], "AnalysisRun of argoproj.io/v1alpha1"),
            path: "$.status.phase",
            message_path: Some("$.status.message"),
            outcomes: &[
                ("Successful", Pass),
                ("Failed", Fail),
                ("Error", Error),
                ("Inconclusive", Error),
                ("Pending", NoData),
                ("Running", NoData),
            ],
        },
        AnalysisPreset::KueueWorkload => Known {
            targets: TargetRule::OneOf(
                &[("kueue.x-k8s.io/v1beta1", "Workload"), ("kueue.x-k8s.io/v1beta2", "Workload")],
                "Workload of kueue.x-k8s.io/v1beta1 or v1beta2",
            ),
            path: "$.status.conditions[?@.type == 'Admitted'].status",
            message_path: Some("$.status.conditions[?@.type == 'Admitted'].message"),
            outcomes: CONDITION,
        },
        AnalysisPreset::KueueAdmissionCheck => Known {
            targets: TargetRule::OneOf(
                &[("kueue.x-k8s.io/v1beta1", "AdmissionCheck"), ("kueue.x-k8s.io/v1beta2", "AdmissionCheck")],
                "AdmissionCheck of kueue.x-k8s.io/v1beta1 or v1beta2",
            ),
            path: "$.status.conditions[?@.type == 'Active'].status",
            message_path: Some("$.status.conditions[?@.type == 'Active'].message"),
            outcomes: CONDITION,
        },
        AnalysisPreset::LitmusChaosResult => Known {
            targets: TargetRule::OneOf(&[("litmuschaos.io/v1alpha1", "ChaosResult")], "ChaosResult of litmuschaos.io/v1alpha1"),
            path: "$.status.experimentStatus.verdict",
            message_path: None,
            outcomes: &[("Pass", Pass), ("Fail", Fail), ("Stopped", Error), ("Error", Error), ("Awaited", NoData)],
        },
        AnalysisPreset::TestkubeWorkflowExecution => Known {
            targets: TargetRule::OneOf(
                &[("testworkflows.testkube.io/v1", "TestWorkflowExecution")],
                "TestWorkflowExecution of testworkflows.testkube.io/v1",
            ),
            path: "$.status.latestExecution.result.status",
            message_path: None,
            outcomes: &[
                ("passed", Pass),
                ("failed", Fail),
                ("aborted", Error),
                ("queued", NoData),
                ("running", NoData),
                ("paused", NoData),
            ],
        },
    }
}

/// Where a verdict is, and what it means.
#[derive(Clone, Debug, PartialEq)]
pub struct Analysis {
    path: SinglePath,
    message_path: Option<SinglePath>,
    outcomes: BTreeMap<String, AnalysisOutcome>,
    otherwise: AnalysisOutcome,
    /// The values that pass, for results.
    wanted: String,
    targets: TargetRule,
    which: AnalysisTargets,
}

impl Analysis {
    /// Reads the spec; what cannot work is a problem below `field`.
    pub fn parse(spec: &AnalysisProbe, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        let mut problem = |member: &str, message: &str| problems.push(Problem::new(format!("{field}{member}"), message));
        let known = spec.preset.map(known);
        let path = match (&known, &spec.path) {
            (Some(known), None) => Some(known.path),
            (None, Some(path)) => Some(path.as_str()),
            _ => {
                problem("", "exactly one of preset and path is required");
                None
            }
        };
        let mut read = |member: &str, source: &str| match parse_path(source) {
            Ok(path) => Some(path),
            Err(message) => {
                problem(member, &message);
                None
            }
        };
        let path = path.and_then(|path| read(".path", path));
        let message_path = spec.message_path.as_deref().or_else(|| known.as_ref().and_then(|known| known.message_path));
        let message_path = message_path.and_then(|path| read(".messagePath", path));
        let mut outcomes: BTreeMap<_, _> =
            known.iter().flat_map(|known| known.outcomes).map(|(value, outcome)| ((*value).to_owned(), *outcome)).collect();
        outcomes.extend(spec.outcomes.clone());
        let passes = |outcome: &AnalysisOutcome| matches!(outcome, AnalysisOutcome::Pass | AnalysisOutcome::Warn);
        if spec.outcomes.len() > MAX_OUTCOMES {
            problem(".outcomes", "has too many entries: at most 32");
        } else if spec.path.is_some() && spec.outcomes.is_empty() {
            problem(".outcomes", "say what the values mean, such as {Successful: Pass, Failed: Fail}");
        } else if !outcomes.values().any(&passes) && !passes(&spec.otherwise) {
            problem(".outcomes", "no value passes: give at least one the outcome Pass");
        }
        let passing: Vec<_> = outcomes.iter().filter(|(_, outcome)| passes(outcome)).map(|(value, _)| value.as_str()).collect();
        let wanted = if passing.is_empty() { "any other value".to_owned() } else { passing.join(" or ") };
        let path = path.filter(|_| problems.len() == before)?;
        Some(Self {
            path,
            message_path,
            outcomes,
            otherwise: spec.otherwise,
            wanted,
            targets: known.map_or(TargetRule::Any, |known| known.targets),
            which: spec.which,
        })
    }

    fn judge(&self, target: &DynamicObject) -> Observation {
        let name = target_name(target);
        match self.verdict(target) {
            Ok((value, message)) => self.mean(&name, &value, message.as_deref()),
            Err((reason, message)) => Observation::error(name, reason, message),
        }
    }

    /// The tool's verdict and its words.
    fn verdict(&self, target: &DynamicObject) -> Result<(String, Option<String>), (&'static str, String)> {
        if target.types.as_ref().is_some_and(|types| types.api_version == "v1" && types.kind == "Secret") {
            return Err((ANALYSIS_ERROR, "Secrets are not read: use the probe keys".to_owned()));
        }
        let generation = target.metadata.generation.unwrap_or(0);
        if let Some(seen) = target.data.pointer("/status/observedGeneration").and_then(Value::as_i64)
            && seen < generation
        {
            return Err((
                NO_DATA,
                format!("its status is of generation {seen}, generation {generation} is not yet observed by its controller"),
            ));
        }
        let path = self.path.shown();
        let found = find(&self.path, target)?;
        let value = match found.as_deref() {
            None | Some(Value::Null) => return Err((NO_DATA, format!("it has no value at {path}"))),
            Some(Value::Array(_) | Value::Object(_)) => return Err((ANALYSIS_ERROR, format!("what is at {path} is no single value"))),
            Some(value) => text_of(value).into_owned(),
        };
        // Without its words a verdict is a verdict.
        let words = self.message_path.as_ref().and_then(|path| find(path, target).ok().flatten());
        let words = words.as_deref().and_then(Value::as_str).filter(|words| !words.trim().is_empty()).map(str::to_owned);
        Ok((value, words))
    }

    fn mean(&self, name: &str, value: &str, words: Option<&str>) -> Observation {
        let (outcome, reason) = match self.outcomes.get(value).copied().unwrap_or(self.otherwise) {
            AnalysisOutcome::Pass => (Outcome::Pass, ANALYSIS_PASSED),
            AnalysisOutcome::Warn => (Outcome::Warn, ANALYSIS_WARNED),
            AnalysisOutcome::Fail => (Outcome::Fail, ANALYSIS_FAILED),
            AnalysisOutcome::Error => (Outcome::Error, ANALYSIS_ERROR),
            AnalysisOutcome::NoData => (Outcome::Error, NO_DATA),
        };
        let shown = single_line(value, MAX_VALUE_CHARS);
        let field = self.path.shown().trim_start_matches("$.");
        let words = words.map(|words| format!(": {words}")).unwrap_or_default();
        Observation::new(name, outcome, reason, format!("{field} is {shown}{words}")).measured(shown, &self.wanted)
    }
}

impl LiveProbe for Analysis {
    fn name(&self) -> &'static str {
        "analysis"
    }

    fn targets(&self) -> TargetRule {
        self.targets
    }

    fn observe(&self, look: &Look<'_>) -> Vec<Observation> {
        match self.which {
            AnalysisTargets::All => look.each(|target| self.judge(target)),
            AnalysisTargets::Latest => {
                let created = |target: &&&DynamicObject| target.metadata.creation_timestamp.as_ref().map(|time| time.0);
                let latest = look.targets.iter().max_by_key(|target| (created(target), target.metadata.name.as_deref()));
                latest.map(|target| guarded(&target_name(target), || self.judge(target))).into_iter().collect()
            }
        }
    }
}

fn parse_path(source: &str) -> Result<SinglePath, String> {
    let path = SinglePath::parse(source)?;
    if path.reach() > Reach::OneFilter {
        let example = "$.status.conditions[?@.type == 'Healthy'].status";
        return Err(format!("may have names, indexes and one filter with one condition, such as {example}"));
    }
    Ok(path)
}

/// The value at a path; `None` where there is none.
fn find<'t>(path: &SinglePath, target: &'t DynamicObject) -> Result<Option<Cow<'t, Value>>, (&'static str, String)> {
    let shown = path.shown();
    let wrong = |message: &str| (ANALYSIS_ERROR, format!("{message} at {shown}"));
    if path.reach() > Reach::Direct && exceeds(&target.data, MAX_VALUES) {
        return Err((ANALYSIS_ERROR, format!("it has more than {MAX_VALUES} values, too many to search with {shown}")));
    }
    let found = match path.top() {
        Some(name) if !["apiVersion", "kind", "metadata"].contains(&name) => path.find(&target.data).map(Cow::Borrowed),
        // An object that was read as JSON can be written as such.
        _ if exceeds(&target.data, MAX_VALUES) => return Err(wrong("it is too large to look")),
        _ => path.find(&serde_json::to_value(target).unwrap_or_default()).cloned().map(Cow::Owned),
    };
    match found {
        Ok(value) => Ok(Some(value)),
        Err(NotOne::NoValue) => Ok(None),
        Err(NotOne::SeveralValues) => Err(wrong("it has several values")),
    }
}
