//! Probe `keys`: a Secret or ConfigMap exists and has keys that are not empty.
//!
//! It is probed, not live: to watch Secrets the operator would need the right to list them, and would hold all of a namespace's in memory. A get
//! by name needs a right to that one Secret only. Values never reach this file: [`ReadReferences::keys`](super::plan::ReadReferences::keys)
//! tells only whether there is one and whether it is empty.
//!
//! An object or a key that is not there is what the probe asks about, so it is a Fail.

use super::live::{ProbedProbe, Reference};
use super::plan::{KeyState, KeyStates, MAX_COMMAND_CHARS, Outbound, ReferenceError, ReferenceKind};
use crate::api::KeysProbe;
use crate::api::conditions::passing::FORBIDDEN;
use crate::clock;
use crate::core::observation::{Observation, Outcome, TIMEOUT};
use crate::core::problem::Problem;
use crate::core::text::single_line;
use futures::future::BoxFuture;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// Reason of a Pass.
pub const KEYS_PRESENT: &str = "KeysPresent";
/// Reason of a Fail: there is no such Secret or ConfigMap.
pub const OBJECT_MISSING: &str = "ObjectMissing";
/// Reason of a Fail: it has not all of the keys.
pub const KEY_MISSING: &str = "KeyMissing";
/// Reason of a Fail: a key's value is empty, or no key has any.
pub const KEY_EMPTY: &str = "KeyEmpty";
/// Reason of an Error: it cannot be fetched.
pub const FETCH_FAILED: &str = "FetchFailed";

const MAX_KEYS: usize = 64;

/// The keys that an object must have.
#[derive(Clone, Debug, PartialEq)]
pub struct Keys {
    kind: ReferenceKind,
    name: String,
    target: String,
    wanted: Vec<String>,
}

impl Keys {
    /// Reads the spec; what cannot work is a problem below `field`.
    pub fn parse(spec: &KeysProbe, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        let mut problem = |at: &str, message: String| problems.push(Problem::new(format!("{field}{at}"), message));
        let (kind, at, name) = match (&spec.secret, &spec.config_map) {
            (Some(name), None) => (ReferenceKind::Secret, ".secret", name),
            (None, Some(name)) => (ReferenceKind::ConfigMap, ".configMap", name),
            _ => {
                problem("", "exactly one of secret and configMap is required".to_owned());
                return None;
            }
        };
        let word = word(kind);
        // The name becomes a part of a URL, and of commands to copy.
        if !is_object_name(name) {
            problem(at, format!("{:?} is not a name of a {word}", single_line(name, 64)));
        }
        if spec.keys.len() > MAX_KEYS {
            problem(".keys", format!("at most {MAX_KEYS} keys can be asked about"));
        }
        for (index, key) in spec.keys.iter().enumerate() {
            if !is_key(key) {
                problem(&format!(".keys[{index}]"), format!("{:?} is not a key of a {word}", single_line(key, 64)));
            } else if spec.keys.iter().take(index).any(|earlier| earlier == key) {
                problem(&format!(".keys[{index}]"), format!("{key:?} is there twice"));
            }
        }
        (problems.len() == before).then(|| Self { kind, name: name.clone(), target: format!("{word}/{name}"), wanted: spec.keys.clone() })
    }

    async fn look(&self, outbound: &Outbound, namespace: &str, timeout: Duration) -> Observation {
        match clock::within(timeout, outbound.references.keys(self.kind, namespace, &self.name, &self.wanted)).await {
            Ok(Ok(states)) => self.judge(&states),
            Ok(Err(ReferenceError::NotFound | ReferenceError::NoKey)) => {
                let message = format!("there is no {} {} in namespace {namespace}", word(self.kind), self.name);
                self.fail(OBJECT_MISSING, message, "not there")
            }
            Ok(Err(ReferenceError::Forbidden)) => {
                let message = outbound.grant(word(self.kind), namespace, &self.name);
                let message = single_line(&message, MAX_COMMAND_CHARS);
                Observation { message, ..Observation::error(&self.target, FORBIDDEN, "") }
            }
            Ok(Err(error @ ReferenceError::Unreadable(_))) => Observation::error(&self.target, FETCH_FAILED, error.to_string()),
            Err(_) => Observation::error(&self.target, TIMEOUT, format!("no answer from the API server within {} s", timeout.as_secs())),
        }
    }

