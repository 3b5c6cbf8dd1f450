//! Brokers, topics, partitions and who leads them: what a cluster's controller knows.
//!
//! Replication is as simple as it can be: all replicas of a partition share one log, every live
//! replica is in sync, and the first live one leads. Each change of leader bumps the epoch.

mod replicas;

use std::collections::{BTreeMap, HashMap};

use fastrand::Rng;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::wire::Uuid;

use super::config::ClusterConfig;
use super::topic_config::TopicConfig;
use crate::log::{PartitionLog, Refusal};

/// The cluster's brokers and topics.
#[derive(Debug)]
pub(crate) struct Topology {
    config: ClusterConfig,
    brokers: BTreeMap<i32, Broker>,
    topics: BTreeMap<String, Topic>,
    names: HashMap<Uuid, String>,
    partition_count: usize,
    next_replica: usize,
    /// Where a test has moved coordinators to, by key.
    coordinators: BTreeMap<String, i32>,
    rng: Rng,
}

/// One broker.
#[derive(Clone, Debug)]
pub(crate) struct Broker {
    pub(crate) node: i32,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) rack: Option<String>,
    pub(crate) live: bool,
}

/// One topic.
#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    pub(crate) config: TopicConfig,
    pub(crate) partitions: Vec<Partition>,
}

/// One partition.
#[derive(Debug)]
pub(crate) struct Partition {
    /// The leader's node id, or -1 while no replica lives.
    pub(crate) leader: i32,
    pub(crate) leader_epoch: i32,
    pub(crate) replicas: Vec<i32>,
    pub(crate) isr: Vec<i32>,
    /// Offsets that followers have not passed, though all replicas share the log.
    pub(crate) held: BTreeMap<i32, i64>,
    pub(crate) log: PartitionLog,
}

/// What a new topic shall be like.
#[derive(Clone, Debug, Default)]
pub(crate) struct TopicSpec {
    /// `None`: the cluster's default.
    pub(crate) partitions: Option<i32>,
    /// `None`: the cluster's default.
    pub(crate) replication: Option<i16>,
    /// Replicas for each partition, instead of the two numbers.
    pub(crate) assignments: Vec<Vec<i32>>,
    pub(crate) config: TopicConfig,
}

impl Topology {
    /// Brokers 1 to `config.brokers`, all live, at addresses that nobody listens on yet.
    pub(crate) fn new(config: ClusterConfig) -> Self {
        let broker = |node| Broker {
            node,
            host: "127.0.0.1".to_owned(),
            port: 9091 + node as u16,
            rack: usize::try_from(node - 1).ok().and_then(|at| config.racks.get(at)).cloned(),
            live: true,
        };
        Self {
            brokers: (1..=config.brokers).map(|node| (node, broker(node))).collect(),
            topics: BTreeMap::new(),
            names: HashMap::new(),
            partition_count: 0,
            next_replica: 0,
            coordinators: BTreeMap::new(),
            rng: Rng::with_seed(config.seed),
            config,
        }
    }

    pub(crate) fn config(&self) -> &ClusterConfig {
        &self.config
    }

    /// The cluster runs another level of `group.version` from now on.
    pub(crate) fn set_group_version(&mut self, level: i16) {
        self.config.group_version = level;
    }

    pub(crate) fn broker(&self, node: i32) -> Option<&Broker> {
        self.brokers.get(&node)
    }

    pub(crate) fn live_brokers(&self) -> impl Iterator<Item = &Broker> {
        self.brokers.values().filter(|broker| broker.live)
    }

    pub(crate) fn is_live(&self, node: i32) -> bool {
        self.broker(node).is_some_and(|broker| broker.live)
    }

    /// The in-sync follower in a client's rack that has most of a partition, if it has `offset`
    /// and the leader is not in that rack itself (KIP-392).
    pub(crate) fn closest(&self, partition: &Partition, rack: &str, offset: i64) -> Option<i32> {
        let is_there =
            |node: i32| self.broker(node).is_some_and(|one| one.rack.as_deref() == Some(rack));
        if rack.is_empty() || is_there(partition.leader) {
            return None;
        }
        let start = partition.log.start_offset();
        let nodes = partition.isr.iter().copied().filter(|&node| is_there(node));
        let nodes = nodes.filter(|&node| (start..=partition.end_at(node)).contains(&offset));
        nodes.max_by_key(|&node| (partition.end_at(node), std::cmp::Reverse(node)))
    }

