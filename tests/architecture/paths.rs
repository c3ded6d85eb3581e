//! The paths that a file names, made absolute: `crate::core::gate::Gate`, `tokio::sync::Mutex`.

use super::tokens::Token;
use std::collections::HashMap;

/// A path and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// `["crate", "core", "gate"]`; the last is `*` if it ends so.
    pub segments: Vec<String>,
    pub line: usize,
    /// It stands in a `use`.
    pub imported: bool,
}

/// All paths of a file whose module is `module` (`["core", "gate"]`). A path that begins with an imported name is spelled out:
/// after `use std::net`, `net::TcpStream` is `std::net::TcpStream`.
pub fn paths(tokens: &[Token], module: &[String]) -> Vec<Path> {
    let mut reader =
        Reader { tokens, at: 0, module: module.to_vec(), inner: Vec::new(), depth: 0, found: Vec::new(), names: HashMap::new() };
    reader.read();
    let Reader { mut found, names, .. } = reader;
    for path in &mut found {
        spell_out(path, &names);
    }
    found
}

fn spell_out(path: &mut Path, names: &HashMap<String, Vec<String>>) {
    // An imported name may begin with another one; more than a few steps would be a circle.
    for _ in 0..4 {
        let meaning = path.segments.first().filter(|_| path.segments.len() > 1).and_then(|first| names.get(first));
        match meaning {
            Some(full) if full.first() != path.segments.first() => {
                path.segments.splice(..1, full.iter().cloned());
            }
            _ => return,
        }
    }
}

struct Reader<'t> {
    tokens: &'t [Token],
    at: usize,
    module: Vec<String>,
    /// Inline modules around here, with the depth of their braces.
    inner: Vec<(usize, String)>,
    depth: usize,
    found: Vec<Path>,
    /// What the file's imports call what.
    names: HashMap<String, Vec<String>>,
}

