//! A partition log by itself: appends, truncation, retention and look-ups.

use klamm_protocol::records::{BatchBuilder, BatchOptions, ProducerStamp, RawBatch, RecordParts};

use super::*;

fn batch(timestamps: &[i64]) -> Bytes {
    stamped(timestamps, -1, 0, -1)
}

fn stamped(timestamps: &[i64], producer_id: i64, epoch: i16, base_sequence: i32) -> Bytes {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for timestamp in timestamps {
        builder.try_push(&RecordParts::new(*timestamp, None, Some(b"value"))).unwrap();
    }
    let mut sealed = builder.seal();
    if producer_id >= 0 {
        let transactional = false;
        sealed.stamp(ProducerStamp { producer_id, epoch, base_sequence, transactional });
    }
    sealed.to_bytes()
}

fn log() -> PartitionLog {
    PartitionLog::new(LogRules::default())
}

fn offsets(log: &PartitionLog) -> Vec<(i64, i64)> {
    log.batches().map(|batch| (batch.base_offset(), batch.last_offset())).collect()
}

#[test]
fn batches_get_offsets_epochs_and_keep_their_checksum() {
    let mut log = log();
    assert_eq!(log.append(&batch(&[1, 2, 3]), 4, 0).unwrap().base_offset, 0);
    assert_eq!(log.append(&batch(&[4]), 5, 0).unwrap().base_offset, 3);
    assert_eq!(offsets(&log), [(0, 2), (3, 3)]);
    for (stored, epoch) in log.batches().zip([4, 5]) {
        let raw = RawBatch::read(stored.to_bytes()).unwrap();
        assert_eq!(raw.header(), stored.header());
        assert_eq!(raw.header().partition_leader_epoch, epoch);
        assert!(raw.check().is_ok());
    }
}

#[test]
fn append_time_is_stamped_and_summed_anew() {
    let mut log = PartitionLog::new(LogRules { append_time: true, ..LogRules::default() });
    assert_eq!(log.append(&batch(&[1, 2]), 0, 77).unwrap().append_time, 77);
    let stored = log.batches().next().unwrap();
    let raw = RawBatch::read(stored.to_bytes()).unwrap();
    assert!(raw.check().is_ok());
    assert_eq!(raw.header(), stored.header());
    assert_eq!(raw.header().max_timestamp, 77);
}

#[test]
fn reading_starts_with_the_batch_that_holds_the_offset_and_ends_at_the_limit() {
    let mut log = log();
    for _ in 0..4 {
        log.append(&batch(&[1, 1]), 0, 0).unwrap();
    }
    let size = log.bytes() / 4;
    let run = log.read(3, 8, usize::MAX, true);
    assert_eq!((run.bytes, run.next_offset), (3 * size, 8));
    assert_eq!(log.read(3, 4, usize::MAX, true).next_offset, 4);
    assert_eq!(log.read(0, 8, 2 * size + 1, false).next_offset, 4);
    assert_eq!(log.read(0, 8, 1, false).next_offset, 0);
    assert_eq!(log.read(0, 8, 1, true).next_offset, 2);
    assert_eq!(log.read(8, 8, usize::MAX, true).bytes, 0);
    assert_eq!(log.readable_bytes(0, 8, usize::MAX), log.bytes());
    assert_eq!(log.readable_bytes(0, 8, 1), size);
}

#[test]
fn times_are_found_even_where_they_go_back() {
    let mut log = log();
    log.append(&batch(&[10, 30, 20]), 0, 0).unwrap();
    log.append(&batch(&[5, 40]), 3, 0).unwrap();
    let found = |timestamp| log.offset_for_timestamp(timestamp, 5).map(|found| found.offset);
    assert_eq!([0, 11, 30, 31, 41].map(found), [Some(0), Some(1), Some(1), Some(4), None]);
    assert_eq!(log.offset_for_timestamp(35, 5).unwrap().leader_epoch, 3);
    assert_eq!(log.offset_of_max_timestamp(5).unwrap().offset, 4);
    assert_eq!(log.offset_of_max_timestamp(3).unwrap().offset, 1);
    assert_eq!(self::log().offset_of_max_timestamp(0), None);
}

#[test]
fn truncation_takes_whole_batches_and_forgets_what_their_producers_did() {
    let mut log = log();
    log.append(&stamped(&[1, 1], 7, 0, 0), 0, 0).unwrap();
    log.append(&stamped(&[1, 1], 7, 0, 2), 1, 0).unwrap();
    log.truncate(3);
    assert_eq!(offsets(&log), [(0, 1)]);
    assert_eq!((log.end_offset(), log.high_watermark()), (2, 2));
    assert_eq!(log.latest_epoch(), Some(0));
    assert!(log.append(&stamped(&[1], 7, 0, 0), 2, 0).is_err());
    let again = log.append(&stamped(&[1, 1], 7, 0, 2), 2, 0).unwrap();
    assert_eq!((again.base_offset, again.duplicate), (2, false));
    assert_eq!(log.end_of_epoch(0), EpochEnd { epoch: 0, end_offset: 2 });
    assert_eq!(log.end_of_epoch(1), EpochEnd { epoch: 0, end_offset: 2 });
    assert_eq!(log.end_of_epoch(2), EpochEnd { epoch: 2, end_offset: 4 });
}

