//! The one error of the client. In: what failed, where, and why; out: a kind to act on, who is at
//! fault, and one line for a person that ends in what would mend it.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use klamm_protocol::code::ErrorCode;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure, cheap to clone so that every waiter can have a copy.
///
/// ```
/// use klamm_client::{Config, ErrorKind, Fault};
///
/// let error = Config::new("no-port").unwrap_err();
/// assert_eq!((error.kind(), error.fault()), (ErrorKind::Config, Fault::Caller));
/// assert!(error.to_string().contains("; write host:port"));
/// ```
///
/// `Display` is one line: what failed, the context in brackets, and after a semicolon what would
/// mend it. The causes are reached by [`std::error::Error::source`]; text that came from the
/// network is printed without control characters.
#[derive(Clone)]
pub struct Error(Box<Inner>);

/// Behind a box, so that a `Result` stays one word wide.
#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    /// A clause in lower case, without a full stop.
    what: Cow<'static, str>,
    code: Option<ErrorCode>,
    /// Where it happened, in the order it was added.
    context: Vec<(&'static str, String)>,
    /// An imperative clause: what would mend it.
    hint: Option<Cow<'static, str>>,
    /// Shared, since causes cannot be cloned.
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// What happened, as far as a caller can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An option is unknown, malformed, or out of its range. Nothing was contacted.
    Config,
    /// An argument or the order of calls is wrong: a partition that does not exist, a producer that
    /// is closed.
    Usage,
    /// No byte stream to the broker could be opened.
    Unreachable,
    /// Something answers at the address, and it does not speak Kafka's protocol.
    NotKafka,
    /// The two ends do not agree on TLS: a certificate that is not trusted, not for this host,
    /// expired or missing, or no version in common. Nothing was asked.
    Tls,
    /// The broker does not let this client in: a wrong password, a token that has expired, a mechanism
    /// that it does not offer; or it cannot prove to be the right broker. Nothing was asked.
    Authentication,
    /// The connection ended before the request was sent whole: it was certainly not carried out.
    Disconnected,
    /// The request may have been carried out, and no answer came. Repeating it may do it twice.
    OutcomeUnknown,
    /// The time given to the whole operation has passed; the last failure is the source.
    TimedOut,
    /// The broker sent bytes that break the protocol.
    Protocol,
    /// The broker lacks an API or a version that is needed.
    Unsupported,
    /// The broker refused, with an error code.
    Broker,
    /// Record data is damaged: a checksum, a length or a codec does not agree.
    Corrupt,
    /// Offsets that were asked for are no longer in the log.
    DataLoss,
    /// A record or request is larger than a limit allows.
    TooLarge,
    /// A newer producer has the same transactional id, or the coordinator gave this one up. Final:
    /// the producer is of no more use, and what it had not committed is aborted.
    Fenced,
    /// The transaction can only be aborted, and nothing of it will be visible. Its work may be done
    /// again in another transaction of the same producer.
    AbortRequired,
    /// A promise of this library is broken.
    Internal,
}

/// Who has to change something before the same call can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The broker, or how it is set up.
    Broker,
    /// What lies between.
    Network,
    /// The one who called.
    Caller,
    /// This library.
    Us,
}

impl Error {
    /// An error of this kind; `what` is a clause without a full stop, such as `the connection was
    /// closed`.
    pub fn new(kind: ErrorKind, what: impl Into<Cow<'static, str>>) -> Self {
        let (context, hint, source) = (Vec::new(), None, None);
        Self(Box::new(Inner { kind, what: what.into(), code: None, context, hint, source }))
    }

    /// The broker answered `code`: its meaning becomes the message, its remedy the hint.
    pub fn broker(code: ErrorCode) -> Self {
        let error = Self::new(ErrorKind::Broker, clause(code.meaning()));
        let mut error = error.with("code", code.name()).with_hint(clause(code.hint()));
        error.0.code = Some(code);
        error
    }

    /// `Ok` for [`ErrorCode::NONE`], otherwise [`Error::broker`].
    pub fn check(code: ErrorCode) -> Result<()> {
        if code.is_ok() { Ok(()) } else { Err(Self::broker(code)) }
    }

