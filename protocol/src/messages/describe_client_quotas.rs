//! DescribeClientQuotas: the quotas of users, client ids and addresses (KIP-546).

use klamm_protocol_derive::Message;

use crate::code::ErrorCode;

/// Whose quotas to describe.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(key = 48, response = DescribeClientQuotasResponse, versions = "0-1", flexible = "1+")]
pub struct DescribeClientQuotasRequest {
    /// What an entity has to match, all of them.
    #[field(versions = "0+")]
    pub components: Vec<ComponentData>,
    /// Only entities that consist of nothing but these components.
    #[field(versions = "0+")]
    pub strict: bool,
}

/// What one part of an entity has to be.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct ComponentData {
    /// `user`, `client-id` or `ip`.
    #[field(versions = "0+")]
    pub entity_type: String,
    /// 0 the name in `match`, 1 the default, 2 any name.
    #[field(versions = "0+")]
    pub match_type: i8,
    /// The name, none unless `match_type` is 0.
    #[field(versions = "0+", nullable = "0+")]
    pub r#match: Option<String>,
}

/// The quotas that match.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-1", flexible = "1+")]
pub struct DescribeClientQuotasResponse {
    /// Milliseconds for which a quota held this answer back, 0 for none.
    #[field(versions = "0+")]
    pub throttle_time_ms: i32,
    /// What went wrong, or `ErrorCode::NONE`.
    #[field(versions = "0+")]
    pub error_code: ErrorCode,
    /// The broker's words about the error, if it has any.
    #[field(versions = "0+", nullable = "0+")]
    pub error_message: Option<String>,
    /// The quotas, by entity; none with an error.
    #[field(versions = "0+", nullable = "0+")]
    pub entries: Option<Vec<EntryData>>,
}

/// The quotas of one entity.
#[derive(Message, Clone, Debug, PartialEq)]
pub struct EntryData {
    /// The entity, part by part.
    #[field(versions = "0+")]
    pub entity: Vec<EntityData>,
    /// Its quotas.
    #[field(versions = "0+")]
    pub values: Vec<ValueData>,
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

/// One quota.
#[derive(Message, Clone, Debug)]
pub struct ValueData {
    /// Such as `producer_byte_rate`, in the unit that belongs to it.
    #[field(versions = "0+")]
    pub key: String,
    /// How much.
    #[field(versions = "0+")]
    pub value: f64,
}

/// By the value's bits, so that a message equals itself even if a peer sends what is no number.
impl PartialEq for ValueData {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key && self.value.to_bits() == other.value.to_bits()
    }
}
