//! What a fetch answer means for one partition: the response's struct goes in, a verdict by error
//! code comes out, and the events that the owner of the cursors acts on.

use std::time::Instant;

use bytes::Bytes;

use crate::code::ErrorCode;
use crate::messages::fetch::{AbortedTransaction, LeaderIdAndEpoch, NodeEndpoint, PartitionData};

use crate::session::new_leader::NewLeader;

use super::cursor::{Cursor, CursorId};

/// What happened to a cursor. All but the first three hand it back: it is no longer in the source.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FetchEvent {
    /// Records arrived. Nothing more of this partition is fetched before
    /// [`advance`](super::FetchSource::advance) is called.
    Fetched(Fetched),
    /// A retriable error; the partition rests until then.
    Backoff {
        /// Which cursor.
        id: CursorId,
        /// What the broker said.
        code: ErrorCode,
        /// When it is asked again.
        until: Instant,
    },
    /// The broker says that offsets up to `end` exist, and repeatedly returns no record from `next`
    /// on. On a compacted topic that is a hole up to the log's end; on a tiered one a remote read
    /// may just be slow, so the caller has to find out (the range below the local log start is
    /// remote) before it gives up the cursor. The cursor stays and goes on asking.
    Stalled {
        /// Which cursor.
        id: CursorId,
        /// Its position.
        next: i64,
        /// The end of what may be read; not below the cursor's stop.
        end: i64,
    },
    /// The position is not in the log.
    OffsetOutOfRange {
        /// Which cursor.
        id: CursorId,
        /// The cursor itself.
        cursor: Cursor,
        /// The log's first offset, -1 where the broker does not say.
        log_start: i64,
        /// The high watermark, -1 where the broker does not say.
        high_watermark: i64,
    },
    /// Another broker leads the partition.
    LeaderMoved {
        /// Which cursor.
        id: CursorId,
        /// The cursor itself.
        cursor: Cursor,
        /// Who leads it now, if the broker said so (KIP-951).
        leader: Option<NewLeader>,
    },
    /// The leader says that another replica is nearer (KIP-392).
    Nearer {
        /// Which cursor.
        id: CursorId,
        /// The cursor itself.
        cursor: Cursor,
        /// The broker to fetch from.
        replica: i32,
    },
    /// The log was truncated below the position: what was read from `end_offset` on exists no more
    /// (KIP-320).
    Truncated {
        /// Which cursor.
        id: CursorId,
        /// The cursor itself.
        cursor: Cursor,
        /// The last epoch that both share.
        epoch: i32,
        /// Where that epoch ends.
        end_offset: i64,
    },
    /// The broker does not know the topic, or knows another one by this name: deleted, recreated,
    /// or simply too new.
    UnknownTopic {
        /// Which cursor.
        id: CursorId,
        /// The cursor itself.
        cursor: Cursor,
        /// What the broker said.
        code: ErrorCode,
    },
    /// An error that asking again does not mend.
    Fatal {
        /// Which cursor.
        id: CursorId,
        /// The cursor itself.
        cursor: Cursor,
        /// What the broker said.
        code: ErrorCode,
    },
}

/// The records of one partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetched {
    /// Which cursor.
    pub id: CursorId,
    /// Record batches; the first may begin before the position, the last may be cut short.
    pub records: Bytes,
    /// The offset below which all in-sync replicas agree.
    pub high_watermark: i64,
    /// The offset below which no transaction is open, -1 where unknown.
    pub last_stable_offset: i64,
    /// The log's first offset, -1 where unknown.
    pub log_start: i64,
    /// The aborted transactions among these records, in no particular order.
    pub aborted: Vec<AbortedTransaction>,
}

/// Who leads now, if the response says so.
pub(super) fn new_leader(leader: &LeaderIdAndEpoch, nodes: &[NodeEndpoint]) -> Option<NewLeader> {
    let endpoint = nodes.iter().find(|endpoint| endpoint.node_id == leader.leader_id);
    let address = endpoint.map(|endpoint| (endpoint.host.as_str(), endpoint.port));
    NewLeader::named(leader.leader_id, leader.leader_epoch, address)
}

