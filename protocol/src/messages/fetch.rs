//! Fetch: offsets go in, record batches come out, with long polling and fetch sessions.
//!
//! Transactions start with version 4 (KIP-98), sessions with 7 (KIP-227), leader epochs with 9
//! (KIP-320), zstd with 10 (KIP-110), follower fetching with 11 (KIP-392), divergence with 12
//! (KIP-595), topic ids with 13 (KIP-516), the replica's state with 15 (KIP-903), leader hints with
//! 16 (KIP-951), directory ids with 17 (KIP-853), the follower's high watermark with 18 (KIP-1166).

use bytes::Bytes;
use klamm_protocol_derive::Message;

use crate::code::ErrorCode;
use crate::wire::Uuid;

/// Which partitions to read from which offsets, and how long to wait for how much.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 1, response = FetchResponse, versions = "0-18", flexible = "12+")]
pub struct FetchRequest {
    /// The cluster that the caller takes this to be; only raft voters use it (KIP-595).
    #[field(versions = "12+", nullable = "12+", tagged = 0, default = null, ignorable)]
    pub cluster_id: Option<String>,
    /// The follower that asks, -1 for a consumer; since version 15 in `replica_state`.
    #[field(versions = "0-14", default = -1)]
    pub replica_id: i32,
    /// The follower that asks (KIP-903).
    #[field(versions = "15+", tagged = 1)]
    pub replica_state: ReplicaState,
    /// How long the broker may wait for `min_bytes`, in milliseconds.
    #[field(versions = "0+")]
    pub max_wait_ms: i32,
    /// How many bytes of records are worth an answer before the wait ends.
    #[field(versions = "0+")]
    pub min_bytes: i32,
    /// The most bytes of records in the answer; its first batch may exceed it (KIP-74).
    #[field(versions = "3+", default = i32::MAX, ignorable)]
    pub max_bytes: i32,
    /// 0 reads everything, 1 only what committed transactions wrote (KIP-98).
    #[field(versions = "4+", ignorable)]
    pub isolation_level: i8,
    /// The fetch session, 0 for none or a new one (KIP-227).
    #[field(versions = "7+", ignorable)]
    pub session_id: i32,
    /// -1 ends or avoids a session, 0 opens one, else the next number (KIP-227).
    #[field(versions = "7+", default = -1, ignorable)]
    pub session_epoch: i32,
    /// What to read; in a session only what changed.
    #[field(versions = "0+")]
    pub topics: Vec<FetchTopic>,
    /// What the session shall drop (KIP-227).
    #[field(versions = "7+")]
    pub forgotten_topics_data: Vec<ForgottenTopic>,
    /// The consumer's rack, empty for none, so that a near replica may be named (KIP-392).
    #[field(versions = "11+", ignorable)]
    pub rack_id: String,
}

/// Which follower asks; a consumer leaves it at its default (KIP-903).
#[derive(Message, Clone, Debug, PartialEq)]
pub struct ReplicaState {
    /// The follower's broker id, -1 for a consumer.
    #[field(versions = "15+", default = -1)]
    pub replica_id: i32,
    /// The follower's broker epoch, -1 where unknown.
    #[field(versions = "15+", default = -1)]
    pub replica_epoch: i64,
}

/// The partitions of one topic to read.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct FetchTopic {
    /// The topic's name; since version 13 `topic_id` stands for it.
    #[field(versions = "0-12", ignorable)]
    pub topic: String,
    /// The topic's id, `Uuid::ZERO` where unknown (KIP-516).
    #[field(versions = "13+", ignorable)]
    pub topic_id: Uuid,
    /// What to read, by partition.
    #[field(versions = "0+")]
    pub partitions: Vec<FetchPartition>,
}

/// One partition and the offset to read from.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct FetchPartition {
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition: i32,
    /// The leader epoch that the caller knows, to fence old views; -1 for don't check (KIP-320).
    #[field(versions = "9+", default = -1, ignorable)]
    pub current_leader_epoch: i32,
    /// The offset of the first record wanted.
    #[field(versions = "0+")]
    pub fetch_offset: i64,
    /// The epoch of the record before it, -1 where unknown, to detect divergence (KIP-595).
    #[field(versions = "12+", default = -1)]
    pub last_fetched_epoch: i32,
    /// The follower's own first offset; a consumer leaves -1.
    #[field(versions = "5+", default = -1, ignorable)]
    pub log_start_offset: i64,
    /// The most bytes for this partition; its first batch may exceed it (KIP-74).
    #[field(versions = "0+")]
    pub partition_max_bytes: i32,
    /// The directory that holds the raft replica (KIP-853).
    #[field(versions = "17+", tagged = 0, ignorable)]
    pub replica_directory_id: Uuid,
    /// The high watermark that the replica knows; `i64::MAX` if it does not track it (KIP-1166).
    #[field(versions = "18+", tagged = 1, default = i64::MAX, ignorable)]
    pub high_watermark: i64,
}

/// Partitions that the fetch session shall drop (KIP-227).
#[derive(Message, Clone, Debug, PartialEq)]
pub struct ForgottenTopic {
    /// The topic's name; since version 13 `topic_id` stands for it.
    #[field(versions = "7-12", ignorable)]
    pub topic: String,
    /// The topic's id, `Uuid::ZERO` where unknown (KIP-516).
    #[field(versions = "13+", ignorable)]
    pub topic_id: Uuid,
    /// The partitions' numbers.
    #[field(versions = "7+")]
    pub partitions: Vec<i32>,
}

