//! Options as text that nobody prints by accident. In: names and values, passwords among them; out: the same, except
//! for who prints them for debugging, who sees the names.

use std::fmt;
use std::ops::{Deref, DerefMut};

/// Names and values.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Pairs(pub(crate) Vec<(String, String)>);

impl Deref for Pairs {
    type Target = Vec<(String, String)>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Pairs {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl fmt::Debug for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use crate::options::{ReadMode, SinkOptions, SourceOptions};

    #[test]
    fn passwords_among_options_are_not_printed() {
        let source = SourceOptions::builder()
            .with_client("bootstrap.servers", "a:1")
            .with_client("ssl.key.password", "hunter2")
            .with_option("subscribe", "t");
        let sink = SinkOptions::builder()
            .with_client("bootstrap.servers", "a:1")
            .with_client("ssl.key.password", "hunter2");
        let mut printed = format!("{source:?} {sink:?}");
        printed += &format!("{:?}", source.build(ReadMode::Batch).expect("options"));
        printed += &format!("{:?}", sink.build().expect("options"));
        assert!(printed.contains("ssl.key.password") && !printed.contains("hunter2"), "{printed}");
    }
}
