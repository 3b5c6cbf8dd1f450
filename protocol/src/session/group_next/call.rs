//! Heartbeats as they are sent: everything the first time and after a failure, then what has
//! changed.

use std::collections::{BTreeMap, BTreeSet};

use crate::messages::consumer_group_heartbeat::{ConsumerGroupHeartbeatRequest, TopicPartitions};
use crate::wire::Uuid;

use super::{GroupNext, Place, State, Wanted};

/// What the coordinator knows of a member, nothing to begin with.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    wanted: Option<Wanted>,
    owned: Option<BTreeSet<Place>>,
    options: bool,
}

impl GroupNext {
    /// The next heartbeat; from then on the coordinator counts as told.
    pub(super) fn heartbeat(&mut self) -> ConsumerGroupHeartbeatRequest {
        let mut request = self.addressed(self.epoch);
        let options = &self.options;
        if !self.told.options {
            request.rack_id.clone_from(&options.rack);
            request.server_assignor.clone_from(&options.assignor);
            let timeout = options.rebalance_timeout.as_millis();
            request.rebalance_timeout_ms = i32::try_from(timeout).unwrap_or(i32::MAX);
        }
        if self.told.wanted.as_ref() != Some(&self.wanted) {
            let before = self.told.wanted.take();
            self.subscription(&mut request, before.as_ref());
        }
        // Whoever joins owns nothing, and has to say so.
        let changed = self.told.owned.as_ref() != Some(&self.owned);
        if changed || self.owes_owned || self.state == State::AwaitsJoin {
            request.topic_partitions = Some(by_topic(&self.owned));
        }
        self.owes_owned = false;
        self.told = Told {
            wanted: Some(self.wanted.clone()),
            owned: Some(self.owned.clone()),
            options: true,
        };
        request
    }

    /// The last heartbeat, with an epoch that says how the member leaves.
    pub(super) fn farewell(&self, epoch: i32) -> ConsumerGroupHeartbeatRequest {
        self.addressed(epoch)
    }

    fn addressed(&self, epoch: i32) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest {
            group_id: self.options.group_id.clone(),
            member_id: self.member_id.to_string(),
            member_epoch: epoch,
            instance_id: self.options.instance_id.clone(),
            ..ConsumerGroupHeartbeatRequest::default()
        }
    }

    /// A subscription of the other kind has to be taken back by an empty one.
    fn subscription(&self, request: &mut ConsumerGroupHeartbeatRequest, before: Option<&Wanted>) {
        match &self.wanted {
            Wanted::Topics(names) => {
                request.subscribed_topic_names = Some(names.iter().cloned().collect());
                if matches!(before, Some(Wanted::Pattern(_))) {
                    request.subscribed_topic_regex = Some(String::new());
                }
            }
            Wanted::Pattern(pattern) => {
                request.subscribed_topic_regex = Some(pattern.clone());
                if matches!(before, Some(Wanted::Topics(_))) {
                    request.subscribed_topic_names = Some(Vec::new());
                }
            }
        }
    }
}

/// Partitions one by one.
pub(super) fn places(topics: &[TopicPartitions]) -> BTreeSet<Place> {
    let of = |topic: &TopicPartitions| {
        let id = topic.topic_id;
        topic.partitions.clone().into_iter().map(move |partition| (id, partition))
    };
    topics.iter().flat_map(of).collect()
}

/// Partitions by topic.
fn by_topic(places: &BTreeSet<Place>) -> Vec<TopicPartitions> {
    let mut topics: BTreeMap<Uuid, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in places {
        topics.entry(*topic).or_default().push(*partition);
    }
    let topic = |(topic_id, partitions)| TopicPartitions { topic_id, partitions };
    topics.into_iter().map(topic).collect()
}
