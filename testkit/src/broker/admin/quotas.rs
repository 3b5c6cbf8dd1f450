//! Quotas (KIP-546): kept and told by entity. They hold nobody back.

use std::collections::BTreeMap;

use klamm_protocol::code::ErrorCode;
use klamm_protocol::messages::alter_client_quotas::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, EntityData as AlteredEntity,
    EntryData as AlteredEntry, EntryDataResult, OpData,
};
use klamm_protocol::messages::describe_client_quotas::{
    ComponentData, DescribeClientQuotasRequest, DescribeClientQuotasResponse, EntityData,
    EntryData, ValueData,
};

use super::MOST_KEPT;
use crate::log::Refusal;

/// All quotas.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    by_entity: BTreeMap<Entity, BTreeMap<String, f64>>,
}

/// The parts of an entity; without a name for the default.
type Entity = BTreeMap<String, Option<String>>;

impl Quotas {
    /// Answers DescribeClientQuotas.
    pub(crate) fn describe(
        &self,
        request: &DescribeClientQuotasRequest,
    ) -> DescribeClientQuotasResponse {
        if let Err(refusal) = check_filter(&request.components) {
            return refuse_describe(refusal.code, Some(refusal.message));
        }
        let wanted = |entity: &Entity| {
            let exact = !request.strict || entity.len() == request.components.len();
            exact && request.components.iter().all(|part| matches(entity, part))
        };
        let found = self.by_entity.iter().filter(|(entity, _)| wanted(entity));
        let entries = found.map(|(entity, quotas)| EntryData {
            entity: entity
                .iter()
                .map(|(kind, name)| EntityData {
                    entity_type: kind.clone(),
                    entity_name: name.clone(),
                })
                .collect(),
            values: quotas
                .iter()
                .map(|(key, value)| ValueData { key: key.clone(), value: *value })
                .collect(),
        });
        DescribeClientQuotasResponse {
            entries: Some(entries.collect()),
            ..DescribeClientQuotasResponse::default()
        }
    }

    /// Answers AlterClientQuotas.
    pub(crate) fn alter(
        &mut self,
        request: &AlterClientQuotasRequest,
    ) -> AlterClientQuotasResponse {
        let entries = request.entries.iter().map(|entry| {
            let refusal = self.alter_entity(entry, request.validate_only).err();
            EntryDataResult {
                error_code: refusal.as_ref().map_or(ErrorCode::NONE, |refusal| refusal.code),
                error_message: refusal.map(|refusal| refusal.message),
                entity: entry.entity.clone(),
            }
        });
        AlterClientQuotasResponse {
            entries: entries.collect(),
            ..AlterClientQuotasResponse::default()
        }
    }

    fn alter_entity(&mut self, entry: &AlteredEntry, dry: bool) -> Result<(), Refusal> {
        let entity = entity_of(&entry.entity)?;
        entry.ops.iter().try_for_each(|op| check_quota(&entity, op))?;
        if dry {
            return Ok(());
        }
        if !self.by_entity.contains_key(&entity) && self.by_entity.len() >= MOST_KEPT {
            let message = format!("this cluster keeps quotas of at most {MOST_KEPT} entities");
            return Err(invalid(message));
        }
        let quotas = self.by_entity.entry(entity.clone()).or_default();
        for op in &entry.ops {
            if op.remove {
                quotas.remove(&op.key);
            } else {
                quotas.insert(op.key.clone(), op.value);
            }
        }
        if quotas.is_empty() {
            self.by_entity.remove(&entity);
        }
        Ok(())
    }
}

/// DescribeClientQuotas refused with `code`.
pub(crate) fn refuse_describe(
    error_code: ErrorCode,
    error_message: Option<String>,
) -> DescribeClientQuotasResponse {
    DescribeClientQuotasResponse {
        error_code,
        error_message,
        ..DescribeClientQuotasResponse::default()
    }
}

/// Every entity of the request refused with `code`.
pub(crate) fn refuse_alter(
    request: &AlterClientQuotasRequest,
    error_code: ErrorCode,
) -> AlterClientQuotasResponse {
    let one = |entry: &AlteredEntry| EntryDataResult {
        error_code,
        error_message: None,
        entity: entry.entity.clone(),
    };
    AlterClientQuotasResponse {
        entries: request.entries.iter().map(one).collect(),
        ..AlterClientQuotasResponse::default()
    }
}

fn matches(entity: &Entity, part: &ComponentData) -> bool {
    let Some(name) = entity.get(&part.entity_type) else {
        return false;
    };
    match part.match_type {
        EXACTLY => name.is_some() && *name == part.r#match,
        DEFAULT => name.is_none(),
        _ => true,
    }
}

fn check_filter(parts: &[ComponentData]) -> Result<(), Refusal> {
    let mut seen = Vec::new();
    for part in parts {
        if !KINDS.contains(&part.entity_type.as_str()) {
            let message = format!("Custom entity type '{}' not supported", part.entity_type);
            return Err(Refusal::new(ErrorCode::UNSUPPORTED_VERSION, message));
        }
        if seen.contains(&&part.entity_type) {
            let message = format!("Entity type '{}' is named twice", part.entity_type);
            return Err(invalid(message));
        }
        if !(EXACTLY..=ANY).contains(&part.match_type) {
            return Err(invalid(format!("Unexpected match type: {}", part.match_type)));
        }
        seen.push(&part.entity_type);
    }
    Ok(())
}

fn entity_of(parts: &[AlteredEntity]) -> Result<Entity, Refusal> {
    let mut entity = Entity::new();
    for part in parts {
        if !KINDS.contains(&part.entity_type.as_str()) {
            return Err(invalid(format!(
                "Unhandled client quota entity type: {}",
                part.entity_type
            )));
        }
        if part.entity_name.as_ref().is_some_and(String::is_empty) {
            return Err(invalid(format!("Empty {} not supported", part.entity_type)));
        }
        if entity.insert(part.entity_type.clone(), part.entity_name.clone()).is_some() {
            return Err(invalid(format!("Entity type '{}' is named twice", part.entity_type)));
        }
    }
    if entity.is_empty() || entity.contains_key(IP) && entity.len() > 1 {
        return Err(invalid("Invalid empty or combined client quota entity".to_owned()));
    }
    Ok(entity)
}

/// Whether such an entity can have this quota, of this value.
fn check_quota(entity: &Entity, op: &OpData) -> Result<(), Refusal> {
    let whole = match (op.key.as_str(), entity.contains_key(IP)) {
        ("connection_creation_rate", true)
        | ("producer_byte_rate" | "consumer_byte_rate", false) => true,
        ("request_percentage" | "controller_mutation_rate", false) => false,
        _ => return Err(invalid(format!("Invalid configuration key {}", op.key))),
    };
    if op.remove {
        return Ok(());
    }
    if !(op.value.is_finite() && op.value > 0.0) {
        return Err(invalid(format!("Quota {} must be greater than 0", op.key)));
    }
    if whole && op.value.fract() != 0.0 {
        return Err(invalid(format!("{} cannot be a fractional value.", op.key)));
    }
    Ok(())
}

fn invalid(message: String) -> Refusal {
    Refusal::new(ErrorCode::INVALID_REQUEST, message)
}

const KINDS: &[&str] = &["user", "client-id", IP];
const IP: &str = "ip";
const EXACTLY: i8 = 0;
const DEFAULT: i8 = 1;
const ANY: i8 = 2;
