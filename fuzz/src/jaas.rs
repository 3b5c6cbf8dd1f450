//! Login configurations: any text in, a module and its options out, or why not.
//!
//! Invariant: an option's text or a file's, nothing panics, and at most [`PER_BYTE`] bytes of memory
//! are taken for each byte. What is read reads again alike when it is written with quotes, and what
//! is printed of a module shows no value.

use std::fmt::Write as _;

use klamm_client::config::jaas::{JaasModule, parse, parse_file};

use crate::allocation::bounded;

/// Panics unless the invariant holds for `input`.
pub fn property(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(module) = bounded(text.len(), PER_BYTE, || parse(&text)) {
        reads_again(&module);
    }
    if let Ok(file) = bounded(text.len(), PER_BYTE, || parse_file(&text)) {
        assert_eq!(file.client(None).is_ok(), file.client(Some("path")).is_ok());
    }
}

fn reads_again(module: &JaasModule) {
    let mut text = format!("{} {:?}", quoted(module.class()), module.flag());
    for (key, value) in module.options() {
        write!(text, " {}={}", quoted(key), quoted(value.reveal())).expect("memory");
    }
    text.push(';');
    assert!(parse(&text).as_ref() == Ok(module), "read otherwise");
}

/// The text in quotes, with escapes where it needs them.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '"' | '\\' => quoted.extend(['\\', c]),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The worst is an option of two letters, `a=b`, which takes two strings and a place for them.
pub const PER_BYTE: usize = 96;
