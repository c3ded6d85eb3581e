//! KubeVirt: `kubevirt.io` and `pool.kubevirt.io`.
//!
//! `subresources.kubevirt.io` is served by an aggregated API server: admission never sees a start, but only the write that it then makes with its own
//! account: to the spec, or to the status as a state change request.

use super::term::Literal::{Text, Truth, Whole};
use super::term::{Path, Side, Term, all, any, is, not, rises};
use super::{Accounts, Hold};
use crate::api::Preset;

const GROUP: &str = "kubevirt.io";
const POOL_GROUP: &str = "pool.kubevirt.io";

const STRATEGY: Path = &["spec", "runStrategy"];
const RUNNING: Path = &["spec", "running"];
const REQUESTS: Path = &["status", "stateChangeRequests"];
const REPLICAS: Path = &["spec", "replicas"];

fn strategy(side: Side, literals: &'static [super::term::Literal]) -> Term {
    is(side, STRATEGY, literals)
}

/// Halted, Manual, or neither field.
fn stopped(side: Side) -> Term {
    all([
        any([Term::Absent(side, STRATEGY), strategy(side, &[Text("Halted"), Text("Manual")])]),
        any([Term::Absent(side, RUNNING), is(side, RUNNING, &[Truth(false)])]),
    ])
}

/// Of what has replicas.
fn idle(side: Side) -> Term {
    any([is(side, &["spec", "paused"], &[Truth(true)]), is(side, REPLICAS, &[Whole(0)])])
}

fn machines(accounts: &Accounts) -> [Hold; 3] {
    let by_controller = || Term::By(accounts.of(Preset::KubeVirt));
    let strategy_change = all([
        stopped(Side::Old),
        not(stopped(Side::New)),
        // It runs already.
        not(all([strategy(Side::Old, &[Text("Manual")]), is(Side::Old, &["status", "created"], &[Truth(true)])])),
        // The second write of a start as paused.
        not(all([
            by_controller(),
            strategy(Side::Old, &[Text("Halted")]),
            strategy(Side::New, &[Text("Always")]),
            Term::Lists(Side::Old, REQUESTS, "action", "Start"),
        ])),
    ]);
    let requested =
        all([Term::Gains(REQUESTS, "action", "Start"), not(all([by_controller(), strategy(Side::New, &[Text("RerunOnFailure")])]))]);
    let child = |group, kinds| all([by_controller(), Term::Controlled(group, kinds)]);
    [
        Hold {
            group: GROUP,
            resources: &["virtualmachines"],
            create: Some(all([not(stopped(Side::New)), not(child(POOL_GROUP, &["VirtualMachinePool"]))])),
            update: Some(any([strategy_change, requested.clone()])),
            start: "created with a runStrategy other than Halted and Manual, or running: true, also by a clone; from Halted, Manual or neither field to another \
                    strategy, unless it was Manual and the machine runs already (status.created)",
            passes: &[
                ("created Halted, Manual, or with neither field; stopping", "it runs nothing"),
                ("made by virt-controller for a VirtualMachinePool", "the pool was let in; its inside is not judged again"),
                (
                    "Halted → Always by virt-controller, of a machine that is asked to start",
                    "the second write of a start as paused, of which the first was judged",
                ),
                ("metadata and finalizers; CPU, memory, volumes and the rest of the template", "that starts nothing"),
            ],
        },
        Hold {
            group: GROUP,
            resources: &["virtualmachines/status"],
            create: None,
            update: Some(requested),
            start: "a request Start added to status.stateChangeRequests: that is how a machine is started or restarted by virtctl where its strategy stays",
            passes: &[
                ("every other write of the status", "it only reports"),
                (
                    "Start added by virt-controller where the strategy is RerunOnFailure",
                    "it keeps a machine that was let in to its strategy",
                ),
            ],
        },
        Hold {
            group: GROUP,
            resources: &["virtualmachineinstances"],
            create: Some(not(child(GROUP, &["VirtualMachine", "VirtualMachineInstanceReplicaSet"]))),
            update: None,
            start: "created by anyone but virt-controller",
            passes: &[
                ("made by virt-controller for a VirtualMachine or VirtualMachineInstanceReplicaSet", "its owner was let in"),
                ("updates", "heartbeats of the nodes"),
            ],
        },
    ]
}

fn replicated(group: &'static str, resources: &'static [&'static str]) -> Hold {
    Hold {
        group,
        resources,
        create: Some(not(idle(Side::New))),
        update: Some(all([not(idle(Side::New)), any([idle(Side::Old), rises(REPLICAS, Some(1))])])),
        start: "created with replicas (absent means 1) and not paused; unpaused; more replicas",
        passes: &[
            ("created paused or with replicas: 0, pausing, fewer replicas", "it runs nothing, or less"),
            ("status, metadata and finalizers", "that starts nothing"),
        ],
    }
}

fn scaled(group: &'static str, resources: &'static [&'static str]) -> Hold {
    Hold {
        group,
        resources,
        create: None,
        update: Some(rises(REPLICAS, Some(0))),
        start: "more replicas, by kubectl scale or an autoscaler",
        passes: &[("fewer replicas", "less is never held")],
    }
}

fn migrations(accounts: &Accounts) -> Hold {
    const EVACUATION: Path = &["metadata", "annotations", "kubevirt.io/evacuationMigration"];
    const UPDATE: Path = &["metadata", "annotations", "kubevirt.io/workloadUpdateMigration"];
    let needed =
        all([Term::By(accounts.of(Preset::KubeVirt)), not(all([Term::Absent(Side::New, EVACUATION), Term::Absent(Side::New, UPDATE)]))]);
    Hold {
        group: GROUP,
        resources: &["virtualmachineinstancemigrations"],
        create: Some(not(needed)),
        update: None,
        start: "created",
        passes: &[(
            "made by virt-controller with the annotation kubevirt.io/evacuationMigration or kubevirt.io/workloadUpdateMigration",
            "drains and upgrades would hang",
        )],
    }
}

pub(super) fn holds(accounts: &Accounts) -> Vec<Hold> {
    let mut holds = Vec::from(machines(accounts));
    holds.extend([
        replicated(GROUP, &["virtualmachineinstancereplicasets"]),
        scaled(GROUP, &["virtualmachineinstancereplicasets/scale"]),
        replicated(POOL_GROUP, &["virtualmachinepools"]),
        scaled(POOL_GROUP, &["virtualmachinepools/scale"]),
        migrations(accounts),
    ]);
    holds
}

pub(super) const NEVER: &[(&str, &str)] = &[
    (
        "virtualmachineclones.clone.kubevirt.io, virtualmachinerestores.snapshot.kubevirt.io",
        "they start nothing: what they make is halted or keeps its strategy, and a machine that is made is judged",
    ),
    ("pause, unpause, freeze, reset, console, vnc", "they go to the node without a write to an object: only access rules can keep them"),
];
