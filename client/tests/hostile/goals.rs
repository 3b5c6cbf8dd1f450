//! What the client is asked to do with a hostile cluster, and what came of it in the testkit's
//! words.

use std::time::Duration;

use klamm_client::admin::{NewTopic, OffsetSpec};
use klamm_client::cluster::CoordinatorKind;
use klamm_client::config::Isolation;
use klamm_client::consumer::{FetchedBatch, OffsetRange, ReadOptions};
use klamm_client::producer::{Delivery, ProducerOptions};
use klamm_client::{Client, Config, Error, ErrorKind, TopicPartition};
use klamm_protocol::error::DecodeError;
use klamm_protocol::records::{Batches, Inflater, RecordParts};
use klamm_testkit::hostile::{
    Case, Ending, FRAME_CAP, Goal, HostileCluster, INFLATED_CAP, MADE, REFRESHES, TOPIC, VALUES,
    WRITTEN,
};
use tokio::time::Instant;

/// How a goal ended, or what no ending may look like.
type Ended = Result<Ending, String>;

/// Connects and does what the case asks for; the client is gone afterwards. Deadlines are `patience`
/// times as long as an idle machine needs.
pub(crate) async fn pursue(case: &Case, hostile: &HostileCluster, patience: u32) -> Ended {
    let client = match Client::connect(config(case, &hostile.bootstrap(), patience)).await {
        Ok(client) => client,
        Err(error) => return failed(&error),
    };
    let ended = match case.goal {
        Goal::Connect => Ok(Ok(Ending::Right)),
        Goal::Metadata => metadata(&client).await,
        Goal::Refresh => refresh(&client).await,
        Goal::Coordinator => coordinator(&client).await,
        Goal::Offsets => offsets(&client).await,
        Goal::Create => create(&client, hostile).await,
        Goal::Produce => produce(&client, hostile).await,
        Goal::Read => read(&client, VALUES.len() as i64).await,
        Goal::Follow => read(&client, i64::MAX).await,
    };
    ended.unwrap_or_else(|error| failed(&error))
}

/// Little patience where the case needs it, else more than a slow machine takes.
fn config(case: &Case, bootstrap: &str, patience: u32) -> Config {
    let times = if case.tries_patience() { patience } else { 15 };
    let patience = |short: u64| Duration::from_millis(short) * times;
    Config::new(bootstrap)
        .expect("addresses")
        .with_connect_timeout(patience(500))
        .with_request_timeout(patience(300))
        .with_api_timeout(patience(700))
        .with_delivery_timeout(patience(800))
        .with_max_block(patience(700))
        .with_retry_backoff(Duration::from_millis(10))
        .with_retry_backoff_max(Duration::from_millis(40))
        .with_reconnect_backoff(Duration::from_millis(10))
        .with_reconnect_backoff_max(Duration::from_millis(40))
        .with_linger(Duration::from_millis(10))
        .with_max_frame(FRAME_CAP)
        .with_isolation(Isolation::ReadCommitted)
        .with_fetch_max_wait(Duration::from_millis(100))
        .with_fetch_max_bytes(FRAME_CAP as u32 / 2)
        .with_partition_fetch_bytes(FRAME_CAP as u32 / 2)
}

fn failed(error: &Error) -> Ended {
    let line = error.to_string();
    if line.contains('\n') || line.contains('\u{1b}') {
        return Err(format!("an error of more than one line: {line:?}"));
    }
    Ok(match error.kind() {
        ErrorKind::Usage => Ending::NoSuch,
        ErrorKind::Unreachable => Ending::Unreachable,
        ErrorKind::NotKafka => Ending::NotKafka,
        ErrorKind::Disconnected => Ending::Cut,
        ErrorKind::OutcomeUnknown => Ending::Unknown,
        ErrorKind::TimedOut => Ending::Late,
        ErrorKind::Protocol => Ending::Garbage,
        ErrorKind::Unsupported => Ending::Unsupported,
        ErrorKind::Broker => Ending::Refused,
        ErrorKind::Corrupt => Ending::Damaged,
        ErrorKind::DataLoss => Ending::Lost,
        kind => return Err(format!("an error that is nobody's fault but ours: {kind:?} {line}")),
    })
}

fn right_if(right: bool) -> Ended {
    Ok(if right { Ending::Right } else { Ending::Misled })
}

async fn metadata(client: &Client) -> Result<Ended, Error> {
    let partitions = client.partitions(TOPIC).await?;
    let names = client.topic_names().await?;
    Ok(right_if(partitions == [0] && names.len() <= 1))
}

