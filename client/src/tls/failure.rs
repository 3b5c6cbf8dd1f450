//! What went wrong between two ends of TLS. In: the TLS library's errors; out: a kind, one clause
//! for a person, and what would mend it, carried inside an [`io::Error`] so that the layers between
//! need to know nothing of TLS.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use rustls::{AlertDescription, CertificateError};

use crate::error::ErrorKind;

/// A failure of TLS in words.
#[derive(Debug)]
pub struct TlsFailure {
    kind: ErrorKind,
    what: String,
    hint: &'static str,
    source: Box<dyn StdError + Send + Sync>,
}

impl TlsFailure {
    /// What to make of it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What would mend it, as an imperative clause.
    pub fn hint(&self) -> &'static str {
        self.hint
    }

    /// Reads the library's error. `shown` says whether this side has a certificate to show.
    fn new(source: rustls::Error, shown: bool) -> Self {
        let (kind, what, hint) = explain(&source, shown);
        Self { kind, what, hint, source: source.into() }
    }

    /// A peer that hangs up in the middle of the handshake is told as such: it is what a plaintext
    /// listener of Kafka's does.
    pub(crate) fn of_handshake(error: io::Error) -> io::Error {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        let hung_up = [BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof];
        if !hung_up.contains(&error.kind()) {
            return error;
        }
        let what = "the broker hung up during the TLS handshake".to_owned();
        let failure =
            Self { kind: ErrorKind::Disconnected, what, hint: NO_TLS, source: error.into() };
        io::Error::new(UnexpectedEof, failure)
    }
}

impl fmt::Display for TlsFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl StdError for TlsFailure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.source)
    }
}

/// The failure of TLS behind a stream's error, if it is one.
pub(crate) fn failure_of(error: &io::Error) -> Option<&TlsFailure> {
    error.get_ref()?.downcast_ref()
}

/// A stream's error with the library's own turned into words; others stay as they are.
pub(crate) fn in_words(error: io::Error, shown: bool) -> io::Error {
    let kind = error.kind();
    match error.downcast::<rustls::Error>() {
        Ok(tls) => io::Error::new(kind, TlsFailure::new(tls, shown)),
        Err(other) => other,
    }
}

fn explain(error: &rustls::Error, shown: bool) -> (ErrorKind, String, &'static str) {
    match error {
        rustls::Error::InvalidCertificate(why) => {
            let (what, hint) = certificate(why);
            (ErrorKind::Tls, what, hint)
        }
        rustls::Error::AlertReceived(alert) => {
            let (what, hint) = alerted(*alert, shown);
            (ErrorKind::Tls, what, hint)
        }
        rustls::Error::InvalidMessage(_) => {
            (ErrorKind::NotKafka, "the port does not speak TLS".to_owned(), NO_TLS)
        }
        rustls::Error::PeerIncompatible(why) => {
            let what =
                format!("the broker speaks TLS, but none that this client may use ({why:?})");
            (ErrorKind::Tls, what, IN_COMMON)
        }
        other => (ErrorKind::Tls, format!("TLS failed: {other}"), NO_TLS),
    }
}

/// What is wrong with the broker's certificate.
fn certificate(why: &CertificateError) -> (String, &'static str) {
    use CertificateError as Bad;
    let (what, hint) = match why {
        Bad::UnknownIssuer => ("the broker's certificate is from an unknown authority", AUTHORITY),
        Bad::Expired | Bad::ExpiredContext { .. } => {
            ("the broker's certificate has expired", "renew it, or set this machine's clock")
        }
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            ("the broker's certificate is not valid yet", "set the clocks of both machines")
        }
        Bad::NotValidForNameContext { expected, presented } => {
            let names = match presented.as_slice() {
                [] => "it names no host in subjectAltName".to_owned(),
                // More would hide the rest of the line.
                names => {
                    let names: Vec<_> = names.iter().take(NAMES).map(|name| bare(name)).collect();
                    format!("it is for {}", names.join(", "))
                }
            };
            let host = expected.to_str();
            return (format!("the broker's certificate is not for the host {host}: {names}"), NAME);
        }
        Bad::NotValidForName => ("the broker's certificate is not for this host", NAME),
        Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => {
            ("the broker's certificate is not for servers", "have one issued for serverAuth")
        }
        Bad::Revoked => ("the broker's certificate is revoked", "give the broker another"),
        Bad::BadEncoding => ("the broker's certificate cannot be read", "give the broker another"),
        Bad::Other(other) if other.to_string().contains("UnsupportedCertVersion") => (
            "the broker's certificate is of an old version without host names",
            "have one issued with subjectAltName",
        ),
        Bad::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => (
            "the broker shows the certificate of an authority as its own",
            "give it one that is signed by that authority, or one without CA:TRUE",
        ),
        other => {
            return (format!("the broker's certificate is not accepted: {other}"), AUTHORITY);
        }
    };
    (what.to_owned(), hint)
}

/// What the broker complains about. It says little on purpose, and Java says "bad certificate" or
/// "handshake failure" where it was shown none.
fn alerted(alert: AlertDescription, shown: bool) -> (String, &'static str) {
    use AlertDescription as Alert;
    let (what, hint) = match alert {
        Alert::CertificateRequired | Alert::BadCertificate if !shown => {
            ("the broker demands a certificate of this client", SHOW)
        }
        Alert::HandshakeFailure if !shown => (
            "the broker refused the handshake: it demands a certificate of this client, or a cipher \
             suite that is not offered",
            SHOW,
        ),
        Alert::UnknownCA => {
            ("the broker does not know the authority of this client's certificate", ACCEPT)
        }
        Alert::CertificateExpired => ("this client's certificate has expired", "renew it"),
        Alert::ProtocolVersion | Alert::HandshakeFailure | Alert::InsufficientSecurity => {
            return (
                format!("the broker speaks TLS, but none that this client may use ({alert:?})"),
                IN_COMMON,
            );
        }
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateUnknown
        | Alert::AccessDenied => {
            return (
                format!("the broker does not accept this client's certificate ({alert:?})"),
                ACCEPT,
            );
        }
        other => {
            return (format!("the broker ended TLS with the alert {other:?}"), LOG);
        }
    };
    (what.to_owned(), hint)
}

/// The library tells names as `DnsName("a")` and `IpAddress(1.2.3.4)`.
fn bare(name: &str) -> &str {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
    inner.map_or(name, |inner| inner.trim_matches('"'))
}

/// How many names of a certificate are told.
const NAMES: usize = 4;

const NO_TLS: &str = "check that host and port are those of the broker's SSL listener";
const IN_COMMON: &str =
    "compare ssl.enabled.protocols and ssl.cipher.suites on both sides; TLS 1.2 is the oldest";
const AUTHORITY: &str = "add the certificate of its authority to ssl.truststore.location";
const NAME: &str = "connect by a name that it has (see advertised.listeners), or have one issued for \
                    this host";
const SHOW: &str = "set ssl.keystore.location and ssl.keystore.type";
const ACCEPT: &str = "have the certificate in ssl.keystore issued by an authority that the broker \
                      trusts";
const LOG: &str = "see the broker's log";
