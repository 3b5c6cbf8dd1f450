//! Partitions as messages name them: gathered by topic on the way out, one by one on the way back.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::partition::TopicPartition;

/// The partitions' numbers by topic, through what makes a message's topic of them.
pub(super) fn gathered<'a, T>(
    partitions: impl IntoIterator<Item = &'a TopicPartition>,
    topic: impl Fn(String, Vec<i32>) -> T,
) -> Vec<T> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for one in partitions {
        topics.entry(&one.topic).or_default().push(one.partition);
    }
    topics.into_iter().map(|(name, partitions)| topic(name.to_owned(), partitions)).collect()
}

/// One topic's partitions of an answer, each with its full name.
pub(super) fn named<P>(
    topic: String,
    partitions: Vec<P>,
    index: impl Fn(&P) -> i32,
) -> impl Iterator<Item = (TopicPartition, P)> {
    let topic: Arc<str> = topic.into();
    partitions.into_iter().map(move |one| {
        let partition = TopicPartition::new(Arc::clone(&topic), index(&one));
        (partition, one)
    })
}
