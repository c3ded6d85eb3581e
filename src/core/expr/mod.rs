//! Expressions in CEL: compiled once, checked for what can be known beforehand, bounded for the variables at hand, evaluated.
//!
//! Compiling and evaluating recurse. `scan` bounds how deep, so that a stack of 2 MiB is enough; a caller's threads should have
//! more. An evaluation cannot be interrupted, so `cost` bounds beforehand how long it can take: to about 0.1 s, or to what its caller
//! can spare.

mod bindings;
mod certain;
mod check;
mod clock;
mod cost;
mod explain;
mod functions;
mod pattern;
mod projection;
mod rewrite;
mod scan;
#[cfg(test)]
pub(crate) mod server;
mod shape;
#[cfg(test)]
mod tests;

pub use bindings::{Bindings, ROOTS};
pub use certain::quoted;
pub use cost::LIMIT;
pub use projection::Projection;

use super::problem::Problem;
use crate::api::MAX_EXPRESSION_BYTES;
use check::Wanted;
use kube::core::cel::cel::IdedExpr;
use kube::core::cel::cel::objects::Value;
use kube::core::cel::cel::parser::{ParseErrors, Parser};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A compiled expression that is true or false. Cheap to clone.
#[derive(Clone)]
pub struct Expression {
    inner: Arc<Inner>,
}

/// A compiled expression that is a text. Cheap to clone.
#[derive(Clone)]
pub struct TextExpression {
    inner: Arc<Inner>,
}

struct Inner {
    source: String,
    program: IdedExpr,
    /// The variables that it refers to, sorted.
    variables: Vec<String>,
    /// Its cost, if that depends on no size.
    fixed_cost: Option<u64>,
    certain_when: Option<String>,
}

/// Why an expression does not have a value, or not one of the right type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvaluationError {
    /// It was not evaluated.
    #[error("{}", explain::too_costly(*.cost, *.limit))]
    TooCostly {
        /// What it could cost for these variables; `u64::MAX` if that could not be bounded.
        cost: u64,
        /// What it may cost.
        limit: u64,
    },
    /// It has no value: a field that is not there, a type that does not fit, an overflow.
    #[error("{message}")]
    Failed {
        /// Why, in one line. Names fields, and types instead of values.
        message: String,
    },
    /// It is something else.
    #[error("the expression must be true or false, and it was a value of type {was}")]
    NotBoolean {
        /// The type of what it is.
        was: String,
    },
    /// It was to be a text.
    #[error("the expression must be a text, and it was a value of type {was}")]
    NotText {
        /// The type of what it is.
        was: String,
    },
}

impl Expression {
    /// Compiles an expression of a field, over the variables `roots`. What is wrong becomes problems of that field.
    pub fn compile(source: &str, field: &str, roots: &[&str], problems: &mut Vec<Problem>) -> Option<Self> {
        Inner::compile(source, field, roots, Wanted::Truth, problems).map(|inner| Self { inner })
    }

    /// Whether it is true of these variables.
    pub fn evaluate(&self, bindings: &Bindings<'_>) -> Result<bool, EvaluationError> {
        self.evaluate_within(bindings, &mut { LIMIT })
    }

    /// Whether it is true of these variables, at the expense of an allowance of units. What it can cost at most is taken from there; if
    /// that is more than is left, it is not evaluated and nothing is taken.
    pub fn evaluate_within(&self, bindings: &Bindings<'_>, allowance: &mut u64) -> Result<bool, EvaluationError> {
        match self.inner.value(bindings, allowance)? {
            Value::Bool(value) => Ok(value),
            other => Err(EvaluationError::NotBoolean { was: explain::type_name(&other) }),
        }
    }

    /// The expression as it was written.
    pub fn source(&self) -> &str {
        &self.inner.source
    }

    /// An expression that has a value for every create and update, and under which the API server certainly evaluates this one without an
    /// error, and to the same. `true` if there is nothing to be told; `None` if nothing is known.
    pub fn certain_when(&self) -> Option<&str> {
        self.inner.certain_when.as_deref()
    }

    /// Whether it refers to a variable.
    pub fn references(&self, root: &str) -> bool {
        self.inner.references(root)
    }

