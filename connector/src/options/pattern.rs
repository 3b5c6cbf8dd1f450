//! `subscribePattern`: a Java regular expression over topic names, searched for anywhere in the name.
//!
//! Java's look-around, back references and possessive quantifiers are understood. Since such expressions can take
//! exponential time, a search that goes back too often is an error instead of a wait without end.

use std::fmt;

use fancy_regex::{Regex, RegexBuilder};

use crate::error::{Error, Result};

/// A compiled pattern. Prints as it was given.
#[derive(Clone)]
pub struct TopicPattern {
    text: String,
    regex: Regex,
}

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
        let regex = RegexBuilder::new(&from_java(trimmed))
            .backtrack_limit(BACKTRACK_LIMIT)
            .delegate_size_limit(SIZE_LIMIT)
            .build()
            .map_err(|e| malformed(trimmed, &e))?;
        Ok(Self { text: trimmed.to_owned(), regex })
    }

    /// Whether the pattern is found in `topic`.
    ///
    /// # Errors
    /// `InvalidOption` when the search goes back more than a million times.
    pub fn matches(&self, topic: &str) -> Result<bool> {
        self.regex.is_match(topic).map_err(|e| {
            Error::option(format!(
                "subscribePattern '{self}' takes too long on topic '{topic}': {e}. Write it with fewer nested repetitions"
            ))
        })
    }
}

impl fmt::Display for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for TopicPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TopicPattern({:?})", self.text)
    }
}

impl PartialEq for TopicPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

fn malformed(text: &str, error: &fancy_regex::Error) -> Error {
    // The reason may span lines; an error of ours is one.
    let reason = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
    Error::option(format!("subscribePattern '{text}' is no regular expression: {reason}"))
}

/// Rewrites what Java spells and the engine does not: `\Q…\E` for literal text, and `\h`, which is horizontal space
/// to Java and a hexadecimal digit to the engine.
fn from_java(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut in_class) = (text, false);
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("\\Q") {
            let (literal, after) = after.split_once("\\E").unwrap_or((after, ""));
            out.push_str(&fancy_regex::escape(literal));
            rest = after;
            continue;
        }
        if let Some(after) = rest.strip_prefix("\\h") {
            out.push_str(if in_class { " \\t" } else { "[ \\t]" });
            rest = after;
            continue;
        }
        let len = match c {
            '\\' => c.len_utf8() + rest[1..].chars().next().map_or(0, char::len_utf8),
            _ => c.len_utf8(),
        };
        in_class = (in_class || c == '[') && c != ']';
        out.push_str(&rest[..len]);
        rest = &rest[len..];
    }
    out
}

/// How often a search may go back: milliseconds of work for a name of at most 249 characters.
const BACKTRACK_LIMIT: usize = 1_000_000;
/// How large a compiled pattern may get, in bytes.
const SIZE_LIMIT: usize = 1 << 20;

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
