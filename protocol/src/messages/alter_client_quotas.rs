//! AlterClientQuotas: sets and removes quotas of users, client ids and addresses (KIP-546).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Quotas to change.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 49, response = AlterClientQuotasResponse, versions = "0-1", flexible = "1+")]
pub struct AlterClientQuotasRequest {
    /// The changes, by entity.
    #[field(versions = "0+")]
    pub entries: Vec<EntryData>,
    /// Only checks; nothing is changed.
    #[field(versions = "0+")]
    pub validate_only: bool,
}

/// The changes of one entity.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct EntryData {
    /// The entity, part by part.
    #[field(versions = "0+")]
    pub entity: Vec<EntityData>,
    /// The changes.
    #[field(versions = "0+")]
    pub ops: Vec<OpData>,
}

/// A part of an entity.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct EntityData {
    /// `user`, `client-id` or `ip`.
    #[field(versions = "0+")]
    pub entity_type: String,
    /// The part's name, none for the default.
    #[field(versions = "0+", nullable = "0+")]
    pub entity_name: Option<String>,
}

/// The change of one quota.
#[derive(Message, Clone, Debug)]
pub struct OpData {
    /// Such as `producer_byte_rate`, in the unit that belongs to it.
    #[field(versions = "0+")]
    pub key: String,
    /// How much; of no meaning if the quota is removed.
    #[field(versions = "0+")]
    pub value: f64,
    /// Whether the quota is removed rather than set.
    #[field(versions = "0+")]
    pub remove: bool,
}

/// By the value's bits, so that a message equals itself even if a peer sends what is no number.
impl PartialEq for OpData {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
            && self.value.to_bits() == other.value.to_bits()
            && self.remove == other.remove
    }
}

/// What became of each entity's quotas.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-1", flexible = "1+")]
pub struct AlterClientQuotasResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// The outcomes, by entity.
    #[field(versions = "0+")]
    pub entries: Vec<EntryDataResult>,
}

/// The outcome of one entity.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct EntryDataResult {
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "0+", nullable = "0+")]
    pub error_message: Option<String>,
    /// The entity, part by part.
    #[field(versions = "0+")]
    pub entity: Vec<EntityData>,
}
