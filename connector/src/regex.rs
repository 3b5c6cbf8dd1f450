//! Java's regular expressions. In: a pattern as Java's users write it; out: one that answers, within a bounded time.
//!
//! Java's look-around, back references and possessive quantifiers are understood. Since such expressions can take
//! exponential time, a search that goes back too often is an error instead of a wait without end.

use std::fmt;

use fancy_regex::{Regex, RegexBuilder};

/// A compiled pattern. Prints as it was given.
#[derive(Clone)]
pub(crate) struct JavaRegex {
    text: String,
    regex: Regex,
}

impl JavaRegex {
    /// Compiles a pattern that may be found anywhere; the error is the reason, in one line.
    pub(crate) fn anywhere(text: &str) -> Result<Self, String> {
        Self::compiled(text, &from_java(text))
    }

    /// Compiles a pattern that has to match a whole text.
    pub(crate) fn whole(text: &str) -> Result<Self, String> {
        // First alone, since a bracket too many would be balanced by the ones around it.
        Self::anywhere(text)?;
        Self::compiled(text, &format!("^(?:{})$", from_java(text)))
    }

    fn compiled(text: &str, translated: &str) -> Result<Self, String> {
        let regex = RegexBuilder::new(translated)
            .backtrack_limit(BACKTRACK_LIMIT)
            .delegate_size_limit(SIZE_LIMIT)
            .build()
            .map_err(|error| one_line(&error))?;
        Ok(Self { text: text.to_owned(), regex })
    }

    /// Whether the pattern is found; the error is the reason why that takes too long.
    pub(crate) fn matches(&self, text: &str) -> Result<bool, String> {
        self.regex.is_match(text).map_err(|error| one_line(&error))
    }
}

impl fmt::Display for JavaRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for JavaRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl PartialEq for JavaRegex {
    fn eq(&self, other: &Self) -> bool {
        self.regex.as_str() == other.regex.as_str()
    }
}

/// The reason may span lines; an error of ours is one.
fn one_line(error: &fancy_regex::Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
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
