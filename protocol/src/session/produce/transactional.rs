//! The produce machine with a transactional id: which batches belong to the transaction, and what
//! becomes of them when it cannot be committed (KIP-98, KIP-890).
//!
//! Sequences go on over transactions as long as the epoch does. A batch that ends otherwise than
//! written leaves a gap, which nothing here mends: its driver has the transaction aborted and brings
//! a new epoch.

use super::lane::{Ended, Membership};
use super::{LAST_EXPLICIT, LaneId, ProduceEvent, ProduceQueue};

impl ProduceQueue {
    /// From here on batches belong to a new transaction. `implicit`: leaders add partitions to it by
    /// themselves, which Produce says by its version.
    pub fn begin_transaction(&mut self, implicit: bool) {
        (self.implicit, self.broken) = (implicit, false);
        self.lanes.iter_mut().for_each(|lane| lane.membership = Membership::Out);
    }

    /// Batches of this partition may be sent: it is in the transaction, or will be by being sent to.
    pub fn join(&mut self, lane: LaneId) {
        if let Some(lane) = self.lanes.get_mut(lane.0) {
            lane.membership = Membership::In;
        }
    }

    /// The transaction is committed, or can only be aborted: ends what waits, lets what is in flight
    /// end with its answer, and takes nothing more until the next one begins.
    pub fn end_transaction(&mut self) {
        self.broken = true;
        let mut ended = Ended::new();
        for index in &self.active {
            if let Some(lane) = self.lanes.get_mut(*index) {
                lane.abort(&mut ended);
            }
        }
        self.end(ended);
    }

    /// Whether sequence numbers were given to batches that are not, or not certainly, written: only
    /// a new epoch can go on from there.
    pub fn has_gap(&self) -> bool {
        self.lanes.iter().any(|lane| lane.has_gap())
    }

    /// Has a batch that was just pushed into its transaction, or ends it.
    pub(super) fn admit(&mut self, id: LaneId) {
        let rules = self.rules();
        if rules.broken {
            return self.end_transaction();
        }
        let Some(lane) = self.lanes.get_mut(id.0).filter(|_| rules.transactional) else { return };
        if lane.membership == Membership::Out {
            lane.membership = Membership::Wished;
            self.events.push_back(ProduceEvent::NeedsPartition { lane: id });
        }
    }

    /// The version to speak to a broker that speaks up to this one; `None` if it is too old for the
    /// protocol that the cluster runs.
    pub(super) fn version_for(&self, version: i16) -> Option<i16> {
        match (&self.options.transactional_id, self.implicit) {
            (None, _) => Some(version),
            (Some(_), true) => Some(version).filter(|version| *version > LAST_EXPLICIT),
            (Some(_), false) => Some(version.min(LAST_EXPLICIT)),
        }
    }

    /// A new epoch of a transactional producer: all partitions number from 0.
    pub(super) fn restart_all(&mut self) {
        if self.options.transactional_id.is_none() {
            return;
        }
        let mut ended = Ended::new();
        self.lanes.iter_mut().for_each(|lane| lane.restart(None, &mut ended));
        self.end(ended);
    }
}
