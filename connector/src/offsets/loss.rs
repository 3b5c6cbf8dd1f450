//! What is gone: every way in which records that a query was to read turn out to be missing, and what is read
//! instead where `failOnDataLoss` is false.
//!
//! In come two sets of offsets, or a range and the log's limits; out come ranges and the [`DataLoss`]es that were
//! found. Whether a loss is an error or a warning is the caller's to say ([`DataLoss::into_error`]).

use std::fmt;

use super::range::OffsetRange;
use super::{PartitionOffsets, TopicPartition, list};
use crate::error::{Error, ErrorKind, Result};

/// One loss of records that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DataLoss {
    /// These new partitions vanished before their first offset was known.
    InitialOffsetNotFound(Vec<TopicPartition>),
    /// A new partition no longer has its first record.
    AddedPartitionNotFromZero {
        /// The new partition.
        partition: TopicPartition,
        /// The first offset that it still has.
        earliest: i64,
    },
    /// These partitions were read before and are no more.
    PartitionsDeleted {
        /// The vanished partitions.
        partitions: Vec<TopicPartition>,
        /// `kafka.group.id`, if it was given: a group shared with others is a usual cause.
        group_id: Option<String>,
    },
    /// A partition ends before the place that was reached already, as after it was made anew.
    OffsetChanged {
        /// The partition.
        partition: TopicPartition,
        /// The offset that was reached.
        previous: i64,
        /// The offset at which it ends now.
        current: i64,
    },
    /// A range, or a part of it, is not in the log.
    UnreadableRange {
        /// The offsets that are missing.
        range: OffsetRange,
        /// The group of the reader.
        group_id: String,
    },
    /// A run of the available-now trigger lost partitions that it had planned to read.
    AvailableNowPartitionsLost(Vec<TopicPartition>),
    /// A partition ends before the end that a run of the available-now trigger had planned.
    AvailableNowOffsetChanged {
        /// The partition.
        partition: TopicPartition,
        /// The planned end.
        planned: i64,
        /// The offset at which it ends now.
        current: i64,
    },
}

impl DataLoss {
    /// The name of Spark's error condition.
    pub fn condition(&self) -> &'static str {
        match self {
            Self::InitialOffsetNotFound(_) => {
                "KAFKA_DATA_LOSS.INITIAL_OFFSET_NOT_FOUND_FOR_PARTITIONS"
            }
            Self::AddedPartitionNotFromZero { .. } => {
                "KAFKA_DATA_LOSS.ADDED_PARTITION_DOES_NOT_START_FROM_OFFSET_ZERO"
            }
            Self::PartitionsDeleted { group_id: None, .. } => "KAFKA_DATA_LOSS.PARTITIONS_DELETED",
            Self::PartitionsDeleted { group_id: Some(_), .. } => {
                "KAFKA_DATA_LOSS.PARTITIONS_DELETED_AND_GROUP_ID_CONFIG_PRESENT"
            }
            Self::OffsetChanged { .. } => "KAFKA_DATA_LOSS.PARTITION_OFFSET_CHANGED",
            Self::UnreadableRange { .. } => "KAFKA_DATA_LOSS.COULD_NOT_READ_OFFSET_RANGE",
            Self::AvailableNowPartitionsLost(_) => {
                "LOST_TOPIC_PARTITIONS_IN_END_OFFSET_WITH_TRIGGER_AVAILABLENOW"
            }
            Self::AvailableNowOffsetChanged { .. } => {
                "END_OFFSET_HAS_GREATER_OFFSET_FOR_TOPIC_PARTITION_THAN_LATEST_WITH_TRIGGER_AVAILABLENOW"
            }
        }
    }

    /// The loss as an error that says how to go on in spite of it.
    pub fn into_error(self) -> Error {
        let advice = match self {
            Self::AvailableNowPartitionsLost(_) | Self::AvailableNowOffsetChanged { .. } => "",
            _ => GO_ON,
        };
        let message = format!("Some data may have been lost: {self}{advice}");
        Error::new(ErrorKind::DataLoss, message).with_condition(self.condition())
    }
}

