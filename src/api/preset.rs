//! The tools that gates know: what of theirs is held, and what a start is, needs not be written by hand.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A tool of which a gate holds the right kinds at the right moments: what starts, resumes or widens something, never what stops it. `holdpoint presets`
/// prints what each expands to, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
pub enum Preset {
    /// Chaos Mesh, chaos-mesh.org.
    ChaosMesh,
    /// Litmus, litmuschaos.io.
    Litmus,
    /// Krkn, krkn.krkn-chaos.dev, and jobs and pods with an image of krkn-hub.
    Krkn,
    /// Datadog's chaos-controller, chaos.datadoghq.com.
    Datadog,
    /// `ChaosBlade`, chaosblade.io. Its kind has no namespace: it takes a `ClusterExperimentGate`.
    ChaosBlade,
    /// Chaos Toolkit, chaostoolkit.org.
    ChaosToolkit,
    /// `KubeVirt`, kubevirt.io.
    KubeVirt,
    /// Argo Workflows, argoproj.io.
    ArgoWorkflows,
    /// Jobs and `CronJobs` of Kubernetes. It needs `match.objectSelector` or `match.namespaceSelector`.
    Jobs,
}

impl Preset {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::ChaosMesh,
        Self::Litmus,
        Self::Krkn,
        Self::Datadog,
        Self::ChaosBlade,
        Self::ChaosToolkit,
        Self::KubeVirt,
        Self::ArgoWorkflows,
        Self::Jobs,
    ];

    /// The name, as it is written in a spec.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChaosMesh => "ChaosMesh",
            Self::Litmus => "Litmus",
            Self::Krkn => "Krkn",
            Self::Datadog => "Datadog",
            Self::ChaosBlade => "ChaosBlade",
            Self::ChaosToolkit => "ChaosToolkit",
            Self::KubeVirt => "KubeVirt",
            Self::ArgoWorkflows => "ArgoWorkflows",
            Self::Jobs => "Jobs",
        }
    }
}

/// What presets cannot know by themselves.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct PresetOptions {
    /// For the preset Krkn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub krkn: Option<KrknOptions>,
}

/// What the preset Krkn cannot know by itself.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct KrknOptions {
    /// Repositories of images that are scenarios of Krkn, besides those whose last part is `krkn-hub`: with the registry, without a tag.
    /// At most 16. Example: `[quay.example/chaos/scenarios]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 3, max = 255), regex(pattern = "^[a-z0-9]([a-z0-9.:_-]*[a-z0-9])?(/[a-z0-9]([a-z0-9._-]*[a-z0-9])?)+$"))
    )]
    pub image_repositories: Vec<String>,
}
