//! Jobs and CronJobs of Kubernetes: `batch`. For experiments that are plain jobs; a gate must say which.

use super::term::Literal::{Text, Truth, Whole};
use super::term::{Side, Term, all, any, is, not, rises};
use super::{Accounts, Hold};

const GROUP: &str = "batch";

fn suspended(side: Side) -> Term {
    is(side, &["spec", "suspend"], &[Truth(true)])
}

fn stopped(side: Side) -> Term {
    any([suspended(side), is(side, &["spec", "parallelism"], &[Whole(0)])])
}

pub(super) fn holds(accounts: &Accounts) -> Vec<Hold> {
    let own =
        all([is(Side::New, &["metadata", "labels", "app.kubernetes.io/managed-by"], &[Text("holdpoint")]), Term::By(accounts.operator())]);
    vec![
        Hold {
            group: GROUP,
            resources: &["jobs"],
            create: Some(all([not(stopped(Side::New)), not(own)])),
            update: Some(all([not(stopped(Side::New)), any([stopped(Side::Old), rises(&["spec", "parallelism"], Some(1))])])),
            start: "created unless suspend is true or parallelism is 0, also by a CronJob; suspend taken back; a larger parallelism",
            passes: &[
                ("created with suspend: true or parallelism: 0, suspending, a smaller parallelism", "it runs nothing, or less"),
                (
                    "the operator's own jobs (label app.kubernetes.io/managed-by: holdpoint, made by its account)",
                    "a check that runs as a job must not wait for itself",
                ),
                ("status, metadata and finalizers; pods", "that starts nothing; the Job was let in"),
            ],
        },
        Hold {
            group: GROUP,
            resources: &["cronjobs"],
            create: Some(not(suspended(Side::New))),
            update: Some(all([suspended(Side::Old), not(suspended(Side::New))])),
            start: "created unless suspend is true; suspend taken back. Each Job that it makes is judged for itself",
            passes: &[
                ("created with suspend: true, suspending", "it makes no jobs"),
                ("another time table or template", "what it then makes is judged each time"),
            ],
        },
    ]
}
