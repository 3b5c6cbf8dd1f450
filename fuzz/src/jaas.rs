//! Login configurations: any text in, a module and its options out, or why not.
//!
//! Invariant: an option's text or a file's, nothing panics, and at most [`PER_BYTE`] bytes of memory
//! are taken for each byte. What is read reads again alike when it is written with quotes.

use klamm_client::config::jaas::{parse, parse_file};

use crate::allocation::bounded;

/// Panics unless the invariant holds for `input`.
pub fn property(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(module) = bounded(text.len(), PER_BYTE, || parse(&text)) {
        assert!(parse(module.text().reveal()) == Ok(module), "read otherwise");
    }
    if let Ok(file) = bounded(text.len(), PER_BYTE, || parse_file(&text)) {
        assert_eq!(file.client(None).is_ok(), file.client(Some("path")).is_ok());
    }
}

/// The worst is an option of two letters, `a=b`, which takes two strings and a place for them.
pub const PER_BYTE: usize = 96;
