//! Transactions: what is committed counts, what is aborted is told, and who came first is fenced.
//! In the older protocol everywhere, in version 2 (KIP-890) where the broker offers it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::add_offsets_to_txn::AddOffsetsToTxnRequest;
use klamm_protocol::messages::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnTopic,
};
use klamm_protocol::messages::end_txn::EndTxnRequest;
use klamm_protocol::messages::fetch::{FetchRequest, PartitionData};
use klamm_protocol::messages::init_producer_id::InitProducerIdRequest;
use klamm_protocol::messages::list_offsets::ListOffsetsRequest;
use klamm_protocol::messages::produce::ProduceRequest;
use klamm_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use klamm_protocol::records::{Batches, ProducerStamp};

use super::wire::{TRANSACTION, Wire, coordinator, fresh_name, new_topic};
use super::{groups, offsets, records};
use crate::outside::Cluster;

pub(super) fn committed_and_aborted(cluster: &dyn Cluster) {
    each_protocol(cluster, |speech| {
        let topic = new_topic(cluster, 1, &[]);
        let mut producer = Producer::new(cluster, speech, 60_000);
        producer.write(&topic, "a");
        let open = committed(cluster, &topic, 0);
        assert_eq!((open.last_stable_offset, open.high_watermark), (0, 1));
        assert_eq!(latest(cluster, &topic), 0);
        assert_eq!(producer.end(true), ErrorCode::NONE);
        settle(cluster, &topic, 2);
        producer.write(&topic, "b");
        assert_eq!(producer.end(false), ErrorCode::NONE);
        settle(cluster, &topic, 4);
        assert_eq!(aborted(cluster, &topic, 4), [(producer.id, 2)].into());
        let plain = records::fetch(cluster, &topic, 0);
        assert!(plain.aborted_transactions.is_none_or(|aborted| aborted.is_empty()));
    });
}

pub(super) fn fenced(cluster: &dyn Cluster) {
    each_protocol(cluster, |speech| {
        let topic = new_topic(cluster, 1, &[]);
        let mut first = Producer::new(cluster, speech, 60_000);
        first.write(&topic, "a");
        let mut second = first.again();
        let told = second.init_once(60_000);
        assert_eq!(told, ErrorCode::CONCURRENT_TRANSACTIONS, "what was open ends first");
        second.init(60_000);
        assert!(second.epoch > first.epoch + 1);
        assert_eq!(first.send(&topic, "b"), ErrorCode::INVALID_PRODUCER_EPOCH);
        assert_eq!(first.end(true), ErrorCode::PRODUCER_FENCED);
        assert_eq!(first.add(&topic, 3), ErrorCode::PRODUCER_FENCED);
        assert_eq!(first.add(&topic, 1), ErrorCode::INVALID_PRODUCER_EPOCH);
        assert_eq!(first.add_offsets("g"), ErrorCode::PRODUCER_FENCED);
        assert_eq!(first.init_once(60_000), ErrorCode::PRODUCER_FENCED);
        assert_eq!(first.end_as(true, 1), ErrorCode::INVALID_PRODUCER_EPOCH);
        second.write(&topic, "c");
        assert_eq!(second.end(true), ErrorCode::NONE);
        settle(cluster, &topic, 4);
    });
}

pub(super) fn goes_on(cluster: &dyn Cluster) {
    let mut producer = Producer::new(cluster, OLDER, 60_000);
    let before = (producer.id, producer.epoch);
    producer.init(60_000);
    assert_eq!((producer.id, producer.epoch), (before.0, before.1 + 1));
    let after = (producer.id, producer.epoch);
    (producer.id, producer.epoch) = before;
    producer.init(60_000);
    assert_eq!((producer.id, producer.epoch), after, "its answer may have been lost");
    (producer.id, producer.epoch) = (-1, -1);
    producer.init(60_000);
    (producer.id, producer.epoch) = after;
    assert_eq!(producer.init_once(60_000), ErrorCode::PRODUCER_FENCED, "another came between");
}

pub(super) fn not_added(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    let mut producer = Producer::new(cluster, OLDER, 60_000);
    if !offers::<ProduceRequest>(cluster, 11) {
        return;
    }
    producer.speech.produce = 11;
    assert_eq!(producer.send(&topic, "a"), ErrorCode::TRANSACTION_ABORTABLE);
    producer.speech.produce = 10;
    assert_eq!(producer.send(&topic, "a"), ErrorCode::INVALID_TXN_STATE);
    producer.transactional_id = String::new();
    let code = producer.send(&topic, "a");
    assert_eq!(code, ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "no transactional id");
    assert_eq!(records::fetch(cluster, &topic, 0).high_watermark, 0);
}

