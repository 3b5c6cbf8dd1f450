//! The response to Fetch as a broker writes it: the fields of [`FetchResponse`], but with records
//! in many pieces, so that they go from the log to the socket without being joined.
//!
//! [`FetchResponse`]: klamm_protocol::messages::fetch::FetchResponse

use bytes::Bytes;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::error::{DecodeError, EncodeError, EncodeErrorKind};
use klamm_protocol::messages::fetch::{
    AbortedTransaction, EpochEndOffset, LeaderIdAndEpoch, NodeEndpoint, SnapshotId,
};
use klamm_protocol::wire::{Field, Layout, Nullable, Reader, Uuid, Writer};
use klamm_protocol_derive::Message;

/// `FetchResponse` with records in pieces.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-18", flexible = "12+")]
pub(crate) struct FetchAnswer {
    #[field(versions = "1+", ignorable)]
    pub(crate) throttle_time_ms: i32,
    #[field(versions = "7+", ignorable)]
    pub(crate) error_code: ErrorCode,
    #[field(versions = "7+", ignorable)]
    pub(crate) session_id: i32,
    #[field(versions = "0+")]
    pub(crate) responses: Vec<TopicAnswer>,
    #[field(versions = "16+", tagged = 0, ignorable)]
    pub(crate) node_endpoints: Vec<NodeEndpoint>,
}

/// `FetchableTopicResponse` with records in pieces.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(flexible = "12+")]
pub(crate) struct TopicAnswer {
    #[field(versions = "0-12", ignorable)]
    pub(crate) topic: String,
    #[field(versions = "13+", ignorable)]
    pub(crate) topic_id: Uuid,
    #[field(versions = "0+")]
    pub(crate) partitions: Vec<PartitionAnswer>,
}

/// `PartitionData` with records in pieces.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(flexible = "12+")]
pub(crate) struct PartitionAnswer {
    #[field(versions = "0+")]
    pub(crate) partition_index: i32,
    #[field(versions = "0+")]
    pub(crate) error_code: ErrorCode,
    #[field(versions = "0+", default = -1)]
    pub(crate) high_watermark: i64,
    #[field(versions = "4+", default = -1, ignorable)]
    pub(crate) last_stable_offset: i64,
    #[field(versions = "5+", default = -1, ignorable)]
    pub(crate) log_start_offset: i64,
    #[field(versions = "12+", tagged = 0, ignorable)]
    pub(crate) diverging_epoch: EpochEndOffset,
    #[field(versions = "12+", tagged = 1, ignorable)]
    pub(crate) current_leader: LeaderIdAndEpoch,
    #[field(versions = "12+", tagged = 2, ignorable)]
    pub(crate) snapshot_id: SnapshotId,
    #[field(versions = "4+", nullable = "4+", default = null, ignorable)]
    pub(crate) aborted_transactions: Option<Vec<AbortedTransaction>>,
    #[field(versions = "11+", default = -1, ignorable)]
    pub(crate) preferred_read_replica: i32,
    #[field(versions = "0+")]
    pub(crate) records: Pieces,
}

/// A byte field in many pieces; on the wire, one byte field.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Pieces {
    pub(crate) parts: Vec<Bytes>,
    pub(crate) bytes: usize,
}

impl Field for Pieces {
    const DEPTH: usize = 0;

    fn put(&self, w: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        let limit = i32::MAX as usize;
        let too_long = EncodeErrorKind::TooLong { length: self.bytes, limit };
        let length = i32::try_from(self.bytes).map_err(|_| EncodeError::new(too_long))?;
        if layout.flexible {
            w.put_unsigned_varint(length.unsigned_abs() + 1);
        } else {
            w.put_i32(length);
        }
        for part in &self.parts {
            w.put_shared(part);
        }
        Ok(())
    }

    fn take(r: &mut Reader, layout: Layout) -> Result<Self, DecodeError> {
        let whole = <Option<Bytes> as Field>::take(r, layout.nullable(true))?.unwrap_or_default();
        Ok(Self { bytes: whole.len(), parts: vec![whole] })
    }

    fn smallest(layout: Layout) -> usize {
        <Bytes as Field>::smallest(layout)
    }
}

impl Nullable for Pieces {
    fn put_null(w: &mut Writer, layout: Layout) -> Result<(), EncodeError> {
        <Bytes as Nullable>::put_null(w, layout)
    }

    fn take_nullable(r: &mut Reader, layout: Layout) -> Result<Option<Self>, DecodeError> {
        <Self as Field>::take(r, layout).map(Some)
    }
}
