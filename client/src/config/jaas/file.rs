//! Files of login configurations. In: a file's text; out: its sections, of which clients use the one
//! called `KafkaClient`.

use std::collections::BTreeMap;
use std::fmt;

use super::tokens::{Token, Tokens};
use super::{JaasError, JaasModule, flag_of};

/// The sections of a file.
#[derive(Clone, PartialEq, Eq)]
pub struct JaasFile {
    sections: BTreeMap<String, Vec<JaasModule>>,
}

/// Reads a file as the JDK does, except that `${…}` is refused: nothing is taken from outside.
///
/// ```
/// use klamm_client::config::jaas;
///
/// let file = jaas::parse_file(
///     "KafkaClient {
///          org.apache.kafka.common.security.plain.PlainLoginModule required
///          username=\"alice\"
///          password=\"hunter2\";
///      };",
/// )?;
/// assert!(file.client(None)?.is("PlainLoginModule"));
/// # Ok::<(), jaas::JaasError>(())
/// ```
///
/// # Errors
///
/// The line that is written otherwise, and what should stand there.
pub fn parse_file(text: &str) -> Result<JaasFile, JaasError> {
    let mut reader = Reader::new(text);
    let mut sections = BTreeMap::new();
    while let Some(name) = reader.section_name()? {
        let modules = reader.section()?;
        if sections.contains_key(&name) {
            return Err(JaasError::FileRepeats(name));
        }
        sections.insert(name, modules);
    }
    Ok(JaasFile { sections })
}

impl JaasFile {
    /// Whether there is a section with this name.
    pub fn has(&self, section: &str) -> bool {
        self.sections.contains_key(section)
    }

    /// Whether clients of Kafka have a section.
    pub fn has_client(&self) -> bool {
        self.has(CLIENT)
    }

    /// The module by which a client of Kafka logs in; `path` is where the file lies, for the error.
    ///
    /// # Errors
    ///
    /// No such section, not exactly one module in it, a module that is not allowed.
    pub fn client(&self, path: Option<&str>) -> Result<&JaasModule, JaasError> {
        let modules = self.sections.get(CLIENT).ok_or_else(|| no_client_entry(path))?;
        match &modules[..] {
            [module] => module.check().map(|()| module),
            _ => Err(JaasError::NotOneModule(modules.len())),
        }
    }
}

/// The error of who has neither `sasl.jaas.config` nor a section in a file, which lies at `path` if
/// there is one.
pub fn no_client_entry(path: Option<&str>) -> JaasError {
    JaasError::NoEntry { name: CLIENT.to_owned(), file: path.map(str::to_owned) }
}

impl fmt::Debug for JaasFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.sections.keys()).finish()
    }
}

/// The tokens, and the one that comes next.
struct Reader<'a> {
    tokens: Tokens<'a>,
    next: Option<Token<'a>>,
    /// How many modules were read.
    modules: usize,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        let mut tokens = Tokens::of_a_file(text);
        let next = tokens.next();
        Self { tokens, next, modules: 0 }
    }

    /// Takes the next token.
    fn take(&mut self) -> Option<Token<'a>> {
        std::mem::replace(&mut self.next, self.tokens.next())
    }

    fn section_name(&mut self) -> Result<Option<String>, JaasError> {
        if self.next.is_none() { Ok(None) } else { self.word("section name").map(Some) }
    }

    fn section(&mut self) -> Result<Vec<JaasModule>, JaasError> {
        self.sign('{', "{")?;
        let mut modules = Vec::new();
        while !self.is_next('}') {
            modules.push(self.module()?);
        }
        self.sign('}', "}")?;
        self.sign(';', ";")?;
        Ok(modules)
    }

    fn module(&mut self) -> Result<JaasModule, JaasError> {
        let class = self.word("module class name")?;
        let flag = flag_of(&self.word("controlFlag")?, self.modules == 0)?;
        self.modules += 1;
        let mut options = Vec::new();
        while !self.is_next(';') {
            let key = self.word("option key")?;
            self.sign('=', "=")?;
            let line = self.tokens.line();
            let value = match self.take() {
                None => return Err(JaasError::FileEnds { expected: "option value" }),
                Some(token) => token.into_secret(),
            };
            let value = value.ok_or(JaasError::File { line, expected: "option value" })?;
            if value.reveal().contains("${") {
                return Err(JaasError::FileExpands { line });
            }
            options.push((key, value));
        }
        self.take();
        Ok(JaasModule { class, flag, options })
    }

    fn is_next(&self, sign: char) -> bool {
        matches!(self.next, Some(Token::Sign(next)) if next == sign)
    }

    fn word(&mut self, expected: &'static str) -> Result<String, JaasError> {
        let line = self.tokens.line();
        let token = self.take().ok_or(JaasError::FileEnds { expected })?;
        token.into_word().filter(|word| !word.is_empty()).ok_or(JaasError::File { line, expected })
    }

    fn sign(&mut self, sign: char, expected: &'static str) -> Result<(), JaasError> {
        let line = self.tokens.line();
        match self.take() {
            None => Err(JaasError::FileEnds { expected }),
            Some(Token::Sign(found)) if found == sign => Ok(()),
            Some(_) => Err(JaasError::File { line, expected }),
        }
    }
}

/// The section of clients.
const CLIENT: &str = "KafkaClient";
