//! Which requests there are. Kafka numbers its APIs and versions each of them by itself; a client
//! and a broker agree on a version per API (`ApiVersions`, KIP-35), and everything about a
//! message's bytes follows from (key, version).

use std::fmt;

use crate::error::{DecodeError, EncodeError};
use crate::wire::{Reader, Writer};

/// Something with fields and versions: a request or a response. Derived, never written by hand.
///
/// ```
/// use bytes::Bytes;
/// use klamm_protocol::api::Message;
/// use klamm_protocol::wire::{Reader, Writer};
/// use klamm_protocol_derive::Message;
///
/// #[derive(Message, Debug, PartialEq)]
/// #[message(versions = "0-2", flexible = "2+")]
/// struct Tower {
///     name: String,
///     #[field(versions = "1+", default = -1)]
///     height: i32,
/// }
///
/// let mut w = Writer::new();
/// Tower { name: "north".into(), height: 40 }.encode(&mut w, 2)?;
/// let bytes = w.finish()?.into_bytes();
/// assert_eq!(bytes, &b"\x06north\0\0\0\x28\0"[..]);
/// assert_eq!(Tower::decode(&mut Reader::new(bytes), 2)?.height, 40);
///
/// let old = Tower::decode(&mut Reader::new(Bytes::from_static(b"\0\x05north")), 0)?;
/// assert_eq!(old, Tower { name: "north".into(), height: -1 });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A struct inside itself does not compile, since a peer could nest it until the stack ends:
///
/// ```compile_fail,E0391
/// use klamm_protocol_derive::Message;
///
/// #[derive(Message, Debug, PartialEq)]
/// struct Endless {
///     inner: Vec<Endless>,
/// }
/// ```
///
/// `nullable` and `Option` belong together, and versions are written as Kafka writes them:
///
/// ```compile_fail
/// # use klamm_protocol_derive::Message;
/// #[derive(Message, Debug, PartialEq)]
/// struct Wrong {
///     #[field(versions = "0+")]
///     name: Option<String>,
/// }
/// ```
///
/// ```compile_fail
/// # use klamm_protocol_derive::Message;
/// #[derive(Message, Debug, PartialEq)]
/// struct Wrong {
///     #[field(versions = "from 0")]
///     name: String,
/// }
/// ```
pub trait Message: Sized {
    /// Writes the message as `version` lays it out.
    ///
    /// # Errors
    ///
    /// If `version` does not exist or cannot carry what the message holds.
    fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError>;

    /// Reads the message as `version` lays it out. Fields that `version` lacks get Kafka's default.
    /// Bytes after the message stay in the reader.
    ///
    /// # Errors
    ///
    /// If `version` does not exist or the bytes are no such message.
    fn decode(r: &mut Reader, version: i16) -> Result<Self, DecodeError>;

    /// For how many milliseconds a broker asks to be left alone (KIP-219): the field
    /// `throttle_time_ms` of a response, 0 where there is none. What a peer says: it may be
    /// negative.
    fn throttle_time_ms(&self) -> i32 {
        0
    }
}

/// A message that asks for another.
pub trait Request: Message {
    /// What comes back.
    type Response: Message;
    /// The API's number.
    const KEY: ApiKey;
    /// The versions that we know.
    const VERSIONS: VersionRange;
    /// The first version with compact lengths and tagged fields (KIP-482); `i16::MAX` if there is
    /// none.
    const FLEXIBLE_FROM: i16;
}

/// Versions from `min` to `max`, both included. Empty if `max < min`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VersionRange {
    /// The lowest version.
    pub min: i16,
    /// The highest version.
    pub max: i16,
}

impl VersionRange {
    /// The range from `min` to `max`.
    pub const fn new(min: i16, max: i16) -> Self {
        Self { min, max }
    }

    /// Whether `version` is inside.
    pub const fn contains(&self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }

    /// The versions that both ranges have; `None` if there is none. Its `max` is what two peers
    /// speak.
    pub fn intersect(&self, other: Self) -> Option<Self> {
        let both = Self::new(self.min.max(other.min), self.max.min(other.max));
        (both.min <= both.max).then_some(both)
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max { self.min.fmt(f) } else { write!(f, "{}-{}", self.min, self.max) }
    }
}

/// One row an API: its doc, name, number, and first flexible version.
macro_rules! api_keys {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $flexible:expr;)*) => {
        /// An API of Kafka.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum ApiKey {
            $($(#[$doc])* $name,)*
            /// One that is newer than this table. [`ApiKey::from_code`] gives it for numbers
            /// without a name only.
            Unknown(i16),
        }

        impl ApiKey {
            /// Every API that has a name here, by rising number.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The API with this number.
            pub const fn from_code(code: i16) -> Self {
                match code {
                    $($code => Self::$name,)*
                    _ => Self::Unknown(code),
                }
            }

            /// Its number on the wire.
            pub const fn code(self) -> i16 {
                match self {
                    $(Self::$name => $code,)*
                    Self::Unknown(code) => code,
                }
            }

            /// Kafka's name for it; "Unknown" for those without one.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                    Self::Unknown(_) => "Unknown",
                }
            }

            /// The first version with compact lengths and tagged fields (KIP-482); `i16::MAX` if
            /// there is none or the API is unknown.
            pub const fn flexible_from(self) -> i16 {
                match self {
                    $(Self::$name => $flexible,)*
                    Self::Unknown(_) => i16::MAX,
                }
            }
        }
    };
}