    /// The lowest live node plays the controller; -1 if none lives.
    pub(crate) fn controller(&self) -> i32 {
        self.live_brokers().next().map_or(-1, |broker| broker.node)
    }

    /// The live broker that looks after `key` (a group, a transactional id).
    pub(crate) fn coordinator(&self, key: &str) -> Option<&Broker> {
        let moved = self.coordinators.get(key).and_then(|node| self.broker(*node));
        if let Some(broker) = moved.filter(|broker| broker.live) {
            return Some(broker);
        }
        let slots = usize::try_from(self.config.brokers).ok().filter(|&n| n > 0)?;
        let first = key
            .bytes()
            .fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)))
            % slots;
        let (before, after): (Vec<_>, Vec<_>) =
            self.live_brokers().partition(|broker| (broker.node as usize) <= first);
        after.into_iter().chain(before).next()
    }

    /// Makes a live broker look after `key`, as long as it lives. False if it does not.
    pub(crate) fn move_coordinator(&mut self, key: &str, node: i32) -> bool {
        let live = self.is_live(node);
        if live {
            self.coordinators.insert(key.to_owned(), node);
        }
        live
    }

    /// Sets what metadata says of a broker's address.
    pub(crate) fn set_address(&mut self, node: i32, host: &str, port: u16) {
        if let Some(broker) = self.brokers.get_mut(&node) {
            host.clone_into(&mut broker.host);
            broker.port = port;
        }
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.values()
    }

    pub(crate) fn topic(&self, name: &str) -> Option<&Topic> {
        self.topics.get(name)
    }

    pub(crate) fn topic_by_id(&self, id: Uuid) -> Option<&Topic> {
        self.names.get(&id).and_then(|name| self.topics.get(name))
    }

    pub(crate) fn partition(&self, topic: &str, index: i32) -> Option<&Partition> {
        let at = usize::try_from(index).ok()?;
        self.topics.get(topic)?.partitions.get(at)
    }

    pub(crate) fn partition_mut(&mut self, topic: &str, index: i32) -> Option<&mut Partition> {
        let at = usize::try_from(index).ok()?;
        self.topics.get_mut(topic)?.partitions.get_mut(at)
    }

    /// Makes a topic, or with `dry` only says whether it could be made.
    ///
    /// # Errors
    /// A broker's answer: the name, a number, or a replica list is not possible.
    pub(crate) fn create(&mut self, name: &str, spec: TopicSpec, dry: bool) -> Result<(), Refusal> {
        check_name(name)?;
        if self.topics.contains_key(name) {
            let message = format!("Topic '{name}' already exists.");
            return Err(Refusal::new(ErrorCode::TOPIC_ALREADY_EXISTS, message));
        }
        let assignments = self.assignments(&spec)?;
        self.check_room(assignments.len())?;
        if dry {
            return Ok(());
        }
        let id = self.new_id();
        let partitions =
            assignments.into_iter().map(|replicas| self.new_partition(replicas, &spec.config));
        let partitions: Vec<_> = partitions.collect();
        self.partition_count += partitions.len();
        self.names.insert(id, name.to_owned());
        let topic = Topic { name: name.to_owned(), id, config: spec.config, partitions };
        self.topics.insert(name.to_owned(), topic);
        Ok(())
    }

    /// Removes a topic with everything in it. False if there is none of that name.
    pub(crate) fn delete(&mut self, name: &str) -> bool {
        let Some(topic) = self.topics.remove(name) else {
            return false;
        };
        self.names.remove(&topic.id);
        self.partition_count -= topic.partitions.len();
        true
    }

    /// Raises the number of partitions of a topic to `count`.
    ///
    /// # Errors
    /// A broker's answer: no such topic, not more than there are, or impossible replicas.
    pub(crate) fn grow(
        &mut self,
        name: &str,
        count: i32,
        given: Option<Vec<Vec<i32>>>,
        dry: bool,
    ) -> Result<(), Refusal> {
        let topic = self.topics.get(name).ok_or_else(|| unknown_topic(name))?;
        let have = topic.partitions.len();
        let config = topic.config.clone();
        let replication = topic.partitions.first().map_or(1, |first| first.replicas.len());
        let wanted = usize::try_from(count).unwrap_or(0);
        if wanted <= have {
            let message =
                format!("Topic currently has {have} partitions, which is not less than {count}.");
            return Err(Refusal::new(ErrorCode::INVALID_PARTITIONS, message));
        }
        self.check_room(wanted - have)?;
        let assignments = match given {
            Some(lists) => self.checked_lists(lists, wanted - have)?,
            None => (have..wanted).map(|_| self.next_replicas(replication)).collect(),
        };
        if dry {
            return Ok(());
        }
        let partitions: Vec<_> =
            assignments.into_iter().map(|replicas| self.new_partition(replicas, &config)).collect();
        self.partition_count += partitions.len();
        if let Some(topic) = self.topics.get_mut(name) {
            topic.partitions.extend(partitions);
        }
        Ok(())
    }

    /// Makes `node` the leader of a partition and bumps its epoch, if it is a live replica (or
    /// becomes one: a node that holds no replica is added to them).
    pub(crate) fn move_leader(&mut self, topic: &str, index: i32, node: i32) -> bool {
        if !self.is_live(node) {
            return false;
        }
        let Some(partition) = self.partition_mut(topic, index) else {
            return false;
        };
        if !partition.replicas.contains(&node) {
            partition.replicas.push(node);
            partition.isr.push(node);
        }
        partition.lead(node);
        true
    }

    /// Gives a topic other settings, which act on its logs at once.
    pub(crate) fn set_config(&mut self, name: &str, config: TopicConfig) {
        let rules = config.log_rules(&self.config.log);
        if let Some(topic) = self.topics.get_mut(name) {
            for partition in &mut topic.partitions {
                partition.log.set_rules(rules.clone());
            }
            topic.config = config;
        }
    }

    /// Marks a broker dead or live and elects anew where that matters. False if nothing changed.
    pub(crate) fn set_live(&mut self, node: i32, live: bool) -> bool {
        match self.brokers.get_mut(&node) {
            Some(broker) if broker.live != live => broker.live = live,
            _ => return false,
        }
        let alive: Vec<i32> = self.live_brokers().map(|broker| broker.node).collect();
        for partition in self.topics.values_mut().flat_map(|topic| &mut topic.partitions) {
            partition.elect(&alive);
        }
        true
    }

    /// The next id of the cluster's own sequence, for topics and group members.
    pub(crate) fn new_id(&mut self) -> Uuid {
        let mut id = [0; 16];
        self.rng.fill(&mut id);
        // The version bits of a random UUID, and never a leading dash in Kafka's text form.
        id[0] &= 0x7f;
        id[6] = (id[6] & 0x0f) | 0x40;
        id[8] = (id[8] & 0x3f) | 0x80;
        Uuid(id)
    }

    fn new_partition(&self, replicas: Vec<i32>, config: &TopicConfig) -> Partition {
        let isr: Vec<i32> = replicas.iter().copied().filter(|&node| self.is_live(node)).collect();
        let mut log = PartitionLog::new(config.log_rules(&self.config.log));
        log.begin_epoch(0);
        let leader = isr.first().copied().unwrap_or(-1);
        Partition { leader, leader_epoch: 0, replicas, isr, held: BTreeMap::new(), log }
    }

    fn assignments(&mut self, spec: &TopicSpec) -> Result<Vec<Vec<i32>>, Refusal> {
        if !spec.assignments.is_empty() {
            return self.checked_lists(spec.assignments.clone(), spec.assignments.len());
        }
        let count = spec.partitions.unwrap_or(self.config.default_partitions);
        let count = usize::try_from(count).ok().filter(|&n| n > 0).ok_or_else(|| {
            let message = "Number of partitions must be larger than 0.";
            Refusal::new(ErrorCode::INVALID_PARTITIONS, message)
        })?;
        self.check_room(count)?;
        let live = self.live_brokers().count();
        let default = usize::try_from(self.config.default_replication).unwrap_or(1).min(live);
        let replication = spec.replication.map_or(Some(default), |n| usize::try_from(n).ok());
        let replication = replication.filter(|&n| n > 0 && n <= live).ok_or_else(|| {
            let asked = spec.replication.unwrap_or_default();
            let message = format!("The target replication factor of {asked} cannot be reached because only {live} broker(s) are registered.");
            Refusal::new(ErrorCode::INVALID_REPLICATION_FACTOR, message)
        })?;
        Ok((0..count).map(|_| self.next_replicas(replication)).collect())
    }

    fn checked_lists(&self, lists: Vec<Vec<i32>>, count: usize) -> Result<Vec<Vec<i32>>, Refusal> {
        let fine = |list: &Vec<i32>| {
            let mut sorted = list.clone();
            sorted.sort_unstable();
            sorted.dedup();
            !list.is_empty()
                && sorted.len() == list.len()
                && list.iter().all(|node| self.brokers.contains_key(node))
        };
        if lists.len() == count && lists.iter().all(fine) {
            return Ok(lists);
        }
        let message = "Replica assignments must name distinct known brokers for each partition.";
        Err(Refusal::new(ErrorCode::INVALID_REPLICA_ASSIGNMENT, message))
    }

    /// Replicas for one more partition, dealt out in turn.
    fn next_replicas(&mut self, replication: usize) -> Vec<i32> {
        let live: Vec<i32> = self.live_brokers().map(|broker| broker.node).collect();
        let first = self.next_replica;
        self.next_replica += 1;
        let replicas = live.iter().cycle().skip(first % live.len().max(1));
        replicas.take(replication.min(live.len())).copied().collect()
    }

    fn check_room(&self, more: usize) -> Result<(), Refusal> {
        let most = self.config.max_partitions;
        if self.partition_count.saturating_add(more) <= most {
            return Ok(());
        }
        let message = format!("this cluster holds at most {most} partitions");
        Err(Refusal::new(ErrorCode::INVALID_PARTITIONS, message))
    }
}

