//! The broker's side of SCRAM (RFC 5802). In: a client's two messages; out: the broker's two, and who
//! the client is. Written for itself and not from the client's side, so that the two check each other.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use klamm_protocol::session::sasl::ScramHash;

/// What a login is checked against.
#[derive(Debug)]
pub(super) struct Entry {
    /// Who it is that logs in.
    pub(super) owner: String,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u32,
    pub(super) salted: Vec<u8>,
    /// For how long at most.
    pub(super) lifetime: Option<Duration>,
}

/// A login of which the first half is over.
#[derive(Debug)]
pub(super) struct Dialogue {
    hash: ScramHash,
    entry: Entry,
    nonce: String,
    /// Both first messages, with the comma between.
    said: String,
}

impl Entry {
    /// With a salt that is always the same.
    pub(super) fn of_password(
        hash: ScramHash,
        owner: String,
        password: &str,
        lifetime: Option<Duration>,
    ) -> Option<Self> {
        let (salt, iterations) = (b"a salt".to_vec(), 4_096);
        let salted = hash.salted(password.as_bytes(), &salt, iterations).ok()?.to_vec();
        Some(Self { owner, salt, iterations, salted, lifetime })
    }
}

impl Dialogue {
    /// Answers the client's first message; `None` for a user that is not known.
    pub(super) fn begin(
        hash: ScramHash,
        words: &str,
        nonce: &str,
        entry: impl FnOnce(&str, bool) -> Option<Entry>,
    ) -> Option<(Self, Vec<u8>)> {
        let bare = words.strip_prefix("n,,")?;
        let mut fields = bare.split(',');
        let user = fields.next()?.strip_prefix("n=")?;
        let theirs = fields.next()?.strip_prefix("r=")?;
        let is_token = fields.next() == Some("tokenauth=true");
        let user = user.replace("=2C", ",").replace("=3D", "=");
        let entry = entry(&user, is_token)?;
        let nonce = format!("{theirs}{nonce}");
        let salt = STANDARD.encode(&entry.salt);
        let answer = format!("r={nonce},s={salt},i={}", entry.iterations);
        let said = format!("{bare},{answer}");
        Some((Self { hash, entry, nonce, said }, answer.into_bytes()))
    }

    /// Checks the client's proof and signs; `None` if it does not know the password.
    pub(super) fn finish(self, words: &str) -> Option<(Entry, Vec<u8>)> {
        let (without, proof) = words.rsplit_once(",p=")?;
        if without != format!("c=biws,r={}", self.nonce) {
            return None;
        }
        let said = format!("{},{without}", self.said);
        let hash = self.hash;
        let client_key = hash.hmac(&self.entry.salted, b"Client Key").ok()?;
        let stored_key = hash.digest(&client_key);
        let signature = hash.hmac(&stored_key, said.as_bytes()).ok()?;
        let proof = STANDARD.decode(proof).ok()?;
        let shown: Vec<u8> = proof.iter().zip(signature.iter()).map(|(a, b)| a ^ b).collect();
        if proof.len() != signature.len() || hash.digest(&shown) != stored_key {
            return None;
        }
        let server_key = hash.hmac(&self.entry.salted, b"Server Key").ok()?;
        let signature = hash.hmac(&server_key, said.as_bytes()).ok()?;
        Some((self.entry, format!("v={}", STANDARD.encode(&*signature)).into_bytes()))
    }
}
