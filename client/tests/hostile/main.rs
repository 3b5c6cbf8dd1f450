//! Every hostile broker of the testkit against the client: no panic, an end in time and of the
//! expected kind, memory within the frame limit and a constant, no task and no socket left behind,
//! and no record called "not written" that may be.
//!
//! `KLAMM_HOSTILE=words` runs only the cases whose name holds these words, and prints what each of
//! them came to.

mod goals;
mod memory;
mod panics;
mod run;

use std::alloc::System;
use std::sync::Arc;
use std::time::{Duration, Instant};

use klamm_testkit::hostile::{Case, cases};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static MEMORY: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The only test of this binary: allocations are counted for the whole process.
#[test]
fn every_hostile_broker_is_survived() {
    let wanted = std::env::var("KLAMM_HOSTILE").ok();
    let chosen = |case: &Case| wanted.as_ref().is_none_or(|words| case.label().contains(words));
    let (greedy, others): (Vec<_>, Vec<_>) =
        cases().into_iter().filter(chosen).map(Arc::new).partition(|case| case.greedy);
    let count = greedy.len() + others.len();
    assert!(wanted.is_some() || count > 100, "only {count} cases");
    let panics = panics::Recorder::install();
    let servers = run::servers();
    let begun = Instant::now();
    let mut failures = Vec::new();
    let watch = memory::Watch::begin();
    let mut outcomes = run::side_by_side(&servers, others, SIDE_BY_SIDE);
    let taken = watch.end();
    if taken.peak > SIDE_BY_SIDE * memory::MOST {
        failures.push(format!("all cases side by side: {taken:?}"));
    }
    for case in greedy {
        let watch = memory::Watch::begin();
        let ended = run::side_by_side(&servers, vec![case], 1);
        let taken = watch.end();
        outcomes.extend(ended.into_iter().map(|outcome| outcome.with(taken)));
    }
    servers.shutdown_timeout(Duration::from_secs(1));
    failures.extend(outcomes.iter().filter_map(run::Outcome::failure));
    failures.extend(panics.into_messages());
    if wanted.is_some() || !failures.is_empty() {
        run::report(&outcomes);
    }
    assert!(
        failures.is_empty(),
        "{} of {count} cases, after {:?}:\n{}",
        failures.len(),
        begun.elapsed(),
        failures.join("\n")
    );
}

/// Cases that run at a time where memory isn't measured one by one. They mostly wait.
const SIDE_BY_SIDE: usize = 16;
