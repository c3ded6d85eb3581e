//! Chaos Toolkit: `chaostoolkit.org`, kind `ChaosToolkitExperiment`. Its operator looks at creations only.

use super::Hold;
use super::term::always;

pub(super) fn holds() -> Vec<Hold> {
    vec![Hold {
        group: "chaostoolkit.org",
        resources: &["chaosexperiments"],
        create: Some(always()),
        update: None,
        start: "created",
        passes: &[("updates", "the operator looks at creations only: a change starts nothing")],
    }]
}
