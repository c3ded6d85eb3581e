//! Chaos Mesh: `chaos-mesh.org`.
//!
//! None of its kinds of chaos has a status subresource: the controller reports through the object itself.

use super::term::Literal::Text;
use super::term::{Less, Path, Side, Term, all, always, any, differs, is, not};
use super::{Accounts, Hold};
use crate::api::Preset;

const GROUP: &str = "chaos-mesh.org";

/// The kinds of chaos.
pub const CHAOS: &[&str] = &[
    "podchaos",
    "networkchaos",
    "iochaos",
    "stresschaos",
    "timechaos",
    "dnschaos",
    "httpchaos",
    "jvmchaos",
    "kernelchaos",
    "blockchaos",
    "awschaos",
    "gcpchaos",
    "azurechaos",
    "physicalmachinechaos",
];

const PAUSE: Path = &["metadata", "annotations", "experiment.chaos-mesh.org/pause"];
const ABORT: Path = &["metadata", "annotations", "workflow.chaos-mesh.org/abort"];
const ACTION: Path = &["spec", "action"];
/// What is done once, as soon as the object is there: the controller does not look whether it is paused.
const ONE_SHOT: &[super::term::Literal] =
    &[Text("pod-kill"), Text("container-kill"), Text("ec2-restart"), Text("vm-restart"), Text("node-reset")];

/// The members of a selector of pods.
const SELECTED: &[&str] = &[
    "namespaces",
    "nodes",
    "pods",
    "physicalMachines",
    "nodeSelectors",
    "fieldSelectors",
    "labelSelectors",
    "expressionSelectors",
    "annotationSelectors",
    "podPhaseSelectors",
];

fn paused(side: Side) -> Term {
    is(side, PAUSE, &[Text("true")])
}

/// The targets are the same or fewer.
fn selector_narrows() -> Term {
    let at = Term::Narrows;
    all([
        at(&["spec", "selector"], Less::OthersSame(SELECTED)),
        at(&["spec", "selector", "namespaces"], Less::FewerNamespaces),
        at(&["spec", "selector", "nodes"], Less::FewerOfAll),
        at(&["spec", "selector", "pods"], Less::FewerNames),
        at(&["spec", "selector", "physicalMachines"], Less::FewerNames),
        at(&["spec", "selector", "nodeSelectors"], Less::MoreConditions),
        at(&["spec", "selector", "fieldSelectors"], Less::MoreConditions),
        at(&["spec", "selector", "labelSelectors"], Less::MoreConditions),
        at(&["spec", "selector", "expressionSelectors"], Less::MoreConditions),
        at(&["spec", "selector", "annotationSelectors"], Less::MoreConditions),
        at(&["spec", "selector", "podPhaseSelectors"], Less::FewerOfAll),
    ])
}

fn mode_narrows() -> Term {
    const MODE: Path = &["spec", "mode"];
    any([
        all([not(differs(MODE)), Term::Narrows(&["spec", "value"], Less::Count(None))]),
        is(Side::Old, MODE, &[Text("all")]),
        is(Side::New, MODE, &[Text("one")]),
    ])
}

/// What else says whom it hits, and with what.
const TARGETS: &[Path] = &[
    ACTION,
    &["spec", "target"],
    &["spec", "direction"],
    &["spec", "externalTargets"],
    &["spec", "remoteCluster"],
    &["spec", "address"],
    &["spec", "awsRegion"],
    &["spec", "ec2Instance"],
    &["spec", "project"],
    &["spec", "zone"],
    &["spec", "instance"],
    &["spec", "subscriptionID"],
    &["spec", "resourceGroupName"],
    &["spec", "vmName"],
];

fn widened() -> Term {
    let mut same: Vec<Term> = TARGETS.iter().map(|path| Term::Narrows(path, Less::Same)).collect();
    same.push(selector_narrows());
    same.push(mode_narrows());
    same.push(Term::Narrows(&["spec", "containerNames"], Less::FewerOfAll));
    same.push(Term::Narrows(&["spec", "patterns"], Less::Fewer));
    same.push(Term::Narrows(&["spec", "deviceNames"], Less::Fewer));
    not(Term::All(same))
}

/// A chaos that has run its time runs again if it is given another.
fn prolonged() -> Term {
    all([is(Side::Old, &["status", "experiment", "desiredPhase"], &[Text("Stop")]), differs(&["spec", "duration"])])
}

