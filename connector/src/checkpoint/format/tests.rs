use super::*;
use crate::offsets::testing::offsets;

#[test]
fn b179_the_first_byte_of_initial_offsets_is_nul() {
    let bytes = write_initial(&offsets(&[("t", 0, 5)]));
    assert_eq!(bytes, b"\0v1\n{\"t\":{\"0\":5}}");
    assert_eq!(read_initial(&bytes).unwrap(), offsets(&[("t", 0, 5)]));
}

#[test]
fn b180_the_form_of_spark_2_1_0_is_read() {
    let read = read_initial(br#"2{"t":{"0":0,"1":1,"2":2}}"#).unwrap();
    assert_eq!(read, offsets(&[("t", 0, 0), ("t", 1, 1), ("t", 2, 2)]));
}

#[test]
fn b181_a_future_version_is_refused() {
    let refusal = read_initial(b"0v99999\n{\"a\":1}").unwrap_err();
    assert!(refusal.contains("maximum supported log version is v1, but encountered v99999"));
    assert!(
        refusal.contains("produced by a newer version of Spark and cannot be read by this version")
    );
    assert!(read_offsets(b"v2\n{}\n0:{}").unwrap_err().contains("encountered v2"));
    assert_eq!(
        read_commit(b"v2\n{}").unwrap_err(),
        "The only supported log version is v1, but encountered v2."
    );
}

#[test]
fn b182_a_malformed_version_is_refused() {
    assert_eq!(read_initial(b"\0v1").unwrap_err(), NO_VERSION);
    for version in ["v0", "vx", "v-1"] {
        let refusal = read_initial(format!("\0{version}\n{{}}").as_bytes()).unwrap_err();
        let expected = format!("failed to read correct log version from {version}.");
        assert!(refusal.contains(&expected), "{refusal}");
    }
    assert_eq!(read_offsets(b"x1\n{}\n{}").unwrap_err(), NO_VERSION);
}

#[test]
fn b183_offsets_of_spark_2_4_3_are_read() {
    let entry = read_offsets(
        br#"v1
{"batchWatermarkMs":0,"batchTimestampMs":1568508285207,"conf":{"spark.sql.shuffle.partitions":"5"}}
{"spark-test-topic":{"2":7,"4":7,"1":7,"3":7,"0":7}}"#,
    )
    .unwrap();
    assert_eq!(entry.offsets.unwrap().len(), 5);
    assert_eq!(entry.timestamp_ms, 1_568_508_285_207);
    assert_eq!(entry.conf, [("spark.sql.shuffle.partitions".to_owned(), "5".to_owned())]);
    assert_eq!(read_commit(b"v1\n{\"nextBatchWatermarkMs\":0}").unwrap(), 0);
}

#[test]
fn metadata_is_forty_five_bytes() {
    let id = "0e5b39a5-d4a2-4b1f-9c7a-6e1a8a6e7f10";
    let bytes = write_metadata(id);
    assert_eq!(bytes, format!("{{\"id\":\"{id}\"}}").as_bytes());
    assert_eq!(bytes.len(), 45);
    assert_eq!(read_metadata(&bytes).unwrap(), id);
}

#[test]
fn a_commit_is_twenty_nine_bytes() {
    assert_eq!(write_commit(0), b"v1\n{\"nextBatchWatermarkMs\":0}");
    assert_eq!(write_commit(0).len(), 29);
    assert_eq!(read_commit(b"v1").unwrap(), 0);
}

#[test]
fn offsets_are_three_lines_with_the_settings_of_spark_4() {
    let entry = OffsetsEntry::new(offsets(&[("t", 0, 5)]), 1_700_000_000_000);
    let text = String::from_utf8(write_offsets(&entry)).unwrap();
    assert!(text.starts_with(concat!(
        "v1\n{\"batchWatermarkMs\":0,\"batchTimestampMs\":1700000000000,\"conf\":{",
        "\"spark.sql.streaming.stateStore.providerClass\":",
        "\"org.apache.spark.sql.execution.streaming.state.HDFSBackedStateStoreProvider\",",
        "\"spark.sql.streaming.stateStore.rocksdb.formatVersion\":\"5\","
    )));
    assert!(text.ends_with(
        "\"spark.sql.optimizer.pruneFiltersCanPruneStreamingSubplan\":\"false\"}}\n{\"t\":{\"0\":5}}"
    ));
    let mut read = read_offsets(text.as_bytes()).unwrap();
    read.conf.sort();
    let mut written = entry;
    written.conf.sort();
    assert_eq!(read, written);
}

#[test]
fn b189_another_number_of_sources_is_refused() {
    let refusal = read_offsets(b"v1\n{}\n{}\n{}\n{}").unwrap_err();
    assert_eq!(
        refusal,
        "There are [3] sources in the checkpoint offsets and now there are [1] sources requested by the query. Cannot continue."
    );
}

#[test]
fn b190_a_dash_is_no_offset() {
    assert_eq!(read_offsets(b"v1\n{}\n-").unwrap().offsets, None);
    let mut entry = OffsetsEntry::new(PartitionOffsets::new(), 0);
    entry.offsets = None;
    assert!(write_offsets(&entry).ends_with(b"\n-"));
}

#[test]
fn b193_an_empty_metadata_line_is_none() {
    let entry = read_offsets(b"v1\n\n{\"t\":{\"0\":1}}").unwrap();
    assert_eq!((entry.watermark_ms, entry.conf.len()), (0, 0));
}

#[test]
fn every_truncation_is_refused_or_reads_the_same() {
    let entry = OffsetsEntry::new(offsets(&[("t", 0, 5), ("t", 1, 17)]), 1_700_000_000_000);
    let whole = write_offsets(&entry);
    for end in 0..whole.len() {
        assert!(read_offsets(&whole[..end]).is_err(), "{end}");
    }
    let whole = write_initial(&offsets(&[("t", 0, 5)]));
    for end in 0..whole.len() {
        assert!(read_initial(&whole[..end]).is_err(), "{end}");
    }
    let whole = write_metadata("0e5b39a5-d4a2-4b1f-9c7a-6e1a8a6e7f10");
    for end in 0..whole.len() {
        assert!(read_metadata(&whole[..end]).is_err(), "{end}");
    }
    // A commit means by its presence; its second line may be missing, and then the watermark is 0.
    let whole = write_commit(0);
    for end in 0..whole.len() {
        let read = read_commit(&whole[..end]);
        assert!(read.is_err() || read == Ok(0), "{end}");
    }
}

#[test]
fn names_of_batches_are_numbers() {
    assert_eq!(batch_id("17"), Some(17));
    for name in [".17.crc", "17.tmp", "", "x", "99999999999999999999"] {
        assert_eq!(batch_id(name), None, "{name}");
    }
}
