//! Argo Workflows: `argoproj.io`. A Workflow has no status subresource: its controller, and a retry, write the phase through the object.

use super::Hold;
use super::term::Literal::{Text, Truth};
use super::term::{Path, Side, Term, all, any, is, not};

const GROUP: &str = "argoproj.io";

const SUSPEND: Path = &["spec", "suspend"];

fn suspended(side: Side) -> Term {
    is(side, SUSPEND, &[Truth(true)])
}

fn finished(side: Side) -> Term {
    is(side, &["status", "phase"], &[Text("Succeeded"), Text("Failed"), Text("Error")])
}

pub(super) fn holds() -> Vec<Hold> {
    let resumed = || all([suspended(Side::Old), not(suspended(Side::New))]);
    vec![
        Hold {
            group: GROUP,
            resources: &["workflows"],
            create: Some(not(suspended(Side::New))),
            update: Some(any([resumed(), all([finished(Side::Old), not(finished(Side::New))])])),
            start: "created unless suspend is true, also by a CronWorkflow; suspend taken back; a retry: its phase was Succeeded, Failed or Error and is no longer",
            passes: &[
                ("created with suspend: true, suspending, shutdown", "it runs nothing, or stops"),
                ("status, metadata and finalizers; resuming a suspend node", "the inside of a workflow that was let in"),
                ("its pods", "the Workflow was let in"),
            ],
        },
        Hold {
            group: GROUP,
            resources: &["cronworkflows"],
            create: Some(not(suspended(Side::New))),
            update: Some(resumed()),
            start: "created unless suspend is true; suspend taken back. Each Workflow that it makes is judged for itself",
            passes: &[
                ("created with suspend: true, suspending", "it makes no Workflows"),
                ("another time table or template", "what it then makes is judged each time"),
            ],
        },
    ]
}

pub(super) const NEVER: &[(&str, &str)] = &[
    ("workflowtemplates, clusterworkflowtemplates", "templates: nothing runs until a Workflow names them"),
    (
        "workflowtasksets, workflowtaskresults, workfloweventbindings, workflowartifactgctasks",
        "the inside of a workflow, or nothing that runs by itself",
    ),
    ("pods", "the Workflow was let in"),
];
