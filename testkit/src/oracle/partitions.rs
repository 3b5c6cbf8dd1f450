//! The Java producer's choice of partitions as questions and answers of the Java oracle.
//!
//! In: keys, or random numbers with what waits for each partition. Out: where Java puts the record.

use super::Java;
use super::ask::Question;
use crate::outside::Error;

/// Where a key goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPartition {
    /// The key's hash.
    pub hash: i32,
    /// The partition.
    pub partition: i32,
}

/// A partition to be drawn for a record without a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The random number, not negative.
    pub random: i32,
    /// Whether queues count at all.
    pub is_adaptive: bool,
    /// The topic's partitions.
    pub partitions: Vec<Waiting>,
}

/// What waits for a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// How many batches.
    pub batches: i32,
    /// Whether the partition has a leader.
    pub is_led: bool,
    /// Whether its leader takes them in time.
    pub keeps_up: bool,
}

impl Java {
    /// Kafka's hash of each key, and the partition of `partitions` in all that it goes to.
    ///
    /// # Errors
    ///
    /// If the program is gone or too slow.
    pub fn partitions_of<K: AsRef<[u8]>>(
        &mut self,
        keys: &[K],
        partitions: i32,
    ) -> Result<Vec<KeyPartition>, Error> {
        let mut question = Question::new(b'h');
        question.int32(partitions);
        question.int32(keys.len());
        for key in keys {
            question.bytes(Some(key.as_ref()));
        }
        let mut answer = self.ask("hashing keys", question)?;
        let mut take = || Ok(KeyPartition { hash: answer.int32()?, partition: answer.int32()? });
        keys.iter().map(|_| take()).collect()
    }

    /// The partitions that Java's built-in partitioner draws.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] with Java's exception if a topic has no partition.
    pub fn draw_partitions(&mut self, draws: &[Draw]) -> Result<Vec<i32>, Error> {
        let mut question = Question::new(b'q');
        question.int32(draws.len());
        for draw in draws {
            question.int32(draw.random);
            question.bool(draw.is_adaptive);
            question.int32(draw.partitions.len());
            for waiting in &draw.partitions {
                question.int32(waiting.batches);
                question.bool(waiting.is_led);
                question.bool(waiting.keeps_up);
            }
        }
        let mut answer = self.ask("drawing partitions", question)?;
        draws.iter().map(|_| answer.int32()).collect()
    }
}
