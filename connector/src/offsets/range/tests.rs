use proptest::prelude::*;

use super::*;
use crate::offsets::{EARLIEST, LATEST};

/// `t1[1,5) t2[1,21)` as ranges of partition 0 of each topic.
fn ranges(text: &str) -> Vec<OffsetRange> {
    text.split_whitespace()
        .map(|word| {
            let (topic, limits) = word.trim_end_matches(')').split_once('[').unwrap();
            let (from, until) = limits.split_once(',').unwrap();
            let tp = TopicPartition::new(topic, 0);
            OffsetRange::new(tp, from.parse().unwrap(), until.parse().unwrap())
        })
        .collect()
}

fn split(min: Option<i32>, max: Option<i64>, text: &str) -> String {
    let pieces = RangeSplit::new(min, max).unwrap().split(ranges(text)).unwrap();
    let words: Vec<_> = pieces
        .iter()
        .map(|r| format!("{}[{},{})", r.topic_partition.topic, r.from, r.until))
        .collect();
    words.join(" ")
}

/// The number of pieces per input range, for inputs `[0, size)`.
fn counts(min: Option<i32>, max: Option<i64>, sizes: &[i64]) -> Vec<usize> {
    let input: Vec<_> = sizes
        .iter()
        .enumerate()
        .map(|(i, size)| OffsetRange::new(TopicPartition::new("t", i as i32), 0, *size))
        .collect();
    let pieces = RangeSplit::new(min, max).unwrap().split(input).unwrap();
    (0..sizes.len())
        .map(|i| pieces.iter().filter(|p| p.topic_partition.partition == i as i32).count())
        .collect()
}

#[test]
fn b054_b055_without_options_only_empty_ranges_vanish() {
    assert_eq!(split(None, None, "t1[1,2)"), "t1[1,2)");
    assert_eq!(split(None, None, "t1[1,2) t2[1,1)"), "t1[1,2)");
    assert_eq!(split(None, None, "t1[9,4)"), "");
}

#[test]
fn b056_b062_enough_ranges_stay_as_they_are() {
    assert_eq!(split(Some(3), None, "t1[1,2) t2[1,2) t3[1,2)"), "t1[1,2) t2[1,2) t3[1,2)");
    assert_eq!(split(Some(1), None, "t1[1,2) t2[1,2)"), "t1[1,2) t2[1,2)");
}

#[test]
fn b058_b059_b060_b061_b063_large_ranges_are_cut_to_reach_the_minimum() {
    assert_eq!(split(Some(4), None, "t1[1,5)"), "t1[1,2) t1[2,3) t1[3,4) t1[4,5)");
    assert_eq!(split(Some(4), None, "t1[1,5) t2[1,21)"), "t1[1,5) t2[1,7) t2[7,14) t2[14,21)");
    assert_eq!(split(Some(4), None, "t1[1,1) t2[1,21)"), "t2[1,6) t2[6,11) t2[11,16) t2[16,21)");
    assert_eq!(
        split(Some(4), None, "t1[1,2) t2[1,1001)"),
        "t1[1,2) t2[1,334) t2[334,667) t2[667,1001)"
    );
    assert_eq!(split(Some(3), None, "t1[1,11)"), "t1[1,4) t1[4,7) t1[7,11)");
}

#[test]
fn b064_b065_b066_b067_b068_pieces_are_shared_by_size() {
    assert_eq!(counts(Some(6), None, &[10, 10, 1]), [3, 3, 1]);
    assert_eq!(
        split(Some(6), None, "a[0,10) b[0,10) c[0,1)"),
        "a[0,3) a[3,6) a[6,10) b[0,3) b[3,6) b[6,10) c[0,1)"
    );
    assert_eq!(counts(Some(9), None, &[10_000, 15_000, 20_000]), [2, 3, 4]);
    assert_eq!(
        split(Some(6), None, "a[0,500) b[0,12000) c[0,15001)"),
        "a[0,500) b[0,6000) b[6000,12000) c[0,5000) c[5000,10000) c[10000,15001)"
    );
    assert_eq!(counts(Some(6), None, &[1, 1, 10_000]), [1, 1, 4]);
}

#[test]
fn b069_b070_b071_b072_rounding_and_small_ranges() {
    assert_eq!(counts(Some(10), None, &[7]), [7]);
    assert_eq!(counts(Some(10), None, &[3]), [3]);
    assert_eq!(counts(Some(100), None, &[1, 1]), [1, 1]);
    assert_eq!(counts(Some(5), None, &[10, 10]), [3, 3]);
    assert_eq!(counts(Some(3), None, &[10, 10]), [2, 2]);
    assert_eq!(counts(Some(8), None, &[1, 2, 4, 8]), [1, 1, 2, 4]);
    assert_eq!(
        split(Some(7), None, "a[100,110) b[0,5) c[50,50) d[9,4)"),
        "a[100,102) a[102,104) a[104,106) a[106,108) a[108,110) b[0,2) b[2,5)"
    );
}

#[test]
fn b073_b074_no_piece_is_larger_than_the_maximum() {
    assert_eq!(split(None, Some(4), "t[1,5)"), "t[1,5)");
    assert_eq!(split(None, Some(4), "t[1,6)"), "t[1,3) t[3,6)");
    assert_eq!(
        split(None, Some(20), "a[1,40) b[1,50) c[1,60)"),
        "a[1,20) a[20,40) b[1,17) b[17,33) b[33,50) c[1,20) c[20,40) c[40,60)"
    );
    assert_eq!(split(None, Some(10), "t[0,10)"), "t[0,10)");
    assert_eq!(split(None, Some(10), "t[0,11)"), "t[0,5) t[5,11)");
    assert_eq!(split(None, Some(3), "t[0,10)"), "t[0,2) t[2,4) t[4,7) t[7,10)");
    assert_eq!(counts(None, Some(7), &[50]), [8]);
    assert_eq!(split(None, Some(1), "t[5,8)"), "t[5,6) t[6,7) t[7,8)");
}

