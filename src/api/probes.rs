//! The probes of a check: one optional member each, of which exactly one is set.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

mod analysis;
mod blast_radius;
mod calendar;
mod capacity;
mod cel;
mod composite;
mod concurrency;
mod cooldown;
mod disruption_budget;
mod host;
mod keys;
mod quota;

pub use analysis::{AnalysisOutcome, AnalysisPreset, AnalysisProbe, AnalysisTargets};
pub use blast_radius::BlastRadiusProbe;
pub use calendar::{AllowedWindow, CalendarEffect, CalendarText, Recurrence, WindowCalendar};
pub use capacity::{CapacityProbe, CapacityResource, CapacityScope, UnusableNodes};
pub use cel::CelProbe;
pub use composite::{CompositeProbe, Member};
pub use concurrency::{ConcurrencyProbe, StartsPer};
pub use cooldown::{CooldownProbe, CooldownSince};
pub use disruption_budget::{DisruptionBudgetProbe, Uncovered};
pub use host::{
    ContainerRuntimeRequirement, DiskRequirement, FileRequirement, FileState, FileType, HostProbe, HugepagesRequirement, KernelRequirement,
    LoadRequirement, MemoryRequirement, PortProtocol, PortRequirement, PortState, SwapRequirement, SysctlRequirement, TimeSyncRequirement,
    UnitRequirement,
};
pub use keys::KeysProbe;
pub use quota::{QuotaProbe, QuotaResource, ScopedQuotas};

/// What the check observes. Exactly one member is set.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "[has(self.rollout), has(self.condition), has(self.node), has(self.capacity), has(self.quota), has(self.disruptionBudget), has(self.keys), has(self.cel), has(self.analysis), has(self.composite), has(self.host), has(self.blastRadius), has(self.http), has(self.tcp), has(self.window), has(self.cooldown), has(self.concurrency)].filter(x, x).size() == 1"
).message("exactly one probe is required: set one of rollout, condition, node, capacity, quota, disruptionBudget, keys, cel, analysis, composite, host, blastRadius, http, tcp, window, cooldown, concurrency"))]
pub struct Probe {
    /// Live. A workload is rolled out and steady: its targets are Deployments, StatefulSets or DaemonSets of `apps/v1`. The new version must be
    /// rolled out as `kubectl rollout status` judges it, with at least `minReady` replicas, and without a restart storm.
    /// Example: `rollout: {minReady: "100%"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutProbe>,
    /// Live. An entry of `status.conditions` of any kind has a status, for at least so long.
    /// Example: `condition: {type: Available, status: "True", forSeconds: 60}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<ConditionProbe>,
    /// Live. A Node can take work; targets are Nodes, by name or selector. Always asked: condition Ready is True, no MemoryPressure,
    /// DiskPressure, PIDPressure or NetworkUnavailable, and not cordoned unless that is allowed. Example: `node: {minKubeletVersion: v1.33.0}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeProbe>,
    /// Probed. An HTTP endpoint answers as expected: one request, no redirects followed, no proxy, at most 64 KiB of the body read, within the
    /// check's `timeoutSeconds`. Loopback, link-local, metadata and unspecified addresses are refused (reason TargetDenied) unless the operator
    /// was started with `--allow-cidr` for them. Example: `http: {url: "https://checkout.shop.svc/healthz"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpProbe>,
    /// Probed. A TCP endpoint accepts a connection within the check's `timeoutSeconds`. The same addresses are refused as for `http`.
    /// Example: `tcp: {host: postgres.shop.svc, port: 5432}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpProbe>,
    /// Live. Now is inside an allowed window (any time, if none is given) and outside every blackout, on the wall clock of a time zone.
    /// Example: `window: {timeZone: Europe/Berlin, allowed: [{weekdays: [Mon, Tue], from: "09:00", to: "16:00"}]}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowProbe>,
    /// Live. The selected nodes have room: allocatable minus requested of cpu, memory, hugepages or devices.
    /// Example: `capacity: {resources: [{name: memory, free: 16Gi}]}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<CapacityProbe>,
    /// Live. The ResourceQuotas of the check's namespace leave room. Example: `quota: {resources: [{name: requests.cpu, free: "4"}]}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<QuotaProbe>,
    /// Live. The PodDisruptionBudgets that cover the targets allow disruptions. Example: `disruptionBudget: {minAllowed: 1}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disruption_budget: Option<DisruptionBudgetProbe>,
    /// Probed. A Secret or ConfigMap exists and has keys that are not empty. Example: `keys: {secret: db-credentials, keys: [username, password]}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeysProbe>,
    /// Live. An expression in CEL is true of the targets. Example: `cel: {expression: "object.spec.replicas >= 3"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cel: Option<CelProbe>,
    /// Live. The verdict that another tool wrote into the status of its object. Example: `analysis: {preset: ArgoAnalysisRun}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<AnalysisProbe>,
    /// Live. Other checks of the namespace, each a target: `quorum` says how many must pass. Or an expression over their verdicts.
    /// Example: `composite: {checks: [{name: a}, {name: b}]}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub composite: Option<CompositeProbe>,
    /// Live. What `holdpoint agent` measured on hosts: disk, memory, load, modules, devices, units, ports, files.
    /// Example: `host: {disk: [{path: /var, minFree: 10Gi}]}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostProbe>,
    /// Live, decided for each request. How much the experiment that wants to start would hit at most.
    /// Example: `blastRadius: {maxPods: "50%"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blast_radius: Option<BlastRadiusProbe>,
    /// Live, decided for each request. At least so long since the last start that the asking gate admitted, or since it ended.
    /// Example: `cooldown: {seconds: 900, per: Target}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<CooldownProbe>,
    /// Live, decided for each request. Fewer than so many starts that the asking gate admitted are active. Example: `concurrency: {max: 3}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<ConcurrencyProbe>,
}

