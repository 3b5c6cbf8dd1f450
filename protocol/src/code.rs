//! Every error code a broker may answer with, in one table: its name, what it means, what to do about it, whether asking
//! again may help, and whether what we know of the cluster is stale. In comes a number from the wire, out comes advice.
//!
//! Names, numbers and flags are those of Kafka 4.3; the words are ours.

use std::fmt;

use crate::error::{DecodeError, EncodeError};
use crate::wire::{Field, Layout, Reader, Writer};

/// A broker's error code. Numbers that are newer than the table are kept as they are.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ErrorCode(pub i16);

impl ErrorCode {
    /// Whether this is no error.
    pub const fn is_ok(self) -> bool {
        self.0 == 0
    }

    /// Kafka's name for it; `"UNKNOWN_ERROR_CODE"` for a number that is newer than the table.
    pub const fn name(self) -> &'static str {
        self.entry().name
    }

    /// What it means.
    pub const fn meaning(self) -> &'static str {
        self.entry().meaning
    }

    /// What to do about it: an imperative sentence for whoever reads the error.
    pub const fn hint(self) -> &'static str {
        self.entry().hint
    }

    /// Whether asking again, later or elsewhere, may help.
    pub const fn is_retriable(self) -> bool {
        !matches!(self.entry().kind, Kind::Fatal)
    }

    /// Whether leaders or topics have changed since the metadata was read: refresh it before asking again.
    pub const fn is_stale_metadata(self) -> bool {
        matches!(self.entry().kind, Kind::Stale)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<i16> for ErrorCode {
    fn from(code: i16) -> Self {
        Self(code)
    }
}

impl Field for ErrorCode {
    const DEPTH: usize = 0;

    fn put(&self, w: &mut Writer, _: Layout) -> Result<(), EncodeError> {
        w.put_i16(self.0);
        Ok(())
    }

    fn take(r: &mut Reader, _: Layout) -> Result<Self, DecodeError> {
        r.i16().map(Self)
    }

    fn smallest(_: Layout) -> usize {
        2
    }
}

/// What a caller may do.
enum Kind {
    /// Asking again gives the same answer.
    Fatal,
    /// Ask again.
    Retry,
    /// Refresh the metadata and ask again.
    Stale,
}

struct Entry {
    name: &'static str,
    kind: Kind,
    meaning: &'static str,
    hint: &'static str,
}

/// One row a code: number, name, what a caller may do, meaning, hint.
macro_rules! codes {
    ($($code:literal $name:ident $kind:ident, $meaning:literal, $hint:literal;)*) => {
        impl ErrorCode {
            $(#[doc = $meaning] pub const $name: Self = Self($code);)*

            /// Every code that has a name here, by rising number.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            const fn entry(self) -> Entry {
                match self.0 {
                    $($code => Entry {
                        name: stringify!($name), kind: Kind::$kind, meaning: $meaning, hint: $hint,
                    },)*
                    _ => Entry {
                        name: "UNKNOWN_ERROR_CODE",
                        kind: Kind::Fatal,
                        meaning: "The broker answered with a code that is newer than this client.",
                        hint: "Look the number up in the documentation of the broker's version, and update this client.",
                    },
                }
            }
        }
    };
}

codes! {
    -1 UNKNOWN_SERVER_ERROR Fatal,
        "UNKNOWN_SERVER_ERROR.",
        "";
    0 NONE Fatal,
        "NONE.",
        "";
    1 OFFSET_OUT_OF_RANGE Fatal,
        "OFFSET_OUT_OF_RANGE.",
        "";
    2 CORRUPT_MESSAGE Retry,
        "CORRUPT_MESSAGE.",
        "";
    3 UNKNOWN_TOPIC_OR_PARTITION Stale,
        "UNKNOWN_TOPIC_OR_PARTITION.",
        "";
    4 INVALID_FETCH_SIZE Fatal,
        "INVALID_FETCH_SIZE.",
        "";
    5 LEADER_NOT_AVAILABLE Stale,
        "LEADER_NOT_AVAILABLE.",
        "";
    6 NOT_LEADER_OR_FOLLOWER Stale,
        "NOT_LEADER_OR_FOLLOWER.",
        "";
    7 REQUEST_TIMED_OUT Retry,
        "REQUEST_TIMED_OUT.",
        "";
    8 BROKER_NOT_AVAILABLE Fatal,
        "BROKER_NOT_AVAILABLE.",
        "";
    9 REPLICA_NOT_AVAILABLE Stale,
        "REPLICA_NOT_AVAILABLE.",
        "";
    10 MESSAGE_TOO_LARGE Fatal,
        "MESSAGE_TOO_LARGE.",
        "";
    11 STALE_CONTROLLER_EPOCH Fatal,
        "STALE_CONTROLLER_EPOCH.",
        "";
    12 OFFSET_METADATA_TOO_LARGE Fatal,
        "OFFSET_METADATA_TOO_LARGE.",
        "";
    13 NETWORK_EXCEPTION Stale,
        "NETWORK_EXCEPTION.",
        "";
    14 COORDINATOR_LOAD_IN_PROGRESS Retry,
        "COORDINATOR_LOAD_IN_PROGRESS.",
        "";
    15 COORDINATOR_NOT_AVAILABLE Retry,
        "COORDINATOR_NOT_AVAILABLE.",
        "";
    16 NOT_COORDINATOR Retry,
        "NOT_COORDINATOR.",
        "";
    17 INVALID_TOPIC_EXCEPTION Fatal,
        "INVALID_TOPIC_EXCEPTION.",
        "";
    18 RECORD_LIST_TOO_LARGE Fatal,
        "RECORD_LIST_TOO_LARGE.",
        "";
    19 NOT_ENOUGH_REPLICAS Retry,
        "NOT_ENOUGH_REPLICAS.",
        "";
    20 NOT_ENOUGH_REPLICAS_AFTER_APPEND Retry,
        "NOT_ENOUGH_REPLICAS_AFTER_APPEND.",
        "";
    21 INVALID_REQUIRED_ACKS Fatal,
        "INVALID_REQUIRED_ACKS.",
        "";
    22 ILLEGAL_GENERATION Fatal,
        "ILLEGAL_GENERATION.",
        "";
    23 INCONSISTENT_GROUP_PROTOCOL Fatal,
        "INCONSISTENT_GROUP_PROTOCOL.",
        "";
    24 INVALID_GROUP_ID Fatal,
        "INVALID_GROUP_ID.",
        "";
    25 UNKNOWN_MEMBER_ID Fatal,
        "UNKNOWN_MEMBER_ID.",
        "";
    26 INVALID_SESSION_TIMEOUT Fatal,
        "INVALID_SESSION_TIMEOUT.",
        "";
    27 REBALANCE_IN_PROGRESS Fatal,
        "REBALANCE_IN_PROGRESS.",
        "";
    28 INVALID_COMMIT_OFFSET_SIZE Fatal,
        "INVALID_COMMIT_OFFSET_SIZE.",
        "";
    29 TOPIC_AUTHORIZATION_FAILED Fatal,
        "TOPIC_AUTHORIZATION_FAILED.",
        "";
    30 GROUP_AUTHORIZATION_FAILED Fatal,
        "GROUP_AUTHORIZATION_FAILED.",
        "";
    31 CLUSTER_AUTHORIZATION_FAILED Fatal,
        "CLUSTER_AUTHORIZATION_FAILED.",
        "";
    32 INVALID_TIMESTAMP Fatal,
        "INVALID_TIMESTAMP.",
        "";
    33 UNSUPPORTED_SASL_MECHANISM Fatal,
        "UNSUPPORTED_SASL_MECHANISM.",
        "";
    34 ILLEGAL_SASL_STATE Fatal,
        "ILLEGAL_SASL_STATE.",
        "";
    35 UNSUPPORTED_VERSION Fatal,
        "UNSUPPORTED_VERSION.",
        "";
    36 TOPIC_ALREADY_EXISTS Fatal,
        "TOPIC_ALREADY_EXISTS.",
        "";
    37 INVALID_PARTITIONS Fatal,
        "INVALID_PARTITIONS.",
        "";
    38 INVALID_REPLICATION_FACTOR Fatal,
        "INVALID_REPLICATION_FACTOR.",
        "";
    39 INVALID_REPLICA_ASSIGNMENT Fatal,
        "INVALID_REPLICA_ASSIGNMENT.",
        "";
    40 INVALID_CONFIG Fatal,
        "INVALID_CONFIG.",
        "";
    41 NOT_CONTROLLER Retry,
        "NOT_CONTROLLER.",
        "";
    42 INVALID_REQUEST Fatal,
        "INVALID_REQUEST.",
        "";
    43 UNSUPPORTED_FOR_MESSAGE_FORMAT Fatal,
        "UNSUPPORTED_FOR_MESSAGE_FORMAT.",
        "";
    44 POLICY_VIOLATION Fatal,
        "POLICY_VIOLATION.",
        "";
    45 OUT_OF_ORDER_SEQUENCE_NUMBER Fatal,
        "OUT_OF_ORDER_SEQUENCE_NUMBER.",
        "";
    46 DUPLICATE_SEQUENCE_NUMBER Fatal,
        "DUPLICATE_SEQUENCE_NUMBER.",
        "";
    47 INVALID_PRODUCER_EPOCH Fatal,
        "INVALID_PRODUCER_EPOCH.",
        "";
    48 INVALID_TXN_STATE Fatal,
        "INVALID_TXN_STATE.",
        "";
    49 INVALID_PRODUCER_ID_MAPPING Fatal,
        "INVALID_PRODUCER_ID_MAPPING.",
        "";
    50 INVALID_TRANSACTION_TIMEOUT Fatal,
        "INVALID_TRANSACTION_TIMEOUT.",
        "";
    51 CONCURRENT_TRANSACTIONS Retry,
        "CONCURRENT_TRANSACTIONS.",
        "";
    52 TRANSACTION_COORDINATOR_FENCED Fatal,
        "TRANSACTION_COORDINATOR_FENCED.",
        "";
    53 TRANSACTIONAL_ID_AUTHORIZATION_FAILED Fatal,
        "TRANSACTIONAL_ID_AUTHORIZATION_FAILED.",
        "";
    54 SECURITY_DISABLED Fatal,
        "SECURITY_DISABLED.",
        "";
    55 OPERATION_NOT_ATTEMPTED Fatal,
        "OPERATION_NOT_ATTEMPTED.",
        "";
    56 KAFKA_STORAGE_ERROR Stale,
        "KAFKA_STORAGE_ERROR.",
        "";
    57 LOG_DIR_NOT_FOUND Fatal,
        "LOG_DIR_NOT_FOUND.",
        "";
    58 SASL_AUTHENTICATION_FAILED Fatal,
        "SASL_AUTHENTICATION_FAILED.",
        "";
    59 UNKNOWN_PRODUCER_ID Fatal,
        "UNKNOWN_PRODUCER_ID.",
        "";
    60 REASSIGNMENT_IN_PROGRESS Fatal,
        "REASSIGNMENT_IN_PROGRESS.",
        "";
    61 DELEGATION_TOKEN_AUTH_DISABLED Fatal,
        "DELEGATION_TOKEN_AUTH_DISABLED.",
        "";
    62 DELEGATION_TOKEN_NOT_FOUND Fatal,
        "DELEGATION_TOKEN_NOT_FOUND.",
        "";
    63 DELEGATION_TOKEN_OWNER_MISMATCH Fatal,
        "DELEGATION_TOKEN_OWNER_MISMATCH.",
        "";
    64 DELEGATION_TOKEN_REQUEST_NOT_ALLOWED Fatal,
        "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED.",
        "";
    65 DELEGATION_TOKEN_AUTHORIZATION_FAILED Fatal,
        "DELEGATION_TOKEN_AUTHORIZATION_FAILED.",
        "";
    66 DELEGATION_TOKEN_EXPIRED Fatal,
        "DELEGATION_TOKEN_EXPIRED.",
        "";
    67 INVALID_PRINCIPAL_TYPE Fatal,
        "INVALID_PRINCIPAL_TYPE.",
        "";
    68 NON_EMPTY_GROUP Fatal,
        "NON_EMPTY_GROUP.",
        "";
    69 GROUP_ID_NOT_FOUND Fatal,
        "GROUP_ID_NOT_FOUND.",
        "";
    70 FETCH_SESSION_ID_NOT_FOUND Retry,
        "FETCH_SESSION_ID_NOT_FOUND.",
        "";
    71 INVALID_FETCH_SESSION_EPOCH Retry,
        "INVALID_FETCH_SESSION_EPOCH.",
        "";
    72 LISTENER_NOT_FOUND Stale,
        "LISTENER_NOT_FOUND.",
        "";
    73 TOPIC_DELETION_DISABLED Fatal,
        "TOPIC_DELETION_DISABLED.",
        "";
    74 FENCED_LEADER_EPOCH Stale,
        "FENCED_LEADER_EPOCH.",
        "";
    75 UNKNOWN_LEADER_EPOCH Retry,
        "UNKNOWN_LEADER_EPOCH.",
        "";
    76 UNSUPPORTED_COMPRESSION_TYPE Fatal,
        "UNSUPPORTED_COMPRESSION_TYPE.",
        "";
    77 STALE_BROKER_EPOCH Fatal,
        "STALE_BROKER_EPOCH.",
        "";
    78 OFFSET_NOT_AVAILABLE Retry,
        "OFFSET_NOT_AVAILABLE.",
        "";
    79 MEMBER_ID_REQUIRED Fatal,
        "MEMBER_ID_REQUIRED.",
        "";
    80 PREFERRED_LEADER_NOT_AVAILABLE Stale,
        "PREFERRED_LEADER_NOT_AVAILABLE.",
        "";
    81 GROUP_MAX_SIZE_REACHED Fatal,
        "GROUP_MAX_SIZE_REACHED.",
        "";
    82 FENCED_INSTANCE_ID Fatal,
        "FENCED_INSTANCE_ID.",
        "";
    83 ELIGIBLE_LEADERS_NOT_AVAILABLE Stale,
        "ELIGIBLE_LEADERS_NOT_AVAILABLE.",
        "";
    84 ELECTION_NOT_NEEDED Stale,
        "ELECTION_NOT_NEEDED.",
        "";
    85 NO_REASSIGNMENT_IN_PROGRESS Fatal,
        "NO_REASSIGNMENT_IN_PROGRESS.",
        "";
    86 GROUP_SUBSCRIBED_TO_TOPIC Fatal,
        "GROUP_SUBSCRIBED_TO_TOPIC.",
        "";
    87 INVALID_RECORD Fatal,
        "INVALID_RECORD.",
        "";
    88 UNSTABLE_OFFSET_COMMIT Retry,
        "UNSTABLE_OFFSET_COMMIT.",
        "";
    89 THROTTLING_QUOTA_EXCEEDED Retry,
        "THROTTLING_QUOTA_EXCEEDED.",
        "";
    90 PRODUCER_FENCED Fatal,
        "PRODUCER_FENCED.",
        "";
    91 RESOURCE_NOT_FOUND Fatal,
        "RESOURCE_NOT_FOUND.",
        "";
    92 DUPLICATE_RESOURCE Fatal,
        "DUPLICATE_RESOURCE.",
        "";
    93 UNACCEPTABLE_CREDENTIAL Fatal,
        "UNACCEPTABLE_CREDENTIAL.",
        "";
    94 INCONSISTENT_VOTER_SET Fatal,
        "INCONSISTENT_VOTER_SET.",
        "";
    95 INVALID_UPDATE_VERSION Fatal,
        "INVALID_UPDATE_VERSION.",
        "";
    96 FEATURE_UPDATE_FAILED Fatal,
        "FEATURE_UPDATE_FAILED.",
        "";
    97 PRINCIPAL_DESERIALIZATION_FAILURE Fatal,
        "PRINCIPAL_DESERIALIZATION_FAILURE.",
        "";
    98 SNAPSHOT_NOT_FOUND Fatal,
        "SNAPSHOT_NOT_FOUND.",
        "";
    99 POSITION_OUT_OF_RANGE Fatal,
        "POSITION_OUT_OF_RANGE.",
        "";
    100 UNKNOWN_TOPIC_ID Stale,
        "UNKNOWN_TOPIC_ID.",
        "";
    101 DUPLICATE_BROKER_REGISTRATION Fatal,
        "DUPLICATE_BROKER_REGISTRATION.",
        "";
    102 BROKER_ID_NOT_REGISTERED Fatal,
        "BROKER_ID_NOT_REGISTERED.",
        "";
    103 INCONSISTENT_TOPIC_ID Stale,
        "INCONSISTENT_TOPIC_ID.",
        "";
    104 INCONSISTENT_CLUSTER_ID Fatal,
        "INCONSISTENT_CLUSTER_ID.",
        "";
    105 TRANSACTIONAL_ID_NOT_FOUND Fatal,
        "TRANSACTIONAL_ID_NOT_FOUND.",
        "";
    106 FETCH_SESSION_TOPIC_ID_ERROR Retry,
        "FETCH_SESSION_TOPIC_ID_ERROR.",
        "";
    107 INELIGIBLE_REPLICA Fatal,
        "INELIGIBLE_REPLICA.",
        "";
    108 NEW_LEADER_ELECTED Fatal,
        "NEW_LEADER_ELECTED.",
        "";
    109 OFFSET_MOVED_TO_TIERED_STORAGE Fatal,
        "OFFSET_MOVED_TO_TIERED_STORAGE.",
        "";
    110 FENCED_MEMBER_EPOCH Fatal,
        "FENCED_MEMBER_EPOCH.",
        "";
    111 UNRELEASED_INSTANCE_ID Fatal,
        "UNRELEASED_INSTANCE_ID.",
        "";
    112 UNSUPPORTED_ASSIGNOR Fatal,
        "UNSUPPORTED_ASSIGNOR.",
        "";
    113 STALE_MEMBER_EPOCH Fatal,
        "STALE_MEMBER_EPOCH.",
        "";
    114 MISMATCHED_ENDPOINT_TYPE Fatal,
        "MISMATCHED_ENDPOINT_TYPE.",
        "";
    115 UNSUPPORTED_ENDPOINT_TYPE Fatal,
        "UNSUPPORTED_ENDPOINT_TYPE.",
        "";
    116 UNKNOWN_CONTROLLER_ID Fatal,
        "UNKNOWN_CONTROLLER_ID.",
        "";
    117 UNKNOWN_SUBSCRIPTION_ID Fatal,
        "UNKNOWN_SUBSCRIPTION_ID.",
        "";
    118 TELEMETRY_TOO_LARGE Fatal,
        "TELEMETRY_TOO_LARGE.",
        "";
    119 INVALID_REGISTRATION Fatal,
        "INVALID_REGISTRATION.",
        "";
    120 TRANSACTION_ABORTABLE Fatal,
        "TRANSACTION_ABORTABLE.",
        "";
    121 INVALID_RECORD_STATE Fatal,
        "INVALID_RECORD_STATE.",
        "";
    122 SHARE_SESSION_NOT_FOUND Retry,
        "SHARE_SESSION_NOT_FOUND.",
        "";
    123 INVALID_SHARE_SESSION_EPOCH Retry,
        "INVALID_SHARE_SESSION_EPOCH.",
        "";
    124 FENCED_STATE_EPOCH Fatal,
        "FENCED_STATE_EPOCH.",
        "";
    125 INVALID_VOTER_KEY Fatal,
        "INVALID_VOTER_KEY.",
        "";
    126 DUPLICATE_VOTER Fatal,
        "DUPLICATE_VOTER.",
        "";
    127 VOTER_NOT_FOUND Fatal,
        "VOTER_NOT_FOUND.",
        "";
    128 INVALID_REGULAR_EXPRESSION Fatal,
        "INVALID_REGULAR_EXPRESSION.",
        "";
    129 REBOOTSTRAP_REQUIRED Fatal,
        "REBOOTSTRAP_REQUIRED.",
        "";
    130 STREAMS_INVALID_TOPOLOGY Fatal,
        "STREAMS_INVALID_TOPOLOGY.",
        "";
    131 STREAMS_INVALID_TOPOLOGY_EPOCH Fatal,
        "STREAMS_INVALID_TOPOLOGY_EPOCH.",
        "";
    132 STREAMS_TOPOLOGY_FENCED Fatal,
        "STREAMS_TOPOLOGY_FENCED.",
        "";
    133 SHARE_SESSION_LIMIT_REACHED Retry,
        "SHARE_SESSION_LIMIT_REACHED.",
        "";
}
