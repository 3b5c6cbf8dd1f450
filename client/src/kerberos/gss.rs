//! SASL's GSSAPI with Kerberos (RFC 4752, RFC 4121). In: a ticket for the broker, and what the broker
//! says; out: this side of the login. The broker proves that it could read the ticket before it is
//! told anything else.
//!
//! | heard | said next | what was checked |
//! |---|---|---|
//! | | the ticket, and who shows it | |
//! | its proof | nothing | encrypted with the ticket's key, of this very moment |
//! | its security layers, sealed | none of them, sealed | sealed by it, the first of its messages, none is allowed |
//! | nothing | | the end |

use std::fmt;
use std::time::SystemTime;

use klamm_protocol::session::sasl::{Mechanism, MechanismError, Step};
use klamm_protocol::wire::Secret;

use super::crypto::{BLOCK, Key, equal};
use super::der::{self, BROKEN, Der, OID, SEQUENCE, all, element, field};
use super::error::KerberosError;
use super::messages::{
    ERROR, Ticket, application, authenticator, encrypted, micros, read_key, refusal, shown,
};

/// One login by GSSAPI.
pub struct Gssapi {
    state: State,
    first: Vec<u8>,
    ticket_key: Key,
    /// The key of what follows: this side's, or the broker's where it names one.
    key: Key,
    now: SystemTime,
    sequence: u32,
}

/// What nobody may be able to guess.
#[derive(Clone, Copy)]
pub struct Chance {
    /// Before what is encrypted.
    pub confounder: [u8; BLOCK],
    /// This side's key.
    pub key: [u8; 32],
    /// Where this side's numbers begin.
    pub sequence: u32,
}

enum State {
    Starting,
    AwaitingProof,
    AwaitingLayers {
        /// The number of the broker's first message.
        sequence: u32,
        /// Whether the broker named a key.
        its_key: bool,
    },
    AwaitingEnd,
    Done,
}

impl Gssapi {
    /// The name under which brokers offer it.
    pub const NAME: &str = "GSSAPI";

    /// A login with a ticket for the broker, at this moment.
    pub fn new(ticket: &Ticket, now: SystemTime, chance: &Chance) -> Self {
        let etype = ticket.key.etype();
        let own = Key::new(etype, &chance.key[..etype.key_length()]);
        let own = own.unwrap_or_else(|| ticket.key.clone());
        // Some take numbers above this for negative ones.
        let sequence = chance.sequence & 0x3fff_ffff;
        // Both sides prove themselves; messages are numbered, and cannot be changed (RFC 4121, 4.1.1).
        let flags = MUTUAL | REPLAY | SEQUENCED | INTEGRITY;
        let sum = [&16_u32.to_le_bytes()[..], &[0; 16], &flags.to_le_bytes()].concat();
        let sum = all(SEQUENCE, &[field(0, &der::int(GSS_SUM)), field(1, &der::octets(&sum))]);
        let who = authenticator(&ticket.client, &sum, now, Some(&own), Some(sequence));
        let who = encrypted(&ticket.key, SHOWN_WHO, None, chance.confounder, &who);
        let first = framed(REQUEST, &shown(ticket, MUTUAL_REQUIRED, &who));
        let ticket_key = ticket.key.clone();
        Self { state: State::Starting, first, ticket_key, key: own, now, sequence }
    }

    fn take_proof(&mut self, token: &[u8]) -> Result<Step, KerberosError> {
        let (kind, mut der) = unframed(token)?;
        if kind == FAILURE || der.tag() == Some(application(ERROR)) {
            return Err(refusal(der));
        }
        if kind != REPLY {
            return Err(KerberosError::Malformed("the broker's proof"));
        }
        let mut reply = der.inner(application(15))?.inner(SEQUENCE)?;
        let mut sealed = reply.field(2)?.inner(SEQUENCE)?;
        let part = self.ticket_key.decrypt(PROOF, sealed.field(2)?.octets()?)?;
        let mut part = Der::new(&part).inner(application(27))?.inner(SEQUENCE)?;
        let (time, fraction) = (part.field(0)?.content(0x18)?, part.field(1)?.int()?);
        let asked = der::time(self.now);
        if element(0x18, time) != asked || fraction != micros(self.now) {
            return Err(KerberosError::NotAsked("the moment"));
        }
        let key = part.maybe(2)?.map(read_key).transpose()?;
        // A number without a sign, in four bytes.
        let sequence = part.maybe(3)?.map(|mut it| it.int()).transpose()?.unwrap_or(0);
        let its_key = key.is_some();
        if let Some(key) = key {
            self.key = key;
        }
        self.state = State::AwaitingLayers { sequence: sequence.cast_unsigned(), its_key };
        Ok(Step::Say(Secret::from(Vec::new())))
    }

