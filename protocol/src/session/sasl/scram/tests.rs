//! The vectors of the RFCs, and what becomes of dialogues that somebody has changed.

use proptest::prelude::*;

use super::*;

struct Vector {
    hash: ScramHash,
    nonce: &'static str,
    client_first: &'static str,
    server_first: &'static str,
    client_final: &'static str,
    server_final: &'static str,
}

/// Section 5 of RFC 5802, section 3 of RFC 7677, and the latter's with SHA-512, as computed by
/// Python's hashlib.
const VECTORS: [Vector; 3] = [
    Vector {
        hash: ScramHash::Sha1,
        nonce: "fyko+d2lbbFgONRv9qkxdawL",
        client_first: "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        server_first: "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        client_final: "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,\
                       p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        server_final: "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    },
    Vector {
        hash: ScramHash::Sha256,
        nonce: "rOprNGfwEbeRWgbNEkqO",
        client_first: "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        server_first: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                       s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        client_final: "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                       p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        server_final: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    },
    Vector {
        hash: ScramHash::Sha512,
        nonce: "rOprNGfwEbeRWgbNEkqO",
        client_first: "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        server_first: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                       s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        client_final: SHA512_FINAL,
        server_final: SHA512_SIGNATURE,
    },
];

fn says(step: Result<Step, MechanismError>) -> Vec<u8> {
    match step {
        Ok(Step::Say(words)) => words.0.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_vectors_of_the_rfcs_are_said_word_for_word() {
    for vector in VECTORS {
        let mut scram = Scram::new(vector.hash, "user", "pencil", vector.nonce).unwrap();
        assert_eq!(scram.start().0, vector.client_first);
        let said = says(scram.challenge(vector.server_first.as_bytes()));
        assert_eq!(String::from_utf8(said).unwrap(), vector.client_final);
        assert_eq!(scram.challenge(vector.server_final.as_bytes()), Ok(Step::Done));
        let again = scram.challenge(vector.server_final.as_bytes());
        assert_eq!(again, Err(MechanismError::Unexpected));
    }
}

fn after_first(words: &str) -> MechanismError {
    let mut scram = Scram::new(ScramHash::Sha256, "user", "pencil", "ours").unwrap();
    scram.start();
    scram.challenge(words.as_bytes()).expect_err(words)
}

#[test]
fn what_the_broker_says_first_is_taken_only_as_the_standard_has_it() {
    use MechanismError::{Error, Iterations, Malformed, Nonce};
    assert_eq!(after_first(""), Malformed(FIRST));
    assert_eq!(after_first("e=unknown-user"), Error("unknown-user".to_owned()));
    assert_eq!(after_first("r=ours,s=QSXC,i=4096"), Nonce, "nothing was added");
    assert_eq!(after_first("r=other,s=QSXC,i=4096"), Nonce);
    assert_eq!(after_first("r=oursx\x7f,s=QSXC,i=4096"), Nonce);
    assert_eq!(after_first("r=oursx,s=,i=4096"), Malformed("the salt"));
    assert_eq!(after_first("r=oursx,s=QSX,i=4096"), Malformed("the salt"));
    assert_eq!(after_first("r=oursx,s=QSXCR+Q7se9=,i=4096"), Malformed("the salt"));
    assert_eq!(after_first("r=oursx,s=QSXC,i=4095"), Iterations(4095));
    assert_eq!(after_first("r=oursx,s=QSXC,i=200001"), Iterations(200_001));
    assert_eq!(after_first("r=oursx,s=QSXC,i=4294971392"), Iterations(4_294_971_392));
    for odd in ["i=+4096", "i=04096", "i=4096 ", "i=", "i=4096,x=y", "m=x,i=4096"] {
        assert_eq!(after_first(&format!("r=oursx,s=QSXC,{odd}")), Malformed(FIRST), "{odd}");
    }
    assert_eq!(after_first("m=x,r=oursx,s=QSXC,i=4096"), Malformed(FIRST));
}

#[test]
fn no_end_without_the_right_signature_is_a_success() {
    let wrong =
        ["", "v=", "v=AAAA", "e=other-error", "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5="];
    for words in wrong {
        let vector = &VECTORS[1];
        let mut scram = Scram::new(vector.hash, "user", "pencil", vector.nonce).unwrap();
        scram.start();
        says(scram.challenge(vector.server_first.as_bytes()));
        assert!(scram.challenge(words.as_bytes()).is_err(), "{words}");
        // Nor does the right one help after that.
        let late = scram.challenge(vector.server_final.as_bytes());
        assert_eq!(late, Err(MechanismError::Unexpected));
    }
}

#[test]
fn names_are_quoted_and_tokens_say_that_they_are_some() {
    let mut scram = Scram::new(ScramHash::Sha256, "a=b,c", "p", "n").unwrap();
    assert_eq!(scram.start().0, "n,,n=a=3Db=2Cc,r=n");
    let mut token = Scram::with_token(ScramHash::Sha512, "id", "c2VjcmV0", "n").unwrap();
    assert_eq!(token.start().0, "n,,n=id,r=n,tokenauth=true");
    assert_eq!(token.name(), "SCRAM-SHA-512");
    let refused = |user, password, nonce| {
        Scram::new(ScramHash::Sha256, user, password, nonce).expect_err("refused")
    };
    assert_eq!(refused("", "p", "n"), CredentialError::NoUser);
    assert_eq!(refused("u", "", "n"), CredentialError::NoPassword);
    assert_eq!(refused("u", "p", "n,m"), CredentialError::Nonce);
    assert!(!format!("{token:?}").contains("c2VjcmV0"));
}

/// A broker that takes everything, and answers what its own words and those it heard ask for.
struct Broker {
    hash: ScramHash,
    salted: Zeroizing<Vec<u8>>,
    first: String,
}

impl Broker {
    fn new(hash: ScramHash, nonce: &str) -> Self {
        let first = format!("r={nonce}more,s={},i=4096", STANDARD.encode("salt"));
        Self { hash, salted: hash.salted(b"pencil", b"salt", 4096).unwrap(), first }
    }

    fn last(&self, client_first: &str, client_final: &str) -> String {
        let bare = client_first.strip_prefix("n,,").unwrap();
        let without = client_final.rsplit_once(",p=").unwrap().0;
        let said = format!("{bare},{},{without}", self.first);
        let key = self.hash.hmac(&self.salted, b"Server Key").unwrap();
        format!("v={}", STANDARD.encode(&*self.hash.hmac(&key, said.as_bytes()).unwrap()))
    }
}

/// Whether the client is content at the end of a dialogue in which `change` may alter each of the
/// broker's words.
fn content(hash: ScramHash, mut change: impl FnMut(usize, String) -> Vec<u8>) -> bool {
    let mut client = Scram::new(hash, "user", "pencil", "nonce").unwrap();
    let broker = Broker::new(hash, "nonce");
    let first = String::from_utf8(client.start().0.to_vec()).unwrap();
    let Ok(Step::Say(answer)) = client.challenge(&change(0, broker.first.clone())) else {
        return false;
    };
    let answer = String::from_utf8(answer.0.to_vec()).unwrap();
    client.challenge(&change(1, broker.last(&first, &answer))) == Ok(Step::Done)
}

#[test]
fn an_honest_broker_is_believed() {
    for hash in [ScramHash::Sha256, ScramHash::Sha512] {
        assert!(content(hash, |_, words| words.into_bytes()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_dialogue_with_any_change_is_refused(
        sha512 in any::<bool>(),
        message in 0..2_usize,
        at in any::<prop::sample::Index>(),
        to in any::<u8>(),
        how in 0..4,
    ) {
        let hash = if sha512 { ScramHash::Sha512 } else { ScramHash::Sha256 };
        let mut changed = false;
        let content = content(hash, |index, words| {
            let before = words.into_bytes();
            if index != message {
                return before;
            }
            let mut after = before.clone();
            let at = at.index(before.len());
            match how {
                0 => after[at] = to,
                1 => after.insert(at, to),
                2 => drop(after.remove(at)),
                _ => after.truncate(at),
            }
            changed |= after != before;
            after
        });
        prop_assert_eq!(content, !changed);
    }

    #[test]
    fn no_words_are_taken_for_a_proof(
        words in prop::collection::vec("[rsivem]=[ -~]{0,40}(,[rsivem]=[ -~]{0,20}){0,3}", 0..4),
    ) {
        let mut client = Scram::new(ScramHash::Sha256, "user", "pencil", "nonce").unwrap();
        client.start();
        for words in words {
            prop_assert_ne!(client.challenge(words.as_bytes()), Ok(Step::Done));
        }
    }
}

const SHA512_FINAL: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
    p=gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ==";
const SHA512_SIGNATURE: &str =
    "v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw==";
