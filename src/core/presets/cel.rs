//! Terms as CEL for the API server, of Kubernetes 1.33 and later. What is printed has a value for every request.
//!
//! In CEL a look-up in what is no map is an error, and `x.?f` in a list or a number is one, too. So a look-up is preceded by tests of the types on
//! the way. A value that is needed more than once is bound by a comprehension over a list of one.

use super::term::{
    CONTROL_PLANE, CONTROL_PLANE_ACCOUNTS, Less, Literal, MAX_CONTAINERS, MAX_IMAGE_BYTES, MAX_ITEMS, OWNERS, Path, Side, Term,
};
use crate::core::expr::quoted;
use std::fmt::Write;

const USER: &str = "request.userInfo.?username.orValue('')";

impl Term {
    /// The term as CEL that can be an operand of anything.
    pub fn cel(&self) -> String {
        match self {
            Self::All(terms) => joined(terms, " && ", "true"),
            Self::Any(terms) => joined(terms, " || ", "false"),
            // Two signs in a row are misread.
            Self::Not(term) => format!("(!{})", term.cel()),
            Self::By(users) => format!("({USER} in {})", texts(users.iter().map(String::as_str))),
            Self::ByControlPlane => {
                let accounts = quoted(CONTROL_PLANE_ACCOUNTS);
                format!("({USER} in {} || {USER}.startsWith({accounts}))", texts(CONTROL_PLANE.iter().copied()))
            }
            Self::OneOf(side, path, literals) => one_of(*side, path, literals),
            Self::Absent(side, path) => format!("({} == null)", read(*side, path)),
            Self::Controlled(group, kinds) => controlled(group, kinds),
            Self::Narrows(path, less) => narrows(path, *less),
            Self::Lists(side, path, field, text) => {
                let found = format!("type(l) == list && size(l) <= {MAX_ITEMS} && l.exists(x, {})", has_text("x", field, text));
                format!("[{}].exists(l, {found})", read(*side, path))
            }
            Self::Gains(path, field, text) => {
                let known = format!("type(o) == list && size(o) <= {MAX_ITEMS} && x in o");
                let gained = format!("n.exists(x, {} && !({known}))", has_text("x", field, text));
                pair(path, "exists", &format!("n != null && n != o && (type(n) != list || size(n) > {MAX_ITEMS} || {gained})"))
            }
            Self::Image(side, lists, repositories) => image(*side, lists, repositories),
        }
    }
}

fn joined(terms: &[Term], operator: &str, none: &str) -> String {
    match terms {
        [] => none.to_owned(),
        [one] => one.cel(),
        many => format!("({})", many.iter().map(Term::cel).collect::<Vec<_>>().join(operator)),
    }
}

fn texts<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", texts.map(quoted).collect::<Vec<_>>().join(", "))
}

/// The field, or null.
fn read(side: Side, path: Path) -> String {
    let (tests, value) = look_up(side, path);
    if tests.is_empty() { value } else { format!("({tests} ? {value} : null)") }
}

/// The tests that must hold, and then the field, or null.
fn look_up(side: Side, path: Path) -> (String, String) {
    let mut text = match side {
        Side::New => "object".to_owned(),
        Side::Old => "oldObject".to_owned(),
    };
    let mut tests = Vec::new();
    if side == Side::Old {
        tests.push("oldObject != null".to_owned());
    }
    for (at, field) in path.iter().enumerate() {
        let _ = if is_name(field) { write!(text, ".?{field}") } else { write!(text, "[?{}]", quoted(field)) };
        // The metadata of an object is a map.
        if at + 1 < path.len() && *field != "metadata" {
            tests.push(format!("type({text}.orValue({{}})) == map"));
        }
    }
    (tests.join(" && "), format!("{text}.orValue(null)"))
}

