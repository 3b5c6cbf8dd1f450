//! Bearer tokens from this machine. In: a file that somebody keeps fresh, or nothing at all; out:
//! the token of now.

use std::fs::File;
use std::io::Read;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::spawn_blocking;

use crate::credentials::{CredentialSource, Credentials, Obtaining};
use crate::error::{Error, ErrorKind, Result};
use crate::jwt;
use crate::secret::Secret;

/// A token in a file, read each time: whoever writes it should put a whole new file in its place.
#[derive(Debug)]
pub(super) struct FileToken {
    pub(super) path: String,
    pub(super) extensions: Vec<(String, String)>,
}

impl CredentialSource for FileToken {
    fn credentials(&self) -> Obtaining<'_> {
        Box::pin(async move {
            let path = self.path.clone();
            let read = spawn_blocking(move || read(&path)).await;
            let token = read.map_err(|lost| {
                Error::new(ErrorKind::Internal, "reading a token broke off").with_source(lost)
            })??;
            Ok(Credentials::bearer(token, self.extensions.clone()))
        })
    }
}

fn read(path: &str) -> Result<Secret> {
    let unusable = |detail: String| {
        Error::new(ErrorKind::Config, "the token's file cannot be used")
            .with("file", path)
            .with("detail", detail)
            .with_hint("write the token, and nothing else, into it")
    };
    let file = File::open(path).map_err(|error| unusable(error.to_string()))?;
    let mut text = zeroize::Zeroizing::new(String::new());
    let mut within = file.take(LARGEST + 1);
    within.read_to_string(&mut text).map_err(|error| unusable(error.to_string()))?;
    match text.trim() {
        "" => Err(unusable("it is empty".to_owned())),
        _ if text.len() as u64 > LARGEST => Err(unusable("it is too large".to_owned())),
        token => Ok(Secret::from(token)),
    }
}

/// Tokens that nobody signs. Brokers take them only where they are set up for tests.
#[derive(Debug)]
pub(super) struct Unsecured {
    pub(super) claims: Vec<(String, String)>,
    pub(super) lifetime: u64,
    pub(super) extensions: Vec<(String, String)>,
}

impl CredentialSource for Unsecured {
    fn credentials(&self) -> Obtaining<'_> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let texts = self.claims.iter().map(|(name, value)| (name.clone(), value.clone().into()));
        let mut claims: serde_json::Map<_, serde_json::Value> = texts.collect();
        claims.insert("iat".to_owned(), now.into());
        claims.insert("exp".to_owned(), now.saturating_add(self.lifetime).into());
        let token = jwt::unsecured(&claims.into());
        let credentials = Credentials::bearer(token, self.extensions.clone());
        Box::pin(async move { Ok(credentials) })
    }
}

/// A token has to fit into a frame with which one logs in, and brokers take less than this.
const LARGEST: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_read_again_each_time() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("token");
        let source = FileToken { path: path.display().to_string(), extensions: Vec::new() };
        for (text, token) in [("one", Some("one")), ("two\n", Some("two")), (" \n", None)] {
            std::fs::write(&path, text).expect("a file");
            let read = source.credentials().await;
            assert_eq!(read.ok().as_ref().and_then(|one| one.secret()).map(Secret::reveal), token);
        }
        std::fs::write(&path, vec![b'x'; 70_000]).expect("a file");
        let error = source.credentials().await.expect_err("too large");
        assert!(error.to_string().contains("too large"), "{error}");
        std::fs::remove_file(&path).expect("it is there");
        let error = source.credentials().await.expect_err("gone");
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    }

    #[tokio::test]
    async fn an_unsecured_token_says_who_and_until_when() {
        let claims = vec![("sub".to_owned(), "alice".to_owned())];
        let source = Unsecured { claims, lifetime: 60, extensions: Vec::new() };
        let credentials = source.credentials().await.expect("made here");
        let token = credentials.secret().expect("a token").reveal();
        let expiry = jwt::expiry(token).expect("it has one");
        assert!(expiry > SystemTime::now() && token.ends_with('.'));
    }
}
