//! For tests: expressions as the API server has them, which knows `type` too.

use super::functions::{EQUAL, MEMBER, equal, member, size};
use super::{Bindings, ROOTS, bindings, parse, rewrite};
use kube::core::cel::KubeCelExt;
use kube::core::cel::cel::Context;
use kube::core::cel::cel::objects::Value;
use std::sync::LazyLock;

static CONTEXT: LazyLock<Context<'static>> = LazyLock::new(|| {
    let mut context = Context::default().with_all();
    context.add_function("size", size);
    context.add_function(EQUAL, equal);
    context.add_function(MEMBER, member);
    context.add_function("type", |value: Value| value.type_of().to_string());
    for name in ["bool", "int", "list", "map", "string"] {
        context.add_variable_from_value(name, name);
    }
    context
});

/// Whether an expression is true on the API server, or why that is not known.
pub(crate) fn evaluate(source: &str, variables: &Bindings<'_>) -> Result<bool, String> {
    let program = rewrite::rewrite(parse(source).map_err(|mistakes| format!("{source}: {mistakes:?}"))?);
    let mut context = CONTEXT.new_inner_scope();
    for name in ROOTS {
        context.add_variable_from_value(name, bindings::convert(variables.json(name).unwrap_or_default()));
    }
    match Value::resolve(&program, &context) {
        Ok(Value::Bool(value)) => Ok(value),
        other => Err(format!("{source}: {other:?}")),
    }
}
