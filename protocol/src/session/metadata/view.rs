//! The cluster as clients see it. In: a metadata response, and what was known before; out: brokers,
//! topics and leaders, in which no leader epoch ever goes back (KIP-320) unless the topic is
//! another one of the same name (KIP-516).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::code::ErrorCode;
use crate::messages::metadata::{
    MetadataResponse, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::wire::Uuid;

/// What is known of a cluster. A value: whoever holds one is not disturbed by news.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The cluster's id.
    pub cluster_id: Option<String>,
    /// The controller, or in KRaft some broker that forwards to it.
    pub controller: Option<i32>,
    /// The living brokers by id; none while a client starts over from its bootstrap servers.
    pub brokers: BTreeMap<i32, Broker>,
    /// The topics somebody asked for, by name.
    pub topics: BTreeMap<Arc<str>, Arc<Topic>>,
}

/// Where a broker listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Its id.
    pub id: i32,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Its rack, if it has one.
    pub rack: Option<String>,
}

/// A topic with its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: Arc<str>,
    /// Its id; [`Uuid::ZERO`] from brokers before 2.8.
    pub id: Uuid,
    /// Whether Kafka itself keeps its books in it.
    pub internal: bool,
    /// What the last answer said. With an error, the partitions are those known before.
    pub error: ErrorCode,
    /// The partitions by rising index.
    pub partitions: Vec<Partition>,
}

/// A partition with its leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number.
    pub index: i32,
    /// The leading broker, if there is one.
    pub leader: Option<i32>,
    /// The leader's epoch, if the broker told it (since 2.1).
    pub leader_epoch: Option<i32>,
    /// What the last answer said, such as `LEADER_NOT_AVAILABLE`.
    pub error: ErrorCode,
    /// All replicas, the preferred leader first.
    pub replicas: Vec<i32>,
    /// The replicas that keep up.
    pub in_sync: Vec<i32>,
    /// The replicas that cannot be reached.
    pub offline: Vec<i32>,
}

/// Who leads a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Leader {
    /// The broker's id.
    pub broker: i32,
    /// The epoch to send along, -1 where unknown.
    pub epoch: i32,
}

impl View {
    /// The view of a single answer, with nothing known before.
    pub fn of(response: &MetadataResponse) -> Self {
        Self::default().updated(response)
    }

    /// Who leads this partition, as far as known.
    pub fn leader(&self, topic: &str, partition: i32) -> Option<Leader> {
        let partition = self.topics.get(topic)?.partition(partition)?;
        let epoch = partition.leader_epoch.unwrap_or(-1);
        partition.leader.map(|broker| Leader { broker, epoch })
    }

    /// This view with the news of an answer: brokers replaced, topics merged one by one.
    pub(super) fn updated(&self, response: &MetadataResponse) -> Self {
        let mut topics = self.topics.clone();
        for news in &response.topics {
            let Some(name) = news.name.as_deref() else { continue };
            let merged = match topics.get(name) {
                Some(known) => known.updated(news),
                None => Topic::new(Arc::from(name), news),
            };
            topics.insert(Arc::clone(&merged.name), Arc::new(merged));
        }
        let brokers = response.brokers.iter().filter_map(Broker::new);
        Self {
            cluster_id: response.cluster_id.clone().or_else(|| self.cluster_id.clone()),
            controller: known_id(response.controller_id),
            brokers: brokers.map(|broker| (broker.id, broker)).collect(),
            topics,
        }
    }
}

impl View {
    /// Without brokers nobody leads; topics and epochs stay, so that no older answer is believed.
    pub(super) fn forget_brokers(&mut self) {
        self.brokers.clear();
        self.controller = None;
        for topic in self.topics.values_mut() {
            for partition in &mut Arc::make_mut(topic).partitions {
                partition.leader = None;
            }
        }
    }
}

impl Broker {
    /// `None` where the id or the port is impossible.
    fn new(news: &MetadataResponseBroker) -> Option<Self> {
        let (id, port) = (known_id(news.node_id)?, u16::try_from(news.port).ok()?);
        Some(Self { id, host: news.host.clone(), port, rack: news.rack.clone() })
    }
}

impl Topic {
    /// The partition of this number.
    pub fn partition(&self, index: i32) -> Option<&Partition> {
        let direct = usize::try_from(index).ok().and_then(|index| self.partitions.get(index));
        // Numbers are dense in practice, but a broker that hides some must not shift the others.
        direct.filter(|partition| partition.index == index).or_else(|| {
            let found = self.partitions.binary_search_by_key(&index, |partition| partition.index);
            found.ok().and_then(|at| self.partitions.get(at))
        })
    }

    fn new(name: Arc<str>, news: &MetadataResponseTopic) -> Self {
        Self {
            name,
            id: news.topic_id,
            internal: news.is_internal,
            error: news.error_code,
            partitions: by_index(news.partitions.iter().map(Partition::new)),
        }
    }

    /// The news, held against what is known of a topic of this name.
    fn updated(&self, news: &MetadataResponseTopic) -> Self {
        if !news.error_code.is_ok() {
            // A topic that seems gone for a moment keeps its epochs: sequences hang on them.
            return Self { error: news.error_code, ..self.clone() };
        }
        let fresh = Self::new(Arc::clone(&self.name), news);
        if self.is_replaced_by(news.topic_id) {
            return fresh;
        }
        let merge = |new: Partition| match self.partition(new.index) {
            Some(old) => new.or_newer(old),
            None => new,
        };
        // Partitions of one topic are only ever added: a broker that lists fewer is behind.
        let same = self.id == news.topic_id && !self.id.is_zero();
        let kept =
            self.partitions.iter().filter(|old| same && fresh.partition(old.index).is_none());
        let partitions = by_index(fresh.partitions.iter().cloned().map(merge).chain(kept.cloned()));
        Self { partitions, ..fresh }
    }

    /// Whether `id` is another topic of the same name.
    pub(super) fn is_replaced_by(&self, id: Uuid) -> bool {
        !self.id.is_zero() && !id.is_zero() && self.id != id
    }
}

impl Partition {
    fn new(news: &MetadataResponsePartition) -> Self {
        Self {
            index: news.partition_index,
            leader: known_id(news.leader_id),
            leader_epoch: known_id(news.leader_epoch),
            error: news.error_code,
            replicas: news.replica_nodes.clone(),
            in_sync: news.isr_nodes.clone(),
            offline: news.offline_replicas.clone(),
        }
    }

    /// This one, or `known` where its epoch is higher.
    fn or_newer(self, known: &Self) -> Self {
        match (self.leader_epoch, known.leader_epoch) {
            (Some(new), Some(old)) if new < old => known.clone(),
            _ => self,
        }
    }
}

/// Sorted, each number once, none below zero.
fn by_index(partitions: impl Iterator<Item = Partition>) -> Vec<Partition> {
    let valid = partitions.filter(|partition| partition.index >= 0);
    let unique: BTreeMap<i32, Partition> =
        valid.map(|partition| (partition.index, partition)).collect();
    unique.into_values().collect()
}

/// Kafka writes "unknown" as -1.
pub(super) fn known_id(id: i32) -> Option<i32> {
    Some(id).filter(|id| *id >= 0)
}
