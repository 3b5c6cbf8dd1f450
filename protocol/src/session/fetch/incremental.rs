//! The fetch session (KIP-227): what a request shall cover goes in, the part of it that the broker
//! does not know yet comes out, with the session's id and epoch.

use std::collections::BTreeMap;

use crate::code::ErrorCode;
use crate::messages::fetch::{FetchPartition, FetchRequest, FetchTopic, ForgottenTopic};

use super::cursor::{CursorId, Key};

/// What is asked of a partition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) id: CursorId,
    pub(super) offset: i64,
    pub(super) leader_epoch: i32,
    pub(super) last_epoch: i32,
    pub(super) partition_max_bytes: i32,
}

/// The client's half of the session.
///
/// Epoch 0 asks for a new session (and ends the one named by `id`); the broker answers with an id,
/// and from then on each request carries the next epoch. Id 0 in an answer: the broker keeps no
/// session, and every request stays a full one.
#[derive(Debug, Default)]
pub(super) struct Session {
    id: i32,
    epoch: i32,
    ids: bool,
    known: BTreeMap<Key, FetchPartition>,
    full_requests: usize,
}

impl Session {
    /// Writes session, topics and forgotten topics into the request. Returns whether it is a full
    /// one, whose answer has to name every partition.
    pub(super) fn fill(
        &mut self,
        request: &mut FetchRequest,
        asked: &BTreeMap<Key, Asked>,
        ids: bool,
    ) -> bool {
        // A session speaks of topics either by name or by id: brokers refuse a change on the way.
        if ids != self.ids {
            self.distrust();
            self.ids = ids;
        }
        let full = self.epoch == 0;
        request.session_id = self.id;
        request.session_epoch = self.epoch;
        if full {
            self.known.clear();
        }
        let forgotten = self.known.keys().filter(|key| !asked.contains_key(*key));
        let forgotten: Vec<Key> = forgotten.cloned().collect();
        for key in forgotten {
            self.known.remove(&key);
            push_forgotten(&mut request.forgotten_topics_data, &key);
        }
        for (key, what) in asked {
            let partition = what.partition(key.partition);
            if self.known.get(key) != Some(&partition) {
                self.known.insert(key.clone(), partition.clone());
                push_partition(&mut request.topics, key, partition);
            }
        }
        if full {
            self.take_turns(&mut request.topics);
        }
        full
    }

    /// Brokers fill an answer in the request's order until its limit is reached. In a session they
    /// rotate by themselves; in full requests we have to, or the last partitions starve.
    fn take_turns(&mut self, topics: &mut [FetchTopic]) {
        let turn = self.full_requests;
        self.full_requests = turn.wrapping_add(1);
        let count = topics.len().max(1);
        topics.rotate_left(turn % count);
        for topic in topics {
            let count = topic.partitions.len().max(1);
            topic.partitions.rotate_left(turn % count);
        }
    }

    /// Takes in the id of a successful answer.
    pub(super) fn accept(&mut self, id: i32) {
        if id == 0 {
            self.distrust();
            self.id = 0;
        } else if self.epoch == 0 || self.id == id {
            self.id = id;
            self.epoch = self.epoch.checked_add(1).unwrap_or(1);
        } else {
            self.distrust();
        }
    }

    /// The broker refused the session: the next request opens a new one.
    pub(super) fn reset(&mut self, code: ErrorCode) {
        self.distrust();
        if code == ErrorCode::FETCH_SESSION_ID_NOT_FOUND {
            self.id = 0;
        }
    }

    /// Both sides may disagree: the next request is a full one, and ends this session at the
    /// broker.
    pub(super) fn distrust(&mut self) {
        self.epoch = 0;
        self.known.clear();
    }
}

impl Asked {
    fn partition(&self, partition: i32) -> FetchPartition {
        FetchPartition {
            partition,
            current_leader_epoch: self.leader_epoch,
            fetch_offset: self.offset,
            last_fetched_epoch: self.last_epoch,
            partition_max_bytes: self.partition_max_bytes,
            ..FetchPartition::default()
        }
    }
}

/// Keys come sorted, so partitions of one topic are neighbours.
fn push_partition(topics: &mut Vec<FetchTopic>, key: &Key, partition: FetchPartition) {
    match topics.last_mut() {
        Some(last) if *last.topic == *key.topic && last.topic_id == key.id => {
            last.partitions.push(partition);
        }
        _ => topics.push(FetchTopic {
            topic: key.topic.to_string(),
            topic_id: key.id,
            partitions: vec![partition],
        }),
    }
}

fn push_forgotten(topics: &mut Vec<ForgottenTopic>, key: &Key) {
    match topics.last_mut() {
        Some(last) if *last.topic == *key.topic && last.topic_id == key.id => {
            last.partitions.push(key.partition);
        }
        _ => topics.push(ForgottenTopic {
            topic: key.topic.to_string(),
            topic_id: key.id,
            partitions: vec![key.partition],
        }),
    }
}
