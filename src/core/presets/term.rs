//! What a preset says of a request, in terms that can be decided here on JSON values, and printed as CEL for the API server (`cel`).
//!
//! Each term has a value for every request, whatever the objects are made of: a field of the wrong type is a field that does not say what was
//! asked for. So presets are written such that a start is what cannot be told to be none. A list or map of more than [`MAX_ITEMS`] members is
//! not searched: the API server evaluates what is printed at a bounded cost, and both must come to the same.

use crate::api::Operation;
use serde_json::Value;
use std::sync::Arc;

/// The most members of a list or map that are compared.
pub const MAX_ITEMS: usize = 64;
/// The most containers of a pod whose images are looked at; one that has more counts as one that has the image.
pub const MAX_CONTAINERS: usize = 128;
/// The longest image that is looked at, in bytes. No registry takes a longer one.
pub const MAX_IMAGE_BYTES: usize = 512;

/// Where a field is, from the object's root.
pub type Path = &'static [&'static str];

/// Of which object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// As it is to be.
    New,
    /// As it was.
    Old,
}

/// What a field may be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Literal {
    /// A text.
    Text(&'static str),
    /// True or false.
    Truth(bool),
    /// A whole number.
    Whole(i64),
}

/// How a field says less than it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Less {
    /// Not at all: it must be the same.
    Same,
    /// A number, a number as a text, or a percentage that is not larger. What is absent is this number.
    Count(Option<i64>),
    /// A list that has lost members; without any it selects everything.
    FewerOfAll,
    /// A list that has lost members; without any it says nothing.
    Fewer,
    /// A list of namespaces that has lost members; without any it is the object's own.
    FewerNamespaces,
    /// A list or map of conditions that has gained members.
    MoreConditions,
    /// A map of lists of names, of which some have lost members.
    FewerNames,
    /// A map whose members besides these are the same.
    OthersSame(&'static [&'static str]),
}

/// A statement about a request.
#[derive(Clone, Debug)]
pub enum Term {
    /// All are true.
    All(Vec<Term>),
    /// At least one is true.
    Any(Vec<Term>),
    /// It is not true.
    Not(Box<Term>),
    /// One of these users asks.
    By(Arc<[String]>),
    /// A controller of the control plane asks.
    ByControlPlane,
    /// The field is there, and one of these.
    OneOf(Side, Path, &'static [Literal]),
    /// The field is not there, or null.
    Absent(Side, Path),
    /// The new object has an owner of a group and one of these kinds (of any, if none is named), and it is its controller.
    Controlled(&'static str, &'static [&'static str]),
    /// The field says what it did, or less.
    Narrows(Path, Less),
    /// The list has a member whose field is this text.
    Lists(Side, Path, &'static str, &'static str),
    /// The list has gained a member whose field is this text.
    Gains(Path, &'static str, &'static str),
    /// A container in one of these lists has an image of one of these repositories.
    Image(Side, &'static [Path], Arc<[String]>),
}

/// A request, as far as presets look at it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The operation.
    pub operation: Operation,
    /// The name of the user.
    pub user: &'a str,
    /// The namespace, empty if there is none.
    pub namespace: &'a str,
    /// The new object.
    pub object: &'a Value,
    /// The old object.
    pub old_object: Option<&'a Value>,
}

/// All of these.
pub fn all<const N: usize>(terms: [Term; N]) -> Term {
    Term::All(terms.into())
}

/// Any of these.
pub fn any<const N: usize>(terms: [Term; N]) -> Term {
    Term::Any(terms.into())
}

/// The contrary.
pub fn not(term: Term) -> Term {
    Term::Not(Box::new(term))
}

/// Always true.
pub const fn always() -> Term {
    Term::All(Vec::new())
}

/// The field is this.
pub const fn is(side: Side, path: Path, literals: &'static [Literal]) -> Term {
    Term::OneOf(side, path, literals)
}

/// The field says something else than before.
pub fn differs(path: Path) -> Term {
    not(Term::Narrows(path, Less::Same))
}

/// The number is larger than before.
pub fn rises(path: Path, absent: Option<i64>) -> Term {
    not(Term::Narrows(path, Less::Count(absent)))
}

impl Term {
    /// Whether it is true of a request.
    pub fn holds(&self, asked: &Asked<'_>) -> bool {
        match self {
            Self::All(terms) => terms.iter().all(|term| term.holds(asked)),
            Self::Any(terms) => terms.iter().any(|term| term.holds(asked)),
            Self::Not(term) => !term.holds(asked),
            Self::By(users) => users.iter().any(|user| user == asked.user),
            Self::ByControlPlane => CONTROL_PLANE.contains(&asked.user) || asked.user.starts_with(CONTROL_PLANE_ACCOUNTS),
            Self::OneOf(side, path, literals) => {
                asked.get(*side, path).is_some_and(|value| literals.iter().any(|literal| literal.is(value)))
            }
            Self::Absent(side, path) => asked.get(*side, path).is_none(),
            Self::Controlled(group, kinds) => asked.get(Side::New, OWNERS).is_some_and(|owners| controlled(owners, group, kinds)),
            Self::Narrows(path, less) => less.than(asked.get(Side::New, path), asked.get(Side::Old, path), asked.namespace),
            Self::Lists(side, path, field, text) => {
                asked.get(*side, path).and_then(short_list).is_some_and(|list| list.iter().any(|item| has_text(item, field, text)))
            }
            Self::Gains(path, field, text) => gains(asked.get(Side::New, path), asked.get(Side::Old, path), field, text),
            Self::Image(side, lists, repositories) => {
                lists.iter().any(|path| asked.get(*side, path).is_some_and(|containers| has_image(containers, repositories)))
            }
        }
    }
}

/// The users as which controllers of the control plane ask: each with an account of its own, or all as the manager.
pub(super) const CONTROL_PLANE_ACCOUNTS: &str = "system:serviceaccount:kube-system:";
pub(super) const CONTROL_PLANE: &[&str] = &["system:kube-controller-manager"];
pub(super) const OWNERS: Path = &["metadata", "ownerReferences"];

impl<'a> Asked<'a> {
    /// A field. What is null is not there.
    fn get(&self, side: Side, path: &[&str]) -> Option<&'a Value> {
        let root = match side {
            Side::New => self.object,
            Side::Old => self.old_object?,
        };
        path.iter().try_fold(root, |value, field| value.as_object()?.get(*field)).filter(|value| !value.is_null())
    }
}

impl Literal {
    fn is(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text(text), Value::String(value)) => text == value,
            (Self::Truth(truth), Value::Bool(value)) => truth == *value,
            #[allow(clippy::cast_precision_loss, reason = "the numbers of presets are small")]
            (Self::Whole(whole), Value::Number(value)) => value.as_i64() == Some(whole) || value.as_f64() == Some(whole as f64),
            _ => false,
        }
    }
}