    fn take_layers(
        &mut self,
        token: &[u8],
        sequence: u32,
        its_key: bool,
    ) -> Result<Step, MechanismError> {
        let from_key = if its_key { ACCEPTOR_KEY } else { 0 };
        let expected = header(ACCEPTOR | from_key, sequence);
        let (head, body) = token.split_at_checked(HEADER).ok_or(LAYERS)?;
        let (length, turned) = ([head[4], head[5]], [head[6], head[7]]);
        let length = usize::from(u16::from_be_bytes(length));
        let plain = [&head[..4], &[0; 4], &head[8..]].concat();
        if plain != expected || length != self.key.etype().mac_length() {
            return Err(LAYERS);
        }
        let payload = body.len().checked_sub(length).filter(|left| *left == 4).ok_or(LAYERS)?;
        let mut body = body.to_vec();
        let places = usize::from(u16::from_be_bytes(turned)) % body.len();
        body.rotate_left(places);
        let (layers, sum) = body.split_at(payload);
        if !equal(&self.key.checksum(ACCEPTOR_SEAL, &[layers, &expected]), sum) {
            return Err(MechanismError::NoServiceKey);
        }
        if layers[0] & NO_LAYER == 0 {
            return Err(MechanismError::SecurityLayer);
        }
        // No layer, so no size of its messages; and nobody but the ticket's owner is acted for.
        let choice = [NO_LAYER, 0, 0, 0];
        let mut head = header(from_key, self.sequence);
        let sum = self.key.checksum(INITIATOR_SEAL, &[&choice, &head]);
        head[4..6].copy_from_slice(&u16::try_from(sum.len()).unwrap_or(0).to_be_bytes());
        self.state = State::AwaitingEnd;
        Ok(Step::Say(Secret::from([&head, &choice[..], &sum].concat())))
    }
}

impl Mechanism for Gssapi {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn start(&mut self) -> Secret {
        self.state = State::AwaitingProof;
        Secret::from(std::mem::take(&mut self.first))
    }

    fn challenge(&mut self, challenge: &[u8]) -> Result<Step, MechanismError> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::AwaitingProof => self.take_proof(challenge).map_err(in_words),
            State::AwaitingLayers { sequence, its_key } => {
                self.take_layers(challenge, sequence, its_key)
            }
            State::AwaitingEnd if challenge.is_empty() => Ok(Step::Done),
            State::Starting | State::AwaitingEnd | State::Done => Err(MechanismError::Unexpected),
        }
    }
}

impl fmt::Debug for Gssapi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gssapi")
    }
}

impl fmt::Debug for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chance")
    }
}

fn in_words(error: KerberosError) -> MechanismError {
    match error {
        KerberosError::Refused { .. } => MechanismError::Error(error.to_string()),
        KerberosError::WrongKey | KerberosError::NotAsked(_) => MechanismError::NoServiceKey,
        _ => MechanismError::Malformed("its proof that it has the service's key"),
    }
}

/// The head of a message that is sealed and not encrypted, without the length of its checksum.
fn header(flags: u8, sequence: u32) -> [u8; HEADER] {
    let mut head = [0; HEADER];
    head[..4].copy_from_slice(&[5, 4, flags, 0xff]);
    head[12..].copy_from_slice(&sequence.to_be_bytes());
    head
}

/// A message of Kerberos within one of GSS-API.
fn framed(kind: [u8; 2], message: &[u8]) -> Vec<u8> {
    let name = element(OID, &KERBEROS);
    element(application(0), &[&name, &kind[..], message].concat())
}

fn unframed(token: &[u8]) -> Result<([u8; 2], Der<'_>), KerberosError> {
    let mut outer = Der::new(token);
    let mut inner = outer.content(application(0))?;
    let name = element(OID, &KERBEROS);
    inner = inner.strip_prefix(&name[..]).ok_or(BROKEN)?;
    let (kind, message) = inner.split_first_chunk().ok_or(BROKEN)?;
    Ok((*kind, Der::new(message)))
}

/// Kerberos 5 among the ways of GSS-API: 1.2.840.113554.1.2.2.
const KERBEROS: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 0x01, 0x02, 0x02];
const REQUEST: [u8; 2] = [1, 0];
const REPLY: [u8; 2] = [2, 0];
const FAILURE: [u8; 2] = [3, 0];
/// What is asked of the other side, in GSS-API's words.
const MUTUAL: u32 = 2;
const REPLAY: u32 = 4;
const SEQUENCED: u32 = 8;
const INTEGRITY: u32 = 32;
/// The same in Kerberos's words.
const MUTUAL_REQUIRED: u32 = 1 << 29;
const GSS_SUM: i32 = 0x8003;
/// Flags of sealed messages.
const ACCEPTOR: u8 = 1;
const ACCEPTOR_KEY: u8 = 4;
const HEADER: usize = 16;
/// The only layer that Kafka has: none.
const NO_LAYER: u8 = 1;
/// What keys are used for.
const SHOWN_WHO: u32 = 11;
const PROOF: u32 = 12;
const ACCEPTOR_SEAL: u32 = 22;
const INITIATOR_SEAL: u32 = 24;
const LAYERS: MechanismError = MechanismError::Malformed("its message about security layers");

#[cfg(test)]
mod tests;
