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

/// Who fetches, and from whom.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    /// The node that got the fetch.
    pub(crate) node: i32,
    pub(crate) version: i16,
    pub(crate) committed: bool,
    /// The client's rack, empty if it told none.
    pub(crate) rack: &'a str,
}

/// Where a fetch may read from.
pub(crate) enum Readable<'a> {
    /// From here up to this offset, if there is anything.
    From(&'a Partition, i64),
    /// The client's log and this one have parted (KIP-595).
    Diverged(&'a Partition, EpochEndOffset),
    /// From another node, which is closer to the client (KIP-392).
    Elsewhere(&'a Partition, i32),
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

/// Checks that the node may serve what is wanted, and that the position is inside its log.
pub(crate) fn locate<'a>(topology: &'a Topology, asker: Asker<'_>, want: &Want) -> Readable<'a> {
    let topic = match topic_of(topology, &want.topic) {
        Ok(topic) => topic,
        Err(code) => return Readable::Refused(code, None),
    };
    let Some(partition) = topic.partition(want.partition) else {
        return Readable::Refused(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, None);
    };
    let (node, epoch) = (asker.node, want.current_leader_epoch);
    let checked = if asker.version >= FOLLOWERS {
        partition.check_replica(node, epoch)
    } else {
        partition.check_leader(node, epoch)
    };
    if let Err(code) = checked {
        return Readable::Refused(code, Some(partition));
    }
    if partition.leader == node
        && let Some(closest) = topology.closest(partition, asker.rack, want.fetch_offset)
    {
        return Readable::Elsewhere(partition, closest);
    }
    let log = &partition.log;
    let end = partition.end_at(node);
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
    if want.fetch_offset < log.start_offset() || want.fetch_offset > end {
        return Readable::Refused(ErrorCode::OFFSET_OUT_OF_RANGE, None);
    }
    let limit = if asker.committed { log.last_stable_offset() } else { log.high_watermark() };
    Readable::From(partition, limit.min(end))
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
        Readable::Elsewhere(partition, node) => {
            PartitionAnswer { preferred_read_replica: *node, ..ends(partition, want) }
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

/// From this version on clients may read from followers (KIP-392).
const FOLLOWERS: i16 = 11;