/// Records by partition; in a session only partitions with news appear.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-18", flexible = "12+")]
pub struct FetchResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "1+", ignorable)]
    pub throttle_time_ms: i32,
    /// An error of the whole session, such as `FETCH_SESSION_ID_NOT_FOUND` (KIP-227).
    #[field(versions = "7+", ignorable)]
    pub error_code: ErrorCode,
    /// The session to continue, 0 if there is none (KIP-227).
    #[field(versions = "7+")]
    pub session_id: i32,
    /// The answers, by topic.
    #[field(versions = "0+")]
    pub responses: Vec<FetchableTopicResponse>,
    /// Addresses of the leaders that `current_leader` names (KIP-951).
    #[field(versions = "16+", tagged = 0)]
    pub node_endpoints: Vec<NodeEndpoint>,
}

/// The answers of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct FetchableTopicResponse {
    /// The topic's name; since version 13 `topic_id` stands for it.
    #[field(versions = "0-12", ignorable)]
    pub topic: String,
    /// The topic's id, `Uuid::ZERO` where unknown (KIP-516).
    #[field(versions = "13+", ignorable)]
    pub topic_id: Uuid,
    /// The answers, by partition.
    #[field(versions = "0+")]
    pub partitions: Vec<PartitionData>,
}

/// Records of one partition, or why there are none.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct PartitionData {
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition_index: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The offset below which all in-sync replicas agree.
    #[field(versions = "0+")]
    pub high_watermark: i64,
    /// The offset below which no transaction is open, -1 where unknown (KIP-98).
    #[field(versions = "4+", default = -1, ignorable)]
    pub last_stable_offset: i64,
    /// The partition's first offset that still exists, -1 where unknown.
    #[field(versions = "5+", default = -1, ignorable)]
    pub log_start_offset: i64,
    /// Where the caller's log leaves the leader's; default if it doesn't (KIP-595).
    #[field(versions = "12+", tagged = 0)]
    pub diverging_epoch: EpochEndOffset,
    /// The leader to turn to after a leadership error (KIP-951).
    #[field(versions = "12+", tagged = 1)]
    pub current_leader: LeaderIdAndEpoch,
    /// The raft snapshot to load, default if none (KIP-630).
    #[field(versions = "12+", tagged = 2)]
    pub snapshot_id: SnapshotId,
    /// The aborted transactions among these records; none unless committed reading was asked for.
    #[field(versions = "4+", nullable = "4+", ignorable)]
    pub aborted_transactions: Option<Vec<AbortedTransaction>>,
    /// The broker to read from from now on, -1 for this one (KIP-392).
    #[field(versions = "11+", default = -1)]
    pub preferred_read_replica: i32,
    /// Record batches one after another; the last may be cut short, the first may begin earlier
    /// than asked.
    #[field(versions = "0+", nullable = "0+", default = null)]
    pub records: Option<Bytes>,
}

/// The last epoch that the caller's log shares with the leader's, and where it ends (KIP-595).
#[derive(Message, Clone, Debug, PartialEq)]
pub struct EpochEndOffset {
    /// The epoch, -1 for none.
    #[field(versions = "12+", default = -1)]
    pub epoch: i32,
    /// The first offset after that epoch, -1 for none.
    #[field(versions = "12+", default = -1)]
    pub end_offset: i64,
}

/// Who leads the partition now, told with leadership errors (KIP-951).
#[derive(Message, Clone, Debug, PartialEq)]
pub struct LeaderIdAndEpoch {
    /// The leading broker, -1 if there is none or it is unknown.
    #[field(versions = "12+", default = -1)]
    pub leader_id: i32,
    /// The leader's epoch, -1 where unknown (KIP-320).
    #[field(versions = "12+", default = -1)]
    pub leader_epoch: i32,
}

/// The snapshot to load in place of offsets that are gone (KIP-630); only raft replicas need it.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct SnapshotId {
    /// The first offset that the snapshot does not hold, -1 for none.
    #[field(versions = "0+", default = -1)]
    pub end_offset: i64,
    /// The epoch of the last record in it, -1 for none.
    #[field(versions = "0+", default = -1)]
    pub epoch: i32,
}

/// A transaction whose records a committed reader has to leave out.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct AbortedTransaction {
    /// The producer's id.
    #[field(versions = "4+")]
    pub producer_id: i64,
    /// The transaction's first offset in this partition; it ends with the next abort marker.
    #[field(versions = "4+")]
    pub first_offset: i64,
}

/// Where a leader named in this response listens (KIP-951).
#[derive(Message, Clone, Debug, PartialEq)]
pub struct NodeEndpoint {
    /// The broker's id.
    #[field(versions = "16+")]
    pub node_id: i32,
    /// The host name or address to connect to.
    #[field(versions = "16+")]
    pub host: String,
    /// The port to connect to.
    #[field(versions = "16+")]
    pub port: i32,
    /// The broker's rack, if it has one.
    #[field(versions = "16+", nullable = "16+", default = null)]
    pub rack: Option<String>,
}
