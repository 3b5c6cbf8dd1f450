//! Keys and certificates. In: the `ssl.*` options, and the files that they name; out: what a
//! handshake needs, read again when a file changes, and one clear error for each thing that can be
//! wrong with it.
//!
//! ```text
//!  options ── files ──> [store] ── certificates, key ──> [keyring] ──> a handshake
//!                       pem jks pkcs12                   read again when a file changes
//! ```
//!
//! Nothing here opens a connection; [`crate::net::tls`] does.

mod der;
mod failure;
mod jks;
mod keyring;
mod material;
mod pbe;
mod pem;
mod pkcs12;
mod provider;
pub mod store;

pub use failure::TlsFailure;
pub(crate) use failure::{failure_of, in_words};
pub(crate) use keyring::Keyring;

#[cfg(test)]
mod tests;
