//! `holdpoint explain`: why something would be refused, as a tree: object, gates, checks, targets, what was measured, what to do.

mod knowledge;
mod manifests;
mod request;
mod server;
mod standing;

use crate::clock;
use crate::cluster::client::connect_in;
use crate::core::explanation::{Answer, Explanation, Item, Look, Question};
use manifests::Manifest;
use server::{Failure, Resource, Server, called};
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// The exit codes that are not an answer's.
const USAGE: u8 = 1;
const BAD_MANIFEST: u8 = 2;
const UNTOLD: u8 = 5;
const TIMEOUT: u8 = 124;
const INTERRUPTED: u8 = 130;

#[derive(Debug, clap::Args)]
#[command(
    about = "Explain why an object would be refused, why a gate is closed, or what was decided",
    after_help = "Exit codes: 0 it passes (also with warnings), 1 wrong usage, 2 a manifest that cannot work, 3 it would be denied or a \
                  required check fails, 4 warnings with --warnings-as-errors, 5 it could not be told, 124 no answer in time, 130 interrupted."
)]
pub(super) struct Args {
    /// KIND/NAME of a gate, a check or any object, or the id of a decision, such as d-7f3a9c0177
    #[arg(value_name = "KIND/NAME | DECISION-ID", required_unless_present = "filename", conflicts_with = "filename", value_parser = what)]
    what: Vec<What>,
    /// File or folder with objects that would be created or applied; - reads standard input. It is a dry run: nothing is stored
    #[arg(short, long, value_name = "FILE")]
    filename: Vec<PathBuf>,
    /// Namespace of objects that name none. Default: that of the context
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// How the answer is printed
    #[arg(short, long, value_enum, default_value_t = Output::Tree)]
    output: Output,
    /// Kubeconfig. Default: $KUBECONFIG, or ~/.kube/config
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// How long each answer of the API server may take, such as 10s or 2m
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = duration)]
    timeout: Duration,
    /// Exit with 4 where the API server warns
    #[arg(long)]
    warnings_as_errors: bool,
    /// No colours. There are none either where `NO_COLOR` is set or the output is no terminal
    #[arg(long)]
    no_color: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people
    Tree,
    /// For programs: `cli.holdpoint.dev/v1alpha1`
    Json,
}

/// What is asked about, if no file is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    /// By kind and name.
    Object(String, String),
    /// By its id.
    Decision(String),
}

fn what(text: &str) -> Result<What, String> {
    if let Some((kind, name)) = text.split_once('/') {
        let good = !kind.is_empty() && !name.is_empty() && !name.contains('/');
        return if good { Ok(What::Object(kind.to_owned(), name.to_owned())) } else { Err("write KIND/NAME".to_owned()) };
    }
    let is_id =
        text.strip_prefix("d-").is_some_and(|digits| (1..=10).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_hexdigit()));
    if is_id {
        Ok(What::Decision(text.to_ascii_lowercase()))
    } else {
        Err("write KIND/NAME, such as xgate/chaos, or the id of a decision, such as d-7f3a9c0177".to_owned())
    }
}

/// `10s`, `2m`, `500ms`, or seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| "write a number with a unit: 10s, 2m, 500ms".to_owned())?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "" | "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        _ => return Err("the units are ms, s and m".to_owned()),
    };
    let length = milliseconds.map(Duration::from_millis).filter(|d| !d.is_zero() && *d <= Duration::from_hours(1));
    length.ok_or_else(|| "write more than 0 and at most 60m".to_owned())
}

/// Why there is no answer, with the exit code.
struct Ended {
    code: u8,
    message: String,
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        let code = match &failure {
            Failure::Deadline { .. } => TIMEOUT,
            Failure::Broken(_) => UNTOLD,
        };
        Self { code, message: failure.to_string() }
    }
}

/// Runs the command in a runtime.
pub(super) async fn execute(args: Args) -> ExitCode {
    let (strict, output) = (args.warnings_as_errors, args.output);
    let look = look(args.no_color);
    let mut items = Vec::new();
    let ended = {
        let asking = ask(args, &mut items);
        tokio::select! {
            result = asking => result.err(),
            _ = tokio::signal::ctrl_c() => Some(Ended { code: INTERRUPTED, message: "interrupted".to_owned() }),
        }
    };
    let explanation = Explanation::new(items);
    // What was told before something went wrong is still told.
    let printed = if explanation.items.is_empty() && ended.is_some() { Ok(()) } else { print(&explanation, output, look) };
    if let Some(ended) = ended {
        eprintln!("error: {}", ended.message);
        return ExitCode::from(ended.code);
    }
    match printed {
        Ok(()) => ExitCode::from(explanation.exit_code(strict)),
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(USAGE)
        }
    }
}

