//! What has to hold for any bytes at all: bytes in, a panic out if it does not.
//!
//! One file per property; each says its invariant. All share three: nothing panics, nothing loops
//! without end, and what is allocated is bounded by the input's size ([`allocation`]). The targets
//! in `fuzz_targets/` feed them from a fuzzing engine; `tests/seeds.rs` feeds them the committed
//! seeds and what [`mutate`] makes of those, on stable and without C++.
//!
//! With the engine, in this folder. It writes what it finds into the first corpus named, so that is
//! not the committed one. `--dev` leaves out link-time optimisation, which takes very long once the
//! code is instrumented; the first build takes many minutes even so, most of them for zstd.
//!
//! ```sh
//! mkdir -p corpus-local/frame_reader
//! cargo +nightly fuzz run --dev --features libfuzzer frame_reader \
//!     corpus-local/frame_reader seeds/frame_reader -- -max_total_time=20
//! ```
//!
//! To add a target: a file here, a row in [`TARGETS`], a file in `fuzz_targets/` with its `[[bin]]`,
//! and seeds.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod allocation;
pub mod consumer_protocol;
pub mod frame;
pub mod http_response;
pub mod inflate;
pub mod jaas;
pub mod kerberos;
pub mod key_store;
pub mod mutate;
pub mod record_batch;
pub mod request;
pub mod response;
pub mod scram_client;

/// A property and where its seeds are.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The fuzz target's name and its folder in `seeds/`.
    pub name: &'static str,
    /// Panics if the property does not hold for these bytes.
    pub property: fn(&[u8]),
    /// How many damaged inputs the tests on stable try, about: fewer where one costs more.
    pub rounds: usize,
}

/// Every target of this crate.
pub const TARGETS: &[Target] = &[
    Target { name: "consumer_protocol", property: consumer_protocol::property, rounds: 2000 },
    Target { name: "frame_reader", property: frame::property, rounds: 4000 },
    Target { name: "http_response", property: http_response::property, rounds: 1000 },
    Target { name: "inflate_gzip", property: inflate::gzip, rounds: 500 },
    Target { name: "inflate_lz4", property: inflate::lz4, rounds: 500 },
    Target { name: "inflate_snappy", property: inflate::snappy, rounds: 500 },
    Target { name: "inflate_zstd", property: inflate::zstd, rounds: 500 },
    Target { name: "jaas", property: jaas::property, rounds: 4000 },
    Target { name: "kerberos", property: kerberos::property, rounds: 2000 },
    Target { name: "key_store", property: key_store::property, rounds: 500 },
    Target { name: "record_batch", property: record_batch::property, rounds: 4000 },
    Target { name: "request_decode", property: request::property, rounds: 4000 },
    Target { name: "response_decode", property: response::property, rounds: 4000 },
    Target { name: "scram_client", property: scram_client::property, rounds: 100 },
];