/// A workload is rolled out and steady. Targets are Deployments, StatefulSets or DaemonSets of `apps/v1`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.restartWindowSeconds) || has(self.maxRestarts)")
    .message("restartWindowSeconds needs maxRestarts: it is the time over which restarts are counted").field_path(".restartWindowSeconds"))]
pub struct RolloutProbe {
    /// How many replicas must be ready: a number, or a percentage of the wanted replicas, rounded up.
    /// Default: `100%`. Examples: `2`, `"80%"`.
    #[serde(default = "one_hundred_percent")]
    #[x_kube(validation = Rule::new("type(self) == int ? self >= 1 : self.matches('^(100|[1-9][0-9]?)%$')")
        .message("must be a number of at least 1, or a percentage from \"1%\" to \"100%\""))]
    pub min_ready: IntOrString,
    /// The most container restarts that the workload's pods may have had within `restartWindowSeconds`, all together.
    /// Unset: restarts are not looked at. A container that is waiting in CrashLoopBackOff counts with its restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub max_restarts: Option<i32>,
    /// Over how many seconds restarts are counted. A container that has restarted counts all its restarts if its last one is
    /// within this time (Kubernetes keeps the time of the last one only). Default: 600. Range: 1 to 86400.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub restart_window_seconds: Option<i32>,
}

/// An entry of a target's `status.conditions` has the wanted status.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConditionProbe {
    /// The condition's type, as in the object's status. Example: `Available`.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 316))]
    pub type_: String,
    /// The status that it must have: "True", "False" or "Unknown" (quoted in YAML). Default: "True".
    #[serde(default)]
    pub status: ConditionStatus,
    /// For how many seconds it must have had that status, by its `lastTransitionTime`. Default: 0.
    #[serde(default)]
    #[schemars(range(min = 0, max = 604_800))]
    pub for_seconds: i32,
}

/// The status of a condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum ConditionStatus {
    /// "True".
    #[default]
    True,
    /// "False".
    False,
    /// "Unknown".
    Unknown,
}

/// A Node can take work. Targets are Nodes, by name or selector. Always asked: condition Ready is True and no
/// MemoryPressure, DiskPressure, PIDPressure or NetworkUnavailable.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct NodeProbe {
    /// Whether a cordoned node (`spec.unschedulable`) passes. `Forbidden`: it fails. `Allowed`: it may be cordoned. Default: Forbidden.
    #[serde(default)]
    pub cordoned: Cordoned,
    /// Labels that the node must carry, with these values. Example: `{node.kubernetes.io/instance-type: metal}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[x_kube(validation = Rule::new("self.size() <= 32").message("at most 32 labels"))]
    #[schemars(extend("maxProperties" = 32))]
    pub required_labels: BTreeMap<String, String>,
    /// Taints that the node must not have. At most 32. Example: `[{key: node.kubernetes.io/out-of-service}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub forbidden_taints: Vec<ForbiddenTaint>,
    /// The lowest kubelet version that passes. Example: `v1.33.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = r"^v?[0-9]{1,4}\.[0-9]{1,4}(\.[0-9]{1,4})?$"))]
    pub min_kubelet_version: Option<String>,
}

