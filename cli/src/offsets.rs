//! `klamm offsets`: topics and a time in, offsets out, as a table or as the JSON that `startingOffsets` takes.

use std::collections::BTreeMap;

use klamm_client::admin::OffsetSpec;
use klamm_client::config::Isolation;
use klamm_client::{Client, TopicPartition};
use klamm_connector::offsets::{self, PartitionOffsets};

use crate::args::OffsetsArgs;
use crate::cluster::{connect, names};
use crate::failure::Failure;
use crate::output::{print_line, print_table};

pub(crate) async fn run(args: OffsetsArgs) -> Result<(), Failure> {
    let columns = columns(&args)?;
    let client = connect(&args.cluster).await?;
    let partitions = partitions(&client, args.topic.as_deref()).await?;
    let mut found = Vec::new();
    for (_, spec) in &columns {
        found.push(look_up(&client, &partitions, *spec).await?);
    }
    if args.json { print_json(&partitions, &found) } else { print(&columns, &partitions, &found) }
}

/// What is asked of every partition, and the heading it gets.
fn columns(args: &OffsetsArgs) -> Result<Vec<(String, OffsetSpec)>, Failure> {
    let both = || {
        vec![
            ("earliest".to_owned(), OffsetSpec::Earliest),
            ("latest".to_owned(), OffsetSpec::Latest),
        ]
    };
    let Some(at) = args.at.as_deref() else {
        let mut columns = both();
        if args.json {
            columns.remove(0);
        }
        return Ok(columns);
    };
    Ok(vec![(format!("at {at}"), spec(at)?)])
}

fn spec(at: &str) -> Result<OffsetSpec, Failure> {
    match at.trim().to_ascii_lowercase().as_str() {
        "earliest" => return Ok(OffsetSpec::Earliest),
        "latest" => return Ok(OffsetSpec::Latest),
        text => {
            if let Ok(millis @ 0..) = text.parse::<i64>() {
                return Ok(OffsetSpec::Timestamp(millis));
            }
        }
    }
    let time = at.trim().parse::<jiff::Timestamp>().map_err(|error| {
        let line = format!(
            "--at {at}: give earliest, latest, milliseconds since 1970, or a time such as \
             2026-01-31T08:00:00Z"
        );
        Failure::usage(line).because(error)
    })?;
    Ok(OffsetSpec::Timestamp(time.as_millisecond()))
}

/// The partitions of the topics named, or of all topics that are not internal.
async fn partitions(client: &Client, topics: Option<&str>) -> Result<Vec<TopicPartition>, Failure> {
    let topics = match topics {
        Some(list) => names(list),
        None => client.topic_names().await?,
    };
    let mut all = Vec::new();
    for topic in topics {
        for partition in client.partitions(&topic).await? {
            all.push(TopicPartition::new(topic.as_str(), partition));
        }
    }
    all.sort();
    Ok(all)
}

async fn look_up(
    client: &Client,
    partitions: &[TopicPartition],
    spec: OffsetSpec,
) -> Result<BTreeMap<TopicPartition, Option<i64>>, Failure> {
    let wanted: Vec<_> = partitions.iter().map(|partition| (partition.clone(), spec)).collect();
    let mut found = BTreeMap::new();
    for (partition, listed) in client.list_offsets(&wanted, Isolation::ReadUncommitted).await {
        found.insert(partition, listed?.offset);
    }
    Ok(found)
}

fn print(
    columns: &[(String, OffsetSpec)],
    partitions: &[TopicPartition],
    found: &[BTreeMap<TopicPartition, Option<i64>>],
) -> Result<(), Failure> {
    let mut header = vec!["topic", "partition"];
    header.extend(columns.iter().map(|(name, _)| name.as_str()));
    let row = |partition: &TopicPartition| {
        let mut cells = vec![partition.topic.to_string(), partition.partition.to_string()];
        cells.extend(found.iter().map(|found| match found.get(partition).copied().flatten() {
            Some(offset) => offset.to_string(),
            None => "-".to_owned(),
        }));
        cells
    };
    print_table(&header, &partitions.iter().map(row).collect::<Vec<_>>())
}

/// The last lookup as JSON. A partition with no record that late gets -1, which `startingOffsets` reads as latest.
fn print_json(
    partitions: &[TopicPartition],
    found: &[BTreeMap<TopicPartition, Option<i64>>],
) -> Result<(), Failure> {
    let found = found.last();
    let offset = |partition: &TopicPartition| {
        found.and_then(|found| found.get(partition).copied().flatten()).unwrap_or(LATEST)
    };
    let all: PartitionOffsets = partitions
        .iter()
        .map(|p| (offsets::TopicPartition::new(&*p.topic, p.partition), offset(p)))
        .collect();
    print_line(&offsets::json::write_offsets(&all))
}

const LATEST: i64 = -1;
