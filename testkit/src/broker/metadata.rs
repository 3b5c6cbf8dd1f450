//! Metadata, DescribeCluster and DescribeTopicPartitions: who is there, and who leads what.

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};
use klamm_protocol::messages::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use klamm_protocol::messages::metadata::{
    MetadataRequest, MetadataRequestTopic, MetadataResponse, MetadataResponseBroker,
    MetadataResponsePartition, MetadataResponseTopic,
};

use super::topology::{Partition, Topic, TopicSpec, Topology};

/// Answers Metadata, creating topics on the way where cluster and client allow it.
pub(crate) fn metadata(
    topology: &mut Topology,
    version: i16,
    request: &MetadataRequest,
) -> MetadataResponse {
    let mut topics: Vec<_> = match wanted(version, request) {
        None => topology.topics().map(described).collect(),
        Some(asked) => {
            let create = version < 4 || request.allow_auto_topic_creation;
            asked.iter().map(|asked| look_up(topology, asked, create)).collect()
        }
    };
    if request.include_topic_authorized_operations {
        for topic in topics.iter_mut().filter(|topic| topic.error_code.is_ok()) {
            topic.topic_authorized_operations = ALL_OF_TOPIC;
        }
    }
    if version < NAMELESS {
        for topic in &mut topics {
            topic.name.get_or_insert_default();
        }
    }
    let mut response = MetadataResponse { topics, ..cluster_part(topology) };
    if request.include_cluster_authorized_operations {
        response.cluster_authorized_operations = ALL_OF_CLUSTER;
    }
    response
}

/// The same with every topic refused.
pub(crate) fn refuse_metadata(
    topology: &Topology,
    request: &MetadataRequest,
    code: ErrorCode,
) -> MetadataResponse {
    let asked = request.topics.iter().flatten();
    MetadataResponse {
        topics: asked.map(|asked| failed(asked, code)).collect(),
        error_code: code,
        ..cluster_part(topology)
    }
}

/// Answers DescribeCluster.
pub(crate) fn describe_cluster(
    topology: &Topology,
    request: &DescribeClusterRequest,
) -> DescribeClusterResponse {
    if request.endpoint_type != BROKERS {
        return DescribeClusterResponse {
            error_code: ErrorCode::UNSUPPORTED_ENDPOINT_TYPE,
            error_message: Some("this listener serves brokers, not controllers".to_owned()),
            ..DescribeClusterResponse::default()
        };
    }
    let rights = request.include_cluster_authorized_operations;
    DescribeClusterResponse {
        cluster_authorized_operations: if rights { ALL_OF_CLUSTER } else { i32::MIN },
        cluster_id: topology.config().cluster_id.clone(),
        controller_id: topology.controller(),
        brokers: topology
            .live_brokers()
            .map(|broker| DescribeClusterBroker {
                broker_id: broker.node,
                host: broker.host.clone(),
                port: i32::from(broker.port),
                rack: broker.rack.clone(),
                ..DescribeClusterBroker::default()
            })
            .collect(),
        ..DescribeClusterResponse::default()
    }
}

/// Answers DescribeTopicPartitions, page by page: topics by name, partitions by number, until
/// the limit of partitions is reached.
pub(crate) fn describe_topic_partitions(
    topology: &Topology,
    request: &DescribeTopicPartitionsRequest,
) -> DescribeTopicPartitionsResponse {
    let mut names: Vec<&str> = request.topics.iter().map(|topic| topic.name.as_str()).collect();
    if names.is_empty() {
        names = topology.topics().map(|topic| topic.name.as_str()).collect();
    }
    names.sort_unstable();
    names.dedup();
    let mut page = Page::new(request);
    for name in names {
        if page.starts_after(name) {
            continue;
        }
        if !page.add(name, topology.topic(name)) {
            break;
        }
    }
    page.response
}

/// Every topic that the request names refused with `code`.
pub(crate) fn refuse_topic_partitions(
    request: &DescribeTopicPartitionsRequest,
    error_code: ErrorCode,
) -> DescribeTopicPartitionsResponse {
    let topics = request.topics.iter().map(|topic| DescribeTopicPartitionsResponseTopic {
        error_code,
        name: Some(topic.name.clone()),
        ..DescribeTopicPartitionsResponseTopic::default()
    });
    DescribeTopicPartitionsResponse {
        topics: topics.collect(),
        ..DescribeTopicPartitionsResponse::default()
    }
}

fn cluster_part(topology: &Topology) -> MetadataResponse {
    MetadataResponse {
        brokers: topology
            .live_brokers()
            .map(|broker| MetadataResponseBroker {
                node_id: broker.node,
                host: broker.host.clone(),
                port: i32::from(broker.port),
                rack: broker.rack.clone(),
            })
            .collect(),
        cluster_id: Some(topology.config().cluster_id.clone()),
        controller_id: topology.controller(),
        ..MetadataResponse::default()
    }
}

struct Page<'a> {
    cursor: Option<&'a Cursor>,
    room: usize,
    response: DescribeTopicPartitionsResponse,
}

impl<'a> Page<'a> {
    fn new(request: &'a DescribeTopicPartitionsRequest) -> Self {
        let limit = request.response_partition_limit.clamp(1, MOST_PARTITIONS);
        Self {
            cursor: request.cursor.as_ref(),
            room: usize::try_from(limit).unwrap_or(1),
            response: DescribeTopicPartitionsResponse::default(),
        }
    }

