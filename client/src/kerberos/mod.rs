//! Kerberos 5, as far as a client of brokers needs it (RFC 4120, RFC 4121). In: keys from files,
//! bytes from KDCs and brokers; out: what to ask a KDC, tickets, and this side of a login by GSSAPI.
//! Everything here is a pure function or a pure machine; `login` asks over the network.
//!
//! ```text
//! keytab ──key──> [ as_request / as_reply ] ──> ticket for the KDC's ticket service
//! cache ─────────────────────────────────────> the same
//!                 [ tgs_request / tgs_reply ] ─> ticket for kafka/host@REALM ──> [ Gssapi ] <── broker
//! ```
//!
//! Nobody is believed: an answer has to carry the nonce and the names of its question inside what
//! only the KDC can encrypt, and a broker has to prove that it could read the ticket. Encryption is
//! AES alone (RFC 3962, RFC 8009); DES and RC4 are not there.

pub mod ccache;
pub mod conf;
pub(crate) mod crypto;
mod der;
mod error;
pub mod gss;
pub mod keytab;
pub mod messages;
mod principal;
mod time;

pub use crypto::{Etype, Key};
pub use error::KerberosError;
pub use principal::Principal;
