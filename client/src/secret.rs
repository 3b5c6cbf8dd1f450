//! Passwords and keys. In: a text; out: the same text to who asks for it by name, stars to everybody
//! else, and nothing once it is dropped.

use std::fmt;

use zeroize::Zeroizing;

use crate::keys::OptionValue;

/// A text that no log, error or debugger's window shows, and that is wiped from memory when it is
/// dropped.
///
/// ```
/// use klamm_client::Secret;
///
/// let password = Secret::from("hunter2");
/// assert_eq!(format!("{password} {password:?}"), "*** ***");
/// assert_eq!(password.reveal(), "hunter2");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Keeps a text from now on. Copies that the caller made before are the caller's to wipe.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl OptionValue for Option<Secret> {
    const FORM: &'static str = "a secret text";

    fn parse(text: &str) -> Option<Self> {
        Some(Some(Secret::from(text)))
    }

    /// Stars, which nobody reads back: a secret has no default.
    fn show(&self) -> String {
        self.as_ref().map(|_| HIDDEN.to_owned()).unwrap_or_default()
    }
}

const HIDDEN: &str = "***";
