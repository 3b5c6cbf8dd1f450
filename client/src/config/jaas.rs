//! Login configurations, which Java calls JAAS, as data. In: the text of `sasl.jaas.config`, or of a
//! file of them; out: the module that is named and its options, or what Java says is wrong. No class
//! is ever loaded: a name is only a name.
//!
//! ```text
//! sasl.jaas.config:  module flag key=value … ;
//! a file:            KafkaClient { module flag key=value … ; };
//! ```
//!
//! The two are read by different code in Java, and so here: [`parse`] follows Kafka's `JaasConfig`,
//! [`parse_file`] the `ConfigFile` of the JDK, which knows no single quotes.

mod file;
mod tokens;

use std::error::Error as StdError;
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};
use crate::secret::Secret;

pub use file::{JaasFile, no_client_entry, parse_file};

use tokens::{Token, Tokens};

/// A login module and what it is told. Its options may all be secrets; none is ever printed.
///
/// ```
/// use klamm_client::config::jaas;
///
/// let text = "org.apache.kafka.common.security.scram.ScramLoginModule required \
///             username=\"alice\" password=\"hunter2\";";
/// let module = jaas::parse(text)?;
/// assert!(module.is("ScramLoginModule"));
/// assert_eq!(module.option("password").map(|word| word.reveal()), Some("hunter2"));
/// assert!(!format!("{module:?}").contains("hunter2"));
/// # Ok::<(), jaas::JaasError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct JaasModule {
    class: String,
    flag: ControlFlag,
    options: Vec<(String, Secret)>,
}

/// What Java would do if the login fails; it makes no difference where there is one module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ControlFlag {
    /// `required`
    Required,
    /// `requisite`
    Requisite,
    /// `sufficient`
    Sufficient,
    /// `optional`
    Optional,
}

/// Why a login configuration cannot be used, in Java's words. No value is ever repeated, and no
/// word that may be a piece of one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JaasError {
    /// The text names no module.
    NoModule,
    /// The text ends after the module's name.
    NoFlag,
    /// What follows the module's name is a number or a sign.
    FlagNotAWord,
    /// The flag is none of Java's four. `***` stands for one that may be a piece of a value.
    InvalidFlag(String),
    /// A key is not followed by a value. `***` stands for a key that may be a piece of a value.
    NoValue(String),
    /// The text ends before the module's semicolon.
    NotTerminated,
    /// There is not exactly one module.
    NotOneModule(usize),
    /// A module that makes Java run code from elsewhere.
    NotAllowed(String),
    /// The file, if there is one, has no section of this name.
    NoEntry {
        /// The section.
        name: String,
        /// The file.
        file: Option<String>,
    },
    /// A file is written otherwise.
    File {
        /// The line, from 1.
        line: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// A file ends too early.
    FileEnds {
        /// What should come.
        expected: &'static str,
    },
    /// A section of a file has a second one of its name.
    FileRepeats(String),
    /// A value in a file names a property of Java, which nobody expands here.
    FileExpands {
        /// The line, from 1.
        line: usize,
    },
}

/// Reads `sasl.jaas.config`.
///
/// Of several values for a key the last is taken. A quoted value ends with its line, as in Java.
///
/// # Errors
///
/// Whatever Java refuses, with its words; keys that are no words, which Java takes for null.
pub fn parse(text: &str) -> Result<JaasModule, JaasError> {
    let mut tokens = Tokens::of_an_option(text);
    let (mut first, mut count) = (None, 0);
    while let Some(name) = tokens.next() {
        let module = module(name, &mut tokens, count == 0)?;
        first.get_or_insert(module);
        count += 1;
    }
    let module = first.ok_or(JaasError::NoModule)?;
    if count > 1 {
        return Err(JaasError::NotOneModule(count));
    }
    module.check()?;
    Ok(module)
}

/// A text in double quotes, with escapes where it needs them, as keys and values may stand.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
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

impl JaasModule {
    /// The name of its class, with its package.
    pub fn class(&self) -> &str {
        &self.class
    }

    /// Whether its class has this name, without its package.
    pub fn is(&self, name: &str) -> bool {
        self.class.rsplit('.').next() == Some(name)
    }

    /// What follows the class.
    pub fn flag(&self) -> ControlFlag {
        self.flag
    }

