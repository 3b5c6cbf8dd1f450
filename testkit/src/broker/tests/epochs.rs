//! Leader epochs and logs that lose their end (KIP-320).

use klamm_protocol::api::{ApiKey, VersionRange};
use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::fetch::FetchRequest;
use klamm_protocol::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};

use super::harness::{Bench, batch, fetch_request, only};
use crate::broker::ClusterConfig;

fn end(bench: &mut Bench, current: i32, epoch: i32, version: i16) -> EpochEndOffset {
    let partition = OffsetForLeaderPartition {
        current_leader_epoch: current,
        leader_epoch: epoch,
        ..OffsetForLeaderPartition::default()
    };
    let topic = OffsetForLeaderTopic { topic: "t".to_owned(), partitions: vec![partition] };
    let request = OffsetForLeaderEpochRequest { replica_id: -1, topics: vec![topic] };
    bench.call(&request, version).topics.remove(0).partitions.remove(0)
}

/// Three records of epoch 0 and two of epoch 1, led by node 1.
fn two_epochs() -> Bench {
    let every = vec![(ApiKey::OffsetForLeaderEpoch, VersionRange::new(0, 4))];
    let config = ClusterConfig { brokers: 2, versions: every, ..ClusterConfig::default() };
    let mut bench = Bench::new(config);
    bench.cluster.create_topic("t", 1, 2).unwrap();
    bench.produce(batch(&["a", "b", "c"]));
    assert!(bench.cluster.move_leader("t", 0, 1));
    bench.produce(batch(&["d"]));
    bench.produce(batch(&["e"]));
    bench
}

#[test]
fn an_epoch_ends_where_the_next_one_began_in_every_version() {
    let mut bench = two_epochs();
    for version in 0..=4 {
        let told = end(&mut bench, -1, 0, version);
        assert_eq!((told.error_code, told.end_offset), (ErrorCode::NONE, 3), "{version}");
        assert_eq!(told.leader_epoch, if version == 0 { -1 } else { 0 }, "{version}");
        assert_eq!(end(&mut bench, -1, 1, version).end_offset, 5, "{version}");
        assert_eq!(end(&mut bench, -1, 2, version).end_offset, -1, "{version}");
    }
}

#[test]
fn clients_that_know_another_leader_epoch_are_told_so() {
    let mut bench = two_epochs();
    assert_eq!(end(&mut bench, 0, 0, 4).error_code, ErrorCode::FENCED_LEADER_EPOCH);
    assert_eq!(end(&mut bench, 2, 0, 4).error_code, ErrorCode::UNKNOWN_LEADER_EPOCH);
    assert_eq!(end(&mut bench, 1, 0, 4).error_code, ErrorCode::NONE);
    bench.cluster.move_leader("t", 0, 2);
    assert_eq!(end(&mut bench, 1, 0, 4).error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER);
    bench.cluster.delete_topic("t");
    assert_eq!(end(&mut bench, 1, 0, 4).error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

#[test]
fn after_an_unclean_election_the_end_of_the_lost_epoch_is_the_truth() {
    let mut bench = two_epochs();
    assert!(bench.cluster.elect_uncleanly("t", 0, 2, 4));
    bench.conn = bench.cluster.connect(2);
    bench.produce(batch(&["f"]));
    let told = end(&mut bench, 2, 1, 4);
    assert_eq!((told.leader_epoch, told.end_offset), (1, 4), "one record of it was lost");
    // A reader that had read it all is told by its next fetch, too.
    let mut request = fetch_request("t", 0, 5);
    request.topics[0].topic_id = bench.cluster.topic_id("t").unwrap();
    request.topics[0].partitions[0].last_fetched_epoch = 1;
    request.topics[0].partitions[0].current_leader_epoch = 2;
    let data = only(bench.call::<FetchRequest>(&request, 12));
    assert_eq!((data.diverging_epoch.epoch, data.diverging_epoch.end_offset), (1, 4));
    assert!(!bench.cluster.elect_uncleanly("t", 0, 9, 0), "there is no such node");
}
