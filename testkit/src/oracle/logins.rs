//! Login configurations (JAAS) as questions and answers of the Java oracle.
//!
//! In: the text of an option or of a file. Out: the modules that Java finds in it, or its refusal.

use std::collections::BTreeMap;

use super::Java;
use super::ask::{Answer, Question};
use crate::outside::Error;

/// A login module as Java read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginModule {
    /// Its class.
    pub class: String,
    /// Its control flag, in lower case.
    pub flag: String,
    /// Its options; a key that is null is called so.
    pub options: BTreeMap<String, String>,
}

/// The modules, or Java's words.
pub type Logins = Result<Vec<LoginModule>, String>;

impl Java {
    /// Lets Kafka read the text of `sasl.jaas.config`.
    ///
    /// # Errors
    ///
    /// If the program is gone or too slow.
    pub fn login_option(&mut self, text: &str) -> Result<Logins, Error> {
        self.logins(b'l', text)
    }

    /// Lets the JDK read a file, and tell the modules of its entry `KafkaClient`; none if there is
    /// no such entry.
    ///
    /// # Errors
    ///
    /// If the program is gone or too slow.
    pub fn login_file(&mut self, text: &str) -> Result<Logins, Error> {
        self.logins(b'L', text)
    }

    fn logins(&mut self, command: u8, text: &str) -> Result<Logins, Error> {
        let mut question = Question::new(command);
        question.bytes(Some(text.as_bytes()));
        let mut answer = self.ask("reading a login configuration", question)?;
        if !answer.bool()? {
            return Ok(Err(answer.string()?));
        }
        let count = answer.int32()?;
        (0..count).map(|_| module(&mut answer)).collect::<Result<_, _>>().map(Ok)
    }
}

fn module(answer: &mut Answer) -> Result<LoginModule, Error> {
    let (class, flag, count) = (answer.string()?, answer.string()?, answer.int32()?);
    let options = (0..count).map(|_| Ok((answer.string()?, answer.string()?)));
    Ok(LoginModule { class, flag, options: options.collect::<Result<_, Error>>()? })
}
