//! What one says to a KDC, and what it answers (RFC 4120). In: who asks for which ticket, and the
//! time; out: a question's bytes, and from an answer's the ticket, once every piece of it was checked
//! against the question.

use std::time::{Duration, SystemTime};

use zeroize::Zeroizing;

use super::crypto::{BLOCK, Etype, Key};
use super::der::{self, BROKEN, Der, SEQUENCE, all, element, field};
use super::error::KerberosError;
use super::principal::Principal;

/// A ticket, and what it takes to use it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Whose it is.
    pub client: Principal,
    /// What it is for.
    pub service: Principal,
    /// The key that its service finds in it.
    pub key: Key,
    /// Until when it is good.
    pub end: SystemTime,
    /// The ticket itself, which only its service can read.
    pub bytes: Vec<u8>,
}

/// A question to a KDC, and what its answer has to hold.
#[derive(Clone, Debug)]
pub struct Question {
    bytes: Vec<u8>,
    client: Principal,
    service: Principal,
    nonce: i32,
    now: SystemTime,
}

/// What nobody may be able to guess, or to see twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chance {
    /// Of the question.
    pub nonce: u32,
    /// Before what is encrypted.
    pub confounder: [u8; BLOCK],
}

impl Question {
    /// Asks for a ticket with which one asks for others. The proof is a key of the client's, and its
    /// version; KDCs that want one refuse the question without.
    pub fn for_first(
        client: &Principal,
        etypes: &[Etype],
        proof: Option<(&Key, u32)>,
        now: SystemTime,
        chance: Chance,
    ) -> Self {
        let service = Principal::ticket_service(&client.realm);
        let asked = (client, &service, etypes);
        let (body, nonce) = body(asked, true, chance);
        let proof = proof.map(|(key, version)| {
            let stamp =
                all(SEQUENCE, &[field(0, &der::time(now)), field(1, &der::int(micros(now)))]);
            let encrypted = encrypted(key, PROOF, Some(version), chance.confounder, &stamp);
            given(PA_TIMESTAMP, &encrypted)
        });
        let bytes = question(FIRST, proof, &body);
        Self { bytes, client: client.clone(), service, nonce, now }
    }

    /// Asks for a ticket for a service.
    pub fn for_service(
        first: &Ticket,
        service: &Principal,
        now: SystemTime,
        chance: Chance,
    ) -> Self {
        let (body, nonce) = body((&first.client, service, &Etype::ALL), false, chance);
        let sum = first.key.checksum(QUESTION_SUM, &[&body]);
        let kind = first.key.etype().checksum_number();
        let sum = all(SEQUENCE, &[field(0, &der::int(kind)), field(1, &der::octets(&sum))]);
        let who = authenticator(&first.client, &sum, now, None, None);
        let who = encrypted(&first.key, QUESTION_WHO, None, chance.confounder, &who);
        let shown = given(PA_TICKET, &shown(first, 0, &who));
        let bytes = question(SECOND, Some(shown), &body);
        Self { bytes, client: first.client.clone(), service: service.clone(), nonce, now }
    }

