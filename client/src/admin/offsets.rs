//! Offsets of partitions: the ends of a log, or by timestamp. In: partitions with what to look up;
//! out: an offset or an error for each, asked of its leader, all leaders at once (KIP-79, KIP-734).

use std::collections::{BTreeMap, HashMap};

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsRequest, ListOffsetsTopic,
};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::client::Client;
use crate::cluster::{Cluster, PROPAGATING, Repeat, Retry, no_topic};
use crate::config::Isolation;
use crate::error::{Error, ErrorKind, Result};
use crate::partition::TopicPartition;

use super::outcomes::Outcomes;

/// Which offset of a partition is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
        let deadline = self.api_deadline();
        let patience = Instant::now() + PROPAGATING;
        let mut retry = Retry::new(self.cluster(), deadline, Repeat::Harmless);
        let mut outcomes = Outcomes::new(wanted.len(), Repeat::Harmless);
        loop {
            let pending = outcomes.begin();
            if pending.is_empty() {
                break;
            }
            let lookup = Lookup { cluster: self.cluster(), wanted, isolation, deadline };
            let late = Instant::now() >= patience;
            lookup.attempt(&pending, late, &mut outcomes).await;
            if !outcomes.another(&mut retry).await {
                break;
            }
        }
        let names = wanted.iter().map(|(partition, _)| partition.clone());
        names.zip(outcomes.finish()).collect()
    }
}

/// One call's question, the same for all its attempts.
struct Lookup<'a> {
    cluster: &'a Cluster,
    /// What is looked up; items are named by their place in it.
    wanted: &'a [(TopicPartition, OffsetSpec)],
    isolation: Isolation,
    deadline: Instant,
}

/// A request goes to one broker and names a partition once; repetitions go in requests of their
/// own.
type Batches = BTreeMap<(i32, usize), Vec<(usize, i32)>>;

