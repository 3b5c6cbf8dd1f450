//! One partition of a fetch: in goes where the client stands, out come records, or why not.

use bytes::Bytes;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::fetch::{AbortedTransaction, EpochEndOffset, LeaderIdAndEpoch};

use super::answer::{PartitionAnswer, Pieces};
use super::session::{TopicKey, Want};
use crate::broker::topology::{Partition, Topic, Topology};

/// How a fetch is served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    /// Only up to the last stable offset, with the aborted transactions.
    pub(crate) committed: bool,
    /// With the beginning of a batch that does not fit.
    pub(crate) cut: bool,
}

/// Where a fetch may read from.
pub(crate) enum Readable<'a> {
    /// From here up to this offset, if there is anything.
    From(&'a Partition, i64),
    /// The client's log and this one have parted (KIP-595).
    Diverged(&'a Partition, EpochEndOffset),
    /// Not at all.
    Refused(ErrorCode, Option<&'a Partition>),
}

/// Finds the topic that a client names.
pub(crate) fn topic_of<'a>(topology: &'a Topology, key: &TopicKey) -> Result<&'a Topic, ErrorCode> {
    match key {
        TopicKey::Name(name) => topology.topic(name).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        TopicKey::Id(id) => topology.topic_by_id(*id).ok_or(ErrorCode::UNKNOWN_TOPIC_ID),
    }
}

/// Checks that `node` may serve what is wanted, and that the position is inside the log.
pub(crate) fn locate<'a>(
    topology: &'a Topology,
    node: i32,
    committed: bool,
    want: &Want,
) -> Readable<'a> {
    let topic = match topic_of(topology, &want.topic) {
        Ok(topic) => topic,
        Err(code) => return Readable::Refused(code, None),
    };
    let Some(partition) = topic.partition(want.partition) else {
        return Readable::Refused(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, None);
    };
    if let Err(code) = partition.check_leader(node, want.current_leader_epoch) {
        return Readable::Refused(code, Some(partition));
    }
    let log = &partition.log;
    if want.last_fetched_epoch >= 0 {
        let end = log.end_of_epoch(want.last_fetched_epoch);
        if end.epoch < 0 {
            return Readable::Refused(ErrorCode::OFFSET_OUT_OF_RANGE, None);
        }
        if end.epoch < want.last_fetched_epoch || end.end_offset < want.fetch_offset {
            let diverging = EpochEndOffset { epoch: end.epoch, end_offset: end.end_offset };
            return Readable::Diverged(partition, diverging);
        }
    }
    if want.fetch_offset < log.start_offset() || want.fetch_offset > log.end_offset() {
        return Readable::Refused(ErrorCode::OFFSET_OUT_OF_RANGE, None);
    }
    let limit = if committed { log.last_stable_offset() } else { log.high_watermark() };
    Readable::From(partition, limit)
}

/// Reads what is wanted, at most `room` bytes; the first batch whatever its size if
/// `at_least_one` (KIP-74).
pub(crate) fn read(
    located: &Readable<'_>,
    want: &Want,
    room: usize,
    at_least_one: bool,
    how: How,
) -> PartitionAnswer {
    match located {
        Readable::Refused(code, partition) => PartitionAnswer {
            partition_index: want.partition,
            error_code: *code,
            current_leader: partition.map_or_else(LeaderIdAndEpoch::default, leader_hint),
            ..PartitionAnswer::default()
        },
        Readable::Diverged(partition, diverging) => {
            PartitionAnswer { diverging_epoch: diverging.clone(), ..ends(partition, want) }
        }
        Readable::From(partition, limit) => {
            let log = &partition.log;
            let most = want.max_bytes.min(room);
            let mut run = log.read(want.fetch_offset, *limit, most, at_least_one);
            if how.cut && run.bytes > 0 {
                let prefix =
                    log.read_prefix(run.next_offset, *limit, most.saturating_sub(run.bytes));
                run.bytes += prefix.iter().map(Bytes::len).sum::<usize>();
                run.parts.extend(prefix);
            }
            let aborted = how.committed.then(|| {
                log.aborted_between(want.fetch_offset, run.next_offset)
                    .map(|txn| AbortedTransaction {
                        producer_id: txn.producer_id,
                        first_offset: txn.first_offset,
                    })
                    .collect()
            });
            PartitionAnswer {
                aborted_transactions: aborted,
                records: Pieces { parts: run.parts, bytes: run.bytes },
                ..ends(partition, want)
            }
        }
    }
}

fn ends(partition: &Partition, want: &Want) -> PartitionAnswer {
    PartitionAnswer {
        partition_index: want.partition,
        high_watermark: partition.log.high_watermark(),
        last_stable_offset: partition.log.last_stable_offset(),
        log_start_offset: partition.log.start_offset(),
        ..PartitionAnswer::default()
    }
}

/// Who leads now, for clients that asked the wrong node or with an old epoch (KIP-951).
fn leader_hint(partition: &Partition) -> LeaderIdAndEpoch {
    LeaderIdAndEpoch { leader_id: partition.leader, leader_epoch: partition.leader_epoch }
}
