//! OffsetCommit: stores a group's positions.
//!
//! Version 6 adds leader epochs (KIP-320), 7 static members (KIP-345), 9 members of the newer
//! protocol (KIP-848), 10 speaks of topics by id (KIP-516).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;
use crate::wire::Uuid;

/// Positions to store for a group.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 8, response = OffsetCommitResponse, versions = "0-10", flexible = "8+")]
pub struct OffsetCommitRequest {
    /// The group's name.
    #[field(versions = "0+")]
    pub group_id: String,
    /// The generation, or the member epoch of the newer protocol; -1 for a committer outside the
    /// group.
    #[field(versions = "1+", default = -1, ignorable)]
    pub generation_id_or_member_epoch: i32,
    /// The member's id, empty for a committer outside the group.
    #[field(versions = "1+", ignorable)]
    pub member_id: String,
    /// The static member's name, if it is one (KIP-345).
    #[field(versions = "7+", nullable = "7+", default = null)]
    pub group_instance_id: Option<String>,
    /// How long to keep the positions, in milliseconds; -1 for the broker's setting.
    #[field(versions = "2-4", default = -1, ignorable)]
    pub retention_time_ms: i64,
    /// The positions, by topic.
    #[field(versions = "0+")]
    pub topics: Vec<OffsetCommitRequestTopic>,
}

/// The positions of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct OffsetCommitRequestTopic {
    /// The topic's name; since version 10 `topic_id` stands for it.
    #[field(versions = "0-9", ignorable)]
    pub name: String,
    /// The topic's id, `Uuid::ZERO` where unknown (KIP-516).
    #[field(versions = "10+", ignorable)]
    pub topic_id: Uuid,
    /// The positions, by partition.
    #[field(versions = "0+")]
    pub partitions: Vec<OffsetCommitRequestPartition>,
}

/// The position in one partition.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct OffsetCommitRequestPartition {
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition_index: i32,
    /// The next offset that the group would read.
    #[field(versions = "0+")]
    pub committed_offset: i64,
    /// The leader epoch of the record before it, -1 where unknown (KIP-320).
    #[field(versions = "6+", default = -1, ignorable)]
    pub committed_leader_epoch: i32,
    /// When it was committed, in milliseconds, -1 for now; version 1 only.
    #[field(versions = "1", default = -1)]
    pub commit_timestamp: i64,
    /// Words of the committer's own to keep beside the position.
    #[field(versions = "0+", nullable = "0+")]
    pub committed_metadata: Option<String>,
}

/// What became of each position.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-10", flexible = "8+")]
pub struct OffsetCommitResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "3+", ignorable)]
    pub throttle_time_ms: i32,
    /// The outcomes, by topic.
    #[field(versions = "0+")]
    pub topics: Vec<OffsetCommitResponseTopic>,
}

/// The outcomes of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct OffsetCommitResponseTopic {
    /// The topic's name; since version 10 `topic_id` stands for it.
    #[field(versions = "0-9", ignorable)]
    pub name: String,
    /// The topic's id, `Uuid::ZERO` where unknown (KIP-516).
    #[field(versions = "10+", ignorable)]
    pub topic_id: Uuid,
    /// The outcomes, by partition.
    #[field(versions = "0+")]
    pub partitions: Vec<OffsetCommitResponsePartition>,
}

/// The outcome of one partition.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct OffsetCommitResponsePartition {
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition_index: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
}