/// What a cordoned node means to the check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Cordoned {
    /// A cordoned node fails.
    #[default]
    Forbidden,
    /// A cordoned node may pass.
    Allowed,
}

/// A taint that must not be there: all given fields must match for it to count.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ForbiddenTaint {
    /// The taint's key.
    #[schemars(length(min = 1, max = 316))]
    pub key: String,
    /// The taint's effect: NoSchedule, PreferNoSchedule or NoExecute. Unset: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = "^(NoSchedule|PreferNoSchedule|NoExecute)$"))]
    pub effect: Option<String>,
}

/// An HTTP endpoint answers as expected. One request, no redirects followed, no proxy, at most 64 KiB of the body read, within
/// the check's `timeoutSeconds`. Loopback, link-local, metadata and unspecified addresses are refused (reason TargetDenied)
/// unless the operator was started with `--allow-cidr` for them.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpProbe {
    /// The address, with scheme http or https. No user name or password in it. Example: `https://checkout.shop.svc:8443/healthz`.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^https?://')").message("must start with http:// or https://"))]
    #[x_kube(validation = Rule::new("!self.matches('^[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*@')").message("must not carry a user name or password"))]
    #[x_kube(validation = Rule::new("isURL(self)").message("must be an absolute URL, such as https://checkout.shop.svc:8443/healthz"))]
    pub url: String,
    /// The method. Default: GET.
    #[serde(default)]
    pub method: HttpMethod,
    /// Headers to send, at most 16; not those of the connection itself, such as Host. Do not put secrets here: the object is readable by everyone who may read checks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub headers: Vec<HttpHeader>,
    /// The status codes that pass. Default: `[200]`. At most 16. Example: `[200, 204]`.
    #[serde(default = "status_ok")]
    #[schemars(length(min = 1, max = 16), inner(range(min = 100, max = 599)))]
    pub expected_status: Vec<i32>,
    /// What the body must be like. Unset: the body is not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<BodyExpectation>,
    /// The certificate authority that the server's certificate must come from, in PEM. Unset: the well-known public ones (Mozilla's list).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority: Option<CertificateAuthority>,
}

/// The method of an HTTP request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum HttpMethod {
    /// GET.
    #[default]
    #[serde(rename = "GET")]
    Get,
    /// HEAD.
    #[serde(rename = "HEAD")]
    Head,
    /// OPTIONS.
    #[serde(rename = "OPTIONS")]
    Options,
    /// POST, with an empty body.
    #[serde(rename = "POST")]
    Post,
}

/// A header of a request.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct HttpHeader {
    /// The header's name (RFC 9110 token). Host, Content-Length, Transfer-Encoding, Connection and Upgrade are refused: the operator sets them itself.
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"))]
    pub name: String,
    /// The header's value, in printable ASCII.
    #[schemars(length(max = 1024), regex(pattern = r"^[\x20-\x7e]*$"))]
    pub value: String,
}

/// What the body of an answer must be like. All that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.contains) || has(self.jsonPath)").message("set contains, jsonPath or both"))]
pub struct BodyExpectation {
    /// Text that the body contains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub contains: Option<String>,
    /// A value inside a JSON body. Example: `{path: "$.status", equals: "ok"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json_path: Option<JsonPathEquals>,
}

/// A JSON path and the value it must find.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct JsonPathEquals {
    /// The path, as in RFC 9535 (not kubectl's dialect), without commas, functions and a second `..`. It must find exactly one value; if it finds
    /// none, the check has no data (`outcomes.noData`). Example: `$.database.connected`.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
    /// The value as text: a string as it is, anything else as compact JSON. Examples: `ok`, `"true"`, `"3"`.
    #[schemars(length(max = 1024))]
    pub equals: String,
}

