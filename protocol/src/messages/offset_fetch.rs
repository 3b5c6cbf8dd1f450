//! OffsetFetch: reads a group's stored positions.
//!
//! Version 5 adds leader epochs (KIP-320), 7 waits for open transactions on request (KIP-447), 8
//! asks for many groups at once (KIP-709), 9 carries the member (KIP-848), 10 speaks of topics by
//! id (KIP-516).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;
use crate::wire::Uuid;

/// Asks for positions: of one group up to version 7, of `groups` since 8.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 9, response = OffsetFetchResponse, versions = "0-10", flexible = "6+")]
pub struct OffsetFetchRequest {
    /// The group's name; up to version 7.
    #[field(versions = "0-7")]
    pub group_id: String,
    /// The partitions, by topic, none for all; up to version 7.
    #[field(versions = "0-7", nullable = "2-7")]
    pub topics: Option<Vec<OffsetFetchRequestTopic>>,
    /// The groups to look up; since version 8 (KIP-709).
    #[field(versions = "8+")]
    pub groups: Vec<OffsetFetchRequestGroup>,
    /// Asks the broker to refuse while a transaction may yet change a position (KIP-447).
    #[field(versions = "7+")]
    pub require_stable: bool,
}

/// Partitions of one topic (up to version 7).
#[derive(Message, Clone, Debug, PartialEq)]
pub struct OffsetFetchRequestTopic {
    /// The topic's name.
    #[field(versions = "0-7")]
    pub name: String,
    /// The partitions' numbers.
    #[field(versions = "0-7")]
    pub partition_indexes: Vec<i32>,
}

/// A group and the partitions to look up.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct OffsetFetchRequestGroup {
    /// The group's name.
    #[field(versions = "8+")]
    pub group_id: String,
    /// The member that asks, if it is one of the newer protocol (KIP-848).
    #[field(versions = "9+", nullable = "9+", default = null, ignorable)]
    pub member_id: Option<String>,
    /// The member's epoch, -1 for none (KIP-848).
    #[field(versions = "9+", default = -1, ignorable)]
    pub member_epoch: i32,
    /// The partitions, by topic, none for all.
    #[field(versions = "8+", nullable = "8+")]
    pub topics: Option<Vec<OffsetFetchRequestTopics>>,
}

/// Partitions of one topic (since version 8).
#[derive(Message, Clone, Debug, PartialEq)]
pub struct OffsetFetchRequestTopics {
    /// The topic's name; since version 10 `topic_id` stands for it.
    #[field(versions = "8-9", ignorable)]
    pub name: String,
    /// The topic's id, `Uuid::ZERO` where unknown (KIP-516).
    #[field(versions = "10+", ignorable)]
    pub topic_id: Uuid,
    /// The partitions' numbers.
    #[field(versions = "8+")]
    pub partition_indexes: Vec<i32>,
}

/// The positions: of one group up to version 7, in `groups` since 8.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-10", flexible = "6+")]
pub struct OffsetFetchResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "3+", ignorable)]
    pub throttle_time_ms: i32,
    /// The positions, by topic; up to version 7.
    #[field(versions = "0-7")]
    pub topics: Vec<OffsetFetchResponseTopic>,
    /// An error of the whole group; versions 2 to 7.
    #[field(versions = "2-7", ignorable)]
    pub error_code: ErrorCode,
    /// The positions, by group; since version 8 (KIP-709).
    #[field(versions = "8+")]
    pub groups: Vec<OffsetFetchResponseGroup>,
}

/// The positions of one topic (up to version 7).
#[derive(Message, Clone, Debug, PartialEq)]
pub struct OffsetFetchResponseTopic {
    /// The topic's name.
    #[field(versions = "0-7")]
    pub name: String,
    /// The positions, by partition.
    #[field(versions = "0-7")]
    pub partitions: Vec<OffsetFetchResponsePartition>,
}

/// The position in one partition (up to version 7).
#[derive(Message, Clone, Debug, PartialEq)]
pub struct OffsetFetchResponsePartition {
    /// The partition's number.
    #[field(versions = "0-7")]
    pub partition_index: i32,
    /// The next offset to read, -1 if none is stored.
    #[field(versions = "0-7")]
    pub committed_offset: i64,
    /// The leader epoch of the record before it, -1 where unknown (KIP-320).
    #[field(versions = "5-7", default = -1, ignorable)]
    pub committed_leader_epoch: i32,
    /// The committer's words kept beside the position.
    #[field(versions = "0-7", nullable = "0-7")]
    pub metadata: Option<String>,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0-7")]
    pub error_code: ErrorCode,
}

/// The positions of one group.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct OffsetFetchResponseGroup {
    /// The group's name.
    #[field(versions = "8+")]
    pub group_id: String,
    /// The positions, by topic.
    #[field(versions = "8+")]
    pub topics: Vec<OffsetFetchResponseTopics>,
    /// An error of the whole group, or `ErrorCode::NONE`.
    #[field(versions = "8+")]
    pub error_code: ErrorCode,
}

/// The positions of one topic (since version 8).
#[derive(Message, Clone, Debug, PartialEq)]
pub struct OffsetFetchResponseTopics {
    /// The topic's name; since version 10 `topic_id` stands for it.
    #[field(versions = "8-9", ignorable)]
    pub name: String,
    /// The topic's id, `Uuid::ZERO` where unknown (KIP-516).
    #[field(versions = "10+", ignorable)]
    pub topic_id: Uuid,
    /// The positions, by partition.
    #[field(versions = "8+")]
    pub partitions: Vec<OffsetFetchResponsePartitions>,
}

/// The position in one partition (since version 8).
#[derive(Message, Clone, Debug, PartialEq)]
pub struct OffsetFetchResponsePartitions {
    /// The partition's number.
    #[field(versions = "8+")]
    pub partition_index: i32,
    /// The next offset to read, -1 if none is stored.
    #[field(versions = "8+")]
    pub committed_offset: i64,
    /// The leader epoch of the record before it, -1 where unknown (KIP-320).
    #[field(versions = "8+", default = -1, ignorable)]
    pub committed_leader_epoch: i32,
    /// The committer's words kept beside the position.
    #[field(versions = "8+", nullable = "8+")]
    pub metadata: Option<String>,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "8+")]
    pub error_code: ErrorCode,
}
