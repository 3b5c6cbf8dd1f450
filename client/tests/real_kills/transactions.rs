//! A transactional producer whose coordinator is killed in the middle of its transactions: a reader
//! of committed records sees those of the committed transactions, and nothing else.

use std::time::Duration;

use klamm_client::admin::NewTopic;
use klamm_client::cluster::CoordinatorKind;
use klamm_client::producer::{ProducerOptions, TransactionalProducer};
use klamm_client::{Client, ErrorKind};
use klamm_protocol::records::RecordParts;
use klamm_protocol::session::transaction::End;
use klamm_testkit::apache::Kafka;
use tokio::time::{Instant, sleep};

use super::{connect, judge, three_brokers, whole};

#[test]
fn transactions_are_whole_or_nothing_while_coordinators_are_killed() {
    let Some(kafka) = three_brokers() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let committed = runtime.block_on(async {
        let client = connect(&kafka).await;
        let topic = NewTopic::new(TOPIC).with_partitions(PARTITIONS).with_replication(3);
        client.create_topics(&[topic]).await.remove(0).unwrap();
        whole(&client, TOPIC).await;
        let mut options = ProducerOptions::default();
        options.transactional_id = Some(ID.to_owned());
        let mut producer = client.transactional_producer(options).unwrap();
        let mut chance = fastrand::Rng::with_seed(SEED);
        let (mut committed, mut dead) = (Vec::new(), None);
        for number in 0..TRANSACTIONS {
            if number % KILL_EVERY == KILL_EVERY / 2 {
                dead = Some(coordinator(&client, &kafka).await);
            }
            let wish = if chance.u8(..4) == 0 { End::Aborted } else { End::Committed };
            let to_kill = dead.filter(|_| number % KILL_EVERY == KILL_EVERY / 2);
            if transact(&mut producer, number, wish, &kafka, to_kill).await == End::Committed {
                committed.push(number);
            }
            if let Some(node) = dead.filter(|_| number % KILL_EVERY == KILL_EVERY - 1) {
                kafka.restart(node).unwrap();
                whole(&client, TOPIC).await;
                dead = None;
            }
        }
        producer.close(Duration::from_secs(60)).await.unwrap();
        committed
    });
    assert!(committed.len() > 300, "only {} transactions were committed", committed.len());
    for partition in 0..PARTITIONS {
        let records = committed.iter().flat_map(|number| number * SIZE..(number + 1) * SIZE);
        let wanted: Vec<u64> =
            records.filter(|record| record % PARTITIONS as u64 == partition as u64).collect();
        let seen = judge::java_reads(&kafka, TOPIC, partition, wanted.len());
        judge::same(partition, &seen, &wanted);
    }
}

/// One transaction, in whose middle a broker is killed if one is named. Returns how it ended.
async fn transact(
    producer: &mut TransactionalProducer,
    number: u64,
    wish: End,
    kafka: &Kafka,
    to_kill: Option<i32>,
) -> End {
    let transaction = producer.begin().await.unwrap();
    for record in number * SIZE..(number + 1) * SIZE {
        if record == number * SIZE + SIZE / 2 {
            to_kill.inspect(|node| kafka.kill(*node).unwrap());
        }
        let value = format!("{record:012}");
        let parts = RecordParts::new(judge::now_ms(), None, Some(value.as_bytes()));
        let partition = (record % PARTITIONS as u64) as i32;
        match transaction.append(TOPIC, Some(partition), parts).await {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::AbortRequired => break,
            Err(error) => panic!("{number}: {error:?}"),
        }
    }
    if wish == End::Aborted {
        transaction.abort().await.unwrap_or_else(|error| panic!("{number}: {error:?}"));
        return End::Aborted;
    }
    match transaction.commit().await {
        Ok(()) => End::Committed,
        Err(error) if error.kind() == ErrorKind::AbortRequired => End::Aborted,
        Err(error) if error.kind() == ErrorKind::OutcomeUnknown => {
            let end = producer.init().await.unwrap_or_else(|error| panic!("{number}: {error:?}"));
            end.unwrap_or_else(|| panic!("{number}: nobody knows how it ended: {error:?}"))
        }
        Err(error) => panic!("{number}: {error:?}"),
    }
}

/// The broker that coordinates the producer's transactions now.
async fn coordinator(client: &Client, kafka: &Kafka) -> i32 {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let found = client.cluster().coordinator(CoordinatorKind::Transaction, ID, deadline).await;
        if let Ok(handle) = found {
            let at = |node: &i32| handle.peer().contains(&kafka.address(*node).unwrap());
            return (1..=3).find(at).unwrap_or_else(|| panic!("nobody is {}", handle.peer()));
        }
        assert!(Instant::now() < deadline, "{found:?}");
        sleep(Duration::from_millis(100)).await;
    }
}

const TOPIC: &str = "transacted";
const ID: &str = "killed-coordinators";
const PARTITIONS: i32 = 3;
const TRANSACTIONS: u64 = 500;
/// Records of a transaction.
const SIZE: u64 = 100;
/// A coordinator dies in the middle of every so many transactions.
const KILL_EVERY: u64 = 125;
const SEED: u64 = 17;
