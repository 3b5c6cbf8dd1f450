//! Why there is no ticket, in words. In: what the KDC said, and who asked for what; out: one line that
//! says which it was, and what would mend it.

use std::time::SystemTime;

use crate::error::{Error, ErrorKind};
use crate::kerberos::messages::{SKEW, distance};
use crate::kerberos::{KerberosError, Principal};

/// Why the KDC does not believe this client to be who it says.
pub(super) fn no_first_ticket(error: &KerberosError, client: &Principal, place: &str) -> Error {
    let code = if let KerberosError::Refused { code, .. } = error { *code } else { 0 };
    let (what, hint) = match (code, error) {
        (6, _) => ("the KDC does not know this client's principal", CLIENT),
        (1, _) => ("this client's principal has expired", ADMIN),
        (18, _) => ("this client's principal is locked or has been revoked", ADMIN),
        (23, _) => ("the password or key of this client's principal has expired", ADMIN),
        (24 | 31, _) | (_, KerberosError::WrongKey) => {
            ("the key in the keytab is not the one that the KDC has", OLD_KEY)
        }
        (14, _) => ("the KDC has no key that encrypts as those in the keytab do", ETYPES),
        (68, _) => ("this client's principal is of another realm", CLIENT),
        _ => return other(error, client, "the KDC does not give this client a ticket"),
    };
    failed(error, what, hint).with("principal", client).with("keytab", place)
}

/// Why there is no ticket for a broker.
pub(super) fn no_service_ticket(error: &KerberosError, service: &Principal) -> Error {
    let code = if let KerberosError::Refused { code, .. } = error { *code } else { 0 };
    let (what, hint) = match code {
        7 => ("the KDC does not know the broker's principal", SERVICE),
        2 => ("the broker's principal has expired", ADMIN),
        14 => ("the broker's principal has no AES key", ETYPES),
        32 => ("the ticket with which others are asked for has expired", "run kinit"),
        _ => return other(error, service, "the KDC gives no ticket for the broker"),
    };
    failed(error, what, hint).with("principal", service)
}

/// Why no question was asked.
pub(super) fn no_kdc(realm: &str, place: &str) -> Error {
    Error::new(ErrorKind::Config, "nothing says where the KDC of the realm is")
        .with("realm", realm)
        .with("file", place)
        .with_hint("add kdc = host:port to the realm there; DNS is not asked")
}

/// Tickets from realm to realm are not asked for.
pub(super) fn other_realm(client: &Principal, realm: &str) -> Error {
    let what = "the broker is in another realm than this client, which is not supported";
    Error::new(ErrorKind::Unsupported, what)
        .with("principal", client)
        .with("realm", realm)
        .with_hint("check [domain_realm] in krb5.conf, or use a principal of that realm")
}

/// The KDC wants a proof that the keytab cannot give.
pub(super) fn no_key_in_common(client: &Principal, place: &str) -> Error {
    let what = "the KDC has no key that encrypts as those in the keytab do";
    Error::new(ErrorKind::Authentication, what)
        .with("principal", client)
        .with("keytab", place)
        .with_hint(ETYPES)
}

/// What can be wrong with either ticket.
fn other(error: &KerberosError, asked: &Principal, what: &'static str) -> Error {
    let KerberosError::Refused { code, clock, .. } = error else {
        return Error::new(ErrorKind::Protocol, "the KDC's answer cannot be used")
            .with("principal", asked)
            .with("detail", error)
            .with_hint("check that the kdc lines in krb5.conf name KDCs of the realm")
            .with_source(error.clone());
    };
    if *code == SKEW {
        let apart = clock.map(|clock| distance(clock, SystemTime::now()).as_secs());
        let apart = apart.map_or_else(|| "too many".to_owned(), |seconds| seconds.to_string());
        return failed(
            error,
            "the clocks of this machine and of the KDC are too far apart",
            CLOCKS,
        )
        .with("seconds", apart);
    }
    // A KDC that is busy or has lost its database may be well again later.
    let kind =
        if matches!(code, 29 | 60) { ErrorKind::Unreachable } else { ErrorKind::Authentication };
    failed(error, what, ADMIN).as_kind(kind).with("principal", asked).with("detail", error)
}

fn failed(error: &KerberosError, what: &'static str, hint: &'static str) -> Error {
    Error::new(ErrorKind::Authentication, what).with_hint(hint).with_source(error.clone())
}

const CLIENT: &str = "check principal in sasl.jaas.config, and its realm";
const SERVICE: &str = "check sasl.kerberos.service.name, and that brokers advertise the host names \
                       that their principals have";
const OLD_KEY: &str = "get another keytab: a new password or ktadd makes the old one useless";
const ETYPES: &str = "have the KDC make AES keys for the principal, and write the keytab anew";
const CLOCKS: &str = "set both clocks, by NTP for instance";
const ADMIN: &str = "ask whoever administers the KDC";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_says_which_it_was() {
        let name = Principal::parse("alice@R").expect("a name");
        let refused = |code| {
            let clock = Some(SystemTime::now() + std::time::Duration::from_secs(3_601));
            KerberosError::Refused {
                code,
                text: Some("WORDS".to_owned()),
                clock,
                etypes: Vec::new(),
            }
        };
        for (code, words) in [
            (6, "does not know this client's"),
            (24, "the key in the keytab"),
            (37, "clocks of this machine"),
            (60, "error 60, WORDS"),
        ] {
            let line = no_first_ticket(&refused(code), &name, "/keytab").to_string();
            assert!(line.contains(words) && line.contains("; "), "{line}");
        }
        for (code, words) in
            [(7, "does not know the broker's"), (2, "has expired"), (12, "error 12")]
        {
            let line = no_service_ticket(&refused(code), &name).to_string();
            assert!(line.contains(words) && line.contains("alice@R"), "{line}");
        }
        let skew = no_service_ticket(&refused(37), &name).to_string();
        assert!(skew.contains("seconds 360"), "{skew}");
    }
}
