//! Probe `composite`: other checks of the namespace, each a target, or an expression over their verdicts.
//!
//! A member is worth here what it is worth to a gate at that instant: one that went stale is an Error, and an Error it is, too, that a member does
//! not exist. One that does not apply is no target.

use super::live::{CheckSelection, LiveProbe, Look, MemberFact, TargetRule};
use crate::api::CompositeProbe;
use crate::core::expr::{Bindings, Expression};
use crate::core::observation::{NO_DATA, NOT_FOUND, Observation, Outcome};
use crate::core::problem::Problem;
use crate::core::selector::Selector;
use crate::core::verdict::Standing;
use serde_json::{Map, Value, json};

#[cfg(test)]
mod tests;

/// Reason of a Pass: the member passes, or the expression is true.
pub const MEMBER_PASSING: &str = "MemberPassing";
/// Reason of a Warn: the member passes with a warning.
pub const MEMBER_WARNING: &str = "MemberWarning";
/// Reason of a Fail: the member fails, or the expression is false.
pub const MEMBER_FAILING: &str = "MemberFailing";
/// Reason of an Error: it cannot be told whether the member passes.
pub const MEMBER_UNKNOWN: &str = "MemberUnknown";
/// Reason of an Error: the expression has no value.
pub const EXPRESSION_FAILED: &str = "ExpressionFailed";

/// What the expression may name.
const ROOT: &str = "verdicts";

/// Which checks, and what to make of them.
#[derive(Clone, Debug)]
pub struct Composite {
    members: Vec<CheckSelection>,
    expression: Option<Expression>,
}

impl Composite {
    /// Reads the spec; what cannot work is a problem below `field`.
    pub fn parse(spec: &CompositeProbe, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        if spec.checks.is_empty() {
            problems.push(Problem::new(format!("{field}.checks"), "name at least one check"));
        }
        let mut members = Vec::new();
        for (i, member) in spec.checks.iter().enumerate() {
            match (&member.name, &member.selector) {
                (Some(name), None) => members.push(CheckSelection::Named(name.clone())),
                (None, Some(selector)) => {
                    let selector = Selector::parse(selector, &format!("{field}.checks[{i}].selector"), problems);
                    members.extend(selector.map(CheckSelection::Labelled));
                }
                _ => problems.push(Problem::new(format!("{field}.checks[{i}]"), "exactly one of name and selector is required")),
            }
        }
        let at = format!("{field}.expression");
        let expression = spec.expression.as_ref().and_then(|source| Expression::compile(source, &at, &[ROOT], problems));
        (problems.len() == before).then_some(Self { members, expression })
    }

    fn by_expression(expression: &Expression, look: &Look<'_>) -> Observation {
        let verdicts: Map<String, Value> = look.members.iter().map(|member| (member.name.clone(), json!(word(member)))).collect();
        let told: Vec<String> = look.members.iter().map(|member| format!("{} is {}", member.name, word(member))).collect();
        let (verdicts, told) = (Value::Object(verdicts), told.join(", "));
        let name = "expression";
        match expression.evaluate(&Bindings::of(&[(ROOT, &verdicts)])) {
            Ok(true) => Observation::new(name, Outcome::Pass, MEMBER_PASSING, format!("the expression is true: {told}")),
            // What is unknown may be what made it false: that is no failure that was seen.
            Ok(false) if look.members.iter().any(is_unknown) => {
                Observation::error(name, MEMBER_UNKNOWN, format!("the expression is false, and not all members are known: {told}"))
            }
            Ok(false) => Observation::new(name, Outcome::Fail, MEMBER_FAILING, format!("the expression is false: {told}")),
            Err(error) => Observation::error(name, EXPRESSION_FAILED, error.to_string()),
        }
    }
}

impl LiveProbe for Composite {
    fn name(&self) -> &'static str {
        "composite"
    }

    fn targets(&self) -> TargetRule {
        TargetRule::None
    }

    fn members(&self) -> &[CheckSelection] {
        &self.members
    }

    fn observe(&self, look: &Look<'_>) -> Vec<Observation> {
        if let Some(expression) = &self.expression {
            return vec![Self::by_expression(expression, look)];
        }
        let seen: Vec<Observation> = look.members.iter().filter_map(observed).collect();
        if seen.is_empty() {
            return vec![Observation::error("", NOT_FOUND, "no member applies")];
        }
        seen
    }
}

/// A member as a target, unless it does not apply.
fn observed(member: &MemberFact) -> Option<Observation> {
    let target = format!("PreflightCheck/{}", member.name);
    let message = if member.message.is_empty() { word(member) } else { &member.message };
    Some(match member.standing {
        Some(Standing::NotApplicable) => return None,
        Some(Standing::Passing) => Observation::new(target, Outcome::Pass, MEMBER_PASSING, message),
        Some(Standing::Warning) => Observation::new(target, Outcome::Warn, MEMBER_WARNING, message),
        Some(Standing::Failing) => Observation::new(target, Outcome::Fail, MEMBER_FAILING, message),
        Some(Standing::Stale) => Observation::error(target, MEMBER_UNKNOWN, format!("it passed, too long ago; {message}")),
        Some(Standing::Unknown) => Observation::error(target, MEMBER_UNKNOWN, message),
        None => Observation::error(target, NO_DATA, format!("there is no check {} in this namespace", member.name)),
    })
}

fn is_unknown(member: &MemberFact) -> bool {
    matches!(member.standing, None | Some(Standing::Stale | Standing::Unknown))
}

/// The member's verdict, as an expression sees it.
fn word(member: &MemberFact) -> &'static str {
    match member.standing {
        Some(Standing::NotApplicable) => "NotApplicable",
        Some(Standing::Passing) => "Passing",
        Some(Standing::Warning) => "Warning",
        Some(Standing::Failing) => "Failing",
        None | Some(Standing::Stale | Standing::Unknown) => "Unknown",
    }
}
