//! Krkn: its runs go to clusters that they name, with a kubeconfig that is not in the request, and so do the containers of its hub.

use super::{Gated, Part, Unresolvable};

pub(super) fn parts(gated: &Gated<'_>) -> Result<Vec<Part>, Unresolvable> {
    Err(match gated.group {
        "krkn.krkn-chaos.dev" => {
            Unresolvable::new("it runs against clusters that it only names, with credentials that are not in the request")
        }
        _ => Unresolvable::new(&format!("what a {} runs is not told by its object", gated.kind)),
    })
}
