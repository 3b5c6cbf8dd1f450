//! IncrementalAlterConfigs (KIP-339): settings of topics, brokers, groups, loggers and
//! subscriptions to metrics. Those of topics act on their logs at once; the others are kept and
//! told.

use std::collections::{BTreeMap, BTreeSet};

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use super::MOST_KEPT;
use crate::broker::configs::from_cluster;
use crate::broker::topic_config::{Kind, LONGEST_VALUE, SETTINGS, Setting, TopicConfig, setting};
use crate::broker::topology::{Topology, unknown_topic};
use crate::log::Refusal;

/// What was set of everything but topics, by kind and name of the resource.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    values: BTreeMap<(i8, String), BTreeMap<String, String>>,
}

impl Settings {
    /// What was set of a resource.
    pub(crate) fn of(&self, kind: i8, name: &str) -> impl Iterator<Item = (&str, &str)> {
        let found = self.values.get(&(kind, name.to_owned()));
        found.into_iter().flatten().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// What was set of one setting.
    pub(crate) fn value(&self, kind: i8, resource: &str, name: &str) -> Option<&str> {
        self.of(kind, resource).find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

/// Answers IncrementalAlterConfigs. The changes of one resource are all made, or none.
pub(crate) fn alter(
    settings: &mut Settings,
    topology: &mut Topology,
    node: i32,
    request: &IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let key = |one: &AlterConfigsResource| (one.resource_type, one.resource_name.clone());
    let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for one in &request.resources {
        if !seen.insert(key(one)) {
            twice.insert(key(one));
        }
    }
    let responses = request.resources.iter().map(|one| {
        let outcome = if twice.contains(&key(one)) {
            Err(invalid_request("Each resource must appear at most once.".to_owned()))
        } else if one.resource_type == TOPIC {
            alter_topic(topology, one, request.validate_only)
        } else {
            settings.alter_other(topology, node, one, request.validate_only)
        };
        response(one, outcome.err())
    });
    IncrementalAlterConfigsResponse {
        responses: responses.collect(),
        ..IncrementalAlterConfigsResponse::default()
    }
}

/// Every resource of the request refused with `code`.
pub(crate) fn refuse(
    request: &IncrementalAlterConfigsRequest,
    code: ErrorCode,
) -> IncrementalAlterConfigsResponse {
    let one = |resource| response(resource, Some(Refusal::new(code, code.meaning())));
    IncrementalAlterConfigsResponse {
        responses: request.resources.iter().map(one).collect(),
        ..IncrementalAlterConfigsResponse::default()
    }
}

/// The settings that resources of a kind have; brokers may have others, too.
pub(crate) fn known(kind: i8) -> &'static [Setting] {
    match kind {
        TOPIC => SETTINGS,
        BROKER => BROKER_SETTINGS,
        LOGGER => LOGGERS,
        METRICS => METRICS_SETTINGS,
        GROUP => GROUP_SETTINGS,
        _ => &[],
    }
}

impl Settings {
    fn alter_other(
        &mut self,
        topology: &Topology,
        node: i32,
        resource: &AlterConfigsResource,
        dry: bool,
    ) -> Result<(), Refusal> {
        let (kind, name) = (resource.resource_type, &resource.resource_name);
        check_resource(topology, node, kind, name)?;
        let key = (kind, name.clone());
        let mut values = self.values.get(&key).cloned().unwrap_or_default();
        let mut seen = BTreeSet::new();
        for change in &resource.configs {
            if !seen.insert(&change.name) {
                return Err(invalid_request("Error due to duplicate config keys".to_owned()));
            }
            let setting = find(kind, &change.name)?;
            let default = setting.map_or("", |setting| setting.default);
            let value = values.get(&change.name).map_or(default, String::as_str);
            match changed(change, setting.map_or(Kind::Text, |setting| setting.kind), value)? {
                Some(value) => {
                    check_value(setting, &change.name, &value)?;
                    values.insert(change.name.clone(), value);
                }
                None => drop(values.remove(&change.name)),
            }
        }
        if dry {
            return Ok(());
        }
        if values.is_empty() {
            self.values.remove(&key);
        } else if self.values.len() < MOST_KEPT || self.values.contains_key(&key) {
            self.values.insert(key, values);
        } else {
            let message = format!("this cluster keeps settings of at most {MOST_KEPT} resources");
            return Err(invalid_request(message));
        }
        Ok(())
    }
}

fn alter_topic(
    topology: &mut Topology,
    resource: &AlterConfigsResource,
    dry: bool,
) -> Result<(), Refusal> {
    let name = &resource.resource_name;
    let topic = topology.topic(name).ok_or_else(|| unknown_topic(name))?;
    let mut config: TopicConfig = topic.config.clone();
    let mut seen = BTreeSet::new();
    for change in &resource.configs {
        if !seen.insert(&change.name) {
            return Err(invalid_request("Error due to duplicate config keys".to_owned()));
        }
        let Some(setting) = find(TOPIC, &change.name)? else { continue };
        let default = from_cluster(topology.config(), setting).value;
        let value = config.given(&change.name).unwrap_or(&default);
        let value = changed(change, setting.kind, value)?;
        config.set(&change.name, value.as_deref())?;
    }
    if !dry {
        topology.set_config(name, config);
    }
    Ok(())
}

/// The value after a change; `None` where nothing is set any more.
fn changed(change: &AlterableConfig, kind: Kind, present: &str) -> Result<Option<String>, Refusal> {
    if change.config_operation == UNSET {
        return Ok(None);
    }
    let Some(value) = &change.value else {
        let message = format!("Null value not supported for {}", change.name);
        return Err(invalid_request(message));
    };
    let words = || value.split(',').map(str::trim).filter(|word| !word.is_empty());
    let mut list: Vec<&str> = present.split(',').filter(|word| !word.is_empty()).collect();
    match change.config_operation {
        SET => return Ok(Some(value.clone())),
        APPEND | SUBTRACT if kind != Kind::List => {
            let message =
                format!("Can't append to or subtract from {}, which is no list.", change.name);
            return Err(invalid(message));
        }
        APPEND => {
            for word in words() {
                if !list.contains(&word) {
                    list.push(word);
                }
            }
        }
        SUBTRACT => list.retain(|known| !words().any(|word| word == *known)),
        other => return Err(invalid_request(format!("Unknown config operation {other}"))),
    }
    Ok(Some(list.join(",")))
}

/// The setting of this name; brokers may have others than those known here.
fn find(kind: i8, name: &str) -> Result<Option<&'static Setting>, Refusal> {
    if kind == BROKER && FIXED.contains(&name) {
        return Err(invalid_request(format!("Cannot update these configs dynamically: {name}")));
    }
    match known(kind).iter().find(|setting| setting.name == name) {
        None if kind == BROKER => Ok(None),
        None => Err(invalid(format!("Unknown config name: {name}"))),
        found => Ok(found),
    }
}

fn check_value(setting: Option<&Setting>, name: &str, value: &str) -> Result<(), Refusal> {
    let fits = setting.is_none_or(|setting| setting.kind.accepts(value));
    if fits && value.len() <= LONGEST_VALUE && name.len() <= LONGEST_VALUE {
        return Ok(());
    }
    Err(invalid(format!("Invalid value for configuration {name}")))
}

/// Whether there is such a resource, and this broker looks after it.
fn check_resource(topology: &Topology, node: i32, kind: i8, name: &str) -> Result<(), Refusal> {
    match kind {
        BROKER if name.is_empty() => Ok(()),
        BROKER | LOGGER if name.parse() == Ok(node) && topology.broker(node).is_some() => Ok(()),
        BROKER | LOGGER => Err(invalid_request(format!(
            "Unexpected broker id, expected {node} but received {name}"
        ))),
        METRICS | GROUP if !name.is_empty() && name.len() <= LONGEST_VALUE => Ok(()),
        METRICS | GROUP => Err(invalid_request("The resource has no valid name".to_owned())),
        other => Err(invalid_request(format!("Unknown resource type {other}"))),
    }
}

fn response(
    resource: &AlterConfigsResource,
    refusal: Option<Refusal>,
) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse {
        error_code: refusal.as_ref().map_or(ErrorCode::NONE, |refusal| refusal.code),
        error_message: refusal.map(|refusal| refusal.message),
        resource_type: resource.resource_type,
        resource_name: resource.resource_name.clone(),
    }
}

