//! What can go wrong in the connector: one [`Error`] with a closed [`ErrorKind`], the side that is at
//! [`Fault`], the name of Spark's error condition where there is one, context, and the cause.
//!
//! The messages open with the words that Spark's users search for, and end with what would mend the matter.

use std::error::Error as StdError;
use std::fmt;

use klamm_protocol::code::ErrorCode;

/// The connector's result type.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Anything the connector refuses or fails at.
///
/// `Display` is one line: the message, then the context in brackets. The chain of causes is reached by
/// [`std::error::Error::source`]. Match on [`Error::kind`], never on text.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    condition: Option<&'static str>,
    message: String,
    context: Vec<(&'static str, String)>,
    retriable: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// What kind of trouble an [`Error`] is, by what a caller would do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An option is unknown, missing, contradictory or malformed. Nothing was contacted.
    InvalidOption,
    /// The columns handed to the sink are not the ones that it takes.
    InvalidSchema,
    /// One row can't be written as it is; the message names the row.
    InvalidRow,
    /// A record of the topic can't become a row, for example because its timestamp is out of range.
    MalformedRecord,
    /// Records that should have been read are gone, and `failOnDataLoss` is true.
    DataLoss,
    /// The offsets that were asked for can't be had: a timestamp without a match, a start above its end.
    InvalidOffsets,
    /// Another process holds the checkpoint.
    CheckpointInUse,
    /// The checkpoint is torn, foreign, contradictory, or from a newer version.
    CheckpointUntrusted,
    /// The file system refused to read or write the checkpoint.
    CheckpointIo,
    /// The cluster or the connection to it failed. The cause is the client's error.
    Client,
    /// A sink's file or stream could not be written.
    SinkIo,
    /// It is not known whether some rows were written.
    OutcomeUnknown,
    /// Another process has taken the query over, and nothing more can be written by this one.
    Fenced,
    /// A bug in this crate.
    Internal,
}

/// Who would have to act for an [`Error`] not to happen again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Whoever gave the options, the columns or the rows.
    Caller,
    /// What the topic holds, or no longer holds.
    Data,
    /// A folder or its file system: the checkpoint's, or a sink's.
    Storage,
    /// The cluster, or the way to it.
    Cluster,
    /// This crate.
    Us,
}

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            condition: None,
            message: message.into(),
            context: Vec::new(),
            retriable: false,
            source: None,
        }))
    }

    /// An option that is refused; nothing was contacted.
    pub(crate) fn option(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidOption, message)
    }

    /// Adds the name of Spark's error condition.
    #[must_use]
    pub fn with_condition(mut self, condition: &'static str) -> Self {
        self.0.condition = Some(condition);
        self
    }

    /// Adds one pair of context, shown in brackets after the message.
    #[must_use]
    pub fn with_context(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((name, value.to_string()));
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Says that the same call may succeed later.
    #[must_use]
    pub fn with_retriable(mut self, retriable: bool) -> Self {
        self.0.retriable = retriable;
        self
    }

    /// The kind: what a caller matches on.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Spark's name for the condition, such as `KAFKA_DATA_LOSS.PARTITIONS_DELETED`, where it has one.
    pub fn condition(&self) -> Option<&'static str> {
        self.0.condition
    }

    /// The message without its context.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The pairs of context, in the order in which they were added.
    pub fn context(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.context.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_retriable(&self) -> bool {
        self.0.retriable
    }

    /// Who would have to act.
    pub fn fault(&self) -> Fault {
        match self.0.kind {
            ErrorKind::InvalidOption
            | ErrorKind::InvalidSchema
            | ErrorKind::InvalidRow
            | ErrorKind::Fenced => Fault::Caller,
            ErrorKind::InvalidOffsets | ErrorKind::MalformedRecord | ErrorKind::DataLoss => {
                Fault::Data
            }
            ErrorKind::CheckpointInUse
            | ErrorKind::CheckpointUntrusted
            | ErrorKind::CheckpointIo
            | ErrorKind::SinkIo => Fault::Storage,
            ErrorKind::Client | ErrorKind::OutcomeUnknown => Fault::Cluster,
            ErrorKind::Internal => Fault::Us,
        }
    }
}

