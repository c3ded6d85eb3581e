//! Probe `host`: what the agent on a machine measured.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A host is fit: what its agent measured meets every requirement given here. Targets are HostReports (`targets: {source: Hosts}`). A host measures
/// only what some check asks about, so a new requirement takes a moment until it is answered; until then the host is Unknown.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(
    "[has(self.disk), has(self.memory), has(self.swap), has(self.load), has(self.kernel), has(self.devices), has(self.sysctls), \
      has(self.hugepages), has(self.cpuFlags), has(self.timeSync), has(self.units), has(self.ports), has(self.files), \
      has(self.containerRuntime)].exists(x, x)"
).message("at least one requirement is needed, such as disk, memory, devices or files"))]
pub struct HostProbe {
    /// File systems with enough room. At most 16. Example: `[{path: /var, minFree: 10Gi, minFreeInodes: 100000}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub disk: Vec<DiskRequirement>,
    /// Memory that a new process could get. Example: `{minAvailable: 4Gi}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryRequirement>,
    /// Swap space in use. Example: `{maxUsed: "10%"}`; `{maxUsed: "0%"}` is met by a host without swap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap: Option<SwapRequirement>,
    /// How busy it is. Example: `{maxOneMinutePercent: 150}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadRequirement>,
    /// Its kernel. Example: `{minVersion: "5.15", modules: [br_netfilter, kvm]}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<KernelRequirement>,
    /// Device files that exist and are devices, below `/dev`. At most 16. Example: `[/dev/kvm, /dev/net/tun]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 6, max = 128), regex(pattern = r"^/dev(/[A-Za-z0-9._+:@-]+)+$")))]
    pub devices: Vec<String>,
    /// Kernel parameters. Only numbers can be asked for. At most 16. Example: `[{name: vm.max_map_count, min: 262144}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub sysctls: Vec<SysctlRequirement>,
    /// Free huge pages. At most 8. Example: `[{size: 2Mi, minFree: 512}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub hugepages: Vec<HugepagesRequirement>,
    /// Flags of the first CPU, as in `/proc/cpuinfo`, all of which it must have. At most 16. Example: `[vmx]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 32), regex(pattern = "^[a-z0-9_]+$")))]
    pub cpu_flags: Vec<String>,
    /// How far its clock may be off. Example: `{maxOffsetMilliseconds: 500}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_sync: Option<TimeSyncRequirement>,
    /// systemd units that are active. At most 16. Example: `[{name: containerd.service}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub units: Vec<UnitRequirement>,
    /// Ports in the host's own network. At most 16. Example: `[{port: 6443, state: Listening}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub ports: Vec<PortRequirement>,
    /// Files and folders. Their content is never read. At most 16. Example: `[{path: /etc/kubernetes/pki, type: Folder, mode: "0700", uid: 0}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub files: Vec<FileRequirement>,
    /// Its container runtime, through the CRI. Needs an agent that was given the runtime's socket. Example: `{minVersion: "1.7"}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_runtime: Option<ContainerRuntimeRequirement>,
}

/// A file system with enough room.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.minFree) || has(self.minFreeInodes)").message("minFree or minFreeInodes is required"))]
pub struct DiskRequirement {
    /// A folder in the file system: absolute, without `..`. Example: `/var`.
    #[schemars(length(min = 1, max = 128), regex(pattern = "^(/|(/[^/]+)+)$"))]
    pub path: String,
    /// What must be free for unprivileged processes: a quantity, or a percentage of its size. Examples: `10Gi`, `"15%"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20), regex(pattern = r"^([0-9]{1,9}(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?|(100|[1-9]?[0-9])%)$"))]
    pub min_free: Option<String>,
    /// How many inodes must be free. File systems without a fixed number of inodes, such as btrfs, report none and cannot answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_i64))]
    pub min_free_inodes: Option<i64>,
}

/// Memory that a new process could get.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MemoryRequirement {
    /// The least `MemAvailable`: a quantity, or a percentage of all memory. Examples: `4Gi`, `"20%"`.
    #[schemars(length(max = 20), regex(pattern = r"^([0-9]{1,9}(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?|(100|[1-9]?[0-9])%)$"))]
    pub min_available: String,
}

/// Swap space in use.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SwapRequirement {
    /// The most that may be in use: a quantity, or a percentage of all swap space. Examples: `1Gi`, `"10%"`.
    #[schemars(length(max = 20), regex(pattern = r"^([0-9]{1,9}(k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?|(100|[1-9]?[0-9])%)$"))]
    pub max_used: String,
}

/// How busy a host is.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoadRequirement {
    /// The highest load average of one minute, in percent of its CPUs: 100 is one runnable process for each CPU. Range: 1 to 100000.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_one_minute_percent: i32,
}

