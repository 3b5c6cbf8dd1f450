//! What a source may not do is all that it does not need: no right on any group, and to find offsets no more than to
//! describe the topic.

use std::time::Duration;

use klamm_client::admin::{Acl, AclOperation, AclResource};
use klamm_client::config::Isolation;
use klamm_client::producer::ProducerOptions;
use klamm_client::{Client, TopicPartition};
use klamm_connector::error::{Error, ErrorKind, Result};
use klamm_connector::offsets::PartitionOffsets;
use klamm_connector::options::{ReadMode, SourceOptions};
use klamm_connector::sink::next_rows;
use klamm_connector::source::{KafkaSource, ReadOrder, StreamSource as _, batch_read};
use klamm_protocol::records::RecordParts;
use tokio::time::{Instant, sleep};

use super::ground::{Ground, Options, run};

#[test]
fn to_describe_a_topic_is_enough_for_its_offsets_and_to_read_it_for_its_rows() {
    let Some(ground) = Ground::start() else { return };
    run(async {
        let admin = ground.admin().await;
        ground.topic(&admin, "orders", 2).await;
        ground.topic(&admin, "orders-of-others", 1).await;
        fill(&admin, "orders").await;
        ground.user(&admin, "bob").await;

        let named = [ground.by_password("bob"), vec![("subscribe", "orders".to_owned())]].concat();
        let error = known(&named).await;
        assert_eq!(error.kind(), ErrorKind::Client, "{error}");
        let line = error.to_string();
        assert!(line.contains("orders") && line.contains("TOPIC_AUTHORIZATION_FAILED"), "{line}");

        allow(&admin, AclOperation::Describe).await;
        let (first, last) = soon(async || offsets(&named).await).await;
        assert_eq!((first, last), (vec![0, 0], vec![3, 3]));
        let timed = [named.clone(), vec![("startingTimestamp", "1".to_owned())]].concat();
        assert_eq!(offsets(&timed).await.expect("to describe is enough").0, [0, 0]);

        // A pattern finds what may be seen, and leaves out the rest.
        let pattern = ("subscribePattern", "orders.*".to_owned());
        let found = [ground.by_password("bob"), vec![pattern]].concat();
        assert_eq!(offsets(&found).await.expect("to describe is enough").1, [3, 3]);

        let error = rows(&named).await.expect_err("bob may not read");
        assert!(error.to_string().contains("TOPIC_AUTHORIZATION_FAILED"), "{error}");
        allow(&admin, AclOperation::Read).await;
        assert_eq!(soon(async || rows(&named).await).await, 6);
    });
}

/// Three records in each partition.
async fn fill(admin: &Client, topic: &str) {
    let producer = admin.producer(ProducerOptions::default()).expect("options");
    for number in 0..6_i32 {
        let record = RecordParts::new(super::renewal::now_ms(), None, Some(b"x"));
        let _ = producer.append(topic, Some(number % 2), record).await.expect("room");
    }
    producer.flush().await.expect("written");
    let place = (TopicPartition::new(topic, 0), klamm_client::admin::OffsetSpec::Latest);
    let end = admin.list_offsets(&[place], Isolation::ReadCommitted).await.remove(0).1;
    assert_eq!(end.expect("an end").offset, Some(3));
}

async fn allow(admin: &Client, operation: AclOperation) {
    let rule = Acl::allow("User:bob", operation, AclResource::Topic, "orders");
    admin.create_acls(&[rule]).await.remove(0).expect("a rule");
}

/// What the broker says to a user without rights, once it knows the user.
async fn known(options: &Options) -> Error {
    let until = Instant::now() + PATIENCE;
    loop {
        let error = offsets(options).await.expect_err("bob may do nothing");
        if error.to_string().contains("AUTHORIZATION") {
            return error;
        }
        assert!(Instant::now() < until, "{error}");
        sleep(PAUSE).await;
    }
}

/// What comes of it once the broker knows a new rule.
async fn soon<T>(mut work: impl AsyncFnMut() -> Result<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        match work().await {
            Ok(found) => return found,
            Err(error) => assert!(
                error.to_string().contains("AUTHORIZATION") && Instant::now() < until,
                "{error}"
            ),
        }
        sleep(PAUSE).await;
    }
}

const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);

async fn offsets(options: &Options) -> Result<(Vec<i64>, Vec<i64>)> {
    let start = [options.clone(), vec![("startingOffsets", "earliest".to_owned())]].concat();
    let is_timed = options.iter().any(|(name, _)| *name == "startingTimestamp");
    let pairs = if is_timed { options } else { &start };
    let options = SourceOptions::from_pairs(ReadMode::Stream, pairs.clone())?;
    let mut source = KafkaSource::connect(options).await?;
    let first = source.initial().await?;
    let last = source.latest(&PartitionOffsets::new()).await?;
    Ok((first.into_values().collect(), last.into_values().collect()))
}

async fn rows(options: &Options) -> Result<usize> {
    let options = SourceOptions::from_pairs(ReadMode::Batch, options.clone())?;
    let mut rows = batch_read(options, ReadOrder::ByPartition).await?;
    let mut read = 0;
    while let Some(batch) = next_rows(&mut rows).await {
        read += batch?.num_rows();
    }
    Ok(read)
}
