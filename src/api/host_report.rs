//! `HostReport`: what the agent on a machine measured.

use super::probes::{FileType, PortProtocol};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The namespace of the agents' heartbeats: one Lease a host, with the host's name. Nothing else is in it, so that an agent's right to write Leases
/// reaches no other.
pub const HEARTBEAT_NAMESPACE: &str = "holdpoint-hosts";
/// The longest time, in seconds, that a heartbeat may claim for itself.
pub const MAX_SILENCE_SECONDS: i32 = 600;

/// What a host's agent measured. Facts stand beside the metadata: there is neither a wish (spec) nor somebody else who answers one (status), and one
/// write by one right creates and renews it.
#[derive(CustomResource, Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[kube(
    group = "holdpoint.dev",
    version = "v1alpha1",
    kind = "HostReport",
    plural = "hostreports",
    shortname = "hrep",
    category = "holdpoint",
    derive = "PartialEq",
    no_spec,
    doc = "A HostReport is what `holdpoint agent` measured on a machine; its name is the host's. Only that agent writes it. It is written when something that a check asks about has changed its meaning; that it still holds is said by the Lease of the same name in namespace holdpoint-hosts.",
    printcolumn(name = "Kernel", type_ = "string", json_path = ".facts.kernel.release", description = "The running kernel"),
    printcolumn(name = "Changed", type_ = "date", json_path = ".facts.time", description = "Time since something changed its meaning"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Agent", type_ = "string", json_path = ".facts.agentVersion", priority = 1),
    printcolumn(name = "Omitted", type_ = "integer", json_path = ".facts.omitted", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct HostReportContent {
    /// What was measured: only what checks ask about.
    pub facts: HostFacts,
}

/// What was measured on a host. A fact that could not be measured has an `error` and no value.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostFacts {
    /// When the report was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// The version of the agent.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub agent_version: String,
    /// How many facts checks ask about that are not here, because a report has room for so many only.
    #[serde(default)]
    pub omitted: i32,
    /// The running kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<KernelFact>,
    /// Memory and swap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryFact>,
    /// Load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadFact>,
    /// The clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<ClockFact>,
    /// The container runtime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_runtime: Option<ContainerRuntimeFact>,
    /// File systems, by a path in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub disks: Vec<DiskFact>,
    /// Files, folders and devices, by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub files: Vec<FileFact>,
    /// Kernel modules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub modules: Vec<PresenceFact>,
    /// CPU flags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub cpu_flags: Vec<PresenceFact>,
    /// Kernel parameters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub sysctls: Vec<TextFact>,
    /// systemd units, with their active state, such as `active` or `failed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub units: Vec<TextFact>,
    /// Huge pages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub hugepages: Vec<HugepagesFact>,
    /// Ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub ports: Vec<PortFact>,
}

/// The running kernel.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KernelFact {
    /// When it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// Why it could not be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub error: Option<String>,
    /// Its release, such as `6.8.0-45-generic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub release: Option<String>,
}

/// Memory and swap, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemoryFact {
    /// When it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// Why it could not be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub error: Option<String>,
    /// All memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<i64>,
    /// What a new process could get without swapping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_bytes: Option<i64>,
    /// All swap space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap_total_bytes: Option<i64>,
    /// What of it is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap_free_bytes: Option<i64>,
}

/// The load average.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoadFact {
    /// When it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// Why it could not be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub error: Option<String>,
    /// The average of one minute, in percent of the CPUs: 100 is one runnable process for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub one_minute_percent: Option<i64>,
    /// How many CPUs are online.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<i64>,
}

/// How far the host's clock is from the API server's.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClockFact {
    /// When it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// Why it could not be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub error: Option<String>,
    /// By how many milliseconds the host's clock is ahead; negative: behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead_milliseconds: Option<i64>,
    /// How far that may be wrong, in either direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertainty_milliseconds: Option<i64>,
}

/// The container runtime.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerRuntimeFact {
    /// When it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// Why it could not be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub error: Option<String>,
    /// Its name, such as `containerd`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub name: Option<String>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub version: Option<String>,
    /// Images that checks ask about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub images: Vec<PresenceFact>,
}

/// A file system.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiskFact {
    /// The path in it that was asked about.
    #[schemars(length(max = 128))]
    pub path: String,
    /// When it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// Why it could not be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub error: Option<String>,
    /// Its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<i64>,
    /// What is free for unprivileged processes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<i64>,
    /// How many inodes it has. Absent where their number is not fixed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_inodes: Option<i64>,
    /// How many of them are free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_inodes: Option<i64>,
}

/// A file, folder or device.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FileFact {
    /// Its path.
    #[schemars(length(max = 128))]
    pub path: String,
    /// When it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// Why it could not be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub error: Option<String>,
    /// Whether it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
    /// What it is.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<FileType>,
    /// Its permissions, in four octal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4))]
    pub mode: Option<String>,
    /// The number of the user that owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<i64>,
    /// The number of the group that owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<i64>,
}

/// Whether something is there.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PresenceFact {
    /// Its name.
    #[schemars(length(max = 255))]
    pub name: String,
    /// When it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// Why it could not be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub error: Option<String>,
    /// Whether it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<bool>,
}

/// Something with a short value.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TextFact {
    /// Its name.
    #[schemars(length(max = 128))]
    pub name: String,
    /// When it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// Why it could not be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub error: Option<String>,
    /// Its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub value: Option<String>,
}

/// Huge pages of one size.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HugepagesFact {
    /// The size of a page, such as `2Mi`.
    #[schemars(length(max = 8))]
    pub size: String,
    /// When it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// Why it could not be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub error: Option<String>,
    /// How many there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<i64>,
    /// How many are free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<i64>,
}

/// A port.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortFact {
    /// Its number.
    pub port: i32,
    /// Its protocol.
    #[serde(default)]
    pub protocol: PortProtocol,
    /// When it was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
    /// Why it could not be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub error: Option<String>,
    /// Whether something listens on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listening: Option<bool>,
}
