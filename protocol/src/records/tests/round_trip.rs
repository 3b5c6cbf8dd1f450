//! What is written reads back, field by field.

use super::*;
use crate::error::DecodeErrorKind;

proptest! {
    #[test]
    fn records_read_back_as_they_were_written(records in records(), codec in codec()) {
        prop_assert_eq!(read(build(&records, codec)), records);
    }

    #[test]
    fn a_set_of_batches_reads_back_in_order(sets in prop::collection::vec((records(), codec()), 0..4)) {
        let mut set = Vec::new();
        for (records, codec) in &sets {
            set.extend_from_slice(&build(records, *codec));
        }
        let mut inflater = Inflater::new();
        let mut found = Vec::new();
        for raw in Batches::new(set.into()) {
            let batch = raw.unwrap().open(&mut inflater, 1 << 20).unwrap();
            found.push(batch.records().map(|record| own(&batch, &record.unwrap())).collect::<Vec<_>>());
        }
        let written: Vec<_> = sets.into_iter().map(|(records, _)| records).collect();
        prop_assert_eq!(found, written);
    }

    #[test]
    fn a_set_cut_anywhere_yields_whole_batches_and_says_that_it_was_cut(records in records(), cut in any::<prop::sample::Index>()) {
        let whole = build(&records, Compression::None);
        let set = [&whole[..], &whole[..]].concat();
        let cut = cut.index(set.len());
        let mut batches = Batches::new(Bytes::from(set).slice(..cut));
        let found = batches.by_ref().map(Result::unwrap).count();
        prop_assert_eq!(found, cut / whole.len());
        prop_assert_eq!(batches.trailing_partial(), cut % whole.len() > 0);
    }

    #[test]
    fn the_size_of_a_builder_is_that_of_its_uncompressed_batch(records in records()) {
        let mut builder = BatchBuilder::new(BatchOptions { max_bytes: 1 << 20, ..BatchOptions::default() });
        for record in &records {
            push(&mut builder, record).unwrap();
        }
        let (size, count) = (builder.size(), builder.len());
        let mut sealed = builder.seal();
        prop_assert_eq!(sealed.to_bytes().len(), size);
        prop_assert_eq!(sealed.record_count() as usize, count);
        prop_assert_eq!(sealed.max_timestamp(), records.iter().map(|record| record.timestamp).max().unwrap());
    }
}

fn value_record(value: &[u8]) -> RecordParts<'_> {
    RecordParts::new(5, None, Some(value))
}

fn only(set: Bytes) -> RawBatch {
    RawBatch::read(set).unwrap()
}

#[test]
fn a_header_tells_what_the_batch_holds() {
    let mut builder = BatchBuilder::new(BatchOptions {
        compression: Compression::Lz4,
        ..BatchOptions::default()
    });
    for timestamp in [70, 50, 90, 60] {
        builder.try_push(&RecordParts::new(timestamp, Some(b"k"), None)).unwrap();
    }
    builder.skip_offsets(3);
    let raw = only(builder.seal().to_bytes());
    let header = raw.header();
    assert_eq!((header.base_offset, header.last_offset_delta, header.last_offset()), (0, 6, 6));
    assert_eq!((header.base_timestamp, header.max_timestamp, header.count), (70, 90, 4));
    assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (-1, -1, -1));
    assert_eq!((header.magic, header.partition_leader_epoch), (2, -1));
    assert_eq!(header.compression(), Compression::Lz4);
    assert_eq!(header.timestamp_type(), TimestampType::CreateTime);
    assert!(
        !header.is_transactional() && !header.is_control() && header.delete_horizon().is_none()
    );
}

#[test]
fn a_stamp_can_be_written_again_and_leaves_bytes_given_out_alone() {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.try_push(&value_record(b"v")).unwrap();
    let mut sealed = builder.seal();
    let unstamped = sealed.to_bytes();
    let stamp = ProducerStamp { producer_id: 9, epoch: 3, base_sequence: 77, transactional: true };
    sealed.stamp(stamp);
    let first = sealed.to_bytes();
    sealed.stamp(ProducerStamp { epoch: 4, base_sequence: 0, transactional: false, ..stamp });
    let second = sealed.to_bytes();
    for bytes in [&unstamped, &first, &second] {
        only(bytes.clone()).check().unwrap();
    }
    let (first, second) = (*only(first).header(), *only(second).header());
    assert_eq!((first.producer_id, first.producer_epoch, first.base_sequence), (9, 3, 77));
    assert_eq!((second.producer_id, second.producer_epoch, second.base_sequence), (9, 4, 0));
    assert!(first.is_transactional() && !second.is_transactional());
    assert_eq!(only(unstamped).header().producer_id, -1);
}

