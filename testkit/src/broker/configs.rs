//! DescribeConfigs: the settings of topics, brokers and whatever else has some, with where each
//! value comes from.

use std::collections::BTreeSet;

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsResponse, DescribeConfigsResult, DescribeConfigsSynonym,
};

use super::admin::settings::{BROKER, FIXED, GROUP, LOGGER, METRICS, Settings, TOPIC, known};
use super::config::ClusterConfig;
use super::outbox::Context;
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
    settings: &Settings,
    context: &Context<'_>,
    request: &DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let version = context.origin.version;
    let one = |resource: &DescribeConfigsResource| {
        let name = resource.resource_name.as_str();
        let outcome = match resource.resource_type {
            TOPIC => topic_entries(topology, name),
            BROKER => broker_entries(topology, settings, name),
            LOGGER => Ok(other_entries(settings, LOGGER, name, DYNAMIC_LOGGER)),
            METRICS => Ok(other_entries(settings, METRICS, name, DYNAMIC_METRICS)),
            GROUP => Ok(other_entries(settings, GROUP, name, DYNAMIC_GROUP)),
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
    Ok(of_topic(topology.config(), &topic.config).map(described).collect())
}

fn described(entry: Entry) -> DescribeConfigsResourceResult {
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
}

/// A broker's settings: from its file, under what was set for it or for all brokers. The empty name
/// stands for what was set for all.
fn broker_entries(
    topology: &Topology,
    settings: &Settings,
    name: &str,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
    let mut entries = if name.is_empty() { Vec::new() } else { file_entries(topology, name)? };
    let set_for_all = settings.of(BROKER, "").map(|set| (set, DYNAMIC_BROKERS));
    let set_for_one = settings.of(BROKER, name).map(|set| (set, DYNAMIC_BROKER));
    for ((setting, value), source) in set_for_all.chain(set_for_one.filter(|_| !name.is_empty())) {
        let known = known(BROKER).iter().find(|known| known.name == setting);
        let synonym = DescribeConfigsSynonym {
            name: setting.to_owned(),
            value: Some(value.to_owned()).filter(|_| known.is_some()),
            source,
        };
        let at = entries.iter().position(|entry| entry.name == setting);
        let mut entry = match at {
            Some(at) => entries.swap_remove(at),
            None => file_entry(setting, None, known.map_or(Kind::Text, |known| known.kind)),
        };
        // As in Kafka, what nobody knows may be a secret.
        entry.is_sensitive = known.is_none();
        entry.value.clone_from(&synonym.value);
        entry.config_source = source;
        entry.synonyms.insert(0, synonym);
        entries.push(entry);
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// All settings that a resource of this kind has; `source` is where those come from that were set.
fn other_entries(
    settings: &Settings,
    kind: i8,
    name: &str,
    source: i8,
) -> Vec<DescribeConfigsResourceResult> {
    let entry = |setting: &'static Setting| {
        let set = settings.value(kind, name, setting.name);
        described(Entry {
            setting,
            value: set.unwrap_or(setting.default).to_owned(),
            source: if set.is_some() { source } else { DEFAULT },
        })
    };
    known(kind).iter().map(entry).collect()
}

fn file_entries(
    topology: &Topology,
    name: &str,
) -> Result<Vec<DescribeConfigsResourceResult>, Refusal> {
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
    Ok(values.into_iter().map(|(name, value, kind)| file_entry(name, Some(value), kind)).collect())
}

fn file_entry(name: &str, value: Option<String>, kind: Kind) -> DescribeConfigsResourceResult {
    let synonym = value.clone().map(|value| DescribeConfigsSynonym {
        name: name.to_owned(),
        value: Some(value),
        source: STATIC_BROKER,
    });
    DescribeConfigsResourceResult {
        name: name.to_owned(),
        value,
        read_only: FIXED.contains(&name),
        config_source: STATIC_BROKER,
        synonyms: synonym.into_iter().collect(),
        config_type: kind.code(),
        ..DescribeConfigsResourceResult::default()
    }
}

/// A topic's setting where the topic says nothing.
pub(crate) fn from_cluster(cluster: &ClusterConfig, setting: &'static Setting) -> Entry {
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
const DYNAMIC_TOPIC: i8 = 1;
const DYNAMIC_BROKER: i8 = 2;
const DYNAMIC_BROKERS: i8 = 3;
const DYNAMIC_LOGGER: i8 = 6;
const DYNAMIC_METRICS: i8 = 7;
const DYNAMIC_GROUP: i8 = 8;
const STATIC_BROKER: i8 = 4;
const DEFAULT: i8 = 5;
