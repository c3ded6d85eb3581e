//! Chaos Blade: `chaosblade.io`. Its kind has no namespace where its chart installs it.

use super::Hold;
use super::term::{Less, Term, always, not};

pub(super) fn holds() -> Vec<Hold> {
    vec![Hold {
        group: "chaosblade.io",
        resources: &["chaosblades"],
        create: Some(always()),
        update: Some(not(Term::Narrows(&["spec", "experiments"], Less::Fewer))),
        start: "created; other or more experiments: the operator injects them anew",
        passes: &[("fewer experiments, status, metadata and finalizers", "that starts nothing")],
    }]
}
