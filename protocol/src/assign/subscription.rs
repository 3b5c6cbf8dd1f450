//! The two blobs of the consumer protocol, which the coordinator passes on without looking inside:
//! what a member wants and holds, and what it shall read. In: bytes of any member's client; out:
//! plain data, and back, byte for byte as Java's client writes it.
//!
//! Each begins with its version. Version 1 tells owned partitions (KIP-429), 2 the generation they
//! are from (KIP-792), 3 the rack (KIP-881). A version that is not known yet is read as the newest
//! known one, and what follows it is ignored: new versions only ever add at the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use klamm_protocol_derive::Message;

use super::{TopicPartition, java};
use crate::api::{Message, VersionRange};
use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::wire::{Reader, Writer};

/// What a member hands to the leader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    /// The topics that it wants to read.
    pub topics: Vec<String>,
    /// What its assignor has to tell besides; see [`super::Assignor::user_data`].
    pub user_data: Option<Bytes>,
    /// The partitions that it holds.
    pub owned: Vec<TopicPartition>,
    /// The generation in which it was given them, never negative; `None` before the first.
    pub generation: Option<i32>,
    /// The rack of its machine, `None` instead of an empty one.
    pub rack: Option<String>,
}

impl Subscription {
    /// A subscription to topics by a member that holds nothing.
    pub fn to(topics: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { topics: topics.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// Writes it, topics and partitions sorted. What the version lacks is left out.
    ///
    /// # Errors
    ///
    /// If the version is none of [`CONSUMER_PROTOCOL_VERSIONS`] or a name is too long.
    pub fn encode(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut topics = self.topics.clone();
        topics.sort_by(|a, b| java::compare(a, b));
        let mut owned = self.owned.clone();
        owned.sort_by(|a, b| java::compare(&a.topic, &b.topic).then(a.partition.cmp(&b.partition)));
        let message = SubscriptionMessage {
            topics,
            user_data: self.user_data.clone(),
            owned_partitions: by_topic(&owned),
            generation_id: self.generation.unwrap_or(-1),
            rack_id: self.rack.clone(),
        };
        encode(&message, version)
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// If the version is negative, or the bytes are none of that version. They are somebody else's,
    /// so whoever leads has to expect it.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let message: SubscriptionMessage = decode(bytes)?;
        Ok(Self {
            topics: message.topics,
            user_data: message.user_data,
            owned: flat(message.owned_partitions),
            generation: Some(message.generation_id).filter(|generation| *generation >= 0),
            rack: message.rack_id.filter(|rack| !rack.is_empty()),
        })
    }
}

/// What a member gets back from the leader.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Assignment {
    /// The partitions that it shall read.
    pub partitions: Vec<TopicPartition>,
    /// What the leader's assignor has to tell besides. None of ours does.
    pub user_data: Option<Bytes>,
}

impl Assignment {
    /// Writes it. The topics stand in the order of their first partition.
    ///
    /// # Errors
    ///
    /// If the version is none of [`CONSUMER_PROTOCOL_VERSIONS`] or a name is too long.
    pub fn encode(&self, version: i16) -> Result<Bytes, EncodeError> {
        let message = AssignmentMessage {
            assigned_partitions: by_topic(&self.partitions),
            user_data: self.user_data.clone(),
        };
        encode(&message, version)
    }

    /// Reads one.
    ///
    /// # Errors
    ///
    /// If the version is negative, or the bytes are none of that version; so if there are none,
    /// which is what a coordinator sends to a member that the leader forgot.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let message: AssignmentMessage = decode(bytes)?;
        Ok(Self { partitions: flat(message.assigned_partitions), user_data: message.user_data })
    }
}

/// A subscription on the wire.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-3", flexible = "none")]
struct SubscriptionMessage {
    #[field(versions = "0+")]
    topics: Vec<String>,
    #[field(versions = "0+", nullable = "0+", default = null)]
    user_data: Option<Bytes>,
    #[field(versions = "1+", ignorable)]
    owned_partitions: Vec<TopicNumbers>,
    #[field(versions = "2+", default = -1, ignorable)]
    generation_id: i32,
    #[field(versions = "3+", nullable = "3+", default = null, ignorable)]
    rack_id: Option<String>,
}

/// An assignment on the wire.
#[derive(Message, Clone, Debug, PartialEq)]
#[message(versions = "0-3", flexible = "none")]
struct AssignmentMessage {
    #[field(versions = "0+")]
    assigned_partitions: Vec<TopicNumbers>,
    #[field(versions = "0+", nullable = "0+", default = null)]
    user_data: Option<Bytes>,
}

/// Partitions of one topic on the wire.
#[derive(Message, Clone, Debug, PartialEq)]
pub(super) struct TopicNumbers {
    #[field(versions = "0+")]
    pub(super) topic: String,
    #[field(versions = "0+")]
    pub(super) partitions: Vec<i32>,
}

