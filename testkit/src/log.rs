//! The log of one partition: in go record batches, checked and stamped with offsets; out come
//! batches by offset, by timestamp and by leader epoch, as a broker's log gives them.
//!
//! Holds what a broker's log holds: start, high watermark and last stable offset, leader epochs
//! (KIP-101, KIP-320), idempotent producers (KIP-98), aborted transactions, and retention by
//! bytes. All in memory; every replica of a partition shares this one log, so the high watermark
//! is the log's end unless a test holds it back.

mod batch;
mod epochs;
mod producers;
mod transactions;

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use klamm_protocol::code::ErrorCode;
use klamm_protocol::records::{Batches, RawBatch};

pub use batch::StoredBatch;
pub use epochs::EpochEnd;
pub use transactions::Aborted;

use batch::Stamp;
use epochs::EpochHistory;
use producers::{Producers, Verdict};
use transactions::Transactions;

/// The batches of one partition and everything a broker knows of them.
#[derive(Clone, Debug)]
pub struct PartitionLog {
    rules: LogRules,
    batches: VecDeque<StoredBatch>,
    bytes: usize,
    start: i64,
    end: i64,
    held_watermark: Option<i64>,
    epochs: EpochHistory,
    producers: Producers,
    transactions: Transactions,
}

/// What a log takes and how much it keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRules {
    /// The largest batch taken, in bytes (`max.message.bytes`). Default 1,048,588, as Kafka's.
    pub max_message_bytes: usize,
    /// Above this many bytes the oldest batches are dropped and the log start offset moves; the
    /// newest batch always stays. Default: nothing is ever dropped.
    pub max_bytes: Option<usize>,
    /// Stamp batches with the time of the append (`message.timestamp.type=LogAppendTime`).
    /// Default: the producer's timestamps stay.
    pub append_time: bool,
    /// Inflate and walk the records of every batch before it is taken. Default true.
    pub check_records: bool,
}

/// Where a batch went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offset of its first record.
    pub base_offset: i64,
    /// The broker's timestamp in milliseconds, or -1 where records keep their own.
    pub append_time: i64,
    /// The batch had been appended before, and nothing was written now.
    pub duplicate: bool,
}

/// Why the log, or the broker before it, did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The broker's answer.
    pub code: ErrorCode,
    /// What was wrong, for the answer's message field.
    pub message: String,
}

/// A run of whole batches, as a fetch delivers it.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// The bytes in order; batches may span two parts.
    pub parts: Vec<Bytes>,
    /// Their sum.
    pub bytes: usize,
    /// The offset after the last record of the run, or the offset asked for if it is empty.
    pub next_offset: i64,
}

/// What a log remembers of a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerView {
    /// The producer's id.
    pub producer_id: i64,
    /// Its newest epoch.
    pub epoch: i16,
    /// The sequence number of its last record in that epoch, -1 if there is none.
    pub last_sequence: i32,
    /// The largest timestamp of the last of its batches that is held, in milliseconds; -1 if none
    /// is.
    pub last_timestamp: i64,
    /// The first offset of its open transaction.
    pub transaction_start: Option<i64>,
}

/// An offset found by time, with what `ListOffsets` tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The record's offset.
    pub offset: i64,
    /// The record's timestamp in milliseconds.
    pub timestamp: i64,
    /// The leader epoch that wrote it.
    pub leader_epoch: i32,
}

impl PartitionLog {
    /// An empty log that starts at offset 0.
    pub fn new(rules: LogRules) -> Self {
        Self {
            rules,
            batches: VecDeque::new(),
            bytes: 0,
            start: 0,
            end: 0,
            held_watermark: None,
            epochs: EpochHistory::default(),
            producers: Producers::default(),
            transactions: Transactions::default(),
        }
    }

    /// The oldest offset that can be read.
    pub fn start_offset(&self) -> i64 {
        self.start
    }

    /// The offset that the next record gets.
    pub fn end_offset(&self) -> i64 {
        self.end
    }

    /// The offset up to which consumers may read.
    pub fn high_watermark(&self) -> i64 {
        self.held_watermark.map_or(self.end, |held| held.clamp(self.start, self.end))
    }

    /// The offset up to which read_committed consumers may read: the high watermark, or the first
    /// offset of the oldest open transaction.
    pub fn last_stable_offset(&self) -> i64 {
        let watermark = self.high_watermark();
        self.transactions.first_open().map_or(watermark, |first| first.min(watermark))
    }

