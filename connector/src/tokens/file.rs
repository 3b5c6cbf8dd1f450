//! A file of login configurations: its path in, its sections out.

use std::fs::File;
use std::io::Read as _;

use klamm_client::Secret;
use klamm_client::config::jaas::{self, JaasFile};
use tokio::task::spawn_blocking;

use super::apply::{LOGIN, PROTOCOL, has_login};
use crate::error::{Error, ErrorKind, Result};
use crate::options::TokenSettings;

/// A file with a login for clients.
pub(super) struct LoginFile {
    path: String,
    file: JaasFile,
}

impl LoginFile {
    /// The file that is named, if one is, and if it has an entry for clients.
    ///
    /// # Errors
    /// `InvalidOption` for a file that cannot be used.
    pub(super) async fn of(settings: &TokenSettings) -> Result<Option<Self>> {
        let Some(path) = settings.login_file.clone() else { return Ok(None) };
        // A file may be on a disk that is slow or gone.
        let (path, file) = spawn_blocking(move || read(&path).map(|file| (path, file)))
            .await
            .map_err(|lost| {
                Error::new(ErrorKind::Internal, "reading the login file broke off")
                    .with_source(lost)
            })??;
        Ok(file.has_client().then_some(Self { path, file }))
    }

    /// Adds the login to the options of a client that needs one and has none of its own, which is stronger, as in Java.
    ///
    /// # Errors
    /// `InvalidOption` for an entry that is not one module, or one that Java refuses.
    pub(super) fn add_to(&self, options: &mut Vec<(String, Secret)>) -> Result<()> {
        let value = |name: &str| options.iter().rev().find(|(known, _)| known == name);
        let needs = value(PROTOCOL).is_some_and(|(_, protocol)| has_login(protocol.reveal()));
        if needs && value(LOGIN).is_none() {
            let module = self.file.client(Some(&self.path)).map_err(klamm_client::Error::from)?;
            options.push((LOGIN.to_owned(), module.text()));
        }
        Ok(())
    }
}

/// Reads the file. One that everybody may read is warned about: it holds passwords.
fn read(path: &str) -> Result<JaasFile> {
    let refused = |reason: &dyn std::fmt::Display| {
        Error::option(format!(
            "The login file '{path}' (java.security.auth.login.config) cannot be used: {reason}"
        ))
    };
    let file = File::open(path).map_err(|error| refused(&error))?;
    warn_if_open(path, &file);
    let mut text = String::new();
    let read = file.take(LONGEST + 1).read_to_string(&mut text);
    let text = Secret::new(text);
    if read.map_err(|error| refused(&error))? as u64 > LONGEST {
        return Err(refused(&"it is longer than 1 MiB"));
    }
    jaas::parse_file(text.reveal()).map_err(|error| refused(&error))
}

#[cfg(unix)]
fn warn_if_open(path: &str, file: &File) {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = file.metadata().map(|facts| facts.permissions().mode()).unwrap_or_default();
    if mode & 0o044 != 0 {
        tracing::warn!("the login file '{path}' can be read by others; chmod 600 it");
    }
}

#[cfg(not(unix))]
fn warn_if_open(_: &str, _: &File) {}

const LONGEST: u64 = 1 << 20;