impl From<klamm_client::Error> for Error {
    /// Keeps the message, who is at fault and whether to retry; what caused it becomes the cause of this.
    fn from(error: klamm_client::Error) -> Self {
        use klamm_client::ErrorKind as Theirs;
        let kind = match error.kind() {
            Theirs::Config => ErrorKind::InvalidOption,
            Theirs::OutcomeUnknown => ErrorKind::OutcomeUnknown,
            Theirs::DataLoss => ErrorKind::DataLoss,
            Theirs::Fenced => ErrorKind::Fenced,
            Theirs::Internal => ErrorKind::Internal,
            _ => ErrorKind::Client,
        };
        // What was aborted may be done again in another transaction. So may what met a leader that does not know the
        // epoch: whether somebody has taken over, only the coordinator can tell.
        let unknown_epoch = error.code() == Some(ErrorCode::INVALID_PRODUCER_EPOCH);
        let aborted = error.kind() == Theirs::AbortRequired || unknown_epoch;
        let retriable = error.is_retriable() || aborted;
        let ours = Self::new(kind, error.to_string()).with_retriable(retriable);
        if error.source().is_some() { ours.with_source(Cause(error)) } else { ours }
    }
}

/// What caused an error of the client; its own message stands in ours already.
#[derive(Debug)]
struct Cause(klamm_client::Error);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.source().map_or(Ok(()), |source| fmt::Display::fmt(source, f))
    }
}

impl StdError for Cause {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()?.source()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (i, (name, value)) in self.0.context.iter().enumerate() {
            let open = if i == 0 { " [" } else { ", " };
            write!(f, "{open}{name}: {value}")?;
        }
        if self.0.context.is_empty() { Ok(()) } else { f.write_str("]") }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Error");
        debug.field("kind", &self.0.kind);
        if let Some(condition) = self.0.condition {
            debug.field("condition", &condition);
        }
        debug.field("message", &self.0.message).field("context", &self.0.context);
        if let Some(source) = &self.0.source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// The known name that is nearest to what was typed, if one is near enough to be what was meant.
///
/// Case does not count. A name is near when at most a third of its letters would have to change.
pub(crate) fn nearest<'a>(
    typed: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let typed = typed.to_ascii_lowercase();
    let best = known
        .into_iter()
        .map(|name| (edit_distance(&typed, &name.to_ascii_lowercase()), name))
        .min_by_key(|(distance, _)| *distance)?;
    (best.0 <= best.1.len().max(typed.len()).div_ceil(3)).then_some(best.1)
}

/// Levenshtein's distance over bytes, capped in effort because `typed` comes from outside.
fn edit_distance(a: &str, b: &str) -> usize {
    if a.len() > MAX_COMPARED {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Longer names are not compared: no option is this long, and the work grows with the product of lengths.
const MAX_COMPARED: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_is_one_line_with_the_context_in_brackets() {
        let error = Error::new(ErrorKind::DataLoss, "records are gone")
            .with_context("topic", "t")
            .with_context("partition", 3);
        assert_eq!(error.to_string(), "records are gone [topic: t, partition: 3]");
        assert_eq!(error.fault(), Fault::Data);
    }

    #[test]
    fn an_error_is_one_word_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }

    #[test]
    fn the_nearest_name_is_found_whatever_the_case() {
        let known = ["startingOffsets", "endingOffsets", "subscribe"];
        assert_eq!(nearest("STARTINGOFSETS", known), Some("startingOffsets"));
        assert_eq!(nearest("subscibe", known), Some("subscribe"));
        assert_eq!(nearest("zzz", known), None);
        assert_eq!(nearest(&"x".repeat(10_000), known), None);
    }
}
