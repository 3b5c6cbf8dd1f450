//! Delegation tokens as Spark's guide describes them. In: [`TokenSettings`](crate::options::TokenSettings); out: a token
//! from each cluster, and options of a client with which it logs in by the one that matches its brokers.
//!
//! ```text
//!   settings ── obtain_all ──> TokenStore ── apply ──> options of a client
//!      │ admin_options             │ needs_update: is there a newer one?
//!      └── Renewal: when to obtain again       └── connect does all of it, and again
//! ```
//!
//! How a connection logs in: by the login file, if it has an entry for clients; else by the token of the one cluster
//! whose regular expression matches a bootstrap server; else as the client's own options say.

mod admin;
mod apply;
mod connect;
mod file;
mod obtain;
mod redact;
mod renewal;
mod store;

pub use admin::{GlobalLogin, admin_options};
pub use apply::{apply, login_string, matching, needs_update};
pub use connect::connect;
pub use obtain::{Obtained, obtain_all};
pub use redact::{redact, redact_login};
pub use renewal::Renewal;
pub use store::{DelegationToken, TOKEN_KIND, TokenStore, token_service};
