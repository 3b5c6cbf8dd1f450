//! The words of a login configuration. In: a text; out: words, quoted texts and signs, cut where
//! `java.io.StreamTokenizer` cuts them, set as Kafka or the JDK sets it.

use crate::secret::Secret;

/// One piece of the text.
pub(super) enum Token<'a> {
    /// A bare word.
    Word(&'a str),
    /// What stood in quotes of either kind, without them and their escapes.
    Quoted(Secret),
    /// A number, which counts as no word.
    Number,
    /// Any other character.
    Sign(char),
}

impl Token<'_> {
    /// Its text, if it is one that need not be kept secret.
    pub(super) fn into_word(self) -> Option<String> {
        match self {
            Self::Word(word) => Some(word.to_owned()),
            Self::Quoted(text) => Some(text.reveal().to_owned()),
            Self::Number | Self::Sign(_) => None,
        }
    }

    /// Its text as a secret.
    pub(super) fn into_secret(self) -> Option<Secret> {
        match self {
            Self::Word(word) => Some(Secret::from(word)),
            Self::Quoted(text) => Some(text),
            Self::Number | Self::Sign(_) => None,
        }
    }
}

/// Cuts a text.
pub(super) struct Tokens<'a> {
    text: &'a str,
    rest: &'a str,
    /// What words may contain beside letters, digits and dots.
    joins: &'static str,
    /// Whether single quotes quote.
    single: bool,
}

impl<'a> Tokens<'a> {
    /// As Kafka reads `sasl.jaas.config`.
    pub(super) fn of_an_option(text: &'a str) -> Self {
        Self { text, rest: text, joins: "-_$", single: true }
    }

    /// As the JDK reads a file.
    pub(super) fn of_a_file(text: &'a str) -> Self {
        Self { text, rest: text, joins: "-_$*", single: false }
    }

    /// The line that is being read, from 1.
    pub(super) fn line(&self) -> usize {
        let read = self.text.len() - self.rest.len();
        self.text.as_bytes()[..read].iter().filter(|byte| **byte == b'\n').count() + 1
    }

    fn skip(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches(|c| c <= ' ');
            let Some(comment) = self.rest.strip_prefix('/') else { return };
            self.rest = match comment.strip_prefix('*') {
                Some(body) => body.split_once("*/").map_or("", |(_, rest)| rest),
                // One slash is enough, as in Java, where its end is looked for after another character.
                None => {
                    let ends = |&(at, c): &(usize, char)| at > 0 && matches!(c, '\n' | '\r');
                    comment.char_indices().find(ends).map_or("", |(at, _)| &comment[at..])
                }
            };
        }
    }

    fn number(&mut self) -> Token<'a> {
        let digits = self.rest.strip_prefix('-').unwrap_or(self.rest);
        if digits.len() < self.rest.len() && !digits.starts_with(is_numeric) {
            self.rest = digits;
            return Token::Sign('-');
        }
        let mut has_dot = false;
        self.rest = digits.trim_start_matches(|c: char| {
            let goes_on = c.is_ascii_digit() || c == '.' && !has_dot;
            has_dot |= c == '.';
            goes_on
        });
        Token::Number
    }

    fn word(&mut self) -> Token<'a> {
        let goes_on = |c: char| is_letter(c) || is_numeric(c) || self.joins.contains(c);
        let end = self.rest.find(|c| !goes_on(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Token::Word(word)
    }

    fn quoted(&mut self, quote: char, body: &'a str) -> Token<'a> {
        let mut escaped = false;
        let end = body.find(|c| {
            let ends = !escaped && (c == quote || c == '\n' || c == '\r');
            escaped = !escaped && c == '\\';
            ends
        });
        let (raw, after) = body.split_at(end.unwrap_or(body.len()));
        self.rest = after.strip_prefix(quote).unwrap_or(after);
        Token::Quoted(unescaped(raw))
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip();
        let first = self.rest.chars().next()?;
        let after = &self.rest[first.len_utf8()..];
        Some(match first {
            '-' => self.number(),
            _ if is_numeric(first) => self.number(),
            '"' => self.quoted(first, after),
            '\'' if self.single => self.quoted(first, after),
            _ if is_letter(first) || self.joins.contains(first) => self.word(),
            _ => {
                self.rest = after;
                Token::Sign(first)
            }
        })
    }
}

/// What a word begins with: of the first 256 characters those that are letters to Java, and all
/// others.
fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic() || c >= '\u{a0}'
}

fn is_numeric(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

/// Takes the escapes away, those of C and Java.
fn unescaped(raw: &str) -> Secret {
    // Never longer than with its escapes, so that no copy is left behind by growing.
    let mut text = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        let escape = if c == '\\' { chars.next() } else { None };
        text.push(match escape {
            None => c,
            Some(first @ '0'..='7') => {
                let mut code = octal(first);
                // \377, but not \477.
                for _ in 0..if first <= '3' { 2 } else { 1 } {
                    let Some(next) = chars.next_if(|c| matches!(c, '0'..='7')) else { break };
                    code = code * 8 + octal(next);
                }
                char::from(code)
            }
            Some('a') => '\u{7}',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('v') => '\u{b}',
            Some(other) => other,
        });
    }
    Secret::new(text)
}

/// The value of an octal digit.
fn octal(digit: char) -> u8 {
    digit as u8 & 7
}