    /// Which parts of a variable's document it looks at.
    pub fn looks_at(&self, root: &str) -> Projection {
        Projection::of(&self.inner.program, root)
    }
}

impl TextExpression {
    /// As [`Expression::compile`].
    pub fn compile(source: &str, field: &str, roots: &[&str], problems: &mut Vec<Problem>) -> Option<Self> {
        Inner::compile(source, field, roots, Wanted::Text, problems).map(|inner| Self { inner })
    }

    /// The text, at the expense of an allowance; see [`Expression::evaluate_within`]. As it is: of any length, with any character.
    pub fn evaluate_within(&self, bindings: &Bindings<'_>, allowance: &mut u64) -> Result<String, EvaluationError> {
        match self.inner.value(bindings, allowance)? {
            Value::String(text) => Ok(Arc::unwrap_or_clone(text)),
            other => Err(EvaluationError::NotText { was: explain::type_name(&other) }),
        }
    }

    /// Whether it refers to a variable.
    pub fn references(&self, root: &str) -> bool {
        self.inner.references(root)
    }

    /// Which parts of a variable's document it looks at.
    pub fn looks_at(&self, root: &str) -> Projection {
        Projection::of(&self.inner.program, root)
    }
}

impl Inner {
    fn compile(source: &str, field: &str, roots: &[&str], wanted: Wanted, problems: &mut Vec<Problem>) -> Option<Arc<Self>> {
        compile(source, roots, wanted)
            .map_err(|mistakes| problems.extend(mistakes.iter().map(|mistake| Problem::new(field, mistake))))
            .map(Arc::new)
            .ok()
    }

    fn references(&self, root: &str) -> bool {
        self.variables.iter().any(|variable| variable == root)
    }

    fn value(&self, bindings: &Bindings<'_>, allowance: &mut u64) -> Result<Value, EvaluationError> {
        let Self { program, variables, fixed_cost, .. } = self;
        let limit = *allowance;
        let cost = cost::bound(program, *fixed_cost, variables, bindings, limit);
        *allowance = limit.checked_sub(cost).ok_or(EvaluationError::TooCostly { cost, limit })?;
        // The interpreter panics on some input that a user can write: -(-9223372036854775807 - 1), b'a'.contains(b''), quantities
        // that are 39 digits apart, durations of centuries. The variables are not changed by an evaluation, so they stay usable.
        match catch_unwind(AssertUnwindSafe(|| bindings.evaluate(program, variables))) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(failure)) => Err(EvaluationError::Failed { message: explain::failure(&failure) }),
            Err(panic) => Err(EvaluationError::Failed { message: explain::panic(&*panic) }),
        }
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.inner.source).finish()
    }
}

impl fmt::Debug for TextExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TextExpression").field(&self.inner.source).finish()
    }
}

fn compile(source: &str, roots: &[&str], wanted: Wanted) -> Result<Inner, Vec<String>> {
    if source.len() > MAX_EXPRESSION_BYTES {
        return Err(vec![format!("the expression is {} bytes long, and may be {MAX_EXPRESSION_BYTES}", source.len())]);
    }
    if source.trim().is_empty() {
        return Err(vec!["the expression is empty".to_owned()]);
    }
    scan::scan(source).map_err(|refusal| vec![explain::refusal(source, &refusal)])?;
    let program = parse(source)?;
    let mistakes = check::check(&program, roots, wanted);
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let certain_when = certain::certain_when(&program);
    let program = rewrite::rewrite(program);
    let mut variables: Vec<String> =
        program.references().variables().into_iter().filter(|name| roots.contains(name)).map(str::to_owned).collect();
    variables.sort_unstable();
    let fixed_cost = cost::fixed(&program);
    Ok(Inner { source: source.to_owned(), program, variables, fixed_cost, certain_when })
}

/// The parser panics on some malformed input, such as a lone `?` in the wrong place.
fn parse(source: &str) -> Result<IdedExpr, Vec<String>> {
    let parsed = catch_unwind(|| Parser::new().enable_optional_syntax(true).parse(source));
    match parsed {
        Ok(Ok(program)) => Ok(program),
        Ok(Err(ParseErrors { errors })) => Err(vec![explain::parse_errors(&errors)]),
        Err(_) => Err(vec!["the expression cannot be parsed".to_owned()]),
    }
}