    /// What to send.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Reads the answer. `key` is the one with which it is encrypted: the client's own, of the
    /// version that the answer names, or that of the ticket that was shown.
    ///
    /// # Errors
    ///
    /// [`KerberosError::Refused`] in the KDC's words, and for answers that are damaged, encrypted with
    /// another key, or not to this question.
    pub fn answer<'k>(
        &self,
        bytes: &[u8],
        key: impl Fn(Etype) -> Option<&'k Key>,
    ) -> Result<Ticket, KerberosError> {
        let mut der = Der::new(bytes);
        if der.tag() == Some(application(ERROR)) {
            return Err(refusal(der));
        }
        let first = self.service.components.first().is_some_and(|name| name == "krbtgt")
            && der.tag() == Some(application(FIRST + 1));
        let (tag, usage) =
            if first { (FIRST + 1, FIRST_ANSWER) } else { (SECOND + 1, SECOND_ANSWER) };
        let mut answer = der.inner(application(tag))?.inner(SEQUENCE)?;
        let realm = answer.field(3)?.string()?;
        if Principal::decode(realm, answer.field(4)?)? != self.client {
            return Err(KerberosError::NotAsked("whose the ticket is"));
        }
        let (ticket, _) = answer.field(5)?.element()?;
        let mut sealed = answer.field(6)?.inner(SEQUENCE)?;
        let etype = Etype::of_number(sealed.field(0)?.int()?)?;
        let key = key(etype).ok_or(KerberosError::WrongKey)?;
        let part = key.decrypt(usage, sealed.field(2)?.octets()?)?;
        self.check(&part, ticket)
    }

    /// Reads what only the KDC can have encrypted.
    fn check(&self, part: &[u8], ticket: &[u8]) -> Result<Ticket, KerberosError> {
        let (_, content) = Der::new(part).element()?;
        let mut part = Der::new(content).inner(SEQUENCE)?;
        let key = read_key(part.field(0)?)?;
        if part.field(2)?.int()? != self.nonce {
            return Err(KerberosError::NotAsked("the nonce"));
        }
        let begun = part.field(5)?.time()?;
        let end = part.field(7)?.time()?;
        let realm = part.field(9)?.string()?;
        if Principal::decode(realm, part.field(10)?)? != self.service {
            return Err(KerberosError::NotAsked("what the ticket is for"));
        }
        let client = self.client.clone();
        // Of the first ticket, this is the KDC's clock.
        let is_first = self.service.components.first().is_some_and(|name| name == "krbtgt");
        if is_first && distance(begun, self.now) > LARGEST_SKEW {
            let (code, text, etypes) = (SKEW, None, Vec::new());
            return Err(KerberosError::Refused { code, text, clock: Some(begun), etypes });
        }
        Ok(Ticket { client, service: self.service.clone(), key, end, bytes: ticket.to_vec() })
    }
}

/// How far apart two instants are.
pub(crate) fn distance(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other).unwrap_or_else(|error| error.duration())
}

/// The microseconds of an instant, which messages hold beside it.
pub(super) fn micros(at: SystemTime) -> i32 {
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i32::try_from(since.subsec_micros()).unwrap_or(0)
}

/// The ticket, and who shows it (AP-REQ).
pub(super) fn shown(ticket: &Ticket, options: u32, who: &[u8]) -> Vec<u8> {
    let parts = [
        field(0, &der::int(VERSION)),
        field(1, &der::int(SHOWN.into())),
        field(2, &der::flags(options)),
        field(3, &ticket.bytes),
        field(4, who),
    ];
    element(application(SHOWN), &all(SEQUENCE, &parts))
}

/// Who shows a ticket, and when; encrypted, it proves the client to have the ticket's key.
pub(super) fn authenticator(
    client: &Principal,
    checksum: &[u8],
    now: SystemTime,
    key: Option<&Key>,
    sequence: Option<u32>,
) -> Zeroizing<Vec<u8>> {
    let key = key.map(|key| {
        let number = der::int(key.etype().number());
        Zeroizing::new(all(SEQUENCE, &[field(0, &number), field(1, &der::octets(key.bytes()))]))
    });
    let parts = [
        field(0, &der::int(VERSION)),
        field(1, &der::string(&client.realm)),
        field(2, &client.encode()),
        field(3, checksum),
        field(4, &der::int(micros(now))),
        field(5, &der::time(now)),
        key.map(|key| field(6, &key)).unwrap_or_default(),
        sequence.map(|number| field(7, &der::unsigned(number))).unwrap_or_default(),
    ];
    Zeroizing::new(element(application(2), &all(SEQUENCE, &parts)))
}

/// Something encrypted, as messages hold it.
pub(super) fn encrypted(
    key: &Key,
    usage: u32,
    version: Option<u32>,
    confounder: [u8; BLOCK],
    text: &[u8],
) -> Vec<u8> {
    let parts = [
        field(0, &der::int(key.etype().number())),
        version.map(|version| field(1, &der::unsigned(version))).unwrap_or_default(),
        field(2, &der::octets(&key.encrypt(usage, confounder, text))),
    ];
    all(SEQUENCE, &parts)
}

/// A key within something that was encrypted.
pub(super) fn read_key(mut der: Der<'_>) -> Result<Key, KerberosError> {
    let mut key = der.inner(SEQUENCE)?;
    let etype = Etype::of_number(key.field(0)?.int()?)?;
    Key::new(etype, key.field(1)?.octets()?).ok_or(BROKEN)
}

/// The KDC's words, or a broker's.
pub(super) fn refusal(der: Der<'_>) -> KerberosError {
    read_refusal(der).unwrap_or_else(|error| error)
}

