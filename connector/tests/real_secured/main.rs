//! The connector against a real Apache Kafka that lets nobody in without a login: which rights a source needs, and a
//! query that goes on while its logins, tokens and certificates end under it and are replaced.

mod ground;
mod renewal;
mod rights;