    fn starts_after(&self, name: &str) -> bool {
        self.cursor.is_some_and(|cursor| cursor.topic_name.as_str() > name)
    }

    /// Adds a topic's partitions while there is room. False once the page is full.
    fn add(&mut self, name: &str, topic: Option<&Topic>) -> bool {
        let Some(topic) = topic else {
            self.response.topics.push(DescribeTopicPartitionsResponseTopic {
                error_code: ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
                name: Some(name.to_owned()),
                ..DescribeTopicPartitionsResponseTopic::default()
            });
            return true;
        };
        let resumed = self.cursor.filter(|cursor| cursor.topic_name == name);
        let first = resumed.map_or(0, |cursor| cursor.partition_index.max(0) as usize);
        let last = topic.partitions.len().min(first.saturating_add(self.room));
        if first < last || topic.partitions.is_empty() {
            self.response.topics.push(described_page(topic, first, last));
        }
        self.room -= last.saturating_sub(first);
        if last < topic.partitions.len() {
            let partition_index = i32::try_from(last).unwrap_or(i32::MAX);
            let cursor = Cursor { topic_name: name.to_owned(), partition_index };
            self.response.next_cursor = Some(cursor);
            return false;
        }
        true
    }
}

fn described_page(
    topic: &Topic,
    first: usize,
    last: usize,
) -> DescribeTopicPartitionsResponseTopic {
    let page = topic.partitions.iter().enumerate().take(last).skip(first);
    DescribeTopicPartitionsResponseTopic {
        name: Some(topic.name.clone()),
        topic_id: topic.id,
        partitions: page
            .map(|(index, partition)| DescribeTopicPartitionsResponsePartition {
                error_code: availability(partition),
                partition_index: index as i32,
                leader_id: partition.leader,
                leader_epoch: partition.leader_epoch,
                replica_nodes: partition.replicas.clone(),
                isr_nodes: partition.isr.clone(),
                eligible_leader_replicas: Some(Vec::new()),
                last_known_elr: Some(Vec::new()),
                offline_replicas: partition.offline_replicas(),
            })
            .collect(),
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

/// The topics asked for; `None` for all. Before version 1 an empty list means all.
fn wanted(version: i16, request: &MetadataRequest) -> Option<Vec<MetadataRequestTopic>> {
    let asked = request.topics.as_ref()?;
    (version > 0 || !asked.is_empty()).then(|| asked.clone())
}

fn look_up(
    topology: &mut Topology,
    asked: &MetadataRequestTopic,
    create: bool,
) -> MetadataResponseTopic {
    let Some(name) = &asked.name else {
        return match topology.topic_by_id(asked.topic_id) {
            Some(topic) => described(topic),
            None => failed(asked, ErrorCode::UNKNOWN_TOPIC_ID),
        };
    };
    if let Some(topic) = topology.topic(name) {
        return described(topic);
    }
    if !(create && topology.config().auto_create) {
        return failed(asked, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    }
    if let Err(refusal) = topology.create(name, TopicSpec::default(), false) {
        return failed(asked, refusal.code);
    }
    match topology.topic(name) {
        Some(topic) => described(topic),
        None => failed(asked, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
    }
}

/// What the brokers keep for themselves.
const INTERNAL: [&str; 2] = ["__consumer_offsets", "__transaction_state"];

fn described(topic: &Topic) -> MetadataResponseTopic {
    MetadataResponseTopic {
        name: Some(topic.name.clone()),
        topic_id: topic.id,
        is_internal: INTERNAL.contains(&topic.name.as_str()),
        partitions: topic
            .partitions
            .iter()
            .enumerate()
            .map(|(index, partition)| MetadataResponsePartition {
                error_code: availability(partition),
                partition_index: index as i32,
                leader_id: partition.leader,
                leader_epoch: partition.leader_epoch,
                replica_nodes: partition.replicas.clone(),
                isr_nodes: partition.isr.clone(),
                offline_replicas: partition.offline_replicas(),
            })
            .collect(),
        ..MetadataResponseTopic::default()
    }
}

fn failed(asked: &MetadataRequestTopic, error_code: ErrorCode) -> MetadataResponseTopic {
    MetadataResponseTopic {
        error_code,
        name: asked.name.clone(),
        topic_id: asked.topic_id,
        ..MetadataResponseTopic::default()
    }
}

fn availability(partition: &Partition) -> ErrorCode {
    if partition.leader < 0 { ErrorCode::LEADER_NOT_AVAILABLE } else { ErrorCode::NONE }
}

/// From this version on an answer may leave out a topic's name.
const NAMELESS: i16 = 12;
/// What can be done with a topic, as a bit set (KIP-430): read, write, create, delete, alter,
/// describe, and settings described and altered. Everybody may do everything here.
const ALL_OF_TOPIC: i32 = 0b1101_1111_1000;
/// What can be done with the cluster, as a bit set: create, alter, describe, act as a broker,
/// settings described and altered, and write idempotently.
const ALL_OF_CLUSTER: i32 = 0b1_1111_1010_0000;
/// `endpoint_type` of brokers (KIP-919).
const BROKERS: i8 = 1;
/// Kafka's `max.request.partition.size.limit`.
const MOST_PARTITIONS: i32 = 2000;