/// Whether a KDC says that another one should be asked (KDC_ERR_SVC_UNAVAILABLE).
pub(crate) fn is_unavailable(answer: &[u8]) -> bool {
    matches!(refusal(Der::new(answer)), KerberosError::Refused { code: UNAVAILABLE, .. })
}

fn read_refusal(mut der: Der<'_>) -> Result<KerberosError, KerberosError> {
    let mut error = der.inner(application(ERROR))?.inner(SEQUENCE)?;
    let clock = error.field(4)?.time().ok();
    let code = error.field(6)?.int()?;
    let text = error.maybe(11)?.and_then(|mut text| text.string().ok());
    let more = error.maybe(12)?.and_then(|mut more| more.octets().ok());
    let etypes = more.and_then(|more| known_etypes(more).ok()).unwrap_or_default();
    Ok(KerberosError::Refused { code, text, clock, etypes })
}

/// The ways to encrypt that the KDC has the client's keys for.
fn known_etypes(more: &[u8]) -> Result<Vec<i32>, KerberosError> {
    let mut methods = Der::new(more).inner(SEQUENCE)?;
    let mut etypes = Vec::new();
    while !methods.is_empty() {
        let mut method = methods.inner(SEQUENCE)?;
        if method.field(1)?.int()? != PA_ETYPES {
            continue;
        }
        let value = method.field(2)?.octets()?;
        let mut entries = Der::new(value).inner(SEQUENCE)?;
        while !entries.is_empty() && etypes.len() < MOST_ETYPES {
            etypes.push(entries.inner(SEQUENCE)?.field(0)?.int()?);
        }
        break;
    }
    Ok(etypes)
}

/// What is asked for.
fn body(
    (client, service, etypes): (&Principal, &Principal, &[Etype]),
    named: bool,
    chance: Chance,
) -> (Vec<u8>, i32) {
    // Some KDCs take numbers above this for negative ones.
    let nonce = i32::try_from(chance.nonce & 0x7fff_ffff).unwrap_or(0);
    let etypes: Vec<_> = etypes.iter().map(|etype| der::int(etype.number())).collect();
    // As late as the KDC allows.
    let till = der::time(SystemTime::UNIX_EPOCH);
    let parts = [
        field(0, &der::flags(0)),
        if named { field(1, &client.encode()) } else { Vec::new() },
        field(2, &der::string(&service.realm)),
        field(3, &service.encode()),
        field(5, &till),
        field(7, &der::int(nonce)),
        field(8, &all(SEQUENCE, &etypes)),
    ];
    (all(SEQUENCE, &parts), nonce)
}

fn question(kind: u8, given: Option<Vec<u8>>, body: &[u8]) -> Vec<u8> {
    let parts = [
        field(1, &der::int(VERSION)),
        field(2, &der::int(kind.into())),
        given.map(|given| field(3, &all(SEQUENCE, &[given]))).unwrap_or_default(),
        field(4, body),
    ];
    element(application(kind), &all(SEQUENCE, &parts))
}

/// Something that goes with a question.
fn given(kind: i32, value: &[u8]) -> Vec<u8> {
    all(SEQUENCE, &[field(1, &der::int(kind)), field(2, &der::octets(value))])
}

pub(super) const fn application(number: u8) -> u8 {
    0x60 | number
}

/// A clock may be as wrong as this.
pub(crate) const LARGEST_SKEW: Duration = Duration::from_secs(300);
/// The KDC's code for a clock that is more wrong.
pub(crate) const SKEW: i32 = 37;

/// The KDC's code for a database that is not there at the moment.
const UNAVAILABLE: i32 = 29;
const VERSION: i32 = 5;
/// Kinds of messages; the answer to a question is the next.
const FIRST: u8 = 10;
const SECOND: u8 = 12;
const SHOWN: u8 = 14;
pub(super) const ERROR: u8 = 30;
/// What goes with questions.
const PA_TICKET: i32 = 1;
const PA_TIMESTAMP: i32 = 2;
const PA_ETYPES: i32 = 19;
/// What keys are used for (RFC 4120, 7.5.1).
const PROOF: u32 = 1;
const FIRST_ANSWER: u32 = 3;
const QUESTION_SUM: u32 = 6;
const QUESTION_WHO: u32 = 7;
const SECOND_ANSWER: u32 = 8;
/// Of a KDC's list.
const MOST_ETYPES: usize = 32;

#[cfg(test)]
mod tests;
