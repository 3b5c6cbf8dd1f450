//! Answers of token servers: bytes of the fuzzing engine in, the property of `klamm_fuzz::http_response` checked.
#![no_main]

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

libfuzzer_sys::fuzz_target!(|input: &[u8]| klamm_fuzz::http_response::property(input));