    fn judge(&self, states: &KeyStates) -> Observation {
        let of = |state: KeyState| -> Vec<&str> {
            self.wanted.iter().zip(&states.asked).filter(|(_, found)| **found == state).map(|(key, _)| key.as_str()).collect()
        };
        let (missing, empty) = (of(KeyState::Missing), of(KeyState::Empty));
        let filled = of(KeyState::Filled).len();
        let value = format!("{filled}/{} keys with a value", self.wanted.len());
        if self.wanted.is_empty() {
            return if states.any_filled {
                self.seen(Outcome::Pass, KEYS_PRESENT, "it has a key with a value", "a key with a value")
            } else {
                self.fail(KEY_EMPTY, "it has no key with a value", "no key with a value")
            };
        }
        let missing_text = (!missing.is_empty()).then(|| format!("it has no key {}", missing.join(", ")));
        let empty_text = (!empty.is_empty()).then(|| format!("empty: {}", empty.join(", ")));
        let text = [missing_text, empty_text].into_iter().flatten().collect::<Vec<_>>().join("; ");
        match (missing.is_empty(), empty.is_empty()) {
            (false, _) => self.fail(KEY_MISSING, text, &value),
            (true, false) => self.fail(KEY_EMPTY, text, &value),
            // An answer about other keys than were asked about is no answer.
            (true, true) if filled < self.wanted.len() => {
                Observation::error(&self.target, FETCH_FAILED, "the answer is not about all keys")
            }
            (true, true) => self.seen(Outcome::Pass, KEYS_PRESENT, value.clone(), &value),
        }
    }

    fn fail(&self, reason: &'static str, message: impl AsRef<str>, value: &str) -> Observation {
        self.seen(Outcome::Fail, reason, message, value)
    }

    fn seen(&self, outcome: Outcome, reason: &'static str, message: impl AsRef<str>, value: &str) -> Observation {
        let required = match self.wanted.len() {
            0 => "a key with a value".to_owned(),
            count => format!("{count}/{count} keys with a value"),
        };
        Observation::new(&self.target, outcome, reason, message).measured(value, required)
    }
}

impl ProbedProbe for Keys {
    fn name(&self) -> &'static str {
        "keys"
    }

    fn target(&self) -> &str {
        &self.target
    }

    fn host(&self) -> String {
        // The API server, which bounds what each of its clients may ask by itself: one tenant's checks do not keep another's waiting here.
        String::new()
    }

    fn references(&self) -> Vec<Reference> {
        vec![Reference { kind: self.kind, name: self.name.clone() }]
    }

    fn observe<'a>(&'a self, outbound: &'a Outbound, namespace: &'a str, timeout: Duration) -> BoxFuture<'a, Observation> {
        Box::pin(async move {
            let started = clock::instant();
            let seen = self.look(outbound, namespace, timeout).await;
            Observation { duration: clock::instant().saturating_duration_since(started), ..seen }
        })
    }
}

const fn word(kind: ReferenceKind) -> &'static str {
    match kind {
        ReferenceKind::ConfigMap => "ConfigMap",
        ReferenceKind::Secret => "Secret",
    }
}

/// Dot-separated labels of small letters, digits and dashes.
fn is_object_name(name: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_label = |label: &str| label.starts_with(edge) && label.ends_with(edge) && label.chars().all(|c| edge(c) || c == '-');
    name.len() <= 253 && name.split('.').all(is_label)
}

fn is_key(key: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !key.is_empty() && key.len() <= 253 && key.chars().all(plain)
}
