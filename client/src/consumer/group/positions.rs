//! Where to begin in a partition. In: partitions that have just been taken up, or are to be set to
//! an end of their log or a time; out: an offset for each, or why there is none.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::admin::{CommittedOffset, OffsetSpec};
use crate::client::Client;
use crate::config::{Isolation, OffsetReset};
use crate::consumer::leader::Job;
use crate::error::{Error, Result};
use crate::partition::TopicPartition;

use super::commit::Committer;
use super::ledger::{Spot, Tenure};

/// A partition in the stay that a question was asked in.
pub(super) type Asked = (TopicPartition, Tenure);

/// An answer.
pub(super) enum Answer {
    /// What the group has stored.
    Stored(Vec<Asked>, Result<BTreeMap<TopicPartition, CommittedOffset>>),
    /// Where a log has what was looked for.
    Listed {
        asked: Asked,
        spec: OffsetSpec,
        spot: Result<Spot>,
        on_purpose: bool,
        stored: Option<i64>,
    },
}

/// Asks for stored positions.
pub(super) fn stored(committer: &Committer, client: &Client, asked: Vec<Asked>) -> Job<Answer> {
    let (committer, deadline) = (committer.clone(), client.api_deadline());
    Box::pin(async move {
        let partitions: Vec<_> = asked.iter().map(|(partition, _)| partition.clone()).collect();
        let found = committer.fetch(&partitions, deadline).await;
        Answer::Stored(asked, found)
    })
}

/// Looks an offset up. `on_purpose` says that the caller set the position.
pub(super) fn listed(
    client: &Client,
    asked: Asked,
    spec: OffsetSpec,
    isolation: Isolation,
    on_purpose: bool,
    stored: Option<i64>,
) -> Job<Answer> {
    let client = client.clone();
    Box::pin(async move {
        let spot = look_up(&client, &asked.0, spec, isolation).await;
        Answer::Listed { asked, spec, spot, on_purpose, stored }
    })
}

/// What a reset means now; `None` where there is none.
pub(super) fn reset_spec(reset: OffsetReset) -> Option<OffsetSpec> {
    match reset {
        OffsetReset::Earliest => Some(OffsetSpec::Earliest),
        OffsetReset::Latest => Some(OffsetSpec::Latest),
        OffsetReset::ByDuration(age) => Some(OffsetSpec::Timestamp(before_now(age))),
        OffsetReset::None => None,
    }
}

/// A timestamp that no record has reached yet means the end, as for Java's consumer.
async fn look_up(
    client: &Client,
    partition: &TopicPartition,
    spec: OffsetSpec,
    isolation: Isolation,
) -> Result<Spot> {
    for spec in [spec, OffsetSpec::Latest] {
        let found = client.list_offsets(&[(partition.clone(), spec)], isolation).await;
        let Some((_, found)) = found.into_iter().next() else { continue };
        let found = found.map_err(|error: Error| match error.context("partition") {
            Some(_) => error,
            None => error.with("partition", partition),
        })?;
        if let Some(offset) = found.offset {
            // The epoch that is told is that of the record found, not of the one before it.
            return Ok(Spot { offset, epoch: -1 });
        }
    }
    Ok(Spot { offset: 0, epoch: -1 })
}

/// The time before now in milliseconds since 1970, never before that.
fn before_now(age: Duration) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.saturating_sub(age).as_millis()).unwrap_or(i64::MAX)
}

/// When a question that failed is asked again.
pub(super) fn later(client: &Client) -> Instant {
    Instant::now() + *client.config().retry_backoff_max()
}
