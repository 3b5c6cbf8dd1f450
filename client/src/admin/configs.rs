//! Settings of topics, brokers, groups and the other resources that have some (KIP-133, KIP-339).
//! In: resources and what shall change; out: the settings as they stand, with where each value
//! comes from (KIP-226). Settings of one broker are asked of that broker.

use std::fmt;

use klamm_protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
    DescribeConfigsSynonym,
};
use klamm_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

use crate::client::Client;
use crate::cluster::Repeat;
use crate::error::{Error, Result};

use super::each::{Call, Each, Item, Node, To, Told, about, verdict};
use super::kinds::kinds;

kinds! {
    /// What has settings.
    ConfigKind("resource") {
        /// A topic, by its name.
        2 Topic "topic";
        /// A broker by its id, or without a name what all brokers share.
        4 Broker "broker";
        /// The log levels of a broker, by its id (KIP-412).
        8 BrokerLogger "broker-logger";
        /// A subscription to metrics of clients (KIP-714).
        16 ClientMetrics "client-metrics";
        /// A group, by its name (KIP-848).
        32 Group "group";
    }
}

kinds! {
    /// Where the value of a setting comes from.
    ConfigSource("source") {
        /// Set for this topic.
        1 Topic "topic";
        /// Set for this broker while it runs.
        2 Broker "broker";
        /// Set for all brokers while they run.
        3 Brokers "brokers";
        /// From the broker's properties file.
        4 File "file";
        /// Nobody set it.
        5 Default "default";
        /// Set for this logger while its broker runs.
        6 BrokerLogger "broker-logger";
        /// Set for this subscription to clients' metrics.
        7 ClientMetrics "client-metrics";
        /// Set for this group.
        8 Group "group";
    }
}

kinds! {
    /// The type of a setting's value.
    ConfigType("type") {
        /// `true` or `false`.
        1 Bool "bool";
        /// Any text.
        2 Text "string";
        /// A number of 32 bits.
        3 Int "int";
        /// A number of 16 bits.
        4 Short "short";
        /// A number of 64 bits.
        5 Long "long";
        /// A number with a fraction.
        6 Double "double";
        /// Words, separated by commas.
        7 List "list";
        /// The name of a Java class.
        8 Class "class";
        /// A secret, which is never told.
        9 Password "password";
    }
}

/// A thing that has settings.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConfigResource {
    /// What it is.
    pub kind: ConfigKind,
    /// Its name; a broker's id in digits, empty for all brokers.
    pub name: String,
}

/// How much is told of settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigDetail {
    /// Only settings of these names; by default all.
    pub names: Option<Vec<String>>,
    /// Every place that has a say, too. Default false.
    pub synonyms: bool,
    /// The broker's description of each setting, too (brokers since 2.6). Default false.
    pub documentation: bool,
}

/// A setting as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigEntry {
    /// Its name.
    pub name: String,
    /// The value in force; `None` if there is none, or it is a secret.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether nobody can change it while the broker runs.
    pub read_only: bool,
    /// Whether it is a secret.
    pub sensitive: bool,
    /// What values look like; `None` from brokers before 2.6.
    pub value_type: Option<ConfigType>,
    /// Every place that has a say, the strongest first, if [`ConfigDetail::synonyms`] asks for it.
    pub synonyms: Vec<ConfigSynonym>,
    /// What it does, if [`ConfigDetail::documentation`] asks for it.
    pub documentation: Option<String>,
}

/// A place that has a say in a setting (KIP-226).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigSynonym {
    /// What the setting is called there.
    pub name: String,
    /// The value there; `None` if there is none, or it is a secret.
    pub value: Option<String>,
    /// Which place it is.
    pub source: ConfigSource,
}

/// Changes of one resource's settings; what is not named stays as it is. All of them are made, or
/// none.
///
/// ```
/// use klamm_client::admin::{ConfigChanges, ConfigResource};
///
/// let changes = ConfigChanges::new(ConfigResource::topic("orders"))
///     .set("retention.ms", "86400000")
///     .append("cleanup.policy", "compact")
///     .unset("max.message.bytes");
/// assert_eq!(changes.names().collect::<Vec<_>>(), ["retention.ms", "cleanup.policy", "max.message.bytes"]);
/// assert!(!format!("{changes:?}").contains("86400000"), "a value may be a password");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ConfigChanges {
    resource: ConfigResource,
    changes: Vec<Change>,
}