    /// Adds where it happened: a topic, a partition, an address. Never pass a secret.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((name, value.to_string()));
        self
    }

    /// Adds topic and partition.
    #[must_use]
    pub fn at(self, topic: &str, partition: i32) -> Self {
        self.with("topic", topic).with("partition", partition)
    }

    /// Says what would mend it, as an imperative clause without a full stop.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// The same failure, understood otherwise by who knows more.
    #[must_use]
    pub fn as_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// A failure of another kind, in other words, that keeps context and hint and has this one as
    /// its source.
    pub(crate) fn retold(self, kind: ErrorKind, what: impl Into<Cow<'static, str>>) -> Self {
        let mut retold = self.clone().as_kind(kind);
        retold.0.what = what.into();
        retold.with_source(self)
    }

    /// What failed, without context.
    pub(crate) fn what(&self) -> &str {
        &self.0.what
    }

    /// What would mend it.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// What happened.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The broker's code, where it sent one.
    pub fn code(&self) -> Option<ErrorCode> {
        self.0.code
    }

    /// The value of a context pair.
    pub fn context(&self, name: &str) -> Option<&str> {
        self.0.context.iter().find(|(n, _)| *n == name).map(|(_, value)| value.as_str())
    }

    /// Who has to change something.
    pub fn fault(&self) -> Fault {
        match self.0.kind {
            ErrorKind::Config
            | ErrorKind::Usage
            | ErrorKind::Tls
            | ErrorKind::Authentication
            | ErrorKind::TooLarge
            | ErrorKind::Fenced
            | ErrorKind::AbortRequired => Fault::Caller,
            ErrorKind::Unreachable
            | ErrorKind::NotKafka
            | ErrorKind::Disconnected
            | ErrorKind::OutcomeUnknown
            | ErrorKind::TimedOut => Fault::Network,
            ErrorKind::Protocol
            | ErrorKind::Unsupported
            | ErrorKind::Broker
            | ErrorKind::Corrupt
            | ErrorKind::DataLoss => Fault::Broker,
            ErrorKind::Internal => Fault::Us,
        }
    }

    /// Whether the same call may succeed later *and* repeating it cannot do the work twice. An
    /// [`ErrorKind::OutcomeUnknown`] is therefore not retriable: only who knows the request to be
    /// harmless may repeat it. Neither is [`ErrorKind::AbortRequired`]: what may be repeated is the
    /// whole transaction.
    pub fn is_retriable(&self) -> bool {
        match self.0.kind {
            ErrorKind::Unreachable | ErrorKind::Disconnected | ErrorKind::TimedOut => true,
            ErrorKind::Broker => self.0.code.is_some_and(ErrorCode::is_retriable),
            _ => false,
        }
    }

    /// Whether the broker says by it that the client's view of leaders and topics is out of date.
    pub fn is_stale_metadata(&self) -> bool {
        self.0.code.is_some_and(ErrorCode::is_stale_metadata)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_plain(f, &self.0.what)?;
        for (index, (name, value)) in self.0.context.iter().enumerate() {
            write!(f, "{}{name} ", if index == 0 { " (" } else { ", " })?;
            write_plain(f, value)?;
        }
        if !self.0.context.is_empty() {
            f.write_str(")")?;
        }
        match &self.0.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, "\n  because: {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// A sentence as part of another.
fn clause(sentence: &str) -> String {
    let mut letters = sentence.trim_end_matches('.').chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

/// Control characters from the network could forge a second log line; they become spaces.
fn write_plain(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    text.chars().try_for_each(|c| fmt::Write::write_char(f, if c.is_control() { ' ' } else { c }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_is_one_line_with_context_and_remedy() {
        let error = Error::new(ErrorKind::Unreachable, "cannot connect")
            .with("address", "127.0.0.1:1\nforged")
            .with_hint("start the broker");
        assert_eq!(
            error.to_string(),
            "cannot connect (address 127.0.0.1:1 forged); start the broker"
        );
    }

    #[test]
    fn an_unknown_outcome_is_never_retriable() {
        assert!(!Error::new(ErrorKind::OutcomeUnknown, "no answer").is_retriable());
        assert!(Error::new(ErrorKind::Disconnected, "cut").is_retriable());
    }

    #[test]
    fn a_transaction_that_went_wrong_is_not_mended_by_repeating_the_call() {
        for kind in [ErrorKind::Fenced, ErrorKind::AbortRequired] {
            let error = Error::broker(ErrorCode::CONCURRENT_TRANSACTIONS).as_kind(kind);
            assert!(!error.is_retriable() && error.fault() == Fault::Caller);
        }
    }

    #[test]
    fn a_broker_code_decides_about_retries() {
        let stale = Error::broker(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        assert!(stale.is_retriable() && stale.is_stale_metadata());
        assert_eq!(stale.fault(), Fault::Broker);
        assert!(!Error::broker(ErrorCode::TOPIC_AUTHORIZATION_FAILED).is_retriable());
        assert!(Error::check(ErrorCode::NONE).is_ok());
        let line = stale.to_string();
        assert!(line.contains("(code NOT_LEADER_OR_FOLLOWER); ") && !line.contains('.'), "{line}");
    }

    #[test]
    fn causes_are_kept_and_shown_by_debug() {
        let io = std::io::Error::other("wire cut");
        let error = Error::new(ErrorKind::Disconnected, "closed").with_source(io);
        assert!(format!("{error:?}").contains("because: wire cut"));
        assert!(error.clone().source().is_some());
    }
}
