//! The job: amounts by key from a topic into totals. In: a stream's batch; out: a transaction that holds what the batch
//! adds and where it ends.

use std::error::Error;
use std::time::Duration;

use klamm_connector::direct::{
    DirectBatch, DirectOptions, DirectStream, LocationStrategy, Subscribe,
};

use super::store::{Store, Transaction};

/// What can go wrong.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// A stream that goes on where the store ends.
///
/// # Errors
/// If the store can't be read, or no broker answers.
pub(crate) async fn open(
    server: &str,
    topic: &str,
    most: u32,
    store: &Store,
) -> Outcome<DirectStream> {
    let most = most.to_string();
    let options = DirectOptions::from_pairs([
        ("bootstrap.servers", server),
        ("auto.offset.reset", "earliest"),
        ("spark.streaming.kafka.maxRatePerPartition", &most),
    ])?;
    let strategy = Subscribe::to([topic]).starting_at(store.positions()?);
    let consistent = LocationStrategy::PreferConsistent;
    Ok(DirectStream::connect(options, strategy, consistent, Duration::from_secs(1)).await?)
}

/// Begins a transaction with everything that a batch adds. A record's value is an amount; others count as 0.
///
/// # Errors
/// If the batch can't be read, or the store can't be written.
pub(crate) async fn stage(batch: &DirectBatch, store: &Store) -> Outcome<Transaction> {
    // Read before the transaction begins, so that nobody waits for a broker.
    let records = batch.read().collect().await?;
    let mut transaction = store.begin()?;
    for record in records {
        let value = record.value.as_deref().and_then(|value| std::str::from_utf8(value).ok());
        let amount = value.and_then(|text| text.trim().parse().ok()).unwrap_or_default();
        transaction.add(record.key.as_deref().unwrap_or_default(), amount)?;
    }
    for range in batch.ranges().iter().filter(|range| range.size() > 0) {
        transaction.advance(range)?;
    }
    Ok(transaction)
}
