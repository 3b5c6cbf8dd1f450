//! Quotas of users, client ids and addresses (KIP-546). In: entities with what shall change, or a
//! filter; out: the quotas that are set.

use std::collections::BTreeMap;
use std::fmt;

use klamm_protocol::messages::alter_client_quotas::{
    AlterClientQuotasRequest, EntityData as AlteredEntity, EntryData as AlteredEntry, OpData,
};
use klamm_protocol::messages::describe_client_quotas::{
    ComponentData, DescribeClientQuotasRequest, EntityData,
};

use crate::client::Client;
use crate::cluster::Repeat;
use crate::error::{Error, Result};

use super::configs::Effect;
use super::each::{Call, Each, Item, Node, To, Told, about, verdict};

/// Whom a quota is about: a user, a client id, both together, or an address; each by its name or as
/// the default of those without a quota of their own.
///
/// ```
/// use klamm_client::admin::QuotaEntity;
///
/// let alice = QuotaEntity::user("alice").and_any_client_id();
/// assert_eq!(alice.to_string(), "client-id default, user alice");
/// assert_eq!(alice.part("user"), Some(Some("alice")));
/// assert_eq!(alice.part("ip"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QuotaEntity(BTreeMap<String, Option<String>>);

/// Quotas of an entity to set and to remove; what is not named stays as it is.
///
/// ```
/// use klamm_client::admin::{QuotaChange, QuotaEntity};
///
/// let slower = QuotaChange::new(QuotaEntity::user("alice"))
///     .set("producer_byte_rate", 1_048_576.0)
///     .remove("request_percentage");
/// assert_eq!(slower.entity(), &QuotaEntity::user("alice"));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct QuotaChange {
    entity: QuotaEntity,
    changes: Vec<(String, Option<f64>)>,
}

/// Which quotas are meant: those of entities that have all these parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuotaFilter {
    parts: Vec<(String, QuotaMatch)>,
    strict: bool,
}

/// What a part of an entity has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuotaMatch {
    /// Of this name.
    Named(String),
    /// The default.
    Default,
    /// Of any name, or the default.
    Any,
}

impl QuotaEntity {
    /// A user by name.
    pub fn user(name: impl Into<String>) -> Self {
        Self::of(USER, Some(name.into()))
    }

    /// All users without a quota of their own.
    pub fn any_user() -> Self {
        Self::of(USER, None)
    }

    /// A client id.
    pub fn client_id(id: impl Into<String>) -> Self {
        Self::of(CLIENT_ID, Some(id.into()))
    }

    /// All client ids without a quota of their own.
    pub fn any_client_id() -> Self {
        Self::of(CLIENT_ID, None)
    }

    /// An address (brokers since 2.8, KIP-612).
    pub fn ip(address: impl Into<String>) -> Self {
        Self::of(IP, Some(address.into()))
    }

    /// All addresses without a quota of their own.
    pub fn any_ip() -> Self {
        Self::of(IP, None)
    }

    /// Only where the client id is this one, too.
    #[must_use]
    pub fn and_client_id(mut self, id: impl Into<String>) -> Self {
        self.0.insert(CLIENT_ID.to_owned(), Some(id.into()));
        self
    }

    /// Each client id for itself.
    #[must_use]
    pub fn and_any_client_id(mut self) -> Self {
        self.0.insert(CLIENT_ID.to_owned(), None);
        self
    }

    /// The part of this kind, `user`, `client-id` or `ip`: outside `None` if the entity has no such
    /// part, inside `None` for the default.
    pub fn part(&self, kind: &str) -> Option<Option<&str>> {
        self.0.get(kind).map(Option::as_deref)
    }

    /// All parts by kind; without a name for the default.
    pub fn parts(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(kind, name)| (kind.as_str(), name.as_deref()))
    }

    fn of(kind: &str, name: Option<String>) -> Self {
        Self(BTreeMap::from([(kind.to_owned(), name)]))
    }
}

impl fmt::Display for QuotaEntity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (kind, name)) in self.parts().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{kind} {}", name.unwrap_or("default"))?;
        }
        Ok(())
    }
}

impl QuotaChange {
    /// No change yet.
    pub fn new(entity: QuotaEntity) -> Self {
        Self { entity, changes: Vec::new() }
    }

    /// Sets a quota: `producer_byte_rate` and `consumer_byte_rate` in bytes a second,
    /// `request_percentage` in percent of a thread, `controller_mutation_rate` in partitions a
    /// second, `connection_creation_rate` of an address in connections a second.
    #[must_use]
    pub fn set(mut self, quota: impl Into<String>, value: f64) -> Self {
        self.changes.push((quota.into(), Some(value)));
        self
    }

    /// Removes a quota.
    #[must_use]
    pub fn remove(mut self, quota: impl Into<String>) -> Self {
        self.changes.push((quota.into(), None));
        self
    }

