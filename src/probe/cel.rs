//! Probe `cel`: an expression is true of the targets.
//!
//! # What protects others from a costly expression
//!
//! An evaluation cannot be interrupted, and it runs where all live checks are evaluated, so it must be known beforehand to be short. Of a
//! target only the fields that the expression names are copied; what their evaluation can cost at most is computed from their real
//! sizes and taken from an allowance of [`ALLOWANCE`] units that all targets of one look share, about 5 ms; what does not fit is an error
//! and not evaluated. What many looks cost is taken from the purse of the check's namespace ([`crate::core::allowance`]): who has spent it
//! waits, and others do not. That is why no thread of its own is needed, with a queue and a deadline that fires when it is too late.

use super::live::{LiveProbe, Look, TargetRule, guarded};
use super::objects::target_name;
use crate::api::CelProbe;
use crate::core::expr::{Bindings, EvaluationError, Expression, Projection, TextExpression};
use crate::core::observation::{Observation, Outcome};
use crate::core::problem::Problem;
use crate::core::text::weight;
use jiff::SignedDuration;
use kube::api::DynamicObject;
use serde_json::{Map, Value};
use std::cell::Cell;

#[cfg(test)]
mod tests;

/// Reason of a Pass: the expression is true.
pub const EXPRESSION_TRUE: &str = "ExpressionTrue";
/// Reason of a Fail: the expression is false.
pub const EXPRESSION_FALSE: &str = "ExpressionFalse";
/// Reason of an Error: the expression has no value, or one that is neither true nor false.
pub const EXPRESSION_ERROR: &str = "ExpressionError";
/// Reason of an Error: the expression could take too long, and was not evaluated.
pub const TOO_COSTLY: &str = "TooCostly";

/// Reason of an Error: the expressions of the namespace have used up what they may cost at a time.
pub const THROTTLED: &str = "Throttled";

/// What all evaluations of one look may cost, in units of [`crate::core::expr`]: about 5 ms.
pub const ALLOWANCE: u64 = 50_000;
/// For how long an observation holds whose expression names the time.
const HOLDS: SignedDuration = SignedDuration::from_secs(5);
/// When an expression that had to wait is looked at again.
const WAITS: SignedDuration = SignedDuration::from_secs(1);
/// What it costs to find out that an expression costs too much, in units.
const REFUSAL: u64 = 1_000;
/// The largest `params`, in bytes of JSON.
const MAX_PARAMS_BYTES: usize = 8 * 1024;
/// The longest `messageExpression`, in bytes.
const MAX_MESSAGE_BYTES: usize = 2048;

const OBJECT: &str = "object";
const OBJECTS: &str = "objects";
const NOW: &str = "now";
const PARAMS: &str = "params";
const ROOTS: [&str; 4] = [OBJECT, OBJECTS, NOW, PARAMS];
/// The target of an expression that names none.
const NO_TARGET: &str = "expression";

/// An expression, and what it says when it is false.
#[derive(Clone, Debug)]
pub struct Cel {
    expression: Expression,
    message: String,
    message_expression: Option<TextExpression>,
    params: Value,
    /// What is looked at of each target, and of all of them as a list.
    object: Projection,
    objects: Projection,
    names: Names,
}

/// Which names the expressions use.
#[derive(Clone, Copy, Debug)]
struct Names {
    object: bool,
    objects: bool,
    now: bool,
}