/// Whether an order is carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It is.
    #[default]
    Apply,
    /// The broker says what it would answer, and changes nothing.
    CheckOnly,
}

#[derive(Clone, PartialEq, Eq)]
struct Change {
    name: String,
    operation: i8,
    value: Option<String>,
}

impl ConfigResource {
    /// A topic.
    pub fn topic(name: impl Into<String>) -> Self {
        Self { kind: ConfigKind::Topic, name: name.into() }
    }

    /// A broker.
    pub fn broker(id: i32) -> Self {
        Self { kind: ConfigKind::Broker, name: id.to_string() }
    }

    /// What all brokers share.
    pub fn all_brokers() -> Self {
        Self { kind: ConfigKind::Broker, name: String::new() }
    }

    /// The log levels of a broker.
    pub fn broker_logger(id: i32) -> Self {
        Self { kind: ConfigKind::BrokerLogger, name: id.to_string() }
    }

    /// A subscription to clients' metrics.
    pub fn client_metrics(name: impl Into<String>) -> Self {
        Self { kind: ConfigKind::ClientMetrics, name: name.into() }
    }

    /// A group.
    pub fn group(name: impl Into<String>) -> Self {
        Self { kind: ConfigKind::Group, name: name.into() }
    }

    /// The broker that alone knows these settings.
    fn home(&self) -> Option<i32> {
        let own = matches!(self.kind, ConfigKind::Broker | ConfigKind::BrokerLogger);
        self.name.parse().ok().filter(|_| own)
    }
}

impl ConfigDetail {
    /// Asks for these settings alone.
    #[must_use]
    pub fn with_names(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.names = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Asks for every place that has a say.
    #[must_use]
    pub fn with_synonyms(mut self) -> Self {
        self.synonyms = true;
        self
    }

    /// Asks for descriptions.
    #[must_use]
    pub fn with_documentation(mut self) -> Self {
        self.documentation = true;
        self
    }
}

impl ConfigChanges {
    /// No change yet.
    pub fn new(resource: ConfigResource) -> Self {
        Self { resource, changes: Vec::new() }
    }

    /// Sets a value.
    #[must_use]
    pub fn set(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.change(name, SET, Some(value.into()))
    }

    /// Goes back to the value of the next stronger place, in the end to the default.
    #[must_use]
    pub fn unset(self, name: impl Into<String>) -> Self {
        self.change(name, UNSET, None)
    }

    /// Adds words, separated by commas, to a list; those that are there already stay once.
    #[must_use]
    pub fn append(self, name: impl Into<String>, words: impl Into<String>) -> Self {
        self.change(name, APPEND, Some(words.into()))
    }

    /// Takes words, separated by commas, out of a list; those that are not there do no harm.
    #[must_use]
    pub fn subtract(self, name: impl Into<String>, words: impl Into<String>) -> Self {
        self.change(name, SUBTRACT, Some(words.into()))
    }

    /// Whose settings change.
    pub fn resource(&self) -> &ConfigResource {
        &self.resource
    }

    /// The names of the settings that change, in the order in which they were added.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.changes.iter().map(|change| change.name.as_str())
    }

    fn change(mut self, name: impl Into<String>, operation: i8, value: Option<String>) -> Self {
        self.changes.push(Change { name: name.into(), operation, value });
        self
    }
}