fn invalid(message: String) -> Refusal {
    Refusal::new(ErrorCode::INVALID_CONFIG, message)
}

fn invalid_request(message: String) -> Refusal {
    Refusal::new(ErrorCode::INVALID_REQUEST, message)
}

const SET: i8 = 0;
const UNSET: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub(crate) const TOPIC: i8 = 2;
pub(crate) const BROKER: i8 = 4;
pub(crate) const LOGGER: i8 = 8;
pub(crate) const METRICS: i8 = 16;
pub(crate) const GROUP: i8 = 32;

/// Settings of brokers that only their properties file can make.
pub(crate) const FIXED: &[&str] = &[
    "auto.create.topics.enable",
    "broker.id",
    "default.replication.factor",
    "fetch.max.bytes",
    "group.initial.rebalance.delay.ms",
    "node.id",
    "num.partitions",
    "process.roles",
];

const KEPT: &str = "Kept and told.";
const LEVEL: Kind = Kind::OneOf(&["FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE"]);

const BROKER_SETTINGS: &[Setting] = &[
    setting("log.message.timestamp.type", "CreateTime", Kind::Text, KEPT),
    setting("log.retention.bytes", "-1", Kind::Long, KEPT),
    setting("log.retention.ms", "604800000", Kind::Long, KEPT),
    setting("message.max.bytes", "1048588", Kind::Int, KEPT),
    setting("min.insync.replicas", "1", Kind::Int, KEPT),
    setting("num.io.threads", "8", Kind::Int, KEPT),
    setting("num.network.threads", "3", Kind::Int, KEPT),
];

const LOGGERS: &[Setting] = &[setting("root", "INFO", LEVEL, KEPT)];

const METRICS_SETTINGS: &[Setting] = &[
    setting("interval.ms", "300000", Kind::Int, KEPT),
    setting("match", "", Kind::List, KEPT),
    setting("metrics", "", Kind::List, KEPT),
];

const GROUP_SETTINGS: &[Setting] = &[
    setting("consumer.heartbeat.interval.ms", "5000", Kind::Int, KEPT),
    setting("consumer.session.timeout.ms", "45000", Kind::Int, KEPT),
];