impl Lookup<'_> {
    /// Asks all leaders of the pending items at once.
    async fn attempt(&self, pending: &[usize], late: bool, outcomes: &mut Outcomes<ListedOffset>) {
        let mut tasks = JoinSet::new();
        for ((node, _), items) in self.batches(pending, late, outcomes).await {
            let request = self.request(&items);
            let newest =
                items.iter().any(|(index, _)| self.spec(*index) == Some(OffsetSpec::MaxTimestamp));
            let (cluster, deadline) = (self.cluster.clone(), self.deadline);
            tasks.spawn(async move {
                let answer = ask(&cluster, node, &request, newest, deadline).await;
                (items, answer)
            });
        }
        while let Some(joined) = tasks.join_next().await {
            match joined {
                Ok((items, Ok(answers))) => self.take(&items, answers, outcomes),
                Ok((items, Err(error))) => {
                    outcomes
                        .fail(&items.iter().map(|(index, _)| *index).collect::<Vec<_>>(), &error);
                }
                Err(lost) => tracing::error!(%lost, "a lookup of offsets was lost"),
            }
        }
    }

    /// What is looked up for an item.
    fn spec(&self, index: usize) -> Option<OffsetSpec> {
        self.wanted.get(index).map(|(_, spec)| *spec)
    }

    /// The pending items by the leader to ask. Those without one stay pending, or fail where a
    /// fresh view knows no such partition.
    async fn batches(
        &self,
        pending: &[usize],
        late: bool,
        outcomes: &mut Outcomes<ListedOffset>,
    ) -> Batches {
        let mut batches = Batches::new();
        let (mut topics, mut times) = (HashMap::new(), HashMap::new());
        for index in pending.iter().copied() {
            let Some((wanted, _)) = self.wanted.get(index) else { continue };
            let name = wanted.topic.as_ref();
            if !topics.contains_key(name) {
                topics.insert(name, self.cluster.topic(name, self.deadline).await);
            }
            let known = match topics.get(name) {
                Some(Ok(topic)) => topic.partition(wanted.partition),
                Some(Err(error)) => {
                    outcomes.settle(index, Err(error.clone()));
                    continue;
                }
                None => continue,
            };
            let here = |error: Error| error.at(name, wanted.partition);
            match known.map(|partition| (partition.leader, partition.leader_epoch)) {
                None if late => outcomes.settle(
                    index,
                    Err(no_topic(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, name)
                        .with("partition", wanted.partition)),
                ),
                None => outcomes
                    .settle(index, Err(here(Error::broker(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)))),
                Some((None, _)) => outcomes
                    .settle(index, Err(here(Error::broker(ErrorCode::LEADER_NOT_AVAILABLE)))),
                Some((Some(leader), epoch)) => {
                    let turn = times.entry(wanted).and_modify(|turn| *turn += 1).or_insert(0_usize);
                    batches.entry((leader, *turn)).or_default().push((index, epoch.unwrap_or(-1)));
                }
            }
        }
        batches
    }

    /// The items with their leader epochs as one request, partitions gathered by topic.
    fn request(&self, items: &[(usize, i32)]) -> ListOffsetsRequest {
        let mut topics: BTreeMap<&str, Vec<ListOffsetsPartition>> = BTreeMap::new();
        for (index, epoch) in items {
            if let Some((wanted, spec)) = self.wanted.get(*index) {
                topics.entry(&wanted.topic).or_default().push(ListOffsetsPartition {
                    partition_index: wanted.partition,
                    current_leader_epoch: *epoch,
                    timestamp: spec.to_wire(),
                    ..ListOffsetsPartition::default()
                });
            }
        }
        let topic =
            |(name, partitions): (&str, _)| ListOffsetsTopic { name: name.to_owned(), partitions };
        ListOffsetsRequest {
            replica_id: CONSUMER,
            isolation_level: self.isolation.to_wire(),
            topics: topics.into_iter().map(topic).collect(),
            timeout_ms: REMOTE_LOOKUP_MS,
        }
    }

    fn take(
        &self,
        items: &[(usize, i32)],
        answers: Answers,
        outcomes: &mut Outcomes<ListedOffset>,
    ) {
        for (name, answer) in answers {
            let about = |index: usize| {
                self.wanted.get(index).is_some_and(|(wanted, _)| {
                    *wanted.topic == *name && wanted.partition == answer.partition_index
                })
            };
            if let Some((index, _)) = items.iter().find(|(index, _)| about(*index)) {
                let refused = |error: Error| error.at(&name, answer.partition_index);
                let result = Error::check(answer.error_code).map_err(refused);
                outcomes.settle(*index, result.map(|()| ListedOffset::of(&answer)));
            }
        }
    }
}

type Answers = Vec<(String, ListOffsetsPartitionResponse)>;

/// One request to one broker. `newest` says that it looks up a largest timestamp.
async fn ask(
    cluster: &Cluster,
    node: i32,
    request: &ListOffsetsRequest,
    newest: bool,
    deadline: Instant,
) -> Result<Answers> {
    let handle = cluster.broker(node, deadline).await?;
    if newest && handle.version_of::<ListOffsetsRequest>()? < MAX_TIMESTAMP {
        return Err(Error::new(
            ErrorKind::Unsupported,
            "the broker cannot look up the largest timestamp",
        )
        .with("broker", handle.peer())
        .with_hint("use a broker of Kafka 3.0 or newer"));
    }
    let response = handle.request(request, deadline).await?;
    let answers = response.topics.into_iter().flat_map(|topic| {
        let name = topic.name;
        topic.partitions.into_iter().map(move |partition| (name.clone(), partition))
    });
    Ok(answers.collect())
}

impl OffsetSpec {
    /// The timestamp by which requests name it.
    fn to_wire(self) -> i64 {
        match self {
            Self::Latest => -1,
            Self::Earliest => -2,
            Self::MaxTimestamp => -3,
            Self::Timestamp(ms) => ms.max(0),
        }
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

/// From this version on the largest timestamp can be looked up (KIP-734).
const MAX_TIMESTAMP: i16 = 7;

/// How long a broker may look in remote storage (KIP-1075), well within a request's own time.
const REMOTE_LOOKUP_MS: i32 = 20_000;
