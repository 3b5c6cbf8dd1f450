//! What a test may do to a cluster, and see of it: in go verbs that no client has, out come changes
//! that clients have to live with.

use klamm_protocol::wire::Uuid;

use super::topic_config::TopicConfig;
use super::topology::{TopicSpec, unknown_topic};
use super::transaction::TransactionView;
use super::{Cluster, Leadership};
use crate::log::{PartitionLog, Refusal};

impl Cluster {
    /// Makes a topic.
    ///
    /// # Errors
    /// What CreateTopics would answer.
    pub fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        replication: i16,
    ) -> Result<(), Refusal> {
        self.create_topic_with(name, partitions, replication, &[])
    }

    /// Makes a topic with settings, as `("max.message.bytes", "1000")`.
    ///
    /// # Errors
    /// What CreateTopics would answer.
    pub fn create_topic_with(
        &mut self,
        name: &str,
        partitions: i32,
        replication: i16,
        settings: &[(&str, &str)],
    ) -> Result<(), Refusal> {
        let mut config = TopicConfig::default();
        for (key, value) in settings {
            config.set(key, Some(value))?;
        }
        let spec = TopicSpec {
            partitions: Some(partitions),
            replication: Some(replication),
            assignments: Vec::new(),
            config,
        };
        self.machine.topology.create(name, spec, false)?;
        self.settle_change();
        Ok(())
    }

    /// Removes a topic with its records. False if there is none of that name.
    pub fn delete_topic(&mut self, name: &str) -> bool {
        let gone = self.machine.topology.delete(name);
        self.settle_change();
        gone
    }

    /// The names of all topics, in order.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        self.machine.topology.topics().map(|topic| topic.name.as_str())
    }

    /// The id of a topic.
    pub fn topic_id(&self, name: &str) -> Option<Uuid> {
        self.machine.topology.topic(name).map(|topic| topic.id)
    }

    /// How many partitions a topic has.
    pub fn partitions(&self, name: &str) -> Option<usize> {
        self.machine.topology.topic(name).map(|topic| topic.partitions.len())
    }

    /// The log of a partition.
    pub fn log(&self, topic: &str, partition: i32) -> Option<&PartitionLog> {
        self.machine.topology.partition(topic, partition).map(|partition| &partition.log)
    }

    /// Changes the log of a partition in a test's own way, and lets those who wait look again.
    ///
    /// # Errors
    /// There is no such partition, or what `change` says.
    pub fn edit_log<T>(
        &mut self,
        topic: &str,
        partition: i32,
        change: impl FnOnce(&mut PartitionLog) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let found = self.machine.topology.partition_mut(topic, partition);
        let outcome = change(&mut found.ok_or_else(|| unknown_topic(topic))?.log);
        self.settle_change();
        outcome
    }

    /// Who leads a partition.
    pub fn leader(&self, topic: &str, partition: i32) -> Option<Leadership> {
        let partition = self.machine.topology.partition(topic, partition)?;
        Some(Leadership { node: partition.leader, epoch: partition.leader_epoch })
    }

    /// Makes `node` lead a partition, in a new epoch; it becomes a replica if it was none. False
    /// if the node is dead or the partition unknown.
    pub fn move_leader(&mut self, topic: &str, partition: i32, node: i32) -> bool {
        let moved = self.machine.topology.move_leader(topic, partition, node);
        self.settle_change();
        moved
    }

    /// Loses the end of a partition's log from `offset` on, as an unclean election does: the same
    /// node leads on, in a new epoch. False if the partition is unknown or has no leader.
    pub fn truncate(&mut self, topic: &str, partition: i32, offset: i64) -> bool {
        let found = self.machine.topology.partition(topic, partition);
        let leader = found.map(|partition| partition.leader).filter(|leader| *leader >= 0);
        leader.is_some_and(|leader| self.elect_uncleanly(topic, partition, leader, offset))
    }

    /// Makes `node` lead a partition, in a new epoch, with a log that ends at `offset` at the
    /// latest: it had not seen the rest, which is lost (KIP-320). False if the node is dead or the
    /// partition unknown.
    pub fn elect_uncleanly(&mut self, topic: &str, partition: i32, node: i32, offset: i64) -> bool {
        let live = self.is_live(node);
        let found = self.machine.topology.partition_mut(topic, partition);
        let Some(found) = found.filter(|_| live) else {
            return false;
        };
        found.log.truncate(offset);
        self.move_leader(topic, partition, node)
    }

    /// Keeps what a follower has of a partition from passing `offset`, though it stays in sync;
    /// `None` lets it have all again. Matters to clients that read from it (KIP-392). False if the
    /// partition is unknown.
    pub fn hold_follower(
        &mut self,
        topic: &str,
        partition: i32,
        node: i32,
        offset: Option<i64>,
    ) -> bool {
        let found = self.machine.topology.partition_mut(topic, partition);
        let Some(found) = found else {
            return false;
        };
        match offset {
            Some(offset) => found.held.insert(node, offset),
            None => found.held.remove(&node),
        };
        self.settle_change();
        true
    }

    /// Stops a node: its connections close, its partitions get other leaders. False if it was
    /// dead already or never there.
    pub fn kill(&mut self, node: i32) -> bool {
        if !self.machine.topology.set_live(node, false) {
            return false;
        }
        let of_node = self.connections.iter().filter(|(_, connection)| connection.node == node);
        for conn in of_node.map(|(conn, _)| *conn).collect::<Vec<_>>() {
            self.close(conn);
        }
        self.machine.fetches.forget_sessions(node);
        self.settle_change();
        true
    }

    /// Starts a node that was stopped; it is in sync at once. False if it was not dead.
    pub fn revive(&mut self, node: i32) -> bool {
        let revived = self.machine.topology.set_live(node, true);
        self.settle_change();
        revived
    }

    /// The node that looks after a group or a transactional id; `None` if no node lives.
    pub fn coordinator(&self, key: &str) -> Option<i32> {
        self.machine.topology.coordinator(key).map(|broker| broker.node)
    }

    /// Makes a node look after a group or a transactional id, with all that is known of it, until
    /// the node dies. False if it is dead.
    pub fn move_coordinator(&mut self, key: &str, node: i32) -> bool {
        self.machine.topology.move_coordinator(key, node)
    }

    /// What the coordinator of a transactional id knows of it.
    pub fn transaction(&self, transactional_id: &str) -> Option<TransactionView> {
        self.machine.transactions.view(transactional_id)
    }

    /// Whether a node is there and was not stopped.
    pub fn is_live(&self, node: i32) -> bool {
        self.machine.topology.is_live(node)
    }

    /// Forgets a node's fetch sessions, as when others have pushed them out.
    pub fn forget_fetch_sessions(&mut self, node: i32) {
        self.machine.fetches.forget_sessions(node);
    }
}