    /// The bytes of all batches held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The batches held, oldest first.
    pub fn batches(&self) -> impl Iterator<Item = &StoredBatch> {
        self.batches.iter()
    }

    /// Replaces the rules. Batches above a smaller byte limit go with the next append.
    pub fn set_rules(&mut self, rules: LogRules) {
        self.rules = rules;
    }

    /// Keeps the high watermark from passing `offset`, as replicas that lag do; `None` lets it
    /// follow the end of the log again. Producers that ask for all acks do not wait for it.
    pub fn hold_high_watermark(&mut self, offset: Option<i64>) {
        self.held_watermark = offset;
    }

    /// Whether the log remembers what this producer wrote last.
    pub fn knows_producer(&self, producer_id: i64) -> bool {
        self.producers.knows(producer_id)
    }

    /// Checks and appends the one batch of a produce request.
    ///
    /// # Errors
    /// What a broker would answer: a corrupt, oversized or inconsistent batch, a sequence number
    /// out of order, or a fenced producer. Nothing is written then.
    pub fn append(
        &mut self,
        records: &Bytes,
        leader_epoch: i32,
        now_ms: i64,
    ) -> Result<Appended, Refusal> {
        let raw = batch::admit(records, self.rules.max_message_bytes, self.rules.check_records)?;
        if let Some(duplicate) = self.judge(&raw)? {
            return Ok(duplicate);
        }
        let append_time = self.rules.append_time.then_some(now_ms);
        let stamp = Stamp { base_offset: self.end, leader_epoch, append_time };
        let batch = StoredBatch::new(&raw, &stamp)?;
        self.push(batch, append_time.unwrap_or(-1));
        self.drop_above_limit();
        let base_offset = stamp.base_offset;
        Ok(Appended { base_offset, append_time: append_time.unwrap_or(-1), duplicate: false })
    }

    /// Appends batches as a leader's follower would: offsets, epochs, control batches and gaps
    /// are taken as they are, as long as offsets rise. For tests that need a particular log.
    ///
    /// # Errors
    /// A batch that can't be read, or starts before the end of the log; those before it stay.
    pub fn append_as_is(&mut self, records: &Bytes) -> Result<(), Refusal> {
        for raw in Batches::new(records.clone()) {
            let raw = raw.map_err(|error| corrupt(&error.to_string()))?;
            raw.check().map_err(|error| corrupt(&error.to_string()))?;
            let header = raw.header();
            if header.base_offset < self.end || header.last_offset_delta < 0 {
                return Err(corrupt("the batch starts before the end of the log"));
            }
            let stamp = Stamp {
                base_offset: header.base_offset,
                leader_epoch: header.partition_leader_epoch,
                append_time: None,
            };
            let batch = StoredBatch::new(&raw, &stamp)?;
            self.push(batch, -1);
        }
        Ok(())
    }

    /// Turns one bit of the newest batch, as a failing disk would: readers find a wrong checksum. False if there is no
    /// batch.
    pub fn damage_newest(&mut self) -> bool {
        self.batches.back_mut().map(StoredBatch::damage).is_some()
    }

    /// Appends the marker that ends a producer's transaction, as a transaction coordinator would;
    /// returns its offset.
    ///
    /// # Errors
    /// None in practice: the marker is built here.
    pub fn append_marker(
        &mut self,
        producer_id: i64,
        epoch: i16,
        commit: bool,
        leader_epoch: i32,
        now_ms: i64,
    ) -> Result<i64, Refusal> {
        let marker = batch::marker(producer_id, epoch, commit, now_ms)?;
        let offset = self.end;
        let stamp = Stamp { base_offset: offset, leader_epoch, append_time: None };
        self.push(StoredBatch::new(&marker, &stamp)?, -1);
        Ok(offset)
    }

