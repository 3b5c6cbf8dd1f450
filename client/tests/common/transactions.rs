//! What transactions promise, asked of any cluster: the embedded one in both protocols, and real
//! ones.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use klamm_client::admin::{CommittedOffset, OffsetSpec};
use klamm_client::config::Isolation;
use klamm_client::consumer::{OffsetRange, ReadOptions};
use klamm_client::producer::{
    End, GroupMember, ProducerOptions, Ticket, Transaction, TransactionalProducer,
};
use klamm_client::{Client, Config, ErrorKind, TopicPartition};
use klamm_protocol::api::ApiKey;
use klamm_protocol::records::RecordParts;

use super::wire::{Fate, Wire};

/// A cluster to ask.
pub struct Asked {
    pub bootstrap: String,
    /// A topic of two partitions that nobody else uses.
    pub topic: String,
    /// Whether it runs transactions of version 2.
    pub implicit: bool,
}

impl Asked {
    pub fn config(&self) -> Config {
        super::config(&self.bootstrap).with_api_timeout(Duration::from_secs(60))
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.config()).await.unwrap()
    }

    /// A client whose every byte goes over the wire.
    pub async fn client_over(&self, wire: &Wire) -> Client {
        let config = self.config().with_reconnect_backoff(Duration::from_millis(5));
        Client::connect_with(config, Arc::new(wire.clone())).await.unwrap()
    }

    pub fn producer(&self, client: &Client) -> TransactionalProducer {
        self.producer_with(client, |_| {})
    }

    pub fn producer_with(
        &self,
        client: &Client,
        change: impl FnOnce(&mut ProducerOptions),
    ) -> TransactionalProducer {
        let mut options = ProducerOptions::default();
        options.transactional_id = Some(format!("id-of-{}", self.topic));
        options.linger = Duration::ZERO;
        change(&mut options);
        client.transactional_producer(options).unwrap()
    }

    pub async fn append(
        &self,
        transaction: &Transaction<'_>,
        partition: i32,
        number: u64,
    ) -> Ticket {
        let value = number.to_be_bytes();
        let record = RecordParts::new(0, None, Some(&value));
        transaction.append(&self.topic, Some(partition), record).await.unwrap()
    }

    /// Writes these numbers over both partitions in a transaction and commits it.
    pub async fn commit(
        &self,
        producer: &mut TransactionalProducer,
        numbers: std::ops::Range<u64>,
    ) {
        let transaction = producer.begin().await.unwrap();
        for number in numbers {
            let _ = self.append(&transaction, (number % 2) as i32, number).await;
        }
        transaction.commit().await.unwrap();
    }

    /// The numbers in the log, in order by partition, as far as they are stable.
    pub async fn read(&self, client: &Client, isolation: Isolation) -> Vec<u64> {
        let places = [0, 1].map(|one| (TopicPartition::new(&*self.topic, one), OffsetSpec::Latest));
        let ends = client.list_offsets(&places, isolation).await;
        let ranges = ends.into_iter().map(|(place, end)| OffsetRange {
            topic: place.topic,
            partition: place.partition,
            start: 0,
            stop: end.unwrap().offset.unwrap(),
        });
        let mut options = ReadOptions::default();
        options.isolation = isolation;
        let mut reader = client.read_ranges(ranges.collect(), options);
        let mut numbers: BTreeMap<i32, Vec<u64>> = BTreeMap::new();
        while let Some(batch) = reader.next().await {
            let batch = batch.unwrap();
            let values = batch.records().map(|record| {
                u64::from_be_bytes(record.unwrap().value().unwrap().try_into().unwrap())
            });
            numbers.entry(batch.partition).or_default().extend(values);
        }
        let mut all: Vec<u64> = numbers.into_values().flatten().collect();
        all.sort_unstable();
        all
    }

    /// The numbers that readers of committed records see, once no transaction is open: the markers
    /// come a moment after the answer to the end.
    pub async fn committed(&self, client: &Client) -> Vec<u64> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        let places = [0, 1].map(|one| (TopicPartition::new(&*self.topic, one), OffsetSpec::Latest));
        loop {
            let mut ends = Vec::new();
            for isolation in [Isolation::ReadCommitted, Isolation::ReadUncommitted] {
                let found = client.list_offsets(&places, isolation).await.into_iter();
                ends.push(found.map(|(_, end)| end.unwrap().offset).collect::<Vec<_>>());
            }
            if ends[0] == ends[1] {
                return self.read(client, Isolation::ReadCommitted).await;
            }
            assert!(tokio::time::Instant::now() < deadline, "a transaction stays open: {ends:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// A committed transaction is seen whole, an aborted one not at all, an empty one does no harm.
pub async fn commits_are_seen_and_aborts_are_not(asked: &Asked) {
    let client = asked.client().await;
    let mut producer = asked.producer(&client);
    assert_eq!(producer.init().await.unwrap(), None);
    asked.commit(&mut producer, 0..100).await;
    let transaction = producer.begin().await.unwrap();
    for number in 100..200 {
        let _ = asked.append(&transaction, (number % 2) as i32, number).await;
    }
    transaction.flush().await.unwrap();
    let seen = asked.read(&client, Isolation::ReadCommitted).await;
    assert_eq!(seen, (0..100).collect::<Vec<_>>());
    transaction.abort().await.unwrap();
    producer.begin().await.unwrap().commit().await.unwrap();
    producer.begin().await.unwrap().abort().await.unwrap();
    asked.commit(&mut producer, 200..300).await;
    let seen: Vec<u64> = (0..100).chain(200..300).collect();
    assert_eq!(asked.committed(&client).await, seen);
    let all = asked.read(&client, Isolation::ReadUncommitted).await;
    assert_eq!(all, (0..300).collect::<Vec<_>>());
    for number in 300..330 {
        asked.commit(&mut producer, number..number + 1).await;
    }
    assert_eq!(asked.committed(&client).await.len(), 230);
    producer.close(Duration::from_secs(10)).await.unwrap();
}

/// The newest producer of an id is the only one that can commit.
pub async fn a_newer_producer_fences_the_older_one(asked: &Asked) {
    let client = asked.client().await;
    let (mut old, mut new) = (asked.producer(&client), asked.producer(&client));
    asked.commit(&mut old, 0..2).await;
    let left_open = old.begin().await.unwrap();
    let _ = asked.append(&left_open, 0, 100).await;
    left_open.flush().await.unwrap();
    new.init().await.unwrap();
    asked.commit(&mut new, 2..4).await;
    let error = left_open.commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error:?}");
    assert!(!error.is_retriable());
    let error = old.begin().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced, "{error:?}");
    asked.commit(&mut new, 4..6).await;
    assert_eq!(asked.committed(&client).await, [0, 1, 2, 3, 4, 5]);
}

