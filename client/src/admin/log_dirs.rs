//! Log directories of brokers (KIP-113). In: brokers, or replicas with the directory they shall move
//! to; out: directories with the sizes of their replicas. Each broker is asked about its own.

use std::collections::BTreeMap;

use klamm_protocol::messages::alter_replica_log_dirs::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest,
};
use klamm_protocol::messages::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsRequest, DescribeLogDirsResult,
};

use crate::client::Client;
use crate::cluster::Repeat;
use crate::error::{Error, Result};
use crate::partition::TopicPartition;

use super::by_topic::{gathered, named};
use super::each::{Broker, Call, Each, Item, Node, To, Told, about};

/// A log directory of a broker.
///
/// ```no_run
/// # async fn example(client: klamm_client::Client) -> klamm_client::Result<()> {
/// for directory in client.describe_log_dirs(&[1], None).await.remove(0)? {
///     let bytes: i64 = directory.replicas.iter().map(|replica| replica.bytes).sum();
///     println!("{}: {bytes} bytes", directory.path);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogDir {
    /// Its absolute path.
    pub path: String,
    /// Why the broker cannot use it, such as `KAFKA_STORAGE_ERROR`; `None` if it can.
    pub error: Option<Error>,
    /// The replicas in it, by topic and number.
    pub replicas: Vec<LogDirReplica>,
    /// The size of its disk in bytes, from brokers since 3.3 (KIP-827).
    pub total_bytes: Option<i64>,
    /// The free bytes of its disk, from brokers since 3.3 (KIP-827).
    pub usable_bytes: Option<i64>,
    /// Whether no new replicas are placed in it (KIP-1066).
    pub cordoned: bool,
}

/// A replica in a log directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogDirReplica {
    /// Its partition.
    pub partition: TopicPartition,
    /// The bytes of its segments.
    pub bytes: i64,
    /// How many offsets it is behind: its end behind the high watermark, or, where it is a copy
    /// under way, behind the end of the replica that it will replace.
    pub lag: i64,
    /// Whether it is a copy that will replace the replica in another directory.
    pub future: bool,
}

/// A replica, and the directory that it shall move to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaMove {
    /// The broker that holds it.
    pub broker: i32,
    /// Its partition.
    pub partition: TopicPartition,
    /// The directory's absolute path, among the broker's `log.dirs`.
    pub path: String,
}

impl Client {
    /// The log directories of brokers, with replicas of these partitions or (`None`) all that are
    /// there. The results stand in the order of the brokers.
    ///
    /// # Errors
    ///
    /// For each broker: the broker's code; [`Unreachable`](crate::ErrorKind::Unreachable) if it
    /// does not live; [`TimedOut`](crate::ErrorKind::TimedOut) after `default.api.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn describe_log_dirs(
        &self,
        brokers: &[i32],
        partitions: Option<&[TopicPartition]>,
    ) -> Vec<Result<Vec<LogDir>>> {
        let items: Vec<_> = brokers.iter().map(|id| Broker(*id)).collect();
        let to = To::Node(|broker: &Broker| Node::Id(broker.0));
        let each = Each { client: self, items: &items, to, repeat: Repeat::Harmless };
        each.ask(|call| describe(partitions, call)).await
    }

    /// Begins to move replicas to other directories of their brokers. The results stand in the
    /// order given; data moves for long after, see [`LogDirReplica::future`]. A partition that a
    /// broker does not hold yet is placed there once it does.
    ///
    /// # Errors
    ///
    /// For each: the broker's code, such as `LOG_DIR_NOT_FOUND` or `REPLICA_NOT_AVAILABLE`; the
    /// others as [`Client::describe_log_dirs`].
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: replicas may or may not move.
    pub async fn alter_replica_log_dirs(&self, moves: &[ReplicaMove]) -> Vec<Result<()>> {
        let to = To::Node(|one: &ReplicaMove| Node::Id(one.broker));
        Each { client: self, items: moves, to, repeat: Repeat::Harmless }.ask(alter).await
    }
}

impl Item for ReplicaMove {
    type Key = TopicPartition;

    fn key(&self) -> TopicPartition {
        self.partition.clone()
    }

    fn named(&self, error: Error) -> Error {
        let error = self.partition.named(error);
        about(about(error, "directory", &self.path), "broker", format!("id {}", self.broker))
    }
}

async fn describe(
    partitions: Option<&[TopicPartition]>,
    call: Call<'_, Broker>,
) -> Told<i32, Vec<LogDir>> {
    let topic = |topic, partitions| DescribableLogDirTopic { topic, partitions };
    let request = DescribeLogDirsRequest { topics: partitions.map(|some| gathered(some, topic)) };
    let response = call.request(&request).await?;
    Error::check(response.error_code)?;
    let directories: Vec<_> = response.results.into_iter().map(LogDir::of).collect();
    Ok(call.told(Ok(directories)))
}

async fn alter(call: Call<'_, ReplicaMove>) -> Told<TopicPartition, ()> {
    let mut paths: BTreeMap<&str, Vec<&TopicPartition>> = BTreeMap::new();
    for one in &call.items {
        paths.entry(&one.path).or_default().push(&one.partition);
    }
    let topic = |name, partitions| AlterReplicaLogDirTopic { name, partitions };
    let directory = |(path, partitions): (&str, Vec<&TopicPartition>)| AlterReplicaLogDir {
        path: path.to_owned(),
        topics: gathered(partitions, topic),
    };
    let request = AlterReplicaLogDirsRequest { dirs: paths.into_iter().map(directory).collect() };
    let topics = call.request(&request).await?.results.into_iter();
    let told =
        topics.flat_map(|one| named(one.topic_name, one.partitions, |one| one.partition_index));
    Ok(told.map(|(partition, one)| (partition, Error::check(one.error_code))).collect())
}

impl LogDir {
    fn of(told: DescribeLogDirsResult) -> Self {
        let known = |bytes: i64| Some(bytes).filter(|bytes| *bytes >= 0);
        let path = told.log_dir;
        let error = Error::check(told.error_code).err().map(|error| error.with("directory", &path));
        let topics = told.topics.into_iter();
        let replicas =
            topics.flat_map(|one| named(one.name, one.partitions, |one| one.partition_index));
        let replicas = replicas.map(|(partition, one)| LogDirReplica {
            partition,
            bytes: one.partition_size,
            lag: one.offset_lag,
            future: one.is_future_key,
        });
        let mut replicas: Vec<_> = replicas.collect();
        replicas.sort_by(|a, b| a.partition.cmp(&b.partition));
        Self {
            path,
            error,
            replicas,
            total_bytes: known(told.total_bytes),
            usable_bytes: known(told.usable_bytes),
            cordoned: told.is_cordoned,
        }
    }
}