async fn refresh(client: &Client) -> Result<Ended, Error> {
    let soon = || Instant::now() + *client.config().api_timeout();
    client.cluster().topic(TOPIC, soon()).await?;
    for _ in 0..REFRESHES {
        client.cluster().refresh(soon()).await?;
    }
    let known = client.view().topics.len();
    if known > 1 {
        return Ok(Err(format!("keeps {known} topics, one was asked for")));
    }
    Ok(Ok(Ending::Right))
}

async fn coordinator(client: &Client) -> Result<Ended, Error> {
    let deadline = Instant::now() + *client.config().api_timeout();
    client.cluster().coordinator(CoordinatorKind::Group, TOPIC, deadline).await?;
    Ok(Ok(Ending::Right))
}

async fn offsets(client: &Client) -> Result<Ended, Error> {
    let place = TopicPartition::new(TOPIC, 0);
    let wanted = [(place.clone(), OffsetSpec::Earliest), (place, OffsetSpec::Latest)];
    let mut found = Vec::new();
    for (_, listed) in client.list_offsets(&wanted, Isolation::ReadCommitted).await {
        found.push(listed?.offset);
    }
    Ok(right_if(found == [Some(0), Some(VALUES.len() as i64)]))
}

async fn create(client: &Client, hostile: &HostileCluster) -> Result<Ended, Error> {
    for made in client.create_topics(&[NewTopic::new(MADE).with_partitions(1)]).await {
        made?;
    }
    Ok(right_if(hostile.with(|cluster| cluster.topic_id(MADE).is_some())))
}

async fn produce(client: &Client, hostile: &HostileCluster) -> Result<Ended, Error> {
    let producer = client.producer(ProducerOptions::from_config(client.config()))?;
    let mut tickets = Vec::new();
    for value in WRITTEN {
        let record = RecordParts::new(1, None, Some(value));
        tickets.push(producer.append(TOPIC, Some(0), record).await?);
    }
    let mut offsets = Vec::new();
    for ticket in tickets {
        match ticket.delivered().await {
            Delivery::Written { offset, .. } => offsets.push(offset),
            Delivery::NotWritten(error) => return Ok(failed(&error).map(|_| Ending::NotWritten)),
            Delivery::Unknown(error) => return Ok(failed(&error).map(|_| Ending::Unknown)),
            other => return Ok(Err(format!("{other:?}"))),
        }
    }
    let log = in_log(hostile);
    let right = |(offset, value): (&Option<i64>, &&[u8])| {
        let kept: Vec<_> = log.iter().filter(|(_, kept)| kept == value).collect();
        matches!(kept[..], [(at, _)] if Some(*at) == *offset)
    };
    Ok(right_if(offsets.iter().zip(&WRITTEN).all(right)))
}

/// All records of the partition, as the embedded broker has them.
fn in_log(hostile: &HostileCluster) -> Vec<(i64, Vec<u8>)> {
    let sets: Vec<_> = hostile.with(|cluster| {
        let log = cluster.log(TOPIC, 0).expect("a partition");
        log.batches().map(|batch| batch.to_bytes()).collect()
    });
    let mut records = Vec::new();
    for raw in sets.into_iter().flat_map(Batches::new) {
        let batch =
            raw.and_then(|raw| raw.open(&mut Inflater::new(), INFLATED_CAP)).expect("whole");
        let each = batch.records().map(|record| record.expect("whole"));
        records.extend(each.map(|one| (one.offset(), one.value().unwrap_or_default().to_vec())));
    }
    records
}

async fn read(client: &Client, stop: i64) -> Result<Ended, Error> {
    let range = OffsetRange { topic: TOPIC.into(), partition: 0, start: 0, stop };
    let mut options = ReadOptions::from_config(client.config());
    options.max_inflated = INFLATED_CAP;
    options.max_bytes = FRAME_CAP;
    options.poll_timeout = *client.config().api_timeout();
    let mut reader = client.read_ranges(vec![range], options);
    let mut values = Vec::new();
    while let Some(batch) = reader.next().await {
        if values_of(&batch?, &mut values).is_err() {
            return Ok(Ok(Ending::Damaged));
        }
        if stop == i64::MAX && values.len() >= VALUES.len() {
            break;
        }
    }
    let mut expected = VALUES.iter();
    let some_of_them = values.iter().all(|value| expected.any(|one| one == value));
    Ok(Ok(match some_of_them {
        true if values.len() == VALUES.len() => Ending::Right,
        true => Ending::Short,
        false => Ending::Misled,
    }))
}

/// The values of a batch; everything else of its records is looked at, too.
fn values_of(batch: &FetchedBatch, values: &mut Vec<Vec<u8>>) -> Result<(), DecodeError> {
    for record in batch.records() {
        let record = record?;
        for header in record.headers() {
            header?;
        }
        values.push(record.value().unwrap_or_default().to_vec());
    }
    Ok(())
}
