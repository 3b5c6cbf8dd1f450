//! A broker in a few lines, and what it must not get away with.

use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::kerberos::{Etype, Principal};

fn ticket(etype: Etype) -> Ticket {
    let name = |text| Principal::parse(text).expect("a name");
    let key = Key::new(etype, &[5; 32][..etype.key_length()]).expect("a key");
    let (client, service) = (name("alice@R"), name("kafka/h@R"));
    Ticket { client, service, key, end: now(), bytes: element(application(1), b"") }
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(1_800_000_000_123_456)
}

fn login(etype: Etype) -> Gssapi {
    let chance = Chance { confounder: [9; BLOCK], key: [7; 32], sequence: 77 };
    let mut login = Gssapi::new(&ticket(etype), now(), &chance);
    assert!(!login.start().0.is_empty());
    login
}

/// The proof of a broker that has this key.
fn proof(key: &Key, at: SystemTime, its_key: Option<&Key>) -> Vec<u8> {
    let its_key = its_key.map(|key| {
        let number = der::int(key.etype().number());
        field(2, &all(SEQUENCE, &[field(0, &number), field(1, &der::octets(key.bytes()))]))
    });
    let part = [
        field(0, &der::time(at)),
        field(1, &der::int(micros(at))),
        its_key.unwrap_or_default(),
        field(3, &der::unsigned(u32::MAX)),
    ];
    let part = element(application(27), &all(SEQUENCE, &part));
    let sealed = encrypted(key, PROOF, None, [1; BLOCK], &part);
    let parts = [field(0, &der::int(5)), field(1, &der::int(15)), field(2, &sealed)];
    framed(REPLY, &element(application(15), &all(SEQUENCE, &parts)))
}

fn sealed(key: &Key, flags: u8, sequence: u32, layers: &[u8], turned: u8) -> Vec<u8> {
    let mut head = header(flags, sequence);
    let sum = key.checksum(ACCEPTOR_SEAL, &[layers, &head]);
    head[5] = u8::try_from(sum.len()).expect("short");
    head[7] = turned;
    let mut body = [layers, &sum].concat();
    body.rotate_right(turned.into());
    [&head[..], &body].concat()
}

fn own_key(etype: Etype) -> Key {
    Key::new(etype, &[7; 32][..etype.key_length()]).expect("a key")
}

#[test]
fn a_broker_that_could_read_the_ticket_is_logged_in_to() {
    for etype in Etype::ALL {
        let key = ticket(etype).key;
        let its_key = Key::new(etype, &[8; 32][..etype.key_length()]).expect("a key");
        for (named, key_of_seal, flags) in
            [(None, own_key(etype), 1), (Some(&its_key), its_key.clone(), 5)]
        {
            let mut login = login(etype);
            let empty = Step::Say(Secret::from(Vec::new()));
            assert_eq!(login.challenge(&proof(&key, now(), named)), Ok(empty));
            let layers = sealed(&key_of_seal, flags, u32::MAX, &[7, 1, 0, 0], 3);
            let Ok(Step::Say(choice)) = login.challenge(&layers) else { panic!("{etype:?}") };
            assert_eq!(choice.0[16..20], [1, 0, 0, 0]);
            assert_eq!(choice.0[12..16], 77_u32.to_be_bytes());
            assert_eq!(choice.0[2], flags - 1);
            assert_eq!(login.challenge(b""), Ok(Step::Done));
            assert_eq!(login.challenge(b""), Err(MechanismError::Unexpected));
        }
    }
}

#[test]
fn a_broker_without_the_key_proves_nothing() {
    let etype = Etype::Aes256Sha1;
    let (key, other) = (ticket(etype).key, own_key(etype));
    let proofs = [proof(&other, now(), None), proof(&key, now() + Duration::from_micros(1), None)];
    for token in proofs {
        assert_eq!(login(etype).challenge(&token), Err(MechanismError::NoServiceKey));
    }
    for token in [&b""[..], b"\x60", b"\x60\x00", &framed(REQUEST, b"")] {
        assert!(matches!(login(etype).challenge(token), Err(MechanismError::Malformed(_))));
    }
}

#[test]
fn layers_have_to_be_sealed_by_the_broker_for_this_login_and_none_allowed() {
    let etype = Etype::Aes256Sha1;
    let own = own_key(etype);
    let hear = |token: &[u8]| {
        let mut login = login(etype);
        let first = login.challenge(&proof(&ticket(etype).key, now(), None));
        assert!(first.is_ok());
        login.challenge(token)
    };
    let right = sealed(&own, 1, u32::MAX, &[1, 0, 0, 0], 0);
    assert!(matches!(hear(&right), Ok(Step::Say(_))));
    assert_eq!(
        hear(&sealed(&own, 1, u32::MAX, &[6, 0, 0, 0], 0)),
        Err(MechanismError::SecurityLayer)
    );
    let ticket_key = ticket(etype).key;
    let unsealed = sealed(&ticket_key, 1, u32::MAX, &[1, 0, 0, 0], 0);
    assert_eq!(hear(&unsealed), Err(MechanismError::NoServiceKey));
    // Sent by this side, sealed with a key that was not named, encrypted, another number.
    for (flags, sequence) in [(0, u32::MAX), (5, u32::MAX), (3, u32::MAX), (1, 0)] {
        assert_eq!(hear(&sealed(&own, flags, sequence, &[1, 0, 0, 0], 0)), Err(LAYERS));
    }
    // A checksum of no bytes, and of more than there are.
    let mut forged = right[..20].to_vec();
    forged[5] = 0;
    assert_eq!(hear(&forged), Err(LAYERS));
    for length in 0..right.len() {
        assert!(hear(&right[..length]).is_err(), "{length}");
    }
    for index in 0..right.len() {
        let mut damaged = right.clone();
        damaged[index] ^= 1;
        // How far it is turned is not sealed.
        assert!(hear(&damaged).is_err() || (6..8).contains(&index), "{index}");
    }
}
