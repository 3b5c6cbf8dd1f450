//! Progress of a query on stderr: batches in, a bar for people or a line of JSON a batch for programs out.

use std::collections::VecDeque;
use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use klamm_connector::query::QueryProgress;

use crate::args::ProgressKind;
use crate::output::say;

/// Where progress goes.
#[derive(Debug)]
pub(crate) enum Progress {
    Bar(Bar),
    Json,
    Nothing,
}

impl Progress {
    pub(crate) fn new(kind: ProgressKind) -> Self {
        let bar = match kind {
            ProgressKind::Auto => std::io::stderr().is_terminal(),
            ProgressKind::Bar => true,
            ProgressKind::Json => return Self::Json,
            ProgressKind::None => false,
        };
        if bar { Self::Bar(Bar::new()) } else { Self::Nothing }
    }

    /// Shows one batch.
    pub(crate) fn show(&mut self, progress: &QueryProgress) {
        match self {
            Self::Bar(bar) => bar.show(progress),
            Self::Json => say(&progress.to_json()),
            Self::Nothing => {}
        }
    }
}

/// One line that is written over: batches, rows, rate, lag, and a spark line of the rates.
#[derive(Debug)]
pub(crate) struct Bar {
    line: ProgressBar,
    rows: u64,
    rates: VecDeque<f64>,
}

impl Bar {
    fn new() -> Self {
        let style = ProgressStyle::with_template("{spinner} {elapsed_precise}  {msg}");
        let line = ProgressBar::new_spinner()
            .with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
        line.enable_steady_tick(Duration::from_millis(200));
        Self { line, rows: 0, rates: VecDeque::with_capacity(SPARKS) }
    }

    fn show(&mut self, progress: &QueryProgress) {
        self.rows += progress.input_rows;
        let rate = progress.processed_rows_per_second();
        if self.rates.len() == SPARKS {
            self.rates.pop_front();
        }
        self.rates.push_back(if rate.is_finite() { rate } else { 0.0 });
        let behind = progress.offsets_behind().map_or(0, |(_, most, _)| most.max(0));
        self.line.set_message(format!(
            "batch {}  {} rows  {} rows/s  {} behind  {}",
            progress.batch_id,
            HumanCount(self.rows),
            HumanCount(self.rates.back().copied().unwrap_or_default() as u64),
            HumanCount(behind.unsigned_abs()),
            sparks(&self.rates),
        ));
    }
}

impl Drop for Bar {
    /// The last state stays on the screen.
    fn drop(&mut self) {
        self.line.abandon();
    }
}

/// A line of bars, each as high as its rate beside the highest.
fn sparks(rates: &VecDeque<f64>) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = rates.iter().copied().fold(0.0, f64::max);
    let bar = |rate: &f64| {
        let share = if most > 0.0 { rate / most } else { 0.0 };
        BARS.get((share * 7.0).round() as usize).copied().unwrap_or(' ')
    };
    rates.iter().map(bar).collect()
}

/// How many batches the spark line shows.
const SPARKS: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spark_line_is_as_high_as_the_rates() {
        assert_eq!(sparks(&VecDeque::from([0.0, 50.0, 100.0])), "▁▅█");
        assert_eq!(sparks(&VecDeque::from([0.0])), "▁");
    }
}