impl fmt::Display for DataLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InitialOffsetNotFound(partitions) => write!(
                f,
                "Cannot find initial offsets for partitions {}. They may have been deleted.",
                list(partitions)
            ),
            Self::AddedPartitionNotFromZero { partition, earliest } => {
                write!(f, "Added partition {partition} starts from {earliest} instead of 0.")
            }
            Self::PartitionsDeleted { partitions, group_id } => {
                write!(f, "Partitions {} have been deleted.", list(partitions))?;
                match group_id {
                    Some(group) => write!(
                        f,
                        " Option 'kafka.group.id' is set to '{group}': other readers of that group may be the cause."
                    ),
                    None => Ok(()),
                }
            }
            Self::OffsetChanged { partition, previous, current } => write!(
                f,
                "Partition {partition}'s offset was changed from {previous} to {current}."
            ),
            Self::UnreadableRange { range, group_id } => write!(
                f,
                "Could not read records in offset [{}, {}) for topic partition {} with consumer group {group_id}.",
                range.from, range.until, range.topic_partition
            ),
            Self::AvailableNowPartitionsLost(partitions) => write!(
                f,
                "Some of partitions in Kafka topic(s) have been lost during running query with Trigger.AvailableNow. \
                 Lost: {}. Start the query again.",
                list(partitions)
            ),
            Self::AvailableNowOffsetChanged { partition, planned, current } => write!(
                f,
                "Some of partitions in Kafka topic(s) report available offset which is less than end offset during \
                 running query with Trigger.AvailableNow: {partition} ends at {current}, planned was {planned}. \
                 Start the query again."
            ),
        }
    }
}

/// The ranges of a micro-batch and what is missing from them.
///
/// `from` is where the query stands, `until` the batch's end, `initial` the first offsets of the partitions that
/// `from` lacks, as far as they could be found. Partitions that vanished are left out; a partition that ends before
/// the place that was reached gives a negative range, which no split keeps.
pub fn stream_ranges(
    from: &PartitionOffsets,
    until: &PartitionOffsets,
    initial: &PartitionOffsets,
    group_id: Option<&str>,
) -> (Vec<OffsetRange>, Vec<DataLoss>) {
    let mut losses = Vec::new();
    let is_new = |tp: &&TopicPartition| !from.contains_key(*tp);
    let unknown: Vec<_> =
        until.keys().filter(is_new).filter(|tp| !initial.contains_key(*tp)).cloned().collect();
    if !unknown.is_empty() {
        losses.push(DataLoss::InitialOffsetNotFound(unknown));
    }
    for (partition, earliest) in
        until.keys().filter(is_new).filter_map(|tp| initial.get_key_value(tp))
    {
        if *earliest != 0 {
            let (partition, earliest) = (partition.clone(), *earliest);
            losses.push(DataLoss::AddedPartitionNotFromZero { partition, earliest });
        }
    }
    let deleted: Vec<_> = from.keys().filter(|tp| !until.contains_key(*tp)).cloned().collect();
    if !deleted.is_empty() {
        let group_id = group_id.map(str::to_owned);
        losses.push(DataLoss::PartitionsDeleted { partitions: deleted, group_id });
    }
    let mut ranges = Vec::with_capacity(until.len());
    for (tp, end) in until {
        let Some(start) = from.get(tp).or_else(|| initial.get(tp)) else { continue };
        if end < start {
            let (partition, previous, current) = (tp.clone(), *start, *end);
            losses.push(DataLoss::OffsetChanged { partition, previous, current });
        }
        ranges.push(OffsetRange::new(tp.clone(), *start, *end));
    }
    (ranges, losses)
}

/// Checks that what a run of the available-now trigger captured at its start is still there.
///
/// These losses are errors whatever `failOnDataLoss` says: the run would never reach its end.
pub fn check_available_now(
    captured: &PartitionOffsets,
    latest: &PartitionOffsets,
) -> Result<(), DataLoss> {
    let lost: Vec<_> = captured.keys().filter(|tp| !latest.contains_key(*tp)).cloned().collect();
    if !lost.is_empty() {
        return Err(DataLoss::AvailableNowPartitionsLost(lost));
    }
    for (partition, planned) in captured {
        match latest.get(partition) {
            Some(current) if current < planned => {
                let (partition, planned, current) = (partition.clone(), *planned, *current);
                return Err(DataLoss::AvailableNowOffsetChanged { partition, planned, current });
            }
            _ => {}
        }
    }
    Ok(())
}

/// What a reader does after the broker said that its offset is out of range, where losses are forgiven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfRange {
    /// Nothing of the rest of the range is left: it ends here.
    Finish {
        /// How many offsets were given up.
        skipped: i64,
    },
    /// The log begins later: read on there.
    ContinueAt {
        /// The log's first offset.
        offset: i64,
        /// How many offsets were given up.
        skipped: i64,
    },
    /// The offset is there after all: ask again.
    Retry,
}

/// Decides how to go on with `[next, until)` when the log holds `[earliest, latest)`.
pub fn after_out_of_range(next: i64, until: i64, earliest: i64, latest: i64) -> OutOfRange {
    if next >= latest || earliest >= until {
        OutOfRange::Finish { skipped: until.saturating_sub(next) }
    } else if earliest > next {
        OutOfRange::ContinueAt { offset: earliest, skipped: earliest.saturating_sub(next) }
    } else {
        OutOfRange::Retry
    }
}

