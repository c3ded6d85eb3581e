//! What `holdpoint explain` says: which gates hold an object, which checks they wait for, what was found, and what to do about it.
//! The same values are printed as a tree for people, and as JSON for programs.

use super::text::single_line;
use serde::Serialize;

/// The version of the JSON. Members may be added to it; none changes its meaning.
pub const API_VERSION: &str = "cli.holdpoint.dev/v1alpha1";
/// The longest text of a line, in characters.
const MAX_TEXT_CHARS: usize = 600;
/// How many targets of a check, and how many other checks that pass, the tree names. The JSON has all that is known.
const MAX_LEAVES: usize = 5;

/// Everything that was asked about.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// [`API_VERSION`].
    pub api_version: &'static str,
    /// `Explanation`.
    pub kind: &'static str,
    /// In the order in which they were asked about.
    pub items: Vec<Item>,
}

/// What was asked about an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Question {
    /// Whether it would be admitted if it were created.
    Create,
    /// Whether it would be admitted if it were changed to what a file says.
    Update,
    /// How a gate stands.
    Gate,
    /// How a check stands.
    Check,
    /// What was decided.
    Decision,
}

/// The answer, from best to worst for a pipeline that goes on only after the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Answer {
    /// It passes.
    Pass,
    /// It passes, and the API server has something to say about it.
    Warn,
    /// It could not be told.
    Unknown,
    /// It is refused.
    Deny,
    /// The manifest cannot be used.
    Invalid,
}

impl Answer {
    /// The exit code of the command.
    pub const fn exit_code(self, warnings_as_errors: bool) -> u8 {
        match (self, warnings_as_errors) {
            (Self::Pass, _) | (Self::Warn, false) => 0,
            (Self::Invalid, _) => 2,
            (Self::Deny, _) => 3,
            (Self::Warn, true) => 4,
            (Self::Unknown, _) => 5,
        }
    }

    const fn mark(self) -> Mark {
        match self {
            Self::Pass => Mark::Pass,
            Self::Warn => Mark::Warn,
            Self::Unknown => Mark::Unknown,
            Self::Deny | Self::Invalid => Mark::Fail,
        }
    }
}

/// One object that was asked about.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// `Kind namespace/name`.
    pub object: String,
    /// The file that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What was asked.
    pub question: Question,
    /// The answer.
    pub answer: Answer,
    /// The answer in a few words, for people.
    pub summary: String,
    /// The id of the decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision_id: Option<String>,
    /// What the API server answered, where it did not admit the object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The API server's warnings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What a decision was made of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Input>,
    /// The gates that hold it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateNode>,
    /// The check that was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<CheckNode>,
    /// What else should be known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remedies: Vec<String>,
}

impl Item {
    /// An item about which nothing more is known.
    pub fn new(object: impl Into<String>, question: Question, answer: Answer, summary: impl Into<String>) -> Self {
        Self {
            object: object.into(),
            source: None,
            question,
            answer,
            summary: summary.into(),
            decision_id: None,
            message: None,
            warnings: Vec::new(),
            inputs: Vec::new(),
            gates: Vec::new(),
            check: None,
            notes: Vec::new(),
            remedies: Vec::new(),
        }
    }
}

/// Something that a decision was made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Input {
    /// What it is.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// A gate that holds an object.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GateNode {
    /// `Kind namespace/name`.
    pub gate: String,
    /// Enforce, Warn or Audit; empty if it may not be read.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
    /// What it answers: Allow, Warn, Hold or Deny.
    pub answer: String,
    /// What it would answer in mode Enforce.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would_be: Option<String>,
    /// Whether this is what the command makes of the statuses that it read, and not what the API server answered: gates that do not refuse are
    /// not named in an answer.
    pub predicted: bool,
    /// The generation of the gate's spec.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// How many checks it requires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<usize>,
    /// What counts against the start, worst first.
    pub checks: Vec<CheckNode>,
    /// Checks that pass, as far as they are known by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passing: Vec<String>,
    /// What the gate says of itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

impl GateNode {
    /// What it adds up to.
    pub fn outcome(&self) -> Answer {
        match self.answer.as_str() {
            "Deny" => Answer::Deny,
            "Hold" => Answer::Unknown,
            "Warn" => Answer::Warn,
            _ => Answer::Pass,
        }
    }
}

/// A check of a gate.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckNode {
    /// The check: its name, or namespace/name.
    pub check: String,
    /// Passing, Warning, Failing, Unknown, Stale or Missing.
    pub verdict: String,
    /// The reason of its condition `Passing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was found.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<String>,
    /// What was required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<String>,
    /// Seconds since it was evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<u64>,
    /// What was found for each target, worst first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetNode>,
    /// What to do when it does not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remediation: Option<String>,
}