fn made_by_controller(accounts: &Accounts, owners: &'static [&'static str]) -> Term {
    all([Term::By(accounts.of(Preset::ChaosMesh)), Term::Controlled(GROUP, owners)])
}

pub(super) fn holds(accounts: &Accounts) -> Vec<Hold> {
    let of_controller = Term::By(accounts.of(Preset::ChaosMesh));
    let resumed = |owners| all([paused(Side::Old), not(paused(Side::New)), not(made_by_controller(accounts, owners))]);
    let one_shot = |side| is(side, ACTION, ONE_SHOT);
    let now_one_shot = all([one_shot(Side::New), differs(ACTION)]);
    let runs = not(paused(Side::New));
    vec![
        Hold {
            group: GROUP,
            resources: CHAOS,
            create: Some(all([any([runs.clone(), one_shot(Side::New)]), not(made_by_controller(accounts, &["WorkflowNode"]))])),
            update: Some(any([resumed(&["Schedule", "WorkflowNode"]), all([runs, any([widened(), prolonged()])]), now_one_shot])),
            start: "created unpaused, or with an action that is done at once (pod-kill, container-kill, ec2-restart, vm-restart, node-reset) even if paused; \
                    resumed: the annotation experiment.chaos-mesh.org/pause was \"true\" and is no longer; more or other targets, mode, value or action while it \
                    runs; another duration after it has run its time",
            passes: &[
                ("created with experiment.chaos-mesh.org/pause: \"true\"", "it does nothing until it is resumed"),
                ("made by Chaos Mesh for a node of a Workflow", "the Workflow was let in; its inside is not judged again"),
                ("resumed by Chaos Mesh with the Schedule or Workflow that owns it", "what is resumed is the owner, which is judged"),
                ("pausing, narrower selectors, mode or value", "less is never held"),
                (
                    "status, metadata and finalizers, duration of what runs",
                    "the controller reports through the object itself: what changed decides, not the endpoint",
                ),
            ],
        },
        Hold {
            group: GROUP,
            resources: &["schedules"],
            create: Some(all([not(paused(Side::New)), not(made_by_controller(accounts, &["WorkflowNode"]))])),
            update: Some(resumed(&["WorkflowNode"])),
            start: "created unpaused; resumed. Each firing is the creation of a chaos or a Workflow, and judged for itself",
            passes: &[
                ("created paused, pausing", "it does not fire"),
                ("another time table or template", "what it then makes is judged each time"),
                ("made by Chaos Mesh for a node of a Workflow", "the Workflow was let in; each firing is still judged"),
            ],
        },
        Hold {
            group: GROUP,
            resources: &["workflows"],
            create: Some(always()),
            update: Some(all([
                not(is(Side::New, ABORT, &[Text("true")])),
                any([is(Side::Old, ABORT, &[Text("true")]), differs(&["spec", "entry"]), differs(&["spec", "templates"])]),
            ])),
            start: "created, also by a Schedule: a Workflow has no pause; other templates while it runs; the annotation workflow.chaos-mesh.org/abort taken back",
            passes: &[
                ("workflow.chaos-mesh.org/abort: \"true\"", "that is how it is stopped"),
                ("status, metadata and finalizers", "the controller reports its progress"),
            ],
        },
        Hold {
            group: GROUP,
            resources: &["workflownodes", "podnetworkchaos", "podiochaos", "podhttpchaos", "statuschecks"],
            create: Some(not(of_controller.clone())),
            update: Some(all([
                not(of_controller),
                not(all([
                    Term::Narrows(&["spec"], Less::OthersSame(&["ipsets", "iptables", "tcs", "actions", "rules"])),
                    Term::Narrows(&["spec", "ipsets"], Less::Fewer),
                    Term::Narrows(&["spec", "iptables"], Less::Fewer),
                    Term::Narrows(&["spec", "tcs"], Less::Fewer),
                    Term::Narrows(&["spec", "actions"], Less::Fewer),
                    Term::Narrows(&["spec", "rules"], Less::Fewer),
                ])),
            ])),
            start: "created, or given more to do, by anyone but Chaos Mesh: the controller runs what they embed",
            passes: &[
                ("everything that Chaos Mesh does", "they are the inside of a chaos that was let in"),
                ("status, metadata and finalizers, fewer rules", "that starts nothing"),
            ],
        },
    ]
}

pub(super) const NEVER: &[(&str, &str)] = &[
    ("physicalmachines.chaos-mesh.org", "a machine is registered, nothing happens to it"),
    ("remoteclusters.chaos-mesh.org", "a cluster is registered, nothing happens to it"),
];
