//! CreateTopics, DeleteTopics and CreatePartitions.
//!
//! Any broker takes them: a client that asks a broker other than the controller is served as
//! well, as brokers of Kafka 3 and later forward such requests.

use std::collections::HashSet;

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::create_partitions::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreatePartitionsTopic,
    CreatePartitionsTopicResult,
};
use klamm_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult, CreateTopicsRequest,
    CreateTopicsResponse,
};
use klamm_protocol::messages::delete_topics::{
    DeletableTopicResult, DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse,
};
use klamm_protocol::wire::Uuid;

use super::configs;
use super::topic_config::TopicConfig;
use super::topology::{Topic, TopicSpec, Topology};
use crate::log::Refusal;

/// Answers CreateTopics.
pub(crate) fn create(
    topology: &mut Topology,
    request: &CreateTopicsRequest,
) -> CreateTopicsResponse {
    let mut seen = HashSet::new();
    let twice: HashSet<&str> = request
        .topics
        .iter()
        .map(|topic| topic.name.as_str())
        .filter(|name| !seen.insert(*name))
        .collect();
    let one = |topic: &CreatableTopic| {
        let outcome = if twice.contains(topic.name.as_str()) {
            let message = "Duplicate topic in request.";
            Err(Refusal::new(ErrorCode::INVALID_REQUEST, message))
        } else {
            create_one(topology, topic, request.validate_only)
        };
        outcome.unwrap_or_else(|refusal| CreatableTopicResult {
            name: topic.name.clone(),
            error_code: refusal.code,
            error_message: Some(refusal.message),
            ..CreatableTopicResult::default()
        })
    };
    CreateTopicsResponse {
        topics: request.topics.iter().map(one).collect(),
        ..CreateTopicsResponse::default()
    }
}

/// Answers DeleteTopics.
pub(crate) fn delete(
    topology: &mut Topology,
    request: &DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let by_name = request
        .topic_names
        .iter()
        .map(|name| DeleteTopicState { name: Some(name.clone()), ..DeleteTopicState::default() });
    let asked: Vec<_> = request.topics.iter().cloned().chain(by_name).collect();
    DeleteTopicsResponse {
        responses: asked.iter().map(|asked| delete_one(topology, asked)).collect(),
        ..DeleteTopicsResponse::default()
    }
}

/// Answers CreatePartitions.
pub(crate) fn grow(
    topology: &mut Topology,
    request: &CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let one = |topic: &CreatePartitionsTopic| {
        let given = topic
            .assignments
            .as_ref()
            .map(|lists| lists.iter().map(|list| list.broker_ids.clone()).collect());
        let outcome = topology.grow(&topic.name, topic.count, given, request.validate_only);
        let refusal = outcome.err();
        CreatePartitionsTopicResult {
            name: topic.name.clone(),
            error_code: refusal.as_ref().map_or(ErrorCode::NONE, |refusal| refusal.code),
            error_message: refusal.map(|refusal| refusal.message),
        }
    };
    CreatePartitionsResponse {
        results: request.topics.iter().map(one).collect(),
        ..CreatePartitionsResponse::default()
    }
}

/// Every topic of a CreateTopics request refused with `code`.
pub(crate) fn refuse_create(
    request: &CreateTopicsRequest,
    code: ErrorCode,
) -> CreateTopicsResponse {
    let one = |topic: &CreatableTopic| CreatableTopicResult {
        name: topic.name.clone(),
        error_code: code,
        error_message: None,
        ..CreatableTopicResult::default()
    };
    CreateTopicsResponse {
        topics: request.topics.iter().map(one).collect(),
        ..CreateTopicsResponse::default()
    }
}

/// Every topic of a DeleteTopics request refused with `code`.
pub(crate) fn refuse_delete(
    request: &DeleteTopicsRequest,
    code: ErrorCode,
) -> DeleteTopicsResponse {
    let by_name = request.topic_names.iter().map(|name| (Some(name.clone()), Uuid::ZERO));
    let by_state = request.topics.iter().map(|topic| (topic.name.clone(), topic.topic_id));
    let one = |(name, topic_id)| DeletableTopicResult {
        name,
        topic_id,
        error_code: code,
        ..DeletableTopicResult::default()
    };
    DeleteTopicsResponse {
        responses: by_name.chain(by_state).map(one).collect(),
        ..DeleteTopicsResponse::default()
    }
}

