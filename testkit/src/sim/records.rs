//! The records of the simulated world: numbers go in, batches come out, and back.

use klamm_protocol::records::{
    BatchBuilder, BatchOptions, Inflater, RawBatch, RecordParts, SealedBatch,
};

use super::checks::{Rule, Violation};

/// A batch of one record per number. Equal numbers give equal batches.
pub(super) fn batch_of(numbers: &[u64]) -> Result<SealedBatch, Violation> {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for number in numbers {
        let mut value = number.to_be_bytes().to_vec();
        // Some are long enough to travel by reference.
        let padding = if number % 17 == 0 { 4_500 } else { number % 40 };
        value.resize(8 + padding as usize, 0x20);
        builder
            .try_push(&RecordParts::new(0, None, Some(&value)))
            .map_err(|error| Violation::new(Rule::FramesWhole, error))?;
    }
    Ok(builder.seal())
}

/// The numbers in a batch, with their offsets.
pub(super) fn numbers_of(
    raw: &RawBatch,
    inflater: &mut Inflater,
) -> Result<Vec<(i64, u64)>, Violation> {
    let damaged = |error| Violation::new(Rule::FramesWhole, error);
    let batch = raw.open(inflater, 1 << 20).map_err(damaged)?;
    let number = |value: &[u8]| value.first_chunk().map(|head| u64::from_be_bytes(*head));
    let records = batch.records().map(|record| {
        let record = record.map_err(damaged)?;
        let number = record.value().and_then(number);
        let number = number.ok_or_else(|| Violation::new(Rule::FramesWhole, "no number"))?;
        Ok((record.offset(), number))
    });
    records.collect()
}

/// The only topic.
pub(super) const TOPIC: &str = "sim";