fn is_name(field: &str) -> bool {
    field.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn one_of(side: Side, path: Path, literals: &[Literal]) -> String {
    let (tests, mut value) = look_up(side, path);
    // Of what is looked up by a key the API server's compiler takes the type from the alternative, and compares no null with a text.
    if path.last().is_some_and(|field| !is_name(field)) {
        value = value.replace(".orValue(null)", ".orValue('')");
    }
    let wanted = match literals {
        [one] => format!("{value} == {}", literal(*one)),
        many => format!("{value} in [{}]", many.iter().map(|one| literal(*one)).collect::<Vec<_>>().join(", ")),
    };
    if tests.is_empty() { format!("({wanted})") } else { format!("({tests} && {wanted})") }
}

fn literal(literal: Literal) -> String {
    match literal {
        Literal::Text(text) => quoted(text),
        Literal::Truth(truth) => truth.to_string(),
        Literal::Whole(whole) => whole.to_string(),
    }
}

fn has_text(item: &str, field: &str, text: &str) -> String {
    format!("type({item}) == map && {item}.?{field}.orValue(null) == {}", quoted(text))
}

fn controlled(group: &str, kinds: &[&str]) -> String {
    let mut tests = "type(r) == map && r.?controller.orValue(null) == true".to_owned();
    if !kinds.is_empty() {
        let group = quoted(&format!("{group}/"));
        let version = "r.?apiVersion.orValue('')";
        let _ = write!(tests, " && type({version}) == string && {version}.startsWith({group})");
        let _ = write!(tests, " && r.?kind.orValue(null) in {}", texts(kinds.iter().copied()));
    }
    let owners = read(Side::New, OWNERS);
    format!("[{owners}].exists(l, type(l) == list && size(l) <= {MAX_ITEMS} && l.exists(r, {tests}))")
}

/// What is true of the new and the old value of a field, as `n` and `o`.
fn pair(path: Path, comprehension: &str, body: &str) -> String {
    format!("[{}].{comprehension}(n, [{}].{comprehension}(o, {body}))", read(Side::New, path), read(Side::Old, path))
}

fn narrows(path: Path, less: Less) -> String {
    let short = |name: &str, kind: &str| format!("type({name}) == {kind} && size({name}) <= {MAX_ITEMS}");
    let part = |part: &str, whole: &str| {
        let lists = format!("{} && {} && {part}.all(x, x in {whole})", short(part, "list"), short(whole, "list"));
        let maps = format!("{} && {} && {part}.all(k, k in {whole} && {whole}[k] == {part}[k])", short(part, "map"), short(whole, "map"));
        (lists, maps)
    };
    let (new_lists, new_maps) = part("n", "o");
    let (old_lists, old_maps) = part("o", "n");
    let empty = |name: &str| format!("{name} == null || {name} == []");
    let body = match less {
        Less::Same => "n == o".to_owned(),
        Less::Count(absent) => format!("n == o || {}", not_more(absent)),
        Less::FewerOfAll => format!("n == o || {} || (!({}) && (({new_lists}) || ({new_maps})))", empty("o"), empty("n")),
        Less::Fewer => format!("n == o || {} || ({new_lists}) || ({new_maps})", empty("n")),
        Less::MoreConditions => format!("n == o || o == null || ({old_lists}) || ({old_maps})"),
        Less::FewerNamespaces => {
            let own = "request.?namespace.orValue('')";
            format!(
                "n == o || ({} ? ({} || ({} && {own} in o)) : ({} ? ({} && n.all(x, x == {own})) : ({new_lists})))",
                empty("n"),
                empty("o"),
                short("o", "list"),
                empty("o"),
                short("n", "list"),
            )
        }
        Less::FewerNames => {
            let names = format!(
                "type(n[k]) == list && size(n[k]) <= {MAX_ITEMS} && type(o[k]) == list && size(o[k]) <= {MAX_ITEMS} && n[k].all(x, x in o[k])"
            );
            format!("n == o || ({} && {} && size(n) > 0 && n.all(k, k in o && {names}))", short("n", "map"), short("o", "map"))
        }
        Less::OthersSame(besides) => {
            let besides = texts(besides.iter().copied());
            let (new, old) = (map_or_null("n"), map_or_null("o"));
            let others = format!(
                "(n == null ? {{}} : n).all(k, k in {besides} || (o != null && k in o && o[k] == n[k])) \
                 && (o == null ? {{}} : o).all(k, k in {besides} || (n != null && k in n))"
            );
            format!("(({new}) && ({old})) ? ({others}) : n == o")
        }
    };
    pair(path, "all", &body)
}

fn map_or_null(name: &str) -> String {
    format!("{name} == null || (type({name}) == map && size({name}) <= {MAX_ITEMS})")
}

fn not_more(absent: Option<i64>) -> String {
    let texts = "type(n) == string && type(o) == string && size(n) <= 10 && size(o) <= 10 && n.matches('^[0-9]{1,9}%?$') \
                 && o.matches('^[0-9]{1,9}%?$') && n.endsWith('%') == o.endsWith('%') && int(n.replace('%', '')) <= int(o.replace('%', ''))";
    let numbers = "(type(n) == int && type(o) == int && n <= o)";
    match absent {
        None => format!("{numbers} || ({texts})"),
        Some(absent) => format!(
            "{numbers} || (n == null && type(o) == int && {absent} <= o) || (o == null && type(n) == int && n <= {absent}) || ({texts})"
        ),
    }
}

fn image(side: Side, lists: &[Path], repositories: &[String]) -> String {
    let repositories = repositories.iter().map(|repository| {
        let escaped = repository.replace('.', "[.]");
        if repository.contains('/') { escaped } else { format!("([^@]*/)?{escaped}") }
    });
    let pattern = format!("^({})(:[^/@]*)?(@(.|\\n)*)?$", repositories.collect::<Vec<_>>().join("|"));
    let image = "c.?image.orValue(null)";
    let matches = format!(
        "type(c) == map && type({image}) == string && size(c.?image.orValue('')) <= {MAX_IMAGE_BYTES} && c.?image.orValue('').matches({})",
        quoted(&pattern)
    );
    let any = format!("type(l) == list && (size(l) > {MAX_CONTAINERS} || l.exists(c, {matches}))");
    let lists = lists.iter().map(|path| read(side, path)).collect::<Vec<_>>().join(", ");
    format!("[{lists}].exists(l, {any})")
}
