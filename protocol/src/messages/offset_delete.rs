//! OffsetDelete: forgets a group's positions in partitions of topics that it does not read any more
//! (KIP-496).
//!
//! Goes to the group's coordinator. Beside SaslHandshake the only API of clients that never became
//! flexible (KIP-482).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Positions to forget.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 47, response = OffsetDeleteResponse, versions = "0", flexible = "none")]
pub struct OffsetDeleteRequest {
    /// The group's name.
    #[field(versions = "0+")]
    pub group_id: String,
    /// The positions, by topic.
    #[field(versions = "0+")]
    pub topics: Vec<OffsetDeleteRequestTopic>,
}

/// The positions in one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct OffsetDeleteRequestTopic {
    /// The topic's name.
    #[field(versions = "0+")]
    pub name: String,
    /// The positions, by partition.
    #[field(versions = "0+")]
    pub partitions: Vec<OffsetDeleteRequestPartition>,
}

/// A partition whose position is to be forgotten.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct OffsetDeleteRequestPartition {
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition_index: i32,
}

/// What became of each position.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0", flexible = "none")]
pub struct OffsetDeleteResponse {
    /// What went wrong with all of it, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+", ignorable)]
    pub throttle_time_ms: i32,
    /// The outcomes, by topic.
    #[field(versions = "0+")]
    pub topics: Vec<OffsetDeleteResponseTopic>,
}

/// The outcomes of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct OffsetDeleteResponseTopic {
    /// The topic's name.
    #[field(versions = "0+")]
    pub name: String,
    /// The outcomes, by partition.
    #[field(versions = "0+")]
    pub partitions: Vec<OffsetDeleteResponsePartition>,
}

/// The outcome of one partition.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct OffsetDeleteResponsePartition {
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition_index: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
}