api_keys! {
    /// Appends record batches to partitions.
    Produce = 0, 9;
    /// Reads record batches from partitions.
    Fetch = 1, 12;
    /// Finds offsets by timestamp, or the ends of a log.
    ListOffsets = 2, 6;
    /// Says which brokers there are and who leads which partition.
    Metadata = 3, 9;
    /// Between brokers, until 4.0.
    LeaderAndIsr = 4, 4;
    /// Between brokers, until 4.0.
    StopReplica = 5, 2;
    /// Between brokers, until 4.0.
    UpdateMetadata = 6, 6;
    /// Between brokers, until 4.0.
    ControlledShutdown = 7, 3;
    /// Stores a group's offsets.
    OffsetCommit = 8, 8;
    /// Reads a group's offsets.
    OffsetFetch = 9, 6;
    /// Names the broker that looks after a group or a transactional id.
    FindCoordinator = 10, 3;
    /// Enters a classic group.
    JoinGroup = 11, 6;
    /// Keeps a classic group's member alive.
    Heartbeat = 12, 4;
    /// Leaves a classic group.
    LeaveGroup = 13, 4;
    /// Hands out a classic group's assignment.
    SyncGroup = 14, 4;
    /// Describes classic groups.
    DescribeGroups = 15, 5;
    /// Lists the groups of one coordinator.
    ListGroups = 16, 3;
    /// Picks a SASL mechanism.
    SaslHandshake = 17, i16::MAX;
    /// Says which APIs a broker speaks, in which versions.
    ApiVersions = 18, 3;
    /// Creates topics.
    CreateTopics = 19, 5;
    /// Deletes topics.
    DeleteTopics = 20, 4;
    /// Deletes records below an offset.
    DeleteRecords = 21, 2;
    /// Gives a producer its id and epoch.
    InitProducerId = 22, 2;
    /// Finds where a leader epoch ended (KIP-320).
    OffsetForLeaderEpoch = 23, 4;
    /// Adds partitions to a transaction.
    AddPartitionsToTxn = 24, 3;
    /// Adds a group's offsets to a transaction.
    AddOffsetsToTxn = 25, 3;
    /// Commits or aborts a transaction.
    EndTxn = 26, 3;
    /// Between brokers: writes commit and abort markers.
    WriteTxnMarkers = 27, 1;
    /// Stores a group's offsets inside a transaction.
    TxnOffsetCommit = 28, 3;
    /// Lists access rules.
    DescribeAcls = 29, 2;
    /// Adds access rules.
    CreateAcls = 30, 2;
    /// Removes access rules.
    DeleteAcls = 31, 2;
    /// Reads the configuration of topics and brokers.
    DescribeConfigs = 32, 4;
    /// Replaces configuration; superseded by `IncrementalAlterConfigs`.
    AlterConfigs = 33, 2;
    /// Moves replicas between disks.
    AlterReplicaLogDirs = 34, 2;
    /// Describes disks and the sizes of replicas.
    DescribeLogDirs = 35, 2;
    /// Carries SASL tokens.
    SaslAuthenticate = 36, 2;
    /// Adds partitions to topics.
    CreatePartitions = 37, 2;
    /// Creates a delegation token.
    CreateDelegationToken = 38, 2;
    /// Renews a delegation token.
    RenewDelegationToken = 39, 2;
    /// Ends a delegation token.
    ExpireDelegationToken = 40, 2;
    /// Lists delegation tokens.
    DescribeDelegationToken = 41, 2;
    /// Deletes groups.
    DeleteGroups = 42, 2;
    /// Elects leaders of partitions.
    ElectLeaders = 43, 2;
    /// Changes single configuration entries.
    IncrementalAlterConfigs = 44, 1;
    /// Moves replicas between brokers.
    AlterPartitionReassignments = 45, 0;
    /// Lists moves that are under way.
    ListPartitionReassignments = 46, 0;
    /// Deletes a group's offsets.
    OffsetDelete = 47, i16::MAX;
    /// Reads quotas.
    DescribeClientQuotas = 48, 1;
    /// Changes quotas.
    AlterClientQuotas = 49, 1;
    /// Lists SCRAM users.
    DescribeUserScramCredentials = 50, 0;
    /// Changes SCRAM users.
    AlterUserScramCredentials = 51, 0;
    /// Between controllers: asks for a vote.
    Vote = 52, 0;
    /// Between controllers: a leader begins.
    BeginQuorumEpoch = 53, 1;
    /// Between controllers: a leader ends.
    EndQuorumEpoch = 54, 1;
    /// Describes the controllers' quorum.
    DescribeQuorum = 55, 0;
    /// From a leader to the controller: new in-sync replicas.
    AlterPartition = 56, 0;
    /// Sets finalised feature levels.
    UpdateFeatures = 57, 0;
    /// Carries a forwarded request.
    Envelope = 58, 0;
    /// Between controllers: reads a snapshot.
    FetchSnapshot = 59, 0;
    /// Names brokers, controller and cluster id.
    DescribeCluster = 60, 0;
    /// Lists a partition's active producers.
    DescribeProducers = 61, 0;
    /// A broker registers with the controller.
    BrokerRegistration = 62, 0;
    /// Keeps a broker registered.
    BrokerHeartbeat = 63, 0;
    /// Removes a broker.
    UnregisterBroker = 64, 0;
    /// Describes transactions.
    DescribeTransactions = 65, 0;
    /// Lists transactions.
    ListTransactions = 66, 0;
    /// Gives a broker a block of producer ids.
    AllocateProducerIds = 67, 0;
    /// All that a consumer group of KIP-848 needs.
    ConsumerGroupHeartbeat = 68, 0;
    /// Describes consumer groups of KIP-848.
    ConsumerGroupDescribe = 69, 0;
    /// A controller registers.
    ControllerRegistration = 70, 0;
    /// Asks which metrics a broker wants (KIP-714).
    GetTelemetrySubscriptions = 71, 0;
    /// Pushes metrics (KIP-714).
    PushTelemetry = 72, 0;
    /// Tells the controller on which disk a replica lies.
    AssignReplicasToDirs = 73, 0;
    /// Lists resources that have configuration; `ListClientMetricsResources` before 4.1.
    ListConfigResources = 74, 0;
    /// Describes topics page by page (KIP-966).
    DescribeTopicPartitions = 75, 0;
    /// Keeps a share group's member (KIP-932).
    ShareGroupHeartbeat = 76, 0;
    /// Describes share groups.
    ShareGroupDescribe = 77, 0;
    /// Reads records for a share group.
    ShareFetch = 78, 0;
    /// Acknowledges a share group's records.
    ShareAcknowledge = 79, 0;
    /// Adds a controller to the quorum.
    AddRaftVoter = 80, 0;
    /// Removes a controller from the quorum.
    RemoveRaftVoter = 81, 0;
    /// Updates a controller of the quorum.
    UpdateRaftVoter = 82, 0;
    /// Between brokers: begins a share group's state.
    InitializeShareGroupState = 83, 0;
    /// Between brokers: reads a share group's state.
    ReadShareGroupState = 84, 0;
    /// Between brokers: writes a share group's state.
    WriteShareGroupState = 85, 0;
    /// Between brokers: deletes a share group's state.
    DeleteShareGroupState = 86, 0;
    /// Between brokers: reads a summary of it.
    ReadShareGroupStateSummary = 87, 0;
    /// Keeps a member of a streams group (KIP-1071).
    StreamsGroupHeartbeat = 88, 0;
    /// Describes streams groups.
    StreamsGroupDescribe = 89, 0;
    /// Reads a share group's offsets.
    DescribeShareGroupOffsets = 90, 0;
    /// Changes a share group's offsets.
    AlterShareGroupOffsets = 91, 0;
    /// Deletes a share group's offsets.
    DeleteShareGroupOffsets = 92, 0;
    /// Tells a streams group's coordinator what the topology looks like.
    StreamsGroupTopologyDescriptionUpdate = 93, 0;
    /// Removes a controller.
    UnregisterController = 94, 0;
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(code) => write!(f, "API {code}"),
            known => f.pad(known.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_api_of_kafka_4_4_has_a_name_and_keeps_its_number() {
        let codes: Vec<i16> = ApiKey::ALL.iter().map(|key| key.code()).collect();
        assert_eq!(codes, (0..=94).collect::<Vec<i16>>());
        for key in ApiKey::ALL {
            assert_eq!(ApiKey::from_code(key.code()), *key);
            assert!(!matches!(key, ApiKey::Unknown(_)));
        }
        assert_eq!(ApiKey::Metadata.to_string(), "Metadata");
    }

    #[test]
    fn an_api_newer_than_the_table_keeps_its_number() {
        for code in [-1, 95, i16::MAX] {
            let key = ApiKey::from_code(code);
            assert_eq!((key, key.code()), (ApiKey::Unknown(code), code));
            assert_eq!(key.flexible_from(), i16::MAX);
        }
        assert_eq!(ApiKey::from_code(95).to_string(), "API 95");
    }

    #[test]
    fn two_ranges_share_what_both_have() {
        let ours = VersionRange::new(2, 9);
        assert_eq!(ours.intersect(VersionRange::new(0, 13)), Some(ours));
        assert_eq!(ours.intersect(VersionRange::new(9, 13)), Some(VersionRange::new(9, 9)));
        assert_eq!(ours.intersect(VersionRange::new(10, 13)), None);
        assert_eq!(ours.intersect(VersionRange::new(9, 2)), None, "an empty range shares nothing");
        assert!(ours.contains(2) && ours.contains(9) && !ours.contains(1) && !ours.contains(10));
        assert_eq!(
            (ours.to_string(), VersionRange::new(3, 3).to_string()),
            ("2-9".into(), "3".into())
        );
    }
}
