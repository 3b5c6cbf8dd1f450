//! What was measured, as Markdown. In: the runs of each; out: a table of medians, each told against the first row.

use crate::measure::Run;

/// Prints one workload's table. The first row is what the others are told against.
pub(crate) fn print(workload: &str, count: usize, rows: &[(&str, Vec<Run>)]) {
    let rounds = rows.first().map_or(0, |(_, runs)| runs.len());
    println!("\n### {workload}: {count} records, medians of {rounds}\n");
    println!("| who | wall s | × first | CPU s | × first | of it in the kernel | peak MiB |");
    println!("|:--|--:|--:|--:|--:|--:|--:|");
    let medians: Vec<(&str, Run)> = rows.iter().map(|(name, runs)| (*name, median(runs))).collect();
    let first = medians[0].1;
    for (name, run) in &medians {
        println!(
            "| {name} | {:.2} | {:.2} | {:.2} | {:.3} | {:.2} | {:.0} |",
            run.wall,
            run.wall / first.wall,
            run.cpu(),
            run.cpu() / first.cpu(),
            run.system,
            run.peak,
        );
    }
    println!();
}

fn median(runs: &[Run]) -> Run {
    let of = |number: fn(&Run) -> f64| {
        let mut numbers: Vec<f64> = runs.iter().map(number).collect();
        numbers.sort_by(f64::total_cmp);
        numbers[numbers.len() / 2]
    };
    Run {
        wall: of(|run| run.wall),
        user: of(|run| run.user),
        system: of(|run| run.system),
        peak: of(|run| run.peak),
        ..Run::default()
    }
}