pub(super) fn ended_twice(cluster: &dyn Cluster) {
    each_protocol(cluster, |speech| {
        let topic = new_topic(cluster, 1, &[]);
        let mut producer = Producer::new(cluster, speech, 60_000);
        assert_eq!(producer.end(true), ErrorCode::INVALID_TXN_STATE, "nothing was begun");
        producer.write(&topic, "a");
        let before = (producer.id, producer.epoch);
        assert_eq!(producer.end(true), ErrorCode::NONE);
        settle(cluster, &topic, 2);
        let after = (producer.id, producer.epoch);
        (producer.id, producer.epoch) = before;
        assert_eq!(producer.end(true), ErrorCode::NONE, "asked again");
        assert_eq!((producer.id, producer.epoch), after);
        (producer.id, producer.epoch) = before;
        assert_eq!(producer.end(false), ErrorCode::INVALID_TXN_STATE, "it was committed");
        if speech.end >= 5 {
            (producer.id, producer.epoch) = after;
            assert_eq!(producer.end(false), ErrorCode::NONE, "nothing may always be aborted");
            assert_eq!((producer.id, producer.epoch), (after.0, after.1 + 1));
        }
    });
}

pub(super) fn positions(cluster: &dyn Cluster) {
    each_protocol(cluster, |speech| {
        let topic = new_topic(cluster, 1, &[]);
        let group = fresh_name();
        let mut wire = groups::coordinator(cluster, &group);
        let mut producer = Producer::new(cluster, speech, 60_000);
        if speech.commit < 5 {
            let code = producer.commit(&mut wire, (&group, &topic), 5, ("", -1));
            let abortable = ErrorCode::TRANSACTION_ABORTABLE;
            assert!(code == abortable || code == ErrorCode::INVALID_TXN_STATE, "{code:?}");
            assert_eq!(producer.add_offsets(&group), ErrorCode::NONE);
        }
        let code = producer.commit(&mut wire, (&group, &topic), 5, ("who", 3));
        // The older coordinator of Kafka 3 looks for the member first.
        let expected = [ErrorCode::ILLEGAL_GENERATION, ErrorCode::UNKNOWN_MEMBER_ID];
        assert!(expected.contains(&code), "there is no such group: {code:?}");
        let code = producer.commit(&mut wire, (&group, &topic), 5, ("", -1));
        assert_eq!(code, ErrorCode::NONE);
        let code = producer.commit(&mut wire, (&group, &topic), 6, ("who", 3));
        assert_eq!(code, ErrorCode::UNKNOWN_MEMBER_ID);
        let told = groups::fetch(&mut wire, &group, &topic, true);
        assert_eq!(told.error_code, ErrorCode::UNSTABLE_OFFSET_COMMIT);
        let told = groups::fetch(&mut wire, &group, &topic, false);
        assert_eq!((told.error_code, told.committed_offset), (ErrorCode::NONE, -1));
        assert_eq!(producer.end(true), ErrorCode::NONE);
        assert_eq!(stable(&mut wire, &group, &topic), 5);
        if speech.commit < 5 {
            assert_eq!(producer.add_offsets(&group), ErrorCode::NONE);
        }
        let code = producer.commit(&mut wire, (&group, &topic), 9, ("", -1));
        assert_eq!(code, ErrorCode::NONE);
        assert_eq!(producer.end(false), ErrorCode::NONE);
        assert_eq!(stable(&mut wire, &group, &topic), 5);
    });
}

pub(super) fn timed_out(cluster: &dyn Cluster) {
    let topic = new_topic(cluster, 1, &[]);
    let mut producer = Producer::new(cluster, OLDER, 1_000);
    producer.write(&topic, "a");
    // Apache Kafka looks for such transactions every ten seconds, and gives the abort as long as the transaction had.
    settle(cluster, &topic, 2);
    assert_eq!(producer.end(true), ErrorCode::PRODUCER_FENCED);
    assert_eq!(producer.send(&topic, "b"), ErrorCode::INVALID_PRODUCER_EPOCH);
}

pub(super) fn impossible(cluster: &dyn Cluster) {
    let mut producer = Producer::new(cluster, OLDER, 60_000);
    assert_eq!(producer.init_once(0), ErrorCode::INVALID_TRANSACTION_TIMEOUT);
    assert_eq!(producer.init_once(i32::MAX), ErrorCode::INVALID_TRANSACTION_TIMEOUT);
    let epoch = std::mem::replace(&mut producer.epoch, -1);
    assert_eq!(producer.init_once(60_000), ErrorCode::INVALID_REQUEST);
    producer.epoch = epoch;
    let missing = producer.add(&fresh_name(), 3);
    assert_eq!(missing, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    producer.id += 1_000_000;
    assert_eq!(producer.end(true), ErrorCode::INVALID_PRODUCER_ID_MAPPING);
}

/// Which protocol a producer speaks: the versions of its requests.
#[derive(Clone, Copy)]
struct Speech {
    produce: i16,
    end: i16,
    commit: i16,
}

/// A transactional producer with connections to its coordinator.
struct Producer<'a> {
    cluster: &'a dyn Cluster,
    coordinator: Wire,
    speech: Speech,
    transactional_id: String,
    id: i64,
    epoch: i16,
    sequence: i32,
}

