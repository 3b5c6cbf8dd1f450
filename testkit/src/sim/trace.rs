//! What happened in a run, line by line, for who looks into a failing seed.

use std::time::Instant;

/// The lines so far; nothing is formatted unless somebody wants it.
#[derive(Debug)]
pub(super) struct Trace {
    wanted: bool,
    began: Instant,
    now: Instant,
    lines: Vec<String>,
}

impl Trace {
    pub(super) fn new(began: Instant, wanted: bool) -> Self {
        Self { wanted, began, now: began, lines: Vec::new() }
    }

    /// Adds a line at a time.
    pub(super) fn say(&mut self, now: Instant, line: impl FnOnce() -> String) {
        self.now = now;
        self.add(line);
    }

    /// Adds a line at the time of the last one.
    pub(super) fn add(&mut self, line: impl FnOnce() -> String) {
        if self.wanted {
            let at = self.now.saturating_duration_since(self.began);
            self.lines.push(format!("{:>9.4} {}", at.as_secs_f64(), line()));
        }
    }

    pub(super) fn into_lines(self) -> Vec<String> {
        self.lines
    }
}
