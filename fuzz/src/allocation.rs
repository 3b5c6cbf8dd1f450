//! How much a piece of code allocates: a closure in, its result out, or a panic if it took too much.
//!
//! A binary that wants to measure makes `stats_alloc`'s instrumented allocator its global one; in
//! any other, nothing is counted and every bound holds. The counters are the whole process's, so
//! nothing else may run beside a measured closure.

use stats_alloc::{INSTRUMENTED_SYSTEM, Region};

/// Runs `work` and checks that it allocated at most `per_byte` bytes for each of the `input` bytes,
/// and [`SLACK`] besides.
///
/// Counted is everything that was asked for, freed again or not: a peak can't be above it.
///
/// # Panics
///
/// If it allocated more.
pub fn bounded<T>(input: usize, per_byte: usize, work: impl FnOnce() -> T) -> T {
    let region = Region::new(&INSTRUMENTED_SYSTEM);
    let made = work();
    let took = region.change().bytes_allocated;
    let limit = input * per_byte + SLACK;
    assert!(took <= limit, "{took} bytes allocated for {input} bytes of input, {limit} allowed");
    made
}

/// Whether this binary counts allocations.
pub fn is_measured() -> bool {
    let region = Region::new(&INSTRUMENTED_SYSTEM);
    drop(std::hint::black_box(Box::new(0_u64)));
    region.change().bytes_allocated > 0
}

/// For what does not depend on the input: an error, a shared buffer's counters.
pub const SLACK: usize = 4096;
