//! What is known of a value before it is computed: which documents it can be, or how large it can be at most.

use super::bindings::{Size, count, measure};
use serde_json::Value as Json;
use std::cell::Cell;
use std::rc::Rc;

/// What a value can be.
#[derive(Clone)]
pub(super) enum Shape<'v> {
    /// One of these parts of the variables.
    Known(Rc<[&'v Json]>),
    /// Something of at most this size.
    Made(Size),
    /// A list or map.
    List { items: u64, element: Rc<Shape<'v>>, size: Size },
    /// One or the other.
    Either(Rc<Shape<'v>>, Rc<Shape<'v>>),
}

/// A truth value, a number, null.
pub(super) const SCALAR: Size = Size { nodes: 1, bytes: 8, depth: 1 };
const UNBOUNDED: Size = Size { nodes: u64::MAX, bytes: u64::MAX, depth: 0 };

pub(super) fn scalar<'v>() -> Shape<'v> {
    Shape::Made(SCALAR)
}

pub(super) fn text<'v>(bytes: u64) -> Shape<'v> {
    Shape::Made(Size { nodes: 1, bytes, depth: 1 })
}

impl Size {
    pub(super) fn plus(self, other: Self) -> Self {
        Self { nodes: self.nodes.saturating_add(other.nodes), bytes: self.bytes.saturating_add(other.bytes), depth: 0 }
    }

    pub(super) fn times(self, factor: u64) -> Self {
        Self { nodes: self.nodes.saturating_mul(factor), bytes: self.bytes.saturating_mul(factor), depth: 0 }
    }

    pub(super) fn max(self, other: Self) -> Self {
        Self { nodes: self.nodes.max(other.nodes), bytes: self.bytes.max(other.bytes), depth: 0 }
    }

    /// The units of work to copy, compare or convert it.
    pub(super) fn work(self) -> u64 {
        self.nodes.saturating_add(self.bytes / 64)
    }

    /// About the memory that it takes.
    pub(super) fn memory(self) -> u64 {
        self.nodes.saturating_mul(100).saturating_add(self.bytes)
    }
}

/// Looks into shapes, for a bounded time.
pub(super) struct Surveyor {
    fuel: Cell<u64>,
}

impl<'v> Surveyor {
    /// With how many documents may be looked at. What takes longer to bound is too costly to evaluate.
    pub(super) fn with_fuel(fuel: u64) -> Self {
        Self { fuel: Cell::new(fuel) }
    }

    pub(super) fn exhausted(&self) -> bool {
        self.fuel.get() == 0
    }

    fn spend(&self, fuel: u64) -> bool {
        self.fuel.set(self.fuel.get().saturating_sub(fuel));
        !self.exhausted()
    }

    pub(super) fn size(&self, shape: &Shape<'v>) -> Size {
        if !self.spend(1) {
            return UNBOUNDED;
        }
        match shape {
            Shape::Made(size) | Shape::List { size, .. } => *size,
            Shape::Either(one, other) => self.size(one).max(self.size(other)),
            Shape::Known(values) => values.iter().fold(Size::default(), |largest, value| {
                let size = measure(value, self.fuel.get());
                if self.spend(size.nodes) { largest.max(size) } else { UNBOUNDED }
            }),
        }
    }

    /// How many elements it can have.
    pub(super) fn items(&self, shape: &Shape<'v>) -> u64 {
        if !self.spend(1) {
            return u64::MAX;
        }
        match shape {
            Shape::Made(size) => size.nodes,
            Shape::List { items, .. } => *items,
            Shape::Either(one, other) => self.items(one).max(self.items(other)),
            Shape::Known(values) => {
                self.spend(count(values.len()));
                values
                    .iter()
                    .map(|value| count(value.as_array().map_or_else(|| value.as_object().map_or(0, serde_json::Map::len), Vec::len)))
                    .max()
                    .unwrap_or(0)
            }
        }
    }

    pub(super) fn is_list(&self, shape: &Shape<'v>) -> bool {
        match shape {
            Shape::Made(_) => false,
            Shape::List { .. } => true,
            Shape::Either(one, other) => self.spend(1) && (self.is_list(one) || self.is_list(other)),
            Shape::Known(values) => self.spend(count(values.len())) && values.iter().any(|value| value.is_array()),
        }
    }

    /// What an iteration sees: the elements of a list, the keys of a map.
    pub(super) fn element(&self, shape: &Shape<'v>) -> Shape<'v> {
        let Shape::Known(values) = shape else { return self.inner(shape, Self::element) };
        let elements: Rc<[&Json]> = values.iter().filter_map(|value| value.as_array()).flatten().take(self.budget()).collect();
        self.spend(count(elements.len()));
        let longest_key = values
            .iter()
            .filter_map(|value| value.as_object())
            .flat_map(|fields| fields.keys().take(self.budget()))
            .inspect(|_| {
                self.spend(1);
            })
            .map(String::len)
            .max();
        match longest_key {
            Some(bytes) if elements.is_empty() => text(count(bytes)),
            Some(bytes) => Shape::Either(Rc::new(text(count(bytes))), Rc::new(Shape::Known(elements))),
            None if elements.is_empty() => scalar(),
            None => Shape::Known(elements),
        }
    }

    /// The field of a name.
    pub(super) fn field(&self, shape: &Shape<'v>, name: &str) -> Shape<'v> {
        let Shape::Known(values) = shape else { return self.inner(shape, |surveyor, shape| surveyor.field(shape, name)) };
        self.spend(count(values.len()));
        known(values.iter().filter_map(|value| value.get(name)).collect())
    }

    /// The element or field of an unknown index.
    pub(super) fn any(&self, shape: &Shape<'v>) -> Shape<'v> {
        let Shape::Known(values) = shape else { return self.inner(shape, Self::any) };
        let elements = values.iter().filter_map(|value| value.as_array()).flatten();
        let fields = values.iter().filter_map(|value| value.as_object()).flat_map(serde_json::Map::values);
        let all: Rc<[&Json]> = elements.chain(fields).take(self.budget()).collect();
        self.spend(count(all.len()));
        known(all)
    }

    fn inner(&self, shape: &Shape<'v>, look: impl Fn(&Self, &Shape<'v>) -> Shape<'v> + Copy) -> Shape<'v> {
        if !self.spend(1) {
            return Shape::Made(UNBOUNDED);
        }
        match shape {
            Shape::Known(_) | Shape::Made(_) => shape.clone(),
            Shape::List { element, .. } => (**element).clone(),
            Shape::Either(one, other) => Self::either(look(self, one), look(self, other)),
        }
    }

    /// One or the other.
    pub(super) fn either(one: Shape<'v>, other: Shape<'v>) -> Shape<'v> {
        match (&one, &other) {
            (Shape::Made(one), Shape::Made(other)) => Shape::Made(one.max(*other)),
            _ => Shape::Either(Rc::new(one), Rc::new(other)),
        }
    }

    fn budget(&self) -> usize {
        usize::try_from(self.fuel.get()).unwrap_or(usize::MAX)
    }
}

fn known(values: Rc<[&Json]>) -> Shape<'_> {
    if values.is_empty() { scalar() } else { Shape::Known(values) }
}