/// What every loss that may be forgiven ends with.
const GO_ON: &str = " Either the data was aged out by Kafka or the topic was deleted before it was read. If the query \
                     is to go on with what is left, set the source option failOnDataLoss to false.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offsets::testing::offsets;

    fn losses(
        from: &[(&str, i32, i64)],
        until: &[(&str, i32, i64)],
        initial: &[(&str, i32, i64)],
    ) -> (Vec<OffsetRange>, Vec<DataLoss>) {
        stream_ranges(&offsets(from), &offsets(until), &offsets(initial), None)
    }

    #[test]
    fn nothing_is_lost_when_every_partition_moves_on() {
        let (ranges, losses) = losses(&[("t", 0, 3)], &[("t", 0, 7), ("t", 1, 5)], &[("t", 1, 0)]);
        assert!(losses.is_empty());
        assert_eq!(
            ranges.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["t-0[3, 7)", "t-1[0, 5)"]
        );
    }

    #[test]
    fn b128_a_new_partition_has_to_start_at_zero() {
        let (ranges, losses) = losses(&[], &[("t", 3, 9)], &[("t", 3, 7)]);
        assert_eq!(losses[0].to_string(), "Added partition t-3 starts from 7 instead of 0.");
        assert_eq!(ranges[0].from, 7);
    }

    #[test]
    fn b129_a_new_partition_that_vanished_is_skipped() {
        let (ranges, losses) = losses(&[], &[("t", 3, 9)], &[]);
        assert!(matches!(&losses[0], DataLoss::InitialOffsetNotFound(tps) if tps.len() == 1));
        assert!(ranges.is_empty());
    }

    #[test]
    fn b130_deleted_partitions_are_named() {
        let (_, found) = losses(&[("t", 0, 3)], &[], &[]);
        assert_eq!(found[0].condition(), "KAFKA_DATA_LOSS.PARTITIONS_DELETED");
        let (_, found) =
            stream_ranges(&offsets(&[("t", 0, 3)]), &offsets(&[]), &offsets(&[]), Some("g"));
        assert_eq!(
            found[0].condition(),
            "KAFKA_DATA_LOSS.PARTITIONS_DELETED_AND_GROUP_ID_CONFIG_PRESENT"
        );
    }

    #[test]
    fn b145_a_loss_is_told_in_general_then_in_particular_and_without_its_condition() {
        let (_, found) = losses(&[("t", 0, 2)], &[("t", 0, 1)], &[]);
        let error = found[0].clone().into_error();
        let text = error.message();
        assert!(text.starts_with("Some data may have been lost: Partition t-0"), "{text}");
        assert!(!text.contains("KAFKA_DATA_LOSS") && text.contains("failOnDataLoss"), "{text}");
        assert_eq!(error.condition(), Some("KAFKA_DATA_LOSS.PARTITION_OFFSET_CHANGED"));
    }

    #[test]
    fn b131_an_end_below_the_start_is_a_loss() {
        let (ranges, found) = losses(&[("t", 0, 2)], &[("t", 0, 1)], &[]);
        let error = found[0].clone().into_error();
        assert!(error.message().contains("offset was changed from 2 to 1."));
        assert_eq!(error.kind(), ErrorKind::DataLoss);
        assert_eq!(ranges[0].size(), -1);
    }

    #[test]
    fn b099_available_now_notices_lost_partitions() {
        let found =
            check_available_now(&offsets(&[("t", 0, 5), ("t", 1, 5)]), &offsets(&[("t", 0, 5)]));
        let text = found.unwrap_err().to_string();
        assert!(text.starts_with(
            "Some of partitions in Kafka topic(s) have been lost during running query with Trigger.AvailableNow."
        ));
    }

    #[test]
    fn b100_available_now_notices_a_shorter_partition() {
        let found = check_available_now(&offsets(&[("t", 0, 15)]), &offsets(&[("t", 0, 10)]));
        let text = found.unwrap_err().to_string();
        assert!(text.contains(
            "report available offset which is less than end offset during running query with Trigger.AvailableNow"
        ));
        assert!(check_available_now(&offsets(&[("t", 0, 5)]), &offsets(&[("t", 0, 9)])).is_ok());
    }

    #[test]
    fn b134_b135_b136_b137_out_of_range_skips_what_is_gone() {
        assert_eq!(after_out_of_range(5, 10, 0, 5), OutOfRange::Finish { skipped: 5 });
        assert_eq!(after_out_of_range(5, 10, 10, 20), OutOfRange::Finish { skipped: 5 });
        assert_eq!(
            after_out_of_range(5, 10, 7, 20),
            OutOfRange::ContinueAt { offset: 7, skipped: 2 }
        );
        assert_eq!(after_out_of_range(5, 10, 5, 20), OutOfRange::Retry);
        assert_eq!(after_out_of_range(5, 10, 0, 20), OutOfRange::Retry);
    }
}