/// Whether CEL calls them equal: numbers are by value.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || (x.is_f64() != y.is_f64() && x.as_f64() == y.as_f64()),
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Object(x), Value::Object(y)) => x.len() == y.len() && x.iter().all(|(k, x)| y.get(k).is_some_and(|y| same(x, y))),
        _ => a == b,
    }
}

fn contains(list: &[Value], item: &Value) -> bool {
    list.iter().any(|other| same(other, item))
}

fn short_list(value: &Value) -> Option<&Vec<Value>> {
    value.as_array().filter(|list| list.len() <= MAX_ITEMS)
}

fn short_map(value: &Value) -> Option<&serde_json::Map<String, Value>> {
    value.as_object().filter(|map| map.len() <= MAX_ITEMS)
}

fn has_text(item: &Value, field: &str, text: &str) -> bool {
    item.as_object().and_then(|map| map.get(field)).and_then(Value::as_str) == Some(text)
}

fn controlled(owners: &Value, group: &str, kinds: &[&str]) -> bool {
    let of_group = |owner: &Value| {
        let version = owner.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        version.strip_prefix(group).is_some_and(|rest| rest.starts_with('/'))
    };
    let of_kind = |owner: &Value| kinds.iter().any(|kind| has_text(owner, "kind", kind));
    let matches = |owner: &Value| {
        owner.get("controller").and_then(Value::as_bool) == Some(true) && (kinds.is_empty() || (of_group(owner) && of_kind(owner)))
    };
    short_list(owners).is_some_and(|owners| owners.iter().any(matches))
}

fn gains(new: Option<&Value>, old: Option<&Value>, field: &str, text: &str) -> bool {
    let (Some(new), old) = (new, old.unwrap_or(&Value::Null)) else { return false };
    if same(new, old) {
        return false;
    }
    // What is no short list cannot be told.
    let Some(list) = short_list(new) else { return true };
    let known = |item: &Value| short_list(old).is_some_and(|old| contains(old, item));
    list.iter().any(|item| has_text(item, field, text) && !known(item))
}

fn has_image(containers: &Value, repositories: &[String]) -> bool {
    let Some(containers) = containers.as_array() else { return false };
    let of_repository = |container: &Value| {
        let image = container.get("image").and_then(Value::as_str).filter(|image| image.len() <= MAX_IMAGE_BYTES);
        image.is_some_and(|image| {
            let found = repository(image);
            repositories.iter().any(|wanted| if wanted.contains('/') { found == wanted } else { last_segment(found) == wanted })
        })
    };
    containers.len() > MAX_CONTAINERS || containers.iter().any(of_repository)
}