/// A host's kernel.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.minVersion) || has(self.modules)").message("minVersion or modules is required"))]
pub struct KernelRequirement {
    /// The lowest version that passes; what follows the numbers, such as `-91-generic`, counts for nothing. Example: `"5.15"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20), regex(pattern = r"^[0-9]{1,4}(\.[0-9]{1,5}){1,2}$"))]
    pub min_version: Option<String>,
    /// Modules that are loaded or built in. At most 16. Example: `[br_netfilter]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 56), regex(pattern = "^[A-Za-z0-9_-]+$")))]
    pub modules: Vec<String>,
}

/// A kernel parameter.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.value) != (has(self.min) || has(self.max))").message("either value, or min or max, is required"))]
pub struct SysctlRequirement {
    /// Its name, with dots. Example: `vm.max_map_count`.
    #[schemars(length(min = 3, max = 128), regex(pattern = r"^[a-z0-9_-]+(\.[A-Za-z0-9_-]+)+$"))]
    pub name: String,
    /// Exactly this: a number, or several with one space between. Example: `"1"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), regex(pattern = "^-?[0-9]+( -?[0-9]+)*$"))]
    pub value: Option<String>,
    /// At least this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// At most this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
}

/// Free huge pages of one size.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HugepagesRequirement {
    /// The size of a page. Examples: `2Mi`, `1Gi`.
    #[schemars(length(max = 8), regex(pattern = "^[1-9][0-9]{0,4}(Ki|Mi|Gi)$"))]
    pub size: String,
    /// How many must be free.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub min_free: i32,
}

/// How far a host's clock may be off.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TimeSyncRequirement {
    /// The most that it may differ from the API server's clock, in milliseconds. It is told from the dates of the API server's answers, which are whole
    /// seconds: an agent that has run for a few minutes knows it to about a tenth of a second. Range: 100 to 3600000.
    #[schemars(range(min = 100, max = 3_600_000))]
    pub max_offset_milliseconds: i32,
}

/// A systemd unit that is active.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnitRequirement {
    /// Its full name. Example: `containerd.service`.
    #[schemars(
        length(min = 3, max = 128),
        regex(pattern = r"^[A-Za-z0-9:_.@\\-]+\.(service|socket|target|mount|timer|path|device|swap|slice|scope|automount)$")
    )]
    pub name: String,
}

/// A port in the host's own network.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortRequirement {
    /// Its number, 1 to 65535.
    #[schemars(range(min = 1, max = 65_535))]
    pub port: i32,
    /// Default: TCP.
    #[serde(default)]
    pub protocol: PortProtocol,
    /// What it must be. Default: Free.
    #[serde(default)]
    pub state: PortState,
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum PortProtocol {
    /// TCP, over IPv4 or IPv6.
    #[default]
    Tcp,
    /// UDP, over IPv4 or IPv6.
    Udp,
}

/// What a port is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum PortState {
    /// Nothing listens on it, on any of the host's addresses.
    #[default]
    Free,
    /// Something listens on it, on at least one of the host's addresses.
    Listening,
}

/// A file or folder. Symbolic links are followed, inside the host's file system only.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.state != 'Absent' || !(has(self.mode) || has(self.uid) || has(self.gid) || self.type != 'Any')")
    .message("what is absent has no type, mode, uid or gid").field_path(".state"))]
pub struct FileRequirement {
    /// Its path: absolute, without `..`. Agents look only below the folders that they are allowed to look into (`--allow-path`).
    #[schemars(length(min = 2, max = 128), regex(pattern = "^(/[^/]+)+$"))]
    pub path: String,
    /// Whether it must be there. Default: Present.
    #[serde(default)]
    pub state: FileState,
    /// What it must be. Default: Any.
    #[serde(default, rename = "type")]
    pub type_: FileType,
    /// Its permissions, in octal digits. Example: `"0600"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4), regex(pattern = "^[0-7]{3,4}$"))]
    pub mode: Option<String>,
    /// The number of the user that owns it. Example: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub uid: Option<i64>,
    /// The number of the group that owns it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4_294_967_295_i64))]
    pub gid: Option<i64>,
}

/// Whether a file must be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum FileState {
    /// It must be there.
    #[default]
    Present,
    /// It must not be there. Example: `/run/reboot-required`.
    Absent,
}

/// What a file is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum FileType {
    /// Whatever it is.
    #[default]
    Any,
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A character or block device.
    Device,
    /// A socket.
    Socket,
    /// A named pipe.
    Pipe,
}

/// A container runtime.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContainerRuntimeRequirement {
    /// The lowest version that passes. Unset: any that answers. Example: `"1.7"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20), regex(pattern = r"^[0-9]{1,4}(\.[0-9]{1,5}){1,2}$"))]
    pub min_version: Option<String>,
    /// Images that are on the host already, as they are tagged there. At most 16. Example: `[registry.example/vm:1.2]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 255), regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._:/@-]*$")))]
    pub images: Vec<String>,
}