    /// Whose quotas change.
    pub fn entity(&self) -> &QuotaEntity {
        &self.entity
    }
}

impl QuotaFilter {
    /// All quotas.
    pub fn all() -> Self {
        Self::default()
    }

    /// Only of entities with such a user.
    #[must_use]
    pub fn with_user(self, user: QuotaMatch) -> Self {
        self.with(USER, user)
    }

    /// Only of entities with such a client id.
    #[must_use]
    pub fn with_client_id(self, id: QuotaMatch) -> Self {
        self.with(CLIENT_ID, id)
    }

    /// Only of entities with such an address.
    #[must_use]
    pub fn with_ip(self, address: QuotaMatch) -> Self {
        self.with(IP, address)
    }

    /// Only of entities without any other part.
    #[must_use]
    pub fn strict(mut self) -> Self {
        self.strict = true;
        self
    }

    fn with(mut self, kind: &str, part: QuotaMatch) -> Self {
        self.parts.retain(|(known, _)| known != kind);
        self.parts.push((kind.to_owned(), part));
        self
    }
}

impl Client {
    /// The quotas that a filter finds, by entity and name.
    ///
    /// # Errors
    ///
    /// The broker's code with its own words; [`Unsupported`](crate::ErrorKind::Unsupported) from
    /// brokers before 2.6; [`TimedOut`](crate::ErrorKind::TimedOut) after
    /// `default.api.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn describe_quotas(
        &self,
        filter: &QuotaFilter,
    ) -> Result<BTreeMap<QuotaEntity, BTreeMap<String, f64>>> {
        let request = &describe_request(filter);
        self.question(Node::Any, Repeat::Harmless, |handle, deadline| async move {
            let response = handle.request(request, deadline).await?;
            verdict(response.error_code, response.error_message)?;
            let part = |part: EntityData| (part.entity_type, part.entity_name);
            let entries = response.entries.into_iter().flatten().map(|entry| {
                let entity = QuotaEntity(entry.entity.into_iter().map(part).collect());
                (entity, entry.values.into_iter().map(|one| (one.key, one.value)).collect())
            });
            Ok(entries.collect())
        })
        .await
    }

    /// Changes quotas, entity by entity. The results stand in the order of the changes. The same
    /// change has the same effect the second time, so what got no answer is ordered again.
    ///
    /// # Errors
    ///
    /// For each: the broker's code with its own words, such as `INVALID_REQUEST` for a quota that
    /// there is not or that such an entity cannot have; as [`Client::describe_quotas`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: quotas may or may not be changed.
    pub async fn alter_quotas(&self, changes: &[QuotaChange], effect: Effect) -> Vec<Result<()>> {
        let to = To::Node(|_: &QuotaChange| Node::Controller);
        let each = Each { client: self, items: changes, to, repeat: Repeat::Harmless };
        each.ask(|call| alter(effect, call)).await
    }
}

impl Item for QuotaChange {
    type Key = QuotaEntity;

    fn key(&self) -> QuotaEntity {
        self.entity.clone()
    }

    fn named(&self, error: Error) -> Error {
        about(error, "quotas of", &self.entity)
    }
}

async fn alter(effect: Effect, call: Call<'_, QuotaChange>) -> Told<QuotaEntity, ()> {
    let part = |(kind, name): (&str, Option<&str>)| AlteredEntity {
        entity_type: kind.to_owned(),
        entity_name: name.map(str::to_owned),
    };
    let change = |(key, value): &(String, Option<f64>)| OpData {
        key: key.clone(),
        value: value.unwrap_or_default(),
        remove: value.is_none(),
    };
    let entry = |one: &&QuotaChange| AlteredEntry {
        entity: one.entity.parts().map(part).collect(),
        ops: one.changes.iter().map(change).collect(),
    };
    let request = AlterClientQuotasRequest {
        entries: call.items.iter().map(entry).collect(),
        validate_only: effect == Effect::CheckOnly,
    };
    let told = call.request(&request).await?.entries.into_iter();
    Ok(told
        .map(|one| {
            let parts = one.entity.into_iter().map(|part| (part.entity_type, part.entity_name));
            (QuotaEntity(parts.collect()), verdict(one.error_code, one.error_message))
        })
        .collect())
}

fn describe_request(filter: &QuotaFilter) -> DescribeClientQuotasRequest {
    let component = |(kind, part): &(String, QuotaMatch)| ComponentData {
        entity_type: kind.clone(),
        match_type: match part {
            QuotaMatch::Named(_) => 0,
            QuotaMatch::Default => 1,
            QuotaMatch::Any => 2,
        },
        r#match: match part {
            QuotaMatch::Named(name) => Some(name.clone()),
            _ => None,
        },
    };
    DescribeClientQuotasRequest {
        components: filter.parts.iter().map(component).collect(),
        strict: filter.strict,
    }
}

const USER: &str = "user";
const CLIENT_ID: &str = "client-id";
const IP: &str = "ip";
