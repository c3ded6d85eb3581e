//! What `/readyz` waits for.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// What must be true before the process is ready, each with a name and, while it is not, what it waits for.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<RwLock<BTreeMap<&'static str, Option<String>>>>);

impl Readiness {
    /// A set of conditions, none of which holds yet.
    pub fn waiting_for(names: &[&'static str]) -> Self {
        let waiting = names.iter().map(|name| (*name, Some("not started".to_owned()))).collect();
        Self(Arc::new(RwLock::new(waiting)))
    }

    /// A condition holds from now on.
    pub fn ready(&self, name: &'static str) {
        self.set(name, None);
    }

    /// A condition does not hold; `why` is one line.
    pub fn not_ready(&self, name: &'static str, why: impl Into<String>) {
        self.set(name, Some(why.into()));
    }

    fn set(&self, name: &'static str, value: Option<String>) {
        let ready = value.is_none();
        let mut conditions = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if conditions.insert(name, value).is_none_or(|before| before.is_none() != ready) {
            let waiting = conditions.iter().filter(|(_, waiting)| waiting.is_some()).map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
            tracing::info!(condition = name, ready, waiting_for = waiting, "readiness");
        }
    }

    /// `Ok` with one line for each condition if all hold, else `Err` with the same lines.
    pub fn report(&self) -> Result<String, String> {
        let conditions = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<String> = conditions
            .iter()
            .map(|(name, waiting)| match waiting {
                None => format!("[+] {name} ok"),
                Some(why) => format!("[-] {name}: {why}"),
            })
            .collect();
        let text = lines.join("\n") + "\n";
        if conditions.values().all(Option::is_none) { Ok(text + "ready\n") } else { Err(text + "not ready\n") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_names_what_it_waits_for() {
        let readiness = Readiness::waiting_for(&["checks", "webhook"]);
        readiness.ready("checks");
        readiness.not_ready("webhook", "no certificate");
        assert_eq!(readiness.report().unwrap_err(), "[+] checks ok\n[-] webhook: no certificate\nnot ready\n");
        readiness.ready("webhook");
        assert!(readiness.report().unwrap().ends_with("ready\n"));
    }
}
