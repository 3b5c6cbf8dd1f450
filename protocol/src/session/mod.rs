//! What to do next: pure machines, one a file. Time and randomness are passed in, bytes and
//! messages come and go as values.
//!
//! All have one contract. In: `handle_*` for news and plain verbs for wishes, both with the time
//! where it matters. Out: `poll_transmit` (what to send), `poll_timeout` (when to call
//! `handle_timeout`), `poll_event` (what happened). After any in, drain all outs; time never runs
//! backwards; same inputs give same outputs. A machine never names another: who owns several joins
//! them.

pub mod backoff;
pub mod connection;
pub mod fetch;
pub mod group;
pub mod group_next;
pub mod handshake;
pub mod membership;
pub mod metadata;
pub mod new_leader;
pub mod produce;
pub mod sasl;
pub mod transaction;