    /// The idempotent producers that the log remembers, by rising id.
    pub fn producers(&self) -> impl Iterator<Item = ProducerView> + '_ {
        self.producers.each().map(|(producer_id, epoch, last_sequence)| {
            let last =
                self.batches.iter().rev().find(|one| one.header().producer_id == producer_id);
            ProducerView {
                producer_id,
                epoch,
                last_sequence,
                last_timestamp: last.map_or(-1, |batch| batch.header().max_timestamp),
                transaction_start: self.transactions.start_of(producer_id),
            }
        })
    }

    /// Whole batches from the one that holds `offset`, below `limit` (a high watermark or last
    /// stable offset), at most `max_bytes`; with `at_least_one` the first batch is given whatever
    /// its size (KIP-74).
    pub fn read(&self, offset: i64, limit: i64, max_bytes: usize, at_least_one: bool) -> Run {
        let mut run = Run { next_offset: offset, ..Run::default() };
        for batch in self.batches_from(offset, limit) {
            let first = at_least_one && run.bytes == 0;
            if run.bytes + batch.size() > max_bytes && !first {
                break;
            }
            run.bytes += batch.size();
            run.parts.extend(batch.parts().cloned());
            run.next_offset = batch.last_offset() + 1;
        }
        run
    }

    /// The first `bytes` bytes of the batch that holds `offset`, as a broker adds them to a run
    /// when its byte limit falls into a batch.
    pub fn read_prefix(&self, offset: i64, limit: i64, bytes: usize) -> Vec<Bytes> {
        let mut left = bytes;
        let batch = self.batches_from(offset, limit).next();
        let mut parts = Vec::new();
        for part in batch.into_iter().flat_map(StoredBatch::parts) {
            let taken = part.len().min(left);
            left -= taken;
            parts.push(part.slice(..taken));
        }
        parts
    }

    /// The bytes that [`read`](Self::read) would give, without giving them; stops counting once
    /// `enough` is reached.
    pub fn readable_bytes(&self, offset: i64, limit: i64, enough: usize) -> usize {
        let mut bytes = 0;
        for batch in self.batches_from(offset, limit) {
            bytes += batch.size();
            if bytes >= enough {
                break;
            }
        }
        bytes
    }

    /// The first record at or after `timestamp` (milliseconds) below `limit`.
    pub fn offset_for_timestamp(&self, timestamp: i64, limit: i64) -> Option<Found> {
        let batches = self.batches_from(self.start, limit);
        for batch in batches.filter(|batch| batch.header().max_timestamp >= timestamp) {
            let start = self.start;
            let found = batch.find_record(|offset, at| offset >= start && at >= timestamp);
            if let Some((offset, timestamp)) = found {
                return Some(Found { offset, timestamp, leader_epoch: epoch_of(batch) });
            }
        }
        None
    }

    /// The first record that carries the largest timestamp below `limit` (KIP-734).
    pub fn offset_of_max_timestamp(&self, limit: i64) -> Option<Found> {
        let largest =
            self.batches_from(self.start, limit).map(|b| b.header().max_timestamp).max()?;
        self.offset_for_timestamp(largest, limit)
    }

    /// The epoch that wrote the record at `offset`, or the newest one for the end of the log.
    pub fn epoch_at(&self, offset: i64) -> Option<i32> {
        self.epochs.epoch_at(offset)
    }

    /// Notes that a new leader begins its epoch at the end of the log.
    pub fn begin_epoch(&mut self, epoch: i32) {
        self.epochs.assign(epoch, self.end);
    }

    /// The newest epoch.
    pub fn latest_epoch(&self) -> Option<i32> {
        self.epochs.latest()
    }

    /// Where `epoch` ended (KIP-101).
    pub fn end_of_epoch(&self, epoch: i32) -> EpochEnd {
        self.epochs.end_of(epoch, self.end)
    }

    /// The aborted transactions that overlap `from..to`, in the order of their markers.
    pub fn aborted_between(&self, from: i64, to: i64) -> impl Iterator<Item = Aborted> + '_ {
        self.transactions.aborted_between(from, to)
    }

    /// Cuts the log so that it ends at `offset` at the latest, as an unclean election does; a
    /// batch that `offset` lies within goes wholly, as batches are never split.
    pub fn truncate(&mut self, offset: i64) {
        while let Some(last) = self.batches.back()
            && last.last_offset() >= offset
        {
            self.bytes -= last.size();
            self.end = last.base_offset();
            self.batches.pop_back();
        }
        self.end = self.end.min(offset.max(self.start));
        self.epochs.truncate_to(self.end);
        self.replay();
    }

    /// Moves the log start to `offset` (-1: the high watermark), dropping batches that lie before
    /// it wholly. Returns the new log start offset.
    ///
    /// # Errors
    /// `OFFSET_OUT_OF_RANGE` for an offset above the high watermark.
    pub fn delete_records(&mut self, offset: i64) -> Result<i64, Refusal> {
        let watermark = self.high_watermark();
        let offset = if offset == -1 { watermark } else { offset };
        if offset > watermark || offset < 0 {
            let message = format!("offset {offset} is outside 0..={watermark}");
            return Err(Refusal::new(ErrorCode::OFFSET_OUT_OF_RANGE, message));
        }
        self.advance_start(offset);
        Ok(self.start)
    }

    fn judge(&self, raw: &RawBatch) -> Result<Option<Appended>, Refusal> {
        let Some(claim) = batch::claim_of(raw.header()) else {
            return Ok(None);
        };
        let who = || format!("producer {} epoch {}", claim.producer_id, claim.epoch);
        match self.producers.judge(&claim) {
            Verdict::Append
                if self.transactions.is_open(claim.producer_id)
                    && !raw.header().is_transactional() =>
            {
                let message = format!("{} has an open transaction", who());
                Err(Refusal::new(ErrorCode::INVALID_TXN_STATE, message))
            }
            Verdict::Append => Ok(None),
            Verdict::Duplicate(seen) => Ok(Some(Appended {
                base_offset: seen.base_offset,
                append_time: seen.append_time,
                duplicate: true,
            })),
            Verdict::OutOfOrder => Err(Refusal::new(
                ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
                format!("{}: sequence {} does not follow", who(), claim.first_sequence),
            )),
            Verdict::Fenced => Err(Refusal::new(
                ErrorCode::INVALID_PRODUCER_EPOCH,
                format!("{} is older than the one that wrote last", who()),
            )),
        }
    }

    fn push(&mut self, batch: StoredBatch, append_time: i64) {
        self.epochs.assign(epoch_of(&batch), batch.base_offset());
        self.note(&batch, append_time);
        self.end = batch.last_offset() + 1;
        self.bytes += batch.size();
        self.batches.push_back(batch);
    }

    /// Brings producers and transactions up to date with one more batch.
    fn note(&mut self, batch: &StoredBatch, append_time: i64) {
        let header = batch.header();
        let (base, last) = (batch.base_offset(), batch.last_offset());
        if let Some(claim) = batch.claim() {
            self.producers.record(&claim, base, last, append_time);
            if header.is_transactional() {
                self.transactions.write(claim.producer_id, base);
            }
        } else if header.is_control() && header.producer_id >= 0 {
            self.producers.record_marker(header.producer_id, header.producer_epoch, last);
            if let Some(commit) = batch.marker_commits() {
                self.transactions.end(header.producer_id, last, commit);
            }
        }
    }

    /// Rebuilds producers and transactions from the batches that are left.
    fn replay(&mut self) {
        self.producers.clear();
        self.transactions.clear();
        let batches = std::mem::take(&mut self.batches);
        for batch in &batches {
            let append_time =
                if self.rules.append_time { batch.header().max_timestamp } else { -1 };
            self.note(batch, append_time);
        }
        self.batches = batches;
    }

    fn drop_above_limit(&mut self) {
        let Some(limit) = self.rules.max_bytes else {
            return;
        };
        let (mut bytes, mut start) = (self.bytes, self.start);
        for batch in self.batches.iter().take(self.batches.len().saturating_sub(1)) {
            if bytes <= limit {
                break;
            }
            bytes -= batch.size();
            start = batch.last_offset() + 1;
        }
        self.advance_start(start);
    }

    fn advance_start(&mut self, start: i64) {
        if start <= self.start {
            return;
        }
        self.start = start;
        while let Some(first) = self.batches.front()
            && first.last_offset() < start
        {
            self.bytes -= first.size();
            self.batches.pop_front();
        }
        self.epochs.advance_start(start);
        self.transactions.advance_start(start);
    }

    fn batches_from(&self, offset: i64, limit: i64) -> impl Iterator<Item = &StoredBatch> {
        let first = self.batches.partition_point(|batch| batch.last_offset() < offset);
        self.batches.range(first..).take_while(move |batch| batch.base_offset() < limit)
    }
}

impl Default for LogRules {
    fn default() -> Self {
        Self {
            max_message_bytes: 1_048_588,
            max_bytes: None,
            append_time: false,
            check_records: true,
        }
    }
}

impl Refusal {
    /// A refusal with the broker's code and a sentence for people.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.message)
    }
}

impl std::error::Error for Refusal {}

fn epoch_of(batch: &StoredBatch) -> i32 {
    batch.header().partition_leader_epoch
}

fn corrupt(message: &str) -> Refusal {
    Refusal::new(ErrorCode::CORRUPT_MESSAGE, message)
}

#[cfg(test)]
mod tests;