/// Positions are stored if the transaction is committed, and only then.
pub async fn offsets_count_with_their_transaction(asked: &Asked) {
    let client = asked.client().await;
    let mut producer = asked.producer(&client);
    let group = format!("group-of-{}", asked.topic);
    let member = GroupMember::of_group(&*group);
    let place = TopicPartition::new(&*asked.topic, 0);
    let at = |offset: i64| {
        let stored = CommittedOffset { offset, leader_epoch: None, metadata: "m".to_owned() };
        [(place.clone(), stored)]
    };
    for (offset, end) in [(5, End::Committed), (9, End::Aborted)] {
        let mut transaction = producer.begin().await.unwrap();
        let _ = asked.append(&transaction, 0, offset as u64).await;
        transaction.send_offsets(&member, &at(offset)).await.unwrap();
        match end {
            End::Committed => transaction.commit().await.unwrap(),
            End::Aborted => transaction.abort().await.unwrap(),
        }
    }
    // Only positions, and no records.
    let mut transaction = producer.begin().await.unwrap();
    transaction.send_offsets(&member, &at(7)).await.unwrap();
    transaction.commit().await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let stored = client.committed_offsets(&group, None).await.unwrap();
        if stored.get(&place).is_some_and(|stored| stored.offset == 7) {
            break;
        }
        // The marker may come a moment after the answer.
        assert!(tokio::time::Instant::now() < deadline, "{stored:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(asked.committed(&client).await, [5]);
    // Somebody who is not in the group.
    let stranger = GroupMember { generation: 3, member: "nobody".to_owned(), ..member };
    let mut transaction = producer.begin().await.unwrap();
    let error = transaction.send_offsets(&stranger, &at(8)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AbortRequired, "{error:?}");
    let error = transaction.commit().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AbortRequired, "{error:?}");
    asked.commit(&mut producer, 10..11).await;
}

