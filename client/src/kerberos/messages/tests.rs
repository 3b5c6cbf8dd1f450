//! A KDC in a few lines, and what it must not get away with.

use std::time::UNIX_EPOCH;

use super::*;

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(1_800_000_000_123_456)
}

fn key(byte: u8) -> Key {
    Key::new(Etype::Aes256Sha1, &[byte; 32]).expect("a key")
}

fn name(text: &str) -> Principal {
    Principal::parse(text).expect("a name")
}

const CHANCE: Chance = Chance { nonce: 0x8000_0007, confounder: [9; BLOCK] };

/// What a KDC says of a ticket.
struct Said {
    kind: u8,
    client: Principal,
    service: Principal,
    nonce: i32,
    begun: SystemTime,
}

impl Said {
    fn right(kind: u8, service: &str) -> Self {
        let (client, service) = (name("alice@R"), name(service));
        Self { kind, client, service, nonce: 7, begun: now() }
    }

    fn bytes(&self, with: &Key) -> Vec<u8> {
        let inner = all(SEQUENCE, &[field(0, &der::int(18)), field(1, &der::octets(&[5; 32]))]);
        let times = |number, at| field(number, &der::time(at));
        let part = [
            field(0, &inner),
            field(2, &der::int(self.nonce)),
            field(4, &der::flags(0)),
            times(5, self.begun),
            times(7, now() + Duration::from_secs(3_600)),
            field(9, &der::string(&self.service.realm)),
            field(10, &self.service.encode()),
        ];
        let part = element(application(25), &all(SEQUENCE, &part));
        let usage = if self.kind == FIRST + 1 { FIRST_ANSWER } else { SECOND_ANSWER };
        let sealed = encrypted(with, usage, None, [1; BLOCK], &part);
        let ticket = element(application(1), b"");
        let parts = [
            field(0, &der::int(5)),
            field(1, &der::int(self.kind.into())),
            field(3, &der::string(&self.client.realm)),
            field(4, &self.client.encode()),
            field(5, &ticket),
            field(6, &sealed),
        ];
        element(application(self.kind), &all(SEQUENCE, &parts))
    }
}

fn first_question() -> Question {
    Question::for_first(&name("alice@R"), &Etype::ALL, Some((&key(1), 2)), now(), CHANCE)
}

fn hear(said: &Said, with: &Key) -> Result<Ticket, KerberosError> {
    let right = key(1);
    first_question().answer(&said.bytes(with), |_| Some(&right))
}

#[test]
fn a_ticket_is_taken_from_who_has_the_key_and_answers_the_question() {
    let ticket = hear(&Said::right(FIRST + 1, "krbtgt/R@R"), &key(1)).expect("a ticket");
    assert_eq!(ticket.key, key(5));
    assert_eq!(ticket.end, UNIX_EPOCH + Duration::from_secs(1_800_003_600));

    let right = || Said::right(FIRST + 1, "krbtgt/R@R");
    let kafka = name("kafka/h@R");
    let wrong = |said| hear(&said, &key(1)).expect_err("it must not be taken");
    assert_eq!(hear(&right(), &key(2)), Err(KerberosError::WrongKey));
    assert_eq!(wrong(Said { nonce: 8, ..right() }), KerberosError::NotAsked("the nonce"));
    assert!(matches!(wrong(Said { client: name("bob@R"), ..right() }), KerberosError::NotAsked(_)));
    assert!(matches!(
        wrong(Said { service: kafka.clone(), ..right() }),
        KerberosError::NotAsked(_)
    ));
    let late = now() + Duration::from_secs(301);
    let skew = wrong(Said { begun: late, ..right() });
    assert!(matches!(skew, KerberosError::Refused { code: SKEW, clock: Some(_), .. }), "{skew:?}");

    let question = Question::for_service(&ticket, &kafka, now(), CHANCE);
    let said = Said::right(SECOND + 1, "kafka/h@R");
    let right = key(5);
    let answer = |bytes: &[u8]| question.answer(bytes, |_| Some(&right));
    assert_eq!(answer(&said.bytes(&key(5))).map(|it| it.service), Ok(kafka));
    assert_eq!(answer(&said.bytes(&key(1))), Err(KerberosError::WrongKey));
    let other = Said { service: name("kafka/x@R"), ..said };
    assert!(matches!(answer(&other.bytes(&key(5))), Err(KerberosError::NotAsked(_))));
}

#[test]
fn damaged_answers_are_refused_without_a_panic() {
    let whole = Said::right(FIRST + 1, "krbtgt/R@R").bytes(&key(1));
    let right = key(1);
    for length in 0..whole.len() {
        assert!(first_question().answer(&whole[..length], |_| Some(&right)).is_err());
    }
    for index in 0..whole.len() {
        for lie in [0, 0x7f, 0x80, 0x84, 0xff] {
            let mut damaged = whole.clone();
            damaged[index] = lie;
            let _ = first_question().answer(&damaged, |_| Some(&right));
        }
    }
}

#[test]
fn a_refusal_tells_code_clock_and_ways_to_encrypt() {
    let etypes = [18, 17].map(|etype| all(SEQUENCE, &[field(0, &der::int(etype))]));
    let methods = all(SEQUENCE, &[given(2, b""), given(PA_ETYPES, &all(SEQUENCE, &etypes))]);
    let parts = [
        field(0, &der::int(5)),
        field(1, &der::int(30)),
        field(4, &der::time(now())),
        field(5, &der::int(0)),
        field(6, &der::int(25)),
        field(9, &der::string("R")),
        field(11, &der::string("NEEDED_PREAUTH")),
        field(12, &der::octets(&methods)),
    ];
    let bytes = element(application(ERROR), &all(SEQUENCE, &parts));
    let expected = KerberosError::Refused {
        code: 25,
        text: Some("NEEDED_PREAUTH".to_owned()),
        clock: Some(UNIX_EPOCH + Duration::from_secs(1_800_000_000)),
        etypes: vec![18, 17],
    };
    assert_eq!(first_question().answer(&bytes, |_| None), Err(expected));
}
