//! Files of tickets, as `kinit` writes them (credential caches of type FILE). In: bytes; out: whose
//! cache it is and the ticket for the KDC's ticket service, or why it cannot be read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::crypto::{Etype, Key};
use super::error::KerberosError;
use super::messages::Ticket;
use super::principal::Principal;
use crate::big_endian::BigEndian;

/// The ticket with which one asks for others, of whoever has put the cache there.
///
/// # Errors
///
/// [`KerberosError::Malformed`] for a file of another form, or without such a ticket;
/// [`KerberosError::Encryption`] for a ticket that is encrypted in another way than with AES.
pub fn parse(bytes: &[u8]) -> Result<Ticket, KerberosError> {
    let mut bytes = BigEndian(bytes);
    if bytes.array() != Some([5, 4]) {
        return Err(KerberosError::Malformed("it is no ticket cache of version 4, so it"));
    }
    let head = bytes.u16().ok_or(BROKEN)?;
    bytes.take(head.into()).ok_or(BROKEN)?;
    let owner = principal(&mut bytes).ok_or(BROKEN)?;
    let wanted = Principal::ticket_service(&owner.realm);
    let mut found = None;
    while !bytes.is_empty() {
        let (client, service, etype, key, end, ticket) = credential(&mut bytes).ok_or(BROKEN)?;
        if client == owner && service == wanted {
            let etype = Etype::of_number(etype)?;
            let key = Key::new(etype, key).ok_or(BROKEN)?;
            // A cache that was renewed in place has the newest last.
            found = Some(Ticket { client, service, key, end, bytes: ticket.to_vec() });
        }
    }
    found.ok_or(KerberosError::Malformed("it has no ticket to ask for others with, so it"))
}

type Credential<'a> = (Principal, Principal, i32, &'a [u8], SystemTime, &'a [u8]);

fn credential<'a>(bytes: &mut BigEndian<'a>) -> Option<Credential<'a>> {
    let (client, service) = (principal(bytes)?, principal(bytes)?);
    let etype = bytes.u16()?;
    let key = bytes.long()?;
    let [_authenticated, _start, end, _renewable] =
        [bytes.u32()?, bytes.u32()?, bytes.u32()?, bytes.u32()?];
    let end = UNIX_EPOCH + Duration::from_secs(end.into());
    let _flags = bytes.array::<5>()?;
    // Addresses, and what was said about rights.
    for _ in 0..2 {
        let count = bytes.u32()?;
        for _ in 0..count {
            bytes.u16()?;
            bytes.long()?;
        }
    }
    let ticket = bytes.long()?;
    let _second = bytes.long()?;
    Some((client, service, etype.into(), key, end, ticket))
}

fn principal(bytes: &mut BigEndian<'_>) -> Option<Principal> {
    let _kind = bytes.u32()?;
    let count = bytes.u32()?;
    let realm = text(bytes)?;
    let mut components = Vec::new();
    for _ in 0..count {
        components.push(text(bytes)?);
    }
    Some(Principal { components, realm })
}

fn text(bytes: &mut BigEndian<'_>) -> Option<String> {
    bytes.long().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

const BROKEN: KerberosError = KerberosError::Malformed("an entry of the ticket cache");

#[cfg(test)]
mod tests {
    use super::*;

    fn data(bytes: &[u8]) -> Vec<u8> {
        [&(bytes.len() as u32).to_be_bytes()[..], bytes].concat()
    }

    fn name(components: &[&str]) -> Vec<u8> {
        let count = components.len() as u8;
        let parts: Vec<u8> = components.iter().flat_map(|part| data(part.as_bytes())).collect();
        [vec![0, 0, 0, 1, 0, 0, 0, count], data(b"R"), parts].concat()
    }

    fn cache() -> Vec<u8> {
        let credential = |service: &[&str], etype: u8, ticket: &[u8]| {
            let head = [name(&["alice"]), name(service), vec![0, etype], data(&[7; 32])].concat();
            let times = [0_u32, 0, 1_800_000_000, 0].map(u32::to_be_bytes).concat();
            [head, times, vec![0; 5], vec![0; 8], data(ticket), data(b"")].concat()
        };
        [
            vec![5, 4, 0, 2, 9, 9],
            name(&["alice"]),
            credential(&["kafka", "host"], 18, b"other"),
            credential(&["krbtgt", "R"], 18, b"old"),
            credential(&["krbtgt", "R"], 18, b"new"),
        ]
        .concat()
    }

    #[test]
    fn the_last_ticket_for_the_ticket_service_is_taken() {
        let ticket = parse(&cache()).expect("a ticket");
        assert_eq!(ticket.bytes, b"new");
        assert_eq!(ticket.client.to_string(), "alice@R");
        assert_eq!(ticket.end, UNIX_EPOCH + Duration::from_secs(1_800_000_000));
    }

    #[test]
    fn a_cache_that_is_cut_or_empty_is_refused() {
        let whole = cache();
        let one = whole.len() / 2;
        for length in 0..one {
            assert!(parse(&whole[..length]).is_err(), "{length}");
        }
    }
}
