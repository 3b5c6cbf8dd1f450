//! Options from typed setters. The setters themselves are made from the rows of [`super::table`]; a setter only
//! writes down the text that the option would have, so strings and types are checked by the same code.

use super::pairs::Pairs;

/// Builds [`SourceOptions`](super::SourceOptions); what was set is checked by [`SourceOptionsBuilder::build`].
///
/// ```
/// use klamm_connector::options::{ReadMode, SourceOptions};
///
/// let options = SourceOptions::builder()
///     .with_client("bootstrap.servers", "localhost:9092")
///     .with_subscribe(&["orders", "payments"])
///     .with_include_headers(true)
///     .build(ReadMode::Batch)?;
/// assert!(options.include_headers());
/// # Ok::<(), klamm_connector::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct SourceOptionsBuilder {
    pairs: Pairs,
}

impl SourceOptionsBuilder {
    /// Sets an option by its name, `kafka.` ones included; a later value of the same name wins.
    #[must_use]
    pub fn with_option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.pairs.push((name.into(), value.into()));
        self
    }

    /// Sets an option of the client, named without the prefix `kafka.`.
    #[must_use]
    pub fn with_client(self, key: &str, value: impl Into<String>) -> Self {
        self.with_option(format!("kafka.{key}"), value)
    }

    pub(super) fn into_pairs(self) -> Vec<(String, String)> {
        self.pairs.0
    }
}

/// Builds [`SinkOptions`](super::SinkOptions); what was set is checked by [`SinkOptionsBuilder::build`].
#[derive(Clone, Debug, Default)]
pub struct SinkOptionsBuilder {
    pairs: Pairs,
}

impl SinkOptionsBuilder {
    /// Sets an option by its name, `kafka.` ones included; a later value of the same name wins.
    #[must_use]
    pub fn with_option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.pairs.push((name.into(), value.into()));
        self
    }

    /// Sets an option of the client, named without the prefix `kafka.`.
    #[must_use]
    pub fn with_client(self, key: &str, value: impl Into<String>) -> Self {
        self.with_option(format!("kafka.{key}"), value)
    }

    pub(super) fn into_pairs(self) -> Vec<(String, String)> {
        self.pairs.0
    }
}
