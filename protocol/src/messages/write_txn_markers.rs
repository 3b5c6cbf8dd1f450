//! WriteTxnMarkers: a transaction's coordinator has the partitions' leaders write how it ended
//! (KIP-98).
//!
//! From broker to broker, and from an admin client that aborts a transaction that hangs (KIP-664).
//! Version 2 tells the transaction's version, so that stale markers are refused (KIP-1228).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Markers to write.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 27, response = WriteTxnMarkersResponse, versions = "0-2", flexible = "1+")]
pub struct WriteTxnMarkersRequest {
    /// The markers, by transaction.
    #[field(versions = "0+")]
    pub markers: Vec<WritableTxnMarker>,
}

/// The marker of one transaction.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct WritableTxnMarker {
    /// The producer's id.
    #[field(versions = "0+")]
    pub producer_id: i64,
    /// The producer's epoch.
    #[field(versions = "0+")]
    pub producer_epoch: i16,
    /// Whether it is committed; otherwise aborted.
    #[field(versions = "0+")]
    pub transaction_result: bool,
    /// Where to write it, by topic.
    #[field(versions = "0+")]
    pub topics: Vec<WritableTxnMarkerTopic>,
    /// The leader epoch of the coordinator's partition, by which an older one is fenced.
    #[field(versions = "0+")]
    pub coordinator_epoch: i32,
    /// 2 if each transaction has its own epoch (KIP-890), 0 or 1 for older ones.
    #[field(versions = "2+", ignorable)]
    pub transaction_version: i8,
}

/// Partitions of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct WritableTxnMarkerTopic {
    /// The topic's name.
    #[field(versions = "0+")]
    pub name: String,
    /// The partitions' numbers.
    #[field(versions = "0+")]
    pub partition_indexes: Vec<i32>,
}

/// What became of each marker.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-2", flexible = "1+")]
pub struct WriteTxnMarkersResponse {
    /// The outcomes, by transaction.
    #[field(versions = "0+")]
    pub markers: Vec<WritableTxnMarkerResult>,
}

/// The outcomes of one transaction.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct WritableTxnMarkerResult {
    /// The producer's id.
    #[field(versions = "0+")]
    pub producer_id: i64,
    /// The outcomes, by topic.
    #[field(versions = "0+")]
    pub topics: Vec<WritableTxnMarkerTopicResult>,
}

/// The outcomes of one topic.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct WritableTxnMarkerTopicResult {
    /// The topic's name.
    #[field(versions = "0+")]
    pub name: String,
    /// The outcomes, by partition.
    #[field(versions = "0+")]
    pub partitions: Vec<WritableTxnMarkerPartitionResult>,
}

/// The outcome of one partition.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct WritableTxnMarkerPartitionResult {
    /// The partition's number.
    #[field(versions = "0+")]
    pub partition_index: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
}
