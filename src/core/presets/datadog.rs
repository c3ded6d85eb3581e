//! Datadog's chaos-controller: `chaos.datadoghq.com`.

use super::Hold;
use super::term::Literal::Truth;
use super::term::{Less, Path, Side, Term, all, any, is, not, rises};

const GROUP: &str = "chaos.datadoghq.com";

fn is_true(side: Side, path: Path) -> Term {
    is(side, path, &[Truth(true)])
}

/// The members of a disruption's spec that say whom it hits, or how long.
const TARGETS: &[&str] =
    &["count", "selector", "advancedSelector", "filter", "containers", "level", "dryRun", "duration", "reporting", "maxRuns"];

/// More or other targets.
fn widened() -> Term {
    let narrows = all([
        Term::Narrows(&["spec"], Less::OthersSame(TARGETS)),
        Term::Narrows(&["spec", "level"], Less::Same),
        Term::Narrows(&["spec", "selector"], Less::MoreConditions),
        Term::Narrows(&["spec", "advancedSelector"], Less::MoreConditions),
        Term::Narrows(&["spec", "filter"], Less::OthersSame(&["annotations"])),
        Term::Narrows(&["spec", "filter", "annotations"], Less::MoreConditions),
        Term::Narrows(&["spec", "containers"], Less::FewerOfAll),
    ]);
    any([not(narrows), rises(&["spec", "count"], None)])
}

pub(super) fn holds() -> Vec<Hold> {
    const DRY_RUN: Path = &["spec", "dryRun"];
    const TEMPLATE_DRY_RUN: Path = &["spec", "disruptionTemplate", "dryRun"];
    const PAUSED: Path = &["spec", "paused"];
    let cron_stopped = |side| any([is_true(side, PAUSED), is_true(side, TEMPLATE_DRY_RUN)]);
    vec![
        Hold {
            group: GROUP,
            resources: &["disruptions"],
            create: Some(not(is_true(Side::New, DRY_RUN))),
            update: Some(all([not(is_true(Side::New, DRY_RUN)), any([is_true(Side::Old, DRY_RUN), widened()])])),
            start: "created unless dryRun is true, also by a DisruptionCron or DisruptionRollout; dryRun taken back; a larger count, a change between number and \
                    percentage, other targets or another disruption",
            passes: &[
                ("dryRun: true", "it injects nothing"),
                ("a smaller count, narrower selectors", "less is never held"),
                ("status, metadata and finalizers, another duration", "that starts nothing"),
            ],
        },
        Hold {
            group: GROUP,
            resources: &["disruptioncrons"],
            create: Some(not(cron_stopped(Side::New))),
            update: Some(all([cron_stopped(Side::Old), not(cron_stopped(Side::New))])),
            start: "created unless it is paused or its template is a dry run; when that is taken back. Each disruption that it makes is judged for itself",
            passes: &[
                ("paused: true, disruptionTemplate.dryRun: true", "it injects nothing"),
                ("another time table or template", "what it then makes is judged each time"),
            ],
        },
        Hold {
            group: GROUP,
            resources: &["disruptionrollouts"],
            create: Some(not(is_true(Side::New, TEMPLATE_DRY_RUN))),
            update: Some(all([is_true(Side::Old, TEMPLATE_DRY_RUN), not(is_true(Side::New, TEMPLATE_DRY_RUN))])),
            start: "created unless its template is a dry run; when that is taken back. Each disruption that it makes is judged for itself",
            passes: &[
                ("disruptionTemplate.dryRun: true", "it injects nothing"),
                ("another template", "what it then makes is judged each time"),
            ],
        },
    ]
}
