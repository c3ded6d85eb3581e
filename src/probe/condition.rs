//! Probe `condition`: an entry of `status.conditions` has a status, for at least so long.
//!
//! An entry that its controller wrote before the object's latest change says nothing about the object as it is now. It is told by
//! the entry's `observedGeneration` or, where the entry has none, by the status's.

use super::live::{LiveProbe, Look, TargetRule};
use super::objects::{ReadObjects, read, target_name};
use crate::api::{ConditionProbe, ConditionStatus};
use crate::core::observation::{NO_DATA, Observation, Outcome};
use crate::core::problem::Problem;
use jiff::{SignedDuration, Timestamp};
use kube::api::DynamicObject;
use serde::Deserialize;
use serde_json::Value;

#[cfg(test)]
mod tests;

/// Reason of a Pass.
pub const CONDITION_MET: &str = "ConditionMet";
/// Reason of a Fail: the condition has another status.
pub const CONDITION_NOT_MET: &str = "ConditionNotMet";
/// Reason of a Fail: it has the status, but not for long enough.
pub const TOO_RECENT: &str = "TooRecent";

/// The condition that a target must have.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    type_: String,
    status: &'static str,
    for_seconds: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    observed_generation: Option<i64>,
    conditions: Option<Vec<Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    status: String,
    reason: Option<String>,
    message: Option<String>,
    last_transition_time: Option<Timestamp>,
    observed_generation: Option<i64>,
}

impl Condition {
    /// Reads the spec; what cannot work is a problem below `field`.
    pub fn parse(spec: &ConditionProbe, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        if spec.type_.trim().is_empty() {
            problems.push(Problem::new(format!("{field}.type"), "name a condition, such as Available"));
        }
        if spec.for_seconds < 0 {
            problems.push(Problem::new(format!("{field}.forSeconds"), "must be 0 or more"));
        }
        let status = match spec.status {
            ConditionStatus::True => "True",
            ConditionStatus::False => "False",
            ConditionStatus::Unknown => "Unknown",
        };
        (problems.len() == before).then(|| Self { type_: spec.type_.clone(), status, for_seconds: i64::from(spec.for_seconds) })
    }

    /// What is seen of one object.
    pub fn observe(&self, target: &DynamicObject, _objects: &dyn ReadObjects, now: Timestamp) -> Observation {
        let name = target_name(target);
        match self.entry(target) {
            Ok(entry) => self.judge(&name, &entry, now),
            Err(why) => Observation::error(name, NO_DATA, why),
        }
    }

    /// The entry, if there is one that speaks of the object as it is now.
    fn entry(&self, target: &DynamicObject) -> Result<Entry, String> {
        let type_ = &self.type_;
        let status: Option<Status> = read(target, "status")?;
        let (conditions, observed) = status.map_or((None, None), |status| (status.conditions, status.observed_generation));
        let conditions = conditions.ok_or("it has no status.conditions")?;
        let mut of_type = conditions.iter().filter(|entry| entry.get("type").and_then(Value::as_str) == Some(type_));
        let entry = of_type.next().ok_or_else(|| format!("it has no condition {type_}"))?;
        let entry = Entry::deserialize(entry).map_err(|error| format!("its condition {type_} cannot be read: {error}"))?;
        let generation = target.metadata.generation.unwrap_or(0);
        match entry.observed_generation.or(observed) {
            Some(seen) if seen < generation => {
                Err(format!("condition {type_} is of generation {seen}, generation {generation} is not yet observed by its controller"))
            }
            _ => Ok(entry),
        }
    }

    fn judge(&self, name: &str, entry: &Entry, now: Timestamp) -> Observation {
        let (type_, wanted, seconds) = (&self.type_, self.status, self.for_seconds);
        let required = if seconds > 0 { format!("{wanted} for {seconds} s") } else { wanted.to_owned() };
        if entry.status != wanted {
            let message = format!("condition {type_} is {}{}", entry.status, because(entry));
            return Observation::new(name, Outcome::Fail, CONDITION_NOT_MET, message).measured(&entry.status, required);
        }
        if seconds == 0 {
            let message = format!("condition {type_} is {wanted}");
            return Observation::new(name, Outcome::Pass, CONDITION_MET, message).measured(wanted, required);
        }
        let since = entry.last_transition_time;
        let due = since.and_then(|since| since.checked_add(SignedDuration::from_secs(seconds)).ok());
        let (Some(since), Some(due)) = (since, due) else {
            let message = format!("condition {type_} has no lastTransitionTime, so it cannot be told for how long it is {wanted}");
            return Observation::error(name, NO_DATA, message);
        };
        let value = format!("{wanted} since {since}");
        let message = format!("condition {type_} is {wanted} since {since}");
        if now < due {
            let message = format!("{message}, less than {seconds} s ago");
            return Observation::new(name, Outcome::Fail, TOO_RECENT, message).measured(value, required).holding_until(Some(due));
        }
        Observation::new(name, Outcome::Pass, CONDITION_MET, message).measured(value, required)
    }
}

impl LiveProbe for Condition {
    fn name(&self) -> &'static str {
        "condition"
    }

    fn targets(&self) -> TargetRule {
        TargetRule::Any
    }

    fn observe(&self, look: &Look<'_>) -> Vec<Observation> {
        look.each(|target| self.observe(target, look.objects, look.now))
    }
}

/// The condition's own words.
fn because(entry: &Entry) -> String {
    let reason = entry.reason.as_deref().filter(|text| !text.trim().is_empty()).map(|reason| format!(" ({reason})"));
    let message = entry.message.as_deref().filter(|text| !text.trim().is_empty()).map(|message| format!(": {message}"));
    reason.unwrap_or_default() + &message.unwrap_or_default()
}
