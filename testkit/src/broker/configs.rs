//! DescribeConfigs: the settings of topics and brokers, with where each value comes from.

use std::collections::BTreeSet;

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};

use super::config::ClusterConfig;
use super::topic_config::{Kind, SETTINGS, Setting, TopicConfig};
use super::topology::{Topology, unknown_topic};
use crate::log::Refusal;

/// One setting with its value in force.
pub(crate) struct Entry {
    pub(crate) setting: &'static Setting,
    pub(crate) value: String,
    /// Kafka's number for where the value comes from.
    pub(crate) source: i8,
}

/// All settings of a topic.
pub(crate) fn of_topic<'a>(
    cluster: &'a ClusterConfig,
    topic: &'a TopicConfig,
) -> impl Iterator<Item = Entry> + 'a {
    SETTINGS.iter().map(|setting| match topic.given(setting.name) {
        Some(value) => Entry { setting, value: value.to_owned(), source: DYNAMIC_TOPIC },
        None => from_cluster(cluster, setting),
    })
}

/// Answers DescribeConfigs.
pub(crate) fn describe(
    topology: &Topology,
    version: i16,
    request: &DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let one = |resource: &DescribeConfigsResource| {
        let outcome = match resource.resource_type {
            TOPIC => topic_entries(topology, &resource.resource_name),
            BROKER => broker_entries(topology, &resource.resource_name),
            other => Err(Refusal::new(
                ErrorCode::INVALID_REQUEST,
                format!("resources of type {other} have no settings here"),
            )),
        };
        result(resource, request, outcome)
    };
    let mut results: Vec<_> = request.resources.iter().map(one).collect();
    if version < SOURCES {
        for config in results.iter_mut().flat_map(|result| &mut result.configs) {
            config.is_default = config.config_source != DYNAMIC_TOPIC;
        }
    }
    DescribeConfigsResponse { results, ..DescribeConfigsResponse::default() }
}

/// Every resource of the request refused with `code`.
pub(crate) fn refuse(request: &DescribeConfigsRequest, code: ErrorCode) -> DescribeConfigsResponse {
    let one = |resource| result(resource, request, Err(Refusal::new(code, code.meaning())));
    DescribeConfigsResponse {
        results: request.resources.iter().map(one).collect(),
        ..DescribeConfigsResponse::default()
    }
}

fn result(
    resource: &DescribeConfigsResource,
    request: &DescribeConfigsRequest,
    outcome: Result<Vec<DescribeConfigsResourceResult>, Refusal>,
) -> DescribeConfigsResult {
    let (error_code, error_message, mut configs) = match outcome {
        Ok(configs) => (ErrorCode::NONE, None, configs),
        Err(refusal) => (refusal.code, Some(refusal.message), Vec::new()),
    };
    // Kafka's command-line tools send null for all, some clients an empty list.
    if let Some(keys) = resource.configuration_keys.as_ref().filter(|keys| !keys.is_empty()) {
        let keys: BTreeSet<&str> = keys.iter().map(String::as_str).collect();
        configs.retain(|config| keys.contains(config.name.as_str()));
    }
    for config in &mut configs {
        if !request.include_synonyms {
            config.synonyms.clear();
        }
        if !request.include_documentation {
            config.documentation = None;
        }
    }
    DescribeConfigsResult {
        error_code,
        error_message,
        resource_type: resource.resource_type,
        resource_name: resource.resource_name.clone(),
        configs,
    }
}

fn topic_entries(
    topology: &Topology,
    name: &str,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let topic = topology.topic(name).ok_or_else(|| unknown_topic(name))?;
    let entries = of_topic(topology.config(), &topic.config);
    let entries = entries.map(|entry| {
        let synonym = DescribeConfigsSynonym {
            name: entry.setting.name.to_owned(),
            value: Some(entry.value.clone()),
            source: entry.source,
        };
        DescribeConfigsResourceResult {
            name: entry.setting.name.to_owned(),
            value: Some(entry.value),
            config_source: entry.source,
            synonyms: vec![synonym],
            config_type: entry.setting.kind.code(),
            documentation: Some(entry.setting.about.to_owned()),
            ..DescribeConfigsResourceResult::default()
        }
    });
    Ok(entries.collect())
}

fn broker_entries(
    topology: &Topology,
    name: &str,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    // The empty name stands for the defaults of all brokers, of which none is set dynamically.
    if name.is_empty() {
        return Ok(Vec::new());
    }
    let broker = name.parse().ok().and_then(|node| topology.broker(node)).ok_or_else(|| {
        let message = format!("there is no broker {name}");
        Refusal::new(ErrorCode::INVALID_REQUEST, message)
    })?;
    let config = topology.config();
    let listener = format!("PLAINTEXT://{}:{}", broker.host, broker.port);
    let values = [
        ("advertised.listeners", listener.clone(), Kind::List),
        ("auto.create.topics.enable", config.auto_create.to_string(), Kind::Bool),
        ("broker.id", broker.node.to_string(), Kind::Int),
        ("default.replication.factor", config.default_replication.to_string(), Kind::Int),
        ("fetch.max.bytes", config.max_fetch_bytes.to_string(), Kind::Int),
        (
            "group.initial.rebalance.delay.ms",
            config.initial_rebalance_delay.as_millis().to_string(),
            Kind::Int,
        ),
        ("listeners", listener, Kind::List),
        ("log.message.timestamp.type", "CreateTime".to_owned(), Kind::Text),
        ("log.retention.bytes", retention(config), Kind::Long),
        ("log.retention.ms", "604800000".to_owned(), Kind::Long),
        ("message.max.bytes", config.log.max_message_bytes.to_string(), Kind::Int),
        ("min.insync.replicas", "1".to_owned(), Kind::Int),
        ("node.id", broker.node.to_string(), Kind::Int),
        ("num.partitions", config.default_partitions.to_string(), Kind::Int),
        ("process.roles", "broker,controller".to_owned(), Kind::List),
    ];
    Ok(values.into_iter().map(|(name, value, kind)| broker_entry(name, value, kind)).collect())
}

fn broker_entry(name: &str, value: String, kind: Kind) -> DescribeConfigsResourceResult {
    DescribeConfigsResourceResult {
        name: name.to_owned(),
        value: Some(value),
        read_only: true,
        config_source: STATIC_BROKER,
        config_type: kind.code(),
        ..DescribeConfigsResourceResult::default()
    }
}

fn from_cluster(cluster: &ClusterConfig, setting: &'static Setting) -> Entry {
    let value = match setting.name {
        "max.message.bytes" => cluster.log.max_message_bytes.to_string(),
        "message.timestamp.type" if cluster.log.append_time => "LogAppendTime".to_owned(),
        "retention.bytes" => retention(cluster),
        _ => setting.default.to_owned(),
    };
    let source = if value == setting.default { DEFAULT } else { STATIC_BROKER };
    Entry { setting, value, source }
}

fn retention(cluster: &ClusterConfig) -> String {
    cluster.log.max_bytes.map_or_else(|| "-1".to_owned(), |bytes| bytes.to_string())
}

/// From this version on an answer tells where a value comes from, before only whether it was set.
const SOURCES: i16 = 1;
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const DYNAMIC_TOPIC: i8 = 1;
const STATIC_BROKER: i8 = 4;
const DEFAULT: i8 = 5;
