//! Questions beside fetching: who leads, what the log still has, whether silence is a hole. In:
//! cursors that cannot go on; out: what the reader has to know to place them, end them, or give
//! them up with facts.

use std::sync::Arc;

use klamm_protocol::messages::fetch::FetchRequest;
use klamm_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
};
use klamm_protocol::messages::offset_for_leader_epoch::{
    OffsetForLeaderEpochRequest, OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use klamm_protocol::session::fetch::{Cursor, CursorId};
use klamm_protocol::session::metadata::Topic;

use crate::admin::OffsetSpec;
use crate::client::Client;
use crate::config::Isolation;
use crate::error::{Error, Result};
use crate::partition::TopicPartition;

use super::leader::Job;

/// The answer to a question.
pub(super) enum Fact {
    /// A topic as it is now.
    Topic { name: Arc<str>, found: Result<Arc<Topic>> },
    /// A cursor's position was not in the log; this is what the log has.
    Ends { id: CursorId, cursor: Cursor, ends: Result<(i64, i64)> },
    /// Where the leader's own disk begins, `None` if that cannot be known. What lies before is in
    /// remote storage.
    LocalStart { id: CursorId, next: i64, start: Option<i64> },
    /// Whether the log of a cursor's new leader still holds what was read of the old one.
    Checked { id: CursorId, cursor: Cursor, node: i32, epoch: i32, end: Result<Option<EpochEnd>> },
}

/// The last epoch that a leader shares with a cursor, and where it ends there; -1 for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EpochEnd {
    pub(super) epoch: i32,
    pub(super) offset: i64,
}

/// Looks a topic up, after a refresh where the known view was wrong.
pub(super) fn topic(client: &Client, name: Arc<str>, fresh: bool) -> Job<Fact> {
    let (cluster, deadline) = (client.cluster().clone(), client.api_deadline());
    Box::pin(async move {
        let refreshed = if fresh { cluster.refresh(deadline).await.map(drop) } else { Ok(()) };
        let found = match refreshed {
            Ok(()) => cluster.topic(&name, deadline).await,
            Err(error) => Err(error),
        };
        Fact::Topic { name, found }
    })
}

/// Asks for both ends of a log.
pub(super) fn ends(
    client: &Client,
    id: CursorId,
    cursor: Cursor,
    isolation: Isolation,
) -> Job<Fact> {
    let client = client.clone();
    Box::pin(async move {
        let place = TopicPartition::new(Arc::clone(&cursor.topic), cursor.partition);
        let wanted = [(place.clone(), OffsetSpec::Earliest), (place, OffsetSpec::Latest)];
        let mut found = client.list_offsets(&wanted, isolation).await.into_iter();
        let mut next = || {
            let found =
                found.next().map(|(_, listed)| listed.map(|listed| listed.offset.unwrap_or(-1)));
            found.unwrap_or(Ok(-1))
        };
        let ends = next().and_then(|start| Ok((start, next()?)));
        Fact::Ends { id, cursor, ends }
    })
}

/// Asks where the leader's own disk begins (KIP-405). A broker without remote storage has no such
/// question, and everything is local to it.
pub(super) fn local_start(client: &Client, id: CursorId, cursor: &Cursor, node: i32) -> Job<Fact> {
    let (client, next) = (client.clone(), cursor.next);
    let partition = ListOffsetsPartition {
        partition_index: cursor.partition,
        current_leader_epoch: cursor.leader_epoch,
        timestamp: EARLIEST_LOCAL,
        ..ListOffsetsPartition::default()
    };
    let topic = ListOffsetsTopic { name: cursor.topic.to_string(), partitions: vec![partition] };
    Box::pin(async move {
        let start = ask_local_start(&client, node, topic).await.ok().flatten();
        Fact::LocalStart { id, next, start }
    })
}

async fn ask_local_start(
    client: &Client,
    node: i32,
    topic: ListOffsetsTopic,
) -> Result<Option<i64>> {
    let deadline = client.api_deadline();
    let handle = client.cluster().broker(node, deadline).await?;
    if handle.version_of::<ListOffsetsRequest>()? < FIRST_WITH_LOCAL {
        return Ok(Some(0));
    }
    let topics = vec![topic];
    let request = ListOffsetsRequest { replica_id: -1, topics, ..ListOffsetsRequest::default() };
    let response = handle.request(&request, deadline).await?;
    let answer = response.topics.first().and_then(|topic| topic.partitions.first());
    Ok(answer.filter(|answer| answer.error_code.is_ok()).map(|answer| answer.offset))
}

/// Asks a new leader whether it has all that was read before (KIP-320). Brokers that compare epochs
/// with each fetch need not be asked.
pub(super) fn check(
    client: &Client,
    id: CursorId,
    cursor: Cursor,
    node: i32,
    epoch: i32,
) -> Job<Fact> {
    let client = client.clone();
    Box::pin(async move {
        let end = ask_epoch_end(&client, &cursor, node, epoch).await;
        Fact::Checked { id, cursor, node, epoch, end }
    })
}

async fn ask_epoch_end(
    client: &Client,
    cursor: &Cursor,
    node: i32,
    epoch: i32,
) -> Result<Option<EpochEnd>> {
    let deadline = client.api_deadline();
    let handle = client.cluster().broker(node, deadline).await?;
    let compares = handle.version_of::<FetchRequest>()? >= FIRST_WITH_DIVERGENCE;
    if compares || handle.version_of::<OffsetForLeaderEpochRequest>().is_err() {
        return Ok(None);
    }
    let partition = OffsetForLeaderPartition {
        partition: cursor.partition,
        current_leader_epoch: epoch,
        leader_epoch: cursor.last_epoch,
    };
    let topic =
        OffsetForLeaderTopic { topic: cursor.topic.to_string(), partitions: vec![partition] };
    let request = OffsetForLeaderEpochRequest { replica_id: -1, topics: vec![topic] };
    let response = handle.request(&request, deadline).await?;
    let answer = response.topics.first().and_then(|topic| topic.partitions.first());
    let Some(answer) = answer else { return Ok(None) };
    Error::check(answer.error_code)?;
    Ok(Some(EpochEnd { epoch: answer.leader_epoch, offset: answer.end_offset }))
}

/// From this version on a fetch tells the epoch of what was read before.
const FIRST_WITH_DIVERGENCE: i16 = 12;

/// The "timestamp" that asks for the first offset on the leader's own disk.
const EARLIEST_LOCAL: i64 = -4;
const FIRST_WITH_LOCAL: i16 = 8;