/// Colours only for people that see them.
fn look(no_color: bool) -> Look {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let dumb = set("TERM").is_some_and(|term| term == "dumb");
    Look { colour: !no_color && !dumb && set("NO_COLOR").is_none() && io::stdout().is_terminal(), ascii: dumb }
}

fn print(explanation: &Explanation, output: Output, look: Look) -> Result<(), String> {
    let text = match output {
        Output::Tree => explanation.tree(look),
        Output::Json => serde_json::to_string_pretty(explanation).map_err(|e| e.to_string())? + "\n",
    };
    match io::stdout().write_all(text.as_bytes()) {
        // `explain | head` is fine.
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e.to_string()),
        _ => Ok(()),
    }
}

async fn ask(args: Args, items: &mut Vec<Item>) -> Result<(), Ended> {
    let bad = |message: String| Ended { code: BAD_MANIFEST, message };
    let manifests = if args.filename.is_empty() { Vec::new() } else { manifests::read(&args.filename).map_err(bad)? };
    if let Some(namespace) = &args.namespace {
        manifests.iter().try_for_each(|m| in_namespace(m, namespace)).map_err(bad)?;
    }
    let connecting = connect_in(args.kubeconfig.as_deref(), args.context.as_deref());
    let late = |_| Ended { code: TIMEOUT, message: "the kubeconfig's credentials were not there in time".to_owned() };
    let (client, own) =
        clock::within(args.timeout, connecting).await.map_err(late)?.map_err(|e| Ended { code: USAGE, message: e.to_string() })?;
    let server = Server::new(client, args.namespace.unwrap_or(own), args.timeout);
    if let [What::Decision(id)] = args.what.as_slice() {
        items.push(standing::of_decision(&server, id).await?);
        return Ok(());
    }
    let known = server.discover().await?;
    let user = server.whoami().await?;
    for manifest in manifests {
        items.push(request::of_manifest(&server, &known, &user, manifest).await?);
    }
    for what in args.what {
        items.push(match what {
            What::Decision(id) => standing::of_decision(&server, &id).await?,
            What::Object(kind, name) => object(&server, &known, &user, &kind, &name).await?,
        });
    }
    Ok(())
}

/// As kubectl: two namespaces for one object are a mistake.
fn in_namespace(manifest: &Manifest, namespace: &str) -> Result<(), String> {
    let own = manifest.metadata("namespace");
    if own.is_empty() || own == namespace {
        return Ok(());
    }
    Err(format!("{}: the object's namespace is {own}, but --namespace is {namespace}", manifest.source))
}

/// Explains an object that is stored.
async fn object(server: &Server, known: &[Resource], user: &serde_json::Value, kind: &str, name: &str) -> Result<Item, Ended> {
    let Some(resource) = called(known, kind) else {
        return Err(Ended { code: USAGE, message: format!("no kind {kind} is served") });
    };
    let namespace = resource.namespaced.then_some(server.namespace.as_str());
    let found = match server.get::<serde_json::Value>(&resource.path_of(namespace, name)).await? {
        Ok(found) => found,
        Err(status) => {
            let shown = namespace.map_or_else(|| format!("{} {name}", resource.kind), |n| format!("{} {n}/{name}", resource.kind));
            let item = Item::new(shown, Question::Create, Answer::Unknown, "cannot be read");
            return Ok(Item { message: Some(status.message), ..item });
        }
    };
    Ok(match (resource.group.as_str(), resource.kind.as_str()) {
        ("holdpoint.dev", "ExperimentGate" | "ClusterExperimentGate") => standing::of_gate(server, namespace, &found).await?,
        ("holdpoint.dev", "PreflightCheck") => standing::of_check(server, &server.namespace, &found).await?,
        _ => request::of_stored(server, user, resource, found).await?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_with_names_and_ids_are_told_apart() {
        assert_eq!(what("xgate/chaos"), Ok(What::Object("xgate".to_owned(), "chaos".to_owned())));
        assert_eq!(what("d-7F3a9c0177"), Ok(What::Decision("d-7f3a9c0177".to_owned())));
        for wrong in ["", "chaos", "/a", "a/", "a/b/c", "d-", "d-xyz", "d-7f3a9c01770"] {
            assert!(what(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn durations_have_units() {
        for (text, expected) in [("10s", 10_000), ("2m", 120_000), ("500ms", 500), ("7", 7000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(expected)), "{text}");
        }
        for wrong in ["", "s", "0", "0s", "-1s", "1h", "61m", "99999999999999999999s", "1.5s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
