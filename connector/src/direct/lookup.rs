//! Questions to the cluster for a direct stream: which partitions there are, where they begin and end, who leads them,
//! and what its group has committed. Names go in; plain values come out. The client retries what passes by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use klamm_client::admin::{OffsetSpec, Topics};
use klamm_client::{Client, TopicPartition as Asked};

use crate::error::Result;
use crate::offsets::{PartitionOffsets, TopicPartition};

/// The partitions of these topics.
///
/// # Errors
/// `Client` for a topic that does not exist.
pub(super) async fn partitions_of(
    client: &Client,
    names: &[String],
) -> Result<BTreeSet<TopicPartition>> {
    let mut partitions = BTreeSet::new();
    if names.is_empty() {
        return Ok(partitions);
    }
    let view = client.metadata(Topics::Named(names.to_vec())).await?;
    for name in names {
        let known = view.topics.get(name.as_str()).filter(|topic| topic.error.is_ok());
        let ids = match known {
            Some(topic) => topic.partitions.iter().map(|one| one.index).collect(),
            // Asking for it alone waits for a topic that was only just made, and explains one that is not there.
            None => client.partitions(name).await?,
        };
        let name: Arc<str> = Arc::from(name.as_str());
        partitions.extend(ids.into_iter().map(|id| TopicPartition::new(Arc::clone(&name), id)));
    }
    Ok(partitions)
}

/// Where these partitions end. An end before `known` is asked for again: it may come from a broker that lags behind
/// (KAFKA-7703). After the last attempt it is believed.
pub(super) async fn latest(client: &Client, known: &PartitionOffsets) -> Result<PartitionOffsets> {
    let mut attempt = 1;
    loop {
        let ends = listed(client, known.keys(), OffsetSpec::Latest).await?;
        let behind = known.iter().any(|(tp, at)| ends.get(tp).is_some_and(|end| end < at));
        if !behind || attempt >= ATTEMPTS {
            return Ok(ends);
        }
        attempt += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

/// One end of each of these partitions.
pub(super) async fn listed(
    client: &Client,
    partitions: impl IntoIterator<Item = &TopicPartition>,
    spec: OffsetSpec,
) -> Result<PartitionOffsets> {
    let partitions: Vec<_> = partitions.into_iter().collect();
    let wanted: Vec<_> = partitions.iter().map(|tp| (asked(tp), spec)).collect();
    if wanted.is_empty() {
        return Ok(PartitionOffsets::new());
    }
    let found = client.list_offsets(&wanted, *client.config().isolation()).await;
    let paired = partitions.into_iter().zip(found);
    paired.map(|(tp, (_, found))| Ok((tp.clone(), found?.offset.unwrap_or_default()))).collect()
}

/// What `group` has committed of these partitions.
pub(super) async fn committed(
    client: &Client,
    group: &str,
    partitions: &[TopicPartition],
) -> Result<PartitionOffsets> {
    let wanted: Vec<_> = partitions.iter().map(asked).collect();
    let found = client.committed_offsets(group, Some(&wanted)).await?;
    let ours = |tp: Asked| TopicPartition::new(tp.topic, tp.partition);
    Ok(found.into_iter().map(|(tp, position)| (ours(tp), position.offset)).collect())
}

/// The hosts of the leaders of these partitions, as far as they have one.
pub(super) async fn leader_hosts(
    client: &Client,
    partitions: impl IntoIterator<Item = &TopicPartition>,
) -> Result<BTreeMap<TopicPartition, String>> {
    let partitions: Vec<_> = partitions.into_iter().collect();
    let names: BTreeSet<_> = partitions.iter().map(|tp| tp.topic.to_string()).collect();
    let view = client.metadata(Topics::Named(names.into_iter().collect())).await?;
    let host = |tp: &&TopicPartition| {
        let leader = view.leader(&tp.topic, tp.partition)?;
        Some(((*tp).clone(), view.brokers.get(&leader.broker)?.host.clone()))
    };
    Ok(partitions.iter().filter_map(host).collect())
}

/// A partition as the client names it.
pub(super) fn asked(tp: &TopicPartition) -> Asked {
    Asked::new(Arc::clone(&tp.topic), tp.partition)
}

const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);
