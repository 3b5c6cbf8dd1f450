//! What a group's consumer wants to read: topics by name, or all whose names match.

use std::collections::BTreeSet;

use regex_automata::meta::Regex;

use crate::error::{Error, ErrorKind, Result};

/// What is to be read.
#[derive(Clone, Debug)]
pub(in crate::consumer) enum Interest {
    Topics(BTreeSet<String>),
    Pattern(Pattern),
}

/// A regular expression for whole names of topics.
#[derive(Clone, Debug)]
pub(in crate::consumer) struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// Reads a pattern in the syntax that Rust's regex and RE2, which brokers use, have in common.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Usage`] if it is none.
    pub(in crate::consumer) fn new(text: &str) -> Result<Self> {
        let regex = Regex::new(&format!("^(?:{text})$")).map_err(|error| {
            Error::new(ErrorKind::Usage, "a pattern for topics cannot be read")
                .with("pattern", text)
                .with(
                    "detail",
                    error.syntax_error().map_or_else(|| error.to_string(), |e| e.to_string()),
                )
                .with_hint("write a regular expression without look-around or back references")
                .with_source(error)
        })?;
        Ok(Self { text: text.to_owned(), regex })
    }

    /// The pattern as it was written.
    pub(in crate::consumer) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a topic's whole name matches.
    pub(in crate::consumer) fn matches(&self, topic: &str) -> bool {
        self.regex.is_match(topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_whole_names() {
        let pattern = Pattern::new("a|b-\\d+").unwrap();
        let matching: Vec<_> = ["a", "aa", "b-7", "b-", "xb-7"]
            .into_iter()
            .filter(|name| pattern.matches(name))
            .collect();
        assert_eq!(matching, ["a", "b-7"]);
        let error = Pattern::new("(").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
    }
}