/// A target of a check.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetNode {
    /// The target.
    pub target: String,
    /// Pass, Warn, Fail or Error.
    pub outcome: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
    /// What was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measured: Option<String>,
    /// What was required.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required: Option<String>,
    /// Seconds since it was observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<u64>,
}

impl Explanation {
    /// Of these items.
    pub fn new(items: Vec<Item>) -> Self {
        Self { api_version: API_VERSION, kind: "Explanation", items }
    }

    /// The exit code: that of the worst item.
    pub fn exit_code(&self, warnings_as_errors: bool) -> u8 {
        self.items.iter().map(|i| i.answer).max().unwrap_or(Answer::Pass).exit_code(warnings_as_errors)
    }

    /// As a tree, a line each, with a newline at the end of each.
    pub fn tree(&self, look: Look) -> String {
        let mut text = String::new();
        for (number, item) in self.items.iter().enumerate() {
            if number > 0 {
                text.push('\n');
            }
            item_node(item).print(&mut text, "", "", look);
        }
        text
    }
}

/// How a tree looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Colours by terminal escapes.
    pub colour: bool,
    /// Nothing beyond ASCII, apart from what is quoted.
    pub ascii: bool,
}

/// What stands before a line: a sign and a colour that say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Pass,
    Warn,
    Fail,
    Unknown,
    Note,
    Do,
}

impl Mark {
    const fn sign(self, ascii: bool) -> &'static str {
        match (self, ascii) {
            (Self::Pass, false) => "✔",
            (Self::Pass, true) => "+",
            (Self::Warn, _) => "!",
            (Self::Fail, false) => "✗",
            (Self::Fail, true) => "x",
            (Self::Unknown, _) => "?",
            (Self::Note, false) => "·",
            (Self::Note, true) => "-",
            (Self::Do, false) => "→",
            (Self::Do, true) => ">",
        }
    }

    const fn colour(self) -> &'static str {
        match self {
            Self::Pass => "\u{1b}[32m",
            Self::Warn | Self::Unknown => "\u{1b}[33m",
            Self::Fail => "\u{1b}[31m",
            Self::Note => "\u{1b}[2m",
            Self::Do => "\u{1b}[36m",
        }
    }
}

/// A line of the tree, and what is below it.
struct Node {
    mark: Mark,
    text: String,
    children: Vec<Self>,
}

impl Node {
    fn leaf(mark: Mark, text: impl AsRef<str>) -> Self {
        // What is told comes from probes and from the API server, and ends in somebody's terminal.
        Self { mark, text: single_line(text.as_ref(), MAX_TEXT_CHARS), children: Vec::new() }
    }

    fn print(&self, out: &mut String, first: &str, rest: &str, look: Look) {
        let sign = self.mark.sign(look.ascii);
        out.push_str(first);
        if look.colour {
            out.push_str(self.mark.colour());
            out.push_str(sign);
            out.push_str("\u{1b}[0m");
        } else {
            out.push_str(sign);
        }
        out.push(' ');
        out.push_str(&self.text);
        out.push('\n');
        let (branch, last, through, below) =
            if look.ascii { ("|-- ", "`-- ", "|   ", "    ") } else { ("├── ", "└── ", "│   ", "    ") };
        for (index, child) in self.children.iter().enumerate() {
            let (own, its) = if index + 1 == self.children.len() { (last, below) } else { (branch, through) };
            child.print(out, &format!("{rest}{own}"), &format!("{rest}{its}"), look);
        }
    }
}

fn item_node(item: &Item) -> Node {
    let id = item.decision_id.as_ref().map_or_else(String::new, |id| format!(" [{id}]"));
    let source = item.source.as_ref().map_or_else(String::new, |source| format!(" ({source})"));
    let mut node = Node::leaf(item.answer.mark(), format!("{}: {}{id}{source}", item.object, item.summary));
    // A denial of gates is told by the gates; what others refused, or what is wrong, only the message says.
    let told = item.answer == Answer::Deny && item.gates.iter().any(|g| g.answer == "Deny");
    if let Some(message) = item.message.as_ref().filter(|_| !told) {
        node.children.push(Node::leaf(item.answer.mark(), message));
    }
    node.children.extend(item.inputs.iter().map(|i| Node::leaf(Mark::Note, format!("{}: {}", i.name, i.value))));
    node.children.extend(item.warnings.iter().map(|w| Node::leaf(Mark::Warn, format!("Warning: {w}"))));
    node.children.extend(item.gates.iter().map(gate_node));
    if let Some(check) = &item.check {
        node.children.extend(evidence(check));
    }
    node.children.extend(item.notes.iter().map(|note| Node::leaf(Mark::Note, note)));
    node.children.extend(item.remedies.iter().map(|remedy| Node::leaf(Mark::Do, remedy)));
    node
}

