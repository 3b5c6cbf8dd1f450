//! From what is owned to what shall be owned: the target goes in, one step at a time comes out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use crate::assign::TopicPartition;
use crate::session::membership::MemberEvent;

use super::{GroupNext, Place, State};

impl GroupNext {
    /// The next step towards the target: what shall go is asked back first, and only when it is let
    /// go the new is taken up, on the word of the last heartbeat's answer. Topics without a name wait for it, and hold up nothing else.
    pub(super) fn reconcile(&mut self, now: Instant) {
        let goes: BTreeSet<Place> = self.owned.difference(&self.target).copied().collect();
        if !goes.is_empty() {
            self.revocation = self.revocation.next();
            let partitions = goes.iter().filter_map(|place| self.named(place)).collect();
            self.events.push_back(MemberEvent::Revoke { id: self.revocation, partitions });
            self.state = State::AwaitsRevocation(goes);
            return;
        }
        if self.target_in_doubt {
            return;
        }
        let comes: Vec<Place> = self.target.difference(&self.owned).copied().collect();
        let (known, unknown): (Vec<Place>, Vec<Place>) =
            comes.into_iter().partition(|(topic, _)| self.names.contains_key(topic));
        let unnamed: BTreeSet<_> = unknown.into_iter().map(|(topic, _)| topic).collect();
        if !unnamed.is_empty() {
            self.events.push_back(MemberEvent::Unnamed(unnamed.into_iter().collect()));
        }
        let partitions: Vec<_> = known.iter().filter_map(|place| self.named(place)).collect();
        self.owned.extend(known);
        if !partitions.is_empty() {
            self.events.push_back(MemberEvent::Assigned(partitions));
            self.owes_owned = true;
        }
        if self.owes_owned {
            self.heartbeat_at = now;
        }
    }

    pub(super) fn named(&self, (topic, partition): &Place) -> Option<TopicPartition> {
        let topic = Arc::clone(self.names.get(topic)?);
        Some(TopicPartition { topic, partition: *partition })
    }
}
