//! What Klamm's tests stand on: a Kafka of our own, real ones, and Kafka's own code as a judge.
//!
//! * [`broker`] is a cluster as a pure machine, on the logs of [`log`]; [`control`] makes it
//!   misbehave, [`door`] puts TCP in front of it, and [`hostile`] a liar between both.
//! * [`apache`] starts real Apache Kafka for a test, [`redpanda`] a container where Docker answers;
//!   [`java`] finds Java, Kafka's jars and their tools. What a machine lacks makes tests skip, as
//!   [`outside`] says.
//! * [`sim`] runs our machines against that cluster in one thread, from a seed, over [`link`]s that
//!   split, delay and cut.
//! * [`oracle`] asks Kafka's Java classes what they make of our bytes, and has them make some.
//! * [`spark`] is Spark's own source and sink, for what has to be the same.
//! * [`kerberos`] is a KDC of MIT's, with a realm of a test's own.
//! * `certificates` (with the feature `tls`) makes authorities and what they sign.
//! * `token_server` (with the feature `tls`) gives out signed tokens by HTTP, as OAUTHBEARER needs them.
//! * [`conformance`] is what every broker must do, written once for all of them.
//!
//! Nothing here uses the client or the connector, so both can be tested with all of it.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

pub mod apache;
pub mod broker;
#[cfg(feature = "tls")]
pub mod certificates;
pub mod conformance;
pub mod control;
pub mod door;
pub mod hostile;
pub mod java;
pub mod kerberos;
pub mod link;
pub mod log;
pub mod oracle;
pub mod outside;
pub mod redpanda;
pub mod sim;
pub mod spark;
#[cfg(feature = "tls")]
pub mod token_server;
