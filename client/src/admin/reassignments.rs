//! Replicas moved to other brokers (KIP-455). In: partitions with the brokers that shall hold them;
//! out: whether each move has begun, and which are under way. Orders go to the controller.

use std::collections::BTreeMap;

use klamm_protocol::messages::alter_partition_reassignments::{
    AlterPartitionReassignmentsRequest, ReassignablePartition, ReassignableTopic,
};
use klamm_protocol::messages::list_partition_reassignments::{
    ListPartitionReassignmentsRequest, ListPartitionReassignmentsTopics,
};

use crate::client::Client;
use crate::cluster::Repeat;
use crate::error::{Error, Result};
use crate::partition::TopicPartition;

use super::by_topic::{gathered, named};
use super::each::{Call, Each, Item, Node, To, Told, verdict};

/// Where the replicas of a partition shall be.
///
/// ```
/// use klamm_client::TopicPartition;
/// use klamm_client::admin::Reassignment;
///
/// let partition = TopicPartition::new("orders", 0);
/// let there = Reassignment::to(partition.clone(), vec![2, 3]);
/// let nowhere = Reassignment::cancel(partition);
/// assert_eq!((there.replicas, nowhere.replicas), (Some(vec![2, 3]), None));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reassignment {
    /// The partition.
    pub partition: TopicPartition,
    /// Its brokers, the preferred leader first; `None` stops a move that is under way.
    pub replicas: Option<Vec<i32>>,
}

/// A move that is under way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OngoingReassignment {
    /// All brokers that hold the partition now, those to be added and removed included.
    pub replicas: Vec<i32>,
    /// Those that are being added.
    pub adding: Vec<i32>,
    /// Those that will be removed.
    pub removing: Vec<i32>,
}

impl Reassignment {
    /// Moves a partition to these brokers, the preferred leader first.
    pub fn to(partition: TopicPartition, replicas: Vec<i32>) -> Self {
        Self { partition, replicas: Some(replicas) }
    }

    /// Stops a move that is under way.
    pub fn cancel(partition: TopicPartition) -> Self {
        Self { partition, replicas: None }
    }
}

impl Client {
    /// Begins to move replicas, or stops moving them. The results stand in the order given; data
    /// moves for long after, see [`Client::list_reassignments`].
    ///
    /// # Errors
    ///
    /// For each: the broker's code with its own words, such as `INVALID_REPLICA_ASSIGNMENT`, or
    /// `NO_REASSIGNMENT_IN_PROGRESS` where there is nothing to stop;
    /// [`Usage`](crate::ErrorKind::Usage) if there is no such partition;
    /// [`Unsupported`](crate::ErrorKind::Unsupported) from brokers before 2.4;
    /// [`TimedOut`](crate::ErrorKind::TimedOut) after `default.api.timeout.ms`. A list with a move
    /// to stop is not repeated: [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown).
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: moves may or may not have begun.
    pub async fn alter_reassignments(&self, moves: &[Reassignment]) -> Vec<Result<()>> {
        let stops = moves.iter().any(|one| one.replicas.is_none());
        let repeat = if stops { Repeat::Harmful } else { Repeat::Harmless };
        let to = To::Node(|_: &Reassignment| Node::Controller);
        let each = Each { client: self, items: moves, to, repeat };
        let begun = each.ask(|call| alter(self.order_timeout(), call)).await;
        self.cluster().mark_stale();
        begun
    }

    /// The moves that are under way, of these partitions or (`None`) of all.
    ///
    /// # Errors
    ///
    /// The broker's code with its own words; [`Unsupported`](crate::ErrorKind::Unsupported) from
    /// brokers before 2.4; [`TimedOut`](crate::ErrorKind::TimedOut) after
    /// `default.api.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn list_reassignments(
        &self,
        partitions: Option<&[TopicPartition]>,
    ) -> Result<BTreeMap<TopicPartition, OngoingReassignment>> {
        let topic =
            |name, partition_indexes| ListPartitionReassignmentsTopics { name, partition_indexes };
        let request = &ListPartitionReassignmentsRequest {
            timeout_ms: self.order_timeout(),
            topics: partitions.map(|partitions| gathered(partitions, topic)),
        };
        self.question(Node::Controller, Repeat::Harmless, |handle, deadline| async move {
            let response = handle.request(request, deadline).await?;
            verdict(response.error_code, response.error_message)?;
            let topics = response.topics.into_iter();
            let moves =
                topics.flat_map(|one| named(one.name, one.partitions, |one| one.partition_index));
            Ok(moves
                .map(|(partition, one)| {
                    let ongoing = OngoingReassignment {
                        replicas: one.replicas,
                        adding: one.adding_replicas,
                        removing: one.removing_replicas,
                    };
                    (partition, ongoing)
                })
                .collect())
        })
        .await
    }
}

impl Item for Reassignment {
    type Key = TopicPartition;

    fn key(&self) -> TopicPartition {
        self.partition.clone()
    }

    fn named(&self, error: Error) -> Error {
        self.partition.named(error)
    }
}

async fn alter(timeout_ms: i32, call: Call<'_, Reassignment>) -> Told<TopicPartition, ()> {
    let mut topics: BTreeMap<&str, Vec<ReassignablePartition>> = BTreeMap::new();
    for Reassignment { partition, replicas } in &call.items {
        topics.entry(&partition.topic).or_default().push(ReassignablePartition {
            partition_index: partition.partition,
            replicas: replicas.clone(),
        });
    }
    let topic =
        |(name, partitions): (&str, _)| ReassignableTopic { name: name.to_owned(), partitions };
    let request = AlterPartitionReassignmentsRequest {
        timeout_ms,
        allow_replication_factor_change: true,
        topics: topics.into_iter().map(topic).collect(),
    };
    let response = call.request(&request).await?;
    verdict(response.error_code, response.error_message)?;
    let topics = response.responses.into_iter();
    let told = topics.flat_map(|one| named(one.name, one.partitions, |one| one.partition_index));
    Ok(told
        .map(|(partition, one)| (partition, verdict(one.error_code, one.error_message)))
        .collect())
}