impl Reader<'_> {
    fn read(&mut self) {
        while let Some(token) = self.peek(0) {
            if token.is("use") {
                self.at += 1;
                self.skip("::");
                self.tree(&[], true);
            } else if token.is("mod") && self.peek(2).is_some_and(|t| t.is("{")) {
                let name = self.peek(1).map(|t| t.text.clone()).unwrap_or_default();
                self.inner.push((self.depth, name));
                self.at += 2;
            } else if token.is_name() && !self.continues_a_path() {
                self.tree(&[], false);
            } else {
                match token.text.as_str() {
                    "{" => self.depth += 1,
                    "}" => {
                        self.depth = self.depth.saturating_sub(1);
                        let depth = self.depth;
                        self.inner.retain(|(at, _)| *at < depth);
                    }
                    _ => {}
                }
                self.at += 1;
            }
        }
    }

    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead)
    }

    fn skip(&mut self, text: &str) -> bool {
        let found = self.peek(0).is_some_and(|t| t.is(text));
        self.at += usize::from(found);
        found
    }

    /// The part of `Vec::<T>::new` after the second `::`.
    fn continues_a_path(&self) -> bool {
        let before = |n: usize| self.at.checked_sub(n).and_then(|at| self.tokens.get(at));
        let keyword = |t: &Token| ["as", "dyn", "impl", "in", "mut", "return"].iter().any(|word| t.is(word));
        before(1).is_some_and(|t| t.is("::")) && before(2).is_some_and(|t| t.is(">") || (t.is_name() && !keyword(t)))
    }

    /// A path, or a tree of them: `a::{b, c::*}`.
    fn tree(&mut self, prefix: &[String], imported: bool) {
        let mut segments = prefix.to_vec();
        let line = self.peek(0).map_or(0, |t| t.line);
        loop {
            if self.skip("{") {
                while !self.skip("}") && self.at < self.tokens.len() {
                    self.tree(&segments, imported);
                    self.skip(",");
                }
                return;
            }
            let Some(token) = self.peek(0).filter(|t| t.is_name() || t.is("*")) else { break };
            segments.push(token.text.clone());
            self.at += 1;
            let goes_on = self.peek(1).is_some_and(|t| t.is_name() || t.is("*") || t.is("{"));
            if !goes_on || !self.skip("::") {
                break;
            }
        }
        if segments.len() == prefix.len() {
            // Nothing that this reader knows; whatever it is, go on behind it.
            self.at += 1;
            return;
        }
        let alias = (imported && self.skip("as")).then(|| self.peek(0).map(|t| t.text.clone())).flatten();
        self.at += usize::from(alias.is_some());
        self.record(segments, alias, line, imported);
    }

    fn record(&mut self, mut segments: Vec<String>, alias: Option<String>, line: usize, imported: bool) {
        if segments.len() > 1 && segments.last().is_some_and(|s| s == "self") {
            segments.pop();
        }
        if !imported && segments.len() == 1 {
            return;
        }
        let segments = self.absolute(segments);
        if imported && let Some(name) = alias.or_else(|| segments.last().cloned()) {
            self.names.insert(name, segments.clone());
        }
        self.found.push(Path { segments, line, imported });
    }

    fn absolute(&self, segments: Vec<String>) -> Vec<String> {
        let here = || self.module.iter().chain(self.inner.iter().map(|(_, name)| name)).cloned();
        let above = segments.iter().take_while(|s| *s == "super").count();
        let mut absolute = vec!["crate".to_owned()];
        let relative = match segments.first().map(String::as_str) {
            // The binary calls the library by its name.
            Some("crate" | "holdpoint") => 1,
            Some("self") => {
                absolute.extend(here());
                1
            }
            Some("super") => {
                let depth = here().count();
                absolute.extend(here().take(depth.saturating_sub(above)));
                above
            }
            _ => return segments,
        };
        absolute.extend(segments.into_iter().skip(relative));
        absolute
    }
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokens;
    use super::*;

    fn named(source: &str) -> Vec<String> {
        let module = ["core".to_owned(), "gate".to_owned()];
        paths(&tokens(source), &module).iter().map(|p| format!("{}:{}", p.line, p.segments.join("::"))).collect()
    }

    #[test]
    fn groups_are_spelled_out() {
        let found = named("use crate::{api::{self, Rule as R}, probe::*,\n clock};\nuse ::kube::Api;");
        assert_eq!(found, ["1:crate::api", "1:crate::api::Rule", "1:crate::probe::*", "2:crate::clock", "3:kube::Api"]);
    }

    #[test]
    fn relative_paths_are_made_absolute() {
        assert_eq!(
            named("use super::text::x; use self::y::z; use super::super::probe;"),
            ["1:crate::core::text::x", "1:crate::core::gate::y::z", "1:crate::probe"]
        );
        assert_eq!(
            named("mod inner { use super::super::text::x; } use super::text::y;"),
            ["1:crate::core::text::x", "1:crate::core::text::y"]
        );
        assert_eq!(named("holdpoint::cmd::run()"), ["1:crate::cmd::run"]);
    }

    #[test]
    fn paths_outside_of_imports_count() {
        let found = named(
            "pub(in crate::core) fn f<T: crate::api::A>() -> Vec<super::text::B> { ::kube::Api::<T>::all(x.y::<crate::clock::C>()) }",
        );
        assert_eq!(found, ["1:crate::core", "1:crate::api::A", "1:crate::core::text::B", "1:kube::Api", "1:crate::clock::C"]);
        assert_eq!(named("pub(crate) fn f(self) { a.b }"), [""; 0]);
    }

    #[test]
    fn imported_names_are_spelled_out() {
        let found = named("use std::{net as n, fs}; fn f() { n::TcpStream::connect(); fs::read(); other::x(); }");
        assert_eq!(found, ["1:std::net", "1:std::fs", "1:std::net::TcpStream::connect", "1:std::fs::read", "1:other::x"]);
        assert_eq!(named("use tokio::sync; use sync::Mutex;"), ["1:tokio::sync", "1:tokio::sync::Mutex"]);
    }
}
