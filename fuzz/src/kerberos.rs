//! Kerberos: any file of it, any answer of a KDC and any words of a broker in, what they say or a
//! refusal out. The first byte chooses which of them the rest is.
//!
//! Invariant: nothing panics, at most [`PER_BYTE`] bytes of memory are taken for each byte, and what is
//! read once reads again alike. A KDC that lacks the client's key gives no ticket. A broker that lacks
//! the ticket's key is not heard after its first word; one that has it is logged in to with its third,
//! at the earliest.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use klamm_client::kerberos::conf::{Conf, Include};
use klamm_client::kerberos::gss::{self, Gssapi};
use klamm_client::kerberos::keytab::Keytab;
use klamm_client::kerberos::messages::{self, Question, Ticket};
use klamm_client::kerberos::{Etype, Key, Principal, ccache};
use klamm_protocol::session::sasl::{Mechanism as _, Step};

use crate::allocation::bounded;

/// Panics unless the invariant holds for `input`.
pub fn property(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else { return };
    match choice % 6 {
        0 => twice(rest, |bytes| Keytab::parse(bytes).ok()),
        1 => twice(rest, |bytes| ccache::parse(bytes).ok()),
        2 => conf(rest),
        3 => first_ticket(rest),
        4 => service_ticket(rest),
        _ => broker(rest),
    }
}

fn twice<T: PartialEq>(bytes: &[u8], read: impl Fn(&[u8]) -> Option<T>) {
    let first = bounded(bytes.len(), PER_BYTE, || read(bytes));
    assert!(first == read(bytes), "read otherwise");
}

fn conf(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    // A file includes itself, as often as it may.
    let read = |text: &str| {
        let mut left = 4_usize;
        let mut more = |_: Include<'_>| {
            let again = left > 0;
            left = left.saturating_sub(1);
            again.then(|| text.to_owned()).into_iter().collect()
        };
        Conf::parse(text, &mut more).ok()
    };
    let conf = bounded(text.len(), PER_BYTE, || read(&text));
    if let Some(conf) = conf {
        let realm = conf.realm_of("a.example.com").unwrap_or("R");
        assert!(conf.kdcs_of(realm).iter().all(|(host, port)| !host.is_empty() && *port > 0));
    }
}

fn first_ticket(bytes: &[u8]) {
    let client = name("alice@R");
    let (right, wrong) = (key(1), key(2));
    let proof = Some((&right, 2));
    let question = Question::for_first(&client, &Etype::ALL, proof, now(), chance());
    let hear = |key: &Key| {
        let of_kind = |etype| (etype == key.etype()).then_some(key);
        bounded(bytes.len(), PER_BYTE, || question.answer(bytes, of_kind))
    };
    if let Ok(ticket) = hear(&right) {
        assert_eq!((ticket.client, ticket.service), (client, name("krbtgt/R@R")));
    }
    assert!(hear(&wrong).is_err(), "a ticket from who lacks the key");
}

fn service_ticket(bytes: &[u8]) {
    let service = name("kafka/h@R");
    for (key, is_right) in [(key(5), true), (key(1), false)] {
        let first = Ticket { service: name("krbtgt/R@R"), ..ticket(key.clone()) };
        let question = Question::for_service(&first, &service, now(), chance());
        let of_kind = |etype| (etype == key.etype()).then_some(&key);
        match bounded(bytes.len(), PER_BYTE, || question.answer(bytes, of_kind)) {
            Ok(ticket) => assert!(is_right && ticket.service == service, "another's ticket"),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// Messages of a broker, each after two bytes of its length.
fn broker(mut bytes: &[u8]) {
    let whole = bytes.len();
    let mut heard = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk().filter(|_| heard.len() < MESSAGES) {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        heard.push(&rest[..length]);
        bytes = &rest[length..];
    }
    if !talk(&key(5), &heard, whole) {
        assert!(!talk(&key(6), &heard, whole), "it believes who has proven nothing");
        return;
    }
    // What was sealed and is changed must not be taken.
    for changed in 0..2 {
        let mut other = heard[changed].to_vec();
        other.last_mut().into_iter().for_each(|byte| *byte ^= 1);
        let mut heard = heard.clone();
        heard[changed] = &other;
        assert!(!talk(&key(5), &heard, whole), "it takes what nobody has sealed");
    }
}

/// One login by a ticket with this key; whether it ends well.
fn talk(key: &Key, heard: &[&[u8]], whole: usize) -> bool {
    let chance = gss::Chance { confounder: [9; 16], key: [7; 32], sequence: 77 };
    let mut login = Gssapi::new(&ticket(key.clone()), now(), &chance);
    assert!(!login.start().0.is_empty());
    let (mut is_refused, mut is_done) = (false, false);
    for (index, message) in heard.iter().enumerate() {
        match bounded(whole, PER_BYTE, || login.challenge(message)) {
            Ok(Step::Say(words)) => {
                assert!(!is_refused && index < 2, "it speaks on");
                assert!(*key == self::key(5), "it speaks to who has proven nothing");
                assert_eq!(words.0.is_empty(), index == 0);
            }
            Ok(Step::Done) => {
                assert!(!is_refused && index == 2, "it is content too early");
                is_done = true;
            }
            Err(_) => is_refused = true,
        }
    }
    is_done
}

fn ticket(key: Key) -> Ticket {
    let (client, service) = (name("alice@R"), name("kafka/h@R"));
    Ticket { client, service, key, end: now(), bytes: vec![0x61, 0] }
}

fn name(text: &str) -> Principal {
    Principal::parse(text).expect("a name")
}

fn key(byte: u8) -> Key {
    Key::new(Etype::Aes256Sha1, &[byte; 32]).expect("a key")
}

fn chance() -> messages::Chance {
    messages::Chance { nonce: 7, confounder: [9; 16] }
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(1_800_000_000_123_456)
}

/// The worst is a principal of empty components, two bytes each, which take a string and a place.
pub const PER_BYTE: usize = 96;

/// Of a broker that never ends.
const MESSAGES: usize = 5;
