//! Leaders and replicas changed on an administrator's order, at once.

use klamm_protocol::code::ErrorCode;

use super::{Topology, unknown_topic};
use crate::log::Refusal;

impl Topology {
    /// Has the preferred replica of a partition lead; with `unclean` any that lives, where none
    /// leads.
    ///
    /// # Errors
    /// A broker's answer: there is no such partition, no such replica lives, or the right one leads
    /// already.
    pub(crate) fn elect_leader(
        &mut self,
        topic: &str,
        index: i32,
        unclean: bool,
    ) -> Result<(), Refusal> {
        let partition = self.partition(topic, index).ok_or_else(|| unknown_topic(topic))?;
        let leader = partition.leader;
        let preferred = partition.replicas.first().copied().unwrap_or(NOBODY);
        let living = partition.replicas.iter().copied().find(|node| self.is_live(*node));
        let next = match (unclean, living) {
            (true, _) if leader != NOBODY => leader,
            (true, Some(living)) => living,
            (true, None) => {
                let message = "No replica of the partition lives.";
                return Err(Refusal::new(ErrorCode::ELIGIBLE_LEADERS_NOT_AVAILABLE, message));
            }
            (false, _) => preferred,
        };
        if next == leader {
            let message = "Leader election not needed for topic partition.";
            return Err(Refusal::new(ErrorCode::ELECTION_NOT_NEEDED, message));
        }
        if !self.is_live(next) {
            let message = "The preferred leader was not available.";
            return Err(Refusal::new(ErrorCode::PREFERRED_LEADER_NOT_AVAILABLE, message));
        }
        if let Some(partition) = self.partition_mut(topic, index) {
            partition.lead(next);
        }
        Ok(())
    }

    /// Gives a partition other replicas, at once.
    ///
    /// # Errors
    /// A broker's answer: there is no such partition, or such replicas are not possible.
    pub(crate) fn reassign(
        &mut self,
        topic: &str,
        index: i32,
        replicas: Vec<i32>,
    ) -> Result<(), Refusal> {
        let mut lists = self.checked_lists(vec![replicas], 1)?;
        let alive: Vec<i32> = self.live_brokers().map(|broker| broker.node).collect();
        let partition = self.partition_mut(topic, index).ok_or_else(|| unknown_topic(topic))?;
        partition.replicas = lists.pop().unwrap_or_default();
        partition.elect(&alive);
        Ok(())
    }
}

/// The leader of a partition without one.
const NOBODY: i32 = -1;