/// What to do with a cursor after its answer.
pub(super) enum Verdict {
    Records(Fetched),
    Nothing(Fetched),
    Rest(ErrorCode),
    Depart(Departure),
}

/// Why a cursor leaves.
pub(super) enum Departure {
    OutOfRange { log_start: i64, high_watermark: i64 },
    Moved,
    Nearer(i32),
    Truncated { epoch: i32, end_offset: i64 },
    Unknown(ErrorCode),
    Fatal(ErrorCode),
}

impl Departure {
    pub(super) fn event(
        self,
        id: CursorId,
        cursor: Cursor,
        leader: Option<NewLeader>,
    ) -> FetchEvent {
        match self {
            Self::OutOfRange { log_start, high_watermark } => {
                FetchEvent::OffsetOutOfRange { id, cursor, log_start, high_watermark }
            }
            Self::Moved => FetchEvent::LeaderMoved { id, cursor, leader },
            Self::Nearer(replica) => FetchEvent::Nearer { id, cursor, replica },
            Self::Truncated { epoch, end_offset } => {
                FetchEvent::Truncated { id, cursor, epoch, end_offset }
            }
            Self::Unknown(code) => FetchEvent::UnknownTopic { id, cursor, code },
            Self::Fatal(code) => FetchEvent::Fatal { id, cursor, code },
        }
    }
}

/// Sorts an answer by its code.
pub(super) fn judge(data: PartitionData) -> Verdict {
    match data.error_code {
        ErrorCode::NONE if data.diverging_epoch.end_offset >= 0 => {
            let (epoch, end_offset) = (data.diverging_epoch.epoch, data.diverging_epoch.end_offset);
            Verdict::Depart(Departure::Truncated { epoch, end_offset })
        }
        // A leader that sends elsewhere sends no records; where it did, they are as good.
        ErrorCode::NONE
            if data.preferred_read_replica >= 0
                && data.records.as_ref().is_none_or(|records| records.is_empty()) =>
        {
            Verdict::Depart(Departure::Nearer(data.preferred_read_replica))
        }
        ErrorCode::NONE => records(data),
        ErrorCode::OFFSET_OUT_OF_RANGE => Verdict::Depart(Departure::OutOfRange {
            log_start: data.log_start_offset,
            high_watermark: data.high_watermark,
        }),
        // The storage error belongs here because its broker steps down, the fenced epoch because
        // ours is the older one.
        ErrorCode::NOT_LEADER_OR_FOLLOWER
        | ErrorCode::LEADER_NOT_AVAILABLE
        | ErrorCode::REPLICA_NOT_AVAILABLE
        | ErrorCode::FENCED_LEADER_EPOCH
        | ErrorCode::KAFKA_STORAGE_ERROR => Verdict::Depart(Departure::Moved),
        code @ (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION
        | ErrorCode::UNKNOWN_TOPIC_ID
        | ErrorCode::INCONSISTENT_TOPIC_ID) => Verdict::Depart(Departure::Unknown(code)),
        // The broker's own log is damaged; Java's consumer gives up here too, although the code is
        // retriable elsewhere.
        code @ ErrorCode::CORRUPT_MESSAGE => Verdict::Depart(Departure::Fatal(code)),
        code if code == ErrorCode::UNKNOWN_SERVER_ERROR || code.is_retriable() => {
            Verdict::Rest(code)
        }
        code => Verdict::Depart(Departure::Fatal(code)),
    }
}

fn records(data: PartitionData) -> Verdict {
    let fetched = Fetched {
        id: CursorId(0),
        records: data.records.unwrap_or_default(),
        high_watermark: data.high_watermark,
        last_stable_offset: data.last_stable_offset,
        log_start: data.log_start_offset,
        aborted: data.aborted_transactions.unwrap_or_default(),
    };
    if fetched.records.is_empty() { Verdict::Nothing(fetched) } else { Verdict::Records(fetched) }
}
