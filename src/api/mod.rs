//! What users write: one custom resource a file.
//!
//! The doc comments in this module are the descriptions that `kubectl explain` prints, so they are
//! written for users: what a field does, its default, its unit, an example. Rules that the API server
//! can check (bounds, unions, relations between fields) are part of the generated schema, so a bad
//! object is refused when it is applied. What only the operator can know (a kind that the cluster
//! serves, a zone that exists, an expression that compiles) is checked by [`crate::core::validate`]
//! and reported in the `Ready` condition.

#![allow(clippy::duplicated_attributes, reason = "each printer column names its type")]

mod cluster_experiment_gate;
pub mod conditions;
pub mod crd_yaml;
mod experiment_gate;
mod gate;
mod host_report;
mod preflight_check;
mod preflight_run;
mod preset;
mod probes;

pub use cluster_experiment_gate::{
    ClusterAtLeast, ClusterCheckReference, ClusterExperimentGate, ClusterExperimentGateSpec, ClusterGateMatch,
};
pub use experiment_gate::{AtLeast, CheckReference, ExperimentGate, ExperimentGateSpec, GateMatch};
pub use gate::{
    Blocker, DecidedBy, DecisionCounters, DeniedOwner, DuringRun, FailurePolicy, GateStatus, MatchCondition, Mode, OnFailing, Operation,
    RecentDecision, RecentDenial, Recorder, Respond, Response, Rule,
};
pub use host_report::{
    ClockFact, ContainerRuntimeFact, DiskFact, FileFact, HEARTBEAT_NAMESPACE, HostFacts, HostReport, HostReportContent, HugepagesFact,
    KernelFact, LoadFact, MAX_SILENCE_SECONDS, MemoryFact, PortFact, PresenceFact, TextFact,
};
pub use preflight_check::{
    Dependency, History, Outcomes, Override, PreflightCheck, PreflightCheckSpec, PreflightCheckStatus, Quorum, Remediation, Retries, Reuse,
    ReusePolicy, Severity, Streak, Summary, TargetResult, TargetSource, Targets, VerdictName,
};
pub use preflight_run::{
    GateKind, GateReference, PreflightRun, PreflightRunSpec, PreflightRunStatus, RunCheck, RunCounts, RunGrant, RunMode, RunSchedule,
    RunStart, RunVerdict,
};
pub use preset::{KrknOptions, Preset, PresetOptions};
pub use probes::{
    AllowedWindow, AnalysisOutcome, AnalysisPreset, AnalysisProbe, AnalysisTargets, Blackout, BlastRadiusProbe, BodyExpectation,
    CalendarEffect, CalendarText, CapacityProbe, CapacityResource, CapacityScope, CelProbe, CertificateAuthority, CompositeProbe,
    ConcurrencyProbe, ConditionProbe, ConditionStatus, ContainerRuntimeRequirement, CooldownProbe, CooldownSince, Cordoned, DateRange,
    DiskRequirement, DisruptionBudgetProbe, FileRequirement, FileState, FileType, ForbiddenTaint, HostProbe, HttpHeader, HttpMethod,
    HttpProbe, HugepagesRequirement, JsonPathEquals, KernelRequirement, KeyReference, KeysProbe, LoadRequirement, Member,
    MemoryRequirement, NodeProbe, PortProtocol, PortRequirement, PortState, Probe, QuotaProbe, QuotaResource, Recurrence, RolloutProbe,
    ScopedQuotas, StartsPer, SwapRequirement, SysctlRequirement, TcpProbe, TimeRange, TimeSyncRequirement, Uncovered, UnitRequirement,
    UnusableNodes, Weekday, WindowCalendar, WindowProbe,
};

/// The API group of all kinds.
pub const GROUP: &str = "holdpoint.dev";
/// The annotation of a check that runs it at once when it gets a new value.
pub const EVALUATE_AT: &str = "holdpoint.dev/evaluate-at";
/// The label of a namespace that names the environment for the overrides of its checks.
pub const ENVIRONMENT: &str = "holdpoint.dev/environment";
/// The API version of all kinds.
pub const VERSION: &str = "v1alpha1";
/// The longest CEL expression that is accepted, in bytes. The parser of longer ones could exhaust a thread's stack.
pub const MAX_EXPRESSION_BYTES: usize = 4096;
