//! Names of runs that the operator makes: the same wherever they are worked out, so that whoever is second finds what is there.

use crate::core::gate::GateKey;
use jiff::Timestamp;
use std::fmt::Write;

/// How much of a gate's name is part of a run's name.
const MAX_GATE_CHARS: usize = 60;

/// The name of the run for a request that a gate holds. The digest tells the object, and the requester, from others.
pub fn held(gate: &GateKey, digest: u128) -> String {
    format!("{}-held-{digest:032x}", stem(gate))
}

/// The name of the run of a gate's schedule that was due at a time.
pub fn scheduled(gate: &GateKey, due: Timestamp) -> String {
    let mut name = stem(gate);
    // Writing to a String cannot fail.
    let _ = write!(name, "-at-{}", due.strftime("%Y%m%d%H%M"));
    name
}

/// Gates of both kinds may have the same name.
fn stem(gate: &GateKey) -> String {
    let name: String = gate.name.chars().take(MAX_GATE_CHARS).collect();
    format!("{}-{}", gate.short_kind(), name.trim_end_matches(['-', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_names_of_objects_and_tell_the_kinds_apart() {
        let gate = |namespace: Option<&str>, name: &str| GateKey { namespace: namespace.map(str::to_owned), name: name.to_owned() };
        let due: Timestamp = "2026-03-29T04:05:06Z".parse().unwrap();
        assert_eq!(scheduled(&gate(Some("shop"), "chaos"), due), "xgate-chaos-at-202603290405");
        assert_eq!(scheduled(&gate(None, "chaos"), due), "cxgate-chaos-at-202603290405");
        assert_eq!(held(&gate(None, "vms"), 0xabc), "cxgate-vms-held-00000000000000000000000000000abc");
        let long = format!("{}-{}", "a".repeat(59), "b".repeat(100));
        let name = held(&gate(None, &long), u128::MAX);
        assert!(name.len() <= 253 && name.contains("a-held-"), "{name}");
    }
}
