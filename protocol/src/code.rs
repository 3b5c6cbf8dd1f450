//! Every error code a broker may answer with, in one table: its name, what it means, what to do
//! about it, whether asking again may help, and whether what we know of the cluster is stale. In
//! comes a number from the wire, out comes advice.
//!
//! Names, numbers and flags are those of Kafka 4.4; the words are ours.

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

    /// Whether leaders or topics have changed since the metadata was read: refresh it before asking
    /// again.
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
                        hint: "Look the number up in Kafka's documentation, and update this client.",
                    },
                }
            }
        }
    };
}

codes! {
    -1 UNKNOWN_SERVER_ERROR Fatal,
        "The broker failed in a way that it has no code for.",
        "Look into the broker's log; if it lasts, tell whoever runs the cluster.";
    0 NONE Fatal,
        "No error.",
        "Nothing to do.";
    1 OFFSET_OUT_OF_RANGE Fatal,
        "The offset lies before the log's start or beyond its end.",
        "Choose where to go on, earliest or latest; records may have been deleted by retention.";
    2 CORRUPT_MESSAGE Retry,
        "The records fail their checksum, are too large, or lack a compacted topic's key.",
        "Retry; if it lasts, check keys on compacted topics, and the broker's disks.";
    3 UNKNOWN_TOPIC_OR_PARTITION Stale,
        "The broker does not host this topic or partition.",
        "Check the topic's name and the right to describe it; a new topic needs a moment.";
    4 INVALID_FETCH_SIZE Fatal,
        "The size to fetch is not valid.",
        "Set the fetch sizes to more than zero.";
    5 LEADER_NOT_AVAILABLE Stale,
        "The partition has no leader at the moment; an election is going on.",
        "Retry; if it lasts, look for brokers that are down.";
    6 NOT_LEADER_OR_FOLLOWER Stale,
        "The broker does not lead this partition any more, or holds no replica of it.",
        "Refresh the metadata and ask the new leader.";
    7 REQUEST_TIMED_OUT Retry,
        "The broker did not finish within the time given.",
        "Retry, or raise the request timeout; a write may have happened all the same.";
    8 BROKER_NOT_AVAILABLE Fatal,
        "The broker is not available.",
        "Wait for the broker to come back.";
    9 REPLICA_NOT_AVAILABLE Stale,
        "This replica is not available.",
        "Retry, or read from the leader.";
    10 MESSAGE_TOO_LARGE Fatal,
        "A record batch is larger than the broker or the topic accepts.",
        "Send smaller records or batches, or raise max.message.bytes of the topic.";
    11 STALE_CONTROLLER_EPOCH Fatal,
        "The controller has moved to another broker.",
        "Ask the new controller.";
    12 OFFSET_METADATA_TOO_LARGE Fatal,
        "The metadata beside a committed offset is too long.",
        "Shorten it, or raise offset.metadata.max.bytes of the brokers.";
    13 NETWORK_EXCEPTION Stale,
        "The connection ended before the response came.",
        "Retry; a write may have happened all the same.";
    14 COORDINATOR_LOAD_IN_PROGRESS Retry,
        "The coordinator is still loading its state.",
        "Retry after a moment.";
    15 COORDINATOR_NOT_AVAILABLE Retry,
        "There is no coordinator for this group or transaction yet.",
        "Find the coordinator again and retry; if it lasts, check the brokers' internal topics.";
    16 NOT_COORDINATOR Retry,
        "This broker does not coordinate the group or transaction.",
        "Find the coordinator again and ask it.";
    17 INVALID_TOPIC_EXCEPTION Fatal,
        "The topic's name is not valid, or the topic is one of Kafka's own.",
        "Use a name of letters, digits, dot, underscore and hyphen, of at most 249 characters.";
    18 RECORD_LIST_TOO_LARGE Fatal,
        "The batch is larger than a segment of the log.",
        "Send smaller batches, or raise segment.bytes of the topic.";
    19 NOT_ENOUGH_REPLICAS Retry,
        "Fewer replicas are in sync than the topic demands; nothing was written.",
        "Retry; if it lasts, bring back brokers or lower min.insync.replicas.";
    20 NOT_ENOUGH_REPLICAS_AFTER_APPEND Retry,
        "The records were written, but to fewer replicas than the topic demands.",
        "Retry with an idempotent producer, or the records may be there twice.";
    21 INVALID_REQUIRED_ACKS Fatal,
        "The number of acknowledgements asked for is not -1, 0 or 1.",
        "Set acks to all, 0 or 1.";
    22 ILLEGAL_GENERATION Fatal,
        "The member belongs to an older generation of its group.",
        "Rejoin the group; do not commit what belongs to the old generation.";
    23 INCONSISTENT_GROUP_PROTOCOL Fatal,
        "The member's protocols do not go with those of the group.",
        "Give all members of the group the same protocol type and one assignor in common.";
    24 INVALID_GROUP_ID Fatal,
        "The group's name is not valid.",
        "Set a group id that is not empty.";
    25 UNKNOWN_MEMBER_ID Fatal,
        "The coordinator does not know this member.",
        "Rejoin the group as a new member.";
    26 INVALID_SESSION_TIMEOUT Fatal,
        "The session timeout is outside what the brokers allow.",
        "Choose one between group.min.session.timeout.ms and group.max.session.timeout.ms.";
    27 REBALANCE_IN_PROGRESS Fatal,
        "The group is rebalancing.",
        "Rejoin the group.";
    28 INVALID_COMMIT_OFFSET_SIZE Fatal,
        "The offset commit is too large.",
        "Commit fewer partitions at once, or shorter metadata.";
    29 TOPIC_AUTHORIZATION_FAILED Fatal,
        "The user has no right to do this with the topic.",
        "Grant the user the right on the topic (kafka-acls.sh), or use another user.";
    30 GROUP_AUTHORIZATION_FAILED Fatal,
        "The user has no right to do this with the group.",
        "Grant the user the right on the group, or choose a group id that is allowed.";
    31 CLUSTER_AUTHORIZATION_FAILED Fatal,
        "The user has no right to do this with the cluster.",
        "Grant the user the right on the cluster.";
    32 INVALID_TIMESTAMP Fatal,
        "A record's timestamp is out of the range that the topic accepts.",
        "Check the timestamps, and message.timestamp.before.max.ms of the topic.";
    33 UNSUPPORTED_SASL_MECHANISM Fatal,
        "The broker does not offer this SASL mechanism.",
        "Choose one of sasl.enabled.mechanisms of that listener.";
    34 ILLEGAL_SASL_STATE Fatal,
        "The request does not fit the state of the SASL exchange.",
        "Check that security.protocol is that of the listener.";
    35 UNSUPPORTED_VERSION Fatal,
        "The broker does not speak this version of the API.",
        "Use a feature that this broker has, or a newer broker.";
    36 TOPIC_ALREADY_EXISTS Fatal,
        "A topic of this name exists.",
        "Choose another name, or go on with the topic that is there.";
    37 INVALID_PARTITIONS Fatal,
        "The number of partitions is not valid.",
        "Ask for at least one partition, and never for fewer than there are.";
    38 INVALID_REPLICATION_FACTOR Fatal,
        "The replication factor is below one, or there are fewer brokers than replicas.",
        "Choose a replication factor between one and the number of living brokers.";
    39 INVALID_REPLICA_ASSIGNMENT Fatal,
        "The assignment of replicas to brokers is not valid.",
        "List each partition once, with the same number of existing brokers for all.";
    40 INVALID_CONFIG Fatal,
        "A configuration value is not valid.",
        "Correct the value; the broker's message says which.";
    41 NOT_CONTROLLER Retry,
        "The broker is not the controller.",
        "Refresh the metadata and ask the controller.";
    42 INVALID_REQUEST Fatal,
        "The broker does not understand the request, or its fields contradict one another.",
        "Look into the broker's log for the reason; client and broker may not go together.";
    43 UNSUPPORTED_FOR_MESSAGE_FORMAT Fatal,
        "The topic's message format is too old for this request.",
        "Let the broker convert the topic to message format 2.";
    44 POLICY_VIOLATION Fatal,
        "The request offends against a policy of the cluster.",
        "Read the policy's message, or ask whoever runs the cluster.";
    45 OUT_OF_ORDER_SEQUENCE_NUMBER Fatal,
        "A batch's sequence number does not follow on the one before.",
        "Treat the records as possibly lost; start over with a new producer id or transaction.";
    46 DUPLICATE_SEQUENCE_NUMBER Fatal,
        "The broker has this batch already.",
        "Nothing is lost; take it as written.";
    47 INVALID_PRODUCER_EPOCH Fatal,
        "The producer's epoch is old.",
        "Begin again with a new epoch; in a transaction, abort first.";
    48 INVALID_TXN_STATE Fatal,
        "The transaction is in a state that does not allow this.",
        "Abort the transaction and begin another.";
    49 INVALID_PRODUCER_ID_MAPPING Fatal,
        "The producer id does not belong to this transactional id any more.",
        "Initialise the producer again; the transactional id may have expired.";
    50 INVALID_TRANSACTION_TIMEOUT Fatal,
        "The transaction timeout is larger than the brokers allow.",
        "Lower transaction.timeout.ms to at most transaction.max.timeout.ms of the brokers.";
    51 CONCURRENT_TRANSACTIONS Retry,
        "Another operation on the same transaction is still going on.",
        "Retry after a moment.";
    52 TRANSACTION_COORDINATOR_FENCED Fatal,
        "The transaction's coordinator is not the current one any more.",
        "Nothing to do: brokers deal with it among themselves.";
    53 TRANSACTIONAL_ID_AUTHORIZATION_FAILED Fatal,
        "The user has no right on the transactional id.",
        "Grant the user Write and Describe on the transactional id.";
    54 SECURITY_DISABLED Fatal,
        "The cluster runs without this security feature.",
        "Switch the feature on at the brokers, or do without it.";
    55 OPERATION_NOT_ATTEMPTED Fatal,
        "The broker did not try, since another part of the same request failed.",
        "Mend the part that failed, and ask again.";
    56 KAFKA_STORAGE_ERROR Stale,
        "The broker could not read or write its disk.",
        "Retry; the partition moves to another broker. Have the disk checked.";
    57 LOG_DIR_NOT_FOUND Fatal,
        "The broker has no such log directory.",
        "Choose one of log.dirs of that broker.";
    58 SASL_AUTHENTICATION_FAILED Fatal,
        "The credentials were refused.",
        "Check mechanism, user and password or token; retrying does not help.";
    59 UNKNOWN_PRODUCER_ID Fatal,
        "The broker has forgotten this producer, for instance since all its records were deleted.",
        "Start over with a new producer id.";
    60 REASSIGNMENT_IN_PROGRESS Fatal,
        "The partition's replicas are being moved.",
        "Wait for the move to end.";
    61 DELEGATION_TOKEN_AUTH_DISABLED Fatal,
        "Delegation tokens are switched off.",
        "Set delegation.token.secret.key at the brokers.";
    62 DELEGATION_TOKEN_NOT_FOUND Fatal,
        "There is no such delegation token.",
        "Create a new token.";
    63 DELEGATION_TOKEN_OWNER_MISMATCH Fatal,
        "The user neither owns the delegation token nor may renew it.",
        "Use the owner, or a renewer named in the token.";
    64 DELEGATION_TOKEN_REQUEST_NOT_ALLOWED Fatal,
        "Delegation tokens may not be asked for over this kind of connection.",
        "Connect by TLS with a client certificate or by SASL, not by a token.";
    65 DELEGATION_TOKEN_AUTHORIZATION_FAILED Fatal,
        "The user has no right to this delegation token.",
        "Grant the user Describe on the token.";
    66 DELEGATION_TOKEN_EXPIRED Fatal,
        "The delegation token has expired.",
        "Create a new token, and renew it in time.";
    67 INVALID_PRINCIPAL_TYPE Fatal,
        "The kind of principal is not supported.",
        "Use principals of the kind User.";
    68 NON_EMPTY_GROUP Fatal,
        "The group still has members.",
        "Stop the group's members first.";
    69 GROUP_ID_NOT_FOUND Fatal,
        "There is no such group.",
        "Check the group id.";
    70 FETCH_SESSION_ID_NOT_FOUND Retry,
        "The broker does not know this fetch session; it may have been pushed out by others.",
        "Begin a new fetch session.";
    71 INVALID_FETCH_SESSION_EPOCH Retry,
        "The fetch session's epoch is not the one that the broker expects.",
        "Begin a new fetch session.";
    72 LISTENER_NOT_FOUND Stale,
        "The leader has no listener of the kind that was asked.",
        "Retry; if it lasts, give all brokers the same listeners.";
    73 TOPIC_DELETION_DISABLED Fatal,
        "Deleting topics is switched off.",
        "Set delete.topic.enable at the brokers.";
    74 FENCED_LEADER_EPOCH Stale,
        "The client knows an older leader epoch than the broker.",
        "Refresh the metadata and ask again.";
    75 UNKNOWN_LEADER_EPOCH Retry,
        "The client knows a newer leader epoch than the broker.",
        "Retry; the broker is behind.";
    76 UNSUPPORTED_COMPRESSION_TYPE Fatal,
        "The broker, or the version of the request, cannot carry this compression.",
        "Choose another compression.type, or use a newer client.";
    77 STALE_BROKER_EPOCH Fatal,
        "The broker's epoch has changed.",
        "Nothing to do: the broker registers again.";
    78 OFFSET_NOT_AVAILABLE Retry,
        "A new leader does not know its high watermark yet.",
        "Retry after a moment.";
    79 MEMBER_ID_REQUIRED Fatal,
        "The coordinator wants the member to come back with the id that it has just given out.",
        "Rejoin with that member id.";
    80 PREFERRED_LEADER_NOT_AVAILABLE Stale,
        "The preferred leader is not available.",
        "Bring back the broker that is the preferred leader.";
    81 GROUP_MAX_SIZE_REACHED Fatal,
        "The group has as many members as the brokers allow.",
        "Use fewer members, or raise the brokers' limit.";
    82 FENCED_INSTANCE_ID Fatal,
        "Another member with the same group.instance.id has taken over.",
        "Give each member its own group.instance.id.";
    83 ELIGIBLE_LEADERS_NOT_AVAILABLE Stale,
        "No replica may become leader.",
        "Bring back a broker with an in-sync replica.";
    84 ELECTION_NOT_NEEDED Stale,
        "The partition has the leader that was asked for.",
        "Nothing to do.";
    85 NO_REASSIGNMENT_IN_PROGRESS Fatal,
        "The partition's replicas are not being moved.",
        "Nothing to cancel.";
    86 GROUP_SUBSCRIBED_TO_TOPIC Fatal,
        "The group is subscribed to this topic.",
        "Stop the members that are subscribed, then delete the offsets.";
    87 INVALID_RECORD Fatal,
        "The broker refuses a record, for instance since a compacted topic wants a key.",
        "Mend the record that the response names.";
    88 UNSTABLE_OFFSET_COMMIT Retry,
        "Offsets of a transaction that is still open stand in the way.",
        "Retry until the transaction has ended.";
    89 THROTTLING_QUOTA_EXCEEDED Retry,
        "A quota is exceeded.",
        "Retry after the throttle time that came with the answer.";
    90 PRODUCER_FENCED Fatal,
        "A newer producer has the same transactional id.",
        "Stop this producer; give each one its own transactional id if both should live.";
    91 RESOURCE_NOT_FOUND Fatal,
        "There is no such resource.",
        "Check the resource's name.";
    92 DUPLICATE_RESOURCE Fatal,
        "The request names the same resource twice.",
        "Name each resource once.";
    93 UNACCEPTABLE_CREDENTIAL Fatal,
        "The new credential does not meet the demands.",
        "Choose a stronger one, with iterations inside the allowed range.";
    94 INCONSISTENT_VOTER_SET Fatal,
        "Sender or recipient is not one of the expected voters.",
        "Check controller.quorum.voters on all controllers.";
    95 INVALID_UPDATE_VERSION Fatal,
        "The feature level to set is not valid.",
        "Choose a level that all brokers support.";
    96 FEATURE_UPDATE_FAILED Fatal,
        "Feature levels could not be set.",
        "Look into the controller's log for the reason.";
    97 PRINCIPAL_DESERIALIZATION_FAILURE Fatal,
        "A forwarded request's principal could not be read.",
        "Make sure that all brokers have the same principal builder.";
    98 SNAPSHOT_NOT_FOUND Fatal,
        "There is no such snapshot.",
        "Nothing to do: the replica asks for a newer one.";
    99 POSITION_OUT_OF_RANGE Fatal,
        "The position is outside the snapshot.",
        "Nothing to do: the replica begins again.";
    100 UNKNOWN_TOPIC_ID Stale,
        "The broker does not host a topic with this id; it may have been deleted and made anew.",
        "Refresh the metadata; a topic made anew has a new id, and its offsets begin again.";
    101 DUPLICATE_BROKER_REGISTRATION Fatal,
        "Another broker has this id.",
        "Give each broker its own node.id.";
    102 BROKER_ID_NOT_REGISTERED Fatal,
        "No broker of this id is registered.",
        "Check the broker's id.";
    103 INCONSISTENT_TOPIC_ID Stale,
        "The log belongs to a topic with another id.",
        "Refresh the metadata; the topic was deleted and made anew.";
    104 INCONSISTENT_CLUSTER_ID Fatal,
        "The cluster is another one.",
        "Check the bootstrap servers; they lead to a different cluster.";
    105 TRANSACTIONAL_ID_NOT_FOUND Fatal,
        "There is no such transactional id.",
        "Check the transactional id; it may have expired.";
    106 FETCH_SESSION_TOPIC_ID_ERROR Retry,
        "The fetch session mixes topics with and without ids.",
        "Begin a new fetch session.";
    107 INELIGIBLE_REPLICA Fatal,
        "A replica may not be in sync.",
        "Nothing to do: the leader tries again.";
    108 NEW_LEADER_ELECTED Fatal,
        "The change was made, and the leader has moved.",
        "Refresh the metadata.";
    109 OFFSET_MOVED_TO_TIERED_STORAGE Fatal,
        "The offset has moved to tiered storage.",
        "Nothing to do: the follower reads on from there.";
    110 FENCED_MEMBER_EPOCH Fatal,
        "The coordinator has fenced the member's epoch.",
        "Give up all partitions, then rejoin with epoch 0.";
    111 UNRELEASED_INSTANCE_ID Fatal,
        "Another member still holds this instance id.",
        "Wait until that member has left.";
    112 UNSUPPORTED_ASSIGNOR Fatal,
        "The group does not support the assignor.",
        "Choose one of group.consumer.assignors of the brokers.";
    113 STALE_MEMBER_EPOCH Fatal,
        "The member's epoch is behind.",
        "Retry with the epoch that the next heartbeat brings.";
    114 MISMATCHED_ENDPOINT_TYPE Fatal,
        "The request came to a broker where a controller was meant, or the other way round.",
        "Use bootstrap.servers for brokers, bootstrap.controllers for controllers.";
    115 UNSUPPORTED_ENDPOINT_TYPE Fatal,
        "This kind of endpoint is not supported yet.",
        "Ask a broker.";
    116 UNKNOWN_CONTROLLER_ID Fatal,
        "The controller's id is not known.",
        "Check the controller's id.";
    117 UNKNOWN_SUBSCRIPTION_ID Fatal,
        "The telemetry subscription is not known any more.",
        "Fetch the subscription again.";
    118 TELEMETRY_TOO_LARGE Fatal,
        "The telemetry is larger than the broker accepts.",
        "Push fewer metrics.";
    119 INVALID_REGISTRATION Fatal,
        "The controller refuses the broker's registration.",
        "Look into the controller's log for the reason.";
    120 TRANSACTION_ABORTABLE Fatal,
        "The transaction cannot go on, but may be aborted.",
        "Abort the transaction and begin another; the transactional id stays good.";
    121 INVALID_RECORD_STATE Fatal,
        "The record is not in a state in which it can be acknowledged.",
        "Take it as unacknowledged; it may be delivered again.";
    122 SHARE_SESSION_NOT_FOUND Retry,
        "The broker does not know this share session.",
        "Begin a new share session.";
    123 INVALID_SHARE_SESSION_EPOCH Retry,
        "The share session's epoch is not the one that the broker expects.",
        "Begin a new share session.";
    124 FENCED_STATE_EPOCH Fatal,
        "The share group's state has a newer epoch.",
        "Nothing to do: the broker reads the state again.";
    125 INVALID_VOTER_KEY Fatal,
        "The voter's key is not that of the replica.",
        "Check the directory id of the controller.";
    126 DUPLICATE_VOTER Fatal,
        "The controller is a voter already.",
        "Nothing to do.";
    127 VOTER_NOT_FOUND Fatal,
        "The controller is not a voter.",
        "Check the controller's id and directory id.";
    128 INVALID_REGULAR_EXPRESSION Fatal,
        "The regular expression is not valid.",
        "Use the syntax of RE2, which knows no look-around and no back-references.";
    129 REBOOTSTRAP_REQUIRED Fatal,
        "What the client knows of the cluster is too old to go on with.",
        "Forget the known brokers and begin again from the bootstrap servers.";
    130 STREAMS_INVALID_TOPOLOGY Fatal,
        "The topology of the streams group is not valid.",
        "Check the topology; the broker's message says what is wrong.";
    131 STREAMS_INVALID_TOPOLOGY_EPOCH Fatal,
        "The epoch of the topology is not valid.",
        "Give all members the same topology epoch.";
    132 STREAMS_TOPOLOGY_FENCED Fatal,
        "The epoch of the topology is out of date.",
        "Update this member to the newer topology.";
    133 SHARE_SESSION_LIMIT_REACHED Retry,
        "The broker has as many share sessions as it allows.",
        "Retry later, or raise group.share.max.share.sessions of the brokers.";
    134 GROUP_DELETION_FAILED Fatal,
        "The group could not be deleted.",
        "Read the broker's message beside this code; it says why.";
    135 STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED Fatal,
        "The broker could not take the description of the streams group's topology.",
        "Read the broker's message beside this code; it says why.";
    136 CONTROLLER_ID_NOT_REGISTERED Fatal,
        "No controller is registered with this id.",
        "Check the controller's id; it may have been removed already.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_every_code_of_kafka_4_4_in_order() {
        let codes: Vec<i16> = ErrorCode::ALL.iter().map(|code| code.0).collect();
        assert_eq!(codes, (-1..=136).collect::<Vec<i16>>());
    }

    #[test]
    fn every_code_says_what_it_means_and_what_to_do() {
        for code in ErrorCode::ALL {
            for text in [code.meaning(), code.hint()] {
                assert!(text.len() > 5 && text.ends_with('.'), "{code}: {text}");
            }
        }
    }

    #[test]
    fn names_are_kafkas_and_unique() {
        let mut names: Vec<_> = ErrorCode::ALL.iter().map(|code| code.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ErrorCode::ALL.len());
        assert_eq!(ErrorCode(6).name(), "NOT_LEADER_OR_FOLLOWER");
        assert_eq!(ErrorCode::NOT_LEADER_OR_FOLLOWER.to_string(), "NOT_LEADER_OR_FOLLOWER (6)");
    }

    #[test]
    fn stale_metadata_is_always_retriable() {
        assert!(ErrorCode::NOT_LEADER_OR_FOLLOWER.is_stale_metadata());
        assert!(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS.is_retriable());
        assert!(!ErrorCode::COORDINATOR_LOAD_IN_PROGRESS.is_stale_metadata());
        assert!(!ErrorCode::TOPIC_AUTHORIZATION_FAILED.is_retriable());
        for code in ErrorCode::ALL {
            assert!(code.is_retriable() || !code.is_stale_metadata(), "{code}");
        }
    }

    #[test]
    fn a_code_newer_than_the_table_is_kept_and_never_retried() {
        let code = ErrorCode::from(9999);
        assert_eq!(code.to_string(), "UNKNOWN_ERROR_CODE (9999)");
        assert!(!code.is_ok() && !code.is_retriable());
        assert!(ErrorCode::default().is_ok());
        assert_eq!(ErrorCode::default(), ErrorCode::NONE);
    }
}
