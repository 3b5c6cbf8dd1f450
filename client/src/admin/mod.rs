//! Questions and orders beside reading and writing. In: names, filters, changes; out: one result
//! for each, in the order they were given, so that one that fails hides no other. Each call retries
//! what may pass by itself, until `default.api.timeout.ms`, and its errors name what they are about.
//! A broker that is too old for a call is [`Unsupported`](crate::ErrorKind::Unsupported).
//!
//! Everything is a method of [`Client`](crate::Client):
//!
//! | about | ask | order |
//! |---|---|---|
//! | topics | `metadata`, `topic_names`, `partitions`, `describe_topics` | `create_topics`, `create_partitions`, `delete_topics` |
//! | records | `list_offsets` | `delete_records` |
//! | settings | `describe_configs` | `alter_configs` |
//! | groups | `list_groups`, `describe_groups`, `committed_offsets`, `committed_offsets_of` | `commit_offsets`, `delete_offsets`, `delete_groups`, `remove_members` |
//! | transactions | `describe_producers`, `describe_transactions`, `list_transactions` | `abort_transaction` |
//! | replicas | `list_reassignments`, `describe_log_dirs` | `elect_leaders`, `elect_all_leaders`, `alter_reassignments`, `alter_replica_log_dirs` |
//! | access | `describe_acls`, `scram_users`, `describe_scram_users`, `describe_tokens` | `create_acls`, `delete_acls`, `alter_scram_users`, `create_token`, `renew_token`, `expire_token` |
//! | quotas | `describe_quotas` | `alter_quotas` |
//! | the cluster | `describe_cluster`, `features` | `update_features` |
//!
//! Orders whose outcome is unknown are repeated only where the second time does no harm; each says
//! so.

mod acls;
mod by_topic;
mod cluster;
mod configs;
mod each;
mod elections;
mod group_members;
mod groups;
mod kinds;
mod listing;
mod log_dirs;
mod metadata;
mod offsets;
mod outcomes;
mod positions;
mod producers;
mod quotas;
mod reassignments;
mod records;
mod scram;
mod tokens;
mod topics;

pub use acls::{
    Acl, AclFilter, AclMatch, AclOperation, AclPattern, AclPermission, AclResource, DeletedAcl,
};
pub use cluster::{BrokerDescription, ClusterDescription, FeatureUpdate, Features};
pub use configs::{
    ConfigChanges, ConfigDetail, ConfigEntry, ConfigKind, ConfigResource, ConfigSource,
    ConfigSynonym, ConfigType, Effect,
};
pub use elections::{Election, ElectionKind};
pub use group_members::{GroupDescription, GroupMember};
pub use groups::{GroupFilter, GroupState, GroupType, ListedGroup, MemberName};
pub use listing::Listing;
pub use log_dirs::{LogDir, LogDirReplica, ReplicaMove};
pub use metadata::{TopicDescription, Topics};
pub use offsets::{ListedOffset, OffsetSpec};
pub use positions::CommittedOffset;
pub use producers::{
    HangingTransaction, ListedTransaction, ProducerState, TransactionDescription, TransactionFilter,
};
pub use quotas::{QuotaChange, QuotaEntity, QuotaFilter, QuotaMatch};
pub use reassignments::{OngoingReassignment, Reassignment};
pub use records::DeleteBefore;
pub use scram::{ScramChange, ScramCredential, ScramMechanism};
pub use tokens::{NewToken, Principal, Token};
pub use topics::{NewPartitions, NewTopic};