#[test]
fn b075_b076_the_maximum_cuts_before_the_minimum() {
    assert_eq!(split(Some(1), Some(20), "t[1,40)"), "t[1,20) t[20,40)");
    assert_eq!(split(Some(4), Some(20), "t[1,40)"), "t[1,10) t[10,20) t[20,30) t[30,40)");
    assert_eq!(
        split(Some(10), Some(20), "a[0,50) b[0,5)"),
        "a[0,5) a[5,10) a[10,16) a[16,21) a[21,27) a[27,33) a[33,38) a[38,44) a[44,50) b[0,5)"
    );
    assert_eq!(counts(Some(10), Some(10), &[25, 5]), [9, 2]);
    assert_eq!(counts(Some(8), Some(10), &[21, 100]), [3, 10]);
    assert_eq!(split(Some(3), Some(2), "t[0,3)"), "t[0,1) t[1,3)");
    assert_eq!(split(Some(6), Some(4), "t[0,7)"), "t[0,1) t[1,2) t[2,3) t[3,4) t[4,5) t[5,7)");
}

#[test]
fn b077_a_split_that_is_not_positive_is_refused() {
    assert!(RangeSplit::new(Some(0), None).is_err());
    assert!(RangeSplit::new(None, Some(-1)).is_err());
}

fn late(entries: &[(&str, i64, i64)]) -> Vec<OffsetRange> {
    entries.iter().map(|(t, f, u)| OffsetRange::new(TopicPartition::new(*t, 0), *f, *u)).collect()
}

#[test]
fn b078_the_outermost_limits_of_a_batch_stay_symbolic() {
    let split = RangeSplit::new(Some(3), None).unwrap();
    let unresolved = late(&[("t", EARLIEST, LATEST)]);
    assert!(split.cuts_unresolved(&unresolved));
    assert_eq!(
        split.split_late_bound(&unresolved, late(&[("t", 0, 4)])).unwrap(),
        late(&[("t", EARLIEST, 1), ("t", 1, 2), ("t", 2, LATEST)])
    );
    let split = RangeSplit::new(Some(4), None).unwrap();
    let pieces = split
        .split_late_bound(
            &late(&[("p0", EARLIEST, LATEST), ("p1", EARLIEST, 3)]),
            late(&[("p0", 0, 100), ("p1", 0, 3)]),
        )
        .unwrap();
    assert_eq!(
        pieces,
        late(&[("p0", EARLIEST, 33), ("p0", 33, 66), ("p0", 66, LATEST), ("p1", EARLIEST, 3)])
    );
}

#[test]
fn b079_b081_specific_limits_are_cut_and_empty_partitions_get_no_piece() {
    let split = RangeSplit::new(Some(3), None).unwrap();
    let specific = late(&[("t", 1, 4), ("u", EARLIEST, LATEST)]);
    assert_eq!(
        split.split_late_bound(&specific, late(&[("t", 1, 4), ("u", 7, 7)])).unwrap(),
        late(&[("t", 1, 2), ("t", 2, 3), ("t", 3, 4)])
    );
}

#[test]
fn b080_the_maximum_sees_unresolved_sizes() {
    let split = RangeSplit::new(None, Some(10)).unwrap();
    assert!(!split.cuts_unresolved(&late(&[("t", EARLIEST, LATEST)])));
    assert!(split.cuts_unresolved(&late(&[("t", EARLIEST, 100)])));
}

#[test]
fn b082_stream_ranges() {
    assert_eq!(split(Some(4), None, "p0[0,100) p1[0,3)"), "p0[0,33) p0[33,66) p0[66,100) p1[0,3)");
    assert_eq!(counts(None, None, &[100]), [1]);
    assert_eq!(counts(Some(4), None, &[100]), [4]);
}

#[test]
fn b044_limits_for_different_partitions_are_refused() {
    let from = PartitionOffsets::from([(TopicPartition::new("t", 0), 0)]);
    let error = between(&from, &PartitionOffsets::new()).unwrap_err();
    assert!(
        error.message().contains("different topic partitions for starting offsets topics[t-0]")
    );
}

#[test]
fn a_plan_that_would_fill_the_memory_is_refused() {
    let split = RangeSplit::new(None, Some(1)).unwrap();
    assert!(split.split(late(&[("t", 0, i64::MAX)])).is_err());
    let split = RangeSplit::new(Some(i32::MAX), None).unwrap();
    assert!(split.split(late(&[("t", i64::MIN, i64::MAX)])).is_err());
}

proptest! {
    #[test]
    fn no_offset_is_lost_or_read_twice(
        sizes in prop::collection::vec(0..5000_i64, 1..12),
        min in prop::option::of(1..40_i32),
        max in prop::option::of(1..700_i64),
    ) {
        let input: Vec<_> = sizes.iter().enumerate()
            .map(|(i, s)| OffsetRange::new(TopicPartition::new("t", i as i32), 7, 7 + s)).collect();
        let pieces = RangeSplit::new(min, max).unwrap().split(input.clone()).unwrap();
        for range in input.iter().filter(|r| r.size() > 0) {
            let mut next = range.from;
            for piece in pieces.iter().filter(|p| p.topic_partition == range.topic_partition) {
                prop_assert_eq!(piece.from, next);
                prop_assert!(piece.size() > 0 && max.is_none_or(|m| piece.size() <= m));
                next = piece.until;
            }
            prop_assert_eq!(next, range.until);
        }
    }
}