/// Where a certificate authority (PEM) is kept, in the check's own namespace. Exactly one is set.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.configMapRef) != has(self.secretRef)").message("exactly one of configMapRef and secretRef is required"))]
pub struct CertificateAuthority {
    /// A key of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<KeyReference>,
    /// A key of a Secret. The operator ships without the right to read Secrets: the check's message prints the two commands that grant it this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<KeyReference>,
}

/// A key of a ConfigMap or Secret in the check's namespace.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct KeyReference {
    /// The object's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key. Default: `ca.crt`.
    #[serde(default = "ca_crt")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A TCP endpoint accepts a connection within the check's `timeoutSeconds`. The same addresses are refused as for `http`.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
pub struct TcpProbe {
    /// A host name or an IP address. Example: `postgres.shop.svc`.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9:]([A-Za-z0-9.:_-]*[A-Za-z0-9.:])?$"))]
    pub host: String,
    /// The port, 1 to 65535.
    #[schemars(range(min = 1, max = 65_535))]
    pub port: i32,
}

/// Now is inside an allowed window (any time, if none is given) and outside every blackout.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.allowed) || has(self.blackouts) || has(self.calendars)").message("set allowed, blackouts or calendars"))]
pub struct WindowProbe {
    /// The IANA time zone of all times and dates below. Default: `UTC`. Example: `Europe/Berlin`.
    #[serde(default = "utc")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$"))]
    pub time_zone: String,
    /// When starts are allowed. At most 32. Example: `[{name: office, weekdays: [Mon, Tue, Wed, Thu], from: "09:00", to: "16:00"}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub allowed: Vec<AllowedWindow>,
    /// When they are not, whatever `allowed` says. At most 64. Example: `[{name: peak, dates: {from: 2026-11-25, to: 2026-11-30}}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub blackouts: Vec<Blackout>,
    /// Calendars in ConfigMaps of the check's namespace, whose events add to `allowed` or `blackouts`. At most 4.
    /// Example: `[{name: releases, effect: Blackout, configMapRef: {name: release-calendar}}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub calendars: Vec<WindowCalendar>,
}

/// A weekly range of time.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.from != self.to").message("from and to must differ; for a whole day write from: \"00:00\", to: \"24:00\""))]
pub struct TimeRange {
    /// A name for messages. Example: `office hours`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub name: Option<String>,
    /// The weekdays on which the range begins. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 7))]
    pub weekdays: Vec<Weekday>,
    /// When it begins, HH:MM in 24 hours, included. Example: "22:00".
    #[schemars(length(max = 5), regex(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
    pub from: String,
    /// When it ends, HH:MM, excluded; "24:00" is the end of the day. Earlier than `from` means: on the next day. Example: "06:00".
    #[schemars(length(max = 5), regex(pattern = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"))]
    pub to: String,
}

/// A time in which nothing may start: whole dates, or a weekly range, or that range within those dates, or a recurrence.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.recurrence) ? !has(self.dates) && !has(self.time) : has(self.dates) || has(self.time)")
    .message("set dates, time or both, or recurrence alone"))]
pub struct Blackout {
    /// A name for messages. Example: `Black Friday`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub name: Option<String>,
    /// The dates of the blackout. With `time`: the range counts only if it begins on one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dates: Option<DateRange>,
    /// The weekly range of the blackout. Unset: whole days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<TimeRange>,
    /// A recurrence instead of both.
    /// Example: `{rule: "FREQ=MONTHLY;BYDAY=-1FR", start: "2026-01-30T18:00", durationMinutes: 120}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recurrence: Option<Recurrence>,
}

/// A range of calendar dates in the probe's time zone.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[x_kube(validation = Rule::new("self.from <= self.to").message("from must not be after to"))]
pub struct DateRange {
    /// The first day, YYYY-MM-DD.
    #[schemars(length(max = 10), regex(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub from: String,
    /// The last day, YYYY-MM-DD, included.
    #[schemars(length(max = 10), regex(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub to: String,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

fn one_hundred_percent() -> IntOrString {
    IntOrString::String("100%".to_owned())
}
fn status_ok() -> Vec<i32> {
    vec![200]
}
fn ca_crt() -> String {
    "ca.crt".to_owned()
}
fn utc() -> String {
    "UTC".to_owned()
}