/// Every topic of a CreatePartitions request refused with `code`.
pub(crate) fn refuse_grow(
    request: &CreatePartitionsRequest,
    error_code: ErrorCode,
) -> CreatePartitionsResponse {
    let one = |topic: &CreatePartitionsTopic| CreatePartitionsTopicResult {
        name: topic.name.clone(),
        error_code,
        error_message: None,
    };
    CreatePartitionsResponse {
        results: request.topics.iter().map(one).collect(),
        ..CreatePartitionsResponse::default()
    }
}

fn create_one(
    topology: &mut Topology,
    asked: &CreatableTopic,
    dry: bool,
) -> Result<CreatableTopicResult, Refusal> {
    let spec = spec_of(asked)?;
    let planned = (spec.partitions, spec.replication);
    let config = spec.config.clone();
    topology.create(&asked.name, spec, dry)?;
    let made = topology.topic(&asked.name);
    let (partitions, replication) = match made {
        Some(topic) => counts(topic),
        None => (planned.0.unwrap_or(-1), planned.1.unwrap_or(-1)),
    };
    Ok(CreatableTopicResult {
        name: asked.name.clone(),
        topic_id: made.map_or(Uuid::ZERO, |topic| topic.id),
        error_code: ErrorCode::NONE,
        error_message: None,
        num_partitions: partitions,
        replication_factor: replication,
        configs: Some(created_configs(topology, &config)),
        ..CreatableTopicResult::default()
    })
}

fn spec_of(asked: &CreatableTopic) -> Result<TopicSpec, Refusal> {
    let mut config = TopicConfig::default();
    for entry in &asked.configs {
        config.set(&entry.name, entry.value.as_deref())?;
    }
    let mut lists: Vec<_> = asked.assignments.iter().collect();
    lists.sort_by_key(|list| list.partition_index);
    let consecutive =
        lists.iter().enumerate().all(|(at, list)| i32::try_from(at) == Ok(list.partition_index));
    if !consecutive {
        let message = "Partitions of an assignment must be consecutive and start at 0.";
        return Err(Refusal::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message));
    }
    Ok(TopicSpec {
        partitions: (asked.num_partitions != -1).then_some(asked.num_partitions),
        replication: (asked.replication_factor != -1).then_some(asked.replication_factor),
        assignments: lists.into_iter().map(|list| list.broker_ids.clone()).collect(),
        config,
    })
}

fn counts(topic: &Topic) -> (i32, i16) {
    let replication = topic.partitions.first().map_or(0, |first| first.replicas.len());
    (
        i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
        i16::try_from(replication).unwrap_or(i16::MAX),
    )
}

fn created_configs(topology: &Topology, config: &TopicConfig) -> Vec<CreatableTopicConfigs> {
    configs::of_topic(topology.config(), config)
        .map(|entry| CreatableTopicConfigs {
            name: entry.setting.name.to_owned(),
            value: Some(entry.value),
            read_only: false,
            config_source: entry.source,
            is_sensitive: false,
        })
        .collect()
}

fn delete_one(topology: &mut Topology, asked: &DeleteTopicState) -> DeletableTopicResult {
    let (name, unknown) = match &asked.name {
        Some(name) => (Some(name.clone()), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        None => {
            let topic = topology.topic_by_id(asked.topic_id);
            (topic.map(|topic| topic.name.clone()), ErrorCode::UNKNOWN_TOPIC_ID)
        }
    };
    let id = name.as_deref().and_then(|name| topology.topic(name)).map(|topic| topic.id);
    let gone = name.as_deref().is_some_and(|name| topology.delete(name));
    DeletableTopicResult {
        topic_id: id.unwrap_or(asked.topic_id),
        error_code: if gone { ErrorCode::NONE } else { unknown },
        name,
        ..DeletableTopicResult::default()
    }
}