impl Topic {
    pub(crate) fn partition(&self, index: i32) -> Option<&Partition> {
        self.partitions.get(usize::try_from(index).ok()?)
    }
}

impl Partition {
    /// Checks that `node` may serve this partition to a client that knows `epoch` (-1: any).
    pub(crate) fn check_leader(&self, node: i32, epoch: i32) -> Result<(), ErrorCode> {
        if self.leader != node {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        self.check_epoch(epoch)
    }

    /// The same for a client that may read from a follower (KIP-392).
    pub(crate) fn check_replica(&self, node: i32, epoch: i32) -> Result<(), ErrorCode> {
        if !self.isr.contains(&node) {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER);
        }
        self.check_epoch(epoch)
    }

    /// The end of what a replica has.
    pub(crate) fn end_at(&self, node: i32) -> i64 {
        let end = self.log.end_offset();
        let held = self.held.get(&node).filter(|_| node != self.leader);
        held.map_or(end, |held| end.min(*held))
    }

    fn check_epoch(&self, epoch: i32) -> Result<(), ErrorCode> {
        match epoch {
            -1 => Ok(()),
            older if older < self.leader_epoch => Err(ErrorCode::FENCED_LEADER_EPOCH),
            newer if newer > self.leader_epoch => Err(ErrorCode::UNKNOWN_LEADER_EPOCH),
            _ => Ok(()),
        }
    }

