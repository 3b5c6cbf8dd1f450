//! A batch that a broker finds too large, cut in two: a sealed batch goes in, two smaller ones with
//! the same records in the same order come out.

use std::num::NonZeroU32;

use super::batch::RawBatch;
use super::build::{BatchBuilder, BatchOptions};
use super::compress::{Deflater, Inflater};
use super::parts::{HeaderParts, RecordParts};
use super::record::RecordRef;
use super::sealed::SealedBatch;

impl SealedBatch {
    /// Cuts the batch into two of about as many records each. `options` say how they are compressed;
    /// their limits do not count, since the records fitted into one batch already.
    ///
    /// `None` for a batch of one record, and for one whose records cannot be read back.
    pub fn split(
        &self,
        options: BatchOptions,
        inflater: &mut Inflater,
        deflater: &mut Deflater,
    ) -> Option<[Self; 2]> {
        let half = NonZeroU32::new(self.record_count() / 2)?.get();
        let batch =
            RawBatch::read(self.clone().to_bytes()).ok()?.open(inflater, usize::MAX).ok()?;
        let options =
            BatchOptions { max_bytes: usize::MAX, max_record_bytes: usize::MAX, ..options };
        let mut builder = BatchBuilder::new(options);
        let mut records = batch.records();
        let mut take = |count: u32| {
            for _ in 0..count {
                push(&mut builder, &records.next()?.ok()?)?;
            }
            Some(builder.seal_with(deflater))
        };
        Some([take(half)?, take(self.record_count() - half)?])
    }
}

fn push(builder: &mut BatchBuilder, record: &RecordRef<'_>) -> Option<()> {
    let parts = RecordParts::new(record.timestamp(), record.key(), record.value());
    if !record.has_headers() {
        return builder.try_push(&parts).ok().map(drop);
    }
    let headers: Option<Vec<HeaderParts<'_>>> = record
        .headers()
        .map(|header| {
            let header = header.ok()?;
            Some((header.key().ok()?, header.value()))
        })
        .collect();
    builder.try_push(&parts.with_headers(headers?.iter().copied())).ok().map(drop)
}
