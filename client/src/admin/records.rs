//! Records deleted from the front of partitions (KIP-107). In: partitions with the first offset to
//! keep; out: where each log starts now. Requests go to the leaders.

use std::collections::BTreeMap;

use klamm_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic,
};

use crate::client::Client;
use crate::cluster::Repeat;
use crate::error::{Error, Result};
use crate::partition::TopicPartition;

use super::by_topic::named;
use super::each::{Call, Each, To, Told};

/// Which records go.
///
/// ```no_run
/// # async fn example(client: klamm_client::Client) -> klamm_client::Result<()> {
/// use klamm_client::TopicPartition;
/// use klamm_client::admin::DeleteBefore;
///
/// let orders = [(TopicPartition::new("orders", 0), DeleteBefore::Offset(1000))];
/// for start in client.delete_records(&orders).await {
///     println!("the log starts at {} now", start?);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeleteBefore {
    /// Those before this offset.
    Offset(i64),
    /// All that can be read: those before the high watermark.
    HighWatermark,
}

impl Client {
    /// Deletes records and tells the lowest offset that any replica still holds. The results stand
    /// in the order given. Records before an offset are deleted again where the request got no
    /// answer; those before a high watermark are not, since more may have come.
    ///
    /// # Errors
    ///
    /// For each: [`Usage`](crate::ErrorKind::Usage) if topic or partition does not exist (new ones
    /// are waited for two seconds); the broker's code, such as `OFFSET_OUT_OF_RANGE` beyond the
    /// high watermark or `POLICY_VIOLATION` where the topic is compacted and nothing else;
    /// [`OutcomeUnknown`](crate::ErrorKind::OutcomeUnknown), or
    /// [`TimedOut`](crate::ErrorKind::TimedOut) after `default.api.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe: records may or may not be deleted.
    pub async fn delete_records(
        &self,
        before: &[(TopicPartition, DeleteBefore)],
    ) -> Vec<Result<i64>> {
        let moves = before.iter().any(|(_, before)| *before == DeleteBefore::HighWatermark);
        let repeat = if moves { Repeat::Harmful } else { Repeat::Harmless };
        let to = To::Leader(|(partition, _): &(TopicPartition, DeleteBefore)| partition);
        let each = Each { client: self, items: before, to, repeat };
        each.ask(|call| delete(self.order_timeout(), call)).await
    }
}

async fn delete(
    timeout_ms: i32,
    call: Call<'_, (TopicPartition, DeleteBefore)>,
) -> Told<TopicPartition, i64> {
    let mut topics: BTreeMap<&str, Vec<DeleteRecordsPartition>> = BTreeMap::new();
    for (partition, before) in &call.items {
        let offset = match before {
            DeleteBefore::Offset(offset) => (*offset).max(0),
            DeleteBefore::HighWatermark => HIGH_WATERMARK,
        };
        let asked = DeleteRecordsPartition { partition_index: partition.partition, offset };
        topics.entry(&partition.topic).or_default().push(asked);
    }
    let topic =
        |(name, partitions): (&str, _)| DeleteRecordsTopic { name: name.to_owned(), partitions };
    let request =
        DeleteRecordsRequest { topics: topics.into_iter().map(topic).collect(), timeout_ms };
    let topics = call.request(&request).await?.topics.into_iter();
    let told =
        topics.flat_map(|topic| named(topic.name, topic.partitions, |one| one.partition_index));
    Ok(told
        .map(|(partition, one)| {
            (partition, Error::check(one.error_code).map(|()| one.low_watermark))
        })
        .collect())
}

/// By this number requests mean the high watermark.
const HIGH_WATERMARK: i64 = -1;