    pub(crate) fn offline_replicas(&self) -> Vec<i32> {
        self.replicas.iter().filter(|node| !self.isr.contains(node)).copied().collect()
    }

    /// Follows a change of the live brokers.
    fn elect(&mut self, alive: &[i32]) {
        self.isr = self.replicas.iter().copied().filter(|node| alive.contains(node)).collect();
        if self.isr.contains(&self.leader) {
            return;
        }
        let next = self.isr.first().copied().unwrap_or(-1);
        if next != self.leader {
            self.lead(next);
        }
    }

    fn lead(&mut self, node: i32) {
        self.leader = node;
        self.leader_epoch += 1;
        self.log.begin_epoch(self.leader_epoch);
    }
}

/// The answer for a topic that is not there.
pub(crate) fn unknown_topic(name: &str) -> Refusal {
    let message = format!("This server does not host the topic {name}.");
    Refusal::new(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, message)
}

fn check_name(name: &str) -> Result<(), Refusal> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if matches!(name, "" | "." | "..") || name.len() > MAX_NAME || !name.bytes().all(legal) {
        let message = format!(
            "the topic name must have 1 to {MAX_NAME} letters, digits, dots, dashes or underscores"
        );
        return Err(Refusal::new(ErrorCode::INVALID_TOPIC_EXCEPTION, message));
    }
    Ok(())
}

