//! Options as they were given: names without regard to case, the last value of each, and the client's own split off.

use std::collections::BTreeMap;

use super::pairs::Pairs;
use super::table::{LOGIN, OptionRow};
use super::tokens::TokenSettings;
use crate::error::{Error, Result, nearest};

/// What was given, by lower-cased name.
#[derive(Clone, Default)]
pub(super) struct RawOptions {
    values: BTreeMap<String, String>,
    client: BTreeMap<String, String>,
    login: Pairs,
}

impl RawOptions {
    /// Sorts pairs into the connector's and the client's.
    ///
    /// # Errors
    /// A name that neither stands in `known` nor is about logins nor starts with `kafka.`; the nearest known one is
    /// named.
    pub(super) fn from_pairs<N, V>(
        pairs: impl IntoIterator<Item = (N, V)>,
        known: &[OptionRow],
    ) -> Result<Self>
    where
        N: AsRef<str>,
        V: Into<String>,
    {
        let mut raw = Self::default();
        for (name, value) in pairs {
            let lower = name.as_ref().to_lowercase();
            if let Some(key) = lower.strip_prefix(CLIENT_PREFIX) {
                raw.client.insert(key.to_owned(), value.into());
            } else if known.iter().any(|row| row.name.eq_ignore_ascii_case(&lower)) {
                raw.values.insert(lower, value.into());
            } else if TokenSettings::knows(name.as_ref()) {
                raw.login.push((name.as_ref().to_owned(), value.into()));
            } else {
                return Err(unknown(name.as_ref(), known));
            }
        }
        Ok(raw)
    }

    /// The value of the option `name`, spelt in any case.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(&name.to_lowercase()).map(String::as_str)
    }

    /// The value of `name` read by `parse`, or `default`.
    pub(super) fn parsed<T>(
        &self,
        name: &str,
        default: T,
        parse: impl Fn(&str, &str) -> Result<T>,
    ) -> Result<T> {
        self.get(name).map_or(Ok(default), |text| parse(name, text))
    }

    /// The value of `name` read by `parse`, if it was given.
    pub(super) fn optional<T>(
        &self,
        name: &str,
        parse: impl Fn(&str, &str) -> Result<T>,
    ) -> Result<Option<T>> {
        self.get(name).map(|text| parse(name, text)).transpose()
    }

    /// The client's option `key`, without the prefix.
    pub(super) fn client(&self, key: &str) -> Option<&str> {
        self.client.get(key).map(String::as_str)
    }

    /// How to log in.
    ///
    /// # Errors
    /// As [`TokenSettings::from_pairs`].
    pub(super) fn login(&self) -> Result<TokenSettings> {
        TokenSettings::from_pairs(self.login.iter().map(|(name, value)| (name, value.as_str())))
    }

    /// The options about logins, as they were given.
    pub(super) fn login_pairs(&self) -> &Pairs {
        &self.login
    }

    /// All options of the client, without the prefix.
    pub(super) fn into_client(self) -> Vec<(String, String)> {
        self.client.into_iter().collect()
    }
}

/// The refusal of a name that nobody knows.
fn unknown(name: &str, known: &[OptionRow]) -> Error {
    let names = known.iter().chain(LOGIN).map(|row| row.name);
    let common = [BOOTSTRAP];
    let hint = match nearest(name, names.chain(common)) {
        Some(near) => format!("did you mean '{near}'?"),
        None => "options of the Kafka client start with 'kafka.'".to_owned(),
    };
    Error::option(format!("Unknown option '{name}'; {hint}"))
}

/// What the options of the client start with.
const CLIENT_PREFIX: &str = "kafka.";
/// The one option of the client that everybody needs, so that a slip in it is recognised too.
const BOOTSTRAP: &str = "kafka.bootstrap.servers";
