//! What is written on an experiment of what was done to it.

use super::Place;
use crate::core::gate::GateKey;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The annotation, written together with what stops the experiment.
pub const MARK: &str = "holdpoint.dev/stopped-by";
/// The longest that is read: the annotation is anybody's to write.
const MAX_BYTES: usize = 4096;

/// Who stopped an experiment, when and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The gate.
    pub gate: GateKey,
    /// The check that turned Failing.
    pub check: String,
    /// When.
    pub time: Timestamp,
    /// Paused or Stopped.
    pub done: String,
    /// What was found.
    pub reason: String,
    /// A digest of the spec as it was, without the field that was written.
    pub spec: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Written {
    gate: String,
    check: String,
    time: Timestamp,
    done: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    spec: String,
}

impl Mark {
    /// Reads an annotation. What cannot be read is none.
    pub fn parse(text: &str) -> Option<Self> {
        let written: Written = serde_json::from_str(Some(text).filter(|text| text.len() <= MAX_BYTES)?).ok()?;
        let (kind, path) = written.gate.split_once(' ')?;
        let (namespace, name) = path.split_once('/').map_or((None, path), |(namespace, name)| (Some(namespace.to_owned()), name));
        let gate = GateKey { namespace, name: name.to_owned() };
        let Written { check, time, done, reason, spec, .. } = written;
        (gate.kind() == kind).then_some(Self { gate, check, time, done, reason, spec })
    }

    /// The annotation's text.
    pub fn to_json(&self) -> String {
        let Self { gate, check, time, done, reason, spec } = self;
        let path = gate.namespace.as_ref().map_or_else(|| gate.name.clone(), |namespace| format!("{namespace}/{}", gate.name));
        let written = Written {
            gate: format!("{} {path}", gate.kind()),
            check: check.clone(),
            time: *time,
            done: done.clone(),
            reason: reason.clone(),
            spec: spec.clone(),
        };
        // Texts and a time always have a form in JSON.
        serde_json::to_string(&written).unwrap_or_default()
    }
}

/// A digest of an object's spec without the field that is written: FNV-1a, 64 bits. It tells whether somebody changed the spec, not who.
pub(super) fn digest(object: &Value, place: Place) -> String {
    let mut spec = object.get("spec").cloned().unwrap_or_default();
    if let (Place::Spec(member), Value::Object(members)) = (place, &mut spec) {
        members.remove(member);
    }
    let text = spec.to_string();
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{hash:016x}")
}
