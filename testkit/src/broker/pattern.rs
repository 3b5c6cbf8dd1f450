//! Patterns that brokers evaluate, of topics to read (KIP-848) or transactions to list (KIP-1152):
//! in go a pattern and names, out comes which of them match wholly.
//!
//! Kafka's brokers use RE2, of which this is the syntax as far as clients use it: no look-around
//! and no back-references, and a time that is linear in the name.

use klamm_protocol::code::ErrorCode;
use regex_automata::meta::{Config, Regex};

/// A compiled pattern.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// `INVALID_REGULAR_EXPRESSION` for what is none, or takes too much room.
    pub(crate) fn new(text: &str) -> Result<Self, ErrorCode> {
        // By itself first: with a group around it, `a)(b` would pass.
        build(text)?;
        Ok(Self { text: text.to_owned(), regex: build(&format!("^(?:{text})$"))? })
    }

    /// The pattern as the member wrote it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether a whole name matches.
    pub(crate) fn matches(&self, name: &str) -> bool {
        self.regex.is_match(name)
    }
}

fn build(pattern: &str) -> Result<Regex, ErrorCode> {
    let config = Config::new().nfa_size_limit(Some(MOST_BYTES));
    let built = Regex::builder().configure(config).build(pattern);
    built.map_err(|_| ErrorCode::INVALID_REGULAR_EXPRESSION)
}

/// What a compiled pattern may take.
const MOST_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_match_and_others_do_not() {
        let regex = Pattern::new("a|orders-.*").unwrap();
        let matches = |name| regex.matches(name);
        assert!(matches("a") && matches("orders-") && matches("orders-eu"));
        assert!(!matches("ab") && !matches("my-orders-eu"));
    }

    #[test]
    fn what_re2_does_not_know_is_refused() {
        for pattern in ["(", "a)(b", "(?=a)", "\\1", "a{100000000}"] {
            let code = Pattern::new(pattern).map(|_| ()).unwrap_err();
            assert_eq!(code, ErrorCode::INVALID_REGULAR_EXPRESSION, "{pattern}");
        }
    }
}
