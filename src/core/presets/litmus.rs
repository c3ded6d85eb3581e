//! Litmus: `litmuschaos.io`. None of its kinds has a status subresource.

use super::term::Literal::Text;
use super::term::{Less, Path, Side, Term, all, any, is, not};
use super::{Accounts, Hold};
use crate::api::Preset;

const GROUP: &str = "litmuschaos.io";

const ENGINE_STATE: Path = &["spec", "engineState"];
const SCHEDULE_STATE: Path = &["spec", "scheduleState"];

fn engine_stopped(side: Side) -> Term {
    is(side, ENGINE_STATE, &[Text("stop")])
}

fn schedule_stopped(side: Side) -> Term {
    is(side, SCHEDULE_STATE, &[Text("halt"), Text("stop"), Text("complete")])
}

/// More or other targets.
fn widened(accounts: &Accounts) -> Term {
    let same = |path| Term::Narrows(path, Less::Same);
    let narrows = all([same(&["spec", "appinfo"]), same(&["spec", "selectors"]), Term::Narrows(&["spec", "experiments"], Less::Fewer)]);
    all([not(narrows), not(Term::By(accounts.of(Preset::Litmus)))])
}

pub(super) fn holds(accounts: &Accounts) -> Vec<Hold> {
    vec![
        Hold {
            group: GROUP,
            resources: &["chaosengines"],
            create: Some(not(engine_stopped(Side::New))),
            update: Some(all([not(engine_stopped(Side::New)), any([engine_stopped(Side::Old), widened(accounts)])])),
            start: "created with engineState active, or without one: that means active; engineState stop → active, also after it completed; other targets or \
                    more experiments while it is active",
            passes: &[
                ("created with engineState: stop, set to stop", "it runs nothing"),
                ("what Litmus writes into the spec and the finalizers of an engine, short of making it active", "it keeps its books there"),
                ("status, metadata and finalizers, fewer experiments", "that starts nothing"),
            ],
        },
        Hold {
            group: GROUP,
            resources: &["chaosschedules"],
            create: Some(not(schedule_stopped(Side::New))),
            update: Some(all([schedule_stopped(Side::Old), not(schedule_stopped(Side::New))])),
            start: "created unless its scheduleState is halt, stop or complete; from one of these → active. Each engine that it makes is judged for itself",
            passes: &[("halt, stop", "it makes no engines"), ("another time table or template", "what it then makes is judged each time")],
        },
    ]
}

pub(super) const NEVER: &[(&str, &str)] = &[
    ("chaosexperiments.litmuschaos.io", "templates: nothing runs until an engine names them"),
    ("chaosresults.litmuschaos.io", "results: they only report"),
];