impl<'a> Producer<'a> {
    /// One that has its epoch.
    fn new(cluster: &'a dyn Cluster, speech: Speech, timeout_ms: i32) -> Self {
        let transactional_id = fresh_name();
        let coordinator = coordinator(cluster, TRANSACTION, &transactional_id);
        let (id, epoch, sequence) = (-1, -1, 0);
        let mut producer =
            Self { cluster, coordinator, speech, transactional_id, id, epoch, sequence };
        producer.init(timeout_ms);
        producer
    }

    /// A second one of the same transactional id, without its epoch.
    fn again(&self) -> Self {
        let transactional_id = self.transactional_id.clone();
        let coordinator = coordinator(self.cluster, TRANSACTION, &transactional_id);
        Self { coordinator, transactional_id, id: -1, epoch: -1, sequence: 0, ..*self }
    }

    fn init(&mut self, timeout_ms: i32) {
        assert_eq!(patiently(|| self.init_once(timeout_ms)), ErrorCode::NONE);
    }

    fn init_once(&mut self, transaction_timeout_ms: i32) -> ErrorCode {
        let request = InitProducerIdRequest {
            transactional_id: Some(self.transactional_id.clone()),
            transaction_timeout_ms,
            producer_id: self.id,
            producer_epoch: self.epoch,
            ..InitProducerIdRequest::default()
        };
        let response = self.coordinator.exchange(&request, 4);
        if response.error_code.is_ok() {
            self.take((response.producer_id, response.producer_epoch));
        }
        response.error_code
    }

    fn take(&mut self, identity: (i64, i16)) {
        if identity != (self.id, self.epoch) {
            self.sequence = 0;
        }
        (self.id, self.epoch) = identity;
    }