    /// The value of a key, which is spelt exactly so.
    pub fn option(&self, key: &str) -> Option<&Secret> {
        self.options.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// All keys and values, as they stand in the text.
    pub fn options(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.options.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The text for `sasl.jaas.config` that names this module and says the same.
    pub fn text(&self) -> Secret {
        let flag = format!("{:?}", self.flag).to_ascii_lowercase();
        let mut text = format!("{} {flag}", quoted(&self.class));
        for (key, value) in self.options() {
            text.extend([" ", &quoted(key), "=", &quoted(value.reveal())]);
        }
        text.push(';');
        Secret::new(text)
    }

    /// Refuses modules that Kafka refuses.
    fn check(&self) -> Result<(), JaasError> {
        match DISALLOWED.iter().find(|class| **class == self.class.trim()) {
            Some(class) => Err(JaasError::NotAllowed((*class).to_owned())),
            None => Ok(()),
        }
    }
}

/// Reads what follows a module's name. In one that is not the first of its text nothing is sure to be no value.
fn module(
    name: Token<'_>,
    tokens: &mut Tokens<'_>,
    is_first: bool,
) -> Result<JaasModule, JaasError> {
    let flag = tokens.next().ok_or(JaasError::NoFlag)?;
    let flag = flag_of(&flag.into_word().ok_or(JaasError::FlagNotAWord)?, is_first)?;
    let mut options = Vec::new();
    loop {
        let key = match tokens.next() {
            None => return Err(JaasError::NotTerminated),
            Some(Token::Sign(';')) => break,
            Some(token) => token.into_word(),
        };
        let missing = || JaasError::NoValue(shown(key.as_deref(), is_first && options.is_empty()));
        if !matches!(tokens.next(), Some(Token::Sign('='))) {
            return Err(missing());
        }
        let value = tokens.next().and_then(Token::into_secret).ok_or_else(missing)?;
        let key = key.ok_or_else(|| JaasError::NoValue(NULL.to_owned()))?;
        options.push((key, value));
    }
    // Java throws for the name last, without a word.
    let class = name.into_word().filter(|class| !class.is_empty()).ok_or(JaasError::NoModule)?;
    Ok(JaasModule { class, flag, options })
}

/// A key as an error shows it. What follows a value may be a piece of that value, of a password with
/// a space or a quote in it, unless it is a key that modules have.
fn shown(key: Option<&str>, is_first: bool) -> String {
    match key {
        None => NULL.to_owned(),
        Some(key) if is_first || KEYS.contains(&key) => key.to_owned(),
        Some(_) => HIDDEN.to_owned(),
    }
}

/// The flag that a word names. A semicolon in a password begins what looks like another module.
fn flag_of(word: &str, is_first: bool) -> Result<ControlFlag, JaasError> {
    word.parse().map_err(|error| match is_first {
        true => error,
        false => JaasError::InvalidFlag(HIDDEN.to_owned()),
    })
}

impl FromStr for ControlFlag {
    type Err = JaasError;

    fn from_str(text: &str) -> Result<Self, JaasError> {
        match text.to_ascii_lowercase().as_str() {
            "required" => Ok(Self::Required),
            "requisite" => Ok(Self::Requisite),
            "sufficient" => Ok(Self::Sufficient),
            "optional" => Ok(Self::Optional),
            _ => Err(JaasError::InvalidFlag(text.to_owned())),
        }
    }
}

impl fmt::Debug for JaasModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.options().map(|(key, _)| key).collect();
        f.debug_struct("JaasModule")
            .field("class", &self.class)
            .field("flag", &self.flag)
            .field("keys", &keys)
            .finish()
    }
}

impl fmt::Display for JaasError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoModule => f.write_str("Login module not specified in JAAS config"),
            Self::NoFlag => f.write_str("Login module control flag not specified in JAAS config"),
            Self::FlagNotAWord => {
                f.write_str("Login module control flag is not available in the JAAS config")
            }
            Self::InvalidFlag(flag) => {
                write!(f, "Invalid login module control flag '{flag}' in JAAS config")
            }
            Self::NoValue(key) => write!(f, "Value not specified for key '{key}' in JAAS config"),
            Self::NotTerminated => f.write_str("JAAS config entry not terminated by semi-colon"),
            Self::NotOneModule(0) => {
                f.write_str("JAAS config property does not contain any login modules")
            }
            Self::NotOneModule(count) => {
                write!(f, "JAAS config property contains {count} login modules, should be 1 module")
            }
            Self::NotAllowed(class) => write!(f, "{class} is not allowed"),
            Self::NoEntry { name, file } => {
                let file = file.as_deref().unwrap_or("not set");
                write!(f, "Could not find a '{name}' entry in the JAAS configuration. System ")?;
                write!(f, "property 'java.security.auth.login.config' is {file}")
            }
            Self::File { line, expected } => {
                write!(f, "Configuration Error: Line {line}: expected [{expected}]")
            }
            Self::FileEnds { expected } => {
                write!(f, "Configuration Error: expected [{expected}], read [end of file]")
            }
            Self::FileRepeats(name) => {
                write!(f, "Configuration Error: Can not specify multiple entries for {name}")
            }
            Self::FileExpands { line } => write!(
                f,
                "Configuration Error: Line {line}: properties of Java are not expanded here"
            ),
        }
    }
}

impl StdError for JaasError {}

impl From<JaasError> for Error {
    fn from(error: JaasError) -> Self {
        Self::new(ErrorKind::Config, error.to_string())
            .with_hint("write: module required key=\"value\";")
    }
}

/// Modules with which a text could make Java connect anywhere and run what it is sent
/// (CVE-2023-25194).
const DISALLOWED: [&str; 2] = [
    "com.sun.security.auth.module.JndiLoginModule",
    "com.sun.security.auth.module.LdapLoginModule",
];
/// Keys of the modules that come with Kafka and the JDK.
const KEYS: [&str; 13] = [
    "username",
    "password",
    "tokenauth",
    "serviceName",
    "principal",
    "keyTab",
    "useKeyTab",
    "storeKey",
    "useTicketCache",
    "ticketCache",
    "renewTGT",
    "debug",
    "refreshKrb5Config",
];
/// What may be a piece of a password.
const HIDDEN: &str = "***";
/// How Java shows a key that is no word.
const NULL: &str = "null";

#[cfg(test)]
mod tests;
