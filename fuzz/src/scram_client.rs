//! The client's side of SCRAM: any words of a broker in, a login or a refusal out. The first byte
//! chooses the hash; each line after it is one message of the broker's.
//!
//! Invariant: nothing panics, at most [`PER_BYTE`] bytes of memory are taken for each byte, and a login
//! ends well only after two messages, the second of which is the one signature that whoever knows the
//! password makes of all that was said. After a refusal nothing is taken any more.

use klamm_protocol::session::sasl::{MAX_ITERATIONS, Mechanism, Scram, ScramHash, Step};

use crate::allocation::bounded;

/// Panics unless the invariant holds for `input`.
pub fn property(input: &[u8]) {
    let (hash, words) = match input.split_first() {
        Some((choice, words)) if choice % 2 == 0 => (ScramHash::Sha256, words),
        Some((_, words)) => (ScramHash::Sha512, words),
        None => return,
    };
    let messages: Vec<&[u8]> = words.split(|byte| *byte == b'\n').take(MESSAGES).collect();
    if messages.iter().any(|message| is_slow(message)) {
        return;
    }
    let mut client = Scram::new(hash, "user", PASSWORD, NONCE).expect("they can be said");
    let mut said = vec![client.start().0];
    let (mut is_refused, mut is_done) = (false, false);
    for message in messages {
        match bounded(input.len(), PER_BYTE, || client.challenge(message)) {
            Ok(Step::Say(answer)) => {
                assert!(!is_refused && said.len() == 1, "it speaks on");
                said.extend([message.to_vec().into(), answer.0]);
            }
            Ok(Step::Done) => {
                assert!(!is_refused && !is_done && said.len() == 3, "it is content too early");
                assert_eq!(message, signature(hash, &said), "it is content with another's word");
                is_done = true;
            }
            Err(_) => is_refused = true,
        }
    }
}

/// What a broker that knows the password says last.
fn signature(hash: ScramHash, said: &[bytes::Bytes]) -> Vec<u8> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("it was taken as text");
    let (first, theirs, last) = (text(&said[0]), text(&said[1]), text(&said[2]));
    let bare = first.strip_prefix("n,,").expect("no channel is bound");
    let without = last.rsplit_once(",p=").expect("a proof").0;
    let mut fields = theirs.split(',').skip(1).map(|field| &field[2..]);
    let salt = decode(fields.next().expect("a salt"));
    let rounds = fields.next().and_then(|rounds| rounds.parse().ok()).expect("a number");
    let salted = hash.salted(PASSWORD.as_bytes(), &salt, rounds).expect("a key");
    let key = hash.hmac(&salted, b"Server Key").expect("a key");
    let all = format!("{bare},{theirs},{without}");
    let signature = hash.hmac(&key, all.as_bytes()).expect("a key");
    format!("v={}", encode(&signature)).into_bytes()
}

/// Whether a message asks for so many rounds that one input would hold up all others. More than the
/// client allows cost nothing.
fn is_slow(message: &[u8]) -> bool {
    let text = String::from_utf8_lossy(message);
    let rounds = text.rsplit_once("i=").and_then(|(_, rounds)| rounds.parse::<u32>().ok());
    rounds.is_some_and(|rounds| rounds > QUICK && rounds <= MAX_ITERATIONS)
}

/// Base64 in a second writing, so that a mistake in the first shows.
fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
        let number = number << (8 * (3 - three.len()));
        for place in 0..4 {
            let six = (number >> (18 - 6 * place)) & 63;
            text.push(if place <= three.len() { char::from(LETTERS[six as usize]) } else { '=' });
        }
    }
    text
}

/// Only what [`encode`] writes comes here.
fn decode(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .bytes()
        .filter_map(|letter| LETTERS.iter().position(|one| *one == letter))
        .filter_map(|at| u32::try_from(at).ok())
        .collect();
    let four = |digits: &[u32]| {
        let number = (0..4).fold(0, |sum, at| sum << 6 | digits.get(at).copied().unwrap_or(0));
        number.to_be_bytes()[1..digits.len()].to_vec()
    };
    digits.chunks(4).flat_map(four).collect()
}

/// The worst is the answer, which repeats the nonce, and what is said in all, which is put together
/// of copies.
pub const PER_BYTE: usize = 32;

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PASSWORD: &str = "pencil";
const NONCE: &str = "rOprNGfwEbeRWgbNEkqO";
const MESSAGES: usize = 4;
const QUICK: u32 = 5_000;
