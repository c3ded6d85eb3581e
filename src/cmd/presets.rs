//! `holdpoint presets`: what each preset expands to, and why.

use crate::api::{Operation, Preset};
use crate::core::presets::{Accounts, Catalog, Hold, never};
use clap::builder::PossibleValue;
use clap::{ValueEnum, builder::PossibleValuesParser};
use serde::Serialize;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

/// What the tables alone do not tell.
const INTRODUCTION: &str = include_str!("presets/introduction.md");

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which presets; all if none is named
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(Preset::ALL.map(Preset::as_str)))]
    names: Vec<String>,
    /// How it is printed
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Output {
    Text,
    Json,
    Markdown,
}

impl ValueEnum for Output {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Text, Self::Json, Self::Markdown]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(match self {
            Self::Text => PossibleValue::new("text").help("for reading"),
            Self::Json => PossibleValue::new("json").help("for programs, with the CEL that the API server evaluates"),
            Self::Markdown => PossibleValue::new("markdown").help("docs/presets.md"),
        })
    }
}

pub(super) fn execute(args: &Args) -> Result<(), String> {
    let named = |preset: &Preset| args.names.is_empty() || args.names.iter().any(|name| name == preset.as_str());
    let sheets: Vec<Sheet> = Preset::ALL.into_iter().filter(named).map(Sheet::new).collect();
    let text = match args.output {
        Output::Text => sheets.iter().map(Sheet::text).collect::<Vec<_>>().join("\n"),
        Output::Json => serde_json::to_string_pretty(&sheets).map_err(|e| e.to_string())? + "\n",
        Output::Markdown => INTRODUCTION.to_owned() + &sheets.iter().map(Sheet::markdown).collect::<String>(),
    };
    match io::stdout().write_all(text.as_bytes()) {
        // `holdpoint presets | head` is fine.
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e.to_string()),
        _ => Ok(()),
    }
}

/// All of one preset.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Sheet {
    preset: &'static str,
    controller_accounts: Vec<String>,
    holds: Vec<Row>,
    never: Vec<Remark>,
}

/// What is held of some resources.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    api_group: &'static str,
    resources: &'static [&'static str],
    operations: Vec<Operation>,
    start: &'static str,
    passes: Vec<Remark>,
    cel: String,
}

#[derive(Debug, Serialize)]
struct Remark {
    what: &'static str,
    why: &'static str,
}

fn remarks(pairs: &[(&'static str, &'static str)]) -> Vec<Remark> {
    pairs.iter().map(|(what, why)| Remark { what, why }).collect()
}

impl Row {
    fn new(hold: &Arc<Hold>) -> Self {
        Self {
            api_group: hold.group,
            resources: hold.resources,
            operations: hold.operations().collect(),
            start: hold.start,
            passes: remarks(hold.passes),
            cel: hold.cel(),
        }
    }

    fn operations(&self) -> String {
        let word = |operation: &Operation| match operation {
            Operation::Create => "CREATE",
            Operation::Update => "UPDATE",
        };
        self.operations.iter().map(word).collect::<Vec<_>>().join(", ")
    }

    /// The core group has no name.
    fn group(&self) -> &'static str {
        if self.api_group.is_empty() { "core" } else { self.api_group }
    }
}

impl Sheet {
    fn new(preset: Preset) -> Self {
        let catalog = Catalog::new(Accounts::default());
        let account = |user: &String| user.trim_start_matches("system:serviceaccount:").replacen(':', "/", 1);
        Self {
            preset: preset.as_str(),
            controller_accounts: catalog.accounts().of(preset).iter().map(account).collect(),
            holds: catalog.holds(preset, &[]).iter().map(Row::new).collect(),
            never: remarks(never(preset)),
        }
    }

    // Writing to a String cannot fail.
    fn text(&self) -> String {
        let mut text = format!("{}\n", self.preset);
        if !self.controller_accounts.is_empty() {
            let _ = writeln!(text, "  controllers: {}", self.controller_accounts.join(", "));
        }
        for row in &self.holds {
            let _ = writeln!(
                text,
                "\n  {} ({})\n    looked at: {}\n    a start:   {}",
                row.resources.join(", "),
                row.group(),
                row.operations(),
                row.start
            );
            for (at, Remark { what, why }) in row.passes.iter().enumerate() {
                let label = if at == 0 { "passes:" } else { "" };
                let _ = writeln!(text, "    {label:<10} {what}: {why}");
            }
        }
        for (at, Remark { what, why }) in self.never.iter().enumerate() {
            let label = if at == 0 { "\n  never held:" } else { "             " };
            let _ = writeln!(text, "{label} {what}: {why}");
        }
        text
    }

    fn markdown(&self) -> String {
        let mut text = format!("\n## {}\n", self.preset);
        if !self.controller_accounts.is_empty() {
            let accounts: Vec<String> = self.controller_accounts.iter().map(|account| format!("`{account}`")).collect();
            let _ = write!(text, "\nController's account by default: {}\n", accounts.join(", "));
        }
        text.push_str("\n| resources | looked at | a start | passes, and why |\n|---|---|---|---|\n");
        for row in &self.holds {
            let passes: Vec<String> = row.passes.iter().map(|Remark { what, why }| format!("{what}: {why}")).collect();
            let _ = writeln!(
                text,
                "| {} ({}) | {} | {} | {} |",
                row.resources.join(", "),
                row.group(),
                row.operations(),
                row.start,
                passes.join("<br>")
            );
        }
        if !self.never.is_empty() {
            text.push_str("\nNever held:\n\n");
        }
        for Remark { what, why } in &self.never {
            let _ = writeln!(text, "- {what}: {why}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_preset_is_told_in_each_form() {
        for preset in Preset::ALL {
            let sheet = Sheet::new(preset);
            let (text, markdown) = (sheet.text(), sheet.markdown());
            assert!(text.starts_with(preset.as_str()) && !text.lines().any(|line| line.ends_with(' ')), "{text}");
            for row in &sheet.holds {
                assert!(row.cel.contains("request.operation == '") && !row.operations.is_empty());
                assert!(row.resources.iter().all(|r| text.contains(r) && markdown.contains(r)));
            }
            // A cell of a table is one line without a bar.
            let cells = sheet.holds.iter().flat_map(|row| row.passes.iter().flat_map(|r| [r.what, r.why]).chain([row.start]));
            assert!(cells.into_iter().all(|cell| !cell.contains(['|', '\n'])), "{markdown}");
        }
    }
}