fn gate_node(gate: &GateNode) -> Node {
    let mut text = gate.gate.clone();
    if !gate.mode.is_empty() {
        text = format!("{text} (mode {})", gate.mode);
    }
    let verb = match gate.answer.as_str() {
        "Deny" => "denies",
        "Hold" => "lets it wait",
        "Warn" => "admits with a warning",
        _ => "admits",
    };
    text = format!("{text} {verb}");
    if let Some(would_be) = &gate.would_be {
        let verb = match would_be.as_str() {
            "Deny" => "would deny",
            "Hold" => "would let it wait",
            "Warn" => "would warn",
            _ => "would admit",
        };
        text = format!("{text}; in mode Enforce it {verb}");
    }
    if gate.predicted {
        text.push_str(" (predicted)");
    }
    let mark = match (gate.outcome(), gate.would_be.is_some()) {
        (Answer::Pass, true) => Mark::Warn,
        (outcome, _) => outcome.mark(),
    };
    let mut node = Node::leaf(mark, text);
    node.children.extend(gate.checks.iter().map(check_node));
    let named = gate.passing.iter().take(MAX_LEAVES).map(|name| Node::leaf(Mark::Pass, format!("PASS {name}")));
    node.children.extend(named);
    let told = gate.checks.len() + gate.passing.len().min(MAX_LEAVES);
    if let Some(more) = gate.required.and_then(|required| required.checked_sub(told)).filter(|more| *more > 0) {
        node.children.push(Node::leaf(Mark::Pass, format!("PASS and {more} more")));
    }
    node.children.extend(gate.notes.iter().map(|note| Node::leaf(Mark::Note, note)));
    node
}

fn check_node(check: &CheckNode) -> Node {
    let mut node = Node::leaf(verdict_mark(&check.verdict), check_line(check));
    node.children = evidence(check);
    node
}

/// `FAIL checkout-healthy: 1/3 ready, required 3 ready (12s ago)`.
fn check_line(check: &CheckNode) -> String {
    let word = match check.verdict.as_str() {
        "Failing" => "FAIL",
        "Unknown" => "UNKNOWN",
        "Stale" => "STALE",
        "Missing" => "MISSING",
        "Warning" => "WARN",
        "Passing" => "PASS",
        other => other,
    };
    format!(
        "{word} {}: {}{}",
        check.check,
        finding(&check.message, check.measured.as_deref(), check.required.as_deref()),
        ago(check.age_seconds)
    )
}

fn verdict_mark(verdict: &str) -> Mark {
    match verdict {
        "Passing" => Mark::Pass,
        "Warning" => Mark::Warn,
        "Failing" | "Missing" => Mark::Fail,
        _ => Mark::Unknown,
    }
}

/// What was measured and required comes first: it is what one looks for.
fn finding(message: &str, measured: Option<&str>, required: Option<&str>) -> String {
    match (measured, required) {
        (Some(measured), Some(required)) if message.is_empty() => format!("{measured}, required {required}"),
        (Some(measured), Some(required)) => format!("{measured}, required {required}: {message}"),
        _ => message.to_owned(),
    }
}

fn ago(age_seconds: Option<u64>) -> String {
    age_seconds.map_or_else(String::new, |s| format!(" ({} ago)", super::gate::seconds(s)))
}

/// What is below a check: its targets, and what to do.
fn evidence(check: &CheckNode) -> Vec<Node> {
    let target = |t: &TargetNode| {
        let mark = match t.outcome.as_str() {
            "Pass" => Mark::Pass,
            "Warn" => Mark::Warn,
            "Fail" => Mark::Fail,
            _ => Mark::Unknown,
        };
        let found = finding(&t.message, t.measured.as_deref(), t.required.as_deref());
        let reason = if t.reason.is_empty() { String::new() } else { format!(" [{}]", t.reason) };
        Node::leaf(mark, format!("{}: {found}{reason}{}", t.target, ago(t.age_seconds)))
    };
    let mut nodes: Vec<Node> = check.targets.iter().take(MAX_LEAVES).map(target).collect();
    if check.targets.len() > MAX_LEAVES {
        nodes.push(Node::leaf(Mark::Note, format!("and {} more targets: -o json has them", check.targets.len() - MAX_LEAVES)));
    }
    nodes.extend(check.remediation.iter().map(|text| Node::leaf(Mark::Do, text)));
    nodes
}

#[cfg(test)]
mod tests;
