//! Questions and orders beside reading and writing. In: names, filters, changes; out: one result
//! for each, in the order they were given. Each call retries what may pass by itself, until
//! `default.api.timeout.ms`.

mod acls;
mod by_topic;
mod cluster;
mod configs;
mod each;
mod group_members;
mod groups;
mod kinds;
mod listing;
mod metadata;
mod offsets;
mod outcomes;
mod positions;
mod quotas;
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
pub use group_members::{GroupDescription, GroupMember};
pub use groups::{GroupFilter, GroupState, GroupType, ListedGroup, MemberName};
pub use listing::Listing;
pub use metadata::{TopicDescription, Topics};
pub use offsets::{ListedOffset, OffsetSpec};
pub use positions::CommittedOffset;
pub use quotas::{QuotaChange, QuotaEntity, QuotaFilter, QuotaMatch};
pub use records::DeleteBefore;
pub use scram::{ScramChange, ScramCredential, ScramMechanism};
pub use tokens::{NewToken, Principal, Token};
pub use topics::{NewPartitions, NewTopic};
