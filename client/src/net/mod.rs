//! Byte streams to brokers. [`dial`] opens them and knows nothing of Kafka, [`tls`]
//! encrypts them; `driver` is the only
//! loop that owns one, and `login` tells a broker over it who this client is; [`handle`] is how the rest of the client asks a broker something, and
//! [`counters`] is what can be seen of that.

pub mod counters;
pub mod dial;
pub(crate) mod driver;
pub mod handle;
pub(crate) mod line;
pub(crate) mod login;
pub(crate) mod probe;
pub(crate) mod releases;
pub(crate) mod talk;
pub mod tls;

#[cfg(test)]
pub(crate) mod peer;
#[cfg(test)]
mod tests;