    fn add(&mut self, topic: &str, version: i16) -> ErrorCode {
        let topic = AddPartitionsToTxnTopic { name: topic.to_owned(), partitions: vec![0] };
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.transactional_id.clone(),
            v3_and_below_producer_id: self.id,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: vec![topic],
            ..AddPartitionsToTxnRequest::default()
        };
        patiently(|| {
            let mut response = self.coordinator.exchange(&request, version);
            let mut topic = response.results_by_topic_v3_and_below.remove(0);
            topic.results_by_partition.remove(0).partition_error_code
        })
    }

    /// Sends a batch; the partition has to be added before, except in version 2.
    fn send(&mut self, topic: &str, value: &str) -> ErrorCode {
        let mut batch = records::batch(&[(1, value)]);
        batch.stamp(ProducerStamp {
            producer_id: self.id,
            epoch: self.epoch,
            base_sequence: self.sequence,
            transactional: true,
        });
        let id = Some(self.transactional_id.clone()).filter(|id| !id.is_empty());
        let request = ProduceRequest {
            transactional_id: id,
            ..records::produce_request(topic, &batch.to_bytes())
        };
        let mut wire = Wire::to_leader(self.cluster, topic, 0);
        let code = patiently(|| {
            let mut response = wire.exchange(&request, self.speech.produce);
            response.responses.remove(0).partition_responses.remove(0).error_code
        });
        self.sequence += i32::from(code.is_ok());
        code
    }

    fn write(&mut self, topic: &str, value: &str) {
        if self.speech.produce < 12 {
            assert_eq!(self.add(topic, 3), ErrorCode::NONE);
        }
        assert_eq!(self.send(topic, value), ErrorCode::NONE);
    }

    /// Ends the transaction, and goes on with the identity of the answer in version 2.
    fn end(&mut self, committed: bool) -> ErrorCode {
        self.end_as(committed, self.speech.end)
    }

    fn end_as(&mut self, committed: bool, version: i16) -> ErrorCode {
        let request = EndTxnRequest {
            transactional_id: self.transactional_id.clone(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed,
        };
        patiently(|| {
            let response = self.coordinator.exchange(&request, version);
            if response.error_code.is_ok() && version >= 5 {
                self.take((response.producer_id, response.producer_epoch));
            }
            response.error_code
        })
    }

    fn add_offsets(&mut self, group: &str) -> ErrorCode {
        let request = AddOffsetsToTxnRequest {
            transactional_id: self.transactional_id.clone(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            group_id: group.to_owned(),
        };
        patiently(|| self.coordinator.exchange(&request, 3).error_code)
    }

    /// Commits a group's position as a consumer of a generation would have it committed.
    fn commit(
        &self,
        wire: &mut Wire,
        (group, topic): (&str, &str),
        offset: i64,
        (member, generation): (&str, i32),
    ) -> ErrorCode {
        let partition = TxnOffsetCommitRequestPartition {
            committed_offset: offset,
            ..TxnOffsetCommitRequestPartition::default()
        };
        let topic = TxnOffsetCommitRequestTopic {
            name: topic.to_owned(),
            partitions: vec![partition],
            ..TxnOffsetCommitRequestTopic::default()
        };
        let request = TxnOffsetCommitRequest {
            transactional_id: self.transactional_id.clone(),
            group_id: group.to_owned(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            member_id: member.to_owned(),
            generation_id_or_member_epoch: generation,
            topics: vec![topic],
            ..TxnOffsetCommitRequest::default()
        };
        patiently(|| {
            let mut response = wire.exchange(&request, self.speech.commit);
            response.topics.remove(0).partitions.remove(0).error_code
        })
    }
}

/// Runs a check in each protocol of transactions that the broker offers.
fn each_protocol(cluster: &dyn Cluster, check: impl Fn(Speech)) {
    check(OLDER);
    if offers::<EndTxnRequest>(cluster, NEWER.end) {
        check(NEWER);
    }
}

fn offers<R: klamm_protocol::api::Request>(cluster: &dyn Cluster, version: i16) -> bool {
    Wire::to(cluster).common::<R>().contains(&version)
}

/// Asks until the answer is another than to ask again.
fn patiently(mut ask: impl FnMut() -> ErrorCode) -> ErrorCode {
    let until = Instant::now() + PATIENCE;
    loop {
        let code = ask();
        let again = [
            ErrorCode::CONCURRENT_TRANSACTIONS,
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
            ErrorCode::COORDINATOR_NOT_AVAILABLE,
            ErrorCode::NOT_COORDINATOR,
            ErrorCode::NOT_ENOUGH_REPLICAS,
            ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ];
        if !again.contains(&code) || Instant::now() > until {
            return code;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until everything up to `end` is decided: markers may come after the answer.
fn settle(cluster: &dyn Cluster, topic: &str, end: i64) {
    let until = Instant::now() + PATIENCE;
    while latest(cluster, topic) < end {
        assert!(Instant::now() < until, "the markers never came");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(latest(cluster, topic), end);
}

fn committed(cluster: &dyn Cluster, topic: &str, offset: i64) -> PartitionData {
    let id = Wire::to(cluster).described(topic).topic_id;
    let ask = records::Ask::new(topic, id).from(offset);
    let request = FetchRequest { isolation_level: 1, ..ask.request() };
    records::partition(Wire::to_leader(cluster, topic, 0).request(&request))
}

/// The aborted transactions up to `end`, as (producer id, first offset). A broker may give a single
/// batch at a time.
fn aborted(cluster: &dyn Cluster, topic: &str, end: i64) -> BTreeSet<(i64, i64)> {
    let mut found = BTreeSet::new();
    let mut next = 0;
    while next < end {
        let data = committed(cluster, topic, next);
        let listed = data.aborted_transactions.into_iter().flatten();
        found.extend(listed.map(|aborted| (aborted.producer_id, aborted.first_offset)));
        let batches = Batches::new(data.records.unwrap_or_default());
        let last = batches.map(|batch| batch.expect("a whole batch").header().last_offset()).last();
        next = last.expect("there is more") + 1;
    }
    found
}

/// The end of what is decided.
fn latest(cluster: &dyn Cluster, topic: &str) -> i64 {
    let request =
        ListOffsetsRequest { isolation_level: 1, ..offsets::request(topic, offsets::LATEST) };
    let mut wire = Wire::to_leader(cluster, topic, 0);
    wire.exchange(&request, 5).topics.remove(0).partitions.remove(0).offset
}

/// A group's position, once no transaction may change it.
fn stable(wire: &mut Wire, group: &str, topic: &str) -> i64 {
    let until = Instant::now() + PATIENCE;
    loop {
        let told = groups::fetch(wire, group, topic, true);
        if told.error_code != ErrorCode::UNSTABLE_OFFSET_COMMIT {
            assert_eq!(told.error_code, ErrorCode::NONE);
            return told.committed_offset;
        }
        assert!(Instant::now() < until, "the position never became stable");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// As of Kafka 3.7, partitions added beforehand.
const OLDER: Speech = Speech { produce: 10, end: 3, commit: 3 };
/// KIP-890.
const NEWER: Speech = Speech { produce: 12, end: 5, commit: 5 };
const PATIENCE: Duration = Duration::from_secs(30);