/// Without the values, which may be passwords.
impl fmt::Debug for ConfigChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConfigChanges")
            .field("resource", &self.resource)
            .field("names", &self.names().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Client {
    /// The settings of resources, by rising name. The results stand in the order of the resources.
    ///
    /// # Errors
    ///
    /// For each: [`Usage`](crate::ErrorKind::Usage) if the topic does not exist (new ones are
    /// waited for two seconds), [`Unreachable`](crate::ErrorKind::Unreachable) if the broker does
    /// not live, the broker's code with its own words, or
    /// [`TimedOut`](crate::ErrorKind::TimedOut) after `default.api.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn describe_configs(
        &self,
        resources: &[ConfigResource],
        detail: &ConfigDetail,
    ) -> Vec<Result<Vec<ConfigEntry>>> {
        let to = To::Node(|one: &ConfigResource| one.home().map_or(Node::Any, Node::Id));
        let each = Each { client: self, items: resources, to, repeat: Repeat::Harmless };
        each.ask(|call| describe(detail, call)).await
    }

    /// Changes settings, resource by resource. The results stand in the order of the changes. Each
    /// kind of change has the same effect the second time, so what got no answer is ordered again.
    ///
    /// # Errors
    ///
    /// For each: the broker's code with its own words, such as `INVALID_CONFIG`;
    /// [`Unsupported`](crate::ErrorKind::Unsupported) from brokers before 2.3; as
    /// [`Client::describe_configs`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: settings may or may not be changed.
    pub async fn alter_configs(
        &self,
        changes: &[ConfigChanges],
        effect: Effect,
    ) -> Vec<Result<()>> {
        let to =
            To::Node(|one: &ConfigChanges| one.resource.home().map_or(Node::Controller, Node::Id));
        let each = Each { client: self, items: changes, to, repeat: Repeat::Harmless };
        each.ask(|call| alter(effect, call)).await
    }
}

impl Item for ConfigResource {
    type Key = (i8, String);

    fn key(&self) -> (i8, String) {
        (self.kind.to_wire(), self.name.clone())
    }

    fn named(&self, error: Error) -> Error {
        match (self.kind, self.name.as_str()) {
            (ConfigKind::Topic, name) => about(error, "topic", name),
            (kind, "") => about(error, "settings of", format!("all {kind}s")),
            (kind, name) => about(error, "settings of", format!("{kind} {name}")),
        }
    }
}

impl Item for ConfigChanges {
    type Key = (i8, String);

    fn key(&self) -> (i8, String) {
        self.resource.key()
    }

    fn named(&self, error: Error) -> Error {
        self.resource.named(error)
    }
}

async fn describe(
    detail: &ConfigDetail,
    call: Call<'_, ConfigResource>,
) -> Told<(i8, String), Vec<ConfigEntry>> {
    let resource = |one: &&ConfigResource| DescribeConfigsResource {
        resource_type: one.kind.to_wire(),
        resource_name: one.name.clone(),
        configuration_keys: detail.names.clone(),
    };
    let request = DescribeConfigsRequest {
        resources: call.items.iter().map(resource).collect(),
        include_synonyms: detail.synonyms,
        include_documentation: detail.documentation,
    };
    let told = call.request(&request).await?.results.into_iter();
    Ok(told
        .map(|one| {
            let key = (one.resource_type, one.resource_name);
            let mut entries: Vec<_> = one.configs.into_iter().map(ConfigEntry::of).collect();
            entries.sort_by(|a, b| a.name.cmp(&b.name));
            (key, verdict(one.error_code, one.error_message).map(|()| entries))
        })
        .collect())
}

async fn alter(effect: Effect, call: Call<'_, ConfigChanges>) -> Told<(i8, String), ()> {
    let config = |change: &Change| AlterableConfig {
        name: change.name.clone(),
        config_operation: change.operation,
        value: change.value.clone(),
    };
    let resource = |one: &&ConfigChanges| AlterConfigsResource {
        resource_type: one.resource.kind.to_wire(),
        resource_name: one.resource.name.clone(),
        configs: one.changes.iter().map(config).collect(),
    };
    let request = IncrementalAlterConfigsRequest {
        resources: call.items.iter().map(resource).collect(),
        validate_only: effect == Effect::CheckOnly,
    };
    let told = call.request(&request).await?.responses.into_iter();
    Ok(told
        .map(|one| {
            let key = (one.resource_type, one.resource_name);
            (key, verdict(one.error_code, one.error_message))
        })
        .collect())
}

impl ConfigEntry {
    fn of(told: DescribeConfigsResourceResult) -> Self {
        let synonym = |one: DescribeConfigsSynonym| ConfigSynonym {
            name: one.name,
            value: one.value,
            source: ConfigSource::of_wire(one.source),
        };
        Self {
            name: told.name,
            value: told.value,
            source: ConfigSource::of_wire(told.config_source),
            read_only: told.read_only,
            sensitive: told.is_sensitive,
            value_type: Some(told.config_type).filter(|code| *code != 0).map(ConfigType::of_wire),
            synonyms: told.synonyms.into_iter().map(synonym).collect(),
            documentation: told.documentation,
        }
    }
}

const SET: i8 = 0;
const UNSET: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;