impl Cel {
    /// Reads the spec; what cannot work is a problem below `field`.
    pub fn parse(spec: &CelProbe, field: &str, problems: &mut Vec<Problem>) -> Option<Self> {
        let before = problems.len();
        let expression = Expression::compile(&spec.expression, &format!("{field}.expression"), &ROOTS, problems);
        let of_message = format!("{field}.messageExpression");
        let message_expression = match &spec.message_expression {
            Some(source) if source.len() > MAX_MESSAGE_BYTES => {
                problems.push(Problem::new(&of_message, format!("is {} bytes long, and may be {MAX_MESSAGE_BYTES}", source.len())));
                None
            }
            Some(source) => TextExpression::compile(source, &of_message, &ROOTS, problems),
            None => None,
        };
        let bytes = weight(&spec.params);
        if bytes > MAX_PARAMS_BYTES {
            problems.push(Problem::new(format!("{field}.params"), format!("is {bytes} bytes of JSON, and may be {MAX_PARAMS_BYTES}")));
        }
        let expression = expression.filter(|_| problems.len() == before)?;
        let in_message = |name: &str| message_expression.as_ref().is_some_and(|message| message.references(name));
        if in_message(OBJECT) && expression.references(OBJECTS) && !expression.references(OBJECT) {
            let message = "names `object`, but the expression speaks of all targets at once: use `objects` here too";
            problems.push(Problem::new(&of_message, message));
            return None;
        }
        let names = |name: &str| expression.references(name) || in_message(name);
        let looks_at = |name: &str| {
            let of_message = message_expression.as_ref().map(|message| message.looks_at(name)).unwrap_or_default();
            expression.looks_at(name).and(of_message)
        };
        Some(Self {
            names: Names { object: names(OBJECT), objects: names(OBJECTS), now: names(NOW) },
            object: looks_at(OBJECT),
            objects: looks_at(OBJECTS),
            message: spec.message.clone().unwrap_or_else(|| "the expression is false".to_owned()),
            params: Value::Object(spec.params.clone()),
            expression,
            message_expression,
        })
    }

    /// What is said of one target, of all of them, or of none.
    fn judge(&self, name: &str, object: &Value, objects: &Value, look: &Look<'_>, purse: &Purse) -> Observation {
        let documents = [(OBJECT, object), (OBJECTS, objects), (PARAMS, &self.params)];
        let bindings = Bindings::of(&documents).with_time(NOW, look.now);
        let result = purse.pay(|left| self.expression.evaluate_within(&bindings, left));
        let seen = match result {
            Ok(true) => Observation::new(name, Outcome::Pass, EXPRESSION_TRUE, "the expression is true"),
            Ok(false) => Observation::new(name, Outcome::Fail, EXPRESSION_FALSE, self.say(&bindings, purse)),
            Err(EvaluationError::TooCostly { cost, .. }) => return purse.too_costly(name, cost, look),
            Err(error) => Observation::error(name, EXPRESSION_ERROR, error.to_string()),
        };
        seen.holding_until(if self.names.now { look.now.checked_add(HOLDS).ok() } else { None })
    }

    /// What is said of an expression that is false.
    fn say(&self, bindings: &Bindings<'_>, purse: &Purse) -> String {
        let Some(expression) = &self.message_expression else { return self.message.clone() };
        match purse.pay(|left| expression.evaluate_within(bindings, left)) {
            Ok(text) if !text.trim().is_empty() => text,
            Ok(_) => self.message.clone(),
            Err(error) => format!("{} (messageExpression has no value: {error})", self.message),
        }
    }

    /// All targets as a list, of which the expression names something.
    fn list(&self, look: &Look<'_>, purse: &Purse) -> Result<Value, Unseen> {
        let part = self.objects.of_elements();
        let views = look.targets.iter().map(|target| purse.pay(|left| view(target, &part, left)));
        views.collect::<Result<_, _>>().map(Value::Array)
    }

    fn look(&self, look: &Look<'_>, purse: &Purse) -> Vec<Observation> {
        let of_all = self.names.objects && !self.names.object;
        let name = if of_all { all_of(look.targets) } else { NO_TARGET.to_owned() };
        let objects = match if self.names.objects { self.list(look, purse) } else { Ok(Value::Null) } {
            Ok(objects) => objects,
            Err(why) => return vec![why.observed(&name, look, purse)],
        };
        if of_all || look.targets.is_empty() {
            return vec![guarded(&name, || self.judge(&name, &Value::Null, &objects, look, purse))];
        }
        look.each(|target| {
            let name = target_name(target);
            match purse.pay(|left| view(target, &self.object, left)) {
                Ok(object) => self.judge(&name, &object, &objects, look, purse),
                Err(why) => why.observed(&name, look, purse),
            }
        })
    }
}