#[test]
fn truncation_reopens_a_transaction_whose_marker_is_lost() {
    let mut log = log();
    let transactional =
        ProducerStamp { producer_id: 7, epoch: 0, base_sequence: 0, transactional: true };
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.try_push(&RecordParts::new(1, None, Some(b"value"))).unwrap();
    let mut sealed = builder.seal();
    sealed.stamp(transactional);
    log.append(&sealed.to_bytes(), 0, 0).unwrap();
    assert_eq!(log.last_stable_offset(), 0);
    assert_eq!(log.append_marker(7, 0, true, 0, 5).unwrap(), 1);
    assert_eq!(log.last_stable_offset(), 2);
    log.truncate(1);
    assert_eq!(log.last_stable_offset(), 0);
    log.append_marker(7, 0, false, 0, 5).unwrap();
    let aborted: Vec<_> = log.aborted_between(0, 1).collect();
    assert_eq!(aborted, [Aborted { producer_id: 7, first_offset: 0, last_offset: 1 }]);
    assert_eq!(log.aborted_between(2, 9).count(), 0);
}

#[test]
fn deleted_records_move_the_start_and_idempotence_survives() {
    let mut log = log();
    log.append(&stamped(&[1, 1], 7, 0, 0), 0, 0).unwrap();
    log.append(&stamped(&[1, 1], 7, 0, 2), 0, 0).unwrap();
    assert_eq!(log.delete_records(3), Ok(3));
    assert_eq!(offsets(&log), [(2, 3)]);
    assert_eq!(log.offset_for_timestamp(0, 4).unwrap().offset, 3);
    assert!(log.delete_records(5).is_err());
    assert_eq!(log.delete_records(-1), Ok(4));
    assert_eq!((log.bytes(), log.end_offset()), (0, 4));
    assert!(log.append(&stamped(&[1], 7, 0, 2), 0, 0).is_err());
    assert_eq!(log.append(&stamped(&[1], 7, 0, 4), 0, 0).unwrap().base_offset, 4);
}

#[test]
fn the_byte_limit_drops_old_batches_but_never_the_newest() {
    let mut log = log();
    log.append(&batch(&[1]), 0, 0).unwrap();
    let size = log.bytes();
    log.set_rules(LogRules { max_bytes: Some(size * 2), ..LogRules::default() });
    for _ in 0..5 {
        log.append(&batch(&[1]), 0, 0).unwrap();
    }
    assert_eq!((log.start_offset(), log.bytes()), (4, size * 2));
    log.set_rules(LogRules { max_bytes: Some(1), ..LogRules::default() });
    log.append(&batch(&[1]), 0, 0).unwrap();
    assert_eq!((log.start_offset(), log.end_offset()), (6, 7));
}

#[test]
fn a_held_watermark_hides_the_end() {
    let mut log = log();
    for _ in 0..3 {
        log.append(&batch(&[1]), 0, 0).unwrap();
    }
    log.hold_high_watermark(Some(1));
    assert_eq!((log.high_watermark(), log.last_stable_offset()), (1, 1));
    log.hold_high_watermark(None);
    assert_eq!(log.high_watermark(), 3);
}

#[test]
fn a_followers_append_keeps_gaps_and_control_batches_as_they_are() {
    let mut source = log();
    for _ in 0..3 {
        source.append(&batch(&[1]), 2, 0).unwrap();
    }
    source.append_marker(9, 0, true, 3, 0).unwrap();
    let kept: Vec<Bytes> = source.batches().skip(1).map(StoredBatch::to_bytes).collect();
    let mut copy = log();
    copy.append_as_is(&kept[1]).unwrap();
    copy.append_as_is(&kept[2]).unwrap();
    assert_eq!(offsets(&copy), [(2, 2), (3, 3)]);
    assert_eq!(copy.latest_epoch(), Some(3));
    assert_eq!(copy.read(0, 9, usize::MAX, true).next_offset, 4);
    assert!(copy.append_as_is(&kept[0]).is_err());
}

#[test]
fn undecodable_records_are_refused_only_where_records_are_checked() {
    let mut bytes = batch(&[1, 2]).to_vec();
    let first_record = 61;
    bytes[first_record] = 0x7e;
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    let bytes = Bytes::from(bytes);
    let mut lax = PartitionLog::new(LogRules { check_records: false, ..LogRules::default() });
    let strict = log().append(&bytes, 0, 0).map(|_| ()).map_err(|refusal| refusal.code);
    let header_only = lax.append(&bytes, 0, 0).map(|_| ());
    assert_eq!(strict, Err(ErrorCode::INVALID_RECORD));
    assert_eq!(header_only, Ok(()));
}
