//! What `cooldown` and `concurrency` say of one more start.

use super::book::{Aim, Book, Place, Started, Targets};
use super::{Life, Times};
use crate::core::text::single_line;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// Whose starts are counted together. Only starts that the gate holds are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Per {
    /// All.
    Gate,
    /// Those that are aimed at one of the same targets.
    Target,
    /// Those of the same person.
    Requester,
}

/// From when on a cooldown is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Since {
    /// The last start.
    Start,
    /// The last end.
    Finish,
}

/// A limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// So many at once.
    Concurrency {
        /// At most.
        max: u32,
        /// Of whom.
        per: Per,
    },
    /// So long in between.
    Cooldown {
        /// At least.
        wait: SignedDuration,
        /// After what.
        since: Since,
        /// Of whom.
        per: Per,
    },
}

impl Limit {
    /// Whose starts are counted together.
    pub const fn per(self) -> Per {
        match self {
            Self::Concurrency { per, .. } | Self::Cooldown { per, .. } => per,
        }
    }
}

/// Who asks for one more.
#[derive(Clone)]
pub struct Asking<'a> {
    /// Who.
    pub requester: Arc<str>,
    /// At what it is aimed.
    pub targets: Targets,
    /// Says what others are aimed at.
    pub resolve: &'a dyn Fn(&Aim) -> Targets,
    /// What tells this object and requester from others: its own place does not count against it.
    pub digest: Option<Arc<str>>,
}

/// What a limit says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// There is room for one more; how many places are taken, and of how many.
    Room(String, String),
    /// There is not: what was measured, what is required, a sentence, and when time alone changes that.
    None {
        /// What was measured.
        value: String,
        /// What is required.
        required: String,
        /// One line.
        message: String,
        /// When there will be room if nothing else happens.
        until: Option<Timestamp>,
    },
    /// It cannot be told.
    Unknown(String),
}

/// How many objects a message names.
const NAMED: usize = 3;
/// The longest message.
const MESSAGE: usize = 240;

/// What a limit says of one more start.
pub fn find(limit: Limit, book: &Book, asking: &Asking<'_>, times: Times) -> Finding {
    if let Some(unread) = &book.unread {
        return Finding::Unknown(single_line(unread, MESSAGE));
    }
    let per = limit.per();
    if per == Per::Target && asking.targets.is_none() {
        return Finding::Unknown("what the start is aimed at could not be told, so it cannot be counted per target".to_owned());
    }
    let counted = Counted { per, asking };
    let places: Vec<&Place> = book
        .open_places(times)
        .filter(|place| asking.digest.as_ref() != Some(&place.digest) && counted.is(Some(&place.requester), place.aim.as_deref()))
        .collect();
    match limit {
        Limit::Concurrency { max, .. } => concurrency(max, book, &counted, &places),
        Limit::Cooldown { wait, since, .. } => cooldown(wait, since, book, &counted, &places, times),
    }
}

struct Counted<'a> {
    per: Per,
    asking: &'a Asking<'a>,
}

impl Counted<'_> {
    /// Whether a start counts. What is not known of it does: it may be.
    fn is(&self, requester: Option<&Arc<str>>, aim: Option<&Aim>) -> bool {
        match self.per {
            Per::Gate => true,
            Per::Requester => requester.is_none_or(|who| *who == self.asking.requester),
            Per::Target => match (aim.and_then(self.asking.resolve), &self.asking.targets) {
                (Some(theirs), Some(ours)) => theirs.iter().any(|target| ours.contains(target)),
                _ => true,
            },
        }
    }

    fn object(&self, object: &Started) -> bool {
        self.is(object.requester.as_ref(), object.aim.as_deref())
    }

    /// Whose.
    fn of(&self) -> &'static str {
        match self.per {
            Per::Gate => "",
            Per::Target => " of these targets",
            Per::Requester => " of this requester",
        }
    }
}

fn concurrency(max: u32, book: &Book, counted: &Counted<'_>, places: &[&Place]) -> Finding {
    let running: Vec<&Arc<Started>> = book.objects.iter().filter(|object| object.life.runs() && counted.object(object)).collect();
    let taken = running.len() + places.len();
    let (value, required) = (taken.to_string(), format!("fewer than {max}"));
    if u32::try_from(taken).is_ok_and(|taken| taken < max) {
        return Finding::Room(value, required);
    }
    let mut names: Vec<String> = running.iter().take(NAMED).map(|object| named(object)).collect();
    if running.len() > NAMED {
        names.push(format!("{} more", running.len() - NAMED));
    }
    if !places.is_empty() {
        names.push(format!("{} just admitted", places.len()));
    }
    let unknown = counted.per == Per::Requester && running.iter().any(|object| object.requester.is_none());
    let note = if unknown { "; of some it is not known who started them, so they count for everybody" } else { "" };
    let message = format!("{taken} of {max} places for starts{} are taken: {}{note}", counted.of(), names.join(", "));
    Finding::None { value, required, message: single_line(&message, MESSAGE), until: None }
}

fn named(object: &Started) -> String {
    match &object.namespace {
        Some(namespace) => format!("{} {namespace}/{}", object.resource.resource, object.name),
        None => format!("{} {}", object.resource.resource, object.name),
    }
}

fn cooldown(wait: SignedDuration, since: Since, book: &Book, counted: &Counted<'_>, places: &[&Place], times: Times) -> Finding {
    let required = format!("{} s", wait.as_secs());
    let refuse = |value: String, message: String, until: Option<Timestamp>| Finding::None {
        value,
        required: required.clone(),
        message: single_line(&message, MESSAGE),
        until,
    };
    let objects = || book.objects.iter().filter(|object| counted.object(object));
    if since == Since::Finish {
        if let Some(object) = objects().find(|object| object.life.runs()) {
            return refuse("running".to_owned(), format!("{} has not ended", named(object)), None);
        }
        if !places.is_empty() {
            return refuse("running".to_owned(), "another start was admitted just now".to_owned(), None);
        }
    }
    let past = book.past.starts.iter().filter(|start| counted.is(start.requester.as_ref(), None));
    let last = match since {
        Since::Start => objects()
            .filter(|object| object.life != Life::Idle)
            .map(|object| object.since)
            .chain(places.iter().map(|place| place.since))
            .chain(past.map(|start| start.started))
            .chain(book.past.forgotten)
            .max(),
        // An object that does not say when it ended counts as remembered; what was remembered of it says when that was seen.
        Since::Finish => objects()
            .filter_map(|object| match object.life {
                Life::Over(at) => at,
                Life::Idle | Life::Running => None,
            })
            .chain(past.filter_map(|start| start.finished))
            .chain(book.past.forgotten)
            .max(),
    };
    let Some(last) = last else { return Finding::Room("never".to_owned(), required) };
    let passed = times.earliest.duration_since(last).max(SignedDuration::ZERO);
    if passed >= wait {
        return Finding::Room(format!("{} s", passed.as_secs()), required);
    }
    let left = wait.saturating_sub(passed);
    let left_seconds = left.as_secs().saturating_add(i64::from(left.subsec_nanos() > 0));
    let what = match since {
        Since::Start => "started",
        Since::Finish => "ended",
    };
    let message =
        format!("the last one{} {what} {} s ago: {left_seconds} s of {} s are left", counted.of(), passed.as_secs(), wait.as_secs());
    refuse(format!("{} s", passed.as_secs()), message, last.saturating_add(wait).ok())
}