/// Gathers partitions by topic, in the order in which the topics first come.
pub(super) fn by_topic(partitions: &[TopicPartition]) -> Vec<TopicNumbers> {
    let mut places = BTreeMap::new();
    let mut gathered: Vec<TopicNumbers> = Vec::new();
    for TopicPartition { topic, partition } in partitions {
        let place = *places.entry(topic).or_insert(gathered.len());
        match gathered.get_mut(place) {
            Some(numbers) => numbers.partitions.push(*partition),
            None => gathered
                .push(TopicNumbers { topic: topic.to_string(), partitions: vec![*partition] }),
        }
    }
    gathered
}

/// The partitions one by one.
pub(super) fn flat(topics: Vec<TopicNumbers>) -> Vec<TopicPartition> {
    let mut partitions = Vec::new();
    for TopicNumbers { topic, partitions: numbers } in topics {
        let topic: Arc<str> = topic.into();
        let named = |partition| TopicPartition { topic: Arc::clone(&topic), partition };
        partitions.extend(numbers.into_iter().map(named));
    }
    partitions
}

fn encode(message: &impl Message, version: i16) -> Result<Bytes, EncodeError> {
    let mut w = Writer::new();
    w.put_i16(version);
    message.encode(&mut w, version)?;
    Ok(w.finish()?.into_bytes())
}

fn decode<M: Message>(bytes: Bytes) -> Result<M, DecodeError> {
    let mut r = Reader::new(bytes);
    let version = r.i16()?;
    if version < CONSUMER_PROTOCOL_VERSIONS.min {
        return Err(DecodeError::new(0, DecodeErrorKind::UnsupportedVersion { version }));
    }
    M::decode(&mut r, version.min(CONSUMER_PROTOCOL_VERSIONS.max))
}

/// The versions of both blobs that can be written. Any higher one can be read.
pub const CONSUMER_PROTOCOL_VERSIONS: VersionRange = VersionRange::new(0, 3);

/// The protocol type under which consumers join a group.
pub const PROTOCOL_TYPE: &str = "consumer";

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Subscription {
        Subscription {
            topics: vec!["b".to_owned(), "a".to_owned()],
            user_data: Some(Bytes::from_static(b"x")),
            owned: [("b", 1), ("a", 0), ("b", 0)].map(|(t, p)| TopicPartition::new(t, p)).into(),
            generation: Some(7),
            rack: Some("r".to_owned()),
        }
    }

    #[test]
    fn a_version_carries_what_it_has_and_nothing_else() {
        for version in 0..=3 {
            let read = Subscription::decode(full().encode(version).unwrap()).unwrap();
            assert_eq!(read.topics, ["a", "b"]);
            assert_eq!(read.user_data, full().user_data);
            let owned: Vec<_> = read.owned.iter().map(ToString::to_string).collect();
            assert_eq!(owned.join(" "), if version < 1 { "" } else { "a-0 b-0 b-1" });
            assert_eq!(read.generation, (version >= 2).then_some(7));
            assert_eq!(read.rack, (version >= 3).then(|| "r".to_owned()));
        }
        assert!(full().encode(4).is_err());
    }

    #[test]
    fn newer_versions_are_read_as_the_newest_known_and_negative_ones_refused() {
        let mut newer = full().encode(3).unwrap().to_vec();
        newer.splice(..2, [0x7f, 0xff]);
        newer.extend_from_slice(b"what is to come");
        let read = Subscription::decode(newer.into()).unwrap();
        assert_eq!((read.generation, read.rack.as_deref()), (Some(7), Some("r")));
        let negative = Subscription::decode(Bytes::from_static(&[0xff, 0xff, 0, 0, 0, 0]));
        let what = DecodeErrorKind::UnsupportedVersion { version: -1 };
        assert_eq!(negative, Err(DecodeError::new(0, what)));
    }

    #[test]
    fn an_assignment_keeps_the_order_of_topics_and_within_them_of_partitions() {
        let partitions = full().owned;
        let assignment = Assignment { partitions, user_data: None };
        let read = Assignment::decode(assignment.encode(0).unwrap()).unwrap();
        let read: Vec<_> = read.partitions.iter().map(ToString::to_string).collect();
        assert_eq!(read, ["b-1", "b-0", "a-0"]);
        assert!(Assignment::decode(Bytes::new()).is_err());
    }

    #[test]
    fn a_count_beyond_the_bytes_is_refused() {
        let lie = Bytes::from_static(&[0, 3, 0x7f, 0xff, 0xff, 0xff, 0, 0]);
        assert!(Subscription::decode(lie.clone()).is_err());
        assert!(Assignment::decode(lie).is_err());
    }
}