impl LiveProbe for Cel {
    fn name(&self) -> &'static str {
        "cel"
    }

    fn targets(&self) -> TargetRule {
        if self.names.object || self.names.objects { TargetRule::Any } else { TargetRule::Optional }
    }

    fn observe(&self, look: &Look<'_>) -> Vec<Observation> {
        self.observe_within(look, &mut { ALLOWANCE })
    }

    fn observe_within(&self, look: &Look<'_>, allowance: &mut u64) -> Vec<Observation> {
        let start = ALLOWANCE.min(*allowance);
        let purse = Purse { left: Cell::new(start), scarce: start < ALLOWANCE };
        let seen = self.look(look, &purse);
        *allowance -= start - purse.left.get().min(start);
        seen
    }
}

/// What is left for a look.
struct Purse {
    left: Cell<u64>,
    /// Whether it was less than a look may cost, because the namespace has spent the rest.
    scarce: bool,
}

impl Purse {
    fn pay<T>(&self, from: impl FnOnce(&mut u64) -> T) -> T {
        let mut left = self.left.get();
        let got = from(&mut left);
        self.left.set(left);
        got
    }

    /// It could cost so many units, if that is known. To find that out is work, too.
    fn too_costly(&self, name: &str, cost: u64, look: &Look<'_>) -> Observation {
        self.left.set(self.left.get().saturating_sub(REFUSAL));
        let known = cost < u64::MAX;
        if known && cost > ALLOWANCE {
            let message =
                format!("the expression was not evaluated: it can cost {cost} units, and all targets together may cost {ALLOWANCE}");
            return Observation::error(name, TOO_COSTLY, message);
        }
        if self.scarce {
            let message = "the expression was not evaluated: those of this namespace have used up what they may cost at a time; it is tried again in a second";
            return Observation::error(name, THROTTLED, message).holding_until(look.now.checked_add(WAITS).ok());
        }
        let message = format!(
            "the expression was not evaluated: what it looks at of the targets costs more than {ALLOWANCE} units; select fewer, or name fewer fields"
        );
        Observation::error(name, TOO_COSTLY, message)
    }
}

/// Why a target is not looked at.
enum Unseen {
    TooLarge,
    Secret,
}

impl Unseen {
    fn observed(&self, name: &str, look: &Look<'_>, purse: &Purse) -> Observation {
        match self {
            Self::TooLarge => purse.too_costly(name, u64::MAX, look),
            Self::Secret => Observation::error(name, EXPRESSION_ERROR, "expressions do not read Secrets: use the probe keys"),
        }
    }
}

/// The part of a target that is looked at.
fn view(target: &DynamicObject, part: &Projection, allowance: &mut u64) -> Result<Value, Unseen> {
    let types = target.types.as_ref();
    if types.is_some_and(|types| types.api_version == "v1" && types.kind == "Secret") {
        return Err(Unseen::Secret);
    }
    let mut fields = Map::new();
    let mut add = |name: &str, value: &Value| {
        let Some(part) = part.of_field(name) else { return Ok(()) };
        fields.insert(name.to_owned(), part.copy(value, allowance).ok_or(Unseen::TooLarge)?);
        Ok(())
    };
    if let Some(types) = types {
        add("apiVersion", &Value::String(types.api_version.clone()))?;
        add("kind", &Value::String(types.kind.clone()))?;
    }
    if part.of_field("metadata").is_some() {
        // What the API server sent can be written again.
        add("metadata", &serde_json::to_value(&target.metadata).unwrap_or_default())?;
    }
    for (name, value) in target.data.as_object().into_iter().flatten() {
        add(name, value)?;
    }
    Ok(Value::Object(fields))
}

/// The name of all targets in results, such as `Deployment/*`.
fn all_of(targets: &[&DynamicObject]) -> String {
    let kind = targets.first().and_then(|target| target.types.as_ref()).map_or("Object", |types| types.kind.as_str());
    format!("{kind}/*")
}
