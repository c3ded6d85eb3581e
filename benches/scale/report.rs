//! The table.

use crate::figures::Footprint;
use crate::phases::{AFTER_RESTART, FLAP_EVERY, FLAPPING, Filled, Flapped, Quiet, Restarted};
use crate::reaction::Reaction;
use crate::samples::Samples;
use crate::table::{Table, nothing, number};
use crate::world::{ALL_GATES, ALL_HTTP, ALL_LIVE, DEPLOYMENTS, NAMESPACES};

/// What is printed at the end.
pub struct Report(Table);

impl Report {
    /// Without rows.
    pub fn new() -> Self {
        let title = format!(
            "{} checks ({ALL_LIVE} live ones of {} Deployments, {ALL_HTTP} http every 30 s) and {ALL_GATES} gates in {NAMESPACES} namespaces",
            ALL_LIVE + ALL_HTTP,
            NAMESPACES * DEPLOYMENTS,
        );
        Self(Table::new(title, &["", "measured", "aim", "of the aim", ""]))
    }

    /// A line below the table.
    pub fn line(&mut self, text: &str) {
        self.0.note(text);
    }

    /// A figure with an aim, which is the most that it should be.
    fn judged(&mut self, name: &str, measured: f64, aim: f64) {
        let (share, verdict) = match aim {
            0.0 => (nothing(), if measured < 0.0005 { "met" } else { "MISSED" }),
            _ => (format!("{:.0} %", measured / aim * 100.0), if measured <= aim { "met" } else { "MISSED" }),
        };
        self.0.row(name, [number(measured), number(aim), share, verdict.to_owned()]);
    }

    /// A figure that is told and not judged.
    fn told(&mut self, name: &str, measured: f64) {
        self.0.row(name, [number(measured), nothing(), nothing(), String::new()]);
    }

    fn heading(&mut self, text: &str) {
        self.0.row(text, []);
    }

    fn memory(&mut self, footprint: Footprint) {
        self.judged("  resident memory, MiB", mebibytes(footprint.memory.resident), 60.0);
        self.told("    of it without the program's own pages", mebibytes(footprint.memory.anonymous));
        self.told("    the most since the start", mebibytes(footprint.memory.peak));
        self.told("  sockets", whole(footprint.sockets));
    }

    /// How everything was created.
    pub fn filled(&mut self, filled: &Filled) {
        let seconds = |duration: std::time::Duration| duration.as_secs();
        self.0.note(format!(
            "Created in {} s (Deployments), {} s (checks) and {} s (gates); the operator before that: {} MiB, {} sockets.",
            seconds(filled.deployments),
            seconds(filled.checks),
            seconds(filled.gates),
            number(mebibytes(filled.empty.memory.resident)),
            filled.empty.sockets,
        ));
    }

    /// Nothing changed.
    pub fn quiet(&mut self, quiet: &Quiet) {
        self.heading(&format!("nothing changes for {:.0} s", quiet.flow.seconds));
        self.judged("  status writes each second: checks", quiet.flow.check_writes, 0.0);
        self.judged("  status writes each second: gates", quiet.flow.gate_writes, 0.0);
        self.told("  Lease writes each second, of everybody", quiet.flow.leases);
        self.told("  SubjectAccessReviews each second", quiet.flow.reviews);
        self.told("  http requests each second", quiet.asked);
        self.judged("  lateness of evaluations, p99, at most s", quiet.flow.lateness, 1.0);
        self.judged("  operator's CPU, cores", quiet.flow.cores, 0.3);
        self.memory(quiet.footprint);
        self.told("  one scrape of /metrics, ms", quiet.scrape.as_secs_f64() * 1000.0);
        self.told("    its text, MiB", whole(quiet.scraped) / 1024.0 / 1024.0);
    }

    /// Deployments broke, one at a time.
    pub fn reaction(&mut self, reaction: &Reaction) {
        self.heading(&format!("a Deployment breaks, {} times; ms from sending the patch", reaction.refused.len()));
        let mut pair = |name: &str, samples: &Samples, judged: bool| {
            for (what, value) in [("p50", samples.p50()), ("p99", samples.p99())] {
                let name = format!("  {name}, {what}");
                if judged { self.judged(&name, value, 100.0) } else { self.told(&name, value) }
            }
        };
        pair("plain: the patch and one create, judged", &reaction.plain, false);
        pair("until a create is refused", &reaction.refused, true);
        pair("  from the patch's answer", &reaction.answered, false);
        pair("mended, until a create is admitted", &reaction.admitted, false);
    }

    /// Deployments flapped.
    pub fn flapping(&mut self, flapped: &Flapped) {
        self.heading(&format!("{FLAPPING} Deployments flap, each every {} ms", FLAP_EVERY.as_millis()));
        self.told("  turns each second", flapped.turns);
        // A turn is one status of a check and one of a gate, and no status is written more often than ten times a second.
        self.judged("  status writes each second: checks", flapped.flow.check_writes, flapped.turns.min(10.0 * whole(FLAPPING)));
        self.judged("  status writes each second: gates", flapped.flow.gate_writes, flapped.turns.min(10.0 * whole(FLAPPING)));
        self.judged("  lateness of evaluations, p99, at most s", flapped.flow.lateness, 1.0);
        self.told("  evaluations each second", flapped.flow.evaluations);
        self.told("  operator's CPU, cores", flapped.flow.cores);
        self.memory(flapped.footprint);
        self.told("  until all passes and nothing is written, s", flapped.settled.as_secs_f64());
    }

    /// It was killed and started again.
    pub fn restart(&mut self, restarted: &Restarted) {
        self.heading("killed and started again");
        self.judged("  until it is ready, s", restarted.ready.as_secs_f64(), 2.0);
        self.told("  until all live checks are evaluated, s", restarted.live.as_secs_f64());
        self.told("  until all checks pass, s", restarted.all.as_secs_f64());
        self.told(&format!("  status writes each second, over {} s", AFTER_RESTART.as_secs()), restarted.writes);
        self.judged("  lateness of evaluations, p99, at most s", restarted.lateness, 1.0);
        self.memory(restarted.footprint);
    }

    /// Prints it.
    pub fn print(&self) {
        self.0.print();
    }
}

fn whole(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

fn mebibytes(kibibytes: u32) -> f64 {
    f64::from(kibibytes) / 1024.0
}
