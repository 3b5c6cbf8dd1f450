//! Kerberos: bytes of the fuzzing engine in, the property of `klamm_fuzz::kerberos` checked.
#![no_main]

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

libfuzzer_sys::fuzz_target!(|input: &[u8]| klamm_fuzz::kerberos::property(input));
