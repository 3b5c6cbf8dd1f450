//! The simulated world over many seeds. `KLAMM_SIM_SEEDS=20000` runs more of them,
//! `KLAMM_SIM_SEED=17` runs one and prints what happened.

use klamm_testkit::sim::{Failure, Plant, Report, Settings, run, run_transactions};

#[test]
fn nothing_is_lost_doubled_or_reordered_in_any_seed() {
    if let Some(seed) = number_in("KLAMM_SIM_SEED") {
        return show(run(&Settings { seed, trace: true, ..Settings::default() }));
    }
    let seeds = number_in("KLAMM_SIM_SEEDS").unwrap_or(200);
    let mut unknown = 0;
    for seed in 0..seeds {
        match run(&Settings { seed, ..Settings::default() }) {
            Ok(report) => unknown += report.tally.unknown,
            Err(failure) => panic!("{failure}; KLAMM_SIM_SEED={seed} shows how it came about"),
        }
    }
    assert!(unknown > 0 || seeds < 50, "no outcome was ever in doubt: the world is too kind");
}

#[test]
fn planted_bugs_are_caught() {
    let plants = [
        Plant::RenumberAfterLoss,
        Plant::DropAfterLoss,
        Plant::ReorderRetry,
        Plant::TakeSentForUnsent,
        Plant::CursorBeforeRecords,
        Plant::RereadRange,
        Plant::IgnoreStop,
        Plant::BelieveOldEpochs,
    ];
    for plant in plants {
        let failures =
            (0..60).filter_map(|seed| run(&Settings { seed, plant, trace: false }).err());
        let mut failures = failures.peekable();
        assert!(failures.peek().is_some(), "{plant:?} was not caught");
        let failure = failures.find(|failure| plant.breaks().contains(&failure.violation.rule));
        assert!(failure.is_some(), "{plant:?} was caught for something else only");
    }
}

#[test]
fn no_transaction_is_torn_and_none_ends_otherwise_than_told_in_any_seed() {
    if let Some(seed) = number_in("KLAMM_SIM_SEED") {
        let outcome = run_transactions(&Settings { seed, trace: true, ..Settings::default() });
        return show_lines(match outcome {
            Ok(report) => (report.trace.clone(), format!("{report:?}"), true),
            Err(failure) => (failure.trace.clone(), failure.to_string(), false),
        });
    }
    let seeds = number_in("KLAMM_SIM_SEEDS").unwrap_or(200);
    let (mut unknown, mut lost) = (0, 0);
    for seed in 0..seeds {
        match run_transactions(&Settings { seed, ..Settings::default() }) {
            Ok(report) => {
                unknown += report.unknown;
                lost += report.begun - report.committed;
            }
            Err(failure) => panic!("{failure}; KLAMM_SIM_SEED={seed} shows how it came about"),
        }
    }
    assert!(unknown > 0 || seeds < 50, "no commit was ever in doubt: the world is too kind");
    assert!(lost > 0 || seeds < 50, "every transaction was committed");
}

#[test]
fn planted_bugs_of_transactions_are_caught() {
    for plant in [Plant::EndIntoNext, Plant::CommitBeforeAcks, Plant::NoInitAfterUnknown] {
        let failures = (0..200)
            .filter_map(|seed| run_transactions(&Settings { seed, plant, trace: false }).err());
        let mut failures = failures.peekable();
        assert!(failures.peek().is_some(), "{plant:?} was not caught");
        let failure = failures.find(|failure| plant.breaks().contains(&failure.violation.rule));
        assert!(failure.is_some(), "{plant:?} was caught for something else only");
    }
}

#[test]
fn a_seed_always_runs_the_same() {
    for seed in 0..5 {
        let settings = Settings { seed, trace: true, ..Settings::default() };
        assert_eq!(run(&settings), run(&settings));
    }
}

fn show(outcome: Result<Report, Failure>) {
    let (trace, told, good) = match outcome {
        Ok(mut report) => {
            let trace = std::mem::take(&mut report.trace);
            (trace, format!("{report:?}"), true)
        }
        Err(mut failure) => (std::mem::take(&mut failure.trace), failure.to_string(), false),
    };
    show_lines((trace, told, good));
}

#[allow(clippy::print_stderr, reason = "who asks for one seed wants to read it")]
fn show_lines((trace, told, good): (Vec<String>, String, bool)) {
    trace.iter().for_each(|line| eprintln!("{line}"));
    eprintln!("{told}");
    assert!(good, "{told}");
}

fn number_in(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
