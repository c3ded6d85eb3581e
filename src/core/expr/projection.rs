//! Which parts of a document an expression looks at, so that the rest need not be copied, converted and paid for: of a Pod of 300 values
//! `object.status.phase == 'Running'` looks at one.
//!
//! What is not understood is taken for the whole. The value of the expression is the same of the part as of the whole: fields that are
//! looked up are there or not as they were, and lists keep their length.

use super::rewrite::filter_condition;
use kube::core::cel::cel::IdedExpr;
use kube::core::cel::cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue, operators};
use serde_json::Value as Json;
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// The parts of a document that are looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Projection {
    /// All of it.
    whole: bool,
    /// These fields.
    fields: BTreeMap<String, Projection>,
    /// This of each element of a list, or of each value of a map.
    elements: Option<Box<Projection>>,
}

impl Projection {
    /// What an expression looks at of a variable.
    pub(super) fn of(expression: &IdedExpr, root: &str) -> Self {
        let mut tracker = Tracker { root, locals: Vec::new(), seen: Self::default() };
        tracker.use_up(expression);
        tracker.seen
    }

    /// Both what this and what the other looks at.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.merge(other);
        self
    }

    /// What is looked at of each element, of a document that is a list.
    #[must_use]
    pub fn of_elements(&self) -> Self {
        if self.whole {
            return self.clone();
        }
        self.elements.as_deref().cloned().unwrap_or_default()
    }

    /// What is looked at of a field; `None`: nothing, not even whether it is there.
    pub fn of_field(&self, name: &str) -> Option<Self> {
        if self.whole {
            return Some(self.clone());
        }
        let (named, any) = (self.fields.get(name), self.elements.as_deref());
        match (named.cloned(), any.cloned()) {
            (Some(named), Some(any)) => Some(named.and(any)),
            (one, other) => one.or(other),
        }
    }

    /// Copies the part of a document. Each value is taken from the allowance; `None`: it does not suffice.
    pub fn copy(&self, document: &Json, allowance: &mut u64) -> Option<Json> {
        *allowance = allowance.checked_sub(1)?;
        match document {
            Json::Array(elements) => {
                let of_each = if self.fields.is_empty() { self.of_elements() } else { Self { whole: true, ..Self::default() } };
                if self.elements.is_none() && !of_each.whole {
                    return Some(Json::Array(Vec::new()));
                }
                elements.iter().map(|element| of_each.copy(element, allowance)).collect::<Option<_>>().map(Json::Array)
            }
            Json::Object(fields) if self.whole || self.elements.is_some() => {
                let all = fields.iter().filter_map(|(name, value)| Some((name, value, self.of_field(name)?)));
                all.map(|(name, value, part)| Some((name.clone(), part.copy(value, allowance)?))).collect::<Option<_>>().map(Json::Object)
            }
            Json::Object(fields) => {
                let named = self.fields.iter().filter_map(|(name, part)| Some((name, fields.get(name)?, part)));
                named.map(|(name, value, part)| Some((name.clone(), part.copy(value, allowance)?))).collect::<Option<_>>().map(Json::Object)
            }
            Json::String(text) => {
                *allowance = allowance.checked_sub(super::bindings::count(text.len()) / 64)?;
                Some(document.clone())
            }
            scalar => Some(scalar.clone()),
        }
    }

    fn merge(&mut self, other: Self) {
        self.whole |= other.whole;
        for (name, part) in other.fields {
            self.fields.entry(name).or_default().merge(part);
        }
        if let Some(part) = other.elements {
            self.elements.get_or_insert_default().merge(*part);
        }
    }

    fn at(&mut self, place: &[Step]) -> &mut Self {
        let mut part = self;
        for step in place {
            part = match step {
                Step::Field(name) => part.fields.entry(name.clone()).or_default(),
                Step::Element => part.elements.get_or_insert_default(),
            };
        }
        part
    }
}

/// One step into a document.
#[derive(Clone, Debug)]
enum Step {
    Field(String),
    Element,
}

/// Where in the variable's document a value is.
type Place = Vec<Step>;

struct Tracker<'e> {
    root: &'e str,
    /// Names within comprehensions, and where in the document they are, if they are.
    locals: Vec<(&'e str, Option<Place>)>,
    seen: Projection,
}

impl<'e> Tracker<'e> {
    /// An expression whose whole value matters.
    fn use_up(&mut self, expression: &'e IdedExpr) {
        if let Some(place) = self.place(expression) {
            self.seen.at(&place).whole = true;
        }
    }

    /// Where the value of an expression is, if it is a part of the document. What is looked at on the way is noted.
    fn place(&mut self, expression: &'e IdedExpr) -> Option<Place> {
        match &expression.expr {
            Expr::Ident(name) => match self.locals.iter().rev().find(|(local, _)| local == name) {
                Some((_, place)) => place.clone(),
                None => (name == self.root).then(Vec::new),
            },
            Expr::Call(call) => self.call(call),
            Expr::Comprehension(it) => self.comprehension(it),
            Expr::List(list) => {
                list.elements.iter().for_each(|element| self.use_up(element));
                None
            }
            Expr::Map(map) => {
                for entry in &map.entries {
                    if let EntryExpr::MapEntry(entry) = &entry.expr {
                        self.use_up(&entry.key);
                        self.use_up(&entry.value);
                    }
                }
                None
            }
            Expr::Literal(_) => None,
            Expr::Select(_) | Expr::Struct(_) | Expr::Unspecified => {
                self.seen.whole = true;
                None
            }
        }
    }

    fn call(&mut self, call: &'e CallExpr) -> Option<Place> {
        match (call.func_name.as_str(), call.target.as_deref(), call.args.as_slice()) {
            (operators::INDEX | operators::OPT_INDEX, None, [operand, index]) => {
                let step = if let Expr::Literal(LiteralValue::String(name)) = &index.expr {
                    Step::Field(name.inner().to_owned())
                } else {
                    self.use_up(index);
                    Step::Element
                };
                self.place(operand).map(|place| self.note(place, step))
            }
            (operators::IN, None, [IdedExpr { expr: Expr::Literal(LiteralValue::String(name)), .. }, operand]) => {
                let step = Step::Field(name.inner().to_owned());
                if let Some(place) = self.place(operand) {
                    self.note(place, step);
                }
                None
            }
            ("size", Some(of), []) | ("size", None, [of]) => {
                if let Some(place) = self.place(of) {
                    self.note(place, Step::Element);
                }
                None
            }
            (_, target, arguments) => {
                // A namespace, such as `math` of `math.abs`, is no variable of this name: checked before.
                target.into_iter().chain(arguments).for_each(|operand| self.use_up(operand));
                None
            }
        }
    }

    fn comprehension(&mut self, it: &'e ComprehensionExpr) -> Option<Place> {
        let range = self.place(&it.iter_range);
        let element = range.clone().map(|place| self.note(place, Step::Element));
        self.locals.push((&it.iter_var, element));
        self.locals.push((&it.accu_var, None));
        let filtered = filter_condition(it);
        match filtered {
            Some(condition) => self.use_up(condition),
            None => self.use_up(&it.loop_step),
        }
        self.locals.truncate(self.locals.len().saturating_sub(2));
        // What a filter lets pass is what it was given.
        range.filter(|_| filtered.is_some())
    }

    /// That a step is taken, and where it leads.
    fn note(&mut self, mut place: Place, step: Step) -> Place {
        place.push(step);
        self.seen.at(&place);
        place
    }
}
