//! What was measured, as Markdown. In: the runs of every client; out: a table of medians, and what Klamm is held against.

use klamm_protocol::records::Compression;

use crate::arguments::Workload;
use crate::measure::Run;

/// Prints one workload's table.
pub(crate) fn print(
    workload: Workload,
    codec: Compression,
    count: usize,
    rows: &[(&str, Vec<Run>)],
    missing: &[(&str, String)],
) {
    let rounds = rows.first().map_or(0, |(_, runs)| runs.len());
    let rows: Vec<(&str, Run)> = rows.iter().map(|(name, runs)| (*name, median(runs))).collect();
    println!("\n### {}, {}: {count} records, medians of {rounds}\n", workload.name(), codec.name());
    let columns = columns(workload);
    let titles: Vec<String> = columns.iter().map(|column| column.title()).collect();
    println!("| client | {} |", titles.join(" | "));
    println!("|:--|{}", "--:|".repeat(titles.join(" | ").split('|').count()));
    for (name, run) in &rows {
        let cells: Vec<String> = columns.iter().map(|column| column.cell(run, &rows)).collect();
        println!("| {name} | {} |", cells.join(" | "));
    }
    for (name, why) in missing {
        println!("| {name} | skipped: {why} |");
    }
    println!();
    targets(workload).iter().for_each(|target| target.print(&rows));
}

/// A number of a run, with its name and how many digits of it matter.
#[derive(Clone, Copy)]
struct Number {
    name: &'static str,
    digits: usize,
    of: fn(&Run) -> f64,
}

/// A number in a table, alone or beside its ratio to the best of the others.
#[derive(Clone, Copy)]
enum Column {
    Plain(Number),
    Compared(Number),
}

impl Column {
    fn title(&self) -> String {
        match self {
            Self::Plain(number) => number.name.to_owned(),
            Self::Compared(number) => format!("{} | × best other", number.name),
        }
    }

    fn cell(&self, run: &Run, rows: &[(&str, Run)]) -> String {
        match self {
            Self::Plain(number) => format!("{:.*}", number.digits, (number.of)(run)),
            Self::Compared(number) => {
                let value = (number.of)(run);
                let ratio = value / best(rows, number.of).map_or(f64::NAN, |(_, best)| best);
                format!("{value:.*} | {ratio:.2}", number.digits)
            }
        }
    }
}

fn columns(workload: Workload) -> Vec<Column> {
    let mut columns = Vec::new();
    if workload.has_latency() {
        columns.extend([Column::Compared(MEDIAN), Column::Compared(P99)]);
    } else {
        columns.push(Column::Compared(WALL));
    }
    columns.extend([Column::Plain(USER), Column::Plain(SYSTEM), Column::Compared(CPU)]);
    columns.push(Column::Plain(PEAK));
    if workload == Workload::Produce {
        columns.push(Column::Plain(STORED));
    }
    columns
}

/// What Klamm's number has to stay below.
enum Target {
    /// So many times the best of the others.
    Share(Number, f64),
    /// This.
    Limit(Number, f64),
}

fn targets(workload: Workload) -> Vec<Target> {
    let mut targets = match workload {
        Workload::Produce | Workload::Consume => {
            vec![Target::Share(CPU, 0.5), Target::Share(WALL, 1.0)]
        }
        Workload::Ping | Workload::Echo => vec![Target::Share(P99, 1.0)],
        Workload::Start => vec![Target::Share(WALL, 1.0)],
    };
    targets.push(Target::Limit(PEAK, 64.0));
    targets
}

impl Target {
    fn print(&self, rows: &[(&str, Run)]) {
        let Some((_, klamm)) = rows.iter().find(|(name, _)| *name == "klamm") else { return };
        let (number, most, of_whom) = match self {
            Self::Limit(number, limit) => (number, *limit, String::new()),
            Self::Share(number, share) => {
                let Some((name, best)) = best(rows, number.of) else { return };
                (number, best * share, format!(" ({share} × {name})"))
            }
        };
        let value = (number.of)(klamm);
        let reached = if value <= most { "reached" } else { "not reached" };
        let digits = number.digits;
        println!(
            "- {}: {value:.digits$}, at most {most:.digits$}{of_whom}: {reached}",
            number.name
        );
    }
}

/// The best of the others, and its number.
fn best<'a>(rows: &[(&'a str, Run)], of: fn(&Run) -> f64) -> Option<(&'a str, f64)> {
    let others = rows.iter().filter(|(name, _)| !name.starts_with("klamm"));
    others.map(|(name, run)| (*name, of(run))).min_by(|a, b| a.1.total_cmp(&b.1))
}

/// Each number's own median.
fn median(runs: &[Run]) -> Run {
    let middle = |number: fn(&Run) -> f64| {
        let mut numbers: Vec<f64> = runs.iter().map(number).collect();
        numbers.sort_by(f64::total_cmp);
        numbers.get(numbers.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Run {
        wall: middle(|run| run.wall),
        user: middle(|run| run.user),
        system: middle(|run| run.system),
        peak: middle(|run| run.peak),
        median: middle(|run| run.median),
        p99: middle(|run| run.p99),
        stored: middle(|run| run.stored),
    }
}

const WALL: Number = Number { name: "wall s", digits: 2, of: |run| run.wall };
const USER: Number = Number { name: "user s", digits: 2, of: |run| run.user };
const SYSTEM: Number = Number { name: "system s", digits: 2, of: |run| run.system };
const CPU: Number = Number { name: "CPU s", digits: 2, of: Run::cpu };
const PEAK: Number = Number { name: "peak MiB", digits: 1, of: |run| run.peak };
const MEDIAN: Number = Number { name: "p50 µs", digits: 0, of: |run| run.median };
const P99: Number = Number { name: "p99 µs", digits: 0, of: |run| run.p99 };
const STORED: Number = Number { name: "bytes a record", digits: 1, of: |run| run.stored };
