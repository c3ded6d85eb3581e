//! `holdpoint cli-reference`: this command line as Markdown, for `docs/cli.md`.

use clap::Command;
use std::fmt::Write as _;
use std::io::{self, Write};

/// What the usage alone does not tell.
const INTRODUCTION: &str = include_str!("reference/introduction.md");
/// The width of usage texts, whatever terminal there is.
const WIDTH: usize = 110;

pub(super) fn execute(command: Command) -> Result<(), String> {
    let text = markdown(command);
    match io::stdout().write_all(text.as_bytes()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e.to_string()),
        _ => Ok(()),
    }
}

/// The introduction, and the usage of each subcommand.
fn markdown(command: Command) -> String {
    let mut text = INTRODUCTION.to_owned();
    // Values of the environment are whoever builds it's own.
    let quiet = |c: Command| c.term_width(WIDTH).mut_args(|a| a.hide_env_values(true));
    let mut command = quiet(command);
    let names: Vec<String> = command.get_subcommands().filter(|c| !c.is_hide_set()).map(|c| c.get_name().to_owned()).collect();
    for name in &names {
        command = command.mut_subcommand(name, quiet);
    }
    command.build();
    for name in names {
        let Some(sub) = command.find_subcommand_mut(&name) else { continue };
        let usage = sub.render_long_help().to_string();
        let usage: Vec<&str> = usage.lines().map(str::trim_end).collect();
        // Writing to a String cannot fail.
        let _ = write!(text, "\n## holdpoint {name}\n\n```text\n{}\n```\n", usage.join("\n").trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn it_tells_of_each_command_and_of_nobodys_environment() {
        let text = markdown(super::super::Cli::command());
        for command in ["run", "agent", "crds", "explain"] {
            assert!(text.contains(&format!("\n## holdpoint {command}\n")), "{command}");
        }
        assert!(text.contains("[env: HOLDPOINT_KUBECONFIG]") && !text.contains("cli-reference\n"), "{text}");
        assert!(!text.lines().any(|line| line.ends_with(' ')));
    }
}