const MAX_NAME: usize = 249;

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Topology {
        Topology::new(ClusterConfig { brokers: 3, ..ClusterConfig::default() })
    }

    fn spec(partitions: i32, replication: i16) -> TopicSpec {
        TopicSpec {
            partitions: Some(partitions),
            replication: Some(replication),
            ..TopicSpec::default()
        }
    }

    #[test]
    fn leadership_is_dealt_out_over_the_brokers() {
        let mut topology = three();
        topology.create("t", spec(3, 2), false).unwrap();
        let leaders: Vec<_> =
            topology.topic("t").unwrap().partitions.iter().map(|p| p.leader).collect();
        assert_eq!(leaders, [1, 2, 3]);
    }

    #[test]
    fn killing_a_leader_elects_the_next_replica_in_a_new_epoch() {
        let mut topology = three();
        topology.create("t", spec(1, 2), false).unwrap();
        assert!(topology.set_live(1, false));
        let partition = topology.partition("t", 0).unwrap();
        assert_eq!((partition.leader, partition.leader_epoch), (2, 1));
        assert_eq!(partition.isr, [2]);
        assert!(topology.set_live(2, false));
        assert_eq!(topology.partition("t", 0).unwrap().leader, -1);
        assert!(topology.set_live(1, true));
        let partition = topology.partition("t", 0).unwrap();
        assert_eq!((partition.leader, partition.leader_epoch), (1, 3));
    }

    #[test]
    fn every_key_has_a_live_coordinator_that_only_moves_when_it_dies() {
        let mut topology = three();
        let of = |topology: &Topology, key: &str| topology.coordinator(key).map(|b| b.node);
        let before: Vec<_> = ["a", "b", "c"].map(|key| of(&topology, key)).into();
        assert_eq!(before.len(), 3);
        topology.set_live(2, false);
        for (key, node) in ["a", "b", "c"].into_iter().zip(before) {
            match node {
                Some(2) => assert_ne!(of(&topology, key), Some(2)),
                other => assert_eq!(of(&topology, key), other),
            }
        }
    }

    #[test]
    fn equal_seeds_give_equal_topic_ids() {
        let id = |seed| {
            let config = ClusterConfig { seed, ..ClusterConfig::default() };
            let mut topology = Topology::new(config);
            topology.create("t", spec(1, 1), false).unwrap();
            topology.topic("t").unwrap().id
        };
        assert_eq!(id(7), id(7));
        assert_ne!(id(7), id(8));
    }

    #[test]
    fn impossible_topics_are_refused_with_the_brokers_codes() {
        let mut topology = three();
        let code = |result: Result<(), Refusal>| result.unwrap_err().code;
        assert_eq!(
            code(topology.create("a/b", spec(1, 1), false)),
            ErrorCode::INVALID_TOPIC_EXCEPTION
        );
        assert_eq!(code(topology.create("t", spec(0, 1), false)), ErrorCode::INVALID_PARTITIONS);
        assert_eq!(
            code(topology.create("t", spec(1, 4), false)),
            ErrorCode::INVALID_REPLICATION_FACTOR
        );
        assert_eq!(
            code(topology.create("t", spec(10_001, 1), false)),
            ErrorCode::INVALID_PARTITIONS
        );
        assert_eq!(code(topology.grow("t", 2, None, false)), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        topology.create("t", spec(2, 1), false).unwrap();
        assert_eq!(code(topology.create("t", spec(2, 1), false)), ErrorCode::TOPIC_ALREADY_EXISTS);
        assert_eq!(code(topology.grow("t", 2, None, false)), ErrorCode::INVALID_PARTITIONS);
        topology.grow("t", 4, None, false).unwrap();
        assert_eq!(topology.topic("t").unwrap().partitions.len(), 4);
    }
}