/// Whatever is lost around an end, its caller is told the truth, and nothing is torn.
pub async fn a_lost_answer_to_the_end_is_found_out(asked: &Asked) {
    let wire = Wire::default();
    let client = asked.client_over(&wire).await;
    let mut producer = asked.producer_with(&client, |options| {
        options.max_block = Duration::from_secs(20);
    });
    asked.commit(&mut producer, 0..2).await;
    for (round, fate) in [Fate::LoseAnswer, Fate::HoldBack].into_iter().enumerate() {
        let first = 10 * (round as u64 + 1);
        let before = wire.sent(ApiKey::InitProducerId);
        wire.strike(ApiKey::EndTxn, 1, fate);
        asked.commit(&mut producer, first..first + 2).await;
        asked.commit(&mut producer, first + 2..first + 4).await;
        let raised = wire.sent(ApiKey::InitProducerId) - before;
        assert_eq!(raised == 0, asked.implicit, "version 1 has to raise its epoch: {raised}");
    }
    let open = producer.begin().await.unwrap();
    let _ = asked.append(&open, 0, 1000).await;
    open.flush().await.unwrap();
    // KAFKA-17754: the commit of an earlier transaction, late, must not commit this one.
    assert_eq!(wire.deliver_late().await, 1);
    open.abort().await.unwrap();
    asked.commit(&mut producer, 30..32).await;
    let seen = [0, 1, 10, 11, 12, 13, 20, 21, 22, 23, 30, 31];
    assert_eq!(asked.committed(&client).await, seen);
}

/// A commit without any answer is unknown, and then found out.
pub async fn an_unknown_commit_is_resolved_by_init(asked: &Asked) {
    for (round, fate) in [Fate::LoseAnswer, Fate::HoldBack].into_iter().enumerate() {
        let wire = Wire::default();
        let client = asked.client_over(&wire).await;
        let mut producer = asked.producer_with(&client, |options| {
            options.max_block = Duration::from_secs(3);
        });
        let first = 10 * round as u64;
        asked.commit(&mut producer, first..first + 2).await;
        wire.strike(ApiKey::EndTxn, u32::MAX, fate);
        let transaction = producer.begin().await.unwrap();
        let _ = asked.append(&transaction, 0, first + 2).await;
        let error = transaction.commit().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{error:?}");
        wire.calm();
        assert_eq!(producer.init().await.unwrap(), Some(End::Committed));
        let last = first + 3;
        assert!(asked.committed(&client).await.contains(&(first + 2)));
        let open = producer.begin().await.unwrap();
        let _ = asked.append(&open, 0, last).await;
        open.flush().await.unwrap();
        wire.deliver_late().await;
        open.abort().await.unwrap();
        assert!(!asked.committed(&client).await.contains(&last));
    }
}

/// A transaction that is dropped is aborted before the next one begins.
pub async fn a_dropped_transaction_is_aborted(asked: &Asked) {
    let client = asked.client().await;
    let mut producer = asked.producer(&client);
    let dropped = producer.begin().await.unwrap();
    let ticket = asked.append(&dropped, 0, 100).await;
    assert!(ticket.delivered().await.is_written());
    let _ = asked.append(&dropped, 1, 101).await;
    drop(dropped);
    asked.commit(&mut producer, 0..2).await;
    assert_eq!(asked.committed(&client).await, [0, 1]);
    // Dropped with its producer.
    let dropped = producer.begin().await.unwrap();
    let _ = asked.append(&dropped, 0, 102).await;
    dropped.flush().await.unwrap();
    drop(dropped);
    drop(producer);
    let mut next = asked.producer(&client);
    asked.commit(&mut next, 2..4).await;
    assert_eq!(asked.committed(&client).await, [0, 1, 2, 3]);
}

/// A transaction that takes too long is aborted by its coordinator, and its producer knows.
pub async fn a_transaction_that_takes_too_long_is_not_committed(asked: &Asked, patience: Duration) {
    let client = asked.client().await;
    let mut producer = asked.producer_with(&client, |options| {
        options.transaction_timeout = Duration::from_millis(500);
    });
    asked.commit(&mut producer, 0..2).await;
    let late = producer.begin().await.unwrap();
    let _ = asked.append(&late, 0, 100).await;
    late.flush().await.unwrap();
    tokio::time::sleep(patience).await;
    let error = late.commit().await.unwrap_err();
    assert!(
        matches!(error.kind(), ErrorKind::Fenced | ErrorKind::Broker | ErrorKind::AbortRequired),
        "{error:?}"
    );
    let mut next = asked.producer(&client);
    asked.commit(&mut next, 2..4).await;
    assert_eq!(asked.committed(&client).await, [0, 1, 2, 3]);
}
