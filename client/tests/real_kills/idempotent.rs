//! An idempotent producer whose partition's leader is killed while its records are in flight.

use klamm_client::admin::NewTopic;
use klamm_client::producer::{Delivery, Producer, ProducerOptions, Ticket};
use klamm_protocol::records::{Compression, RecordParts};

use super::{connect, judge, three_brokers, whole};

#[test]
fn killed_leaders_lose_nothing_and_repeat_nothing() {
    let Some(kafka) = three_brokers() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = connect(&kafka).await;
        let topic = NewTopic::new(TOPIC).with_partitions(PARTITIONS).with_replication(3);
        client.create_topics(&[topic]).await.remove(0).unwrap();
        whole(&client, TOPIC).await;
        let mut options = ProducerOptions::default();
        options.compression = Compression::Lz4;
        let producer = client.producer(options).unwrap();
        let mut tickets = Vec::with_capacity(RECORDS as usize);
        for round in 0..=KILLS {
            let records = RECORDS / (KILLS + 1);
            let (begin, middle) = (round * records, round * records + records / 2);
            append(&producer, begin..middle, &mut tickets).await;
            if round == KILLS {
                append(&producer, middle..RECORDS, &mut tickets).await;
                break;
            }
            let leader = client.view().leader(TOPIC, 0).expect("the replicas were whole").broker;
            kafka.kill(leader).unwrap();
            append(&producer, middle..begin + records, &mut tickets).await;
            kafka.restart(leader).unwrap();
            whole(&client, TOPIC).await;
        }
        producer.flush().await.unwrap();
        all_written_in_order(&tickets).await;
    });
    for partition in 0..PARTITIONS {
        let wanted: Vec<u64> =
            (0..RECORDS).filter(|number| number % PARTITIONS as u64 == partition as u64).collect();
        let seen = judge::java_reads(&kafka, TOPIC, partition, wanted.len());
        judge::same(partition, &seen, &wanted);
        for node in 1..=3 {
            let batches = judge::dump(&kafka, node, TOPIC, partition);
            judge::unbroken(node, partition, &batches, wanted.len() as i64);
        }
    }
}

/// Every record has the offset that follows from the order in which it was handed over.
async fn all_written_in_order(tickets: &[Ticket]) {
    let mut ends = [0; PARTITIONS as usize];
    for (number, ticket) in tickets.iter().enumerate() {
        let delivery = ticket.delivered().await;
        let Delivery::Written { offset, .. } = delivery else { panic!("{number}: {delivery:?}") };
        let end = &mut ends[number % PARTITIONS as usize];
        assert!(offset.is_none_or(|offset| offset == *end), "{number} at {offset:?}, not {end}");
        *end += 1;
    }
}

async fn append(producer: &Producer, numbers: std::ops::Range<u64>, tickets: &mut Vec<Ticket>) {
    for number in numbers {
        let value = format!("{number:012}");
        let record = RecordParts::new(judge::now_ms(), None, Some(value.as_bytes()));
        let partition = (number % PARTITIONS as u64) as i32;
        tickets.push(producer.append(TOPIC, Some(partition), record).await.unwrap());
    }
}

const TOPIC: &str = "killed";
const PARTITIONS: i32 = 3;
const RECORDS: u64 = 500_000;
const KILLS: u64 = 5;
