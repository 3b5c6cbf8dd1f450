//! `subscribePattern`: a Java regular expression over topic names, searched for anywhere in the name.

use std::fmt;

use crate::error::{Error, Result};
use crate::regex::JavaRegex;

/// A compiled pattern. Prints as it was given.
#[derive(Clone, PartialEq)]
pub struct TopicPattern(JavaRegex);

impl TopicPattern {
    /// Compiles a Java regular expression; surrounding spaces don't count.
    ///
    /// # Errors
    /// `InvalidOption` when it is empty, malformed, or too large.
    pub fn new(text: &str) -> Result<Self> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Err(Error::option(format!(
                "Pattern to subscribe is empty as specified value for option 'subscribePattern' is '{text}'"
            )));
        }
        JavaRegex::anywhere(trimmed).map(Self).map_err(|reason| {
            Error::option(format!(
                "subscribePattern '{trimmed}' is no regular expression: {reason}"
            ))
        })
    }

    /// Whether the pattern is found in `topic`.
    ///
    /// # Errors
    /// `InvalidOption` when the search goes back more than a million times.
    pub fn matches(&self, topic: &str) -> Result<bool> {
        self.0.matches(topic).map_err(|e| {
            Error::option(format!(
                "subscribePattern '{self}' takes too long on topic '{topic}': {e}. Write it with fewer nested repetitions"
            ))
        })
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicPattern({:?})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pattern: &str, topic: &str) -> bool {
        TopicPattern::new(pattern).unwrap().matches(topic).unwrap()
    }

    #[test]
    fn b036_a_pattern_is_found_anywhere_unless_anchored() {
        assert!(found("orders", "my-orders-v2"));
        assert!(!found("^orders$", "my-orders-v2"));
        assert!(found("p-.*", "p-seems"));
    }

    #[test]
    fn javas_look_around_and_possessive_quantifiers_work() {
        assert!(found("^(?!test-).*", "orders"));
        assert!(!found("^(?!test-).*", "test-orders"));
        assert!(found("a++b", "aaab"));
        assert!(!found("a++ab", "aaab"));
    }

    #[test]
    fn quoted_text_is_literal_and_h_is_no_hex_digit() {
        assert!(found(r"^\Qa.b\E$", "a.b"));
        assert!(!found(r"^\Qa.b\E$", "axb"));
        assert!(!found(r"\h", "abcdef"));
        assert!(!found(r"[\h]", "abcdef"));
        assert!(found(r"\\h", r"\h"));
    }

    #[test]
    fn empty_and_malformed_patterns_are_refused() {
        let error = TopicPattern::new("  ").unwrap_err();
        assert_eq!(
            error.message(),
            "Pattern to subscribe is empty as specified value for option 'subscribePattern' is '  '"
        );
        let error = TopicPattern::new("a(b").unwrap_err();
        assert!(error.message().starts_with("subscribePattern 'a(b' is no regular expression"));
        assert!(!error.message().contains('\n'));
        assert!(TopicPattern::new("(a{1000}){1000}").is_err());
    }

    #[test]
    fn a_search_without_end_is_an_error() {
        let pattern = TopicPattern::new("^(?=(a+)+$)(a|aa)+$").unwrap();
        let topic = format!("{}b", "a".repeat(60));
        let outcome = pattern.matches(&topic);
        assert!(matches!(outcome, Ok(false) | Err(_)));
        let pattern = TopicPattern::new(r"^(a|a\1?)+$(?!x)").unwrap();
        let _ = pattern.matches(&topic);
    }
}
