//! Says on standard error how a long build is doing: a live line on a terminal, else a line every 20 s.

use std::{
    io::{IsTerminal, stderr},
    path::Path,
    time::{Duration, Instant},
};

const LINE_EVERY: Duration = Duration::from_secs(20);
const REDRAW_EVERY: Duration = Duration::from_secs(1);

/// The state of the display.
pub(crate) struct Progress {
    live: bool,
    total: usize,
    number: usize,
    program: String,
    started: Instant,
    shown: Instant,
}

impl Progress {
    /// Says what is about to happen.
    pub(crate) fn begin(total: usize) -> Progress {
        eprintln!(
            "Building the Kubernetes test control plane. This happens once per machine and takes about 8 minutes on \
             2 cores; it downloads about 0.9 GB of Go modules."
        );
        let now = Instant::now();
        Progress { live: stderr().is_terminal(), total, number: 0, program: String::new(), started: now, shown: now }
    }

    /// The next program's turn.
    pub(crate) fn next(&mut self, program: &str) {
        self.number += 1;
        program.clone_into(&mut self.program);
        self.show();
    }

    /// To be called often while it builds.
    pub(crate) fn tick(&mut self) {
        if self.shown.elapsed() >= if self.live { REDRAW_EVERY } else { LINE_EVERY } {
            self.show();
        }
    }

    /// Leaves the live line as it is, so that other text can follow.
    pub(crate) fn interrupt(&self) {
        if self.live {
            eprintln!();
        }
    }

    /// Says that all is built, and where.
    pub(crate) fn done(&self, folder: &Path) {
        let clear = if self.live { "\r\x1b[K" } else { "" };
        eprintln!("{clear}Built the Kubernetes test control plane in {}: {}", self.elapsed(), folder.display());
    }

    fn show(&mut self) {
        self.shown = Instant::now();
        let line = format!("  [{} of {}] {}, {} elapsed", self.number, self.total, self.program, self.elapsed());
        if self.live {
            eprint!("\r\x1b[K{line}");
        } else {
            eprintln!("{line}");
        }
    }

    fn elapsed(&self) -> String {
        let seconds = self.started.elapsed().as_secs();
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}