#[test]
fn a_full_batch_refuses_the_next_record_and_a_new_one_takes_it() {
    let mut builder = BatchBuilder::new(BatchOptions { max_bytes: 200, ..BatchOptions::default() });
    builder.try_push(&value_record(&[7; 100])).unwrap();
    let size = builder.size();
    assert_eq!(builder.try_push(&value_record(&[8; 100])), Err(PushError::Full));
    assert_eq!((builder.size(), builder.len()), (size, 1));
    let first = builder.seal_with(&mut Deflater::new());
    assert_eq!(first.record_count(), 1);
    assert!(builder.is_empty());
    assert_eq!(builder.try_push(&value_record(&[8; 100])), Ok(Pushed { offset_delta: 0 }));
    assert_eq!(read(builder.seal().to_bytes())[0].value.as_deref(), Some(&[8; 100][..]));
}

#[test]
fn a_record_over_the_batch_size_gets_a_batch_of_its_own_until_the_hard_limit() {
    let options = BatchOptions { max_bytes: 100, max_record_bytes: 400, ..BatchOptions::default() };
    let mut builder = BatchBuilder::new(options);
    let large = value_record(&[1; 300]);
    builder.try_push(&large).unwrap();
    assert_eq!(builder.size(), BatchBuilder::size_alone(&large));
    assert_eq!(builder.try_push(&value_record(b"")), Err(PushError::Full));
    let refused = builder.try_push(&value_record(&[1; 400]));
    assert_eq!(refused, Err(PushError::TooLarge { size: 470, limit: 400 }));
}

#[test]
fn timestamps_too_far_apart_for_one_batch_go_into_two() {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.try_push(&RecordParts::new(i64::MAX, None, None)).unwrap();
    assert_eq!(builder.try_push(&RecordParts::new(i64::MIN, None, None)), Err(PushError::Full));
    assert_eq!(read(builder.seal().to_bytes())[0].timestamp, i64::MAX);
}

#[test]
fn a_log_places_a_batch_without_touching_its_records() {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.try_push(&value_record(b"a")).unwrap();
    builder.try_push(&value_record(b"b")).unwrap();
    let raw = only(builder.seal().to_bytes());
    let placed = raw.clone().appended(1_000, 4, None);
    placed.check().unwrap();
    let batch = placed.open(&mut Inflater::new(), 0).unwrap();
    let offsets: Vec<_> = batch.records().map(|record| record.unwrap().offset()).collect();
    assert_eq!((offsets, batch.header().partition_leader_epoch), (vec![1_000, 1_001], 4));
    assert_eq!(RawBatch::read(placed.bytes().clone()).unwrap().header(), placed.header());

    let stamped = raw.appended(2_000, 5, Some(123_456));
    let batch = stamped.open(&mut Inflater::new(), 0).unwrap();
    assert_eq!(batch.header().timestamp_type(), TimestampType::LogAppendTime);
    assert!(batch.records().all(|record| record.unwrap().timestamp() == 123_456));
    assert_eq!(RawBatch::read(stamped.bytes().clone()).unwrap().header(), stamped.header());
}

#[test]
fn a_marker_is_a_control_batch_and_data_is_not() {
    let mut builder = BatchBuilder::new(BatchOptions::default()).control();
    let (key, value) = (ControlType::Commit.to_key(), control::marker_value(8));
    builder.try_push(&RecordParts::new(1, Some(&key), Some(&value))).unwrap();
    let mut sealed = builder.seal();
    sealed.stamp(ProducerStamp {
        producer_id: 1,
        epoch: 0,
        base_sequence: -1,
        transactional: true,
    });
    let batch = only(sealed.to_bytes()).open(&mut Inflater::new(), 0).unwrap();
    assert!(batch.header().is_control() && batch.header().is_transactional());
    assert_eq!(batch.control(), Ok(Some(ControlType::Commit)));

    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.try_push(&value_record(b"v")).unwrap();
    let batch = only(builder.seal().to_bytes()).open(&mut Inflater::new(), 0).unwrap();
    assert_eq!(batch.control(), Ok(None));
}

#[test]
fn an_empty_batch_has_a_header_and_no_records() {
    let raw = only(BatchBuilder::new(BatchOptions::default()).seal().to_bytes());
    assert_eq!(raw.header().count, 0);
    assert_eq!(raw.open(&mut Inflater::new(), 0).unwrap().records().count(), 0);
}

#[test]
fn header_keys_that_are_not_text_can_still_be_had_as_bytes() {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    builder.try_push(&value_record(b"v").with_headers([("\u{e9}", Some(&b"x"[..]))])).unwrap();
    let bytes = builder.seal().to_bytes();
    let at = bytes.windows(2).position(|pair| pair == "\u{e9}".as_bytes()).unwrap();
    let mut broken = bytes.to_vec();
    broken[at] = 0xff;
    let batch = only(hostile::resummed(broken)).open(&mut Inflater::new(), 0).unwrap();
    let record = batch.records().next().unwrap().unwrap();
    let header = record.headers().next().unwrap().unwrap();
    assert_eq!(header.key().unwrap_err().what, DecodeErrorKind::InvalidUtf8);
    assert_eq!((header.key_bytes(), header.value()), (&[0xff, 0xa9][..], Some(&b"x"[..])));
}
