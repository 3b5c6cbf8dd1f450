//! Kinds that Kafka numbers. In: a number from the wire, or a word from a person; out: a variant
//! with its number and its word, in Kafka's spelling. Numbers that are newer than this client are
//! kept as they are.

/// One table a kind: number, variant, word.
macro_rules! kinds {
    ($(#[$about:meta])* $kind:ident ($what:literal) { $($(#[$doc:meta])* $code:literal $name:ident $word:literal;)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $kind {
            $($(#[$doc])* $name,)*
            /// One that is newer than this client, by its number.
            Unknown(i8),
        }

        impl $kind {
            /// All that have a name here.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Kafka's word for it; `unknown` for one without.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                    Self::Unknown(_) => "unknown",
                }
            }

            /// Its number on the wire.
            #[allow(dead_code, reason = "some kinds are only told, some only asked")]
            pub(super) fn to_wire(self) -> i8 {
                match self {
                    $(Self::$name => $code,)*
                    Self::Unknown(code) => code,
                }
            }

            #[allow(dead_code, reason = "some kinds are only told, some only asked")]
            pub(super) fn of_wire(code: i8) -> Self {
                match code {
                    $($code => Self::$name,)*
                    code => Self::Unknown(code),
                }
            }
        }

        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    Self::Unknown(code) => write!(f, "unknown ({code})"),
                    known => f.pad(known.name()),
                }
            }
        }

        /// Reads the word, whatever its case.
        impl std::str::FromStr for $kind {
            type Err = $crate::error::Error;

            fn from_str(word: &str) -> $crate::error::Result<Self> {
                let known = Self::ALL.iter().find(|known| known.name().eq_ignore_ascii_case(word));
                known.copied().ok_or_else(|| $crate::admin::kinds::no_kind($what, word, &[$($word),*]))
            }
        }
    };
}

/// The error for a word that names nothing.
pub(super) fn no_kind(what: &'static str, word: &str, words: &[&str]) -> crate::error::Error {
    crate::error::Error::new(crate::error::ErrorKind::Usage, "a word names no kind that there is")
        .with(what, word)
        .with_hint(format!("use one of {}", words.join(", ")))
}

/// Kinds that Kafka names by words: variant, word. Words that are newer than this client are kept.
macro_rules! words {
    ($(#[$about:meta])* $kind:ident { $($(#[$doc:meta])* $name:ident $word:literal;)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $kind {
            $($(#[$doc])* $name,)*
            /// One that is newer than this client, by its word.
            Other(String),
        }

        impl $kind {
            /// Kafka's word for it.
            pub fn name(&self) -> &str {
                match self {
                    $(Self::$name => $word,)*
                    Self::Other(word) => word,
                }
            }
        }

        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }

        /// Understands the word, whatever its case.
        impl From<&str> for $kind {
            fn from(word: &str) -> Self {
                match word {
                    $(known if known.eq_ignore_ascii_case($word) => Self::$name,)*
                    other => Self::Other(other.to_owned()),
                }
            }
        }
    };
}

pub(super) use {kinds, words};