/// An image without its tag and digest.
fn repository(image: &str) -> &str {
    let named = image.split_once('@').map_or(image, |(named, _)| named);
    let name_at = named.rfind('/').map_or(0, |slash| slash + 1);
    let tag_at = named.get(name_at..).and_then(|name| name.find(':'));
    tag_at.and_then(|at| named.get(..name_at + at)).unwrap_or(named)
}

fn last_segment(repository: &str) -> &str {
    repository.rsplit_once('/').map_or(repository, |(_, name)| name)
}

impl Less {
    fn than(self, new: Option<&Value>, old: Option<&Value>, namespace: &str) -> bool {
        let (n, o) = (new.unwrap_or(&Value::Null), old.unwrap_or(&Value::Null));
        match self {
            Self::Same => same(n, o),
            Self::Count(absent) => same(n, o) || not_more(n, o, absent),
            Self::FewerOfAll => same(n, o) || is_empty(o) || (!is_empty(n) && is_part(n, o)),
            Self::Fewer => same(n, o) || is_empty(n) || is_part(n, o),
            Self::FewerNamespaces => same(n, o) || fewer_namespaces(n, o, namespace),
            Self::MoreConditions => same(n, o) || o.is_null() || is_part(o, n),
            Self::FewerNames => same(n, o) || fewer_names(n, o),
            Self::OthersSame(besides) => others_same(n, o, besides),
        }
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

/// Whether each member of one is in the other.
fn is_part(part: &Value, whole: &Value) -> bool {
    if let (Some(part), Some(whole)) = (short_list(part), short_list(whole)) {
        return part.iter().all(|item| contains(whole, item));
    }
    let (Some(part), Some(whole)) = (short_map(part), short_map(whole)) else { return false };
    part.iter().all(|(key, value)| whole.get(key).is_some_and(|other| same(other, value)))
}

fn fewer_namespaces(n: &Value, o: &Value, own: &str) -> bool {
    let is_own = |value: &Value| value.as_str() == Some(own);
    match (is_empty(n), is_empty(o)) {
        (true, true) => true,
        (true, false) => short_list(o).is_some_and(|o| o.iter().any(is_own)),
        (false, true) => short_list(n).is_some_and(|n| n.iter().all(is_own)),
        (false, false) => n.is_array() && is_part(n, o),
    }
}

fn fewer_names(n: &Value, o: &Value) -> bool {
    let (Some(n), Some(o)) = (short_map(n), short_map(o)) else { return false };
    let fewer = |names: &Value, of: Option<&Value>| of.is_some_and(|of| names.is_array() && is_part(names, of));
    !n.is_empty() && n.iter().all(|(key, names)| fewer(names, o.get(key)))
}

fn others_same(n: &Value, o: &Value, besides: &[&str]) -> bool {
    let nothing = serde_json::Map::new();
    let members = |value| if matches!(value, &Value::Null) { Some(&nothing) } else { short_map(value) };
    let (Some(new), Some(old)) = (members(n), members(o)) else { return same(n, o) };
    let meant = |key: &str| !besides.contains(&key);
    new.iter().all(|(key, value)| !meant(key) || old.get(key).is_some_and(|other| same(other, value)))
        && old.keys().all(|key| !meant(key) || new.contains_key(key))
}

fn not_more(n: &Value, o: &Value, absent: Option<i64>) -> bool {
    let number = |value: &Value| if value.is_null() { absent.map(Number::Whole) } else { Number::read(value) };
    match (number(n), number(o)) {
        (Some(Number::Whole(n)), Some(Number::Whole(o)))
        | (Some(Number::Text(n)), Some(Number::Text(o)))
        | (Some(Number::Percent(n)), Some(Number::Percent(o))) => n <= o,
        _ => false,
    }
}

enum Number {
    Whole(i64),
    Text(i64),
    Percent(i64),
}

/// The most digits of a number in a text.
const MAX_DIGITS: usize = 9;

impl Number {
    fn read(value: &Value) -> Option<Self> {
        let text = match value {
            Value::Number(number) => return number.as_i64().map(Self::Whole),
            Value::String(text) => text,
            _ => return None,
        };
        let (digits, percent) = text.strip_suffix('%').map_or((text.as_str(), false), |digits| (digits, true));
        let sound = (1..=MAX_DIGITS).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        let number = sound.then(|| digits.parse().ok()).flatten()?;
        Some(if percent { Self::Percent(number) } else { Self::Text(number) })
    }
}
