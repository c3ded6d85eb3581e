//! Krkn: `krkn.krkn-chaos.dev`, and jobs and pods that run an image of krkn-hub.
//!
//! Pods are looked at only by their images, and that is left to the API server: no other pod is ever sent to the operator (`registration`).

use super::term::Literal::Truth;
use super::term::{Less, Path, Side, Term, all, always, any, differs, is, not};
use super::{Accounts, Hold};
use crate::api::Preset;
use std::sync::Arc;

const GROUP: &str = "krkn.krkn-chaos.dev";

const SUSPEND: Path = &["spec", "suspend"];
const OF_JOB: &[Path] = &[&["spec", "template", "spec", "containers"], &["spec", "template", "spec", "initContainers"]];
const OF_POD: &[Path] = &[&["spec", "containers"], &["spec", "initContainers"], &["spec", "ephemeralContainers"]];

/// The name of the repository of all of Krkn's scenarios, in whichever registry.
const REPOSITORY: &str = "krkn-hub";

pub(super) fn holds(accounts: &Accounts, more_repositories: &[String]) -> Vec<Hold> {
    let repositories: Arc<[String]> = std::iter::once(REPOSITORY.to_owned()).chain(more_repositories.iter().cloned()).collect();
    let image = |side, lists| Term::Image(side, lists, repositories.clone());
    let child = |kinds| all([Term::By(accounts.of(Preset::Krkn)), Term::Controlled(GROUP, kinds)]);
    let suspended = |side| is(side, SUSPEND, &[Truth(true)]);
    let of_control_plane = all([Term::ByControlPlane, Term::Controlled("", &[])]);
    let gains_image = all([image(Side::New, OF_POD), not(image(Side::Old, OF_POD))]);
    vec![
        Hold {
            group: GROUP,
            resources: &["krknscenarioruns"],
            create: Some(not(child(&["KrknGraphRun"]))),
            update: Some(any([
                not(Term::Narrows(&["spec", "targetClusters"], Less::FewerNames)),
                differs(&["spec", "scenarioImage"]),
                differs(&["spec", "scenarioName"]),
                differs(&["spec", "environment"]),
            ])),
            start: "created, also by Krkn's console and REST API: they use the operator's account, and set no owner; other targets or another scenario",
            passes: &[
                ("made by Krkn for a KrknGraphRun", "the graph run was let in; its inside is not judged again"),
                ("status, metadata and finalizers", "that starts nothing"),
            ],
        },
        Hold {
            group: GROUP,
            resources: &["krkngraphruns"],
            create: Some(always()),
            update: Some(not(all([
                Term::Narrows(&["spec", "graph"], Less::Fewer),
                Term::Narrows(&["spec", "targetClusters"], Less::FewerNames),
            ]))),
            start: "created; another graph or other targets",
            passes: &[("status, metadata and finalizers", "that starts nothing")],
        },
        Hold {
            group: "batch",
            resources: &["jobs"],
            create: Some(all([image(Side::New, OF_JOB), not(suspended(Side::New))])),
            update: Some(all([image(Side::New, OF_JOB), suspended(Side::Old), not(suspended(Side::New))])),
            start: "created with an image of krkn-hub or of presetOptions.krkn.imageRepositories, also by a CronJob; resumed",
            passes: &[
                ("any other image", "it is no chaos; the API server itself tells, and sends no other job"),
                ("created suspended", "it runs nothing until it is resumed"),
                ("CronJobs", "each of their jobs is judged"),
            ],
        },
        Hold {
            group: "",
            resources: &["pods"],
            create: Some(all([image(Side::New, OF_POD), not(of_control_plane), not(child(&["KrknScenarioRun"]))])),
            update: Some(gains_image.clone()),
            start: "a bare pod created with an image of krkn-hub or of presetOptions.krkn.imageRepositories; a pod whose image is changed to one",
            passes: &[
                ("any other image", "it is no chaos; the API server itself tells, and sends no other pod"),
                ("made by a controller of the control plane for an owner", "the owner, such as a Job, is what starts"),
                ("made by Krkn for a KrknScenarioRun", "the run was let in; its inside is not judged again"),
            ],
        },
        Hold {
            group: "",
            resources: &["pods/ephemeralcontainers"],
            create: None,
            update: Some(gains_image),
            start: "a debugging container with such an image added to a pod",
            passes: &[("any other image", "it is no chaos; the API server itself tells, and sends no other pod")],
        },
    ]
}

pub(super) const NEVER: &[(&str, &str)] = &[
    ("krknoperatortargets, krkntargetrequests, krknusers and the like", "targets, users and settings: nothing runs"),
    ("cronjobs.batch", "each of their jobs is judged when it is made"),
];
