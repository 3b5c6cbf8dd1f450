//! Offsets of partitions: the ends of a log, or by timestamp. In: partitions with what to look up;
//! out: an offset or an error for each, asked of its leader, all leaders at once (KIP-79, KIP-734).

use std::collections::BTreeMap;
use std::sync::Arc;

use klamm_protocol::api::ApiKey;
use klamm_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsTopic,
};

use crate::client::Client;
use crate::cluster::Repeat;
use crate::config::Isolation;
use crate::error::{Error, ErrorKind, Result};
use crate::net::handle::Handle;
use crate::partition::TopicPartition;

use super::each::{Call, Each, To, Told};

/// Which offset of a partition is meant.
///
/// ```
/// use klamm_client::admin::OffsetSpec;
///
/// let yesterday = OffsetSpec::Timestamp(1_700_000_000_000);
/// assert_ne!(yesterday, OffsetSpec::Earliest);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OffsetSpec {
    /// The first that still exists.
    Earliest,
    /// The one after the last that can be read: the high watermark, or with
    /// [`Isolation::ReadCommitted`] the last stable offset.
    Latest,
    /// That of the record with the largest timestamp (brokers since 3.0).
    MaxTimestamp,
    /// That of the first record whose timestamp, in milliseconds since 1970, is this or later.
    Timestamp(i64),
    /// The first that the leader keeps on its own disks, where older ones lie in remote storage
    /// (KIP-405, brokers since 3.4).
    EarliestLocal,
    /// The last that lies in remote storage (KIP-1005, brokers since 3.9).
    LatestTiered,
    /// The first that waits to be copied to remote storage (KIP-1023, brokers since 4.2).
    EarliestPendingUpload,
}

/// An offset that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListedOffset {
    /// The offset; `None` if no record is as young as the timestamp asked for, or the log is empty
    /// and its largest timestamp was asked for.
    pub offset: Option<i64>,
    /// The timestamp of the record found, in milliseconds since 1970; `None` for the ends of a log.
    pub timestamp: Option<i64>,
    /// The leader epoch of the record found, where the broker tells it (KIP-320).
    pub leader_epoch: Option<i32>,
}

impl Client {
    /// Looks up offsets. The results stand in the order of the partitions; the same partition may
    /// be asked about twice.
    ///
    /// # Errors
    ///
    /// For each: [`ErrorKind::Usage`] if topic or partition does not exist (new ones are waited for
    /// two seconds), [`ErrorKind::Unsupported`] if the broker is too old for what is looked up, the
    /// broker's code, or [`ErrorKind::TimedOut`] after `default.api.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn list_offsets(
        &self,
        wanted: &[(TopicPartition, OffsetSpec)],
        isolation: Isolation,
    ) -> Vec<(TopicPartition, Result<ListedOffset>)> {
        let to = To::Leader(|(partition, _): &(TopicPartition, OffsetSpec)| partition);
        let each = Each { client: self, items: wanted, to, repeat: Repeat::Harmless };
        let found = each.ask(|call| look_up(self, isolation, call)).await;
        wanted.iter().map(|(partition, _)| partition.clone()).zip(found).collect()
    }
}

/// One request to one leader. What it is too old for is refused here, the rest is asked.
async fn look_up(
    client: &Client,
    isolation: Isolation,
    call: Call<'_, (TopicPartition, OffsetSpec)>,
) -> Told<TopicPartition, ListedOffset> {
    let version = call.handle.version_of::<ListOffsetsRequest>()?;
    let mut told = Vec::with_capacity(call.items.len());
    let view = client.view();
    let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
    for (wanted, spec) in &call.items {
        if let Some(error) = spec.too_new(version, &call.handle) {
            told.push((wanted.clone(), Err(error)));
            continue;
        }
        let leader = view.leader(&wanted.topic, wanted.partition);
        topics.entry(&wanted.topic).or_default().push(ListOffsetsPartition {
            partition_index: wanted.partition,
            current_leader_epoch: leader.map_or(-1, |leader| leader.epoch),
            timestamp: spec.to_wire(),
            ..ListOffsetsPartition::default()
        });
    }
    if topics.is_empty() {
        return Ok(told);
    }
    let topic =
        |(name, partitions): (&str, _)| ListOffsetsTopic { name: name.to_owned(), partitions };
    let request = ListOffsetsRequest {
        replica_id: CONSUMER,
        isolation_level: isolation.to_wire(),
        topics: topics.into_iter().map(topic).collect(),
        timeout_ms: REMOTE_LOOKUP_MS,
    };
    for topic in call.request(&request).await?.topics {
        let name: Arc<str> = topic.name.into();
        told.extend(topic.partitions.iter().map(|answer| {
            let found = Error::check(answer.error_code).map(|()| ListedOffset::of(answer));
            (TopicPartition::new(Arc::clone(&name), answer.partition_index), found)
        }));
    }
    Ok(told)
}

impl OffsetSpec {
    /// The timestamp by which requests name it.
    fn to_wire(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::MaxTimestamp => -3,
            Self::Timestamp(ms) => ms.max(0),
            Self::EarliestLocal => -4,
            Self::LatestTiered => -5,
            Self::EarliestPendingUpload => -6,
        }
    }

    /// Why a broker that speaks up to `version` cannot look it up.
    fn too_new(self, version: i16, handle: &Handle) -> Option<Error> {
        let (since, what, hint) = match self {
            Self::MaxTimestamp => (7, "the broker cannot look up the largest timestamp", "3.0"),
            Self::EarliestLocal => {
                (8, "the broker cannot look up the start of the local log", "3.4")
            }
            Self::LatestTiered => (9, "the broker cannot look up the end of remote storage", "3.9"),
            Self::EarliestPendingUpload => {
                (11, "the broker cannot look up what waits for its upload", "4.2")
            }
            Self::Earliest | Self::Latest | Self::Timestamp(_) => return None,
        };
        let error = || {
            Error::new(ErrorKind::Unsupported, what)
                .with("api", ApiKey::ListOffsets)
                .with("broker", handle.peer())
                .with_hint(format!("use a broker of Kafka {hint} or newer"))
        };
        (version < since).then(error)
    }
}

impl ListedOffset {
    fn of(answer: &ListOffsetsPartitionResponse) -> Self {
        Self {
            offset: Some(answer.offset).filter(|offset| *offset >= 0),
            timestamp: Some(answer.timestamp).filter(|timestamp| *timestamp >= 0),
            leader_epoch: Some(answer.leader_epoch).filter(|epoch| *epoch >= 0),
        }
    }
}

/// Who asks is no replica.
const CONSUMER: i32 = -1;

/// How long a broker may look in remote storage (KIP-1075), well within a request's own time.
const REMOTE_LOOKUP_MS: i32 = 20_000;
