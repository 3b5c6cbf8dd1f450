//! Tokens that were obtained, by the service they are for.

use std::collections::BTreeMap;

use klamm_client::Secret;

/// A token, as Spark keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelegationToken {
    /// Its id, which is the user name to log in with.
    pub id: String,
    /// Its HMAC in base64, which is the password.
    pub hmac: Secret,
    /// When it expires, in milliseconds since 1970.
    pub expires_ms: i64,
}

/// Tokens by service. What is for other services than Kafka's is kept and never used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenStore {
    tokens: BTreeMap<String, DelegationToken>,
}

impl TokenStore {
    /// Keeps a token, instead of one for the same service if there is one.
    pub fn add(&mut self, service: impl Into<String>, token: DelegationToken) {
        self.tokens.insert(service.into(), token);
    }

    /// The token of a cluster.
    pub fn of_cluster(&self, id: &str) -> Option<&DelegationToken> {
        self.tokens.get(&token_service(id))
    }

    /// The clusters that there are tokens of.
    pub fn clusters(&self) -> impl Iterator<Item = &str> {
        self.tokens.keys().filter_map(|service| service.strip_prefix(SERVICE))
    }
}

/// The service that a cluster's token is for, as Hadoop names it.
pub fn token_service(cluster: &str) -> String {
    format!("{SERVICE}{cluster}")
}

/// What Hadoop calls tokens of this kind.
pub const TOKEN_KIND: &str = "KAFKA_DELEGATION_TOKEN";

const SERVICE: &str = "kafka.server.delegation.token.";
