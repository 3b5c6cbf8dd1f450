//! Every fuzz target's property over its committed seeds and over damaged ones, on stable.
//!
//! One test, because allocations are counted for the whole process: a second one beside it would be
//! counted too.

use std::alloc::System;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use klamm_fuzz::{TARGETS, Target, allocation, mutate};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn properties_hold_for_seeds_and_for_damaged_seeds() {
    assert!(allocation::is_measured());
    for target in TARGETS {
        let seeds = seeds(target);
        assert!(!seeds.is_empty(), "{} has no seeds", target.name);
        let mut random = fastrand::Rng::with_seed(SEED);
        let bytes: usize = seeds.iter().map(|(_, seed)| seed.len()).sum();
        let one_in = bytes.div_ceil(target.rounds);
        for (name, seed) in &seeds {
            check(target, name, seed);
            for lie in mutate::lies(seed).filter(|_| random.usize(0..one_in) == 0) {
                check(target, name, &lie);
            }
            for _ in 0..(target.rounds / 4 / seeds.len()).max(1) {
                check(target, name, &mutate::swell(seed, &mut random));
            }
            for _ in 0..(target.rounds / seeds.len()).max(1) {
                let (_, other) = &seeds[random.usize(0..seeds.len())];
                check(target, name, &mutate::damage(seed, other, &mut random));
            }
        }
    }
}

fn check(target: &Target, seed: &str, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.property)(input))).is_err() {
        panic!("{} fails for damaged {seed}: {}", target.name, input.escape_ascii());
    }
}

/// The target's seeds by name, sorted, so that every run damages them alike.
fn seeds(target: &Target) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target.name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut seeds: Vec<_> = files
        .map(|file| {
            let path = file.expect("a readable folder").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read(&path).expect("a readable seed"))
        })
        .collect();
    seeds.sort();
    seeds
}

const SEED: u64 = 0x6b6c616d6d;
