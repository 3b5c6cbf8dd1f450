//! What the two sticky assignors put into a subscription's user data. In: bytes; out: the generation
//! of a member's last assignment, and for `sticky` the partitions it held, since it has given them
//! up by the time it joins.

use bytes::Bytes;

use super::TopicPartition;
use super::subscription::{TopicNumbers, by_topic, flat};
use crate::error::{DecodeError, DecodeErrorKind, EncodeError};
use crate::wire::{Reader, Writer};

/// The user data of `sticky`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StickyUserData {
    /// What the member held.
    pub partitions: Vec<TopicPartition>,
    /// The generation in which it was given it; `None` in version 0, which does not say.
    pub generation: Option<i32>,
}

impl StickyUserData {
    /// Writes version 1 if there is a generation, else version 0.
    ///
    /// # Errors
    ///
    /// If a topic's name is longer than Kafka allows.
    pub fn encode(&self) -> Result<Bytes, EncodeError> {
        let mut w = Writer::new();
        let topics = by_topic(&self.partitions);
        w.put_array_len(Some(topics.len()))?;
        for topic in topics {
            w.put_string(Some(&topic.topic))?;
            w.put_array_len(Some(topic.partitions.len()))?;
            topic.partitions.iter().for_each(|number| w.put_i32(*number));
        }
        if let Some(generation) = self.generation {
            w.put_i32(generation);
        }
        Ok(w.finish()?.into_bytes())
    }

    /// Reads either version: nothing tells them apart but whether four bytes are left for a
    /// generation. What follows is ignored.
    ///
    /// # Errors
    ///
    /// If the bytes are of neither version.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        let topics = list(&mut r, SMALLEST_TOPIC, |r| {
            let topic = r.string()?;
            Ok(TopicNumbers { topic, partitions: list(r, size_of::<i32>(), Reader::i32)? })
        })?;
        Ok(Self { partitions: flat(topics), generation: r.i32().ok() })
    }
}

/// The user data of `cooperative-sticky`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CooperativeUserData {
    /// The generation of the last assignment, -1 before the first one.
    pub generation: i32,
}

impl CooperativeUserData {
    /// Writes it.
    pub fn encode(self) -> Bytes {
        Bytes::copy_from_slice(&self.generation.to_be_bytes())
    }

    /// Reads it. What follows is ignored.
    ///
    /// # Errors
    ///
    /// If there are fewer than four bytes.
    pub fn decode(bytes: Bytes) -> Result<Self, DecodeError> {
        Ok(Self { generation: Reader::new(bytes).i32()? })
    }
}

/// An array that may not be null.
fn list<T>(
    r: &mut Reader,
    smallest: usize,
    read: impl Fn(&mut Reader) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let null = r.error(DecodeErrorKind::UnexpectedNull);
    let count = r.array_len(smallest)?.ok_or(null)?;
    (0..count).map(|_| read(r)).collect()
}

/// An empty name and no partitions.
const SMALLEST_TOPIC: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> Vec<TopicPartition> {
        [("b", 2), ("a", 0), ("b", 1)].map(|(t, p)| TopicPartition::new(t, p)).into()
    }

    #[test]
    fn both_versions_of_sticky_are_read() {
        for generation in [None, Some(5)] {
            let bytes = StickyUserData { partitions: held(), generation }.encode().unwrap();
            let read = StickyUserData::decode(bytes).unwrap();
            assert_eq!(read.generation, generation);
            let read: Vec<_> = read.partitions.iter().map(ToString::to_string).collect();
            assert_eq!(read, ["b-2", "b-1", "a-0"]);
        }
    }

    #[test]
    fn garbage_is_refused() {
        for bytes in [&b"\xff\xff\xff\xff"[..], b"\x7f\xff\xff\xff", b"\0\0\0\x01\0\x01a"] {
            assert!(StickyUserData::decode(bytes.into()).is_err());
        }
        assert!(CooperativeUserData::decode(Bytes::from_static(b"abc")).is_err());
        let data = CooperativeUserData { generation: -1 };
        assert_eq!(CooperativeUserData::decode(data.encode()), Ok(data));
    }
}
